//! The daemon in the place of `b10-msgq`, the message bus of BIND 10: a link of that name to
//! this program is started by what started the original, and does what it did.
//!
//! Owns: its command line and what it means (`wire/msgq.md` 15.1 to 15.3). Only the one socket
//! is served, no file is read, and the owner of the socket may end it by a message. Different
//! on purpose: the socket is its owner's alone whatever the umask (0600); a file there that is
//! no socket is left alone; what still waits for clients at the end is written, as far as they
//! take it; `--verbose` shows more.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use super::load::{Source, host_name};
use super::{Failure, complain, run};
use crate::config::{
    BIND10_SOCKET, Config, ConfigError, Endpoint, Level, Listener, Mode, Right, SystemId, User, named_by_bind10,
};
use crate::sys;

/// The name that makes the difference.
const NAME: &str = "b10-msgq";

/// Exit status of whatever keeps it from serving.
const FAILED: u8 = 1;

/// Exit status of a command line that cannot be understood.
const WRONG_USAGE: u8 = 2;

/// Message bus of BIND 10, served by Chappe
#[derive(Debug, Parser)]
#[command(
    name = NAME,
    version = concat!("(chappe ", env!("CARGO_PKG_VERSION"), ", in the place of b10-msgq of BIND 10 1.2.0)"),
    infer_long_args = true,
    after_help = "Without -s the path is in BIND10_MSGQ_SOCKET_FILE, else it is \
                  /usr/local/var/bind10/msgq_socket.\n\
                  Exit status: 0 after SIGTERM, SIGINT or a message `stop`; 1 if it cannot serve, also because \
                  another daemon does; 2 for a wrong command line."
)]
struct Args {
    /// Path of the socket
    #[arg(short, long, value_name = "FILE")]
    socket_file: Option<PathBuf>,
    /// Log more
    #[arg(short, long)]
    verbose: bool,
}

/// If this program was called by the name `b10-msgq`: serves as that one does and returns its
/// exit status. Otherwise does nothing.
pub fn called_as_b10_msgq() -> Option<ExitCode> {
    let program = std::env::args_os().next()?;
    is_it(&program).then(|| main(std::env::args_os().skip(1)))
}

fn is_it(program: &OsString) -> bool {
    Path::new(program).file_name().is_some_and(|name| name == NAME)
}

fn main(rest: impl Iterator<Item = OsString>) -> ExitCode {
    // Usage goes to standard error with status 2, help and version to standard output with 0.
    let args = match Args::try_parse_from(std::iter::once(NAME.into()).chain(rest)) {
        Ok(args) => args,
        Err(e) if e.use_stderr() => {
            let text = e.to_string();
            complain(NAME, text.strip_prefix("error: ").unwrap_or(&text));
            return ExitCode::from(WRONG_USAGE);
        }
        Err(e) => e.exit(),
    };
    let result = config(&args)
        // It is about the path, and names a key of a file that nobody wrote.
        .map_err(|e| Failure { status: FAILED, text: e.text })
        .and_then(|config| run(Source::built_in(config.clone()), config, false));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { status, text }) => {
            complain(NAME, &text);
            ExitCode::from(status)
        }
    }
}

fn config(args: &Args) -> Result<Config, ConfigError> {
    let given = args.socket_file.as_ref().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
    let path = given.or_else(named_by_bind10).unwrap_or_else(|| BIND10_SOCKET.into());
    Config::parse(None, "", |config| {
        config.node = host_name();
        config.msgq.allow_stop = true;
        config.log.level = if args.verbose { Level::Debug } else { Level::Info };
        config.listeners = vec![Listener {
            anonymous: Some(vec![Right::Read, Right::Write]),
            mode: Some(Mode(0o600)),
            ..Listener::at(Endpoint::Msgq(path))
        }];
        // Whoever may open the socket anyhow: its owner, and root.
        config.users = vec![User {
            password_hash: None,
            certificate: None,
            name: "owner".into(),
            token: None,
            token_file: None,
            peer_users: vec![SystemId::Number(sys::user_id()), SystemId::Number(0)],
            peer_groups: Vec::new(),
            peers: Default::default(),
            rights: vec![Right::Read, Right::Write, Right::Manage],
            names: None,
        }];
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once(&NAME).chain(args))
    }

    #[test]
    fn only_the_last_part_of_the_name_counts() {
        for (program, yes) in
            [("b10-msgq", true), ("/usr/libexec/bind10/b10-msgq", true), ("chappe", false), ("b10-msgq/x", false)]
        {
            assert_eq!(is_it(&program.into()), yes, "{program}");
        }
    }

    #[test]
    fn its_options_are_those_of_the_original() {
        for (args, file, verbose) in [
            (&["-s", "/a/b"][..], Some("/a/b"), false),
            (&["--socket-file=/a/b", "-v"], Some("/a/b"), true),
            (&["--socket-file", "/a/b"], Some("/a/b"), false),
            (&["--sock", "/a/b", "--verb"], Some("/a/b"), true),
            (&[], None, false),
        ] {
            let read = parse(args).unwrap();
            assert_eq!((read.socket_file, read.verbose), (file.map(Into::into), verbose), "{args:?}");
        }
        for (args, status) in [(&["--version"][..], 0), (&["-h"], 0), (&["--help"], 0), (&["-x"], 2), (&["-s"], 2)] {
            assert_eq!(parse(args).unwrap_err().exit_code(), status, "{args:?}");
        }
    }

    #[test]
    fn only_the_owner_may_end_it() {
        let config = config(&parse(&["-s", "/a/b"]).unwrap()).unwrap();
        assert!(config.msgq.allow_stop);
        assert_eq!(config.listeners.len(), 1);
        let listener = &config.listeners[0];
        assert_eq!((listener.address.to_string().as_str(), listener.mode), ("msgq:///a/b", Some(Mode(0o600))));
        assert!(!listener.anonymous.as_ref().unwrap().contains(&Right::Manage));
        assert!(config.users[0].peers.has(sys::user_id(), u32::MAX) && config.users[0].peers.has(0, u32::MAX));
    }
}

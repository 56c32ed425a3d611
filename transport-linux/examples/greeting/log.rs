//! Where the greeting programs write what they do: the standard error, or a file that is opened
//! anew when somebody says `LOG_ROTATE`.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

/// What is said about the log on the command line.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Write what happens into this file instead of the standard error
    #[arg(long)]
    log: Option<PathBuf>,
    /// What those must know who say LOG_ROTATE
    #[arg(long, env = "LOG_ROTATE_SECRET", hide_env_values = true, default_value = "")]
    pub(crate) log_rotate_secret: String,
}

/// A file, or the standard error.
pub(crate) struct Log {
    path: Option<PathBuf>,
    file: Option<File>,
}

impl Log {
    /// Begins, behind what is there.
    pub(crate) fn open(options: &Options) -> io::Result<Log> {
        let mut log = Log { path: options.log.clone(), file: None };
        log.reopen()?;
        Ok(log)
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let Some(path) = &self.path {
            self.file = Some(File::options().create(true).append(true).open(path)?);
        }
        Ok(())
    }

    /// The file was moved away: goes on in a new one.
    pub(crate) fn rotate(&mut self) {
        match self.reopen() {
            Ok(()) => self.say("log rotated"),
            Err(e) => self.say(format_args!("the log cannot be opened anew: {e}")),
        }
    }

    /// One line, without control characters of others.
    pub(crate) fn say(&mut self, text: impl Display) {
        let text: String = text.to_string().chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        let result = match &mut self.file {
            Some(file) => writeln!(file, "{text}"),
            None => writeln!(io::stderr(), "{text}"),
        };
        // a full disk is no reason to stop greeting
        drop(result);
    }
}

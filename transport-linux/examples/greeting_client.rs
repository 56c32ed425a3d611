//! The client of the greeting game (`wire/communicator.md` section 8.3): it connects until a server is
//! there, plays, and ends.
//!
//! ```text
//! cargo run --example greeting_client -- [--server HOST:PORT] [--log FILE]
//!                                        [--permanent-connection-retries LIST]
//!                                        [--log-rotate-listen IP:PORT] [--log-rotate-secret SECRET]
//! ```
//!
//! | it hears | it says |
//! |---|---|
//! | `HI` | `DAD` |
//! | `CLIMB` | `TOP` |
//! | `WHO` | `MOM` |
//! | `BYE` | nothing, and ends |
//! | anything else | `UNKNOWN command=…`, unless it is an `UNKNOWN` itself |
//!
//! In datagrams it hears `LOG_ROTATE`, and `STOP`, which ends it.

#[path = "greeting/log.rs"]
mod log;

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;

use chappe_linux::communicator::{Answers, Event, Options, Pauses, Session, Signals, Uri};
use clap::Parser;
use log::Log;

/// Plays with a server that greets.
#[derive(Parser)]
struct Args {
    /// Where the server listens
    #[arg(long, default_value = "127.0.0.1:3001")]
    server: String,
    /// Pauses between attempts to connect; the last is repeated
    #[arg(long, env = "PERMANENT_CONNECTION_RETRIES", default_value = "60")]
    permanent_connection_retries: Pauses,
    /// Where to hear LOG_ROTATE in datagrams
    #[arg(long, default_value = "127.0.0.1:3003")]
    log_rotate_listen: SocketAddr,
    #[command(flatten)]
    log: log::Options,
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("greeting_client: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let mut log = Log::open(&args.log)?;
    let uri: Uri = format!("cd://{}", args.server).parse()?;
    // without a daemon there is nobody to register with, and no standard commands
    let options =
        Options { answers: Answers::Nothing, pauses: args.permanent_connection_retries, ..Options::default() };
    let mut server = Session::begin(uri, options)?;
    server.hear(Signals::bind(args.log_rotate_listen, args.log.log_rotate_secret)?)?;
    loop {
        match server.receive(None)? {
            Some(Event::Message(message)) => {
                log.say(format_args!("the server says {message}"));
                match message.command.as_str() {
                    "HI" => server.send(&message.reply("DAD"))?,
                    "CLIMB" => server.send(&message.reply("TOP"))?,
                    "WHO" => server.send(&message.reply("MOM"))?,
                    "BYE" => return Ok(()),
                    _ => server.unknown(&message)?,
                }
            }
            Some(Event::Signal { message, from }) => match message.command.as_str() {
                "LOG_ROTATE" => log.rotate(),
                "STOP" => return Ok(()),
                _ => log.say(format_args!("{from}: {message}")),
            },
            Some(Event::Disconnected { why, again_in }) => log.say(format_args!("{why}; again in {again_in:?}")),
            Some(Event::Unreachable { problem, again_in }) => {
                log.say(format_args!("no server: {problem}; again in {again_in:?}"));
            }
            _ => {}
        }
    }
}

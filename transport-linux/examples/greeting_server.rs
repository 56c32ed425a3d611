//! The server of the greeting game (`wire/communicator.md` section 8.3): programs that speak the
//! Communicator's protocol to each other without a daemon.
//!
//! ```text
//! cargo run --example greeting_server -- [--listen IP:PORT] [--log FILE]
//!                                        [--log-rotate-listen IP:PORT] [--log-rotate-secret SECRET]
//! cargo run --example greeting_client
//! chappe send --connect cd://127.0.0.1:3001 --reply QUIT
//! chappe send --connect cdu://127.0.0.1:3002 LOG_ROTATE
//! ```
//!
//! | it hears | it says |
//! |---|---|
//! | a new connection | `HI` |
//! | `DAD` | `CLIMB` |
//! | `TOP` | `WHO` |
//! | `MOM` | `BYE` |
//! | `QUIT` | nothing, and ends |
//! | anything else | `UNKNOWN command=…`, unless it is an `UNKNOWN` itself |
//!
//! In datagrams it hears `LOG_ROTATE`, and `STOP`, which ends it. At most 1,000 clients, 4,096
//! octets a line, 64 KiB that a client does not take: then it is dropped.

#[path = "greeting/log.rs"]
mod log;

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use chappe_core::dialect::communicator::MAX_LINE_BEFORE_REGISTER;
use chappe_linux::communicator::{Came, Lines, Message, Signals};
use clap::Parser;
use log::Log;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const MAX_CLIENTS: usize = 1000;
const MAX_WAITING: usize = 64 * 1024;

const LISTENER: Token = Token(0);
const SIGNALS: Token = Token(1);

/// Greets who connects.
#[derive(Parser)]
struct Args {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:3001")]
    listen: SocketAddr,
    /// Where to hear LOG_ROTATE in datagrams
    #[arg(long, default_value = "127.0.0.1:3002")]
    log_rotate_listen: SocketAddr,
    #[command(flatten)]
    log: log::Options,
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("greeting_server: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Client {
    stream: TcpStream,
    lines: Lines,
    out: Vec<u8>,
}

/// What is to be done about a client.
#[derive(PartialEq)]
enum Then {
    Stay,
    Drop(String),
    Quit,
}

fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let mut log = Log::open(&args.log)?;
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(args.listen).map_err(|e| format!("cannot listen on {}: {e}", args.listen))?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut signals = Signals::bind(args.log_rotate_listen, args.log.log_rotate_secret)?;
    poll.registry().register(signals.source(), SIGNALS, Interest::READABLE)?;
    log.say(format_args!("listening on {}; LOG_ROTATE on {}", listener.local_addr()?, signals.local_addr()?));
    let (mut clients, mut next) = (HashMap::new(), 2);
    let mut events = Events::with_capacity(64);
    loop {
        match poll.poll(&mut events, None) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        }
        for event in &events {
            match event.token() {
                LISTENER => accept(&listener, &poll, &mut clients, &mut next, &mut log)?,
                SIGNALS => {
                    if hear(&mut signals, &mut log)? {
                        return Ok(());
                    }
                }
                token => match clients.get_mut(&token).map_or(Then::Stay, |client| turn(client, &mut log)) {
                    Then::Stay => {}
                    Then::Drop(why) => {
                        log.say(format_args!("a client has left: {why}"));
                        clients.remove(&token);
                    }
                    Then::Quit => {
                        log.say("QUIT");
                        return Ok(());
                    }
                },
            }
        }
    }
}

fn accept(
    listener: &TcpListener,
    poll: &Poll,
    clients: &mut HashMap<Token, Client>,
    next: &mut usize,
    log: &mut Log,
) -> io::Result<()> {
    loop {
        let (mut stream, from) = match listener.accept() {
            Ok(came) => came,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            // gone again, or no more files: others may come
            Err(e) => {
                log.say(format_args!("cannot accept a client: {e}"));
                return Ok(());
            }
        };
        if clients.len() >= MAX_CLIENTS {
            log.say(format_args!("{from} is one client too many"));
            continue;
        }
        let token = Token(*next);
        *next += 1;
        poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let mut client = Client { stream, lines: Lines::new(MAX_LINE_BEFORE_REGISTER), out: Vec::new() };
        log.say(format_args!("{from} has come"));
        say(&mut client, &Message::new("HI"));
        clients.insert(token, client);
    }
}

/// Puts a message behind the others. What cannot be said is because of who has asked.
fn say(client: &mut Client, message: &Message) {
    if let Ok(line) = message.line(MAX_LINE_BEFORE_REGISTER) {
        client.out.extend(line);
    }
}

/// Reads, answers and writes.
fn turn(client: &mut Client, log: &mut Log) -> Then {
    loop {
        if let Then::Drop(why) = write(client) {
            return Then::Drop(why);
        }
        match client.lines.fill(|buf| client.stream.read(buf)) {
            Ok(0) => return Then::Drop("it has closed".into()),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Then::Stay,
            Err(e) => return Then::Drop(e.to_string()),
        }
        loop {
            let message = match client.lines.next_line() {
                Ok(None) => break,
                Ok(Some(line)) => Message::read(line),
                Err(_) => return Then::Drop(format!("a line of more than {MAX_LINE_BEFORE_REGISTER} octets")),
            };
            let Ok(message) = message else {
                log.say("a line that is no message");
                continue;
            };
            match message.command.as_str() {
                "DAD" => say(client, &message.reply("CLIMB")),
                "TOP" => say(client, &message.reply("WHO")),
                "MOM" => say(client, &message.reply("BYE")),
                "QUIT" => return Then::Quit,
                "UNKNOWN" | "INVALID" => log.say(&message),
                command => say(client, &message.reply("UNKNOWN").with("command", command)),
            }
        }
    }
}

fn write(client: &mut Client) -> Then {
    while !client.out.is_empty() {
        match client.stream.write(&client.out) {
            Ok(n) => drop(client.out.drain(..n)),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            // not connected: not yet
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) => break,
            Err(e) => return Then::Drop(e.to_string()),
        }
    }
    if client.out.len() > MAX_WAITING { Then::Drop("it reads nothing".into()) } else { Then::Stay }
}

/// Whether it is to end.
fn hear(signals: &mut Signals, log: &mut Log) -> Result<bool, Box<dyn Error>> {
    loop {
        match signals.next_one()? {
            Came::Nothing => return Ok(false),
            Came::Odd => log.say("a datagram that is no message"),
            Came::Secret => log.say("a datagram without the right secret"),
            Came::Message(message, from) => match message.command.as_str() {
                "LOG_ROTATE" => log.rotate(),
                "STOP" => {
                    log.say("STOP");
                    return Ok(true);
                }
                _ => log.say(format_args!("{from}: {message}")),
            },
        }
    }
}

//! `chappe hash-password`.

use std::io::{IsTerminal, Read};

use chappe_linux::password::{self, Cost};
use clap::Args;
use zeroize::Zeroizing;

use super::exit::Failure;
use super::print;

/// What is shorter can be tried out.
const SHORT: usize = 8;

/// `chappe hash-password`.
#[derive(Debug, Args)]
pub(crate) struct HashPassword {
    /// Memory that each check takes, in KiB: the more, the harder it is to try many
    #[arg(long, value_name = "KIB", default_value_t = Cost::default().memory)]
    memory: u32,
    /// How often each check goes through that memory
    #[arg(long, value_name = "NUMBER", default_value_t = Cost::default().passes)]
    passes: u32,
}

/// Reads a password, twice from a terminal and without showing it, or else the standard input
/// as it is but for one newline at its end; prints its hash.
pub(crate) fn run(args: &HashPassword) -> Result<(), Failure> {
    let secret = if std::io::stdin().is_terminal() { ask()? } else { read()? };
    let cost = Cost { memory: args.memory, passes: args.passes };
    let hash = password::hash(&secret, cost).map_err(Failure::usage)?;
    if secret.len() < SHORT {
        eprintln!("chappe: this password is short: with fewer than {SHORT} characters it can be guessed");
    }
    print(format!("{hash}\n").as_bytes())
}

fn ask() -> Result<Zeroizing<Vec<u8>>, Failure> {
    let ask = |prompt| {
        password::ask_hidden(prompt).map_err(|e| Failure::io("cannot read the password from the terminal", &e))
    };
    let first = ask("Password: ")?;
    if *ask("Once more: ")? != *first {
        return Err(Failure::usage("these were two different passwords"));
    }
    Ok(first)
}

fn read() -> Result<Zeroizing<Vec<u8>>, Failure> {
    // No more than is needed to see that it is too long.
    let mut text = Zeroizing::new(Vec::with_capacity(1024));
    std::io::stdin()
        .lock()
        .take(1024)
        .read_to_end(&mut text)
        .map_err(|e| Failure::io("cannot read the password from the standard input", &e))?;
    if text.last() == Some(&b'\n') {
        text.pop();
        if text.last() == Some(&b'\r') {
            text.pop();
        }
    }
    Ok(text)
}

//! What a person reads who starts the daemon without having configured anything.

use std::fmt::Write;

use super::listener::{Door, Listener};
use crate::config::{DEFAULT_FILE, DEFAULT_PORT, usual_sockets};

/// Where it listens and three commands to try, each as it can be typed.
pub(super) fn text(program: &str, listeners: &[Listener]) -> String {
    let mut out = String::from("Chappe runs with its built-in configuration and listens at\n");
    for listener in listeners {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "    {}", listener.address);
    }
    if listeners.iter().all(|l| l.is_local) {
        out.push_str("Only this machine reaches it. ");
    }
    let to = connect(listeners);
    let _ = write!(
        out,
        "Try, each in another terminal:\n\
         \x20   {program} listen{to} 'hello::*'\n\
         \x20   {program} send{to} hello::world --body 'good morning'\n\
         \x20   {program} ls{to} stations\n\
         Ctrl-C ends it. Settings: none, as there is no {DEFAULT_FILE}; `{program} check-config`\n\
         shows what is in force.\n",
    );
    out
}

/// What a command must be told to find the daemon, if it is not where commands look.
fn connect(listeners: &[Listener]) -> String {
    let usual = |address: &str| {
        address == format!("tcp://127.0.0.1:{DEFAULT_PORT}")
            || usual_sockets().iter().any(|path| address == format!("unix://{}", path.display()))
    };
    if listeners.iter().any(|l| usual(&l.address)) {
        return String::new();
    }
    let first = listeners.iter().find(|l| matches!(l.source, Door::Tcp(_) | Door::Unix(..) | Door::Udp(_)));
    first.map_or_else(String::new, |l| format!(" --connect {}", l.address))
}

//! What a person reads who starts the daemon without having configured anything.

use std::fmt::Write;

use super::listener::Listener;

/// Where it listens and three commands to try. Only as long as the daemon runs: another
/// terminal is needed, so it says that first.
pub(super) fn text(program: &str, listeners: &[Listener]) -> String {
    let mut out = String::from("Chappe runs with its built-in configuration and listens at\n");
    for listener in listeners {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "    {}", listener.address);
    }
    let _ = write!(
        out,
        "Only this machine reaches it. Try, each in another terminal:\n\
         \x20   {program} listen 'hello::*'\n\
         \x20   {program} send hello::world --body 'good morning'\n\
         \x20   {program} ls stations\n\
         Ctrl-C ends it. Settings: {}\n",
        crate::config::DEFAULT_FILE
    );
    out
}

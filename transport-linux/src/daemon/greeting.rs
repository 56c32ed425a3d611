//! What a person reads who starts the daemon without having configured anything.

use std::fmt::Write;

use chappe_core::dialect::{Dialect, communicator};

use super::listener::{Door, Listener};
use crate::config::{BIND10_SOCKET, BIND10_VARIABLE, DEFAULT_FILE, DEFAULT_PORT, named_by_bind10, usual_sockets};

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
    // Programs of BIND 10 know no patterns.
    let is_native = listeners.iter().any(|l| l.dialect == Dialect::Messi);
    let (heard, said) = if is_native { ("'hello::*'", "hello::world") } else { ("hello", "hello") };
    if listeners.iter().any(is_for_commands) {
        let _ = write!(
            out,
            "Try, each in another terminal:\n\
         \x20   {program} listen{to} {heard}\n\
         \x20   {program} send{to} {said} --body 'good morning'\n\
         \x20   {program} ls{to} stations\n",
        );
    }
    for path in listeners.iter().filter_map(|l| l.address.strip_prefix("msgq://")) {
        out.push_str(&bind10(path, named_by_bind10().is_some_and(|named| named.as_os_str() == path)));
    }
    for path in listeners.iter().filter_map(|l| l.address.strip_prefix("clacks:///")) {
        out.push_str(&clacks(path));
    }
    for path in listeners.iter().filter_map(|l| l.address.strip_prefix("cd:///")) {
        out.push_str(&of_communicator(&format!("/{path}")));
    }
    let _ = write!(
        out,
        "Ctrl-C ends it. Settings: none, as there is no {DEFAULT_FILE}; `{program} check-config`\n\
         shows what is in force.\n",
    );
    out
}

/// How programs of BIND 10 get to their socket.
fn bind10(path: &str, is_named: bool) -> String {
    if is_named {
        format!("Programs of BIND 10 find {path} by {BIND10_VARIABLE}, which is set.\n")
    } else if path == BIND10_SOCKET {
        format!("Programs of BIND 10 find {path} by themselves.\n")
    } else {
        format!("Programs of BIND 10 find it if they are started with\n    {BIND10_VARIABLE}={path}\n")
    }
}

/// How programs of Net::Clacks get to their socket; `path`: without its first slash.
fn clacks(path: &str) -> String {
    format!(
        "Programs of Net::Clacks are told the socket /{path}\n\
         and, as there are no users here, any user and password. By hand:\n\
         \x20   {{ printf 'OVERHEAD A YQ==:Yg==\\nSET hello::world=good morning\\nQUIT\\n'; sleep 1; }} | nc -U /{path}\n"
    )
}

/// How programs of the Communicator get to their socket.
fn of_communicator(path: &str) -> String {
    let how = if [communicator::SOCKET, communicator::OLD_SOCKET].contains(&path) {
        format!("Programs of the Communicator find {path} by themselves.")
    } else {
        format!("Programs of the Communicator are told --communicator-listen cd://{path}")
    };
    format!(
        "{how}\nBy hand:\n\
         \x20   {{ printf '{}'; sleep 1; }} | nc -U {path}\n",
        BY_HAND.replace('\n', "\\n")
    )
}

/// A service that asks two questions and is gone.
const BY_HAND: &str =
    "REGISTER service=hello;version=1\ncommunicatord/CLOCK_STATUS\nLIST_SERVICES\nUNREGISTER service=hello\n";

/// Whether `send`, `listen` and `ls` speak what is spoken there.
fn is_for_commands(listener: &Listener) -> bool {
    !matches!(listener.dialect, Dialect::Clacks | Dialect::Communicator)
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
    let is_for_us =
        |l: &&Listener| is_for_commands(l) && matches!(l.source, Door::Tcp(_) | Door::Unix(..) | Door::Udp(_));
    let mut open = listeners.iter().filter(is_for_us);
    // The native dialect can say everything.
    let first = open.clone().find(|l| l.dialect == Dialect::Messi).or_else(|| open.next());
    first.map_or_else(String::new, |l| format!(" --connect {}", l.address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_by_hand_logs_in() {
        assert!(clacks("run/x").contains("| nc -U /run/x\n"));
        let token = chappe_core::dialect::clacks::token::Credentials::read(b"YQ==:Yg==");
        assert!(token.is_some_and(|t| t.user().is_some()));
    }

    #[test]
    fn programs_of_the_communicator_are_told_only_what_they_do_not_know() {
        assert!(of_communicator(communicator::SOCKET).contains("by themselves"));
        assert!(of_communicator("/run/x").contains("--communicator-listen cd:///run/x\n"));
        assert!(of_communicator("/run/x").contains("version=1\\ncommunicatord/"));
        for line in BY_HAND.lines() {
            let said = communicator::parse::message(line.as_bytes(), &mut []).unwrap();
            communicator::schema::check(&said).unwrap();
        }
    }

    #[test]
    fn programs_of_bind_10_are_told_only_what_they_do_not_know() {
        assert!(bind10(BIND10_SOCKET, false).contains("by themselves"));
        assert!(bind10("/a/b", true).contains("which is set"));
        assert!(bind10("/a/b", false).ends_with("BIND10_MSGQ_SOCKET_FILE=/a/b\n"));
    }
}

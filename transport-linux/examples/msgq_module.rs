//! A module on a bus of BIND 10: it serves commands of the group `Thermometer` and says how
//! to call them, and what it does.
//!
//! ```text
//! cargo run --example msgq_module -- [SOCKET]
//! chappe --connect msgq:SOCKET call Thermometer/read unit=F
//! chappe call Thermometer/read unit=F                        # through a node of Chappe
//! ```
//!
//! Without SOCKET it looks where every program of BIND 10 looks (`BIND10_MSGQ_SOCKET_FILE`),
//! and where a node of Chappe puts it.

use chappe_linux::msgq::{ANY, Error, Message, Options, Session, body, usual_path};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

const GROUP: &str = "Thermometer";

/// What can be typed behind `Thermometer`, and what comes of it.
const COMMANDS: [(&str, &str); 4] = [
    ("/read", "the temperature, in degrees Celsius"),
    ("/read unit=F", "the same in Fahrenheit"),
    ("/ping", "nothing: it is there"),
    ("/help", "this list"),
];

/// For whoever said something else.
const HELP: &str = "help tells which there are";

fn main() -> ExitCode {
    let path: PathBuf = std::env::args_os().nth(1).map_or_else(usual_path, Into::into);
    let Err(error) = serve(&path) else { return ExitCode::SUCCESS };
    eprintln!("{}", farewell(&*error, &path));
    ExitCode::FAILURE
}

/// Why it serves no longer, for the person who started it.
pub fn farewell(error: &(dyn std::error::Error + 'static), path: &Path) -> String {
    let path = path.display();
    match error.downcast_ref() {
        Some(Error::Over { why }) => format!(
            "The bus at {path} has ended this session: {why}.\n\
             Was the daemon stopped? Or may this system user not join {GROUP}? The daemon's log says."
        ),
        Some(Error::Connect { .. }) => {
            format!("{error}\nStart a daemon that listens there: chappe serve --listen msgq://{path}")
        }
        _ => error.to_string(),
    }
}

/// What can be typed to call it.
pub fn how_to_call(path: &Path) -> String {
    let path = path.display();
    let one = |(command, gives): &(&str, &str)| {
        format!(
            "    # {gives}\n    chappe --connect msgq:{path} call {GROUP}{command}\n    \
             chappe call {GROUP}{command}\n"
        )
    };
    COMMANDS.iter().map(one).collect()
}

/// Serves until the connection ends.
pub fn serve(path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut bus = Session::connect_to(path, Options::default())?;
    println!("{} at {}", bus.lname(), path.display());
    bus.subscribe(GROUP, ANY)?;
    // Nobody confirms a subscription; a ping that comes back does.
    bus.ping(Duration::from_secs(4))?;
    println!("serving {GROUP}; call it on this bus, or through a node of Chappe at its native address:");
    print!("{}", how_to_call(path));
    loop {
        // The end of the connection ends this program: a new session would be another member.
        let Some(message) = bus.receive(None)? else { continue };
        // A module looks at the group, not at `to`; and a reply is never replied to.
        if message.group != GROUP || message.is_reply() {
            continue;
        }
        match answer(&message) {
            Some(answer) => {
                println!("{} asks {}: {}", message.from, text(&message.body), text(&answer));
                bus.reply(&message, &answer)?;
            }
            None => println!("{} says {}", message.from, text(&message.body)),
        }
    }
}

/// What to answer. `None`: it is no command.
fn answer(message: &Message) -> Option<Vec<u8>> {
    let Some((command, params)) = message.command() else {
        // whoever asks without a command is to know which there are
        return message.want_answer.then(|| body::failure(1, &format!("no command; {HELP}")));
    };
    Some(match command.as_str() {
        "read" => match params.get("unit").and_then(Value::as_str) {
            None | Some("C") => body::result(&json!({"value": 21.5, "unit": "C"})),
            Some("F") => body::result(&json!({"value": 70.7, "unit": "F"})),
            Some(other) => body::failure(3, &format!("no such unit: {other}; C and F are known")),
        },
        "ping" => body::result(&Value::Null),
        "help" => body::result(&json!(known())),
        // `chappe call Thermometer`, without a verb
        "SET" | "NOTIFY" if message.want_answer => body::result(&json!(known())),
        // a value for this very group, as `chappe send Thermometer --body ...` says it: nothing to do
        "SET" | "NOTIFY" => return None,
        other => body::failure(2, &format!("unknown command: {other}; {HELP}")),
    })
}

/// What this module knows.
fn known() -> String {
    let all: Vec<_> = COMMANDS.iter().map(|(command, gives)| format!("{GROUP}{command}: {gives}")).collect();
    format!("{GROUP} knows\n{}", all.join("\n"))
}

/// What came from the bus, harmless for a terminal.
fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).escape_debug().to_string().replace("\\\"", "\"")
}

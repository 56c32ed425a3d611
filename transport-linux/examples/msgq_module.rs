//! A module on a bus of BIND 10: it serves commands of the group `Thermometer` and says what
//! it does.
//!
//! ```text
//! cargo run --example msgq_module -- [SOCKET]
//! chappe --connect msgq:SOCKET call Thermometer/read unit=F
//! chappe call Thermometer/read unit=F                        # through a node of Chappe
//! ```
//!
//! Without SOCKET it looks where every program of BIND 10 looks (`BIND10_MSGQ_SOCKET_FILE`),
//! and where a node of Chappe puts it.

use chappe_linux::msgq::{ANY, Message, Options, Session, body, usual_path};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const GROUP: &str = "Thermometer";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    serve(&std::env::args_os().nth(1).map_or_else(usual_path, Into::into))
}

/// Serves until the connection ends.
pub fn serve(path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut bus = Session::connect_to(path, Options::default())?;
    println!("{} at {}", bus.lname(), path.display());
    bus.subscribe(GROUP, ANY)?;
    // Nobody confirms a subscription; a ping that comes back does.
    bus.ping(Duration::from_secs(4))?;
    println!("serving {GROUP}");
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
    let (command, params) = message.command()?;
    Some(match command.as_str() {
        "read" => match params.get("unit").and_then(Value::as_str) {
            None | Some("C") => body::result(&json!({"value": 21.5, "unit": "C"})),
            Some("F") => body::result(&json!({"value": 70.7, "unit": "F"})),
            Some(other) => body::failure(3, &format!("no such unit: {other}; C and F are known")),
        },
        "ping" => body::result(&Value::Null),
        // a value for this very group, as `chappe send Thermometer --body ...` says it: nothing to do
        "SET" | "NOTIFY" => return None,
        other => body::failure(2, &format!("unknown command: {other}")),
    })
}

/// What came from the bus, harmless for a terminal.
fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).escape_debug().to_string().replace("\\\"", "\"")
}

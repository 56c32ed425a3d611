//! What the sensor can be told: verbs sent to `sensor::<id>`.
//!
//! | verb | parameters | answers |
//! |---|---|---|
//! | `INTERVAL` | `ms`: 20 to 60000; none: only asks | the interval in force, in milliseconds |
//! | `LED` | `on`: 0 or 1; none: only asks | 0 or 1 |
//! | `LIMIT` | `c`: degrees Celsius; none: only asks | the limit in force |
//! | `IDENTIFY` | | JSON about the board |
//!
//! A command that does not ask for an answer is obeyed without one.

use chappe_core::client::Client;
use chappe_core::dialect::messi::repr::{Answer, Code, Encoding, Letter};
use chappe_core::time::Duration;

use crate::text::{Text, hundredths};
use crate::{Board, Sensor};

/// Shortest and longest interval, in milliseconds.
const INTERVALS: core::ops::RangeInclusive<i32> = 20..=60_000;

/// An interval as a person or the store has it, if it is one that this board keeps.
pub(crate) fn milliseconds(text: &str) -> Option<Duration> {
    let ms = hundredths(text)? / 100;
    INTERVALS.contains(&ms).then_some(Duration::from_millis(ms as u32))
}

pub(crate) fn obey(sensor: &mut Sensor<'_>, board: &mut dyn Board, client: &mut Client<'_>, letter: &Letter<'_>) {
    let mut bytes = [0; 192];
    let mut body = Text::new(&mut bytes);
    let mut encoding = Encoding::Text;
    let mut failure = None;
    match letter.verb {
        "INTERVAL" => {
            match letter.params.get("ms").map(milliseconds) {
                Some(Some(interval)) => sensor.set_interval(interval),
                Some(None) => failure = Some((Code::BadRequest, "INTERVAL wants ms=20 to ms=60000")),
                None => {}
            }
            body.number(sensor.interval.millis());
        }
        "LED" => {
            match letter.params.get("on") {
                Some("1") => board.set_led(true),
                Some("0") => board.set_led(false),
                Some(_) => failure = Some((Code::BadRequest, "LED wants on=0 or on=1")),
                None => {}
            }
            body.number(board.led().into());
        }
        "LIMIT" => {
            match letter.params.get("c").map(hundredths) {
                Some(Some(limit)) => sensor.limit = limit,
                Some(None) => failure = Some((Code::BadRequest, "LIMIT wants c= and degrees, such as c=34.5")),
                None => {}
            }
            body.hundredths(sensor.limit);
        }
        "IDENTIFY" => {
            encoding = Encoding::Json;
            body.add("{\"board\":\"").add(board.name()).add("\",\"id\":\"").add(sensor.id());
            body.add("\",\"software\":\"").add(concat!("sensor-app ", env!("CARGO_PKG_VERSION")));
            body.add("\",\"uptime_s\":").number(sensor.uptime);
            body.add(",\"readings\":").number(sensor.readings);
            body.add(",\"interval_ms\":").number(sensor.interval.millis());
            body.add(",\"limit_c\":").hundredths(sensor.limit);
            body.add(",\"led\":").number(board.led().into()).add("}");
        }
        _ => failure = Some((Code::UnknownVerb, "known are INTERVAL, LED, LIMIT and IDENTIFY")),
    }
    if letter.ask_id == 0 {
        return;
    }
    let mut answer = Answer { ask_id: letter.ask_id, ..Answer::default() };
    match failure {
        Some((code, text)) => (answer.code, answer.text) = (code, text),
        None => (answer.body, answer.encoding) = (body.finish(), encoding),
    }
    // Without room for it the asker hears from the node, when its patience ends.
    let _ = client.answer(&answer);
}

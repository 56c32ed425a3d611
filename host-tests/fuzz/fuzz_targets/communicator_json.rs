//! JSON of the Communicator, against a reader that shares no code with it: what the scanner takes is
//! JSON and says the same; what it does not take is no flat object of texts, numbers and words, or it
//! says why in a way that the other can see.
#![no_main]

use chappe_core::dialect::communicator::parse;
use chappe_core::dialect::communicator::repr::{Fault, Message};
use chappe_core::dialect::communicator::text::Text;
use chappe_fuzz::words;
use chappe_host_tests::json::{Rule, read};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const WORDS: &str = "{\"command\": \"service\": \"server\": \"sent-from-server\": \"sent-from-service\": \"parameters\":{ \"A\" \"bar\" \
    \"\\u00e9\" \"\\ud83d\\udc4b\" \"\\n\" \"\\\\n\" null true false -0 1.50 1e3 1e400 123456789012345678901 , } :";

fn text_of(text: Text<'_>) -> Vec<u8> {
    text.copied::<40_000>().map(|b| b.to_vec()).unwrap_or_default()
}

/// The five names as another reader has them; `None`: not an object of that shape.
fn names(value: &Value) -> Option<[String; 5]> {
    let object = value.as_object()?;
    let one = |key: &str| object.get(key).map_or(Some(String::new()), |v| v.as_str().map(str::to_owned));
    Some([one("sent-from-server")?, one("sent-from-service")?, one("server")?, one("service")?, one("command")?])
}

fuzz_target!(|data: &[u8]| {
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let data = words::text(data, &words);
    let line = data.trim_ascii();
    if line.first() != Some(&b'{') || line.contains(&b'\n') || line.contains(&0) {
        return;
    }
    let mut spare = [0; parse::ROOM_FOR_NAMES];
    let ours = parse::message(line, &mut spare);
    let other = read(line, Rule::Either);
    match (&ours, &other) {
        (Ok(m), Ok(other)) => same(m, other),
        // octets that are no text, and control characters in strings, are its own business
        (Ok(_), Err(_)) => {
            let odd = std::str::from_utf8(line).is_err() || line.iter().any(|b| *b < 32);
            // half a pair, numbers beyond a double
            let strange = line.windows(2).any(|w| w == b"\\u") || line.windows(1).any(|w| w == b"e" || w == b"E");
            assert!(odd || strange, "only the scanner takes {}", line.escape_ascii());
        }
        (Err(fault), Ok(other)) => {
            let flat = other.as_object().is_some_and(|o| {
                let good = |(key, v): (&String, &Value)| match v {
                    Value::String(_) => key != "parameters",
                    Value::Object(p) => key == "parameters" && p.values().all(|v| !v.is_object() && !v.is_array()),
                    _ => false,
                };
                !o.is_empty() && o.iter().all(good)
            });
            let beyond = matches!(
                fault,
                Fault::JsonNames | Fault::JsonTwice | Fault::TooManyParams | Fault::JsonUnexpected | Fault::JsonNotText
            );
            assert!(!flat || beyond || names(other).is_some_and(odd_names), "{fault:?}: {}", line.escape_ascii());
        }
        (Err(_), Err(_)) => {}
    }
});

/// Names that no message has, whoever writes them.
fn odd_names(names: [String; 5]) -> bool {
    names.iter().any(|n| n.is_empty() || !n.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
}

fn same(m: &Message<'_>, other: &Value) {
    let ours = [m.from_server, m.from_service, m.server, m.service, m.command];
    let theirs = names(other).expect("an object of texts");
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(*ours, theirs.as_bytes());
    }
    let empty = serde_json::Map::new();
    let theirs = other.get("parameters").map_or(&empty, |p| p.as_object().expect("an object"));
    // of one that is given twice the last counts, for both
    let mut keys: Vec<Vec<u8>> = m.params.iter().map(|(key, _)| text_of(key)).collect();
    keys.sort();
    keys.dedup();
    let mut wanted: Vec<Vec<u8>> = theirs.keys().map(|key| key.clone().into_bytes()).collect();
    wanted.sort();
    assert_eq!(keys, wanted);
}

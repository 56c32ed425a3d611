//! JSON of the dialect `msgq`, against a reader that shares no code with it (`src/json.rs` of the
//! tests): both take the same texts and read the same values; what is written anew means the same,
//! has no `\u`, and is written the same again.
#![no_main]

use chappe_core::dialect::msgq::json::{self, Kind, MAX_DEPTH, NotJson, Value as Scanned, Writer};
use chappe_core::dialect::msgq::repr::Header;
use chappe_host_tests::json::{Rule, read};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

/// What the scanner says that a value is, all of it, by its own iterators.
fn value(v: &Scanned<'_>) -> Value {
    match v.kind {
        Kind::Object => {
            let members = v.members().map(|(k, v)| (k.chars().collect::<String>(), value(&v)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        Kind::Array => Value::Array(v.elements().map(|v| value(&v)).collect()),
        Kind::String => Value::String(v.string().expect("it is one").chars().collect()),
        Kind::Number => read(v.text.as_bytes(), Rule::Either).expect("a number is one for both"),
        Kind::True => Value::Bool(true),
        Kind::False => Value::Bool(false),
        Kind::Null => Value::Null,
    }
}

/// How deep it is, for texts that the other reader takes.
fn depth(v: &Value) -> usize {
    match v {
        Value::Object(m) => 1 + m.values().map(depth).max().unwrap_or(0),
        Value::Array(a) => 1 + a.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn written(room: usize, write: impl Fn(&mut Writer<'_>)) -> Option<Vec<u8>> {
    let mut out = vec![0xa5; room + 8];
    let mut w = Writer::new(&mut out[..room]);
    write(&mut w);
    let n = w.finish();
    assert!(out[room..].iter().all(|&b| b == 0xa5), "it writes beyond its room");
    n.map(|n| {
        assert!(out[n..].iter().all(|&b| b == 0xa5), "it writes beyond its end");
        out.truncate(n);
        out
    })
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let other = read(data, Rule::Either);
    let scanned = json::parse(text);
    match (&scanned, &other) {
        (Ok(v), Ok(o)) => assert_eq!(value(v), *o, "{text:?}"),
        (Err(NotJson::Deep), Ok(o)) => assert!(depth(o) > MAX_DEPTH, "{text:?}"),
        // whatever comes first of too deep and wrong
        (Err(_), Err(_)) => {}
        (Ok(_), Err(e)) => panic!("only the scanner takes {text:?}: {e}"),
        (Err(e), Ok(_)) => panic!("only the other takes {text:?}: {e:?}"),
    }
    // any text as a string, and any octets in base64
    let string = written(2 * data.len() + 2, |w| w.string(text)).expect("twice as long is enough");
    assert_eq!(read(&string, Rule::Both), Ok(Value::String(text.into())));
    let base64 = written(data.len() * 2 + 8, |w| w.base64_string(data)).expect("room enough");
    assert_eq!(base64.len(), 2 + data.len().div_ceil(3) * 4);

    let header = Header::read(text);
    assert_eq!(header.is_ok(), scanned.as_ref().is_ok_and(|v| v.kind == Kind::Object), "{text:?}");
    let (Ok(_), Ok(other)) = (scanned, other) else { return };
    if let Ok(h) = header {
        for (key, found) in [("type", h.kind), ("to", h.to), ("seq", h.seq), ("want_answer", h.want_answer)] {
            assert_eq!(found.map(|v| value(&v)).as_ref(), other.get(key), "{key} of {text:?}");
        }
    }
    let again = written(data.len(), |w| json::rewrite(text, w)).expect("never longer");
    let raw = String::from_utf8(again.clone()).expect("text stays text");
    assert_eq!(read(&again, Rule::Either).as_ref(), Ok(&other), "{text:?} became {raw:?}");
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        assert!(c != '\\' || chars.next() != Some('u'), "{raw:?}");
    }
    assert_eq!(written(again.len(), |w| json::rewrite(&raw, w)).as_ref(), Some(&again), "written the same again");
    assert_eq!(written(again.len() - 1, |w| json::rewrite(text, w)), None, "one octet short");
});

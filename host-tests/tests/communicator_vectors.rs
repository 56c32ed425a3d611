//! The rows of `wire/communicator.md` section 1.11 as a server meets them: what is a message arrives as the same
//! message, what is none is told. The files are those that the core's own tests read (`vectors/README.md`); here they
//! are read without its code.

use chappe_host_tests::communicator::client::TAG;
use chappe_host_tests::communicator::each;
use chappe_host_tests::communicator::message::Message;
use chappe_host_tests::vectors::folder;

/// A block of a file: its name, what comes in, keys and octets of what it is.
struct Row {
    name: String,
    line: Vec<u8>,
    is: Vec<(String, Vec<u8>)>,
}

fn octets(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut left = text.as_bytes();
    while let [first, rest @ ..] = left {
        left = match (first, rest) {
            (b'\\', [b'\\', rest @ ..]) => {
                out.push(b'\\');
                rest
            }
            (b'\\', [b'x', high, low, rest @ ..]) => {
                let digits = [*high, *low];
                out.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                rest
            }
            _ => {
                out.push(*first);
                rest
            }
        };
    }
    out
}

fn rows(file: &str) -> Vec<Row> {
    let text = std::fs::read_to_string(folder().join("communicator").join(file)).unwrap();
    let mut all: Vec<Row> = Vec::new();
    for line in text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let (key, rest) = line.split_once(' ').unwrap_or((line, ""));
        match (key, all.last_mut()) {
            ("==", _) => all.push(Row { name: rest.into(), line: Vec::new(), is: Vec::new() }),
            ("in", Some(row)) => row.line = octets(rest),
            (key, Some(row)) => row.is.push((key.into(), octets(rest))),
            _ => panic!("{file}: {line}"),
        }
    }
    all
}

impl Row {
    fn says(&self, key: &str) -> String {
        let found = self.is.iter().find(|(k, _)| k == key);
        found.map(|(_, v)| String::from_utf8(v.clone()).unwrap()).unwrap_or_default()
    }
}

#[test]
fn the_tests_read_them_as_the_page_has_them() {
    let all: Vec<Row> = ["valid.txt", "json.txt"]
        .into_iter()
        .flat_map(rows)
        .filter(|r| !r.is.iter().any(|(k, _)| k == "why"))
        .collect();
    assert!(all.len() >= 47 + 7, "{}", all.len());
    for row in all {
        let m = Message::read(&row.line).unwrap_or_else(|e| panic!("{}: {e}", row.name));
        let of =
            [("from-server", &m.from.0), ("from-service", &m.from.1), ("server", &m.server), ("service", &m.service)];
        for (key, value) in of {
            assert_eq!(*value, row.says(key), "{} {key}", row.name);
        }
        assert_eq!(m.command, row.says("command"), "{}", row.name);
        let params = row.is.iter().filter(|(k, _)| k == "param");
        for (_, pair) in params {
            let at = pair.iter().position(|b| *b == b' ').unwrap_or(pair.len());
            let key = String::from_utf8(pair[..at].to_vec()).unwrap();
            assert_eq!(m.params[&key], pair.get(at + 1..).unwrap_or_default(), "{} {key}", row.name);
        }
    }
    for row in ["invalid.txt", "json.txt"].into_iter().flat_map(rows).filter(|r| r.is.iter().any(|(k, _)| k == "why")) {
        assert!(Message::read(&row.line).is_err(), "{}", row.name);
    }
}

#[test]
fn table_a_and_d_what_is_a_message_arrives_as_the_same() {
    each(|h| {
        let foo = h.service("foo");
        let dest = h.service("watchdog");
        for row in ["valid.txt", "json.txt"].into_iter().flat_map(rows) {
            let Ok(m) = Message::read(&row.line) else { continue };
            // those to nobody in particular go to a service
            let said = row.line.trim_ascii_start();
            let is_plain = m.service.is_empty() && m.server.is_empty() && m.from == Default::default();
            if !is_plain || said[0] == b'{' {
                continue;
            }
            let trimmed: Vec<u8> = said.iter().copied().filter(|b| *b != b'\n').collect();
            h.tell_bytes(foo, &[b"watchdog/", &trimmed[..], b"\n"].concat());
            let legal = chappe_host_tests::communicator::message::is_command(&m.command);
            if !legal {
                // it may be refused, if that is said
                let said = h.told(foo).len();
                assert_eq!(said + h.told(dest).len(), 1, "{}", row.name);
                continue;
            }
            let heard = h.heard(dest);
            assert_eq!(heard.len(), 1, "{}: {heard:?}", row.name);
            assert_eq!((heard[0].from.0.as_str(), heard[0].from.1.as_str()), ("hostA", "foo"), "{}", row.name);
            assert_eq!((&heard[0].command, &heard[0].params), (&m.command, &m.params), "{}", row.name);
            assert_eq!(h.told(foo), [""; 0], "{}", row.name);
        }
        h.fence(foo);
    });
}

#[test]
fn every_row_of_all_tables_as_it_is() {
    each(|h| {
        let foo = h.service("foo");
        let dest = h.service("watchdog");
        let visitor = h.visitor();
        for row in ["valid.txt", "invalid.txt", "json.txt"].into_iter().flat_map(rows) {
            // one that was sent to stop is no test of lines
            for c in [foo, visitor] {
                h.clients()[dest].any = true;
                let mut line = row.line.clone();
                line.retain(|b| *b != b'\n');
                h.tell_bytes(c, &[&line[..], b"\n"].concat());
                let read = Message::read(&line);
                let told = h.told(c);
                if read.is_err() {
                    let blank = line.iter().all(u8::is_ascii_whitespace);
                    let want = if blank { vec![] } else { vec![format!("{TAG}INVALID message=*")] };
                    assert_eq!(told, want, "{}", row.name);
                } else {
                    assert!(told.len() <= 1, "{}: {told:?}", row.name);
                }
                h.told(dest);
                assert!(h.is_open(c), "{}", row.name);
            }
            h.stop_asked();
        }
        h.fence(foo);
        h.fence(visitor);
    });
}

//! The protocol of the Communicator, as its library writes it.
//!
//! Written from `wire/communicator.md` alone, without chappe-core, so that the yardstick also checks
//! the daemon's bytes. [`One`]: a message to one service. [`All`]: a broadcast to whoever has
//! announced its command. `ABSOLUTELY`, the answer to `ALIVE`, says that all before it is done.

use super::{Kind, Parse, Proto, find, text};

pub struct One;
pub struct All;

fn register(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("REGISTER service={name};version=1\n").as_bytes());
}

fn announce(commands: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(
        format!("COMMANDS list=ABSOLUTELY,HELP,QUITTING,READY,STOP,UNKNOWN{commands}\nALIVE\n").as_bytes(),
    );
}

fn send(to: &str, payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(to.as_bytes());
    out.extend_from_slice(b" text=");
    out.extend_from_slice(payload);
    out.push(b'\n');
}

fn frame(inp: &[u8]) -> Parse {
    let Some(nl) = find(inp, b'\n') else { return Parse::Need };
    let line = &inp[..nl];
    // behind the source, and without its destination
    let said = find(line, b' ').map_or(&b""[..], |at| &line[at + 1..]);
    let head = &said[..find(said, b' ').unwrap_or(said.len())];
    let command = find(head, b'/').map_or(head, |at| &head[at + 1..]);
    match command {
        // the same again is the same message again
        b"NEWS" => Parse::Frame { len: nl + 1, fixed: (nl + 1).min(128), kind: Kind::Delivery },
        b"ABSOLUTELY" => Parse::Frame { len: nl + 1, fixed: 0, kind: Kind::Ready },
        b"HELP" | b"READY" => Parse::Frame { len: nl + 1, fixed: 0, kind: Kind::Other },
        _ => Parse::Bad(text(line)),
    }
}

impl Proto for One {
    fn hello(&self, id: u32, out: &mut Vec<u8>) {
        register(&format!("bench{id}"), out);
        announce("", out);
    }

    fn subscribe(&self, topic: &str, out: &mut Vec<u8>) {
        register(topic, out);
        announce("", out);
    }

    fn publish(&self, topic: &str, payload: &[u8], out: &mut Vec<u8>) {
        send(&format!("{topic}/NEWS"), payload, out);
    }

    fn frame(&self, inp: &[u8]) -> Parse {
        frame(inp)
    }
}

impl Proto for All {
    fn hello(&self, id: u32, out: &mut Vec<u8>) {
        One.hello(id, out);
    }

    fn subscribe(&self, _: &str, out: &mut Vec<u8>) {
        announce(",NEWS", out);
    }

    fn publish(&self, _: &str, payload: &[u8], out: &mut Vec<u8>) {
        send("./NEWS", payload, out);
    }

    fn frame(&self, inp: &[u8]) -> Parse {
        frame(inp)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Count;
    use super::*;

    #[test]
    fn what_is_heard() {
        let mut c = Count::new();
        let heard = b"<h:communicatord HELP\n<h:communicatord READY my_address=1.2.3.4:5\n\
            <h:communicatord h:bench1/ABSOLUTELY reply_timestamp=1.000000000\n\
            <h:bench2 fan/NEWS text=x\n<h:bench2 fan/NEWS text=x\n<h:bench2 ./NEWS text=x\n<h:";
        assert_eq!(One.count(heard, &mut c), Ok(heard.len() - 3));
        assert_eq!([Kind::Delivery, Kind::Ready, Kind::Other].map(|k| c.of(k)), [3, 1, 2]);
        assert!(All.count(b"<h:communicatord INVALID message=no\n", &mut c).is_err());
    }

    #[test]
    fn lines_are_those_of_the_page() {
        let mut out = Vec::new();
        One.publish("fan", b"1", &mut out);
        All.publish("fan", b"1", &mut out);
        register("a", &mut out);
        assert_eq!(text(&out), "fan/NEWS text=1\n./NEWS text=1\nREGISTER service=a;version=1\n");
    }
}

//! The client of MSGQ against a node that is only a script: frames byte for byte as in
//! `wire/msgq.md`, in the spelling of either library, in pieces, broken off, and things that no
//! good node does.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use chappe_linux::msgq::{ANY, CallError, Error, Message, NOTICES, Options, Presence, Session, body};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_millis(1500);
const A: &str = "5f3759df_1@host";
const NAMED: &[u8] = b"\0\0\0\x32\0\x14{\"type\": \"getlname\"}{\"lname\": \"5f3759df_1@host\"}";

/// One connection, seen from the node.
struct Peer {
    stream: UnixStream,
    /// Octets written at once.
    step: usize,
}

impl Peer {
    /// The next frame, its lengths included; `None` at the end.
    fn frame(&mut self) -> Option<Vec<u8>> {
        let mut frame = vec![0; 4];
        self.stream.read_exact(&mut frame).ok()?;
        let total = u32::from_be_bytes(frame[..4].try_into().unwrap()) as usize;
        frame.resize(4 + total, 0);
        self.stream.read_exact(&mut frame[4..]).ok()?;
        Some(frame)
    }

    /// Exactly this comes next.
    fn expect(&mut self, frame: &[u8]) {
        let came = self.frame().expect("a frame");
        assert_eq!(String::from_utf8_lossy(&came), String::from_utf8_lossy(frame));
    }

    /// The header and body of what comes next.
    fn hear(&mut self) -> Option<(Value, Vec<u8>)> {
        let frame = self.frame()?;
        let h = u16::from_be_bytes([frame[4], frame[5]]) as usize;
        Some((serde_json::from_slice(&frame[6..6 + h]).unwrap(), frame[6 + h..].to_vec()))
    }

    fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(self.step) {
            // the client may have left already
            let _ = self.stream.write_all(piece);
        }
    }

    fn say(&mut self, header: &Value, body: &str) {
        self.write(&frame(&header.to_string(), body.as_bytes()));
    }

    /// To the client, by its name.
    fn reply(&mut self, from: &str, number: &Value, body: &str) {
        self.say(
            &json!({"type": "send", "from": from, "to": A, "group": "g", "instance": "*", "seq": 9, "reply": number}),
            body,
        );
    }

    /// A message to group `g`.
    fn tell(&mut self, seq: u64, want_answer: bool, body: &str) {
        self.say(
            &json!({"type": "send", "from": "b", "to": "*", "group": "g", "instance": "*", "seq": seq,
                    "want_answer": want_answer}),
            body,
        );
    }

    fn notice(&mut self, body: &str) {
        self.say(
            &json!({"type": "send", "from": "node", "to": "*", "group": NOTICES, "instance": "*", "seq": 1,
                    "want_answer": false}),
            body,
        );
    }

    /// V1.
    fn greet(&mut self) {
        self.expect(b"\0\0\0\x16\0\x14{\"type\": \"getlname\"}");
        self.write(NAMED);
    }

    /// Answers pings until the end; all else goes to the closure.
    fn serve(&mut self, mut with: impl FnMut(&mut Peer, Value, Vec<u8>)) {
        while let Some((header, body)) = self.hear() {
            if header["type"] == "ping" {
                self.write(&frame("{\"type\": \"pong\"}", &body));
            } else {
                with(self, header, body);
            }
        }
    }
}

fn frame(header: &str, body: &[u8]) -> Vec<u8> {
    let mut out = (2 + header.len() as u32 + body.len() as u32).to_be_bytes().to_vec();
    out.extend_from_slice(&(header.len() as u16).to_be_bytes());
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(body);
    out
}

struct Node {
    path: PathBuf,
    _dir: tempfile::TempDir,
    thread: std::thread::JoinHandle<()>,
}

/// A node that deals with one connection.
fn node(with: impl FnOnce(Peer) + Send + 'static) -> Node {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("msgq_socket");
    let listener = UnixListener::bind(&path).unwrap();
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        with(Peer { stream, step: usize::MAX });
    });
    Node { path, _dir: dir, thread }
}

impl Node {
    fn connect(&self) -> Session {
        self.connect_with(Options { timeout: SOON, ..Options::default() })
    }

    fn connect_with(&self, options: Options) -> Session {
        let session = Session::connect_to(&self.path, options).unwrap();
        assert_eq!(session.lname(), A);
        session
    }

    /// What the node found wrong is found wrong here.
    fn end(self) {
        self.thread.join().unwrap();
    }
}

fn next(bus: &mut Session) -> Message {
    bus.receive(Some(SOON)).unwrap().expect("a message")
}

#[test]
fn a_session_is_named_and_pinged_octet_by_octet() {
    let node = node(|mut peer| {
        peer.step = 1;
        peer.greet();
        // V2: asked once more, and answered as the C++ library spells it
        peer.expect(b"\0\0\0\x16\0\x14{\"type\": \"getlname\"}");
        peer.write(&frame("{ \"type\": \"getlname\" }", b"{ \"lname\": \"5f3759df_1@host\" }"));
        // V5: whatever is in the ping comes back
        peer.serve(|_, header, _| panic!("{header}"));
    });
    let mut bus = node.connect();
    assert_eq!(bus.getlname(SOON).unwrap(), A);
    for _ in 0..3 {
        bus.ping(SOON).unwrap();
    }
    drop(bus);
    node.end();
}

#[test]
fn what_a_session_says_is_what_the_python_library_says() {
    let node = node(|mut peer| {
        peer.greet();
        // V6, V7, V8, V26; the numbers are our own
        peer.expect(b"\0\0\0\x39\0\x37{\"type\": \"subscribe\", \"group\": \"news\", \"instance\": \"*\"}");
        peer.expect(b"\0\0\0\x9f\0\x78{\"type\": \"send\", \"from\": \"5f3759df_1@host\", \"to\": \"*\", \"group\": \"news\", \"instance\": \"*\", \"seq\": 1, \"want_answer\": false}{\"notification\": [\"rain\", {\"mm\": 3}]}");
        peer.write(&frame("{ \"from\": \"5f3759df_2@host\", \"group\": \"news\", \"instance\": \"*\", \"seq\": 0, \"to\": \"*\", \"type\": \"send\", \"want_answer\": true }", b"{ \"command\": [ \"add\", [ 1, 2 ] ] }"));
        peer.expect(&frame("{\"type\": \"send\", \"from\": \"5f3759df_1@host\", \"to\": \"5f3759df_2@host\", \"group\": \"news\", \"instance\": \"*\", \"seq\": 2, \"reply\": 0}", b"{\"result\": [0, 3]}"));
        peer.expect(&frame("{\"type\": \"send\", \"from\": \"5f3759df_1@host\", \"to\": \"x\", \"group\": \"é\u{1}\\n\", \"instance\": \"i\", \"seq\": 3, \"want_answer\": true}", b"\xff"));
        peer.expect(b"\0\0\0\x3b\0\x39{\"type\": \"unsubscribe\", \"group\": \"news\", \"instance\": \"*\"}");
        assert_eq!(peer.frame(), None);
    });
    let mut bus = node.connect();
    bus.subscribe("news", ANY).unwrap();
    assert_eq!(bus.send("news", ANY, ANY, &body::notification("rain", &json!({"mm": 3})), false).unwrap(), 1);
    let asked = next(&mut bus);
    assert_eq!((asked.command(), asked.want_answer), (Some(("add".into(), json!([1, 2]))), true));
    bus.reply(&asked, &body::result(&json!(3))).unwrap();
    bus.send("é\u{1}\n", "i", "x", b"\xff", true).unwrap();
    bus.unsubscribe("news", ANY).unwrap();
    assert!(matches!(bus.reply(&Message { seq: Value::Null, ..asked }, b""), Err(Error::NoReturn)));
    drop(bus);
    node.end();
}

#[test]
fn answers_find_their_questions_whoever_gives_them() {
    let node = node(|mut peer| {
        peer.greet();
        let (one, _) = peer.hear().unwrap();
        let (two, body) = peer.hear().unwrap();
        assert_eq!((two["want_answer"].clone(), body), (json!(true), b"{\"command\": [\"two\"]}".to_vec()));
        // V9: in reverse order, something else between them, and V10's spelling
        peer.reply("somebody", &two["seq"], "{ \"result\": [ 0, 2 ] }");
        peer.tell(5, false, "{}");
        peer.reply("msgq", &one["seq"], "{\"result\": [1, \"no\"]}");
        peer.reply("twice", &one["seq"], "{\"result\": [0]}");
        peer.reply("nobody asked", &json!(77), "{\"result\": [0]}");
        peer.serve(|peer, header, _| peer.reply("b", &header["seq"], "{\"result\": [0]}"));
    });
    let mut bus = node.connect();
    let one = bus.ask("g", ANY, ANY, &body::command("one", &Value::Null)).unwrap();
    let two = bus.ask("g", ANY, ANY, &body::command("two", &Value::Null)).unwrap();
    assert!(
        matches!(body::value(&bus.answer(one, SOON).unwrap().body), Err(CallError::Failed { code: 1, text }) if text == "no")
    );
    assert_eq!(body::value(&bus.answer(two, SOON).unwrap().body).unwrap(), json!(2));
    assert_eq!(bus.call("g", ANY, ANY, "three", &Value::Null, SOON).unwrap(), Value::Null);
    assert_eq!(next(&mut bus).seq, json!(5));
    assert_eq!(next(&mut bus).reply, Some(json!(77)), "who asked for it is not known here: it is handed out");
    assert_eq!(bus.missed().late, 1, "the second answer to one question");
    assert!(matches!(bus.answer(one, Duration::ZERO), Err(CallError::TimedOut)), "it is over");
    drop(bus);
    node.end();
}

#[test]
fn a_call_says_how_it_ended() {
    let node = node(|mut peer| {
        peer.greet();
        peer.serve(|peer, header, asked| {
            let body = match String::from_utf8(asked).unwrap() {
                // V11, V38
                b if b.contains("nobody") => "{\"result\": [-1, \"No such recipient\"]}",
                b if b.contains("left") => "{\"result\": [-2, \"the recipient left before answering\"]}",
                b if b.contains("unknown") => "{\"result\": [1, \"unknown command: unknown\"]}",
                b if b.contains("odd") => "thanks",
                b if b.contains("late") => return peer.tell(1, false, ""),
                _ => "{\"result\": [0, {\"t\": \"a\u{1}\\u00e9\", \"n\": NaN}]}",
            };
            peer.reply("b", &header["seq"], body);
        });
    });
    let mut bus = node.connect();
    let mut call = |what: &str| bus.call("g", ANY, ANY, what, &json!({"x": 1}), Duration::from_millis(300));
    assert_eq!(call("fine").unwrap(), json!({"t": "a\u{1}é", "n": null}));
    assert!(matches!(call("nobody"), Err(CallError::Missing)));
    assert!(matches!(call("left"), Err(CallError::Failed { code: -2, .. })));
    assert!(matches!(call("unknown"), Err(CallError::Failed { code: 1, text }) if text.ends_with("unknown")));
    assert!(matches!(call("odd"), Err(CallError::NoResult(b)) if b == b"thanks"));
    let began = Instant::now();
    assert!(matches!(call("late"), Err(CallError::TimedOut)));
    assert!((290..1500).contains(&began.elapsed().as_millis()));
    assert_eq!(next(&mut bus).seq, json!(1));
    drop(bus);
    node.end();
}

#[test]
fn bodies_that_are_no_json_are_bytes() {
    let node = node(|mut peer| {
        peer.greet();
        // V23, V24
        peer.write(&frame("{\"type\": \"send\", \"from\": \"b\", \"to\": \"5f3759df_1@host\", \"group\": \"news\", \"instance\": \"*\", \"seq\": 20}", b"\xff\0no json"));
        peer.write(&frame("{\"type\": \"send\", \"group\": \"\\u00e9\", \"seq\": 21}", b""));
        peer.serve(|_, _, _| {});
    });
    let mut bus = node.connect();
    let m = next(&mut bus);
    assert_eq!((m.body.as_slice(), m.json(), m.command()), (&b"\xff\0no json"[..], None, None));
    let m = next(&mut bus);
    assert_eq!((m.group.as_str(), m.from.as_str(), m.body.len()), ("é", "", 0));
    assert_eq!(bus.receive(Some(Duration::ZERO)).unwrap(), None);
    drop(bus);
    node.end();
}

#[test]
fn what_waits_has_a_limit_and_who_asks_is_told() {
    let node = node(|mut peer| {
        peer.greet();
        let (ping, body) = peer.hear().unwrap();
        assert_eq!(ping["type"], "ping");
        for seq in 0..5 {
            peer.tell(seq, seq == 4, "{}");
        }
        peer.write(&frame("{\"type\": \"pong\"}", &body));
        let mut refused = Vec::new();
        peer.serve(|_, header, body| refused.push((header, body)));
        let (header, body) = refused.pop().expect("the one that asked is told");
        assert_eq!((header["reply"].clone(), header["to"].clone()), (json!(4), json!("b")));
        assert!(String::from_utf8(body).unwrap().starts_with("{\"result\": [1, \"too many"));
        assert!(refused.is_empty(), "{refused:?}");
    });
    let mut bus = node.connect_with(Options { timeout: SOON, queue: 3, ..Options::default() });
    bus.ping(SOON).unwrap();
    bus.ping(SOON).unwrap();
    for seq in 0..3 {
        assert_eq!(next(&mut bus).seq, json!(seq));
    }
    assert_eq!(bus.missed().messages, 2);
    drop(bus);
    node.end();
}

#[test]
fn the_end_of_the_stream_is_the_end_of_the_session() {
    for half in [false, true] {
        let node = node(move |mut peer| {
            peer.greet();
            peer.hear().unwrap();
            peer.tell(7, false, "{}");
            if half {
                peer.write(&frame("{\"type\": \"pong\"}", b"")[..10]);
            }
        });
        let mut bus = node.connect();
        let error = bus.call("g", ANY, ANY, "x", &Value::Null, SOON).unwrap_err();
        let CallError::Lost(Error::Over { why }) = error else { panic!("{error}") };
        assert_eq!(why.contains("within a frame"), half, "{why}");
        assert_eq!(next(&mut bus).seq, json!(7), "what came before is not lost");
        assert!(matches!(bus.receive(None), Err(Error::Over { .. })));
        assert!(matches!(bus.subscribe("g", ANY), Err(Error::Over { .. })));
        assert!(matches!(bus.members(None, SOON), Err(CallError::Lost(_))));
        node.end();
    }
}

#[test]
fn an_answer_right_before_the_end_counts() {
    let node = node(|mut peer| {
        peer.greet();
        let (header, _) = peer.hear().unwrap();
        peer.reply("b", &header["seq"], "{\"result\": [0, 1]}");
    });
    let mut bus = node.connect();
    let number = bus.ask("g", ANY, ANY, b"{}").unwrap();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(body::value(&bus.answer(number, SOON).unwrap().body).unwrap(), json!(1));
    node.end();
}

#[test]
fn broken_frames_end_the_session_and_strange_headers_do_not() {
    // V30 to V33, V50
    for bytes in
        [&b"\0\0\0\0\0\0"[..], b"\0\0\0\x01\0\0", b"\0\0\0\x02\0\0", b"\0\0\0\x04\0\x03{}", b"\xff\xff\xff\xff\0\x14"]
    {
        let node = node(|mut peer| {
            peer.greet();
            peer.write(bytes);
            assert_eq!(peer.frame(), None);
        });
        let mut bus = node.connect();
        let error = bus.receive(Some(SOON)).unwrap_err();
        assert!(matches!(&error, Error::Over { why } if why.starts_with("it sent")), "{error}");
        drop(bus);
        node.end();
    }
    let node = node(|mut peer| {
        peer.greet();
        // V45 to V47 and a type that only clients send: passed on by a careless node
        for header in ["{bad", "[]", "{}", "{\"type\": \"ping\"}", "{\"type\": \"send\", \"group\": \"\\ud83d\"}"] {
            peer.write(&frame(header, b""));
        }
        peer.write(&frame(&format!("{{\"type\": \"send\", \"x\": {}1{}}}", "[".repeat(500), "]".repeat(500)), b""));
        peer.tell(1, false, "{}");
        assert_eq!(peer.frame(), None);
    });
    let mut bus = node.connect();
    assert_eq!(next(&mut bus).seq, json!(1));
    assert_eq!(bus.missed().unknown, 6);
    drop(bus);
    node.end();
}

#[test]
fn a_header_that_is_too_long_is_not_sent() {
    let node = node(|mut peer| {
        peer.greet();
        peer.serve(|_, header, _| panic!("{header}"));
    });
    let mut bus = node.connect();
    let long = "x".repeat(66_000);
    assert!(matches!(bus.subscribe(&long, ANY), Err(Error::HeaderTooLong(n)) if n > 66_000));
    assert!(matches!(bus.ask("g", ANY, &long, b""), Err(Error::HeaderTooLong(_))));
    bus.ping(SOON).unwrap();
    drop(bus);
    node.end();
}

#[test]
fn what_is_no_node_is_said_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let error = Session::connect_to(dir.path().join("none"), Options::default()).unwrap_err();
    assert!(matches!(error, Error::Connect { .. }) && error.to_string().contains("none"), "{error}");
    let options = || Options { timeout: Duration::from_millis(300), ..Options::default() };
    for answer in [&b""[..], b"HTTP/1.1 400 Bad Request\r\n", b"\0\0\0\x04\0\x02{}"] {
        let node = node(|mut peer| {
            peer.hear().unwrap();
            peer.write(answer);
            peer.frame();
        });
        let began = Instant::now();
        let error = Session::connect_to(&node.path, options()).unwrap_err();
        assert!(matches!(&error, Error::NoName { .. }), "{error}");
        assert_eq!(began.elapsed() >= options().timeout, answer.is_empty(), "{error}");
        node.end();
    }
    let node = node(drop);
    assert!(matches!(Session::connect_to(&node.path, options()), Err(Error::Closed { .. })));
    node.end();
}

#[test]
fn two_that_only_write_do_not_wait_for_each_other() {
    let node = node(|mut peer| {
        peer.greet();
        // more than the socket holds, before a single octet is read
        let body = format!("\"{}\"", "y".repeat(100_000));
        for seq in 0..40 {
            peer.tell(seq, false, &body);
        }
        assert_eq!(peer.hear().unwrap().1.len(), 8 << 20);
        peer.serve(|_, _, _| {});
    });
    let mut bus = node.connect_with(Options { timeout: Duration::from_secs(10), ..Options::default() });
    bus.send("g", ANY, ANY, &vec![b'x'; 8 << 20], false).unwrap();
    bus.ping(Duration::from_secs(10)).unwrap();
    for seq in 0..40 {
        assert_eq!(next(&mut bus).seq, json!(seq));
    }
    drop(bus);
    node.end();
}

#[test]
fn a_node_that_takes_nothing_is_not_waited_for_for_ever() {
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let node = node(move |mut peer| {
        peer.greet();
        let _ = wait.recv();
    });
    let mut bus = node.connect_with(Options { timeout: Duration::from_millis(300), ..Options::default() });
    let error = bus.send("g", ANY, ANY, &vec![b'x'; 8 << 20], false).unwrap_err();
    assert!(matches!(&error, Error::Over { why } if why.contains("half a frame")), "{error}");
    drop(done);
    node.end();
}

#[test]
fn who_comes_and_goes_is_told() {
    let node = node(|mut peer| {
        peer.greet();
        let (header, _) = peer.hear().unwrap();
        assert_eq!((&header["type"], &header["group"]), (&json!("subscribe"), &json!(NOTICES)));
        // V40, V41
        peer.notice("{\"notification\": [\"subscribed\", {\"client\": \"5f3759df_1@host\", \"group\": \"notifications/cc_members\"}]}");
        peer.notice("{\"notification\": [\"connected\", {\"client\": \"5f3759df_4@host\"}]}");
        peer.notice(
            "{ \"notification\": [ \"unsubscribed\", { \"client\": \"5f3759df_4@host\", \"group\": \"G\" } ] }",
        );
        peer.notice("{\"notification\": [\"disconnected\", {\"client\": \"5f3759df_4@host\"}]}");
        peer.notice("{\"notification\": [\"renamed\", {\"client\": \"x\"}]}");
        peer.serve(|_, _, _| {});
    });
    let mut bus = node.connect();
    bus.watch(SOON).unwrap();
    let client = || "5f3759df_4@host".to_owned();
    for want in [
        Some(Presence::Subscribed { client: A.into(), group: NOTICES.into() }),
        Some(Presence::Connected { client: client() }),
        Some(Presence::Unsubscribed { client: client(), group: "G".into() }),
        Some(Presence::Disconnected { client: client() }),
        None,
    ] {
        assert_eq!(Presence::of(&next(&mut bus)), want);
    }
    drop(bus);
    node.end();
}

#[test]
fn a_call_ends_when_whoever_was_asked_is_gone() {
    let node = node(|mut peer| {
        peer.greet();
        let mut lists = 0;
        peer.serve(|peer, header, body| {
            let body = String::from_utf8(body).unwrap();
            if header["group"] == "Msgq" {
                assert_eq!(body, "{\"command\": [\"members\", {\"group\": \"g\"}]}");
                // somebody else is still there at first; then only the asker itself
                lists += 1;
                let left = if lists == 1 { "\"other\", " } else { "" };
                peer.reply("node", &header["seq"], &format!("{{\"result\": [0, [{left}\"{A}\"]]}}"));
                if lists == 1 {
                    peer.notice("{\"notification\": [\"unsubscribed\", {\"client\": \"other\", \"group\": \"g\"}]}");
                }
            } else if header["to"] == "z" {
                peer.notice("{\"notification\": [\"disconnected\", {\"client\": \"y\"}]}");
                peer.notice("{\"notification\": [\"disconnected\", {\"client\": \"z\"}]}");
            } else if header["type"] == "send" {
                peer.notice("{\"notification\": [\"unsubscribed\", {\"client\": \"z\", \"group\": \"g\"}]}");
            }
        });
        assert_eq!(lists, 2);
    });
    let mut bus = node.connect();
    bus.watch(SOON).unwrap();
    let long = Duration::from_secs(15);
    let began = Instant::now();
    assert!(matches!(bus.call("g", ANY, "z", "x", &Value::Null, long), Err(CallError::Left)));
    assert!(matches!(bus.call("g", ANY, ANY, "x", &Value::Null, long), Err(CallError::Left)));
    assert!(began.elapsed() < long);
    drop(bus);
    node.end();
}

#[test]
fn each_member_is_asked_at_once_and_reported() {
    let node = node(|mut peer| {
        peer.greet();
        let (header, body) = peer.hear().unwrap();
        // V38
        assert_eq!(
            (header["group"].clone(), header["to"].clone(), header["want_answer"].clone()),
            (json!("Msgq"), json!("*"), json!(true))
        );
        assert_eq!(body, b"{\"command\": [\"members\", {\"group\": \"g\"}]}");
        peer.reply(
            "node",
            &header["seq"],
            &format!("{{\"result\": [0, [\"b\", \"gone\", \"{A}\", \"mute\", \"c\"]]}}"),
        );
        let asked: Vec<_> = (0..4).map(|_| peer.hear().unwrap()).collect();
        for (header, body) in &asked {
            assert_eq!(
                (header["group"].clone(), body.as_slice()),
                (json!("g"), &b"{\"command\": [\"x\", {\"k\": 1}]}"[..])
            );
        }
        for (header, _) in asked.iter().rev() {
            match header["to"].as_str().unwrap() {
                "gone" => peer.reply("msgq", &header["seq"], "{\"result\": [-1, \"No such recipient\"]}"),
                "mute" => {}
                to => peer.reply(to, &header["seq"], &format!("{{\"result\": [0, \"{to}\"]}}")),
            }
        }
        assert_eq!(peer.frame(), None);
    });
    let mut bus = node.connect();
    let answers = bus.call_each("g", "x", &json!({"k": 1}), Duration::from_millis(400)).unwrap();
    let said: Vec<_> = answers
        .iter()
        .map(|(m, a)| format!("{m}: {}", a.as_ref().map_or_else(ToString::to_string, Value::to_string)))
        .collect();
    assert_eq!(said, ["b: \"b\"", "gone: no such recipient", "mute: no answer in time", "c: \"c\""]);
    drop(bus);
    node.end();
}

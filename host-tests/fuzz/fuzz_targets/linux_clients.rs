//! The four clients of Linux programs against a hostile server on a real socket: it says anything, to
//! each connection something else, and goes or stays. Every call ends, what is waited for is told as
//! had, lost or late, and limits hold.
#![no_main]

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use chappe_core::model::{Answer, Code, Letter, Outcome, ServerToClient, Welcome};
use chappe_fuzz::{frames, scratch, words};
use chappe_host_tests::msgq::frame as msgq;
use chappe_linux::{clacks, client, communicator, msgq as bind10};
use libfuzzer_sys::fuzz_target;

const SHORT: Duration = Duration::from_millis(4);

/// Octets that may wait to be written, and events that may wait to be read.
const OUTBOX: usize = 600;
const QUEUE: usize = 6;

/// What the server says to the next connections, and whether it stays then.
static SCRIPT: Mutex<VecDeque<(Vec<u8>, bool)>> = Mutex::new(VecDeque::new());

/// Where it listens.
static SERVER: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = scratch::folder("clients").join("s");
    let listener = UnixListener::bind(&path).expect("a socket");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let Some((says, stays)) = SCRIPT.lock().expect("nobody panics").pop_front() else { continue };
            _ = stream.write_all(&says);
            if stays {
                // until the client goes
                std::thread::spawn(move || while matches!(stream.read(&mut [0; 4096]), Ok(n) if n > 0) {});
            }
        }
    });
    path
});

const WORDS: &str = "SET NOTIFY RETRIEVED NOTRETRIEVED FLUSHED KEYLISTSTART KEY KEYLISTEND CLIENTLISTSTART CLIENT CLIENTLISTEND \
    DEBUG QUIT OVERHEAD CLACKS NOP PING x=1 x probe a=b <hostA:communicatord <hostA:other hostA: communicatord READY HELP REPLY \
    COMMANDS STATUS QUITTING INVALID reply_to= list= service= ; = ALIVE ABSOLUTELY CLOCK_STABLE CLUSTER_UP SERVICE_UNAVAILABLE \
    {\"type\":\"send\",\"from\":\"a\",\"to\":\"me\",\"group\":\"g\",\"instance\":\"*\",\"seq\":1 ,\"reply\":1} ,\"want_answer\":true} \
    {\"type\":\"pong\"} {\"type\":\"getlname\",\"lname\":\"me\"} {\"result\":[0,1]} {\"result\":[-1,\"gone\"]} {\"command\":[\"x\"]}";

/// What a server says that means well, before anything else.
fn greeting(kind: u8) -> Vec<u8> {
    match kind % 4 {
        0 => frames::to_client(
            &Welcome { seq: 1, station: 5, node: "n", silence_ms: 60_000, ..Welcome::default() }.into(),
        ),
        1 => msgq(br#"{"type":"getlname","lname":"me"}"#, b""),
        2 => b"CLACKS PageCamel 36\r\nOVERHEAD M Authentication required\r\nOVERHEAD O Welcome!\r\n".to_vec(),
        _ => b"<hostA:communicatord HELP\n<hostA:communicatord READY\n".to_vec(),
    }
}

/// Octets of the fuzzer's, in the frames that this client looks for.
fn said(kind: u8, raw: &[u8]) -> Vec<u8> {
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let mut out = Vec::new();
    for part in raw.split(|b| *b == 0xfe) {
        match (kind % 4, part) {
            (0, [n @ 0..16, code, ..]) => {
                // answers to what it may have asked
                let seq = u32::from(*n);
                let code = Code::from_number(u32::from(*code));
                out.extend(frames::to_client(&Outcome { seq, code, ..Outcome::default() }.into()));
                out.extend(frames::to_client(&ServerToClient::Reply(Answer { seq, code, ..Answer::default() })));
            }
            (0, [16, rest @ ..]) => out.extend(rest),
            (0, rest) => out.extend(frames::payload(2, rest)),
            (1, [b'!', rest @ ..]) => out.extend(rest),
            (1, rest) => {
                let text = words::text(rest, &words);
                let at = text.iter().position(|b| *b == b'\n').unwrap_or(text.len());
                if at > 0 {
                    out.extend(msgq(&text[..at], text.get(at + 1..).unwrap_or_default()));
                }
            }
            (_, rest) => {
                out.extend(words::text(rest, &words));
                out.extend(b"\r\n");
            }
        }
    }
    out
}

fuzz_target!(|data: &[u8]| {
    let [kind, how, calls, data @ ..] = data else { return };
    let path = &*SERVER;
    {
        let mut script = SCRIPT.lock().expect("nobody panics");
        script.clear();
        for (n, raw) in data.split(|b| *b == 0xff).take(3).enumerate() {
            let hello = if how >> n & 1 == 0 { greeting(*kind) } else { Vec::new() };
            // the native one would wait for a second; silence is what the target `client` has
            let stays = kind % 4 != 0 && how >> (n + 4) & 9 == 9;
            script.push_back(([hello, said(*kind, raw)].concat(), stays));
        }
    }
    let calls = (0..8).filter(|n| calls >> n & 1 == 1);
    match kind % 4 {
        0 => native(path, calls),
        1 => of_bind10(path, calls),
        2 => of_clacks(path, calls),
        _ => of_communicator(path, calls),
    }
});

fn native(path: &std::path::Path, calls: impl Iterator<Item = u8>) {
    let options = client::Options {
        timeout: SHORT,
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_millis(1),
        max_frame: 1024,
        outbox: 1024,
        script: 256,
        calls: 4,
        queue: QUEUE,
        seed: Some(1),
        ..client::Options::default()
    };
    let address = chappe_linux::address::Address::Unix(path.to_owned());
    let Ok(mut c) = client::Connection::connect(address, options) else { return };
    for call in calls {
        match call {
            0 => _ = c.join("x"),
            1 => _ = c.call(&Letter { name: "x", ..Letter::default() }),
            2 => _ = c.get("x"),
            3 => _ = c.list(chappe_core::model::What::Names, ""),
            4 => _ = c.call_each(&Letter { name: "x", ..Letter::default() }),
            5 => _ = c.send(&Letter { name: "x", body: b"1", ..Letter::default() }),
            6 => _ = c.add("x", 1),
            _ => _ = c.flush(),
        }
        // what came meanwhile is kept, up to a limit
        for _ in 0..QUEUE * 40 {
            if !matches!(c.next_event(Some(Duration::ZERO)), Ok(Some(_))) {
                break;
            }
        }
    }
    _ = c.missed();
}

fn of_bind10(path: &std::path::Path, calls: impl Iterator<Item = u8>) {
    let options = bind10::Options { timeout: SHORT, max_body: 2000, queue: QUEUE, queue_bytes: 2000 };
    let Ok(mut s) = bind10::Session::connect_to(path, options) else { return };
    assert!(!s.lname().is_empty(), "connected without a name");
    let mut known = std::collections::HashSet::new();
    for call in calls {
        match call {
            0 => _ = s.subscribe("g", bind10::ANY),
            1 => _ = s.call("g", bind10::ANY, bind10::ANY, "do", &serde_json::json!({}), SHORT),
            2 => _ = s.ping(SHORT),
            3 => _ = s.members(Some("g"), SHORT),
            4 => _ = s.ask_each("g", b"{}", SHORT),
            5 => _ = s.watch(SHORT),
            6 => {
                if let Ok(number) = s.ask("g", bind10::ANY, bind10::ANY, b"{}") {
                    assert!(known.insert(number), "a number twice");
                    _ = s.answer(number, SHORT);
                }
            }
            _ => _ = s.getlname(SHORT),
        }
        for _ in 0..QUEUE * 40 {
            match s.receive(Some(Duration::ZERO)) {
                Ok(Some(message)) => {
                    _ = (message.command().is_some(), message.is_reply());
                    _ = s.reply(&message, br#"{"result":[0]}"#);
                }
                _ => break,
            }
        }
    }
}

fn of_clacks(path: &std::path::Path, calls: impl Iterator<Item = u8>) {
    let options = clacks::Options {
        name: "fuzz".into(),
        user: "u".into(),
        password: b"p".to_vec(),
        timeout: SHORT,
        connecting: SHORT,
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_millis(1),
        outbox: OUTBOX,
        max_line: 300,
        queue: QUEUE,
        queue_bytes: 2000,
        ..clacks::Options::default()
    };
    let address = format!("clacks://{}", path.display()).parse().expect("an address");
    let Ok(mut s) = clacks::Session::connect(address, options) else { return };
    for call in calls {
        match call {
            0 => _ = s.listen("x"),
            1 => {
                if let Ok(Some(value)) = s.retrieve("x") {
                    assert!(!value.contains(&b'\n'), "a value over two lines");
                }
            }
            2 => {
                if let Ok(keys) = s.keys() {
                    assert!(keys.iter().map(Vec::len).sum::<usize>() <= 2000, "more keys than may be kept");
                }
            }
            3 => _ = s.clients(),
            4 => _ = s.flush(),
            5 => _ = s.set("x", "v").and_then(|_| s.increment("x", 1)).and_then(|()| s.notify("x")),
            6 => _ = s.cache().get("x"),
            _ => _ = s.push(),
        }
        assert!(s.waiting() <= OUTBOX + 300, "{} octets wait", s.waiting());
        for _ in 0..QUEUE * 40 {
            if !matches!(s.receive(Some(Duration::ZERO)), Ok(Some(_))) {
                break;
            }
        }
    }
}

fn of_communicator(path: &std::path::Path, calls: impl Iterator<Item = u8>) {
    let options = communicator::Options {
        name: "fuzz".into(),
        commands: vec!["DO".into()],
        timeout: SHORT,
        connecting: SHORT,
        outbox: OUTBOX,
        max_line: 300,
        queue: QUEUE,
        queue_bytes: 2000,
        ..communicator::Options::default()
    };
    let uri = format!("cd://{}", path.display()).parse().expect("an address");
    let Ok(mut s) = communicator::Session::connect(uri, options) else { return };
    for call in calls {
        match call {
            0..=1 => _ = s.flush(),
            2 => _ = s.announce(&["MORE"]),
            3 => _ = s.push(),
            _ => {
                if let Ok(Some(communicator::Event::Message(message))) = s.receive(Some(SHORT)) {
                    _ = s.unknown(&message);
                }
            }
        }
        assert!(s.waiting() <= OUTBOX + 300, "{} octets wait", s.waiting());
        for _ in 0..QUEUE * 40 {
            if !matches!(s.receive(Some(Duration::ZERO)), Ok(Some(_))) {
                break;
            }
        }
    }
    assert!(s.server().len() < 300);
}

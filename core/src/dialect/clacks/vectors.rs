//! Every line of `wire/clacks.md` section 17, read and written again.
//!
//! Owns: the lines, with something put where the page says `<*>` or `<t>`, and what they mean.
//! Does not own what a server does about them: that takes a router.

extern crate std;

use super::frame::{Finder, compact, content};
use super::overhead::{Speaker, Step};
use super::repr::{Command, Line};
use super::time::Time;
use super::token::Credentials;
use super::{emit, name, number, parse, translate};
use crate::limits::MAX_NAME;
use std::format;
use std::string::{String, ToString as _};

/// To a server: every line of the page, and what it means.
const TO_SERVER: &[(&str, &str)] = &[
    ("CLACKS testclient", "Clacks [testclient]"),
    ("OVERHEAD A ZXhhbXBsZXVzZXI=:dW5zYWZlcGFzc3dvcmQ=", "Overhead [A] [ZXhhbXBsZXVzZXI=:dW5zYWZlcGFzc3dvcmQ=]"),
    ("OVERHEAD A ZXhhbXBsZXVzZXI=:d3Jvbmc=", "Overhead [A] [ZXhhbXBsZXVzZXI=:d3Jvbmc=]"),
    ("RETRIEVE X", "Retrieve [X]"),
    ("FLUSH 1", "Flush [1]"),
    ("NONSENSE", "Unknown [NONSENSE]"),
    ("STORE X=1", "Store [X] [1]"),
    ("OVERHEAD A bm9ib2R5:bm9wZQ==", "Overhead [A] [bm9ib2R5:bm9wZQ==]"),
    ("OVERHEAD A", "Overhead [A] []"),
    ("STORE X=12", "Store [X] [12]"),
    ("STORE X=a=b = c", "Store [X] [a=b = c]"),
    ("RETRIEVE nope", "Retrieve [nope]"),
    ("STORE e=", "Store [e] []"),
    ("RETRIEVE e", "Retrieve [e]"),
    ("STORE k=1", "Store [k] [1]"),
    ("REMOVE k", "Remove [k]"),
    ("RETRIEVE k", "Retrieve [k]"),
    ("REMOVE never-there", "Remove [never-there]"),
    ("INCREMENT n", "Increment [n]"),
    ("RETRIEVE n", "Retrieve [n]"),
    ("INCREMENT n=5", "Increment [n] [5]"),
    ("DECREMENT n=2", "Decrement [n] [2]"),
    ("DECREMENT n", "Decrement [n]"),
    ("DECREMENT m=7", "Decrement [m] [7]"),
    ("RETRIEVE m", "Retrieve [m]"),
    ("STORE t=abc", "Store [t] [abc]"),
    ("INCREMENT t", "Increment [t]"),
    ("RETRIEVE t", "Retrieve [t]"),
    ("STORE t=0.1", "Store [t] [0.1]"),
    ("INCREMENT t=0.2", "Increment [t] [0.2]"),
    ("STORE t=9007199254740993", "Store [t] [9007199254740993]"),
    ("INCREMENT t=5abc", "Increment [t] [5abc]"),
    ("STORE t=18446744073709551615", "Store [t] [18446744073709551615]"),
    ("STORE k=40", "Store [k] [40]"),
    ("INCREMENT k=2", "Increment [k] [2]"),
    ("INCREMENT a=b=3", "Increment [a=b] [3]"),
    ("RETRIEVE a=b", "Retrieve [a=b]"),
    ("STORE b=1", "Store [b] [1]"),
    ("STORE a::x=1", "Store [a::x] [1]"),
    ("STORE B=1", "Store [B] [1]"),
    ("KEYLIST", "KeyList"),
    ("STORE a=1", "Store [a] [1]"),
    ("CLEARCACHE", "ClearCache"),
    ("RETRIEVE a", "Retrieve [a]"),
    ("LISTEN temp", "Listen [temp]"),
    ("SET temp=21.5", "Set [temp] [21.5]"),
    ("LISTEN door", "Listen [door]"),
    ("NOTIFY door", "Notify [door]"),
    ("SET door=open", "Set [door] [open]"),
    ("SET Door=1", "Set [Door] [1]"),
    ("SET door2=1", "Set [door2] [1]"),
    ("NOTIFY doo", "Notify [doo]"),
    ("LISTEN a", "Listen [a]"),
    ("LISTEN b", "Listen [b]"),
    ("UNLISTEN a", "Unlisten [a]"),
    ("UNLISTEN c", "Unlisten [c]"),
    ("SET a=1", "Set [a] [1]"),
    ("SET b=1", "Set [b] [1]"),
    ("LISTEN v", "Listen [v]"),
    ("SETANDSTORE v=x=1", "SetAndStore [v] [x=1]"),
    ("RETRIEVE v", "Retrieve [v]"),
    ("STORE v=stored", "Store [v] [stored]"),
    ("SET v=sent", "Set [v] [sent]"),
    ("SET v=", "Set [v] []"),
    ("SET v==", "Set [v] [=]"),
    ("FLUSH some text 17", "Flush [some text 17]"),
    ("NONSENSE one two", "Unknown [NONSENSE one two]"),
    ("STORE x", "Unknown [STORE x]"),
    ("STORE =x", "Unknown [STORE =x]"),
    ("SET x", "Unknown [SET x]"),
    ("retrieve x", "Unknown [retrieve x]"),
    ("NOP", "Unknown [NOP]"),
    ("FLUSH", "Unknown [FLUSH]"),
    ("STORE p=1", "Store [p] [1]"),
    ("RETRIEVE p", "Retrieve [p]"),
    ("LISTEN p", "Listen [p]"),
    ("SET p=2", "Set [p] [2]"),
    ("SET p=3", "Set [p] [3]"),
    ("INCREMENT p", "Increment [p]"),
    ("CLIENTLIST", "ClientList"),
    ("MONITOR", "Monitor"),
    ("CLIENTDISCONNECT x", "ClientDisconnect [x]"),
    ("OVERHEAD I 1", "Overhead [I] [1]"),
    ("OVERHEAD S 1", "Overhead [S] [1]"),
    ("KEYSYNC 1 1 U a=b", "KeySync 1000000 1000000 value [a] [b]"),
    ("CLACKS my;app;1.0", "Clacks [my;app;1.0]"),
    ("STORE m=a=b", "Store [m] [a=b]"),
    ("OVERHEAD N unseen", "Overhead [N] [unseen]"),
    ("OVERHEAD M seen", "Overhead [M] [seen]"),
    ("QUIT", "Quit"),
    ("UNMONITOR", "Unmonitor"),
    ("OVERHEAD GM hello  all", "Overhead [GM] [hello  all]"),
    ("OVERHEAD GNU Terry Pratchett", "Overhead [GNU] [Terry Pratchett]"),
    ("OVERHEAD GM denied", "Overhead [GM] [denied]"),
    ("OVERHEAD M only here", "Overhead [M] [only here]"),
    ("OVERHEAD ? odd flag", "Overhead [?] [odd flag]"),
    ("OVERHEAD X", "Overhead [X] []"),
    ("PING", "Ping"),
    ("NOPING", "NoPing"),
    ("FLUSH x", "Flush [x]"),
    ("OVERHEAD C 0", "Overhead [C] [0]"),
    ("OVERHEAD C 1", "Overhead [C] [1]"),
    ("  ", "Unknown [  ]"),
    ("STORE s=  x  ", "Store [s] [  x  ]"),
    ("RETRIEVE s", "Retrieve [s]"),
    ("STORE a b=1", "Store [a b] [1]"),
    ("RETRIEVE a b", "Retrieve [a b]"),
    ("RETRIEVE  a b", "Retrieve [ a b]"),
    ("STORE k1=one", "Store [k1] [one]"),
    ("STORE k2=two", "Store [k2] [two]"),
    ("REMOVE k2", "Remove [k2]"),
    ("STORE k3=a=b", "Store [k3] [a=b]"),
    ("SET v=1", "Set [v] [1]"),
    ("NOTIFY n", "Notify [n]"),
    ("STORE z=1", "Store [z] [1]"),
    ("SETANDSTORE y=2", "SetAndStore [y] [2]"),
    ("INCREMENT z", "Increment [z]"),
    ("DECREMENT z=4", "Decrement [z] [4]"),
    ("REMOVE z", "Remove [z]"),
    ("OVERHEAD GM hi", "Overhead [GM] [hi]"),
    ("UNLISTEN v", "Unlisten [v]"),
    ("OVERHEAD M hi", "Overhead [M] [hi]"),
    ("NOTIFY v", "Notify [v]"),
    ("SETANDSTORE v=2", "SetAndStore [v] [2]"),
    ("STORE w=3", "Store [w] [3]"),
    ("RETRIEVE w", "Retrieve [w]"),
    ("SETANDSTORE b=2", "SetAndStore [b] [2]"),
    ("KEYSYNC 1700000000.5 1700000001 U c=3", "KeySync 1700000000500000 1700000001000000 value [c] [3]"),
    ("KEYSYNC 4000000000 4000000000 U c=first", "KeySync 4000000000000000 4000000000000000 value [c] [first]"),
    ("RETRIEVE c", "Retrieve [c]"),
    ("KEYSYNC 4000000000 4000000001 U c=same time", "KeySync 4000000000000000 4000000001000000 value [c] [same time]"),
    ("KEYSYNC 3999999999.9 4000000001 U c=older", "KeySync 3999999999900000 4000000001000000 value [c] [older]"),
    (
        "KEYSYNC 4000000000.1 4000000001 S c=newer, mode S",
        "KeySync 4000000000100000 4000000001000000 value [c] [newer, mode S]",
    ),
    ("KEYSYNC 4000000000 4000000000 U c=x", "KeySync 4000000000000000 4000000000000000 value [c] [x]"),
    ("KEYSYNC 4000000001 0 D c=REMOVED", "KeySync 4000000001000000 0 deleted [c] [REMOVED]"),
    ("KEYSYNC 4000000000.5 4000000002 U c=too old", "KeySync 4000000000500000 4000000002000000 value [c] [too old]"),
    ("KEYSYNC 4000000002 4000000002 U c=back", "KeySync 4000000002000000 4000000002000000 value [c] [back]"),
    ("STORE c=local", "Store [c] [local]"),
    ("KEYSYNC 1000 1000 U c=past", "KeySync 1000000000 1000000000 value [c] [past]"),
    ("KEYSYNC 1000 0 D c=REMOVED", "KeySync 1000000000 0 deleted [c] [REMOVED]"),
    ("OVERHEAD T 1000", "Overhead [T] [1000]"),
    ("KEYSYNC 900 900 U c=100 s ago", "KeySync 900000000 900000000 value [c] [100 s ago]"),
    ("KEYSYNC 1060 1060 U c=ahead", "KeySync 1060000000 1060000000 value [c] [ahead]"),
    ("LISTEN a b", "Listen [a b]"),
    ("KEYSYNC 4000000000 4000000000 U a b=c d=e", "KeySync 4000000000000000 4000000000000000 value [a b] [c d=e]"),
    ("FLUSH 3", "Flush [3]"),
    ("OVERHEAD I 0", "Overhead [I] [0]"),
    ("TIMEOUT", "Timeout"),
    ("CLACKS PageCamel 36 in interclacks client mode", "Clacks [PageCamel 36 in interclacks client mode]"),
    ("OVERHEAD O Welcome!", "Overhead [O] [Welcome!]"),
    ("CLACKS PageCamel 36", "Clacks [PageCamel 36]"),
    ("STORE mine=1", "Store [mine] [1]"),
    ("OVERHEAD T 1795190046.1714", "Overhead [T] [1795190046.1714]"),
    ("KEYSYNC 1795190046.1714 0 D dead=REMOVED", "KeySync 1795190046171400 0 deleted [dead] [REMOVED]"),
    ("KEYSYNC 1795190046.1714 1795190046.1714 U mine=1", "KeySync 1795190046171400 1795190046171400 value [mine] [1]"),
    (
        "KEYSYNC 1795190046.1714 1795190046.1714 U yours=2",
        "KeySync 1795190046171400 1795190046171400 value [yours] [2]",
    ),
    ("RETRIEVE yours", "Retrieve [yours]"),
    ("RETRIEVE evil", "Retrieve [evil]"),
    ("OVERHEAD F Login failed!", "Overhead [F] [Login failed!]"),
    ("SET v=up", "Set [v] [up]"),
    ("OVERHEAD GM up", "Overhead [GM] [up]"),
];
/// From a server.
const FROM_SERVER: &[(&str, &str)] = &[
    ("CLACKS PageCamel 36", "Clacks [PageCamel 36]"),
    ("OVERHEAD M Authentication required", "Overhead [M] [Authentication required]"),
    ("OVERHEAD O Welcome!", "Overhead [O] [Welcome!]"),
    ("OVERHEAD F Login failed!", "Overhead [F] [Login failed!]"),
    ("OVERHEAD E permission_denied", "Overhead [E] [permission_denied]"),
    ("RETRIEVED X=1", "Retrieved [X=1]"),
    ("RETRIEVED X=12", "Retrieved [X=12]"),
    ("RETRIEVED X=a=b = c", "Retrieved [X=a=b = c]"),
    ("NOTRETRIEVED nope", "NotRetrieved [nope]"),
    ("RETRIEVED e=", "Retrieved [e=]"),
    ("NOTRETRIEVED k", "NotRetrieved [k]"),
    ("RETRIEVED n=1", "Retrieved [n=1]"),
    ("RETRIEVED n=3", "Retrieved [n=3]"),
    ("RETRIEVED m=-7", "Retrieved [m=-7]"),
    ("RETRIEVED t=1", "Retrieved [t=1]"),
    ("RETRIEVED t=0.3", "Retrieved [t=0.3]"),
    ("RETRIEVED t=9007199254740994", "Retrieved [t=9007199254740994]"),
    ("RETRIEVED t=9007199254740999", "Retrieved [t=9007199254740999]"),
    ("RETRIEVED t=1.84467440737096e+19", "Retrieved [t=1.84467440737096e+19]"),
    ("RETRIEVED k=2", "Retrieved [k=2]"),
    ("RETRIEVED a=b=3", "Retrieved [a=b=3]"),
    ("KEYLISTSTART", "KeyListStart"),
    ("KEY B", "Key [B]"),
    ("KEY a::x", "Key [a::x]"),
    ("KEY b", "Key [b]"),
    ("KEYLISTEND", "KeyListEnd"),
    ("NOTRETRIEVED a", "NotRetrieved [a]"),
    ("SET temp=21.5", "Set [temp] [21.5]"),
    ("NOTIFY door", "Notify [door]"),
    ("SET door=open", "Set [door] [open]"),
    ("SET b=1", "Set [b] [1]"),
    ("SET v=x=1", "Set [v] [x=1]"),
    ("RETRIEVED v=x=1", "Retrieved [v=x=1]"),
    ("SET v=sent", "Set [v] [sent]"),
    ("RETRIEVED v=stored", "Retrieved [v=stored]"),
    ("SET v=", "Set [v] []"),
    ("SET v==", "Set [v] [=]"),
    ("FLUSHED some text 17", "Flushed [some text 17]"),
    ("OVERHEAD E unknown_command NONSENSE one two", "Overhead [E] [unknown_command NONSENSE one two]"),
    ("OVERHEAD E unknown_command STORE x", "Overhead [E] [unknown_command STORE x]"),
    ("OVERHEAD E unknown_command STORE =x", "Overhead [E] [unknown_command STORE =x]"),
    ("OVERHEAD E unknown_command SET x", "Overhead [E] [unknown_command SET x]"),
    ("OVERHEAD E unknown_command retrieve x", "Overhead [E] [unknown_command retrieve x]"),
    ("OVERHEAD E unknown_command NOP", "Overhead [E] [unknown_command NOP]"),
    ("OVERHEAD E unknown_command FLUSH", "Overhead [E] [unknown_command FLUSH]"),
    ("RETRIEVED p=1", "Retrieved [p=1]"),
    ("SET p=2", "Set [p] [2]"),
    ("CLIENTLISTSTART", "ClientListStart"),
    (
        "CLIENT CID=x:1;HOST=x;PORT=1;CLIENTINFO=my_app_1.0;OUTBUFFER_LENGTH=17;INBUFFER_LENGTH=0;INTERCLACKS=0;MONITOR=0;LASTPING=1795190046.1714;LASTINTERCLACKSPING=0;",
        "Client [CID=x:1;HOST=x;PORT=1;CLIENTINFO=my_app_1.0;OUTBUFFER_LENGTH=17;INBUFFER_LENGTH=0;INTERCLACKS=0;MONITOR=0;LASTPING=1795190046.1714;LASTINTERCLACKSPING=0;]",
    ),
    ("CLIENTLISTEND", "ClientListEnd"),
    ("DEBUG x=MONITOR", "Debug [x] [MONITOR]"),
    ("DEBUG x=STORE m=a=b", "Debug [x] [STORE m=a=b]"),
    ("DEBUG x=OVERHEAD M seen", "Debug [x] [OVERHEAD M seen]"),
    ("DEBUG x=QUIT", "Debug [x] [QUIT]"),
    ("DEBUG DISCONNECTED=x", "Debug [DISCONNECTED] [x]"),
    ("OVERHEAD GM hello  all", "Overhead [GM] [hello  all]"),
    ("OVERHEAD GN Terry Pratchett", "Overhead [GN] [Terry Pratchett]"),
    ("FLUSHED x", "Flushed [x]"),
    ("QUIT", "Quit"),
    ("OVERHEAD E unknown_command   ", "Overhead [E] [unknown_command   ]"),
    ("RETRIEVED s=  x  ", "Retrieved [s=  x  ]"),
    ("RETRIEVED a b=1", "Retrieved [a b=1]"),
    ("NOTRETRIEVED  a b", "NotRetrieved [ a b]"),
    ("CLACKS PageCamel 36 in interclacks master mode", "Clacks [PageCamel 36 in interclacks master mode]"),
    ("OVERHEAD A ZXhhbXBsZXVzZXI=:dW5zYWZlcGFzc3dvcmQ=", "Overhead [A] [ZXhhbXBsZXVzZXI=:dW5zYWZlcGFzc3dvcmQ=]"),
    ("OVERHEAD L 1", "Overhead [L] [1]"),
    ("OVERHEAD T 1795190046.1714", "Overhead [T] [1795190046.1714]"),
    ("OVERHEAD L 0", "Overhead [L] [0]"),
    ("PING", "Command Ping"),
    ("OVERHEAD M x", "Overhead [M] [x]"),
    ("OVERHEAD A bm9ib2R5:bm9wZQ==", "Overhead [A] [bm9ib2R5:bm9wZQ==]"),
    (
        "KEYSYNC 1795190046.1714 1795190046.1714 U k1=one",
        "Command KeySync 1795190046171400 1795190046171400 value [k1] [one]",
    ),
    ("KEYSYNC 1795190046.1714 0 D k2=REMOVED", "Command KeySync 1795190046171400 0 deleted [k2] [REMOVED]"),
    (
        "KEYSYNC 1795190046.1714 1795190046.1714 U k3=a=b",
        "Command KeySync 1795190046171400 1795190046171400 value [k3] [a=b]",
    ),
    ("SET v=1", "Set [v] [1]"),
    ("NOTIFY n", "Notify [n]"),
    ("STORE z=1", "Command Store [z] [1]"),
    ("SETANDSTORE y=2", "Command SetAndStore [y] [2]"),
    ("INCREMENT z", "Command Increment [z]"),
    ("DECREMENT z=4", "Command Decrement [z] [4]"),
    ("REMOVE z", "Command Remove [z]"),
    ("CLEARCACHE", "Command ClearCache"),
    ("OVERHEAD GM hi", "Overhead [GM] [hi]"),
    ("FLUSHED 1", "Flushed [1]"),
    ("NOTIFY v", "Notify [v]"),
    ("SET v=2", "Set [v] [2]"),
    ("RETRIEVED v=2", "Retrieved [v=2]"),
    ("RETRIEVED w=3", "Retrieved [w=3]"),
    ("SET a=1", "Set [a] [1]"),
    ("SETANDSTORE b=2", "Command SetAndStore [b] [2]"),
    ("KEYSYNC 1700000000.5 1700000001 U c=3", "Command KeySync 1700000000500000 1700000001000000 value [c] [3]"),
    ("RETRIEVED c=first", "Retrieved [c=first]"),
    ("RETRIEVED c=newer, mode S", "Retrieved [c=newer, mode S]"),
    ("NOTRETRIEVED c", "NotRetrieved [c]"),
    ("RETRIEVED c=back", "Retrieved [c=back]"),
    ("RETRIEVED c=local", "Retrieved [c=local]"),
    ("RETRIEVED c=ahead", "Retrieved [c=ahead]"),
    ("RETRIEVED a b=c d=e", "Retrieved [a b=c d=e]"),
    ("FLUSHED 3", "Flushed [3]"),
    ("OVERHEAD E unknown_command TIMEOUT", "Overhead [E] [unknown_command TIMEOUT]"),
    ("TIMEOUT", "Timeout"),
    ("OVERHEAD T 1000", "Overhead [T] [1000]"),
    ("KEYSYNC 900 900 U yours=2", "Command KeySync 900000000 900000000 value [yours] [2]"),
    ("KEYSYNC 901 0 D dead=REMOVED", "Command KeySync 901000000 0 deleted [dead] [REMOVED]"),
    ("RETRIEVED yours=2", "Retrieved [yours=2]"),
    ("STORE evil=1", "Command Store [evil] [1]"),
    ("NOTRETRIEVED evil", "NotRetrieved [evil]"),
    ("SET v=down", "Set [v] [down]"),
];

fn text(bytes: &[u8]) -> String {
    format!("[{}]", std::str::from_utf8(bytes).unwrap())
}

fn pair(name: &[u8], value: &[u8]) -> String {
    format!("{} {}", text(name), text(value))
}

fn stepped(name: &[u8], step: Option<&[u8]>) -> String {
    step.map_or(text(name), |step| pair(name, step))
}

fn meaning(command: &Command<'_>) -> String {
    let (word, rest) = match *command {
        Command::Clacks(t) => ("Clacks", text(t)),
        Command::Overhead(o) => ("Overhead", pair(o.flags, o.text)),
        Command::Notify(t) => ("Notify", text(t)),
        Command::Set { name, value } => ("Set", pair(name, value)),
        Command::SetAndStore { name, value } => ("SetAndStore", pair(name, value)),
        Command::Store { name, value } => ("Store", pair(name, value)),
        Command::Retrieve(t) => ("Retrieve", text(t)),
        Command::Remove(t) => ("Remove", text(t)),
        Command::Increment { name, step } => ("Increment", stepped(name, step)),
        Command::Decrement { name, step } => ("Decrement", stepped(name, step)),
        Command::Listen(t) => ("Listen", text(t)),
        Command::Unlisten(t) => ("Unlisten", text(t)),
        Command::Flush(t) => ("Flush", text(t)),
        Command::ClientDisconnect(t) => ("ClientDisconnect", text(t)),
        Command::Unknown(t) => ("Unknown", text(t)),
        Command::KeySync(s) => {
            let mode = if s.deleted { "deleted" } else { "value" };
            let (modified, accessed) = (s.modified.micros(), s.accessed.micros());
            ("KeySync", format!("{modified} {accessed} {mode} {}", pair(s.name, s.value)))
        }
        bare => return format!("{bare:?}"),
    };
    format!("{word} {rest}")
}

fn meaning_of_line(line: &Line<'_>) -> String {
    let (word, rest) = match *line {
        Line::Clacks(t) => ("Clacks", text(t)),
        Line::Overhead(o) => ("Overhead", pair(o.flags, o.text)),
        Line::Notify(t) => ("Notify", text(t)),
        Line::Set { name, value } => ("Set", pair(name, value)),
        Line::Retrieved(t) => ("Retrieved", text(t)),
        Line::NotRetrieved(t) => ("NotRetrieved", text(t)),
        Line::Key(t) => ("Key", text(t)),
        Line::Client(f) => ("Client", text(f.0)),
        Line::Flushed(t) => ("Flushed", text(t)),
        Line::Debug { source, text } => ("Debug", pair(source, text)),
        Line::Command(c) => ("Command", meaning(&c)),
        Line::Unknown(t) => ("Unknown", text(t)),
        bare => return format!("{bare:?}"),
    };
    format!("{word} {rest}")
}

/// Something in a stream, cut at every octet: the lines that are found in it, one after the
/// other.
fn cut_everywhere(stream: &[u8], mut each: impl FnMut(&[u8])) {
    for cut in 0..=stream.len() {
        let mut finder = Finder::new();
        let (mut a, mut b) = stream.split_at(cut);
        let mut from = 0;
        loop {
            let before = a.len() + b.len();
            let mut size = finder.line(&mut a, 10_000).unwrap();
            if size.is_none() {
                size = finder.line(&mut b, 10_000).unwrap();
            }
            // none of these streams has empty lines
            assert_eq!(before, a.len() + b.len());
            let Some(size) = size else { break };
            assert!(!finder.is_odd());
            each(content(&stream[from..from + size]));
            finder.next();
            from += size;
            (a, b) = if from < cut { (&stream[from..cut], &stream[cut..]) } else { (&stream[..0], &stream[from..]) };
        }
        assert_eq!(from, stream.len());
    }
}

#[test]
fn to_a_server() {
    let mut out = [0xa5; 512];
    for (bytes, want) in TO_SERVER {
        let command = parse::command(bytes.as_bytes());
        assert_eq!(meaning(&command), *want, "{bytes}");
        let n = emit::command(&command, &mut out).unwrap();
        // the mode that the original writes
        let spelled = bytes.replace("4000000001 S c=", "4000000001 U c=") + "\r\n";
        assert_eq!(std::str::from_utf8(&out[..n]).unwrap(), spelled);
        assert_eq!(emit::command(&command, &mut out[..n - 1]), None);
    }
}

#[test]
fn from_a_server() {
    let mut out = [0xa5; 512];
    for (bytes, want) in FROM_SERVER {
        let line = parse::line(bytes.as_bytes());
        assert_eq!(meaning_of_line(&line), *want, "{bytes}");
        let n = emit::line(&line, &mut out).unwrap();
        assert_eq!(std::str::from_utf8(&out[..n]).unwrap(), bytes.to_string() + "\r\n");
        assert_eq!(emit::line(&line, &mut out[..n - 1]), None);
    }
}

#[test]
fn pipelined_and_cut_at_every_octet() {
    for lines in [TO_SERVER, FROM_SERVER] {
        for end in ["\r\n", "\n"] {
            let some = &lines[..lines.len().min(40)];
            let stream: String = some.iter().flat_map(|(bytes, _)| [*bytes, end]).collect();
            let mut next = some.iter().map(|(bytes, _)| *bytes).cycle();
            cut_everywhere(stream.as_bytes(), |line| assert_eq!(line, next.next().unwrap().as_bytes()));
        }
    }
}

/// Lines of the page with octets changed, left out and doubled: whatever they are, everything
/// that looks at lines says something and does no harm.
#[test]
fn lines_that_were_damaged() {
    let mut seed = 0x5eed_5eed_5eed_5eedu64;
    let mut chance = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 20) as usize % below
    };
    let mut out = [0; 1024];
    for _ in 0..40_000 {
        let lines = if chance(2) == 0 { TO_SERVER } else { FROM_SERVER };
        let mut bytes = lines[chance(lines.len())].0.as_bytes().to_vec();
        for _ in 0..chance(4) {
            let at = chance(bytes.len().max(1)).min(bytes.len());
            match chance(4) {
                0 if at < bytes.len() => bytes[at] = chance(256) as u8,
                1 if at < bytes.len() => _ = bytes.remove(at),
                2 => bytes.truncate(at),
                _ => bytes.insert(at, b" =:0D\x00\xff\n\r1"[chance(10)]),
            }
        }
        let mut finder = Finder::new();
        let mut input = &bytes[..];
        _ = finder.line(&mut input, chance(100));
        let n = compact(&mut bytes);
        let n = bytes[..n].iter().position(|b| *b == b'\n').unwrap_or(n);
        let line = &bytes[..n];
        let command = parse::command(line);
        let said = emit::command(&command, &mut out);
        assert!(said.is_some());
        _ = (command.need(), command.crosses(), parse::command(&out[..said.unwrap()]));
        if let Command::Overhead(o) = command {
            for from in [Speaker::Client, Speaker::Link, Speaker::Master] {
                for step in &o.plan(from) {
                    _ = step.need();
                    if let Step::Forward { flags, .. } = step {
                        assert!(emit::forwarded(*flags, o.text, &mut out).is_some());
                    }
                }
            }
            _ = (o.news(), o.is_hidden(), Credentials::read(o.text).map(|c| c.user().is_some()));
        }
        if let Line::Client(fields) = parse::line(line) {
            assert!(fields.count() <= n);
        }
        let mut room = [0; number::LONGEST];
        let (a, b) = line.split_at(chance(n + 1));
        assert!(number::add(a, b, chance(2) == 0, &mut room) > 0);
        _ = Time::parse(line);
        let (mut spare, mut back) = (heapless::String::new(), [0; MAX_NAME]);
        if let Some(bus) = name::to_bus(line, &mut spare) {
            assert_eq!(name::from_bus(bus, &mut back), line);
            let l = translate::signal(bus, Some(b));
            translate::letter(&l, &mut [0; 64], |l| emit::letter(l, &mut out).unwrap());
            translate::addressed(&l, &mut [0; 64], |l| emit::letter(l, &mut out).unwrap());
        }
    }
}

//! The daemon is killed at any moment, again and again over one file, while writers of several
//! dialects write: what they were promised is there, nothing else is, and it starts by itself.
//!
//! `CHAPPE_SEED` has the same plan again: what is said, and what ends each round. At which
//! instruction that meets the daemon is the machine's affair. The long run:
//!
//! ```text
//! CHAPPE_ROUNDS=3600 cargo test -p chappe-linux --test faults_kill -- --ignored --nocapture
//! ```
//!
//! A process that is killed leaves what it has written to the kernel: whether that is on the
//! disk in time is proved where the disk is a model that loses what was not synced
//! (`src/store/tests.rs`).

mod support;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chappe_core::dialect::messi::repr::{Code, Declare, Hello, Join, Letter, ServerToClient, Store, StoreOp};
use support::books::{Book, State};
use support::seed::{Random, number, seed, spread};
use support::{CHAPPE, Daemon, PATIENCE, Station, Stream, clacks, communicator, frame, until, write_config};

/// All that waits fits into one outbox: what is in there is lost with its connection.
fn config(disk: &Path, within: u64) -> String {
    format!(
        "[[listeners]]\naddress = \"tcp://127.0.0.1:0\"\nanonymous = [\"read\", \"write\", \"manage\"]\n\
         [[listeners]]\naddress = \"clacks://FOLDER/clacks\"\nanonymous = [\"read\", \"write\", \"manage\"]\n\
         [[listeners]]\naddress = \"cd://FOLDER/cd\"\n\
         [communicator]\nserver = \"hostA\"\nservices = [\"cbox\"]\nservices_dir = \"FOLDER/none\"\noutbox = 67108864\n\
         [limits]\noutbox = 67108864\nkeep_ms = 3600000\n\
         [store]\npath = \"{}/v.redb\"\nwrite_within_ms = {within}\n",
        disk.display()
    )
}

fn chappe(args: &[&str]) -> std::process::Output {
    Command::new(CHAPPE).args(args).env_remove("CHAPPE_CONNECT").output().unwrap()
}

// ---- values ----

/// What one connection has got done in a round.
struct Written {
    book: Book,
    /// Changes that were answered, whether or not they are on disk.
    answered: u64,
}

/// A value that no other change has: it says which change it is of.
fn value(random: &mut Random, change: u64) -> Vec<u8> {
    let long = match random.below(40) {
        0 => 20_000 + random.below(12_000),
        1..4 => random.below(4000),
        _ => random.below(60),
    };
    let mut value = format!("{change}:").into_bytes();
    value.resize(value.len() + long as usize, b'a' + (change % 26) as u8);
    value
}

const KEYS: usize = 12;
/// The first of them are counters.
const COUNTERS: usize = 4;

fn count_of(state: Option<&[u8]>) -> i64 {
    state.map_or(0, |digits| std::str::from_utf8(digits).unwrap().parse().unwrap())
}

/// A native writer: pipelines changes, and flushes now and then. Ends when the daemon does.
fn write_natively(mut station: Station, mut book: Book, mut random: Random, acks: &AtomicU64) -> Written {
    station.torn = true;
    // what was done for everybody before this connection counts as answered
    let (mut answered, mut flushes) = (book.changes(), VecDeque::new());
    loop {
        let mut bytes = Vec::new();
        for _ in 0..=random.below(6) {
            let key = random.below(KEYS as u64) as usize;
            let seq = book.changes() as u32 + 1;
            let mut change = |name: &str, op, value: &[u8], amount| {
                bytes.extend(frame(Store { seq, op, name, value, amount, ..Store::default() }));
            };
            let name = book.names[key].clone();
            if book.latest(key).is_some() && random.once_in(6) {
                change(&name, StoreOp::Remove, &[], 0);
                book.say(key, None);
            } else if key < COUNTERS {
                let amount = random.below(2000) as i64 - 1000;
                let sum = count_of(book.latest(key)) + amount;
                change(&name, StoreOp::Add, &[], amount);
                book.say(key, Some(sum.to_string().into_bytes()));
            } else {
                let value = value(&mut random, seq.into());
                change(&name, StoreOp::Set, &value, 0);
                book.say(key, Some(value));
            }
        }
        if random.once_in(3) {
            bytes.extend(frame(Store { op: StoreOp::Flush, seq: u32::MAX, ..Store::default() }));
            flushes.push_back(book.changes());
        }
        let mut is_over = station.write(&bytes).is_err();
        // Not so far ahead that both sides wait for room to write.
        while is_over || flushes.len() > 3 || book.changes() - answered > 500 {
            let Some(heard) = station.next_within(PATIENCE).expect("the daemon answers or ends") else {
                return Written { book, answered };
            };
            let (seq, code) = match heard.message() {
                ServerToClient::Outcome(o) => (o.seq, o.code),
                ServerToClient::Value(v) => (v.seq, Code::Ok),
                ServerToClient::Closing(_) => {
                    is_over = true;
                    continue;
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(code, Code::Ok, "change {seq}");
            if seq == u32::MAX {
                book.promise(flushes.pop_front().unwrap());
                acks.fetch_add(1, Ordering::SeqCst);
            } else {
                answered += 1;
                assert_eq!(u64::from(seq), answered, "answers come in order");
            }
        }
    }
}

/// A writer of Net::Clacks. Ends when the daemon does.
fn write_clacks(mut it: clacks::Client, mut book: Book, mut random: Random, acks: &AtomicU64) -> Written {
    it.torn = true;
    let mut flushes: VecDeque<u64> = VecDeque::new();
    loop {
        let mut lines = Vec::new();
        for _ in 0..=random.below(6) {
            let key = random.below(KEYS as u64) as usize;
            let name = book.names[key].clone();
            if book.latest(key).is_some() && random.once_in(6) {
                lines.extend(format!("REMOVE {name}\r\n").bytes());
                book.say(key, None);
            } else if key < COUNTERS {
                let (amount, word) = (random.below(1000) as i64, random.of(&["INCREMENT", "DECREMENT"]));
                let sum = count_of(book.latest(key)) + if word == "INCREMENT" { amount } else { -amount };
                lines.extend(format!("{word} {name}={amount}\r\n").bytes());
                book.say(key, Some(sum.to_string().into_bytes()));
            } else {
                let value = value(&mut random, book.changes() + 1);
                let word = random.of(&["STORE", "SETANDSTORE"]);
                lines.extend(format!("{word} {name}=").bytes());
                lines.extend(&value);
                lines.extend(b"\r\n");
                book.say(key, Some(value));
            }
        }
        if random.once_in(3) {
            lines.extend(format!("FLUSH {}\r\n", book.changes()).bytes());
            flushes.push_back(book.changes());
        }
        let is_over = it.try_write(&lines).is_err();
        while is_over || flushes.len() > 3 {
            let Some(line) = it.next_within(PATIENCE).expect("the daemon answers or ends") else {
                return Written { book, answered: 0 };
            };
            if let Some(n) = line.strip_prefix("FLUSHED ") {
                let n = n.parse().unwrap();
                assert_eq!(flushes.pop_front(), Some(n));
                book.promise(n);
                acks.fetch_add(1, Ordering::SeqCst);
            } else {
                assert!(matches!(&*line, "NOP" | "QUIT" | "TIMEOUT" | ""), "{line:?}");
            }
        }
    }
}

/// What is there under these names, and how many names there are in all.
fn look(daemon: &mut Daemon, books: &[Book]) -> (Vec<Vec<State>>, usize) {
    let mut reader = daemon.station("reader");
    let mut all = Vec::new();
    for book in books {
        let mut found = Vec::new();
        for name in &book.names {
            reader.say(Store { op: StoreOp::Get, seq: 7, name, ..Store::default() });
        }
        for name in &book.names {
            match reader.next().expect("an answer").message() {
                ServerToClient::Value(v) => found.push(Some(v.value.to_vec())),
                ServerToClient::Outcome(o) => {
                    assert_eq!(o.code, Code::NotFound, "{name}");
                    found.push(None);
                }
                other => panic!("{other:?}"),
            }
        }
        all.push(found);
    }
    (all, daemon.clacks("any", "one").keys().len())
}

// ---- mail ----

/// What the world knows of one box: every message in it has a number, and later ones have larger ones.
#[derive(Default)]
struct Mailbox {
    /// Said to be kept, and a flush behind it was answered.
    safe: BTreeSet<u64>,
    /// How often it came.
    came: BTreeMap<u64, u32>,
    /// Came, and a flush behind it was answered: it never comes again.
    settled: BTreeSet<u64>,
    /// The last one that was sent.
    last: u64,
}

/// What follows from the number, so that half a message would show.
fn padding(i: u64) -> String {
    "x".repeat((i * 37 % 900) as usize)
}

/// The number of a message that is whole.
fn number_of(body: &str) -> u64 {
    let (i, rest) = body.split_once(':').unwrap_or_else(|| panic!("no message of ours: {body:.60}"));
    let i = i.parse().unwrap();
    assert_eq!(rest, padding(i), "message {i} is not whole");
    i
}

/// Sends to a box and flushes, again and again, until the daemon ends. Returns the last number
/// and which messages are safe.
fn send_natively(mut station: Station, name: &str, mut last: u64, acks: &AtomicU64) -> (u64, BTreeSet<u64>) {
    station.torn = true;
    let (mut safe, mut kept) = (BTreeSet::new(), Vec::new());
    'sending: loop {
        let mut bytes = Vec::new();
        for _ in 0..4 {
            last += 1;
            let body = format!("{last}:{}", padding(last));
            let (body, seq) = (body.as_bytes(), last as u32);
            bytes.extend(frame(Letter { name, body, keep: true, seq, ..Letter::default() }));
        }
        bytes.extend(frame(Store { op: StoreOp::Flush, seq: u32::MAX, ..Store::default() }));
        let _ = station.write(&bytes);
        loop {
            let Some(heard) = station.next_within(PATIENCE).expect("the daemon answers or ends") else {
                return (last, safe);
            };
            let ServerToClient::Outcome(o) = heard.message() else { continue };
            match o.code {
                Code::Ok if o.seq == u32::MAX => {
                    safe.extend(kept.drain(..));
                    acks.fetch_add(1, Ordering::SeqCst);
                    continue 'sending;
                }
                Code::Kept => kept.push(u64::from(o.seq)),
                // somebody is there: it was handed over, and is no mail; or there is no more room for mail
                Code::Ok | Code::Full | Code::RecipientBusy | Code::Stopping => {}
                code => panic!("{code:?}"),
            }
        }
    }
}

/// The same by a service of the Communicator, which is told that a message waits. It has no word
/// for the disk: a native station beside it asks.
fn send_communicator(
    mut it: communicator::Client,
    mut beside: Station,
    mut last: u64,
    acks: &AtomicU64,
) -> (u64, BTreeSet<u64>) {
    (it.torn, beside.torn) = (true, true);
    let mut safe = BTreeSet::new();
    loop {
        let mut lines = String::new();
        for _ in 0..4 {
            last += 1;
            let body = format!("{last}:{}", padding(last));
            lines += &format!("cbox/N{last} cache=ttl=3000;body={body};transmission_report=failure\n");
        }
        // whoever is there gets them without a report: the answer to this comes behind all of them
        lines += &format!("ALIVE serial={last}\n");
        if it.try_write(lines.as_bytes()).is_err() {
            return (last, safe);
        }
        let mut kept: Vec<u64> = Vec::new();
        loop {
            let Some(line) = it.next_within(PATIENCE).expect("the daemon answers or ends") else {
                return (last, safe);
            };
            if let Some(rest) = line.strip_prefix("<hostA:communicatord TRANSMISSION_REPORT command=N") {
                if let Some(number) = rest.strip_suffix(";status=cached") {
                    kept.push(number.parse().unwrap());
                }
            } else if line.contains("ABSOLUTELY") {
                break;
            }
        }
        let flush = frame(Store { op: StoreOp::Flush, seq: 1, ..Store::default() });
        if beside.write(&flush).is_err() {
            return (last, safe);
        }
        match beside.next_within(PATIENCE).expect("the daemon answers or ends") {
            None => return (last, safe),
            Some(heard) => match heard.message() {
                ServerToClient::Outcome(o) => assert_eq!(o.code, Code::Ok),
                ServerToClient::Closing(_) => return (last, safe),
                other => panic!("{other:?}"),
            },
        }
        safe.extend(kept);
        acks.fetch_add(1, Ordering::SeqCst);
    }
}

/// What came in one visit, in order, and how many of it never come again.
struct Visit {
    came: Vec<u64>,
    settled: usize,
}

/// Comes, takes what waits, flushes and goes, again and again, until the daemon ends or it was often enough.
fn fetch_natively(address: &str, name: &str, most: usize, ends: &AtomicBool) -> Vec<Visit> {
    let mut visits = Vec::new();
    while visits.len() < most && !ends.load(Ordering::SeqCst) {
        let Ok(stream) = std::net::TcpStream::connect(address) else { break };
        let mut station = Station::new(Stream::Tcp(stream));
        station.torn = true;
        let mut bytes = frame(Hello { seq: 1, name: "r", ..Default::default() });
        bytes.extend(frame(Join { name, ..Default::default() }));
        bytes.extend(frame(Store { op: StoreOp::Flush, seq: 77, ..Store::default() }));
        if station.write(&bytes).is_err() {
            break;
        }
        let (mut came, mut before, mut settled) = (Vec::new(), 0, None);
        while let Some(heard) = station.next_within(PATIENCE).expect("the daemon answers or ends") {
            match heard.message() {
                ServerToClient::Message(letter) => came.push(number_of(std::str::from_utf8(letter.body).unwrap())),
                ServerToClient::Outcome(o) if o.seq >= 77 => {
                    assert_eq!(o.code, Code::Ok);
                    if o.seq == 78 {
                        settled = Some(before);
                        break;
                    }
                    before = came.len();
                    let again = frame(Store { op: StoreOp::Flush, seq: 78, ..Store::default() });
                    if station.write(&again).is_err() {
                        break;
                    }
                }
                _ => {}
            }
        }
        let is_over = settled.is_none();
        visits.push(Visit { came, settled: settled.unwrap_or(0) });
        if is_over {
            break;
        }
    }
    visits
}

/// The same as the service for which they wait, with a native station that asks for the disk.
fn fetch_communicator(path: &str, address: &str, most: usize, ends: &AtomicBool) -> Vec<Visit> {
    let mut visits = Vec::new();
    let mut beside = None;
    while visits.len() < most && !ends.load(Ordering::SeqCst) {
        let Ok(stream) = std::os::unix::net::UnixStream::connect(path) else { break };
        let mut it = communicator::Client::new(Stream::Unix(stream));
        it.torn = true;
        let mut came = Vec::new();
        let mut is_whole = it.try_write(b"REGISTER service=cbox;version=1\nALIVE serial=7\n").is_ok();
        // what comes between and behind is read too: it was for us, and the node has handed it over
        let mut until = |it: &mut communicator::Client, word: Option<&str>| loop {
            match it.next_within(PATIENCE).expect("the daemon answers or ends") {
                None => return word.is_none(),
                Some(line) if line.contains("cbox/N") => {
                    let body = line.split("body=").nth(1).unwrap().split(';').next().unwrap();
                    came.push(number_of(body));
                }
                Some(line) if word.is_some_and(|word| line.contains(word)) => return true,
                Some(_) => {}
            }
        };
        is_whole = is_whole && until(&mut it, Some("ABSOLUTELY"));
        is_whole = is_whole && it.try_write(b"UNREGISTER service=cbox\n").is_ok();
        until(&mut it, None);
        let mut settled = 0;
        if is_whole {
            let native = beside.get_or_insert_with(|| {
                let mut native = Station::new(Stream::Tcp(std::net::TcpStream::connect(address).ok()?));
                native.torn = true;
                native.write(&frame(Hello { seq: 1, name: "beside", ..Hello::default() })).ok()?;
                native.next_within(PATIENCE).expect("the daemon answers or ends").map(|_| native)
            });
            let flush = frame(Store { op: StoreOp::Flush, seq: 1, ..Store::default() });
            if let Some(native) = native
                && native.write(&flush).is_ok()
                && let Some(heard) = native.next_within(PATIENCE).expect("the daemon answers or ends")
                && let ServerToClient::Outcome(o) = heard.message()
            {
                assert_eq!(o.code, Code::Ok);
                settled = came.len();
            } else {
                is_whole = false;
            }
        }
        visits.push(Visit { came, settled });
        if !is_whole {
            break;
        }
    }
    visits
}

/// Takes what came in one life of the daemon. Returns how many came that had come before.
fn take_in(it: &mut Mailbox, visits: Vec<Visit>, at: &str) -> u64 {
    let (mut here, mut again) = (BTreeSet::new(), 0);
    for Visit { came, settled } in visits {
        // what is handed over while somebody is there comes behind what waited
        assert!(came.is_sorted_by(|a, b| a < b), "{at}: not in order: {came:?}");
        for (k, i) in came.into_iter().enumerate() {
            assert!(i <= it.last, "{at}: {i} was never sent");
            assert!(here.insert(i), "{at}: {i} came twice in one life");
            assert!(!it.settled.contains(&i), "{at}: {i} came again after a flush behind it was answered");
            let times = it.came.entry(i).or_insert(0);
            *times += 1;
            again += u64::from(*times > 1);
            if k < settled {
                it.settled.insert(i);
            }
        }
    }
    again
}

// ---- rounds ----

/// How a round ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Kill,
    /// It is told to stop, and killed while it does so.
    KillWhileStopping,
    Stop,
}

#[derive(Default)]
struct Figures {
    rounds: u64,
    killed: u64,
    killed_at_start: u64,
    killed_while_stopping: u64,
    stopped: u64,
    changes: u64,
    promised: u64,
    /// Changes that nobody was promised.
    lost: u64,
    mail_safe: u64,
    mail_came: u64,
    mail_again: u64,
    most_again: u64,
    starts: Vec<Duration>,
}

const NATIVE: usize = 2;
const CLACKS: usize = 2;
const BOXES: [&str; 3] = ["box/0", "box/1", "cbox"];

/// One file of values from its beginning, for so many rounds.
fn one_file(seed: u64, file: u64, rounds: u64, figures: &mut Figures) {
    let disk = tempfile::tempdir().unwrap();
    let mut random = Random::new(seed).branch(file);
    let kind = |w: usize| if w < NATIVE { "native" } else { "clacks" };
    let names = |w: usize| (0..KEYS).map(|k| format!("{}{w}::{k}", kind(w))).collect();
    let mut books: Vec<Book> = (0..NATIVE + CLACKS).map(|w| Book::new(names(w))).collect();
    let mut boxes: [Mailbox; 3] = Default::default();
    for round in 0..rounds {
        let at = format!("CHAPPE_SEED={seed:#x}, file {file}, round {round}");
        let config = config(disk.path(), random.of(&[0, 1, 5, 100]));
        while random.once_in(4) {
            // also when there is no file yet
            kill_at_start(&config, Duration::from_micros(random.below(25_000)));
            figures.killed_at_start += 1;
        }
        if random.once_in(8) && disk.path().join("v.redb").exists() {
            check(disk.path(), &at);
        }
        let began = Instant::now();
        let mut daemon = Daemon::start(&config);
        figures.starts.push(began.elapsed());
        let (found, all) = look(&mut daemon, &books);
        let there = found.iter().flatten().flatten().count();
        assert_eq!(all, there, "{at}: there are names that nobody has written");
        for (w, (book, found)) in books.iter_mut().zip(found).enumerate() {
            figures.lost += book.found(found).unwrap_or_else(|why| panic!("{at}, writer {w}: {why}"));
        }
        if random.once_in(8) {
            // one change among those of all others, and nobody is promised anything
            let mut it = daemon.clacks("any", "one");
            it.say("CLEARCACHE");
            assert_eq!(it.keys(), [""; 0]);
            books.iter_mut().for_each(Book::forget_all);
        }
        let end = match random.below(8) {
            0 => End::Stop,
            1 => End::KillWhileStopping,
            _ => End::Kill,
        };
        a_round(&mut daemon, &mut books, &mut boxes, &mut random, end, figures, &at);
    }
    // What waits comes now, and nothing that has come before and was settled.
    let mut daemon = Daemon::start(&config(disk.path(), 5));
    let (found, _) = look(&mut daemon, &books);
    for (book, found) in books.iter_mut().zip(found) {
        figures.lost += book.found(found).unwrap_or_else(|why| panic!("CHAPPE_SEED={seed:#x}, file {file}: {why}"));
    }
    let (address, ends) = (daemon.address("tcp"), AtomicBool::new(false));
    for (b, it) in boxes.iter_mut().enumerate() {
        let at = format!("CHAPPE_SEED={seed:#x}, file {file}, at the end, {}", BOXES[b]);
        let visits = match b {
            2 => fetch_communicator(&daemon.communicator_path(), &address, 1, &ends),
            _ => fetch_natively(&address, BOXES[b], 1, &ends),
        };
        figures.mail_again += take_in(it, visits, &at);
        let lost: Vec<_> = it.safe.iter().filter(|i| !it.came.contains_key(i)).collect();
        assert!(lost.is_empty(), "{at}: lost {lost:?}");
        figures.mail_safe += it.safe.len() as u64;
        figures.mail_came += it.came.len() as u64;
    }
    daemon.signal("TERM");
    assert!(daemon.wait().success());
    check(disk.path(), &format!("CHAPPE_SEED={seed:#x}, file {file}, at the end"));
}

fn check(disk: &Path, at: &str) {
    let out = chappe(&["store", "check", disk.join("v.redb").to_str().unwrap()]);
    assert!(out.status.success(), "{at}: {}", String::from_utf8_lossy(&out.stderr));
}

/// Somewhere between its first instruction and being ready.
fn kill_at_start(config: &str, after: Duration) {
    let folder = tempfile::tempdir().unwrap();
    let path = write_config(folder.path(), config);
    let mut command = Command::new(CHAPPE);
    command.arg("serve").arg("--config").arg(path).env_remove("CHAPPE_CONFIG");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}

fn a_round(
    daemon: &mut Daemon,
    books: &mut Vec<Book>,
    boxes: &mut [Mailbox; 3],
    random: &mut Random,
    end: End,
    figures: &mut Figures,
    at: &str,
) {
    let mut declarer = daemon.station("declarer");
    for name in &BOXES[..2] {
        declarer.say(Declare { seq: 3, name, ..Declare::default() });
        assert_eq!(declarer.outcome(), Code::Ok);
    }
    let (enough, acks, ends) = (1 + random.below(40), AtomicU64::new(0), AtomicBool::new(false));
    let pause = Duration::from_micros(random.below(3000));
    let (address, cd) = (daemon.address("tcp"), daemon.communicator_path());
    // in every other round nobody comes for the mail
    let somebody_comes = random.once_in(2);
    std::thread::scope(|scope| {
        let (acks, ends, address, cd) = (&acks, &ends, &address, &cd);
        let mut writers = Vec::new();
        for (w, book) in std::mem::take(books).into_iter().enumerate() {
            let random = random.branch(w as u64 + 1);
            writers.push(if w < NATIVE {
                let station = daemon.station("writer");
                scope.spawn(move || write_natively(station, book, random, acks))
            } else {
                let client = daemon.clacks("writer", "x");
                scope.spawn(move || write_clacks(client, book, random, acks))
            });
        }
        let mut senders = Vec::new();
        for (b, it) in boxes.iter().enumerate() {
            let (station, last) = (daemon.station("sender"), it.last);
            senders.push(if b < 2 {
                scope.spawn(move || send_natively(station, BOXES[b], last, acks))
            } else {
                let service = daemon.communicator().service("csender", "TRANSMISSION_REPORT");
                scope.spawn(move || send_communicator(service, station, last, acks))
            });
        }
        let fetchers: Vec<_> = (0..if somebody_comes { BOXES.len() } else { 0 })
            .map(|b| {
                scope.spawn(move || match b {
                    2 => fetch_communicator(cd, address, usize::MAX, ends),
                    _ => fetch_natively(address, BOXES[b], usize::MAX, ends),
                })
            })
            .collect();
        until("some flushes", || acks.load(Ordering::SeqCst) >= enough);
        std::thread::sleep(pause);
        if end != End::Kill {
            daemon.signal("TERM");
        }
        match end {
            End::Stop => assert!(daemon.wait().success(), "{at}"),
            _ => {
                if end == End::KillWhileStopping {
                    std::thread::sleep(pause);
                }
                daemon.child.kill().unwrap();
                daemon.child.wait().unwrap();
            }
        }
        ends.store(true, Ordering::SeqCst);
        for writer in writers {
            let Written { mut book, answered } = writer.join().unwrap();
            if end == End::Stop {
                // it has said that nothing is lost
                book.promise(answered);
            }
            figures.changes += book.changes();
            figures.promised += book.promised();
            books.push(book);
        }
        for (it, sender) in boxes.iter_mut().zip(senders) {
            let (last, safe) = sender.join().unwrap();
            it.last = last;
            it.safe.extend(safe);
        }
        let mut again = 0;
        for (b, fetcher) in fetchers.into_iter().enumerate() {
            again += take_in(&mut boxes[b], fetcher.join().unwrap(), &format!("{at}, {}", BOXES[b]));
        }
        figures.mail_again += again;
        figures.most_again = figures.most_again.max(again);
    });
    figures.rounds += 1;
    match end {
        End::Kill => figures.killed += 1,
        End::KillWhileStopping => figures.killed_while_stopping += 1,
        End::Stop => figures.stopped += 1,
    }
}

fn run(rounds: u64, rounds_of_a_file: u64) {
    let seed = seed();
    println!("CHAPPE_SEED={seed:#x}, {rounds} rounds");
    let mut it = Figures::default();
    let began = Instant::now();
    let mut file = 0;
    while it.rounds < rounds {
        one_file(seed, file, rounds_of_a_file.min(rounds - it.rounds), &mut it);
        file += 1;
        println!(
            "{} rounds over {file} files in {:.0?}: killed {} under load, {} at start, {} while stopping; {} stopped\n  \
             values: {} changes, {} promised by a flush, 0 of these lost; {} that were not promised are lost\n  \
             mail: {} safe, 0 of these lost; {} came, {} of these once more after a kill (at most {} in a round), 0 of \
             these settled\n  from exec to ready: {}",
            it.rounds,
            began.elapsed(),
            it.killed,
            it.killed_at_start,
            it.killed_while_stopping,
            it.stopped,
            it.changes,
            it.promised,
            it.lost,
            it.mail_safe,
            it.mail_came,
            it.mail_again,
            it.most_again,
            spread(&mut it.starts)
        );
    }
    assert!(it.promised > 0 && it.mail_safe > 0);
}

#[test]
fn killed_at_any_moment_all_dialects_find_what_they_were_promised_and_nothing_else() {
    run(number("CHAPPE_ROUNDS", 14), 7);
}

#[test]
#[ignore = "runs for as many rounds as CHAPPE_ROUNDS says, 300 by itself"]
fn killed_hundreds_of_times() {
    run(number("CHAPPE_ROUNDS", 300), 25);
}

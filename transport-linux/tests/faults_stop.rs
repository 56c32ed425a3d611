//! A process that stands still (SIGSTOP, a debugger, a machine that is suspended or starved):
//! the daemon itself, and a client beside others. Who did nothing wrong meanwhile is not
//! punished for it, deadlines hold, and nobody else notices.

mod support;

use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chappe_core::dialect::messi::repr::{Answer, Code, Hello, Letter, ServerToClient};
use chappe_core::dialect::messi::wire::kind;
use support::seed::spread;
use support::{CHAPPE, Daemon, METRICS, PATIENCE, PING, Station, counters, frame, signal, until};

const TCP: &str = "[[listeners]]\naddress = \"tcp://127.0.0.1:0\"\n";
const UNIX: &str = "[[listeners]]\naddress = \"unix://FOLDER/native\"\n";
const UDP: &str = "[[listeners]]\naddress = \"udp://127.0.0.1:0\"\n";
const CLACKS: &str = "[[listeners]]\naddress = \"clacks://FOLDER/clacks\"\n";

/// Stands still until the value goes.
struct Stopped(u32);

impl Stopped {
    fn new(pid: u32) -> Stopped {
        signal(pid, "STOP");
        let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        until("it stands still", || stat().rsplit(") ").next().unwrap().starts_with('T'));
        Stopped(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal(self.0, "CONT");
    }
}

fn sleep_until(at: Instant) {
    std::thread::sleep(at.saturating_duration_since(Instant::now()));
}

#[test]
fn a_daemon_that_stood_still_throws_out_nobody_who_spoke_meanwhile() {
    /// More than one wait of the event loop brings.
    const MANY: usize = 2500;
    const SILENCE: Duration = Duration::from_millis(2000);
    let limits = "[limits]\nsilence_ms = 2000\nmax_silence_ms = 2000\n[clacks]\nping_within_ms = 2000\n";
    let mut daemon = Daemon::start(&format!("{METRICS}{limits}{UNIX}{UDP}{CLACKS}"));
    let count = counters(&mut daemon);
    let path = daemon.address("unix");
    let mut stations: Vec<Station> = (0..MANY).map(|_| Station::unix(&path)).collect();
    stations.iter_mut().for_each(|station| {
        station.write(&frame(Hello { seq: 1, name: "s", ..Hello::default() })).unwrap();
    });
    let mut clacks: Vec<_> = (0..50).map(|_| daemon.clacks("any", "one")).collect();
    let udp: Vec<UdpSocket> = (0..150).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let hello = frame(Hello { seq: 1, name: "u", ..Hello::default() });
    let mut datagram = [0; 2000];
    for socket in &udp {
        socket.connect(daemon.address("udp")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.send(&hello).unwrap();
        assert!(socket.recv(&mut datagram).unwrap() > 0);
    }
    for station in &mut stations {
        assert!(matches!(station.next().expect("an answer").message(), ServerToClient::Welcome(_)));
    }
    let everybody = (MANY + clacks.len() + udp.len()) as u64;
    let mut all_speak = || {
        stations.iter_mut().for_each(|station| station.write(&PING).unwrap());
        clacks.iter_mut().for_each(|it| it.write(b"PING\r\n"));
        udp.iter().for_each(|socket| _ = socket.send(&PING).unwrap());
    };
    all_speak();
    let stopped = Stopped::new(daemon.pid());
    let began = Instant::now();
    sleep_until(began + SILENCE / 2);
    all_speak();
    sleep_until(began + SILENCE * 3 / 2);
    all_speak();
    drop(stopped);
    // Each of those was heard, and nobody is missing.
    for station in &mut stations {
        for _ in 0..3 {
            assert_eq!(station.next().expect("a pong, not the end").kind, kind::PONG);
        }
    }
    clacks.iter_mut().for_each(clacks_is_there);
    for socket in &udp {
        // what was too much for the socket's buffer is lost, as datagrams are; two of three are not
        assert!(socket.recv(&mut datagram).unwrap() > 0);
    }
    assert_eq!(count("chappe_closed_silent_total"), 0);
    println!(
        "{everybody} clients, the daemon stopped for {:?} at a silence of {SILENCE:?}: 0 thrown out",
        began.elapsed()
    );
    // That was no amnesty: who says nothing more goes, as ever.
    until("the silent have gone", || count("chappe_closed_silent_total") >= everybody - clacks.len() as u64);
}

fn clacks_is_there(it: &mut support::clacks::Client) {
    assert_eq!(it.ask("RETRIEVE nothing"), "NOTRETRIEVED nothing");
}

#[test]
fn answers_given_while_the_daemon_stood_still_count_and_others_are_over_once() {
    let limits = "[limits]\nask_ms = 1000\n";
    let mut daemon = Daemon::start(&format!("{limits}{TCP}"));
    let (mut asker, mut callee, mut mute) = (daemon.station("asker"), daemon.station("callee"), daemon.station("mute"));
    callee.join("callee");
    mute.join("mute");
    asker.say(Letter { name: "callee", ask: true, seq: 1, ..Letter::default() });
    asker.say(Letter { name: "mute", ask: true, seq: 2, ..Letter::default() });
    let heard = callee.next().unwrap();
    let ServerToClient::Message(letter) = heard.message() else { panic!() };
    let answer = Answer { ask_id: letter.ask_id, body: b"in time", ..Answer::default() };
    let heard = mute.next().unwrap();
    assert!(matches!(heard.message(), ServerToClient::Message(_)));
    let stopped = Stopped::new(daemon.pid());
    let began = Instant::now();
    callee.say(answer);
    sleep_until(began + Duration::from_millis(1500));
    drop(stopped);
    // D5: each exactly once
    let mut answers = Vec::new();
    for _ in 0..2 {
        let heard = asker.next().expect("an answer");
        let ServerToClient::Reply(answer) = heard.message() else { panic!("{:?}", heard.message()) };
        answers.push((answer.seq, answer.code, answer.body.to_vec()));
    }
    answers.sort_by_key(|(seq, ..)| *seq);
    assert_eq!(answers, [(1, Code::Ok, b"in time".to_vec()), (2, Code::TimedOut, Vec::new())]);
    asker.write(&PING).unwrap();
    assert_eq!(asker.next().unwrap().kind, kind::PONG, "and nothing else");
}

#[test]
fn a_reader_that_caught_up_while_the_daemon_stood_still_is_not_slow() {
    let limits = "[limits]\noutbox = 4194304\nslow_after_ms = 1500\n";
    let mut daemon = Daemon::start(&format!("{METRICS}{limits}{TCP}"));
    let count = counters(&mut daemon);
    let (mut sender, mut reader) = (daemon.station("sender"), daemon.station("reader"));
    reader.join("flood");
    // It does not read, for a moment: its outbox is full.
    let body = vec![7; 30_000];
    while count("chappe_dropped_outbox_full_total") == 0 {
        for _ in 0..50 {
            sender.send("flood", &body);
        }
        assert!(sender.is_alive());
    }
    let stopped = Stopped::new(daemon.pid());
    let began = Instant::now();
    // Now it reads all there is, and there is no more because the daemon stands still.
    let mut heard = 0;
    while reader.next_within(Duration::from_millis(300)).is_some() {
        heard += 1;
    }
    sleep_until(began + Duration::from_millis(2500));
    drop(stopped);
    // As fast as anybody from here on.
    while reader.next_within(Duration::from_millis(1000)).is_some_and(|it| it.expect("not the end").kind != 0) {
        heard += 1;
    }
    assert!(heard > 140, "{heard}");
    assert!(reader.is_alive());
    assert_eq!(count("chappe_closed_slow_total"), 0);
}

#[test]
fn a_client_that_stands_still_costs_nobody_else_and_goes_on_where_it_was() {
    let limits = "[limits]\nslow_after_ms = 60000\nsilence_ms = 60000\n";
    let daemon = &mut Daemon::start(&format!("{METRICS}{limits}{TCP}"));
    let count = counters(daemon);
    let address = format!("tcp://{}", daemon.address("tcp"));
    let mut client = Command::new(CHAPPE)
        .args(["--connect", &address, "--json", "listen", "news"])
        .env_remove("CHAPPE_CONNECT")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufReader::new(client.stdout.take().unwrap());
    let lines = std::io::BufRead::lines(lines);
    let lines = std::thread::spawn(move || lines.map_while(Result::ok).take(2001).count());
    until("it listens", || count("chappe_used{table=\"memberships\"}") >= 1);
    let (mut sender, mut other) = (daemon.station("sender"), daemon.station("other"));
    other.join("news");
    let mut round = |from: u32| {
        let mut took = Vec::new();
        for n in from..from + 1000 {
            let began = Instant::now();
            sender.send("news", &n.to_be_bytes());
            assert_eq!(other.hear(), n.to_be_bytes());
            took.push(began.elapsed());
        }
        spread(&mut took)
    };
    let before = round(0);
    let stopped = Stopped::new(client.id());
    let during = round(1000);
    println!("another reader, before: {before}\n           during: {during}");
    drop(stopped);
    sender.send("news", b"last");
    // It has missed nothing: it fitted into its outbox.
    assert_eq!(lines.join().unwrap(), 2001);
    signal(client.id(), "TERM");
    client.wait().unwrap();
    assert_eq!((count("chappe_dropped_outbox_full_total"), count("chappe_closed_slow_total")), (0, 0));
}

#[test]
fn a_client_that_stands_still_for_too_long_is_closed_with_the_reason() {
    let limits = "[limits]\nslow_after_ms = 500\noutbox = 262144\nsilence_ms = 60000\n";
    let mut daemon = Daemon::start(&format!("{METRICS}{limits}{TCP}"));
    let count = counters(&mut daemon);
    let address = format!("tcp://{}", daemon.address("tcp"));
    let mut client = Command::new(CHAPPE)
        .args(["--connect", &address, "listen", "news"])
        .env_remove("CHAPPE_CONNECT")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("it listens", || count("chappe_used{table=\"memberships\"}") >= 1);
    let (mut sender, mut other) = (daemon.station("sender"), daemon.station("other"));
    other.join("news");
    let stopped = Stopped::new(client.id());
    let body = vec![7; 30_000];
    let mut sent = 0;
    while count("chappe_closed_slow_total") == 0 {
        sender.send("news", &body);
        assert_eq!(other.hear().len(), body.len());
        sent += 1;
    }
    println!("closed as slow after {sent} messages; another reader has had all of them");
    assert_eq!(daemon.event("connection.closed")["reason"], "slow");
    drop(stopped);
    // The command line comes back by itself.
    until("it listens again", || count("chappe_used{table=\"memberships\"}") >= 2);
    signal(client.id(), "TERM");
    client.wait().unwrap();
}

//! The time of day is set, forward and back, under a running daemon and between two of its
//! lives: nothing is lost by it, nothing expires for it, and what is newer counts.
//!
//! This machine's clock stays as it is: the daemon asks for the time of day through the C library,
//! and gets a library before it whose time a test sets (`support/step.c`, built with the
//! compiler that also links these tests). That the kernel tells of a clock that is set is in
//! `src/sys.rs`; what it then says about it to programs of the Communicator, in the core.

mod support;

use std::path::PathBuf;
use std::process::Command;

use chappe_core::dialect::messi::repr::{Code, Declare, Letter, ServerToClient, Store, StoreOp};
use support::{CHAPPE, Daemon, Station};

/// Whose clock can be set.
struct Steps {
    folder: tempfile::TempDir,
    library: PathBuf,
}

const DAY: i64 = 86_400;

impl Steps {
    fn new() -> Steps {
        let folder = tempfile::tempdir().unwrap();
        let (source, library) = (folder.path().join("step.c"), folder.path().join("step.so"));
        std::fs::write(&source, include_str!("support/step.c")).unwrap();
        let mut cc = Command::new("cc");
        let built = cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let steps = Steps { folder, library };
        steps.set(0);
        steps
    }

    /// So many seconds more than it is, or less.
    fn set(&self, seconds: i64) {
        // never half a number
        let (new, path) = (self.folder.path().join("new"), self.folder.path().join("step"));
        std::fs::write(&new, seconds.to_string()).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    fn start(&self) -> Daemon {
        let config = format!(
            "[[listeners]]\naddress = \"tcp://127.0.0.1:0\"\nanonymous = [\"read\", \"write\", \"manage\"]\n\
             [limits]\nkeep_ms = 3600000\n[store]\npath = \"{}/v.redb\"\n",
            self.folder.path().display()
        );
        Daemon::start_by(&config, |path| {
            let mut command = Command::new(CHAPPE);
            command.args(["serve", "--config"]).arg(path);
            command.env("LD_PRELOAD", &self.library).env("CHAPPE_TEST_STEP", self.folder.path().join("step"));
            command
        })
    }
}

fn kill(mut daemon: Daemon) {
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
}

fn ask(station: &mut Station, op: StoreOp, name: &str, value: &str) -> Result<String, Code> {
    station.say(Store { op, name, value: value.as_bytes(), seq: 7, amount: 1, ..Store::default() });
    match station.next().expect("an answer").message() {
        ServerToClient::Value(v) => Ok(String::from_utf8(v.value.to_vec()).unwrap()),
        ServerToClient::Outcome(o) if o.code == Code::Ok => Ok(String::new()),
        ServerToClient::Outcome(o) => Err(o.code),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_newer_counts_whatever_the_clock_says() {
    let steps = Steps::new();
    let mut expected = String::new();
    // Each life begins at another time than the one before, and sees it change once more.
    for (life, (at_start, later)) in
        [(0, DAY), (-DAY, 0), (400 * DAY, -400 * DAY), (-10 * DAY, -20 * DAY), (0, 0)].into_iter().enumerate()
    {
        steps.set(at_start);
        let mut daemon = steps.start();
        let mut s = daemon.station("s");
        if life > 0 {
            assert_eq!(ask(&mut s, StoreOp::Get, "value", ""), Ok(expected.clone()), "life {life}");
            assert_eq!(ask(&mut s, StoreOp::Get, "gone", ""), Err(Code::NotFound), "life {life}");
            assert_eq!(ask(&mut s, StoreOp::Add, "count", ""), Ok((3 * life + 1).to_string()));
        } else {
            assert_eq!(ask(&mut s, StoreOp::Add, "count", ""), Ok("1".into()));
        }
        for (n, step) in [at_start, later].into_iter().enumerate() {
            steps.set(step);
            expected = format!("{life} {n}");
            ask(&mut s, StoreOp::Set, "value", &expected).unwrap();
            assert_eq!(ask(&mut s, StoreOp::Get, "value", ""), Ok(expected.clone()), "life {life}");
            ask(&mut s, StoreOp::Add, "count", "").unwrap();
            ask(&mut s, StoreOp::Set, "gone", "x").unwrap();
            ask(&mut s, StoreOp::Remove, "gone", "").unwrap();
        }
        ask(&mut s, StoreOp::Flush, "", "").unwrap();
        kill(daemon);
    }
    println!("5 lives, 9 steps of up to 800 days: every change counts");
}

#[test]
fn mail_neither_goes_nor_stays_because_the_clock_was_set() {
    let steps = Steps::new();
    let mut daemon = steps.start();
    let mut s = daemon.station("s");
    s.say(Declare { seq: 3, name: "box", ..Declare::default() });
    assert_eq!(s.outcome(), Code::Ok);
    let mut keep = |body: &str, ttl_ms| {
        s.say(Letter { name: "box", body: body.as_bytes(), keep: true, ttl_ms, seq: 4, ..Letter::default() });
        assert_eq!(s.outcome(), Code::Kept);
    };
    keep("long", 3_600_000);
    steps.set(10 * DAY);
    keep("behind a step forward", 3_600_000);
    steps.set(-10 * DAY);
    keep("behind a step back", 3_600_000);
    keep("short", 1);
    assert_eq!(ask(&mut s, StoreOp::Flush, "", ""), Ok(String::new()));
    kill(daemon);
    // Two lives at other times, in which nobody comes.
    for (step, waiting) in [(2 * DAY, 3), (-2 * DAY, 3)] {
        steps.set(step);
        let mut daemon = steps.start();
        assert_eq!(daemon.event("mail.restored")["waiting"], waiting, "{step}");
        kill(daemon);
    }
    let mut daemon = steps.start();
    let mut s = daemon.station("s");
    s.join("box");
    for body in ["long", "behind a step forward", "behind a step back"] {
        assert_eq!(String::from_utf8(s.hear()).unwrap(), body);
    }
}

#[test]
fn a_question_s_time_is_its_own_whatever_the_clock_says() {
    let steps = Steps::new();
    let mut daemon = steps.start();
    let (mut asker, mut callee) = (daemon.station("asker"), daemon.station("callee"));
    callee.join("callee");
    asker.say(Letter { name: "callee", ask: true, ttl_ms: 1000, seq: 5, ..Letter::default() });
    let began = std::time::Instant::now();
    assert!(callee.next().is_some());
    steps.set(DAY);
    assert!(asker.is_alive() && callee.is_alive(), "a step forward ends nothing");
    steps.set(-DAY);
    let heard = asker.next().expect("an answer");
    let ServerToClient::Reply(answer) = heard.message() else { panic!("{:?}", heard.message()) };
    assert_eq!((answer.seq, answer.code), (5, Code::TimedOut));
    assert!(began.elapsed().as_millis() >= 990, "not early");
}

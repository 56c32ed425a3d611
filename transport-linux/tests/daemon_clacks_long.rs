//! Values of Clacks that are longer than stations of the native dialect may have them: they are
//! read and counted where they come from, and everybody else is told that they are there.

mod support;

use std::process::Command;

use chappe_core::dialect::messi::repr::{Code, Hello, Item, List, Outcome, ServerToClient, Store, StoreOp, What};
use support::{CHAPPE, Daemon, Station};

const LISTENERS: &str = "[[listeners]]\naddress = \"unix://FOLDER/native\"\nanonymous = [\"read\", \"write\"]\n\
    [[listeners]]\naddress = \"clacks://FOLDER/clacks\"\nanonymous = [\"read\", \"write\", \"manage\", \"link\"]\n";

fn get(station: &mut Station, name: &str) -> Result<usize, (Code, String)> {
    station.say(Store { seq: 5, op: StoreOp::Get, name, ..Store::default() });
    match station.next().unwrap().message() {
        ServerToClient::Value(value) => Ok(value.value.len()),
        ServerToClient::Outcome(Outcome { code, text, .. }) => Err((code, text.to_owned())),
        other => panic!("{other:?}"),
    }
}

fn change(station: &mut Station, store: Store<'_>) -> Code {
    station.say(Store { seq: 6, ..store });
    station.outcome()
}

/// All values: their names, octets that were shown, octets that were not.
fn list(station: &mut Station) -> Vec<(String, usize, u64)> {
    let (mut rows, mut after) = (Vec::new(), String::new());
    loop {
        station.say(List { seq: 7, what: What::Values, name: "", after: &after });
        loop {
            match station.next().unwrap().message() {
                ServerToClient::Item(Item { name, value, count, .. }) => {
                    rows.push((name.to_owned(), value.len(), count))
                }
                ServerToClient::Outcome(Outcome { code: Code::Ok, next, .. }) => {
                    after = next.to_owned();
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        if after.is_empty() {
            rows.sort();
            return rows;
        }
    }
}

#[test]
fn a_long_value_is_for_those_who_can_have_it_and_others_are_told() {
    let mut daemon = Daemon::start(LISTENERS);
    let mut clacks = daemon.clacks("any", "one");
    let mut native = Station::unix(daemon.address("unix"));
    native.hello("native");
    let long = "x".repeat(500_000);
    clacks.say(&format!("STORE long={long}"));
    clacks.say(&format!("STORE fits={}", &long[..32_768]));
    clacks.say(&format!("STORE over={}", &long[..32_769]));
    clacks.say("STORE short=1");
    assert_eq!(clacks.ask("RETRIEVE long"), format!("RETRIEVED long={long}"));

    assert_eq!((get(&mut native, "fits"), get(&mut native, "short")), (Ok(32_768), Ok(1)));
    for name in ["over", "long"] {
        let (code, text) = get(&mut native, name).unwrap_err();
        assert!(code == Code::TooBig && text.contains("another dialect"), "{code:?} {text}");
    }
    let all = |name: &str, shown, left_out| (name.to_owned(), shown, left_out);
    let want = [all("fits", 32_768, 0), all("long", 0, 500_000), all("over", 0, 32_769), all("short", 1, 0)];
    assert_eq!(list(&mut native), want);
    // Who takes short frames only is told of all values, too.
    let name = "n".repeat(128);
    clacks.say(&format!("STORE {name}={long}"));
    let mut small = Station::unix(daemon.address("unix"));
    small.hello_as(Hello { seq: 1, name: "small", max_frame: 160, ..Hello::default() }).unwrap();
    let want = [all("fits", 0, 32_768), want[1].clone(), all(&name, 0, 500_000), want[2].clone(), want[3].clone()];
    assert_eq!(list(&mut small), want);
    assert_eq!(get(&mut small, "fits").unwrap_err().0, Code::TooBig);

    // It is no number, whoever counts; who counts as Perl does begins anew.
    let add = Store { op: StoreOp::Add, amount: 1, name: "long", ..Store::default() };
    assert_eq!(change(&mut native, add), Code::NotANumber);
    clacks.say("INCREMENT long=2");
    assert_eq!(clacks.ask("RETRIEVE long"), "RETRIEVED long=2");
    assert_eq!(
        (get(&mut native, "long"), change(&mut native, Store { name: "over", ..add })),
        (Ok(1), Code::NotANumber)
    );
    // What is in the way can be taken away.
    assert_eq!(change(&mut native, Store { op: StoreOp::Remove, name: "over", ..Store::default() }), Code::Ok);
    let set = Store { op: StoreOp::Set, name: &name, value: &long.as_bytes()[..32_769], ..Store::default() };
    assert_eq!(change(&mut native, set), Code::TooBig);
    assert_eq!(change(&mut native, Store { value: &set.value[..32_768], ..set }), Code::Ok);
    assert_eq!(clacks.ask(&format!("RETRIEVE {name}")), format!("RETRIEVED {name}={}", &long[..32_768]));

    // Its bound can be set anew, as far as at start there was room for it; so can the other one.
    daemon.write_config(&format!("[limits]\nmax_value = 10\n{LISTENERS}"));
    daemon.signal("HUP");
    daemon.event("config.refused");
    daemon.write_config(&format!("[limits]\nmax_value = 16\n[clacks]\nmax_value = 2000000\n{LISTENERS}"));
    daemon.signal("HUP");
    assert_eq!(daemon.event("config.reloaded")["needs_restart"], "clacks.max_value");
    assert_eq!(get(&mut native, "fits").unwrap_err().0, Code::TooBig);
    let set = Store { op: StoreOp::Set, name: "set", value: &long.as_bytes()[..17], ..Store::default() };
    assert_eq!(change(&mut native, set), Code::TooBig);
    clacks.say(&format!("STORE set={}", &long[..17]));
    assert_eq!(clacks.ask("RETRIEVE set"), format!("RETRIEVED set={}", &long[..17]));
}

#[test]
fn what_is_longer_than_the_configuration_says_is_refused_by_name() {
    let daemon = Daemon::start(&format!("[clacks]\nmax_value = 1000\n{LISTENERS}"));
    let mut clacks = daemon.clacks("any", "one");
    let (most, more) = ("x".repeat(1000), "x".repeat(1001));
    clacks.say("STORE a=old");
    for line in [format!("STORE a={more}"), format!("SETANDSTORE a={more}"), format!("KEYSYNC 9999999999 1 U a={more}")]
    {
        let answer = clacks.ask(&line);
        assert!(answer.starts_with("OVERHEAD E too_big "), "{answer}");
        assert_eq!(clacks.ask("RETRIEVE a"), "RETRIEVED a=old");
    }
    for (key, line) in [("b", "STORE b="), ("c", "SETANDSTORE c="), ("d", "KEYSYNC 1800000000 1800000000 U d=")] {
        clacks.say(&format!("{line}{most}"));
        assert_eq!(clacks.ask(&format!("RETRIEVE {key}")), format!("RETRIEVED {key}={most}"), "{line}");
    }
}

#[test]
fn the_command_line_says_what_is_too_long_for_it() {
    let daemon = Daemon::start(LISTENERS);
    let mut clacks = daemon.clacks("any", "one");
    clacks.say(&format!("STORE long={}", "x".repeat(100_000)));
    clacks.say("STORE short=1");
    clacks.sync();
    let to = format!("unix://{}", daemon.address("unix"));
    let chappe = |args: &[&str]| {
        let output = Command::new(CHAPPE).args(args).args(["--connect", &to]).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    let (good, _, error) = chappe(&["get", "long"]);
    assert!(!good && error.contains("long") && error.contains("longer than Welcome.max_value"), "{error}");
    for args in [&["keys"][..], &["ls", "values"]] {
        let (good, out, error) = chappe(args);
        assert!(good && out.contains("(100000 bytes, too long to be shown)") && out.contains("short"), "{out}{error}");
    }
    let (_, out, _) = chappe(&["--json", "keys", "long"]);
    assert!(out.contains("\"bytes\":100000") && !out.contains("\"value\""), "{out}");
    let (_, out, _) = chappe(&["status"]);
    let row = |name: &str| out.lines().find(|l| l.split_whitespace().next() == Some(name)).map(str::to_owned);
    assert!(row("max_value").unwrap().contains("32768"), "{out}");
    assert!(row("clacks_max_value").unwrap().contains("1048576"), "{out}");
}

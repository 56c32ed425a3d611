//! What a hostile reader of the Communicator's dialect tried, and what must not come of it.

use chappe_core::router::{Counter, Gate, Grant, Rights};
use chappe_host_tests::communicator::Setup;
use chappe_host_tests::communicator::client::{Host, Opening, TAG};
use chappe_host_tests::communicator::ours::Ours;

const NONE: [&str; 0] = [];

/// Who has the password `p` may do everything, but only for names that begin with `b`.
struct Homely;

static HOMELY: Homely = Homely;

impl Gate for Homely {
    fn check(&self, _: &str, token: &[u8]) -> Option<Grant> {
        (token == b"p").then_some(Grant { rights: Rights::ALL, restricted: true, number: 1 })
    }
    fn allows(&self, _: Grant, _: Rights, name: &str) -> bool {
        name.starts_with('b')
    }
}

fn homely() -> Ours {
    Ours::with(Setup::default(), |s| s.gate = &HOMELY)
}

#[test]
fn a_service_that_gives_up_its_name_for_a_password_is_not_called_by_it() {
    // the name that it may not have any more is left, and the next one is refused
    let mut w = homely();
    let (a, b) = (w.service("foo"), w.service("watcher"));
    assert_eq!(w.ask(a, "REGISTER service=xyz;version=1;password=p").len(), 1);
    // its row may be another's now
    w.service("other");
    for name in ["foo", "other"] {
        assert_eq!(w.ask(b, &format!("{name}/PING")).len() + w.told(a).len(), 0, "{name} is not it");
    }
    assert_eq!(w.ask(a, "watcher/PING").len(), 1, "and it may say nothing there");
    assert_eq!(w.ask(a, "<:bold baz/X"), NONE);
}

#[test]
fn a_service_that_gives_up_its_name_for_a_password_has_the_new_one() {
    let mut w = homely();
    let a = w.service("foo");
    let b = w.service("watcher");
    w.told(b);
    w.tell(a, "REGISTER service=bar;version=1;password=p");
    w.told(a);
    w.tell(b, "bar/PING");
    assert_eq!(w.told(a), ["<hostA:watcher bar/PING"]);
}

#[test]
fn d9_who_listens_to_a_pattern_does_not_take_mail() {
    let mut w = Ours::new(|_| {});
    w.declare("bar");
    let s = w.station("native");
    w.join(s, "*");
    w.take(s);
    let foo = w.service("foo");
    assert_eq!(
        w.ask(foo, "bar/KEEP transmission_report=failure"),
        ["<hostA:communicatord TRANSMISSION_REPORT command=KEEP;status=cached"]
    );
    assert_eq!(w.letters(s).len(), 1, "it hears it all the same");
    let bar = w.visitor();
    w.tell(bar, "REGISTER service=bar;version=1");
    assert_eq!(w.told(bar).last().map(String::as_str), Some("<hostA:foo bar/KEEP transmission_report=failure"));
}

#[test]
fn nobody_takes_a_command_for_himself() {
    let mut w = Ours::new(|_| {});
    let a = w.visitor();
    let said = w.ask(a, "REGISTER service=_x2e__x2f_ALARM;version=1");
    assert!(said.len() == 1 && said[0].contains("INVALID command=REGISTER"), "{said:?}");
    let b = w.announcer("b", "ALARM");
    let c = w.service("c");
    w.tell(c, "./ALARM");
    assert_eq!(w.told(b), ["<hostA:c ./ALARM"]);
}

#[test]
fn d5_an_answer_by_its_number_finds_who_has_another_name_now() {
    let mut w = Ours::new(|_| {});
    let (foo, bar) = (w.service("foo"), w.service("bar"));
    w.tell(foo, "bar/GET reply_to=7");
    let line = w.told(bar).remove(0);
    let id = line.split("reply_to=").nth(1).unwrap().to_owned();
    w.register(foo, "fou");
    assert_eq!(w.ask(bar, &format!("hostA:foo/REPLY reply_to={id};body=1")), NONE);
    assert_eq!(w.told(foo), ["<hostA:bar hostA:foo/REPLY body=1;reply_to=7"]);
}

fn reply_to(line: &str) -> &str {
    line.split("reply_to=").nth(1).expect("a question")
}

#[test]
fn d5_an_answer_that_comes_too_late_asks_nothing() {
    let mut w = Ours::new(|_| {});
    let (foo, bar) = (w.service("foo"), w.service("bar"));
    w.tell(foo, "bar/GET reply_to=7");
    let line = w.told(bar).remove(0);
    w.wait(600_000);
    assert_eq!(w.told(foo).len(), 1, "there is none in time");
    for command in ["REPLY", "UNKNOWN", "INVALID"] {
        w.tell(bar, &format!("hostA:foo/{command} reply_to={};command=GET", reply_to(&line)));
        assert_eq!(w.told(bar), NONE);
        // a REPLY would be taken for one to a question of foo's own
        assert_eq!(w.told(foo).len(), usize::from(command != "REPLY"), "{command}");
        assert_eq!(w.used("requests"), 0);
    }
    assert_eq!(w.router.counters().get(Counter::StrayAnswers), 1);
    w.tell(foo, "bar/VALUE");
    assert_eq!(w.told(bar), ["<hostA:foo bar/VALUE"], "and nothing that foo says is an answer");
}

#[test]
fn d5_questions_to_and_fro_are_told_apart() {
    let mut w = Ours::new(|_| {});
    let (foo, bar) = (w.service("foo"), w.service("bar"));
    w.tell(foo, "bar/GET reply_to=1");
    w.told(bar);
    // bar asks foo in turn, under numbers that it counts itself
    for n in 1..=300 {
        w.tell(bar, &format!("foo/ASK reply_to={n}"));
        let asked = w.told(foo);
        assert!(asked.len() == 1 && asked[0].contains("/ASK "), "{n}: {asked:?}");
        w.tell(foo, &format!("bar/REPLY reply_to={}", reply_to(&asked[0])));
        assert_eq!(w.told(bar), [format!("<hostA:foo bar/REPLY reply_to={n}")]);
    }
}

#[test]
fn a_question_that_is_handed_on_as_it_came_is_answered_as_it_came() {
    let mut w = Ours::new(|_| {});
    let (foo, proxy, baz) = (w.service("foo"), w.service("proxy"), w.service("baz"));
    w.tell(foo, "proxy/GET reply_to=1");
    let id = reply_to(&w.told(proxy)[0]).to_owned();
    w.tell(proxy, &format!("baz/GET reply_to={id}"));
    let other = reply_to(&w.told(baz)[0]).to_owned();
    w.tell(baz, &format!("proxy/REPLY reply_to={other};body=1"));
    assert_eq!(w.told(proxy), [format!("<hostA:baz proxy/REPLY body=1;reply_to={id}")]);
    w.tell(proxy, &format!("foo/REPLY reply_to={id};body=1"));
    assert_eq!(w.told(foo), ["<hostA:proxy foo/REPLY body=1;reply_to=1"]);
}

#[test]
fn d5_answers_that_cannot_be_written() {
    let many: Vec<String> = (0..64).map(|n| format!("k{n}=1")).collect();
    for (answer, is_answer) in [
        // with the number it has more parameters than may be
        (format!("hostA:foo/VALUE {}", many.join(";")), true),
        (r#"{"service":"foo","command":"VALUE","parameters":{"a b":"1"}}"#.to_owned(), false),
        (r#"{"service":"foo","command":"VALUE","parameters":{"a":"x;y\\"}}"#.to_owned(), false),
        (r#"{"service":"foo"}"#.to_owned(), false),
        // these end the original's library
        ("hostA:foo/VA-LUE a=1".to_owned(), false),
        ("foo/value".to_owned(), false),
    ] {
        let mut w = Ours::new(|_| {});
        let (foo, bar) = (w.service("foo"), w.service("bar"));
        w.tell(foo, "bar/GET reply_to=7");
        let line = w.told(bar).remove(0);
        let said = w.ask(bar, &answer);
        if is_answer {
            assert_eq!((said.len(), w.heard(foo).len()), (0, 1), "{answer}");
            continue;
        }
        assert!(said.len() == 1 && said[0].starts_with(&format!("{TAG}INVALID ")), "{answer}: {said:?}");
        assert_eq!(w.told(foo), NONE);
        // it may still do better
        w.tell(bar, &format!("REPLY reply_to={}", reply_to(&line)));
        assert_eq!(w.told(foo), ["<hostA:bar REPLY reply_to=7"]);
    }
}

#[test]
fn datagrams_ask_nothing_and_wait_like_others() {
    let mut w = Ours::new(|_| {});
    w.declare("bar");
    let udp = w.open_as(Opening { datagram: true, ..Opening::default() });
    w.tell(udp, "bar/KEEP reply_to=5");
    let bar = w.visitor();
    w.tell(bar, "REGISTER service=bar;version=1");
    assert_eq!(w.told(bar).last().map(String::as_str), Some("bar/KEEP reply_to=5"));
    for n in 0..5000 {
        w.tell(udp, &format!("bar/GET reply_to={}", n + 1));
    }
    assert_eq!((w.told(bar).len(), w.used("requests")), (5000, 0));
}

#[test]
fn d12_commands_that_are_announced_without_end() {
    let mut w = Ours::new(|s| s.joins = 500);
    let (a, b) = (w.service("a"), w.service("b"));
    let list: Vec<String> = (0..400).map(|n| format!("C{n}")).collect();
    w.announce(a, &list.join(","));
    let line = format!("COMMANDS list={}", "A,".repeat(500_000));
    w.refused(a, &line);
    w.tell(b, "./A");
    w.tell(b, "./C399");
    assert_eq!(w.told(a), ["<hostA:b ./A", "<hostA:b ./C399"]);
    w.announce(a, &list.join(","));
}

#[test]
fn what_cannot_be_repeated_is_refused_all_the_same() {
    let mut w = Ours::new(|_| {});
    let a = w.service("a");
    for line in [
        r"foo;bar\",
        r"a-b/foo;bar\",
        r"a/foo;bar\",
        r"hostB:a/foo;bar\ transmission_report=failure",
        r#"{"command":"SERVICE_STATUS","parameters":{"service":"a;b\\"}}"#,
    ] {
        let said = w.ask(a, line);
        assert!(said.len() == 1 && said[0].starts_with(&format!("{TAG}INVALID message=")), "{line}: {said:?}");
    }
}

#[test]
fn d4_services_are_not_listed_without_end() {
    let mut w = Ours::new(|_| {});
    let (a, b) = (w.service("a"), w.service("b"));
    for n in 0..40 {
        let said = w.ask(a, "LIST_SERVICES");
        let want = if n < 16 { "SERVICES count=2" } else { "INVALID command=LIST_SERVICES" };
        assert!(said.len() == 1 && said[0].starts_with(&format!("{TAG}{want};")), "{n}: {said:?}");
    }
    assert!(w.ask(b, "LIST_SERVICES")[0].contains("SERVICES count=2"), "others may");
    w.wait(1000);
    assert!(w.ask(a, "LIST_SERVICES")[0].contains("SERVICES count=2"), "and it may again");
}

/// Weak point W5: who may not end a service may not do it in another dialect, either.
#[test]
fn stations_of_other_dialects_end_nobody_without_the_right() {
    use chappe_core::client::Options;
    use chappe_core::model::{Code, Letter};
    let mut w = Ours::new(|_| {});
    let x = w.service("foo");
    let rights = Rights::READ | Rights::WRITE;
    let s = w.station_with(Options { name: "weak", ..Options::default() }, rights);
    let m = w.station("strong");
    w.take(s);
    let say = |w: &mut Ours, s: usize, verb: &str, seq| {
        w.send(s, &Letter { name: "foo", verb, seq, ..Letter::default() });
    };
    say(&mut w, s, "STOP", 7);
    assert_eq!(w.outcomes(s, 7)[0].0, Code::Refused);
    // also among letters that are delivered as one
    for verb in ["X", "QUITTING", "X", "LOG_ROTATE", "STOPS"] {
        say(&mut w, s, verb, 0);
    }
    let verbs: Vec<String> = w.told(x).iter().map(|line| line.rsplit('/').next().unwrap().to_string()).collect();
    assert_eq!(verbs, ["X", "X", "STOPS"]);
    let seq = w.call(s, &Letter { name: "foo", verb: "RESTART", ..Letter::default() });
    assert_eq!(w.replies(s, seq)[0].0, Code::Refused);
    say(&mut w, m, "STOP", 0);
    assert_eq!(w.told(x).len(), 1);
}

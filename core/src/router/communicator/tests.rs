//! The node and a few clients of this dialect, wired by hand: the transcripts of section 10.1 and
//! what is the router's own. What each message does is tested in `host-tests`.

extern crate std;

use super::{Clock, Control};
use crate::dialect::Dialect;
use crate::id::StationId;
use crate::router::{Action, Gate, Grant, Newcomer, Reason, Rights, Router, Settings, Transport};
use crate::storage::Storage;
use crate::time::{Duration, Instant};
use std::boxed::Box;
use std::string::{String, ToString};
use std::vec::Vec;

/// Knows one service by its password.
struct Known;

impl Gate for Known {
    fn check(&self, user: &str, token: &[u8]) -> Option<Grant> {
        (user == "secure" && token == b"word").then_some(Grant {
            rights: Rights::READ | Rights::WRITE,
            restricted: false,
            number: 1,
        })
    }
    fn allows(&self, _: Grant, _: Rights, _: &str) -> bool {
        true
    }
}

static KNOWN: Known = Known;

type Memory = Storage<16, 64, 96, 16, 32, 8, 8, 8, 40, 1024, 128, 2048, 700, 2000>;

struct Node {
    now: Instant,
    router: Router<'static>,
    closed: Vec<(StationId, Reason)>,
}

impl Node {
    fn new() -> Node {
        let now = Instant::from_millis(1000);
        let storage: &'static mut Memory = Box::leak(Box::new(Storage::new()));
        let mut set = Settings::new("node", "1", &KNOWN);
        set.communicator.server = "hostA";
        set.communicator.my_address = Some("127.0.0.1:4042".parse().unwrap());
        set.communicator.secret = b"code";
        set.communicator.shutdown = true;
        set.communicator.outbox = 8192;
        let mut router = storage.router(set, now).unwrap();
        router.set_calendar(1_700_000_000_000_000);
        Node { now, router, closed: Vec::new() }
    }

    fn with_rights(&mut self, rights: Rights) -> StationId {
        let grant = Grant::anonymous(rights);
        let new = Newcomer { dialect: Dialect::Communicator, grant, ..Newcomer::default() };
        self.router.admit(self.now, new).unwrap()
    }

    /// A client that has registered.
    fn service(&mut self, name: &str, commands: &str) -> StationId {
        let id = self.with_rights(Rights::ALL);
        self.say(id, &std::format!("REGISTER service={name};version=1"));
        self.say(id, &std::format!("COMMANDS list={commands}"));
        let said = self.heard(id);
        assert_eq!(said[..2], ["<hostA:communicatord HELP", "<hostA:communicatord READY my_address=127.0.0.1:4042"]);
        id
    }

    fn say(&mut self, id: StationId, line: &str) {
        let line = std::format!("{line}\n");
        let taken = self.router.receive(self.now, id, line.as_bytes());
        assert_eq!(taken, line.len());
        self.router.check().unwrap();
    }

    /// What it has been told since it was last asked.
    fn heard(&mut self, id: StationId) -> Vec<String> {
        let mut said = Vec::new();
        while let Some(action) = self.router.next_action(self.now) {
            match action {
                Action::Write(to) => {
                    let bytes: Vec<u8> = self.router.output(to).flatten().copied().collect();
                    if to == id {
                        said.extend_from_slice(&bytes);
                    } else {
                        // it comes again when that one is asked
                        self.router.sent(self.now, to, 0);
                        continue;
                    }
                    self.router.sent(self.now, to, bytes.len());
                }
                Action::Close(id, why) => self.closed.push((id, why)),
                Action::Resume(_) => {}
            }
        }
        self.router.writable(self.now, id);
        if let Some(Action::Write(to)) = self.router.next_action(self.now)
            && to == id
        {
            let bytes: Vec<u8> = self.router.output(to).flatten().copied().collect();
            said.extend_from_slice(&bytes);
            self.router.sent(self.now, to, bytes.len());
        }
        String::from_utf8(said).unwrap().lines().map(str::to_string).collect()
    }
}

#[test]
fn d9_a_message_waits_for_its_service() {
    let mut node = Node::new();
    node.router.declare_name("bar");
    let foo = node.service("foo", "KEY");
    node.say(foo, "bar/REFRESH cache=ttl=30;transmission_report=failure");
    assert_eq!(node.heard(foo), ["<hostA:communicatord TRANSMISSION_REPORT command=REFRESH;status=cached"]);
    let bar = node.with_rights(Rights::ALL);
    node.say(bar, "REGISTER service=bar;version=1");
    assert_eq!(
        node.heard(bar),
        [
            "<hostA:communicatord HELP",
            "<hostA:communicatord READY my_address=127.0.0.1:4042",
            "<hostA:foo bar/REFRESH cache=ttl=30;transmission_report=failure",
        ]
    );
    node.say(bar, "UNREGISTER service=bar");
    node.say(foo, "bar/REFRESH cache=\"no;reply\";transmission_report=failure");
    assert_eq!(
        node.heard(foo),
        [
            "<hostA:communicatord SERVICE_UNAVAILABLE destination_service=bar;unsent_command=REFRESH",
            "<hostA:communicatord TRANSMISSION_REPORT command=REFRESH;status=failed",
        ]
    );
    node.say(foo, "bar/REFRESH cache=ttl=10");
    node.now = node.now + Duration::from_secs(11);
    node.router.tick(node.now);
    let bar = node.service("bar", "HELP");
    assert_eq!(node.heard(bar), [""; 0], "it has expired");
}

#[test]
fn from_service_to_service_and_back() {
    let mut node = Node::new();
    let (foo, bar) = (node.service("foo", "HELP"), node.service("bar", "HELP"));
    node.say(foo, "bar/FROB");
    assert_eq!(node.heard(bar), ["<hostA:foo bar/FROB"]);
    node.say(bar, "<:bar hostA:foo/UNKNOWN command=FROB");
    assert_eq!(node.heard(foo), ["<hostA:bar hostA:foo/UNKNOWN command=FROB"]);
    node.say(foo, "foo/X transmission_report=failure");
    assert_eq!(
        node.heard(foo),
        ["<hostA:communicatord TRANSMISSION_REPORT command=X;status=failed"],
        "nobody hears himself"
    );
}

#[test]
fn d2_broadcasts_reach_who_has_announced_them() {
    let mut node = Node::new();
    let (foo, bar) = (node.service("foo", "ALARM,HELP"), node.service("bar", "HELP,ALARM,STATUS"));
    let baz = node.service("baz", "HELP");
    assert_eq!(node.heard(bar).len(), 1, "baz is up");
    for to in [".", "?", "*", "*:*", "hostZ:."] {
        node.say(foo, &std::format!("{to}/ALARM a=1"));
        assert_eq!(node.heard(bar), [std::format!("<hostA:foo {to}/ALARM a=1")]);
    }
    assert_eq!((node.heard(foo), node.heard(baz)), (Vec::new(), Vec::new()));
    node.say(foo, "hostB:*/ALARM");
    assert_eq!(node.heard(foo).len(), 1);
    assert_eq!(node.heard(bar), [""; 0]);
}

#[test]
fn d7_d8_names_are_unique_and_their_end_is_told() {
    let mut node = Node::new();
    let watcher = node.service("watcher", "STATUS");
    let foo = node.service("foo", "HELP");
    assert_eq!(
        node.heard(watcher),
        ["<hostA:communicatord STATUS cache=no;server_name=hostA;service=foo;status=up;up_since=1700000001"]
    );
    let other = node.with_rights(Rights::ALL);
    node.say(other, "REGISTER service=foo;version=1");
    assert_eq!(
        node.heard(other),
        ["<hostA:communicatord INVALID command=REGISTER;message=somebody else has that name"]
    );
    assert_eq!(node.closed.pop(), Some((other, Reason::Denied)));
    node.say(foo, "REGISTER service=foo2;version=1");
    let said = node.heard(watcher);
    assert!(said[0].contains("service=foo2;status=up") && said[1].contains("service=foo;status=down"), "{said:?}");
    node.router.closed(node.now, foo);
    assert_eq!(
        node.heard(watcher),
        ["<hostA:communicatord STATUS cache=no;down_since=1700000001;server_name=hostA;service=foo2;status=down"]
    );
    node.say(watcher, "SERVICE_STATUS service=foo2");
    node.say(watcher, "SERVICE_STATUS service=watcher");
    node.say(watcher, "LIST_SERVICES");
    let said = node.heard(watcher);
    assert!(said[0].ends_with("service=foo2;status=unknown"));
    assert!(said[1].ends_with("service=watcher;status=up;up_since=1700000001"));
    assert_eq!(said[2], "<hostA:communicatord SERVICES count=1;list=watcher");
}

#[test]
fn d5_questions_to_and_from_other_dialects() {
    let mut node = Node::new();
    let (foo, bar) = (node.service("foo", "HELP"), node.service("bar", "HELP"));
    node.say(foo, "bar/GET x=1;reply_to=7");
    let asked = node.heard(bar);
    let id = asked[0].strip_prefix("<hostA:foo bar/GET reply_to=").unwrap().strip_suffix(";x=1").unwrap().to_string();
    node.say(bar, &std::format!("hostA:foo/REPLY a=b;reply_to={id}"));
    assert_eq!(node.heard(foo), ["<hostA:bar hostA:foo/REPLY a=b;reply_to=7"]);
    node.say(bar, &std::format!("hostA:foo/REPLY a=b;reply_to={id}"));
    assert_eq!(node.heard(foo), [""; 0], "once only");
    // one that knows nothing of it
    node.say(foo, "bar/GET x=2;reply_to=8");
    node.heard(bar);
    node.say(bar, "hostA:foo/KEY value=42");
    assert_eq!(node.heard(foo), ["<hostA:bar hostA:foo/KEY reply_to=8;value=42"]);
    node.say(foo, "nobody/GET reply_to=9");
    assert_eq!(node.heard(foo), ["<hostA:communicatord REPLY code=1;reply_to=9;text=no such recipient"]);
    node.say(foo, "bar/GET reply_to=10");
    node.router.closed(node.now, bar);
    assert!(node.heard(foo)[0].starts_with("<hostA:communicatord REPLY code=2;reply_to=10"));
}

#[test]
fn a_password_where_one_is_wanted() {
    let mut node = Node::new();
    let id = node.with_rights(Rights::NONE);
    node.say(id, "LIST_SERVICES");
    assert_eq!(
        node.heard(id),
        [
            "<hostA:communicatord INVALID command=LIST_SERVICES;message=this listener wants a REGISTER with a password first"
        ]
    );
    node.say(id, "REGISTER password=word;service=secure;version=1");
    assert_eq!(node.heard(id).len(), 2);
    node.say(id, "STOP");
    assert_eq!(node.heard(id), ["<hostA:communicatord INVALID command=STOP;message=no right to manage this server"]);
    let id = node.with_rights(Rights::NONE);
    node.say(id, "REGISTER password=wrong;service=secure;version=1");
    assert_eq!(node.heard(id).len(), 1);
    assert_eq!(node.closed.pop(), Some((id, Reason::Credentials)));
}

#[test]
fn datagrams_have_a_secret_and_no_answer() {
    let mut node = Node::new();
    let foo = node.service("foo", "LOG_ROTATE");
    let new = Newcomer { dialect: Dialect::Communicator, transport: Transport::Datagram, ..Newcomer::default() };
    let udp = node.router.admit(node.now, new).unwrap();
    for (datagram, want) in [
        (&b"foo/X a=1"[..], None),
        (b"foo/X a=1;secret_code=other", None),
        (b"foo/X a=1;secret_code=code", Some("foo/X a=1")),
        (b"./LOG_ROTATE secret_code=code\n", Some("./LOG_ROTATE")),
        (b"<host:ed_signal foo/Y secret_code=code", Some("<host:ed_signal foo/Y")),
        (b"<hostA:foo foo/Y secret_code=code", Some("foo/Y")),
        (b"REGISTER service=x;version=1;secret_code=code", None),
        (b"HELP secret_code=code", None),
        (b"nonsense=", None),
    ] {
        assert_eq!(node.router.receive(node.now, udp, datagram), datagram.len());
        assert_eq!(node.heard(foo), want.map(str::to_string).into_iter().collect::<Vec<_>>());
        assert_eq!(node.router.output(udp).count(), 0);
        let why = match datagram {
            b"foo/X a=1" | b"foo/X a=1;secret_code=other" => Some("a datagram without the right secret"),
            b"REGISTER service=x;version=1;secret_code=code" => Some("a command that is not taken in datagrams"),
            b"nonsense=" => node.router.misheard().map(|(_, why)| why).inspect(|why| assert!(!why.is_empty())),
            _ => None,
        };
        if datagram != b"nonsense=" {
            assert_eq!(node.router.misheard(), why.map(|why| (udp, why)));
        }
        assert_eq!(node.router.misheard(), None, "told once");
    }
    let _ = node.router.receive(node.now, udp, b"LOG_ROTATE secret_code=code");
    let _ = node.router.receive(node.now, udp, b"RELOAD secret_code=code");
    assert_eq!(node.router.control_asked(), Some((Control::LogRotate, udp)));
    assert_eq!(node.router.control_asked(), Some((Control::Reload, udp)), "neither hides the other");
    assert_eq!(node.router.control_asked(), None);
    let _ = node.router.receive(node.now, udp, b"STOP secret_code=code");
    assert_eq!(node.router.stop_asked(), Some(udp));
}

#[test]
fn clock_cluster_and_load() {
    let mut node = Node::new();
    let foo = node.service("foo", "CLOCK_STABLE,CLOCK_UNSTABLE");
    node.say(foo, "CLOCK_STATUS");
    node.say(foo, "CLUSTER_STATUS");
    assert_eq!(
        node.heard(foo),
        [
            "<hostA:communicatord CLOCK_UNSTABLE cache=no;clock_error=checking",
            "<hostA:communicatord ./CLUSTER_UP neighbors_count=1",
            "<hostA:communicatord ./CLUSTER_COMPLETE neighbors_count=1",
        ]
    );
    node.router.set_clock(node.now, Clock::Stable { verified: true });
    node.router.set_clock(node.now, Clock::Stable { verified: true });
    assert_eq!(node.heard(foo), ["<hostA:communicatord ./CLOCK_STABLE cache=no;clock_resolution=verified"]);
    assert!(!node.router.wants_load());
    node.say(foo, "REGISTER_FOR_LOADAVG");
    assert!(node.router.wants_load());
    node.router.set_load(node.now, 31);
    node.router.set_load(node.now, 40);
    assert_eq!(
        node.heard(foo),
        ["<hostA:communicatord LOADAVG avg=0.31;my_address=127.0.0.1:4042;timestamp=1700000001"]
    );
    // the clock has been set: what is told from then on goes by it
    node.router.set_time_of_day(node.now, 1_800_000_000_000_000);
    node.router.set_load(node.now, 50);
    let told = "<hostA:communicatord LOADAVG avg=0.50;my_address=127.0.0.1:4042;timestamp=1800000000";
    assert_eq!(node.heard(foo), [told]);
    node.router.set_time_of_day(node.now, 1_000_000_000_000_000);
    node.say(foo, "ALIVE");
    assert_eq!(node.heard(foo), ["<hostA:communicatord hostA:foo/ABSOLUTELY reply_timestamp=1000000000.000000000"]);
    node.router.closed(node.now, foo);
    assert!(!node.router.wants_load());
}

/// What comes in one piece is delivered in runs; nobody can tell.
#[test]
fn lines_in_one_piece_say_what_they_say_one_by_one() {
    let lines = [
        "bar/X a=1",
        "bar/X a=2;b=\"c;d\"",
        "bar/X a=3 ",
        "bar/X a",
        "bar/X a=4;reply_to=0",
        "<:foo bar/X a=5",
        "<:foo bar/X a=6",
        "<:spy bar/X a=7",
        "bar/X",
        "bar/X ",
        "bar/X\ta=8",
        "baz/X a=9",
        "./ALARM a=10",
        "./ALARM a=11",
        "foo/X a=12;transmission_report=failure",
        "nobody/X a=13;transmission_report=failure",
        "bar/X a=14\0b=1",
        "bar/Y a=15",
        "bar/X a=16",
        "COMMANDS list=ALARM",
        "./ALARM a=17",
        "bar/X a=18",
        "REGISTER service=foo2;version=1",
        "bar/X a=19",
        "UNREGISTER service=foo2",
        "bar/X a=20",
    ];
    let play = |whole: bool| {
        let mut node = Node::new();
        let all = [node.service("foo", "HELP"), node.service("bar", "ALARM,STATUS"), node.service("baz", "ALARM")];
        node.heard(all[1]);
        let mut bytes: Vec<u8> = lines.iter().flat_map(|line| std::format!("{line}\n").into_bytes()).collect();
        if whole {
            let mut left = &bytes[..];
            while !left.is_empty() {
                left = &left[node.router.receive(node.now, all[0], left)..];
            }
        } else {
            bytes.split_inclusive_mut(|b| *b == b'\n').for_each(|line| {
                assert_eq!(node.router.receive(node.now, all[0], line), line.len());
                node.router.check().unwrap();
            });
        }
        let said = all.map(|id| node.heard(id));
        (said, node.router.counters().get(crate::router::Counter::Letters))
    };
    let (one_by_one, in_one) = (play(false), play(true));
    assert_eq!(one_by_one, in_one);
    assert_eq!(in_one.0[1][..3], ["<hostA:foo bar/X a=1", "<hostA:foo bar/X a=2;b=\"c;d\"", "<hostA:foo bar/X a=3"]);
    assert!(in_one.0[1].contains(&"<hostA:foo2 bar/X a=19".to_string()));
}

//! What no server of the Communicator may fall over (`wire/communicator.md` sections 1.9 and 9): the sender is told,
//! stays connected, and others notice nothing.

use chappe_host_tests::communicator::client::{Host, Opening, TAG, show};
use chappe_host_tests::communicator::message::Message;
use chappe_host_tests::communicator::{Setup, each, each_with};

const NONE: [&str; 0] = [];

const INVALID: &str = "<hostA:communicatord INVALID message=*";

/// `foo`, and `bar` who announced `X`.
fn two(h: &mut dyn Host) -> (usize, usize) {
    (h.service("foo"), h.announcer("bar", "X"))
}

/// Everybody is well.
fn go_on(h: &mut dyn Host, a: usize, b: usize, at: &str) {
    h.tell(a, "bar/PING after=1");
    assert_eq!(h.told(b), ["<hostA:foo bar/PING after=1"], "{at}");
    h.fence(a);
}

/// Table B of section 1.11, and what else is no message.
const NO_MESSAGES: [&[u8]; 47] = [
    b"<remote:firewall",
    b"<remote:firewall ",
    b"<remote STOP",
    b"<re mote:x STOP",
    b"<remote:firewall  STOP",
    b":watchdog/STOP",
    b"/STOP",
    b"a:b:c/STOP",
    b"a/b/STOP",
    b"a/b:STOP",
    b"a/",
    b"a:",
    b"jungle:/STOP",
    b"bar/X  a=1",
    b"bar/X a",
    b"bar/X a;b=1",
    b"bar/X =1",
    b"bar/X a=1;;b=2",
    b"bar/X a=1; b=2",
    b"bar/X a=1;b",
    b"bar/X a-b=1",
    b"bar/X 1a=2",
    b"bar/X a b=2",
    b"bar/X a=\"x",
    b"bar/X a=\"x\"y",
    b"bar/X a=\"x\" ;b=1",
    b"bar/X a=\"ends\\\\\"",
    b"bar/X a=\"semi;ends\\\\\";b=2",
    b"bar/X \xff=1",
    b"bar/X a\0=1",
    b"\0",
    b"bar/\0X",
    b"<a:b \0STOP",
    b"{}",
    b"{",
    b"{\"command\"}",
    b"{\"command\":1}",
    b"{\"command\":\"A\"",
    b"{\"command\":\"A\"} x",
    b"{\"command\":\"A\",}",
    b"{\"command\":\"A\",\"parameters\":{\"x\":[1]}}",
    b"{\"command\":\"A\",\"parameters\":{\"x\":{\"y\":1}}}",
    b"{\"foo\":{}}",
    b"{\"service\":\"bar\"}",
    b"{\"command\":\"\",\"service\":\"bar\"}",
    b"{\"command\":\"\\ud800\"}",
    b"{\xff}",
];

#[test]
fn a_line_that_is_no_message_is_told_and_costs_only_itself() {
    each(|h| {
        let (foo, bar) = two(h);
        let visitor = h.visitor();
        for line in NO_MESSAGES {
            for c in [foo, visitor] {
                h.tell_bytes(c, &[line, b"\n"].concat());
                assert_eq!(h.told(c), [INVALID], "{}", line.escape_ascii());
                assert!(h.is_open(c));
            }
            go_on(h, foo, bar, &line.escape_ascii().to_string());
        }
        // a great many of them too
        for _ in 0..20 {
            for line in NO_MESSAGES {
                h.tell_bytes(visitor, &[line, b"\r\n"].concat());
            }
        }
        assert_eq!(h.told(visitor), vec![INVALID; 20 * NO_MESSAGES.len()]);
        // it can still become somebody
        h.register(visitor, "late");
        h.tell(visitor, "bar/PING");
        assert_eq!(h.told(bar), ["<hostA:late bar/PING"]);
        go_on(h, foo, bar, "after a thousand");
    });
}

#[test]
fn blank_lines_are_nothing() {
    each(|h| {
        let (foo, bar) = two(h);
        for line in [&b"\n"[..], b"\r\n", b"   \n", b" \t\x0b\x0c \r\n", b"\n\n\n\n", b"\r\r\n \n"] {
            h.tell_bytes(foo, line);
            assert_eq!(h.told(foo), NONE);
        }
        go_on(h, foo, bar, "blanks");
    });
}

#[test]
fn w3_illegal_names_that_end_the_original() {
    each(|h| {
        let (foo, bar) = two(h);
        let visitor = h.visitor();
        for c in [foo, visitor] {
            for command in
                ["foo-bar", "stop", "Foo-Bar", "123", "CMD\tx=1", "CMD;a=1", "[1]", "X.Y", "caf\u{e9}", "*", "."]
            {
                // to the daemon: it is unknown, or no command at all; said once
                let lines = h.ask(c, &format!("communicatord/{command}"));
                assert_eq!(lines.len(), 1, "{command}: {lines:?}");
                let m = Message::read(lines[0].as_bytes()).unwrap();
                assert!(m.command == "UNKNOWN" || m.command == "INVALID", "{m}");
                assert_eq!(m.get("command"), Some(show(command.as_bytes())));
                // to a service: whatever becomes of it, no original is sent what ends it
                h.clients()[bar].any = false;
                let lines = h.ask(c, &format!("bar/{command}"));
                assert!(lines.len() <= 1, "{lines:?}");
                let reached = h.told(bar);
                assert_eq!(reached.len() + lines.len(), 1, "{command}: delivered or told: {reached:?} {lines:?}");
                let lines = h.ask(c, &format!("./{command}"));
                assert!(lines.len() <= 1, "{lines:?}");
                assert_eq!(h.told(bar), NONE);
                // and as something that is announced
                h.tell(c, &format!("COMMANDS list=A,{command},B"));
                h.told(c);
            }
            for to in [
                "a-b/X",
                "caf\u{e9}/X",
                "1a/X",
                "a.b:c/X",
                "_s0/X",
                "_s1/X",
                "_s99999999999999999999/X",
                "_x2e_/X",
                "_x00_/X",
                "_xff_/X",
            ] {
                let lines = h.ask(c, to);
                assert!(lines.iter().all(|l| l.contains(" INVALID ")) && lines.len() <= 1, "{to}: {lines:?}");
                let lines = h.ask(c, &format!("{to} transmission_report=failure"));
                assert_eq!(lines.len(), 1, "{to}: D12, an answer");
                assert!(
                    lines[0].contains("TRANSMISSION_REPORT command=X;status=failed") || lines[0].contains(" INVALID ")
                );
            }
        }
        go_on(h, foo, bar, "illegal names");
    });
}

#[test]
fn w22_and_other_messages_of_servers_from_clients() {
    each(|h| {
        let (foo, bar) = two(h);
        let visitor = h.visitor();
        for c in [foo, visitor] {
            for line in [
                "UNREGISTER_FROM_LOADAVG",
                "REGISTER_FOR_LOADAVG",
                "UNREGISTER_FROM_LOADAVG",
                "UNREGISTER_FROM_LOADAVG",
                "LISTEN_LOADAVG ips=10.0.0.1:4042,nonsense",
                "LISTEN_LOADAVG ips=,",
                "LOADAVG avg=-1;my_address=10.0.0.1:4042;timestamp=1",
                "LOADAVG avg=1e999;my_address=x;timestamp=y",
            ] {
                let command = line.split(' ').next().unwrap();
                for l in h.ask(c, line) {
                    assert!(
                        l == format!("{TAG}INVALID command={command};message=*")
                            || l.starts_with(&format!("{TAG}LOADAVG ")),
                        "{line}: {l}"
                    );
                }
            }
            for line in [
                "ACCEPT",
                "CONNECT",
                "CONNECT version=abc",
                "DISCONNECT",
                "GOSSIP",
                "GOSSIP heard_of=x",
                "RECEIVED",
                "REFUSE",
                "CONNECT my_address=10.0.0.1:4042;server_name=a-b;version=1",
                "FORGET",
                "FORGET ip=nonsense",
                "CONNECT my_address=10.0.0.1:4042;password=x;server_name=hostA;username=y;version=1",
            ] {
                h.refused(c, line);
            }
        }
        go_on(h, foo, bar, "messages of servers");
    });
}

#[test]
fn schema_violations_are_told() {
    each(|h| {
        let (foo, bar) = two(h);
        for line in [
            "SERVICE_STATUS",
            "SERVICE_STATUS service=",
            "UNREGISTER",
            "UNREGISTER service=",
            "COMMANDS",
            "COMMANDS list=",
            "LISTEN_LOADAVG",
            "ALIVE serial=",
            "ALIVE timestamp=",
            "RESTART reason=",
        ] {
            h.refused(foo, line);
        }
        go_on(h, foo, bar, "violations");
    });
}

#[test]
fn json_is_input_of_any_transport() {
    each(|h| {
        let (foo, bar) = two(h);
        for (line, want) in [
            (r#"{"service":"bar","command":"X"}"#, "bar/X"),
            (
                r#"{"server":"hostA","service":"bar","command":"X","parameters":{"b":1,"a":"x;y","t":true,"n":null}}"#,
                "hostA:bar/X a=\"x;y\";b=1;n=;t=true",
            ),
            (r#"{"command":"X","service":".","parameters":{"a":"l\nm\\n\"q\""}}"#, "./X a=l\\nm\\n\"q\""),
            (
                r#"{"sent-from-server":"remote","sent-from-service":"firewall","service":"bar","command":"X","unknown":"x"}"#,
                "bar/X",
            ),
            (r#"{"service":"bar","command":"X","parameters":{"u":"é\ud83d\ude00"}}"#, "bar/X u=\u{e9}\u{1f600}"),
        ] {
            assert_eq!(h.ask(foo, line), NONE);
            assert_eq!(h.told(bar), [format!("<hostA:foo {want}")], "{line}");
        }
        // names that no message can hold
        for line in [
            r#"{"service":"bar","command":"X","parameters":{"a-b":"1"}}"#,
            r#"{"service":"bar","command":"X","parameters":{"":"1"}}"#,
            r#"{"service":"bar","command":"X","parameters":{"a":"x;y\\\\"}}"#,
            r#"{"service":"bar","command":"X","parameters":{"a=1;b":"1"}}"#,
            r#"{"service":"bar","command":"X\nSTOP"}"#,
            r#"{"service":"bar","command":"X STOP"}"#,
            r#"{"service":"b/ar","command":"X"}"#,
        ] {
            let lines = h.ask(foo, line);
            let reached = h.told(bar);
            // no line of its own making comes out at the other end
            assert!(
                reached.iter().all(|l| l.starts_with("<hostA:foo bar/X")) && reached.len() <= 1,
                "{line}: {reached:?}"
            );
            assert!(lines.len() <= 1, "{line}: {lines:?}");
            assert!(reached.len() + lines.len() == 1 || line.contains("b/ar"), "{line}: delivered or told");
        }
        go_on(h, foo, bar, "JSON");
    });
}

#[test]
fn nul_and_bytes_that_are_no_text() {
    each(|h| {
        let (foo, bar) = two(h);
        h.clients()[bar].any = true;
        for (said, heard) in [
            (&b"bar/X a=a\0b;b=2"[..], &b"<hostA:foo bar/X a=a"[..]),
            (b"bar/X\0 a=1", b"<hostA:foo bar/X"),
            (b"bar/X a=\xff\xfe", b"<hostA:foo bar/X a=\xff\xfe"),
            (b"bar/X a=\x01\x7f\x1b[31m", b"<hostA:foo bar/X a=\x01\x7f\x1b[31m"),
            (b"bar/X a=tab\tkept", b"<hostA:foo bar/X a=tab\tkept"),
            (b"bar/X a=\xc3\xa9", b"<hostA:foo bar/X a=\xc3\xa9"),
        ] {
            h.tell_bytes(foo, &[said, b"\n"].concat());
            assert_eq!(h.told(foo), NONE, "{}", said.escape_ascii());
            let lines = h.told_bytes(bar);
            assert_eq!(lines, [heard], "{}", said.escape_ascii());
        }
        go_on(h, foo, bar, "bytes");
    });
}

#[test]
fn half_a_line_at_the_end_is_nothing() {
    each(|h| {
        let (foo, bar) = two(h);
        let c = h.service("half");
        h.tell_bytes(c, b"bar/ONE\nbar/TW");
        h.part(c);
        assert_eq!(h.told(bar), ["<hostA:half bar/ONE"], "section 1.8: discarded");
        go_on(h, foo, bar, "half a line");
    });
}

#[test]
fn whatever_was_said_before_the_end_counts() {
    // weak point W21
    each(|h| {
        let (_, bar) = two(h);
        let c = h.service("burst");
        let said: String = (0..500).map(|n| format!("bar/X n={n}\n")).collect();
        h.tell_bytes(c, said.as_bytes());
        h.part(c);
        assert_eq!(h.told(bar).len(), 500);
    });
}

#[test]
fn lines_behind_unregister_do_not_count() {
    each(|h| {
        let (foo, bar) = two(h);
        let c = h.service("gone");
        h.tell_all(c, &["bar/ONE", "UNREGISTER service=gone", "bar/TWO", "REGISTER service=gone;version=1"]);
        assert_eq!(h.told(bar), ["<hostA:gone bar/ONE"]);
        assert!(!h.is_open(c));
        go_on(h, foo, bar, "unregistered");
    });
}

#[test]
fn datagrams_are_never_answered() {
    each(|h| {
        let (foo, bar) = two(h);
        let udp = h.open_as(Opening { datagram: true, ..Opening::default() });
        for line in [
            "HELP",
            "ALIVE",
            "PUBLIC_IP",
            "FROB",
            "communicatord/FROB",
            "CLOCK_STATUS",
            "SERVICE_STATUS service=foo",
            "LIST_SERVICES",
            "nobody/X transmission_report=failure",
            "hostB:*/X",
            "",
            "  ",
            "a-b/X",
            "<",
            "{",
            "\0",
            // for streams only
            "REGISTER service=udp;version=1",
            "COMMANDS list=X",
            "CLUSTER_STATUS",
            "UNREGISTER service=foo",
            "CONNECT my_address=10.0.0.1:4042;server_name=hostB;version=1",
            "GOSSIP my_address=10.0.0.1:4042",
            "REGISTER_FOR_LOADAVG",
            "UNREGISTER_FROM_LOADAVG",
            "ACCEPT",
            "REFUSE",
            "DISCONNECT",
        ] {
            h.tell(udp, line);
        }
        assert_eq!(
            h.ask(foo, "SERVICE_STATUS service=udp"),
            [format!("{TAG}STATUS cache=no;server_name=hostA;service=udp;status=unknown")]
        );
        // what needs no answer arrives, with the source that it claims
        h.tell(udp, "<laptop:ed_signal bar/PING a=1");
        h.tell(udp, "./X");
        h.tell(udp, "<hostA:foo bar/PING");
        h.tell(udp, "bar/PING\n");
        assert_eq!(h.told(bar), ["<laptop:ed_signal bar/PING a=1", "./X", "bar/PING", "bar/PING"]);
        // one message is one datagram: a second line is none
        h.tell(udp, "bar/PING a=1\nbar/PONG");
        h.clients()[bar].any = true;
        for line in h.told(bar) {
            assert!(!line.starts_with("bar/PONG") && !line.contains("PONG\n"), "{line}");
        }
        go_on(h, foo, bar, "datagrams");
    });
}

#[test]
fn datagrams_that_are_too_long_are_dropped_whole() {
    each(|h| {
        let (foo, bar) = two(h);
        let udp = h.open_as(Opening { datagram: true, ..Opening::default() });
        for (size, arrives) in [(1023, true), (1024, true), (1025, false), (4000, false), (60_000, false)] {
            let line = format!("bar/X a={}", "x".repeat(size - 8));
            h.tell(udp, &line);
            assert_eq!(h.told(bar).len(), arrives as usize, "{size}");
        }
        go_on(h, foo, bar, "long datagrams");
    });
}

#[test]
fn w25_the_secret_of_datagrams() {
    let setup = Setup { secret: "s3;cret", ..Setup::default() };
    each_with(setup, |h| {
        let (foo, bar) = two(h);
        let udp = h.open_as(Opening { datagram: true, ..Opening::default() });
        for line in [
            "bar/X",
            "bar/X secret_code=",
            "bar/X secret_code=wrong",
            "bar/X secret_code=\"s3;cret2\"",
            "bar/X secret_code=\"s3;cre\"",
            "bar/X secret_code=s3;a=1",
        ] {
            h.tell(udp, line);
        }
        assert_eq!(h.told(bar), NONE);
        // the next one counts, and goes on without it
        h.tell(udp, "bar/X a=1;secret_code=\"s3;cret\";z=2");
        assert_eq!(h.told(bar), ["bar/X a=1;z=2"]);
        h.tell(udp, "./X secret_code=\"s3;cret\"");
        assert_eq!(h.told(bar), ["./X"]);
        // streams need none
        go_on(h, foo, bar, "secrets");
    });
    each(|h| {
        let (_, bar) = two(h);
        let udp = h.open_as(Opening { datagram: true, ..Opening::default() });
        h.tell(udp, "bar/X secret_code=any");
        assert_eq!(h.told(bar), ["bar/X"], "anything goes, and still goes no further");
    });
}

#[test]
fn w5_datagrams_that_manage_need_the_right() {
    use chappe_core::router::Rights;
    each_with(Setup { shutdown: true, ..Setup::default() }, |h| {
        let (_, bar) = two(h);
        let udp = h.open_as(Opening { datagram: true, rights: Rights::READ | Rights::WRITE });
        for line in ["STOP", "SHUTDOWN", "bar/STOP", "./LOG_ROTATE", "LOG_ROTATE", "bar/RESTART"] {
            h.tell(udp, line);
        }
        assert!(!h.stop_asked());
        assert_eq!(h.told(bar), NONE);
        let root = h.open_as(Opening { datagram: true, ..Opening::default() });
        h.tell(root, "bar/STOP");
        h.tell(root, "communicatord/LOG_ROTATE");
        assert_eq!(h.told(bar), ["bar/STOP"]);
        h.tell(root, "STOP");
        assert!(h.stop_asked());
    });
}

#[test]
fn section_8_2_no_answers_to_answers() {
    each(|h| {
        let (foo, bar) = two(h);
        for line in [
            "UNKNOWN command=X",
            "INVALID command=X",
            "UNKNOWN",
            "ABSOLUTELY",
            "ABSOLUTELY reply_timestamp=abc",
            "SERVICE_UNAVAILABLE",
            "TRANSMISSION_REPORT",
            "INVALID command=",
        ] {
            assert_eq!(h.ask(foo, &format!("communicatord/{line}")), NONE, "{line}");
            assert_eq!(h.ask(foo, &format!("hostB:*/{line}")), NONE, "{line}");
        }
        go_on(h, foo, bar, "answers");
    });
}

#[test]
fn values_that_are_longer_than_any_that_means_something() {
    use chappe_host_tests::communicator::ours::Ours;
    let mut h = Ours::new(|_| {});
    let (foo, bar) = two(&mut h);
    // escapes are read into memory that holds the longest name
    let long = format!("\"a\\n{}\"", "x".repeat(200));
    for line in [
        format!("SERVICE_STATUS service={long}"),
        "COMMANDS list=\"X,\\n\"".to_string(),
        format!("SET name={long};value=1"),
        "SET name=;value=1".to_string(),
        "NOTIFY name=a::*".to_string(),
        "NOTIFY name=\"a\\nb\"".to_string(),
    ] {
        h.refused(foo, &line);
    }
    h.tell(bar, "./X");
    assert_eq!(h.told(foo), NONE, "it has announced nothing by that");
    assert_eq!(h.used("values"), 0);
    go_on(&mut h, foo, bar, "long values");
}

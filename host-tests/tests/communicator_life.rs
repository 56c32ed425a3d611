//! The life of a client of the Communicator (`wire/communicator.md` sections 3.1 to 3.5 and 3.9): registering,
//! names, passwords, what it is told of others, ends.

use chappe_core::id::StationId;
use chappe_core::router::{Gate, Grant, Reason, Rights, Verdict};
use chappe_host_tests::communicator::client::{Clock, Host, Opening, TAG};
use chappe_host_tests::communicator::message::Message;
use chappe_host_tests::communicator::ours::Ours;
use chappe_host_tests::communicator::{Setup, each, each_with};

const NONE: [&str; 0] = [];

fn own(rest: &str) -> String {
    format!("{TAG}{rest}")
}

const REFUSED: &str = "<hostA:communicatord INVALID command=REGISTER;message=*";

#[test]
fn the_life_of_section_3_1() {
    each(|h| {
        h.declare("foo");
        let other = h.service("other");
        h.tell(other, "foo/FIRST a=1");
        h.tell(other, "foo/SECOND");
        let c = h.visitor();
        assert_eq!(h.told(c), NONE, "nothing before it says something");
        assert_eq!(
            h.ask(c, "REGISTER service=foo;version=1"),
            [
                &own("HELP"),
                &own("READY my_address=127.0.0.1:4042"),
                "<hostA:other foo/FIRST a=1",
                "<hostA:other foo/SECOND",
            ]
        );
        assert_eq!(h.ask(c, "<:foo hostA:communicatord/COMMANDS list=ALIVE,CLUSTER_UP,HELP,STATUS,STOP"), NONE);
        assert_eq!(h.ask(c, "communicatord/CLOCK_STATUS"), [own("CLOCK_UNSTABLE cache=no;clock_error=checking")]);
        h.set_clock(Clock::Verified);
        assert_eq!(h.told(c), NONE, "it has not announced CLOCK_STABLE");
        assert_eq!(h.ask(c, "communicatord/CLOCK_STATUS"), [own("CLOCK_STABLE cache=no;clock_resolution=verified")]);
        assert_eq!(
            h.ask(c, "communicatord/CLUSTER_STATUS"),
            [own("./CLUSTER_UP neighbors_count=1"), own("./CLUSTER_COMPLETE neighbors_count=1")]
        );
        assert_eq!(h.ask(c, "UNREGISTER service=foo"), NONE, "no reply");
        assert!(!h.is_open(c), "the connection goes at once");
        h.fence(other);
    });
}

#[test]
fn readers_of_other_spellings_are_the_same() {
    // sections 0.1, 1.3 and 10: what a server has to take
    each(|h| {
        for (n, line) in [
            "REGISTER service=$;version=1",
            "REGISTER version=1;service=$",
            "REGISTER service=$;version=1;",
            "REGISTER service=\"$\";version=0x1\r",
            "  REGISTER service=$;version=+1  ",
            "communicatord/REGISTER service=$;version=01",
            ".:communicatord/REGISTER service=$;version=0b1",
            "*:communicatord/REGISTER service=$;version=1",
            "hostA:communicatord/REGISTER service=$;version=1",
            "hostA:REGISTER service=$;version=1",
            "<: REGISTER service=$;version=1",
            "<:$ REGISTER service=$;version=1",
            "<hostA: REGISTER service=$;version=1",
            "REGISTER service=x;service=$;version=2;version=1",
            "REGISTER service=$;version=1;unheard_of=",
            "{\"command\":\"REGISTER\",\"parameters\":{\"service\":\"$\",\"version\":1}}",
            " {\"parameters\":{\"version\":\"1\",\"service\":\"$\"},\"service\":\"communicatord\",\"command\":\"REGISTER\"} ",
        ]
        .into_iter()
        .enumerate()
        {
            let c = h.visitor();
            let lines = h.ask(c, &line.replace('$', &format!("s{n}")));
            assert_eq!(lines, [own("HELP"), own("READY my_address=127.0.0.1:4042")], "{line}");
            h.fence(c);
        }
    });
}

#[test]
fn w3_w6_names_and_versions_that_are_refused() {
    each(|h| {
        let long = "a".repeat(129);
        for line in [
            "REGISTER",
            "REGISTER service=foo",
            "REGISTER version=1",
            "REGISTER service=;version=1",
            "REGISTER service=foo;version=",
            "REGISTER service=foo;version=abc",
            "REGISTER service=foo;version=2",
            "REGISTER service=foo;version=0",
            "REGISTER service=foo;version=-1",
            "REGISTER service=foo;version=1.0",
            "REGISTER service=foo;version= 1",
            "REGISTER service=foo;version=99999999999999999999",
            "REGISTER service=foo;version=1;password=",
            "REGISTER service=a-b;version=1",
            "REGISTER service=a.b;version=1",
            "REGISTER service=1a;version=1",
            "REGISTER service=a b;version=1",
            "REGISTER service=\"a;b\";version=1",
            "REGISTER service=a/b;version=1",
            "REGISTER service=.;version=1",
            "REGISTER service=*;version=1",
            "REGISTER service=?;version=1",
            "REGISTER service=caf\u{e9};version=1",
            "REGISTER service=a\\nb;version=1",
            "REGISTER service=communicatord;version=1",
            "REGISTER service=_s1;version=1",
            "REGISTER service=_s99999999999;version=1",
            &format!("REGISTER service={long};version=1"),
        ] {
            let c = h.visitor();
            h.refused(c, line);
            // it stays, is nobody, and may try again
            h.fence(c);
            assert_eq!(h.ask(c, "LIST_SERVICES"), [own("SERVICES count=0")], "{line}");
            h.tell_all(c, &["bar/PING", "REGISTER service=foo;version=1"]);
            assert_eq!(h.told(c), [own("HELP"), own("READY my_address=127.0.0.1:4042")], "{line}");
            h.part(c);
        }
    });
}

#[test]
fn names_that_are_only_unusual() {
    each(|h| {
        for name in ["_", "_s", "_s1a", "_S1", "A", "communicatord2", "Communicatord", "STOP", &"n".repeat(128)] {
            let c = h.visitor();
            h.register(c, name);
            let other = h.service("other");
            h.tell(other, &format!("{name}/PING"));
            assert_eq!(h.told(c), [format!("<hostA:other {name}/PING")]);
            h.part(other);
            h.part(c);
        }
    });
}

#[test]
fn d8_a_name_is_one_services_and_whoever_comes_second_is_sent_away() {
    each(|h| {
        let first = h.service("foo");
        let second = h.visitor();
        h.tell_all(second, &["REGISTER service=foo;version=1", "LIST_SERVICES"]);
        assert_eq!(h.told(second), [REFUSED], "and nothing behind it counts");
        h.wait(3_000);
        assert!(!h.is_open(second), "so that a client of the library comes back and tries again");
        assert_eq!(h.told(first), NONE);
        h.fence(first);
        // it comes back, once the first has gone
        h.part(first);
        let third = h.service("foo");
        h.fence(third);
    });
}

#[test]
fn who_registers_again_is_called_otherwise() {
    each(|h| {
        let watcher = h.announcer("watcher", "STATUS");
        let c = h.service("foo");
        h.told(watcher);
        let other = h.service("other");
        h.told(watcher);
        h.wait(2_000);
        h.register(c, "bar");
        let news: Vec<(String, String)> =
            h.heard(watcher).iter().map(|m| (m.get("service").unwrap(), m.get("status").unwrap())).collect();
        let pair = |a: &str, b: &str| (a.to_string(), b.to_string());
        assert_eq!(news, [pair("bar", "up"), pair("foo", "down")]);
        h.tell(other, "bar/PING");
        h.tell(other, "foo/PING transmission_report=failure");
        assert_eq!(h.told(c), ["<hostA:other bar/PING"]);
        assert_eq!(h.told(other), [own("TRANSMISSION_REPORT command=PING;status=failed")]);
        h.tell(c, "other/PING");
        assert_eq!(h.told(other), ["<hostA:bar other/PING"]);
        // the old name is free, the other one is taken
        let foo = h.service("foo");
        h.tell(foo, "REGISTER service=bar;version=1");
        assert_eq!(h.told(foo), [REFUSED]);
        h.wait(3_000);
        assert!(!h.is_open(foo) && h.is_open(c));
        h.told(watcher);
        // what is refused for another reason changes nothing
        h.refused(c, "REGISTER service=a-b;version=1");
        h.tell(other, "bar/PING");
        assert_eq!(h.told(c), ["<hostA:other bar/PING"]);
        assert_eq!(h.told(watcher), NONE);
    });
}

#[test]
fn status_news_are_for_who_has_announced_status() {
    each(|h| {
        let watcher = h.announcer("watcher", "STATUS");
        let nobody = h.visitor();
        h.announce(nobody, "STATUS,UNKNOWN");
        let deaf = h.announcer("deaf", "STOP");
        let up = h.calendar();
        let line = |h: &dyn Host, rest: &str| format!("{TAG}STATUS cache=no;{rest};up_since={}", h.calendar());
        let deaf_up = line(h, "server_name=hostA;service=deaf;status=up");
        assert_eq!(h.told(watcher), std::slice::from_ref(&deaf_up));
        assert_eq!(h.told(nobody), [deaf_up], "who has no name may watch too");
        h.wait(5_000);
        // by each way in which it may end
        for how in 0..3 {
            let foo = h.service("foo");
            let began = h.calendar();
            for w in [watcher, nobody] {
                let want = format!("{TAG}STATUS cache=no;server_name=hostA;service=foo;status=up;up_since={began}");
                assert_eq!(h.told(w), [want]);
            }
            h.wait(7_000);
            let ended = h.calendar();
            match how {
                0 => h.tell(foo, "UNREGISTER service=foo"),
                1 => h.tell(foo, "UNREGISTER service=something_else"),
                _ => h.part(foo),
            }
            for w in [watcher, nobody] {
                let news = h.heard(w);
                assert_eq!(news.len(), 1, "{news:?}");
                assert_eq!(news[0].get("status").as_deref(), Some("down"));
                assert_eq!(news[0].get("service").as_deref(), Some("foo"));
                assert_eq!(news[0].get("down_since"), Some(ended.to_string()));
                assert!(news[0].get("up_since").is_none_or(|t| t == began.to_string()));
            }
        }
        assert_eq!(h.told(deaf), NONE);
        // who asks is told the same
        let want = format!("{TAG}STATUS cache=no;server_name=hostA;service=deaf;status=up;up_since={up}");
        assert_eq!(h.ask(deaf, "SERVICE_STATUS service=deaf"), std::slice::from_ref(&want), "also about itself");
        assert_eq!(h.ask(nobody, "communicatord/SERVICE_STATUS service=deaf"), [want]);
        for other in ["foo", "communicatord", "a-b", "_s1", "caf\u{e9}", "."] {
            let lines = h.ask(deaf, &format!("SERVICE_STATUS service={other}"));
            assert_eq!(lines, [own(&format!("STATUS cache=no;server_name=hostA;service={other};status=unknown"))]);
        }
        h.refused(deaf, "SERVICE_STATUS service=");
        h.refused(deaf, "SERVICE_STATUS");
    });
}

#[test]
fn nobody_is_told_about_itself() {
    each(|h| {
        let c = h.visitor();
        h.announce(c, "STATUS");
        h.register(c, "foo");
        assert_eq!(h.told(c), NONE);
        h.register(c, "bar");
        assert_eq!(h.told(c), NONE);
    });
}

#[test]
fn help_ready_news_and_mail_in_this_order() {
    each(|h| {
        h.declare("foo");
        let other = h.announcer("other", "STATUS,HELP");
        h.tell(other, "foo/ONE");
        let c = h.visitor();
        h.announce(c, "STATUS");
        h.tell(c, "REGISTER service=foo;version=1");
        let words: Vec<String> = h.heard(c).iter().map(|m| m.command.clone()).collect();
        assert_eq!(words, ["HELP", "READY", "ONE"]);
        assert_eq!(h.heard(other)[0].command, "STATUS");
    });
}

#[test]
fn section_3_3_nothing_is_gated_by_registration() {
    each(|h| {
        let foo = h.announcer("foo", "PING");
        let c = h.visitor();
        h.tell(c, "<:ed_signal foo/ONE a=1");
        h.tell(c, "<laptop:ed_signal foo/TWO");
        h.tell(c, "foo/THREE");
        h.tell(c, "<laptop:ed_signal ./PING");
        assert_eq!(
            h.told(foo),
            ["<:ed_signal foo/ONE a=1", "<laptop:ed_signal foo/TWO", "foo/THREE", "<laptop:ed_signal ./PING"]
        );
        // it is answered on its own connection
        assert_eq!(h.ask(c, "<laptop:ed_signal CLOCK_STATUS").len(), 1);
        assert_eq!(h.ask(c, "<laptop:ed_signal communicatord/FROB"), [own("laptop:ed_signal/UNKNOWN command=FROB")]);
        assert_eq!(h.ask(c, "FROB"), [own("UNKNOWN command=FROB")]);
        assert_eq!(h.ask(c, "<:ed_signal FROB"), [own("ed_signal/UNKNOWN command=FROB")]);
        // and cannot be addressed
        h.tell(foo, "ed_signal/PING transmission_report=failure");
        assert_eq!(h.told(foo), [own("TRANSMISSION_REPORT command=PING;status=failed")]);
        h.fence(c);
    });
}

#[test]
fn w5_sources_that_are_not_believed() {
    each(|h| {
        h.declare("installed");
        let foo = h.service("foo");
        let c = h.visitor();
        for claimed in [
            "<:foo",
            "<hostA:foo",
            "<hostB:foo",
            "<hostA:installed",
            "<hostA:communicatord",
            "<hostB:communicatord",
            "<:communicatord",
            "<hostA:a-b",
            "<:a:b",
            "<:caf\u{e9}",
            "<hostA:_s12",
            "<:_s1",
            "<:1a",
        ] {
            h.tell(c, &format!("{claimed} foo/PING"));
            assert_eq!(h.told(foo), ["foo/PING"], "{claimed}");
        }
        // of who has registered none is
        let bar = h.service("bar");
        for claimed in ["<:bar ", "<hostB:bar ", "<:foo ", "<hostA:communicatord ", "<: ", "<a:b:c ", ""] {
            h.tell(bar, &format!("{claimed}foo/PING"));
            assert_eq!(h.told(foo), ["<hostA:bar foo/PING"], "{claimed}");
        }
        assert_eq!(
            h.ask(bar, "<hostB:foo communicatord/FROB"),
            [own("hostA:bar/UNKNOWN command=FROB")],
            "nor by the daemon"
        );
    });
}

#[test]
fn alive_help_and_the_rest_of_what_a_daemon_answers() {
    each(|h| {
        let c = h.service("foo");
        let now = h.calendar();
        let lines = h.heard_of(c, "communicatord/ALIVE serial=a b;timestamp=1.5");
        assert_eq!(lines.len(), 1);
        let m = &lines[0];
        assert_eq!((m.server.as_str(), m.service.as_str(), m.command.as_str()), ("hostA", "foo", "ABSOLUTELY"));
        assert_eq!((m.get("serial").as_deref(), m.get("timestamp").as_deref()), (Some("a b"), Some("1.5")));
        let at = m.get("reply_timestamp").unwrap();
        let (seconds, nanos) = at.split_once('.').expect("section 0.1: 9 digits");
        assert_eq!((seconds, nanos.len()), (now.to_string().as_str(), 9));
        assert_eq!(m.params.len(), 3);
        let m = &h.heard_of(c, "ALIVE")[0];
        assert_eq!(m.params.len(), 1, "what it does not say is not repeated: {m}");
        h.refused(c, "ALIVE serial=");

        let help = h.ask(c, "HELP");
        assert_eq!(
            help,
            [own(
                "hostA:foo/COMMANDS list=ACCEPT,ALIVE,CLOCK_STATUS,CLUSTER_STATUS,COMMANDS,CONNECT,DISCONNECT,FORGET,\
                 GOSSIP,HELP,INVALID,LEAK,LISTEN_LOADAVG,LIST_SERVICES,LOADAVG,LOG_ROTATE,PUBLIC_IP,QUITTING,READY,\
                 REFUSE,REGISTER,REGISTER_FOR_LOADAVG,RESTART,SERVICE_STATUS,SERVICE_UNAVAILABLE,SHUTDOWN,STOP,\
                 UNKNOWN,UNREGISTER,UNREGISTER_FROM_LOADAVG"
            )]
        );
        // there is none, and the schema of the original wants both (weak point W23)
        h.refused(c, "PUBLIC_IP");
        for line in [
            "UNKNOWN command=X",
            "INVALID message=x",
            "ABSOLUTELY reply_timestamp=1",
            "READY",
            "QUITTING",
            "SERVICE_UNAVAILABLE destination_service=a;unsent_command=B",
            "TRANSMISSION_REPORT command=X;status=failed",
            "LEAK",
            "UNKNOWN",
            "INVALID",
            "ABSOLUTELY",
            "UNKNOWN command=",
            "INVALID command=;message=",
        ] {
            assert_eq!(h.ask(c, &format!("communicatord/{line}")), NONE, "{line}: no answer, or they never end");
        }
        for line in [
            "PING",
            "QUIT",
            "LOG message=a;timestamp=1",
            "BLOCK uri=1.2.3.4",
            "STATUS service=foo;status=up",
            "CLUSTER_UP neighbors_count=1",
            "CLOCK_STABLE",
            "HANGUP server_name=b",
            "DISCONNECTING",
            "Frob",
        ] {
            let command = line.split(' ').next().unwrap();
            assert_eq!(
                h.ask(c, &format!("communicatord/{line}")),
                [own(&format!("hostA:foo/UNKNOWN command={command}"))],
                "{line}"
            );
        }
        for line in [
            "ACCEPT my_address=10.0.0.1:4042;server_name=b",
            "DISCONNECT",
            "GOSSIP my_address=10.0.0.1:4042",
            "REFUSE",
            "CONNECT my_address=10.0.0.1:4042;server_name=hostB;version=1",
            "FORGET ip=10.0.0.9",
        ] {
            h.refused(c, line);
        }
        h.fence(c);
    });
}

#[test]
fn list_services_has_an_answer() {
    each(|h| {
        let c = h.visitor();
        assert_eq!(h.ask(c, "LIST_SERVICES"), [own("SERVICES count=0")]);
        let b = h.announcer("bar", "PING,STATUS");
        h.service("foo");
        h.told(b);
        let m = &h.heard_of(c, "communicatord/LIST_SERVICES")[0];
        let mut list: Vec<String> = m.get("list").unwrap().split(',').map(String::from).collect();
        list.sort();
        assert_eq!(
            (m.command.as_str(), m.get("count").as_deref(), list),
            ("SERVICES", Some("2"), vec!["bar".into(), "foo".into()])
        );
    });
}

#[test]
fn clock_states_and_who_hears_of_them() {
    each(|h| {
        let c = h.announcer("foo", "CLOCK_STABLE");
        let d = h.announcer("bar", "CLOCK_UNSTABLE");
        let nobody = h.visitor();
        for (clock, line) in [
            (Clock::Checking, "CLOCK_UNSTABLE cache=no;clock_error=checking"),
            (Clock::Verified, "CLOCK_STABLE cache=no;clock_resolution=verified"),
            (Clock::NoNtp, "CLOCK_STABLE cache=no;clock_resolution=no_ntp"),
            (Clock::Invalid, "CLOCK_UNSTABLE cache=no;clock_error=invalid"),
            (Clock::Invalid, "CLOCK_UNSTABLE cache=no;clock_error=invalid"),
            (Clock::Verified, "CLOCK_STABLE cache=no;clock_resolution=verified"),
        ] {
            h.set_clock(clock);
            for c in [c, d, nobody] {
                h.told(c);
                assert_eq!(h.ask(c, "CLOCK_STATUS"), [own(line)], "answered to whoever asks (7.5)");
            }
        }
        h.set_clock(Clock::Invalid);
        assert_eq!(h.told(d), [own("./CLOCK_UNSTABLE cache=no;clock_error=invalid")]);
        h.set_clock(Clock::Invalid);
        assert_eq!(h.told(d), NONE, "no change");
        h.set_clock(Clock::NoNtp);
        assert_eq!(h.told(c), [own("./CLOCK_STABLE cache=no;clock_resolution=no_ntp")]);
        assert_eq!((h.told(d), h.told(nobody)), (vec![], vec![]));
    });
}

#[test]
fn stop_and_shutdown_need_the_right_and_the_setting() {
    for shutdown in [false, true] {
        each_with(Setup { shutdown, ..Setup::default() }, |h| {
            let c = h.service("foo");
            let user = h.open_as(Opening { rights: Rights::READ | Rights::WRITE, datagram: false });
            for line in
                ["STOP", "communicatord/STOP", "SHUTDOWN", ".:communicatord/SHUTDOWN", "hostA:communicatord/STOP"]
            {
                h.tell(user, line);
                let command = if line.ends_with("STOP") { "STOP" } else { "SHUTDOWN" };
                assert_eq!(h.told(user), [own(&format!("INVALID command={command};message=*"))]);
                assert!(!h.stop_asked());
                h.tell(c, line);
                assert_eq!(h.stop_asked(), shutdown, "{line}");
                let said = h.told(c);
                match shutdown {
                    true => assert_eq!(said, NONE),
                    false => assert_eq!(said, [own(&format!("INVALID command={command};message=*"))]),
                }
                assert!(!h.stop_asked(), "told once");
            }
            h.tell(c, "hostB:communicatord/STOP");
            h.tell(c, "?:communicatord/STOP");
            assert!(!h.stop_asked(), "other servers");
            h.fence(user);
        });
    }
}

#[test]
fn w5_what_stops_services_needs_the_right_too() {
    each(|h| {
        let foo = h.announcer("foo", "STOP,LOG_ROTATE,RESTART,SHUTDOWN,PING");
        let user = h.open_as(Opening { rights: Rights::READ | Rights::WRITE, datagram: false });
        h.register(user, "user");
        for to in ["foo/", "./", "*/", "?/", "*:foo/"] {
            for command in ["STOP", "LOG_ROTATE", "RESTART", "SHUTDOWN", "QUITTING"] {
                h.refused(user, &format!("{to}{command}"));
            }
            h.tell(user, &format!("{to}PING"));
            assert_eq!(h.told(foo), [format!("<hostA:user {to}PING")], "nothing of the others");
        }
        for command in ["RESTART reason=upgrade", "LOG_ROTATE"] {
            h.refused(user, &format!("communicatord/{command}"));
        }
        let root = h.service("root");
        h.tell(root, "foo/STOP");
        h.tell(root, "./LOG_ROTATE");
        assert_eq!(h.told(foo), ["<hostA:root foo/STOP", "<hostA:root ./LOG_ROTATE"]);
        h.refused(root, "communicatord/RESTART reason=config");
        assert_eq!(h.ask(root, "communicatord/LOG_ROTATE"), NONE);
        // as it was called once
        assert_eq!(h.ask(root, "communicatord/LOG"), NONE);
        h.refused(user, "communicatord/LOG");
        h.fence(root);
    });
}

#[test]
fn rights_to_read_and_to_write() {
    each(|h| {
        let foo = h.announcer("foo", "PING");
        let reader = h.open_as(Opening { rights: Rights::READ, datagram: false });
        h.register(reader, "reader");
        h.announce(reader, "PING");
        for line in ["foo/PING", "./PING", "*/PING", "nobody/PING transmission_report=failure"] {
            h.refused(reader, line);
        }
        assert_eq!(h.told(foo), NONE);
        h.tell(foo, "reader/PING");
        h.tell(foo, "./PING");
        assert_eq!(h.told(reader), ["<hostA:foo reader/PING", "<hostA:foo ./PING"]);
        h.fence(reader);
        let writer = h.open_as(Opening { rights: Rights::WRITE, datagram: false });
        for line in
            ["COMMANDS list=PING", "SERVICE_STATUS service=foo", "LIST_SERVICES", "REGISTER service=writer;version=1"]
        {
            h.refused(writer, line);
        }
        h.tell(writer, "foo/PING");
        assert_eq!(h.told(foo), ["foo/PING"]);
        assert_eq!(h.ask(writer, "CLUSTER_STATUS").len(), 2);
    });
}

#[test]
fn passwords_of_services() {
    each(|h| {
        let nobody = Opening { rights: Rights::NONE, datagram: false };
        // right: it may what its user may
        let foo = h.open_as(nobody);
        assert_eq!(
            h.ask(foo, "REGISTER password=secret;service=foo;version=1"),
            [own("HELP"), own("READY my_address=127.0.0.1:4042")]
        );
        let reader = h.open_as(nobody);
        assert_eq!(h.ask(reader, "REGISTER password=\"r;\\\"\";service=reader;version=1").len(), 2, "with quotes");
        h.refused(reader, "foo/PING");
        h.tell(foo, "reader/PING");
        assert_eq!(h.told(reader), ["<hostA:foo reader/PING"]);
        // wrong: it is sent away
        for line in ["REGISTER service=foo;version=1;password=wrong", "REGISTER service=who;version=1;password=secret"]
        {
            for how in [nobody, Opening::default()] {
                let c = h.open_as(how);
                assert_eq!(h.ask(c, line), [REFUSED], "{line}");
                h.wait(3_000);
                assert!(!h.is_open(c), "{line}");
                assert_eq!(h.clients()[c].closed, Some(Reason::Credentials));
            }
        }
        // before it there is nothing, in time
        let c = h.open_as(nobody);
        let late = h.open_as(nobody);
        for line in
            ["foo/PING", "COMMANDS list=PING", "./PING", "CLUSTER_STATUS", "HELP", "REGISTER service=bar;version=1"]
        {
            h.refused(c, line);
        }
        assert_eq!(h.told(foo), NONE);
        h.part(foo);
        h.wait(2_000);
        assert_eq!(h.ask(c, "REGISTER service=foo;version=1;password=secret").len(), 2);
        h.wait(2_000);
        assert!(h.is_open(late));
        h.wait(3_000);
        assert!(!h.is_open(late), "hello_within");
        assert_eq!(h.clients()[late].closed, Some(Reason::NotIntroduced));
        h.fence(c);
    });
}

#[test]
fn last_words_when_the_node_stops() {
    each(|h| {
        let a = h.announcer("a", "DISCONNECTING,QUITTING,STATUS");
        let b = h.announcer("b", "QUITTING,STOP");
        let c = h.announcer("c", "STOP");
        let d = h.visitor();
        h.told(a);
        h.stop();
        h.wait(5_000);
        assert_eq!(h.told(a), [own("DISCONNECTING")]);
        assert_eq!(h.told(b), [own("QUITTING")]);
        assert_eq!((h.told(c), h.told(d)), (vec![], vec![]), "services are not sent STOP (3.9)");
        for x in [a, b, c, d] {
            assert_eq!(h.clients()[x].closed, Some(Reason::Stopping));
        }
    });
}

trait Hears {
    fn heard_of(&mut self, c: usize, line: &str) -> Vec<Message>;
}

impl Hears for dyn Host + '_ {
    /// Says a line and takes the messages that it heard then.
    fn heard_of(&mut self, c: usize, line: &str) -> Vec<Message> {
        self.tell(c, line);
        self.heard(c)
    }
}

/// Takes its time over every password.
struct Slowly;

impl Gate for Slowly {
    fn check(&self, _: &str, _: &[u8]) -> Option<Grant> {
        unreachable!("it is asked to decide")
    }

    fn decide(&self, _: StationId, _: &str, _: &[u8]) -> Verdict {
        Verdict::Later
    }

    fn allows(&self, _: Grant, _: Rights, _: &str) -> bool {
        true
    }
}

#[test]
fn a_password_that_takes_its_time() {
    static SLOWLY: Slowly = Slowly;
    let fresh = || Ours::new(|s| s.gate = &SLOWLY);
    let all = Grant::anonymous(Rights::ALL);
    for right in [true, false] {
        let mut w = fresh();
        let bar = w.announcer("bar", "STATUS,PING");
        let c = w.open_as(Opening { rights: Rights::NONE, datagram: false });
        w.tell_all(c, &["REGISTER service=foo;version=1;password=secret", "bar/PING", "./PING n=2"]);
        assert_eq!((w.told(c), w.told(bar)), (vec![], vec![]), "what stands behind it waits");
        let id = w.clients()[c].id.unwrap();
        let now = w.now;
        w.router.verified(now, id, if right { Verdict::Granted(all) } else { Verdict::Denied });
        Host::drive(&mut w);
        if right {
            assert_eq!(w.told(c), [own("HELP"), own("READY my_address=127.0.0.1:4042")]);
            let words: Vec<String> = w.heard(bar).iter().map(|m| m.command.clone()).collect();
            assert_eq!(words, ["STATUS", "PING", "PING"]);
            w.fence(c);
        } else {
            assert_eq!(w.told(c), [REFUSED]);
            w.wait(3_000);
            assert!(!w.is_open(c));
            assert_eq!(w.told(bar), NONE);
        }
    }
    // somebody else is faster, or it goes
    let mut w = fresh();
    let bar = w.announcer("bar", "STATUS");
    let c = w.visitor();
    w.tell(c, "REGISTER service=foo;version=1;password=secret");
    let id = w.clients()[c].id.unwrap();
    let fast = w.service("foo");
    w.told(bar);
    let now = w.now;
    w.router.verified(now, id, Verdict::Granted(all));
    Host::drive(&mut w);
    assert_eq!(w.told(c), [REFUSED], "D8: the first stays");
    w.wait(3_000);
    assert!(!w.is_open(c) && w.is_open(fast));
    let c = w.visitor();
    w.tell(c, "REGISTER service=qux;version=1;password=secret");
    let id = w.clients()[c].id.unwrap();
    w.part(c);
    let now = w.now;
    w.router.verified(now, id, Verdict::Granted(all));
    Host::drive(&mut w);
    assert_eq!(w.told(bar), NONE, "nobody came, nobody left");
    assert_eq!(w.used("stations"), 2);
    assert_eq!(w.used("names"), 3, "two services and STATUS");
}

#[test]
fn the_load_is_told_at_once_if_it_is_known_and_again_when_it_is_another() {
    let mut w = Ours::new(|_| {});
    let (a, b) = (w.service("a"), w.service("b"));
    let load = |w: &mut Ours, hundredths| {
        let now = w.now;
        w.router.set_load(now, hundredths);
        Host::drive(w);
    };
    let averages = |w: &mut Ours, c| -> Vec<String> { w.heard(c).iter().filter_map(|m| m.get("avg")).collect() };
    assert!(!w.router.wants_load());
    assert_eq!(w.ask(a, "REGISTER_FOR_LOADAVG"), NONE, "nobody has looked yet");
    assert!(w.router.wants_load());
    load(&mut w, 31);
    assert_eq!(averages(&mut w, a), ["0.31"]);
    w.tell(b, "REGISTER_FOR_LOADAVG");
    assert_eq!(averages(&mut w, b), ["0.31"], "known already");
    load(&mut w, 40);
    assert_eq!((averages(&mut w, a).len(), averages(&mut w, b).len()), (0, 0), "less than a tenth is no news");
    load(&mut w, 41);
    assert_eq!((averages(&mut w, a), averages(&mut w, b)), (vec!["0.41".into()], vec!["0.41".into()]));
    // who has gone, and who has said so, is told no more; the next one is not told what is long over
    w.part(a);
    w.tell(b, "UNREGISTER_FROM_LOADAVG");
    assert!(!w.router.wants_load());
    load(&mut w, 200);
    let c = w.service("c");
    load(&mut w, 300);
    assert_eq!(averages(&mut w, b).len(), 0);
    w.tell(c, "REGISTER_FOR_LOADAVG");
    let told = averages(&mut w, c);
    assert!(told.is_empty() || told == ["3.00"], "{told:?}");
}

#[test]
fn w5_reloading_needs_the_right_too() {
    let mut w = Ours::new(|_| {});
    let user = w.open_as(Opening { rights: Rights::READ | Rights::WRITE, datagram: false });
    w.register(user, "user");
    w.refused(user, "RELOAD");
    w.refused(user, "communicatord/RELOAD");
    assert!(w.router.control_asked().is_none());
    let root = w.service("root");
    assert_eq!(w.ask(root, "RELOAD"), NONE);
    assert!(w.router.control_asked().is_some());
}

#[test]
fn a_password_that_cannot_be_looked_at_now_is_not_wrong() {
    /// Has no time for anybody.
    struct Busy;
    impl Gate for Busy {
        fn check(&self, _: &str, _: &[u8]) -> Option<Grant> {
            unreachable!("it is asked to decide")
        }
        fn decide(&self, _: StationId, _: &str, _: &[u8]) -> Verdict {
            Verdict::Busy("come back later")
        }
        fn allows(&self, _: Grant, _: Rights, _: &str) -> bool {
            true
        }
    }
    static BUSY: Busy = Busy;
    let mut w = Ours::new(|s| s.gate = &BUSY);
    let c = w.open_as(Opening { rights: Rights::NONE, datagram: false });
    w.tell(c, "REGISTER service=foo;version=1;password=secret");
    assert_eq!(w.told(c), [own("INVALID command=REGISTER;message=*")]);
    w.wait(3_000);
    assert!(!w.is_open(c));
    assert_eq!(w.clients()[c].closed, Some(Reason::Unchecked));
    // one that is longer than any password is wrong without a look
    let c = w.visitor();
    let long = "\\n".repeat(2000);
    w.tell(c, &format!("REGISTER service=foo;version=1;password=\"{long}\""));
    assert_eq!(w.told(c), [REFUSED]);
    w.wait(3_000);
    assert_eq!((w.is_open(c), w.clients()[c].closed), (false, Some(Reason::Credentials)));
    assert_eq!((w.used("stations"), w.used("names")), (0, 0));
}

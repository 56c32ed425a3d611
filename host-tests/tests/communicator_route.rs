//! Where messages of the Communicator go on one node (`wire/communicator.md` sections 2 and 3.5): every row of the
//! page's tables, who hears broadcasts, and the rules D1 and D2.

use chappe_host_tests::communicator::client::{Host, TAG};
use chappe_host_tests::communicator::{Setup, each, each_with};

const NONE: [&str; 0] = [];

const FAILED: &str = "<hostA:communicatord TRANSMISSION_REPORT command=X;status=failed";

/// `foo` who sends, `cluck` who is addressed, `other`; the last two have announced `X`.
fn three(h: &mut dyn Host) -> (usize, usize, usize) {
    (h.service("foo"), h.announcer("cluck", "X"), h.announcer("other", "X,Y"))
}

#[test]
fn section_2_1_what_is_for_the_daemon_itself() {
    each(|h| {
        let (foo, cluck, other) = three(h);
        for line in [
            "X",
            "communicatord/X",
            ".:communicatord/X",
            "*:communicatord/X",
            "hostA:communicatord/X",
            "hostA:X",
            "*:X",
            ".:X",
        ] {
            assert_eq!(h.ask(foo, line), [format!("{TAG}hostA:foo/UNKNOWN command=X")], "{line}");
        }
        // other daemons, of which there are none
        for line in ["hostB:communicatord/X", "hostB:X", "?:communicatord/X", "?:X"] {
            assert_eq!(h.ask(foo, line), NONE, "{line}");
            assert_eq!(h.ask(foo, &format!("{line} transmission_report=failure")), [FAILED], "{line}");
        }
        assert_eq!((h.told(cluck), h.told(other)), (vec![], vec![]), "none of it goes on");
    });
}

#[test]
fn section_2_3_each_row_of_the_examples() {
    each(|h| {
        let (foo, cluck, other) = three(h);
        // one service: it, and nobody else
        for line in ["cluck/X", ".:cluck/X", "hostA:cluck/X", "*:cluck/X", "?:cluck/X"] {
            for params in ["", " a=1;b=\"x;y\"", " transmission_report=failure"] {
                let said = format!("{line}{params}");
                assert_eq!(h.ask(foo, &said), NONE, "{said}: whoever is reached is not reported");
                assert_eq!(h.told(cluck), [format!("<hostA:foo {said}")], "the destination stays");
            }
        }
        // directed messages need no announcement
        h.tell(foo, "cluck/NEVER_ANNOUNCED");
        assert_eq!(h.told(cluck), ["<hostA:foo cluck/NEVER_ANNOUNCED"]);
        // elsewhere, or nobody
        for line in
            ["hostB:cluck/X", "nobody/X", ".:nobody/X", "hostA:nobody/X", "*:nobody/X", "?:nobody/X", "hostB:nobody/X"]
        {
            assert_eq!(h.ask(foo, line), NONE, "{line}");
            assert_eq!(h.ask(foo, &format!("{line} transmission_report=failure")), [FAILED], "{line}");
            assert_eq!(h.ask(foo, &format!("{line} transmission_report=success")), NONE, "other values mean nothing");
            assert_eq!(h.ask(foo, &format!("{line} cache=\"no;reply\"")), NONE, "{line}: it is not installed");
        }
        assert_eq!((h.told(cluck), h.told(other)), (vec![], vec![]));
        // everybody who announced it
        for line in ["./X", "hostZ:./X", "hostA:./X", "?/X", "*:?/X", "*/X", "*:*/X", ".:./X", "?:./X"] {
            for params in ["", " a=1", " transmission_report=failure"] {
                let said = format!("{line}{params}");
                assert_eq!(h.ask(foo, &said), NONE, "{said}");
                for c in [cluck, other] {
                    assert_eq!(h.told(c), [format!("<hostA:foo {said}")], "unchanged");
                }
            }
        }
        // contradictions
        for line in ["hostB:*/X", ".:?/X", ".:*/X", "?:*/X", "hostA:*/X", "hostA:?/X", "?:?/X", "hostB:?/X"] {
            h.refused(foo, line);
        }
        assert_eq!((h.told(cluck), h.told(other)), (vec![], vec![]));
        for c in [foo, cluck, other] {
            h.fence(c);
        }
    });
}

#[test]
fn section_3_5_broadcasts_are_for_who_has_announced_them() {
    each(|h| {
        let a = h.announcer("a", "ONE,TWO");
        let b = h.announcer("b", "TWO");
        let c = h.service("c");
        h.tell_all(c, &["./ONE", "./TWO", "./THREE"]);
        assert_eq!(h.told(a), ["<hostA:c ./ONE", "<hostA:c ./TWO"]);
        assert_eq!(h.told(b), ["<hostA:c ./TWO"]);
        // lists add up, twice is once, blanks and what is no command are nothing
        h.announce(b, "THREE");
        h.announce(b, "THREE,THREE,TWO");
        h.tell_all(c, &["./ONE", "./TWO", "./THREE"]);
        assert_eq!(h.told(b), ["<hostA:c ./TWO", "<hostA:c ./THREE"]);
        // until it has gone
        h.part(b);
        h.tell(c, "./THREE transmission_report=failure");
        assert_eq!(h.told(c), NONE, "nobody reports on broadcasts");
        // who has no name may hear too
        let v = h.visitor();
        h.announce(v, "ONE");
        h.tell(c, "./ONE x=1");
        assert_eq!(h.told(v), ["<hostA:c ./ONE x=1"]);
        h.told(a);
        for line in ["COMMANDS", "COMMANDS list="] {
            h.refused(c, line);
        }
    });
}

#[test]
fn w33_d2_nobody_hears_himself_unless_that_is_wanted() {
    for echo in [false, true] {
        each_with(Setup { echo, ..Setup::default() }, |h| {
            let (a, b) = (h.announcer("a", "X"), h.announcer("b", "X"));
            h.tell(a, "./X n=1");
            let own: &[&str] = if echo { &["<hostA:a ./X n=1"] } else { &[] };
            assert_eq!(h.told(a), own);
            assert_eq!(h.told(b), ["<hostA:a ./X n=1"]);
            // directed never
            assert_eq!(h.ask(a, "a/X"), NONE);
            assert_eq!(h.ask(a, "a/X transmission_report=failure"), [FAILED]);
        });
    }
}

#[test]
fn d1_messages_arrive_in_the_order_sent() {
    each(|h| {
        let (foo, cluck, _) = three(h);
        let mut said = Vec::new();
        for n in 0..100 {
            said.push(format!("{} n={n}", ["cluck/X", "./X", "*/X", ".:cluck/Y", "hostA:cluck/Z"][n % 5]));
        }
        let lines: Vec<&str> = said.iter().map(String::as_str).collect();
        h.tell_all(foo, &lines);
        let want: Vec<String> = said.iter().map(|l| format!("<hostA:foo {l}")).collect();
        assert_eq!(h.told(cluck), want);
    });
}

#[test]
fn transcript_of_10_1_a_command_that_is_unknown_to_its_destination() {
    each(|h| {
        let (foo, bar) = (h.service("foo"), h.service("bar"));
        h.tell(foo, "bar/FROB");
        assert_eq!(h.told(bar), ["<hostA:foo bar/FROB"]);
        h.tell(bar, "<:bar hostA:foo/UNKNOWN command=FROB");
        assert_eq!(h.told(foo), ["<hostA:bar hostA:foo/UNKNOWN command=FROB"]);
    });
}

#[test]
fn alive_between_services() {
    each(|h| {
        let (foo, bar) = (h.service("foo"), h.service("bar"));
        h.tell(foo, "bar/ALIVE serial=7;timestamp=1.5");
        assert_eq!(h.told(bar), ["<hostA:foo bar/ALIVE serial=7;timestamp=1.5"]);
        h.tell(bar, "hostA:foo/ABSOLUTELY reply_timestamp=2;serial=7;timestamp=1.5");
        assert_eq!(h.told(foo), ["<hostA:bar hostA:foo/ABSOLUTELY reply_timestamp=2;serial=7;timestamp=1.5"]);
    });
}

#[test]
fn the_example_pair_of_8_3_by_the_bus() {
    each(|h| {
        let (s, c) = (h.service("server"), h.service("client"));
        for (from, to, word) in
            [(s, c, "HI"), (c, s, "DAD"), (s, c, "CLIMB"), (c, s, "TOP"), (s, c, "WHO"), (c, s, "MOM"), (s, c, "BYE")]
        {
            let (of, name) = if from == s { ("server", "client") } else { ("client", "server") };
            h.tell(from, &format!("{name}/{word}"));
            assert_eq!(h.told(to), [format!("<hostA:{of} {name}/{word}")]);
        }
    });
}

#[test]
fn broadcast_parameters_of_clients_mean_nothing_here() {
    // weak point W3: without a valid time the original ends
    each(|h| {
        let (foo, cluck, _) = three(h);
        for params in [
            "broadcast_msgid=hostB-1",
            "broadcast_msgid=hostB-1",
            "broadcast_msgid=hostB-1;broadcast_timeout=abc",
            "broadcast_msgid=hostB-1;broadcast_timeout=",
            "broadcast_msgid=;broadcast_timeout=1",
            "broadcast_hops=9;broadcast_msgid=hostB-1;broadcast_timeout=9999999999",
            "broadcast_hops=-1;broadcast_informed_neighbors=nonsense;broadcast_originator=?",
        ] {
            for to in ["cluck/X", "./X", "*/X"] {
                assert_eq!(h.ask(foo, &format!("{to} {params}")), NONE, "{to} {params}");
                assert_eq!(h.told(cluck), [format!("<hostA:foo {to} {params}")], "like any other");
            }
            assert_eq!(h.ask(foo, &format!("FROB {params}")), [format!("{TAG}hostA:foo/UNKNOWN command=FROB")]);
        }
    });
}

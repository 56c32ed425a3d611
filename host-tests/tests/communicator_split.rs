//! Streams of the Communicator cut at every octet: what everybody hears is the same as whole.

use chappe_host_tests::communicator::Kind;
use chappe_host_tests::communicator::client::{Host, show};

/// Who says what, in turn. Client 0 and 1 are there, `late` is installed.
const SCRIPTS: [&[(usize, &str)]; 5] = [
    // section 3.1
    &[
        (
            0,
            "REGISTER service=foo;version=1\n<:foo hostA:communicatord/COMMANDS list=ALIVE,CLUSTER_UP,HELP,STATUS\ncommunicatord/CLOCK_STATUS\ncommunicatord/CLUSTER_STATUS\n",
        ),
        (1, "REGISTER service=bar;version=1\r\n\r\n\nfoo/PING a=1\n./ALIVE serial=\"x;y\"\nUNREGISTER service=bar\n"),
    ],
    // section 10.1
    &[
        (0, "REGISTER service=foo;version=1\nlate/REFRESH cache=ttl=30;transmission_report=failure\n"),
        (1, "REGISTER service=late;version=1\nfoo/UNKNOWN command=REFRESH\n"),
        (0, "late/FROB cache=\"no;reply\"\nnobody/FROB transmission_report=failure\nFROB\n"),
    ],
    // what is wrong
    &[
        (1, "REGISTER service=bar;version=1\nCOMMANDS list=X\n"),
        (
            0,
            "bar/X a\n\0\nbar/X a=\0b;c=1\n  \nfoo-bar\nREGISTER service=a-b;version=1\n<a:b  X\n<a:b bar/X\nhostB:*/X\n",
        ),
    ],
    // JSON
    &[
        (1, "REGISTER service=bar;version=1\n"),
        (
            0,
            " {\"command\":\"REGISTER\",\"parameters\":{\"service\":\"foo\",\"version\":1}} \n{\"service\":\"bar\",\"command\":\"X\",\"parameters\":{\"a\":\"l\\nm\",\"n\":1e3,\"u\":\"\\u00e9\"}}\n{}\n",
        ),
    ],
    // names that are taken
    &[
        (0, "REGISTER service=foo;version=1\nREGISTER service=bar;version=1\n"),
        (1, "REGISTER service=bar;version=1\nLIST_SERVICES\n"),
    ],
];

/// What both have heard in the end, and whether they are still there.
fn play(
    h: &mut dyn Host,
    script: &[(usize, &str)],
    cut: impl Fn(usize, usize) -> Vec<usize>,
) -> Vec<(Vec<String>, bool)> {
    h.declare("late");
    let clients = [h.visitor(), h.visitor()];
    for (n, (who, said)) in script.iter().enumerate() {
        let mut left = said.as_bytes();
        let mut gone = 0;
        for at in cut(n, left.len()) {
            let (piece, rest) = left.split_at(at - gone);
            h.tell_bytes(clients[*who], piece);
            (left, gone) = (rest, at);
        }
        h.tell_bytes(clients[*who], left);
    }
    h.wait(3_000);
    clients.map(|c| (h.told(c), h.is_open(c))).into()
}

#[test]
fn octet_by_octet() {
    for kind in Kind::ALL {
        for script in SCRIPTS {
            let whole = play(&mut *kind.small(), script, |_, _| Vec::new());
            let want = play(&mut *Kind::Plain.small(), script, |_, _| Vec::new());
            assert_eq!(whole, want, "{kind:?} {}", show(script[0].1.as_bytes()));
            let octets = play(&mut *kind.small(), script, |_, len| (1..len).collect());
            assert_eq!(octets, want, "{kind:?} {}", show(script[0].1.as_bytes()));
        }
    }
}

#[test]
fn cut_once_at_every_octet() {
    for kind in Kind::ALL {
        for script in SCRIPTS {
            let whole = play(&mut *kind.small(), script, |_, _| Vec::new());
            for (n, (_, said)) in script.iter().enumerate() {
                for at in 1..said.len() {
                    let cut = play(&mut *kind.small(), script, |m, _| if m == n { vec![at] } else { vec![] });
                    assert_eq!(cut, whole, "{kind:?} {} cut at {at}", show(said.as_bytes()));
                }
            }
        }
    }
}

#[test]
fn datagrams_are_whole_whatever_a_wire_carries() {
    use chappe_host_tests::communicator::client::Opening;
    for kind in Kind::ALL {
        let mut h = kind.small();
        let bar = h.service("bar");
        let udp = h.open_as(Opening { datagram: true, ..Opening::default() });
        for line in ["bar/X a=1", "bar/", "bar/Y", "bar/Z a=\"half", "bar/Z"] {
            h.tell(udp, line);
        }
        assert_eq!(h.told(bar), ["bar/X a=1", "bar/Y", "bar/Z"], "none is the rest of another");
    }
}

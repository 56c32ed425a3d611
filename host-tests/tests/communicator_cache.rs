//! Messages that wait for a service of the Communicator (`wire/communicator.md` sections 3.6, 3.7, 10.1; D9).

use chappe_host_tests::communicator::client::{Host, Opening, TAG};
use chappe_host_tests::communicator::{Setup, each, each_with};

const NONE: [&str; 0] = [];

fn own(rest: &str) -> String {
    format!("{TAG}{rest}")
}

/// `foo`, and `bar` that is installed and not there.
fn two(h: &mut dyn Host) -> usize {
    h.declare("bar");
    h.service("foo")
}

/// `bar` comes: what it hears behind `HELP` and `READY`, and it goes again.
fn mail(h: &mut dyn Host, name: &str) -> Vec<String> {
    let c = h.visitor();
    let mut lines = h.ask(c, &format!("REGISTER service={name};version=1"));
    assert_eq!(lines[..2], [own("HELP"), own("READY my_address=127.0.0.1:4042")]);
    lines.drain(..2);
    h.part(c);
    lines
}

#[test]
fn transcripts_of_10_1() {
    each(|h| {
        let foo = two(h);
        assert_eq!(
            h.ask(foo, "bar/REFRESH cache=ttl=30;transmission_report=failure"),
            [own("TRANSMISSION_REPORT command=REFRESH;status=cached")]
        );
        assert_eq!(mail(h, "bar"), ["<hostA:foo bar/REFRESH cache=ttl=30;transmission_report=failure"]);
        assert_eq!(mail(h, "bar"), NONE, "once");
        assert_eq!(
            h.ask(foo, "bar/REFRESH cache=\"no;reply\";transmission_report=failure"),
            [
                own("SERVICE_UNAVAILABLE destination_service=bar;unsent_command=REFRESH"),
                own("TRANSMISSION_REPORT command=REFRESH;status=failed"),
            ]
        );
        assert_eq!(mail(h, "bar"), NONE);
    });
}

#[test]
fn what_is_kept_and_how_long() {
    // milliseconds at which it is still there, and at which it is not
    let kept = |s: u32| Some((s * 1000 - 500, s * 1000 + 1500));
    for (params, want) in [
        ("", kept(60)),
        (" cache=", kept(60)),
        (" a=1", kept(60)),
        (" cache=reply", kept(60)),
        (" cache=ttl=30", kept(30)),
        (" cache=ttl=30s", kept(30)),
        (" cache=ttl=10", kept(10)),
        (" cache=ttl=9.5", kept(10)),
        (" cache=ttl=5m", kept(300)),
        (" cache=\"ttl=5m;reply\"", kept(300)),
        (" cache=\"ttl=30;ttl=20\"", kept(20)),
        (" cache=ttl=1d", kept(86_400)),
        (" cache=ttl=86400", kept(86_400)),
        (" cache=ttl=86401", kept(60)),
        (" cache=ttl=9", kept(60)),
        (" cache=ttl=0", kept(60)),
        (" cache=ttl=-30", kept(60)),
        (" cache=ttl=abc", kept(60)),
        (" cache=ttl=", kept(60)),
        (" cache=ttl", kept(60)),
        (" cache=\"=5;unheard_of;;of=7\"", kept(60)),
        (" cache=no", None),
        (" cache=no=false", None),
        (" cache=\"no;ttl=30\"", None),
        (" cache=\"ttl=30;no\"", None),
    ] {
        each(|h| {
            let foo = two(h);
            assert_eq!(h.ask(foo, &format!("bar/X{params}")), NONE, "{params}");
            match want {
                None => assert_eq!(mail(h, "bar"), NONE, "{params}"),
                Some((before, after)) => {
                    h.wait(before);
                    assert_eq!(mail(h, "bar"), [format!("<hostA:foo bar/X{params}")]);
                    h.tell(foo, &format!("bar/X{params}"));
                    h.wait(after);
                    assert_eq!(mail(h, "bar"), NONE, "{params}: D9, never after it expires (weak point W14)");
                }
            }
        });
    }
}

#[test]
fn each_row_of_the_reports() {
    for (to, params, want) in [
        ("bar", "", vec![]),
        ("bar", "transmission_report=failure", vec!["cached"]),
        ("bar", "transmission_report=success", vec![]),
        ("bar", "transmission_report=", vec![]),
        ("bar", "cache=reply", vec![]),
        ("bar", "cache=reply;transmission_report=failure", vec!["cached"]),
        ("bar", "cache=no", vec![]),
        ("bar", "cache=no;transmission_report=failure", vec!["failed"]),
        ("bar", "cache=\"no;reply\"", vec!["unavailable"]),
        ("bar", "cache=\"reply;no\";transmission_report=failure", vec!["unavailable", "failed"]),
        // not installed: nothing waits (weak point W15: but it is said)
        ("qux", "", vec![]),
        ("qux", "cache=\"no;reply\"", vec![]),
        ("qux", "transmission_report=failure", vec!["failed"]),
        ("qux", "cache=ttl=30;transmission_report=failure", vec!["failed"]),
        // any or own server
        (".:bar", "transmission_report=failure", vec!["cached"]),
        ("*:bar", "transmission_report=failure", vec!["cached"]),
        ("?:bar", "transmission_report=failure", vec!["cached"]),
        ("hostA:bar", "transmission_report=failure", vec!["cached"]),
        ("hostB:bar", "transmission_report=failure", vec!["failed"]),
        ("hostB:bar", "cache=\"no;reply\";transmission_report=failure", vec!["failed"]),
    ] {
        each(|h| {
            let foo = two(h);
            let space = if params.is_empty() { "" } else { " " };
            let said = format!("{to}/X{space}{params}");
            let want: Vec<String> = want
                .iter()
                .map(|w| match *w {
                    "unavailable" => own("SERVICE_UNAVAILABLE destination_service=bar;unsent_command=X"),
                    status => own(&format!("TRANSMISSION_REPORT command=X;status={status}")),
                })
                .collect();
            assert_eq!(h.ask(foo, &said), want, "{said}");
            let is_kept =
                want.iter().any(|w| w.ends_with("cached")) || (want.is_empty() && to == "bar" && !said.contains("=no"));
            let lines: Vec<String> = if is_kept { vec![format!("<hostA:foo {said}")] } else { vec![] };
            assert_eq!(mail(h, "bar"), lines, "{said}");
        });
    }
}

#[test]
fn d9_in_the_order_in_which_they_came_from_several() {
    each(|h| {
        let foo = two(h);
        let other = h.service("other");
        let ed = h.visitor();
        h.tell(foo, "bar/A n=1");
        h.tell(other, ".:bar/B cache=ttl=20;n=2");
        h.tell(ed, "<laptop:ed_signal bar/C n=3");
        h.tell(foo, "bar/D cache=ttl=12;n=4");
        h.tell(ed, "bar/E n=5");
        h.tell(foo, "bar/F n=6");
        // who sent it may have gone
        h.part(foo);
        h.part(ed);
        h.wait(15_000);
        assert_eq!(
            mail(h, "bar"),
            [
                "<hostA:foo bar/A n=1",
                "<hostA:other .:bar/B cache=ttl=20;n=2",
                "<laptop:ed_signal bar/C n=3",
                "bar/E n=5",
                "<hostA:foo bar/F n=6",
            ]
        );
    });
}

#[test]
fn who_is_there_gets_it_at_once_and_whoever_was_there_may_have_mail() {
    each(|h| {
        let foo = two(h);
        let bar = h.service("bar");
        h.tell(foo, "bar/X transmission_report=failure");
        assert_eq!(
            (h.told(bar), h.told(foo)),
            (vec!["<hostA:foo bar/X transmission_report=failure".to_string()], vec![])
        );
        h.part(bar);
        h.tell(foo, "bar/Y");
        assert_eq!(mail(h, "bar"), ["<hostA:foo bar/Y"]);
        // by a second name it is found too
        h.tell(foo, "bar/Z");
        let c = h.service("qux");
        let lines = h.ask(c, "REGISTER service=bar;version=1");
        assert_eq!(lines[2..], ["<hostA:foo bar/Z"]);
        // what comes now is behind it
        h.tell(foo, "bar/Z2");
        assert_eq!(h.told(c), ["<hostA:foo bar/Z2"]);
    });
}

#[test]
fn mail_is_for_its_own_service() {
    each(|h| {
        let foo = two(h);
        h.declare("baz");
        h.tell_all(foo, &["bar/ONE", "baz/TWO", "bar/THREE"]);
        assert_eq!(mail(h, "qux"), NONE);
        assert_eq!(mail(h, "baz"), ["<hostA:foo baz/TWO"]);
        assert_eq!(mail(h, "bar"), ["<hostA:foo bar/ONE", "<hostA:foo bar/THREE"]);
    });
}

#[test]
fn what_it_says_comes_back_as_it_was_said() {
    for params in [
        "a=1",
        "a=x=y",
        "a=he said \"hi\"",
        "a=\"x;y\";b=2",
        "a=one\\ntwo\\r\\\\three",
        "a=\"say \\\"hi\\\"; bye\"",
        "text= lead",
        "A=1;_b=2;c=3",
        "cache=\"ttl=1h;reply\";transmission_report=other",
        "broadcast_msgid=x-1;secure_remote=false",
    ] {
        each(|h| {
            let foo = two(h);
            h.tell(foo, &format!("bar/X {params}"));
            assert_eq!(mail(h, "bar"), [format!("<hostA:foo bar/X {params}")]);
        });
    }
}

#[test]
fn broadcasts_do_not_wait() {
    each(|h| {
        let foo = two(h);
        assert_eq!(h.ask(foo, "./X transmission_report=failure"), NONE);
        let c = h.visitor();
        h.announce(c, "X");
        h.register(c, "bar");
    });
}

#[test]
fn w25_a_secret_is_not_kept_with_what_waits() {
    each_with(Setup { secret: "s3cret", ..Setup::default() }, |h| {
        two(h);
        let udp = h.open_as(Opening { datagram: true, ..Opening::default() });
        h.tell(udp, "bar/X a=1;secret_code=s3cret;z=2");
        h.tell(udp, "<laptop:tool bar/Y secret_code=s3cret");
        h.tell(udp, "bar/Z secret_code=wrong");
        assert_eq!(mail(h, "bar"), ["bar/X a=1;z=2", "<laptop:tool bar/Y"]);
    });
}

//! Bad input of Net::Clacks: whatever comes, only the connection it comes from is concerned, and it is told
//! what the page has for it (`wire/clacks.md` sections 3 to 6, 9, 18).

use chappe_core::router::Rights;
use chappe_host_tests::clacks::host::Host;
use chappe_host_tests::clacks::users::User;
use chappe_host_tests::clacks::{each, token};
use chappe_host_tests::random::Random;

/// Two who talk to each other, and must go on doing so.
struct Others {
    a: usize,
    b: usize,
    n: u32,
}

impl Others {
    fn new(h: &mut dyn Host) -> Self {
        let (a, b) = (h.client(User::Main), h.client(User::Main));
        h.tell(b, "LISTEN others");
        Others { a, b, n: 0 }
    }

    fn go_on(&mut self, h: &mut dyn Host, at: &str) {
        self.n += 1;
        h.tell(self.a, &format!("SET others={}", self.n));
        assert_eq!(h.told(self.b), [format!("SET others={}", self.n)], "{at}");
        h.fence(self.a);
        h.fence(self.b);
    }
}

/// A line, and what its answer is for who may do it: `None`: any; what it needs.
const COMMANDS: [(&str, Rights, &[&str]); 29] = [
    ("NOTIFY n", Rights::WRITE, &[]),
    ("NOTIFY ", Rights::WRITE, &[]),
    ("SET n=v", Rights::WRITE, &[]),
    ("SETANDSTORE n=v", Rights::WRITE, &[]),
    ("STORE n=v", Rights::WRITE, &[]),
    ("REMOVE n", Rights::WRITE, &[]),
    ("INCREMENT n", Rights::WRITE, &[]),
    ("INCREMENT n=5", Rights::WRITE, &[]),
    ("DECREMENT n", Rights::WRITE, &[]),
    ("DECREMENT n=5", Rights::WRITE, &[]),
    ("OVERHEAD GM text", Rights::WRITE, &[]),
    ("RETRIEVE no", Rights::READ, &["NOTRETRIEVED no"]),
    ("KEYLIST", Rights::READ, &["KEYLISTSTART", "KEYLISTEND"]),
    ("LISTEN n", Rights::READ, &[]),
    ("UNLISTEN n", Rights::READ, &[]),
    ("CLEARCACHE", Rights::MANAGE, &[]),
    ("UNMONITOR", Rights::MANAGE, &[]),
    ("CLIENTDISCONNECT nobody", Rights::MANAGE, &[]),
    ("OVERHEAD C 1", Rights::MANAGE, &["", "QUIT"]),
    ("OVERHEAD C 0", Rights::NONE, &[]),
    ("KEYSYNC 1 1 U a=b", Rights::LINK, &[]),
    ("OVERHEAD M text", Rights::NONE, &[]),
    ("OVERHEAD N text", Rights::NONE, &[]),
    ("OVERHEAD T 5", Rights::NONE, &[]),
    ("OVERHEAD E text", Rights::NONE, &[]),
    ("PING", Rights::NONE, &[]),
    ("NOPING", Rights::NONE, &[]),
    ("FLUSH 1", Rights::NONE, &["FLUSHED 1"]),
    ("NONSENSE", Rights::NONE, &["OVERHEAD E unknown_command NONSENSE"]),
];

#[test]
fn what_is_not_permitted_does_nothing_and_is_answered_once() {
    for user in User::ALL {
        for (line, need, answer) in COMMANDS {
            each(|h| {
                let c = h.client(user);
                let heard = h.ask(c, line);
                if user.row().2.has(need) {
                    assert_eq!(heard, answer, "{user:?}: {line}");
                } else {
                    assert_eq!(heard, ["OVERHEAD E permission_denied"], "{user:?}: {line}");
                    h.fence(c);
                    let main = h.client(User::Main);
                    assert_eq!(h.keys(main), [""; 0], "{user:?}: {line}");
                }
            });
        }
    }
}

#[test]
fn what_is_denied_is_neither_heard_nor_stored_nor_forwarded() {
    for user in [User::Ro, User::Wo, User::Rw] {
        each(|h| {
            let main = h.client(User::Main);
            let (link, _) = h.linked();
            h.tell_all(main, &["STORE kept=1", "LISTEN n"]);
            assert_eq!(h.told(link), ["STORE kept=1"]);
            let c = h.client(user);
            for (line, need, _) in COMMANDS {
                if user.row().2.has(need) {
                    continue;
                }
                for line in [line, &line.replace(" n", " kept")] {
                    assert_eq!(h.ask(c, line), ["OVERHEAD E permission_denied"], "{user:?}: {line}");
                    assert_eq!(h.told(main), [""; 0], "{user:?}: {line}");
                    assert_eq!(h.told(link), [""; 0], "weak point 1: {user:?}: {line}");
                    assert_eq!(h.value(main, "kept").as_deref(), Some("1"), "{user:?}: {line}");
                }
            }
            assert_eq!(h.keys(main), ["kept"]);
        });
    }
}

#[test]
fn malformed_lines_are_unknown_commands() {
    each(|h| {
        let mut others = Others::new(h);
        let c = h.client(User::Main);
        for line in [
            "STORE",
            "STORE ",
            "STORE x",
            "STORE =x",
            "STORE =",
            "SET",
            "SET x",
            "SET =",
            "SETANDSTORE x",
            "SETANDSTORE",
            "RETRIEVE",
            "RETRIEVE ",
            "REMOVE",
            "REMOVE ",
            "INCREMENT",
            "INCREMENT ",
            "DECREMENT",
            "DECREMENT ",
            "NOTIFY",
            "LISTEN",
            "UNLISTEN",
            "FLUSH",
            "FLUSH ",
            "CLIENTDISCONNECT",
            "CLIENTDISCONNECT ",
            "KEYSYNC",
            "KEYSYNC x",
            "KEYSYNC 1 1 U",
            "KEYSYNC 1 1 U x",
            "KEYSYNC 1 1 U =x",
            "KEYSYNC 1 1",
            "OVERHEAD",
            "TIMEOUT",
            "NOP",
            "QUEUE",
            "retrieve x",
            "Ping",
            "store a=b",
            " ",
            "  ",
            "\t",
            " STORE a=b",
            "LISTENLIST",
            "STOREx=1",
            "SETx=1",
            "=",
            "FLUSHED 1",
            "RETRIEVED a=b",
            "NOTRETRIEVED a",
            "DEBUG a=b",
            "KEY a",
            "CLIENT a",
            "HELP",
            "LISTENX a",
            "GET / HTTP/1.1",
            "{\"type\": \"getlname\"}",
        ] {
            let want = format!("OVERHEAD E unknown_command {line}");
            h.tell(c, line);
            let heard: Vec<Vec<u8>> = h.told_bytes(c);
            assert_eq!(heard, [want.as_bytes()], "{line:?}");
        }
        assert_eq!(h.keys(c), [""; 0]);
        others.go_on(h, "malformed lines");
        // what comes back passes untouched
        h.tell_bytes(c, b"\xff\xfe\0garbage \x80\n");
        assert_eq!(h.told_bytes(c), [b"OVERHEAD E unknown_command \xff\xfe\0garbage \x80"]);
    });
}

#[test]
fn words_that_need_no_more_take_more() {
    each(|h| {
        let mut others = Others::new(h);
        let c = h.client(User::Main);
        h.tell(c, "STORE a=1");
        for line in ["PINGxyz", "PING xyz", "NOPINGxyz", "NOPING x", "PING", "UNMONITORING", "UNMONITOR now"] {
            assert_eq!(h.ask(c, line), [""; 0], "section 3: {line}");
        }
        for line in ["KEYLISTx", "KEYLIST all", "KEYLIST "] {
            assert_eq!(h.ask(c, line), ["KEYLISTSTART", "KEY a", "KEYLISTEND"], "section 3: {line}");
        }
        for line in ["CLIENTLISTx", "CLIENTLIST all"] {
            let lines = h.ask(c, line);
            assert!(lines.len() == 5 && lines[0] == "CLIENTLISTSTART", "section 3: {line}: {lines:?}");
        }
        h.tell(c, "MONITORx");
        assert_eq!(h.told(c).len(), 1, "section 3");
        h.tell(c, "UNMONITORx");
        assert_eq!(h.told(c), [""; 0]);
        h.tell(c, "CLEARCACHEx");
        assert_eq!(h.keys(c), [""; 0]);
        others.go_on(h, "longer words");
        h.tell(c, "QUITx");
        h.wait(3_000);
        assert!(!h.is_open(c), "section 3");
        others.go_on(h, "longer words");
    });
}

#[test]
fn line_ends_of_all_kinds() {
    each(|h| {
        let mut others = Others::new(h);
        let c = h.client(User::Main);
        h.tell_bytes(c, b"STORE a=1\nSTORE b=2\r\nST\rORE c=\r3\r\r\n\r\n\n\r\r\nSTORE d=4\n\r");
        h.tell_bytes(c, b"\nFLU\rSH x\r");
        assert_eq!(h.told(c), [""; 0]);
        h.tell_bytes(c, b"\n");
        assert_eq!(h.told(c), ["FLUSHED x"]);
        for (k, v) in [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")] {
            assert_eq!(h.value(c, k).as_deref(), Some(v), "every CR anywhere is dropped (section 3)");
        }
        h.tell_bytes(c, b"\r\r\r\r\r\r");
        h.fence(c);
        others.go_on(h, "odd line ends");
    });
}

#[test]
fn before_the_login_everything_else_is_ignored() {
    each(|h| {
        let mut others = Others::new(h);
        let main = h.client(User::Main);
        let c = h.visitor();
        assert_eq!(h.told(c).len(), 2);
        for (line, ..) in COMMANDS {
            h.tell(c, line);
            assert_eq!(h.told(c), [""; 0], "{line}");
        }
        for line in [
            "QUIT",
            "TIMEOUT",
            "MONITOR",
            "OVERHEAD I 1",
            "OVERHEAD L 1",
            "OVERHEAD S 1",
            "OVERHEAD A",
            "OVERHEAD A ",
            "CLACKS",
            "CLIENTLIST",
        ] {
            h.tell(c, line);
            assert_eq!(h.told(c), [""; 0], "{line}");
        }
        h.tell_bytes(c, b"\xff\0\x80\r\n=\n \n\n");
        assert_eq!(h.told(c), [""; 0]);
        assert!(h.is_open(c));
        assert_eq!(h.keys(main), [""; 0]);
        // nor is anything of it carried out later
        h.tell(c, &User::Main.line());
        assert_eq!(h.told(c), ["OVERHEAD O Welcome!"]);
        h.fence(c);
        assert_eq!(h.keys(main), [""; 0]);
        h.tell(main, "NOTIFY n");
        assert_eq!(h.told(c), [""; 0]);
        others.go_on(h, "commands before login");
    });
}

#[test]
fn tokens_that_are_none() {
    let right = token("exampleuser", "unsafepassword");
    let bare = right.replace('=', "");
    let tokens = [
        "x".to_string(),
        ":".into(),
        "a:b:c".into(),
        "====".into(),
        bare,
        format!("{right} "),
        format!(" {right}"),
        right.replace(':', " "),
        right.replace(':', ""),
        format!("{right}:"),
        right.to_lowercase(),
        token("exampleuser", ""),
        token("", "unsafepassword"),
        token("", ""),
        token("exampleuser", "unsafepassword\n"),
        token("exampleuser\0", "unsafepassword"),
        token("ExampleUser", "unsafepassword"),
        token("exampleuser", "bar"),
        token(&"u".repeat(1000), "x"),
        token("exampleuser", &"x".repeat(1000)),
        "\u{e9}:\u{e9}".into(),
        "A".repeat(3000),
    ];
    for t in tokens {
        each(|h| {
            let mut others = Others::new(h);
            let c = h.visitor();
            h.told(c);
            assert_eq!(
                h.ask(c, &format!("OVERHEAD A {t}")),
                ["OVERHEAD F Login failed!"],
                "{} octets: {t:.100}",
                t.len()
            );
            h.tell(c, &User::Main.line());
            h.tell(c, "FLUSH 1");
            assert_eq!(h.told(c), [""; 0], "what comes behind is discarded");
            h.wait(5_000);
            assert!(!h.is_open(c));
            others.go_on(h, &t);
        });
    }
}

#[test]
fn counting_what_is_no_number_and_by_what_is_none() {
    each(|h| {
        let c = h.client(User::Main);
        for (old, step, sum) in [
            ("abc", "1", "1"),
            (" 7 ", "abc", "7"),
            ("5abc", "1", "1"),
            ("5", "5abc", "10"),
            ("0x10", "1", "1"),
            ("9223372036854775807", "1", "9223372036854775808"),
            ("-9223372036854775808", "-1", "-9.22337203685478e+18"),
            ("18446744073709551616", "1", "1.84467440737096e+19"),
            ("123456789012345678", "0.5", "1.23456789012346e+17"),
            ("1e16", "0", "10000000000000000"),
            ("007", "1", "8"),
            ("0.1", "0.2", "0.3"),
            ("1e300", "1e300", "2e+300"),
            ("18446744073709551615", "1", "1.84467440737096e+19"),
            ("1e15", "0.3", "1e+15"),
            ("1e3", "1", "1001"),
            ("1.50", "0", "1.5"),
            ("0.00001", "0", "1e-05"),
            ("1e308", "1e309", "Inf"),
            ("NaN", "1", "NaN"),
            ("", "1", "1"),
            (".", "1", "1"),
            ("5.", ".5", "5.5"),
            ("1_000", "1", "1"),
            ("--1", "1", "1"),
            ("+3", "+4", "7"),
            ("1e", "1", "1"),
            ("1", "1e", "2"),
            ("1", " \t 2", "3"),
            ("1", "-", "1"),
            ("1", ".", "1"),
            ("Infinity", "1", "Inf"),
            ("-inf", "1", "-Inf"),
            ("\u{663}", "1", "1"),
        ] {
            h.tell(c, &format!("STORE n={old}"));
            h.tell(c, &format!("INCREMENT n={step}"));
            assert_eq!(h.value(c, "n").as_deref(), Some(sum), "{old} and {step}");
        }
        // a text is 0, a key that was removed too; the key is what stands before the last sign
        h.tell_all(
            c,
            &["STORE t=text", "DECREMENT t=2", "STORE g=7", "REMOVE g", "INCREMENT g", "INCREMENT x=", "INCREMENT =x"],
        );
        assert_eq!(h.value(c, "t").as_deref(), Some("-2"));
        assert_eq!(h.value(c, "g").as_deref(), Some("1"));
        assert_eq!(h.value(c, "x=").as_deref(), Some("1"));
        assert_eq!(h.value(c, "=x").as_deref(), Some("1"));
        h.tell(c, "INCREMENT a=b=3");
        assert_eq!(h.value(c, "a=b").as_deref(), Some("3"));
        h.tell(c, "INCREMENT ==2");
        assert_eq!(h.value(c, "=").as_deref(), Some("2"));
    });
}

#[test]
fn counting_anything_by_anything_is_as_in_perl() {
    let seed = 0x00c0_ffee;
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let mut pairs = Vec::new();
    for _ in 0..1500 {
        let mut number = || -> String {
            let n = random.below(6) + 1;
            match random.below(4) {
                0 => (0..n).map(|_| b" 0159.+-eEx"[random.below(11)] as char).collect(),
                1 => format!("{}", random.next() as i64 >> random.below(64)),
                2 => format!("{}e{}", random.below(100_000) as f64 / 1000.0, random.below(40) as i32 - 20),
                _ => format!("{}.{}", random.below(1 << 20), random.below(1000)),
            }
        };
        pairs.push((number(), number()));
    }
    each(|h| {
        let c = h.client(User::Main);
        for (old, step) in &pairs {
            for word in ["INCREMENT", "DECREMENT"] {
                h.tell_all(c, &[&format!("STORE n={old}"), &format!("{word} n={step}x")]);
                let want =
                    chappe_host_tests::clacks::number::count(old.as_bytes(), step.as_bytes(), word == "DECREMENT");
                assert_eq!(h.value(c, "n").as_deref(), Some(want.as_str()), "{word} {old:?} by {step:?}");
            }
        }
    });
}

#[test]
fn odd_overheads_have_no_effect() {
    each(|h| {
        let mut others = Others::new(h);
        let c = h.client(User::Rw);
        let listener = h.client(User::Ro);
        for line in [
            "OVERHEAD X",
            "OVERHEAD ? odd",
            "OVERHEAD M",
            "OVERHEAD O x",
            "OVERHEAD F x",
            "OVERHEAD L 1",
            "OVERHEAD LM 1",
            "OVERHEAD Z x",
            "OVERHEAD U x",
            "OVERHEAD D x",
            "OVERHEAD a x",
            "OVERHEAD \u{e9} x",
            "OVERHEAD C 0",
            "OVERHEAD T x",
            "OVERHEAD T",
            "OVERHEAD TG 5",
            "OVERHEAD M x",
            "OVERHEAD E x",
        ] {
            assert_eq!(h.ask(c, line), [""; 0], "{line}");
            assert_eq!(h.told(listener), [""; 0], "{line}");
            others.go_on(h, line);
        }
    });
}

#[test]
fn what_others_would_obey_is_not_forwarded() {
    // weak point 2
    each(|h| {
        let mut others = Others::new(h);
        let c = h.client(User::Rw);
        let listener = h.client(User::Ro);
        let (link, _) = h.linked();
        for flags in
            ["GF", "GO", "GE", "GL", "GI", "GA", "GS", "GC", "FG", "GMF", "GUF", "GMO", "GFZ", "GUL", "GNE", "EGM"]
        {
            h.told(link);
            let heard = h.ask(c, &format!("OVERHEAD {flags} x"));
            assert!(h.told(listener).is_empty(), "{flags}");
            assert!(h.told(link).is_empty(), "{flags}");
            if flags != "GA" {
                assert!(h.is_open(c), "{flags}: {heard:?}");
                assert!(heard.len() <= 1, "{flags}: {heard:?}");
                others.go_on(h, flags);
            }
            if !h.is_open(c) || flags == "GA" {
                break;
            }
        }
        h.told(link);
        let c = h.client(User::Rw);
        for (flags, heard) in [
            ("G", "G"),
            ("GM", "GM"),
            ("MG", "GM"),
            ("GN", "GN"),
            ("NMG", "GMN"),
            ("GZ", "G"),
            ("ZG", "G"),
            ("DG", "DG"),
            ("GGMM", "GM"),
            ("GXYM", "GM"),
            ("Gm", "G"),
        ] {
            assert_eq!(h.ask(c, &format!("OVERHEAD {flags} a  b ")), [""; 0], "{flags}");
            let want = format!("OVERHEAD {heard} a  b ");
            assert_eq!(h.told(listener), [want.as_str()], "{flags}");
            assert_eq!(h.told(link), [want.as_str()], "{flags}");
            h.told(others.a);
            h.told(others.b);
        }
        // U: to the sender as well, and never on
        for (flags, heard) in [("GNU", "GN"), ("GU", "G"), ("UG", "G"), ("GUZ", "G")] {
            let want = format!("OVERHEAD {heard} Terry Pratchett");
            assert_eq!(h.ask(c, &format!("OVERHEAD {flags} Terry Pratchett")), [want.as_str()], "{flags}");
            assert_eq!(h.told(listener), [want.as_str()], "{flags}");
            h.told(others.a);
            h.told(others.b);
            h.told(link);
        }
        // nobody who has not logged in (weak point 3)
        let stranger = h.visitor();
        h.told(stranger);
        h.tell(c, "OVERHEAD GM hi");
        assert_eq!(h.told(stranger), [""; 0]);
    });
}

#[test]
fn garbage_harms_nobody_else() {
    for seed in 0..24 {
        println!("seed {seed}");
        each(|h| {
            let mut random = Random::new(seed);
            let mut others = Others::new(h);
            for logged_in in [false, true] {
                let c = if logged_in { h.client(User::Rw) } else { h.visitor() };
                for _ in 0..40 {
                    let mut bytes: Vec<u8> = (0..random.below(60)).map(|_| random.next() as u8).collect();
                    for _ in 0..random.below(4) {
                        let word: &[u8] = [
                            &b"STORE "[..],
                            b"SET ",
                            b"OVERHEAD ",
                            b"A ",
                            b"G",
                            b"KEYSYNC 1 1 U ",
                            b"=",
                            b"\r\n",
                            b"\n",
                            b"LISTEN ",
                            b"FLUSH ",
                            b" ",
                            b"RETRIEVE ",
                            b"INCREMENT ",
                            b"\0",
                        ][random.below(15)];
                        let at = random.below(bytes.len() + 1);
                        bytes.splice(at..at, word.iter().copied());
                    }
                    h.tell_bytes(c, &bytes);
                }
                h.tell_bytes(c, b"\n");
                h.wires()[c].lines.clear();
            }
            others_after_noise(h, &mut others);
        });
    }
}

/// What garbage forwarded to all is not what is looked at.
fn others_after_noise(h: &mut dyn Host, others: &mut Others) {
    for c in [others.a, others.b] {
        h.wires()[c].lines.clear();
    }
    others.go_on(h, "garbage");
}

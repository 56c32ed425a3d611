//! The rules of delivery D1 to D12 (`design.md` section 2) for clients of Net::Clacks (`wire/clacks.md`
//! sections 8 and 11), by the plain server of the tests and by the router.

use chappe_host_tests::clacks::each;
use chappe_host_tests::clacks::host::Host;
use chappe_host_tests::clacks::users::User;

/// As many that are logged in as the main user.
fn clients<const N: usize>(h: &mut dyn Host) -> [usize; N] {
    std::array::from_fn(|_| h.client(User::Main))
}

#[test]
fn d1_order_of_all_three_kinds_of_signals_and_of_all_names() {
    each(|h| {
        let [a, b, c] = clients(h);
        let names = ["x", "y", "a b", "*", "x/y", "~"];
        for n in names {
            h.tell(b, &format!("LISTEN {n}"));
        }
        let (mut said, mut want) = (Vec::new(), Vec::new());
        for i in 0..600 {
            let n = names[i % names.len()];
            match i * 7 % 5 {
                0 => {
                    said.push(format!("NOTIFY {n}"));
                    want.push(format!("NOTIFY {n}"));
                }
                1 | 2 => {
                    said.push(format!("SETANDSTORE {n}={i}"));
                    want.push(format!("SET {n}={i}"));
                }
                _ => {
                    said.push(format!("SET {n}={i}"));
                    want.push(format!("SET {n}={i}"));
                }
            }
        }
        // all in one write, then one by one
        let all: Vec<&str> = said.iter().map(String::as_str).collect();
        h.tell_all(a, &all);
        assert_eq!(h.told(b), want);
        for (line, heard) in said.iter().zip(&want) {
            h.tell(a, line);
            assert_eq!(h.told(b), [heard.as_str()]);
        }
        // two senders: the order of each is kept
        h.wires()[a].output.extend(said.iter().flat_map(|l| format!("{l}\n").into_bytes()));
        h.wires()[c].output.extend(said.iter().flat_map(|l| format!("{l}\n").into_bytes()));
        h.drive();
        let heard = h.told(b);
        assert_eq!(heard.len(), 2 * want.len());
        let mut at = [0, 0];
        for line in &heard {
            let who = (0..2).find(|w| want.get(at[*w]) == Some(line)).expect("it is the next of one of them");
            at[who] += 1;
        }
        assert_eq!([h.told(a), h.told(c)], [vec![""; 0], vec![]]);
    });
}

#[test]
fn d2_one_copy_each_and_none_for_the_sender() {
    each(|h| {
        let [a, b, c, d] = clients(h);
        for who in [a, b, c] {
            for _ in 0..3 {
                h.tell(who, "LISTEN x");
            }
        }
        h.tell_all(a, &["SET x=1", "NOTIFY x", "SETANDSTORE x=2", "LISTEN x", "NOTIFY x"]);
        let want = ["SET x=1", "NOTIFY x", "SET x=2", "NOTIFY x"];
        assert_eq!(h.told(b), want);
        assert_eq!(h.told(c), want);
        assert_eq!(h.told(a), [""; 0]);
        assert_eq!(h.told(d), [""; 0]);
        // one is enough to leave, and harmless if there is nothing to leave
        h.tell(b, "UNLISTEN x");
        h.tell(b, "UNLISTEN x");
        h.tell(b, "UNLISTEN nothing");
        h.tell(a, "NOTIFY x");
        assert_eq!(h.told(b), [""; 0]);
        assert_eq!(h.told(c), ["NOTIFY x"]);
    });
}

#[test]
fn names_that_mean_more_elsewhere_are_names_here() {
    // patterns, empty names and names of verbs on the bus
    let odd: [&[u8]; 27] = [
        b"",
        b"*",
        b"**",
        b"a::*",
        b"a::**",
        b"a/*",
        b"/*",
        b"a",
        b"a::b",
        b"a/b",
        b"a/DO",
        b"DO",
        b"/DO",
        b"~",
        b"~~",
        b" ",
        b" a",
        b"a ",
        b"  ",
        b"\t",
        b"\0",
        b"\xe9",
        b"\xc3\xa9",
        b"\\xe9",
        b"\\",
        b"\x7f",
        b"@1",
    ];
    each(|h| {
        let [a, ..] = clients::<2>(h);
        let listeners = odd.map(|name| {
            let c = h.client(User::Main);
            h.tell_bytes(c, &[b"LISTEN ", name, b"\r\n"].concat());
            c
        });
        for (name, own) in odd.iter().zip(listeners) {
            let mut want = vec![[b"NOTIFY ", *name].concat()];
            h.tell_bytes(a, &[b"NOTIFY ", *name, b"\r\n"].concat());
            if !name.is_empty() {
                h.tell_bytes(a, &[b"SET ", *name, b"=v\r\n"].concat());
                h.tell_bytes(a, &[b"SETANDSTORE ", *name, b"=w\r\n"].concat());
                want.push([b"SET ", *name, b"=v"].concat());
                want.push([b"SET ", *name, b"=w"].concat());
            }
            assert_eq!(h.told_bytes(own), want, "{}", name.escape_ascii());
            for other in listeners {
                assert_eq!(h.told_bytes(other), [b""; 0], "{} is not its name", name.escape_ascii());
            }
            if !name.is_empty() {
                h.tell_bytes(own, &[b"RETRIEVE ", *name, b"\r\n"].concat());
                assert_eq!(h.told_bytes(own), [[b"RETRIEVED ", *name, b"=w"].concat()]);
            }
            // and leaves again
            h.tell_bytes(own, &[b"UNLISTEN ", *name, b"\r\n"].concat());
            h.tell_bytes(a, &[b"NOTIFY ", *name, b"\r\n"].concat());
            assert_eq!(h.told_bytes(own), [b""; 0], "{}", name.escape_ascii());
            h.tell_bytes(own, &[b"LISTEN ", *name, b"\r\n"].concat());
        }
        assert_eq!(h.told(a), [""; 0]);
        // each key is a key of its own
        let mut want: Vec<Vec<u8>> = odd.iter().filter(|n| !n.is_empty()).map(|n| [b"KEY ", *n].concat()).collect();
        want.sort();
        h.tell(a, "KEYLIST");
        let mut list = h.told_bytes(a);
        assert_eq!((list.remove(0), list.pop()), (b"KEYLISTSTART".to_vec(), Some(b"KEYLISTEND".to_vec())));
        list.sort();
        assert_eq!(list, want);
    });
}

#[test]
fn the_key_list_is_in_the_order_of_octets() {
    // section 8.4: bytewise. Keys that are written out on the bus (controls, no UTF-8, `*` and `~`
    // at the end) stand where their bus names do: docs/notes/2026-11-21-clacks.md
    each(|h| {
        let [a] = clients(h);
        let mut keys: Vec<&[u8]> = vec![b"b", b"a", b"B", b"a b", b"\\", b"z", b"~a", b"a::b", b"a*b", b"\xc3\xa9"];
        for k in &keys {
            h.tell_bytes(a, &[b"STORE ", *k, b"=1\n"].concat());
        }
        keys.sort();
        h.tell(a, "KEYLIST");
        let list = h.told_bytes(a);
        let heard: Vec<&[u8]> = list[1..list.len() - 1].iter().map(|l| &l[4..]).collect();
        assert_eq!(heard, keys);
    });
}

#[test]
fn octets_pass_untouched() {
    each(|h| {
        let [a, b] = clients(h);
        let all: Vec<u8> = (0..=255).filter(|b| !matches!(b, b'\r' | b'\n')).collect();
        let name: Vec<u8> = (1..=20).chain([b'=' + 1, 200, 0]).filter(|b| !matches!(b, b'\r' | b'\n')).collect();
        h.tell_bytes(b, &[b"LISTEN ", &name[..], b"\n"].concat());
        for kind in ["SET", "SETANDSTORE"] {
            h.tell_bytes(a, &[kind.as_bytes(), b" ", &name, b"=", &all, b"\n"].concat());
            assert_eq!(h.told_bytes(b), [[b"SET ", &name[..], b"=", &all].concat()]);
        }
        h.tell_bytes(b, &[b"RETRIEVE ", &name[..], b"\n"].concat());
        assert_eq!(h.told_bytes(b), [[b"RETRIEVED ", &name[..], b"=", &all].concat()]);
        h.tell_bytes(b, &[b"FLUSH ", &all[..], b"\n"].concat());
        assert_eq!(h.told_bytes(b), [[b"FLUSHED ", &all[..]].concat()]);
        h.tell_bytes(a, &[b"OVERHEAD GM ", &all[..], b"\n"].concat());
        assert_eq!(h.told_bytes(b), [[b"OVERHEAD GM ", &all[..]].concat()]);
    });
}

#[test]
fn the_first_equal_sign_that_is_not_the_first_octet_ends_the_name() {
    each(|h| {
        let [a, b] = clients(h);
        for (line, name, value) in [
            ("SET =a=b", "=a", "b"),
            ("SET ==b", "=", "b"),
            ("SET ===", "=", "="),
            ("SET a==", "a", "="),
            ("SET a=", "a", ""),
            ("SET  a=b", " a", "b"),
            ("SET a =b", "a ", "b"),
        ] {
            h.tell(b, &format!("LISTEN {name}"));
            h.tell(a, line);
            assert_eq!(h.told(b), [format!("SET {name}={value}")], "{line}");
            let stores = line.replace("SET", "STORE");
            h.tell(a, &stores);
            assert_eq!(h.value(a, name).as_deref(), Some(value), "{stores}");
            h.tell(b, &format!("UNLISTEN {name}"));
        }
    });
}

#[test]
fn a_line_of_a_hundred_kilobytes_passes() {
    each(|h| {
        let [a, b] = clients(h);
        h.tell(b, "LISTEN big");
        let value = "0123456789".repeat(10_000);
        h.tell(a, &format!("SETANDSTORE big={value}"));
        assert!(h.told_bytes(b) == [format!("SET big={value}").into_bytes()]);
        h.tell(b, "RETRIEVE big");
        assert!(h.told_bytes(b) == [format!("RETRIEVED big={value}").into_bytes()]);
    });
}

#[test]
fn answers_come_in_the_order_of_the_questions() {
    each(|h| {
        let [a] = clients(h);
        h.tell_all(
            a,
            &[
                "STORE k=1",
                "RETRIEVE k",
                "FLUSH 1",
                "NONSENSE",
                "RETRIEVE no",
                "INCREMENT k=2",
                "RETRIEVE k",
                "KEYLIST",
                "FLUSH 2",
                "REMOVE k",
                "RETRIEVE k",
                "KEYLIST",
                "FLUSH 3",
            ],
        );
        assert_eq!(
            h.told(a),
            [
                "RETRIEVED k=1",
                "FLUSHED 1",
                "OVERHEAD E unknown_command NONSENSE",
                "NOTRETRIEVED no",
                "RETRIEVED k=3",
                "KEYLISTSTART",
                "KEY k",
                "KEYLISTEND",
                "FLUSHED 2",
                "NOTRETRIEVED k",
                "KEYLISTSTART",
                "KEYLISTEND",
                "FLUSHED 3",
            ]
        );
    });
}

#[test]
fn d4_what_waits_for_one_that_pauses_is_kept_and_others_hear_at_once() {
    each(|h| {
        let [a, b, c] = clients(h);
        h.tell(b, "LISTEN x");
        h.tell(c, "LISTEN x");
        h.wires()[b].reads = false;
        let want: Vec<String> = (0..5000).map(|i| format!("SET x={i}")).collect();
        for line in &want {
            h.tell(a, line);
            assert_eq!(h.told(c), [line.as_str()], "at once");
        }
        h.wait(20_000);
        h.read_on(b);
        assert_eq!(h.told(b), want);
        h.fence(a);
        h.fence(b);
    });
}

#[test]
fn d4_one_that_takes_nothing_for_a_minute_is_closed_even_if_little_waits() {
    each(|h| {
        let [a, b, c] = clients(h);
        // which helps nothing (section 10)
        h.tell(b, "NOPING");
        h.tell(b, "LISTEN x");
        h.wires()[b].reads = false;
        h.tell(a, "NOTIFY x");
        h.wait(59_000);
        assert!(h.is_open(b), "59 s after the line it did not take");
        h.wait(6_000);
        assert!(!h.is_open(b), "65 s after it");
        assert!(h.is_open(a) && h.is_open(c));
        h.told(c);
        h.told(a);
        h.fence(a);
    });
}

#[test]
fn d7_what_one_listened_to_ends_with_it() {
    each(|h| {
        let [a, b, c] = clients(h);
        h.tell(b, "LISTEN x");
        h.tell(c, "LISTEN x");
        h.part(b);
        h.tell(a, "NOTIFY x");
        assert_eq!(h.told(b), [""; 0]);
        assert_eq!(h.told(c), ["NOTIFY x"]);
        // one that comes back has to listen again
        let [d] = clients(h);
        h.tell(a, "NOTIFY x");
        assert_eq!(h.told(d), [""; 0]);
        assert_eq!(h.told(c), ["NOTIFY x"]);
        h.tell(c, "QUIT");
        h.tell(a, "NOTIFY x");
        assert_eq!(h.told(c), [""; 0]);
    });
}

/// Ids of connections, by `CLIENTLIST`, in its order, with the display names.
fn ids(h: &mut dyn Host, c: usize) -> Vec<(String, String)> {
    let lines = h.ask(c, "CLIENTLIST");
    assert_eq!(lines.first().map(String::as_str), Some("CLIENTLISTSTART"));
    assert_eq!(lines.last().map(String::as_str), Some("CLIENTLISTEND"));
    lines[1..lines.len() - 1]
        .iter()
        .map(|l| {
            let fields: Vec<(&str, &str)> = l
                .strip_prefix("CLIENT ")
                .and_then(|f| f.strip_suffix(';'))
                .unwrap_or_else(|| panic!("{l}"))
                .split(';')
                .map(|f| f.split_once('=').unwrap_or_else(|| panic!("{l}")))
                .collect();
            let names: Vec<&str> = fields.iter().map(|f| f.0).collect();
            let want = [
                "CID",
                "HOST",
                "PORT",
                "CLIENTINFO",
                "OUTBUFFER_LENGTH",
                "INBUFFER_LENGTH",
                "INTERCLACKS",
                "MONITOR",
                "LASTPING",
                "LASTINTERCLACKSPING",
                "WRITEFAILTIME",
            ];
            assert_eq!(names, want, "section 8.5");
            (fields[0].1.to_string(), fields[3].1.to_string())
        })
        .collect()
}

#[test]
fn d6_an_id_is_ones_own_for_ever() {
    each(|h| {
        let [a] = clients(h);
        h.tell(a, "CLACKS boss");
        let mut before = std::collections::BTreeSet::new();
        for i in 0..40 {
            let b = h.client(User::Ro);
            let name = format!("visitor {i}");
            h.tell(b, &format!("CLACKS {name}"));
            let rows = ids(h, a);
            assert!(rows.is_sorted(), "bytewise by id: {rows:?}");
            assert_eq!(rows.len(), 2, "{rows:?}");
            let (id, _) = rows.iter().find(|r| r.1 == name).expect("it is listed").clone();
            assert!(before.insert(id.clone()), "{id} was somebody else's");
            for old in &before {
                if *old != id {
                    h.tell(a, &format!("CLIENTDISCONNECT {old}"));
                }
            }
            h.tell(a, "CLIENTDISCONNECT nobody");
            h.fence(a);
            h.fence(b);
            if i % 2 == 0 {
                h.part(b);
                continue;
            }
            h.tell(a, &format!("CLIENTDISCONNECT {id}"));
            assert_eq!(h.told(b), ["", "QUIT"], "section 4.4");
            h.wait(3_000);
            assert!(!h.is_open(b));
        }
    });
}

#[test]
fn d12_one_may_end_itself_and_no_one_else_notices() {
    each(|h| {
        let [a, b] = clients(h);
        h.tell(a, "CLACKS me");
        let own = ids(h, a).into_iter().find(|r| r.1 == "me").unwrap().0;
        h.tell(a, &format!("CLIENTDISCONNECT {own}"));
        assert_eq!(h.told(a), ["", "QUIT"]);
        h.wait(3_000);
        assert!(!h.is_open(a));
        h.fence(b);
    });
}

#[test]
fn monitors_see_every_line_and_no_token() {
    each(|h| {
        let [a, b] = clients(h);
        h.tell(a, "CLACKS boss");
        h.tell(b, "CLACKS worker");
        let rows = ids(h, a);
        let id = |name: &str| rows.iter().find(|r| r.1 == name).unwrap().0.clone();
        let (own, other) = (id("boss"), id("worker"));
        assert!(!own.contains(['=', ';']) && !other.contains(['=', ';']), "section 8.5");
        h.tell(a, "MONITOR");
        assert_eq!(h.told(a), [format!("DEBUG {own}=MONITOR")]);
        h.tell(a, "LISTEN x");
        assert_eq!(h.told(a), [format!("DEBUG {own}=LISTEN x")]);
        h.tell_all(b, &["SET x=1", "NONSENSE", "CLACKS newname", "FLUSH 1", "OVERHEAD N x", "OVERHEAD GN y", "PING"]);
        let (mut debug, rest): (Vec<String>, Vec<String>) =
            h.told(a).into_iter().partition(|l| l.starts_with("DEBUG "));
        assert_eq!(rest, ["SET x=1", "OVERHEAD GN y"], "signals come as to any listener");
        let want = ["SET x=1", "NONSENSE", "FLUSH 1", "PING"].map(|l| format!("DEBUG {other}={l}"));
        assert_eq!(debug, want);
        h.told(b);
        // no CLACKS, no token, nobody who is not logged in
        let d = h.visitor();
        h.tell(d, "NONSENSE");
        h.tell(d, "CLACKS d");
        h.tell(d, &User::Rw.line());
        h.tell(d, "FLUSH 2");
        debug = h.told(a);
        assert!(debug[0].starts_with("DEBUG CONNECTED="), "{debug:?}");
        assert_eq!(debug.len(), 2, "{debug:?}");
        assert!(debug[1].ends_with("=FLUSH 2"), "{debug:?}");
        h.part(d);
        debug = h.told(a);
        assert!(debug.len() == 1 && debug[0].starts_with("DEBUG DISCONNECTED="), "{debug:?}");
        h.tell(b, &User::Main.line());
        assert_eq!(h.told(a), [""; 0], "weak point 4");
        h.tell(a, "UNMONITOR");
        h.tell(b, "PING");
        assert_eq!(h.told(a), [""; 0]);
    });
}

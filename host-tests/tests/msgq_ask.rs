//! D5 in the dialect of MSGQ: an asker always hears back, exactly once. A question is a message with
//! `want_answer`, found again by its asker and `seq`; see `wire/msgq.md` sections 9 and 11.

use chappe_core::router::Counter;
use chappe_host_tests::msgq::{Frame, command, frame, header, result};
use chappe_host_tests::random::Random;
use chappe_host_tests::world::World;
use serde_json::{Value, json};

/// An asker, and one who serves group `svc`.
fn pair() -> (World, usize, usize) {
    let mut w = World::msgq(|_| {});
    let (a, b) = (w.talker(), w.talker());
    w.subscribe(b, "svc");
    (w, a, b)
}

fn ask(w: &mut World, a: usize) -> i64 {
    w.group_send(a, "svc", "*", true, &command("do", json!(1)))
}

/// The node's own answer to question `seq`, in the form of section 9.
fn from_node(f: &Frame, seq: i64, code: i64) {
    assert_eq!((f.text_of("from"), f.header["reply"].as_i64()), ("msgq", Some(seq)), "{}", f.text);
    assert_eq!((f.text_of("type"), f.header["seq"].as_i64()), ("send", Some(seq)), "{}", f.text);
    assert_eq!(f.header["to"], f.header["to"].as_str().map_or(Value::Null, Value::from), "{}", f.text);
    let (said, text) = result(f);
    assert_eq!(said, code, "{}", f.text);
    assert!(text.as_str().is_some_and(|t| !t.is_empty()));
}

#[test]
fn d5_the_callee_s_answer_passes_octet_by_octet() {
    let (mut w, a, b) = pair();
    let seq = ask(&mut w, a);
    let question = w.heard_one(b);
    assert_eq!(question.header["want_answer"], json!(true));
    let text = format!(
        r#"{{ "type": "send", "from": "{}", "to": "{}", "group": "svc", "instance": "*", "seq": 9, "reply": {seq}, "x": 1.50 }}"#,
        w.talkers[b].lname, w.talkers[a].lname
    );
    w.say_raw(b, &text, r#"{ "result": [ 0, "yes" ] }"#);
    let answer = w.heard_one(a);
    assert_eq!((answer.text, answer.body), (text, br#"{ "result": [ 0, "yes" ] }"#.to_vec()));
    w.advance(1_000_000);
    assert_eq!(w.heard(a), []);
}

#[test]
fn d5_when_the_callee_disconnects_the_node_answers() {
    for by_lname in [false, true] {
        let (mut w, a, b) = pair();
        let to = if by_lname { w.talkers[b].lname.clone() } else { "*".into() };
        let seq = w.group_send(a, "svc", &to, true, &command("do", json!(1)));
        w.heard(b);
        assert_eq!(w.heard(a), []);
        w.hang_up(b);
        let lname = w.talkers[a].lname.clone();
        let told = w.heard_one(a);
        from_node(&told, seq, -2);
        assert_eq!(told.text_of("to"), lname);
        w.advance(1_000_000);
        assert_eq!(w.heard(a), []);
        assert_eq!(w.router.counters().get(Counter::AskLeft), 1);
    }
}

#[test]
fn d5_the_node_s_answer_keeps_what_else_the_header_said() {
    let (mut w, a, b) = pair();
    let text = r#"{"seq":-5,"x":{"y":[1.50,"\u00e9"]},"want_answer":"yes","instance":"i","group":"svc","to":"*","from":"somebody","type":"send"}"#;
    w.say_raw(a, text, "{}");
    w.heard_one(b);
    w.hang_up(b);
    let told = w.heard_one(a);
    assert_eq!(
        told.header,
        json!({"seq": -5, "x": {"y": [1.5, "\u{e9}"]}, "want_answer": "yes", "instance": "i", "group": "svc",
            "to": "somebody", "from": "msgq", "type": "send", "reply": -5})
    );
    assert!(told.text.contains("1.50"), "digits stay as they are: {}", told.text);
}

#[test]
fn d5_when_the_callee_leaves_the_group_the_node_answers() {
    let (mut w, a, b) = pair();
    w.say(b, &json!({"type": "subscribe", "group": "svc", "instance": "i"}), b"");
    let seq = ask(&mut w, a);
    let question = w.heard_one(b);
    w.unsubscribe(b, "svc");
    assert_eq!(w.heard(a), [], "it is still there under another instance");
    w.say(b, &json!({"type": "unsubscribe", "group": "svc", "instance": "i"}), b"");
    from_node(&w.heard_one(a), seq, -2);
    // it does not know, and answers all the same: too late
    w.group_reply(b, &question, &json!({"result": [0]}));
    assert_eq!(w.heard(a), []);
    assert_eq!(w.router.counters().get(Counter::StrayAnswers), 1);
    // leaving another group matters nothing
    w.subscribe(b, "svc");
    w.subscribe(b, "other");
    let seq = ask(&mut w, a);
    w.unsubscribe(b, "other");
    assert_eq!(w.heard(a), []);
    let question = w.heard_one(b);
    w.group_reply(b, &question, &json!({"result": [0]}));
    assert_eq!(w.heard_one(a).header["reply"], json!(seq));
}

#[test]
fn d5_one_asked_by_lname_under_its_group_owes_nothing_once_it_has_left_that() {
    let (mut w, a, b) = pair();
    let lname = w.talkers[b].lname.clone();
    let seq = w.group_send(a, "svc", &lname, true, &command("do", json!(1)));
    w.unsubscribe(b, "svc");
    from_node(&w.heard_one(a), seq, -2);
    // by lname alone it owes it as long as it is there
    w.heard(b);
    let seq = w.group_send(a, "no group of it", &lname, true, &command("do", json!(1)));
    let question = w.heard_one(b);
    w.unsubscribe(b, "no group of it");
    assert_eq!(w.heard(a), []);
    w.group_reply(b, &question, &json!({"result": [0, 5]}));
    let answer = w.heard_one(a);
    assert_eq!((answer.header["reply"].as_i64(), result(&answer)), (Some(seq), (0, json!(5))));
}

/// The node remembers only so many questions that are answered: the answer to one may make it forget another, which
/// the same callee was asked, too.
#[test]
fn d5_a_callee_that_leaves_may_have_been_asked_what_is_forgotten_then() {
    for goes in [false, true] {
        let (mut w, a, b) = pair();
        w.subscribe(b, "other");
        let rows = w.router.usage().into_iter().find(|u| u.name == "requests").expect("a table").limit;
        let seq = ask(&mut w, a);
        w.heard_one(b);
        for _ in 0..(rows / 16).max(4) {
            let answered = w.group_send(a, "other", "*", true, &command("do", json!(2)));
            let question = w.heard_one(b);
            w.group_reply(b, &question, &json!({"result": [0, "yes"]}));
            assert_eq!(w.heard_one(a).header["reply"], answered);
        }
        if goes {
            w.hang_up(b)
        } else {
            w.unsubscribe(b, "svc")
        }
        from_node(&w.heard_one(a), seq, -2);
        w.router.check().expect("nothing is lost count of");
        assert_eq!(w.heard(a), []);
    }
}

#[test]
fn d5_one_that_stays_can_still_answer_when_others_left() {
    let (mut w, a, b) = pair();
    let c = w.talker();
    w.subscribe(c, "svc");
    let seq = ask(&mut w, a);
    let question = w.heard_one(c);
    w.hang_up(b);
    assert_eq!(w.heard(a), []);
    w.group_reply(c, &question, &json!({"result": [0, "late"]}));
    let answer = w.heard_one(a);
    assert_eq!((answer.header["reply"].as_i64(), result(&answer)), (Some(seq), (0, json!("late"))));
    // and the last one that leaves is one too many
    let seq = ask(&mut w, a);
    w.hang_up(c);
    from_node(&w.heard_one(a), seq, -2);
}

#[test]
fn d5_the_deadline_is_the_longest_there_is_and_a_late_answer_is_swallowed() {
    let mut w = World::msgq(|s| s.max_ask = chappe_core::time::Duration::from_secs(100));
    let (a, b) = (w.talker(), w.talker());
    w.subscribe(b, "svc");
    let seq = ask(&mut w, a);
    let question = w.heard_one(b);
    // its clients cannot say how long, and wait 4 s, or for ever
    w.advance(99_000);
    assert_eq!(w.heard(a), []);
    w.advance(1_100);
    from_node(&w.heard_one(a), seq, -3);
    w.group_reply(b, &question, &json!({"result": [0, "at last"]}));
    assert_eq!(w.heard(a), [], "it has heard");
    assert_eq!(w.router.counters().get(Counter::StrayAnswers), 1);
    w.advance(1_000_000);
    assert_eq!(w.heard(a), []);
    w.barrier(a);
}

#[test]
fn d5_of_two_answers_only_the_first_passes() {
    let (mut w, a, b) = pair();
    let c = w.talker();
    w.subscribe(c, "svc");
    let seq = ask(&mut w, a);
    let (at_b, at_c) = (w.heard_one(b), w.heard_one(c));
    w.group_reply(c, &at_c, &json!({"result": [0, "first"]}));
    w.group_reply(b, &at_b, &json!({"result": [0, "second"]}));
    let answer = w.heard_one(a);
    assert_eq!((answer.header["reply"].as_i64(), result(&answer)), (Some(seq), (0, json!("first"))));
    assert_eq!(w.router.counters().get(Counter::StrayAnswers), 1);
}

#[test]
fn d5_of_two_answers_of_one_callee_only_the_first_passes() {
    let (mut w, a, b) = pair();
    ask(&mut w, a);
    let question = w.heard_one(b);
    w.group_reply(b, &question, &json!({"result": [0, "first"]}));
    w.group_reply(b, &question, &json!({"result": [0, "again"]}));
    let heard: Vec<Value> = w.heard(a).iter().map(|f| result(f).1).collect();
    assert_eq!(heard, [json!("first")]);
}

#[test]
fn d5_replies_come_in_the_order_they_are_given() {
    let (mut w, a, b) = pair();
    let seqs: Vec<i64> = (0..20).map(|_| ask(&mut w, a)).collect();
    let questions = w.heard(b);
    assert_eq!(questions.len(), 20);
    let mut order: Vec<usize> = (0..20).collect();
    let mut random = Random::new(3);
    for i in (1..20).rev() {
        order.swap(i, random.below(i + 1));
    }
    for &i in &order {
        w.group_reply(b, &questions[i], &json!({"result": [0, i]}));
    }
    for (answer, &i) in w.heard(a).iter().zip(&order) {
        assert_eq!((answer.header["reply"].as_i64(), result(answer)), (Some(seqs[i]), (0, json!(i))));
    }
}

#[test]
fn d5_the_same_number_asked_twice_is_answered_twice() {
    let (mut w, a, b) = pair();
    let c = w.talker();
    w.subscribe(c, "other");
    let from = w.talkers[a].lname.clone();
    for group in ["svc", "other", "svc"] {
        let members = json!({"type": "send", "from": from, "to": "*", "group": group, "instance": "*", "seq": 7, "want_answer": true});
        w.say(a, &members, b"{}");
    }
    let (at_b, at_c) = (w.heard(b), w.heard_one(c));
    assert_eq!(at_b.len(), 2);
    w.group_reply(b, &at_b[0], &json!({"result": [0, 1]}));
    w.group_reply(c, &at_c, &json!({"result": [0, 2]}));
    w.group_reply(b, &at_b[1], &json!({"result": [0, 3]}));
    let heard: Vec<Value> = w.heard(a).iter().map(|f| result(f).1).collect();
    assert_eq!(heard, [json!(1), json!(2), json!(3)]);
    // and all that are open when the callee goes hear of it
    for _ in 0..3 {
        let members = json!({"type": "send", "from": from, "to": "*", "group": "svc", "instance": "*", "seq": 8, "want_answer": true});
        w.say(a, &members, b"{}");
    }
    w.hang_up(b);
    let told = w.heard(a);
    assert_eq!(told.len(), 3);
    told.iter().for_each(|f| from_node(f, 8, -2));
    // the same number of another asker is another question
    let d = w.talker();
    w.subscribe(c, "svc");
    for t in [a, d] {
        let from = w.talkers[t].lname.clone();
        let members = json!({"type": "send", "from": from, "to": "*", "group": "svc", "instance": "*", "seq": 9, "want_answer": true});
        w.say(t, &members, b"{}");
    }
    let questions = w.heard(c);
    w.group_reply(c, &questions[1], &json!({"result": [0, "d"]}));
    assert_eq!((w.heard(a).len(), w.heard(d).len()), (0, 1));
    w.group_reply(c, &questions[0], &json!({"result": [0, "a"]}));
    assert_eq!((w.heard(a).len(), w.heard(d).len()), (1, 0));
}

#[test]
fn d5_numbers_may_be_anything_that_is_json() {
    // what the strict client does not read (digits beyond 64 bits) is in the next test
    for seq in [
        "0",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "1.5",
        "1e3",
        "\"7\"",
        "\"\"",
        "true",
        "[1]",
        "{\"a\":1}",
    ] {
        let (mut w, a, b) = pair();
        let from = w.talkers[a].lname.clone();
        let text = format!(
            r#"{{"type":"send","from":"{from}","to":"*","group":"svc","instance":"*","seq":{seq},"want_answer":true}}"#
        );
        w.say_raw(a, &text, "{}");
        let question = w.heard_one(b);
        let value = question.header["seq"].clone();
        let reply = |n| {
            format!(
                r#"{{"type":"send","from":"b","to":"{from}","group":"svc","instance":"*","seq":{n},"reply":{seq}}}"#
            )
        };
        w.say_raw(b, &reply(1), r#"{"result":[0]}"#);
        assert_eq!(w.heard_one(a).header["reply"], value, "seq {seq}");
        // asked again, and the callee goes
        w.say_raw(a, &text, "{}");
        w.hang_up(b);
        let told = w.heard_one(a);
        assert_eq!((&told.header["reply"], &told.header["seq"]), (&value, &value), "seq {seq}");
        assert_eq!(result(&told).0, -2, "seq {seq}");
    }
}

#[test]
fn d5_a_number_of_many_digits_is_answered_by_the_same_digits() {
    let mut w = World::msgq(|_| {});
    let (a, b, c) = (w.talker(), w.talker(), w.talker());
    let (asker, callee) = (w.talkers[a].lname.clone(), w.talkers[b].lname.clone());
    w.subscribe(b, "svc");
    let (one, two) = ("123456789012345678901234567890", "123456789012345678901234567891");
    // neither is read by the strict clients
    for t in [a, b] {
        w.talkers[t].reads = false;
    }
    let question = |seq: &str| {
        format!(
            r#"{{"type":"send","from":"{asker}","to":"*","group":"svc","instance":"*","seq":{seq},"want_answer":true}}"#
        )
    };
    let reply = |seq: &str| {
        format!(
            r#"{{"type":"send","from":"{callee}","to":"{asker}","group":"svc","instance":"*","seq":1,"reply":{seq}}}"#
        )
    };
    let waiting = |w: &mut World, t: usize| {
        let id = w.talkers[t].id.unwrap();
        let bytes: Vec<u8> = w.router.output(id).flatten().copied().collect();
        w.router.sent(w.now, id, bytes.len());
        bytes
    };
    w.say_raw(a, &question(one), "{}");
    w.say_raw(a, &question(two), "{}");
    assert_eq!(w.router.counters().get(Counter::Asks), 2);
    waiting(&mut w, b);
    w.say_raw(b, &reply(two), "2");
    assert_eq!(waiting(&mut w, a), frame(reply(two).as_bytes(), b"2"));
    assert_eq!(w.router.counters().get(Counter::Answered), 1);
    // the other one is still open, so the callee's end is told
    w.hang_up(b);
    let told = waiting(&mut w, a);
    let told = String::from_utf8_lossy(&told);
    assert!(told.contains(one) && !told.contains(two) && told.contains("[-2"), "{told}");
    w.barrier(c);
}

#[test]
fn a_question_without_number_or_sender_is_delivered_and_cannot_be_answered() {
    // section 14.3: delivered; only if an error must be made its connection ends
    for text in [
        r#"{"type":"send","from":"x","to":"*","group":"svc","instance":"*","want_answer":true}"#,
        r#"{"type":"send","to":"*","group":"svc","instance":"*","seq":1,"want_answer":true}"#,
    ] {
        let (mut w, a, b) = pair();
        w.say_raw(a, text, "{}");
        assert_eq!(w.heard(b).len(), 1, "{text}");
        assert!(w.talkers[a].closed.is_none(), "{text}");
        w.hang_up(b);
        assert_eq!(w.heard(a), [], "nothing can be said: {text}");
        w.barrier(a);
        // nobody there: an error must be made, and cannot
        w.say_raw(a, text, "{}");
        assert_eq!(w.talkers[a].closed.map(|r| r.name()), Some("malformed"), "{text}");
    }
}

#[test]
fn a_reply_to_a_message_without_want_answer_passes_untouched() {
    let (mut w, a, b) = pair();
    let seq = w.group_send(a, "svc", "*", false, &command("do", json!(1)));
    let question = w.heard_one(b);
    for i in 0..2 {
        w.group_reply(b, &question, &json!({"result": [0, i]}));
        let answer = w.heard_one(a);
        assert_eq!((answer.header["reply"].as_i64(), result(&answer)), (Some(seq), (0, json!(i))));
    }
    // so does one of somebody who was not asked at all, also to a whole group
    let c = w.talker();
    let lname = w.talkers[a].lname.clone();
    w.say(
        c,
        &json!({"type": "send", "from": "c", "to": lname, "group": "g", "instance": "*", "seq": 1, "reply": 77}),
        b"1",
    );
    assert_eq!(w.heard_one(a).header["reply"], json!(77));
    w.say(
        c,
        &json!({"type": "send", "from": "c", "to": "*", "group": "svc", "instance": "*", "seq": 1, "reply": 78}),
        b"1",
    );
    assert_eq!(w.heard_one(b).header["reply"], json!(78));
    // nobody there and a reply: silence
    w.say(c, &json!({"type": "send", "from": "c", "to": "gone", "group": "g", "instance": "*", "seq": 1, "reply": 79, "want_answer": true}), b"1");
    assert_eq!(w.heard(c), []);
}

#[test]
fn d5_an_answer_of_somebody_who_was_not_asked_does_not_close_the_question() {
    let (mut w, a, b) = pair();
    let evil = w.talker();
    let seq = ask(&mut w, a);
    let question = w.heard_one(b);
    // it passes as any message does (weak point 27 of the original is that nobody can tell), but
    // the asker still hears of its callee
    w.group_reply(evil, &question, &json!({"result": [0, "wrong"]}));
    w.heard(a);
    w.hang_up(b);
    from_node(&w.heard_one(a), seq, -2);
}

#[test]
fn d5_when_the_asker_is_gone_nobody_is_told() {
    let (mut w, a, b) = pair();
    ask(&mut w, a);
    let question = w.heard_one(b);
    w.hang_up(a);
    assert_eq!(w.router.counters().get(Counter::AskerGone), 1);
    w.group_reply(b, &question, &json!({"result": [0]}));
    assert_eq!(w.heard(b), [], "its answer finds nobody, in silence");
    w.advance(1_000_000);
    w.barrier(b);
    // an asker that was asked itself
    let (mut w, a, b) = pair();
    w.subscribe(a, "back");
    ask(&mut w, a);
    let seq = w.group_send(b, "back", "*", true, &command("do", json!(1)));
    w.heard(b);
    w.hang_up(a);
    from_node(&w.heard_one(b), seq, -2);
    w.hang_up(b);
}

#[test]
fn d5_more_open_questions_than_a_station_may_have_are_answered_and_none_is_lost() {
    let mut w = World::msgq(|s| s.asks = 20);
    let (a, b) = (w.talker(), w.talker());
    w.subscribe(b, "svc");
    let seqs: Vec<i64> = (0..30).map(|_| ask(&mut w, a)).collect();
    let refused = w.heard(a);
    assert_eq!(refused.len(), 10);
    refused.iter().zip(&seqs[20..]).for_each(|(f, seq)| from_node(f, *seq, -9));
    w.hang_up(b);
    let told = w.heard(a);
    assert_eq!(told.len(), 20);
    told.iter().zip(&seqs).for_each(|(f, seq)| from_node(f, *seq, -2));
}

#[test]
fn d5_every_call_of_a_long_muddle_hears_back_once() {
    let (mut answered, mut left) = (0, 0);
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let mut w = World::msgq(|_| {});
        w.piece = 1 + random.below(300);
        let a = w.talker();
        let mut callees: Vec<usize> = (0..4).map(|_| w.talker()).collect();
        let mut open = Vec::new();
        let mut questions: Vec<(usize, Frame)> = Vec::new();
        for _ in 0..120 {
            let i = random.below(4);
            let b = callees[i];
            match random.below(12) {
                0 | 1 => w.subscribe(b, "svc"),
                2 => w.unsubscribe(b, "svc"),
                3 => {
                    w.hang_up(b);
                    callees[i] = w.talker();
                    questions.retain(|(t, _)| *t != b);
                }
                4 => w.advance(random.below(3000) as u32),
                5..8 => {
                    let heard = w.heard(b);
                    questions.extend(heard.into_iter().map(|f| (b, f)));
                    for _ in 0..random.below(3).min(questions.len()) {
                        let (t, question) = questions.swap_remove(random.below(questions.len()));
                        w.group_reply(t, &question, &json!({"result": [0]}));
                    }
                }
                _ => open.push(ask(&mut w, a)),
            }
        }
        // the deadline, and as long again until late answers are no longer known for what they are
        w.advance(1_300_000);
        let heard = w.heard(a);
        assert_eq!(heard.len(), open.len(), "seed {seed}");
        for seq in open {
            let replies: Vec<&Frame> = heard.iter().filter(|f| f.header["reply"] == json!(seq)).collect();
            assert_eq!(replies.len(), 1, "seed {seed} question {seq}");
            match result(replies[0]).0 {
                0 => answered += 1,
                -2 => left += 1,
                _ => {}
            }
        }
        assert_eq!(w.used("requests"), 0, "seed {seed}: questions are left");
    }
    assert!(answered > 100 && left > 50, "{answered} answered, {left} left");
}

#[test]
fn many_questions_in_one_write_are_all_answered_in_order() {
    let mut w = World::msgq(|_| {});
    let (a, b) = (w.talker(), w.talker());
    w.subscribe(b, "svc");
    let from = w.talkers[a].lname.clone();
    let mut stream = Vec::new();
    for i in 0..500 {
        let group = if i % 2 == 0 { "svc" } else { "void" };
        let members = json!({"type": "send", "from": from, "to": "*", "group": group, "instance": "*", "seq": i, "want_answer": true});
        stream.extend(frame(&header(&members), b"{}"));
    }
    w.feed(a, &stream);
    let told = w.heard(a);
    assert_eq!(told.len(), 250);
    told.iter().enumerate().for_each(|(i, f)| from_node(f, 2 * i as i64 + 1, -1));
    let questions = w.heard(b);
    assert_eq!(questions.len(), 250);
    for q in &questions {
        w.group_reply(b, q, &json!({"result": [0]}));
    }
    let answers: Vec<i64> = w.heard(a).iter().map(|f| f.header["reply"].as_i64().unwrap()).collect();
    assert_eq!(answers, (0..250).map(|i| 2 * i).collect::<Vec<_>>());
}

#[test]
fn d12_so_many_questions_of_one_number_and_no_more() {
    let (mut w, a, b) = pair();
    let from = w.talkers[a].lname.clone();
    let members = json!({"type": "send", "from": from, "to": "*", "group": "svc", "instance": "*", "seq": 8, "want_answer": true});
    for _ in 0..64 {
        w.say(a, &members, b"{}");
    }
    assert_eq!((w.heard(a).len(), w.heard(b).len()), (0, 64));
    // one more could be told apart from the others by nobody: it is answered, and goes no further
    w.say(a, &members, b"{}");
    let told = w.heard_one(a);
    assert_eq!(told.header["reply"], json!(8));
    assert!(result(&told).0 < 0, "{}", told.text);
    assert_eq!(w.heard(b).len(), 0);
    assert_eq!(w.router.counters().get(Counter::TableFull), 1);
    // each of the others has its answer, and then there is room again
    w.hang_up(b);
    assert_eq!(w.heard(a).len(), 64);
    assert_eq!(w.used("requests"), 0);
    let c = w.talker();
    w.subscribe(c, "svc");
    w.say(a, &members, b"{}");
    assert_eq!((w.heard(a).len(), w.heard(c).len()), (0, 1));
}

/// Found by the simulation: to close a question made the node forget the oldest that was answered, which was the next
/// that the callee had something to do with; the walk along its questions went on from there, wherever that was.
#[test]
fn d5_a_callee_that_leaves_is_let_off_all_it_was_asked_however_many_questions_that_closes() {
    for goes in [false, true] {
        let mut w = World::msgq(|s| s.asks = 10_000);
        let (a, other, callee) = (w.talker(), w.talker(), w.talker());
        w.subscribe(callee, "only");
        w.subscribe(callee, "g");
        w.subscribe(other, "g");
        let first = w.group_send(a, "only", "*", true, &json!(1));
        // a sixteenth of the table is remembered when it was answered, while the callee might still answer
        for _ in 0..256 {
            w.group_send(a, "g", "*", true, &json!(1));
            let question = w.heard_one(other);
            w.group_reply(other, &question, &json!({"result": [0]}));
        }
        w.heard(a);
        let last = w.group_send(a, "only", "*", true, &json!(1));
        if goes {
            w.hang_up(callee);
        } else {
            w.unsubscribe(callee, "only");
        }
        let told: Vec<Option<i64>> = w.heard(a).iter().map(|f| f.header["reply"].as_i64()).collect();
        assert_eq!(told, [Some(first), Some(last)], "goes: {goes}");
        w.hang_up(a);
        assert_eq!((w.used("requests"), w.used("debts")), (0, 0), "goes: {goes}");
    }
}

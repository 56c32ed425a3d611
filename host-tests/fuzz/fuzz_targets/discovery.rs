//! A datagram, as a question and as an answer: what is read is the same when it is written and read
//! again, is a message to the Communicator's reader, and is answered by nothing longer.
#![no_main]

use chappe_core::dialect::communicator::parse;
use chappe_core::discovery::{ANSWER, Answer, Asker, Ports, QUESTION, Question, Responder, Scheme, Schemes};
use chappe_core::time::Instant;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let near = std::net::IpAddr::from([10, 0, 0, 1]);
    let question = Question::read(data);
    let answer = Answer::read(data);
    assert!(question.is_err() || answer.is_err(), "one or the other");
    if question.is_ok() || answer.is_ok() {
        let message = parse::message(data, &mut []).expect("what is one here is one there");
        assert_eq!(message.command, if question.is_ok() { &b"DISCOVER"[..] } else { b"FOUND" });
        assert!(message.from_server.is_empty() && message.server.is_empty() && message.service.is_empty());
    }
    if let Ok(question) = question {
        let mut out = [0; QUESTION];
        question.write(&mut out);
        assert_eq!(Question::read(&out), Ok(question));
        let mut ports = Ports::NONE;
        Scheme::ALL.into_iter().for_each(|scheme| ports.set(scheme, u16::MAX));
        let mut responder = Responder::new();
        assert_eq!(responder.hear(Instant::ZERO, near, data, question.node), Ok(question));
        let mut out = [0; ANSWER];
        if let Ok(n) = Responder::answer(&question, &"n".repeat(99), ports, &mut out) {
            assert!(n <= data.len());
            assert_eq!(Answer::read(&out[..n]).expect("it is one").nonce, question.nonce);
        }
    }
    if let Ok(answer) = answer {
        let mut out = [0; ANSWER];
        let n = answer.write(&mut out);
        assert_eq!(Answer::read(&out[..n]), Ok(answer));
    }
    let mut asker = Asker::new("", Schemes::ALL, 1, Instant::ZERO);
    let mut out = [0; QUESTION];
    asker.ask(Instant::ZERO, &mut out).expect("at once");
    let nonce = Question::read(&out).expect("it is one").nonce;
    if let Ok(found) = asker.hear(near, data) {
        assert!(found.nonce == nonce && !found.ports.is_empty());
    }
});

//! What lines from the server mean for a session: answers, and everything else.
//!
//! Owns: which line answers the question that is waited for, which error belongs to it, and the
//! bounded queue of events. Does not own the connection (`turn.rs`).
//!
//! # Whose answer is it?
//!
//! Answers have no numbers, a denied question is not answered at all, and the line that says
//! so names nothing; the original even says it after answers to what was asked later (section 11).
//! So behind each question goes a `FLUSH` with a number of its own, and answers keep the order
//! of questions:
//!
//! | between the `FLUSHED` of the question before and its own | the question is |
//! |---|---|
//! | its answer, with the very key that was asked for | answered; nothing more is waited for |
//! | `unknown_command` and its very line | not known |
//! | nothing | denied; one `permission_denied` that came since, or is to come, belongs to it |
//!
//! A server that does not know `FLUSH` says so, in order, which is as good.

use std::collections::VecDeque;

use chappe_core::dialect::clacks::overhead::{Flags, News};
use chappe_core::dialect::clacks::parse;
use chappe_core::dialect::clacks::repr::{Fields, Line, Overhead};

use super::error::shown;
use super::event::{Client, Event, Missed, Told, Why};
use super::{Error, Options};

/// Before the numbers of `FLUSH`.
const BARRIER: &[u8] = b"chappe";

/// Before what is wrong with how this client speaks.
const BAD_REQUEST: &str = "bad_request ";

/// Barriers whose `FLUSHED` is still to come, at the most: of calls that were given up.
const BARRIERS: usize = 1024;

/// A question.
#[derive(Debug)]
pub(super) enum Question {
    /// The value of this key.
    Value(Vec<u8>),
    Keys,
    Clients,
    /// Whether all that was said before is carried out.
    Barrier,
}

/// What it has come to.
#[derive(Debug)]
pub(super) enum Answer {
    Value(Option<Vec<u8>>),
    Keys(Vec<Vec<u8>>),
    Clients(Vec<Client>),
    Done,
}

#[derive(Debug)]
struct Asked {
    question: Question,
    /// Its line, without the end.
    line: Vec<u8>,
    /// The number of its barrier.
    barrier: u64,
    /// Rows of a list that has begun.
    rows: Option<Vec<Vec<u8>>>,
    octets: usize,
    /// Errors in the queue that may be about it.
    denied: usize,
    /// Of a barrier: the first error that came.
    error: Option<Told>,
    result: Option<Result<Answer, Error>>,
}

/// How a connection ends by a line.
#[derive(Debug)]
pub(super) enum End {
    Over(Why),
    /// For good.
    Refused(String),
    NotClacks(String),
}

#[derive(Debug)]
pub(super) struct Heard {
    queue: VecDeque<Event>,
    octets: usize,
    room: usize,
    room_octets: usize,
    missed: Missed,
    /// What the server calls itself; `None`: it has not said so on this connection.
    server: Option<String>,
    /// There was a connection before.
    again: bool,
    is_welcome: bool,
    asked: Option<Asked>,
    /// Numbers of barriers to come, and what each proves: so many kept lines.
    barriers: VecDeque<(u64, u64)>,
    /// The last number given.
    last: u64,
    /// The number of the last that came.
    flushed: u64,
    /// Of lines that are kept, so many are proved to have reached the server.
    proved: u64,
    /// Errors to come that belong to questions that are over.
    owed: usize,
    /// Before any welcome the server has said that this client speaks to it in the wrong way.
    scolded: Option<String>,
}

impl Heard {
    pub(super) fn new(options: &Options) -> Self {
        Heard {
            queue: VecDeque::new(),
            octets: 0,
            room: options.queue,
            room_octets: options.queue_bytes,
            missed: Missed::default(),
            server: None,
            again: false,
            is_welcome: false,
            asked: None,
            barriers: VecDeque::new(),
            last: 0,
            flushed: 0,
            proved: 0,
            owed: 0,
            scolded: None,
        }
    }

    pub(super) fn missed(&self) -> Missed {
        self.missed
    }

    pub(super) fn server(&self) -> Option<&str> {
        self.server.as_deref()
    }

    pub(super) fn is_welcome(&self) -> bool {
        self.is_welcome
    }

    /// Of a connection that ends: why the server would not have the next one either.
    pub(super) fn scolded(&mut self) -> Option<String> {
        self.scolded.take().filter(|_| !self.is_welcome)
    }

    pub(super) fn proved(&self) -> u64 {
        self.proved
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        let event = self.queue.pop_front()?;
        self.octets -= event.size();
        Some(event)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.queue.len() >= self.room || self.octets >= self.room_octets
    }

    pub(super) fn push(&mut self, event: Event) {
        if self.is_full() {
            self.missed.events += 1;
            return;
        }
        self.octets += event.size();
        self.queue.push_back(event);
    }

    /// What is told of the connection itself has room of its own: it is little, and rare, unless
    /// the server wants our memory.
    pub(super) fn push_about_connection(&mut self, event: Event) {
        if let (Event::Unreachable { .. }, Some(Event::Unreachable { .. })) = (&event, self.queue.back())
            && let Some(old) = self.queue.pop_back()
        {
            self.octets -= old.size();
        }
        let is_over = self.octets.saturating_add(event.size()) > self.room_octets.saturating_mul(2);
        if self.queue.len() >= self.room.saturating_mul(2) || is_over && self.is_full() {
            self.missed.events += 1;
            return;
        }
        self.octets += event.size();
        self.queue.push_back(event);
    }

    /// The number of a new barrier, which proves so many kept lines.
    pub(super) fn barrier(&mut self, proves: u64) -> u64 {
        self.last += 1;
        self.barriers.push_back((self.last, proves));
        if self.barriers.len() > BARRIERS {
            self.barriers.pop_front();
        }
        self.last
    }

    /// Waits for a question from here on, and for nothing else.
    pub(super) fn ask(&mut self, question: Question, line: Vec<u8>, barrier: u64) {
        self.asked =
            Some(Asked { question, line, barrier, rows: None, octets: 0, denied: 0, error: None, result: None });
    }

    /// What the question has come to. It is over then.
    pub(super) fn take(&mut self) -> Option<Result<Answer, Error>> {
        let result = self.asked.as_mut()?.result.take()?;
        self.asked = None;
        Some(result)
    }

    /// Whether an answer is waited for that has not come.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.result.is_none())
    }

    /// The question is over without an answer. Whether it may have been denied.
    pub(super) fn give_up(&mut self) -> bool {
        self.asked.take().is_some_and(|asked| asked.denied > 0)
    }

    /// The connection is over: nothing that was asked on it will be answered, but what was
    /// answered stays so. So many kept lines were taken.
    pub(super) fn over(&mut self, taken: u64) {
        self.asked.take_if(|asked| asked.result.is_none());
        self.barriers.clear();
        self.flushed = self.last;
        self.proved = taken;
        self.owed = 0;
        self.scolded = None;
        self.again |= self.server.is_some();
        self.server = None;
        self.is_welcome = false;
    }

    /// One line. An error: it ends the connection.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Result<(), End> {
        let line = parse::line(bytes);
        match line {
            Line::Nop => return Ok(()),
            Line::Quit => return Err(End::Over(Why::Quit)),
            Line::Timeout => return Err(End::Over(Why::Timeout)),
            Line::Clacks(text) => self.clacks(&String::from_utf8_lossy(text)),
            _ if self.server.is_none() => {
                return Err(End::NotClacks(match bytes.first() {
                    // a record of TLS: an alert
                    Some(0x15) => "it speaks TLS".into(),
                    _ => format!("its first line is {}", shown(bytes)),
                }));
            }
            Line::Set { name, value } => self.push(Event::Set { name: name.into(), value: value.into() }),
            Line::Notify(name) => self.push(Event::Notify { name: name.into() }),
            Line::Debug { source, text } => self.push(Event::Debug { source: source.into(), text: text.into() }),
            Line::Overhead(overhead) => return self.overhead(&overhead),
            Line::Flushed(text) => match number(text) {
                Some(number) => self.flushed(number),
                None => self.missed.late += 1,
            },
            Line::Retrieved(_)
            | Line::NotRetrieved(_)
            | Line::KeyListStart
            | Line::Key(_)
            | Line::KeyListEnd
            | Line::ClientListStart
            | Line::Client(_)
            | Line::ClientListEnd => self.answer(&line),
            Line::Command(_) | Line::Unknown(_) => self.missed.unknown += 1,
        }
        Ok(())
    }

    fn clacks(&mut self, text: &str) {
        let first = self.server.replace(text.to_owned()).is_none();
        if first && self.again {
            self.push_about_connection(Event::Reconnected);
        }
        self.push_about_connection(Event::ServerInfo(text.to_owned()));
    }

    fn overhead(&mut self, overhead: &Overhead<'_>) -> Result<(), End> {
        if Flags::of(overhead.flags).has(b'G') {
            // Another client says it, whatever it says: only notes are of interest, and nobody
            // but the server itself refuses anybody (weak point 2).
            if let News::Note { text, .. } = overhead.news() {
                self.push(Event::Note(text.into()));
            }
            return Ok(());
        }
        match overhead.news() {
            News::Welcome => self.is_welcome = true,
            News::Failed(text) => return Err(End::Refused(String::from_utf8_lossy(text).into_owned())),
            News::Error(text) => self.error(text),
            News::Note { .. } | News::Nothing => {}
        }
        Ok(())
    }

    fn error(&mut self, text: &[u8]) {
        let told = Told::read(text);
        if let Told::Other(all) = &told
            && let Some(why) = all.strip_prefix(BAD_REQUEST)
            && !self.is_welcome
        {
            self.scolded = Some(why.to_owned());
        }
        if told == Told::Denied && self.owed > 0 {
            self.owed -= 1;
            return;
        }
        if let Told::Unknown(_) = told {
            let line = text.strip_prefix(b"unknown_command ").unwrap_or_default();
            if let Some(barrier) = line.strip_prefix(b"FLUSH ").and_then(number) {
                return self.flushed(barrier);
            }
            if let Some(asked) = self.current()
                && asked.line == line
            {
                asked.result = Some(Err(told.into()));
                return;
            }
        }
        if let Some(asked) = &mut self.asked {
            match (&asked.question, &asked.result) {
                // The first is that of the barrier, even if its number came just before.
                (Question::Barrier, Some(Ok(_))) => {
                    asked.result = Some(Err(told.into()));
                    return;
                }
                (Question::Barrier, None) if asked.error.is_none() => {
                    asked.error = Some(told);
                    return;
                }
                (_, None) => asked.denied += usize::from(told == Told::Denied),
                _ => {}
            }
        }
        self.push(Event::Error(told));
    }

    /// The question whose answer may come now.
    fn current(&mut self) -> Option<&mut Asked> {
        let flushed = self.flushed;
        self.asked.as_mut().filter(|asked| asked.result.is_none() && asked.barrier == flushed + 1)
    }

    fn answer(&mut self, line: &Line<'_>) {
        let room = self.room_octets;
        let Some(asked) = self.current() else {
            self.missed.late += 1;
            return;
        };
        let Asked { question, rows, octets, result, .. } = asked;
        match (&*question, line) {
            (Question::Value(key), Line::Retrieved(_)) if line.value_of(key).is_some() => {
                *result = Some(Ok(Answer::Value(line.value_of(key).map(<[u8]>::to_vec))));
            }
            (Question::Value(key), Line::NotRetrieved(other)) if key == other => {
                *result = Some(Ok(Answer::Value(None)));
            }
            (Question::Keys, Line::KeyListStart) | (Question::Clients, Line::ClientListStart) => {
                *rows = Some(Vec::new());
            }
            (Question::Keys, Line::Key(row)) | (Question::Clients, Line::Client(Fields(row))) if rows.is_some() => {
                *octets += row.len() + size_of::<Vec<u8>>();
                if *octets <= room {
                    rows.get_or_insert_default().push(row.to_vec());
                }
            }
            (Question::Keys, Line::KeyListEnd) | (Question::Clients, Line::ClientListEnd) if rows.is_some() => {
                let rows = rows.take().unwrap_or_default();
                *result = Some(match question {
                    _ if *octets > room => Err(Error::TooMuch),
                    Question::Clients => Ok(Answer::Clients(rows.iter().map(|row| Client::read(row)).collect())),
                    _ => Ok(Answer::Keys(rows)),
                });
            }
            _ => self.missed.late += 1,
        }
    }

    fn flushed(&mut self, number: u64) {
        while let Some((first, proves)) = self.barriers.front().copied()
            && first <= number
        {
            self.barriers.pop_front();
            self.flushed = first;
            self.proved = self.proved.max(proves);
        }
        let Some(asked) = self.asked.as_mut().filter(|a| a.result.is_none() && a.barrier <= number) else { return };
        let result = match asked.question {
            Question::Barrier => asked.error.take().map_or(Ok(Answer::Done), |told| Err(told.into())),
            // One of these errors is about the question, and cannot be told from the others.
            _ if asked.denied > 0 => {
                asked.denied -= 1;
                let is_denied = |event: &Event| *event == Event::Error(Told::Denied);
                if let Some(at) = self.queue.iter().rposition(is_denied)
                    && let Some(event) = self.queue.remove(at)
                {
                    self.octets -= event.size();
                }
                Err(Error::Denied)
            }
            _ => {
                self.owed += 1;
                Err(Error::Denied)
            }
        };
        asked.result = Some(result);
    }
}

/// The text of a barrier.
pub(super) fn barrier_text(number: u64) -> Vec<u8> {
    [BARRIER, number.to_string().as_bytes()].concat()
}

fn number(text: &[u8]) -> Option<u64> {
    let digits = text.strip_prefix(BARRIER)?;
    let is_number = digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(queue: usize) -> Heard {
        let mut heard = Heard::new(&Options { queue, ..Options::default() });
        heard.hear(b"CLACKS PageCamel 36").unwrap();
        assert_eq!(heard.pop(), Some(Event::ServerInfo("PageCamel 36".into())));
        heard
    }

    fn ask(heard: &mut Heard, question: Question, line: &str) -> u64 {
        let barrier = heard.barrier(0);
        heard.ask(question, line.into(), barrier);
        barrier
    }

    fn say(heard: &mut Heard, lines: &str) {
        for line in lines.lines() {
            heard.hear(line.as_bytes()).unwrap();
        }
    }

    fn value(heard: &mut Heard) -> Option<Option<Vec<u8>>> {
        match heard.take()?.unwrap() {
            Answer::Value(value) => Some(value),
            other => panic!("{other:?}"),
        }
    }

    fn events(heard: &mut Heard) -> Vec<Event> {
        std::iter::from_fn(|| heard.pop()).collect()
    }

    #[test]
    fn an_answer_is_that_of_the_very_key() {
        for key in ["a", "a.b", "a=b", "x+", "(", "[a", "a$", "^", "\\", "a|b", "{1}", "*", "=", "a ", " a"] {
            let mut heard = heard(10);
            ask(&mut heard, Question::Value(key.into()), &format!("RETRIEVE {key}"));
            // none of these is one, the last but for its key
            say(
                &mut heard,
                &format!("RETRIEVED {key}\nNOTRETRIEVED {key}x\nRETRIEVED x{key}=1\nKEY {key}\nSET s={key}"),
            );
            assert!(value(&mut heard).is_none());
            say(&mut heard, &format!("RETRIEVED {key}=1=2"));
            assert_eq!(value(&mut heard), Some(Some(b"1=2".to_vec())), "{key}");
            assert_eq!(heard.missed().late, 4);
            say(&mut heard, "FLUSHED chappe1");
            ask(&mut heard, Question::Value(key.into()), &format!("RETRIEVE {key}"));
            say(&mut heard, &format!("NOTRETRIEVED {key}"));
            assert_eq!(value(&mut heard), Some(None));
            assert_eq!(events(&mut heard), [Event::Set { name: b"s".into(), value: key.into() }]);
        }
    }

    #[test]
    fn a_server_that_never_ends_to_say_what_it_is_takes_no_memory() {
        let mut heard = Heard::new(&Options { queue_bytes: 1 << 20, ..Options::default() });
        let line = [&b"CLACKS "[..], &[b'x'; 100_000]].concat();
        for _ in 0..1000 {
            heard.hear(&line).unwrap();
        }
        let octets: usize = events(&mut heard).iter().map(Event::size).sum();
        assert!(octets <= (2 << 20), "{octets}");
        assert!(heard.missed().events > 900);
    }

    #[test]
    fn an_answer_that_comes_too_late_answers_nothing_else() {
        let mut heard = heard(10);
        ask(&mut heard, Question::Value(b"a".into()), "RETRIEVE a");
        assert!(!heard.give_up());
        ask(&mut heard, Question::Value(b"a".into()), "RETRIEVE a");
        say(&mut heard, "RETRIEVED a=old");
        assert!(heard.take().is_none());
        say(&mut heard, "FLUSHED chappe1\nRETRIEVED a=new");
        assert_eq!(value(&mut heard), Some(Some(b"new".to_vec())));
        // nor does the number of another
        ask(&mut heard, Question::Barrier, "FLUSH chappe3");
        say(&mut heard, "FLUSHED chappe2\nFLUSHED 3\nFLUSHED chappe\nFLUSHED chappe+3");
        assert!(heard.take().is_none());
        say(&mut heard, "FLUSHED chappe3");
        assert!(matches!(heard.take(), Some(Ok(Answer::Done))));
    }

    #[test]
    fn a_denied_question_has_its_error_wherever_it_comes() {
        // a new server, in order
        let mut heard = heard(10);
        ask(&mut heard, Question::Value(b"a".into()), "RETRIEVE a");
        say(&mut heard, "NOTIFY n\nOVERHEAD E permission_denied\nFLUSHED chappe1");
        assert!(matches!(heard.take(), Some(Err(Error::Denied))));
        assert_eq!(events(&mut heard), [Event::Notify { name: b"n".into() }]);
        // the original: behind all answers
        ask(&mut heard, Question::Keys, "KEYLIST");
        say(&mut heard, "FLUSHED chappe2\nOVERHEAD E permission_denied\nNOTIFY n");
        assert!(matches!(heard.take(), Some(Err(Error::Denied))));
        assert_eq!(events(&mut heard), [Event::Notify { name: b"n".into() }]);
        // one of something else that was said before does not make a question denied
        ask(&mut heard, Question::Value(b"a".into()), "RETRIEVE a");
        say(&mut heard, "OVERHEAD E permission_denied\nRETRIEVED a=1");
        assert_eq!(value(&mut heard), Some(Some(b"1".to_vec())));
        assert_eq!(events(&mut heard), [Event::Error(Told::Denied)]);
        say(&mut heard, "FLUSHED chappe3");
        // both
        ask(&mut heard, Question::Clients, "CLIENTLIST");
        say(&mut heard, "OVERHEAD E permission_denied\nOVERHEAD E permission_denied\nFLUSHED chappe4");
        assert!(matches!(heard.take(), Some(Err(Error::Denied))));
        assert_eq!(events(&mut heard), [Event::Error(Told::Denied)]);
    }

    #[test]
    fn what_a_barrier_finds_denied_is_its_error() {
        let mut heard = heard(10);
        ask(&mut heard, Question::Barrier, "FLUSH chappe1");
        say(&mut heard, "OVERHEAD E unknown_command STORE x\nOVERHEAD E permission_denied");
        assert!(heard.take().is_none());
        say(&mut heard, "FLUSHED chappe1");
        assert!(matches!(heard.take(), Some(Err(Error::Unknown(line))) if line == "STORE x"));
        assert_eq!(events(&mut heard), [Event::Error(Told::Denied)]);
        say(&mut heard, "OVERHEAD E unknown_command STORE x\nOVERHEAD E wrong");
        let unknown = Event::Error(Told::Unknown("STORE x".into()));
        assert_eq!(events(&mut heard), [unknown, Event::Error(Told::Other("wrong".into()))]);
    }

    #[test]
    fn a_server_without_barriers_or_lists_says_so() {
        let mut heard = heard(10);
        ask(&mut heard, Question::Barrier, "FLUSH chappe1");
        say(&mut heard, "OVERHEAD E unknown_command FLUSH chappe1");
        assert!(matches!(heard.take(), Some(Ok(Answer::Done))));
        ask(&mut heard, Question::Clients, "CLIENTLIST");
        say(&mut heard, "OVERHEAD E unknown_command CLIENTLIST\nOVERHEAD E unknown_command FLUSH chappe2");
        assert!(matches!(heard.take(), Some(Err(Error::Unknown(line))) if line == "CLIENTLIST"));
        assert!(events(&mut heard).is_empty());
    }

    #[test]
    fn lists_with_other_lines_in_between() {
        let mut heard = heard(10);
        ask(&mut heard, Question::Keys, "KEYLIST");
        say(
            &mut heard,
            "KEY early\nKEYLISTEND\nKEYLISTSTART\nKEY a=b\nSET s=1\nNOP\nCLIENT CID=x;\nKEY  c \nNONSENSE\nPING",
        );
        say(&mut heard, "OVERHEAD GM hi\nOVERHEAD E permission_denied\nKEYLISTEND");
        let Some(Ok(Answer::Keys(keys))) = heard.take() else { panic!() };
        assert_eq!(keys, [&b"a=b"[..], b" c "]);
        let set = Event::Set { name: b"s".into(), value: b"1".into() };
        assert_eq!(events(&mut heard), [set, Event::Note(b"hi".into()), Event::Error(Told::Denied)]);
        assert_eq!((heard.missed().late, heard.missed().unknown), (3, 2));
    }

    #[test]
    fn only_the_server_itself_refuses() {
        let mut heard = heard(10);
        say(
            &mut heard,
            "OVERHEAD GF x\nOVERHEAD GE permission_denied\nOVERHEAD GO x\nOVERHEAD GN Terry\nOVERHEAD M all",
        );
        assert!(events(&mut heard).is_empty() && !heard.is_welcome());
        say(&mut heard, "OVERHEAD O Welcome!");
        assert!(heard.is_welcome());
        assert!(matches!(heard.hear(b"OVERHEAD F Login failed!"), Err(End::Refused(text)) if text == "Login failed!"));
        assert!(matches!(heard.hear(b"QUIT"), Err(End::Over(Why::Quit))));
        assert!(matches!(heard.hear(b"TIMEOUT"), Err(End::Over(Why::Timeout))));
    }

    #[test]
    fn the_first_line_counts() {
        for (first, why) in [
            (&b"HTTP/1.1 400 Bad Request"[..], "HTTP/1.1 400"),
            (b"OVERHEAD M Authentication required", "OVERHEAD M"),
            (b"CLACKSPageCamel", "CLACKSPageCamel"),
            (b"SSH-2.0-x\x1b[31m", "\\u{1b}"),
            (b"\x15\x03\x03\0\x02\x02\x32", "TLS"),
        ] {
            let mut heard = Heard::new(&Options::default());
            heard.hear(b"NOP").unwrap();
            assert!(matches!(heard.hear(first), Err(End::NotClacks(text)) if text.contains(why)));
        }
    }

    #[test]
    fn the_queue_ends_and_counts() {
        let mut heard = heard(3);
        say(&mut heard, "NOTIFY 1\nNOTIFY 2\nNOTIFY 3\nNOTIFY 4\nNOTIFY 5");
        assert!(heard.is_full());
        heard.push_about_connection(Event::Unreachable { problem: "a".into(), again_in: std::time::Duration::ZERO });
        let last = Event::Unreachable { problem: "b".into(), again_in: std::time::Duration::ZERO };
        heard.push_about_connection(last.clone());
        assert_eq!((heard.missed().events, heard.queue.len()), (2, 4));
        assert_eq!(events(&mut heard).pop(), Some(last));
        assert_eq!(heard.octets, 0);
    }

    #[test]
    fn a_connection_that_ends_owes_nothing() {
        let mut heard = heard(10);
        ask(&mut heard, Question::Value(b"a".into()), "RETRIEVE a");
        let first = heard.barrier(7);
        heard.over(9);
        assert_eq!((heard.proved(), heard.is_asked(), heard.server()), (9, false, None));
        ask(&mut heard, Question::Barrier, "FLUSH chappe3");
        say(&mut heard, "CLACKS x\nFLUSHED chappe3");
        heard.over(9);
        assert!(matches!(heard.take(), Some(Ok(Answer::Done))), "the answer came before the end");
        assert_eq!(events(&mut heard), [Event::Reconnected, Event::ServerInfo("x".into())]);
        heard.hear(b"CLACKS again").unwrap();
        assert_eq!(events(&mut heard), [Event::Reconnected, Event::ServerInfo("again".into())]);
        let barrier = ask(&mut heard, Question::Value(b"a".into()), "RETRIEVE a");
        assert_eq!(barrier, first + 2);
        say(&mut heard, "RETRIEVED a=1");
        assert_eq!(value(&mut heard), Some(Some(b"1".to_vec())));
    }
}

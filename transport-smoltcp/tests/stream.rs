//! The client over a serial line, against the router itself: lines that lose bytes, are cut, and carry rubbish.

mod common;

use chappe_core::client::{Client, Event, Why};
use chappe_core::dialect::messi::repr::{Code, Join};
use chappe_core::id::StationId;
use chappe_core::router::{Action, Counter, Newcomer, Open, Router, Settings};
use chappe_core::storage::Storage;
use chappe_core::time::{Duration, Instant};
use chappe_smoltcp::stream::{Line, STRIKES, StreamClient};
use common::{Heard, hear, letter};
use embedded_io::{ErrorKind, ErrorType, Read, ReadReady, Write, WriteReady};
use std::collections::VecDeque;

/// A UART with two small FIFOs.
#[derive(Default)]
struct Uart {
    to_board: VecDeque<u8>,
    from_board: VecDeque<u8>,
    overrun: bool,
}

const FIFO: usize = 16;

impl ErrorType for Uart {
    type Error = ErrorKind;
}
impl ReadReady for Uart {
    fn read_ready(&mut self) -> Result<bool, ErrorKind> {
        Ok(self.overrun || !self.to_board.is_empty())
    }
}
impl WriteReady for Uart {
    fn write_ready(&mut self) -> Result<bool, ErrorKind> {
        Ok(self.from_board.len() < FIFO)
    }
}
impl Read for Uart {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, ErrorKind> {
        if std::mem::take(&mut self.overrun) {
            return Err(ErrorKind::Other);
        }
        assert!(!self.to_board.is_empty(), "would block");
        let n = buf.len().min(self.to_board.len()).min(FIFO);
        buf[..n].iter_mut().for_each(|b| *b = self.to_board.pop_front().unwrap());
        Ok(n)
    }
}
impl Write for Uart {
    fn write(&mut self, buf: &[u8]) -> Result<usize, ErrorKind> {
        assert!(self.from_board.len() < FIFO, "would block");
        let n = buf.len().min(FIFO - self.from_board.len());
        self.from_board.extend(&buf[..n]);
        Ok(n)
    }
    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

/// A board, its line, and a node at the other end whose connection is made anew a second after it was closed, as QEMU's
/// `reconnect=1` does.
struct Bench {
    now: Instant,
    uart: Uart,
    board: StreamClient<'static>,
    heard: Vec<Heard>,
    router: Option<Router<'static>>,
    station: Option<StationId>,
    again_at: Instant,
    /// Bytes on the line that each side has sent, to choose places by.
    sent: usize,
    /// Loses the board's byte with this number.
    lose: Option<usize>,
}

fn router(now: Instant) -> Router<'static> {
    let storage: &'static mut Storage = common::leak(Storage::new());
    let mut settings = Settings::new("daemon", "1", common::leak(Open));
    settings.max_frame = 512;
    storage.router(settings, now).map_err(|e| format!("{e:?}")).unwrap()
}

fn board(now: Instant) -> StreamClient<'static> {
    let client: Client<'static> = common::client("board", 5, now);
    StreamClient::new(client, common::bytes(256), Line { fill: 512 + STRIKES, ..Line::default() })
}

impl Bench {
    fn new() -> Bench {
        let now = Instant::from_millis(5000);
        let mut bench = Bench {
            now,
            uart: Uart::default(),
            board: board(now),
            heard: vec![],
            router: Some(router(now)),
            station: None,
            again_at: now,
            sent: 0,
            lose: None,
        };
        bench.join();
        bench
    }

    fn join(&mut self) {
        self.board.client().join(&Join { seq: 9, name: "sensor", exclusive: true, ..Join::default() }).unwrap();
    }

    fn turn(&mut self) {
        let heard = &mut self.heard;
        // 115,200 baud: a FIFO each way takes about a millisecond
        self.board.poll(self.now, &mut self.uart, |client, event| {
            heard.push(hear(&event));
            if let Event::Message(l) = event
                && l.ask_id != 0
            {
                let answer = chappe_core::dialect::messi::repr::Answer { ask_id: l.ask_id, ..Default::default() };
                client.answer(&answer).unwrap();
            }
        });
        let mut bytes: Vec<u8> = self.uart.from_board.drain(..).collect();
        let first = self.sent;
        self.sent += bytes.len();
        if let Some(at) = self.lose
            && (first..self.sent).contains(&at)
        {
            bytes.remove(at - first);
        }
        let now = self.now;
        self.now = now + Duration::from_millis(1);
        let Some(router) = &mut self.router else { return };
        if self.station.is_none() && now >= self.again_at {
            self.station = Some(router.admit(now, Newcomer::default()).unwrap());
        }
        if let Some(id) = self.station {
            assert_eq!(router.receive(now, id, &bytes), bytes.len());
        }
        if router.deadline().is_some_and(|at| at <= now) {
            router.tick(now);
        }
        while let Some(action) = router.next_action(now) {
            match action {
                Action::Write(id) => {
                    let out: Vec<u8> = router.output(id).flatten().copied().collect();
                    if Some(id) == self.station {
                        self.uart.to_board.extend(&out);
                    }
                    router.sent(now, id, out.len());
                }
                Action::Resume(_) => {}
                Action::Close(id, _) if Some(id) == self.station => {
                    self.station = None;
                    self.again_at = now + Duration::from_millis(1000);
                }
                Action::Close(..) => {}
            }
        }
        router.check().unwrap();
    }

    fn until(&mut self, what: &str, within_ms: u32, mut so: impl FnMut(&mut Bench) -> bool) {
        for _ in 0..within_ms {
            if so(self) {
                return;
            }
            self.turn();
        }
        panic!("not within {within_ms} ms: {what}; heard {:?}", self.heard);
    }

    fn joined(&mut self, within_ms: u32) {
        let ok = Heard::Outcome { seq: 9, code: Code::Ok };
        self.until("joined", within_ms, |b| b.board.client().is_ready() && b.heard.contains(&ok));
    }
}

#[test]
fn hello_join_and_an_answer_over_a_line() {
    let mut b = Bench::new();
    b.joined(100);
    b.board.client().send(&letter("sensor::t", "SET", b"1")).unwrap();
    b.until("routed", 100, |b| b.router.as_ref().unwrap().counters().get(Counter::NoRecipient) == 1);
}

#[test]
fn any_byte_may_get_lost() {
    // A byte of the hello, of the join, of letters: the line falls over and stands up again by itself.
    for lose in 0..70 {
        let mut b = Bench::new();
        b.lose = Some(lose);
        for _ in 0..200 {
            b.turn();
            let _ = b.board.client().send(&letter("sensor::t", "SET", b"12345678"));
        }
        b.heard.clear();
        // what was lost, the silence of three seconds, the break, back-off, the name that is still taken: joined anew
        for _ in 0..25_000 {
            b.turn();
            if b.board.client().is_ready() && b.heard.contains(&Heard::Outcome { seq: 9, code: Code::NameTaken }) {
                b.heard.clear();
                b.join();
            }
        }
        assert!(b.board.client().is_ready(), "byte {lose}: {:?}", b.heard);
        let now = b.now;
        let seq = b.board.client().call(now, &letter("nobody", "X", b"")).unwrap();
        let answer = Heard::Reply { seq, code: Code::NoRecipient, body: vec![] };
        b.until("an answer", 100, |b| b.heard.contains(&answer));
    }
}

#[test]
fn rubbish_on_the_line_at_start_is_survived() {
    for rubbish in [&[0u8; 7][..], &[0xff; 9], &[2, 0, 1, 0, 7, 7], b"\r\nlogin: "] {
        let mut b = Bench::new();
        b.uart.to_board.extend(rubbish);
        b.joined(20_000);
    }
}

#[test]
fn a_restarted_node_is_found_again() {
    let mut b = Bench::new();
    b.joined(100);
    // killed, and back after four seconds
    (b.router, b.station) = (None, None);
    b.until("noticed", 4000, |b| b.heard.contains(&Heard::Disconnected(Why::Silent)));
    for _ in 0..4000 {
        b.turn();
    }
    b.heard.clear();
    b.uart.to_board.clear();
    (b.router, b.again_at) = (Some(router(b.now)), b.now);
    b.joined(20_000);
}

#[test]
fn a_restarted_board_is_found_again_also_inside_a_frame() {
    for cut in 0..40 {
        let mut b = Bench::new();
        b.joined(100);
        b.board.client().send(&letter("sensor::t", "SET", &[b'x'; 40])).unwrap();
        // the board loses power after so many bytes of it
        let stop = b.sent + cut;
        let rest = b.board.client().output().len();
        let now = b.now;
        let part: Vec<u8> = b.board.client().output()[..cut.min(rest)].to_vec();
        assert_eq!(b.sent + part.len(), stop.min(b.sent + rest));
        let id = b.station.unwrap();
        assert_eq!(b.router.as_mut().unwrap().receive(now, id, &part), part.len());
        b.board = board(now);
        b.uart.from_board.clear();
        b.heard.clear();
        b.join();
        for _ in 0..25_000 {
            b.turn();
            if b.heard.contains(&Heard::Outcome { seq: 9, code: Code::NameTaken }) {
                b.heard.clear();
                b.join();
            }
        }
        let ok = Heard::Outcome { seq: 9, code: Code::Ok };
        assert!(b.board.client().is_ready() && b.heard.contains(&ok), "cut at {cut}: {:?}", b.heard);
    }
}

#[test]
fn an_error_of_the_stream_costs_the_connection_and_no_more() {
    let mut b = Bench::new();
    b.joined(100);
    b.heard.clear();
    b.uart.overrun = true;
    b.until("given up", 10, |b| b.heard.iter().any(|h| matches!(h, Heard::Disconnected(_))));
    assert_eq!(b.board.errors(), 1);
    b.joined(10_000);
}

#[test]
fn after_goodbye_the_line_is_quiet() {
    let mut b = Bench::new();
    b.joined(100);
    let now = b.now;
    b.board.client().goodbye(now);
    b.until("gone", 100, |b| b.router.as_ref().unwrap().usage()[0].used == 0);
    b.until("told", 10_000, |b| b.heard.contains(&Heard::Disconnected(Why::Goodbye)));
    let sent = b.sent;
    for _ in 0..5000 {
        b.turn();
    }
    assert_eq!(b.sent, sent);
}

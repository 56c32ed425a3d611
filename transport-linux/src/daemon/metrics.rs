//! The counters' page for Prometheus, in a thread of its own.
//!
//! Owns: the HTTP around it and its text. The event loop is asked for its numbers through
//! a bounded channel and an eventfd; it answers between two turns and never waits.
//! httparse reads the requests. tiny_http would do all of this, but its users have found it
//! unmaintained (its issue 286, 2026), and it starts threads as connections come; this serves
//! one connection at a time, each at most [`PATIENCE`] long.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use mio::Waker;

/// How long one visitor may take in all.
const PATIENCE: Duration = Duration::from_secs(2);

/// Longest request head.
const HEAD: usize = 8192;

/// One number of the page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) name: &'static str,
    /// Of which table, for numbers that every table has.
    pub(super) label: Option<&'static str>,
    pub(super) help: &'static str,
    pub(super) kind: &'static str,
    pub(super) value: u64,
}

/// All numbers at one moment.
pub(super) type Snapshot = Vec<Row>;

/// The loop's end of the channel: whoever asks gives the place for the answer.
pub(super) type Asked = Receiver<SyncSender<Snapshot>>;

/// Starts the page. Returns where it is and what the loop must look at when it is woken.
pub(super) fn start(listen: SocketAddr, waker: Arc<Waker>) -> io::Result<(SocketAddr, Asked)> {
    let listener = TcpListener::bind(listen)?;
    let address = listener.local_addr()?;
    let (ask, asked) = sync_channel(1);
    std::thread::Builder::new().name("chappe-metrics".into()).spawn(move || {
        loop {
            match listener.accept() {
                // What one visitor does wrong is between us and them.
                Ok((stream, _)) => drop(serve(stream, &ask, &waker)),
                // Out of descriptors, perhaps: not again at once.
                Err(_) => wait_for_descriptors(),
            }
        }
    })?;
    Ok((address, asked))
}

/// Waits until there is a descriptor for a visitor, and another one. `accept` keeps one for as long
/// as nobody comes: were it the last, it would be the one that the loop needs to tell newcomers
/// that there are none.
fn wait_for_descriptors() {
    loop {
        std::thread::sleep(Duration::from_millis(100));
        let both = (File::open("/dev/null"), File::open("/dev/null"));
        if both.0.is_ok() && both.1.is_ok() {
            return;
        }
    }
}

fn serve(mut stream: TcpStream, ask: &SyncSender<SyncSender<Snapshot>>, waker: &Waker) -> io::Result<()> {
    let end = Instant::now() + PATIENCE;
    let mut head = [0u8; HEAD];
    let mut have = 0;
    let answer = loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || have == head.len() {
            break Answer::text("408 Request Timeout", "the request did not come, or its head is too long\n");
        }
        stream.set_read_timeout(Some(left))?;
        let n = stream.read(&mut head[have..])?;
        if n == 0 {
            return Ok(());
        }
        have += n;
        if let Some(answer) = answer(&head[..have], || snapshot(ask, waker, end)) {
            break answer;
        }
    };
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(answer.bytes().as_bytes())
}

fn snapshot(ask: &SyncSender<SyncSender<Snapshot>>, waker: &Waker, end: Instant) -> Option<Snapshot> {
    let (reply, answer) = sync_channel(1);
    ask.try_send(reply).ok()?;
    waker.wake().ok()?;
    answer.recv_timeout(end.saturating_duration_since(Instant::now())).ok()
}

struct Answer {
    status: &'static str,
    kind: &'static str,
    body: String,
    head_only: bool,
}

impl Answer {
    fn text(status: &'static str, body: &str) -> Self {
        Answer { status, kind: "text/plain; charset=utf-8", body: body.to_owned(), head_only: false }
    }

    fn bytes(&self) -> String {
        let body = if self.head_only { "" } else { &self.body };
        format!(
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.status,
            self.kind,
            self.body.len()
        )
    }
}

/// `None`: the head is not whole yet.
fn answer(head: &[u8], numbers: impl FnOnce() -> Option<Snapshot>) -> Option<Answer> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(head) {
        Ok(httparse::Status::Partial) => return None,
        Ok(httparse::Status::Complete(_)) => {}
        Err(e) => return Some(Answer::text("400 Bad Request", &format!("this is no HTTP request: {e}\n"))),
    }
    let head_only = request.method == Some("HEAD");
    if !head_only && request.method != Some("GET") {
        return Some(Answer::text("405 Method Not Allowed", "only GET and HEAD\n"));
    }
    if request.path.map(|p| p.split('?').next()) != Some(Some("/metrics")) {
        return Some(Answer::text("404 Not Found", "the counters are at /metrics\n"));
    }
    let mut answer = match numbers() {
        Some(rows) => Answer {
            status: "200 OK",
            kind: "text/plain; version=0.0.4; charset=utf-8",
            body: page(&rows),
            head_only: false,
        },
        None => Answer::text("503 Service Unavailable", "the daemon did not answer in time\n"),
    };
    answer.head_only = head_only;
    Some(answer)
}

/// The text form, version 0.0.4. Rows of one name stand together.
fn page(rows: &[Row]) -> String {
    let mut out = String::with_capacity(rows.len() * 128);
    let mut before = "";
    for row in rows {
        let suffix = if row.kind == "counter" { "_total" } else { "" };
        if row.name != before {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "# HELP chappe_{}{suffix} {}", row.name, row.help);
            let _ = writeln!(out, "# TYPE chappe_{}{suffix} {}", row.name, row.kind);
            before = row.name;
        }
        let _ = match row.label {
            Some(label) => writeln!(out, "chappe_{}{suffix}{{table=\"{label}\"}} {}", row.name, row.value),
            None => writeln!(out, "chappe_{}{suffix} {}", row.name, row.value),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: Row = Row { name: "letters", label: None, help: "what it is", kind: "counter", value: 7 };

    fn say(request: &str) -> Option<String> {
        answer(request.as_bytes(), || Some(vec![ROW])).map(|a| a.bytes())
    }

    #[test]
    fn the_page_is_in_the_text_form() {
        let used = Row { name: "used", label: Some("names"), help: "rows", kind: "gauge", value: 1 };
        let rows = [ROW, used, Row { label: Some("flags"), value: 2, ..used }];
        assert_eq!(
            page(&rows),
            "# HELP chappe_letters_total what it is\n# TYPE chappe_letters_total counter\nchappe_letters_total 7\n\
             # HELP chappe_used rows\n# TYPE chappe_used gauge\n\
             chappe_used{table=\"names\"} 1\nchappe_used{table=\"flags\"} 2\n"
        );
    }

    #[test]
    fn requests_have_their_answers() {
        assert!(say("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap().ends_with("chappe_letters_total 7\n"));
        assert!(say("HEAD /metrics HTTP/1.1\r\n\r\n").unwrap().ends_with("\r\n\r\n"));
        assert!(say("GET /metrics?x=1 HTTP/1.0\r\n\r\n").unwrap().starts_with("HTTP/1.1 200"));
        assert!(say("GET / HTTP/1.1\r\n\r\n").unwrap().starts_with("HTTP/1.1 404"));
        assert!(say("POST /metrics HTTP/1.1\r\n\r\n").unwrap().starts_with("HTTP/1.1 405"));
        assert!(say("\u{1}\u{2}\r\n\r\n").unwrap().starts_with("HTTP/1.1 400"));
        assert!(say("GET /metrics HTTP/1.1\r\n").is_none());
        let silent = answer(b"GET /metrics HTTP/1.1\r\n\r\n", || None).unwrap().bytes();
        assert!(silent.starts_with("HTTP/1.1 503"));
    }
}

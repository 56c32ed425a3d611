//! The connection of a peer that is only a script: lines as they come, octets in pieces as small as a
//! test wants.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How long nothing comes, to be nothing.
const QUIET: Duration = Duration::from_millis(200);

/// A stream that can be told how long to wait.
pub trait Timed: Read + Write {
    fn patience(&self, patience: Duration);
}

impl Timed for UnixStream {
    fn patience(&self, patience: Duration) {
        self.set_read_timeout(Some(patience)).unwrap();
    }
}

impl Timed for rustls::StreamOwned<rustls::ServerConnection, TcpStream> {
    fn patience(&self, patience: Duration) {
        self.sock.set_read_timeout(Some(patience)).unwrap();
    }
}

impl Timed for TcpStream {
    fn patience(&self, patience: Duration) {
        self.set_read_timeout(Some(patience)).unwrap();
    }
}

/// One connection.
pub struct Peer<S> {
    stream: S,
    input: Vec<u8>,
    step: usize,
}

impl<S: Timed> Peer<S> {
    /// What is written is cut into pieces of `step` octets.
    pub fn new(stream: S, step: usize) -> Self {
        Peer { stream, input: Vec::new(), step }
    }

    /// Writes, whether the other side is still there or not.
    pub fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(self.step) {
            let _ = self.stream.write_all(piece).and_then(|()| self.stream.flush());
        }
    }

    /// The other side has said nothing more and closes.
    pub fn ended(&mut self) {
        let rest = self.until_end().unwrap();
        assert!(rest.is_empty(), "before the end: {:?}", String::from_utf8_lossy(&rest));
    }

    /// The next line, with its end; `None`: the other side has left.
    pub fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.input.iter().position(|b| *b == b'\n') {
                let line = self.input.drain(..=at).collect();
                return Some(String::from_utf8(line).unwrap());
            }
            match self.read(PATIENCE) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(e) => panic!("the other side says nothing: {e}; half a line: {:?}", self.input),
            }
        }
    }

    /// Nothing comes for a while.
    pub fn quiet(&mut self) {
        let came = self.read(QUIET);
        assert!(self.input.is_empty() && came.is_err(), "{came:?} {:?}", String::from_utf8_lossy(&self.input));
    }

    /// All that still comes.
    pub fn until_end(&mut self) -> io::Result<Vec<u8>> {
        while self.read(PATIENCE)? > 0 {}
        Ok(std::mem::take(&mut self.input))
    }

    fn read(&mut self, patience: Duration) -> io::Result<usize> {
        self.stream.patience(patience);
        let mut bytes = [0; 65_536];
        match self.stream.read(&mut bytes) {
            Ok(n) => {
                self.input.extend_from_slice(&bytes[..n]);
                Ok(n)
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof) => Ok(0),
            Err(e) => Err(e),
        }
    }
}

/// `\r`, `\n`, `\xHH` and `\\` are octets.
pub fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let (octet, left) = match (first, more) {
            (b'\\', [b'r', left @ ..]) => (b'\r', left),
            (b'\\', [b'n', left @ ..]) => (b'\n', left),
            (b'\\', [b'\\', left @ ..]) => (b'\\', left),
            (b'\\', [b'x', high, low, left @ ..]) => {
                let digit = |b: &u8| (*b as char).to_digit(16).unwrap() as u8;
                (digit(high) << 4 | digit(low), left)
            }
            _ => (*first, more),
        };
        out.push(octet);
        rest = left;
    }
    out
}

//! The TLS of one connection of a client.
//!
//! Owns: the handshake, and what is between plain bytes and records. What a node has to show,
//! and what is shown to it, is `tls::Trust`'s.
//!
//! A connection that just ends is an ordinary end: frames say how long they are, so nothing
//! can be cut off unseen, and many programs end without a word.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use crate::tls::{Problem, ProblemKind};

/// Plain bytes that rustls may keep until the kernel takes their records: what is more stays
/// in the outbox of the client.
const LIMIT: usize = 64 * 1024;

/// What carries the records.
pub(super) trait Carrier: Read + Write {}
impl<T: Read + Write> Carrier for T {}

pub(super) struct Secure {
    session: ClientConnection,
}

impl fmt::Debug for Secure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secure").field("is_handshaking", &self.session.is_handshaking()).finish_non_exhaustive()
    }
}

impl Secure {
    pub(super) fn new(config: Arc<ClientConfig>, name: ServerName<'static>) -> io::Result<Self> {
        let mut session = ClientConnection::new(config, name).map_err(|e| Problem::from(&e))?;
        session.set_buffer_limit(Some(LIMIT));
        Ok(Secure { session })
    }

    /// Goes on with the handshake as far as it goes without waiting. Whether it is through.
    pub(super) fn shake(&mut self, carrier: &mut dyn Carrier) -> io::Result<bool> {
        loop {
            if !self.push(carrier)? {
                return Ok(false);
            }
            if !self.session.is_handshaking() {
                return Ok(true);
            }
            match self.pull(carrier) {
                Ok(true) => {}
                Ok(false) => {
                    let text = "it ended the connection in the TLS handshake";
                    return Err(Problem::new(ProblemKind::Ended, text).into());
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => {
                    let text = format!("it ended the connection in the TLS handshake ({e})");
                    return Err(Problem::new(ProblemKind::Ended, text).into());
                }
                Err(e) => {
                    // It shall learn why, if it can be told.
                    let _ = self.push(carrier);
                    return Err(e);
                }
            }
        }
    }

    /// Reads records once. `false`: the end.
    fn pull(&mut self, carrier: &mut dyn Carrier) -> io::Result<bool> {
        let n = loop {
            match self.session.read_tls(carrier) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        let state = self.session.process_new_packets().map_err(|e| Problem::from(&e))?;
        Ok(n > 0 && !(state.peer_has_closed() && state.plaintext_bytes_to_read() == 0))
    }

    /// Writes records. `false`: the kernel does not take all of them.
    pub(super) fn push(&mut self, carrier: &mut dyn Carrier) -> io::Result<bool> {
        while self.session.wants_write() {
            match self.session.write_tls(carrier) {
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }

    /// Whether there are records that the kernel has not taken.
    pub(super) fn owes(&self) -> bool {
        self.session.wants_write()
    }

    /// Plain bytes; 0: the end.
    pub(super) fn read(&mut self, carrier: &mut dyn Carrier, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buf) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                result => return result,
            }
            let goes_on = self.pull(carrier);
            // A change of keys has to be answered.
            let _ = self.push(carrier)?;
            if !goes_on? {
                return Ok(0);
            }
        }
    }

    /// Takes plain bytes: how many.
    pub(super) fn write(&mut self, carrier: &mut dyn Carrier, bytes: &[u8]) -> io::Result<usize> {
        if !self.push(carrier)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = self.session.writer().write(bytes)?;
        self.push(carrier)?;
        Ok(n)
    }

    /// Says that nothing more will come.
    pub(super) fn end(&mut self, carrier: &mut dyn Carrier) {
        self.session.send_close_notify();
        let _ = self.push(carrier);
    }
}

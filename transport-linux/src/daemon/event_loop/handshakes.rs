//! Connections whose TLS handshake is not through: they are no stations yet.
//!
//! Owns: the table of them, how much of a turn they may take, how long they may take in all,
//! and what is said of those who do not get through. Does not own records (`daemon/secure.rs`).
//!
//! A handshake is the one thing here that costs much for few bytes: a signature, some tenths
//! of a millisecond with ECDSA, a whole one with RSA. So that a thousand of them at once do
//! not hold up those who are in, a turn gives all of them together [`SHARE`] and leaves the
//! rest for the next turns. Who does not go on costs a row and what has come in part, and not
//! for longer than `hello_within`; then the router begins to count that time anew for its
//! hello. Of all places of stations, those who are in their handshake take a quarter at most:
//! then the oldest of them goes, since a good one is through in the time of two round trips.

use std::sync::Arc;

use chappe_core::router::{Grant, Transport};
use chappe_core::time::Instant;
use mio::Token;
use rustls::ServerConfig;
use tracing::{debug, warn};

use super::doors::From;
use super::{EventLoop, STRANGER_READ, second};
use crate::daemon::connection::{Connection, Got};
use crate::daemon::peers::{Peer, token};
use crate::daemon::secure::{Secure, Trouble};
use crate::daemon::words;

/// What all handshakes together may take of a turn, and one more.
const SHARE: std::time::Duration = std::time::Duration::from_millis(2);

/// Handshakes that may be under way however few stations there may be.
const LEAST: usize = 16;

/// Tokens from here on are handshakes, up to those of listeners. Addresses of stations stay
/// far below.
pub(super) const HANDSHAKES: usize = usize::MAX / 2;

/// One of them.
#[derive(Debug)]
pub(super) struct Handshake {
    connection: Connection,
    from: From,
    /// What its station may do, unless its certificate is a user's.
    grant: Grant,
    until: Instant,
}

/// Why one has ended.
enum Why {
    Ended,
    Late,
    Crowded,
    Trouble(Trouble),
}

fn token_of(n: u64) -> Token {
    Token(HANDSHAKES + n as usize)
}

impl EventLoop<'_> {
    /// A connection has come to a listener that speaks TLS.
    pub(super) fn begin_handshake(
        &mut self,
        now: Instant,
        connection: Connection,
        grant: Grant,
        from: From,
        config: &Arc<ServerConfig>,
    ) {
        let most = (self.limits.stations as usize / 4).max(LEAST);
        while self.handshakes.len() >= most
            && let Some((&oldest, _)) = self.handshakes.first_key_value()
        {
            self.end_handshake(now, oldest, Why::Crowded);
        }
        if !self.has_room() {
            // There are no words for it before the handshake.
            self.refused_full(now, &from);
            return connection.refuse(&[], &mut self.scratch);
        }
        let n = self.next_handshake;
        let begun = Secure::new(config).map_err(|e| e.to_string()).and_then(|secure| {
            let connection = connection.with(secure);
            connection.register(self.poll.registry(), token_of(n)).map_err(|e| e.to_string())?;
            Ok(connection)
        });
        match begun {
            Ok(connection) => {
                self.next_handshake += 1;
                let until = now + self.settings.hello_within;
                self.handshakes.insert(n, Handshake { connection, from, grant, until });
            }
            Err(e) => {
                self.counts.accept_failures += 1;
                warn!(event = "connection.refused", from = %from, reason = "tls", detail = e, "refused");
            }
        }
    }

    /// Remembers what the kernel says about one.
    pub(super) fn note_handshake(&mut self, now: Instant, n: u64, event: &mio::event::Event) {
        let Some(Handshake { connection, .. }) = self.handshakes.get_mut(&n) else { return };
        if event.is_writable() && connection.blocked {
            let registry = self.poll.registry();
            let pushed =
                connection.unblock(registry, token_of(n)).and_then(|()| connection.push(registry, token_of(n)));
            if let Err(e) = pushed {
                return self.end_handshake(now, n, Why::Trouble(e.into()));
            }
        }
        let Some(Handshake { connection, .. }) = self.handshakes.get_mut(&n) else { return };
        connection.ended |= event.is_read_closed() || event.is_error();
        if (event.is_readable() || connection.ended) && !connection.queued {
            connection.queued = true;
            self.shaking.push(n);
        }
    }

    /// Goes on with those that have something to say, as far as their share of the turn goes.
    pub(super) fn shake(&mut self, now: Instant) {
        if self.shaking.begin_turn() == 0 {
            return;
        }
        let begun = std::time::Instant::now();
        while let Some(n) = self.shaking.next() {
            self.shake_one(now, n);
            if begun.elapsed() >= SHARE {
                return;
            }
        }
    }

    fn shake_one(&mut self, now: Instant, n: u64) {
        let Some(Handshake { connection, .. }) = self.handshakes.get_mut(&n) else { return };
        connection.queued = false;
        match connection.read(STRANGER_READ, &mut self.buffer, &mut self.desk) {
            Ok(Got::End) => self.end_handshake(now, n, Why::Ended),
            Ok(Got::Bytes { n: plain, took, of }) => {
                self.counts.reads += 1;
                if let Err(e) = connection.push(self.poll.registry(), token_of(n)) {
                    return self.end_handshake(now, n, Why::Trouble(e.into()));
                }
                if connection.secure().is_some_and(|s| !s.is_handshaking()) {
                    return self.take_in(now, n, plain);
                }
                if !connection.is_drained(took, of) {
                    connection.queued = true;
                    self.shaking.push(n);
                }
            }
            Err(Trouble::Io(e)) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(trouble) => self.end_handshake(now, n, Why::Trouble(trouble)),
        }
    }

    /// Its handshake is through: it becomes a station. The first it has said, if it has said
    /// something already, stands in the buffer.
    fn take_in(&mut self, now: Instant, n: u64, plain: usize) {
        let Some(Handshake { mut connection, from, grant, .. }) = self.handshakes.remove(&n) else { return };
        let i = connection.listener;
        let dialect = self.listeners[usize::from(i)].dialect;
        let owner = connection.secure().and_then(Secure::certificate).and_then(|c| self.users.by_certificate(&c));
        let grant = owner.unwrap_or(grant);
        if let Some(owner) = owner {
            connection.who = connection.who.with_user(owner.number);
        }
        let Some(id) = self.admit(now, i, Transport::Stream, grant, from.address()) else {
            self.refused_full(now, &from);
            return connection.refuse(words::full(dialect), &mut self.scratch);
        };
        let registry = self.poll.registry();
        let renamed = connection.rename(registry, token(id)).and_then(|()| connection.push(registry, token(id)));
        self.counts.tls_handshakes += 1;
        // What else has come is an edge of the past.
        connection.queued = true;
        self.ready.push(id);
        self.log_opened(id, i, &from, Some(&connection));
        self.peers.insert(id, Peer::Stream(connection));
        if let Err(e) = renamed {
            return self.lose(now, id, &e.to_string());
        }
        if plain > 0 {
            self.heard(now, id, plain);
        }
    }

    fn end_handshake(&mut self, now: Instant, n: u64, why: Why) {
        let Some(Handshake { connection, from, .. }) = self.handshakes.remove(&n) else { return };
        let listener = &self.listeners[usize::from(connection.listener)];
        let (at, dialect) = (listener.address.clone(), listener.dialect);
        let (reason, detail) = match &why {
            Why::Ended | Why::Trouble(Trouble::Io(_)) => {
                self.counts.tls_ended += 1;
                // Who looks whether a port is open does this: no news.
                debug!(event = "tls.ended", from = %from, listener = at, "it ended the connection in the handshake");
                return connection.close(&mut self.scratch);
            }
            Why::Late => {
                self.counts.tls_late += 1;
                ("late", "its TLS handshake took longer than hello_within_ms".to_owned())
            }
            Why::Crowded => {
                self.counts.tls_crowded += 1;
                ("crowded", "too many TLS handshakes are under way, and it was the oldest".to_owned())
            }
            Why::Trouble(Trouble::NotTls) => {
                self.counts.tls_missing += 1;
                ("no_tls", "it does not speak TLS, which this listener wants: clients write tls:// there".to_owned())
            }
            Why::Trouble(trouble) => {
                self.counts.tls_failed += 1;
                ("failed", trouble.to_string())
            }
        };
        // One line a second: whoever does not get through tends to come back at once.
        if now >= self.tls_log {
            self.tls_log = now + second();
            let c = &self.counts;
            let so_far = c.tls_failed + c.tls_missing + c.tls_late + c.tls_crowded;
            warn!(event = "tls.failed", reason, from = %from, listener = at, so_far, "no TLS connection: {detail}");
        } else {
            debug!(event = "tls.failed", reason, from = %from, listener = at, "no TLS connection: {detail}");
        }
        if let Why::Trouble(Trouble::NotTls) = why {
            return connection.without_tls().refuse(words::wants_tls(dialect), &mut self.scratch);
        }
        connection.close(&mut self.scratch);
    }

    /// Ends those that have taken too long.
    pub(super) fn end_late_handshakes(&mut self, now: Instant) {
        while let Some((&n, _)) = self.handshakes.first_key_value().filter(|(_, h)| h.until <= now) {
            self.end_handshake(now, n, Why::Late);
        }
    }

    /// When the first of them has taken too long.
    pub(super) fn handshake_deadline(&self) -> Option<Instant> {
        self.handshakes.first_key_value().map(|(_, h)| h.until)
    }

    /// A connection to a listener without TLS begins like a TLS one: the router ends it, for
    /// its bytes make no sense; here it is said why.
    #[cold]
    pub(super) fn unexpected_tls(&mut self, now: Instant, i: u16) {
        self.counts.tls_unexpected += 1;
        if now >= self.tls_log {
            self.tls_log = now + second();
            let listener = &self.listeners[usize::from(i)].address;
            let so_far = self.counts.tls_unexpected;
            warn!(event = "tls.unexpected", listener, so_far, "a client speaks TLS to a listener that does not");
        }
    }
}

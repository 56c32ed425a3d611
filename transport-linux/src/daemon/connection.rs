//! One byte stream: a TCP or Unix connection, or a serial line.
//!
//! Owns: the descriptor and what the kernel has said about it. Does not own bytes: what is
//! read goes to the router at once, what is written comes from there. TLS, where a listener
//! speaks it, is in between (`secure.rs`).
//!
//! Kernel facts this leans on, each proved in `tests/kernel.rs`: a read that returns less
//! than it had room for has emptied the socket; what comes later is an edge of its own, and
//! so is the end unless it had come before the event was fetched, which then says so; a
//! write that is not taken whole is followed by an edge when there is room again.

use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use super::secure::{Desk, Secure, Trouble};

/// Most pieces in one write; what is more waits for the next turn.
pub(super) const PIECES: usize = 128;

/// How much of what a closed peer still sends is taken, so that the kernel ends the
/// connection instead of resetting it, which would destroy our last words on their way.
const DISCARD: usize = 256 * 1024;

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// All that was offered.
    All(usize),
    /// Less, and there is room for more.
    Some(usize),
    /// Less: the kernel will say when there is room.
    Part(usize),
}

/// What became of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Got {
    /// The peer has ended its side.
    End,
    /// So many octets for the router, none if they are only part of a record of TLS; and how
    /// many the kernel had `of` those that were asked for.
    Bytes { n: usize, took: usize, of: usize },
}

/// What is behind a descriptor, as far as it behaves differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A short read has emptied it; edges for room come only after it was full.
    Tcp,
    /// A short read has emptied it; every reading of the peer is an edge for room.
    Unix,
    /// A short read says nothing: a terminal hands out what one interrupt brought.
    Serial,
}

/// Who is at the other end of a Unix socket, as the kernel says, or of TLS, as a certificate
/// says; of others nothing is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Who {
    uid: u32,
    user: u16,
}

impl Who {
    /// Nothing is known.
    pub(super) const STRANGER: Who = Who { uid: u32::MAX, user: u16::MAX };

    /// A process of this system user, who is the user with this number if there is one.
    pub(super) fn process(uid: u32, user: Option<u16>) -> Who {
        Who { uid, user: user.unwrap_or(u16::MAX) }
    }

    /// The system user.
    pub(super) fn uid(self) -> Option<u32> {
        // Both numbers are nobody's: see `sys::peer` and `gate`.
        (self.uid != u32::MAX).then_some(self.uid)
    }

    /// They are the user with this number, whatever process it is.
    pub(super) fn with_user(self, user: u16) -> Who {
        Who { user, ..self }
    }

    /// The number of the user that they are by that.
    pub(super) fn user(self) -> Option<u16> {
        (self.user != u16::MAX).then_some(self.user)
    }
}

/// A connection. Small: there may be many thousand.
#[derive(Debug)]
pub(super) struct Connection {
    // A file is the standard library's own safe read and writev on any descriptor.
    file: File,
    /// Boxed: most connections have none.
    secure: Option<Box<Secure>>,
    /// Where it came in.
    pub(super) listener: u16,
    /// The last write was not taken whole.
    pub(super) blocked: bool,
    /// Registered for room to write, too.
    watches_room: bool,
    /// The peer has ended its side; there may be bytes before the end.
    pub(super) ended: bool,
    /// In the ready list.
    pub(super) queued: bool,
    /// Nothing has been read from it.
    pub(super) is_new: bool,
    /// It takes nothing any more, but what it has said is still heard.
    pub(super) cut: bool,
    /// It has ended its side, and is to get what waits for it before it is let go of.
    pub(super) half_gone: bool,
    /// Its station has been let in.
    pub(super) is_in: bool,
    /// Not to be read for now: see `event_loop/held.rs`.
    pub(super) waits: bool,
    pub(super) kind: Kind,
    pub(super) who: Who,
}

impl Connection {
    pub(super) fn new(fd: OwnedFd, listener: u16, kind: Kind) -> Self {
        Connection {
            file: File::from(fd),
            secure: None,
            listener,
            blocked: false,
            watches_room: false,
            ended: false,
            queued: false,
            is_new: true,
            cut: false,
            half_gone: false,
            is_in: false,
            waits: false,
            kind,
            who: Who::STRANGER,
        }
    }

    /// From the first octet on it speaks TLS.
    pub(super) fn with(self, secure: Secure) -> Self {
        Connection { secure: Some(Box::new(secure)), ..self }
    }

    /// Its TLS.
    pub(super) fn secure(&self) -> Option<&Secure> {
        self.secure.as_deref()
    }

    /// Where it comes from, if that is an address.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        socket2::SockRef::from(&self.file).peer_addr().ok()?.as_socket()
    }

    /// What the kernel knows to have gone wrong.
    pub(super) fn take_error(&self) -> Option<io::Error> {
        socket2::SockRef::from(&self.file).take_error().ok().flatten()
    }

    pub(super) fn register(&self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut SourceFd(&self.file.as_raw_fd()), token, Interest::READABLE)
    }

    /// The same for one that is not connected yet: that it is, or cannot be, is an event.
    pub(super) fn register_dialled(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut SourceFd(&self.file.as_raw_fd()), token, both)?;
        (self.blocked, self.watches_room) = (true, true);
        Ok(())
    }

    /// Whether there is somebody at the other end.
    pub(super) fn is_connected(&self) -> bool {
        socket2::SockRef::from(&self.file).peer_addr().is_ok()
    }

    /// Whether that is this very socket: TCP does that when nobody listens on a port of those
    /// that are handed out, and just that one is handed out.
    pub(super) fn is_to_itself(&self) -> bool {
        let socket = socket2::SockRef::from(&self.file);
        let local = socket.local_addr().ok().and_then(|at| at.as_socket());
        local.is_some() && local == self.peer()
    }

    /// From now on it is somebody else's, and events have another token.
    pub(super) fn rename(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.blocked = false;
        self.watches_room = false;
        self.waits = false;
        self.is_in = false;
        registry.reregister(&mut SourceFd(&self.file.as_raw_fd()), token, Interest::READABLE)
    }

    /// Whether reading `n` of `room` bytes leaves no doubt that there is no more for now.
    #[inline]
    pub(super) fn is_drained(&self, n: usize, room: usize) -> bool {
        n < room && !self.ended && self.kind != Kind::Serial
    }

    /// Reads once, at most `room` octets. Interruptions are retried.
    #[inline]
    pub(super) fn read(&mut self, room: usize, buffer: &mut [u8], desk: &mut Desk) -> Result<Got, Trouble> {
        if let Some(secure) = &mut self.secure {
            return secure.read(&self.file, room, buffer, desk);
        }
        loop {
            match self.file.read(&mut buffer[..room]) {
                Ok(0) => return Ok(Got::End),
                Ok(n) => return Ok(Got::Bytes { n, took: n, of: room }),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Writes once. Room that comes later will be an event with `token`.
    #[inline]
    pub(super) fn write(
        &mut self,
        pieces: &[IoSlice<'_>],
        registry: &Registry,
        token: Token,
        desk: &mut Desk,
    ) -> io::Result<Written> {
        if let Some(secure) = &mut self.secure {
            let written = secure.write(&self.file, pieces, desk)?;
            if let Written::Part(_) = written {
                self.watch_room(registry, token)?;
            }
            return Ok(written);
        }
        let offered: usize = pieces.iter().map(|p| p.len()).sum();
        let result = match pieces {
            [one] => self.file.write(one),
            more => self.file.write_vectored(more),
        };
        let taken = match result {
            Ok(n) if n == offered => return Ok(Written::All(n)),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => 0,
            // Taken for full: if it is not, registering below makes an event at once.
            Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
            Err(e) => return Err(e),
        };
        self.watch_room(registry, token)?;
        Ok(Written::Part(taken))
    }

    fn watch_room(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.blocked = true;
        if !self.watches_room {
            let both = Interest::READABLE | Interest::WRITABLE;
            registry.reregister(&mut SourceFd(&self.file.as_raw_fd()), token, both)?;
            self.watches_room = true;
        }
        Ok(())
    }

    /// Writes records that belong to nothing in the outbox: those of the handshake, and
    /// answers to changes of keys. What the kernel does not take waits for room.
    pub(super) fn push(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let Some(secure) = &mut self.secure else { return Ok(()) };
        if self.blocked || !secure.owes_by_itself() {
            return Ok(());
        }
        if secure.push(&self.file)?.1 { Ok(()) } else { self.watch_room(registry, token) }
    }

    /// There is room again.
    pub(super) fn unblock(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.blocked = false;
        if self.watches_room && self.kind != Kind::Tcp {
            registry.reregister(&mut SourceFd(&self.file.as_raw_fd()), token, Interest::READABLE)?;
            self.watches_room = false;
        }
        Ok(())
    }

    /// The peer has ended it, or it broke: says goodbye where there are words for that.
    pub(super) fn end(mut self) {
        if let Some(secure) = &mut self.secure {
            secure.say_end(&self.file);
        }
    }

    /// Ends it so that what was written last can still be read.
    pub(super) fn close(mut self, scratch: &mut [u8]) {
        if let Some(secure) = &mut self.secure {
            secure.say_end(&self.file);
        }
        let socket = socket2::SockRef::from(&self.file);
        if socket.shutdown(Shutdown::Write).is_ok() {
            let mut discarded = 0;
            while discarded < DISCARD
                && let Ok(n @ 1..) = self.file.read(scratch)
            {
                discarded += n;
            }
        }
    }

    /// Says a few bytes to someone who is not let in.
    pub(super) fn say(&mut self, words: &[u8]) {
        // A new connection has room for a few bytes; if not, they are not worth waiting for.
        match &mut self.secure {
            Some(secure) => secure.say(&self.file, words),
            None => _ = self.file.write(words),
        }
    }

    /// Says a few bytes to someone who is not let in, and ends it.
    pub(super) fn refuse(mut self, words: &[u8], scratch: &mut [u8]) {
        self.say(words);
        self.close(scratch);
    }

    /// From here on bytes are said as they are: the peer does not speak TLS.
    pub(super) fn without_tls(self) -> Self {
        Connection { secure: None, ..self }
    }
}

//! One connection's TLS: records to bytes and bytes to records, for those who connect and for
//! the one master that this daemon connects to.
//!
//! Owns: the state of rustls, a record that has not come whole, and records that the kernel
//! has not taken. Owns no descriptor and no plain bytes: what is understood goes to the
//! router at once, and what is written stays in its outbox until the kernel has the records
//! that hold it. So the outbox stays the one queue of a station (D4): its limits and its
//! timers mean the same with TLS and without.
//!
//! rustls is used without buffers of its own: it is handed what has come and says how much of
//! it is done with, and what is left must be handed to it again, in the same place. What a connection holds between two turns:
//!
//! | what | octets |
//! |---|---|
//! | rustls' state, keys among it | 3 KiB at most once the handshake is through |
//! | a record that has begun | [`RECORD`] at most, while it lasts |
//! | handshake messages that have begun | [`HANDSHAKE`] at most, while it lasts |
//! | records that the kernel has not taken | those of [`CHUNK`], only while it takes none |
//!
//! Everything larger is in [`Desk`], of which there is one.

use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus};
use rustls::{AlertDescription, ClientConfig, CommonState, Error, ServerConfig};

use super::connection::{Got, Written};
use crate::tls::identity::About;

/// The longest record: 16 KiB, and what encryption may add by the standard.
pub(super) const RECORD: usize = 5 + 16 * 1024 + 2048;

/// Most octets of handshake messages that may wait for the rest: certificates of clients are
/// a few KiB with all that lead to them.
pub(super) const HANDSHAKE: usize = 32 * 1024;

/// Plain octets that are made into records at once: two full ones.
pub(super) const CHUNK: usize = 32 * 1024;

/// Octets read at once of who sends much that is no data, and for how many reads more. Each
/// change of keys costs some microseconds for 27 octets; rustls ends who sends nothing else, but
/// a little data in between would let 64 KiB of them take tens of milliseconds from everybody.
const LEAN: usize = 2048;
const LEAN_READS: u8 = 64;

/// Octets around the data of a record, at most.
const AROUND: usize = 32;

/// Room for the records of a chunk: full ones, and what may come before them.
const SEALED: usize = CHUNK + 4 * 1024;

/// The first octet of every TLS connection: a record of the handshake.
pub(super) const HANDSHAKE_RECORD: u8 = 22;

/// Room that all connections share, since only one is read or written at a time.
#[derive(Debug)]
pub(super) struct Desk {
    cipher: Box<[u8]>,
    plain: Box<[u8]>,
    sealed: Box<[u8]>,
}

impl Desk {
    /// `read`: most plain octets of one read.
    pub(super) fn new(read: usize) -> Desk {
        let room = |n: usize| vec![0; n].into_boxed_slice();
        Desk { cipher: room(read), plain: room(CHUNK), sealed: room(SEALED) }
    }
}

/// Why a connection cannot go on.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The operating system says so.
    Io(io::Error),
    /// The first octet is not that of TLS.
    NotTls,
    /// TLS says so; the peer was told, if there are words for it.
    Tls(Error),
    /// More than [`HANDSHAKE`] octets without a message that is whole.
    TooLong,
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble::Io(error)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Trouble::Tls(error)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Io(error) => error.fmt(f),
            Trouble::NotTls => f.write_str("it does not speak TLS"),
            Trouble::TooLong => f.write_str("its handshake is longer than any good one"),
            Trouble::Tls(Error::AlertReceived(alert)) => {
                let hint = match alert {
                    AlertDescription::UnknownCA
                    | AlertDescription::BadCertificate
                    | AlertDescription::CertificateUnknown => {
                        ": it does not believe this listener's certificate; give it the one that signed it"
                    }
                    AlertDescription::CertificateExpired => ": by its clock this listener's certificate has ended",
                    _ => "",
                };
                write!(f, "it says {alert:?}{hint}")
            }
            Trouble::Tls(Error::NoCertificatesPresented) => f.write_str("it has shown no certificate"),
            Trouble::Tls(Error::InvalidCertificate(why)) => write!(f, "its certificate is not accepted: {why}"),
            Trouble::Tls(Error::PeerIncompatible(why)) => {
                write!(f, "it speaks no TLS that is known here, which is 1.2 and 1.3 ({why:?})")
            }
            Trouble::Tls(error) => error.fmt(f),
        }
    }
}

/// The TLS of one connection.
pub(super) struct Secure {
    session: Session,
    /// What has come and is not understood yet.
    begun: Vec<u8>,
    sealed: Sealed,
    /// Nothing has come yet.
    is_new: bool,
    /// Reads that stay short, because there was little data in what came.
    lean: u8,
    /// The peer has said that nothing more will come.
    over: bool,
    /// What came was no TLS. rustls keeps places in what it was given, so it must not be
    /// called again without that.
    is_broken: bool,
    /// Why, if what came before that had to be heard first.
    trouble: Option<Trouble>,
}

/// Which end of it we are.
enum Session {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

impl Session {
    fn common(&self) -> &CommonState {
        match self {
            Session::Server(session) => session,
            Session::Client(session) => session,
        }
    }
}

/// The same words for both ends.
macro_rules! either {
    ($session:expr, $it:ident => $what:expr) => {
        match $session {
            Session::Server($it) => $what,
            Session::Client($it) => $what,
        }
    };
}

/// What rustls says to records.
trait Records {
    type Data;
    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Records for UnbufferedServerConnection {
    type Data = ServerConnectionData;
    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(bytes)
    }
}

impl Records for UnbufferedClientConnection {
    type Data = ClientConnectionData;
    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(bytes)
    }
}

impl fmt::Debug for Secure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secure").field("begun", &self.begun.len()).field("sealed", &self.sealed).finish_non_exhaustive()
    }
}

/// Records on their way to the kernel.
#[derive(Default)]
struct Sealed {
    bytes: Vec<u8>,
    /// Of these, already taken.
    taken: usize,
    /// Plain octets of the outbox in them, and how many of these were reported as sent.
    plain: usize,
    reported: usize,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.taken, self.bytes.len())
    }
}

impl Sealed {
    fn is_empty(&self) -> bool {
        self.taken == self.bytes.len()
    }

    /// Something of rustls' own.
    fn add<Data>(&mut self, mut message: EncodeTlsData<'_, Data>) {
        let start = self.bytes.len();
        if let Err(EncodeError::InsufficientSize(more)) = message.encode(&mut []) {
            self.bytes.resize(start + more.required_size, 0);
            let _ = message.encode(&mut self.bytes[start..]);
        }
    }

    /// The kernel has taken some. Returns how many plain octets of the outbox are with it now
    /// that were not before: in proportion, and the last ones with the last record, so that
    /// nothing leaves the outbox before it is on its way.
    fn take(&mut self, n: usize) -> usize {
        self.taken += n;
        if self.is_empty() {
            let rest = self.plain - self.reported;
            *self = Sealed::default();
            return rest;
        }
        let due = (self.plain as u64 * self.taken as u64 / self.bytes.len() as u64) as usize;
        let news = due.saturating_sub(self.reported);
        self.reported += news;
        news
    }
}

/// What became of octets that came.
struct Understood {
    /// So many are done with.
    used: usize,
    /// Octets of data that were in them, and records that held these.
    plain: usize,
    records: usize,
    /// Whether it was all TLS.
    result: Result<(), Error>,
}

impl Secure {
    /// A connection that has just come.
    pub(super) fn new(config: &Arc<ServerConfig>) -> Result<Secure, Error> {
        let session = UnbufferedServerConnection::new(config.clone())?;
        Ok(Secure::begin(Session::Server(session), true))
    }

    /// A connection to a server that has to prove to be `name`. What is said first is to be
    /// written by [`Secure::push`].
    pub(super) fn client(config: &Arc<ClientConfig>, name: ServerName<'static>) -> Result<Secure, Error> {
        let session = UnbufferedClientConnection::new(config.clone(), name)?;
        let mut secure = Secure::begin(Session::Client(session), false);
        secure.understand(&mut [], &mut []).result?;
        Ok(secure)
    }

    fn begin(session: Session, is_new: bool) -> Secure {
        Secure {
            session,
            begun: Vec::new(),
            sealed: Sealed::default(),
            is_new,
            lean: 0,
            over: false,
            is_broken: false,
            trouble: None,
        }
    }

    /// Whether nothing can be said yet.
    pub(super) fn is_handshaking(&self) -> bool {
        self.session.common().is_handshaking()
    }

    /// Whether there are records that the kernel has not taken.
    fn owes(&self) -> bool {
        !self.sealed.is_empty()
    }

    /// Whether these belong to nothing in the outbox, so that nobody will ask for them.
    pub(super) fn owes_by_itself(&self) -> bool {
        self.owes() && self.sealed.plain == 0
    }

    /// Version and cipher, for the log.
    pub(super) fn about(&self) -> String {
        let version = self.session.common().protocol_version().map_or("?".into(), |v| format!("{v:?}"));
        let suite = self.session.common().negotiated_cipher_suite().map_or("?".into(), |s| format!("{:?}", s.suite()));
        format!("{version} {suite}")
    }

    /// The certificate that the peer has shown, which rustls has found good.
    pub(super) fn certificate(&self) -> Option<About> {
        self.session.common().peer_certificates()?.first().map(|der| About::of(der))
    }

    /// Reads once, at most `room` octets, and puts what they say into `out`. What is to be
    /// said to that (in the handshake) is to be written by [`Secure::push`].
    pub(super) fn read(
        &mut self,
        mut file: &File,
        room: usize,
        out: &mut [u8],
        desk: &mut Desk,
    ) -> Result<Got, Trouble> {
        if let Some(trouble) = self.trouble.take() {
            return Err(trouble);
        }
        if self.over || self.is_broken {
            return Ok(Got::End);
        }
        let have = self.begun.len();
        let room = if self.lean > 0 { room.min(LEAN) } else { room };
        let room = room.min(desk.cipher.len().min(out.len()) - have);
        let cipher = &mut desk.cipher[..have + room];
        // Before anything else is touched: it fails often enough for want of something to read.
        let n = loop {
            match file.read(&mut cipher[have..]) {
                Ok(0) => return Ok(Got::End),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        cipher[..have].copy_from_slice(&self.begun);
        let whole = &mut cipher[..have + n];
        if std::mem::take(&mut self.is_new) && whole[0] != HANDSHAKE_RECORD {
            return Err(Trouble::NotTls);
        }
        let was_handshaking = self.is_handshaking();
        let Understood { used, plain: bytes, records, result } = self.understand(whole, out);
        self.lean = match was_handshaking {
            false if used > bytes + records * AROUND => LEAN_READS,
            _ => self.lean.saturating_sub(1),
        };
        let rest = &whole[used..];
        let limit = if self.is_handshaking() { HANDSHAKE } else { RECORD };
        let result = match result {
            Ok(()) if rest.len() > limit && !self.over => Err(Trouble::TooLong),
            other => other.map_err(Trouble::from),
        };
        if let Err(trouble) = result {
            self.break_off();
            if bytes == 0 {
                return Err(trouble);
            }
            // What came before counts, as it would had it come alone.
            self.trouble = Some(trouble);
        } else if rest.is_empty() || self.over {
            // An idle connection keeps no room for records. Behind the end nothing counts.
            self.begun = Vec::new();
        } else {
            self.begun.clear();
            self.begun.extend_from_slice(rest);
        }
        // One that is over has its end to be read, though no edge will tell.
        let of = if self.over || self.is_broken { n } else { room };
        Ok(Got::Bytes { n: bytes, took: n, of })
    }

    /// Puts plain octets into `out`.
    fn understand(&mut self, bytes: &mut [u8], out: &mut [u8]) -> Understood {
        let Secure { session, sealed, over, .. } = self;
        either!(session, session => understand(session, sealed, over, bytes, out))
    }

    /// What came was no TLS: nothing but what rustls has to say to that follows.
    fn break_off(&mut self) {
        self.begun = Vec::new();
        self.is_broken = true;
        // As long as it has something to say it looks at nothing else, so that it may be called
        // without what it was looking at.
        let Secure { session, sealed, .. } = self;
        while session.common().wants_write() {
            let goes_on = either!(session, session => match session.process(&mut []).state {
                Ok(ConnectionState::EncodeTlsData(message)) => {
                    sealed.add(message);
                    true
                }
                _ => false,
            });
            if !goes_on {
                return;
            }
        }
    }

    /// Writes what is sealed. Returns how many plain octets of the outbox went with it, and
    /// whether nothing is left.
    pub(super) fn push(&mut self, mut file: &File) -> io::Result<(usize, bool)> {
        let mut plain = 0;
        while !self.sealed.is_empty() {
            match file.write(&self.sealed.bytes[self.sealed.taken..]) {
                Ok(n) => plain += self.sealed.take(n),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok((plain, false)),
                Err(e) => return Err(e),
            }
        }
        Ok((plain, true))
    }

    /// Writes once: what is sealed, or else the next chunk of `pieces`, which begin where the
    /// last report ended.
    pub(super) fn write(&mut self, file: &File, pieces: &[IoSlice<'_>], desk: &mut Desk) -> io::Result<Written> {
        if self.owes() {
            let (n, is_done) = self.push(file)?;
            return Ok(if is_done { Written::Some(n) } else { Written::Part(n) });
        }
        let offered: usize = pieces.iter().map(|p| p.len()).sum();
        let plain = match pieces {
            [one] => &one[..one.len().min(CHUNK)],
            _ => {
                let mut n = 0;
                for piece in pieces {
                    let part = piece.len().min(CHUNK - n);
                    desk.plain[n..n + part].copy_from_slice(&piece[..part]);
                    n += part;
                }
                &desk.plain[..n]
            }
        };
        let len = self.seal(plain, &mut desk.sealed)?;
        let taken = loop {
            let mut file = file;
            match file.write(&desk.sealed[..len]) {
                Ok(n) => break n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break 0,
                Err(e) => return Err(e),
            }
        };
        if taken == len {
            return Ok(if plain.len() == offered { Written::All(offered) } else { Written::Some(plain.len()) });
        }
        self.sealed = Sealed { bytes: desk.sealed[..len].to_vec(), taken: 0, plain: plain.len(), reported: 0 };
        Ok(Written::Part(self.sealed.take(taken)))
    }

    /// Makes records. Returns their length.
    fn seal(&mut self, plain: &[u8], room: &mut [u8]) -> io::Result<usize> {
        if self.is_broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let begun = &mut self.begun;
        let (discard, len) = either!(&mut self.session, session => {
            let UnbufferedStatus { discard, state } = session.process(begun);
            match state.map_err(io::Error::other)? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    (discard, traffic.encrypt(plain, room).map_err(io::Error::other)?)
                }
                // Everything that has come was understood when it came.
                other => return Err(io::Error::other(format!("TLS is not ready to write: {other:?}"))),
            }
        });
        self.begun.drain(..discard);
        Ok(len)
    }

    /// Says a few octets, if there is room for them.
    pub(super) fn say(&mut self, mut file: &File, words: &[u8]) {
        let mut record = [0; 1024];
        if self.push(file).is_ok_and(|(_, is_done)| is_done)
            && !self.is_handshaking()
            && let Ok(n) = self.seal(words, &mut record)
        {
            let _ = file.write(&record[..n]);
        }
    }

    /// Says that nothing more will come, if there is room for it.
    pub(super) fn say_end(&mut self, mut file: &File) {
        if !self.push(file).is_ok_and(|(_, is_done)| is_done) || self.is_handshaking() || self.is_broken {
            return;
        }
        let mut record = [0; 128];
        let begun = &mut self.begun;
        let len = either!(&mut self.session, session => match session.process(begun).state {
            Ok(ConnectionState::WriteTraffic(mut traffic)) => traffic.queue_close_notify(&mut record).ok(),
            _ => None,
        });
        if let Some(n) = len {
            let _ = file.write(&record[..n]);
        }
    }
}

/// Puts plain octets into `out`. `over`: the peer has said that nothing more will come.
fn understand<S: Records>(
    session: &mut S,
    sealed: &mut Sealed,
    over: &mut bool,
    bytes: &mut [u8],
    out: &mut [u8],
) -> Understood {
    let mut done = Understood { used: 0, plain: 0, records: 0, result: Ok(()) };
    loop {
        let UnbufferedStatus { mut discard, state } = session.process(&mut bytes[done.used..]);
        let mut is_done = false;
        match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(record) = traffic.next_record() {
                    let record = match record {
                        Ok(record) => record,
                        Err(error) => return Understood { result: Err(error), ..done },
                    };
                    discard += record.discard;
                    let end = done.plain + record.payload.len();
                    // Plain octets are never more than encrypted ones.
                    let Some(place) = out.get_mut(done.plain..end) else {
                        return Understood { result: Err(Error::General("a record grew".into())), ..done };
                    };
                    place.copy_from_slice(record.payload);
                    (done.plain, done.records) = (end, done.records + 1);
                }
            }
            Ok(ConnectionState::EncodeTlsData(message)) => sealed.add(message),
            // It stands behind what was made before it, and is written in that order.
            Ok(ConnectionState::TransmitTlsData(message)) => message.done(),
            Ok(ConnectionState::PeerClosed) => *over = true,
            // Nothing of this kind is offered.
            Ok(ConnectionState::ReadEarlyData(_)) => {
                return Understood { result: Err(Error::General("early data".into())), ..done };
            }
            Ok(_) => is_done = true,
            Err(error) => return Understood { result: Err(error), ..done },
        }
        done.used += discard;
        if is_done {
            return done;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::offer::{Asks, Offer};
    use rustls::pki_types::{PrivateKeyDer, ServerName};
    use rustls::{ClientConfig, ClientConnection, RootCertStore};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    const READ: usize = 64 * 1024;

    #[test]
    fn nothing_leaves_the_outbox_before_its_records_are_on_their_way() {
        let mut sealed = Sealed { bytes: vec![0; 1050], taken: 0, plain: 1000, reported: 0 };
        assert_eq!(sealed.take(0), 0);
        assert_eq!(sealed.take(105), 100);
        assert_eq!(sealed.take(944), 899, "not the last one");
        // rustls has said something in between: the last octets of the outbox wait for that, too.
        sealed.bytes.resize(1100, 0);
        assert_eq!(sealed.take(50), 0);
        assert_eq!(sealed.take(1), 1);
        assert!(sealed.is_empty() && sealed.bytes.is_empty());
    }

    /// Certificates that both ends believe.
    struct Both {
        server: Arc<ServerConfig>,
        client: Arc<ClientConfig>,
    }

    fn both(version: &'static rustls::SupportedProtocolVersion, asks: bool) -> Both {
        let folder = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let made = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
        let (cert, private) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        std::fs::write(&cert, made.pem()).unwrap();
        std::fs::write(&private, key.serialize_pem()).unwrap();
        let asks = if asks { Asks::Everybody(&cert) } else { Asks::Nobody };
        let server = Offer::read(&cert, &private, asks).unwrap().config;
        let mut roots = RootCertStore::empty();
        roots.add(made.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        let der = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let client = client.with_root_certificates(roots).with_client_auth_cert(vec![made.der().clone()], der).unwrap();
        Both { server, client: Arc::new(client) }
    }

    struct Rng(u64);

    impl Rng {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 >> 11
        }
        fn below(&mut self, n: usize) -> usize {
            (self.next() % n.max(1) as u64) as usize
        }
        fn one_in(&mut self, n: usize) -> bool {
            self.below(n) == 0
        }
    }

    /// What a bad network or a bad peer does to a piece of a stream.
    fn harm(r: &mut Rng, bytes: &mut Vec<u8>) {
        let at = r.below(bytes.len());
        match r.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << r.below(8),
            1 => bytes.truncate(at),
            2 => bytes.extend_from_within(..at),
            3 => drop(bytes.drain(..at)),
            4 => {
                let noise: Vec<u8> = (0..r.below(40)).map(|_| r.next() as u8).collect();
                bytes.splice(at..at, noise);
            }
            // Another message of the handshake, in part, in the clear.
            _ => bytes.splice(0..0, [22, 3, 3, 0, 6, r.below(25) as u8, 0, r.next() as u8, 1, 2, 3]).for_each(drop),
        }
    }

    /// Whose octets are hardly any data is read less at a time, until they are again.
    #[test]
    fn changes_of_keys_are_taken_in_small_pieces() {
        let kind = both(&rustls::version::TLS13, false);
        let mut client =
            ClientConnection::new(kind.client.clone(), ServerName::try_from("localhost").unwrap()).unwrap();
        let mut server = Secure::new(&kind.server).unwrap();
        let (mut near, far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        far.set_nonblocking(true).unwrap();
        let file = File::from(OwnedFd::from(far));
        let (mut desk, mut out) = (Desk::new(READ), vec![0; READ]);
        while client.is_handshaking() || server.is_handshaking() {
            while client.wants_write() {
                client.write_tls(&mut near).unwrap();
            }
            let _ = server.read(&file, READ, &mut out, &mut desk);
            server.push(&file).unwrap();
            while client.read_tls(&mut near).is_ok_and(|n| n > 0) {
                client.process_new_packets().unwrap();
            }
        }
        let say = |client: &mut ClientConnection, wire: &mut Vec<u8>, changes: usize, data: &[u8]| {
            for _ in 0..changes {
                client.refresh_traffic_keys().unwrap();
            }
            client.writer().write_all(data).unwrap();
            while client.wants_write() {
                client.write_tls(wire).unwrap();
            }
        };
        let mut wire = Vec::new();
        for _ in 0..100 {
            say(&mut client, &mut wire, 30, &[7; 28]);
        }
        near.write_all(&wire).unwrap();
        // By the first read it is known.
        let Ok(Got::Bytes { n: mut heard, .. }) = server.read(&file, 500, &mut out, &mut desk) else { panic!() };
        let mut most = 0;
        while let Ok(Got::Bytes { n, took, .. }) = server.read(&file, READ, &mut out, &mut desk) {
            heard += n;
            most = most.max(took);
        }
        assert_eq!(heard, 2800);
        assert!(most <= LEAN, "{most} octets of changes at once");
        // Who has nothing but data is read in full after a while.
        let mut most = 0;
        for n in 0..=LEAN_READS {
            wire.clear();
            say(&mut client, &mut wire, 0, if n < LEAN_READS { &[7; 4] } else { &[7; 10_000] });
            near.write_all(&wire).unwrap();
            let Ok(Got::Bytes { took, .. }) = server.read(&file, READ, &mut out, &mut desk) else { panic!() };
            most = took;
        }
        assert!(most > LEAN);
    }

    /// A peer does what it likes, in pieces of any size: whatever it is, nothing panics, who
    /// was harmed ends with an error, and who was not is understood.
    #[test]
    fn whatever_comes_ends_at_worst_its_own_connection() {
        let kinds = [&rustls::version::TLS12, &rustls::version::TLS13].map(|v| [both(v, false), both(v, true)]);
        let (mut through, mut ended) = (0, 0);
        for seed in 1..400u64 {
            let mut r = Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let kind = &kinds[r.below(2)][r.below(2)];
            let is_harmed = !r.one_in(4);
            let mut client =
                ClientConnection::new(kind.client.clone(), ServerName::try_from("localhost").unwrap()).unwrap();
            let mut server = Secure::new(&kind.server).unwrap();
            let (mut near, far) = UnixStream::pair().unwrap();
            near.set_nonblocking(true).unwrap();
            far.set_nonblocking(true).unwrap();
            let file = File::from(OwnedFd::from(far));
            let (mut desk, mut out) = (Desk::new(READ), vec![0; READ]);
            let (mut said, mut heard, mut answered) = (0, 0, 0);
            let mut wire: Vec<u8> = Vec::new();
            let mut is_over = false;
            for _ in 0..200 {
                if !client.is_handshaking() && r.one_in(3) && said < 20_000 {
                    let n = r.below(3000);
                    // One that was harmed may have given up.
                    said += client.writer().write(&vec![7; n]).unwrap_or(0);
                    if r.one_in(4) {
                        let _ = client.refresh_traffic_keys();
                    }
                }
                while client.wants_write() {
                    client.write_tls(&mut wire).unwrap();
                }
                let mut piece: Vec<u8> = wire.drain(..r.below(wire.len() + 1)).collect();
                if is_harmed && r.one_in(12) {
                    harm(&mut r, &mut piece);
                }
                near.write_all(&piece).unwrap();
                // What the daemon does at any time, also after an error.
                match r.below(8) {
                    0 if !server.is_handshaking() => {
                        let words = [IoSlice::new(&[9; 100]), IoSlice::new(&[9; 50])];
                        if let Ok(written) = server.write(&file, &words, &mut desk) {
                            assert_eq!(written, Written::All(150));
                            answered += 150;
                        }
                    }
                    1 => drop(server.push(&file)),
                    2 if is_over => server.say(&file, b"words"),
                    3 if is_over => server.say_end(&file),
                    _ => {}
                }
                match server.read(&file, 1 + r.below(READ), &mut out, &mut desk) {
                    Ok(Got::Bytes { n, .. }) => {
                        assert!(out[..n].iter().all(|b| *b == 7), "seed {seed}: something else was understood");
                        heard += n;
                    }
                    Ok(Got::End) => is_over = true,
                    Err(Trouble::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => {
                        assert!(is_harmed, "seed {seed}");
                        is_over = true;
                    }
                }
                let _ = server.push(&file);
                while client.read_tls(&mut near).is_ok_and(|n| n > 0) {
                    let _ = client.process_new_packets();
                    let mut read = vec![0; READ];
                    while let Ok(n @ 1..) = client.reader().read(&mut read) {
                        answered -= n;
                    }
                }
            }
            ended += usize::from(is_over);
            if !is_harmed {
                while !wire.is_empty() || client.wants_write() {
                    while client.wants_write() {
                        client.write_tls(&mut wire).unwrap();
                    }
                    near.write_all(&wire).unwrap();
                    wire.clear();
                    while let Ok(Got::Bytes { n, .. }) = server.read(&file, READ, &mut out, &mut desk) {
                        heard += n;
                    }
                }
                assert_eq!((heard, answered), (said, 0), "seed {seed}");
                through += 1;
            }
        }
        assert!(through > 50 && ended > 100, "{through} got through, {ended} were ended");
    }
}

//! The link to a master in the loop: dialled without blocking, then a station like any other.
//!
//! Owns: connecting, the TLS handshake as a client, what becomes of the station, and what is
//! logged of all that, and of links of which this node is the master. Does not own when the next attempt is (`daemon/master.rs`).
//!
//! A master is told nothing before its certificate is believed: the router gets the connection
//! only then, and only the router knows the password. What rustls refuses never comes so far.
//! Names are looked up in a thread, so that a resolver that does not answer holds up nobody.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use chappe_core::dialect::Dialect;
use chappe_core::dialect::clacks::Role;
use chappe_core::id::StationId;
use chappe_core::router::{Grant, LinkStage, Newcomer, Reason, Rights, Transport};
use chappe_core::time::Instant;
use mio::Token;
use socket2::{Domain, SockAddr, Socket, Type};
use tracing::{debug, info, warn};

use super::{EventLoop, READ};
use crate::config::{HostPort, MasterAddress};
use crate::daemon::connection::{Connection, Got, Kind};
use crate::daemon::master::{
    ADDRESSES, CONNECT_WITHIN, Dial, HANDSHAKE_WITHIN, LOOK_UP_WITHIN, Master, State, Station, Why,
};
use crate::daemon::peers::{Peer, token};
use crate::daemon::secure::{Secure, Trouble};
use crate::sys;
use crate::tls::Problem;

/// The connection to a master as long as it is no station.
pub(super) const MASTER: Token = Token(usize::MAX - 3);

/// What stands for a listener where a connection came in by none.
pub(in crate::daemon) const DIALLED: u16 = u16::MAX;

/// What a handshake may take of a turn, and one more read.
const SHARE: std::time::Duration = std::time::Duration::from_millis(2);

/// Answers of the thread that looks up names, by number.
type Found = (u64, Result<Vec<SocketAddr>, String>);

/// The channel from that thread.
pub(super) struct LookUps {
    answer: SyncSender<Found>,
    answers: Receiver<Found>,
    /// Of the last one. Also a master that another one has taken the place of may be answered.
    number: u64,
}

impl LookUps {
    pub(super) fn new() -> Self {
        let (answer, answers) = sync_channel(8);
        LookUps { answer, answers, number: 0 }
    }
}

impl EventLoop<'_> {
    /// Whether a handshake is not drained: it gets no other edge.
    pub(super) fn master_waits(&self) -> bool {
        self.master.as_ref().is_some_and(Master::is_queued)
    }

    pub(super) fn master_deadline(&self) -> Option<Instant> {
        if self.leave_by.is_some() { None } else { self.master.as_ref().and_then(Master::deadline) }
    }

    /// What is due now: the next attempt, or the end of one.
    pub(super) fn master_due(&mut self, now: Instant) {
        let Some(master) = &mut self.master else { return };
        if self.leave_by.is_some() {
            if master.station().is_none() {
                master.state = State::Waiting;
            }
            return;
        }
        if master.is_due(now) {
            return self.dial(now);
        }
        match &mut master.state {
            State::LookingUp { until, .. } if *until <= now => {
                self.dial_failed(now, Why::failed("late", "its name was not found in time"));
            }
            State::Connecting(dial) if dial.until <= now => {
                let others = std::mem::take(&mut dial.others);
                self.address_failed(now, others, &io::Error::new(io::ErrorKind::TimedOut, "it did not answer in time"));
            }
            State::Shaking(dial) if dial.until <= now => {
                self.dial_failed(now, Why::failed("late", "its TLS handshake took too long"));
            }
            _ => {}
        }
    }

    /// An attempt begins.
    fn dial(&mut self, now: Instant) {
        let Some(master) = &mut self.master else { return };
        master.begin(now);
        self.counts.link_attempts += 1;
        debug!(event = "link.dialling", master = %master.address, "connecting to the master");
        match master.address.clone() {
            MasterAddress::Unix(path) => self.connect(now, Domain::UNIX, unix(&path), Vec::new()),
            MasterAddress::Tls(at) | MasterAddress::Tcp(at) => match at.host.parse::<IpAddr>() {
                Ok(ip) => self.connect_tcp(now, vec![SocketAddr::new(ip, at.port)]),
                Err(_) => self.look_up(now, at),
            },
        }
        self.show_master();
    }

    /// Asks for addresses in a thread.
    fn look_up(&mut self, now: Instant, at: HostPort) {
        let Some(master) = &mut self.master else { return };
        self.look_ups.number += 1;
        let number = self.look_ups.number;
        master.state = State::LookingUp { number, until: now + LOOK_UP_WITHIN };
        let (answer, waker) = (self.look_ups.answer.clone(), self.waker.clone());
        let thread = std::thread::Builder::new().name("chappe-look-up".into()).spawn(move || {
            let found = (at.host.as_str(), at.port).to_socket_addrs();
            let found = found.map(Iterator::collect).map_err(|e| format!("the host {:?} is not known: {e}", at.host));
            // Full: so many answers wait that nobody listens. The attempt will be found to be late.
            let _ = answer.try_send((number, found));
            let _ = waker.wake();
        });
        if let Err(e) = thread {
            self.dial_failed(now, Why::failed("look_up", format!("its name cannot be looked up: {e}")));
        }
    }

    /// A look-up has come to something.
    pub(super) fn take_look_ups(&mut self, now: Instant) {
        while let Ok((of, found)) = self.look_ups.answers.try_recv() {
            let Some(Master { state: State::LookingUp { number, .. }, .. }) = &self.master else { continue };
            if *number != of {
                continue;
            }
            match found {
                Ok(found) if !found.is_empty() => self.connect_tcp(now, found),
                Ok(_) => self.dial_failed(now, Why::failed("look_up", "its name has no address")),
                Err(e) => self.dial_failed(now, Why::failed("look_up", e)),
            }
        }
    }

    /// Tries the first of some addresses.
    fn connect_tcp(&mut self, now: Instant, mut all: Vec<SocketAddr>) {
        all.truncate(ADDRESSES);
        all.reverse();
        let Some(at) = all.pop() else { return };
        self.connect(now, Domain::for_address(at), Ok(at.into()), all);
    }

    fn connect(&mut self, now: Instant, domain: Domain, to: io::Result<SockAddr>, others: Vec<SocketAddr>) {
        let begun = to.and_then(|to| {
            let socket = Socket::new(domain, Type::STREAM, None)?;
            socket.set_nonblocking(true)?;
            if domain != Domain::UNIX {
                // A small message must not wait for the one before it to be acknowledged.
                socket.set_tcp_nodelay(true)?;
            }
            match socket.connect(&to) {
                Err(e) if !sys::is_under_way(&e) => return Err(e),
                _ => {}
            }
            let kind = if domain == Domain::UNIX { Kind::Unix } else { Kind::Tcp };
            let mut connection = Connection::new(OwnedFd::from(socket), DIALLED, kind);
            connection.is_new = false;
            connection.register_dialled(self.poll.registry(), MASTER)?;
            Ok(connection)
        });
        let Some(master) = &mut self.master else { return };
        match begun {
            // There is an event in any case: the socket is writable, or it is not any more.
            Ok(connection) => {
                master.state = State::Connecting(Dial { connection, until: now + CONNECT_WITHIN, others });
            }
            Err(e) => self.address_failed(now, others, &e),
        }
    }

    /// One address was no good; there may be others.
    fn address_failed(&mut self, now: Instant, mut others: Vec<SocketAddr>, why: &io::Error) {
        if let Some(master) = &mut self.master {
            // The one before is closed now, and not when the next one has been found.
            master.state = State::Waiting;
        }
        if others.is_empty() {
            let why = Why::failed("connect", format!("it cannot be reached: {why}"));
            return self.dial_failed(now, why);
        }
        debug!(event = "link.next_address", detail = %why, "the master is tried at another address of its name");
        others.reverse();
        self.connect_tcp(now, others);
    }

    /// Remembers what the kernel says about the connection.
    pub(super) fn note_master(&mut self, now: Instant, event: &mio::event::Event) {
        let Some(master) = &mut self.master else { return };
        match std::mem::replace(&mut master.state, State::Waiting) {
            State::Connecting(dial) => self.connected(now, dial),
            State::Shaking(mut dial) => {
                let registry = self.poll.registry();
                let connection = &mut dial.connection;
                connection.ended |= event.is_read_closed() || event.is_error();
                connection.queued |= event.is_readable() || connection.ended;
                let pushed = match event.is_writable() && connection.blocked {
                    true => connection.unblock(registry, MASTER).and_then(|()| connection.push(registry, MASTER)),
                    false => Ok(()),
                };
                master.state = State::Shaking(dial);
                if let Err(e) = pushed {
                    self.dial_failed(now, ended(&e));
                }
            }
            // An event of the past.
            other => master.state = other,
        }
    }

    /// It is connected, or cannot be.
    fn connected(&mut self, now: Instant, mut dial: Dial) {
        let Some(master) = &mut self.master else { return };
        if let Some(e) = dial.connection.take_error() {
            return self.address_failed(now, dial.others, &e);
        }
        if !dial.connection.is_connected() {
            master.state = State::Connecting(dial);
            return;
        }
        if dial.connection.is_to_itself() {
            return self.address_failed(now, dial.others, &io::ErrorKind::ConnectionRefused.into());
        }
        let registry = self.poll.registry();
        let Some(trust) = &master.trust else {
            let _ = dial.connection.unblock(registry, MASTER);
            return self.take_master_in(now, dial.connection, 0);
        };
        let host = match &master.address {
            MasterAddress::Tls(at) | MasterAddress::Tcp(at) => at.host.as_str(),
            MasterAddress::Unix(_) => "localhost",
        };
        let secure = trust
            .for_host(host)
            .and_then(|(config, name)| Secure::client(&config, name).map_err(|e| Problem::from(&e)));
        let mut connection = match secure {
            Ok(secure) => dial.connection.with(secure),
            Err(problem) => return self.dial_failed(now, Why::failed("tls", problem)),
        };
        let pushed = connection.unblock(registry, MASTER).and_then(|()| connection.push(registry, MASTER));
        connection.queued = true;
        let until = now + HANDSHAKE_WITHIN;
        master.state = State::Shaking(Dial { connection, until, others: Vec::new() });
        if let Err(e) = pushed {
            self.dial_failed(now, ended(&e));
        }
    }

    /// Goes on with the handshake, as far as its share of the turn goes.
    pub(super) fn shake_master(&mut self, now: Instant) {
        if !self.master_waits() {
            return;
        }
        let begun = std::time::Instant::now();
        loop {
            let Some(Master { state: State::Shaking(dial), .. }) = &mut self.master else { return };
            let connection = &mut dial.connection;
            connection.queued = false;
            let (plain, is_drained) = match connection.read(READ, &mut self.buffer, &mut self.desk) {
                Ok(Got::End) => {
                    let what = "it ended the connection in the TLS handshake: does it speak TLS, and is it willing to?";
                    return self.dial_failed(now, Why::failed("tls", what));
                }
                Ok(Got::Bytes { n, took, of }) => (n, connection.is_drained(took, of)),
                Err(Trouble::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(Trouble::Io(e)) => return self.dial_failed(now, ended(&e)),
                Err(trouble) => {
                    // It shall learn why, if it can be told.
                    let _ = connection.push(self.poll.registry(), MASTER);
                    return self.dial_failed(now, distrusted(&trouble));
                }
            };
            self.counts.reads += 1;
            if let Err(e) = connection.push(self.poll.registry(), MASTER) {
                return self.dial_failed(now, ended(&e));
            }
            if connection.secure().is_some_and(|s| !s.is_handshaking()) {
                let Some(master) = &mut self.master else { return };
                let State::Shaking(dial) = std::mem::replace(&mut master.state, State::Waiting) else { return };
                return self.take_master_in(now, dial.connection, plain);
            }
            if is_drained {
                return;
            }
            connection.queued = true;
            if begun.elapsed() >= SHARE {
                return;
            }
        }
    }

    /// The connection becomes a station, which says who we are. The first that the master has
    /// said, if it has said something already, stands in the buffer.
    fn take_master_in(&mut self, now: Instant, mut connection: Connection, plain: usize) {
        let new = Newcomer {
            dialect: Dialect::Clacks,
            transport: Transport::Stream,
            grant: Grant::anonymous(Rights::NONE),
            max_frame: 0,
            peer: connection.peer(),
            role: Role::Master,
        };
        let id = if self.has_room() { self.router.admit(now, new).ok() } else { None };
        let Some(id) = id else {
            self.counts.refused_full += 1;
            let what = "there is no room here for another station: raise limits.stations";
            return self.dial_failed(now, Why::failed("full", what));
        };
        let registry = self.poll.registry();
        let renamed = connection.rename(registry, token(id)).and_then(|()| connection.push(registry, token(id)));
        // What has come meanwhile is an edge of the past.
        connection.queued = true;
        self.ready.push(id);
        let tls = connection.secure().map(Secure::about);
        self.peers.insert(id, Peer::Stream(connection));
        if let Some(master) = &mut self.master {
            master.state = State::Station(Station { id, since: now, stage: LinkStage::Opening });
            debug!(event = "link.connected", master = %master.address, station = id.number(), tls, "connected");
            if master.is_unverified() {
                warn!(
                    event = "link.unverified",
                    master = %master.address,
                    "THE MASTER'S CERTIFICATE IS NOT LOOKED AT (clacks.master.insecure): whoever answers there is told the \
                     password of links and all that passes; name a ca_file instead"
                );
            }
        }
        if let Err(e) = renamed {
            return self.lose(now, id, &e.to_string());
        }
        if plain > 0 {
            self.heard(now, id, plain);
        }
        self.show_master();
    }

    /// Looks how far the link has come. Once a turn.
    pub(super) fn watch_master(&mut self, now: Instant) {
        let Some(Master { state: State::Station(station), .. }) = &self.master else { return };
        let before = *station;
        let Some(stage) = self.router.link_stage(before.id) else { return };
        if stage == before.stage {
            return;
        }
        if stage == LinkStage::Useless {
            return self.drop_useless(now, before.id);
        }
        let Some(master) = &mut self.master else { return };
        master.state = State::Station(Station { stage, ..before });
        let (address, number) = (&master.address, before.id.number());
        if before.stage == LinkStage::Opening {
            self.counts.link_ups += 1;
            info!(event = "link.up", master = %address, station = number, "linked: this node is a slave of that master");
        }
        if stage == LinkStage::Synced {
            self.counts.link_syncs += 1;
            info!(event = "link.synced", master = %address, station = number, "all values of the master are here, and it is sent ours");
            master.works();
        }
        self.show_master();
    }

    /// It has logged in, and nothing that it says of values counts: whoever looks would take that
    /// for a link.
    #[cold]
    fn drop_useless(&mut self, now: Instant, id: StationId) {
        let advice = "give that user the right \"link\" here (in [[users]]), for all names";
        self.link_lost(now, false, Why::refused("link_rights", "the master is a user here who may not link", advice));
        self.lose(now, id, "the master is a user who may not link");
    }

    /// The router, or the transport, has lost a station: if it was the master's, that is told.
    pub(super) fn master_gone(&mut self, now: Instant, id: StationId, reason: Reason, detail: &str) {
        let Some(station) = self.master.as_ref().and_then(Master::station).filter(|s| s.id == id) else { return };
        if self.leave_by.is_some() {
            if let Some(master) = &mut self.master {
                master.state = State::Waiting;
            }
            return;
        }
        let reason = self.router.master_end().unwrap_or(reason);
        let mut why = Why::closed(reason, self.router.master_said());
        if reason == Reason::Lost && !detail.is_empty() {
            why.text = format!("{}: {detail}", why.text);
        }
        self.link_lost(now, station.stage != LinkStage::Opening, why);
    }

    /// An attempt has failed before there was a station.
    fn dial_failed(&mut self, now: Instant, why: Why) {
        self.link_lost(now, false, why);
    }

    fn link_lost(&mut self, now: Instant, was_up: bool, why: Why) {
        let Some(master) = &mut self.master else { return };
        let is_news = master.fail(now, &why);
        let (address, again_ms) = (master.address.clone(), master.again_ms(now));
        let Why { reason, text, advice, is_refusal } = why;
        let advice = if advice.is_empty() { String::new() } else { format!("; {advice}") };
        match (was_up, is_refusal) {
            (true, false) => self.counts.link_downs += 1,
            (_, true) => self.counts.link_refusals += 1,
            (false, false) => self.counts.link_failures += 1,
        }
        match (was_up, is_refusal, is_news) {
            (true, false, _) => {
                warn!(event = "link.down", master = %address, reason, again_ms, "the link to the master is down: {text}");
            }
            (_, true, true) => {
                warn!(event = "link.refused", master = %address, reason, again_ms, "no link to the master: {text}{advice}");
            }
            (false, false, true) => {
                warn!(event = "link.failed", master = %address, reason, again_ms, "no link to the master: {text}{advice}");
            }
            (_, true, false) => debug!(event = "link.refused", master = %address, reason, again_ms, "{text}"),
            (false, false, false) => debug!(event = "link.failed", master = %address, reason, again_ms, "{text}"),
        }
        self.show_master();
    }

    /// The status says what there is to say.
    pub(super) fn show_master(&mut self) {
        match &self.master {
            Some(master) => {
                let (text, at) = master.about();
                self.router.tell_master(&text, at);
            }
            None => self.router.tell_master("", None),
        }
    }

    /// Whether it is linked, and whether all of its values are here.
    pub(super) fn master_is(&self) -> (bool, bool) {
        let stage = self.master.as_ref().and_then(Master::station).map(|station| station.stage);
        (stage.is_some_and(|stage| stage != LinkStage::Opening), stage == Some(LinkStage::Synced))
    }

    /// A station has become a link: a slave of this node.
    #[cold]
    pub(super) fn slave_linked(&mut self, id: StationId) {
        if self.slaves.insert(id) {
            let (station, user, from) = self.slave(id);
            let name = self.router.station_name(id);
            info!(event = "link.up", station, user, name, from, "a slave has linked");
        }
    }

    /// A station is going, which may be a slave.
    pub(super) fn slave_gone(&mut self, id: StationId, reason: Reason, why: &str) {
        if self.slaves.remove(&id) {
            let ((station, user, from), reason) = (self.slave(id), reason.name());
            info!(event = "link.down", station, user, from, reason, "a slave has left: {why}");
        }
    }

    /// Number, user and address, for the log.
    fn slave(&mut self, id: StationId) -> (u64, String, String) {
        let (_, who) = self.about(id);
        let from = self.origin(id).map_or_else(|| "gone".to_owned(), |origin| origin.to_string());
        (id.number(), self.user_name(id, who), from)
    }

    /// What a configuration says that has been read again. A link to the same place stays.
    pub(super) fn take_master(&mut self, now: Instant, fresh: Option<Master>) {
        let same = matches!((&self.master, &fresh), (Some(a), Some(b)) if a.address == b.address);
        match (&mut self.master, fresh) {
            (Some(master), Some(fresh)) if same => master.take(fresh),
            (_, fresh) => {
                let before = std::mem::replace(&mut self.master, fresh);
                if let Some(before) = before {
                    info!(event = "link.dropped", master = %before.address, "the configuration names another master, or none");
                    if let Some(station) = before.station() {
                        self.lose(now, station.id, "the configuration names another master, or none");
                    }
                }
            }
        }
        self.show_master();
    }
}

fn unix(path: &Path) -> io::Result<SockAddr> {
    SockAddr::unix(path)
}

/// It broke in the handshake.
fn ended(e: &io::Error) -> Why {
    Why::failed("tls", format!("the connection broke in the TLS handshake: {e}"))
}

/// TLS says no.
fn distrusted(trouble: &Trouble) -> Why {
    match trouble {
        Trouble::Tls(error) => {
            let problem = Problem::from(error);
            let is_ours = matches!(error, rustls::Error::InvalidCertificate(_));
            if is_ours {
                let advice = "nothing was told to it, no password either; if it is the right one, put its certificate, or that \
                              of who has signed it, into clacks.master.ca_file";
                return Why::refused("certificate", problem, advice);
            }
            Why::failed("tls", problem)
        }
        other => Why::failed("tls", other),
    }
}

//! Who is connected, as this dialect lists it (section 8.5 of `wire/clacks.md`).
//!
//! Owns: ids of connections, the list of them, and ending one by its id. Stations of other
//! dialects are in the list, too: what is there is there for all.

use super::super::{Reason, Router};
use super::Place;
use crate::dialect::Dialect;
use crate::dialect::clacks::emit::{self, Writer};
use crate::dialect::clacks::repr::Client;
use crate::dialect::clacks::time::Time;
use crate::id::StationId;
use crate::router::policy::Class;
use core::fmt::Write;
use core::net::SocketAddr;

/// Connections that are put into order in one go.
const SORTED: usize = 128;

/// Octets of the longest id: an address of IPv6 with a scope, a port, a number.
const LONGEST: usize = 96;

type Text = heapless::String<LONGEST, u8>;

/// The id of a connection, opaque to clients: no `=` nor `;` in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Id {
    text: Text,
    /// Where the host ends; 0: it has none.
    host: usize,
}

impl Id {
    pub(super) fn new(dialect: Dialect, peer: Option<SocketAddr>, place: Place, since: Time, number: u64) -> Self {
        let mut id = Id::default();
        let (is_clacks, text) = (dialect == Dialect::Clacks, &mut id.text);
        // all of them fit
        let _ = match peer {
            Some(at) => write!(text, "{}", at.ip()),
            None => text.write_str(if is_clacks { "unixdomainsocket" } else { dialect.name() }),
        };
        id.host = id.text.len();
        let text = &mut id.text;
        let _ = match (peer, place) {
            (Some(at), Place::Master) => write!(text, ":{}", at.port()),
            (Some(at), _) => write!(text, ":{}:{number}", at.port()),
            (None, Place::Master) => {
                id.host = 0;
                text.write_str(":interclacksmaster")
            }
            (None, _) if is_clacks => write!(text, ":{}:{number}", Seconds(since)),
            (None, _) => write!(text, ":{number}"),
        };
        id
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    fn host(&self) -> &str {
        self.text.get(..self.host).unwrap_or_default()
    }

    fn port(&self) -> &str {
        if self.host == 0 { "" } else { self.text.get(self.host + 1..).unwrap_or_default() }
    }
}

/// A time as this dialect writes it.
struct Seconds(Time);

impl core::fmt::Display for Seconds {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut room = [0; 32];
        let mut w = Writer::new(&mut room);
        self.0.write(&mut w);
        let len = w.finish().unwrap_or(0);
        f.write_str(core::str::from_utf8(room.get(..len).unwrap_or_default()).unwrap_or_default())
    }
}

impl Router<'_> {
    /// The next few rows of the list, in the order of their ids. `false`: there are none.
    pub(super) fn list_clients(&mut self, n: u32) -> bool {
        let last = self.stations[n].clacks.cursor.clone();
        let mut next = heapless::Vec::<(Id, u32), SORTED>::new();
        for s in 1..=self.stations.made() {
            if !self.stations[s].lives() {
                continue;
            }
            let id = self.id_of(s);
            if id.as_str() <= last.as_str() {
                continue;
            }
            let at = next.partition_point(|(other, _)| other.text < id.text);
            if next.is_full() && at < SORTED {
                next.pop();
            }
            // a full list has no place behind its last
            let _ = next.insert(at, (id, s));
        }
        for (id, s) in &next {
            self.list_client(n, id, *s);
        }
        let Some((id, _)) = next.last() else { return false };
        let cursor = &mut self.stations[n].clacks.cursor;
        cursor.clear();
        // an id is never as long as a name may be
        let _ = cursor.push_str(id.as_str());
        // with a place left, there are no more
        next.is_full()
    }

    fn list_client(&mut self, n: u32, id: &Id, s: u32) {
        let st = &self.stations[s];
        let own = &st.clacks;
        let is_link = own.place != Place::Client;
        let when = |is_so: bool, at| if is_so { self.calendar(at) } else { Time::ZERO };
        let info = if st.name.is_empty() { crate::dialect::clacks::UNNAMED } else { &st.name };
        let client = Client {
            id: id.as_str(),
            host: id.host(),
            port: id.port(),
            info: info.as_bytes(),
            outbuffer: st.out.len() as u64,
            // of who asks, that is what it asked
            inbuffer: if s == n { 0 } else { st.stash.len() as u64 },
            interclacks: is_link,
            monitor: own.monitors,
            last_ping: when(!own.no_ping, st.heard),
            last_interclacks_ping: when(is_link, own.pinged),
            write_fail: st.stalled.map_or(Time::ZERO, |at| self.calendar(at)),
        };
        if let Some(len) = emit::client(&client, self.encode) {
            let _ = self.post(n, len, Class::Owed);
        }
    }

    /// Ends a connection. Ids that are nobody's are ignored.
    pub(super) fn dismiss(&mut self, id: &[u8]) {
        let number =
            id.rsplit(|b| *b == b':').next().and_then(|digits| core::str::from_utf8(digits).ok()?.parse().ok());
        let found = number.and_then(StationId::new).and_then(|id| self.stations.find(id));
        let linked = self.clacks.links.iter().copied().find(|link| self.id_of(*link).as_bytes() == id);
        if let Some(s) = found.filter(|s| self.id_of(*s).as_bytes() == id).or(linked) {
            self.doom(s, Reason::Dismissed);
        }
    }
}

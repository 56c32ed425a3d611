//! Which connection a station is.
//!
//! Owns: the table from a station's address to its connection. The low bits of an address
//! are its row in the router's table (`chappe_core::id`), so looking up is one index and
//! one comparison, and an event that comes late for a station that is gone finds nobody
//! (D6). A station's address is also its token in the epoll set.

use std::net::SocketAddr;

use chappe_core::id::StationId;
use mio::Token;

use super::connection::Connection;

/// How a station is reached.
#[derive(Debug)]
pub(super) enum Peer {
    /// By a stream of bytes.
    Stream(Connection),
    /// By datagrams, through this listener.
    Datagram(u16, SocketAddr),
}

/// The table.
#[derive(Debug)]
pub(super) struct Peers {
    rows: Vec<Option<(StationId, Peer)>>,
    mask: u64,
    open: usize,
    datagrams: usize,
}

/// The token of a station's connection.
#[inline]
pub(super) fn token(id: StationId) -> Token {
    Token(id.number() as usize)
}

impl Peers {
    /// For a router whose table has this many stations: rows are 1 to `stations`.
    pub(super) fn new(stations: usize) -> Self {
        let mask = (stations as u64 + 1).next_power_of_two() - 1;
        Peers { rows: Vec::new(), mask, open: 0, datagrams: 0 }
    }

    #[inline]
    fn row(&self, id: StationId) -> usize {
        (id.number() & self.mask) as usize
    }

    /// Adds a station, which must be new.
    pub(super) fn insert(&mut self, id: StationId, peer: Peer) {
        let row = self.row(id);
        if row >= self.rows.len() {
            self.rows.resize_with(row + 1, || None);
        }
        debug_assert!(self.rows[row].is_none(), "the router uses a row twice");
        self.datagrams += usize::from(matches!(peer, Peer::Datagram(..)));
        self.open += 1;
        self.rows[row] = Some((id, peer));
    }

    /// The connection of a station that is still there.
    #[inline]
    pub(super) fn get(&mut self, id: StationId) -> Option<&mut Peer> {
        let row = self.row(id);
        match self.rows.get_mut(row) {
            Some(Some((there, peer))) if *there == id => Some(peer),
            _ => None,
        }
    }

    /// Takes a station out.
    pub(super) fn remove(&mut self, id: StationId) -> Option<Peer> {
        let row = self.row(id);
        let entry = self.rows.get_mut(row)?;
        let (_, peer) = entry.take_if(|(there, _)| *there == id)?;
        self.open -= 1;
        self.datagrams -= usize::from(matches!(peer, Peer::Datagram(..)));
        Some(peer)
    }

    /// Stations that are there.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// Those of them that come by datagrams.
    pub(super) fn datagrams(&self) -> usize {
        self.datagrams
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> Peer {
        Peer::Datagram(0, ([127, 0, 0, 1], 1).into())
    }

    #[test]
    fn a_later_station_in_the_same_row_is_another_one() {
        let mut peers = Peers::new(3);
        let id = |n| StationId::new(n).unwrap();
        peers.insert(id(0b101), peer());
        peers.insert(id(0b110), peer());
        assert_eq!((peers.open(), peers.datagrams()), (2, 2));
        assert!(peers.get(id(0b101)).is_some() && peers.get(id(0b1001)).is_none());
        assert!(peers.remove(id(0b1001)).is_none());
        assert!(peers.remove(id(0b101)).is_some());
        peers.insert(id(0b1001), peer());
        assert!(peers.get(id(0b101)).is_none() && peers.get(id(0b1001)).is_some());
        assert_eq!(peers.open(), 2);
    }
}

//! The router under test as a server of the Communicator, with stations of other dialects beside: a
//! [`World`] whose `lines` are connections of this dialect.

use super::Setup;
use super::client::{Client, Clock, Host, Opening, SERVER};
use super::plain::CALENDAR;
use super::users::USERS;
use crate::memory::{Memory, Services};
use crate::world::World;
use chappe_core::dialect::Dialect;
use chappe_core::model::Declare;
use chappe_core::router::{self, Grant, Newcomer, Router, Settings, Transport};
use chappe_core::time::Instant;
use std::ops::{Deref, DerefMut};

/// A world, asked as any server of the Communicator is.
pub struct Ours {
    world: World,
    /// The native station that declares services, once there is one.
    manager: Option<usize>,
}

impl Deref for Ours {
    type Target = World;
    fn deref(&self) -> &World {
        &self.world
    }
}

impl DerefMut for Ours {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.world
    }
}

impl Ours {
    /// A node with room for a hundred stations and long lines, with `change` made to its settings.
    pub fn new(change: impl FnOnce(&mut Settings<'static>)) -> Self {
        Ours::with(Setup::default(), change)
    }

    /// As [`Ours::new`], set up like that.
    pub fn with(setup: Setup, change: impl FnOnce(&mut Settings<'static>)) -> Self {
        let mut settings = settings(setup);
        change(&mut settings);
        let heap = Box::leak(Box::new(Services::new(24 << 20, (1 << 20) + 4096)));
        Ours::on(|now| heap.router(settings, now).expect("the test's settings are valid"))
    }

    /// With memory for a few stations and short lines: for tests that make thousands of nodes, because none
    /// of it is given back.
    pub fn small(setup: Setup) -> Self {
        let mut settings = settings(setup);
        settings.max_frame = 1024;
        settings.outbox = 8192;
        settings.msgq.max_body = 64;
        settings.clacks.max_line = 1024;
        settings.clacks.outbox = 8192;
        settings.communicator.max_line = 2048;
        settings.communicator.outbox = 16 << 10;
        let heap = Box::leak(Box::new(Memory::<16, 64, 64, 8, 16, 32, 32, 256, 8>::new(96 << 10, 6 << 10)));
        Ours::on(|now| heap.router(settings, now).expect("the test's settings are valid"))
    }

    /// On a router of a test's own.
    pub fn on(router: impl FnOnce(Instant) -> Router<'static>) -> Self {
        let now = Instant::from_millis(1_000_003);
        let mut router = router(now);
        router.set_calendar(CALENDAR * 1_000_000);
        Ours { world: World::on(router, now), manager: None }
    }

    /// A connection of any kind; `None`: it is refused.
    pub fn admit(&mut self, new: Newcomer) -> Option<usize> {
        let id = self.world.router.admit(self.world.now, new).ok()?;
        self.world.check();
        self.world.lines.push(Client::new(Some(id), new.transport == Transport::Datagram));
        self.world.drive();
        Some(self.world.lines.len() - 1)
    }
}

/// What a world of this dialect is set up as.
pub fn settings(setup: Setup) -> Settings<'static> {
    let mut settings = Settings::new("test", "0", &USERS);
    settings.max_frame = 4096;
    settings.outbox = 1 << 20;
    settings.msgq.boot = 0x5f37_59df;
    settings.msgq.max_body = 65_536;
    settings.msgq.outbox = 3 << 20;
    settings.clacks.max_line = 200 << 10;
    settings.clacks.outbox = 2 << 20;
    let c = &mut settings.communicator;
    c.server = SERVER;
    c.my_address = Some(([127, 0, 0, 1], 4042).into());
    c.max_line = 1 << 20;
    c.outbox = 4 << 20;
    c.echo = setup.echo;
    c.shutdown = setup.shutdown;
    c.secret = setup.secret.as_bytes();
    settings
}

impl World {
    pub(crate) fn line_turn(&mut self, c: usize) -> bool {
        let client = &mut self.lines[c];
        let Some(id) = client.id else { return false };
        if let Some(datagram) = client.datagrams.pop_front() {
            let taken = self.router.receive(self.now, id, &datagram);
            assert_eq!(taken, datagram.len(), "a datagram is taken whole");
            self.check();
            return true;
        }
        let n = client.output.len().min(self.piece);
        if n == 0 || client.waits {
            return false;
        }
        let taken = self.router.receive(self.now, id, &client.output[..n]);
        client.output.drain(..taken);
        // from here on it is offered nothing until the router says so
        client.waits = taken < n && self.router.is_paused(id);
        self.check();
        true
    }
}

impl Host for Ours {
    fn now(&self) -> Instant {
        self.world.now
    }

    fn calendar(&self) -> u64 {
        CALENDAR + self.world.now.millis() / 1000
    }

    fn clients(&mut self) -> &mut Vec<Client> {
        &mut self.world.lines
    }

    fn open_as(&mut self, how: Opening) -> usize {
        let transport = if how.datagram { Transport::Datagram } else { Transport::Stream };
        let new = Newcomer {
            dialect: Dialect::Communicator,
            transport,
            grant: Grant::anonymous(how.rights),
            ..Newcomer::default()
        };
        self.admit(new).expect("a free place")
    }

    fn part(&mut self, c: usize) {
        self.world.lines[c].open = false;
        if let Some(id) = self.world.lines[c].id.take() {
            self.world.router.closed(self.world.now, id);
            self.world.check();
        }
        self.world.drive();
    }

    fn read_on(&mut self, c: usize) {
        self.world.lines[c].reads = true;
        if let Some(id) = self.world.lines[c].id {
            self.world.router.writable(self.world.now, id);
        }
        self.world.drive();
    }

    fn drive(&mut self) {
        self.world.drive();
    }

    fn wait(&mut self, ms: u32) {
        self.world.advance(ms);
    }

    fn declare(&mut self, service: &str) {
        let s = match self.manager {
            Some(s) => s,
            None => {
                let s = self.world.station("manager");
                self.manager = Some(s);
                s
            }
        };
        let declare = Declare { name: service, ..Declare::default() };
        self.world.stations[s].client.declare(&declare).expect("room in the outbox");
        self.world.drive();
    }

    fn set_clock(&mut self, clock: Clock) {
        use router::Clock as Is;
        let clock = match clock {
            Clock::Checking => Is::Checking,
            Clock::Verified => Is::Stable { verified: true },
            Clock::NoNtp => Is::Stable { verified: false },
            Clock::Invalid => Is::Unstable,
        };
        self.world.router.set_clock(self.world.now, clock);
        self.world.check();
        self.world.drive();
    }

    fn stop(&mut self) {
        self.world.router.stop(self.world.now);
        self.world.check();
        self.world.drive();
    }

    fn stop_asked(&mut self) -> bool {
        self.world.router.stop_asked().is_some()
    }
}

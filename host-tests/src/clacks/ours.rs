//! The router under test as a server of Net::Clacks, with clients of other dialects beside: a [`World`]
//! whose `wires` are connections of this dialect.

use super::host::{Host, Opening};
use super::plain::Times;
use super::users::{USERS, User};
use super::wire::Wire;
use crate::disk::{Disk, OnDisk};
use crate::memory::{Memory, Values};
use crate::world::World;
use chappe_core::dialect::Dialect;
use chappe_core::dialect::clacks::Role;
use chappe_core::router::{Gate, Grant, Newcomer, Rights, Router, Settings};
use chappe_core::storage::StoreRef;
use chappe_core::time::{Duration, Instant};

/// Microseconds since 1970 when a world begins: the same as that of the plain server.
const CALENDAR: i64 = 1_795_190_000_000_000;

/// A node with the page's users and times, with `change` made to the settings.
pub fn ours(change: impl FnOnce(&mut Settings<'static>)) -> World {
    with_times(Times::DEFAULT, 0, change)
}

/// As [`ours`], with these times, and a calendar that is as many microseconds ahead.
pub fn with_times(times: Times, ahead: i64, change: impl FnOnce(&mut Settings<'static>)) -> World {
    with_gate(&USERS, times, ahead, change)
}

/// As [`with_times`], with other users.
pub fn with_gate(
    gate: &'static (dyn Gate + 'static),
    times: Times,
    ahead: i64,
    change: impl FnOnce(&mut Settings<'static>),
) -> World {
    let mut settings = settings(gate, times);
    change(&mut settings);
    let heap = Box::leak(Box::new(Values::new(24 << 20, 256 << 10)));
    heap.keep = times.deleted * 1000;
    world(|now| heap.router(settings, now).expect("the test's settings are valid"), ahead)
}

/// As [`ours`], with memory for a few stations and short lines: for tests that make thousands of nodes,
/// because none of it is given back.
pub fn small(change: impl FnOnce(&mut Settings<'static>)) -> World {
    let mut settings = settings(&USERS, Times::DEFAULT);
    settings.clacks.max_line = 4096;
    settings.clacks.outbox = 32 << 10;
    settings.max_frame = 1024;
    settings.outbox = 8192;
    settings.msgq.max_body = 64;
    change(&mut settings);
    let heap = Box::leak(Box::new(Memory::<16, 32, 48, 8, 16, 28, 32, 256>::new(96 << 10, 5 << 10)));
    world(|now| heap.router(settings, now).expect("the test's settings are valid"), 0)
}

/// As [`ours`], with values on a disk.
pub fn on_disk(change: impl FnOnce(&mut Settings<'static>)) -> (World, &'static Disk) {
    let mut settings = settings(&USERS, Times::DEFAULT);
    change(&mut settings);
    let disk: &'static Disk = Box::leak(Box::default());
    let heap = Box::leak(Box::new(Values::new(24 << 20, 256 << 10)));
    let wrap = |values| StoreRef::Other(Box::leak(Box::new(OnDisk { values, disk })));
    (world(|now| heap.router_on(wrap, settings, now).expect("the test's settings are valid"), 0), disk)
}

fn world(router: impl FnOnce(Instant) -> Router<'static>, ahead: i64) -> World {
    let now = Instant::from_millis(1_000_003);
    let mut router = router(now);
    router.set_calendar((CALENDAR + ahead) as u64);
    World::on(router, now)
}

fn settings(gate: &'static (dyn Gate + 'static), times: Times) -> Settings<'static> {
    let (user, password, _) = User::Main.row();
    let ms = |ms: u64| Duration::from_millis(ms as u32);
    let mut settings = Settings::new("test", "0", gate);
    settings.max_frame = 4096;
    settings.outbox = 1 << 20;
    settings.msgq.boot = 0x5f37_59df;
    settings.msgq.max_body = 65_536;
    settings.msgq.outbox = 3 << 20;
    let c = &mut settings.clacks;
    c.max_line = 200 << 10;
    c.outbox = 2 << 20;
    c.login_within = ms(times.login);
    c.ping_within = ms(times.ping);
    c.link_ping_within = ms(times.link_ping);
    c.stalled_after = ms(times.stalled);
    c.link_stalled_after = ms(times.link_stalled);
    c.linger = ms(times.linger);
    c.stale_after = ms(times.stale);
    c.clean_every = ms(times.clean);
    c.link_user = user;
    c.link_password = password.as_bytes();
    c.shutdown = true;
    settings
}

impl World {
    pub(crate) fn wire_turn(&mut self, c: usize) -> bool {
        let wire = &mut self.wires[c];
        let Some(id) = wire.id else { return false };
        let n = wire.output.len().min(self.piece);
        if n == 0 || wire.waits {
            return false;
        }
        let taken = self.router.receive(self.now, id, &wire.output[..n]);
        wire.output.drain(..taken);
        // from here on it is offered nothing until the router says so
        wire.waits = taken < n && self.router.is_paused(id);
        self.check();
        true
    }
}

impl Host for World {
    fn now(&self) -> Instant {
        self.now
    }

    fn wires(&mut self) -> &mut Vec<Wire> {
        &mut self.wires
    }

    fn open(&mut self, how: Opening) -> Option<usize> {
        let newcomer = Newcomer {
            dialect: Dialect::Clacks,
            grant: Grant::anonymous(Rights::NONE),
            peer: how.peer,
            role: if how.to_master { Role::Master } else { Role::Client },
            ..Newcomer::default()
        };
        let id = self.router.admit(self.now, newcomer).ok()?;
        self.check();
        self.wires.push(Wire::new(id, how.to_master));
        World::drive(self);
        Some(self.wires.len() - 1)
    }

    fn part(&mut self, c: usize) {
        if let Some(id) = self.wires[c].id.take() {
            self.router.closed(self.now, id);
            self.check();
        }
        World::drive(self);
    }

    fn read_on(&mut self, c: usize) {
        self.wires[c].reads = true;
        if let Some(id) = self.wires[c].id {
            self.router.writable(self.now, id);
        }
        World::drive(self);
    }

    fn drive(&mut self) {
        World::drive(self);
    }

    fn deadline(&self) -> Option<Instant> {
        self.stations.iter().filter_map(|s| s.client.deadline()).chain(self.router.deadline()).min()
    }

    fn pass(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.router.tick(self.now);
        self.check();
        World::drive(self);
    }
}

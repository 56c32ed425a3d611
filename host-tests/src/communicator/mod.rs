//! Clients and servers of the Communicator, for tests: written from `wire/communicator.md`, sharing no code
//! with the dialect in the core.
//!
//! | file | owns |
//! |---|---|
//! | `message.rs` | one message, read and written |
//! | `client.rs` | one connection, strict about what it hears; what tests ask of any server |
//! | `plain.rs` | a server as small as the page allows, without limits: the tests are tested with it, and what the router says is compared with what it says |
//! | `ours.rs` | the node under test as such a server, with stations of other dialects |
//! | `users.rs` | who may log in |

pub mod client;
pub mod message;
pub mod ours;
pub mod plain;
pub mod users;

/// Which server a test is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The plain one of the tests.
    Plain,
    /// The router.
    Ours,
}

/// What servers may be told to do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Setup {
    /// Who sends a broadcast hears it too (weak point W33).
    pub echo: bool,
    /// `STOP` and `SHUTDOWN` have an effect.
    pub shutdown: bool,
    /// What datagrams bring along; empty: anything goes.
    pub secret: &'static str,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 2] = [Kind::Plain, Kind::Ours];

    /// A server.
    pub fn with(self, setup: Setup) -> Box<dyn client::Host> {
        match self {
            Kind::Plain => Box::new(plain::Plain::new(setup)),
            Kind::Ours => Box::new(ours::Ours::with(setup, |_| {})),
        }
    }

    /// A server for short sessions, of which there may be thousands.
    pub fn small(self) -> Box<dyn client::Host> {
        match self {
            Kind::Plain => Box::new(plain::Plain::new(Setup::default())),
            Kind::Ours => Box::new(ours::Ours::small(Setup::default())),
        }
    }
}

/// The same test with each server; which one is printed if it fails.
pub fn each(test: impl Fn(&mut dyn client::Host)) {
    each_with(Setup::default(), test);
}

/// As [`each`], with this set up.
pub fn each_with(setup: Setup, test: impl Fn(&mut dyn client::Host)) {
    for kind in Kind::ALL {
        println!("--- the server is {kind:?}");
        test(&mut *kind.with(setup));
    }
}

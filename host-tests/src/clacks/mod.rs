//! Clients, servers and links of Net::Clacks, for tests: written from `wire/clacks.md`, sharing no code
//! with the dialect in the core.
//!
//! | file | owns |
//! |---|---|
//! | `wire.rs` | one connection: what was said, what was heard, and that only whole and known lines are heard |
//! | `host.rs` | what tests ask of any server, and the words they use most |
//! | `ours.rs` | the node under test as such a server, with clients of other dialects |
//! | `plain.rs` | another such server: as small as the page allows, without limits; the tests are tested with it, and ours is linked to it |
//! | `number.rs` | counting as Perl does, for that one |
//! | `users.rs` | who may log in |
//! | `library.rs` | the original's client library, as strict as it is |
//! | `script.rs` | the vectors: finds, reads and plays them |
//! | `net.rs` | several servers joined by links |

pub mod host;
pub mod library;
pub mod net;
pub mod number;
pub mod ours;
pub mod plain;
pub mod script;
pub mod users;
pub mod wire;

/// Base64 as RFC 4648 section 4 has it, with padding.
pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for piece in bytes.chunks(3) {
        let word = (0..3).fold(0u32, |w, i| w << 8 | *piece.get(i).unwrap_or(&0) as u32);
        for i in 0..4 {
            let digit = ALPHABET[(word >> (18 - 6 * i)) as usize & 63] as char;
            out.push(if i <= piece.len() { digit } else { '=' });
        }
    }
    out
}

/// What stands behind `OVERHEAD A `.
pub fn token(user: &str, password: &str) -> String {
    format!("{}:{}", base64(user.as_bytes()), base64(password.as_bytes()))
}

/// Which server a test is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The plain one of the tests.
    Plain,
    /// The router.
    Ours,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 2] = [Kind::Plain, Kind::Ours];

    /// A server with the times of the page.
    pub fn host(self) -> Box<dyn host::Host> {
        self.with(plain::Times::DEFAULT)
    }

    /// A server with these times.
    pub fn with(self, times: plain::Times) -> Box<dyn host::Host> {
        match self {
            Kind::Plain => Box::new(plain::Plain::new(times, 0)),
            Kind::Ours => Box::new(ours::with_times(times, 0, |_| {})),
        }
    }

    /// A server whose clock is this many microseconds before the others'.
    pub fn ahead(self, micros: i64) -> Box<dyn host::Host> {
        match self {
            Kind::Plain => Box::new(plain::Plain::new(plain::Times::DEFAULT, micros)),
            Kind::Ours => Box::new(ours::with_times(plain::Times::DEFAULT, micros, |_| {})),
        }
    }
}

/// The same test with each server; which one is printed if it fails.
pub fn each(test: impl Fn(&mut dyn host::Host)) {
    each_with(plain::Times::DEFAULT, test);
}

/// As [`each`], with these times.
pub fn each_with(times: plain::Times, test: impl Fn(&mut dyn host::Host)) {
    for kind in Kind::ALL {
        println!("--- the server is {kind:?}");
        test(&mut *kind.with(times));
    }
}

/// The same test with each pair of master and slave.
pub fn each_pair(test: impl Fn(Kind, Kind)) {
    for master in Kind::ALL {
        for slave in Kind::ALL {
            println!("--- the master is {master:?}, the slave {slave:?}");
            test(master, slave);
        }
    }
}

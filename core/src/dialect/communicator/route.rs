//! Whom a message is for (`wire/communicator.md` sections 2 and 3.5 to 3.7).
//!
//! Owns: what the words `.`, `?` and `*` mean as server and as service, whether a message is
//! for the server itself, what becomes of a message to a service, and what its sender is
//! told. All of it pure: facts in, an answer out. Does not own who is there.
//!
//! | written | is |
//! |---|---|
//! | `X`, `communicatord/X`, `.:communicatord/X`, `*:communicatord/X` | for this server |
//! | `hostB:communicatord/X`, `hostB:X` | for that server |
//! | `?:communicatord/X` | for all other servers |
//! | `./X`, `hostZ:./X` | a broadcast to clients here |
//! | `?/X`, `*:?/X` | and to servers in private networks |
//! | `*/X`, `*:*/X` | and to all servers |
//! | `hostB:*/X`, `.:?/X` | nothing: a contradiction |
//! | `svc/X`, `*:svc/X`, `?:svc/X` | for a service here, else on other servers |
//! | `.:svc/X` | for a service here |
//! | `hostB:svc/X` | for a service there |

use super::cache::{self, Cache};
use super::name::DAEMON;
use super::repr::Message;

/// How far a broadcast goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Scope {
    /// `.`: clients of this server.
    Here,
    /// `?`: those of servers in private networks too.
    Private,
    /// `*`: those of all servers.
    Everywhere,
}

/// On which servers somebody may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach<'m> {
    /// No server, or `*`: here first, else anywhere.
    Any,
    /// `?`: as [`Reach::Any`] of services; of servers, all others.
    Others,
    /// `.` or the own name: here only.
    Here,
    /// The server of this name.
    Server(&'m [u8]),
}

impl Reach<'_> {
    /// Whether it may be here.
    pub const fn is_here(self) -> bool {
        !matches!(self, Reach::Server(_))
    }

    /// Whether it may be on the server of this name.
    pub fn is_at(self, server: &[u8]) -> bool {
        match self {
            Reach::Any | Reach::Others => true,
            Reach::Here => false,
            Reach::Server(name) => name == server,
        }
    }
}

/// Whom a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To<'m> {
    /// This server. Nobody else gets it.
    Daemon,
    /// Other servers themselves.
    Daemons(Reach<'m>),
    /// Whoever has announced the command.
    Everybody(Scope),
    /// A service.
    Service {
        /// Its name, legal or not.
        service: &'m [u8],
        /// Where it may be.
        reach: Reach<'m>,
    },
    /// Nobody: broadcasts have no server.
    Contradiction,
}

impl<'m> To<'m> {
    /// Of a message, to the server called `own`.
    pub fn of(m: &Message<'m>, own: &[u8]) -> To<'m> {
        let reach = match m.server {
            b"" | b"*" => Reach::Any,
            b"?" => Reach::Others,
            b"." => Reach::Here,
            name if name == own => Reach::Here,
            name => Reach::Server(name),
        };
        match m.service {
            b"." => To::Everybody(Scope::Here),
            b"?" | b"*" if reach != Reach::Any => To::Contradiction,
            b"?" => To::Everybody(Scope::Private),
            b"*" => To::Everybody(Scope::Everywhere),
            service if service.is_empty() || service == DAEMON.as_bytes() => match reach {
                Reach::Any | Reach::Here => To::Daemon,
                reach => To::Daemons(reach),
            },
            service => To::Service { service, reach },
        }
    }
}

/// What is known of the service that a message is for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// It is registered here.
    pub is_here: bool,
    /// It is the sender itself.
    pub is_sender: bool,
    /// Messages may wait for it here: it is declared.
    pub is_declared: bool,
    /// It may be behind a server that we are linked with, and that may be meant.
    pub has_links: bool,
}

/// What becomes of a message to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It goes to the service that is here, and nowhere else.
    Deliver,
    /// It waits for the service.
    Keep(crate::time::Duration),
    /// It goes over all links to servers that may be meant; `?` as server becomes `*`.
    Relay,
    /// It is dropped.
    Drop(Lost),
}

/// Why a message to a service is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Lost {
    /// The service has sent it itself: nobody hears himself.
    Itself,
    /// It may not wait.
    NotKept,
    /// The service is neither here nor declared, and there is nobody else to give it to.
    Nowhere,
    /// There is no memory for it to wait.
    Full,
}

/// What becomes of a message to a service (section 2.3 steps 2 to 6).
pub fn fate(reach: Reach<'_>, facts: Facts, cache: Cache) -> Fate {
    if reach.is_here() {
        if facts.is_sender {
            return Fate::Drop(Lost::Itself);
        }
        if facts.is_here {
            return Fate::Deliver;
        }
        if facts.is_declared {
            return cache.keep.map_or(Fate::Drop(Lost::NotKept), Fate::Keep);
        }
    }
    match facts.has_links && reach != Reach::Here {
        true => Fate::Relay,
        false => Fate::Drop(Lost::Nowhere),
    }
}

/// What the sender of a message to a service is told.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Reports {
    /// `SERVICE_UNAVAILABLE`, first.
    pub unavailable: bool,
    /// `TRANSMISSION_REPORT`: with `cached` if it waits, `failed` if not.
    pub report: Option<bool>,
}

/// What the sender is told of what became of his message (section 3.7). Of a message that
/// nobody can take he is told too, which the original does not do (weak point W15).
pub fn reports(m: &Message<'_>, cache: Cache, fate: Fate) -> Reports {
    let wants = cache::wants_report(m);
    match fate {
        Fate::Deliver | Fate::Relay => Reports::default(),
        Fate::Keep(_) => Reports { unavailable: false, report: wants.then_some(true) },
        Fate::Drop(why) => {
            let unavailable = cache.reply && matches!(why, Lost::NotKept | Lost::Full);
            Reports { unavailable, report: wants.then_some(false) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use crate::time::Duration;

    fn to(line: &str) -> To<'_> {
        To::of(&parse::message(line.as_bytes(), &mut []).unwrap(), b"hostA")
    }

    #[test]
    fn each_row_of_the_page() {
        let service = |service: &'static str, reach| To::Service { service: service.as_bytes(), reach };
        let host_b = Reach::Server(b"hostB");
        for (line, want) in [
            ("X", To::Daemon),
            ("communicatord/X", To::Daemon),
            (".:communicatord/X", To::Daemon),
            ("*:communicatord/X", To::Daemon),
            ("hostA:communicatord/X", To::Daemon),
            ("hostA:X", To::Daemon),
            ("hostB:communicatord/STOP", To::Daemons(host_b)),
            ("hostB:STOP", To::Daemons(host_b)),
            ("?:communicatord/X", To::Daemons(Reach::Others)),
            ("cluck/LOCK", service("cluck", Reach::Any)),
            ("*:cluck/X", service("cluck", Reach::Any)),
            ("?:cluck/X", service("cluck", Reach::Others)),
            (".:cluck/X", service("cluck", Reach::Here)),
            ("hostA:cluck/X", service("cluck", Reach::Here)),
            ("hostB:cluck/X", service("cluck", host_b)),
            ("./X", To::Everybody(Scope::Here)),
            ("hostZ:./X", To::Everybody(Scope::Here)),
            ("?/X", To::Everybody(Scope::Private)),
            ("*:?/X", To::Everybody(Scope::Private)),
            ("*/X", To::Everybody(Scope::Everywhere)),
            ("*:*/X", To::Everybody(Scope::Everywhere)),
            ("hostB:*/X", To::Contradiction),
            (".:?/X", To::Contradiction),
            (".:*/X", To::Contradiction),
            ("?:*/X", To::Contradiction),
            ("hostA:*/X", To::Contradiction),
        ] {
            assert_eq!(to(line), want, "{line}");
        }
    }

    #[test]
    fn what_becomes_of_a_message_to_a_service() {
        let cache = Cache::default();
        let no = Cache { keep: None, reply: true, odd: false };
        let f = |here, sender, declared, links| Facts {
            is_here: here,
            is_sender: sender,
            is_declared: declared,
            has_links: links,
        };
        let kept = Fate::Keep(Duration::from_secs(60));
        let (any, here, there) = (Reach::Any, Reach::Here, Reach::Server(b"b"));
        for (reach, facts, cache, want) in [
            (any, f(true, false, true, true), cache, Fate::Deliver),
            (Reach::Others, f(true, false, false, true), cache, Fate::Deliver),
            (any, f(true, true, true, true), cache, Fate::Drop(Lost::Itself)),
            (any, f(false, false, true, true), cache, kept),
            (here, f(false, false, true, false), cache, kept),
            (any, f(false, false, true, true), no, Fate::Drop(Lost::NotKept)),
            (any, f(false, false, false, true), no, Fate::Relay),
            (any, f(false, false, false, false), cache, Fate::Drop(Lost::Nowhere)),
            (here, f(false, false, false, true), cache, Fate::Drop(Lost::Nowhere)),
            (there, f(true, true, true, true), cache, Fate::Relay),
            (there, f(true, false, true, false), cache, Fate::Drop(Lost::Nowhere)),
        ] {
            assert_eq!(fate(reach, facts, cache), want, "{reach:?} {facts:?}");
        }
        assert!(there.is_at(b"b") && !there.is_at(b"c") && any.is_at(b"c") && !here.is_at(b"b"));
    }

    #[test]
    fn what_the_sender_is_told() {
        let of = |line: &'static str, declared: bool| {
            let m = parse::message(line.as_bytes(), &mut []).unwrap();
            let cache = Cache::of(&m);
            reports(&m, cache, fate(Reach::Any, Facts { is_declared: declared, ..Facts::default() }, cache))
        };
        let both = |unavailable, report| Reports { unavailable, report };
        assert_eq!(of("bar/R cache=ttl=30;transmission_report=failure", true), both(false, Some(true)));
        assert_eq!(of("bar/R cache=\"no;reply\";transmission_report=failure", true), both(true, Some(false)));
        assert_eq!(of("bar/R cache=\"no;reply\"", true), both(true, None));
        assert_eq!(of("bar/R cache=no", true), both(false, None));
        assert_eq!(of("bar/R", true), both(false, None));
        assert_eq!(of("bar/R cache=reply", true), both(false, None));
        assert_eq!(of("bar/R transmission_report=failure", false), both(false, Some(false)), "weak point W15");
        assert_eq!(of("bar/R cache=\"no;reply\"", false), both(false, None), "not listed");
    }
}

//! Users, their secrets and what they may do: the router's [`Gate`] out of the configuration.
//!
//! Owns: the numbering of users, which survives a reload, the comparison of tokens, and who
//! is known by a certificate or by the system user they run as. A session keeps the rights it
//! began with, and all names if it had all; the names of one that was limited to some follow
//! a reload at once. Passwords are not looked at here, because that takes long: who gives one
//! is kept in [`Users::take_asked`] for the loop (`event_loop/sign_ins.rs`).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use chappe_core::id::StationId;
use chappe_core::name;
use chappe_core::router::grant::same_secret;
use chappe_core::router::{Gate, Grant, Rights, Verdict};
use zeroize::Zeroizing;

use crate::config::{Config, Peers, Right, User, trim_token};
use crate::password::Hashed;
use crate::tls::Identity;
use crate::tls::identity::About;

/// Everyone who is configured.
#[derive(Debug, Default)]
pub(super) struct Users {
    /// A user's place is the grant's number and is never given to another name.
    known: RefCell<Vec<Known>>,
    /// System users who are users without a secret, as the configuration has them in order;
    /// with the user's number.
    peers: RefCell<Vec<(Peers, u16)>>,
    /// Who has just said a password. The router asks about one station at a time, and whoever
    /// called it looks here.
    asked: RefCell<Option<Asked>>,
    is_asked: Cell<bool>,
    /// Stations that have come in by a secret, and the users they are: for the log.
    seats: RefCell<HashMap<StationId, u16>>,
    hasher: RandomState,
}

/// A station that says to be a user, and its password.
pub(super) struct Asked {
    pub(super) station: StationId,
    pub(super) name: String,
    /// Empty: it was wrong already, as nobody has a password.
    pub(super) secret: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asked").field("station", &self.station).finish_non_exhaustive()
    }
}

/// Users that have been read and not been taken over.
#[derive(Debug)]
pub(super) struct Fresh(Vec<(String, Current)>);

#[derive(Debug)]
struct Known {
    name: String,
    /// `None`: not in the configuration any more.
    now: Option<Current>,
}

struct Current {
    /// `None`: no Hello makes anybody this user by a token.
    token: Option<Zeroizing<Vec<u8>>>,
    password: Option<Arc<Hashed>>,
    certificate: Option<Identity>,
    peers: Peers,
    rights: Rights,
    /// `None`: all.
    names: Option<Vec<String>>,
}

impl Current {
    fn grant(&self, number: usize) -> Grant {
        Grant { rights: self.rights, restricted: self.names.is_some(), number: number as u16 }
    }
}

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Current { token: _, password: _, certificate, peers, rights, names } = self;
        let mut shown = f.debug_struct("Current");
        shown.field("certificate", certificate).field("peers", peers);
        shown.field("rights", rights).field("names", names).finish_non_exhaustive()
    }
}

/// The core's set for the configuration's list.
pub(super) fn rights(list: &[Right]) -> Rights {
    list.iter().fold(Rights::NONE, |all, right| {
        all | match right {
            Right::Read => Rights::READ,
            Right::Write => Rights::WRITE,
            Right::Manage => Rights::MANAGE,
            Right::Link => Rights::LINK,
        }
    })
}

impl Users {
    /// The users of a configuration, ready to be taken over. An error says who is wrong.
    pub(super) fn prepare(&self, config: &Config) -> Result<Fresh, String> {
        let known = self.known.borrow();
        let new = config.users.iter().filter(|user| known.iter().all(|k| k.name != user.name)).count();
        if known.len() + new > usize::from(u16::MAX) {
            return Err("more user names than can be told apart since the start: start the daemon anew".into());
        }
        let current = |user: &User| {
            let hashed = user.password_hash.as_ref().map(|hash| Hashed::read(hash.reveal()).map(Arc::new));
            let current = Current {
                token: token(user)?,
                password: hashed.transpose().map_err(|e| format!("user `{}`: password_hash {e}", user.name))?,
                certificate: user.certificate.clone(),
                peers: user.peers.clone(),
                rights: rights(&user.rights),
                names: user.names.clone(),
            };
            Ok((user.name.clone(), current))
        };
        config.users.iter().map(current).collect::<Result<_, String>>().map(Fresh)
    }

    /// Takes them over in place of those before.
    pub(super) fn take(&self, fresh: Fresh) {
        let mut known = self.known.borrow_mut();
        let mut peers = self.peers.borrow_mut();
        for one in known.iter_mut() {
            one.now = None;
        }
        peers.clear();
        for (name, current) in fresh.0 {
            let number = known.iter().position(|k| k.name == name).unwrap_or(known.len());
            if current.peers != Peers::default() {
                peers.push((current.peers.clone(), number as u16));
            }
            match known.get_mut(number) {
                Some(one) => one.now = Some(current),
                None => known.push(Known { name, now: Some(current) }),
            }
        }
    }

    /// Whether anybody is known by the system user at all.
    pub(super) fn knows_peers(&self) -> bool {
        !self.peers.borrow().is_empty()
    }

    /// What a process may do that runs as this user with this primary group: that of the
    /// first user it fits.
    pub(super) fn by_peer(&self, user: u32, group: u32) -> Option<Grant> {
        let peers = self.peers.borrow();
        let (_, number) = peers.iter().find(|(peers, _)| peers.has(user, group))?;
        self.known.borrow().get(usize::from(*number))?.now.as_ref().map(|now| now.grant(usize::from(*number)))
    }

    /// The name of the user whose grant has this number.
    pub(super) fn name(&self, number: u16) -> Option<String> {
        self.known.borrow().get(usize::from(number)).map(|one| one.name.clone())
    }

    /// Whether a user of this name is configured.
    pub(super) fn has(&self, name: &str) -> bool {
        self.known.borrow().iter().any(|one| one.now.is_some() && one.name == name)
    }

    /// A station has come in as user `number`.
    pub(super) fn seat(&self, station: StationId, number: u16) {
        self.seats.borrow_mut().insert(station, number);
    }

    /// The user that a station has come in as, by a secret.
    pub(super) fn seated(&self, station: StationId) -> Option<u16> {
        self.seats.borrow().get(&station).copied()
    }

    /// A station is gone.
    pub(super) fn unseat(&self, station: StationId) {
        self.seats.borrow_mut().remove(&station);
    }

    /// Who has just said a password, if the router was told [`Verdict::Later`], or a wrong token.
    #[inline]
    pub(super) fn take_asked(&self) -> Option<Asked> {
        if self.is_asked.take() { self.asked.borrow_mut().take() } else { None }
    }

    /// Whether anybody has a password.
    pub(super) fn have_passwords(&self) -> bool {
        self.known.borrow().iter().any(|one| one.password().is_some())
    }

    /// The number of a user with a password, and what it has to be that of. For whoever is
    /// none, no number, and always the same hash of somebody else: if users' hashes take
    /// different times, each name that is no user's has one of these.
    pub(super) fn password_of(&self, name: &str) -> Option<(Option<u16>, Arc<Hashed>)> {
        let known = self.known.borrow();
        let is_meant = |one: &Known| one.name == name && one.password().is_some();
        if let Some(number) = known.iter().position(is_meant) {
            return Some((Some(number as u16), known[number].password()?.clone()));
        }
        let with = || known.iter().filter_map(Known::password);
        let place = (self.hasher.hash_one(name) % with().count().max(1) as u64) as usize;
        with().nth(place).cloned().map(|hash| (None, hash))
    }

    /// Whether that is still the hash of user `number`.
    pub(super) fn has_still(&self, number: u16, hash: &Hashed) -> bool {
        let known = self.known.borrow();
        known.get(usize::from(number)).and_then(Known::password).is_some_and(|now| **now == *hash)
    }

    /// What user `number` may do, if there still is one.
    pub(super) fn grant_of(&self, number: u16) -> Option<Grant> {
        let known = self.known.borrow();
        Some(known.get(usize::from(number))?.now.as_ref()?.grant(usize::from(number)))
    }

    /// What the owner of a certificate may do, if that is a user. A certificate that is
    /// named by its hash is that user's, whatever name it bears.
    pub(super) fn by_certificate(&self, about: &About) -> Option<Grant> {
        let known = self.known.borrow();
        let owner = |by_hash: bool| {
            known.iter().position(|one| {
                let identity = one.now.as_ref().and_then(|now| now.certificate.as_ref());
                identity.is_some_and(|i| matches!(i, Identity::Fingerprint(_)) == by_hash && about.is(i))
            })
        };
        let number = owner(true).or_else(|| owner(false))?;
        Some(known[number].now.as_ref()?.grant(number))
    }

    /// How many there are now.
    pub(super) fn len(&self) -> usize {
        self.known.borrow().iter().filter(|one| one.now.is_some()).count()
    }
}

impl Known {
    fn password(&self) -> Option<&Arc<Hashed>> {
        self.now.as_ref()?.password.as_ref()
    }
}

fn token(user: &User) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
    let kept = |text: &str| Some(Zeroizing::new(text.as_bytes().to_vec()));
    match (&user.token, &user.token_file) {
        (Some(token), _) => Ok(kept(token.reveal())),
        (None, Some(file)) => std::fs::read_to_string(file.as_path())
            .map(|text| kept(trim_token(&Zeroizing::new(text))))
            .map_err(|e| format!("user `{}`: {file} cannot be read: {e}", user.name)),
        (None, None) => Ok(None),
    }
}

impl Gate for Users {
    fn check(&self, user: &str, given: &[u8]) -> Option<Grant> {
        let known = self.known.borrow();
        let mut grant = None;
        // Every user's secret is compared, whoever was named: the time says nothing about
        // which names exist.
        for (number, one) in known.iter().enumerate() {
            let Some(now) = &one.now else { continue };
            let is_right = same_secret(now.token.as_ref().map_or(&[][..], |t| t), given);
            if is_right & now.token.is_some() & (one.name == user) {
                grant = Some(now.grant(number));
            }
        }
        grant
    }

    /// Tokens are compared at once. What is none may be a password; where there are any,
    /// everything that is wrong takes as long as a wrong password of somebody.
    fn decide(&self, station: StationId, user: &str, given: &[u8]) -> Verdict {
        if let Some(grant) = self.check(user, given) {
            self.seat(station, grant.number);
            return Verdict::Granted(grant);
        }
        let have_passwords = self.have_passwords();
        // What is wrong in any case is only logged.
        let secret = Zeroizing::new(if have_passwords { given.to_vec() } else { Vec::new() });
        *self.asked.borrow_mut() = Some(Asked { station, name: user.to_owned(), secret });
        self.is_asked.set(true);
        if have_passwords { Verdict::Later } else { Verdict::Denied }
    }

    fn is_open(&self) -> bool {
        self.len() == 0
    }

    fn allows(&self, grant: Grant, _: Rights, asked: &str) -> bool {
        let known = self.known.borrow();
        let now = known.get(usize::from(grant.number)).and_then(|one| one.now.as_ref());
        // A pattern that is asked for is covered by the same or a wider one.
        let covers = |names: &Vec<String>| names.iter().any(|pattern| name::matches(pattern, asked));
        now.is_some_and(|now| now.names.as_ref().is_none_or(covers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(text: &str) -> Users {
        let users = Users::default();
        users.take(users.prepare(&Config::parse(None, text, |_| {}).unwrap()).unwrap());
        users
    }

    #[test]
    fn only_the_right_token_of_that_user_opens() {
        let users = users(
            "[[users]]\nname='a'\ntoken='token-of-a'\n[[users]]\nname='b'\ntoken='token-of-b'\nrights=['read']\nnames=['x::*','y']",
        );
        let grant = users.check("a", b"token-of-a").unwrap();
        assert_eq!((grant.rights, grant.restricted), (Rights::READ | Rights::WRITE, false));
        for (user, token) in [("a", "token-of-b"), ("b", "token-of-a"), ("c", "token-of-a"), ("a", ""), ("", "")] {
            assert_eq!(users.check(user, token.as_bytes()), None);
        }
        let grant = users.check("b", b"token-of-b").unwrap();
        assert_eq!((grant.rights, grant.restricted), (Rights::READ, true));
        for (asked, yes) in [("x::1", true), ("x::*", true), ("y", true), ("x", false), ("*", false), ("z", false)] {
            assert_eq!(users.allows(grant, Rights::READ, asked), yes, "{asked}");
        }
    }

    #[test]
    fn it_is_open_only_while_it_knows_nobody_at_all() {
        let users = users("");
        assert!(users.is_open());
        for text in ["[[users]]\nname='a'\ntoken='token-of-a'", "[[users]]\nname='a'\npeer_users=[1]"] {
            users.take(users.prepare(&Config::parse(None, text, |_| {}).unwrap()).unwrap());
            assert!(!users.is_open(), "{text}");
        }
        users.take(users.prepare(&Config::default()).unwrap());
        assert!(users.is_open());
    }

    #[test]
    fn linked_servers_have_a_right_of_their_own() {
        let users = users("[[users]]\nname='east'\ntoken='token-of-east'\nrights=['read','write','manage','link']");
        assert_eq!(users.check("east", b"token-of-east").unwrap().rights, Rights::ALL);
    }

    #[test]
    fn system_users_are_who_fits_first_and_need_no_token() {
        let users = users(
            "[[users]]\nname='one'\npeer_users=[1001]\nrights=['read']\nnames=['x']\n\
             [[users]]\nname='staff'\npeer_groups=[50]\nrights=['write']\n\
             [[users]]\nname='both'\npeer_users=[1002]\npeer_groups=[60]\ntoken='token-of-both'",
        );
        let who = |user, group| users.by_peer(user, group).map(|g| (users.name(g.number).unwrap(), g.rights));
        assert_eq!(who(1001, 50), Some(("one".into(), Rights::READ)), "the first that fits");
        assert_eq!(who(1003, 50), Some(("staff".into(), Rights::WRITE)));
        assert_eq!(who(1002, 1), Some(("both".into(), Rights::READ | Rights::WRITE)));
        assert_eq!(who(50, 1001), None);
        assert!(users.by_peer(1001, 1).unwrap().restricted);
        assert!(!users.by_peer(1002, 1).unwrap().restricted);
        // Without a token no Hello makes anybody that user, with one it does.
        for given in ["", "token-of-both"] {
            assert_eq!(users.check("one", given.as_bytes()), None);
        }
        assert!(users.check("both", b"token-of-both").is_some());
        // After a reload the order is that of the new file, and who is gone is nobody.
        let text = "[[users]]\nname='both'\npeer_groups=[50]\n[[users]]\nname='staff'\npeer_groups=[50]";
        users.take(users.prepare(&Config::parse(None, text, |_| {}).unwrap()).unwrap());
        assert_eq!(users.by_peer(1001, 50).and_then(|g| users.name(g.number)), Some("both".into()));
        assert_eq!(users.by_peer(1001, 1), None);
        assert_eq!(users.check("both", b"token-of-both"), None);
        users.take(users.prepare(&Config::default()).unwrap());
        assert!(!users.knows_peers());
    }

    #[test]
    fn passwords_are_looked_at_later_and_only_where_there_are_any() {
        let station = StationId::new(7).unwrap();
        let tokens = users("[[users]]\nname='a'\ntoken='token-of-a'");
        assert_eq!(tokens.decide(station, "a", b"wrong"), Verdict::Denied);
        let asked = tokens.take_asked().unwrap();
        assert!(asked.name == "a" && asked.secret.is_empty(), "it is only logged");
        assert_eq!(tokens.seated(station), None);
        let hash = |of: &str| crate::password::hash(of.as_bytes(), crate::password::Cost { memory: 8, passes: 1 });
        let (b, c) = (hash("word-of-b").unwrap(), hash("word-of-c").unwrap());
        let text = format!(
            "[[users]]\nname='a'\ntoken='token-of-a'\n[[users]]\nname='b'\npassword_hash='{b}'\nrights=['read']\n\
             [[users]]\nname='c'\npassword_hash='{c}'\nnames=['x']"
        );
        let users = users(&text);
        assert!(matches!(users.decide(station, "a", b"token-of-a"), Verdict::Granted(_)));
        assert!(users.take_asked().is_none());
        assert_eq!(users.seated(station), Some(0));
        users.unseat(station);
        assert_eq!(users.seated(station), None);
        for name in ["a", "b", "nobody", ""] {
            assert_eq!(users.decide(station, name, b"word-of-b"), Verdict::Later);
            let asked = users.take_asked().unwrap();
            assert_eq!((asked.station, asked.name.as_str(), &asked.secret[..]), (station, name, &b"word-of-b"[..]));
            let (who, hash) = users.password_of(name).unwrap();
            assert_eq!(who, (name == "b").then_some(1));
            assert_eq!(users.password_of(name).unwrap().1, hash, "always the same one");
        }
        let (number, hash) = users.password_of("c").unwrap();
        let grant = users.grant_of(number.unwrap()).unwrap();
        assert!(grant.restricted && users.allows(grant, Rights::READ, "x") && hash.is_of(b"word-of-c"));
        assert!(users.has_still(2, &hash) && !users.has_still(1, &hash) && !users.has_still(9, &hash));
        users.take(users.prepare(&Config::default()).unwrap());
        assert_eq!((users.grant_of(1), users.has_still(2, &hash), users.have_passwords()), (None, false, false));
    }

    #[test]
    fn numbers_survive_a_reload_and_removed_users_may_nothing() {
        let users = users(
            "[[users]]\nname='a'\ntoken='token-of-a'\nnames=['x']\n[[users]]\nname='b'\ntoken='token-of-b'\nnames=['y']",
        );
        let (a, b) = (users.check("a", b"token-of-a").unwrap(), users.check("b", b"token-of-b").unwrap());
        let text = "[[users]]\nname='c'\ntoken='token-of-c'\n[[users]]\nname='b'\ntoken='new-token'\nnames=['z']";
        users.take(users.prepare(&Config::parse(None, text, |_| {}).unwrap()).unwrap());
        assert_eq!(users.check("a", b"token-of-a"), None);
        assert!(!users.allows(a, Rights::READ, "x"));
        assert_eq!(users.check("b", b"token-of-b"), None);
        assert_eq!(users.check("b", b"new-token").unwrap().number, b.number);
        assert!(users.allows(b, Rights::READ, "z") && !users.allows(b, Rights::READ, "y"));
        assert_ne!(users.check("c", b"token-of-c").unwrap().number, a.number);
        let text = "[[users]]\nname='b'\ntoken='new-token'";
        users.take(users.prepare(&Config::parse(None, text, |_| {}).unwrap()).unwrap());
        assert!(users.allows(b, Rights::READ, "any"), "all names, now");
    }
}

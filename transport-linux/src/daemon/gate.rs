//! Users, their secrets and what they may do: the router's [`Gate`] out of the configuration.
//!
//! Owns: the numbering of users, which survives a reload, the comparison of secrets, and who
//! is known by the system user they run as. A session keeps the rights it began with, and all
//! names if it had all; the names of one that was limited to some follow a reload at once.

use std::cell::RefCell;

use chappe_core::name;
use chappe_core::router::grant::same_secret;
use chappe_core::router::{Gate, Grant, Rights};

use crate::config::{Config, Peers, Right, User, trim_token};

/// Everyone who is configured.
#[derive(Debug, Default)]
pub(super) struct Users {
    /// A user's place is the grant's number and is never given to another name.
    known: RefCell<Vec<Known>>,
    /// System users who are users without a secret, as the configuration has them in order;
    /// with the user's number.
    peers: RefCell<Vec<(Peers, u16)>>,
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
    /// `None`: they are known by the system user alone.
    token: Option<Vec<u8>>,
    peers: Peers,
    rights: Rights,
    /// `None`: all.
    names: Option<Vec<String>>,
}

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Current { token: _, peers, rights, names } = self;
        let mut shown = f.debug_struct("Current");
        shown.field("peers", peers).field("rights", rights).field("names", names).finish_non_exhaustive()
    }
}

/// The core's set for the configuration's list.
pub(super) fn rights(list: &[Right]) -> Rights {
    list.iter().fold(Rights::NONE, |all, right| {
        all | match right {
            Right::Read => Rights::READ,
            Right::Write => Rights::WRITE,
            Right::Manage => Rights::MANAGE,
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
            let (peers, rights, names) = (user.peers.clone(), rights(&user.rights), user.names.clone());
            Ok((user.name.clone(), Current { token: token(user)?, peers, rights, names }))
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
        self.known.borrow().get(usize::from(*number))?.now.as_ref().map(|now| now.grant(*number))
    }

    /// The name of the user whose grant has this number.
    pub(super) fn name(&self, number: u16) -> Option<String> {
        self.known.borrow().get(usize::from(number)).map(|one| one.name.clone())
    }

    /// How many there are now.
    pub(super) fn len(&self) -> usize {
        self.known.borrow().iter().filter(|one| one.now.is_some()).count()
    }
}

impl Current {
    fn grant(&self, number: u16) -> Grant {
        Grant { rights: self.rights, restricted: self.names.is_some(), number }
    }
}

/// `None`: they have none, and no Hello makes anybody this user.
fn token(user: &User) -> Result<Option<Vec<u8>>, String> {
    match (&user.token, &user.token_file) {
        (Some(token), _) => Ok(Some(token.reveal().as_bytes().to_vec())),
        (None, Some(file)) => std::fs::read_to_string(file.as_path())
            .map(|text| Some(trim_token(&text).as_bytes().to_vec()))
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
            let is_right = same_secret(now.token.as_deref().unwrap_or_default(), given);
            if is_right & now.token.is_some() & (one.name == user) {
                grant = Some(now.grant(number as u16));
            }
        }
        grant
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

//! Users, their secrets and what they may do: the router's [`Gate`] out of the configuration.
//!
//! Owns: the numbering of users, which survives a reload, and the comparison of secrets.
//! A session keeps the rights of its Hello; the names it may use follow a reload at once.

use std::cell::RefCell;

use chappe_core::name;
use chappe_core::router::grant::same_secret;
use chappe_core::router::{Gate, Grant, Rights};

use crate::config::{Config, Right, User, trim_token};

/// Everyone who is configured.
#[derive(Debug, Default)]
pub(super) struct Users {
    /// A user's place is the grant's number and is never given to another name.
    known: RefCell<Vec<Known>>,
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
    token: Vec<u8>,
    rights: Rights,
    names: Vec<String>,
}

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Current").field("rights", &self.rights).field("names", &self.names).finish_non_exhaustive()
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
            let current = Current { token: token(user)?, rights: rights(&user.rights), names: user.names.clone() };
            Ok((user.name.clone(), current))
        };
        config.users.iter().map(current).collect::<Result<_, String>>().map(Fresh)
    }

    /// Takes them over in place of those before.
    pub(super) fn take(&self, fresh: Fresh) {
        let mut known = self.known.borrow_mut();
        for one in known.iter_mut() {
            one.now = None;
        }
        for (name, current) in fresh.0 {
            match known.iter_mut().find(|k| k.name == name) {
                Some(one) => one.now = Some(current),
                None => known.push(Known { name, now: Some(current) }),
            }
        }
    }

    /// How many there are now.
    pub(super) fn len(&self) -> usize {
        self.known.borrow().iter().filter(|one| one.now.is_some()).count()
    }
}

fn token(user: &User) -> Result<Vec<u8>, String> {
    match (&user.token, &user.token_file) {
        (Some(token), _) => Ok(token.reveal().as_bytes().to_vec()),
        (None, Some(file)) => std::fs::read_to_string(file.as_path())
            .map(|text| trim_token(&text).as_bytes().to_vec())
            .map_err(|e| format!("user `{}`: {file} cannot be read: {e}", user.name)),
        (None, None) => Err(format!("user `{}` has no token", user.name)),
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
            let is_right = same_secret(&now.token, given);
            if is_right & (one.name == user) {
                let restricted = !now.names.is_empty();
                grant = Some(Grant { rights: now.rights, restricted, number: number as u16 });
            }
        }
        grant
    }

    fn allows(&self, grant: Grant, _: Rights, asked: &str) -> bool {
        let known = self.known.borrow();
        let now = known.get(usize::from(grant.number)).and_then(|one| one.now.as_ref());
        // A pattern that is asked for is covered by the same or a wider one.
        now.is_some_and(|now| now.names.iter().any(|pattern| name::matches(pattern, asked)))
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
    }
}

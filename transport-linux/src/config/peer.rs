//! System users and groups that stand for a user of the bus.
//!
//! Owns: how they are written, and looking their numbers up. Does not own who is connected
//! (`daemon::event_loop`), nor what they may do (`daemon::gate`).

use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Step::{Index, Key};
use super::check::At;
use super::{Config, ConfigError};
use crate::sys;

/// A user or group of the system, by name or number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SystemId {
    /// As /etc/passwd or /etc/group have it.
    Name(String),
    /// The number itself; nothing with this number need exist.
    Number(u32),
}

impl fmt::Display for SystemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SystemId::Name(name) => f.write_str(name),
            SystemId::Number(number) => number.fmt(f),
        }
    }
}

impl Serialize for SystemId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            SystemId::Name(name) => s.serialize_str(name),
            SystemId::Number(number) => s.serialize_u32(*number),
        }
    }
}

impl<'de> Deserialize<'de> for SystemId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = SystemId;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name or number of a system user or group")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<SystemId, E> {
                // A number in quotes is one, as with a listener's owner.
                Ok(text.parse().map_or_else(|_| SystemId::Name(text.to_owned()), SystemId::Number))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<SystemId, E> {
                // The last one stands for "none" in system calls.
                match u32::try_from(number) {
                    Ok(n) if n != u32::MAX => Ok(SystemId::Number(n)),
                    _ => Err(E::invalid_value(Unexpected::Signed(number), &self)),
                }
            }
        }
        d.deserialize_any(Either)
    }
}

/// Numbers of system users and groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peers {
    /// Of users.
    pub users: Vec<u32>,
    /// Of groups.
    pub groups: Vec<u32>,
}

impl Peers {
    /// Whether one who runs as this user with this primary group is among them.
    pub fn has(&self, user: u32, group: u32) -> bool {
        self.users.contains(&user) || self.groups.contains(&group)
    }
}

impl Config {
    /// Numbers for all names; whether those that a socket's file belongs to are there. May
    /// read files or ask the network: never in the event loop.
    pub(super) fn look_up_ids(&mut self, at: At<'_>) -> Result<(), ConfigError> {
        for (i, listener) in self.listeners.iter().enumerate() {
            for (key, kind, what, text) in [
                ("owner", sys::Names::Users, "user", &listener.owner),
                ("group", sys::Names::Groups, "group", &listener.group),
            ] {
                if !text.is_empty() && text.parse::<u32>().is_err() {
                    number(kind, what, &SystemId::Name(text.clone()))
                        .map_err(|e| at(&[Key("listeners"), Index(i), Key(key)], e))?;
                }
            }
        }
        for (key, kind, what) in [("user", sys::Names::Users, "user"), ("group", sys::Names::Groups, "group")] {
            let (text, id) = match key {
                "user" => (&self.flags.user, &mut self.flags.owner_id),
                _ => (&self.flags.group, &mut self.flags.group_id),
            };
            if !text.is_empty() {
                let wanted = text.parse().map_or_else(|_| SystemId::Name(text.clone()), SystemId::Number);
                *id = Some(number(kind, what, &wanted).map_err(|e| at(&[Key("flags"), Key(key)], e))?);
            }
        }
        for (i, user) in self.users.iter_mut().enumerate() {
            let number = |key, kind, what, ids: &[SystemId]| -> Result<Vec<u32>, ConfigError> {
                let look_up = |(n, id): (usize, &SystemId)| {
                    number(kind, what, id).map_err(|e| at(&[Key("users"), Index(i), Key(key), Index(n)], e))
                };
                ids.iter().enumerate().map(look_up).collect()
            };
            user.peers = Peers {
                users: number("peer_users", sys::Names::Users, "user", &user.peer_users)?,
                groups: number("peer_groups", sys::Names::Groups, "group", &user.peer_groups)?,
            };
        }
        Ok(())
    }
}

fn number(kind: sys::Names, what: &str, id: &SystemId) -> Result<u32, String> {
    let name = match id {
        SystemId::Number(number) => return Ok(*number),
        SystemId::Name(name) => name,
    };
    match sys::id_of(kind, name) {
        Ok(Some(number)) => Ok(number),
        Ok(None) => Err(format!("there is no system {what} `{name}` on this machine: make it, or write a number")),
        Err(e) => Err(format!("the system {what} `{name}` cannot be looked up: {e}")),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::parse;

    #[test]
    fn names_and_numbers_become_numbers_and_print_as_they_were() {
        let text = "[[users]]\nname='a'\npeer_users=['root', 1001, '1002']\npeer_groups=['root', 7]\n";
        let config = parse(text).unwrap();
        let peers = &config.users[0].peers;
        assert_eq!((&peers.users[..], &peers.groups[..]), (&[0, 1001, 1002][..], &[0, 7][..]));
        assert!(peers.has(0, 99) && peers.has(1001, 99) && peers.has(99, 7));
        assert!(!peers.has(99, 1001) && !peers.has(7, 99));
        let printed = config.print();
        assert!(printed.contains("[\"root\", 1001, 1002]"), "{printed}");
        assert_eq!(parse(&printed).unwrap(), config);
    }

    #[test]
    fn what_is_no_user_is_refused_at_its_place() {
        let text = |what: &str| format!("[[users]]\nname='a'\npeer_users=['root', {what}]\n");
        for what in ["-1", "4294967295", "1.5", "true"] {
            let error = parse(&text(what)).expect_err(what);
            assert_eq!((error.at, error.key.as_str()), (Some((3, 21)), "users[0].peer_users[1]"), "{error}");
            assert!(error.text.contains("name or number of a system user"), "{error}");
        }
        let error = parse(&text("'no-such-user-here'")).unwrap_err();
        assert_eq!((error.at, error.key.as_str()), (Some((3, 21)), "users[0].peer_users[1]"), "{error}");
        assert!(error.text.contains("no system user `no-such-user-here`"), "{error}");
        let error = parse("[[users]]\nname='a'\npeer_groups=['no-such-group-here']\n").unwrap_err();
        assert_eq!((error.at, error.key.as_str()), (Some((3, 14)), "users[0].peer_groups[0]"), "{error}");
    }
}

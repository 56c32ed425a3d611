//! Who may log in: the four users of the page's vectors (section 17).

use super::token;
use chappe_core::router::{Gate, Grant, Rights};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the page's names")]
pub enum User {
    Main,
    Ro,
    Rw,
    Wo,
}

impl User {
    /// All four.
    pub const ALL: [User; 4] = [User::Main, User::Ro, User::Rw, User::Wo];

    /// Name, password, rights.
    pub fn row(self) -> (&'static str, &'static str, Rights) {
        match self {
            User::Main => ("exampleuser", "unsafepassword", Rights::ALL),
            User::Ro => ("rouser", "bar", Rights::READ),
            User::Rw => ("rwuser", "foo", Rights::READ | Rights::WRITE),
            User::Wo => ("wouser", "baz", Rights::WRITE),
        }
    }

    /// The line that logs it in.
    pub fn line(self) -> String {
        let (name, password, _) = self.row();
        format!("OVERHEAD A {}", token(name, password))
    }

    /// Whose token that is.
    pub fn of_token(t: &[u8]) -> Option<User> {
        User::ALL.into_iter().find(|u| token(u.row().0, u.row().1).as_bytes() == t)
    }
}

/// Knows them.
#[derive(Debug, Clone, Copy)]
pub struct Users;

/// A gate for any router.
pub static USERS: Users = Users;

impl Gate for Users {
    fn check(&self, user: &str, token: &[u8]) -> Option<Grant> {
        let rows = User::ALL.map(User::row);
        let (_, _, rights) = *rows.iter().find(|r| r.0 == user && r.1.as_bytes() == token)?;
        Some(Grant { rights, restricted: false, number: 0 })
    }

    fn allows(&self, _: Grant, _: Rights, _: &str) -> bool {
        true
    }
}

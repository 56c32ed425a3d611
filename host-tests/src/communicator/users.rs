//! Who may log in with `REGISTER service=…;password=…`; clients of Clacks as in their own tests.

use chappe_core::router::{Gate, Grant, Rights};

/// Name, password, rights.
pub const ROWS: [(&str, &str, Rights); 2] = [("foo", "secret", Rights::ALL), ("reader", "r;\"", Rights::READ)];

/// Knows them.
#[derive(Debug, Clone, Copy)]
pub struct Users;

/// A gate for any router.
pub static USERS: Users = Users;

/// What that user may do.
pub fn rights_of(user: &str, password: &[u8]) -> Option<Rights> {
    ROWS.iter().find(|r| r.0 == user && r.1.as_bytes() == password).map(|r| r.2)
}

impl Gate for Users {
    fn check(&self, user: &str, token: &[u8]) -> Option<Grant> {
        let rights =
            rights_of(user, token).or_else(|| crate::clacks::users::USERS.check(user, token).map(|g| g.rights));
        Some(Grant { rights: rights?, restricted: false, number: 0 })
    }

    fn allows(&self, _: Grant, _: Rights, _: &str) -> bool {
        true
    }
}

//! The token of `OVERHEAD A` (`wire/clacks.md` section 4.2): Base64 of the user's name, a colon,
//! Base64 of the password.
//!
//! Owns: reading and writing it, and Base64 itself. Does not own who may log in.

use super::emit::Writer;
use crate::dialect::text::PAD;
use crate::limits::{MAX_TOKEN, MAX_USER};
use core::fmt;

/// Who a token says one is.
#[derive(Clone, Default)]
pub struct Credentials {
    user: heapless::Vec<u8, MAX_USER>,
    password: heapless::Vec<u8, MAX_TOKEN>,
}

/// The password is nobody's business.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user()).finish_non_exhaustive()
    }
}

impl Credentials {
    /// From a token in its canonical form: both parts padded, nothing else on the line.
    /// `None`: it is not, or a part is longer than any user's.
    pub fn read(token: &[u8]) -> Option<Self> {
        let mut parts = token.split(|b| *b == b':');
        let (user, password) = (parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let mut c = Credentials::default();
        c.user.resize_default(MAX_USER).ok()?;
        c.password.resize_default(MAX_TOKEN).ok()?;
        let (n, m) = (decode(user, &mut c.user)?, decode(password, &mut c.password)?);
        c.user.truncate(n);
        c.password.truncate(m);
        Some(c)
    }

    /// The user's name. Clients send UTF-8; a name in other octets is nobody's.
    pub fn user(&self) -> Option<&str> {
        core::str::from_utf8(&self.user).ok()
    }

    /// The password.
    pub fn password(&self) -> &[u8] {
        &self.password
    }
}

/// Writes a token.
pub fn write(user: &[u8], password: &[u8], w: &mut Writer<'_>) {
    w.base64(user);
    w.bytes(b":");
    w.base64(password);
}

/// Octets of `size` octets in Base64.
pub const fn encoded_len(size: usize) -> usize {
    size.div_ceil(3).saturating_mul(4)
}

/// Reads canonical Base64 into `out`, and how many octets that are. `None`: there is something
/// in it that no encoder writes, or it does not fit.
pub fn decode(text: &[u8], out: &mut [u8]) -> Option<usize> {
    decode_some(text.iter().copied(), out)
}

/// As [`decode`], of single octets.
pub(super) fn decode_some(text: impl Iterator<Item = u8>, out: &mut [u8]) -> Option<usize> {
    let (mut at, mut bits, mut have, mut pads) = (0, 0u32, 0u32, 0);
    for b in text {
        let digit = match digit(b) {
            Some(digit) if pads == 0 => digit,
            None if b == PAD && have >= 2 => {
                pads += 1;
                0
            }
            _ => return None,
        };
        bits = bits << 6 | digit;
        have += 1;
        if have == 4 {
            let [_, a, b, c] = bits.to_be_bytes();
            // what the padding stands for must be nothing at all
            let (keep, none) = match pads {
                0 => (&[a, b, c][..], 0),
                1 => (&[a, b][..], c),
                _ => (&[a][..], b | c),
            };
            if none != 0 {
                return None;
            }
            out.get_mut(at..at + keep.len())?.copy_from_slice(keep);
            at += keep.len();
            (bits, have) = (0, 0);
        }
    }
    (have == 0).then_some(at)
}

const fn digit(b: u8) -> Option<u32> {
    Some(match b {
        b'A'..=b'Z' => b - b'A',
        b'a'..=b'z' => b - b'a' + 26,
        b'0'..=b'9' => b - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    } as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(user: &[u8], password: &[u8]) -> heapless::Vec<u8, 300> {
        let mut out = [0; 300];
        let mut w = Writer::new(&mut out);
        write(user, password, &mut w);
        let n = w.finish().unwrap();
        heapless::Vec::from_slice(&out[..n]).unwrap()
    }

    #[test]
    fn the_tokens_of_the_page() {
        for (user, password, want) in [
            ("exampleuser", "unsafepassword", "ZXhhbXBsZXVzZXI=:dW5zYWZlcGFzc3dvcmQ="),
            ("exampleuser", "wrong", "ZXhhbXBsZXVzZXI=:d3Jvbmc="),
            ("nobody", "nope", "bm9ib2R5:bm9wZQ=="),
        ] {
            assert_eq!(token(user.as_bytes(), password.as_bytes()), want.as_bytes());
            let c = Credentials::read(want.as_bytes()).unwrap();
            assert_eq!((c.user(), c.password()), (Some(user), password.as_bytes()));
        }
    }

    #[test]
    fn any_octets_of_any_length_come_back() {
        let bytes: [u8; MAX_TOKEN] = core::array::from_fn(|i| (i * 37 + 11) as u8);
        for n in 0..=MAX_TOKEN {
            let user = &bytes[..n.min(MAX_USER)];
            let t = token(user, &bytes[..n]);
            assert_eq!(t.len(), encoded_len(user.len()) + 1 + encoded_len(n));
            let c = Credentials::read(&t).unwrap();
            assert_eq!((&c.user[..], c.password()), (user, &bytes[..n]));
            // each octet less or more is another token, or none
            for cut in 0..t.len() {
                let other = Credentials::read(&t[..cut]);
                assert!(other.is_none_or(|o| (&o.user, o.password()) != (&c.user, c.password())));
            }
        }
        assert!(Credentials::read(&token(&bytes[..MAX_USER + 1], b"")).is_none(), "too long for a user");
        let mut long = [b'A'; 4 * MAX_TOKEN];
        long[0] = b':';
        assert!(Credentials::read(&long[..1 + encoded_len(MAX_TOKEN) + 4]).is_none(), "too long for a password");
    }

    #[test]
    fn only_the_canonical_form() {
        assert!(Credentials::read(b"YQ==:Yg==").is_some());
        assert_eq!(Credentials::read(b":").unwrap().user(), Some(""));
        for bad in [
            &b""[..],
            b"YQ==",
            b"YQ:Yg==",
            b"YQ=:Yg==",
            b"YQ===:Yg==",
            b"YQ==:Yg==:",
            b"YQ==:Yg== ",
            b" YQ==:Yg==",
            b"YR==:Yg==",
            b"YWF=:Yg==",
            b"YQ==YQ==:Yg==",
            b"Y===:Yg==",
            b"====:Yg==",
            b"Y=Q=:Yg==",
            b"Y-__:Yg==",
            b"YQ=\0:Yg==",
            b"YQ=\xff:Yg==",
        ] {
            assert!(Credentials::read(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_name_in_other_octets_is_nobodys() {
        let c = Credentials::read(&token(b"Andr\xe9", b"x")).unwrap();
        assert_eq!(c.user(), None);
    }

    #[test]
    fn nobody_is_shown_a_password() {
        extern crate std;
        let c = Credentials::read(b"YQ==:c2VjcmV0").unwrap();
        assert_eq!(c.password(), b"secret");
        let shown = std::format!("{c:?}");
        assert!(!shown.contains("115") && !shown.contains("secret"), "{shown}");
    }
}

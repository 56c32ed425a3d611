//! What of a message can be shown: no secrets, and no more than fits into a frame.
//!
//! Owns: how a secret is recognised, and what is left out first. Both are seen in what is shown.
//!
//! A secret is whatever is called one: a parameter, a value, or something in a body behind `=` or
//! `:`, whose name ends in one of [`SECRETS`], in capitals or not.

use crate::dialect::{Here, Wording};
use crate::limits::MAX_PARAMS;
use crate::model::{Encoding, Params, Seen, ServerToClient};

/// How names of secrets end.
pub(super) const SECRETS: &[&str] = &["password", "passwd", "passphrase", "secret", "secret_code", "token"];

/// What is shown in the place of a parameter that is secret.
const STARS: &str = "***";

/// Most octets of the fields that cutting adds.
const MARKS: usize = 24;

/// Whether something of this name is a secret.
fn is_secret(name: &[u8]) -> bool {
    SECRETS.iter().any(|secret| {
        let at = name.len().checked_sub(secret.len());
        at.and_then(|at| name.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(secret.as_bytes()))
    })
}

/// Whether a body names a secret and says what it is.
fn has_secret(body: &[u8]) -> bool {
    let is_mark = |b: &u8| matches!(b, b'=' | b':');
    let mut at = 0;
    while let Some(mark) = body.get(at..).and_then(|rest| rest.iter().position(is_mark)) {
        let mut name = body.get(..at + mark).unwrap_or_default();
        // `"password" :`, and the same inside a string
        while let [rest @ .., b'"' | b'\'' | b'\\' | b' ' | b'\t'] = name {
            name = rest;
        }
        if is_secret(name) {
            return true;
        }
        at += mark + 1;
    }
    false
}

/// Parameters of which some are hidden.
pub(super) struct Hidden<'f>(heapless::Vec<(&'f str, &'f str), MAX_PARAMS>);

impl<'f> Hidden<'f> {
    pub(super) const fn new() -> Self {
        Hidden(heapless::Vec::new())
    }

    /// The same without its secrets. Of the body no more than `longest` octets will be shown.
    pub(super) fn hide<'h>(&'h mut self, seen: &Seen<'f>, longest: usize) -> Seen<'h> {
        let mut shown: Seen<'_> = *seen;
        let body = seen.body.get(..longest).unwrap_or(seen.body);
        if !body.is_empty() && (is_secret(seen.name.as_bytes()) || has_secret(body)) {
            (shown.body, shown.encoding) = (&[], Encoding::None);
            (shown.size, shown.hidden) = (seen.body.len() as u64, true);
        }
        if seen.params.iter().any(|(key, _)| is_secret(key.as_bytes())) {
            for (key, value) in &seen.params {
                let value = if is_secret(key.as_bytes()) { STARS } else { value };
                // there are never more of them
                let _ = self.0.push((key, value));
            }
            (shown.params, shown.hidden) = (Params::Listed(&self.0), true);
        }
        // what callees and clients of other dialects say for people
        if has_secret(seen.text.as_bytes()) {
            (shown.text, shown.hidden) = ("", true);
        }
        shown
    }
}

/// Writes it as a frame of at most `longest` octets. What is too long is cut: the body's end, then
/// all parameters and the text. `None`: not even the rest fits.
pub(super) fn frame(
    wording: Wording,
    here: Here<'_>,
    seen: &Seen<'_>,
    longest: usize,
    out: &mut [u8],
) -> Option<usize> {
    let out = out.get_mut(..longest).unwrap_or_default();
    let mut say = |seen: &Seen<'_>| wording.say(here, &ServerToClient::Seen(*seen), out);
    if let Some(len) = say(seen) {
        return Some(len);
    }
    let size = if seen.hidden { seen.size } else { seen.body.len() as u64 };
    let mut bare = Seen { body: &[], cut: true, size, ..*seen };
    let mut len = say(&bare);
    if len.is_none_or(|len| len + MARKS > longest) {
        (bare.params, bare.text) = (Params::default(), "");
        len = say(&bare);
    }
    let room = longest.saturating_sub(len? + MARKS);
    say(&Seen { body: beginning(seen.body, seen.encoding, room), ..bare })
}

/// The first octets of a body: of a text, whole characters.
fn beginning(body: &[u8], encoding: Encoding, room: usize) -> &[u8] {
    let mut part = body.get(..room).unwrap_or(body);
    if matches!(encoding, Encoding::Text | Encoding::Json)
        && let Err(why) = core::str::from_utf8(part)
        && why.error_len().is_none()
    {
        part = part.get(..why.valid_up_to()).unwrap_or_default();
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names() {
        for name in ["password", "db_PassWord", "secret_code", "users/anna/token", "Passwd", "api-secret"] {
            assert!(is_secret(name.as_bytes()), "{name}");
        }
        for name in ["", "pass", "passwords", "tokens", "secret_codes", "word"] {
            assert!(!is_secret(name.as_bytes()), "{name}");
        }
        for body in [
            r#"{"command":["auth",{"password":"x"}]}"#,
            r#"{"a": {"Secret_Code" : 5}}"#,
            r#"{"text":"{\"password\":\"x\"}"}"#,
            "a=b;password=x",
            "token: abc",
        ] {
            assert!(has_secret(body.as_bytes()), "{body}");
        }
        for body in ["", "=", ":", "the password is on the wall", r#"{"passwords":3}"#, "a=token"] {
            assert!(!has_secret(body.as_bytes()), "{body}");
        }
    }

    #[test]
    fn what_is_secret_is_left_out_and_that_is_seen() {
        let pairs = [("user", "anna"), ("password", "sesame")];
        let seen = Seen { params: Params::Listed(&pairs), body: b"secret=1", ..Seen::default() };
        let mut hidden = Hidden::new();
        let shown = hidden.hide(&seen, 1000);
        assert!(shown.hidden && shown.body.is_empty() && shown.size == 8);
        assert_eq!((shown.params.get("user"), shown.params.get("password")), (Some("anna"), Some("***")));
        let mut hidden = Hidden::new();
        let plain = Seen { body: b"a=1", name: "x", ..Seen::default() };
        assert_eq!(hidden.hide(&plain, 1000), plain);
        let mut hidden = Hidden::new();
        assert!(hidden.hide(&Seen { name: "x/password", ..plain }, 1000).body.is_empty());
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters() {
        let text = "äöü".repeat_n::<100>();
        let seen = Seen { name: "n", body: &text, encoding: Encoding::Text, ..Seen::default() };
        let here = Here::of(0, "n");
        for longest in 64..700 {
            let mut out = [0xa5; 700];
            let len = frame(Wording::USUAL, here, &seen, longest, &mut out).unwrap();
            assert!(len <= longest && out[longest..].iter().all(|b| *b == 0xa5));
            let ServerToClient::Seen(got) = ServerToClient::read(&out[4..len]).unwrap().0 else { panic!() };
            assert!(core::str::from_utf8(got.body).is_ok() && text.starts_with(got.body));
            assert_eq!(got.cut, got.body.len() < text.len());
            assert_eq!(got.size, if got.cut { 600 } else { 0 });
        }
        let long = core::str::from_utf8(&text).unwrap();
        let pairs = [("k", long)];
        let seen = Seen { name: "n", params: Params::Listed(&pairs), text: long, body: b"b", ..Seen::default() };
        let mut out = [0; 400];
        let len = frame(Wording::USUAL, here, &seen, 400, &mut out).unwrap();
        let ServerToClient::Seen(got) = ServerToClient::read(&out[4..len]).unwrap().0 else { panic!() };
        assert_eq!((got.cut, got.params.count(), got.text, got.body), (true, 0, "", &b"b"[..]));
    }

    trait RepeatN {
        fn repeat_n<const N: usize>(&self) -> [u8; 600];
    }
    impl RepeatN for str {
        fn repeat_n<const N: usize>(&self) -> [u8; 600] {
            core::array::from_fn(|i| self.as_bytes()[i % self.len()])
        }
    }
}

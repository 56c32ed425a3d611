//! Values that no line can hold, and keys with blanks, as the cache front end of the original
//! writes them (section 15.5).
//!
//! Owns: its markers and its keys. This is the only place where anything is encoded: all other
//! calls send what they are given, or refuse it.
//!
//! | value | on the wire |
//! |---|---|
//! | without CR and LF | itself |
//! | with CR or LF, or that begins like a marker | `PAGECAMELCLACKSB64:` and Base64 |
//! | a structure of a Perl program | `PAGECAMELCLACKSYAMLB64: ` and Base64 of YAML: read only |
//!
//! The original refuses values that begin like a marker; in Base64 it reads them as they are.

use std::borrow::Cow;

use chappe_core::dialect::clacks::emit::Writer;
use chappe_core::dialect::clacks::frame::has_line_end;
use chappe_core::dialect::clacks::token;
use chappe_core::dialect::clacks::translate::MARKER;

use super::session::Step;
use super::{Error, Session};

/// Begins a value that is YAML.
const YAML: &[u8] = b"PAGECAMELCLACKSYAMLB64:";

/// What every blank and `=` of a key becomes.
const SPACE: &[u8] = b"___";

/// A value that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text or other octets.
    Plain(Vec<u8>),
    /// A structure, as the text of its YAML document, which is not looked at. Beware of
    /// loading YAML from others without limits.
    Yaml(Vec<u8>),
}

impl Value {
    /// The octets, whichever they are.
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Value::Plain(bytes) | Value::Yaml(bytes) => bytes,
        }
    }
}

/// A key as the front end writes it. Different keys may become one.
pub fn key(key: &[u8]) -> Cow<'_, [u8]> {
    if !key.iter().any(|b| matches!(b, b' ' | b'=')) {
        return Cow::Borrowed(key);
    }
    let mut out = Vec::with_capacity(key.len() + 8);
    for b in key {
        match b {
            b' ' | b'=' => out.extend_from_slice(SPACE),
            b => out.push(*b),
        }
    }
    Cow::Owned(out)
}

/// A value as the front end writes it: any octets.
pub fn encode(value: &[u8]) -> Cow<'_, [u8]> {
    // the original looks at the word, with or without its colon
    let word = MARKER.strip_suffix(b":").unwrap_or(MARKER);
    if !has_line_end(value) && !value.starts_with(word) && !value.starts_with(YAML) {
        return Cow::Borrowed(value);
    }
    let mut out = vec![0; MARKER.len() + token::encoded_len(value.len())];
    let mut w = Writer::new(&mut out);
    w.bytes(MARKER);
    w.base64(value);
    Cow::Owned(out)
}

/// A value as the front end reads it. What stands behind a marker and is no Base64 is itself.
pub fn decode(value: &[u8]) -> Value {
    let base64 = |text: &[u8]| {
        let text: Vec<u8> = text.iter().copied().filter(|b| *b != b' ').collect();
        let mut out = vec![0; text.len() / 4 * 3];
        let size = token::decode(&text, &mut out)?;
        out.truncate(size);
        Some(out)
    };
    let plain = || value.strip_prefix(MARKER).and_then(base64).map(Value::Plain);
    let yaml = || value.strip_prefix(YAML).and_then(base64).map(Value::Yaml);
    plain().or_else(yaml).unwrap_or_else(|| Value::Plain(value.to_owned()))
}

/// A session's calls with keys and values of the cache front end.
///
/// The front end also says `NOPING` and calls itself `<application>/<version>`: see
/// [`Options::ping`](super::Options::ping) and [`Options::name`](super::Options::name).
#[derive(Debug)]
pub struct Cache<'s> {
    session: &'s mut Session,
}

impl<'s> Cache<'s> {
    pub(super) fn of(session: &'s mut Session) -> Self {
        Cache { session }
    }

    /// See [`Session::retrieve`].
    pub fn get(&mut self, name: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        Ok(self.session.retrieve(key(name.as_ref()))?.map(|value| decode(&value)))
    }

    /// See [`Session::store`].
    pub fn set(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), Error> {
        self.session.store(key(name.as_ref()), encode(value.as_ref()))
    }

    /// See [`Session::remove`].
    pub fn delete(&mut self, name: impl AsRef<[u8]>) -> Result<(), Error> {
        self.session.remove(key(name.as_ref()))
    }

    /// See [`Session::increment`].
    pub fn increment(&mut self, name: impl AsRef<[u8]>, by: impl Into<Step>) -> Result<(), Error> {
        self.session.increment(key(name.as_ref()), by)
    }

    /// See [`Session::decrement`].
    pub fn decrement(&mut self, name: impl AsRef<[u8]>, by: impl Into<Step>) -> Result<(), Error> {
        self.session.decrement(key(name.as_ref()), by)
    }

    /// See [`Session::keys`]: as they are written.
    pub fn keys(&mut self) -> Result<Vec<Vec<u8>>, Error> {
        self.session.keys()
    }

    /// See [`Session::set`].
    pub fn signal(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool, Error> {
        self.session.set(key(name.as_ref()), encode(value.as_ref()))
    }

    /// See [`Session::set_and_store`].
    pub fn signal_and_set(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), Error> {
        self.session.set_and_store(key(name.as_ref()), encode(value.as_ref()))
    }

    /// See [`Session::notify`].
    pub fn notify(&mut self, name: impl AsRef<[u8]>) -> Result<(), Error> {
        self.session.notify(key(name.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_page() {
        assert_eq!(&*encode(b"line1\nline2"), b"PAGECAMELCLACKSB64:bGluZTEKbGluZTI=");
        for plain in [&b""[..], b"text", b" a = b ", b"\xff\0", b"PAGECAMEL"] {
            assert!(matches!(encode(plain), Cow::Borrowed(same) if same == plain));
        }
        for value in [
            &b""[..],
            b"a",
            b"\r",
            b"\n\n",
            b"a\r\nb",
            b"PAGECAMELCLACKSB64",
            b"PAGECAMELCLACKSB64:YQ==",
            b"PAGECAMELCLACKSYAMLB64: LS0t",
            b"\xff\n\0",
        ] {
            let written = encode(value);
            assert!(!has_line_end(&written));
            assert_eq!(decode(&written), Value::Plain(value.to_vec()), "{value:?}");
        }
    }

    #[test]
    fn what_others_wrote() {
        // with and without the blank, and with blanks in between
        for text in ["PAGECAMELCLACKSYAMLB64: LS0tCmE6IDEK", "PAGECAMELCLACKSYAMLB64:LS0tCmE6IDEK"] {
            let value = decode(text.as_bytes());
            assert_eq!(value, Value::Yaml(b"---\na: 1\n".to_vec()));
            assert_eq!(value.into_bytes(), b"---\na: 1\n");
        }
        assert_eq!(decode(b"PAGECAMELCLACKSB64: bGlu ZTEK "), Value::Plain(b"line1\n".to_vec()));
        for odd in
            ["PAGECAMELCLACKSB64:b", "PAGECAMELCLACKSB64:b@==", "PAGECAMELCLACKSYAMLB64: =", "PAGECAMELCLACKSB64"]
        {
            assert_eq!(decode(odd.as_bytes()), Value::Plain(odd.into()));
        }
    }

    #[test]
    fn keys_of_the_page() {
        for (given, written) in [("a b=c", "a___b___c"), ("a", "a"), (" ", "___"), ("=x", "___x"), ("a\tb", "a\tb")] {
            assert_eq!(&*key(given.as_bytes()), written.as_bytes());
        }
    }
}

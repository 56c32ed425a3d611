//! Messages in datagrams, `cdu:` (`wire/communicator.md` sections 1.8 and 5.5).
//!
//! Owns: how long one may be, the secret code, and which commands are refused when they come
//! like this. Nothing is answered over UDP: there is nobody to answer to. Does not own sockets.

use super::command::Command;
use super::repr::{Fault, Message};
use super::{emit, parse};
use crate::dialect::communicator::text::Text;

/// Octets of the longest datagram.
pub const MAX_DATAGRAM: usize = 1024;

/// The parameter that the secret is sent in. It is not for anybody behind the one who checks
/// it: what is handed on has to go [without](emit::Edit::without) it (weak point W25).
pub const SECRET: &str = "secret_code";

/// Why a datagram is thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Dropped {
    /// It has more than [`MAX_DATAGRAM`] octets. The original cuts it there, which is another
    /// message than was sent.
    TooLong,
    /// It is no message.
    Fault(Fault),
    /// The secret is missing or wrong.
    Secret,
    /// A command that is for streams only.
    StreamOnly,
}

impl Dropped {
    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Dropped::TooLong => "a datagram of more than 1024 octets",
            Dropped::Fault(fault) => fault.text(),
            Dropped::Secret => "a datagram without the right secret",
            Dropped::StreamOnly => "a command that is not taken in datagrams",
        }
    }
}

/// What a datagram says, if that is to be acted upon; see [`check`].
///
/// # Errors
///
/// Only this one is dropped; others that wait have nothing to do with it.
pub fn message<'f>(datagram: &'f [u8], secret: &[u8], spare: &'f mut [u8]) -> Result<Message<'f>, Dropped> {
    if datagram.len() > MAX_DATAGRAM {
        return Err(Dropped::TooLong);
    }
    let m = parse::message(datagram, spare).map_err(Dropped::Fault)?;
    check(&m, datagram.len(), secret).map(|()| m)
}

/// Whether a message that came in a datagram of that many octets is to be acted upon. `secret`:
/// what it must bring along; empty if anything goes.
///
/// # Errors
///
/// It is not.
pub fn check(m: &Message<'_>, size: usize, secret: &[u8]) -> Result<(), Dropped> {
    if size > MAX_DATAGRAM {
        return Err(Dropped::TooLong);
    }
    if !is_right(m.get(SECRET), secret) {
        return Err(Dropped::Secret);
    }
    if Command::of(m.command).is_some_and(Command::is_stream_only) {
        return Err(Dropped::StreamOnly);
    }
    Ok(())
}

/// Whether a secret is the right one, or none is wanted. How long that takes says nothing
/// about how much of it was right.
pub fn is_right(given: Option<Text<'_>>, wanted: &[u8]) -> bool {
    if wanted.is_empty() {
        return true;
    }
    let Some(given) = given else { return false };
    let mut octets = given.octets();
    let mut odd = 0u8;
    for b in wanted {
        match octets.next() {
            Some(g) => odd |= b ^ g,
            None => odd |= 1,
        }
    }
    odd == 0 && octets.next().is_none()
}

/// A message with the secret, as a datagram.
pub fn datagram(m: &Message<'_>, secret: &[u8], out: &mut [u8]) -> Result<usize, emit::Unsaid> {
    let set = [(Text::from(SECRET), Text::Plain(secret))];
    let set = if secret.is_empty() { &[][..] } else { &set[..] };
    emit::datagram(m, emit::Edit { set, without: &[] }, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says<'f>(datagram: &'f [u8], secret: &[u8]) -> Result<&'f [u8], Dropped> {
        message(datagram, secret, &mut []).map(|m| m.command)
    }

    #[test]
    fn the_secret_is_asked_for_if_there_is_one() {
        for (datagram, secret, want) in [
            (&b"./LOG_ROTATE"[..], &b""[..], Ok(&b"LOG_ROTATE"[..])),
            (b"./LOG_ROTATE secret_code=any", b"", Ok(b"LOG_ROTATE")),
            (b"./LOG_ROTATE secret_code=s3;a=1\n", b"s3", Ok(b"LOG_ROTATE")),
            (b"./LOG_ROTATE secret_code=\"a;b\"", b"a;b", Ok(b"LOG_ROTATE")),
            (b"./LOG_ROTATE secret_code=x;secret_code=s3", b"s3", Ok(b"LOG_ROTATE")),
            (b"./LOG_ROTATE", b"s3", Err(Dropped::Secret)),
            (b"./LOG_ROTATE secret_code=", b"s3", Err(Dropped::Secret)),
            (b"./LOG_ROTATE secret_code=s", b"s3", Err(Dropped::Secret)),
            (b"./LOG_ROTATE secret_code=s33", b"s3", Err(Dropped::Secret)),
            (b"./LOG_ROTATE secret_code=S3", b"s3", Err(Dropped::Secret)),
            (b"{\"command\":\"STOP\",\"parameters\":{\"secret_code\":\"s3\"}}", b"s3", Ok(b"STOP")),
        ] {
            assert_eq!(says(datagram, secret), want, "{datagram:?}");
        }
    }

    #[test]
    fn dropped_with_a_reason() {
        assert_eq!(says(b"REGISTER service=x;version=1", b""), Err(Dropped::StreamOnly));
        assert_eq!(says(b" ", b""), Err(Dropped::Fault(Fault::Blank)));
        let mut long = [b'X'; MAX_DATAGRAM + 1];
        assert_eq!(says(&long, b""), Err(Dropped::TooLong));
        long[MAX_DATAGRAM] = b'\n';
        assert_eq!(says(&long, b""), Err(Dropped::TooLong));
        assert!(says(&long[..MAX_DATAGRAM], b"").is_ok());
    }

    #[test]
    fn what_a_sender_writes_a_receiver_takes() {
        let m = parse::message(b"<host:ed_signal ./LOG_ROTATE", &mut []).unwrap();
        let mut out = [0; MAX_DATAGRAM];
        let n = datagram(&m, b"a;b", &mut out).unwrap();
        assert_eq!(&out[..n], br#"<host:ed_signal ./LOG_ROTATE secret_code="a;b""#);
        assert_eq!(says(&out[..n], b"a;b"), Ok(&b"LOG_ROTATE"[..]));
        let n = datagram(&m, b"", &mut out).unwrap();
        assert_eq!(&out[..n], b"<host:ed_signal ./LOG_ROTATE");
    }
}

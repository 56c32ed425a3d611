//! One connection of the native dialect, as the node sees it.
//!
//! Owns: which frame types mean what. Whether a station has said hello, and what it may do,
//! is the router's: that is the same in every dialect.
//!
//! | frame | any state |
//! |---|---|
//! | type 1 | parsed as `ClientToServer` |
//! | type 3 (ping), any payload | answered by a pong |
//! | type 2 in the old framing, no payload | generation A's ping: from here on its numbers |
//! | header beyond the limit | stepped over and answered by `TOO_BIG`; hopeless if it cannot be |
//! | any other type | refused; the stream goes on behind it |

use super::frame::{Finder, Framing, Hopeless};
use super::repr::{ClientToServer, Code};
use super::wire::{MAX_PAYLOAD, Malformed, kind};
use crate::dialect::{Cut, Refusal, Said};
use crate::model::Raw;

/// What is remembered between two calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Session {
    finder: Finder,
    kind: u8,
}

impl Session {
    pub(crate) const fn new() -> Self {
        Session { finder: Finder::new(), kind: 0 }
    }

    pub(crate) const fn framing(&self) -> Framing {
        self.finder.framing()
    }

    pub(crate) const fn is_inside(&self) -> bool {
        self.finder.is_inside()
    }

    #[inline]
    pub(crate) fn cut(&mut self, input: &mut &[u8], limit: usize) -> Result<Cut, Refusal> {
        match self.finder.header(input, limit) {
            Ok(None) => Ok(Cut::More),
            Ok(Some(h)) => {
                self.kind = h.kind;
                Ok(Cut::Frame { size: h.size })
            }
            Err(Hopeless::TooBig { announced }) if announced as usize <= MAX_PAYLOAD + self.framing().header() => {
                Ok(Cut::Skip { size: announced as usize - self.framing().header() })
            }
            Err(Hopeless::TooBig { .. }) => {
                Err(Refusal { code: Code::TooBig, text: "a frame of 16 MiB or more", fatal: true })
            }
            Err(Hopeless::Header) => Err(Refusal {
                code: Code::BadRequest,
                text: "neither of Messi's headers: is this the right port and protocol?",
                fatal: true,
            }),
        }
    }

    #[inline]
    pub(crate) fn used_up(&mut self) {
        self.finder.next();
    }

    #[inline]
    pub(crate) fn understand<'f>(&mut self, frame: &'f [u8], said: &mut Said<'f>) -> Result<(), Refusal> {
        match self.kind {
            kind::CLIENT_TO_SERVER => {
                *said = Said::Model(ClientToServer::Nothing, Raw::None);
                if let Said::Model(message, raw) = said {
                    let (bytes, plain) = message.fill(frame).map_err(refusal)?;
                    *raw = if plain { Raw::Messi(bytes) } else { Raw::None };
                }
            }
            kind::PING => *said = Said::Ping(frame),
            kind::PING_A if self.framing() != Framing::Today && frame.is_empty() => {
                self.finder.is_oldest();
                *said = Said::Ping(frame);
            }
            other => return Err(refusal(Malformed::FrameType(other))),
        }
        Ok(())
    }
}

fn refusal(why: Malformed) -> Refusal {
    Refusal { code: Code::BadRequest, text: why.text(), fatal: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one<'f>(bytes: &'f [u8]) -> (Session, Result<Said<'f>, Refusal>) {
        let mut s = Session::new();
        let mut input = bytes;
        let Ok(Cut::Frame { size }) = s.cut(&mut input, 1000) else { panic!("no frame") };
        assert_eq!(size, input.len());
        let mut said = Said::Nothing;
        let done = s.understand(input, &mut said);
        (s, done.map(|()| said))
    }

    #[test]
    fn types_as_the_table_says() {
        assert_eq!(one(&[3, 0, 0, 0]).1, Ok(Said::Ping(&[])));
        assert_eq!(one(&[3, 0, 0, 1, 9]).1, Ok(Said::Ping(&[9])), "vector 41: a ping with payload");
        assert_eq!(one(&[1, 0, 0, 0]).1, Ok(Said::Model(ClientToServer::Nothing, Raw::Messi(&[]))));
        for t in [0u8, 2, 4, 5, 255] {
            if t != 0 {
                assert!(!one(&[t, 0, 0, 0]).1.unwrap_err().fatal, "{t}");
            }
        }
        let (s, said) = one(&[0, 0, 0, 2, 0, 0, 0, 0]);
        assert_eq!((s.framing(), said), (Framing::Oldest, Ok(Said::Ping(&[]))));
        let (s, said) = one(&[0, 0, 0, 3, 0, 0, 0, 0]);
        assert_eq!((s.framing(), said), (Framing::Old, Ok(Said::Ping(&[]))));
    }

    #[test]
    fn too_big_can_be_stepped_over_if_the_size_is_believable() {
        let mut s = Session::new();
        assert_eq!(s.cut(&mut &[1, 0, 0x10, 0][..], 1000), Ok(Cut::Skip { size: 4096 }));
        let mut s = Session::new();
        assert!(s.cut(&mut &[0, 0, 0, 1, 1, 0, 0, 0][..], 1000).unwrap_err().fatal);
    }
}

//! What is said to those who are not let in: whole frames, made once.
//!
//! A connection that is refused has said nothing yet, so they are in today's framing of the
//! native dialect, or lines of Clacks, of which the first has to be the greeting or its clients
//! would not read on, or a line of the Communicator that its clients log; in MSGQ there are no
//! words for it.

use std::sync::OnceLock;

use chappe_core::dialect::Dialect;

use chappe_core::dialect::messi::frame::Framing;
use chappe_core::dialect::messi::repr::{Closing, Code, ServerToClient};
use chappe_core::dialect::messi::wire::{Writer, kind};

/// There is no place for another station.
pub(super) fn full(dialect: Dialect) -> &'static [u8] {
    static FRAME: OnceLock<Vec<u8>> = OnceLock::new();
    match dialect {
        Dialect::Messi => {
            FRAME.get_or_init(|| closing(Code::Full, "the node has no place for another station; try again later"))
        }
        Dialect::Clacks => {
            b"CLACKS PageCamel 36\r\nOVERHEAD E full the node has no place for another station; try again later\r\n\r\nQUIT\r\n"
        }
        Dialect::Communicator => b"INVALID message=\"the node has no place for another station; try again later\"\n",
        _ => &[],
    }
}

/// The daemon has no descriptor for it.
pub(super) fn out_of_descriptors(dialect: Dialect) -> &'static [u8] {
    static FRAME: OnceLock<Vec<u8>> = OnceLock::new();
    match dialect {
        Dialect::Messi => FRAME.get_or_init(|| {
            closing(Code::Full, "the node has no file descriptor for another station; try again later")
        }),
        Dialect::Clacks => {
            b"CLACKS PageCamel 36\r\nOVERHEAD E full the node has no file descriptor for another station; try again later\r\n\r\nQUIT\r\n"
        }
        Dialect::Communicator => {
            b"INVALID message=\"the node has no file descriptor for another station; try again later\"\n"
        }
        _ => &[],
    }
}

/// The listener speaks TLS and the peer does not.
pub(super) fn wants_tls(dialect: Dialect) -> &'static [u8] {
    static FRAME: OnceLock<Vec<u8>> = OnceLock::new();
    match dialect {
        Dialect::Messi => {
            FRAME.get_or_init(|| closing(Code::BadRequest, "this listener speaks TLS: write tls:// for it"))
        }
        Dialect::Clacks => {
            b"CLACKS PageCamel 36\r\nOVERHEAD E bad_request this listener speaks TLS: write clackss:// for it\r\n\r\nQUIT\r\n"
        }
        Dialect::Communicator => b"INVALID message=this listener speaks TLS: write cds:// for it\n",
        _ => &[],
    }
}

fn closing(code: Code, text: &str) -> Vec<u8> {
    let message = ServerToClient::Closing(Closing { code, text });
    let (head, size) = (Framing::Today.header(), message.len());
    let mut frame = vec![0; head + size];
    Framing::Today.write_header(kind::SERVER_TO_CLIENT, size, &mut frame[..head]);
    message.write(&mut Writer::new(&mut frame[head..]));
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use chappe_core::dialect::clacks::GREETING;

    #[test]
    fn refusals_are_frames_that_clients_understand() {
        assert!(full(Dialect::Msgq).is_empty() && out_of_descriptors(Dialect::Msgq).is_empty());
        for lines in [full(Dialect::Clacks), out_of_descriptors(Dialect::Clacks), wants_tls(Dialect::Clacks)] {
            assert!(
                lines.starts_with(format!("CLACKS {GREETING}\r\n").as_bytes()) && lines.ends_with(b"\r\n\r\nQUIT\r\n")
            );
        }
        let it = Dialect::Communicator;
        for line in [full(it), out_of_descriptors(it), wants_tls(it)] {
            let message = chappe_core::dialect::communicator::parse::message(line, &mut []).unwrap();
            assert!(message.command == b"INVALID" && message.get("message").is_some());
            assert_eq!(line.iter().position(|b| *b == b'\n'), Some(line.len() - 1));
        }
        for frame in [full(Dialect::Messi), out_of_descriptors(Dialect::Messi)] {
            assert_eq!(frame[0], kind::SERVER_TO_CLIENT);
            assert_eq!(usize::from(frame[3]), frame.len() - 4);
            let (message, _) = ServerToClient::read(&frame[4..]).unwrap();
            let ServerToClient::Closing(Closing { code, text }) = message else { panic!("{message:?}") };
            assert_eq!(code, Code::Full);
            assert!(text.contains("try again later"));
        }
    }
}

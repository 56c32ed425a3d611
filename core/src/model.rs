//! What stations and a node say to each other, whatever the dialect.
//!
//! The native dialect carries the whole model, so its messages *are* the model: a dialect's
//! `translate.rs` turns what it hears into a [`ClientToServer`] and a [`ServerToClient`] into
//! what it says. Owns: that choice of names, and [`Raw`]. `core/proto/chappe.proto` documents
//! every field.

pub use crate::dialect::messi::repr::{
    Answer, Change, ClientToServer, Closing, Code, Declare, Encoding, Flag, FlagChange, Goodbye, Hello, Item, Join,
    Leave, Letter, List, Message, Outcome, Params, Presence, ServerToClient, Store, StoreOp, Value, Watch, Welcome,
    What,
};
#[cfg(feature = "sniff")]
pub use crate::dialect::messi::repr::{Monitor, Seen, Sight};

/// A letter's or answer's own bytes, as its sender's dialect had them. A recipient of the
/// same dialect gets these, so that nothing is lost that only this dialect knows.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub enum Raw<'f> {
    /// Made here, or of a dialect that has no such bytes.
    #[default]
    None,
    /// The encoded `Letter` or `Answer` of the native dialect.
    Messi(&'f [u8]),
    /// A whole frame of MSGQ behind its two lengths: header, then body.
    #[cfg(feature = "msgq")]
    Msgq {
        /// Header and body.
        frame: &'f [u8],
        /// Octets of the header: valid JSON, one object, checked.
        header: u16,
        /// It has `\\u` escapes, which not every recipient can read: it is written anew.
        escaped: bool,
    },
    /// A line of Clacks that says the letter, without its end.
    #[cfg(feature = "clacks")]
    Clacks(&'f [u8]),
    /// A message of the Communicator, and who it is from.
    #[cfg(feature = "communicator")]
    Communicator(&'f crate::dialect::communicator::words::Heard<'f>),
}

impl<'f> Raw<'f> {
    /// What answers to it need of it: its header, where answers repeat that.
    #[cfg(feature = "msgq")]
    pub(crate) fn echo(self) -> &'f [u8] {
        match self {
            Raw::Msgq { frame, header, .. } => frame.get(..header as usize).unwrap_or_default(),
            _ => &[],
        }
    }
}

/// Writes a letter as mail keeps it, and as [`Raw::Messi`] has it. `None`: it does not fit.
pub(crate) fn encode_letter(letter: &Letter<'_>, out: &mut [u8]) -> Option<usize> {
    let mut w = crate::dialect::messi::wire::Writer::new(out);
    letter.write(&mut w);
    w.finish()
}

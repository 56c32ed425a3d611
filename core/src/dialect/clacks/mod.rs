//! The dialect of Net::Clacks (`wire/clacks.md`): lines of a word and its parts, on any octets
//! but CR and LF.
//!
//! | file | owns |
//! |---|---|
//! | `frame.rs` | where a line ends, and which octets of it mean nothing |
//! | `repr.rs` | every line in both directions, who may send it, what crosses a link |
//! | `parse.rs` | a line to what it says |
//! | `emit.rs` | what is said, to a line |
//! | `overhead.rs` | flags, what they want done, what may be forwarded |
//! | `token.rs` | user and password in a line; Base64 |
//! | `number.rs` | counting as Perl does |
//! | `time.rs` | points in time, and clocks that differ |
//! | `name.rs` | names here, which are any octets, and names of the bus |
//! | `translate.rs` | signals, values and verbs of this dialect, letters and answers of the model |
//!
//! Not supported, on purpose:
//!
//! * Names and keys of more than 128 octets on the bus, and lines without limit: everything
//!   here has one.
//! * Versions before 10 (UDP, no users, TLS on Unix sockets), and links with versions before
//!   22, whose `KEYSYNC` has no access time: it is an unknown command, as in the original.
//! * Overheads that receivers would obey are not forwarded (weak point 2), nor are denied
//!   commands (1) and tokens shown (4).
//! * Structures behind `PAGECAMELCLACKSYAMLB64:` are text like any other; only plain Base64
//!   is read for other dialects.
//! * A key with a `=` (weak point 23) can be counted, removed and asked for, but not be sent
//!   over a link: it would be taken for another.
//! * Where Perl's sums depend on where a number came from, and not on what it is: see
//!   `number.rs`.

pub mod frame;
pub mod number;

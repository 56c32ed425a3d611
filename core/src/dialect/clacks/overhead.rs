//! Flags of an overhead and what they want done (`wire/clacks.md` section 9).
//!
//! Owns: the table below, the order of its checks, and which lines may go on to others: a
//! short list, because receivers obey what they are forwarded (weak point 2). Does not own
//! whether a user may do it: each step says what it needs, and who is denied one gets one
//! answer and none of the steps behind it.
//!
//! | flag | step |
//! |---|---|
//! | A | log in; nothing else on the line counts |
//! | T | the peer's clock; nothing else behind it counts |
//! | L | only of our own master: stop or go on hearing others; never goes on |
//! | C, not `0` | with G: to links first; then everybody is closed |
//! | S, a number above 0 | the node stops after as many seconds |
//! | E | logged |
//! | I | become a link, or none any more; never goes on |
//! | G, with M, N, D, Z, U or nothing else | goes on to all others, with U to the sender too |
//! | G, with any other | refused |
//! | M, N, D, U, Z without G, unknown letters | none |
//!
//! A line without text does nothing, whatever its flags.

use super::number;
use super::repr::{Need, Overhead};
use super::time::Time;
use crate::time::Duration;

/// A set of flags. Letters that mean nothing are not in it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Flags(u32);

/// Every letter that means something.
const KNOWN: Flags = Flags::new(b"ACDEFGILMNOSTUZ");

/// Of these, what may go on: who is forwarded one of the others obeys it, or believes that
/// the server says it.
const HARMLESS: Flags = Flags::new(b"DGMNUZ");

impl Flags {
    const fn new(letters: &[u8]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < letters.len() {
            bits |= Flags::bit(letters[i]);
            i += 1;
        }
        Flags(bits)
    }

    /// Those of a line. They may come in any order, and more than once.
    pub fn of(letters: &[u8]) -> Self {
        letters.iter().fold(Flags(0), |all, b| Flags(all.0 | Flags::bit(*b) & KNOWN.0))
    }

    const fn bit(letter: u8) -> u32 {
        if letter.is_ascii_uppercase() { 1 << (letter - b'A') } else { 0 }
    }

    /// Whether `letter` is among them.
    pub const fn has(self, letter: u8) -> bool {
        self.0 & Flags::bit(letter) != 0
    }

    /// Without some.
    pub const fn without(self, others: Flags) -> Self {
        Flags(self.0 & !others.0)
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// In the order in which they are forwarded, which is that of the alphabet.
    pub fn letters(self) -> impl Iterator<Item = u8> {
        (b'A'..=b'Z').filter(move |letter| self.has(*letter))
    }
}

/// Who says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Speaker {
    /// An ordinary client.
    Client,
    /// A server that has linked itself to this one.
    Link,
    /// The server that this one has linked itself to.
    Master,
}

/// One thing that a line wants done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step<'f> {
    /// Log in with this token. The only step of one who is not logged in.
    Login(&'f [u8]),
    /// What the peer's clock says.
    Clock(Time),
    /// Hear nobody but the master, or all again and send it the whole store.
    Lock(bool),
    /// Goes on to links, with these flags, before everybody is closed.
    ForwardToLinks(Flags),
    /// Close every connection.
    CloseAll,
    /// Stop the node then.
    Shutdown(Duration),
    /// For the log.
    Error(&'f [u8]),
    /// Become a link, or an ordinary client again.
    Link(bool),
    /// Goes on to all others, with these flags, to the sender too if it wants that.
    Forward {
        /// Without U and Z.
        flags: Flags,
        /// U was among them.
        turn_around: bool,
    },
    /// It may not go on; answered like what is not permitted.
    Refuse,
}

impl Step<'_> {
    /// What it takes.
    pub const fn need(&self) -> Need {
        match self {
            Step::Login(_) | Step::Clock(_) | Step::Error(_) | Step::Refuse => Need::Nothing,
            Step::Forward { .. } => Need::Write,
            Step::CloseAll | Step::Shutdown(_) => Need::Manage,
            // who manages this server does not manage all (weak point 2)
            Step::ForwardToLinks(_) | Step::Lock(_) | Step::Link(_) => Need::Interclacks,
        }
    }
}

/// One more than any line has, so that its test can tell.
pub const MAX_STEPS: usize = 6;

/// What a line wants done, in order.
pub type Plan<'f> = heapless::Vec<Step<'f>, MAX_STEPS>;

impl<'f> Overhead<'f> {
    /// What it wants done, in order.
    pub fn plan(&self, from: Speaker) -> Plan<'f> {
        let mut plan = Plan::new();
        let mut then = |step| {
            // there are never more
            let _ = plan.push(step);
        };
        let flags = Flags::of(self.flags);
        let is_true = self.text != b"0";
        match flags {
            _ if self.text.is_empty() => {}
            f if f.has(b'A') => then(Step::Login(self.text)),
            f if f.has(b'T') => then(Step::Clock(Time::parse(self.text))),
            f => {
                let is_lock = f.has(b'L') && from == Speaker::Master;
                let goes_on = f.has(b'G') && !is_lock;
                if is_lock {
                    then(Step::Lock(is_true));
                }
                let closes = f.has(b'C') && is_true;
                let forwarded = f.without(Flags::new(b"UZ"));
                if closes && goes_on {
                    then(Step::ForwardToLinks(Flags::new(b"GC")));
                }
                if closes {
                    then(Step::CloseAll);
                }
                let stop = if f.has(b'S') { number::double(self.text) } else { 0.0 };
                if stop > 0.0 {
                    then(Step::Shutdown(Duration::from_millis(((stop * 1000.0) as u32).max(1))));
                }
                if f.has(b'E') {
                    then(Step::Error(self.text));
                }
                if f.has(b'I') {
                    then(Step::Link(is_true));
                } else if goes_on {
                    if f.without(HARMLESS).is_empty() {
                        // a link that wanted its own words back would get them from all others too
                        let turn_around = f.has(b'U') && from == Speaker::Client;
                        then(Step::Forward { flags: forwarded, turn_around });
                    } else if !(closes && f.without(HARMLESS) == Flags::new(b"C")) {
                        then(Step::Refuse);
                    }
                }
            }
        }
        plan
    }

    /// Whether monitors are not shown it: its sender asks for that, or it has a token in it
    /// (weak point 4).
    pub fn is_hidden(&self) -> bool {
        let flags = Flags::of(self.flags);
        flags.has(b'N') || flags.has(b'A')
    }

    /// What it tells a client. The order of the checks is that of the original's library.
    pub fn news(&self) -> News<'f> {
        let flags = Flags::of(self.flags);
        match self.text {
            _ if flags.has(b'O') => News::Welcome,
            text if flags.has(b'E') => News::Error(text),
            text if flags.has(b'F') => News::Failed(text),
            text if flags.has(b'M') => News::Note { text, forwarded: flags.has(b'G') },
            _ => News::Nothing,
        }
    }
}

/// What an overhead tells a client (section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News<'f> {
    /// It is logged in.
    Welcome,
    /// A command was denied, or not understood.
    Error(&'f [u8]),
    /// It is not logged in, and the connection ends.
    Failed(&'f [u8]),
    /// For people: the server's own, or forwarded from another client.
    Note {
        /// What it says.
        text: &'f [u8],
        /// By another client.
        forwarded: bool,
    },
    /// Nothing.
    Nothing,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(flags: &'static str, text: &'static str, from: Speaker) -> Plan<'static> {
        Overhead { flags: flags.as_bytes(), text: text.as_bytes() }.plan(from)
    }

    fn forward(flags: &[u8], turn_around: bool) -> Step<'static> {
        Step::Forward { flags: Flags::of(flags), turn_around }
    }

    #[test]
    fn each_row_of_the_table() {
        use Speaker::{Client, Link, Master};
        let second = Duration::from_secs(1);
        for (flags, text, from, want) in [
            ("A", "t", Client, &[Step::Login(b"t")][..]),
            ("GMA", "t", Client, &[Step::Login(b"t")]),
            ("A", "t", Master, &[Step::Login(b"t")]),
            ("A", "", Client, &[]),
            ("O", "x", Client, &[]),
            ("F", "x", Client, &[]),
            ("E", "x", Client, &[Step::Error(b"x")]),
            ("M", "x", Client, &[]),
            ("N", "x", Client, &[]),
            ("D", "x", Client, &[]),
            ("U", "x", Client, &[]),
            ("Z", "x", Client, &[]),
            ("?x", "x", Client, &[]),
            ("", "x", Client, &[]),
            ("G", "x", Client, &[forward(b"G", false)]),
            ("G", "", Client, &[]),
            ("MG", "x", Client, &[forward(b"GM", false)]),
            ("GZ", "x", Client, &[forward(b"G", false)]),
            ("GNU", "x", Client, &[forward(b"GN", true)]),
            ("UNDZMG", "x", Client, &[forward(b"DGMN", true)]),
            ("G?g", "x", Client, &[forward(b"G", false)]),
            ("GNU", "x", Link, &[forward(b"GN", false)]),
            ("GN", "x", Master, &[forward(b"GN", false)]),
            ("T", "1000", Client, &[Step::Clock(Time::from_micros(1_000_000_000))]),
            ("GT", "1", Link, &[Step::Clock(Time::from_micros(1_000_000))]),
            ("T", "x", Link, &[Step::Clock(Time::ZERO)]),
            ("L", "1", Client, &[]),
            ("L", "1", Link, &[]),
            ("L", "1", Master, &[Step::Lock(true)]),
            ("L", "0", Master, &[Step::Lock(false)]),
            ("GL", "1", Master, &[Step::Lock(true)]),
            ("I", "1", Client, &[Step::Link(true)]),
            ("I", "0", Client, &[Step::Link(false)]),
            ("I", "00", Client, &[Step::Link(true)]),
            ("GUI", "1", Client, &[Step::Link(true)]),
            ("C", "1", Client, &[Step::CloseAll]),
            ("C", "0", Client, &[]),
            ("GC", "1", Client, &[Step::ForwardToLinks(Flags::of(b"GC")), Step::CloseAll]),
            ("GC", "1", Link, &[Step::ForwardToLinks(Flags::of(b"GC")), Step::CloseAll]),
            ("S", "1", Client, &[Step::Shutdown(second)]),
            ("S", "0.0001", Client, &[Step::Shutdown(Duration::from_millis(1))]),
            ("S", "1e99", Client, &[Step::Shutdown(Duration::from_millis(u32::MAX))]),
            ("S", "0", Client, &[]),
            ("S", "-1", Client, &[]),
            ("S", "x", Client, &[]),
            ("S", "nan", Client, &[]),
            ("CSEI", "1", Client, &[Step::CloseAll, Step::Shutdown(second), Step::Error(b"1"), Step::Link(true)]),
        ] {
            assert_eq!(plan(flags, text, from)[..], *want, "{flags} {text} {from:?}");
        }
    }

    #[test]
    fn what_others_would_obey_does_not_go_on() {
        for from in [Speaker::Client, Speaker::Link, Speaker::Master] {
            for letter in ["O", "F", "E", "S", "OF", "C"] {
                for with in ["G", "GM", "GNU"] {
                    let mut flags = heapless::String::<8>::try_from(with).unwrap();
                    flags.push_str(letter).unwrap();
                    let o = Overhead { flags: flags.as_bytes(), text: b"0" };
                    assert_eq!(o.plan(from).last(), Some(&Step::Refuse), "{flags}");
                    let o = Overhead { flags: flags.as_bytes(), text: b"1" };
                    assert_eq!(o.plan(from).contains(&Step::Refuse), letter != "C");
                    assert!(!o.plan(from).iter().any(|step| matches!(step, Step::Forward { .. })));
                }
            }
        }
        assert_eq!(plan("GL", "1", Speaker::Client)[..], [Step::Refuse], "weak point 2");
        assert_eq!(plan("GL", "1", Speaker::Link)[..], [Step::Refuse]);
        // nor does it because something else is done about it
        assert_eq!(plan("GCF", "1", Speaker::Client)[2..], [Step::Refuse]);
        for letters in [&b"GA"[..], b"GT", b"GI"] {
            let o = Overhead { flags: letters, text: b"1" };
            assert_eq!(o.plan(Speaker::Client).len(), 1, "handled, and not forwarded");
        }
    }

    #[test]
    fn every_combination_has_room_for_its_steps() {
        for bits in 0..1u32 << 15 {
            let letters: heapless::Vec<u8, 15> =
                KNOWN.letters().enumerate().filter(|(i, _)| bits & 1 << i != 0).map(|(_, b)| b).collect();
            for from in [Speaker::Client, Speaker::Link, Speaker::Master] {
                let plan = Overhead { flags: &letters, text: b"1" }.plan(from);
                assert!(plan.len() < MAX_STEPS, "{letters:?}");
                for step in &plan {
                    if let Step::Forward { flags, .. } = step {
                        assert!(flags.has(b'G') && flags.without(Flags::of(b"DGMN")).is_empty());
                    }
                }
            }
        }
    }

    #[test]
    fn flags_are_a_set_in_order() {
        let letters = |f: &[u8]| Flags::of(f).letters().collect::<heapless::Vec<u8, 26>>();
        assert_eq!(letters(b"GNUMGx?b\xff\0")[..], *b"GMNU");
        assert_eq!(letters(b"ZYXWVUTSRQPONMLKJIHGFEDCBA")[..], *b"ACDEFGILMNOSTUZ");
        assert!(Flags::of(b"xyz").is_empty());
    }

    #[test]
    fn needs_are_those_of_the_table() {
        for (flags, need) in [
            ("A", Need::Nothing),
            ("T", Need::Nothing),
            ("E", Need::Nothing),
            ("G", Need::Write),
            ("C", Need::Manage),
            ("S", Need::Manage),
            ("I", Need::Interclacks),
            ("L", Need::Interclacks),
        ] {
            assert_eq!(plan(flags, "1", Speaker::Master)[0].need(), need, "{flags}");
        }
        for (step, need) in plan("GC", "1", Speaker::Client).iter().zip([Need::Interclacks, Need::Manage]) {
            assert_eq!(step.need(), need, "who is not of the servers may only close the connections of one");
        }
    }

    #[test]
    fn monitors_see_no_tokens() {
        let hidden = |flags: &'static [u8]| Overhead { flags, text: b"x" }.is_hidden();
        assert!(hidden(b"A") && hidden(b"N") && hidden(b"GN"));
        assert!(!hidden(b"GM") && !hidden(b"X"));
    }

    #[test]
    fn what_a_client_is_told() {
        let news = |flags: &'static [u8]| Overhead { flags, text: b"x" }.news();
        assert_eq!(news(b"O"), News::Welcome);
        assert_eq!(news(b"MO"), News::Welcome);
        assert_eq!(news(b"E"), News::Error(b"x"));
        assert_eq!(news(b"FE"), News::Error(b"x"));
        assert_eq!(news(b"F"), News::Failed(b"x"));
        assert_eq!(news(b"M"), News::Note { text: b"x", forwarded: false });
        assert_eq!(news(b"GMN"), News::Note { text: b"x", forwarded: true });
        assert_eq!(news(b"GN"), News::Nothing);
        assert_eq!(news(b""), News::Nothing);
    }
}

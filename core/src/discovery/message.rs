//! The two messages, `DISCOVER` and `FOUND`: bytes to what they say and back.
//!
//! Owns: their form (`docs/discovery.md`, "Bytes"), and why a datagram is neither. Does not own
//! who answers what (`responder.rs`) nor which answers count (`asker.rs`).
//!
//! A command, one blank, then `key=value` with `;` between them. Every octet is printable ASCII
//! and no blank, and none is a quote: so all that is written is a message to the Communicator's
//! reader, and what needs its quotes and escapes is none here. Keys that nobody knows are
//! skipped: that is how these messages grow.

use super::{ANSWER, LONGEST, NODE, QUESTION};

const DISCOVER: &[u8] = b"DISCOVER ";
const FOUND: &[u8] = b"FOUND ";

/// The one version there is.
const VERSION: &[u8] = b"1";

/// Octets of the longest question without its padding: what there is of it must fit.
const LONGEST_QUESTION: usize = "DISCOVER node=;nonce=0123456789abcdef;pad=;version=1;wants=".len()
    + NODE
    + "cd,cds,clacks,clackss,tcp,tls,udp".len();

/// Octets of the longest answer.
const LONGEST_ANSWER: usize = "FOUND node=;nonce=0123456789abcdef;version=1".len()
    + NODE
    + "cd=65535;cds=65535;clacks=65535;clackss=65535;tcp=65535;tls=65535;udp=65535;".len();

const _: () = assert!(LONGEST_QUESTION <= QUESTION && LONGEST_ANSWER <= ANSWER);
// nobody gets more than they sent
const _: () = assert!(ANSWER <= QUESTION && QUESTION <= LONGEST);

/// How a node is spoken to over a network: the scheme of the address that a person would write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Scheme {
    /// The Communicator, lines over TCP.
    Cd,
    /// The same with TLS.
    Cds,
    /// Net::Clacks over TCP.
    Clacks,
    /// The same with TLS.
    Clackss,
    /// The native dialect over TCP.
    Tcp,
    /// The same with TLS.
    Tls,
    /// The native dialect in datagrams.
    Udp,
}

impl Scheme {
    /// All, in the order in which they are written.
    pub const ALL: [Scheme; 7] =
        [Scheme::Cd, Scheme::Cds, Scheme::Clacks, Scheme::Clackss, Scheme::Tcp, Scheme::Tls, Scheme::Udp];

    /// As it stands before `://`.
    pub const fn name(self) -> &'static str {
        match self {
            Scheme::Cd => "cd",
            Scheme::Cds => "cds",
            Scheme::Clacks => "clacks",
            Scheme::Clackss => "clackss",
            Scheme::Tcp => "tcp",
            Scheme::Tls => "tls",
            Scheme::Udp => "udp",
        }
    }

    /// The scheme of this name.
    pub fn of(name: &str) -> Option<Scheme> {
        Scheme::ALL.into_iter().find(|scheme| scheme.name() == name)
    }

    /// Whether nobody on the way reads along.
    pub const fn is_tls(self) -> bool {
        matches!(self, Scheme::Cds | Scheme::Clackss | Scheme::Tls)
    }
}

/// A set of schemes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Schemes(u8);

impl Schemes {
    /// Every one, also those that nobody knows yet: in a question nothing is said then.
    pub const ALL: Schemes = Schemes(u8::MAX);

    /// These.
    pub const fn of(schemes: &[Scheme]) -> Schemes {
        let (mut set, mut left) = (0, schemes);
        while let [first, rest @ ..] = left {
            set |= 1 << *first as u8;
            left = rest;
        }
        Schemes(set)
    }

    /// Whether it is one of them.
    pub const fn has(self, scheme: Scheme) -> bool {
        self.0 & (1 << scheme as u8) != 0
    }
}

/// The port of each scheme that a node offers.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ports([u16; Scheme::ALL.len()]);

impl Ports {
    /// None.
    pub const NONE: Ports = Ports([0; Scheme::ALL.len()]);

    /// The port; `None`: this is not offered.
    pub fn get(&self, scheme: Scheme) -> Option<u16> {
        self.0.get(scheme as usize).copied().filter(|port| *port != 0)
    }

    /// Offers it, at this port. 0: not at all.
    pub fn set(&mut self, scheme: Scheme, port: u16) {
        if let Some(place) = self.0.get_mut(scheme as usize) {
            *place = port;
        }
    }

    /// Those of these schemes only.
    pub fn only(mut self, wanted: Schemes) -> Ports {
        for scheme in Scheme::ALL {
            if !wanted.has(scheme) {
                self.set(scheme, 0);
            }
        }
        self
    }

    /// Whether nothing is offered.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// What is offered, in the order in which it is written.
    pub fn iter(&self) -> impl Iterator<Item = (Scheme, u16)> {
        let all = *self;
        Scheme::ALL.into_iter().filter_map(move |scheme| all.get(scheme).map(|port| (scheme, port)))
    }
}

/// Why a datagram is not the message that it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Fault {
    /// A question of fewer octets than [`QUESTION`]: its answer could be longer than it.
    TooShort,
    /// More octets than [`LONGEST`].
    TooLong,
    /// Not that message, or with something in it that these messages do not have.
    Malformed,
    /// Of a version that nobody knows.
    Version,
}

impl Fault {
    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Fault::TooShort => "a question of fewer than 256 octets",
            Fault::TooLong => "a datagram of more than 512 octets",
            Fault::Malformed => "no message of discovery",
            Fault::Version => "a message of another version",
        }
    }
}

/// `DISCOVER`: who is there?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question<'f> {
    /// What the answer has to repeat.
    pub nonce: u64,
    /// The node that is meant, see [`is_same_node`]; empty: any.
    pub node: &'f str,
    /// What the asker speaks.
    pub wants: Schemes,
}

/// `FOUND`: a node, at the address that this comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'f> {
    /// That of the question.
    pub nonce: u64,
    /// What the node calls itself.
    pub node: &'f str,
    /// Where it listens.
    pub ports: Ports,
}

impl<'f> Question<'f> {
    /// From a datagram.
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn read(datagram: &'f [u8]) -> Result<Self, Fault> {
        let fields = fields(datagram, DISCOVER)?;
        if datagram.len() < QUESTION {
            return Err(Fault::TooShort);
        }
        let mut common = Common::default();
        let mut wants = None;
        for field in fields {
            match field? {
                ("wants", list) => {
                    if wants.replace(read_list(list)).is_some() {
                        return Err(Fault::Malformed);
                    }
                }
                (key, value) => common.take(key, value)?,
            }
        }
        let (nonce, node) = common.finish()?;
        Ok(Question { nonce, node, wants: wants.unwrap_or(Schemes::ALL) })
    }

    /// As a datagram, of [`QUESTION`] octets. Of a name of more than [`NODE`] octets the first
    /// count.
    pub fn write(&self, out: &mut [u8; QUESTION]) {
        let tail = self.wants_len();
        let mut w = Writer::new(out);
        w.bytes(DISCOVER);
        w.node(self.node);
        w.nonce(self.nonce);
        w.bytes(b";pad=");
        let padding = QUESTION.saturating_sub(w.at + ";version=1".len() + tail);
        for _ in 0..padding {
            w.byte(b'0');
        }
        w.bytes(b";version=");
        w.bytes(VERSION);
        if tail > 0 {
            w.bytes(b";wants=");
            w.list(self.wants);
        }
        debug_assert_eq!(w.at, QUESTION);
    }

    /// Octets of `;wants=…`.
    fn wants_len(&self) -> usize {
        if self.wants == Schemes::ALL {
            return 0;
        }
        let mut count = Writer { out: &mut [], at: 0 };
        count.bytes(b";wants=");
        count.list(self.wants);
        count.at
    }
}

impl<'f> Answer<'f> {
    /// From a datagram.
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn read(datagram: &'f [u8]) -> Result<Self, Fault> {
        let mut common = Common::default();
        let mut ports = Ports::NONE;
        for field in fields(datagram, FOUND)? {
            let (key, value) = field?;
            match Scheme::of(key) {
                Some(scheme) => {
                    if ports.get(scheme).is_some() {
                        return Err(Fault::Malformed);
                    }
                    ports.set(scheme, read_port(value)?);
                }
                None => common.take(key, value)?,
            }
        }
        let (nonce, node) = common.finish()?;
        Ok(Answer { nonce, node, ports })
    }

    /// As a datagram: how many octets it has, at most [`ANSWER`]. Of a name of more than
    /// [`NODE`] octets the first count.
    pub fn write(&self, out: &mut [u8; ANSWER]) -> usize {
        let mut w = Writer::new(out);
        w.bytes(FOUND);
        let mut is_common_said = false;
        for scheme in Scheme::ALL {
            // sorted by key, as everything in this grammar
            if scheme > Scheme::Clackss && !is_common_said {
                w.node(self.node);
                w.nonce(self.nonce);
                w.byte(b';');
                is_common_said = true;
            }
            if let Some(port) = self.ports.get(scheme) {
                w.bytes(scheme.name().as_bytes());
                w.byte(b'=');
                w.number(port);
                w.byte(b';');
            }
        }
        w.bytes(b"version=");
        w.bytes(VERSION);
        debug_assert!(w.at <= ANSWER);
        w.at.min(ANSWER)
    }
}

/// Whether two names of nodes are the same as far as discovery can tell: it writes `_` for each
/// octet that is no ASCII letter, digit, `-`, `_` or `.`, and 48 octets at most.
pub fn is_same_node(a: &str, b: &str) -> bool {
    shown(a).eq(shown(b))
}

/// A name as it is written.
fn shown(node: &str) -> impl Iterator<Item = u8> {
    node.bytes().take(NODE).map(|b| if is_shown(b) { b } else { b'_' })
}

const fn is_shown(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')
}

/// What both messages have.
#[derive(Debug, Default)]
struct Common<'f> {
    nonce: Option<u64>,
    node: Option<&'f str>,
    version: Option<&'f str>,
}

impl<'f> Common<'f> {
    fn take(&mut self, key: &str, value: &'f str) -> Result<(), Fault> {
        let twice = match key {
            "nonce" => self.nonce.replace(read_nonce(value)?).is_some(),
            "node" => {
                if value.len() > NODE || !value.bytes().all(is_shown) {
                    return Err(Fault::Malformed);
                }
                self.node.replace(value).is_some()
            }
            "version" => self.version.replace(value).is_some(),
            _ => false,
        };
        if twice { Err(Fault::Malformed) } else { Ok(()) }
    }

    fn finish(self) -> Result<(u64, &'f str), Fault> {
        match (self.version, self.nonce) {
            (Some(version), _) if version.as_bytes() != VERSION => Err(Fault::Version),
            (Some(_), Some(nonce)) => Ok((nonce, self.node.unwrap_or_default())),
            _ => Err(Fault::Malformed),
        }
    }
}

/// What stands behind the command, in pairs.
fn fields<'f>(
    datagram: &'f [u8],
    command: &[u8],
) -> Result<impl Iterator<Item = Result<(&'f str, &'f str), Fault>>, Fault> {
    if datagram.len() > LONGEST {
        return Err(Fault::TooLong);
    }
    let rest = datagram.strip_prefix(command).ok_or(Fault::Malformed)?;
    if !rest.iter().all(|b| b.is_ascii_graphic() && *b != b'"') {
        return Err(Fault::Malformed);
    }
    let text = core::str::from_utf8(rest).map_err(|_| Fault::Malformed)?;
    let pair = |field: &'f str| match field.split_once('=') {
        Some((key, value)) if is_key(key) => Ok((key, value)),
        _ => Err(Fault::Malformed),
    };
    Ok(text.split(';').map(pair))
}

/// As the Communicator has it.
fn is_key(key: &str) -> bool {
    let all = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    all && key.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

/// Sixteen digits, lower case.
fn read_nonce(text: &str) -> Result<u64, Fault> {
    if text.len() != 16 {
        return Err(Fault::Malformed);
    }
    let mut nonce = 0;
    for b in text.bytes() {
        let digit = match b {
            b'0'..=b'9' => b - b'0',
            b'a'..=b'f' => b - b'a' + 10,
            _ => return Err(Fault::Malformed),
        };
        nonce = nonce << 4 | u64::from(digit);
    }
    Ok(nonce)
}

/// 1 to 65535, no zero in front.
fn read_port(text: &str) -> Result<u16, Fault> {
    if !text.bytes().all(|b| b.is_ascii_digit()) || text.starts_with('0') {
        return Err(Fault::Malformed);
    }
    text.parse().map_err(|_| Fault::Malformed)
}

/// Names of schemes with commas between them; those that nobody knows are skipped.
fn read_list(text: &str) -> Schemes {
    let mut set = Schemes(0);
    for scheme in text.split(',').filter_map(Scheme::of) {
        set.0 |= 1 << scheme as u8;
    }
    set
}

/// Counts what it has no room for.
struct Writer<'b> {
    out: &'b mut [u8],
    at: usize,
}

impl<'b> Writer<'b> {
    fn new(out: &'b mut [u8]) -> Self {
        Writer { out, at: 0 }
    }

    fn byte(&mut self, b: u8) {
        if let Some(place) = self.out.get_mut(self.at) {
            *place = b;
        }
        self.at += 1;
    }

    fn bytes(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.byte(*b));
    }

    /// `node=…;`, if there is one.
    fn node(&mut self, node: &str) {
        if !node.is_empty() {
            self.bytes(b"node=");
            shown(node).for_each(|b| self.byte(b));
            self.byte(b';');
        }
    }

    /// `nonce=…`
    fn nonce(&mut self, nonce: u64) {
        self.bytes(b"nonce=");
        for shift in (0..16).rev() {
            let digit = (nonce >> (4 * shift)) as u8 & 15;
            self.byte(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
        }
    }

    fn number(&mut self, number: u16) {
        let mut unit = 10_000;
        while unit > 1 && number < unit {
            unit /= 10;
        }
        while unit > 0 {
            self.byte(b'0' + (number / unit % 10) as u8);
            unit /= 10;
        }
    }

    fn list(&mut self, schemes: Schemes) {
        let mut is_first = true;
        for scheme in Scheme::ALL.into_iter().filter(|scheme| schemes.has(*scheme)) {
            if !core::mem::take(&mut is_first) {
                self.byte(b',');
            }
            self.bytes(scheme.name().as_bytes());
        }
    }
}

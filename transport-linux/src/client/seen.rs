//! What a monitor was shown, owned. `core/proto/chappe.proto` documents each field.

use chappe_core::dialect::messi::repr::{self, Code, Encoding, Sight, StoreOp};

use super::owned::{ParamList, params};

/// What a station said, as the node has understood it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// Which fields mean something depends on it.
    pub what: Sight,
    /// When, in microseconds: since 1970, or since the node's start if it has no calendar.
    pub micros: u64,
    /// What the station speaks.
    pub dialect: String,
    /// Who said it, or about whom it is; 0: the node.
    pub station: u64,
    /// What that calls itself.
    pub station_name: String,
    /// Where it goes, what is joined, a value's, a flag's (unit/section/name).
    pub name: String,
    /// Of the name; empty: `*`.
    pub instance: String,
    /// What it says, or wants of the node.
    pub verb: String,
    /// Named text.
    pub params: ParamList,
    /// Opaque. Values: the value.
    pub body: Vec<u8>,
    /// What the body is.
    pub encoding: Encoding,
    /// Answers and outcomes: how it ended. Who disconnects: why.
    pub code: Code,
    /// For people. Flags: the description.
    pub text: String,
    /// The only station that it is for.
    pub to: u64,
    /// The station's own number of it.
    pub seq: u32,
    /// Values: what is done.
    pub op: StoreOp,
    /// Values: what is added.
    pub amount: i64,
    /// How long it may wait, in milliseconds.
    pub ttl_ms: u32,
    /// To all stations.
    pub everyone: bool,
    /// It may wait for who joins the name.
    pub keep: bool,
    /// Each member is asked.
    pub each: bool,
    /// Values: members of the name are told.
    pub announce: bool,
    /// Joins: nobody else may.
    pub exclusive: bool,
    /// Flags: lowered. Names: not declared any more.
    pub off: bool,
    /// Body, parameters or text are not whole.
    pub cut: bool,
    /// A secret was left out.
    pub hidden: bool,
    /// Octets of a body that is cut or hidden.
    pub size: u64,
    /// How much was not shown.
    pub count: u64,
}

impl From<&repr::Seen<'_>> for Seen {
    fn from(s: &repr::Seen<'_>) -> Self {
        Seen {
            what: s.what,
            micros: s.micros,
            dialect: s.dialect.to_owned(),
            station: s.station,
            station_name: s.station_name.to_owned(),
            name: s.name.to_owned(),
            instance: s.instance.to_owned(),
            verb: s.verb.to_owned(),
            params: params(&s.params),
            body: s.body.to_owned(),
            encoding: s.encoding,
            code: s.code,
            text: s.text.to_owned(),
            to: s.to,
            seq: s.seq,
            op: s.op,
            amount: s.amount,
            ttl_ms: s.ttl_ms,
            everyone: s.everyone,
            keep: s.keep,
            each: s.each,
            announce: s.announce,
            exclusive: s.exclusive,
            off: s.off,
            cut: s.cut,
            hidden: s.hidden,
            size: s.size,
            count: s.count,
        }
    }
}

//! What is shown of each kind of message: of all dialects the same, in the words of the model.
//!
//! Owns: which fields say it. Called where all dialects pass, before anything is done about the
//! message; what the node then tells the sender, if it did not go well, follows as an outcome.
//! What a dialect says by itself, and no other (lines of Clacks), is in its own folder.

use super::super::Router;
use crate::dialect::{read_answer, read_letter};
use crate::limits::{MAX_FLAG_PART, MAX_NAME};
use crate::model::{
    Answer, Code, Declare, Flag, Join, Leave, Letter, List, Monitor, Params, Raw, Seen, Sight, Store, Watch, What,
};
use core::fmt::Write;

/// A name that stands in a table, out of it.
type Name = heapless::String<MAX_NAME, u8>;

impl Router<'_> {
    /// A letter, or a question.
    pub(in crate::router) fn see_letter(&mut self, n: u32, l: &Letter<'_>, raw: Raw<'_>) {
        let room = core::mem::take(&mut self.scratch);
        _ = read_letter(l, raw, room, |l, _| {
            self.see_read_letter(n, l);
            Some(0)
        });
        self.scratch = room;
    }

    fn see_read_letter(&mut self, n: u32, l: &Letter<'_>) {
        let seen = Seen {
            what: if l.ask { Sight::Question } else { Sight::Letter },
            name: l.name,
            instance: l.instance,
            verb: l.verb,
            params: l.params,
            body: l.body,
            encoding: l.encoding,
            to: l.station,
            seq: l.seq,
            ttl_ms: l.ttl_ms,
            everyone: l.everyone,
            keep: l.keep,
            each: l.each,
            ..Seen::default()
        };
        #[cfg(feature = "clacks")]
        let also = match self.stations[n].session.dialect() {
            crate::dialect::Dialect::Clacks => crate::dialect::clacks::name::addressed(l.name),
            _ => None,
        };
        #[cfg(not(feature = "clacks"))]
        let also = None;
        self.see(n, &seen, also);
    }

    /// An answer to the question in row `r`; 0: to none that is open.
    pub(in crate::router) fn see_answer(&mut self, n: u32, a: &Answer<'_>, raw: Raw<'_>, r: u32) {
        if !self.sniffed() {
            return;
        }
        let (to, seq, name) = self.question_of(r);
        let room = core::mem::take(&mut self.scratch);
        let mut show = |a: &Answer<'_>| {
            let seen = Seen {
                what: Sight::Answer,
                name: &name,
                params: a.params,
                body: a.body,
                encoding: a.encoding,
                code: a.code,
                text: if r == 0 && a.text.is_empty() { "to no open question" } else { a.text },
                to,
                seq,
                ..Seen::default()
            };
            self.see(n, &seen, None);
        };
        _ = read_answer(a, raw, room, |a, _| {
            show(a);
            Some(0)
        });
        self.scratch = room;
    }

    /// Who asked the question in row `r`, its number there, and where it went, if that is known.
    fn question_of(&self, r: u32) -> (u64, u32, Name) {
        let mut name = Name::new();
        if r == 0 {
            return (0, 0, name);
        }
        let row = self.requests.row(r);
        if row.name != 0 {
            // a name of a row is never longer
            let _ = name.push_str(self.names.row(row.name).text());
        }
        (self.stations.id(row.asker).number(), row.seq, name)
    }

    /// The node itself answers the question in row `r`.
    pub(in crate::router) fn see_own_answer(&mut self, r: u32, code: Code) {
        if self.sniffed() {
            let asker = self.requests.row(r).asker;
            let (to, seq, name) = self.question_of(r);
            self.show_own_answer(asker, &Seen { name: &name, to, seq, code, ..Seen::default() }, false);
        }
    }

    /// The node itself answers a question that is not even put.
    pub(in crate::router) fn see_answer_at_once(&mut self, n: u32, l: &Letter<'_>, code: Code, text: &str) {
        if self.sniffed() {
            let (to, seq) = (self.stations.id(n).number(), l.seq);
            self.show_own_answer(n, &Seen { name: l.name, to, seq, code, text, ..Seen::default() }, true);
        }
    }

    /// Who is shown a question is shown its answer.
    fn show_own_answer(&mut self, asker: u32, seen: &Seen<'_>, at_once: bool) {
        let mut name = super::super::hear::StationName::new();
        // it is the node's, in the asker's dialect
        let _ = name.push_str(self.settings.node);
        let seen = Seen { what: Sight::Answer, ..*seen };
        let seen = Seen { station: 0, ..self.signed(asker, &name, &seen) };
        let to = if at_once && self.sniff.of == asker { self.sniff.to } else { self.wanting(asker, &seen, None) };
        self.show_sight(to, &seen);
    }

    /// A join.
    pub(in crate::router) fn see_join(&mut self, n: u32, j: &Join<'_>) {
        if self.sniffed() {
            let Join { seq, name, instance, exclusive } = *j;
            self.see(n, &Seen { what: Sight::Join, seq, name, instance, exclusive, ..Seen::default() }, None);
        }
    }

    /// The end of a membership, said by who has it.
    pub(in crate::router) fn see_leave(&mut self, n: u32, l: &Leave<'_>) {
        if self.sniffed() {
            let Leave { seq, name, instance } = *l;
            self.see(n, &Seen { what: Sight::Leave, seq, name, instance, ..Seen::default() }, None);
        }
    }

    /// An operation on a value.
    pub(in crate::router) fn see_store(&mut self, n: u32, s: &Store<'_>) {
        if self.sniffed() {
            let Store { seq, op, name, value: body, amount, announce } = *s;
            let seen = Seen { what: Sight::Value, seq, op, name, body, amount, announce, ..Seen::default() };
            self.see(n, &seen, None);
        }
    }

    /// A flag is raised or lowered.
    pub(in crate::router) fn see_flag(&mut self, n: u32, f: &Flag<'_>) {
        if !self.sniffed() {
            return;
        }
        let mut name = heapless::String::<{ 3 * MAX_FLAG_PART + 2 }, u8>::new();
        let cut = write!(name, "{}/{}/{}", f.unit, f.section, f.name).is_err();
        let mut priority = heapless::String::<10, u8>::new();
        let _ = write!(priority, "{}", f.priority);
        let mut params = heapless::Vec::<(&str, &str), 4, u8>::new();
        for (is_said, key, value) in [
            (f.raise, "priority", priority.as_str()),
            (!f.tags.is_empty(), "tags", f.tags),
            (f.manual_down, "manual_down", "true"),
            (f.by_hand, "by_hand", "true"),
        ] {
            if is_said {
                // there is room for all four
                let _ = params.push((key, value));
            }
        }
        let seen = Seen {
            what: Sight::Flag,
            seq: f.seq,
            name: &name,
            text: f.description,
            params: Params::Listed(&params),
            off: !f.raise,
            cut,
            ..Seen::default()
        };
        self.see(n, &seen, None);
    }

    /// A name is declared, or not any more.
    pub(in crate::router) fn see_declare(&mut self, n: u32, d: &Declare<'_>) {
        if self.sniffed() {
            let Declare { seq, name, forget: off } = *d;
            self.see(n, &Seen { what: Sight::Declare, seq, name, off, ..Seen::default() }, None);
        }
    }

    /// Anything else that is wanted of the node.
    pub(in crate::router) fn see_request(&mut self, n: u32, verb: &str, seq: u32, name: &str, params: &[(&str, &str)]) {
        if self.sniffed() {
            let params = Params::Listed(params);
            self.see(n, &Seen { what: Sight::Request, seq, verb, name, params, ..Seen::default() }, None);
        }
    }

    /// Somebody wants to watch.
    pub(in crate::router) fn see_watch(&mut self, n: u32, w: &Watch<'_>) {
        let mut params = heapless::Vec::<(&str, &str), 4, u8>::new();
        for (is_said, key) in [(w.stations, "stations"), (w.members, "members"), (w.flags, "flags"), (w.off, "off")] {
            if is_said {
                let _ = params.push((key, "true"));
            }
        }
        self.see_request(n, "WATCH", w.seq, w.name, &params);
    }

    /// Somebody wants a list.
    pub(in crate::router) fn see_list(&mut self, n: u32, l: &List<'_>) {
        let what = match l.what {
            What::Stations => "stations",
            What::Names => "names",
            What::Members => "members",
            What::Values => "values",
            What::Flags => "flags",
            What::Counters => "counters",
            What::Status => "status",
            What::Unknown(_) => "?",
        };
        self.see_request(n, "LIST", l.seq, l.name, &[("what", what)]);
    }

    /// Somebody wants to monitor. It is not shown that itself.
    pub(super) fn see_monitor(&mut self, n: u32, m: &Monitor<'_>) {
        if !self.sniffed() {
            return;
        }
        let off: &[_] = if m.off { &[("off", "true")] } else { &[] };
        let params = Params::Listed(off);
        let seen = Seen { what: Sight::Request, verb: "MONITOR", seq: m.seq, name: m.name, params, ..Seen::default() };
        let name = self.stations[n].name.clone();
        let seen = self.signed(n, &name, &seen);
        let mine = self.sniff.rows.iter().position(|row| row.station == n).map_or(0, |k| 1 << k);
        (self.sniff.of, self.sniff.to) = (n, self.wanting(n, &seen, None) & !mine);
        self.show_sight(self.sniff.to, &seen);
    }

    /// The node tells station `n` how something went. Good ends are not shown.
    pub(in crate::router) fn see_outcome(&mut self, n: u32, seq: u32, code: Code, text: &str) {
        if code == Code::Ok || !self.sniffed() {
            return;
        }
        let name = self.stations[n].name.clone();
        let seen = self.signed(n, &name, &Seen { what: Sight::Outcome, seq, code, text, ..Seen::default() });
        // who was shown what it is about
        let to = if self.sniff.of == n { self.sniff.to } else { self.wanting(n, &seen, None) };
        self.show_sight(to, &seen);
    }

    /// Station `n` is there.
    pub(in crate::router) fn see_connected(&mut self, n: u32) {
        self.see_presence(n, Sight::Connected, Code::Ok);
    }

    /// Station `n` is gone.
    pub(in crate::router) fn see_disconnected(&mut self, n: u32, why: Code) {
        self.see_presence(n, Sight::Disconnected, why);
    }

    fn see_presence(&mut self, n: u32, what: Sight, code: Code) {
        if self.sniffed() {
            let name = self.stations[n].name.clone();
            let seen = self.signed(n, &name, &Seen { what, code, ..Seen::default() });
            self.show_sight(self.wanting(n, &seen, None), &seen);
        }
    }

    /// Everything that comes of the frame at hand was shown as one.
    #[cfg(any(feature = "clacks", feature = "communicator"))]
    pub(in crate::router) fn seen_whole(&mut self) {
        self.sniff.whole = true;
    }
}

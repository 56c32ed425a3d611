//! From bytes to requests: frames are found, understood, and handed to who decides.
//!
//! Owns: half frames, hello, and what a connection may get wrong before it is closed.

#[cfg(feature = "msgq")]
use super::Rights;
use super::policy::{Class, Fill, admit};
use super::stations::Life;
use super::{Counter, Grant, Reason, Router};
use crate::dialect::{Cut, Said};
use crate::id::StationId;
use crate::limits::{MAX_NAME, MAX_STATION_NAME, MIN_PEER_FRAME, MIN_SILENCE_MS};
use crate::model::{Change, ClientToServer, Code, Hello, Raw, ServerToClient, Welcome};
use crate::name::no_controls;
use crate::time::{Duration, Instant};

/// What a station calls itself.
pub(super) type StationName = heapless::String<MAX_STATION_NAME, u8>;

impl Router<'_> {
    /// Bytes have come from a station: whole frames among them are handled now, a beginning
    /// of one is kept. Returns how many octets were taken: all of them, unless what they, or
    /// others before them, caused fills somebody's outbox that its transport was not offered
    /// yet, or memory. Then do what [`Router::next_action`] wants, to the end, before offering
    /// the rest, or what others wait for would be lost though they read. (With the feature
    /// `later` there is one more reason, and something else to wait for: see
    /// `Router::is_paused`.)
    ///
    /// Work is bounded by the number of octets; a shell that reads a bounded piece of each
    /// connection in turn is fair to all. Octets of an address that is nobody's, or that is
    /// being let go of, are taken and ignored.
    #[must_use = "octets that were not taken have to be offered again, after writing"]
    pub fn receive(&mut self, now: Instant, id: StationId, bytes: &[u8]) -> usize {
        self.clock(now);
        let Some(n) = self.stations.find(id) else { return bytes.len() };
        let mut input = bytes;
        while !input.is_empty() && self.stations[n].lives() && !self.pressed && !self.stations[n].is_paused() {
            self.next_frame(n, &mut input);
        }
        self.end_run();
        if !self.stations[n].lives() {
            input = &[];
        }
        if input.is_empty() && self.stations[n].datagram {
            self.end_of_datagram(n);
        }
        self.reap();
        let taken = bytes.len() - input.len();
        self.counters.add(Counter::BytesIn, taken as u64);
        taken
    }

    #[inline]
    fn next_frame(&mut self, n: u32, input: &mut &[u8]) {
        let st = &mut self.stations[n];
        if st.skip > 0 {
            return self.step_over(n, input);
        }
        let longest = self.settings.max_frame_in(st.session.dialect());
        let limit = if st.life == Life::New { longest.min(st.session.dialect().max_hello()) } else { longest };
        match st.session.cut(input, limit) {
            Ok(Cut::More) => {}
            Ok(Cut::Frame { size }) => {
                let have = st.stash.len();
                let need = size - have;
                if input.len() < need {
                    return self.keep_half(n, core::mem::take(input));
                }
                let (part, rest) = input.split_at(need);
                if have == 0 && !st.session.is_odd() {
                    if self.is_done(n, part) {
                        *input = rest;
                    }
                    return;
                }
                let whole = core::mem::take(&mut self.assembly);
                self.pool.copy(&st.stash, &mut whole[..have]);
                whole[have..size].copy_from_slice(part);
                let left = st.session.compact(&mut whole[..size]);
                let done = self.is_done(n, &whole[..left]);
                self.assembly = whole;
                if done {
                    *input = rest;
                    let st = &mut self.stations[n];
                    self.pool.clear(&mut st.stash);
                    st.half_since = None;
                }
            }
            #[cfg(any(feature = "clacks", feature = "communicator"))]
            Ok(Cut::Open) => self.keep_half(n, core::mem::take(input)),
            Ok(Cut::Skip { size }) => {
                self.end_run();
                let st = &mut self.stations[n];
                // some of it may have come before the limit was lowered
                st.skip = (size - st.stash.len().min(size)) as u32;
                self.pool.clear(&mut st.stash);
                if st.skip == 0 {
                    st.session.used_up();
                }
                self.counters.one(Counter::TooBig);
                if self.stations[n].life == Life::New {
                    return self.doom(n, Reason::Unintroduced);
                }
                self.outcome(n, 0, Code::TooBig, "a frame longer than Welcome.max_frame");
            }
            Err(refusal) => {
                self.end_run();
                self.counters.one(Counter::Malformed);
                self.outcome(n, 0, refusal.code, refusal.text);
                self.doom(n, Reason::Malformed);
            }
        }
    }

    fn step_over(&mut self, n: u32, input: &mut &[u8]) {
        let st = &mut self.stations[n];
        let k = (st.skip as usize).min(input.len());
        *input = &input[k..];
        st.skip -= k as u32;
        if st.skip == 0 {
            st.session.used_up();
        }
    }

    /// Handles a frame. `false`: it could not be delivered to all yet, and is as good as not
    /// looked at.
    #[cfg(feature = "certain")]
    #[inline]
    fn is_done(&mut self, n: u32, frame: &[u8]) -> bool {
        #[cfg(feature = "sniff")]
        self.sniff.frame();
        self.frame(n, frame);
        if core::mem::take(&mut self.short) {
            return false;
        }
        let st = &mut self.stations[n];
        st.session.used_up();
        st.resume = None;
        #[cfg(feature = "clacks")]
        {
            st.clacks.shown = false;
        }
        #[cfg(feature = "sniff")]
        st.sniff.done();
        true
    }
    #[cfg(not(feature = "certain"))]
    #[inline]
    fn is_done(&mut self, n: u32, frame: &[u8]) -> bool {
        self.frame(n, frame);
        self.stations[n].session.used_up();
        true
    }

    /// The beginning of a frame waits for the rest.
    fn keep_half(&mut self, n: u32, part: &[u8]) {
        loop {
            let st = &mut self.stations[n];
            let fill = Fill {
                have: st.stash.len(),
                blocked: true,
                limit: usize::MAX / 8,
                free: self.pool.free_bytes(),
                pool: self.pool.all_bytes(),
            };
            if admit(part.len(), Class::Signal, fill).is_ok() && self.pool.push(&mut st.stash, part) {
                break;
            }
            // who holds more than it and takes nothing, or sends nothing, goes first
            if !self.relieve() {
                return self.doom(n, Reason::NoMemory);
            }
            if !self.stations[n].lives() {
                return;
            }
        }
        let st = &mut self.stations[n];
        // how long the longest may take is nobody's to say: only that there is more of it
        let goes_on = !st.session.dialect().ways().lengths && st.life != Life::New;
        if st.half_since.is_none() || goes_on {
            st.half_since = Some(self.now);
            self.arm(n);
        }
    }

    /// Datagrams hold whole frames: what is left over belongs to nothing.
    fn end_of_datagram(&mut self, n: u32) {
        let st = &mut self.stations[n];
        if !st.session.is_inside() && st.skip == 0 {
            return;
        }
        st.session.used_up();
        st.half_since = None;
        st.skip = 0;
        self.pool.clear(&mut st.stash);
        if st.lives() {
            self.counters.one(Counter::Malformed);
            self.strike(n, 0, Code::BadRequest, "a datagram must hold whole frames");
        }
    }

    #[inline]
    fn frame(&mut self, n: u32, frame: &[u8]) {
        #[cfg(feature = "msgq")]
        if self.stations[n].held {
            return self.first_frame(n, frame);
        }
        let st = &mut self.stations[n];
        if st.session.dialect().ways().frames {
            st.heard = self.now;
        }
        if st.resumed().is_none() {
            self.counters.one(Counter::FramesIn);
        }
        #[cfg(feature = "communicator")]
        if self.message_goes_on(n, frame) {
            return;
        }
        let st = &mut self.stations[n];
        // each by itself: a pair would be put together elsewhere, and copied
        let mut said = Said::Nothing;
        let mut spare = None;
        let here = Self::here_of(&self.settings);
        let understood = st.session.understand(frame, here, &mut self.memo, &mut spare, &mut said).map(|()| &said);
        if let Ok(Said::Model(ClientToServer::Send(l), raw)) = understood
            && st.life == Life::Ready
        {
            return self.letter(n, l, raw);
        }
        #[cfg(feature = "clacks")]
        if let Ok(Said::Line(command, line)) = understood {
            return self.line(n, command, line);
        }
        #[cfg(feature = "communicator")]
        if let Ok(Said::Message(m)) = understood {
            return self.message(n, m, frame);
        }
        self.end_run();
        match understood {
            Ok(Said::Model(said, raw)) => self.said(n, said, *raw),
            Ok(Said::Nothing) => {}
            Ok(Said::Ping(body)) => {
                self.counters.one(Counter::Pings);
                match self.stations[n].session.wording().pong(body, self.encode) {
                    Some(len) => _ = self.post(n, len, Class::Owed),
                    None => self.counters.one(Counter::DroppedTooBig),
                }
            }
            #[cfg(feature = "msgq")]
            Ok(Said::Ignored) => self.counters.one(Counter::BadRequest),
            #[cfg(feature = "msgq")]
            Ok(Said::WhoAmI) => self.tell_name(n),
            #[cfg(feature = "msgq")]
            Ok(Said::Reply { key, letter, raw }) => self.reply(n, *key, letter, *raw),
            #[cfg(feature = "msgq")]
            Ok(Said::Node { ask, letter, raw }) => self.asked(n, ask, letter, *raw),
            #[cfg(feature = "msgq")]
            Ok(Said::Stop) => {
                #[cfg(feature = "sniff")]
                self.see_request(n, "STOP", 0, "", &[]);
                self.stop_wanted(n)
            }
            // has been heard above
            #[cfg(feature = "clacks")]
            Ok(Said::Line(..)) => {}
            #[cfg(feature = "communicator")]
            Ok(Said::Message(_)) => {}
            #[cfg(feature = "communicator")]
            Ok(Said::Fault(fault)) => self.fault(n, *fault),
            Err(refusal) => {
                self.counters.one(Counter::Malformed);
                if refusal.fatal {
                    self.outcome(n, 0, refusal.code, refusal.text);
                    return self.doom(n, Reason::Malformed);
                }
                self.strike(n, 0, refusal.code, refusal.text);
            }
        }
    }

    /// Tells a station what it got wrong; once too often is the end.
    fn strike(&mut self, n: u32, seq: u32, code: Code, text: &str) {
        self.outcome(n, seq, code, text);
        let st = &mut self.stations[n];
        st.strikes = st.strikes.saturating_add(1);
        if st.strikes >= self.settings.strikes {
            self.doom(n, Reason::Malformed);
        }
    }

    #[inline]
    fn said(&mut self, n: u32, said: &ClientToServer<'_>, raw: Raw<'_>) {
        if self.stations[n].life == Life::New {
            return match said {
                ClientToServer::Hello(h) => self.hello(n, h),
                ClientToServer::Nothing => {}
                _ => {
                    self.counters.one(Counter::NotIntroduced);
                    self.strike(n, seq_of(said), Code::NotIntroduced, Code::NotIntroduced.text());
                }
            };
        }
        match said {
            // letters have been heard by `frame`
            ClientToServer::Send(_) | ClientToServer::Nothing => {}
            ClientToServer::Answer(a) => self.answer(n, a, raw),
            ClientToServer::Store(s) => self.store_op(n, s),
            ClientToServer::Join(j) => self.join(n, j),
            ClientToServer::Leave(l) => self.leave(n, l),
            ClientToServer::Watch(w) => self.watch(n, w),
            ClientToServer::List(l) => self.list(n, l),
            ClientToServer::Flag(f) => self.flag(n, f),
            ClientToServer::Declare(d) => self.declare(n, d),
            ClientToServer::Goodbye(g) => {
                self.outcome(n, g.seq, Code::Ok, "");
                self.doom(n, Reason::Goodbye);
            }
            #[cfg(feature = "sniff")]
            ClientToServer::Monitor(m) => self.monitor_all(n, m),
            ClientToServer::Hello(h) => self.refuse(n, h.seq, Code::BadRequest, "hello is said once a connection"),
        }
    }

    fn hello(&mut self, n: u32, h: &Hello<'_>) {
        let name = match heapless::String::try_from(h.name) {
            Ok(name) if h.name.len() <= MAX_STATION_NAME && no_controls(h.name) => name,
            _ => {
                self.counters.one(Counter::BadRequest);
                return self.strike(n, h.seq, Code::BadName, "a station's name has at most 48 bytes, no controls");
            }
        };
        if (1..MIN_PEER_FRAME).contains(&h.max_frame) {
            self.counters.one(Counter::BadRequest);
            return self.strike(n, h.seq, Code::BadRequest, "max_frame below 160: it could be told nothing");
        }
        let anonymous = h.user.is_empty() && h.token.is_empty();
        #[cfg(feature = "later")]
        if !anonymous {
            return self.hello_of_user(n, h, name);
        }
        let grant = if anonymous { Some(self.stations[n].grant) } else { self.settings.gate.check(h.user, h.token) };
        let text = if anonymous { "this listener wants a user and a token" } else { "wrong user or token" };
        self.introduce(n, h, name, grant, text);
    }

    /// Takes a station in by what its hello said, or lets it go with `text` if there is no
    /// grant for it. Of `h`, its user and token have been dealt with.
    #[inline]
    pub(super) fn introduce(
        &mut self,
        n: u32,
        h: &Hello<'_>,
        name: StationName,
        grant: Option<Grant>,
        text: &'static str,
    ) {
        let grant: Grant = match grant {
            Some(grant) if !grant.rights.is_empty() => grant,
            _ => {
                self.outcome(n, h.seq, Code::BadCredentials, text);
                return self.doom(n, Reason::Credentials);
            }
        };
        let silence = Self::span(h.silence_ms, self.settings.silence, self.settings.max_silence)
            .max(Duration::from_millis(MIN_SILENCE_MS));
        let station = self.stations.id(n).number();
        let st = &mut self.stations[n];
        st.life = Life::Ready;
        st.introduced = true;
        st.grant = grant;
        st.silence = silence;
        st.name = name;
        if h.max_frame > 0 {
            st.max_frame = st.max_frame.min(h.max_frame);
        }
        self.counters.one(Counter::Introduced);
        self.arm(n);
        let (node, version) = (self.settings.node, self.settings.version);
        self.say(
            n,
            &ServerToClient::Welcome(Welcome {
                seq: h.seq,
                station,
                node,
                version,
                max_frame: self.settings.max_frame as u32,
                silence_ms: silence.millis(),
                max_name: MAX_NAME as u32,
                max_value: self.max_value() as u32,
            }),
        );
        self.see_connected(n);
        self.tell(Change::Connected, n, 0, 0, Code::Ok);
        self.notice(Change::Connected, n, 0);
    }
}

/// Dialects whose stations are there without a hello.
#[cfg(feature = "msgq")]
impl Router<'_> {
    /// The first frame of a station for which words were held back. If it asks for its name,
    /// that comes before them; who does not ask waits for nothing.
    #[cold]
    fn first_frame(&mut self, n: u32, frame: &[u8]) {
        let here = self.here();
        let st = &mut self.stations[n];
        st.held = false;
        let (mut session, mut said, mut spare) = (st.session, Said::Nothing, None);
        let asks_name =
            session.understand(frame, here, &mut self.memo, &mut spare, &mut said).is_ok() && said == Said::WhoAmI;
        if st.out.is_empty() || !asks_name {
            self.stations.enqueue(n);
            return self.frame(n, frame);
        }
        let mut held = core::mem::take(&mut st.out);
        self.frame(n, frame);
        let piece = core::mem::take(&mut self.scratch);
        while !held.is_empty() {
            let len = self.pool.copy(&held, piece);
            self.pool.consume(&mut held, len);
            if !self.pool.push(&mut self.stations[n].out, &piece[..len]) {
                self.pool.clear(&mut held);
                self.doom(n, Reason::NoMemory);
            }
        }
        self.scratch = piece;
        self.stations.enqueue(n);
    }

    /// Tells a station its own name.
    fn tell_name(&mut self, n: u32) {
        let station = self.stations.id(n).number();
        self.say(n, &ServerToClient::Welcome(Welcome { station, ..Welcome::default() }));
    }

    fn stop_wanted(&mut self, n: u32) {
        let grant = self.stations[n].grant;
        if self.settings.msgq.stop && grant.rights.has(Rights::MANAGE) && !grant.restricted {
            self.stop_asked = Some(self.stations.id(n));
        } else {
            self.counters.one(Counter::Refused);
        }
    }
}

/// The number of a request.
fn seq_of(said: &ClientToServer<'_>) -> u32 {
    match said {
        ClientToServer::Hello(m) => m.seq,
        ClientToServer::Join(m) => m.seq,
        ClientToServer::Leave(m) => m.seq,
        ClientToServer::Send(m) => m.seq,
        ClientToServer::Store(m) => m.seq,
        ClientToServer::Watch(m) => m.seq,
        ClientToServer::List(m) => m.seq,
        ClientToServer::Flag(m) => m.seq,
        ClientToServer::Declare(m) => m.seq,
        ClientToServer::Goodbye(m) => m.seq,
        #[cfg(feature = "sniff")]
        ClientToServer::Monitor(m) => m.seq,
        ClientToServer::Answer(_) | ClientToServer::Nothing => 0,
    }
}

//! Faults that are planted on purpose, so that it can be shown that the simulation finds them.
//!
//! Owns: their names, and when one strikes: at every second occasion, if the settings name it. Only with
//! the feature `faults`, which tests have and nothing else; without it `fault!` is `false`, and the
//! compiler leaves out what depends on it. Does not own what goes wrong then: that stands behind
//! `fault!` at the one place where it does.

/// Whether the fault of that name strikes now.
#[cfg(feature = "faults")]
macro_rules! fault {
    ($router:expr, $fault:ident) => {
        $router.strikes_now($crate::router::faults::Fault::$fault)
    };
}
#[cfg(not(feature = "faults"))]
macro_rules! fault {
    ($router:expr, $fault:ident) => {
        false
    };
}
pub(super) use fault;

macro_rules! faults {
    ($($variant:ident $name:literal $what:literal,)*) => {
        /// One of them.
        #[cfg(feature = "faults")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Fault { $(#[doc = $what] $variant,)* }

        #[cfg(feature = "faults")]
        impl Fault {
            /// All of them.
            pub const ALL: &'static [Fault] = &[$(Fault::$variant,)*];

            /// A stable name, with hyphens.
            pub const fn name(self) -> &'static str {
                match self { $(Fault::$variant => $name,)* }
            }

            /// What goes wrong.
            pub const fn what(self) -> &'static str {
                match self { $(Fault::$variant => $what,)* }
            }
        }
    };
}

faults! {
    DropMessage "drop-message" "a message is not put into an outbox, and nobody counts it",
    DeliverTwice "deliver-twice" "a message is put into an outbox twice",
    DeliverToSender "deliver-to-sender" "a message to a name comes back to its sender",
    Reorder "reorder" "a frame is put before those that wait already",
    HalfFrame "half-frame" "the last octet of a frame is missing",
    ForgetLeave "forget-leave" "watchers are not told that somebody left a name",
    JoinTwice "join-twice" "watchers are told twice that somebody joined",
    PresenceFirst "presence-first" "watchers are told of a station's end before that of its memberships",
    ExclusiveTwice "exclusive-twice" "an exclusive join succeeds although others are there",
    AnswerTwice "answer-twice" "an answer is handed on twice",
    NoAnswerLeft "no-answer-left" "the node says nothing when the last callee has left",
    NoAnswerLate "no-answer-late" "the node says nothing when no answer came in time",
    LeakQuestion "leak-question" "the row of a question is not given back",
    LeakBlocks "leak-blocks" "the blocks of an outbox are not given back",
    MailExpired "mail-expired" "mail is delivered that has expired",
    MailTwice "mail-twice" "mail is kept although it was delivered",
    StaleAddress "stale-address" "the address of a station that is gone finds another",
    FlushEarly "flush-early" "a flush is answered before the disk has caught up",
    CountTwice "count-twice" "what is added to a value is added twice",
    OlderWins "older-wins" "an older change of a value from a link wins",
    SkipTombstone "skip-tombstone" "a link is not told of removed values when it comes up",
    LinkEcho "link-echo" "what comes over a link goes back over it",
    KeysyncStops "keysync-stops" "changes from one link are not handed on to others",
    BroadcastLost "broadcast-lost" "a broadcast of the Communicator reaches nobody",
    InvalidUnsaid "invalid-unsaid" "nobody is told that a line of the Communicator makes no sense",
    StatusForgotten "status-forgotten" "nobody is told that a service has come or gone",
    CacheForgotten "cache-forgotten" "a message of the Communicator is said to wait, and does not",
    ReportForgotten "report-forgotten" "the sender is not told what has become of a message of the Communicator",
    NumberMixed "number-mixed" "a question of the Communicator is answered with another number",
    RenameKeeps "rename-keeps" "who registers under another name keeps the old one, too",
    AnswerIsMessage "answer-is-message" "an answer without a number is handed on as a message",
    FlagUntold "flag-untold" "watchers are not told that a flag has changed",
    ListLeavesOut "list-leaves-out" "a list leaves a station out",
    ClearNothing "clear-nothing" "CLEARCACHE is taken, and values stay",
    NoticeMissing "notice-missing" "members of the notifications of MSGQ are not told of a change",
    DiskErrorIgnored "disk-error-ignored" "a change that the disk refuses is said to be made",
    HeldBack "held-back" "a frame is put into an outbox, and nobody is told to write it",
    MonitorMisses "monitor-misses" "a monitor is not shown something, and not told so",
}

#[cfg(feature = "faults")]
impl super::Router<'_> {
    /// Whether a fault strikes at this occasion: at every second.
    pub(super) fn strikes_now(&mut self, fault: Fault) -> bool {
        if self.settings.fault != Some(fault) {
            return false;
        }
        self.occasions = self.occasions.wrapping_add(1);
        self.occasions.is_multiple_of(2)
    }
}

impl super::Router<'_> {
    /// Puts the frame that was put into an outbox last before all others there.
    pub(super) fn put_first(&mut self, n: u32, len: usize) {
        let st = &mut self.stations[n];
        let before = st.out.len().saturating_sub(len);
        let Some((frames, _)) = self.scratch.split_at_mut_checked(before + len).filter(|_| !st.blocked) else {
            return;
        };
        self.pool.copy(&st.out, frames);
        self.pool.clear(&mut st.out);
        frames.rotate_left(before);
        // it was all in there before
        let _ = self.pool.push(&mut st.out, frames);
    }
}

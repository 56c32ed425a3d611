//! One number for everything that can happen to a connection, a frame or a message.
//!
//! Owns: the list of counters, their stable names and their explanation. A reason that is
//! not counted here cannot be seen from outside.

macro_rules! counters {
    ($($(#[$if:meta])? $variant:ident $name:literal $help:literal,)*) => {
        /// What is counted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        pub enum Counter { $($(#[$if])? #[doc = $help] $variant,)* }

        impl Counter {
            /// All of them, in a stable order.
            pub const ALL: &'static [Counter] = &[$($(#[$if])? Counter::$variant,)*];

            /// A stable name in snake case.
            pub const fn name(self) -> &'static str {
                match self { $($(#[$if])? Counter::$variant => $name,)* }
            }

            /// What it counts.
            pub const fn help(self) -> &'static str {
                match self { $($(#[$if])? Counter::$variant => $help,)* }
            }
        }

        const COUNT: usize = Counter::ALL.len();
    };
}

counters! {
    Admitted "stations_admitted" "Connections taken",
    RefusedFull "stations_refused_full" "Connections refused because the table of stations is full",
    Introduced "stations_introduced" "Stations that said hello and were welcome",
    ClosedGoodbye "closed_goodbye" "Stations that said goodbye",
    ClosedLost "closed_lost" "Stations whose connection ended or broke",
    ClosedSilent "closed_silent" "Stations closed because nothing was heard for too long",
    ClosedNotIntroduced "closed_not_introduced" "Connections closed because they did not say hello in time",
    ClosedCredentials "closed_bad_credentials" "Connections closed for a wrong user or token, or for none where one is needed",
    #[cfg(feature = "later")]
    ClosedUnchecked "closed_unchecked" "Connections closed because their credentials could not be looked at: too many at once, or after too many wrong ones",
    ClosedMalformed "closed_malformed" "Stations closed for frames that cannot be understood",
    ClosedDenied "closed_denied" "Stations closed because they were refused a name and could not be told",
    #[cfg(feature = "clacks")]
    ClosedDismissed "closed_dismissed" "Connections ended by who manages the node",
    #[cfg(feature = "clacks")]
    ClosedLinkRefused "closed_link_refused" "Links to a server that refuses this node's user, its password, or its right to link",
    #[cfg(feature = "clacks")]
    ClosedLinkLoop "closed_link_loop" "Links that led back to this node",
    ClosedSlow "closed_slow" "Stations closed because they did not read",
    ClosedMemory "closed_no_memory" "Stations closed because there was no memory for a half frame or for what they had to be told",
    ClosedStopping "closed_stopping" "Stations closed because the node stopped",
    BytesIn "bytes_in" "Octets received",
    BytesOut "bytes_out" "Octets taken by transports",
    FramesIn "frames_in" "Whole frames received",
    FramesOut "frames_out" "Whole frames put into outboxes",
    Pings "pings" "Signs of life that were answered",
    Malformed "frames_malformed" "Frames that could not be understood",
    TooBig "frames_too_big" "Frames longer than the limit, stepped over",
    NotIntroduced "frames_before_hello" "Requests before hello",
    BadRequest "requests_bad" "Requests that make no sense, or whose names are invalid",
    Refused "requests_refused" "Requests without a grant",
    NameTaken "joins_refused_taken" "Joins refused because of an exclusive membership",
    TableFull "requests_refused_full" "Requests refused because a table or a station's share of it is full",
    Letters "letters" "Messages accepted for routing",
    Deliveries "deliveries" "Copies of messages put into outboxes",
    NoRecipient "letters_no_recipient" "Messages without any recipient",
    DroppedSlow "dropped_outbox_full" "Copies dropped because the recipient's outbox is full",
    DroppedMemory "dropped_no_memory" "Copies dropped because memory common to all is short",
    DroppedTooBig "dropped_too_big" "Copies dropped because the recipient cannot take frames that long",
    DroppedOrder "dropped_behind_mail" "Copies dropped because they would have overtaken waiting mail",
    Asks "asks" "Messages that wanted an answer and found a recipient",
    Answered "asks_answered" "Answers handed to who asked",
    AskNoRecipient "asks_no_recipient" "Askers told that there is no recipient",
    AskBusy "asks_recipient_busy" "Askers told that no recipient takes the message",
    NotAsked "asks_members_full" "Members that a question was not put to because the table of debts, or the asker's half of it, is full",
    AskLeft "asks_recipient_left" "Askers told that the last recipient left",
    AskTimedOut "asks_timed_out" "Askers told that no answer came in time",
    AskerGone "asks_asker_gone" "Questions dropped because the asker left",
    StrayAnswers "answers_stray" "Answers to no open question: late, second or made up",
    MailKept "mail_kept" "Messages kept for an absent name",
    MailDelivered "mail_delivered" "Kept messages delivered",
    MailExpired "mail_expired" "Kept messages that expired",
    MailForgotten "mail_forgotten" "Kept messages dropped with the declaration of their name",
    #[cfg(feature = "durable")]
    MailRestored "mail_restored" "Kept messages that an earlier life of the node has left",
    #[cfg(feature = "durable")]
    MailUnsaved "mail_in_memory_only" "Kept messages that a restart would lose, because the disk is behind",
    ValuesRead "values_read" "Values asked for and found",
    ValuesMissed "values_missed" "Values asked for and not found",
    ValuesChanged "values_changed" "Values set, added to or removed",
    #[cfg(feature = "durable")]
    ValuesRefused "values_refused_disk" "Changes of values refused because the disk fails or is behind",
    #[cfg(feature = "durable")]
    Flushes "flushes" "Flushes that were answered: what was changed before is on disk",
    #[cfg(feature = "durable")]
    FlushesFailed "flushes_failed" "Flushes that were answered: it is not, or it takes too long",
    #[cfg(feature = "clacks")]
    ValuesForgotten "values_forgotten" "Values forgotten because nobody asked for them for too long",
    #[cfg(feature = "clacks")]
    ValuesMerged "values_merged" "Changes of values taken over from linked nodes",
    #[cfg(feature = "clacks")]
    ValuesOlder "values_older" "Changes of values from linked nodes that are no newer than what is here",
    #[cfg(feature = "clacks")]
    Uncrossed "links_unsayable" "Changes and signals that a link has no words for",
    #[cfg(feature = "clacks")]
    UnknownLines "lines_unknown" "Lines of Clacks that are no command",
    #[cfg(feature = "communicator")]
    DatagramsDropped "datagrams_dropped" "Datagrams of the Communicator dropped: too long, without the secret, or a command that needs a stream",
    #[cfg(feature = "communicator")]
    Unanswerable "datagrams_unanswered" "Answers to datagrams of the Communicator, which nobody can be given",
    #[cfg(feature = "communicator")]
    UnknownCommands "commands_unknown" "Commands of the Communicator, sent to the server, that it does not know",
    #[cfg(feature = "sniff")]
    Sights "monitor_shown" "Messages shown to stations that monitor",
    #[cfg(feature = "sniff")]
    SightsMissed "monitor_missed" "Messages not shown to stations that monitor because they read too slowly, or memory is short",
    FlagsRaised "flags_raised" "Flags raised or raised anew",
    FlagsLowered "flags_lowered" "Flags lowered",
    Told "presence_told" "Changes of presence and flags told to watchers",
}

/// A number for each [`Counter`]; they never go down.
#[derive(Debug, Clone)]
pub struct Counters([u64; COUNT]);

impl Counters {
    pub(crate) const fn new() -> Self {
        Counters([0; COUNT])
    }

    /// The number.
    pub const fn get(&self, c: Counter) -> u64 {
        self.0[c as usize]
    }

    #[inline]
    pub(crate) fn add(&mut self, c: Counter, n: u64) {
        self.0[c as usize] = self.0[c as usize].wrapping_add(n);
    }

    #[inline]
    pub(crate) fn one(&mut self, c: Counter) {
        self.add(c, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_different_and_well_formed() {
        for (i, a) in Counter::ALL.iter().enumerate() {
            assert_eq!(*a as usize, i);
            assert!(a.name().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
            assert!(Counter::ALL[i + 1..].iter().all(|b| b.name() != a.name()));
        }
    }
}

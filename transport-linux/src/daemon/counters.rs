//! What the shell counts: everything about sockets that the router cannot see.
//!
//! Owns: one number for each reason. The router's own counters are in `chappe-core`.

macro_rules! counters {
    ($($field:ident $help:literal,)*) => {
        /// Numbers since the start.
        #[derive(Debug, Default, Clone, Copy)]
        pub(super) struct Counts { $(#[doc = $help] pub(super) $field: u64,)* }

        impl Counts {
            /// Name, help and value of each.
            pub(super) fn each(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($field), $help, self.$field),)*].into_iter()
            }
        }
    };
}

counters! {
    accepted "connections accepted",
    refused_full "connections refused because there was no room for another station",
    refused_descriptors "connections refused because file descriptors had run out",
    accept_failures "attempts to accept that failed for another reason",
    accept_pauses "times a listener rested because nothing could be accepted",
    reads "reads from connections",
    read_bytes "bytes read from connections and datagrams",
    writes "writes to connections",
    written_bytes "bytes written to connections and datagrams",
    blocked "writes that a connection did not take whole",
    datagrams_received "datagrams taken",
    datagrams_sent "datagrams sent",
    datagrams_refused "datagrams from new sources when there was no room for another",
    datagrams_too_long "datagrams, in or out, longer than a frame or a datagram may be",
    datagrams_lost "datagrams that the system did not take",
    datagrams_early "datagrams of sources whose password was being looked at, dropped",
    held_too_much "stations closed for want of memory for what they said while they had to wait",
    tls_handshakes "TLS handshakes that got through",
    tls_failed "TLS handshakes that failed: no common version, no good certificate, garbage",
    tls_missing "connections without TLS to listeners that want it",
    tls_late "TLS handshakes that took too long",
    tls_crowded "TLS handshakes that were ended because too many were under way",
    tls_ended "connections that ended in their TLS handshake",
    tls_broken "TLS connections that ended because what came was no good record",
    tls_unexpected "connections that began with TLS at listeners without it",
    link_attempts "attempts to reach the master",
    link_failures "attempts to reach the master that failed before it was linked",
    link_refusals "links that the master refused, or that were refused because of who it is",
    link_ups "times the link to the master came up",
    link_syncs "times all values of the master were there",
    link_downs "times the link to the master went down",
    passwords_right "passwords that were looked at and found right",
    passwords_remembered "passwords that had been found right before",
    passwords_wrong "passwords that were looked at and found wrong, or of nobody, and wrong tokens",
    passwords_refused "passwords that were not looked at, after too many wrong ones",
    discovery_questions "datagrams that came to be asked where this node is",
    discovery_answers "answers to those",
    discovery_far "questions from outside of the local network",
    discovery_malformed "datagrams that were no questions, or none that may be answered",
    discovery_for_others "questions for another node",
    discovery_source_limit "questions of sources that were answered often enough",
    discovery_limit "questions when enough of everybody's were answered",
    discovery_nothing "questions of who could reach nothing of what it wants",
    discovery_unsent "answers that the system did not take",
    serial_opened "times a serial line was opened",
    serial_failures "times a serial line could not be opened, or broke",
    turns "turns of the event loop",
    standstills "times this process had not run when it should have",
    reloads "times the configuration was read again and taken",
    reload_failures "times the configuration was read again and refused",
}

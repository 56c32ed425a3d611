//! The thread in which passwords are looked at: that takes tens of milliseconds and megabytes
//! on purpose.
//!
//! Owns: the thread and the two queues to it. There is one thread, so whoever tries
//! passwords costs one processor at most, and room for one password in either queue, because
//! the next is sent when the last is done. Does not own whose turn it is (`sign_in`).

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use mio::Waker;
use zeroize::Zeroizing;

use crate::password::Hashed;

/// A password and what it has to be that of.
pub(super) struct Job {
    /// Comes back with the answer.
    pub(super) number: u64,
    pub(super) secret: Arc<Zeroizing<Vec<u8>>>,
    pub(super) hash: Arc<Hashed>,
}

/// The answer to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) number: u64,
    pub(super) is_right: bool,
}

/// The loop's end of both queues.
#[derive(Debug)]
pub(super) struct Verifier {
    jobs: SyncSender<Job>,
    done: Receiver<Done>,
}

impl Verifier {
    /// Starts the thread. It wakes the loop when it has an answer.
    pub(super) fn start(waker: Arc<Waker>) -> io::Result<Verifier> {
        let (jobs, inbox) = sync_channel::<Job>(1);
        let (answers, done) = sync_channel(1);
        std::thread::Builder::new().name("chappe-verify".into()).spawn(move || {
            while let Ok(Job { number, secret, hash }) = inbox.recv() {
                let is_right = hash.is_of(&secret);
                drop(secret);
                if answers.send(Done { number, is_right }).is_err() {
                    return;
                }
                // If the loop cannot be woken it finds the answer at its next turn.
                let _ = waker.wake();
            }
        })?;
        Ok(Verifier { jobs, done })
    }

    /// Hands over the next job, after the last one's answer was taken. `false`: the thread is
    /// gone.
    pub(super) fn begin(&self, job: Job) -> bool {
        self.jobs.try_send(job).is_ok()
    }

    /// An answer, if there is one.
    pub(super) fn take(&self) -> Option<Done> {
        self.done.try_recv().ok()
    }
}

//! The thread that writes flags to files and looks what others have written, and what it and the
//! event loop have in common.
//!
//! Owns: what waits for either side, and the order of the two: a change on the bus that the loop has
//! handed over is newer than whatever was found before, so what was found of that flag and not
//! taken yet is dropped, and what is found while a change waits to be written, too. Either side holds
//! the lock only to move a few words.
//!
//! There is one entry for each flag on either side, however often it changes. What has no room
//! stays in the router's table until there is some. When a file cannot be written its change goes
//! on waiting, and it is tried again every second.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chappe_core::router::flags::RaisedFlag;
use tracing::{error, info, warn};

use super::bus::file_of;
use super::file::FlagFile;
use super::files::{Files, Found, Look};
use super::folder::Folder;
use super::name::FlagName;

/// Changes of the bus that may wait for the disk.
const QUEUE: usize = 1024;

/// How often the folder is looked through.
pub(crate) const EVERY: Duration = Duration::from_secs(1);

/// What the daemon says about its flags in files.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) folder: Folder,
    /// Who writes files.
    pub(crate) hostname: String,
    /// Most flags in files.
    pub(crate) most: usize,
    /// How often the folder is looked through.
    pub(crate) every: Duration,
}

/// What is counted since the start.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Files written.
    pub(crate) written: u64,
    /// Files removed.
    pub(crate) removed: u64,
    /// Files that could not be written or removed, and looks through the folder that failed.
    pub(crate) failures: u64,
    /// Files of others that were read because they were new or had changed, or are gone.
    pub(crate) found: u64,
    /// Files that are no flags.
    pub(crate) bad: u64,
    /// Flags in files now.
    pub(crate) files: u64,
}

/// What the loop has to know.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// What others have done, in no order: one entry for each flag. `None`: its file is gone.
    pub(crate) found: Vec<(FlagName, Option<Box<FlagFile>>)>,
    /// What is wrong with the disk.
    pub(crate) trouble: Option<String>,
    /// There are more files than there may be flags.
    pub(crate) more: bool,
}

#[derive(Debug, Default)]
struct State {
    /// What has changed on the bus. `None`: lowered.
    pending: BTreeMap<FlagName, Option<Box<FlagFile>>>,
    /// How many changes the thread is at work on.
    in_hand: usize,
    /// Something of it is to be written at once.
    hurry: bool,
    /// What has changed in files.
    found: BTreeMap<FlagName, Option<Box<FlagFile>>>,
    /// What is wrong with writing, and with looking.
    write_trouble: Option<String>,
    look_trouble: Option<String>,
    more: bool,
    closing: bool,
    ended: bool,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// There is something to do for the thread.
    work: Condvar,
    /// The thread has done something.
    done: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // whoever panicked with it left nothing half done: every change of it is one step
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The event loop's end.
#[derive(Debug)]
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    hostname: String,
}

impl Keeper {
    /// Takes over a flag that has changed on the bus. `false`: there is no room; the thread says so
    /// when there is.
    pub(crate) fn put(&self, row: &RaisedFlag) -> bool {
        let Some(file) = file_of(row, &self.hostname) else { return true };
        let name = file.name.clone();
        let mut state = self.shared.lock();
        if state.pending.len() + state.in_hand >= QUEUE && !state.pending.contains_key(&name) {
            return false;
        }
        state.found.remove(&name);
        state.pending.insert(name, row.is_up().then(|| Box::new(file)));
        if !row.is_only_again() && !state.hurry {
            state.hurry = true;
            self.shared.work.notify_one();
        }
        true
    }

    /// What is new.
    pub(crate) fn news(&self) -> News {
        let mut state = self.shared.lock();
        News {
            found: std::mem::take(&mut state.found).into_iter().collect(),
            trouble: state.write_trouble.clone().or_else(|| state.look_trouble.clone()),
            more: state.more,
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.shared.lock().counts
    }

    /// How many changes are not in files yet.
    pub(crate) fn waiting(&self) -> usize {
        let state = self.shared.lock();
        state.pending.len() + state.in_hand
    }

    /// Nothing more will change but what is put while this returns: all of it is to be written.
    pub(crate) fn close(&self) {
        self.shared.lock().closing = true;
        self.shared.work.notify_one();
    }

    /// Waits until the thread has ended, at most so long; returns whether it has.
    pub(crate) fn wait(&self, patience: Duration) -> bool {
        let wait = self.shared.done.wait_timeout_while(self.shared.lock(), patience, |state| !state.ended);
        let (state, _) = wait.unwrap_or_else(PoisonError::into_inner);
        state.ended
    }

    /// Waits for room, at most so long.
    pub(crate) fn wait_for_room(&self, patience: Duration) {
        let is_full = |state: &mut State| state.pending.len() + state.in_hand >= QUEUE && !state.ended;
        drop(self.shared.done.wait_timeout_while(self.shared.lock(), patience, is_full));
    }
}

/// Makes the folder if it is not there, reads it, and starts the thread. `tell` is called from there
/// when the loop should look at [`Keeper::news`], or there is room again.
///
/// A folder that cannot be made or read stops nobody: that is trouble, and it is tried again.
pub(crate) fn open(settings: Settings, tell: impl Fn() + Send + 'static) -> io::Result<Keeper> {
    let Settings { folder, hostname, most, every } = settings;
    let shared = Arc::new(Shared::default());
    let path = folder.path().display().to_string();
    let mut worker =
        Worker { shared: shared.clone(), files: Files::new(folder, most), is_given: true, most, every, tell };
    match worker.files.folder().make() {
        Ok(true) => info!(event = "flags.created", folder = path, "there was no folder of flags: it begins empty"),
        Ok(false) => {}
        Err(e) => worker.fail(Side::Look, &e.to_string()),
    }
    worker.look(SystemTime::now());
    let flags = shared.lock().found.len();
    info!(event = "flags.open", folder = path, flags, "flags are in files");
    std::thread::Builder::new().name("chappe-flags".into()).spawn(move || worker.run())?;
    Ok(Keeper { shared, hostname })
}

/// What it is that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Write,
    Look,
}

/// The thread.
struct Worker<T> {
    shared: Arc<Shared>,
    files: Files,
    /// Whether files belonged to whom they should, the last time.
    is_given: bool,
    most: usize,
    every: Duration,
    tell: T,
}

impl<T: Fn()> Worker<T> {
    fn run(mut self) {
        let mut next = Instant::now() + self.every;
        loop {
            let is_last = self.wait(next);
            self.write();
            if is_last {
                break;
            }
            if Instant::now() >= next {
                self.look(SystemTime::now());
                next = Instant::now() + self.every;
            }
        }
        self.shared.lock().ended = true;
        self.shared.done.notify_all();
        (self.tell)();
    }

    /// Until something is to be written at once, it is time to look, or to end.
    fn wait(&self, next: Instant) -> bool {
        let patience = next.saturating_duration_since(Instant::now());
        let is_idle = |state: &mut State| !state.hurry && !state.closing;
        let wait = self.shared.work.wait_timeout_while(self.shared.lock(), patience, is_idle);
        let (mut state, _) = wait.unwrap_or_else(PoisonError::into_inner);
        state.hurry = false;
        state.closing
    }

    /// Writes all that waits. What cannot be written goes on waiting.
    fn write(&mut self) {
        let batch = {
            let mut state = self.shared.lock();
            if state.pending.is_empty() && state.write_trouble.is_none() {
                return;
            }
            state.in_hand = state.pending.len();
            std::mem::take(&mut state.pending)
        };
        let now = UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        let (mut left, mut why, mut written, mut removed) = (Vec::new(), None, 0, 0);
        let mut note = |file: String, e: &io::Error| {
            why.get_or_insert_with(|| format!("{file}: {e}"));
        };
        let mut raised = Vec::new();
        for (name, change) in batch {
            match change {
                Some(flag) => raised.push(*flag),
                None => match self.files.lower(&name) {
                    Ok(()) => removed += 1,
                    Err(e) => {
                        note(name.file_name(), &e);
                        left.push((name, None));
                    }
                },
            }
        }
        let done = self.files.raise(&raised, now);
        for (flag, result) in raised.into_iter().zip(done) {
            match result {
                Ok(is_given) => {
                    written += 1;
                    self.note_owner(is_given);
                }
                Err(e) => {
                    note(flag.name.file_name(), &e);
                    left.push((flag.name.clone(), Some(Box::new(flag))));
                }
            }
        }
        let mut failures = left.len() as u64;
        if let Err(e) = self.files.folder().sync()
            && left.is_empty()
        {
            failures += 1;
            why = Some(e.to_string());
        }
        let mut state = self.shared.lock();
        state.in_hand = 0;
        for (name, change) in left {
            // what has come meanwhile is newer
            state.pending.entry(name).or_insert(change);
        }
        state.counts.written += written;
        state.counts.removed += removed;
        state.counts.failures += failures;
        state.counts.files = self.files.len() as u64;
        drop(state);
        match why {
            Some(why) => self.fail(Side::Write, &why),
            None => self.works(Side::Write),
        }
        self.shared.done.notify_all();
        (self.tell)();
    }

    fn note_owner(&mut self, is_given: bool) {
        if self.is_given && !is_given {
            warn!(
                event = "flags.owner",
                folder = %self.files.folder().path().display(),
                "the system does not let this user give files to [flags] user and group: they stay its own"
            );
        }
        self.is_given = is_given;
    }

    /// Looks what others have done.
    fn look(&mut self, now: SystemTime) {
        let look = match self.files.look(now) {
            Ok(look) => look,
            Err(e) => {
                self.shared.lock().counts.failures += 1;
                self.fail(Side::Look, &e.to_string());
                return;
            }
        };
        self.works(Side::Look);
        let Look { found, bad, more } = look;
        for (file, why) in &bad {
            let file = self.files.folder().path().join(file);
            warn!(event = "flags.bad_file", file = %file.display(), detail = why, "this is no flag: it is passed over");
        }
        let mut state = self.shared.lock();
        state.counts.bad += bad.len() as u64;
        state.counts.found += found.len() as u64;
        state.counts.files = self.files.len() as u64;
        let is_news = !found.is_empty() || state.more != more;
        if more && !state.more {
            let most = self.most;
            warn!(
                event = "flags.too_many",
                most, "there are more files of flags than there may be: some are not shown"
            );
        }
        state.more = more;
        for found in found {
            let (name, change) = match found {
                Found::Up(flag) => (flag.name.clone(), Some(flag)),
                Found::Down(name) => (name, None),
            };
            // What waits to be written is newer, and will be.
            if !state.pending.contains_key(&name) {
                state.found.insert(name, change);
            }
        }
        drop(state);
        if is_news {
            (self.tell)();
        }
    }

    fn fail(&self, side: Side, why: &str) {
        let mut state = self.shared.lock();
        let trouble = state.trouble(side);
        let is_new = trouble.is_none();
        *trouble = Some(why.to_owned());
        drop(state);
        if is_new {
            let folder = self.files.folder().path().display();
            let (event, text) = match side {
                Side::Write => {
                    ("flags.failed", "flags cannot be written: their files are older than they are until it works")
                }
                Side::Look => ("flags.unread", "flags cannot be read: what others do is not seen until it works"),
            };
            error!(event, %folder, detail = why, "{text}");
            (self.tell)();
        }
    }

    fn works(&self, side: Side) {
        if self.shared.lock().trouble(side).take().is_some() {
            let folder = self.files.folder().path().display();
            let event = match side {
                Side::Write => "flags.recovered",
                Side::Look => "flags.read_again",
            };
            info!(event, %folder, "it works again: nothing was lost");
            (self.tell)();
        }
    }
}

impl State {
    fn trouble(&mut self, side: Side) -> &mut Option<String> {
        match side {
            Side::Write => &mut self.write_trouble,
            Side::Look => &mut self.look_trouble,
        }
    }
}

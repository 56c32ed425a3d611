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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use chappe_core::router::flags::kept::Record;
    use chappe_core::router::flags::{Flags, Raise};

    use super::*;

    /// Both ends, without a thread: the test says whose turn it is.
    struct Ends<T> {
        keeper: Keeper,
        worker: Worker<T>,
        place: tempfile::TempDir,
    }

    fn ends<T: Fn()>(tell: T) -> Ends<T> {
        // in memory if there is such a place: a thousand files have to be on disk
        let place = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let shared = Arc::new(Shared::default());
        let files = Files::new(Folder::new(place.path()), 4096);
        let worker = Worker { shared: shared.clone(), files, is_given: true, most: 4096, every: EVERY, tell };
        Ends { keeper: Keeper { shared, hostname: "here".into() }, worker, place }
    }

    impl<T: Fn()> Ends<T> {
        /// Long after whatever was done.
        fn look(&mut self) {
            self.worker.look(SystemTime::now() + Duration::from_secs(1));
        }

        fn by_hand(&self, name: &str, message: &str) {
            let text = format!("unit=u\nsection=s\nname={name}\nmessage={message}\n");
            fs::write(self.place.path().join(format!("u_s_{name}.flag")), text).unwrap();
        }

        fn message(&self, name: &str) -> Option<String> {
            Some(self.worker.files.folder().read(&format!("u_s_{name}.flag")).ok()?.0.message)
        }

        fn found(&self) -> Vec<String> {
            self.keeper.news().found.into_iter().map(|(name, _)| name.to_string()).collect()
        }
    }

    /// What the router's table would hand over.
    fn put(keeper: &Keeper, name: &str, description: &str, is_up: bool) -> bool {
        let mut rows: heapless::Vec<RaisedFlag, 2> = heapless::Vec::new();
        let mut table = Flags::new(&mut rows, 2);
        table.keep();
        let (unit, section, record) = ("u", "s", Record::default());
        let flag =
            Raise { unit, section, name, description, priority: 5, tags: "", manual_down: false, station: 1, record };
        table.raise(&flag, chappe_core::time::Instant::ZERO).unwrap();
        if !is_up {
            table.lower(unit, section, name, false).unwrap();
        }
        keeper.put(table.changed().unwrap())
    }

    #[test]
    fn what_the_bus_has_changed_since_counts() {
        let mut ends = ends(|| {});
        ends.by_hand("a", "theirs");
        ends.look();
        // handed over after it was found, and before it was taken
        assert!(put(&ends.keeper, "a", "ours", true));
        assert!(ends.found().is_empty());
        ends.worker.write();
        assert_eq!(ends.message("a").as_deref(), Some("ours"));
        // found while ours waits to be written
        assert!(put(&ends.keeper, "a", "ours again", true));
        ends.by_hand("a", "theirs again");
        ends.look();
        assert!(ends.found().is_empty());
        ends.worker.write();
        assert_eq!(ends.message("a").as_deref(), Some("ours again"));
        ends.look();
        assert!(ends.found().is_empty(), "nobody is told of what we wrote");
        // and what comes later is news
        ends.by_hand("a", "last");
        ends.look();
        assert_eq!(ends.found(), ["u/s/a"]);
    }

    #[test]
    fn only_the_last_of_many_changes_is_written() {
        let mut ends = ends(|| {});
        for n in 0..5 {
            assert!(put(&ends.keeper, "a", &n.to_string(), true));
        }
        assert!(put(&ends.keeper, "b", "", true) && put(&ends.keeper, "b", "", false));
        assert_eq!(ends.keeper.waiting(), 2);
        ends.worker.write();
        let counts = ends.keeper.counts();
        assert_eq!((counts.written, counts.removed, counts.failures, ends.keeper.waiting()), (1, 1, 0, 0));
        assert_eq!(ends.message("a").as_deref(), Some("4"));
    }

    #[test]
    fn what_cannot_be_written_waits_and_newer_is_not_lost() {
        let told = AtomicUsize::new(0);
        let mut ends = ends(|| {
            told.fetch_add(1, Ordering::Relaxed);
        });
        // in the way of one flag: that one alone cannot be written
        let block = ends.place.path().join("u_s_a.flag.tmp");
        fs::create_dir(&block).unwrap();
        assert!(put(&ends.keeper, "a", "one", true) && put(&ends.keeper, "b", "two", true));
        ends.worker.write();
        assert_eq!((ends.keeper.waiting(), ends.message("b").as_deref()), (1, Some("two")));
        let trouble = ends.keeper.news().trouble.unwrap();
        assert!(trouble.starts_with("u_s_a.flag: "), "{trouble}");
        assert!(put(&ends.keeper, "a", "newer", true));
        ends.worker.write();
        assert_eq!((ends.keeper.waiting(), ends.keeper.counts().failures), (1, 2));
        fs::remove_dir(&block).unwrap();
        ends.worker.write();
        assert_eq!((ends.keeper.waiting(), ends.message("a").as_deref()), (0, Some("newer")));
        assert_eq!(ends.keeper.news().trouble, None);
        drop(ends);
        assert!(told.load(Ordering::Relaxed) >= 3);
    }

    #[test]
    fn there_is_an_end_to_what_may_wait_d12() {
        let mut ends = ends(|| {});
        for n in 0..QUEUE {
            assert!(put(&ends.keeper, &format!("n{n}"), "", true));
        }
        assert!(!put(&ends.keeper, "more", "", true), "the router keeps it");
        assert!(put(&ends.keeper, "n0", "again", true), "one that waits already has its place");
        ends.worker.write();
        assert!(put(&ends.keeper, "more", "", true));
    }

    #[test]
    fn a_folder_that_cannot_be_read_is_trouble_until_it_can() {
        let mut ends = ends(|| {});
        ends.by_hand("a", "x");
        ends.look();
        let (path, aside) = (ends.place.path().to_owned(), ends.place.path().with_extension("aside"));
        fs::rename(&path, &aside).unwrap();
        fs::write(&path, "no folder").unwrap();
        ends.look();
        ends.look();
        assert!(ends.keeper.news().trouble.is_some());
        fs::remove_file(&path).unwrap();
        fs::rename(&aside, &path).unwrap();
        ends.look();
        let news = ends.keeper.news();
        assert_eq!((news.trouble, news.found.len(), ends.worker.files.len()), (None, 0, 1), "nothing was lowered");
    }
}

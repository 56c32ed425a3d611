//! Log lines: their form, their level, and where they go.
//!
//! Owns: a thread that writes lines to standard error or a file, behind a bounded queue, so
//! that a full disk or a stalled pipe costs lines (counted), not messages. Does not own
//! what is logged. Each line carries a field `event` that is stable.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};

use crate::config::{Level, Log as Settings, LogFormat};

/// Lines that may wait for the disk.
const QUEUE: usize = 4096;

/// How long the end of the process waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

enum Order {
    Line(Vec<u8>),
    Target(Option<Target>),
    Reopen,
    Flush(SyncSender<()>),
}

/// A file that lines go to.
struct Target {
    path: PathBuf,
    file: File,
    /// It ends in half a line: the disk was full.
    is_torn: bool,
}

/// The handle on the log of this process.
#[derive(Debug)]
pub(super) struct Log {
    level: reload::Handle<LevelFilter, Registry>,
    queue: Queue,
}

#[derive(Debug, Clone)]
struct Queue {
    orders: SyncSender<Order>,
    dropped: Arc<AtomicU64>,
}

/// One line on its way into the queue.
struct Line<'q>(&'q Queue);

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(TrySendError::Full(_)) = self.0.orders.try_send(Order::Line(bytes.to_vec())) {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'q> MakeWriter<'q> for Queue {
    type Writer = Line<'q>;
    fn make_writer(&'q self) -> Line<'q> {
        Line(self)
    }
}

impl Log {
    /// Starts the log of this process. An error says which file cannot be written.
    pub(super) fn start(settings: &Settings) -> Result<Log, String> {
        let target = open(settings)?;
        let (orders, inbox) = sync_channel(QUEUE);
        let queue = Queue { orders, dropped: Arc::default() };
        std::thread::Builder::new()
            .name("chappe-log".into())
            .spawn({
                let dropped = queue.dropped.clone();
                move || write_lines(&inbox, target, &dropped)
            })
            .map_err(|e| format!("the log's thread cannot be started: {e}"))?;
        let (level, handle) = reload::Layer::new(filter(settings.level));
        let lines = tracing_subscriber::fmt::layer().with_target(false).with_ansi(false).with_writer(queue.clone());
        let lines: Box<dyn Layer<_> + Send + Sync> = match settings.format {
            LogFormat::Text => Box::new(lines),
            LogFormat::Json => {
                Box::new(lines.json().flatten_event(true).with_current_span(false).with_span_list(false))
            }
        };
        // A second subscriber in one process can only be a test's: the first one stays.
        let _ = tracing_subscriber::registry().with(level).with(lines).try_init();
        Ok(Log { level: handle, queue })
    }

    /// Takes over level and file; the form stays until the next start.
    pub(super) fn change(&self, settings: &Settings) -> Result<(), String> {
        let target = open(settings)?;
        self.level.modify(|level| *level = filter(settings.level)).map_err(|e| e.to_string())?;
        self.queue.orders.try_send(Order::Target(target)).map_err(|_| "the log's queue is full; try again".to_owned())
    }

    /// Opens the file anew, which somebody may have moved away, in the log's own thread. If it
    /// cannot be opened the old one goes on, and says so.
    pub(super) fn reopen(&self) -> Result<(), String> {
        self.queue.orders.try_send(Order::Reopen).map_err(|_| "the log's queue is full; try again".to_owned())
    }

    /// Lines that found the queue full, or a file that cannot be written: the latter went to standard error.
    pub(super) fn dropped(&self) -> u64 {
        self.queue.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let (done, all_written) = sync_channel(1);
        if self.queue.orders.try_send(Order::Flush(done)).is_ok() {
            let _ = all_written.recv_timeout(LAST_LINES);
        }
    }
}

fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Off => LevelFilter::OFF,
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    }
}

fn open(settings: &Settings) -> Result<Option<Target>, String> {
    settings.file.as_ref().map(|file| Target::open(file.as_path())).transpose()
}

impl Target {
    fn open(path: &Path) -> Result<Target, String> {
        let file = OpenOptions::new().append(true).create(true).open(path);
        let file = file.map_err(|e| format!("log.file: {} cannot be written: {e}", path.display()))?;
        Ok(Target { path: path.to_owned(), file, is_torn: false })
    }

    /// A line, whole or with an error.
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.is_torn {
            self.file.write_all(b"\n")?;
            self.is_torn = false;
        }
        let mut rest = line;
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(n) if n > 0 => rest = &rest[n..],
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                failed => {
                    self.is_torn = rest.len() < line.len();
                    return failed.and(Err(io::ErrorKind::WriteZero.into()));
                }
            }
        }
        Ok(())
    }
}

fn write_lines(inbox: &Receiver<Order>, mut target: Option<Target>, dropped: &AtomicU64) {
    while let Ok(order) = inbox.recv() {
        match order {
            Order::Line(line) => {
                if let Some(target) = &mut target {
                    if target.write(&line).is_ok() {
                        continue;
                    }
                    dropped.fetch_add(1, Ordering::Relaxed);
                }
                // There is nobody left to tell that this cannot be written either.
                let _ = io::stderr().write_all(&line);
            }
            Order::Target(other) => target = other,
            // lines about it wait behind those that are here already, as any other
            Order::Reopen => match target.as_ref().map(|target| Target::open(&target.path)) {
                Some(Ok(anew)) => {
                    target = Some(anew);
                    tracing::info!(event = "log.reopened", "the log goes on in its file, opened anew");
                }
                Some(Err(e)) => tracing::error!(event = "log.not_reopened", "the log stays where it was: {e}"),
                None => {}
            },
            Order::Flush(done) => {
                let _ = done.try_send(());
            }
        }
    }
}

//! The daemon: one thread around one epoll set.
//!
//! [`serve`] reads the configuration, opens what it names and runs `event_loop` until a
//! signal ends it. Nothing in that thread blocks but waiting in epoll: log lines, the
//! counters' page, values and flags on their way to the disk and reading the configuration again have
//! threads of their own behind bounded queues.
//!
//! | file | owns |
//! |---|---|
//! | `args`, `load` | the command line of `serve` and `check-config`; where the configuration comes from |
//! | `b10_msgq` | the daemon in the place of BIND 10's own, when it is called by that name |
//! | `event_loop` | waiting, turns, timers; what comes in (`doors`, `handshakes`, `lines`, `sign_ins`, `held`, `found`); who is called (`master`); what programs of the Communicator need (`communicator`); drain and reload (`control`) |
//! | `connection`, `secure`, `serial` | reading and writing a stream; TLS in between; serial lines |
//! | `master` | the server that this one is a slave of |
//! | `peers`, `ready` | which connection a station is; who still has work |
//! | `listener` | opening, adopting and removing what accepts |
//! | `discovery` | being found by those who know no address |
//! | `gate` | users, secrets and their rights |
//! | `sign_in`, `verifier` | whose password is looked at when; the thread that does |
//! | `memory`, `values`, `flags` | the router's tables; the store of values, on disk or not; flags in files |
//! | `words` | what is said to those who are not let in |
//! | `log`, `metrics`, `greeting`, `counters` | what people and machines see |

mod args;
mod b10_msgq;
mod connection;
mod counters;
mod discovery;
mod event_loop;
mod flags;
mod gate;
mod greeting;
mod listener;
mod load;
mod log;
mod master;
mod memory;
mod metrics;
mod peers;
mod ready;
mod secure;
mod serial;
mod sign_in;
mod values;
mod verifier;
mod words;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use chappe_core::router::{Router, Settings};
use mio::{Poll, Waker};
use sd_notify::NotifyState;
use tracing::{info, warn};

pub use args::{CheckArgs, Overrides, ServeArgs};
pub use b10_msgq::called_as_b10_msgq;
pub(crate) use load::host_name;
pub(crate) use memory::MAX_VALUES;
pub use memory::{MAX_FRAME, MAX_STATIONS};

use crate::config::Config;
use crate::sys;
use load::Source;

/// What Welcome and lists call this software.
const VERSION: &str = concat!("chappe ", env!("CARGO_PKG_VERSION"));

/// Exit status of a configuration that is refused: EX_CONFIG of sysexits.h, which systemd
/// units can tell from a crash.
const BAD_CONFIG: u8 = 78;

/// Exit status of a file of values that cannot be read: EX_DATAERR. Starting again would not
/// help.
const DAMAGED: u8 = 65;

/// `chappe serve`. Returns when the daemon has drained after SIGTERM or SIGINT (0), when the
/// configuration is refused (78), when something that it names cannot be opened (1) or is
/// damaged (65), or when values could not be written at the end (1); the reason is on standard
/// error.
pub fn serve(args: ServeArgs) -> ExitCode {
    match start(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { status, text }) => {
            complain(NAME, &text);
            ExitCode::from(status)
        }
    }
}

/// `chappe check-config`. Prints the configuration in force, with the arguments taken in and
/// secrets hidden (0), or what is wrong with it (78).
pub fn check_config(args: CheckArgs) -> ExitCode {
    let by_variable = || std::env::var_os("CHAPPE_CONFIG").filter(|file| !file.is_empty()).map(Into::into);
    let source = Source::new(args.file.or(args.config).or_else(by_variable), args.overrides);
    match source.load() {
        Ok(config) => {
            let first = match source.file() {
                Some(file) => format!("# {} is good. In force:", file.display()),
                None => format!("# There is no {}. Built in:", crate::config::DEFAULT_FILE),
            };
            tell(&format!("{first}\n{}", config.print()));
            let warnings = warnings(&config, source.file());
            warnings.iter().for_each(|warning| complain(NAME, &format!("warning: {warning}")));
            match warnings.len() {
                0 => {}
                1 => complain(NAME, "good, 1 warning"),
                n => complain(NAME, &format!("good, {n} warnings")),
            }
            ExitCode::SUCCESS
        }
        Err(e) => {
            complain(NAME, &e.to_string());
            ExitCode::from(BAD_CONFIG)
        }
    }
}

/// What `check-config` warns of: whatever `serve` would warn of that can be known before.
fn warnings(config: &Config, file: Option<&Path>) -> Vec<String> {
    let mut all: Vec<String> = exposed(config, file).map(|file| format!("{}: {EXPOSED}", file.display())).collect();
    for listener in &config.listeners {
        let addresses = listener.address.place().and_then(|place| place.resolve().ok()).unwrap_or_default();
        let is_local = addresses.iter().all(|address| address.ip().is_loopback());
        let has_secrets = config.wants_secret(&listener.address) || !config.users.is_empty();
        if !is_local && listener.tls.is_none() && has_secrets {
            all.push(format!("{}: {IN_CLEAR}", listener.address));
        }
    }
    if let Some(folder) = config.store.path.as_ref().and_then(|path| path.as_path().parent())
        && !folder.is_dir()
    {
        all.push(format!(
            "store.path: there is no folder {} (the systemd unit makes /var/lib/chappe at its first start)",
            folder.display()
        ));
    }
    if let Some(folder) = config.flags_folder().as_ref().and_then(|path| path.parent())
        && config.store.path.as_ref().and_then(|path| path.as_path().parent()) != Some(folder)
        && !folder.is_dir()
    {
        all.push(format!(
            "flags.dir: there is no folder {}, in which that of the flags could be made",
            folder.display()
        ));
    }
    all.extend(config.notes().map(|(_, note)| note));
    all
}

const EXPOSED: &str = "it holds secrets and everybody may read it: chmod o-r, or keep them in a file of their own";
const IN_CLEAR: &str = "SECRETS CROSS THE NETWORK IN CLEAR: whoever is on the way reads users' tokens and passwords and \
                        all messages; let it speak TLS (tls://, or the key tls)";

/// The files with secrets that everybody may read: the configuration, and those that it names.
fn exposed<'a>(config: &'a Config, file: Option<&'a Path>) -> impl Iterator<Item = &'a Path> {
    let holds = config.users.iter().any(|user| user.token.is_some() || user.password_hash.is_some())
        || config.communicator.signal_secret.is_some();
    let tokens = config.users.iter().filter_map(|user| Some(user.token_file.as_ref()?.as_path()));
    let link = config.clacks.link_password_file.as_ref().map(|file| file.as_path());
    let signals = config.communicator.signal_secret_file.as_ref().map(|file| file.as_path());
    let all = file.filter(|_| holds).into_iter().chain(tokens).chain(link).chain(signals);
    all.filter(|file| std::fs::metadata(file).is_ok_and(|about| about.permissions().mode() & 0o004 != 0))
}

/// To standard output, if anybody reads it.
fn tell(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// What complaints begin with.
const NAME: &str = "chappe";

/// To standard error, if anybody reads it.
fn complain(program: &str, text: &str) {
    let _ = writeln!(std::io::stderr(), "{program}: {}", text.trim_end());
}

struct Failure {
    status: u8,
    text: String,
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Failure { status: 1, text }
    }
}

fn cannot(what: &'static str) -> impl Fn(std::io::Error) -> Failure {
    move |e| Failure { status: 1, text: format!("{what}: {e}") }
}

fn start(args: ServeArgs) -> Result<(), Failure> {
    let source = Source::new(args.config, args.overrides);
    let config = source.load().map_err(|e| Failure { status: BAD_CONFIG, text: e.to_string() })?;
    let greet = source.file().is_none() && std::env::var_os("JOURNAL_STREAM").is_none();
    run(source, config, greet)
}

/// From the configuration to the end of the daemon. `greet`: tell a person how to try it.
fn run(mut source: Source, config: Config, greet: bool) -> Result<(), Failure> {
    source.started_with(&config);

    sys::fail_instead_of_ending();
    memory::check(&config)?;
    // Before any thread starts, so that none of them is interrupted instead.
    let signals = sys::Signals::new().map_err(cannot("signals cannot be taken"))?;
    let listeners = listener::open_all(&config, source.is_built_in())?;
    let discovery = discovery::Discovery::open(&config)?;
    let log = log::Log::start(&config.log)?;
    let limit = sys::raise_descriptor_limit(config.limits.descriptors.into());
    match &limit {
        // Each station is one, and listeners, files and the loop's own are a few more.
        Ok(n) if *n < u64::from(config.limits.stations) + 64 => warn!(
            event = "descriptors.few",
            descriptors = n,
            stations = config.limits.stations,
            "fewer file descriptors than stations: beyond them connections are refused; raise `ulimit -Hn`"
        ),
        Ok(_) => {}
        Err(e) => warn!(event = "descriptors.unknown", detail = %e, "the limit of file descriptors stays as it is"),
    }

    for file in exposed(&config, source.file()) {
        let file = file.display();
        warn!(event = "config.exposed", %file, "{EXPOSED}");
    }

    let users = gate::Users::default();
    users.take(users.prepare(&config)?);
    let mut settings = Settings::new(&config.node, VERSION, &users);
    settings.msgq.boot = memory::life();
    settings.clacks.link_id = memory::random().max(1);
    event_loop::apply(&mut settings, &config, &listeners, memory::longest_frame(&config));
    let master = master::Master::new(&config.clacks.master, sys::now());
    let poll = Poll::new().map_err(cannot("epoll cannot be had"))?;
    let waker = Arc::new(Waker::new(poll.registry(), event_loop::WAKER).map_err(cannot("eventfd cannot be had"))?);
    let mut memory = memory::Memory::reserve(&config)?;
    let mut value_memory = memory::ValueMemory::reserve(&config)?;
    let calendar = values::calendar();
    let values::Opened { mut store, keeper, mail } = values::open(&config, &mut value_memory, waker.clone(), calendar)?;
    let mut router = Router::new(memory.parts(&mut *store), settings, sys::now())
        .map_err(|e| Failure { status: 1, text: format!("the router refuses its settings: {e:?}") })?;
    router.set_calendar(calendar);
    values::restore(&mut router, &config, mail)?;

    let flags = flags::open(&config, waker.clone())?;
    if flags.is_some() {
        router.keep_flags();
    }

    let asked = match config.metrics.listen {
        None => None,
        Some(at) => {
            let (at, asked) = metrics::start(at, waker.clone()).map_err(|e| format!("metrics.listen: {at}: {e}"))?;
            info!(event = "metrics.listening", address = %format_args!("http://{at}/metrics"), "counters are shown");
            Some(asked)
        }
    };

    for listener in &listeners {
        info!(event = "listener.open", address = %listener.address, tls = listener.tls.is_some(), "listening");
        // who has to bring a secret along is no stranger
        let has_secret = listener.is_signals() && config.communicator.wanted_secret().is_some();
        if !listener.is_local && listener.tls.is_none() && (has_secret || !config.users.is_empty()) {
            warn!(
                event = "listener.clear",
                address = %listener.address,
                "{IN_CLEAR}"
            );
        }
        if !listener.is_local && !listener.is_closed && !listener.rights.is_empty() && !has_secret {
            warn!(
                event = "listener.unprotected",
                address = %listener.address,
                "ANYONE who reaches this address may use it without credentials (allow_open)"
            );
        }
    }
    discovery.log(&listeners);
    event_loop::log_notes(&config);
    if greet {
        tell(&greeting::text(&program(), &listeners));
    }
    let config_file = source.file().map_or("none".into(), |f| f.display().to_string());
    info!(event = "daemon.ready", node = %config.node, version = VERSION, config = %config_file, "ready");
    // Without systemd these go nowhere, and nobody waits for them.
    let status = format!("{} listeners", listeners.len());
    let _ = sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(&status)]);

    let parts = event_loop::Parts {
        router,
        settings,
        users: &users,
        config: config.clone(),
        source,
        listeners,
        discovery,
        master,
        signals,
        log,
        poll,
        waker,
        asked,
        keeper,
        flags,
        watchdog: sd_notify::watchdog_enabled(),
    };
    let lost = event_loop::EventLoop::new(parts)
        .and_then(event_loop::EventLoop::run)
        .map_err(cannot("the event loop cannot go on"))?;
    match (lost.values, lost.flags) {
        (0, 0) => Ok(()),
        (0, n) => Err(format!("{n} changes of flags are not in files and are lost: see the log for why").into()),
        (n, 0) => Err(format!("{n} changes of values are not on disk and are lost: see the log for why").into()),
        (n, m) => {
            Err(format!("{n} changes of values and {m} of flags are not on disk and are lost: see the log for why")
                .into())
        }
    }
}

/// How the program was called, for commands that a person can copy.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "chappe".into())
}

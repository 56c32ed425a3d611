//! What the standard library, mio and socket2 do not offer, by libc. All `unsafe` of this
//! crate is here, each with its reason.
//!
//! Owns: clocks and who keeps them right, timerfd, signalfd, the number of processors, resource limits, terminal settings and lines that are not
//! shown, ids of users and groups, who is at the other end, descriptors that systemd hands
//! over, the cache of a file. Decides nothing.

use std::ffi::CString;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::OnceLock;

use chappe_core::time::Instant;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Milliseconds of CLOCK_MONOTONIC.
fn monotonic() -> u64 {
    let mut t = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the kernel writes one timespec to a place that has room for one.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, t.as_mut_ptr()) };
    assert_eq!(result, 0, "every Linux has CLOCK_MONOTONIC");
    // SAFETY: written by the successful call above.
    let t = unsafe { t.assume_init() };
    t.tv_sec as u64 * 1000 + t.tv_nsec as u64 / 1_000_000
}

/// When this process first asked for the time: its epoch, so that a node's uptime is its own.
fn epoch() -> u64 {
    static EPOCH: OnceLock<u64> = OnceLock::new();
    *EPOCH.get_or_init(monotonic)
}

/// Which boot of the machine this is, as a number that no other has; `None`: the kernel does not
/// say. And for how long it has run when [`now`] is zero, in microseconds.
pub(crate) fn boot() -> (Option<u64>, u64) {
    // 128 random bits in hexadecimal; half of them will do
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    let id = id.and_then(|id| u64::from_str_radix(id.replace('-', "").get(..16)?, 16).ok());
    (id, epoch().saturating_mul(1000))
}

/// The time now, on the clock that [`Timer`] compares with.
pub(crate) fn now() -> Instant {
    let epoch = epoch();
    Instant::from_millis(monotonic().saturating_sub(epoch))
}

/// A one-shot timer as a descriptor. It need not be read: arming it anew forgets that it
/// had fired (proved in `tests/kernel.rs`).
#[derive(Debug)]
pub(crate) struct Timer(OwnedFd);

impl Timer {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
        // SAFETY: no pointers; the result is checked.
        let fd = check(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) })?;
        // SAFETY: a new descriptor that nobody else owns.
        Ok(Timer(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Fires once at `at`, at once if that has passed. Replaces what was armed before.
    pub(crate) fn arm(&self, at: Instant) -> io::Result<()> {
        // All zeros would disarm it.
        let ms = at.millis().saturating_add(epoch()).max(1);
        let value = libc::timespec {
            tv_sec: (ms / 1000).min(libc::time_t::MAX as u64) as libc::time_t,
            tv_nsec: (ms % 1000 * 1_000_000) as libc::c_long,
        };
        let spec = libc::itimerspec { it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        let fd = self.0.as_raw_fd();
        // SAFETY: `spec` lives through the call, the old value is not asked for.
        check(unsafe { libc::timerfd_settime(fd, libc::TFD_TIMER_ABSTIME, &spec, std::ptr::null_mut()) })?;
        Ok(())
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What the kernel knows of the time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeOfDay {
    /// Something keeps it right: a daemon of NTP or PTP has said so, not too long ago.
    Kept,
    /// Nothing does.
    NotKept,
    /// It does not say: system calls about clocks are not allowed here, as in some containers.
    Unknown,
}

/// Whether the time of day is right, as far as the kernel knows. Changes nothing.
pub(crate) fn time_of_day() -> TimeOfDay {
    let mut about = MaybeUninit::<libc::timex>::zeroed();
    // SAFETY: all zeros are a valid timex; without a mode nothing is set, and the kernel writes one
    // timex to a place that has room for one.
    let result = unsafe { libc::adjtimex(about.as_mut_ptr()) };
    // SAFETY: valid before the call, and whatever the kernel wrote is, too.
    let about = unsafe { about.assume_init() };
    judge_clock(result, about.status)
}

fn judge_clock(result: libc::c_int, status: libc::c_int) -> TimeOfDay {
    match result {
        ..0 => TimeOfDay::Unknown,
        _ if status & libc::STA_UNSYNC != 0 => TimeOfDay::NotKept,
        // other errors are of a pulse per second, which is not all that there is
        _ => TimeOfDay::Kept,
    }
}

/// A descriptor that is readable when somebody has set the time of day.
#[derive(Debug)]
pub(crate) struct ClockJumps(OwnedFd);

impl ClockJumps {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
        // SAFETY: no pointers; the result is checked.
        let fd = check(unsafe { libc::timerfd_create(libc::CLOCK_REALTIME, flags) })?;
        // SAFETY: a new descriptor that nobody else owns.
        let jumps = ClockJumps(unsafe { OwnedFd::from_raw_fd(fd) });
        jumps.arm()?;
        Ok(jumps)
    }

    /// It has told; now it will tell of the next time.
    pub(crate) fn arm(&self) -> io::Result<()> {
        let never = libc::timespec { tv_sec: libc::time_t::MAX, tv_nsec: 0 };
        let spec = libc::itimerspec { it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 }, it_value: never };
        let (fd, flags) = (self.0.as_raw_fd(), libc::TFD_TIMER_ABSTIME | libc::TFD_TIMER_CANCEL_ON_SET);
        // SAFETY: `spec` lives through the call, the old value is not asked for.
        match check(unsafe { libc::timerfd_settime(fd, flags, &spec, std::ptr::null_mut()) }) {
            // it was set before this call: that is what the caller looks at now
            Err(e) if e.raw_os_error() == Some(libc::ECANCELED) => Ok(()),
            result => result.map(drop),
        }
    }
}

impl AsFd for ClockJumps {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// How many processors this machine has at work, whoever may use them.
pub(crate) fn processors() -> u32 {
    // SAFETY: no pointers.
    let n = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    u32::try_from(n).unwrap_or(1).max(1)
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
}

/// SIGTERM, SIGINT and SIGHUP as a descriptor, instead of interrupting anything.
#[derive(Debug)]
pub(crate) struct Signals(OwnedFd);

impl Signals {
    /// Blocks the three for this thread and those it starts later, so that they come here.
    pub(crate) fn new() -> io::Result<Self> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigemptyset makes a valid set of it, the others change a valid set;
        // none can fail for signals that exist.
        let set = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            set.assume_init()
        };
        // SAFETY: `set` is valid, the old mask is not asked for.
        let result = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) };
        if result != 0 {
            return Err(io::Error::from_raw_os_error(result));
        }
        // SAFETY: `set` is valid; -1 asks for a new descriptor; the result is checked.
        let fd = check(unsafe { libc::signalfd(-1, &set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC) })?;
        // SAFETY: a new descriptor that nobody else owns.
        Ok(Signals(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The next one that has come, if any.
    pub(crate) fn take(&self) -> Option<Signal> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::uninit();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the kernel writes at most `size` bytes to a place of that size.
        let n = unsafe { libc::read(self.0.as_raw_fd(), info.as_mut_ptr().cast(), size) };
        if n != size as isize {
            return None;
        }
        // SAFETY: written whole by the read above, and any bytes are valid for its fields.
        let number = unsafe { info.assume_init() }.ssi_signo;
        Some(if number == libc::SIGHUP as u32 { Signal::Reload } else { Signal::Stop })
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Makes writing to a connection that the peer has closed, and to a file that may not grow
/// (`ulimit -f`), an error instead of the end of the process, whatever the program did to
/// SIGPIPE and SIGXFSZ before.
pub(crate) fn fail_instead_of_ending() {
    // SAFETY: no handler is installed; ignoring signals that exist cannot fail.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}

/// Raises the soft limit of open descriptors to `wanted`, or to the hard limit if that is
/// lower or `wanted` is 0. Never lowers it. Returns what is in force.
pub(crate) fn raise_descriptor_limit(wanted: u64) -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one rlimit to a place that is one.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) })?;
    let wanted = if wanted == 0 { limit.rlim_max } else { wanted.min(limit.rlim_max) };
    if wanted > limit.rlim_cur {
        limit.rlim_cur = wanted;
        // SAFETY: `limit` is valid and lives through the call.
        check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) })?;
    }
    Ok(limit.rlim_cur)
}

/// The effective user's number.
pub(crate) fn user_id() -> u32 {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::geteuid() }
}

/// Sets the mask of permissions that new files do not get; returns the one before. It is
/// the whole process's: only while there is one thread.
pub(crate) fn set_umask(mask: u32) -> u32 {
    // SAFETY: no pointers, cannot fail.
    unsafe { libc::umask(mask as libc::mode_t) as u32 }
}

/// Which kind of table of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    Users,
    Groups,
}

/// The number of a user or group by name. May read files or ask the network: only at start.
pub(crate) fn id_of(kind: Names, name: &str) -> io::Result<Option<u32>> {
    let name = CString::new(name)?;
    let mut strings = vec![0 as libc::c_char; 16 * 1024];
    let (at, len) = (strings.as_mut_ptr(), strings.len());
    let (error, id) = match kind {
        Names::Users => {
            let mut entry = MaybeUninit::<libc::passwd>::uninit();
            let mut found = std::ptr::null_mut();
            // SAFETY: every pointer is to a live place of its type, `len` is the room at `at`.
            let error = unsafe { libc::getpwnam_r(name.as_ptr(), entry.as_mut_ptr(), at, len, &mut found) };
            // SAFETY: not null means that it points to `entry`, which has been written.
            (error, (!found.is_null()).then(|| unsafe { (*found).pw_uid }))
        }
        Names::Groups => {
            let mut entry = MaybeUninit::<libc::group>::uninit();
            let mut found = std::ptr::null_mut();
            // SAFETY: as above.
            let error = unsafe { libc::getgrnam_r(name.as_ptr(), entry.as_mut_ptr(), at, len, &mut found) };
            // SAFETY: as above.
            (error, (!found.is_null()).then(|| unsafe { (*found).gr_gid }))
        }
    };
    match (id, error) {
        (Some(id), _) => Ok(Some(id)),
        (None, 0 | libc::ENOENT | libc::ESRCH) => Ok(None),
        (None, error) => Err(io::Error::from_raw_os_error(error)),
    }
}

/// The number of a network interface.
pub(crate) fn interface_index(name: &str) -> io::Result<u32> {
    let name = CString::new(name)?;
    // SAFETY: the name is a live string with its end.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

/// Who connected to a Unix socket: user and primary group at that moment, as this process
/// sees them (those that it cannot name are one user, usually `nobody`).
pub(crate) fn peer(socket: BorrowedFd<'_>) -> io::Result<(u32, u32)> {
    let mut about = MaybeUninit::<libc::ucred>::uninit();
    let mut size = size_of::<libc::ucred>() as libc::socklen_t;
    let (fd, at) = (socket.as_raw_fd(), about.as_mut_ptr());
    // SAFETY: the kernel writes at most `size` bytes to a place of that size.
    check(unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEERCRED, at.cast(), &mut size) })?;
    if size as usize != size_of::<libc::ucred>() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    // SAFETY: written whole by the successful call above, and any bytes are valid for it.
    let about = unsafe { about.assume_init() };
    if about.uid == u32::MAX {
        // What other kinds of sockets say.
        return Err(io::ErrorKind::Unsupported.into());
    }
    Ok((about.uid, about.gid))
}

/// Takes over a descriptor that systemd opened for this process.
///
/// To be called at most once for each number, with numbers that `LISTEN_FDS` announced.
pub(crate) fn adopt(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: no pointers; fails if the descriptor is not open.
    check(unsafe { libc::fcntl(fd, libc::F_GETFD) })?;
    // SAFETY: it is open, and the protocol of LISTEN_FDS gives it to this process, in
    // which only the caller looks at these numbers, once.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Drops what the system has of a file in its cache and takes for written. If that is not
/// possible, nothing is the worse for it.
pub(crate) fn drop_cached(file: &std::fs::File) {
    // SAFETY: no pointers; the descriptor is open as long as `file` is. It changes nothing but
    // where the next read comes from.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
}

/// Whether a connect goes on without us: the kernel says when it is through.
pub(crate) fn is_under_way(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EINPROGRESS)
}

/// A descriptor that is only kept, for times when there are no others. Of no file: where none can be
/// opened, as in a root without `/dev`, it would seem that there are none.
pub(crate) fn spare_descriptor() -> io::Result<OwnedFd> {
    std::os::unix::net::UnixDatagram::unbound().map(OwnedFd::from)
}

/// Whether a read or accept failed because there are no more descriptors or buffers.
pub(crate) fn is_exhaustion(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

/// Whether an accept failed because of that one connection: others may wait behind it.
pub(crate) fn is_that_ones_fault(error: &io::Error) -> bool {
    let codes = [
        libc::ECONNABORTED,
        libc::EINTR,
        libc::EPROTO,
        libc::EPERM,
        libc::ENETDOWN,
        libc::ENETUNREACH,
        libc::EHOSTDOWN,
        libc::EHOSTUNREACH,
        libc::ENONET,
        libc::ENOPROTOOPT,
        libc::EOPNOTSUPP,
    ];
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

const SPEEDS: [(u32, libc::speed_t); 18] = [
    (1200, libc::B1200),
    (2400, libc::B2400),
    (4800, libc::B4800),
    (9600, libc::B9600),
    (19_200, libc::B19200),
    (38_400, libc::B38400),
    (57_600, libc::B57600),
    (115_200, libc::B115200),
    (230_400, libc::B230400),
    (460_800, libc::B460800),
    (500_000, libc::B500000),
    (576_000, libc::B576000),
    (921_600, libc::B921600),
    (1_000_000, libc::B1000000),
    (1_152_000, libc::B1152000),
    (1_500_000, libc::B1500000),
    (2_000_000, libc::B2000000),
    (3_000_000, libc::B3000000),
];

/// Whether a serial line can be set to this speed, in bits per second.
pub(crate) fn is_line_speed(speed: u32) -> bool {
    SPEEDS.iter().any(|(s, _)| *s == speed)
}

/// Opens a terminal device for bytes as they are: 8 data bits, no parity, no flow control,
/// no echo, modem lines ignored, and not as this process's controlling terminal.
pub(crate) fn open_serial(path: &Path, speed: u32) -> io::Result<OwnedFd> {
    use std::os::unix::fs::OpenOptionsExt;
    let device = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path)?;
    let fd = device.as_raw_fd();
    let mut settings = MaybeUninit::<libc::termios>::uninit();
    // SAFETY: the kernel writes one termios to a place that has room for one; it fails if
    // the descriptor is no terminal.
    check(unsafe { libc::tcgetattr(fd, settings.as_mut_ptr()) })?;
    // SAFETY: written by the successful call above.
    let mut settings = unsafe { settings.assume_init() };
    let (_, code) = SPEEDS
        .into_iter()
        .find(|(s, _)| *s == speed)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no speed of a serial line"))?;
    // SAFETY: both change a valid termios.
    unsafe {
        libc::cfmakeraw(&mut settings);
        check(libc::cfsetspeed(&mut settings, code))?;
    }
    settings.c_cflag |= libc::CLOCAL | libc::CREAD;
    settings.c_cflag &= !(libc::CSTOPB | libc::CRTSCTS);
    settings.c_cc[libc::VMIN] = 1;
    settings.c_cc[libc::VTIME] = 0;
    // SAFETY: `settings` is valid and lives through the call.
    check(unsafe { libc::tcsetattr(fd, libc::TCSANOW, &settings) })?;
    // Half a frame from before this connection would only be garbage at its beginning.
    // SAFETY: no pointers.
    check(unsafe { libc::tcflush(fd, libc::TCIOFLUSH) })?;
    Ok(device.into())
}

/// Reads a line from a terminal that does not show it, without the key that ends it.
///
/// Signals that end the process wait until the terminal shows again what is typed; the line
/// is given up when one comes.
pub(crate) fn read_hidden(terminal: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    let fd = terminal.as_raw_fd();
    let mut before = MaybeUninit::<libc::termios>::uninit();
    // SAFETY: the kernel writes one termios to a place that has room for one; it fails if
    // the descriptor is no terminal.
    check(unsafe { libc::tcgetattr(fd, before.as_mut_ptr()) })?;
    // SAFETY: written by the successful call above.
    let before = unsafe { before.assume_init() };
    let signals = Held::new(&[libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGTSTP])?;
    let mut quiet = before;
    quiet.c_lflag &= !libc::ECHO;
    quiet.c_lflag |= libc::ICANON | libc::ISIG;
    // SAFETY: `quiet` is valid and lives through the call. What was typed before is thrown
    // away: it was shown.
    check(unsafe { libc::tcsetattr(fd, libc::TCSAFLUSH, &quiet) })?;
    let line = read_line(fd, signals.fd.as_raw_fd());
    // SAFETY: `before` is valid and lives through the call.
    let restored = check(unsafe { libc::tcsetattr(fd, libc::TCSAFLUSH, &before) });
    // Only now: a signal that has come takes effect here.
    drop(signals);
    restored?;
    line
}

/// One line of a terminal, which hands out lines; an error if `signals` has something first.
fn read_line(fd: RawFd, signals: RawFd) -> io::Result<Vec<u8>> {
    let mut line = Vec::with_capacity(4096);
    loop {
        let on = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut both = [on(fd), on(signals)];
        // SAFETY: two pollfds, as said.
        match check(unsafe { libc::poll(both.as_mut_ptr(), 2, -1) }) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            result => _ = result?,
        }
        if both[1].revents != 0 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        // Within the capacity nothing is moved, so nothing is left behind in memory.
        let mut byte = 0u8;
        // SAFETY: the kernel writes at most one byte to a place of that size.
        match unsafe { libc::read(fd, (&raw mut byte).cast(), 1) } {
            1 if byte == b'\n' => return Ok(line),
            1 if line.len() < line.capacity() => line.push(byte),
            1 => return Err(io::Error::new(io::ErrorKind::InvalidInput, "the line is too long")),
            0 if line.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            0 => return Ok(line),
            _ => return Err(io::Error::last_os_error()),
        }
    }
}

/// Signals that wait, and a descriptor that is readable when one has come. Dropping it lets
/// them take effect.
struct Held {
    before: libc::sigset_t,
    fd: OwnedFd,
}

impl Held {
    fn new(signals: &[libc::c_int]) -> io::Result<Held> {
        let (mut set, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        // SAFETY: sigemptyset makes valid sets of both, the others change a valid set; none
        // can fail for signals that exist.
        let (set, mut before) = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            libc::sigemptyset(before.as_mut_ptr());
            for signal in signals {
                libc::sigaddset(set.as_mut_ptr(), *signal);
            }
            (set.assume_init(), before.assume_init())
        };
        // SAFETY: -1 asks for a new descriptor, `set` is valid; the result is checked.
        let fd = check(unsafe { libc::signalfd(-1, &set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC) })?;
        // SAFETY: a new descriptor that nobody else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: both sets are valid.
        match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, &mut before) } {
            0 => Ok(Held { before, fd }),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: `before` is a valid set; the old mask is not asked for.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_about_the_time_of_day() {
        for (result, status, want) in [
            (0, 0, TimeOfDay::Kept),
            (0, libc::STA_PLL, TimeOfDay::Kept),
            (libc::TIME_INS, libc::STA_PLL | libc::STA_INS, TimeOfDay::Kept),
            (libc::TIME_ERROR, libc::STA_UNSYNC, TimeOfDay::NotKept),
            (libc::TIME_ERROR, libc::STA_PPSERROR, TimeOfDay::Kept),
            (-1, 0, TimeOfDay::Unknown),
            (-1, libc::STA_UNSYNC, TimeOfDay::Unknown),
        ] {
            assert_eq!(judge_clock(result, status), want, "{result} {status}");
        }
        time_of_day();
    }

    #[test]
    fn jumps_are_waited_for_again_and_again() {
        let jumps = ClockJumps::new().unwrap();
        jumps.arm().unwrap();
        assert!(processors() > 0);
    }
}

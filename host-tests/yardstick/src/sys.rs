//! Thin wrappers over the system calls and /proc files that the bench uses.

use std::fs;
use std::io;
use std::mem;
use std::time::Instant;

pub type Fd = libc::c_int;

fn cvt(r: isize) -> io::Result<usize> {
    if r < 0 { Err(io::Error::last_os_error()) } else { Ok(r as usize) }
}

#[derive(Clone, Debug)]
pub enum Addr {
    Tcp(std::net::SocketAddrV4),
    Unix(String),
}

impl Addr {
    /// `tcp:127.0.0.1:4222` or `unix:path`
    pub fn parse(s: &str) -> Result<Addr, String> {
        if let Some(p) = s.strip_prefix("unix:") {
            return Ok(Addr::Unix(p.to_string()));
        }
        let t = s.strip_prefix("tcp:").unwrap_or(s);
        t.parse().map(Addr::Tcp).map_err(|e| format!("{s}: {e}"))
    }

    fn with_raw<R>(&self, f: impl FnOnce(*const libc::sockaddr, libc::socklen_t) -> R) -> R {
        unsafe {
            match self {
                Addr::Tcp(a) => {
                    let mut sa: libc::sockaddr_in = mem::zeroed();
                    sa.sin_family = libc::AF_INET as u16;
                    sa.sin_port = a.port().to_be();
                    sa.sin_addr.s_addr = u32::from_ne_bytes(a.ip().octets());
                    f(&sa as *const _ as *const libc::sockaddr, mem::size_of::<libc::sockaddr_in>() as u32)
                }
                Addr::Unix(p) => {
                    let mut sa: libc::sockaddr_un = mem::zeroed();
                    sa.sun_family = libc::AF_UNIX as u16;
                    for (d, s) in sa.sun_path.iter_mut().zip(p.bytes()) {
                        *d = s as libc::c_char;
                    }
                    let len = mem::size_of::<libc::sa_family_t>() + p.len() + 1;
                    f(&sa as *const _ as *const libc::sockaddr, len as u32)
                }
            }
        }
    }

    fn socket(&self) -> io::Result<Fd> {
        let fam = match self {
            Addr::Tcp(_) => libc::AF_INET,
            Addr::Unix(_) => libc::AF_UNIX,
        };
        let fd = unsafe { libc::socket(fam, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
        cvt(fd as isize).map(|v| v as Fd)
    }
}

/// Blocking connect; the socket stays blocking.
pub fn connect(addr: &Addr) -> io::Result<Fd> {
    let fd = addr.socket()?;
    let r = addr.with_raw(|p, l| unsafe { libc::connect(fd, p, l) });
    if r < 0 {
        let e = io::Error::last_os_error();
        close(fd);
        return Err(e);
    }
    if let Addr::Tcp(_) = addr {
        nodelay(fd);
    }
    Ok(fd)
}

pub fn listen(addr: &Addr) -> io::Result<Fd> {
    let fd = addr.socket()?;
    let one: libc::c_int = 1;
    unsafe {
        libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, &one as *const _ as *const libc::c_void, 4);
    }
    if let Addr::Unix(p) = addr {
        let _ = fs::remove_file(p);
    }
    let r = addr.with_raw(|p, l| unsafe { libc::bind(fd, p, l) });
    cvt(r as isize)?;
    cvt(unsafe { libc::listen(fd, 4096) } as isize)?;
    nonblocking(fd, true);
    Ok(fd)
}

pub fn accept(fd: Fd) -> io::Result<Fd> {
    let r = unsafe {
        libc::accept4(fd, std::ptr::null_mut(), std::ptr::null_mut(), libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC)
    };
    let r = cvt(r as isize)? as Fd;
    nodelay(r);
    Ok(r)
}

pub fn nodelay(fd: Fd) {
    let one: libc::c_int = 1;
    unsafe {
        libc::setsockopt(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, &one as *const _ as *const libc::c_void, 4);
    }
}

/// Close with a reset, so that ten thousand closes leave no TIME_WAIT.
pub fn close_hard(fd: Fd) {
    let l = libc::linger { l_onoff: 1, l_linger: 0 };
    unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            &l as *const _ as *const libc::c_void,
            mem::size_of::<libc::linger>() as u32,
        );
    }
    close(fd);
}

pub fn close(fd: Fd) {
    unsafe { libc::close(fd) };
}

pub fn nonblocking(fd: Fd, on: bool) {
    unsafe {
        let f = libc::fcntl(fd, libc::F_GETFL);
        let f = if on { f | libc::O_NONBLOCK } else { f & !libc::O_NONBLOCK };
        libc::fcntl(fd, libc::F_SETFL, f);
    }
}

pub fn read(fd: Fd, buf: &mut [u8]) -> io::Result<usize> {
    cvt(unsafe { libc::read(fd, buf.as_mut_ptr() as *mut libc::c_void, buf.len()) })
}

pub fn read_dontwait(fd: Fd, buf: &mut [u8]) -> io::Result<usize> {
    cvt(unsafe { libc::recv(fd, buf.as_mut_ptr() as *mut libc::c_void, buf.len(), libc::MSG_DONTWAIT) })
}

pub fn write(fd: Fd, buf: &[u8]) -> io::Result<usize> {
    cvt(unsafe { libc::send(fd, buf.as_ptr() as *const libc::c_void, buf.len(), libc::MSG_NOSIGNAL) })
}

/// Write everything, waiting in poll(2) where the socket is full.
pub fn write_all(fd: Fd, mut buf: &[u8]) -> io::Result<()> {
    while !buf.is_empty() {
        match write(fd, buf) {
            Ok(n) => buf = &buf[n..],
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                wait(fd, libc::POLLOUT, 10_000)?;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

pub fn wait(fd: Fd, events: i16, ms: i32) -> io::Result<bool> {
    let mut p = libc::pollfd { fd, events, revents: 0 };
    let r = cvt(unsafe { libc::poll(&mut p, 1, ms) } as isize)?;
    Ok(r > 0)
}

pub struct Epoll(Fd);

impl Epoll {
    pub fn new() -> Epoll {
        Epoll(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })
    }
    fn ctl(&self, op: i32, fd: Fd, events: i32, token: u64) {
        let mut e = libc::epoll_event { events: events as u32, u64: token };
        unsafe { libc::epoll_ctl(self.0, op, fd, &mut e) };
    }
    pub fn add(&self, fd: Fd, events: i32, token: u64) {
        self.ctl(libc::EPOLL_CTL_ADD, fd, events, token)
    }
    pub fn modify(&self, fd: Fd, events: i32, token: u64) {
        self.ctl(libc::EPOLL_CTL_MOD, fd, events, token)
    }
    pub fn del(&self, fd: Fd) {
        self.ctl(libc::EPOLL_CTL_DEL, fd, 0, 0)
    }
    pub fn wait(&self, ev: &mut [libc::epoll_event], ms: i32) -> usize {
        let r = unsafe { libc::epoll_wait(self.0, ev.as_mut_ptr(), ev.len() as i32, ms) };
        r.max(0) as usize
    }
}

impl Drop for Epoll {
    fn drop(&mut self) {
        close(self.0)
    }
}

pub fn pin(cpu: usize) {
    unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, mem::size_of::<libc::cpu_set_t>(), &set);
    }
}

pub fn raise_nofile() {
    unsafe {
        let mut r: libc::rlimit = mem::zeroed();
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut r);
        r.rlim_cur = r.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &r);
    }
}

/// utime + stime of a process in seconds (10 ms grain), all its threads.
pub fn proc_cpu(pid: u32) -> f64 {
    let Ok(s) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return f64::NAN;
    };
    let Some(p) = s.rfind(')') else {
        return f64::NAN;
    };
    let f: Vec<&str> = s[p + 2..].split(' ').collect();
    let t: f64 = f[11].parse::<f64>().unwrap_or(0.0) + f[12].parse::<f64>().unwrap_or(0.0);
    t / unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64
}

/// User part only, as `proc_cpu`.
pub fn proc_user(pid: u32) -> f64 {
    let Ok(s) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return f64::NAN;
    };
    let Some(p) = s.rfind(')') else {
        return f64::NAN;
    };
    let f: Vec<&str> = s[p + 2..].split(' ').collect();
    f[11].parse::<f64>().unwrap_or(0.0) / unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64
}

/// The same from the scheduler, in seconds with nanosecond grain.
pub fn proc_sched(pid: u32) -> f64 {
    let mut ns = 0f64;
    let Ok(d) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return f64::NAN;
    };
    for t in d.flatten() {
        if let Ok(s) = fs::read_to_string(t.path().join("schedstat")) {
            ns += s.split(' ').next().and_then(|v| v.parse::<f64>().ok()).unwrap_or(0.0);
        }
    }
    ns / 1e9
}

/// Resident set in KiB.
pub fn proc_rss(pid: u32) -> f64 {
    let Ok(s) = fs::read_to_string(format!("/proc/{pid}/status")) else {
        return f64::NAN;
    };
    s.lines()
        .find_map(|l| l.strip_prefix("VmRSS:"))
        .and_then(|v| v.trim().split(' ').next())
        .and_then(|v| v.parse().ok())
        .unwrap_or(f64::NAN)
}

pub fn proc_fds(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map(|d| d.count()).unwrap_or(0)
}

pub fn proc_alive(pid: u32) -> bool {
    fs::metadata(format!("/proc/{pid}")).is_ok()
}

/// (busy, steal) seconds of the whole machine.
pub fn machine_cpu() -> (f64, f64) {
    let s = fs::read_to_string("/proc/stat").unwrap_or_default();
    let f: Vec<f64> =
        s.lines().next().unwrap_or("").split_whitespace().skip(1).filter_map(|v| v.parse().ok()).collect();
    let hz = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    if f.len() < 8 {
        return (0.0, 0.0);
    }
    // user nice system irq softirq
    ((f[0] + f[1] + f[2] + f[5] + f[6]) / hz, f[7] / hz)
}

/// One sample of everything that a measured interval needs.
#[derive(Clone)]
pub struct Snap {
    pub t: Instant,
    pub cpu: f64,
    pub user: f64,
    pub sched: f64,
    pub own: f64,
    pub busy: f64,
    pub steal: f64,
}

impl Snap {
    pub fn take(pid: u32) -> Snap {
        let (busy, steal) = machine_cpu();
        Snap {
            t: Instant::now(),
            cpu: proc_cpu(pid),
            user: proc_user(pid),
            sched: proc_sched(pid),
            own: proc_cpu(std::process::id()),
            busy,
            steal,
        }
    }
}

/// Differences between two samples.
pub struct Span {
    pub wall: f64,
    pub cpu: f64,
    pub user: f64,
    pub sched: f64,
    pub own: f64,
    /// CPU seconds used by others, as a part of one CPU
    pub noise: f64,
    pub steal: f64,
}

impl Span {
    pub fn between(a: &Snap, b: &Snap) -> Span {
        let wall = b.t.duration_since(a.t).as_secs_f64();
        let cpu = b.cpu - a.cpu;
        let own = b.own - a.own;
        let other = (b.busy - a.busy) - cpu - own;
        Span {
            wall,
            cpu,
            user: b.user - a.user,
            sched: b.sched - a.sched,
            own,
            noise: (other / wall).max(0.0),
            steal: (b.steal - a.steal) / wall,
        }
    }
}

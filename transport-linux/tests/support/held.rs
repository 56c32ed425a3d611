//! A disk that takes nothing, by a daemon whose thread that writes is held still.

use std::path::Path;

use super::{Daemon, until};

/// The thread that writes, held still: to everybody else a disk that takes nothing. Ends with
/// the value, on the thread that made it.
pub struct Held(libc::pid_t);

impl Held {
    /// `None`: this machine does not let us.
    pub fn hold(daemon: &Daemon) -> Option<Held> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap();
        let is_writer = |task: &Path| std::fs::read_to_string(task.join("comm")).is_ok_and(|c| c == "chappe-store\n");
        let task = tasks.map(|t| t.unwrap().path()).find(|t| is_writer(t)).expect("a thread that writes");
        let id: libc::pid_t = task.file_name().unwrap().to_str().unwrap().parse().unwrap();
        // asleep it holds no lock
        let stat = || std::fs::read_to_string(task.join("stat")).unwrap();
        until("it waits for something to write", || stat().rsplit(") ").next().unwrap().starts_with('S'));
        let none = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: `id` is a thread of our own child; no memory of this process is involved, and
        // waitpid is not asked for a status.
        unsafe {
            if libc::ptrace(libc::PTRACE_SEIZE, id, none, none) != 0 {
                return None;
            }
            assert_eq!(libc::ptrace(libc::PTRACE_INTERRUPT, id, none, none), 0);
            assert_eq!(libc::waitpid(id, std::ptr::null_mut(), libc::__WALL), id);
        }
        Some(Held(id))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let none = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: as above; it is stopped, by us. If it is gone, there is nothing to let go of.
        unsafe { libc::ptrace(libc::PTRACE_DETACH, self.0, none, none) };
    }
}

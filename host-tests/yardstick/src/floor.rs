//! The floor: copy bytes from publishers to subscribers, no parsing.

use crate::proto::RAW_ACK;
use crate::sys::{self, Addr, Epoll, Fd};
use std::io;

enum Role {
    Listener,
    New,
    Publisher(usize),
    Subscriber(usize),
}

/// One read, and its bytes to every subscriber. False: the connection has ended.
fn forward(fd: Fd, to: &[Fd], buf: &mut [u8]) -> bool {
    match sys::read(fd, buf) {
        Ok(k) if k > 0 => {
            for &s in to {
                // a failing subscriber is found by its own event
                let _ = sys::write_all(s, &buf[..k]);
            }
            true
        }
        Err(e) => e.kind() == io::ErrorKind::WouldBlock,
        _ => false,
    }
}

#[allow(clippy::collapsible_match, reason = "a match guard should not do the work")]
pub fn serve(addrs: &[Addr]) -> ! {
    let ep = Epoll::new();
    let mut role: Vec<Option<Role>> = Vec::new();
    let mut groups: Vec<Vec<Fd>> = vec![Vec::new(); 10];
    fn set(role: &mut Vec<Option<Role>>, fd: Fd, r: Option<Role>) {
        let i = fd as usize;
        if role.len() <= i {
            role.resize_with(i + 1, || None);
        }
        role[i] = r;
    }
    for a in addrs {
        let l = sys::listen(a).unwrap_or_else(|e| {
            eprintln!("listen: {e}");
            std::process::exit(1)
        });
        set(&mut role, l, Some(Role::Listener));
        ep.add(l, libc::EPOLLIN, l as u64);
    }
    let mut buf = vec![0u8; 64 * 1024];
    let mut ev: Vec<libc::epoll_event> = vec![unsafe { std::mem::zeroed() }; 256];
    loop {
        let n = ep.wait(&mut ev, -1);
        for e in &ev[..n] {
            let fd = e.u64 as Fd;
            match role[fd as usize] {
                Some(Role::Listener) => {
                    while let Ok(c) = sys::accept(fd) {
                        set(&mut role, c, Some(Role::New));
                        ep.add(c, libc::EPOLLIN, c as u64);
                    }
                }
                Some(Role::New) => {
                    let mut two = [0u8; 2];
                    match sys::read(fd, &mut two) {
                        Ok(2) => {
                            let g = two[1].wrapping_sub(b'0').min(9) as usize;
                            if two[0] == b'S' {
                                groups[g].push(fd);
                                role[fd as usize] = Some(Role::Subscriber(g));
                            } else {
                                role[fd as usize] = Some(Role::Publisher(g));
                            }
                            let _ = sys::write(fd, &[RAW_ACK]);
                        }
                        _ => {
                            role[fd as usize] = None;
                            sys::close(fd);
                        }
                    }
                }
                Some(Role::Publisher(g)) => {
                    if !forward(fd, &groups[g], &mut buf) {
                        role[fd as usize] = None;
                        sys::close(fd);
                    }
                }
                Some(Role::Subscriber(g)) => {
                    if !forward(fd, &groups[g ^ 1], &mut buf) {
                        groups[g].retain(|s| *s != fd);
                        role[fd as usize] = None;
                        sys::close(fd);
                    }
                }
                None => {}
            }
        }
    }
}

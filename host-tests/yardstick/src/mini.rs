//! Sketch of a single-threaded broker: one epoll loop, one hash look-up for each
//! message, one output buffer for each connection, one write for each connection
//! and turn. It speaks either the binary framing of `proto/mini.rs` or enough of
//! the NATS text protocol for the workloads. It has no wildcards, no
//! authentication, no quotas but one: an upper bound for a daemon of this shape,
//! not a product.

use crate::proto::mini as bin;
use crate::sys::{self, Addr, Epoll, Fd};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::io;

/// A subscriber with more than this unread is cut off.
const MAX_PENDING: usize = 64 << 20;
const INPUT: usize = 64 * 1024;

#[derive(Default)]
pub struct Fx(u64);

impl Hasher for Fx {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, b: &[u8]) {
        for c in b.chunks(8) {
            let mut w = [0u8; 8];
            w[..c.len()].copy_from_slice(c);
            self.write_u64(u64::from_le_bytes(w));
        }
    }
    fn write_u8(&mut self, v: u8) {
        self.write_u64(v as u64)
    }
    fn write_u64(&mut self, v: u64) {
        self.0 = (self.0.rotate_left(5) ^ v).wrapping_mul(0x517c_c1b7_2722_0a95);
        self.0 ^= self.0 >> 29;
    }
    fn write_usize(&mut self, v: usize) {
        self.write_u64(v as u64)
    }
}

type Map<V> = HashMap<Box<[u8]>, V, BuildHasherDefault<Fx>>;

#[derive(Default)]
struct Conn {
    open: bool,
    rest: Vec<u8>,
    out: Vec<u8>,
    off: usize,
    dirty: bool,
    blocked: bool,
    topics: Vec<usize>,
}

struct Topic {
    /// connection and, for the text protocol, its subscription id
    subs: Vec<(Fd, Box<[u8]>)>,
}

pub struct Broker {
    text: bool,
    coalesce: bool,
    conns: Vec<Conn>,
    index: Map<usize>,
    topics: Vec<Topic>,
    kv: Map<Vec<u8>>,
    dirty: Vec<Fd>,
    ep: Epoll,
}

pub fn serve(addrs: &[Addr], text: bool, coalesce: bool) -> ! {
    let mut b = Broker {
        text,
        coalesce,
        conns: Vec::new(),
        index: Map::default(),
        topics: Vec::new(),
        kv: Map::default(),
        dirty: Vec::new(),
        ep: Epoll::new(),
    };
    let mut listeners = Vec::new();
    for a in addrs {
        let l = sys::listen(a).unwrap_or_else(|e| {
            eprintln!("listen: {e}");
            std::process::exit(1)
        });
        listeners.push(l);
        b.ep.add(l, libc::EPOLLIN, l as u64);
    }
    let mut buf = vec![0u8; INPUT];
    let mut ev: Vec<libc::epoll_event> = vec![unsafe { std::mem::zeroed() }; 256];
    loop {
        let n = b.ep.wait(&mut ev, -1);
        for e in &ev[..n] {
            let (events, fd) = (e.events, e.u64 as Fd);
            if listeners.contains(&fd) {
                while let Ok(c) = sys::accept(fd) {
                    if b.conns.len() <= c as usize {
                        b.conns.resize_with(c as usize + 1, Conn::default);
                    }
                    b.conns[c as usize] = Conn { open: true, ..Conn::default() };
                    b.ep.add(c, libc::EPOLLIN, c as u64);
                    if b.text {
                        b.reply(c, b"INFO {\"server_id\":\"mini\",\"version\":\"2.9\",\"max_payload\":1048576}\r\n");
                    }
                }
                continue;
            }
            if !b.conns[fd as usize].open {
                continue;
            }
            if events & libc::EPOLLOUT as u32 != 0 {
                b.flush(fd, true);
            }
            if events & !(libc::EPOLLOUT as u32) != 0 {
                b.input(fd, &mut buf);
            }
        }
        while let Some(fd) = b.dirty.pop() {
            b.conns[fd as usize].dirty = false;
            b.flush(fd, false);
        }
    }
}

impl Broker {
    fn input(&mut self, fd: Fd, buf: &mut Vec<u8>) {
        let c = &mut self.conns[fd as usize];
        let k = c.rest.len();
        if buf.len() < k + INPUT {
            buf.resize(k + INPUT, 0);
        }
        buf[..k].copy_from_slice(&c.rest);
        let n = match sys::read(fd, &mut buf[k..k + INPUT]) {
            Ok(n) if n > 0 => n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
            _ => return self.close(fd),
        };
        let all = &buf[..k + n];
        let used = if self.text { self.text(fd, all) } else { self.binary(fd, all) };
        match used {
            Some(u) => {
                let c = &mut self.conns[fd as usize];
                if u < all.len() {
                    c.rest.clear();
                    c.rest.extend_from_slice(&all[u..]);
                } else if k > 0 {
                    c.rest = Vec::new();
                }
            }
            None => self.close(fd),
        }
    }

    fn binary(&mut self, fd: Fd, all: &[u8]) -> Option<usize> {
        let mut at = 0;
        // a run of publishes to one topic, delivered as one piece
        let mut run: Option<(usize, usize)> = None; // topic, start
        let mut run_topic: &[u8] = b"";
        while all.len() - at >= bin::HEAD {
            let h = &all[at..];
            let n = u32::from_le_bytes([h[0], h[1], h[2], h[3]]) as usize;
            if !(2..=1 << 20).contains(&n) {
                return None;
            }
            if h.len() < 4 + n {
                break;
            }
            let (op, tl) = (h[4], h[5] as usize);
            if tl + 2 > n {
                return None;
            }
            let topic = &h[bin::HEAD..bin::HEAD + tl];
            let body = &h[bin::HEAD + tl..4 + n];
            if op == bin::MSG {
                if self.coalesce {
                    match run {
                        Some(_) if run_topic == topic => {}
                        _ => {
                            if let Some((t, s)) = run.take() {
                                self.fan(t, &all[s..at]);
                            }
                            run_topic = topic;
                            run = self.index.get(topic).map(|t| (*t, at));
                        }
                    }
                } else if let Some(&t) = self.index.get(topic) {
                    self.fan(t, &h[..4 + n]);
                }
            } else {
                if let Some((t, s)) = run.take() {
                    self.fan(t, &all[s..at]);
                }
                match op {
                    bin::SUB => {
                        self.subscribe(fd, topic, b"");
                        let mut r = Vec::new();
                        bin::put(bin::OK, b"", b"", &mut r);
                        self.reply(fd, &r);
                    }
                    bin::SET => {
                        match self.kv.get_mut(topic) {
                            Some(v) => {
                                v.clear();
                                v.extend_from_slice(body);
                            }
                            None => {
                                self.kv.insert(topic.into(), body.to_vec());
                            }
                        }
                        self.mark(fd);
                        bin::put(bin::DONE, b"", b"", &mut self.conns[fd as usize].out);
                    }
                    bin::GET => {
                        self.mark(fd);
                        let out = &mut self.conns[fd as usize].out;
                        match self.kv.get(topic) {
                            Some(v) => bin::put(bin::VAL, topic, v, out),
                            None => bin::put(bin::MISS, topic, b"", out),
                        }
                    }
                    _ => return None,
                }
            }
            at += 4 + n;
        }
        if let Some((t, s)) = run.take() {
            self.fan(t, &all[s..at]);
        }
        Some(at)
    }

    fn text(&mut self, fd: Fd, all: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < all.len() {
            let h = &all[at..];
            let Some(nl) = crate::proto::find(h, b'\n') else {
                break;
            };
            let line = h[..nl].strip_suffix(b"\r").unwrap_or(&h[..nl]);
            if line.len() > 4096 {
                return None;
            }
            let mut used = nl + 1;
            if line.starts_with(b"PUB ") {
                let mut w = line[4..].split(|b| *b == b' ');
                let topic = w.next()?;
                let a = w.next()?;
                let (reply, len) = match w.next() {
                    Some(l) => (Some(a), l),
                    None => (None, a),
                };
                let n = crate::proto::number(len)?;
                if n > 1 << 20 {
                    return None;
                }
                if h.len() < used + n + 2 {
                    break;
                }
                let tail = &h[used..used + n + 2]; // payload and CRLF
                used += n + 2;
                if let Some(&t) = self.index.get(topic) {
                    let Broker { topics, conns, dirty, .. } = self;
                    for (s, sid) in &topics[t].subs {
                        let c = &mut conns[*s as usize];
                        if !c.dirty {
                            c.dirty = true;
                            dirty.push(*s);
                        }
                        let o = &mut c.out;
                        o.reserve(topic.len() + len.len() + n + 64);
                        o.extend_from_slice(b"MSG ");
                        o.extend_from_slice(topic);
                        o.push(b' ');
                        o.extend_from_slice(sid);
                        o.push(b' ');
                        if let Some(r) = reply {
                            o.extend_from_slice(r);
                            o.push(b' ');
                        }
                        o.extend_from_slice(len);
                        o.extend_from_slice(b"\r\n");
                        o.extend_from_slice(tail);
                    }
                }
            } else if line.starts_with(b"SUB ") {
                let mut w = line[4..].split(|b| *b == b' ');
                let (topic, sid) = (w.next()?, w.next()?);
                self.subscribe(fd, topic, sid);
            } else if line.starts_with(b"PING") {
                self.reply(fd, b"PONG\r\n");
            } else if line.starts_with(b"CONNECT") || line.starts_with(b"PONG") {
            } else {
                return None;
            }
            at += used;
        }
        Some(at)
    }

    #[inline]
    fn mark(&mut self, fd: Fd) {
        let c = &mut self.conns[fd as usize];
        if !c.dirty {
            c.dirty = true;
            self.dirty.push(fd);
        }
    }

    fn reply(&mut self, fd: Fd, b: &[u8]) {
        self.mark(fd);
        self.conns[fd as usize].out.extend_from_slice(b);
    }

    #[inline]
    fn fan(&mut self, t: usize, bytes: &[u8]) {
        let Broker { topics, conns, dirty, .. } = self;
        for (s, _) in &topics[t].subs {
            let c = &mut conns[*s as usize];
            if !c.dirty {
                c.dirty = true;
                dirty.push(*s);
            }
            c.out.extend_from_slice(bytes);
        }
    }

    fn subscribe(&mut self, fd: Fd, topic: &[u8], sid: &[u8]) {
        let t = match self.index.get(topic) {
            Some(&t) => t,
            None => {
                self.topics.push(Topic { subs: Vec::new() });
                self.index.insert(topic.into(), self.topics.len() - 1);
                self.topics.len() - 1
            }
        };
        self.topics[t].subs.push((fd, sid.into()));
        self.conns[fd as usize].topics.push(t);
    }

    fn flush(&mut self, fd: Fd, writable: bool) {
        let c = &mut self.conns[fd as usize];
        if !c.open {
            return;
        }
        if c.blocked && !writable {
            if c.out.len() - c.off > MAX_PENDING {
                self.close(fd);
            }
            return;
        }
        while c.off < c.out.len() {
            match sys::write(fd, &c.out[c.off..]) {
                Ok(n) => c.off += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    if c.out.len() - c.off > MAX_PENDING {
                        return self.close(fd);
                    }
                    if c.off > c.out.len() / 2 {
                        c.out.drain(..c.off);
                        c.off = 0;
                    }
                    if !c.blocked {
                        c.blocked = true;
                        self.ep.modify(fd, libc::EPOLLIN | libc::EPOLLOUT, fd as u64);
                    }
                    return;
                }
                Err(_) => return self.close(fd),
            }
        }
        c.off = 0;
        if c.out.capacity() > 1 << 20 {
            c.out = Vec::new();
        } else {
            c.out.clear();
        }
        if c.blocked {
            c.blocked = false;
            self.ep.modify(fd, libc::EPOLLIN, fd as u64);
        }
    }

    fn close(&mut self, fd: Fd) {
        let c = std::mem::take(&mut self.conns[fd as usize]);
        for t in c.topics {
            self.topics[t].subs.retain(|(s, _)| *s != fd);
        }
        self.ep.del(fd);
        sys::close(fd);
    }
}

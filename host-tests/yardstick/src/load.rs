//! The workloads. One thread, non-blocking sockets, level-triggered epoll.

use crate::proto::{Count, Kind, Parse, Proto};
use crate::sys::{self, Addr, Epoll, Fd, Snap, Span};
use std::io;
use std::time::{Duration, Instant};

pub struct Opt {
    pub proto: Box<dyn Proto>,
    pub addr: Addr,
    pub pid: u32,
    pub size: usize,
    pub secs: f64,
    pub warm: f64,
    pub subs: usize,
    /// most messages between the sender and the slowest count of receivers
    pub window: u64,
    /// most messages in one write(2); 0: as many as fit in `CHUNK`
    pub batch: usize,
    pub depth: usize,
    pub conns: usize,
    pub idle: usize,
    pub cap_mb: f64,
    pub pubs: usize,
}

pub type Fields = Vec<(&'static str, f64)>;

const CHUNK: usize = 64 * 1024;
const BUF: usize = 256 * 1024;

fn die(what: &str) -> ! {
    eprintln!("error: {what}");
    std::process::exit(1)
}

/// A connection with the bytes of an unfinished frame.
pub struct Conn {
    pub fd: Fd,
    rest: Vec<u8>,
    pub count: Count,
}

impl Conn {
    /// Connect and shake hands. The socket is blocking afterwards.
    pub fn open(o: &Opt, id: u32) -> Conn {
        let mut tries = 0;
        let fd = loop {
            match sys::connect(&o.addr) {
                Ok(fd) => break fd,
                Err(e) if tries > 200 => die(&format!("connect {:?}: {e}", o.addr)),
                Err(_) => {
                    tries += 1;
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
        };
        let mut c = Conn { fd, rest: Vec::new(), count: Count::new() };
        let mut out = Vec::new();
        o.proto.hello(id, &mut out);
        c.sync(o, &out);
        c
    }

    /// Write and wait for one `Ready` frame.
    pub fn sync(&mut self, o: &Opt, out: &[u8]) {
        if out.is_empty() {
            return;
        }
        sys::write_all(self.fd, out).unwrap_or_else(|e| die(&format!("write: {e}")));
        let want = self.count.of(Kind::Ready) + 1;
        let mut buf = vec![0u8; 8192];
        while self.count.of(Kind::Ready) < want {
            match sys::wait(self.fd, libc::POLLIN, 20_000) {
                Ok(true) => {}
                _ => die("no answer to the handshake within 20 s"),
            }
            match self.pump(&*o.proto, &mut buf) {
                Ok(0) => die("closed by the server in the handshake"),
                Ok(_) => {}
                Err(e) => die(&format!("handshake: {e}")),
            }
        }
    }

    pub fn subscribe(&mut self, o: &Opt, topic: &str) {
        let mut out = Vec::new();
        o.proto.subscribe(topic, &mut out);
        self.sync(o, &out);
    }

    pub fn announce(&mut self, o: &Opt, topic: &str) {
        let mut out = Vec::new();
        o.proto.announce(topic, &mut out);
        self.sync(o, &out);
    }

    /// One read; counts the frames. 0: end of the stream.
    #[inline]
    fn pump(&mut self, p: &dyn Proto, buf: &mut [u8]) -> io::Result<usize> {
        let k = self.rest.len();
        if k >= buf.len() {
            die("a frame larger than the buffer");
        }
        buf[..k].copy_from_slice(&self.rest);
        let n = sys::read_dontwait(self.fd, &mut buf[k..])?;
        let used = match p.count(&buf[..k + n], &mut self.count) {
            Ok(u) => u,
            Err(e) => die(&format!("unexpected answer: {e}")),
        };
        self.rest.clear();
        self.rest.extend_from_slice(&buf[used..k + n]);
        Ok(n)
    }

    /// Blocking: the next frame that is not `Other`, into `frame`.
    fn next(&mut self, p: &dyn Proto, buf: &mut [u8], frame: &mut Vec<u8>) -> Kind {
        loop {
            let mut at = 0;
            let mut got = None;
            while at < self.rest.len() {
                match p.frame(&self.rest[at..]) {
                    Parse::Frame { len, kind, .. } if at + len <= self.rest.len() => {
                        if kind != Kind::Other {
                            frame.clear();
                            frame.extend_from_slice(&self.rest[at..at + len]);
                            got = Some(kind);
                        }
                        at += len;
                        if got.is_some() {
                            break;
                        }
                    }
                    Parse::Bad(e) => die(&format!("unexpected answer: {e}")),
                    _ => break,
                }
            }
            self.rest.drain(..at);
            if let Some(k) = got {
                return k;
            }
            match sys::read(self.fd, buf) {
                Ok(0) => die("closed by the server"),
                Ok(n) => self.rest.extend_from_slice(&buf[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => die(&format!("read: {e}")),
            }
        }
    }

    fn drain(&self, buf: &mut [u8]) {
        while matches!(sys::read_dontwait(self.fd, buf), Ok(n) if n > 0) {}
    }
}

fn span_fields(f: &mut Fields, s: &Span, n: u64) {
    f.push(("rate", n as f64 / s.wall));
    f.push(("cpu_us", s.cpu * 1e6 / n as f64));
    f.push(("sched_us", s.sched * 1e6 / n as f64));
    f.push(("user_us", s.user * 1e6 / n as f64));
    f.push(("srv_util", s.cpu / s.wall));
    f.push(("gen_util", s.own / s.wall));
    f.push(("noise", s.noise));
    f.push(("steal", s.steal));
}

/// One or more senders to `subs` receivers of one topic.
pub fn fan(o: &Opt) -> Fields {
    let topic = "fan";
    let p = &*o.proto;
    let payload = vec![b'x'; o.size];
    let ep = Epoll::new();
    let mut subs: Vec<Conn> = (0..o.subs)
        .map(|i| {
            let mut c = Conn::open(o, i as u32 + 1);
            c.subscribe(o, topic);
            sys::nonblocking(c.fd, true);
            c
        })
        .collect();
    let mut pubs: Vec<Conn> = (0..o.pubs)
        .map(|i| {
            let mut c = Conn::open(o, 100_000 + i as u32);
            c.announce(o, topic);
            sys::nonblocking(c.fd, true);
            c
        })
        .collect();
    for (i, c) in subs.iter().enumerate() {
        ep.add(c.fd, libc::EPOLLIN, i as u64);
    }
    let np = pubs.len();
    const PUB: u64 = 1 << 32;
    for (i, c) in pubs.iter().enumerate() {
        ep.add(c.fd, libc::EPOLLIN, PUB + i as u64);
    }

    let mut one = Vec::new();
    p.publish(topic, &payload, &mut one);
    let flen = one.len();
    let per = (CHUNK / flen).max(1);
    let chunk: Vec<u8> = one.iter().copied().cycle().take(per * flen).collect();

    let n = o.subs as u64;
    let mut sent = vec![0u64; np]; // bytes, per sender
    let mut total_sent = 0u64; // whole messages started, all senders
    let mut full = vec![false; np];
    let mut turn = 0usize;
    let mut got = 0u64; // deliveries
    let mut lost = 0u64;
    let mut buf = vec![0u8; BUF];
    let mut ev: Vec<libc::epoll_event> = vec![unsafe { std::mem::zeroed() }; 256];
    let start = Instant::now();
    let mut first: Option<(Snap, u64)> = None;
    let mut progress = Instant::now();
    let end: Snap;
    loop {
        // send; each sender in turn, one write each
        let mut may = true;
        for _ in 0..np {
            let used = total_sent - (got + lost) / n;
            let room = o.window.saturating_sub(used);
            if room == 0 {
                may = false;
                break;
            }
            let i = turn;
            turn = (turn + 1) % np;
            if full[i] {
                continue;
            }
            let off = (sent[i] % (per * flen) as u64) as usize;
            let part = (sent[i] % flen as u64) as usize;
            let msgs = room.min(if o.batch > 0 { o.batch } else { per } as u64) as usize;
            let to = (off + msgs * flen - part).min(chunk.len());
            match sys::write(pubs[i].fd, &chunk[off..to]) {
                Ok(k) => {
                    // `part` bytes of the message in progress were counted when it started
                    let before = sent[i].div_ceil(flen as u64);
                    sent[i] += k as u64;
                    total_sent += sent[i].div_ceil(flen as u64) - before;
                    if k < to - off {
                        full[i] = true;
                        ep.modify(pubs[i].fd, libc::EPOLLIN | libc::EPOLLOUT, PUB + i as u64);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    full[i] = true;
                    ep.modify(pubs[i].fd, libc::EPOLLIN | libc::EPOLLOUT, PUB + i as u64);
                }
                Err(e) => die(&format!("publisher: {e}")),
            }
        }
        may &= full.iter().any(|f| !f);
        let k = ep.wait(&mut ev, if may { 0 } else { 100 });
        let before = got;
        for e in &ev[..k] {
            let (events, tok) = (e.events, e.u64);
            if tok >= PUB {
                let i = (tok - PUB) as usize;
                if events & libc::EPOLLOUT as u32 != 0 {
                    full[i] = false;
                    ep.modify(pubs[i].fd, libc::EPOLLIN, tok);
                }
                if events & !(libc::EPOLLOUT as u32) != 0 {
                    match pubs[i].pump(p, &mut buf) {
                        Ok(0) => die("publisher closed by the server"),
                        Ok(_) => {}
                        Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                        Err(e) => die(&format!("publisher: {e}")),
                    }
                }
            } else {
                let c = &mut subs[tok as usize];
                let b = c.count.of(Kind::Delivery);
                match c.pump(p, &mut buf) {
                    Ok(0) => die("subscriber closed by the server"),
                    Ok(_) => {}
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                    Err(e) => die(&format!("subscriber: {e}")),
                }
                got += c.count.of(Kind::Delivery) - b;
            }
        }
        let now = Instant::now();
        if got != before {
            progress = now;
        } else if !may && now - progress > Duration::from_millis(1000) {
            // nothing has come for a second: what is outstanding is lost
            let miss = (total_sent * n).saturating_sub(got + lost);
            lost += miss;
            progress = now;
        }
        let t = (now - start).as_secs_f64();
        match &first {
            None if t >= o.warm => first = Some((Snap::take(o.pid), got)),
            Some(_) if t >= o.warm + o.secs => {
                end = Snap::take(o.pid);
                break;
            }
            _ => {}
        }
    }
    let (a, g0) = first.unwrap();
    let s = Span::between(&a, &end);
    let mut f = Fields::new();
    span_fields(&mut f, &s, got - g0);
    f.push(("lost", lost as f64));
    for c in subs.iter().chain(pubs.iter()) {
        sys::close_hard(c.fd);
    }
    f
}

/// Request and reply, one outstanding; both parties in this thread.
pub fn ping(o: &Opt) -> Fields {
    let p = &*o.proto;
    let payload = vec![b'x'; o.size];
    let (svc, inbox) = ("svc", "inbox");
    let mut a_rx = Conn::open(o, 1);
    a_rx.subscribe(o, inbox);
    let mut b_rx = Conn::open(o, 2);
    let mut out = Vec::new();
    p.serve(svc, &mut out);
    b_rx.sync(o, &out);
    let (a_tx, b_tx) = if p.duplex() {
        (None, None)
    } else {
        let mut a = Conn::open(o, 3);
        a.announce(o, svc);
        let mut b = Conn::open(o, 4);
        b.announce(o, inbox);
        (Some(a), Some(b))
    };
    let afd = a_tx.as_ref().map_or(a_rx.fd, |c| c.fd);
    let bfd = b_tx.as_ref().map_or(b_rx.fd, |c| c.fd);

    let mut req = Vec::new();
    p.request(svc, inbox, &payload, &mut req);
    let mut buf = vec![0u8; 64 * 1024];
    let mut frame = Vec::new();
    let mut rep = Vec::new();
    let mut lat: Vec<u32> = Vec::with_capacity(4 << 20);
    let start = Instant::now();
    let mut first: Option<Snap> = None;
    let mut turns = 0u64;
    let end = loop {
        let t0 = Instant::now();
        sys::write_all(afd, &req).unwrap_or_else(|e| die(&format!("write: {e}")));
        b_rx.next(p, &mut buf, &mut frame);
        rep.clear();
        p.reply(&frame, inbox, &payload, &mut rep);
        sys::write_all(bfd, &rep).unwrap_or_else(|e| die(&format!("write: {e}")));
        a_rx.next(p, &mut buf, &mut frame);
        let t1 = Instant::now();
        turns += 1;
        if turns.is_multiple_of(256)
            && let (Some(a), Some(b)) = (&a_tx, &b_tx)
        {
            a.drain(&mut buf);
            b.drain(&mut buf);
        }
        let t = (t1 - start).as_secs_f64();
        if first.is_some() {
            lat.push((t1 - t0).as_nanos().min(u32::MAX as u128) as u32);
            if t >= o.warm + o.secs {
                break Snap::take(o.pid);
            }
        } else if t >= o.warm {
            first = Some(Snap::take(o.pid));
        }
    };
    let s = Span::between(&first.unwrap(), &end);
    let n = lat.len() as u64;
    lat.sort_unstable();
    let q = |p: f64| lat[((lat.len() - 1) as f64 * p) as usize] as f64 / 1000.0;
    let mut f: Fields = vec![("p50", q(0.5)), ("p90", q(0.9)), ("p99", q(0.99)), ("p999", q(0.999)), ("min", q(0.0))];
    span_fields(&mut f, &s, n);
    for c in [Some(a_rx), Some(b_rx), a_tx, b_tx].iter().flatten() {
        sys::close_hard(c.fd);
    }
    f
}

/// Alternating set and get over 10,000 keys, `depth` outstanding on each of
/// `conns` connections.
pub fn kv(o: &Opt) -> Fields {
    let p = &*o.proto;
    let value = vec![b'x'; o.size];
    const KEYS: usize = 10_000;
    let mut ops = Vec::new();
    let mut at = vec![0usize];
    for i in 0..KEYS {
        let k = format!("key{:06}", (i * 7919) % KEYS);
        p.set(&k, &value, &mut ops);
        at.push(ops.len());
        p.get(&k, &mut ops);
        at.push(ops.len());
    }
    let nops = at.len() - 1;
    let ep = Epoll::new();
    let mut conns: Vec<Conn> = (0..o.conns)
        .map(|i| {
            let c = Conn::open(o, i as u32 + 1);
            sys::nonblocking(c.fd, true);
            c
        })
        .collect();
    for (i, c) in conns.iter().enumerate() {
        ep.add(c.fd, libc::EPOLLIN, i as u64);
    }
    // next operation to write, per connection
    let mut next: Vec<usize> = (0..o.conns).map(|i| (i * nops / o.conns) & !1).collect();
    let mut sent = vec![0u64; o.conns];
    let mut got = 0u64;
    let mut buf = vec![0u8; BUF];
    let mut ev: Vec<libc::epoll_event> = vec![unsafe { std::mem::zeroed() }; 256];
    let start = Instant::now();
    let mut first: Option<(Snap, u64)> = None;
    let low = o.depth / 2;
    loop {
        for i in 0..o.conns {
            let out = sent[i] - conns[i].count.of(Kind::Reply);
            if out > low as u64 {
                continue;
            }
            let k = (o.depth - out as usize).min(nops - next[i]);
            let b = &ops[at[next[i]]..at[next[i] + k]];
            sys::write_all(conns[i].fd, b).unwrap_or_else(|e| die(&format!("write: {e}")));
            sent[i] += k as u64;
            next[i] = (next[i] + k) % nops;
        }
        let k = ep.wait(&mut ev, 1000);
        for e in &ev[..k] {
            let c = &mut conns[e.u64 as usize];
            let b = c.count.of(Kind::Reply);
            match c.pump(p, &mut buf) {
                Ok(0) => die("closed by the server"),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => die(&format!("read: {e}")),
            }
            got += c.count.of(Kind::Reply) - b;
        }
        let t = start.elapsed().as_secs_f64();
        match &first {
            None if t >= o.warm => first = Some((Snap::take(o.pid), got)),
            Some((a, g)) if t >= o.warm + o.secs => {
                let s = Span::between(a, &Snap::take(o.pid));
                let mut f = Fields::new();
                span_fields(&mut f, &s, got - g);
                for c in &conns {
                    sys::close_hard(c.fd);
                }
                return f;
            }
            _ => {}
        }
    }
}

/// `idle` connections with one subscription each, then W1 and W3 beside them.
pub fn idle(o: &Opt) -> Fields {
    // warm the server, so that its first allocations are not counted
    drop(Conn::open(o, 1));
    std::thread::sleep(Duration::from_millis(300));
    let rss0 = sys::proc_rss(o.pid);
    let cpu0 = sys::proc_cpu(o.pid);
    let t0 = Instant::now();
    let conns: Vec<Conn> = (0..o.idle)
        .map(|i| {
            let mut c = Conn::open(o, 200_000 + i as u32);
            c.subscribe(o, &format!("idle{i}"));
            c
        })
        .collect();
    let took = t0.elapsed().as_secs_f64();
    std::thread::sleep(Duration::from_millis(1000));
    let rss1 = sys::proc_rss(o.pid);
    let cpu1 = sys::proc_cpu(o.pid);
    let mut f: Fields = vec![
        ("rss_base_kib", rss0),
        ("rss_conn_kib", (rss1 - rss0) / o.idle as f64),
        ("connect_us", took * 1e6 / o.idle as f64),
        ("connect_cpu_us", (cpu1 - cpu0) * 1e6 / o.idle as f64),
    ];
    // CPU when nothing happens
    let c0 = sys::proc_sched(o.pid);
    std::thread::sleep(Duration::from_millis(2000));
    f.push(("idle_cpu_pct", (sys::proc_sched(o.pid) - c0) / 2.0 * 100.0));
    f.extend(fan(o));
    for (k, v) in ping(o) {
        match k {
            "p50" | "p99" => f.push((k, v)),
            "cpu_us" => f.push(("rt_cpu_us", v)),
            _ => {}
        }
    }
    f.push(("rss_after_kib", sys::proc_rss(o.pid)));
    for c in &conns {
        sys::close_hard(c.fd);
    }
    f
}

/// Two subscribers, of which one never reads. First the good one alone for a
/// second, then the slow one subscribes.
pub fn slow(o: &Opt) -> Fields {
    let topic = "fan";
    let p = &*o.proto;
    let payload = vec![b'x'; o.size];
    let mut a = Conn::open(o, 1);
    a.subscribe(o, topic);
    sys::nonblocking(a.fd, true);
    let mut s = Conn::open(o, 3);
    s.announce(o, topic);
    sys::nonblocking(s.fd, true);
    let mut b: Option<Conn> = None;
    let mut one = Vec::new();
    p.publish(topic, &payload, &mut one);
    let flen = one.len();
    let per = (CHUNK / flen).max(1);
    let chunk: Vec<u8> = one.iter().copied().cycle().take(per * flen).collect();

    let mut buf = vec![0u8; BUF];
    let (mut sent, mut got) = (0u64, 0u64);
    let mut max_gap = 0f64;
    let (mut rss0, mut fds0, mut peak) = (0f64, 0usize, 0f64);
    // when the slow one came and went: time, deliveries to the good one, server RSS
    let mut came: Option<(Instant, u64, u64)> = None;
    let mut before = Snap::take(o.pid);
    let mut gone: Option<(Instant, u64, f64)> = None;
    let mut rate_alone = 0f64;
    let mut died = 0f64;
    let mut stalled = 0f64;
    let cap = (o.cap_mb * 1e6 / o.size as f64) as u64;
    let ep = Epoll::new();
    ep.add(a.fd, libc::EPOLLIN, 0);
    ep.add(s.fd, libc::EPOLLIN, 1);
    let mut out = false;
    let mut ev: Vec<libc::epoll_event> = vec![unsafe { std::mem::zeroed() }; 16];
    let start = Instant::now();
    let mut last_got = start;
    let mut look = start;
    'run: loop {
        let msgs = sent.div_ceil(flen as u64);
        let more = came.is_none_or(|c| msgs - c.2 < cap);
        let room = o.window.saturating_sub(msgs - got.min(msgs));
        let may = room > 0 && !out && more;
        if may {
            let off = (sent % chunk.len() as u64) as usize;
            let part = (sent % flen as u64) as usize;
            let to = (off + room as usize * flen - part).min(chunk.len());
            match sys::write(s.fd, &chunk[off..to]) {
                Ok(k) => sent += k as u64,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    out = true;
                    ep.modify(s.fd, libc::EPOLLIN | libc::EPOLLOUT, 1);
                }
                Err(_) => {
                    died = 1.0;
                    break 'run;
                }
            }
        }
        let k = ep.wait(&mut ev, if may { 0 } else { 50 });
        for e in &ev[..k] {
            let (events, tok) = (e.events, e.u64);
            let c = if tok == 1 { &mut s } else { &mut a };
            if events & libc::EPOLLOUT as u32 != 0 {
                out = false;
                ep.modify(c.fd, libc::EPOLLIN, tok);
            }
            if events & !(libc::EPOLLOUT as u32) != 0 {
                match c.pump(p, &mut buf) {
                    Ok(n) if n > 0 => {}
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                    _ => {
                        died = if tok == 1 { 1.0 } else { 2.0 };
                        break 'run;
                    }
                }
            }
        }
        let now = Instant::now();
        let g = a.count.of(Kind::Delivery);
        if g != got {
            got = g;
            if came.is_some() {
                max_gap = max_gap.max((now - last_got).as_secs_f64());
            }
            last_got = now;
        } else if (now - last_got).as_secs_f64() > 15.0 {
            stalled = 1.0;
            break;
        }
        let t = (now - start).as_secs_f64();
        if came.is_none() && t > 1.0 {
            rate_alone = got as f64 / t;
            let mut c = Conn::open(o, 2);
            c.subscribe(o, topic);
            sys::nonblocking(c.fd, true);
            b = Some(c);
            rss0 = sys::proc_rss(o.pid);
            fds0 = sys::proc_fds(o.pid);
            before = Snap::take(o.pid);
            came = Some((Instant::now(), got, sent.div_ceil(flen as u64)));
            last_got = Instant::now();
        }
        if let Some(c) = &came {
            if (now - look).as_millis() >= 20 {
                look = now;
                let rss = sys::proc_rss(o.pid);
                peak = peak.max(rss);
                if gone.is_none() && sys::proc_fds(o.pid) < fds0 {
                    gone = Some((now, got, rss));
                }
                if !sys::proc_alive(o.pid) {
                    died = 3.0;
                    break;
                }
            }
            let whole = sent / flen as u64;
            if (!more && got >= whole) || (now - c.0).as_secs_f64() > 60.0 {
                break;
            }
        }
    }
    let end = Instant::now();
    let span = Span::between(&before, &Snap::take(o.pid));
    let (c_t, c_got, c_sent) = came.unwrap_or((start, 0, 0));
    let mb = |n: u64| n as f64 * o.size as f64 / 1e6;
    let took = (end - c_t).as_secs_f64();
    let fds = sys::proc_fds(o.pid);
    let mut f: Fields = vec![
        ("sent_mb", mb(sent / flen as u64 - c_sent)),
        ("good_missed", (sent / flen as u64) as f64 - got as f64),
        ("good_rate_alone", rate_alone),
        ("good_max_gap_ms", max_gap * 1e3),
        ("rss_base_mib", rss0 / 1024.0),
        ("rss_peak_mib", peak / 1024.0),
        ("rss_end_mib", sys::proc_rss(o.pid) / 1024.0),
        ("stalled", stalled),
        ("died", died),
        ("closed_fds", fds0 as f64 - fds as f64),
        ("noise", span.noise),
        ("steal", span.steal),
    ];
    match gone {
        Some((t, g, r)) => {
            let s = (t - c_t).as_secs_f64();
            f.push(("cut_after_s", s));
            f.push(("cut_after_mb", mb(g - c_got)));
            f.push(("cut_rss_mib", r / 1024.0));
            f.push(("good_rate_with", (g - c_got) as f64 / s));
            f.push(("good_rate_after", (got - g) as f64 / (end - t).as_secs_f64()));
        }
        None => f.push(("good_rate_with", (got - c_got) as f64 / took)),
    }
    // what the slow one still gets when it reads at last
    if let Some(mut b) = b {
        let t = Instant::now();
        let mut quiet = Instant::now();
        let mut bend = 0.0;
        loop {
            match b.pump(p, &mut buf) {
                Ok(0) => {
                    bend = 1.0;
                    break;
                }
                Ok(_) => quiet = Instant::now(),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    if quiet.elapsed().as_secs_f64() > 1.5 || t.elapsed().as_secs_f64() > 30.0 {
                        break;
                    }
                    let _ = sys::wait(b.fd, libc::POLLIN, 100);
                }
                Err(_) => {
                    bend = 2.0;
                    break;
                }
            }
        }
        f.push(("slow_got_mb", mb(b.count.of(Kind::Delivery))));
        f.push(("slow_end", bend));
        sys::close_hard(b.fd);
    }
    std::thread::sleep(Duration::from_millis(300));
    f.push(("rss_drained_mib", sys::proc_rss(o.pid) / 1024.0));
    for c in [&a, &s] {
        sys::close_hard(c.fd);
    }
    f
}

//! Protocols: what to write, and how to cut the answers into frames.
//!
//! To add one: implement [`Proto`] in a new file and name it in [`by_name`].
//! Only `frame` and the encoders that the workloads call are needed; see
//! `README.md` for which workload calls what.

mod chappe;
mod clacks;
mod communicator;
mod dbus;
mod memcached;
pub mod mini;
mod mqtt;
mod msgq;
mod nats;
mod raw;
mod resp;

pub use raw::ACK as RAW_ACK;

/// What a frame from the server means to the load generator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A published message reached this subscriber.
    Delivery = 0,
    /// The handshake, a subscription or a registration is complete.
    Ready = 1,
    /// One answer to a `set` or `get` (exactly one per operation).
    Reply = 2,
    /// Anything else; skipped.
    Other = 3,
}

pub enum Parse {
    /// The first frame is not complete yet.
    Need,
    /// The first frame is `len` bytes long. `fixed` bytes at its start, when
    /// met again, imply the same length and kind (0: never assume so).
    Frame {
        len: usize,
        fixed: usize,
        kind: Kind,
    },
    Bad(String),
}

/// Counter of frames in the byte stream of one connection.
pub struct Count {
    pub n: [u64; 4],
    pfx: [u8; 128],
    pfx_len: usize,
    len: usize,
    kind: Kind,
}

impl Count {
    pub fn new() -> Count {
        Count { n: [0; 4], pfx: [0; 128], pfx_len: 0, len: 0, kind: Kind::Other }
    }
    pub fn of(&self, k: Kind) -> u64 {
        self.n[k as usize]
    }
}

pub trait Proto: Sync {
    /// Bytes to write after connecting; if any, the server's answer must end
    /// in a `Ready` frame.
    fn hello(&self, id: u32, out: &mut Vec<u8>);

    /// Bytes that declare this connection a publisher; as `hello`.
    fn announce(&self, _topic: &str, _out: &mut Vec<u8>) {}

    /// Subscribe; answered by a `Ready` frame.
    fn subscribe(&self, topic: &str, out: &mut Vec<u8>);

    /// Become the responder for `topic`; answered by a `Ready` frame.
    fn serve(&self, topic: &str, out: &mut Vec<u8>) {
        self.subscribe(topic, out)
    }

    /// One published message. All calls with the same arguments must give the
    /// same bytes.
    fn publish(&self, topic: &str, payload: &[u8], out: &mut Vec<u8>);

    /// One request, to be answered on `inbox`.
    fn request(&self, topic: &str, _inbox: &str, payload: &[u8], out: &mut Vec<u8>) {
        self.publish(topic, payload, out)
    }

    /// The answer to a received request frame.
    fn reply(&self, _frame: &[u8], inbox: &str, payload: &[u8], out: &mut Vec<u8>) {
        self.publish(inbox, payload, out)
    }

    /// Whether one connection can be subscribed and publish.
    fn duplex(&self) -> bool {
        true
    }

    fn set(&self, _key: &str, _value: &[u8], _out: &mut Vec<u8>) {
        lacks("keys and values")
    }
    fn get(&self, _key: &str, _out: &mut Vec<u8>) {
        lacks("keys and values")
    }

    /// What a frame of this kind counts.
    fn replies(&self, _: Kind) -> u64 {
        1
    }

    /// Cut the first frame off a stream of bytes.
    fn frame(&self, inp: &[u8]) -> Parse;

    /// Count all whole frames; returns how many bytes they take.
    fn count(&self, inp: &[u8], c: &mut Count) -> Result<usize, String> {
        let mut at = 0;
        while at < inp.len() {
            let rest = &inp[at..];
            if c.pfx_len > 0 && rest.len() >= c.len && rest[..c.pfx_len] == c.pfx[..c.pfx_len] {
                c.n[c.kind as usize] += 1;
                at += c.len;
                continue;
            }
            match self.frame(rest) {
                Parse::Need => break,
                Parse::Bad(e) => return Err(e),
                Parse::Frame { len, fixed, kind } => {
                    if len > rest.len() {
                        break;
                    }
                    if fixed > 0 && fixed <= c.pfx.len() {
                        c.pfx[..fixed].copy_from_slice(&rest[..fixed]);
                        c.pfx_len = fixed;
                        c.len = len;
                        c.kind = kind;
                    }
                    c.n[kind as usize] += self.replies(kind);
                    at += len;
                }
            }
        }
        Ok(at)
    }
}

/// `size` is the payload size, for protocols without framing.
pub fn by_name(name: &str, size: usize) -> Option<Box<dyn Proto>> {
    Some(match name {
        "chappe" => Box::new(chappe::Chappe),
        "nats" => Box::new(nats::Nats),
        "resp" => Box::new(resp::Resp),
        "clacks" => Box::new(clacks::Clacks),
        "communicator" => Box::new(communicator::One),
        "communicator-all" => Box::new(communicator::All),
        "msgq" => Box::new(msgq::Msgq::default()),
        "mqtt" => Box::new(mqtt::Mqtt),
        "memcached" => Box::new(memcached::Memcached),
        "dbus" => Box::new(dbus::Dbus),
        "raw" => Box::new(raw::Raw { size }),
        "mini" => Box::new(mini::Mini),
        _ => return None,
    })
}

/// Ends the program: the workload needs what the protocol has not.
pub fn lacks(what: &str) -> ! {
    eprintln!("brokerbench: this protocol has no {what}: choose another workload");
    std::process::exit(2)
}

pub fn find(hay: &[u8], b: u8) -> Option<usize> {
    let p = unsafe { libc::memchr(hay.as_ptr() as *const _, b as i32, hay.len()) };
    if p.is_null() { None } else { Some(p as usize - hay.as_ptr() as usize) }
}

pub fn number(s: &[u8]) -> Option<usize> {
    if s.is_empty() {
        return None;
    }
    let mut v = 0usize;
    for &b in s {
        if !b.is_ascii_digit() {
            return None;
        }
        v = v.checked_mul(10)?.checked_add((b - b'0') as usize)?;
    }
    Some(v)
}

pub fn text(b: &[u8]) -> String {
    String::from_utf8_lossy(&b[..b.len().min(120)]).into_owned()
}

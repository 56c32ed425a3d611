//! A small Clacks server in threads, strict about its clients, with the users of `wire/clacks.md`
//! section 17. Written from the page, without the code under test.
//!
//! With the variable CHAPPE_TEST_CLACKS set to the address of another server that has the same
//! users (and, for TLS, CHAPPE_CA or none), tests use that instead.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

const USERS: [(&str, &str, &str); 5] = [
    ("exampleuser", "ZXhhbXBsZXVzZXI=:dW5zYWZlcGFzc3dvcmQ=", "rwm"),
    ("rouser", "cm91c2Vy:YmFy", "r"),
    ("rwuser", "cnd1c2Vy:Zm9v", "rw"),
    ("wouser", "d291c2Vy:YmF6", "w"),
    ("nobody", "", ""),
];

type Bytes = Vec<u8>;

#[derive(Default)]
struct State {
    store: BTreeMap<Bytes, Bytes>,
    clients: BTreeMap<u64, Client>,
    next: u64,
    /// What no client of ours may do.
    faults: Vec<String>,
}

struct Client {
    stream: UnixStream,
    name: Bytes,
    rights: Option<&'static str>,
    listens: BTreeSet<Bytes>,
    monitor: bool,
}

impl Client {
    fn say(&mut self, parts: &[&[u8]]) {
        let line = [&parts.concat()[..], b"\r\n"].concat();
        let _ = self.stream.write_all(&line);
    }
}

fn cid(id: u64) -> String {
    format!("unixdomainsocket:1795189745.21447:{id}")
}

/// A server, of one's own or another one.
pub struct Server {
    own: Option<Own>,
    address: String,
}

struct Own {
    state: Arc<Mutex<State>>,
    path: PathBuf,
    dir: tempfile::TempDir,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start() -> Server {
        match std::env::var("CHAPPE_TEST_CLACKS") {
            Ok(address) => Server { own: None, address },
            Err(_) => Server::own(tempfile::tempdir().unwrap()),
        }
    }

    /// One that can be stopped.
    pub fn own(dir: tempfile::TempDir) -> Server {
        let path = dir.path().join("clacks.sock");
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let thread = std::thread::spawn({
            let state = state.clone();
            move || {
                for stream in listener.incoming() {
                    let stream = stream.unwrap();
                    let mut s = state.lock().unwrap();
                    if s.next == u64::MAX {
                        return;
                    }
                    s.next += 1;
                    let id = s.next;
                    for client in s.clients.values_mut().filter(|c| c.monitor) {
                        client.say(&[b"DEBUG CONNECTED=", cid(id).as_bytes()]);
                    }
                    let mut client = Client {
                        stream: stream.try_clone().unwrap(),
                        name: b"UNKNOWN".to_vec(),
                        rights: None,
                        listens: BTreeSet::new(),
                        monitor: false,
                    };
                    client.say(&[b"CLACKS PageCamel 36\r\nOVERHEAD M Authentication required"]);
                    s.clients.insert(id, client);
                    drop(s);
                    let state = state.clone();
                    std::thread::spawn(move || serve(id, stream, &state));
                }
            }
        });
        let address = format!("clacks://{}", path.display());
        Server { own: Some(Own { state, path, dir, thread: Some(thread) }), address }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Tells everybody QUIT and ends. The folder stays.
    pub fn stop(mut self) -> tempfile::TempDir {
        let own = self.own.take().unwrap();
        own.end()
    }
}

impl Own {
    fn end(mut self) -> tempfile::TempDir {
        let mut state = self.state.lock().unwrap();
        state.next = u64::MAX;
        for client in state.clients.values_mut() {
            client.say(&[b"\r\nQUIT"]);
            let _ = client.stream.shutdown(std::net::Shutdown::Write);
        }
        let faults = std::mem::take(&mut state.faults);
        drop(state);
        let _ = UnixStream::connect(&self.path);
        let _ = self.thread.take().unwrap().join();
        assert!(faults.is_empty() || std::thread::panicking(), "{faults:?}");
        std::fs::remove_file(&self.path).unwrap();
        self.dir
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(own) = self.own.take() {
            own.end();
        }
    }
}

fn serve(id: u64, stream: UnixStream, state: &Mutex<State>) {
    let mut input = BufReader::new(stream);
    let mut count = 0;
    loop {
        let mut line = Vec::new();
        if input.read_until(b'\n', &mut line).unwrap_or(0) == 0 {
            break;
        }
        let mut s = state.lock().unwrap();
        let Some(content) = line.strip_suffix(b"\r\n") else {
            s.faults.push(format!("no CR LF: {line:?}"));
            break;
        };
        let first = [&b"CLACKS "[..], b"OVERHEAD A "].get(count).copied().unwrap_or_default();
        if !content.starts_with(first) || content.contains(&b'\r') || content.is_empty() {
            s.faults.push(format!("line {count}: {:?}", String::from_utf8_lossy(content)));
        }
        count += 1;
        if !s.hear(id, content) {
            break;
        }
    }
    let mut s = state.lock().unwrap();
    if let Some(client) = s.clients.remove(&id) {
        let _ = client.stream.shutdown(std::net::Shutdown::Both);
    }
    for client in s.clients.values_mut().filter(|c| c.monitor) {
        client.say(&[b"DEBUG DISCONNECTED=", cid(id).as_bytes(), b" (0 bytes discarded from outbuffer)"]);
    }
}

/// At the first `=` that is not the first octet.
fn pair(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().skip(1).position(|b| *b == b'=')? + 1;
    Some((&text[..at], &text[at + 1..]))
}

impl State {
    fn me(&mut self, id: u64) -> &mut Client {
        self.clients.get_mut(&id).unwrap()
    }

    fn signal(&mut self, from: u64, name: &[u8], line: &[u8]) {
        for (_, client) in self.clients.iter_mut().filter(|(id, c)| **id != from && c.listens.contains(name)) {
            client.say(&[line]);
        }
    }

    /// Whether the connection goes on.
    fn hear(&mut self, id: u64, line: &[u8]) -> bool {
        if !self.clients.contains_key(&id) {
            return false;
        }
        if let Some(token) = line.strip_prefix(b"OVERHEAD A ") {
            let rights = USERS.iter().find(|u| !u.1.is_empty() && u.1.as_bytes() == token).map(|u| u.2);
            let me = self.me(id);
            me.rights = rights;
            me.say(&[if rights.is_some() { b"OVERHEAD O Welcome!" } else { b"OVERHEAD F Login failed!" }]);
            if rights.is_none() {
                let _ = me.stream.shutdown(std::net::Shutdown::Write);
            }
            return true;
        }
        if let Some(name) = line.strip_prefix(b"CLACKS ") {
            self.me(id).name = name.iter().map(|b| if *b == b';' { b'_' } else { *b }).collect();
            return true;
        }
        let Some(rights) = self.me(id).rights else { return true };
        for client in self.clients.values_mut().filter(|c| c.monitor) {
            client.say(&[b"DEBUG ", cid(id).as_bytes(), b"=", line]);
        }
        let (word, rest) = match line.iter().position(|b| *b == b' ') {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, &line[line.len()..]),
        };
        let need = match word {
            b"RETRIEVE" | b"KEYLIST" | b"LISTEN" | b"UNLISTEN" => "r",
            b"STORE" | b"SETANDSTORE" | b"SET" | b"NOTIFY" | b"REMOVE" | b"INCREMENT" | b"DECREMENT" => "w",
            b"CLEARCACHE" | b"MONITOR" | b"UNMONITOR" | b"CLIENTLIST" | b"CLIENTDISCONNECT" => "m",
            _ => "",
        };
        if !rights.contains(need) {
            self.me(id).say(&[b"OVERHEAD E permission_denied"]);
            return true;
        }
        match (word, pair(rest)) {
            (b"QUIT", _) => return false,
            (b"PING" | b"NOPING", _) => {}
            (b"FLUSH", _) if !rest.is_empty() => self.me(id).say(&[b"FLUSHED ", rest]),
            (b"NOTIFY", _) => self.signal(id, rest, line),
            (b"SET", Some((name, _))) => self.signal(id, name, line),
            (b"STORE", Some((name, value))) => drop(self.store.insert(name.into(), value.into())),
            (b"SETANDSTORE", Some((name, value))) => {
                self.store.insert(name.into(), value.into());
                self.signal(id, name, &[b"SET ", rest].concat());
            }
            (b"RETRIEVE", _) => match self.store.get(rest).cloned() {
                Some(value) => self.me(id).say(&[b"RETRIEVED ", rest, b"=", &value]),
                None => self.me(id).say(&[b"NOTRETRIEVED ", rest]),
            },
            (b"REMOVE", _) => drop(self.store.remove(rest)),
            (b"INCREMENT" | b"DECREMENT", _) => {
                let at = rest.iter().rposition(|b| *b == b'=').unwrap_or(rest.len());
                let number = |text: &[u8]| std::str::from_utf8(text).unwrap().parse::<i64>().unwrap_or(0);
                let step = if at < rest.len() { number(&rest[at + 1..]) } else { 1 };
                let old = self.store.get(&rest[..at]).map_or(0, |v| number(v));
                let new = if word == b"INCREMENT" { old + step } else { old - step };
                self.store.insert(rest[..at].into(), new.to_string().into());
            }
            (b"KEYLIST", _) => {
                let keys: Vec<_> = self.store.keys().cloned().collect();
                let me = self.me(id);
                me.say(&[b"KEYLISTSTART"]);
                keys.iter().for_each(|key| me.say(&[b"KEY ", key]));
                me.say(&[b"KEYLISTEND"]);
            }
            (b"LISTEN", _) => drop(self.me(id).listens.insert(rest.into())),
            (b"UNLISTEN", _) => drop(self.me(id).listens.remove(rest)),
            (b"MONITOR", _) => {
                self.me(id).monitor = true;
                self.me(id).say(&[b"DEBUG ", cid(id).as_bytes(), b"=", line]);
            }
            (b"UNMONITOR", _) => self.me(id).monitor = false,
            (b"CLIENTLIST", _) => {
                let mut rows: Vec<_> = self
                    .clients
                    .iter()
                    .map(|(id, c)| {
                        let name = String::from_utf8_lossy(&c.name).into_owned();
                        format!(
                            "CLIENT CID={};HOST=unixdomainsocket;PORT={id};CLIENTINFO={name};OUTBUFFER_LENGTH=17;\
                             INBUFFER_LENGTH=0;INTERCLACKS=0;MONITOR={};LASTPING=1795189745.21447;\
                             LASTINTERCLACKSPING=0;WRITEFAILTIME=0;",
                            cid(*id),
                            u8::from(c.monitor)
                        )
                    })
                    .collect();
                rows.sort();
                let me = self.me(id);
                me.say(&[b"CLIENTLISTSTART"]);
                rows.iter().for_each(|row| me.say(&[row.as_bytes()]));
                me.say(&[b"CLIENTLISTEND"]);
            }
            _ => {
                self.faults.push(format!("unknown: {:?}", String::from_utf8_lossy(line)));
                self.me(id).say(&[b"OVERHEAD E unknown_command ", line]);
            }
        }
        true
    }
}

//! Being found, and finding: the daemon on the loopback interface, asked by every way there is,
//! by floods and by garbage; and the client, answered by liars.

mod support;

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use chappe_core::discovery::{ANSWER, Answer, GROUP, Ports, QUESTION, Question, Scheme, Schemes};
use chappe_linux::address::Address;
use chappe_linux::discovery::{Error, Wanted, discover, find};
use socket2::{Domain, InterfaceIndexOrAddress, Socket, Type};
use support::tls::{Authority, listeners};
use support::{CHAPPE, Daemon, PATIENCE, counters, until};

const LO: Ipv4Addr = Ipv4Addr::LOCALHOST;
const EVERYBODY: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 255);
const ON_LO: &str = "[discovery]\ninterfaces = [\"lo\"]\nport = 0\n";

fn daemon(more: &str) -> Daemon {
    Daemon::start(&format!("node = \"greenhouse\"\n{ON_LO}{more}"))
}

/// Where it answers.
fn port(daemon: &mut Daemon) -> u16 {
    daemon.event("discovery.open")["port"].as_u64().unwrap().try_into().unwrap()
}

/// Asks from the loopback, by multicast and broadcast too.
fn asker(from: Ipv4Addr) -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    socket.bind(&SocketAddr::new(from.into(), 0).into()).unwrap();
    socket.set_broadcast(true).unwrap();
    socket.set_multicast_if_v4(&LO).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.into()
}

fn question(nonce: u64, node: &str, wants: Schemes) -> [u8; QUESTION] {
    let mut out = [0; QUESTION];
    Question { nonce, node, wants }.write(&mut out);
    out
}

fn answer(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut out = [0; 1500];
    let (n, from) = socket.recv_from(&mut out).expect("an answer");
    (out[..n].to_vec(), from)
}

/// What has come by now, and whatever was sent before is through.
fn drain(socket: &UdpSocket) -> usize {
    socket.set_nonblocking(true).unwrap();
    let mut all = 0;
    let mut out = [0; 1500];
    while let Ok((n, _)) = socket.recv_from(&mut out) {
        assert!(n <= QUESTION);
        all += n;
    }
    socket.set_nonblocking(false).unwrap();
    all
}

#[test]
fn it_answers_by_every_way_with_what_the_asker_can_reach() {
    let listeners = "[[listeners]]\naddress = \"tcp://127.0.0.1:0\"\n[[listeners]]\naddress = \"unix://FOLDER/s\"\n";
    let mut daemon = daemon(listeners);
    let (port, tcp) = (port(&mut daemon), daemon.address("tcp"));
    for (n, to) in [LO, EVERYBODY, GROUP].into_iter().enumerate() {
        let socket = asker(LO);
        let nonce = 7 + n as u64;
        socket.send_to(&question(nonce, "", Schemes::ALL), (to, port)).unwrap();
        let (octets, from) = answer(&socket);
        assert_eq!(from, SocketAddr::new(LO.into(), port), "{to}");
        assert!(octets.len() <= ANSWER);
        let text = String::from_utf8(octets.clone()).unwrap();
        assert_eq!(
            text,
            format!("FOUND node=greenhouse;nonce={nonce:016x};tcp={};version=1", &tcp["127.0.0.1:".len()..])
        );
        let answer = Answer::read(&octets).unwrap();
        assert_eq!((answer.nonce, answer.ports.iter().count()), (nonce, 1));
    }
}

#[test]
fn it_is_silent_to_what_is_no_question_of_its_own() {
    let mut daemon = daemon("[metrics]\nlisten = \"127.0.0.1:0\"\n");
    let port = port(&mut daemon);
    let counter = counters(&mut daemon);
    let socket = asker(LO);
    let good = question(1, "greenhouse", Schemes::ALL);
    let mut garbage: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"SHUTDOWN".to_vec(),
        b"communicatord/STOP".to_vec(),
        vec![0; 256],
        vec![b'x'; 60_000],
        good[..255].to_vec(),
        [&good[..], &[b'0'; 257]].concat(),
        good.to_ascii_lowercase(),
    ];
    garbage.push(b"FOUND node=x;nonce=0000000000000001;tcp=1;version=1".to_vec());
    for datagram in &garbage {
        socket.send_to(datagram, (LO, port)).unwrap();
    }
    socket.send_to(&question(2, "vineyard", Schemes::ALL), (LO, port)).unwrap();
    socket.send_to(&question(3, "", Schemes::of(&[Scheme::Tls])), (LO, port)).unwrap();
    socket.send_to(&good, (LO, port)).unwrap();
    let (octets, _) = answer(&socket);
    assert_eq!(Answer::read(&octets).unwrap().nonce, 1, "the only answer is to the only good question");
    assert_eq!(drain(&socket), 0);
    let total = |name: &str| counter(&format!("chappe_discovery_{name}_total"));
    assert_eq!(total("questions"), garbage.len() as u64 + 3);
    assert_eq!(total("malformed"), garbage.len() as u64);
    assert_eq!((total("for_others"), total("nothing"), total("answers")), (1, 1, 1));
}

#[test]
fn a_flood_gets_back_less_than_it_sends_and_holds_up_nobody() {
    let mut daemon = daemon("[metrics]\nlisten = \"127.0.0.1:0\"\n");
    let port = port(&mut daemon);
    let counter = counters(&mut daemon);
    let total = |name: &str| counter(&format!("chappe_discovery_{name}_total"));
    let mut station = daemon.station("patient");
    let asked = question(1, "", Schemes::ALL);
    // No more at once than the kernel keeps for a socket: else it would be the one to drop them.
    let mut sent = 0;
    let mut ask = |sockets: &[UdpSocket]| {
        for socket in sockets {
            socket.send_to(&asked, (LO, port)).unwrap();
            sent += 1;
        }
        until("all of it was read", || total("questions") == sent);
        sent
    };
    // one source: what it gets in the meantime, one a second, depends on how long this takes
    let one: Vec<_> = (0..50).map(|_| asker(LO)).collect();
    let mut asked_by_one = 0;
    for _ in 0..4 {
        asked_by_one = ask(&one);
    }
    let of_one = total("answers");
    assert!(of_one >= 4 && total("source_limit") == asked_by_one - of_one, "{of_one}");
    assert!(station.is_alive());
    // a hundred sources, twenty times each
    let many: Vec<_> = (1..=100).map(|n| asker(Ipv4Addr::new(127, 1, 0, n))).collect();
    let mut sent = 0;
    for _ in 0..20 {
        for some in many.chunks(50) {
            sent = ask(some);
        }
        assert!(station.is_alive());
    }
    assert!(total("limit") > 0, "everybody together have a limit");
    let back: usize = many.iter().chain(&one).map(drain).sum();
    let asked = QUESTION * sent as usize;
    assert!(back < asked / 4, "{back} octets for {asked}");
    daemon.event("discovery.limited");
}

#[test]
fn what_cannot_be_opened_is_named() {
    let start = |config: &str| {
        let folder = tempfile::tempdir().unwrap();
        let started = Daemon::start_in(folder, config, |path| {
            let mut command = Command::new(CHAPPE);
            command.arg("serve").arg("--config").arg(path);
            command
        });
        let (status, text) = started.err().expect("it does not start");
        assert_eq!(status.code(), Some(1), "{text}");
        text
    };
    let text = start("[discovery]\ninterfaces = [\"nosuchinterface\"]\n");
    assert!(text.contains("discovery.interfaces[0]: `nosuchinterface`: there is no such interface"), "{text}");
    let mut first = daemon("");
    let port = port(&mut first);
    let text = start(&format!("[discovery]\ninterfaces = [\"lo\"]\nport = {port}\n"));
    assert!(text.contains(&format!("another program listens at UDP port {port} there")), "{text}");
}

#[test]
fn nobody_is_answered_unless_the_configuration_says_so() {
    let daemon = Daemon::start("");
    let sockets = std::fs::read_to_string(format!("/proc/{}/net/udp", daemon.pid())).unwrap();
    let inodes: HashSet<_> = sockets.lines().skip(1).filter_map(|l| l.split_whitespace().nth(9)).collect();
    let open = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap();
    let links = open.filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok());
    let is_udp = |link: &std::path::Path| {
        let link = link.to_string_lossy();
        link.strip_prefix("socket:[").is_some_and(|rest| inodes.contains(rest.trim_end_matches(']')))
    };
    assert_eq!(links.filter(|link| is_udp(link)).count(), 0, "it has no UDP socket");
}

// The client.

fn wanted(node: &str, port: u16) -> Wanted {
    Wanted { node: node.into(), port, interface: Some("lo".into()) }
}

fn chappe(arguments: &[&str]) -> Output {
    let mut command = Command::new(CHAPPE);
    for variable in ["CHAPPE_CONNECT", "CHAPPE_USER", "CHAPPE_TOKEN", "CHAPPE_CA", "CHAPPE_CERTIFICATE", "CHAPPE_KEY"] {
        command.env_remove(variable);
    }
    command.args(arguments).output().unwrap()
}

fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_library_finds_and_lists() {
    let mut daemon = daemon("");
    let port = port(&mut daemon);
    let found = find(&wanted("", port), Schemes::ALL, PATIENCE).unwrap();
    assert_eq!((found.node.as_str(), found.ip, found.interface.as_str()), ("greenhouse", LO.into(), "lo"));
    let tcp: SocketAddr = daemon.address("tcp").parse().unwrap();
    assert_eq!(found.native(false), Some(Address::Tcp { host: "127.0.0.1".into(), port: tcp.port() }));
    assert_eq!(found.native(true), None);
    assert_eq!(find(&wanted("greenhouse", port), Schemes::ALL, PATIENCE).unwrap(), found);
    // each once, however often it answers
    assert_eq!(discover(&wanted("", port), Schemes::ALL, Duration::from_millis(1500)).unwrap(), [found]);
    let short = Duration::from_millis(100);
    for (wanted, wants) in [(wanted("vineyard", port), Schemes::ALL), (wanted("", port), Schemes::of(&[Scheme::Tls]))] {
        assert!(matches!(find(&wanted, wants, short), Err(Error::Nobody { .. })));
        assert_eq!(discover(&wanted, wants, short).unwrap(), []);
    }
    let nowhere = Wanted { interface: Some("nosuch".into()), ..Wanted::default() };
    let error = find(&nowhere, Schemes::ALL, short).unwrap_err().to_string();
    assert!(error.contains("`nosuch`"), "{error}");
}

#[test]
fn commands_find_their_node() {
    let mut daemon = daemon("");
    let at = format!("cdb://greenhouse:{}?interface=lo", port(&mut daemon));
    let tcp = format!("tcp://{}", daemon.address("tcp"));
    let (status, out, err) = said(&chappe(&["--connect", &at, "set", "x", "7"]));
    assert_eq!((status, out.as_str()), (0, ""), "{err}");
    assert_eq!(err, format!("chappe: found greenhouse at {tcp}\n"));
    assert_eq!(said(&chappe(&["--connect", &at, "--quiet", "get", "x"])), (0, "7\n".into(), String::new()));
    let list = |more: &[&str]| said(&chappe(&[&["discover", "--timeout", "300ms"], more].concat()));
    assert_eq!(list(&[&at]), (0, format!("greenhouse  {tcp}\n"), String::new()));
    let json =
        format!("{{\"addresses\":[\"{tcp}\"],\"interface\":\"lo\",\"ip\":\"127.0.0.1\",\"node\":\"greenhouse\"}}\n");
    assert_eq!(list(&["--connect", &at, "--json"]), (0, json, String::new()));
}

#[test]
fn listeners_of_the_communicator_are_listed_too() {
    let authority = Authority::new();
    let tls = authority.server().toml("");
    let listeners = format!(
        "[[listeners]]\naddress = \"cd://127.0.0.1:0\"\n[[listeners]]\naddress = \"cdu://127.0.0.1:0\"\n\
         [[listeners]]\naddress = \"cd://FOLDER/cd\"\n[[listeners]]\naddress = \"cds://127.0.0.1:0\"\n{tls}\n"
    );
    let mut daemon = daemon(&listeners);
    let at = format!("cdb://:{}?interface=lo", port(&mut daemon));
    let there: Vec<String> = daemon.addresses("cd").into_iter().filter(|a| !a.starts_with('/')).collect();
    let want = format!("greenhouse  cd://{} cds://{}\n", there[0], daemon.address("cds"));
    let list = || said(&chappe(&["discover", "--timeout", "300ms", &at]));
    assert_eq!(list(), (0, want, String::new()));
    // a search for a node to speak to by commands is for its native dialect
    let (status, _, err) = said(&chappe(&["--timeout", "100ms", "--connect", &at, "ls"]));
    assert!(status == 6 && err.contains("nobody answered"), "{err}");
}

#[test]
fn whoever_is_not_found_is_said_so() {
    let mut daemon = daemon("");
    let at = format!("cdb://vineyard:{}?interface=lo", port(&mut daemon));
    let (status, out, err) = said(&chappe(&["--timeout", "100ms", "--connect", &at, "get", "x"]));
    assert_eq!((status, out.as_str()), (6, ""));
    assert!(err.contains(&format!("{at}: nobody answered within 100ms")) && err.contains("[discovery]"), "{err}");
    let (status, out, err) = said(&chappe(&["--timeout", "100ms", "discover", &at]));
    assert_eq!((status, out.as_str()), (3, ""), "{err}");
    let (status, _, err) = said(&chappe(&["discover", "tcp://x"]));
    assert!(status == 2 && err.contains("cdb:"), "{err}");
    // A command that speaks to nobody searches for nobody.
    let (status, _, err) = said(&chappe(&["--connect", &at, "completions", "bash"]));
    assert_eq!((status, err.as_str()), (0, ""));
}

#[test]
fn a_secret_is_not_given_to_whoever_answers() {
    let authority = Authority::new();
    let user = "[[users]]\nname = \"anna\"\ntoken = \"sesame-open\"\n";
    let tls = listeners(&authority.server().toml(""));
    let mut both = Daemon::start(&format!("{ON_LO}{tls}{user}"));
    let at = format!("cdb://:{}?interface=lo", port(&mut both));
    let mut plain = daemon(user);
    let at_plain = format!("cdb://:{}?interface=lo", port(&mut plain));
    let secret = ["--user", "anna", "--token", "sesame-open"];
    let run = |at: &str, more: &[&str]| {
        // nobody answers with TLS where there is none, however long one waits
        let patience = if at == at_plain && more.len() != 5 { "100ms" } else { "10s" };
        said(&chappe(&[&["--timeout", patience, "--connect", at], more, &["set", "x", "1"]].concat()))
    };
    // Without TLS nobody is told it, unless that is what somebody wants.
    let (status, _, err) = run(&at_plain, &secret);
    assert!(status == 6 && err.contains("your secret is not given to whoever answers"), "{err}");
    let (status, _, err) = run(&at_plain, &[&secret[..], &["--insecure"]].concat());
    assert_eq!(status, 0, "{err}");
    // Who brings something to believe in is not led past it.
    let ca = authority.file();
    let ca = ["--ca", ca.to_str().unwrap(), "--server-name", "localhost"];
    let (status, _, err) = run(&at_plain, &ca);
    assert!(status == 6 && err.contains("only nodes with TLS"), "{err}");
    // With TLS and a certificate that is looked at all is well.
    let (status, _, err) = run(&at, &[&secret[..], &ca[..]].concat());
    assert!(status == 0 && err.contains("at tls://127.0.0.1:"), "{err}");
    // A certificate that nobody vouches for ends it.
    let (status, _, err) = run(&at, &secret);
    assert!(status == 6 && err.contains("certificate"), "{err}");
    // Strangers may be plain.
    let (status, _, err) = run(&at, &[]);
    assert!(status == 0 && err.contains("at tcp://127.0.0.1:"), "{err}");
}

// Liars.

/// Answers questions on the loopback as `say` wants, until it is dropped.
struct Liar {
    port: u16,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Liar {
    fn new(say: impl Fn(&UdpSocket, SocketAddr, u64) + Send + 'static) -> Liar {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        socket.bind_device(Some(b"lo")).unwrap();
        socket.bind(&SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0).into()).unwrap();
        socket.join_multicast_v4_n(&GROUP, &InterfaceIndexOrAddress::Address(LO)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let socket = UdpSocket::from(socket);
        let port = socket.local_addr().unwrap().port();
        let end = Arc::new(AtomicBool::new(false));
        let is_over = end.clone();
        let thread = std::thread::spawn(move || {
            let mut datagram = [0; 1500];
            while !is_over.load(Ordering::Relaxed) {
                match socket.recv_from(&mut datagram) {
                    Ok((n, from)) => say(&socket, from, Question::read(&datagram[..n]).unwrap().nonce),
                    Err(e) => assert!(matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)),
                }
            }
        });
        Liar { port, end, thread: Some(thread) }
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

fn found(nonce: u64, node: &str, port: u16) -> Vec<u8> {
    let mut ports = Ports::NONE;
    ports.set(Scheme::Tcp, port);
    let mut out = [0; ANSWER];
    let n = Answer { nonce, node, ports }.write(&mut out);
    out[..n].to_vec()
}

#[test]
fn only_the_answer_to_the_question_counts() {
    let liar = Liar::new(|socket, to, nonce| {
        let bad = [
            vec![],
            b"FOUND".to_vec(),
            vec![0xff; 1400],
            found(nonce ^ 1, "early", 1),
            found(0, "zero", 1),
            [&found(nonce, "long", 1)[..], &[b'0'; 600]].concat(),
            String::from_utf8(found(nonce, "x", 1)).unwrap().replace("version=1", "version=2").into_bytes(),
            String::from_utf8(found(nonce, "x", 1)).unwrap().replace("node=x", "node=\u{1b}[2J").into_bytes(),
            found(nonce, "nothing", 0),
        ];
        for datagram in bad.iter().cycle().take(2000) {
            let _ = socket.send_to(datagram, to);
        }
        socket.send_to(&found(nonce, "honest", 7840), to).unwrap();
    });
    // Of two thousand the kernel may drop some, the good one too: then it is asked again.
    let found = find(&wanted("", liar.port), Schemes::ALL, PATIENCE).unwrap();
    assert_eq!((found.node.as_str(), found.ip), ("honest", IpAddr::from(LO)));
}

#[test]
fn thousands_of_nodes_are_told_once_each_and_up_to_a_limit() {
    let liar = Liar::new(|socket, to, nonce| {
        for n in 0..3000u16 {
            while socket.send_to(&found(nonce, &format!("n{n}"), n + 1), to).is_err() {}
            if n % 50 == 0 {
                // so that the other side keeps up
                std::thread::yield_now();
            }
        }
    });
    let all = discover(&wanted("", liar.port), Schemes::ALL, PATIENCE).unwrap();
    assert_eq!(all.len(), 1024);
    assert_eq!(all.iter().map(|f| &f.node).collect::<HashSet<_>>().len(), 1024);
}

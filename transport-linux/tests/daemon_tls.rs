//! TLS in the daemon: handshakes of every kind, those that do not get through, certificates
//! of both ends, and that a station over TLS is one like any other.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chappe_core::dialect::messi::repr::{Code, Hello, Join, Letter, ServerToClient};
use rustls::SupportedProtocolVersion;
use support::tls::{
    Authority, Slowly, TLS12, TLS13, client, client_with, connect, listeners, self_signed, session, tcp,
};
use support::{Daemon, METRICS, PATIENCE, Station, Stream, counters, frame, until};

const BOTH: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

fn daemon(authority: &Authority, more: &str) -> Daemon {
    Daemon::start(&format!("{more}\n{METRICS}{}", listeners(&authority.server().toml(""))))
}

/// A daemon, and an authority that it and its clients believe.
fn start(more: &str) -> (Authority, Daemon) {
    let authority = Authority::new();
    let daemon = daemon(&authority, more);
    (authority, daemon)
}

#[test]
fn both_versions_carry_what_a_plain_connection_does() {
    let (authority, mut daemon) = start("");
    let count = counters(&mut daemon);
    let mut plain = daemon.station("plain");
    plain.join("to-plain");
    for version in BOTH {
        let mut config = client(&authority.root, version);
        // There are no protocols to choose from, which is nobody's trouble.
        config.alpn_protocols = vec![b"h2".to_vec(), b"mqtt".to_vec()];
        let mut secure = connect(&daemon, &config).unwrap();
        let Stream::Tls(stream) = &secure.stream else { unreachable!() };
        assert_eq!((stream.conn.protocol_version(), stream.conn.alpn_protocol()), (Some(version.version), None));
        secure.hello("secure");
        secure.join("to-secure");
        plain.send("to-secure", b"there");
        assert_eq!(secure.hear(), b"there");
        secure.send("to-plain", b"and back");
        assert_eq!(plain.hear(), b"and back");
        // The end is said in TLS's own words: without these, reading to it would fail.
        secure.goodbye();
    }
    assert_eq!(count("chappe_tls_handshakes_total"), 2);
    assert_eq!(count("chappe_closed_goodbye_total"), 2);
}

#[test]
fn no_ticket_comes_behind_the_handshake() {
    let (authority, daemon) = start("");
    for version in BOTH {
        let mut station = connect(&daemon, &client(&authority.root, version)).unwrap();
        // Simple clients read when there is something to read, and must find something then.
        assert!(station.next_within(Duration::from_millis(100)).is_none());
        let Stream::Tls(stream) = &mut station.stream else { unreachable!() };
        assert_eq!(stream.conn.tls13_tickets_received(), 0);
        station.hello("it works");
    }
}

#[test]
fn a_connection_that_just_ends_is_an_ordinary_end() {
    let (authority, mut daemon) = start("[log]\nlevel = \"debug\"\n");
    let count = counters(&mut daemon);
    let mut watcher = daemon.station("watcher");
    watcher.join("x");
    for version in BOTH {
        let mut station = connect(&daemon, &client(&authority.root, version)).unwrap();
        station.hello("ends");
        station.send("x", b"last words");
        let Stream::Tls(stream) = &station.stream else { unreachable!() };
        stream.sock.shutdown(Shutdown::Write).unwrap();
        assert_eq!(watcher.hear(), b"last words");
    }
    until("both are gone", || count("chappe_closed_lost_total") == 2);
    assert_eq!(count("chappe_tls_broken_total"), 0);
    assert!(watcher.is_alive());
}

#[test]
fn an_end_that_is_said_is_answered_though_the_connection_stays_open() {
    let (authority, mut daemon) = start("");
    let count = counters(&mut daemon);
    for (n, version) in BOTH.into_iter().enumerate() {
        let mut station = connect(&daemon, &client(&authority.root, version)).unwrap();
        station.hello("ends");
        let Stream::Tls(stream) = &mut station.stream else { unreachable!() };
        stream.conn.send_close_notify();
        stream.conn.complete_io(&mut stream.sock).unwrap();
        // The node's own end is said, too: without that this would be an error.
        assert_eq!(stream.read(&mut [0; 9]).unwrap(), 0);
        assert_eq!(count("chappe_closed_lost_total"), n as u64 + 1);
    }
}

#[test]
fn a_handshake_may_come_one_byte_at_a_time() {
    let (authority, mut daemon) = start("");
    let count = counters(&mut daemon);
    for version in BOTH {
        let config = client(&authority.root, version);
        let (mut conn, mut sock) = (session(&config), tcp(&daemon));
        let mut slowly = Slowly { stream: &mut sock, step: 1, steps: 0 };
        while conn.is_handshaking() {
            conn.complete_io(&mut slowly).unwrap();
        }
        // Records may come like that, too.
        conn.writer().write_all(&frame(Hello { seq: 1, name: "slow", ..Hello::default() })).unwrap();
        while conn.wants_write() {
            conn.write_tls(&mut slowly).unwrap();
        }
        assert!(slowly.steps > 200, "{} writes", slowly.steps);
        let mut heard = [0; 4];
        let mut stream = rustls::Stream::new(&mut conn, &mut sock);
        stream.read_exact(&mut heard).unwrap();
        assert_eq!(heard[0], 2, "a frame of the node");
    }
    assert_eq!(count("chappe_stations_introduced_total"), 2);
}

#[test]
fn who_stops_half_way_is_ended_and_holds_nobody_up() {
    let (authority, mut daemon) = start("[limits]\nhello_within_ms = 700\n");
    let count = counters(&mut daemon);
    let mut good = daemon.station("good");
    let begin = Instant::now();
    let hello_of = |version| {
        let mut bytes = Vec::new();
        session(&client(&authority.root, version)).write_tls(&mut bytes).unwrap();
        bytes
    };
    let mut stalled = Vec::new();
    for version in BOTH {
        let hello = hello_of(version);
        // Nothing, half a header, half a message, all but its answer's answer.
        for n in [0, 3, hello.len() / 2, hello.len()] {
            let mut stream = tcp(&daemon);
            stream.write_all(&hello[..n]).unwrap();
            stalled.push(stream);
        }
    }
    let mut longest = Duration::ZERO;
    while begin.elapsed() < Duration::from_millis(500) {
        let at = Instant::now();
        assert!(good.is_alive());
        longest = longest.max(at.elapsed());
    }
    assert!(longest < Duration::from_millis(300), "the good one waited {longest:?}");
    for mut stream in stalled {
        // Whatever was said to it, it is ended.
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(650) && took < Duration::from_secs(5), "{took:?}");
    assert_eq!(count("chappe_tls_late_total"), 8);
    assert_eq!(daemon.event("tls.failed")["reason"], "late");
    // Behind the handshake the time for hello begins.
    let mut mute = connect(&daemon, &client(&authority.root, &TLS13)).unwrap();
    assert_eq!(mute.closing(), Some(Code::NotIntroduced));
}

#[test]
fn two_hundred_handshakes_at_once() {
    let (authority, mut daemon) = start("");
    let count = counters(&mut daemon);
    let mut good = daemon.station("good");
    let config = client(&authority.root, &TLS13);
    // Everybody has said the first word before anybody gets an answer to his.
    daemon.signal("STOP");
    let mut all: Vec<_> = (0..200).map(|_| (session(&config), tcp(&daemon))).collect();
    for (conn, sock) in &mut all {
        conn.write_tls(sock).unwrap();
    }
    good.write(&support::PING).unwrap();
    let begin = Instant::now();
    daemon.signal("CONT");
    assert!(good.is_alive());
    let first = begin.elapsed();
    let mut stations = Vec::new();
    for (conn, sock) in all {
        let mut stream = rustls::StreamOwned::new(conn, sock);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        let mut station = Station::new(Stream::Tls(Box::new(stream)));
        station.say(Hello { seq: 1, name: "one of many", ..Hello::default() });
        stations.push(station);
    }
    for station in &mut stations {
        let heard = station.next().unwrap();
        assert!(matches!(heard.message(), ServerToClient::Welcome(_)));
    }
    let all = begin.elapsed();
    assert_eq!(count("chappe_tls_handshakes_total"), 200);
    assert!(first < all / 4, "one in front of 200 handshakes was answered after {first:?} of {all:?}");
}

#[test]
fn a_new_certificate_is_taken_and_open_connections_go_on() {
    let authority = Authority::new();
    let issued = authority.server();
    let mut daemon = Daemon::start(&listeners(&issued.toml("")));
    let config = client(&authority.root, &TLS13);
    let shown = |station: &Station| {
        let Stream::Tls(stream) = &station.stream else { unreachable!() };
        stream.conn.peer_certificates().unwrap()[0].clone()
    };
    let mut before = connect(&daemon, &config).unwrap();
    before.hello("before");
    before.join("x");
    assert_eq!(shown(&before), issued.der);
    let fresh = authority.server();
    assert_ne!(fresh.der, issued.der);
    daemon.signal("HUP");
    daemon.event("config.reloaded");
    let mut after = connect(&daemon, &config).unwrap();
    assert_eq!(shown(&after), fresh.der);
    after.hello("after");
    after.send("x", b"still here");
    assert_eq!(before.hear(), b"still here");
    // What cannot be used changes nothing.
    std::fs::write(&fresh.key, "no key").unwrap();
    daemon.signal("HUP");
    let refused = daemon.event("config.refused");
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("listeners[0].tls.key") && detail.contains("server.key"), "{detail}");
    let mut third = connect(&daemon, &config).unwrap();
    assert_eq!(shown(&third), fresh.der);
    third.hello("third");
    assert!(before.is_alive() && after.is_alive());
}

/// What strangers may do behind a certificate is not for strangers without one: whether a
/// listener speaks TLS changes with a restart, and so does what it allows for that.
#[test]
fn what_holds_behind_tls_does_not_hold_before_it_is_spoken() {
    let authority = Authority::new();
    let users = "[[users]]\nname = \"anna\"\ntoken = \"token-of-anna\"\n";
    let plain = "[[listeners]]\naddress = \"tcp://0.0.0.0:0\"\n";
    let mut daemon = Daemon::start(&format!("{users}{plain}"));
    let stranger =
        |daemon: &mut Daemon| daemon.connect().hello_as(Hello { seq: 1, name: "stranger", ..Hello::default() });
    assert_eq!(stranger(&mut daemon), Err(Code::BadCredentials));
    let tls = authority.server().toml(&format!(", client_ca = \"{}\"", authority.file().display()));
    daemon.write_config(&format!("{users}{plain}{tls}\nanonymous = [\"read\", \"write\"]\n"));
    daemon.signal("HUP");
    let reloaded = daemon.event("config.reloaded");
    assert!(reloaded["needs_restart"].as_str().unwrap().contains("listeners"), "{reloaded}");
    assert_eq!(stranger(&mut daemon), Err(Code::BadCredentials), "it does not speak TLS yet");
}

#[test]
fn bad_files_are_named_with_their_key() {
    let authority = Authority::new();
    let good = authority.server();
    let folder = authority.folder.path();
    let other = self_signed(folder, "other", &["localhost"], false);
    std::fs::write(folder.join("empty.pem"), "").unwrap();
    std::fs::write(folder.join("cut.pem"), "-----BEGIN CERTIFICATE-----\nMIIB\n").unwrap();
    std::fs::write(
        folder.join("locked.key"),
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n",
    )
    .unwrap();
    let (certificate, key) = (good.certificate.to_str().unwrap(), good.key.to_str().unwrap());
    let at = |file: &str| folder.join(file).to_str().unwrap().to_owned();
    for (wrong, name, why) in [
        (good.toml("").replace(certificate, "/nowhere/x.pem"), "tls.certificate", "/nowhere/x.pem cannot be read"),
        (good.toml("").replace(certificate, key), "tls.certificate", "holds no certificate"),
        (good.toml("").replace(certificate, &at("cut.pem")), "tls.certificate", "cut off"),
        (good.toml("").replace(key, certificate), "tls.key", "holds no private key"),
        (good.toml("").replace(key, &at("locked.key")), "tls.key", "without a passphrase"),
        (good.toml("").replace(key, other.key.to_str().unwrap()), "tls.key", "is not the key of"),
        (good.toml("").replace(key, "relative.key"), "tls.key", "no absolute path"),
        (good.toml(&format!(", client_ca = \"{}\"", at("empty.pem"))), "tls.client_ca", "holds no certificate"),
        (good.toml(", client_certificate = \"optional\""), "tls.client_certificate", "client_ca"),
        (String::new(), "address", "a certificate is missing"),
    ] {
        let config = format!("[[listeners]]\naddress = \"tls://127.0.0.1:0\"\n{wrong}\n");
        let path = folder.join("chappe.toml");
        std::fs::write(&path, &config).unwrap();
        let output = Command::new(support::CHAPPE).arg("check-config").arg(&path).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{config}\n{text}");
        assert!(text.contains(&format!("listeners[0].{name}: ")) && text.contains(why), "{config}\n{text}");
        assert!(text.contains("chappe.toml:"), "{text}");
        assert!(!text.contains("MIIB"), "nothing of what is in a file: {text}");
    }
    for (address, why) in [("udp://127.0.0.1:0", "datagrams"), ("serial:///dev/ttyS9", "serial line")] {
        let path = folder.join("chappe.toml");
        std::fs::write(&path, format!("[[listeners]]\naddress = \"{address}\"\n{}\n", good.toml(""))).unwrap();
        let output = Command::new(support::CHAPPE).arg("check-config").arg(&path).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("listeners[0].tls") && text.contains(why), "{text}");
    }
}

#[test]
fn keys_that_others_can_read_and_certificates_at_their_end_are_told() {
    use std::os::unix::fs::PermissionsExt;
    let authority = Authority::new();
    let issued = authority.sign("server", &["localhost"], |params| {
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    });
    std::fs::set_permissions(&issued.key, PermissionsExt::from_mode(0o644)).unwrap();
    let path = support::write_config(authority.folder.path(), &listeners(&issued.toml("")));
    let output = Command::new(support::CHAPPE).arg("check-config").arg(path).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && text.contains("chmod") && text.contains("ended"), "{text}");
    let mut daemon = Daemon::start(&listeners(&issued.toml("")));
    let mut notes: Vec<_> = (0..2).map(|_| daemon.event("tls.note")["message"].to_string()).collect();
    notes.sort();
    assert!(notes[0].contains("server.key holds a private key") && notes[0].contains("chmod"), "{notes:?}");
    assert!(notes[1].contains("server.pem ended"), "{notes:?}");
    // A client that looks refuses it, and says so.
    let error = connect(&daemon, &client(&authority.root, &TLS13)).map(drop).unwrap_err();
    assert!(error.to_string().contains("Expired") || error.to_string().contains("expired"), "{error}");
    let failed = daemon.event("tls.failed");
    assert!(failed["message"].as_str().unwrap().contains("CertificateExpired"), "{failed}");
}

#[test]
fn who_does_not_believe_the_daemon_ends_only_himself() {
    let (authority, mut daemon) = start("");
    let count = counters(&mut daemon);
    let mut good = connect(&daemon, &client(&authority.root, &TLS13)).unwrap();
    good.hello("good");
    let stranger = Authority::new();
    for version in BOTH {
        let error = connect(&daemon, &client(&stranger.root, version)).map(drop).unwrap_err();
        assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    }
    until("both are counted", || count("chappe_tls_failed_total") == 2);
    let failed = daemon.event("tls.failed");
    let text = failed["message"].as_str().unwrap();
    assert!(
        failed["reason"] == "failed" && text.contains("UnknownCA") && text.contains("does not believe"),
        "{failed}"
    );
    assert!(failed["from"].as_str().unwrap().starts_with("127.0.0.1:"), "{failed}");
    assert!(good.is_alive());
}

#[test]
fn neither_plain_clients_nor_noise_harm_a_tls_listener() {
    let (authority, mut daemon) = start("");
    let count = counters(&mut daemon);
    let mut good = connect(&daemon, &client(&authority.root, &TLS13)).unwrap();
    good.hello("good");
    // A native client without TLS is told in its own words.
    let mut plain = Station::new(Stream::Tcp(tcp(&daemon)));
    plain.say(Hello { seq: 1, name: "plain", ..Hello::default() });
    let heard = plain.next().unwrap();
    let ServerToClient::Closing(closing) = heard.message() else { panic!() };
    assert!(closing.text.contains("tls://"), "{}", closing.text);
    assert!(plain.next().is_none());
    let failed = daemon.event("tls.failed");
    assert!(failed["reason"] == "no_tls" && failed["listener"].as_str().unwrap().starts_with("tls://"), "{failed}");
    let mut http = tcp(&daemon);
    http.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    http.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(count("chappe_tls_missing_total"), 2);
    // What begins like TLS and is none.
    let mut noise = 7u32;
    for round in 0..40 {
        let mut bad = tcp(&daemon);
        let mut bytes = vec![22, 3, (round % 5) as u8, 0, 200];
        bytes.extend((0..205).map(|_| {
            noise ^= noise << 13;
            noise ^= noise >> 17;
            noise ^= noise << 5;
            noise as u8
        }));
        let _ = bad.write_all(&bytes);
        let _ = bad.read_to_end(&mut Vec::new());
    }
    // A message that says to be longer than any good one.
    let mut endless = tcp(&daemon);
    let record = [&[22u8, 3, 1, 0x40, 0][..], &[1, 1, 0, 0], &[0; 0x4000 - 4]].concat();
    for _ in 0..4 {
        let _ = endless.write_all(&record);
    }
    let _ = endless.read_to_end(&mut Vec::new());
    assert_eq!(count("chappe_tls_failed_total"), 41);
    assert!(good.is_alive());
}

#[test]
fn noise_behind_the_handshake_ends_only_its_own_connection() {
    let (authority, mut daemon) = start("");
    let count = counters(&mut daemon);
    let mut good = connect(&daemon, &client(&authority.root, &TLS13)).unwrap();
    good.hello("good");
    good.join("x");
    for version in BOTH {
        let mut bad = connect(&daemon, &client(&authority.root, version)).unwrap();
        bad.hello("bad");
        bad.send("x", b"before");
        assert_eq!(good.hear(), b"before");
        let Stream::Tls(stream) = &mut bad.stream else { unreachable!() };
        stream.sock.write_all(&[23, 3, 3, 0, 40]).unwrap();
        stream.sock.write_all(&[0x5a; 40]).unwrap();
        let end = stream.read_to_end(&mut Vec::new()).unwrap_err();
        assert!(end.to_string().contains("BadRecordMac"), "it is told: {end}");
        let broken = daemon.event("tls.broken");
        assert!(broken["message"].as_str().unwrap().contains("decrypt"), "{broken}");
    }
    assert_eq!(count("chappe_tls_broken_total"), 2);
    assert!(good.is_alive());
}

#[test]
fn tls_to_a_plain_listener_is_told_in_the_log() {
    let (authority, mut daemon) = start("");
    let count = counters(&mut daemon);
    let mut good = daemon.station("good");
    let mut sock = TcpStream::connect(daemon.address("tcp")).unwrap();
    sock.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut conn = session(&client(&authority.root, &TLS13));
    let error = conn.complete_io(&mut sock).unwrap_err();
    assert!(error.to_string().contains("InvalidContentType"), "{error}");
    let told = daemon.event("tls.unexpected");
    assert!(told["listener"].as_str().unwrap().starts_with("tcp://"), "{told}");
    assert_eq!(count("chappe_tls_unexpected_total"), 1);
    assert!(good.is_alive());
}

/// The configuration of a listener that asks for certificates of `authority`, with users.
fn with_clients(authority: &Authority, users: &str, more: &str) -> String {
    let more = format!(", client_ca = \"{}\"{more}", authority.file().display());
    format!("{users}\n{METRICS}{}", listeners(&authority.server().toml(&more)))
}

#[test]
fn a_client_certificate_makes_its_owner_a_user() {
    let authority = Authority::new();
    let (anna, berta, nobody) = (authority.client("anna"), authority.client("berta"), authority.client("nobody"));
    let hash: String =
        ring::digest::digest(&ring::digest::SHA256, &berta.der).as_ref().iter().map(|b| format!("{b:02x}")).collect();
    let users = format!(
        "[[users]]\nname = \"greenhouse\"\ncertificate = \"anna\"\nnames = [\"sensor::*\"]\n\
         [[users]]\nname = \"reader\"\ncertificate = \"sha256:{hash}\"\nrights = [\"read\"]\n"
    );
    let config = with_clients(&authority, &users, "").replacen("tls = {", "anonymous = []\ntls = {", 1);
    let mut daemon = Daemon::start(&config);
    let count = counters(&mut daemon);
    for version in BOTH {
        let config = client_with(&authority.root, version, Some(&anna));
        let mut station = connect(&daemon, &config).unwrap();
        station.hello("one");
        station.join("sensor::b1");
        station.say(Join { seq: 3, name: "elsewhere", ..Join::default() });
        assert_eq!(station.outcome(), Code::Refused);
        let mut station = connect(&daemon, &client_with(&authority.root, version, Some(&berta))).unwrap();
        station.hello("two");
        station.join("elsewhere");
        // A good certificate of nobody comes in, and may do what strangers may: here nothing.
        let mut station = connect(&daemon, &client_with(&authority.root, version, Some(&nobody))).unwrap();
        assert_eq!(station.hello_as(Hello { seq: 1, ..Hello::default() }), Err(Code::BadCredentials));
    }
    assert_eq!(count("chappe_tls_handshakes_total"), 6);
    assert_eq!(count("chappe_requests_refused_total"), 2);
}

/// Whether the node lets a station in. With TLS 1.3 the client's part of the handshake is
/// through before the node has looked at what it shows.
fn gets_in(daemon: &Daemon, config: &rustls::ClientConfig) -> bool {
    let Ok(mut station) = connect(daemon, config) else { return false };
    let Stream::Tls(stream) = &mut station.stream else { unreachable!() };
    let written = stream.write_all(&frame(Hello { seq: 1, ..Hello::default() })).and_then(|()| stream.flush());
    written.is_ok() && stream.read_exact(&mut [0; 4]).is_ok()
}

#[test]
fn without_a_good_certificate_nobody_comes_in_where_one_is_required() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let (good, bad) = (authority.client("good"), stranger.client("good"));
    let old = authority.sign("old", &[], |params| params.not_after = rcgen::date_time_ymd(2001, 1, 1));
    let mut daemon = Daemon::start(&with_clients(&authority, "", ""));
    let count = counters(&mut daemon);
    for version in BOTH {
        for (shown, is_in) in [(Some(&good), true), (None, false), (Some(&bad), false), (Some(&old), false)] {
            assert_eq!(gets_in(&daemon, &client_with(&authority.root, version, shown)), is_in);
        }
    }
    until("six are counted", || count("chappe_tls_failed_total") == 6);
    let failed = daemon.event("tls.failed");
    assert!(failed["message"].as_str().unwrap().contains("has shown no certificate"), "{failed}");
}

#[test]
fn where_a_certificate_is_optional_a_bad_one_is_still_refused() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let (anna, bad) = (authority.client("anna"), stranger.client("anna"));
    let users = "[[users]]\nname = \"a\"\ncertificate = \"anna\"\nrights = [\"read\"]\n";
    let daemon = Daemon::start(&with_clients(&authority, users, ", client_certificate = \"optional\""));
    for version in BOTH {
        for (shown, is_in) in [(Some(&anna), true), (None, true), (Some(&bad), false)] {
            assert_eq!(gets_in(&daemon, &client_with(&authority.root, version, shown)), is_in);
        }
    }
}

#[test]
fn secrets_in_the_clear_are_told_loudly_and_tls_is_as_good_as_users() {
    let authority = Authority::new();
    let user = "[[users]]\nname = \"anna\"\ntoken = \"sesame-open\"\n";
    let wide = |scheme: &str, tls: &str| format!("[[listeners]]\naddress = \"{scheme}://0.0.0.0:0\"\n{tls}\n");
    let mut clear = Daemon::start(&format!("{user}{}", wide("tcp", "")));
    let warning = clear.event("listener.clear");
    assert!(warning["level"] == "WARN" && warning["message"].as_str().unwrap().contains("IN CLEAR"), "{warning}");
    let issued = authority.server();
    let mut secure = Daemon::start(&format!("{user}{}", wide("tls", &issued.toml(""))));
    assert!(secure.find("listener.clear", Duration::from_millis(50)).is_none());
    // Where nobody comes in without a certificate, no users are needed, and strangers are none.
    let ca = format!(", client_ca = \"{}\"", authority.file().display());
    let tls = format!("anonymous = [\"read\", \"write\"]\n{}", issued.toml(&ca));
    let mut closed = Daemon::start(&wide("tls", &tls));
    assert!(closed.find("listener.unprotected", Duration::from_millis(50)).is_none());
    let anna = client_with(&authority.root, &TLS13, Some(&authority.client("anna")));
    let port = closed.address("tls").rsplit(':').next().unwrap().to_owned();
    let sock = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    let mut station = Station::new(Stream::Tls(Box::new(rustls::StreamOwned::new(session(&anna), sock))));
    station.hello("anna");
    // Where a certificate is optional, they are.
    let open = wide("tls", &issued.toml(&format!("{ca}, client_certificate = \"optional\"")));
    let path = support::write_config(authority.folder.path(), &open);
    let output = Command::new(support::CHAPPE).arg("check-config").arg(path).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(78) && text.contains("allow_open"), "{text}");
}

#[test]
fn large_frames_and_many_readers() {
    let (authority, daemon) =
        start("[limits]\nmax_frame = 1048576\noutbox = 16777216\nbuffers = 268435456\nmax_value = 65536\n");
    let mut readers: Vec<_> = (0..20)
        .map(|i| {
            let mut station = connect(&daemon, &client(&authority.root, BOTH[i % 2])).unwrap();
            station.hello("reader");
            station.join("news");
            station
        })
        .collect();
    let mut sender = connect(&daemon, &client(&authority.root, &TLS13)).unwrap();
    sender.hello("sender");
    let bodies: Vec<Vec<u8>> = [1_000_000, 1, 16_384, 32_768, 70_000, 0]
        .iter()
        .map(|n| (0..*n).map(|i| (i * 7 % 251) as u8).collect())
        .collect();
    let writer = std::thread::spawn({
        let bodies = bodies.clone();
        move || {
            for body in &bodies {
                sender.send("news", body);
            }
            sender
        }
    });
    for reader in &mut readers {
        for body in &bodies {
            assert!(reader.hear() == *body, "a body of {} octets", body.len());
        }
    }
    writer.join().unwrap();
}

fn resident(daemon: &Daemon) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = text.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn a_slow_reader_over_tls_is_bounded_and_closed_and_others_are_undisturbed() {
    let limits = "[limits]\noutbox = 69632\nslow_after_ms = 500\nlinger_ms = 200\n";
    let (authority, mut daemon) = start(limits);
    let count = counters(&mut daemon);
    let station = |name: &str| {
        let mut station = connect(&daemon, &client(&authority.root, &TLS13)).unwrap();
        station.hello(name);
        station
    };
    let mut slow: Vec<_> = (0..10).map(|_| station("slow")).collect();
    let mut good = station("good");
    for s in slow.iter_mut().chain([&mut good]) {
        s.join("news");
    }
    let mut sender = station("sender");
    let before = resident(&daemon);
    let (begin, mut longest, mut sent) = (Instant::now(), Duration::ZERO, 0u64);
    let mut most = before;
    while count("chappe_closed_slow_total") < 10 {
        assert!(begin.elapsed() < PATIENCE, "they are closed");
        for _ in 0..100 {
            let mut body = vec![7; 4000];
            body[..8].copy_from_slice(&sent.to_be_bytes());
            let at = Instant::now();
            sender.send("news", &body);
            assert_eq!(good.hear()[..8], sent.to_be_bytes(), "nothing is missing");
            longest = longest.max(at.elapsed());
            sent += 1;
        }
        most = most.max(resident(&daemon));
    }
    assert!(longest < Duration::from_secs(1), "the good one waited {longest:?}");
    // Ten outboxes, and for each at most two records that the kernel has not taken.
    let grown = most - before;
    assert!(grown < 10 * (69_632 + 65_536 + 40_000) + 2_000_000, "{grown} octets more");
    assert_eq!(daemon.event("connection.closed")["reason"], "slow");
    assert!(good.is_alive() && sender.is_alive());
}

#[test]
fn who_reads_slowly_but_reads_misses_nothing() {
    for version in BOTH {
        let (authority, mut daemon) = start("[limits]\noutbox = 8388608\nslow_after_ms = 1500\n");
        let count = counters(&mut daemon);
        let mut slow = connect(&daemon, &client(&authority.root, version)).unwrap();
        slow.hello("slow");
        slow.join("news");
        let mut sender = daemon.station("sender");
        let bodies: Vec<Vec<u8>> = (0..1500u32).map(|i| [&i.to_be_bytes()[..], &[i as u8; 4000]].concat()).collect();
        for body in &bodies {
            sender.send("news", body);
        }
        assert!(sender.is_alive(), "all of it has been taken in");
        assert!(count("chappe_blocked_total") > 0, "the kernel did not take all of it");
        // More slowly than `slow_after` for all of it, but never for so long nothing.
        for (i, body) in bodies.iter().enumerate() {
            assert!(slow.hear() == *body, "message {i}");
            if i % 30 == 0 {
                std::thread::sleep(Duration::from_millis(40));
            }
        }
        assert_eq!((count("chappe_dropped_outbox_full_total"), count("chappe_closed_slow_total")), (0, 0));
        assert!(slow.is_alive());
    }
}

#[test]
fn last_words_reach_their_reader_when_the_daemon_stops() {
    let (authority, mut daemon) = start("");
    let mut stations: Vec<_> = BOTH
        .iter()
        .map(|version| {
            let mut station = connect(&daemon, &client(&authority.root, version)).unwrap();
            station.hello("last");
            station
        })
        .collect();
    let _half = tcp(&daemon);
    daemon.signal("TERM");
    for station in &mut stations {
        assert_eq!(station.closing(), Some(Code::Stopping));
    }
    assert!(daemon.wait().success());
}

/// However many begin a handshake and say nothing more: others get through theirs, and who
/// speaks no TLS has a place.
#[test]
fn half_handshakes_by_the_hundred_take_nobody_s_place() {
    let (authority, mut daemon) = start("[limits]\nstations = 64\ndatagram_stations = 0\nhello_within_ms = 60000\n");
    let count = counters(&mut daemon);
    let mut hello = Vec::new();
    session(&client(&authority.root, &TLS13)).write_tls(&mut hello).unwrap();
    let mut silent = Vec::new();
    for n in 0..200 {
        let mut stream = tcp(&daemon);
        let _ = stream.write_all(&hello[..n % hello.len()]);
        silent.push(stream);
        if n % 50 == 49 {
            let mut station = connect(&daemon, &client(&authority.root, &TLS13)).expect("it gets through");
            station.hello("good");
            assert!(station.is_alive());
            daemon.station("plain").goodbye();
        }
    }
    assert!(count("chappe_tls_handshakes_open") <= 16, "{}", count("chappe_tls_handshakes_open"));
    assert!(count("chappe_tls_crowded_total") > 150);
    assert_eq!(daemon.event("tls.failed")["reason"], "crowded");
}

/// What was said before a connection broke counts, even if both come at once; and what comes
/// behind the end is nothing.
#[test]
fn what_came_before_the_end_is_heard_whatever_comes_with_it() {
    let (authority, mut daemon) = start("");
    let count = counters(&mut daemon);
    let mut good = daemon.station("good");
    good.join("x");
    for version in BOTH {
        for is_broken in [true, false] {
            let mut station = connect(&daemon, &client(&authority.root, version)).unwrap();
            station.hello("last");
            let Stream::Tls(stream) = &mut station.stream else { unreachable!() };
            let letter = Letter { name: "x", verb: "SET", body: b"the last", ..Letter::default() };
            let mut bytes = Vec::new();
            stream.conn.writer().write_all(&frame(letter)).unwrap();
            if !is_broken {
                stream.conn.send_close_notify();
            }
            while stream.conn.wants_write() {
                stream.conn.write_tls(&mut bytes).unwrap();
            }
            let noise = if is_broken { 40 } else { 30_000 };
            bytes.extend([23, 3, 3, 0, 40]);
            bytes.extend(vec![0x5a; noise]);
            let broken = count("chappe_tls_broken_total");
            daemon.signal("STOP");
            stream.sock.write_all(&bytes).unwrap();
            daemon.signal("CONT");
            assert_eq!(good.hear(), b"the last");
            until("it is gone", || count("chappe_connections") == 1);
            assert_eq!(count("chappe_tls_broken_total") - broken, u64::from(is_broken));
        }
    }
}

#[test]
fn a_full_node_says_so_over_tls_if_it_can() {
    let (authority, mut daemon) = start("[limits]\nstations = 3\ndatagram_stations = 0\n");
    let count = counters(&mut daemon);
    let config = client(&authority.root, &TLS13);
    let mut inside: Vec<_> = (0..2).map(|_| connect(&daemon, &config).unwrap()).collect();
    inside.iter_mut().for_each(|s| _ = s.hello("inside"));
    // Somebody who is not through has a place, too.
    let half = tcp(&daemon);
    until("it is being shaken hands with", || count("chappe_tls_handshakes_open") == 1);
    assert!(connect(&daemon, &config).is_err(), "there are no words before the handshake");
    assert_eq!(count("chappe_refused_full_total"), 1);
    drop(half);
    until("there is a place again", || {
        connect(&daemon, &config).is_ok_and(|mut s| s.hello_as(Hello { seq: 1, ..Hello::default() }).is_ok())
    });
    assert!(inside.iter_mut().all(Station::is_alive));
}

#[test]
fn a_unix_socket_may_speak_tls() {
    let authority = Authority::new();
    let config = format!("[[listeners]]\naddress = \"unix://FOLDER/x.sock\"\n{}\n", authority.server().toml(""));
    let daemon = Daemon::start(&config);
    let path = daemon.folder.path().join("x.sock");
    assert_eq!(daemon.address("tls"), path.to_str().unwrap());
    let mut sock = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let mut conn = session(&client(&authority.root, &TLS13));
    let mut stream = rustls::Stream::new(&mut conn, &mut sock);
    stream.write_all(&frame(Hello { seq: 1, name: "unix", ..Hello::default() })).unwrap();
    let mut heard = [0; 4];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(heard[0], 2);
}

#[test]
fn a_socket_that_systemd_opened_speaks_tls_if_its_entry_says_so() {
    let authority = Authority::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let tls = authority.server().toml("");
    let config = format!("[[listeners]]\naddress = \"tls://{address}\"\n{tls}\nanonymous = [\"read\"]\n");
    let daemon = Daemon::start_by(&config, |config| support::activated(listener.into(), config));
    assert_eq!(daemon.address("tls"), address.to_string());
    let mut station = connect(&daemon, &client(&authority.root, &TLS13)).unwrap();
    station.hello("activated");
}

#[test]
fn programs_of_bind_10_may_come_by_tls() {
    let authority = Authority::new();
    let config = format!(
        "[[listeners]]\naddress = \"msgq://FOLDER/m.sock\"\n{}\n\
         [[listeners]]\naddress = \"tcp://127.0.0.1:0\"\n",
        authority.server().toml("")
    );
    let mut daemon = Daemon::start(&config);
    let mut listener = daemon.station("listener");
    listener.join("weather");
    let mut sock = std::os::unix::net::UnixStream::connect(daemon.folder.path().join("m.sock")).unwrap();
    let mut conn = session(&client(&authority.root, &TLS13));
    let mut stream = rustls::Stream::new(&mut conn, &mut sock);
    let send =
        serde_json::json!({"type": "send", "group": "weather", "instance": "*", "to": "*", "want_answer": false});
    stream.write_all(&support::msgq::frame(&send, br#"{"command":["RAIN",{"mm":"3"}]}"#)).unwrap();
    let heard = listener.next().unwrap();
    let ServerToClient::Message(letter) = heard.message() else { panic!("{:?}", heard.payload) };
    assert_eq!(letter.verb, "RAIN");
}

#[test]
fn idle_stations_over_tls_cost_little() {
    let (authority, mut daemon) = start("");
    let count = counters(&mut daemon);
    let config = client(&authority.root, &TLS13);
    let open = |n: usize| -> Vec<Station> {
        let stations: Vec<_> = (0..n)
            .map(|_| {
                let mut station = connect(&daemon, &config).unwrap();
                station.hello("idle");
                station
            })
            .collect();
        stations
    };
    let first = open(50);
    let before = resident(&daemon);
    let rest = open(400);
    let each = (resident(&daemon) - before) / 400;
    assert_eq!(count("chappe_connections"), 450);
    assert!(each < 12 * 1024, "{each} octets each");
    drop((first, rest));
    until("all are gone", || count("chappe_connections") == 0);
}

/// The stock client, if it is here.
fn openssl(
    daemon: &Daemon,
    authority: &Authority,
    arguments: &[&str],
    input: &[u8],
) -> Option<(bool, Vec<u8>, String)> {
    let mut child = Command::new("openssl")
        .args([
            "s_client",
            "-quiet",
            "-no_ign_eof",
            "-verify_return_error",
            "-connect",
            &daemon.address("tls"),
            "-CAfile",
        ])
        .arg(authority.file())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input).unwrap();
    // It leaves when the node ends the connection, which the input asks for.
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    Some((output.status.success(), output.stdout, String::from_utf8_lossy(&output.stderr).into_owned()))
}

#[test]
fn the_stock_client_of_openssl_gets_through() {
    let (authority, daemon) = start("[limits]\nhello_within_ms = 3000\n");
    let mut input = frame(Hello { seq: 1, name: "openssl", ..Hello::default() });
    input.extend(frame(chappe_core::dialect::messi::repr::Goodbye { seq: 2, ..Default::default() }));
    for arguments in [
        &["-tls1_3"][..],
        &["-tls1_2"],
        &["-tls1_2", "-servername", "localhost"],
        &["-alpn", "clacks,http/1.1"],
        &["-groups", "P-256"],
        &["-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"],
    ] {
        let Some((is_good, output, errors)) = openssl(&daemon, &authority, arguments, &input) else {
            eprintln!("SKIPPED: there is no openssl here");
            return;
        };
        assert!(is_good, "{arguments:?}: {errors}");
        assert!(output.len() > 8 && output[0] == 2, "{arguments:?}: {output:?}\n{errors}");
    }
    // What is too old is told so.
    let old = ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"];
    let (is_good, _, errors) = openssl(&daemon, &authority, &old, &[]).unwrap();
    assert!(!is_good && errors.contains("alert"), "{errors}");
}

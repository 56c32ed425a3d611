//! What the daemon believes about the kernel. If one of these fails, `daemon/connection.rs`,
//! `daemon/event_loop.rs` or `sys.rs` is wrong on this kernel, however green the rest is.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use socket2::{SockRef, TcpKeepalive};

// The same code as the daemon's, not a copy.
#[path = "../src/sys.rs"]
#[allow(dead_code, unreachable_pub, reason = "only some of it is looked at here")]
mod sys;

const ROOM: usize = 64 * 1024;
const T: Token = Token(7);

/// Both ends of a connection, the first non-blocking.
fn pairs() -> [(&'static str, std::fs::File, std::fs::File); 2] {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_nodelay(true).unwrap();
    let (server, _) = listener.accept().unwrap();
    server.set_nonblocking(true).unwrap();
    let (a, b) = UnixStream::pair().unwrap();
    a.set_nonblocking(true).unwrap();
    let file = |fd: std::os::fd::OwnedFd| std::fs::File::from(fd);
    [("tcp", file(server.into()), file(client.into())), ("unix", file(a.into()), file(b.into()))]
}

struct Watch(Poll, Events);

#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    events: usize,
    readable: bool,
    writable: bool,
    read_closed: bool,
}

impl Watch {
    fn new(fd: &impl AsRawFd, interest: Interest) -> Watch {
        let poll = Poll::new().unwrap();
        poll.registry().register(&mut SourceFd(&fd.as_raw_fd()), T, interest).unwrap();
        Watch(poll, Events::with_capacity(8))
    }

    fn wait(&mut self, ms: u64) -> Seen {
        self.0.poll(&mut self.1, Some(Duration::from_millis(ms))).unwrap();
        let mut seen = Seen::default();
        for event in &self.1 {
            seen.events += 1;
            seen.readable |= event.is_readable();
            seen.writable |= event.is_writable();
            seen.read_closed |= event.is_read_closed();
        }
        seen
    }
}

fn blocks<T: std::fmt::Debug>(result: io::Result<T>) -> bool {
    result.is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock)
}

#[test]
fn after_a_partial_read_there_is_no_edge_until_more_comes() {
    for (kind, mut server, mut client) in pairs() {
        let mut watch = Watch::new(&server, Interest::READABLE);
        client.write_all(&[1; 100]).unwrap();
        assert!(watch.wait(1000).readable, "{kind}");
        let mut some = [0; 40];
        assert_eq!(server.read(&mut some).unwrap(), 40);
        // 60 bytes are there and nothing says so: this is why `ready` remembers.
        assert_eq!(watch.wait(50).events, 0, "{kind}");
        client.write_all(&[1; 1]).unwrap();
        assert!(watch.wait(1000).readable, "{kind}");
    }
}

#[test]
fn a_read_that_returns_less_than_it_had_room_for_has_drained_the_socket() {
    for (kind, mut server, mut client) in pairs() {
        let mut watch = Watch::new(&server, Interest::READABLE);
        let mut buffer = vec![0; ROOM];
        for sizes in [&[1][..], &[10, 2000, 3], &[40_000], &[1, 30_000, 1, 30_000]] {
            // Several writes, one read takes all of them ...
            for &size in sizes {
                client.write_all(&vec![7; size]).unwrap();
            }
            assert!(watch.wait(1000).readable, "{kind}");
            let total: usize = sizes.iter().sum();
            let mut got = 0;
            while got < total {
                match server.read(&mut buffer) {
                    Ok(n) => {
                        assert!(n > 0);
                        got += n;
                    }
                    // the rest was still under way: its own edge
                    Err(_) => assert!(watch.wait(1000).readable, "{kind}"),
                }
            }
            // ... and the short one was the last.
            assert!(blocks(server.read(&mut buffer)), "{kind}");
        }
    }
}

#[test]
fn what_comes_after_a_short_read_is_an_edge_of_its_own() {
    for (kind, mut server, mut client) in pairs() {
        let mut watch = Watch::new(&server, Interest::READABLE);
        let mut buffer = vec![0; ROOM];
        for _ in 0..100 {
            client.write_all(&[1; 10]).unwrap();
            assert!(watch.wait(1000).readable, "{kind}");
            // Comes between the event and the read, and may or may not be part of it.
            client.write_all(&[2; 10]).unwrap();
            let mut got = server.read(&mut buffer).unwrap();
            while got < 20 {
                assert!(watch.wait(1000).readable, "{kind}: {got} of 20");
                got += server.read(&mut buffer).unwrap();
            }
            // If both were read at once the second edge is still there: a read for nothing.
            watch.wait(0);
        }
    }
}

#[test]
fn the_end_is_an_edge_of_its_own_or_says_so_in_the_event() {
    for (kind, mut server, mut client) in pairs() {
        let mut watch = Watch::new(&server, Interest::READABLE);
        let mut buffer = vec![0; ROOM];
        client.write_all(&[1; 10]).unwrap();
        let seen = watch.wait(1000);
        assert!(seen.readable && !seen.read_closed, "{kind}");
        assert_eq!(server.read(&mut buffer).unwrap(), 10);
        // After the short read nothing was pending; the end wakes us.
        SockRef::from(&client).shutdown(Shutdown::Write).unwrap();
        let seen = watch.wait(1000);
        assert!(seen.readable && seen.read_closed, "{kind}");
        assert_eq!(server.read(&mut buffer).unwrap(), 0);
    }
    for (kind, mut server, mut client) in pairs() {
        let mut watch = Watch::new(&server, Interest::READABLE);
        let mut buffer = vec![0; ROOM];
        client.write_all(&[1; 10]).unwrap();
        drop(client);
        std::thread::sleep(Duration::from_millis(20));
        // Both had come before: one event that says both. Who then reads 10 bytes must read
        // again, for there will be no other.
        let seen = watch.wait(1000);
        assert!(seen.readable && seen.read_closed, "{kind}");
        assert_eq!(server.read(&mut buffer).unwrap(), 10);
        assert_eq!(watch.wait(50).events, 0, "{kind}");
        assert_eq!(server.read(&mut buffer).unwrap(), 0);
    }
    for (kind, mut server, mut client) in pairs() {
        let mut watch = Watch::new(&server, Interest::READABLE);
        let mut buffer = vec![0; ROOM];
        client.write_all(&[1; 10]).unwrap();
        let seen = watch.wait(1000);
        assert!(seen.readable && !seen.read_closed, "{kind}");
        // The end comes between the event and the read: an edge, as after it.
        drop(client);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(server.read(&mut buffer).unwrap(), 10);
        let seen = watch.wait(1000);
        assert!(seen.read_closed, "{kind}");
        assert_eq!(server.read(&mut buffer).unwrap(), 0);
    }
}

#[test]
fn a_write_not_taken_whole_is_followed_by_an_edge_when_the_peer_reads() {
    for (kind, mut server, mut client) in pairs() {
        let mut watch = Watch::new(&server, Interest::READABLE);
        let block = vec![1; ROOM];
        let pieces = [IoSlice::new(&block), IoSlice::new(&block)];
        let mut taken = 0;
        loop {
            match server.write_vectored(&pieces) {
                Ok(n) => {
                    taken += n;
                    if n < 2 * ROOM {
                        break;
                    }
                }
                Err(e) => {
                    assert_eq!(e.kind(), io::ErrorKind::WouldBlock);
                    break;
                }
            }
        }
        // Only now we ask to be told of room, as the daemon does.
        let fd = server.as_raw_fd();
        watch.0.registry().reregister(&mut SourceFd(&fd), T, Interest::READABLE | Interest::WRITABLE).unwrap();
        let early = watch.wait(50);
        let mut buffer = vec![0; ROOM];
        let mut read = 0;
        let mut writable = early.writable;
        while read < taken {
            read += client.read(&mut buffer).unwrap();
            writable |= watch.wait(0).writable;
        }
        writable |= watch.wait(1000).writable;
        assert!(writable, "{kind}: {taken} bytes were taken and read, and nothing said that there is room");
        assert!(server.write(&block).unwrap() > 0, "{kind}");
    }
}

#[test]
fn asking_for_room_that_is_there_already_is_answered_at_once() {
    for (kind, server, _client) in pairs() {
        let mut watch = Watch::new(&server, Interest::READABLE);
        assert_eq!(watch.wait(20).events, 0, "{kind}");
        let fd = server.as_raw_fd();
        watch.0.registry().reregister(&mut SourceFd(&fd), T, Interest::READABLE | Interest::WRITABLE).unwrap();
        // No room can be missed between a short write and asking.
        assert!(watch.wait(1000).writable, "{kind}");
    }
}

#[test]
fn tcp_says_that_there_is_room_only_after_it_was_full_unix_each_time() {
    // The reason why Unix sockets are asked about room only while they are full.
    for (kind, mut server, mut client) in pairs() {
        let mut watch = Watch::new(&server, Interest::READABLE | Interest::WRITABLE);
        assert!(watch.wait(1000).writable, "{kind}");
        let mut woken = 0;
        for _ in 0..10 {
            server.write_all(&[1; 32]).unwrap();
            client.read_exact(&mut [0; 32]).unwrap();
            woken += watch.wait(5).events;
        }
        match kind {
            "tcp" => assert_eq!(woken, 0),
            _ => assert!(woken > 0, "Unix sockets have become as quiet as TCP: one special case can go"),
        }
    }
}

#[test]
fn a_timer_that_is_armed_again_forgets_what_it_was_armed_for() {
    let timer = sys::Timer::new().unwrap();
    let mut watch = Watch::new(&timer.as_fd(), Interest::READABLE);
    let ms = chappe_core::time::Duration::from_millis;
    // Later replaced by earlier: fires once, at the earlier.
    timer.arm(sys::now() + ms(10_000)).unwrap();
    timer.arm(sys::now() + ms(20)).unwrap();
    assert_eq!(watch.wait(5).events, 0);
    assert_eq!(watch.wait(1000).events, 1);
    assert_eq!(watch.wait(50).events, 0);
    // It was not read, and still: armed again it is silent until then, and fires again.
    let due = sys::now() + ms(40);
    timer.arm(due).unwrap();
    assert_eq!(watch.wait(10).events, 0);
    assert_eq!(watch.wait(1000).events, 1);
    assert!(sys::now() >= due, "the timer is on the clock that now() reads, and never early");
    // A time that has passed fires at once; zero is one, too.
    for past in [sys::now(), chappe_core::time::Instant::ZERO] {
        timer.arm(past).unwrap();
        assert_eq!(watch.wait(1000).events, 1);
    }
}

#[test]
fn signals_come_as_data_and_interrupt_nothing() {
    // In a process of its own: the mask is this thread's, and a signal sent to a process
    // may be taken by any thread of the test runner.
    if std::env::var_os("CHAPPE_SIGNAL_TEST").is_none() {
        let me = std::env::current_exe().unwrap();
        let name = "signals_come_as_data_and_interrupt_nothing";
        let status = std::process::Command::new(me)
            .args(["--exact", name, "--test-threads=1", "--nocapture"])
            .env("CHAPPE_SIGNAL_TEST", "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let signals = sys::Signals::new().unwrap();
    let mut watch = Watch::new(&signals.as_fd(), Interest::READABLE);
    assert_eq!(signals.take(), None);
    for (number, meaning) in
        [(libc::SIGTERM, sys::Signal::Stop), (libc::SIGINT, sys::Signal::Stop), (libc::SIGHUP, sys::Signal::Reload)]
    {
        // SAFETY: sends a signal that this thread has blocked to this very thread.
        assert_eq!(unsafe { libc::pthread_kill(libc::pthread_self(), number) }, 0);
        assert!(watch.wait(1000).readable);
        assert_eq!(signals.take(), Some(meaning));
        assert_eq!(signals.take(), None);
    }
    // Threads started later inherit the mask.
    std::thread::spawn(|| {
        // SAFETY: as above.
        assert_eq!(unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGHUP) }, 0);
    })
    .join()
    .unwrap();
}

#[test]
fn accepted_connections_inherit_what_was_set_on_the_listener() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = SockRef::from(&listener);
    socket.set_tcp_nodelay(true).unwrap();
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(Duration::from_secs(60))).unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    assert!(accepted.nodelay().unwrap());
    assert!(SockRef::from(&accepted).keepalive().unwrap());
    assert_eq!(SockRef::from(&accepted).tcp_keepalive_time().unwrap(), Duration::from_secs(60));
}

#[test]
fn last_words_arrive_if_what_the_peer_still_sent_is_read_before_closing() {
    for (kind, mut server, mut client) in pairs() {
        client.write_all(&[1; 5000]).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        server.write_all(b"last words").unwrap();
        SockRef::from(&server).shutdown(Shutdown::Write).unwrap();
        while matches!(server.read(&mut [0; 4096]), Ok(1..)) {}
        drop(server);
        let mut words = Vec::new();
        client.read_to_end(&mut words).unwrap();
        assert_eq!(words, b"last words", "{kind}");
    }
}

#[test]
fn what_was_said_before_a_reset_can_still_be_read_and_the_error_is_known_by_then() {
    let [(_, server, client), _] = pairs();
    (&client).write_all(b"last words").unwrap();
    // Closing with no time to linger resets the connection.
    SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    let mut watch = Watch::new(&server, Interest::READABLE);
    assert!((0..5).any(|_| watch.wait(1000).read_closed));
    let mut room = [0; 64];
    assert_eq!((&server).read(&mut room).unwrap(), 10);
    let error = SockRef::from(&server).take_error().unwrap().expect("it is known");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

//! What the machine itself takes: bytes to a thread and back, through the kind of socket
//! that the node is spoken to.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use chappe_linux::address::Address;

use super::histogram::Times;

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// There and back, one at a time.
pub(super) fn echo(address: &Address, size: usize, time: Duration) -> std::io::Result<Times> {
    let (mut a, mut b): (Box<dyn Stream>, Box<dyn Stream>) = match address {
        Address::Unix(_) | Address::TlsUnix(_) => {
            let (a, b) = UnixStream::pair()?;
            (Box::new(a), Box::new(b))
        }
        Address::Tcp { .. } | Address::Tls { .. } | Address::Udp { .. } => {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let a = TcpStream::connect(listener.local_addr()?)?;
            let (b, _) = listener.accept()?;
            a.set_nodelay(true)?;
            b.set_nodelay(true)?;
            (Box::new(a), Box::new(b))
        }
    };
    let size = size.max(1);
    let other = std::thread::spawn(move || {
        let mut buf = vec![0; size];
        while b.read_exact(&mut buf).is_ok() && b.write_all(&buf).is_ok() {}
    });
    let mut times = Times::default();
    let mut buf = vec![0; size];
    let end = Instant::now() + time;
    let mut now = Instant::now();
    while now < end {
        a.write_all(&buf)?;
        a.read_exact(&mut buf)?;
        let then = Instant::now();
        times.add(then - now);
        now = then;
    }
    drop(a);
    let _ = other.join();
    Ok(times)
}

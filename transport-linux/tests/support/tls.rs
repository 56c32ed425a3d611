//! An authority that makes certificates, and TLS clients whose every byte is in the test's
//! hand: what is tested is the daemon, by rustls at the other end.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use super::{Daemon, Station, Stream};

#[allow(unused_imports, reason = "each test file uses some of it")]
pub use rustls::version::{TLS12, TLS13};

/// Who signs, and a folder with all the files.
pub struct Authority {
    pub folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    pub root: CertificateDer<'static>,
}

/// A certificate and its key, as files.
#[derive(Clone)]
pub struct Issued {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub der: CertificateDer<'static>,
}

impl Authority {
    pub fn new() -> Authority {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let folder_name = folder.path().file_name().unwrap().to_str().unwrap();
        params.distinguished_name.push(DnType::CommonName, format!("authority {folder_name}"));
        let root = params.self_signed(&key).unwrap();
        std::fs::write(folder.path().join("ca.pem"), root.pem()).unwrap();
        Authority { folder, issuer: Issuer::new(params, key), root: root.der().clone() }
    }

    /// PEM, for clients and for `client_ca`.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate for these names, written to files `file`.pem and `file`.key. Written
    /// anew it takes the place of the old one.
    pub fn sign(&self, file: &str, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let mut params = CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        write(self.folder.path(), file, &certificate.pem(), &key, certificate.der())
    }

    /// For the daemon on this machine.
    pub fn server(&self) -> Issued {
        self.sign("server", &["localhost", "127.0.0.1"], |_| {})
    }

    /// For a client with this common name.
    pub fn client(&self, name: &str) -> Issued {
        self.sign(name, &[], |params| {
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, name);
        })
    }
}

/// A certificate that is signed by nobody but itself, as `openssl req -x509` makes it.
pub fn self_signed(folder: &Path, file: &str, names: &[&str], is_ca: bool) -> Issued {
    let mut params = CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "localhost");
    if is_ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    write(folder, file, &certificate.pem(), &key, certificate.der())
}

fn write(folder: &Path, file: &str, pem: &str, key: &KeyPair, der: &CertificateDer<'static>) -> Issued {
    use std::os::unix::fs::OpenOptionsExt;
    let issued = Issued {
        certificate: folder.join(format!("{file}.pem")),
        key: folder.join(format!("{file}.key")),
        der: der.clone(),
    };
    std::fs::write(&issued.certificate, pem).unwrap();
    let options = std::fs::File::options().create(true).write(true).truncate(true).mode(0o600).open(&issued.key);
    options.unwrap().write_all(key.serialize_pem().as_bytes()).unwrap();
    issued
}

impl Issued {
    /// As the configuration has it. `more`: other keys, each with a comma before it.
    pub fn toml(&self, more: &str) -> String {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        format!("tls = {{ certificate = \"{certificate}\", key = \"{key}\"{more} }}")
    }

    fn chain(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (vec![self.der.clone()], PrivateKeyDer::from_pem_file(&self.key).unwrap())
    }
}

/// A TLS listener on a free port, and a plain one.
pub fn listeners(tls: &str) -> String {
    format!("[[listeners]]\naddress = \"tls://127.0.0.1:0\"\n{tls}\n[[listeners]]\naddress = \"tcp://127.0.0.1:0\"\n")
}

/// What a client believes, speaks and shows.
pub fn client(root: &CertificateDer<'static>, version: &'static SupportedProtocolVersion) -> ClientConfig {
    client_with(root, version, None)
}

pub fn client_with(
    root: &CertificateDer<'static>,
    version: &'static SupportedProtocolVersion,
    shown: Option<&Issued>,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    let builder = builder.with_root_certificates(roots);
    match shown {
        None => builder.with_no_client_auth(),
        Some(issued) => {
            let (chain, key) = issued.chain();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    }
}

pub fn session(config: &ClientConfig) -> ClientConnection {
    ClientConnection::new(Arc::new(config.clone()), ServerName::try_from("localhost").unwrap()).unwrap()
}

/// A TCP connection to the daemon's TLS listener that has said nothing.
pub fn tcp(daemon: &Daemon) -> TcpStream {
    tcp_to(daemon, "tls")
}

/// The same to the listener with this scheme.
pub fn tcp_to(daemon: &Daemon, scheme: &str) -> TcpStream {
    let stream = TcpStream::connect(daemon.address(scheme)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(super::PATIENCE)).unwrap();
    stream
}

/// A station over TLS that has said nothing; or why its handshake did not come about.
pub fn connect(daemon: &Daemon, config: &ClientConfig) -> io::Result<Station> {
    connect_to(daemon, "tls", config).map(Station::new)
}

/// The same to the listener with this scheme, whatever is spoken there.
pub fn connect_to(daemon: &Daemon, scheme: &str, config: &ClientConfig) -> io::Result<Stream> {
    let mut stream = StreamOwned::new(session(config), tcp_to(daemon, scheme));
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(Stream::Tls(Box::new(stream)))
}

/// As a carrier of records, hands on so many bytes at once at the most.
pub struct Slowly<'s> {
    pub stream: &'s mut TcpStream,
    pub step: usize,
    /// How many were handed on.
    pub steps: usize,
}

impl Read for Slowly<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = buf.len().min(self.step);
        self.stream.read(&mut buf[..n])
    }
}

impl Write for Slowly<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.steps += 1;
        self.stream.write(&buf[..buf.len().min(self.step)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

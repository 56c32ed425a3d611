//! Which nodes a client believes, and what it shows them.
//!
//! Owns: the client's configuration out of files, and what is believed: the roots of this
//! machine, or those of one file and nobody else. In such a file the node's own certificate
//! may stand as well: `openssl req -x509` makes those with the mark of an authority, which
//! the usual rules do not let a server show, so that one is compared byte by byte.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, UNIX_EPOCH};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::identity::About;
use super::problem::{Kind, Problem};
use super::{VERSIONS, pem, provider};

/// What is said about TLS in files and words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// PEM: believe these and nobody else. `None`: those whom this machine believes.
    pub ca: Option<PathBuf>,
    /// Believe anybody. Whoever stands between can then read and change everything.
    pub insecure: bool,
    /// PEM: the certificate that is shown to nodes that ask for one.
    pub certificate: Option<PathBuf>,
    /// PEM: its key.
    pub key: Option<PathBuf>,
    /// The name that the node's certificate must be for. `None`: the host in the address, or
    /// `localhost` where that is a Unix socket.
    pub server_name: Option<String>,
}

/// Which file is not what it should be, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadFile(String);

impl fmt::Display for BadFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadFile {}

/// Whom a client believes and what it shows; for any number of connections.
#[derive(Clone, Default)]
pub struct Trust {
    /// `None`: whom this machine believes, found out at the first connection.
    config: Option<Arc<ClientConfig>>,
    server_name: Option<ServerName<'static>>,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

impl Trust {
    /// Reads the files. An error says which one is wrong, and how.
    pub fn read(files: &Files) -> Result<Trust, BadFile> {
        let verifier: Arc<dyn ServerCertVerifier> = match (&files.ca, files.insecure) {
            (_, true) => Arc::new(Anybody),
            (Some(ca), false) => Arc::new(Given::read(ca).map_err(BadFile)?),
            (None, false) => system().map_err(|e| BadFile(e.to_string()))?,
        };
        let shown = match (&files.certificate, &files.key) {
            (None, None) => None,
            (Some(certificate), key) => {
                // Both may stand in one file.
                let key = key.as_ref().unwrap_or(certificate);
                Some((pem::certificates(certificate).map_err(BadFile)?, pem::key(key).map_err(BadFile)?))
            }
            (None, Some(_)) => return Err(BadFile("a key needs its certificate".into())),
        };
        let builder = builder(verifier).map_err(|e| BadFile(e.to_string()))?;
        let mut config = match shown {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder
                .with_client_auth_cert(chain, key)
                .map_err(|e| BadFile(format!("the client's certificate and key cannot be used: {}", pem::plain(&e))))?,
        };
        config.resumption = Resumption::disabled();
        let server_name = files.server_name.as_deref().map(name).transpose().map_err(|e| BadFile(e.to_string()))?;
        Ok(Trust { config: Some(Arc::new(config)), server_name })
    }

    /// The configuration of a connection, and the name that the node must have there.
    pub(crate) fn for_host(&self, host: &str) -> Result<(Arc<ClientConfig>, ServerName<'static>), Problem> {
        let server_name = match &self.server_name {
            Some(name) => name.clone(),
            None => name(host)?,
        };
        if let Some(config) = &self.config {
            return Ok((config.clone(), server_name));
        }
        static USUAL: OnceLock<Arc<ClientConfig>> = OnceLock::new();
        let config = match USUAL.get() {
            Some(config) => config.clone(),
            None => {
                let builder = builder(system()?).map_err(|e| Problem::new(Kind::Other, e.to_string()))?;
                let mut config = builder.with_no_client_auth();
                config.resumption = Resumption::disabled();
                USUAL.get_or_init(|| Arc::new(config)).clone()
            }
        };
        Ok((config, server_name))
    }
}

type Builder = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

fn builder(verifier: Arc<dyn ServerCertVerifier>) -> Result<Builder, Error> {
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(VERSIONS)?;
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier))
}

fn name(host: &str) -> Result<ServerName<'static>, Problem> {
    ServerName::try_from(host.to_owned())
        .map_err(|_| Problem::new(Kind::WrongName, format!("no certificate can be for the name {host:?}")))
}

/// Whom this machine believes.
fn system() -> Result<Arc<WebPkiServerVerifier>, Problem> {
    static SYSTEM: OnceLock<Result<Arc<WebPkiServerVerifier>, Problem>> = OnceLock::new();
    let found = SYSTEM.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        let why = found.errors.first().map(|e| format!(" ({e})")).unwrap_or_default();
        let none = || Problem::new(Kind::NoRoots, format!("this machine has no list of certificates to believe{why}"));
        if roots.is_empty() {
            return Err(none());
        }
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build().map_err(|_| none())
    });
    found.clone()
}

/// Those of one file and nobody else.
#[derive(Debug)]
struct Given {
    roots: Arc<WebPkiServerVerifier>,
    all: Vec<CertificateDer<'static>>,
}

impl Given {
    fn read(file: &Path) -> Result<Given, String> {
        let (roots, all) = pem::roots(file)?;
        let roots = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|e| format!("{} cannot be used: {e}", file.display()))?;
        Ok(Given { roots, all })
    }

    /// A certificate that was given as such: who gave it knows whose it is, but it must be for
    /// this name, because the file may hold several, and it must not be out of date.
    fn check(&self, shown: &CertificateDer<'_>, server: &ServerName<'_>, now: UnixTime) -> Result<(), Error> {
        let about = About::of(shown);
        if let Some((from, to)) = about.times {
            let now = UNIX_EPOCH + Duration::from_secs(now.as_secs());
            if now < from {
                return Err(CertificateError::NotValidYet.into());
            }
            if now > to {
                return Err(CertificateError::Expired.into());
            }
        }
        if about.has_other_names {
            return verify_server_name(&ParsedCertificate::try_from(shown)?, server);
        }
        match &about.name {
            Some(name) if name.eq_ignore_ascii_case(&server.to_str()) => Ok(()),
            other => Err(CertificateError::NotValidForNameContext {
                expected: server.to_owned(),
                presented: other.iter().cloned().collect(),
            }
            .into()),
        }
    }
}

impl ServerCertVerifier for Given {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        server: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let usual = self.roots.verify_server_cert(shown, between, server, ocsp, now);
        if usual.is_err() && self.all.iter().any(|given| given == shown) {
            return self.check(shown, server, now).map(|()| ServerCertVerified::assertion());
        }
        usual
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.roots.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.roots.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.roots.supported_verify_schemes()
    }
}

/// Believes everybody. That the peer has the key of what it shows is looked at all the same,
/// which tells a broken peer from a good one, but not a good one from a thief.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

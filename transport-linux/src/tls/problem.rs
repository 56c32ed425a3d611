//! Why a client does not get through to a node by TLS, in words that say what to do.
//!
//! Owns: the causes that a person can do something about, told apart. What to type instead
//! is the business of whoever has the command line.

use std::fmt;
use std::io;

use rustls::{AlertDescription, CertificateError, Error};

/// What kind of trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Nobody whom this client believes has signed the node's certificate. It may be the
    /// node's own, which then has to be given to the client.
    UnknownIssuer,
    /// The certificate is for other names.
    WrongName,
    /// It has ended, or has not begun, by this machine's clock.
    WrongTime,
    /// What listens there does not speak TLS.
    NotTls,
    /// The node wants a certificate of the client, or another one.
    WantsCertificate,
    /// It ended the connection in the middle of the handshake.
    Ended,
    /// This machine has no list of those whom everybody believes.
    NoRoots,
    /// Anything else.
    Other,
}

/// Why a node cannot be reached by TLS. Inside of the [`io::Error`] of
/// [`client::Error::Connect`](crate::client::Error::Connect).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    kind: Kind,
    text: String,
}

impl Problem {
    pub(crate) fn new(kind: Kind, text: impl Into<String>) -> Problem {
        Problem { kind, text: text.into() }
    }

    /// What kind it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The problem in an error of the operating system's kind, if it is one of TLS.
    pub fn of(error: &io::Error) -> Option<&Problem> {
        error.get_ref()?.downcast_ref()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Problem {}

impl From<Problem> for io::Error {
    fn from(problem: Problem) -> io::Error {
        io::Error::other(problem)
    }
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Problem {
        let (kind, text) = match error {
            Error::InvalidCertificate(why) => return Problem::from(why),
            Error::InvalidMessage(_) => (
                Kind::NotTls,
                format!("what listens there does not speak TLS, or not one that is known here ({error})"),
            ),
            Error::AlertReceived(alert) => match alert {
                AlertDescription::CertificateRequired
                | AlertDescription::NoCertificate
                | AlertDescription::BadCertificate
                | AlertDescription::UnknownCA
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::AccessDenied => (
                    Kind::WantsCertificate,
                    format!("the node does not accept the certificate of this client, or wants one ({alert:?})"),
                ),
                _ => (Kind::Other, format!("the node ended the TLS handshake ({alert:?})")),
            },
            Error::PeerIncompatible(why) => {
                (Kind::Other, format!("the node speaks no TLS that is known here, which is 1.2 and 1.3 ({why:?})"))
            }
            other => (Kind::Other, format!("TLS: {other}")),
        };
        Problem { kind, text }
    }
}

/// A name as a person writes it; rustls has them like `DnsName("x")`.
fn bare(name: &str) -> &str {
    let inside = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inside.trim_matches('"')
}

impl From<&CertificateError> for Problem {
    fn from(why: &CertificateError) -> Problem {
        let (kind, text) = match why {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => (
                Kind::UnknownIssuer,
                "its certificate is signed by nobody who is believed here, or is the node's own (self-signed)".into(),
            ),
            // Self-signed ones are usually marked as those of an authority, and are not in the list.
            CertificateError::Other(why) if why.to_string().contains("CaUsedAsEndEntity") => (
                Kind::UnknownIssuer,
                "its certificate is the node's own (self-signed), which is not believed here".into(),
            ),
            CertificateError::NotValidForName => {
                (Kind::WrongName, "its certificate is not for the name by which it was called".into())
            }
            CertificateError::NotValidForNameContext { expected, presented } => {
                let others = match presented.len() {
                    0 => "for no name at all".to_owned(),
                    _ => format!("for {}", presented.iter().map(|name| bare(name)).collect::<Vec<_>>().join(", ")),
                };
                (Kind::WrongName, format!("its certificate is not for {}, but {others}", expected.to_str()))
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                (Kind::WrongTime, "its certificate has ended by this machine's clock".into())
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                (Kind::WrongTime, "its certificate is not good yet by this machine's clock".into())
            }
            other => (Kind::Other, format!("its certificate is not accepted: {other}")),
        };
        Problem { kind, text }
    }
}

//! TLS, for the daemon and for the client library: rustls with the cryptography of ring.
//!
//! | file | owns |
//! |---|---|
//! | `pem` | certificates and keys out of files |
//! | `identity` | whom a certificate names |
//! | `offer` | what a listener shows, and whom it asks for a certificate |
//! | `trust` | which nodes a client believes, and what it shows them |
//! | `problem` | why a client did not get through, in words that say what to do |
//!
//! Does not own connections: records are the business of `daemon/secure.rs` and
//! `client/secure.rs`.
//!
//! TLS 1.2 and 1.3, no ALPN (nothing here speaks two protocols on one port), no early data, no
//! compression of certificates. No session is resumed: see `offer`.

pub(crate) mod identity;
pub(crate) mod offer;
pub(crate) mod pem;
mod problem;
mod trust;

use std::sync::{Arc, OnceLock};

use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;

pub use identity::Identity;
pub use problem::{Kind as ProblemKind, Problem};
pub use trust::{BadFile, Files, Trust};

/// What both ends speak.
const VERSIONS: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

/// The cryptography, named in each configuration so that no program's global choice matters.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())).clone()
}

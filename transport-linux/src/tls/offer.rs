//! What a listener offers: its certificate, and whom it asks for one.
//!
//! Owns: the server's configuration out of files, read at start and again at SIGHUP;
//! connections keep the one that they began with. Does not own the keys of the
//! configuration (`config/tls.rs`).
//!
//! No session can be resumed, neither by tickets nor from memory. The stations that connect
//! here stay for long, so resumption would save little; a ticket behind the handshake looks
//! to simple clients like data that does not come (they read, and find nothing to read); and
//! what is not kept cannot be stolen.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{Error, InconsistentKeys, ServerConfig};

use super::identity::About;
use super::{VERSIONS, pem, provider};

/// How long before its end a certificate is worth a warning.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// What one listener shows to whoever connects.
#[derive(Clone)]
pub(crate) struct Offer {
    pub(crate) config: Arc<ServerConfig>,
    /// Worth a warning: a key that others can read, a certificate at its end.
    pub(crate) notes: Vec<String>,
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offer").field("notes", &self.notes).finish_non_exhaustive()
    }
}

/// Whom a listener asks for a certificate.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asks<'a> {
    Nobody,
    /// Who has none signed by one of these may not come in.
    Everybody(&'a Path),
    /// Who has none is as anonymous as without TLS.
    WhoHasOne(&'a Path),
}

/// Which of the files is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum File {
    Certificate,
    Key,
    ClientCa,
}

impl Offer {
    /// Reads the files. An error says which one is wrong, and how.
    pub(crate) fn read(certificate: &Path, key: &Path, asks: Asks<'_>) -> Result<Offer, (File, String)> {
        let chain = pem::certificates(certificate).map_err(|e| (File::Certificate, e))?;
        let private = pem::key(key).map_err(|e| (File::Key, e))?;
        let mut notes = Vec::new();
        notes.extend(pem::exposure(key));
        if let Some(first) = chain.first() {
            notes.extend(age(&About::of(first), SystemTime::now(), certificate));
        }
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(VERSIONS)
            .map_err(|e| (File::Certificate, pem::plain(&e)))?;
        let builder = match asks {
            Asks::Nobody => builder.with_no_client_auth(),
            Asks::Everybody(ca) | Asks::WhoHasOne(ca) => {
                let (roots, _) = pem::roots(ca).map_err(|e| (File::ClientCa, e))?;
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
                let verifier =
                    if matches!(asks, Asks::WhoHasOne(_)) { verifier.allow_unauthenticated() } else { verifier };
                let verifier =
                    verifier.build().map_err(|e| (File::ClientCa, format!("{} cannot be used: {e}", ca.display())))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(chain, private).map_err(|e| why_not(&e, certificate, key))?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Offer { config: Arc::new(config), notes })
    }
}

fn why_not(error: &Error, certificate: &Path, key: &Path) -> (File, String) {
    let (certificate, key) = (certificate.display(), key.display());
    match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            (File::Key, format!("{key} is not the key of the first certificate in {certificate}"))
        }
        Error::InvalidCertificate(why) => {
            (File::Certificate, format!("the first certificate in {certificate} cannot be used: {why}"))
        }
        other => {
            let known = "RSA of 2048 bits and more, ECDSA on P-256 and P-384, and Ed25519 are known";
            (File::Key, format!("the key in {key} cannot be used: {}; {known}", pem::plain(other)))
        }
    }
}

/// What to say about when a certificate is good.
fn age(about: &About, now: SystemTime, file: &Path) -> Option<String> {
    let (from, to) = about.times?;
    let file = file.display();
    let days = |d: Duration| d.as_secs() / (24 * 3600);
    if let Ok(since) = now.duration_since(to) {
        return Some(format!(
            "the certificate in {file} ended {} days ago: clients that look will refuse it",
            days(since)
        ));
    }
    if now < from {
        return Some(format!("the certificate in {file} is not good yet: is this machine's clock right?"));
    }
    let left = to.duration_since(now).ok().filter(|left| *left < SOON)?;
    Some(format!("the certificate in {file} ends in {} days: renew it and send SIGHUP", days(left)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn the_end_of_a_certificate_is_told_in_time() {
        let day = Duration::from_secs(24 * 3600);
        let mut about = About::of(b"");
        let note = |about: &About, day_number: u32| age(about, UNIX_EPOCH + day * day_number, Path::new("/c"));
        assert_eq!(note(&about, 1), None, "nothing is known");
        about.times = Some((UNIX_EPOCH + day * 100, UNIX_EPOCH + day * 200));
        assert!(note(&about, 99).unwrap().contains("not good yet"));
        assert_eq!(note(&about, 150), None);
        assert!(note(&about, 190).unwrap().contains("ends in 10 days"));
        assert!(note(&about, 203).unwrap().contains("ended 3 days ago"));
    }
}

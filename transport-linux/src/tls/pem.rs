//! Certificates and keys out of PEM files.
//!
//! Owns: reading, and what is said when a file is not what it should be. What stands in a
//! key file is never part of a message.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Larger files are not what they are taken for.
const MOST: u64 = 4 << 20;

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let shown = file.display();
    let size = std::fs::metadata(file).map_err(|e| format!("{shown} cannot be read: {e}"))?;
    if !size.is_file() || size.len() > MOST {
        return Err(format!("{shown} is no PEM file: it is no file at all, or longer than {} MiB", MOST >> 20));
    }
    std::fs::read(file).map_err(|e| format!("{shown} cannot be read: {e}"))
}

fn text_of(error: &pem::Error) -> String {
    match error {
        pem::Error::NoItemsFound => "nothing of that kind is in it".into(),
        // Its own text might quote a line.
        pem::Error::IllegalSectionStart { .. } | pem::Error::MissingSectionEnd { .. } => {
            "a section is cut off or does not begin as it should".into()
        }
        other => other.to_string(),
    }
}

/// All certificates of a file, at least one.
pub(crate) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read(file)?;
    let all: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|e| format!("{} is no good PEM file: {}", file.display(), text_of(&e)))?;
    if all.is_empty() {
        let what = "it needs a section `-----BEGIN CERTIFICATE-----`";
        return Err(format!("{} holds no certificate: {what}", file.display()));
    }
    Ok(all)
}

/// The first private key of a file.
pub(crate) fn key(file: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let bytes = zeroize::Zeroizing::new(read(file)?);
    let shown = file.display();
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|e| match e {
        pem::Error::NoItemsFound if contains(&bytes, b"ENCRYPTED PRIVATE KEY") => {
            format!("{shown} holds an encrypted key: write it without a passphrase (openssl pkey -in … -out …)")
        }
        pem::Error::NoItemsFound => {
            format!("{shown} holds no private key: it needs a section `-----BEGIN PRIVATE KEY-----`")
        }
        other => format!("{shown} is no good PEM file: {}", text_of(&other)),
    })
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|w| w == what)
}

/// Whom to believe: every certificate of a file as a root.
pub(crate) fn roots(file: &Path) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), String> {
    let all = certificates(file)?;
    let mut roots = RootCertStore::empty();
    for (i, one) in all.iter().enumerate() {
        roots.add(one.clone()).map_err(|e| {
            format!("certificate {} of {} cannot be used as a root: {}", i + 1, file.display(), plain(&e))
        })?;
    }
    Ok((roots, all))
}

/// What rustls says, without the words around it.
pub(crate) fn plain(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(why) => why.to_string(),
        rustls::Error::General(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What to warn of if others than its owner (and its group) can read or change a key.
pub(crate) fn exposure(file: &Path) -> Option<String> {
    let mode = std::fs::metadata(file).ok()?.permissions().mode();
    let shown = file.display();
    (mode & 0o006 != 0)
        .then(|| format!("{shown} holds a private key and everybody on this machine may read or change it: chmod o-rw"))
}

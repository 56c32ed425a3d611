//! Whom a certificate names: by its common name, or by the hash of all of it.
//!
//! Owns: the two ways in which a configuration may name the owner of a certificate, and
//! reading what of a certificate they are compared with. Does not own whether a certificate
//! is any good: rustls has found that out before.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use x509_cert::Certificate;
use x509_cert::attr::AttributeValue;
use x509_cert::der::asn1::{Ia5StringRef, ObjectIdentifier, PrintableStringRef, TeletexStringRef, Utf8StringRef};
use x509_cert::der::{Decode, Tagged};

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// How a configuration names the owner of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The common name of its subject, byte by byte.
    Name(String),
    /// SHA-256 of the certificate.
    Fingerprint([u8; 32]),
}

/// What stands before the digits of a fingerprint.
const PREFIX: &str = "sha256:";

impl FromStr for Identity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(digits) = text.strip_prefix(PREFIX) {
            return fingerprint(digits).map(Identity::Fingerprint).ok_or_else(|| {
                format!("`{text}`: after {PREFIX} come 64 hexadecimal digits, with or without colons between them")
            });
        }
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(format!("write a certificate's common name, or {PREFIX} and its SHA-256"));
        }
        // `openssl x509 -fingerprint` prints nothing but this: no common name looks like it.
        if fingerprint(text).is_some() {
            return Err(format!("`{text}` looks like a fingerprint: write {PREFIX} before it"));
        }
        Ok(Identity::Name(text.to_owned()))
    }
}

fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text.bytes().filter(|b| *b != b':').collect();
    let mut out = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (to, pair) in out.iter_mut().zip(digits.chunks(2)) {
        let digit = |b: u8| (b as char).to_digit(16);
        *to = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(out)
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Identity::Name(name) => f.write_str(name),
            Identity::Fingerprint(bytes) => {
                f.write_str(PREFIX)?;
                bytes.iter().try_for_each(|b| write!(f, "{b:02x}"))
            }
        }
    }
}

impl Serialize for Identity {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Identity {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a certificate says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct About {
    fingerprint: [u8; 32],
    /// `None`: it has none, or several, of which nobody could say which one counts.
    pub(crate) name: Option<String>,
    /// Whether it has names beside the common name, which then count for servers.
    pub(crate) has_other_names: bool,
    /// From when to when it is good; `None`: that cannot be read.
    pub(crate) times: Option<(SystemTime, SystemTime)>,
}

const ALTERNATIVE_NAMES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");

impl About {
    /// Of a certificate in DER.
    pub(crate) fn of(certificate: &[u8]) -> About {
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest(&SHA256, certificate).as_ref());
        let mut about = About { fingerprint, name: None, has_other_names: false, times: None };
        let Ok(read) = Certificate::from_der(certificate) else { return about };
        let tbs = &read.tbs_certificate;
        let mut names =
            tbs.subject.0.iter().flat_map(|set| set.0.iter()).filter(|a| a.oid == COMMON_NAME).map(|a| text(&a.value));
        about.name = names.next().flatten().filter(|_| names.next().is_none());
        about.has_other_names = tbs.extensions.iter().flatten().any(|extension| extension.extn_id == ALTERNATIVE_NAMES);
        let at = |t: &x509_cert::time::Time| UNIX_EPOCH + t.to_unix_duration().min(Duration::from_secs(1 << 40));
        about.times = Some((at(&tbs.validity.not_before), at(&tbs.validity.not_after)));
        about
    }

    /// Whether that is its owner.
    pub(crate) fn is(&self, identity: &Identity) -> bool {
        match identity {
            Identity::Name(name) => self.name.as_ref() == Some(name),
            Identity::Fingerprint(bytes) => self.fingerprint == *bytes,
        }
    }
}

fn text(value: &AttributeValue) -> Option<String> {
    use x509_cert::der::Tag;
    let text = match value.tag() {
        Tag::Utf8String => value.decode_as::<Utf8StringRef<'_>>().ok()?.as_str().to_owned(),
        Tag::PrintableString => value.decode_as::<PrintableStringRef<'_>>().ok()?.as_str().to_owned(),
        Tag::Ia5String => value.decode_as::<Ia5StringRef<'_>>().ok()?.as_str().to_owned(),
        Tag::TeletexString => value.decode_as::<TeletexStringRef<'_>>().ok()?.as_str().to_owned(),
        _ => return None,
    };
    (!text.is_empty() && !text.chars().any(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_read_as_they_are_printed() {
        let hex = "ab".repeat(32);
        let colons = (0..32).map(|_| "AB").collect::<Vec<_>>().join(":");
        for (text, printed) in [
            ("greenhouse", "greenhouse".to_owned()),
            ("Grün & Söhne", "Grün & Söhne".to_owned()),
            (&format!("sha256:{hex}"), format!("sha256:{hex}")),
            (&format!("sha256:{colons}"), format!("sha256:{hex}")),
        ] {
            let read: Identity = text.parse().unwrap();
            assert_eq!(read.to_string(), printed);
            assert_eq!(printed.parse::<Identity>().unwrap(), read);
        }
        for bad in ["", "a\nb", "sha256:", "sha256:12", &format!("sha256:{}x", "a".repeat(63)), &colons, &hex] {
            assert!(bad.parse::<Identity>().expect_err(bad).contains("sha256:"));
        }
    }

    #[test]
    fn a_certificate_is_known_by_name_and_by_hash() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["elsewhere.example".into()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "Grün");
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        let der = params.self_signed(&key).unwrap();
        let about = About::of(der.der());
        assert!(about.is(&Identity::Name("Grün".into())));
        assert!(!about.is(&Identity::Name("Gr".into())) && !about.is(&Identity::Name("elsewhere.example".into())));
        assert!(about.has_other_names);
        let (from, to) = about.times.unwrap();
        assert_eq!(from, UNIX_EPOCH + Duration::from_secs(1_577_836_800));
        assert!(to > SystemTime::now());
        let hash: String = digest(&SHA256, der.der()).as_ref().iter().map(|b| format!("{b:02X}")).collect();
        assert!(about.is(&format!("sha256:{hash}").parse().unwrap()));
        assert!(!about.is(&Identity::Fingerprint([0; 32])));
    }

    #[test]
    fn a_common_name_counts_in_every_usual_form() {
        use rcgen::DnValue::{Ia5String, PrintableString, TeletexString};
        let key = rcgen::KeyPair::generate().unwrap();
        for name in [
            PrintableString("green house".try_into().unwrap()),
            Ia5String("green house".try_into().unwrap()),
            TeletexString("green house".try_into().unwrap()),
        ] {
            let mut params = rcgen::CertificateParams::default();
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(rcgen::DnType::CommonName, name.clone());
            let about = About::of(params.self_signed(&key).unwrap().der());
            assert!(about.is(&Identity::Name("green house".into())), "{name:?}");
            assert!(!about.is(&Identity::Name("greenhouse".into())), "{name:?}");
        }
    }

    #[test]
    fn two_common_names_are_none_and_garbage_is_only_its_hash() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let der = params.self_signed(&key).unwrap();
        let about = About::of(der.der());
        assert_eq!((about.name, about.has_other_names), (None, false));
        let about = About::of(b"garbage");
        assert_eq!((&about.name, about.times), (&None, None));
        assert!(about.is(&Identity::Fingerprint(about.fingerprint)));
    }
}

//! How a listener speaks TLS.
//!
//! Owns: the keys of it, what they demand of each other, and that the files they name are
//! read whenever the configuration is: at start, at SIGHUP, and by `chappe check-config`.
//! Does not own what is in the files (`crate::tls`).

use serde::{Deserialize, Serialize};

use super::check::At;
use super::{AbsolutePath, Config, ConfigError, Endpoint, Listener, Step};
use crate::tls::offer::{Asks, File, Offer};

/// The files of a listener that speaks TLS, all of them PEM.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Its certificate, and those that lead from it to one that clients know.
    pub certificate: AbsolutePath,
    /// The key of the first of these.
    pub key: AbsolutePath,
    /// Who has signed the certificates of clients. `None`: no client is asked for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<AbsolutePath>,
    /// Whether a client without a certificate may come in.
    #[serde(default)]
    pub client_certificate: ClientCertificate,
    /// What was in the files.
    #[serde(skip)]
    pub(crate) offer: Option<Offer>,
}

impl PartialEq for Tls {
    /// What is written, not what is in the files.
    fn eq(&self, other: &Tls) -> bool {
        (&self.certificate, &self.key, &self.client_ca, self.client_certificate)
            == (&other.certificate, &other.key, &other.client_ca, other.client_certificate)
    }
}

impl Eq for Tls {}

/// Of a listener with `client_ca`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificate {
    /// Who has none does not come in.
    #[default]
    Required,
    /// Who has none is anonymous.
    Optional,
}

impl Tls {
    /// Whether nobody comes in without a certificate.
    pub fn is_closed(&self) -> bool {
        self.client_ca.is_some() && self.client_certificate == ClientCertificate::Required
    }

    fn read(&self) -> Result<Offer, (File, String)> {
        let asks = match (&self.client_ca, self.client_certificate) {
            (None, _) => Asks::Nobody,
            (Some(ca), ClientCertificate::Required) => Asks::Everybody(ca.as_path()),
            (Some(ca), ClientCertificate::Optional) => Asks::WhoHasOne(ca.as_path()),
        };
        Offer::read(self.certificate.as_path(), self.key.as_path(), asks)
    }
}

impl Config {
    /// What is worth a warning about the files that it names.
    pub(crate) fn tls_notes(&self) -> impl Iterator<Item = &str> {
        let offers = self.listeners.iter().filter_map(|l| l.tls.as_ref()?.offer.as_ref());
        offers.flat_map(|offer| offer.notes.iter().map(String::as_str))
    }

    /// What is worth a warning, about whatever it is: the event that it is logged as, and what.
    pub(crate) fn notes(&self) -> impl Iterator<Item = (&'static str, String)> {
        let tls = self.tls_notes().map(|note| ("tls.note", note.to_owned()));
        let clacks = self.clacks_notes().map(|note| ("clacks.note", note));
        let communicator = self.communicator_notes().map(|note| ("communicator.note", note));
        tls.chain(clacks).chain(communicator).chain(self.discovery_notes().map(|note| ("discovery.note", note)))
    }
}

impl Listener {
    /// Checks what is said about TLS for listener `i`, without looking into files.
    pub(super) fn check_tls(&self, i: usize, at: At<'_>) -> Result<(), ConfigError> {
        let key = |k| [Step::Key("listeners"), Step::Index(i), Step::Key(k)];
        match (&self.address, &self.tls) {
            (Endpoint::Udp(_) | Endpoint::CommunicatorUdp(_), Some(_)) => {
                Err(at(&key("tls"), "datagrams cannot be encrypted here: take it away, or listen at tls://".into()))
            }
            (Endpoint::Serial { .. } | Endpoint::ClacksSerial { .. }, Some(_)) => {
                Err(at(&key("tls"), "a serial line speaks no TLS: take it away".into()))
            }
            (Endpoint::Clacks(_) | Endpoint::ClacksAuto, Some(_)) => {
                let text = "no program of Net::Clacks speaks TLS over a Unix socket: take it away";
                Err(at(&key("tls"), text.into()))
            }
            (Endpoint::Communicator(_) | Endpoint::CommunicatorAuto, Some(_)) => {
                let text = "no program of the Communicator speaks TLS over a Unix socket: take it away";
                Err(at(&key("tls"), text.into()))
            }
            (Endpoint::Tls(_) | Endpoint::ClacksTls(_) | Endpoint::CommunicatorTls(_), None) => {
                let text = "a certificate is missing: add tls = { certificate = \"/PATH.pem\", key = \"/PATH.pem\" }";
                Err(at(&key("address"), text.into()))
            }
            (_, Some(Tls { client_ca: None, client_certificate: ClientCertificate::Optional, .. })) => {
                let path = [Step::Key("listeners"), Step::Index(i), Step::Key("tls"), Step::Key("client_certificate")];
                Err(at(&path, "nobody is asked for a certificate without client_ca: add it or take this away".into()))
            }
            _ => Ok(()),
        }
    }

    /// Reads the files of listener `i`.
    pub(super) fn read_tls(&mut self, i: usize, at: At<'_>) -> Result<(), ConfigError> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        let offer = tls.read().map_err(|(file, text)| {
            let name = match file {
                File::Certificate => "certificate",
                File::Key => "key",
                File::ClientCa => "client_ca",
            };
            at(&[Step::Key("listeners"), Step::Index(i), Step::Key("tls"), Step::Key(name)], text)
        })?;
        tls.offer = Some(offer);
        Ok(())
    }
}

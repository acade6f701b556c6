//! The client certificate that a subscription's deliveries present to its receiver (mutual TLS).
//!
//! Knows the texts and their sizes, not their content: whether key and certificate match is checked by the TLS code.
//! Keys are write-only: no fault shows one.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::hidden::Hidden;
use super::invalid::Invalid;
use super::json;

/// Maximum bytes of a certificate with its intermediates, as PEM.
pub const CERT_MOST: usize = 16 * 1024;
/// Maximum bytes of a private key as PEM.
pub const KEY_MOST: usize = 8 * 1024;

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// PEM: the certificate, then its intermediates.
    pub cert: String,
    /// PEM: the private key.
    pub key: Hidden,
}

/// The members of a body; `None` if absent, the inner `None` for `null`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateChange {
    /// `client_cert`
    pub cert: Option<Option<String>>,
    /// `client_key`
    pub key: Option<Option<Hidden>>,
}

impl CertificateChange {
    /// Whether neither member is given.
    pub const fn is_empty(&self) -> bool {
        self.cert.is_none() && self.key.is_none()
    }

    /// Applies the change to `stored`. Removing the certificate removes the key.
    ///
    /// # Errors
    /// One is present without the other.
    pub fn resolve(&self, stored: Option<&Arc<ClientCertificate>>) -> Result<Option<Arc<ClientCertificate>>, Invalid> {
        if self.is_empty() {
            return Ok(stored.cloned());
        }
        let kept_cert = || stored.map(|stored| stored.cert.clone());
        let kept_key = || stored.map(|stored| stored.key.clone());
        let cert = self.cert.clone().unwrap_or_else(kept_cert);
        match (cert, self.key.clone()) {
            (Some(cert), key) => match key.unwrap_or_else(kept_key) {
                Some(key) => Ok(Some(Arc::new(ClientCertificate { cert, key }))),
                None => Err(Invalid::one("/client_key", "must be given with `client_cert`: its private key as PEM")),
            },
            (None, Some(Some(_))) => {
                Err(Invalid::one("/client_cert", "must be given with `client_key`: the key's certificate as PEM"))
            }
            (None, _) => Ok(None),
        }
    }
}

/// Parses `client_cert`.
///
/// # Errors
/// What would be valid.
pub fn read_cert(value: &RawValue) -> Result<String, String> {
    let text = json::string(value)?;
    pem(text, CERT_MOST, "CERTIFICATE-----")
}

/// Parses `client_key`.
///
/// # Errors
/// What would be valid; never the text.
pub fn read_key(value: &RawValue) -> Result<Hidden, String> {
    let text = json::string(value)?;
    if text.contains("ENCRYPTED") {
        return Err("must not be protected by a passphrase: write it without one, with `openssl pkey`".to_owned());
    }
    pem(text, KEY_MOST, "PRIVATE KEY-----").map(Hidden::new)
}

fn pem(text: String, most: usize, label: &str) -> Result<String, String> {
    if text.len() > most {
        return Err(format!("must have at most {most} bytes, not {}", text.len()));
    }
    let begins = text.contains("-----BEGIN ") && text.contains(label);
    if !begins || text.chars().any(|c| !c.is_ascii() || (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))) {
        return Err(format!("must be PEM: lines from `-----BEGIN …{label}` to `-----END …{label}`"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(cert: Option<Option<&str>>, key: Option<Option<&str>>) -> CertificateChange {
        CertificateChange { cert: cert.map(|c| c.map(str::to_owned)), key: key.map(|k| k.map(Hidden::new)) }
    }

    #[test]
    fn both_are_there_or_none() {
        let stored = Arc::new(ClientCertificate { cert: "c".to_owned(), key: Hidden::new("k") });
        let made = |cert: &str, key: &str| Ok(Some((cert.to_owned(), key.to_owned())));
        let cases = [
            (change(None, None), None, Ok(None)),
            (change(None, None), Some(&stored), made("c", "k")),
            (change(Some(Some("d")), Some(Some("l"))), None, made("d", "l")),
            (change(Some(Some("d")), Some(Some("l"))), Some(&stored), made("d", "l")),
            (change(Some(Some("d")), None), Some(&stored), made("d", "k")),
            (change(None, Some(Some("l"))), Some(&stored), made("c", "l")),
            (change(Some(None), None), Some(&stored), Ok(None)),
            (change(Some(None), Some(None)), Some(&stored), Ok(None)),
            (change(Some(Some("d")), None), None, Err("/client_key")),
            (change(None, Some(None)), Some(&stored), Err("/client_key")),
            (change(None, Some(Some("l"))), None, Err("/client_cert")),
            (change(Some(None), Some(Some("l"))), Some(&stored), Err("/client_cert")),
        ];
        for (change, stored, wanted) in cases {
            let seen = change.resolve(stored);
            let seen = seen.map(|made| made.map(|made| (made.cert.clone(), made.key.expose().to_owned())));
            let seen = seen.map_err(|invalid| invalid.errors[0].pointer.clone());
            assert_eq!(seen, wanted.map_err(str::to_owned), "{change:?}");
        }
    }

    #[test]
    fn invalid_pem_is_refused_without_being_shown() {
        let quoted = |text: &str| RawValue::from_string(json::quote(text)).unwrap();
        let (cert, key) = ("-----BEGIN CERTIFICATE-----\nAA\n", "-----BEGIN PRIVATE KEY-----\nAA\n");
        assert!(read_cert(&quoted(cert)).is_ok() && read_key(&quoted(key)).is_ok());
        for bad in ["", "hunter2", key, &cert.repeat(1000), &format!("{cert}\0")] {
            assert!(read_cert(&quoted(bad)).is_err(), "{bad}");
        }
        for bad in ["", "hunter2", cert, &key.repeat(1000), "-----BEGIN ENCRYPTED PRIVATE KEY-----\nhunter2"] {
            assert!(!read_key(&quoted(bad)).unwrap_err().contains("hunter2"), "{bad}");
        }
    }
}

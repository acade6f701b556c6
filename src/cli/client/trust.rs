//! Which daemons are trusted: by an authority, or by exactly their certificate.
//!
//! Invariant: every trusted daemon has proven possession of the certificate's key.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::cli::exit::Failure;

/// Whom to trust.
#[derive(Debug, Clone)]
pub(super) struct Trust {
    /// The authorities, if any.
    authorities: Option<Arc<WebPkiServerVerifier>>,
    /// Certificates trusted as such, whatever they say: a self-signed one is often marked as an authority's, and
    /// identifies only itself.
    named: Vec<CertificateDer<'static>>,
    /// The message for others.
    pub(super) strangers: Strangers,
}

impl Trust {
    /// Trusts what this machine trusts, and the certificates in `file`: as authorities, and as such.
    ///
    /// # Errors
    /// The file cannot be read or contains no certificate, or nothing at all is trusted.
    pub(super) fn of_machine(file: Option<&Path>) -> Result<Self, Failure> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let named = match file {
            Some(file) => {
                certificates(file).map_err(|why| Failure::usage(format!("--ca (or HOOKSWITCH_CA): {why}")))?
            }
            None => Vec::new(),
        };
        // One that cannot be an authority may be trusted as such.
        roots.add_parsable_certificates(named.iter().cloned());
        if roots.is_empty() && named.is_empty() {
            return Err(Failure::new(
                "this machine has no root certificates, so an https daemon cannot be checked: name the PEM file of its \
                 authority with --ca or HOOKSWITCH_CA",
            ));
        }
        let authorities = match roots.is_empty() {
            true => None,
            false => {
                let built = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
                Some(built.map_err(|error| Failure::new(format!("TLS cannot be set up: {error}")))?)
            }
        };
        Ok(Self { authorities, named, strangers: Strangers::OfMachine })
    }

    /// Trusts the first certificate in `file`, and no other.
    ///
    /// # Errors
    /// The file cannot be read or contains no certificate.
    pub(super) fn of_one(file: &Path) -> Result<Self, Failure> {
        let mut named = certificates(file).map_err(Failure::new)?;
        named.truncate(1);
        Ok(Self { authorities: None, named, strangers: Strangers::OfFile })
    }
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The certificates in a PEM file, at least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = file.display();
    let pem = std::fs::read(file).map_err(|error| format!("{shown}: cannot be read: {error}"))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!("{shown}: holds no certificate: it must hold a `BEGIN CERTIFICATE` block")),
        Err(error) => Err(format!("{shown}: is not PEM: {error}")),
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.named.iter().any(|named| named.as_ref() == end_entity.as_ref()) {
            return Ok(ServerCertVerified::assertion());
        }
        let authorities = self.authorities.as_ref().ok_or(CertificateError::UnknownIssuer)?;
        authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
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

/// Why a daemon is not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strangers {
    /// Neither this machine nor --ca trusts it.
    OfMachine,
    /// It does not have the daemon's configured certificate.
    OfFile,
}

impl Strangers {
    /// The message about a daemon after a failed TLS handshake.
    pub(super) fn message(self, base: &str, error: Option<&Error>) -> String {
        use CertificateError as Bad;
        let advice = match error {
            Some(Error::InvalidCertificate(_)) if self == Self::OfFile => {
                "it shows another certificate than that in `tls_cert`: if that was renewed, `systemctl reload hookswitch`"
            }
            Some(Error::InvalidCertificate(Bad::UnknownIssuer)) => {
                "its certificate comes from an issuer that is not trusted here: name that authority's PEM file with --ca \
                 or HOOKSWITCH_CA"
            }
            Some(Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. })) => {
                "its certificate is for another host name: use one of its names in --url or HOOKSWITCH_URL"
            }
            Some(Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. })) => {
                "its certificate has expired: renew it, and reload the daemon"
            }
            Some(Error::InvalidCertificate(Bad::Other(_))) => {
                "its certificate is not a valid server certificate, as is often so for self-signed ones: name its own \
                 PEM file with --ca or HOOKSWITCH_CA"
            }
            Some(Error::InvalidMessage(_)) => "what answers does not speak TLS: use http:// in --url or HOOKSWITCH_URL",
            _ => "the TLS handshake failed",
        };
        let detail = error.map(|error| format!(" ({error})")).unwrap_or_default();
        format!("communication with {base} failed: {advice}{detail}")
    }
}

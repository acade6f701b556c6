//! TLS towards receivers: which certificates are trusted, the handshake, and what went wrong in it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::failure::Failure;
use super::wire::Timed;
use crate::core::attempt::{Fault, Phase};

/// The settings of every TLS connection, which also remember sessions.
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    /// Why no certificate at all is trusted.
    untrusting: Option<String>,
}

impl Tls {
    /// Trusts the machine's own roots and those in `extra` (PEM files). A machine without roots can
    /// still call http URLs, so that is only told when an https URL is called.
    ///
    /// # Errors
    /// A sentence that names the file that cannot be read or holds no certificate.
    pub(super) fn new(extra: &[PathBuf]) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        let native = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(native.certs);
        for path in extra {
            add_file(&mut roots, path)?;
        }
        let untrusting = roots.is_empty().then(|| {
            let why = native.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
            format!(
                "no certificate authority is known on this machine{why}: install the package `ca-certificates`, or name \
                 PEM files in `extra_ca` in [network]"
            )
        });
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS cannot be set up: {error}"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { config: Arc::new(config), untrusting })
    }

    /// Makes the connection to `host` a TLS connection.
    pub(super) fn handshake(
        &self,
        host: &str,
        mut socket: Timed,
    ) -> Result<StreamOwned<ClientConnection, Timed>, Failure> {
        if let Some(why) = &self.untrusting {
            return Err(Failure::new(Fault::Tls, why));
        }
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Failure::new(Fault::BadUrl, "the URL's host is not a name that a certificate can have"))?;
        let mut connection = ClientConnection::new(Arc::clone(&self.config), name).map_err(|error| failure(&error))?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).map_err(|error| of_stream(&error).unwrap_or_else(|| broken(&error)))?;
        }
        Ok(StreamOwned::new(connection, socket))
    }
}

/// The handshake ended because the socket did.
fn broken(error: &std::io::Error) -> Failure {
    if super::failure::is_disconnect(error.kind()) {
        return Failure::new(Fault::Tls, "the receiver ended the connection during the TLS handshake");
    }
    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) {
        let detail = "the receiver took the connection, but the TLS handshake did not end in time";
        return Failure::new(Fault::ConnectTimeout, detail);
    }
    Failure::from_io(error, Phase::Connect)
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    let fault = |what: String| format!("`extra_ca` in [network]: {}: {what}", path.display());
    let bytes = std::fs::read(path).map_err(|error| fault(format!("cannot be read: {error}")))?;
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|error| fault(format!("is not PEM: {error}")))?;
        roots.add(certificate).map_err(|error| fault(format!("holds a certificate that cannot be used: {error}")))?;
    }
    if roots.len() == before {
        return Err(fault("holds no certificate: it must hold at least one `BEGIN CERTIFICATE` block".to_owned()));
    }
    Ok(())
}

/// The failure of TLS that an error of a TLS stream tells of, unless it is the socket's.
pub(super) fn of_stream(error: &std::io::Error) -> Option<Failure> {
    error.get_ref()?.downcast_ref::<rustls::Error>().map(failure)
}

/// How the verifier under rustls names the most usual fault of a home-made certificate. It hands it on
/// as an error of a crate that is not known here, so there is only the text.
const AUTHORITY_AS_SERVER: &str = "CaUsedAsEndEntity";

/// What an error of rustls amounts to.
fn failure(error: &rustls::Error) -> Failure {
    use CertificateError as Bad;
    let certificate = match error {
        rustls::Error::InvalidCertificate(certificate) => certificate,
        rustls::Error::InvalidMessage(_) => return Failure::new(Fault::Tls, "what came back is not TLS"),
        _ => return Failure::new(Fault::Tls, format!("TLS failed: {error}")),
    };
    match certificate {
        Bad::Expired | Bad::ExpiredContext { .. } => {
            Failure::new(Fault::TlsExpired, "the receiver's certificate has expired")
        }
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
            Failure::new(Fault::TlsExpired, "the receiver's certificate is not valid yet")
        }
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
            Failure::new(Fault::TlsWrongName, "the receiver's certificate is for another host name")
        }
        Bad::UnknownIssuer => Failure::new(
            Fault::TlsUnknownIssuer,
            "the receiver's certificate comes from an issuer that is not trusted here",
        ),
        Bad::Other(other) if other.0.to_string() == AUTHORITY_AS_SERVER => Failure::new(
            Fault::TlsUnknownIssuer,
            "the receiver shows an authority's own certificate, as one that signed itself often is (CA:TRUE), instead \
             of a server's",
        ),
        other => Failure::new(Fault::Tls, format!("the receiver's certificate cannot be accepted: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_certificates_that_cannot_be_used_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let empty = directory.path().join("empty.pem");
        std::fs::write(&empty, "# nothing here\n").unwrap();
        let broken = directory.path().join("broken.pem");
        std::fs::write(&broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        let missing = directory.path().join("missing.pem");
        for (path, words) in [(empty, "holds no certificate"), (broken, "cannot be used"), (missing, "cannot be read")]
        {
            let fault = Tls::new(std::slice::from_ref(&path)).err().unwrap();
            assert!(fault.contains(words) && fault.contains(&path.display().to_string()), "{fault}");
        }
    }

    #[test]
    fn certificate_errors_have_their_own_faults() {
        let cases = [
            (CertificateError::Expired, Fault::TlsExpired),
            (CertificateError::NotValidYet, Fault::TlsExpired),
            (CertificateError::NotValidForName, Fault::TlsWrongName),
            (CertificateError::UnknownIssuer, Fault::TlsUnknownIssuer),
            (CertificateError::Revoked, Fault::Tls),
        ];
        for (error, wanted) in cases {
            assert_eq!(failure(&rustls::Error::InvalidCertificate(error)).fault, wanted);
        }
        assert_eq!(failure(&rustls::Error::DecryptError).fault, Fault::Tls);
    }
}

//! TLS towards receivers: which certificates are trusted, the handshake, and what went wrong in it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, ConfigBuilder, RootCertStore, StreamOwned,
};

use super::failure::Failure;
use super::stream::Timed;
use crate::core::attempt::{Fault, Phase};
use crate::core::client_certificate::ClientCertificate;

/// The settings of every TLS connection, which also remember sessions.
pub(super) struct Tls {
    roots: Arc<RootCertStore>,
    plain: Arc<ClientConfig>,
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
        let roots = Arc::new(roots);
        let plain = Arc::new(builder(&roots)?.with_no_client_auth());
        Ok(Self { roots, plain, untrusting })
    }

    /// The settings of connections that show a client certificate. They have sessions of their own.
    ///
    /// # Errors
    /// A sentence on what is wrong with the certificate or its key; never the key.
    pub(super) fn showing(&self, certificate: &ClientCertificate) -> Result<Arc<ClientConfig>, BadCertificate> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.cert.as_bytes()).collect();
        let chain = chain.map_err(|error| BadCertificate::Cert(format!("is not PEM: {error}")))?;
        if chain.is_empty() {
            return Err(BadCertificate::Cert("holds no certificate".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_slice(certificate.key.expose().as_bytes());
        let key = key.map_err(|_| BadCertificate::Key("holds no private key that can be read".to_owned()))?;
        let config = builder(&self.roots).map_err(BadCertificate::Cert)?.with_client_auth_cert(chain, key);
        config.map(Arc::new).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                BadCertificate::Key("is not the key of the first certificate in `client_cert`".to_owned())
            }
            rustls::Error::InvalidCertificate(_) => BadCertificate::Cert(format!("cannot be used: {error}")),
            _ => BadCertificate::Key("is of a kind that cannot be used".to_owned()),
        })
    }

    /// Makes the connection to `host` a TLS connection, by the settings of [`Tls::showing`] where there are any.
    pub(super) fn handshake(
        &self,
        showing: Option<&Arc<ClientConfig>>,
        host: &str,
        mut socket: Timed,
    ) -> Result<StreamOwned<ClientConnection, Timed>, Failure> {
        let mut connection = self.begin(showing, host)?;
        shake(&mut connection, &mut socket)?;
        Ok(StreamOwned::new(connection, socket))
    }

    /// A handshake for its own sake, in which no client certificate is shown: what `host` shows, if that can be trusted.
    pub(super) fn meet(&self, host: &str, mut socket: Timed) -> Result<Met, Failure> {
        let mut connection = self.begin(None, host)?;
        let ended = shake(&mut connection, &mut socket);
        let Some(chain) = connection.peer_certificates() else {
            return Err(ended.err().unwrap_or_else(|| Failure::new(Fault::Tls, "the receiver shows no certificate")));
        };
        let chain = chain.iter().map(|certificate| certificate.to_vec()).collect();
        connection.send_close_notify();
        // A farewell that does not get through changes nothing of what was seen.
        let _ = connection.write_tls(&mut socket);
        Ok(Met { chain, refusal: ended.err() })
    }

    fn begin(&self, showing: Option<&Arc<ClientConfig>>, host: &str) -> Result<ClientConnection, Failure> {
        if let Some(why) = &self.untrusting {
            return Err(Failure::new(Fault::Tls, why));
        }
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Failure::new(Fault::BadUrl, "the URL's host is not a name that a certificate can have"))?;
        ClientConnection::new(Arc::clone(showing.unwrap_or(&self.plain)), name).map_err(|error| failure(&error))
    }
}

/// What was seen in a handshake, as far as the certificates went: they were found good.
pub(super) struct Met {
    /// The receiver's certificate and those it sends along, as DER.
    pub(super) chain: Vec<Vec<u8>>,
    /// How the receiver ended the handshake after that, if it did.
    pub(super) refusal: Option<Failure>,
}

fn shake(connection: &mut ClientConnection, socket: &mut Timed) -> Result<(), Failure> {
    while connection.is_handshaking() {
        let shaken = connection.complete_io(socket);
        shaken.map_err(|error| of_stream(&error).map_or_else(|| broken(&error), |failure| plainly(failure, socket)))?;
    }
    Ok(())
}

/// What does not speak TLS is told by how it begins.
fn plainly(failure: Failure, socket: &Timed) -> Failure {
    match socket.first() {
        Some(b'H' | b'<') => {
            Failure::new(Fault::Tls, "this port speaks plain HTTP: begin the URL with http://, or let it speak TLS")
        }
        Some(0x14..=0x17) | None => failure,
        Some(_) => Failure::new(Fault::Tls, "what came back is neither TLS nor HTTP: another service answers there"),
    }
}

/// What is wrong with a client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadCertificate {
    /// The certificate itself.
    Cert(String),
    /// Its key.
    Key(String),
}

fn builder(roots: &Arc<RootCertStore>) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| format!("TLS cannot be set up: {error}"))?;
    Ok(builder.with_root_certificates(Arc::clone(roots)))
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
        rustls::Error::AlertReceived(alert) => return Failure::new(Fault::Tls, of_alert(*alert)),
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
        Bad::BadSignature => Failure::new(
            Fault::TlsUnknownIssuer,
            "the receiver's certificate names an issuer that is trusted here, and was signed by another of that name",
        ),
        Bad::Other(other) if other.0.to_string() == AUTHORITY_AS_SERVER => Failure::new(
            Fault::TlsUnknownIssuer,
            "the receiver shows an authority's own certificate, as one that signed itself often is (CA:TRUE), instead \
             of a server's",
        ),
        other => Failure::new(Fault::Tls, format!("the receiver's certificate cannot be accepted: {other}")),
    }
}

/// What a receiver that refuses has to say.
fn of_alert(alert: AlertDescription) -> String {
    use AlertDescription as Alert;
    match alert {
        Alert::CertificateRequired => {
            "the receiver asks for a client certificate: set `client_cert` and `client_key` of this webhook".to_owned()
        }
        Alert::UnknownCA
        | Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::AccessDenied => format!("the receiver does not accept the client certificate ({alert:?})"),
        _ => format!("the receiver refused the TLS connection ({alert:?})"),
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

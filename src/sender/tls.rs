//! TLS towards receivers: trusted certificates, the handshake, and its failures.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::{ResolvesClientCert, WantsClientCert, WebPkiServerVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, ConfigBuilder, RootCertStore, SignatureScheme,
    StreamOwned,
};

use super::failure::Failure;
use super::marks;
use super::stream::Timed;
use super::verifier::{self, Verifier};
use crate::core::attempt::{Fault, Phase};
use crate::core::client_certificate::ClientCertificate;

/// The configuration of all TLS connections, with their session cache.
pub(super) struct Tls {
    roots: Arc<RootCertStore>,
    plain: Arc<ClientConfig>,
    /// Why no certificate is trusted at all.
    untrusting: Option<String>,
}

impl Tls {
    /// Trusts the machine's root certificates and those in `extra` (PEM files). A machine without roots can still
    /// call http URLs, so that is reported only when an https URL is called.
    ///
    /// # Errors
    /// A sentence that names the file that cannot be read or contains no certificate.
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
        let plain = Arc::new(builder(&roots)?.with_client_cert_resolver(Arc::new(Nothing)));
        Ok(Self { roots, plain, untrusting })
    }

    /// The configuration of connections that present a client certificate. They have their own session cache.
    ///
    /// # Errors
    /// A sentence on what is wrong with the certificate or its key; never the key.
    pub(super) fn with_certificate(
        &self,
        certificate: &ClientCertificate,
    ) -> Result<Arc<ClientConfig>, BadCertificate> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.cert.as_bytes()).collect();
        let chain = chain.map_err(|error| BadCertificate::Cert(format!("is not PEM: {error}")))?;
        if chain.is_empty() {
            return Err(BadCertificate::Cert("holds no certificate".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_slice(certificate.key.expose().as_bytes());
        let key = key.map_err(|_| BadCertificate::Key("contains no readable private key".to_owned()))?;
        let config = builder(&self.roots).map_err(BadCertificate::Cert)?.with_client_auth_cert(chain, key);
        config.map(Arc::new).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                BadCertificate::Key("is not the key of the first certificate in `client_cert`".to_owned())
            }
            rustls::Error::InvalidCertificate(_) => BadCertificate::Cert(format!("cannot be used: {error}")),
            _ => BadCertificate::Key("is of a kind that cannot be used".to_owned()),
        })
    }

    /// Makes the connection to `host` a TLS connection, with the configuration of [`Tls::with_certificate`] if given.
    pub(super) fn handshake(
        &self,
        with_certificate: Option<&Arc<ClientConfig>>,
        host: &str,
        mut socket: Timed,
    ) -> Result<StreamOwned<ClientConnection, Timed>, Failure> {
        let mut connection = self.begin(with_certificate, host)?;
        shake(&mut connection, &mut socket)?;
        Ok(StreamOwned::new(connection, socket))
    }

    /// A handshake without a request or a client certificate: the chain that `host` presents, if it is trusted.
    pub(super) fn verify_peer(&self, host: &str, mut socket: Timed) -> Result<Peer, Failure> {
        let mut connection = self.begin(None, host)?;
        let ended = shake(&mut connection, &mut socket);
        let Some(chain) = connection.peer_certificates() else {
            return Err(ended.err().unwrap_or_else(|| {
                Failure::new(Fault::Tls, "the receiver shows no certificate: check that the port speaks TLS")
            }));
        };
        let chain = chain.iter().map(|certificate| certificate.to_vec()).collect();
        connection.send_close_notify();
        // A close_notify that is lost changes nothing.
        let _ = connection.write_tls(&mut socket);
        Ok(Peer { chain, refusal: ended.err() })
    }

    fn begin(&self, with_certificate: Option<&Arc<ClientConfig>>, host: &str) -> Result<ClientConnection, Failure> {
        if let Some(why) = &self.untrusting {
            return Err(Failure::new(Fault::Tls, why));
        }
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Failure::new(Fault::BadUrl, "the URL's host is not a name that a certificate can have"))?;
        ClientConnection::new(Arc::clone(with_certificate.unwrap_or(&self.plain)), name)
            .map_err(|error| failure(&error))
    }
}

/// The result of a handshake in which the certificates were valid.
pub(super) struct Peer {
    /// The receiver's certificate and those sent along, as DER.
    pub(super) chain: Vec<Vec<u8>>,
    /// How the receiver rejected the handshake after that, if it did.
    pub(super) refusal: Option<Failure>,
}

fn shake(connection: &mut ClientConnection, socket: &mut Timed) -> Result<(), Failure> {
    while connection.is_handshaking() {
        let shaken = connection.complete_io(socket);
        shaken.map_err(|error| of_stream(&error).map_or_else(|| broken(&error), |failure| plainly(failure, socket)))?;
    }
    Ok(())
}

/// A peer that does not speak TLS is recognised by its first byte.
fn plainly(failure: Failure, socket: &Timed) -> Failure {
    match socket.first() {
        Some(b'H' | b'<') => {
            Failure::new(Fault::Tls, "this port speaks plain HTTP: begin the URL with http://, or enable TLS on it")
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
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| format!("TLS cannot be set up: {error}"))?;
    if roots.is_empty() {
        // Never used for a handshake; see `Tls::begin`.
        return Ok(builder.with_root_certificates(Arc::clone(roots)));
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), provider).build();
    let verifier = verifier.map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let verifier = Arc::new(Verifier::new(verifier, Arc::clone(roots)));
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier))
}

/// The handshake ended because the socket did.
fn broken(error: &std::io::Error) -> Failure {
    if super::failure::is_disconnect(error.kind()) {
        let detail = "the receiver ended the connection during the TLS handshake: check that the port speaks TLS, and see its log";
        return Failure::new(Fault::Tls, detail);
    }
    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) {
        let detail = "the receiver accepted the connection, but the TLS handshake did not end in time";
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

/// The TLS failure behind an error of a TLS stream, unless it is the socket's.
pub(super) fn of_stream(error: &std::io::Error) -> Option<Failure> {
    error.get_ref()?.downcast_ref::<rustls::Error>().map(failure)
}

/// The failure for an error of rustls. Every sentence says what to do.
fn failure(error: &rustls::Error) -> Failure {
    use rustls::Error as Tls;
    use rustls::PeerIncompatible as Unlike;
    const OLD: &str = "the receiver speaks no TLS newer than 1.1: let it speak TLS 1.2 or 1.3";
    let words = match error {
        Tls::InvalidCertificate(certificate) => return of_certificate(certificate),
        Tls::AlertReceived(alert) => return Failure::new(Fault::Tls, of_alert(*alert, marks::was_certificate_asked())),
        Tls::InvalidMessage(_) => "what came back is not TLS: check the port, and that it speaks TLS",
        Tls::PeerIncompatible(
            Unlike::ServerTlsVersionIsDisabledByOurConfig | Unlike::ServerDoesNotSupportTls12Or13,
        ) => OLD,
        Tls::PeerIncompatible(_) | Tls::NoApplicationProtocol => NOTHING_IN_COMMON,
        Tls::PeerMisbehaved(_) | Tls::InappropriateMessage { .. } | Tls::InappropriateHandshakeMessage { .. } => {
            "the receiver breaks the rules of TLS: update what speaks TLS there, and check that nothing between changes what it sends"
        }
        Tls::DecryptError | Tls::PeerSentOversizedRecord => {
            "what came back over TLS cannot be decrypted: check that nothing between this server and the receiver changes what is sent"
        }
        _ => "TLS failed at the receiver for an unrecognised reason: examine it with `openssl s_client`",
    };
    Failure::new(Fault::Tls, words)
}

/// A receiver without common parameters does not say what it wanted; see [`super::diagnosis`].
pub(super) const NOTHING_IN_COMMON: &str = "the receiver and this server share no TLS parameters: let it offer TLS 1.3, or TLS 1.2 with \
    ECDHE and AES-GCM or ChaCha20-Poly1305 (CBC alone is not enough), over X25519, P-256 or P-384";

fn of_certificate(certificate: &CertificateError) -> Failure {
    use CertificateError as Bad;
    let tls = |words: &str| Failure::new(Fault::Tls, words);
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
        Bad::Revoked => tls("the receiver's certificate was revoked: have a new one issued"),
        Bad::BadEncoding => tls("the receiver's certificate cannot be read: have it issued anew, by current software"),
        Bad::UnhandledCriticalExtension => tls(
            "the receiver's certificate has a critical extension that is not known here: have one issued without it",
        ),
        Bad::Other(other) => verifier::words_of(other).unwrap_or_else(|| of_webpki(&other.0.to_string())),
        _ => tls(UNACCEPTABLE),
    }
}

const UNACCEPTABLE: &str = "the receiver's certificate violates RFC 5280: have it issued anew, by \
    current software";

/// The verifier below rustls returns some faults as errors of a crate that is not a dependency here, so only the name
/// is available.
fn of_webpki(name: &str) -> Failure {
    let words = match name {
        // The most common fault of a home-made certificate.
        "CaUsedAsEndEntity" => {
            return Failure::new(
                Fault::TlsUnknownIssuer,
                "the receiver shows an authority's own certificate, as self-signed ones often are (CA:TRUE), instead of \
                 a server's",
            );
        }
        "UnsupportedCertVersion" => {
            "the receiver's certificate is of an old version of X.509: have one of version 3 issued"
        }
        "EndEntityUsedAsCa" => {
            "the receiver's certificate was signed by a certificate that is not an authority's: have it issued by an authority"
        }
        "NameConstraintViolation" => {
            "the receiver's certificate is for a name that its authority may not issue certificates for: have it issued by another"
        }
        "PathLenConstraintViolated" | "MaximumPathDepthExceeded" => {
            "the chain between the receiver's certificate and a trusted authority is too long: have it issued by another"
        }
        _ => UNACCEPTABLE,
    };
    Failure::new(Fault::Tls, words)
}

/// Explains an alert from the receiver; `client_auth` if it requested a client certificate and there was none.
fn of_alert(alert: AlertDescription, client_auth: bool) -> String {
    use AlertDescription as Alert;
    let words = match alert {
        Alert::CertificateRequired => NO_CERTIFICATE,
        // TLS 1.2 has no alert with that meaning, and receivers send any of these.
        Alert::HandshakeFailure
        | Alert::BadCertificate
        | Alert::NoCertificate
        | Alert::UnknownCA
        | Alert::UnsupportedCertificate
        | Alert::CertificateUnknown
        | Alert::AccessDenied
            if client_auth =>
        {
            NO_CERTIFICATE
        }
        Alert::HandshakeFailure | Alert::InsufficientSecurity => NOTHING_IN_COMMON,
        Alert::UnknownCA
        | Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::DecryptError
        | Alert::AccessDenied => {
            "the receiver does not accept the client certificate: check that it is the one it expects, still valid, and from \
             an authority that it knows"
        }
        Alert::ProtocolVersion => "the receiver accepts neither TLS 1.2 nor 1.3: enable one of them there",
        Alert::UnrecognisedName => {
            "the receiver knows no site of this host name: check the host name, and its settings for it (SNI)"
        }
        Alert::InternalError => "the receiver had an internal error in TLS: see its log",
        _ => return format!("the receiver refused the TLS connection (alert {}): see its log", u8::from(alert)),
    };
    words.to_owned()
}

const NO_CERTIFICATE: &str =
    "the receiver asks for a client certificate: set `client_cert` and `client_key` of this webhook";

/// Has no certificate to present, and records that one was requested.
#[derive(Debug)]
struct Nothing;

impl ResolvesClientCert for Nothing {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        marks::certificate_asked();
        None
    }

    fn has_certs(&self) -> bool {
        false
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
            (CertificateError::ApplicationVerificationFailure, Fault::Tls),
        ];
        for (error, wanted) in cases {
            assert_eq!(failure(&rustls::Error::InvalidCertificate(error)).fault, wanted);
        }
        assert_eq!(failure(&rustls::Error::DecryptError).fault, Fault::Tls);
    }
}

//! Verifies a receiver's certificates with webpki, and explains failures.
//!
//! webpki's error says what stopped it; the certificates say why. The messages are for the receiver's operator, so
//! each fault has its own. Invariant: nothing is trusted here that webpki does not trust.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};
use x509_cert::Certificate;
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::ext::pkix::SubjectAltName;

use super::failure::Failure;
use crate::core::attempt::Fault;
use crate::core::time::Timestamp;

/// Minimum size of an RSA key, in bits.
const RSA_LEAST: usize = 2048;
/// Maximum number of a certificate's names shown.
const NAMES_MOST: usize = 5;
const RSA: &str = "1.2.840.113549.1.1.1";
/// The curve P-521, as an object identifier and in DER.
const P521: (&str, &[u8]) = ("1.3.132.0.35", &[0x2b, 0x81, 0x04, 0x00, 0x23]);
/// Signatures with MD5 and SHA-1, by RSA, ECDSA and DSA.
const BROKEN_HASHES: [&str; 5] =
    ["1.2.840.113549.1.1.4", "1.2.840.113549.1.1.5", "1.2.840.10045.4.1", "1.2.840.10040.4.3", "1.3.14.3.2.29"];
/// Advice for faults of a key or a signature.
const ISSUE_ANEW: &str = "have the receiver's certificate issued anew, with an RSA key of 2048 bits or more or one on the curve \
                          P-256 or P-384, and signed with SHA-256";

/// webpki's verifier, with messages.
#[derive(Debug)]
pub(super) struct Verifier {
    inner: Arc<WebPkiServerVerifier>,
    roots: Arc<RootCertStore>,
}

impl Verifier {
    pub(super) const fn new(inner: Arc<WebPkiServerVerifier>, roots: Arc<RootCertStore>) -> Self {
        Self { inner, roots }
    }

    /// The keys of trusted authorities that have the name of the issuer of `certificate`, each without its outermost
    /// frame: the algorithm, then the key.
    fn issuers(&self, certificate: &Certificate) -> impl Iterator<Item = &[u8]> {
        let issuer = certificate.tbs_certificate().issuer().to_der().unwrap_or_default();
        let named = move |subject: &[u8]| tlv(&issuer, 0x30) == Some(subject);
        self.roots
            .roots
            .iter()
            .filter(move |root| named(&root.subject))
            .map(|root| root.subject_public_key_info.as_ref())
    }

    /// Whether it is issued with an RSA key that is too short.
    fn issuer_is_short(&self, certificate: &Certificate) -> bool {
        let key = |info| tlv(after(info)?, 0x03)?.get(1..);
        self.issuers(certificate).filter_map(key).filter_map(rsa_bits).any(|bits| bits < RSA_LEAST)
    }

    /// Whether it is issued with a key on the curve P-521.
    fn issuer_is_p521(&self, certificate: &Certificate) -> bool {
        self.issuers(certificate).any(|info| info.windows(P521.1.len()).any(|window| window == P521.1))
    }

    fn explained(
        &self,
        error: Error,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Error {
        let Error::InvalidCertificate(found) = &error else { return error };
        let Ok(leaf) = Certificate::from_der(leaf) else { return error };
        let others: Vec<_> = others.iter().filter_map(|der| Certificate::from_der(der).ok()).collect();
        with_words(self.of_chain(found, &leaf, &others, now)).unwrap_or(error)
    }

    fn of_chain(
        &self,
        found: &CertificateError,
        leaf: &Certificate,
        others: &[Certificate],
        now: UnixTime,
    ) -> Option<Failure> {
        use CertificateError as Bad;
        let failure = |fault, detail: String| Some(Failure::new(fault, detail));
        let chain = || std::iter::once(leaf).chain(others);
        let validity = leaf.tbs_certificate().validity();
        let (from, until) = (validity.not_before.to_unix_duration(), validity.not_after.to_unix_duration());
        let now = now.as_secs();
        match found {
            Bad::Expired | Bad::ExpiredContext { .. } if until.as_secs() < now => failure(
                Fault::TlsExpired,
                format!("the receiver's certificate, good until {}, has expired", day(until.as_secs())),
            ),
            Bad::Expired | Bad::ExpiredContext { .. } => failure(
                Fault::TlsExpired,
                "a certificate of an authority, which the receiver sends along, has expired".to_owned(),
            ),
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => failure(
                Fault::TlsExpired,
                format!("the receiver's certificate is not valid before {}", day(from.as_secs())),
            ),
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => failure(Fault::TlsWrongName, of_names(leaf)),
            Bad::UnsupportedSignatureAlgorithmContext { .. }
            | Bad::UnsupportedSignatureAlgorithmForPublicKeyContext { .. }
                if chain().any(has_broken_hash) =>
            {
                let detail = "the receiver's certificate, or one that it sends along, is signed with SHA-1 or MD5, which anybody \
                              can forge";
                failure(Fault::Tls, format!("{detail}: {ISSUE_ANEW}"))
            }
            Bad::UnsupportedSignatureAlgorithmContext { .. }
            | Bad::UnsupportedSignatureAlgorithmForPublicKeyContext { .. }
                if others.iter().any(is_p521) || chain().any(|one| self.issuer_is_p521(one)) =>
            {
                let detail = "the receiver's certificate is signed by an authority whose key is on the curve P-521";
                failure(Fault::Tls, format!("{detail}: {ISSUE_ANEW}, by an authority that has such a key"))
            }
            Bad::UnsupportedSignatureAlgorithmContext { .. }
            | Bad::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => failure(
                Fault::Tls,
                format!("the receiver's certificate is signed in a way that is not supported: {ISSUE_ANEW}"),
            ),
            Bad::UnknownIssuer | Bad::BadSignature
                if leaf.tbs_certificate().issuer() == leaf.tbs_certificate().subject() =>
            {
                failure(Fault::TlsUnknownIssuer, "the receiver's certificate is self-signed".to_owned())
            }
            Bad::BadSignature if others.iter().any(is_short) || chain().any(|one| self.issuer_is_short(one)) => {
                let detail =
                    "the receiver's certificate comes from an authority whose RSA key has fewer than 2048 bits";
                failure(Fault::Tls, format!("{detail}: {ISSUE_ANEW}, by an authority that has such a key"))
            }
            Bad::InvalidPurpose | Bad::InvalidPurposeContext { .. } => {
                let detail = "the receiver's certificate is not one for a server: have one issued whose extended key usage has serverAuth";
                failure(Fault::Tls, detail.to_owned())
            }
            _ => None,
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        verified.map_err(|error| self.explained(error, end_entity, intermediates, now))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signed).map_err(|error| of_key(error, certificate))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signed).map_err(|error| of_key(error, certificate))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// The error that carries a failure through rustls.
fn with_words(failure: Option<Failure>) -> Option<Error> {
    Some(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(failure?)))))
}

/// The failure carried by an error from here.
pub(super) fn words_of(other: &OtherError) -> Option<Failure> {
    other.0.downcast_ref::<Failure>().cloned()
}

/// Explains why a certificate's key failed to sign the handshake.
fn of_key(error: Error, certificate: &CertificateDer<'_>) -> Error {
    let Ok(certificate) = Certificate::from_der(certificate) else { return error };
    with_words(weak_key(&certificate)).unwrap_or(error)
}

/// What is wrong with the kind of key of a receiver's certificate, if anything.
pub(super) fn weak_key(certificate: &Certificate) -> Option<Failure> {
    let detail = if is_short(certificate) {
        "the receiver's certificate has an RSA key of fewer than 2048 bits"
    } else if is_p521(certificate) {
        "the receiver's certificate has a key on the curve P-521"
    } else {
        return None;
    };
    Some(Failure::new(Fault::Tls, format!("{detail}: {ISSUE_ANEW}")))
}

fn of_names(leaf: &Certificate) -> String {
    let names = leaf.tbs_certificate().get_extension::<SubjectAltName>();
    let Ok(Some((_, SubjectAltName(names)))) = names else {
        return "the receiver's certificate has its host name as common name (CN) alone, which is no longer considered: it \
                must be a subject alternative name (subjectAltName)"
            .to_owned();
    };
    use x509_cert::ext::pkix::name::GeneralName;
    let shown =
        names.iter().filter_map(|name| if let GeneralName::DnsName(name) = name { Some(name.as_str()) } else { None });
    let shown: Vec<&str> = shown.take(NAMES_MOST).collect();
    if shown.is_empty() {
        return "the receiver's certificate is for another host name".to_owned();
    }
    let more = if names.len() > shown.len() { " and others" } else { "" };
    format!("the receiver's certificate is for {}{more}, not for this host name", shown.join(", "))
}

fn has_broken_hash(certificate: &Certificate) -> bool {
    let algorithm = certificate.signature_algorithm().oid.to_string();
    BROKEN_HASHES.contains(&algorithm.as_str())
}

fn is_p521(certificate: &Certificate) -> bool {
    let key = certificate.tbs_certificate().subject_public_key_info();
    let curve = key
        .algorithm
        .parameters
        .as_ref()
        .and_then(|any| any.decode_as::<x509_cert::der::asn1::ObjectIdentifier>().ok());
    curve.is_some_and(|curve| curve.to_string() == P521.0)
}

fn is_short(certificate: &Certificate) -> bool {
    let key = certificate.tbs_certificate().subject_public_key_info();
    key.algorithm.oid.to_string() == RSA
        && rsa_bits(key.subject_public_key.raw_bytes()).is_some_and(|bits| bits < RSA_LEAST)
}

/// The length of an RSA modulus (RFC 8017, appendix A.1.1).
fn rsa_bits(key: &[u8]) -> Option<usize> {
    let modulus = tlv(tlv(key, 0x30)?, 0x02)?;
    let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
    let (first, rest) = modulus[zeros..].split_first()?;
    Some(rest.len() * 8 + 8 - first.leading_zeros() as usize)
}

/// The content of the DER element at the beginning of `bytes`, if it has this tag.
fn tlv(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let (content, _) = element(bytes).filter(|_| bytes.first() == Some(&tag))?;
    Some(content)
}

/// What follows the DER element at the beginning of `bytes`.
fn after(bytes: &[u8]) -> Option<&[u8]> {
    Some(element(bytes)?.1)
}

/// The content of the first DER element, and what follows it.
fn element(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.get(1..)?.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// The date of a time in seconds since 1970.
fn day(seconds: u64) -> String {
    let text = Timestamp::from_millis(seconds.saturating_mul(1000)).to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

    use super::*;

    /// The error for a certificate for `names` of a trusted authority at `now`. It is valid in 2026 and 2027.
    fn verification_error(names: &[&str], now: u64) -> Error {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "authority of a test of the verifier");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2027, 12, 31));
        let leaf = params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let roots = Arc::new(roots);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), provider).build().unwrap();
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now));
        let name = ServerName::try_from("a.example").unwrap();
        Verifier::new(inner, roots).verify_server_cert(leaf.der(), &[], &name, &[], now).unwrap_err()
    }

    #[test]
    fn times_and_names_are_given() {
        let (then, before, after) = (1_790_000_000, 1_500_000_000, 1_900_000_000);
        for (names, now, fault, detail) in [
            (
                &["a.example"][..],
                before,
                Fault::TlsExpired,
                "the receiver's certificate is not valid before 2026-01-01",
            ),
            (
                &["a.example"],
                after,
                Fault::TlsExpired,
                "the receiver's certificate, good until 2027-12-31, has expired",
            ),
            (
                &["b.example"],
                then,
                Fault::TlsWrongName,
                "the receiver's certificate is for b.example, not for this host name",
            ),
            (
                &["1.example", "2.example", "3.example", "4.example", "5.example", "6.example"],
                then,
                Fault::TlsWrongName,
                "the receiver's certificate is for 1.example, 2.example, 3.example, 4.example, 5.example and others, not for \
                 this host name",
            ),
        ] {
            let Error::InvalidCertificate(CertificateError::Other(other)) = verification_error(names, now) else {
                panic!("{names:?}")
            };
            assert_eq!(words_of(&other), Some(Failure::new(fault, detail)));
        }
    }

    #[test]
    fn der_that_is_broken_is_no_key() {
        assert_eq!(rsa_bits(&[0x30, 4, 2, 2, 0, 0x80]), Some(8));
        for bytes in [&[][..], &[0x30], &[0x30, 0x84, 1, 1, 1, 1], &[0x30, 0x82, 1], &[0x30, 9, 2], &[0x30, 3, 2, 1, 0]]
        {
            assert_eq!(rsa_bits(bytes), None, "{bytes:?}");
        }
    }
}

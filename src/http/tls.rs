//! The listener's certificate and key, with reload.
//!
//! Knows nothing about connections. Invariant: an unusable certificate never replaces a usable one.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config::TlsFiles;

/// The certificate of the listener.
pub struct Tls {
    files: TlsFiles,
    current: RwLock<TlsAcceptor>,
}

impl Tls {
    /// Reads the files. TLS 1.2 and 1.3 with HTTP/1.1.
    ///
    /// # Errors
    /// A sentence that names the configuration key, the file and what is wrong with it.
    pub fn load(files: &TlsFiles) -> Result<Self, String> {
        Ok(Self { files: files.clone(), current: RwLock::new(read(files)?) })
    }

    /// Reads the files again. New connections get the new certificate; existing ones continue.
    ///
    /// # Errors
    /// As [`Tls::load`]; the previous certificate stays in use.
    pub fn reload(&self) -> Result<(), String> {
        let fresh = read(&self.files)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

fn read(files: &TlsFiles) -> Result<TlsAcceptor, String> {
    let of_cert = |what: &str| format!("`tls_cert` in [http]: {}: {what}", files.cert.display());
    let of_key = |what: &str| format!("`tls_key` in [http]: {}: {what}", files.key.display());
    let chain = certificates(&contents(&files.cert).map_err(|why| of_cert(&why))?).map_err(|why| of_cert(&why))?;
    let key = private_key(&contents(&files.key).map_err(|why| of_key(&why))?).map_err(|why| of_key(&why))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => of_key("is not the key of the first certificate in `tls_cert`"),
            rustls::Error::InvalidCertificate(_) => of_cert(&format!("its first certificate cannot be used: {error}")),
            _ => of_key(&format!("cannot be used: {error}")),
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn contents(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = read.map_err(|error| format!("is not PEM: {error}"))?;
    if chain.is_empty() {
        return Err("holds no certificate: it must hold at least one `BEGIN CERTIFICATE` block".to_owned());
    }
    Ok(chain)
}

/// Never shows the key.
fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    if pem.windows(9).any(|window| window == b"ENCRYPTED") {
        return Err("is protected by a passphrase: write it without one, for example with `openssl pkey`, and let \
                    only the daemon's user read it"
            .to_owned());
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
        "holds no private key: it must hold a `BEGIN PRIVATE KEY` block (or `RSA` or `EC PRIVATE KEY`)".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusable_files_are_named_with_their_fault() {
        let made = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let (one, other) = (made("a.example"), made("b.example"));
        let (cert, key) = (one.cert.pem(), one.signing_key.serialize_pem());
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned();
        let locked = key.replace("PRIVATE", "ENCRYPTED PRIVATE");
        let directory = tempfile::tempdir().unwrap();
        let files = TlsFiles { cert: directory.path().join("tls.crt"), key: directory.path().join("tls.key") };
        let cases = [
            (&cert, &other.signing_key.serialize_pem(), "tls_key", "not the key of the first certificate"),
            (&String::new(), &key, "tls_cert", "holds no certificate"),
            (&key, &cert, "tls_cert", "holds no certificate"),
            (&broken, &key, "tls_cert", "cannot be used"),
            (&cert, &cert, "tls_key", "holds no private key"),
            (&cert, &locked, "tls_key", "passphrase"),
        ];
        for (cert, key, name, words) in cases {
            std::fs::write(&files.cert, cert).unwrap();
            std::fs::write(&files.key, key).unwrap();
            let fault = Tls::load(&files).unwrap_err();
            let file = if name == "tls_cert" { &files.cert } else { &files.key };
            assert!(fault.contains(&format!("`{name}` in [http]: {}", file.display())), "{fault}");
            assert!(fault.contains(words), "{fault}");
        }
        std::fs::remove_file(&files.key).unwrap();
        assert!(Tls::load(&files).unwrap_err().contains("cannot be read"));
        std::fs::write(&files.key, &key).unwrap();
        assert!(Tls::load(&files).is_ok());
    }
}

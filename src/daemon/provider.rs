//! The provider of OpenID Connect of `[page.oidc]`, as the page and `doctor` ask it.

use std::path::Path;

use super::fatal::{Cause, Fatal};
use crate::config::{Config, Oidc, SecretSource};
use crate::core::address::AddressPolicy;
use crate::core::hidden::Hidden;
use crate::oidc::{Provider, ProviderSettings};
use crate::sender::{Transport, TransportHandle, TransportSettings};
use crate::service::{self, ClientSecretFile};

/// The provider, if one is configured. Asks it nothing yet.
///
/// # Errors
/// A file cannot be used, or the secret is missing.
pub fn provider(config: &Config) -> Result<Option<Provider>, Fatal> {
    let Some(oidc) = &config.page.oidc else { return Ok(None) };
    let client_secret = secret_in(oidc, service::credentials().as_deref())?;
    let settings = ProviderSettings {
        name: oidc.name.clone(),
        issuer: oidc.allowed.issuer.clone(),
        client_id: oidc.client_id.clone(),
        client_secret,
        scopes: oidc.scopes.clone(),
        groups_claim: oidc.groups_claim.clone(),
        callback: oidc.callback.clone(),
        allowed: oidc.allowed.clone(),
    };
    Ok(Some(Provider::new(settings, TransportHandle::new(transport(config)?))))
}

/// How the provider is asked: by the certificates and the proxy of `[network]`. Its address is the operator's own choice,
/// so `allow` and `deny`, which keep others' webhooks from addresses here, do not apply to it.
///
/// # Errors
/// A file of `extra_ca` cannot be used.
pub(super) fn transport(config: &Config) -> Result<Transport, Fatal> {
    let everywhere = ["0.0.0.0/0", "::/0"].into_iter().filter_map(|network| network.parse().ok()).collect();
    let settings = TransportSettings {
        connect_timeout: config.senders.connect_timeout,
        timeout: crate::oidc::LIMIT,
        policy: AddressPolicy::new(everywhere, Vec::new(), false),
        extra_ca: config.network.extra_ca.clone(),
        proxy: config.network.proxy.clone(),
        // Each request has a connection of its own.
        idle_most: 0,
    };
    Transport::new(settings).map_err(|error| Fatal::new(Cause::Configuration, error))
}

/// The secret, from the one place that has it.
fn secret_in(oidc: &Oidc, credentials: Option<&Path>) -> Result<Hidden, Fatal> {
    let unusable = |error| Fatal::new(Cause::Configuration, error);
    let credential = credentials.map_or(Ok(None), ClientSecretFile::handed_over).map_err(unusable)?;
    match (&oidc.secret, credential) {
        (SecretSource::Credential, Some(credential)) => Ok(credential.into_secret()),
        (SecretSource::Key(secret), None) => Ok(secret.clone()),
        (SecretSource::File(path), None) => ClientSecretFile::read(path).map_err(unusable).map(closed_to_others),
        (SecretSource::Credential, None) => Err(Fatal::new(
            Cause::Configuration,
            "the secret of this client is missing, which [page.oidc] needs: set `client_secret` there, or \
             `client_secret_file` to a file that contains it, or hand it over as the credential `page.oidc.client_secret` \
             of systemd (`LoadCredential=` in the unit; only the service itself sees it)",
        )),
        (SecretSource::Key(_), Some(credential)) => Err(twice("client_secret", &credential)),
        (SecretSource::File(_), Some(credential)) => Err(twice("client_secret_file", &credential)),
    }
}

/// The secret of `file`; warns if others may read it.
fn closed_to_others(file: ClientSecretFile) -> Hidden {
    if let Some(mode) = file.open_to_others() {
        let path = file.path().display();
        tracing::warn!(
            "{path}, with the secret of [page.oidc], is open to other users (mode {mode:04o}): chmod 600 {path}"
        );
    }
    file.into_secret()
}

fn twice(key: &str, credential: &ClientSecretFile) -> Fatal {
    let what = format!(
        "the secret of this client is given twice, by `{key}` in [page.oidc] and by the credential {}: remove one of them",
        credential.path().display()
    );
    Fatal::new(Cause::Configuration, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::oidc::Allowed;

    #[test]
    fn the_secret_comes_from_exactly_one_place() {
        let dir = tempfile::tempdir().unwrap();
        let (none, some) = (dir.path().join("none"), dir.path().join("some"));
        std::fs::create_dir_all(&none).unwrap();
        std::fs::create_dir_all(&some).unwrap();
        std::fs::write(some.join("page.oidc.client_secret"), "hunter2\n").unwrap();
        let file = || SecretSource::File(some.join("page.oidc.client_secret"));
        let key = || SecretSource::Key(Hidden::new("hunter2"));
        for (secret, credentials, refusal) in [
            (key(), None, None),
            (key(), Some(&none), None),
            (file(), Some(&none), None),
            (SecretSource::Credential, Some(&some), None),
            (key(), Some(&some), Some("given twice, by `client_secret` in [page.oidc] and by the credential")),
            (file(), Some(&some), Some("given twice, by `client_secret_file` in [page.oidc] and by the credential")),
            (SecretSource::Credential, Some(&none), Some("set `client_secret` there")),
            (SecretSource::Credential, None, Some("set `client_secret` there")),
        ] {
            let oidc = Oidc {
                name: "x".to_owned(),
                client_id: "x".to_owned(),
                secret,
                scopes: Vec::new(),
                groups_claim: "groups".to_owned(),
                allowed: Allowed { issuer: "https://login.example".to_owned(), rules: Vec::new() },
                callback: "https://hooks.example/oidc/callback".to_owned(),
            };
            match (secret_in(&oidc, credentials.map(std::path::PathBuf::as_path)), refusal) {
                (Ok(secret), None) => assert_eq!(secret.expose(), "hunter2"),
                (Err(fatal), Some(refusal)) => assert!(fatal.to_string().contains(refusal), "{fatal}"),
                (other, _) => panic!("{:?} {refusal:?}", other.map_err(|fatal| fatal.to_string())),
            }
        }
    }
}

//! What the store is opened with: its engine, its settings, the keys that seal secrets, the URL of the database.

use std::path::Path;

use super::fatal::{Cause, Fatal};
use crate::config::{Config, PostgresStore, StoreEngine, UrlSource};
use crate::core::database::DatabaseUrl;
use crate::core::seal::Keyring;
use crate::service::{self, KeyFile, UrlFile};
use crate::store::{OpenError, Reclaim, Retention, Settings};

/// Maximum bytes of an event besides its data.
const AROUND_DATA: usize = 1024;

/// Refuses engines that this build does not have.
///
/// # Errors
/// `config` asks for PostgreSQL.
pub(super) fn engine_is_here(config: &Config) -> Result<(), Fatal> {
    let StoreEngine::Postgres(store) = &config.store.engine else { return Ok(()) };
    let url = database_url(store)?;
    let what = format!(
        "this build has no PostgreSQL engine, and `engine` in [store] is \"postgres\" (with a database on {url}): set it to \
         \"embedded\""
    );
    Err(Fatal::new(Cause::Configuration, what))
}

/// The URL of the database, from the one place that has it; `None` with the embedded engine.
///
/// # Errors
/// As [`database_url`].
pub(super) fn database(config: &Config) -> Result<Option<DatabaseUrl>, Fatal> {
    match &config.store.engine {
        StoreEngine::Embedded { .. } => Ok(None),
        StoreEngine::Postgres(store) => database_url(store).map(Some),
    }
}

/// The URL of the database, from the one place that has it.
///
/// # Errors
/// No place has it, or two have; or its file cannot be used.
pub(super) fn database_url(store: &PostgresStore) -> Result<DatabaseUrl, Fatal> {
    database_url_in(store, service::credentials().as_deref())
}

fn database_url_in(store: &PostgresStore, credentials: Option<&Path>) -> Result<DatabaseUrl, Fatal> {
    let unusable = |error| Fatal::new(Cause::Configuration, error);
    let credential = credentials.map_or(Ok(None), UrlFile::handed_over).map_err(unusable)?;
    match (&store.url, credential) {
        (UrlSource::Credential, Some(credential)) => Ok(credential.into_url()),
        (UrlSource::Key(url), None) => Ok(url.clone()),
        (UrlSource::File(path), None) => UrlFile::read(path).map_err(unusable).map(closed_to_others),
        (UrlSource::Credential, None) => Err(Fatal::new(
            Cause::Configuration,
            "the URL of the database is missing, which `engine = \"postgres\"` in [store] needs: set `url` in [store], or \
             `url_file` to a file that contains it, or hand it over as the credential `store.url` of systemd \
             (`LoadCredential=` in the unit; only the service itself sees it)",
        )),
        (UrlSource::Key(_), Some(credential)) => Err(twice("url", &credential)),
        (UrlSource::File(_), Some(credential)) => Err(twice("url_file", &credential)),
    }
}

/// The URL of `file`; warns if others may read it.
fn closed_to_others(file: UrlFile) -> DatabaseUrl {
    if let Some(mode) = file.open_to_others() {
        let path = file.path().display();
        tracing::warn!(
            "{path}, with the URL of the database, is open to other users (mode {mode:04o}): chmod 600 {path}"
        );
    }
    file.into_url()
}

fn twice(key: &str, credential: &UrlFile) -> Fatal {
    let what = format!(
        "the URL of the database is given twice, by `{key}` in [store] and by the credential {}: remove one of them",
        credential.path().display()
    );
    Fatal::new(Cause::Configuration, what)
}

/// The keys that seal secrets; an empty keyring if there are none.
pub(super) fn keys(config: &Config) -> Result<Keyring, Fatal> {
    let file = KeyFile::find(config.store.key_file.as_deref(), service::credentials().as_deref());
    let Some(file) = file.map_err(|error| Fatal::new(Cause::Configuration, error))? else {
        return Ok(Keyring::default());
    };
    if let Some(mode) = file.open_to_others() {
        let path = file.path().display();
        tracing::warn!(
            "{path}, with the keys of secrets on the disk, is open to other users (mode {mode:04o}): chmod 600 {path}"
        );
    }
    Ok(file.into_keys())
}

pub(super) fn not_opened(error: OpenError) -> Fatal {
    let cause = match error {
        OpenError::Directory(_) => Cause::Store,
        OpenError::Key(_) => Cause::Configuration,
    };
    Fatal::new(cause, error)
}

/// The store's settings by `config`, but for the keys of its engine, which are those of `engine`: that does not change
/// while it runs.
pub(super) fn settings(config: &Config, engine: &StoreEngine) -> Settings {
    let (cache_bytes, min_free_bytes) = match *engine {
        StoreEngine::Embedded { cache_bytes, min_free_bytes } => (cache_bytes, min_free_bytes),
        // PostgreSQL has its own cache and disk.
        StoreEngine::Postgres(_) => (0, 0),
    };
    Settings {
        cache_bytes,
        give_up_after: config.retry.give_up_after(),
        idempotency_window: config.retention.idempotency_window,
        retention: Retention {
            log_age: config.retention.log_age,
            log_bytes: config.retention.log_bytes,
            event_age: config.retention.event_age,
            conversation_age: config.retention.conversation_age,
            reclaim: Reclaim::default(),
        },
        min_free_bytes,
        max_data_bytes: config.http.max_body_bytes.saturating_sub(AROUND_DATA),
        subscriptions_per_company: config.limits.subscriptions_per_company,
        deliveries_per_request: config.limits.deliveries_per_request,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::core::database::SchemaName;

    const URL: &str = "postgresql://u:hunter2@db.example/hooks";

    #[test]
    fn exactly_one_place_has_the_url() {
        let dir = tempfile::tempdir().unwrap();
        let (none, some, file) = (dir.path().join("none"), dir.path().join("some"), dir.path().join("own.url"));
        fs::create_dir(&some).unwrap();
        fs::write(some.join("store.url"), URL).unwrap();
        fs::write(&file, URL).unwrap();
        let key = || UrlSource::Key(DatabaseUrl::parse(URL).unwrap());
        let file = || UrlSource::File(file.clone());
        let missing = UrlSource::File(PathBuf::from("/nonexistent/url"));
        for (url, credentials, refusal) in [
            (key(), None, None),
            (key(), Some(&none), None),
            (file(), Some(&none), None),
            (UrlSource::Credential, Some(&some), None),
            (key(), Some(&some), Some("given twice, by `url` in [store] and by the credential")),
            (file(), Some(&some), Some("given twice, by `url_file` in [store] and by the credential")),
            (missing, None, Some("/nonexistent/url cannot be read")),
            (UrlSource::Credential, Some(&none), Some("set `url` in [store], or `url_file`")),
            (UrlSource::Credential, None, Some("or hand it over as the credential `store.url`")),
        ] {
            let schema = SchemaName::parse("hookswitch").unwrap();
            let store = PostgresStore { url, schema, pool: 4, replicas: 0 };
            match (database_url_in(&store, credentials.map(PathBuf::as_path)), refusal) {
                (Ok(url), None) => assert_eq!(url.expose(), URL),
                (Err(fatal), Some(refusal)) => {
                    assert!(fatal.exit_code() == 78 && fatal.to_string().contains(refusal), "{fatal}");
                    assert!(!fatal.to_string().contains("hunter2"), "{fatal}");
                }
                (other, _) => panic!("{store:?} {credentials:?}: {other:?}"),
            }
        }
    }
}

//! What the store is opened with: its engine, its settings, the keys that seal secrets, the URL of the database.

use std::path::{Path, PathBuf};

use super::fatal::{Cause, Fatal};
use crate::config::{Config, PostgresStore, StoreEngine, UrlSource};
use crate::core::database::{DatabaseUrl, ServerFacts};
use crate::core::seal::Keyring;
use crate::core::time::Timestamp;
use crate::core::token::{TokenHash, TokenText};
use crate::service::{self, AdminToken, DataDirLock, KeyFile, UrlFile};
#[cfg(feature = "postgres")]
use crate::store::PostgresSettings;
use crate::store::{OpenError, OpenedStore, Reclaim, Retention, Settings, Store};

/// Maximum bytes of an event besides its data.
const AROUND_DATA: usize = 1024;

/// The admin token of the first start.
pub(super) struct Admin {
    pub(super) hash: TokenHash,
    /// Where its text is, in words.
    pub(super) kept_in: PathBuf,
    /// The text, if it was made just now.
    pub(super) new: Option<TokenText>,
}

impl From<AdminToken> for Admin {
    fn from(token: AdminToken) -> Self {
        let new = token.is_new().then(|| TokenText::parse(token.expose())).flatten();
        Self { hash: token.hash(), kept_in: token.kept_in().to_owned(), new }
    }
}

/// Locks the data directory, for the engine that has one.
///
/// # Errors
/// It cannot be used, or another process does.
pub(super) fn lock(config: &Config) -> Result<Option<DataDirLock>, Fatal> {
    match config.store.engine {
        StoreEngine::Embedded { .. } => {
            DataDirLock::take(&config.data_dir).map(Some).map_err(|error| Fatal::new(Cause::Store, error))
        }
        StoreEngine::Postgres(_) => Ok(None),
    }
}

/// Opens the store and finds the admin token. `lock` is of the data directory, if there is one.
///
/// # Errors
/// The store cannot be opened, or there can be no token.
pub(super) fn open(
    config: &Config,
    lock: Option<&mut DataDirLock>,
    now: Timestamp,
) -> Result<(OpenedStore, Admin), Fatal> {
    let (keys, settings) = (keys(config)?, settings(config, &config.store.engine));
    let given = service::credentials().map_or(Ok(None), |place| AdminToken::handed_over(&place));
    let given = given.map_err(|error| Fatal::new(Cause::Configuration, error))?.map(Admin::from);
    match (&config.store.engine, lock) {
        (StoreEngine::Postgres(store), _) => open_postgres(store, settings, keys, given, now),
        (StoreEngine::Embedded { .. }, Some(lock)) => {
            let idle = Store::open(lock.dir(), settings, keys, now).map_err(not_opened)?;
            lock.in_use();
            let admin = match given {
                Some(given) => given,
                None => AdminToken::load_or_create(lock.dir()).map_err(|error| Fatal::new(Cause::Store, error))?.into(),
            };
            Ok((idle, admin))
        }
        (StoreEngine::Embedded { .. }, None) => Err(Fatal::new(Cause::Bug, "the data directory is not locked")),
    }
}

/// Upgrades the tables of the PostgreSQL engine, and with `finish` removes what only older versions need. Returns what was
/// done, in a sentence.
///
/// # Errors
/// Another engine is configured, or the tables cannot be upgraded.
pub fn upgrade(config: &Config, finish: bool) -> Result<String, Fatal> {
    match &config.store.engine {
        StoreEngine::Postgres(store) => upgrade_postgres(store, finish),
        StoreEngine::Embedded { .. } => Err(Fatal::new(
            Cause::Configuration,
            "there are no tables to upgrade: `engine` in [store] is \"embedded\", and a data directory is upgraded when it \
             is opened",
        )),
    }
}

#[cfg(not(feature = "postgres"))]
fn upgrade_postgres(store: &PostgresStore, _: bool) -> Result<String, Fatal> {
    Err(no_postgres(&database_url(store)?))
}

#[cfg(feature = "postgres")]
fn upgrade_postgres(store: &PostgresStore, finish: bool) -> Result<String, Fatal> {
    let (schema, (before, version)) =
        (&store.schema, Store::upgrade_postgres(&place(store)?, finish).map_err(not_opened)?);
    let done = match before {
        None => format!("the tables of the schema {schema} are made, version {version}"),
        Some(before) if before < version => {
            format!("the tables of the schema {schema} are upgraded from version {before} to {version}")
        }
        Some(before) => {
            format!("the tables of the schema {schema} are of version {before}: there is nothing to upgrade")
        }
    };
    Ok(if finish { format!("{done}; what only older versions need is removed") } else { done })
}

/// Where the data is.
#[cfg(feature = "postgres")]
fn place(store: &PostgresStore) -> Result<PostgresSettings, Fatal> {
    Ok(PostgresSettings {
        url: database_url(store)?.expose().to_owned(),
        schema: store.schema.as_str().to_owned(),
        pool: store.pool,
        replicas: store.replicas,
    })
}

#[cfg(not(feature = "postgres"))]
fn no_postgres(url: &DatabaseUrl) -> Fatal {
    let what = format!(
        "this build has no PostgreSQL engine (it was compiled without the feature `postgres`), and `engine` in [store] is \
         \"postgres\" (with a database on {url}): set it to \"embedded\", or use another build"
    );
    Fatal::new(Cause::Configuration, what)
}

#[cfg(not(feature = "postgres"))]
fn open_postgres(
    store: &PostgresStore,
    _: Settings,
    _: Keyring,
    _: Option<Admin>,
    _: Timestamp,
) -> Result<(OpenedStore, Admin), Fatal> {
    Err(no_postgres(&database_url(store)?))
}

/// Asks the database's server about itself, and changes nothing.
///
/// # Errors
/// The URL is missing, or the server cannot be reached or used; with the remedy.
pub fn inspect_database(store: &PostgresStore) -> Result<ServerFacts, String> {
    let url = database_url(store).map_err(|fatal| fatal.to_string())?;
    #[cfg(not(feature = "postgres"))]
    return Err(no_postgres(&url).to_string());
    #[cfg(feature = "postgres")]
    crate::store::inspect_postgres(url.expose(), store.schema.as_str(), &super::clock::now)
}

#[cfg(feature = "postgres")]
fn open_postgres(
    store: &PostgresStore,
    settings: Settings,
    keys: Keyring,
    given: Option<Admin>,
    now: Timestamp,
) -> Result<(OpenedStore, Admin), Fatal> {
    let at = place(store)?;
    let idle = Store::open_postgres(&at, settings, keys, now).map_err(not_opened)?;
    let admin = match given {
        Some(given) => given,
        None => of_schema(&idle, &at.schema)?,
    };
    Ok((idle, admin))
}

/// The admin token of a schema, which has only its hash.
#[cfg(feature = "postgres")]
fn of_schema(idle: &OpenedStore, schema: &str) -> Result<Admin, Fatal> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| Fatal::new(Cause::Failed, format!("no random bytes: {error}")))?;
    let found = idle.admin_token(|| TokenText::from_bytes(random)).map_err(not_opened)?;
    let (hash, new) = found.ok_or_else(|| Fatal::new(Cause::Bug, "a schema has no admin token"))?;
    Ok(Admin { hash, new, kept_in: PathBuf::from(format!("the schema {schema}, as a hash only")) })
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
        #[cfg(feature = "postgres")]
        OpenError::Server(_) => Cause::Store,
        OpenError::Key(_) => Cause::Configuration,
        #[cfg(feature = "postgres")]
        OpenError::Schema(_) => Cause::Configuration,
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
            audit_age: config.retention.audit_age,
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

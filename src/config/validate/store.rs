//! `[store]`: which keys belong to which engine.

use super::{Check, MIB};
use crate::config::settings;
use crate::config::values::{EngineName, PostgresStore, Store, StoreEngine, UrlSource};
use crate::core::database::{DatabaseUrl, SchemaName};

impl Check {
    pub(super) fn store(&mut self, store: &settings::Store) -> Option<Store> {
        let key_file = store.key_file.as_deref().map(|file| self.path("store.key_file", file));
        let name = match EngineName::parse(&store.engine) {
            Err(_) if is_url(&store.engine) => {
                Err("must be `embedded` or `postgres`; a URL belongs into `url`".to_owned())
            }
            parsed => parsed,
        };
        let engine = match self.take("store.engine", name)? {
            EngineName::Embedded => self.embedded(store),
            EngineName::Postgres => self.postgres(store)?,
        };
        Some(Store { engine, key_file })
    }

    fn embedded(&mut self, store: &settings::Store) -> StoreEngine {
        let keys = [
            ("store.url", store.url.is_some()),
            ("store.url_file", store.url_file.is_some()),
            ("store.schema", store.schema.given),
            ("store.pool", store.pool.given),
            ("store.replicas", store.replicas.given),
        ];
        for (key, _) in keys.into_iter().filter(|(_, given)| *given) {
            self.fault(key, "is about a PostgreSQL database: set `engine = \"postgres\"`, too, or remove it");
        }
        let cache_bytes = self.number("store.cache_bytes", store.cache_bytes.value, MIB..=4096 * MIB);
        let min_free_bytes = self.number("store.min_free_bytes", store.min_free_bytes.value, MIB..=MIB * MIB);
        StoreEngine::Embedded { cache_bytes, min_free_bytes }
    }

    fn postgres(&mut self, store: &settings::Store) -> Option<StoreEngine> {
        let keys = [
            ("store.cache_bytes", store.cache_bytes.given, "the cache is PostgreSQL's own (`shared_buffers`)"),
            ("store.min_free_bytes", store.min_free_bytes.given, "the disk is PostgreSQL's, and is watched there"),
        ];
        for (key, _, reason) in keys.into_iter().filter(|(_, given, _)| *given) {
            self.fault(key, format!("has no meaning with `engine = \"postgres\"`, so remove it: {reason}"));
        }
        let url = match (&store.url, &store.url_file) {
            (Some(_), Some(_)) => {
                self.fault("store.url_file", "must not be given with `url`: only one of them can be in force");
                None
            }
            (Some(url), None) => self.take("store.url", DatabaseUrl::parse(url)).map(UrlSource::Key),
            (None, Some(file)) if is_url(file) => {
                self.fault("store.url_file", "must be a path; the URL itself belongs into `url`");
                None
            }
            (None, Some(file)) => Some(UrlSource::File(self.path("store.url_file", file))),
            (None, None) => Some(UrlSource::Credential),
        };
        let schema = self.take("store.schema", SchemaName::parse(&store.schema.value));
        let pool = self.number("store.pool", store.pool.value, 1..=64);
        let replicas = self.number("store.replicas", store.replicas.value, 0..=16);
        // They fit after the range check: the fallbacks are unreachable.
        let (pool, replicas) = (usize::try_from(pool).unwrap_or(1), u32::try_from(replicas).unwrap_or(0));
        Some(StoreEngine::Postgres(PostgresStore { url: url?, schema: schema?, pool, replicas }))
    }
}

/// Whether somebody put the URL of a database, with its password, where it does not belong: do not quote it.
fn is_url(text: &str) -> bool {
    text.contains("://")
}

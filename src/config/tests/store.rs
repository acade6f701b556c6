//! `[store]`: two engines with keys of their own, and a URL that is a secret.

use super::*;

const URL: &str = "postgresql://hooks:hunter2@db.example:5432/hooks";

fn postgres(text: &str) -> String {
    format!("[store]\nengine = 'postgres'\n{text}")
}

fn engine(text: &str, env: &[(&str, &str)]) -> StoreEngine {
    loaded(text, env, Overrides::default()).store.engine
}

#[test]
fn each_engine_has_its_own_keys_and_defaults() {
    let embedded = engine("[store]\nmin_free_bytes = 1048576", &[]);
    assert_eq!(embedded, StoreEngine::Embedded { cache_bytes: 16 << 20, min_free_bytes: 1 << 20 });
    let StoreEngine::Postgres(default) = engine(&postgres(&format!("url = '{URL}'")), &[]) else { panic!("embedded") };
    let UrlSource::Key(url) = &default.url else { panic!("{default:?}") };
    assert_eq!((url.expose(), default.schema.as_str()), (URL, "hookswitch"));
    assert_eq!((default.pool, default.replicas), (4, 0));
    let text = postgres("url_file = '/etc/hookswitch/store.url'\nschema = '_b'\npool = 64\nreplicas = 16");
    let StoreEngine::Postgres(given) = engine(&text, &[]) else { panic!("embedded") };
    assert_eq!(given.url, UrlSource::File("/etc/hookswitch/store.url".into()));
    assert_eq!((given.schema.as_str(), given.pool, given.replicas), ("_b", 64, 16));
    let StoreEngine::Postgres(neither) = engine(&postgres(""), &[]) else { panic!("embedded") };
    assert_eq!(neither.url, UrlSource::Credential);
}

#[test]
fn variables_set_the_keys_of_an_engine_as_they_set_others() {
    let hosts = "postgresql://u:hunter2@a:5432,[::1]:5433/db?target_session_attrs=read-write&application_name=h";
    let env = [
        ("HOOKSWITCH_STORE__ENGINE", "postgres"),
        ("HOOKSWITCH_STORE__URL", hosts),
        ("HOOKSWITCH_STORE__SCHEMA", "second"),
        ("HOOKSWITCH_STORE__POOL", "8"),
        ("HOOKSWITCH_STORE__REPLICAS", "1"),
    ];
    let StoreEngine::Postgres(store) = engine("", &env) else { panic!("embedded") };
    let UrlSource::Key(url) = &store.url else { panic!("{store:?}") };
    assert_eq!((url.expose(), store.schema.as_str(), store.pool, store.replicas), (hosts, "second", 8, 1));
    assert_eq!(url.to_string(), "a:5432,[::1]:5433");
}

#[test]
fn a_key_of_the_other_engine_is_refused_with_the_reason_even_with_its_default() {
    let about = "is about a PostgreSQL database: set `engine = \"postgres\"`, too, or remove it";
    for text in [&format!("url = '{URL}'"), "url_file = '/x'", "schema = 'hookswitch'", "pool = 4", "replicas = 0"] {
        let key = text.split(' ').next().unwrap();
        let lines = faults(&format!("[store]\n{text}"), &[], Overrides::default());
        assert_eq!(lines, [format!("store.{key} (h.toml) {about}")]);
    }
    let own = format!("{}\ncache_bytes = 16777216\nmin_free_bytes = 268435456", postgres(&format!("url = '{URL}'")));
    let wanted = [
        "store.cache_bytes (h.toml) has no meaning with `engine = \"postgres\"`, so remove it: the cache is PostgreSQL's \
         own (`shared_buffers`)",
        "store.min_free_bytes (h.toml) has no meaning with `engine = \"postgres\"`, so remove it: the disk is \
         PostgreSQL's, and is watched there",
    ];
    assert_eq!(faults(&own, &[], Overrides::default()), wanted);
    let env = [("HOOKSWITCH_STORE__ENGINE", "postgres"), ("HOOKSWITCH_STORE__URL", URL)];
    let lines = faults("[store]\ncache_bytes = 33554432", &env, Overrides::default());
    assert!(lines.len() == 1 && lines[0].starts_with("store.cache_bytes (h.toml) has no meaning"), "{lines:?}");
    let pool = [("HOOKSWITCH_STORE__POOL", "2")];
    let wanted = [format!("store.pool (environment variable HOOKSWITCH_STORE__POOL) {about}")];
    assert_eq!(faults("", &pool, Overrides::default()), wanted);
}

#[test]
fn every_fault_of_a_database_names_key_origin_and_what_would_be_right() {
    let url = format!("url = '{URL}'");
    let cases = [
        ("url = 'mysql://u:hunter2@h/db'", "store.url (h.toml) must be a URL that begins with `postgresql://`"),
        ("url = ''", "store.url (h.toml) must be a URL that begins with `postgresql://`"),
        ("url = 'postgresql://u:hunter2@/db'", "store.url (h.toml) must be a URL with a host, such as"),
        ("url = 'postgres://u:hunter2@h'", "store.url (h.toml) must be a URL that ends with the name of a database"),
        ("url = 'postgres://u:hun/ter2@h/db'", "store.url (h.toml) must be a URL with `@`, `/`, `?` and `#` in user"),
        ("url = 5432", "store.url (h.toml) must be text in quotes, not a number"),
        ("url_file = ''", "store.url_file (h.toml) must be a path"),
        ("url_file = true", "store.url_file (h.toml) must be text in quotes, not true or false"),
        (&format!("{url}\nurl_file = '/x'"), "store.url_file (h.toml) must not be given with `url`: only one"),
        (&format!("{url}\nschema = 'Hooks'"), "store.schema (h.toml) must be a name of at most 63 characters"),
        (&format!("{url}\nschema = 'pg_hooks'"), "store.schema (h.toml) must be a name of at most 63 characters"),
        (&format!("{url}\nschema = 7"), "store.schema (h.toml) must be text in quotes, not a number"),
        (&format!("{url}\npool = 0"), "store.pool (h.toml) must be from 1 to 64, not 0"),
        (&format!("{url}\npool = 65"), "store.pool (h.toml) must be from 1 to 64, not 65"),
        (&format!("{url}\npool = '4'"), "store.pool (h.toml) must be a whole number, 0 or more, not text"),
        (&format!("{url}\nreplicas = 17"), "store.replicas (h.toml) must be from 0 to 16, not 17"),
        (&format!("{url}\nreplicas = -1"), "store.replicas (h.toml) must be a whole number, 0 or more, not a negative"),
    ];
    for (text, wanted) in cases {
        let lines = faults(&postgres(text), &[], Overrides::default());
        assert!(lines.len() == 1 && lines[0].starts_with(wanted), "{text}: {lines:?}");
    }
    // Which keys fit is unknown while the engine is.
    for (engine, wanted) in
        [("7", "must be text in quotes, not a number"), ("'postgresql'", "must be one of `embedded`")]
    {
        let lines = faults(&format!("[store]\nengine = {engine}\n{url}\npool = 2"), &[], Overrides::default());
        assert!(lines.len() == 1 && lines[0].starts_with(&format!("store.engine (h.toml) {wanted}")), "{lines:?}");
    }
}

#[test]
fn the_password_of_a_database_is_shown_nowhere() {
    let config = loaded(&postgres(&format!("url = '{URL}'")), &[], Overrides::default());
    let shown = format!("{config:?} {config:#?} {:?}", config.store);
    assert!(!shown.contains("hunter2") && shown.contains("db.example:5432"), "{shown}");
    let other = loaded(&postgres(&format!("url = '{}'", URL.replace("hunter2", "hunter3"))), &[], Overrides::default());
    let changes = config.keys.changes(&other.keys);
    assert_eq!(changes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["store.url"]);
    assert!(!format!("{changes:?}").contains("hunter"), "{changes:?}");
    for text in [
        format!("url = {URL}"),
        format!("url = '{URL}"),
        format!("url = '{URL}' hunter2"),
        format!("url = ['{URL}']"),
        format!("url = '{URL}'\nurl_file = '{URL}'\nurls = '{URL}'\ncache_bytes = '{URL}'"),
        format!("url = '{}'", URL.replace("hunter2", "hunter2 ")),
        format!("url = '{}'", URL.replace("hunter2", "hunter2@")),
        format!("url_file = '{URL}'"),
        format!("url = '{URL}'\nschema = '{URL}'"),
    ] {
        let lines = faults(&postgres(&text), &[], Overrides::default());
        assert!(!lines.is_empty() && !lines.concat().contains("hunter2"), "{text}: {lines:?}");
    }
    for (name, value) in [
        ("HOOKSWITCH_STORE__URL", "u:hunter2@h/db"),
        ("HOOKSWITCH_STORE__URLS", URL),
        ("HOOKSWITCH_STORE__URL_FILE", URL),
        ("HOOKSWITCH_STORE__ENGINE", URL),
    ] {
        let lines = faults(&postgres(""), &[(name, value)], Overrides::default());
        assert!(lines.len() == 1 && lines[0].contains(name) && !lines[0].contains("hunter2"), "{lines:?}");
    }
}

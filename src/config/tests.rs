//! Tests of the configuration: the example file, and every kind of fault.

mod oidc;
mod store;

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::settings::{EventType, OidcRule, Settings};
use super::*;
use crate::core::backoff::RetryPolicy;

const EXAMPLE: &str = include_str!("../../config.example.toml");

fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

/// The faults of a file with this text, in its own directory, and of these variables.
fn faults(text: &str, env: &[(&str, &str)], overrides: Overrides) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("h.toml");
    std::fs::write(&file, text).unwrap();
    let overrides = Overrides { config_file: Some(file), ..overrides };
    let error = Config::load_from(&overrides, variables(env)).map(|_| ()).unwrap_err();
    let dir = format!("{}/", dir.path().display());
    error.to_string().lines().map(|line| line.replace(&dir, "")).collect()
}

fn loaded(text: &str, env: &[(&str, &str)], overrides: Overrides) -> Config {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("h.toml");
    std::fs::write(&file, text).unwrap();
    let overrides = Overrides { config_file: Some(file), ..overrides };
    Config::load_from(&overrides, variables(env)).unwrap()
}

fn settings_of(text: &str) -> Settings {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("h.toml");
    std::fs::write(&file, text).unwrap();
    let overrides = Overrides { config_file: Some(file), ..Overrides::default() };
    let Written { settings, faults, .. } = Layers::read(&overrides, []).settings();
    assert_eq!(faults, []);
    settings
}

/// Every key as `section.key`, and whether it has a default.
fn keys() -> Vec<(String, bool)> {
    let mut keys = Vec::new();
    add_keys(&mut keys, "", &serde_json::to_value(Settings::default()).unwrap());
    keys
}

fn add_keys(keys: &mut Vec<(String, bool)>, name: &str, value: &Value) {
    let items = match name {
        "event_types" => serde_json::to_value(EventType::default()).unwrap(),
        "page.oidc.allow" => serde_json::to_value(OidcRule::default()).unwrap(),
        _ => value.clone(),
    };
    let Value::Object(section) = &items else { return keys.push((name.to_owned(), !value.is_null())) };
    for (key, value) in section {
        let key = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
        match value {
            // The keys of an item have no default.
            _ if matches!(name, "event_types" | "page.oidc.allow") => keys.push((key, false)),
            _ => add_keys(keys, &key, value),
        }
    }
}

/// Keys that have a default and do not fit every engine: the example file shows the default, commented out.
const OF_ONE_ENGINE: [&str; 5] =
    ["store.cache_bytes", "store.min_free_bytes", "store.schema", "store.pool", "store.replicas"];

/// The example file with the keys that it shows commented out, but for those in `without`.
fn uncommented(without: &[&str]) -> String {
    let mut section = String::new();
    let live = EXAMPLE.lines().filter_map(|line| {
        let live = line.strip_prefix("# ").filter(|l| l.starts_with('[') || l.contains(" = ")).unwrap_or(line);
        if let Some(name) = live.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = format!("{}.", name.trim_matches(['[', ']']));
        }
        let key = live.split_once(" = ").map(|(key, _)| format!("{section}{key}"));
        key.is_none_or(|key| !without.contains(&key.as_str())).then_some(live)
    });
    live.collect::<Vec<_>>().join("\n")
}

/// The keys set in the example file, and those shown commented out.
fn keys_of_example() -> (Vec<String>, Vec<String>) {
    let (mut set, mut shown) = (Vec::new(), Vec::new());
    let mut section = String::new();
    for line in EXAMPLE.lines() {
        let live = line.strip_prefix("# ").unwrap_or(line);
        if let Some(name) = live.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = format!("{}.", name.trim_matches(['[', ']']));
        } else if let Some((key, _)) = live.split_once(" = ").filter(|(key, _)| !key.contains(' ')) {
            let keys = if line.starts_with('#') { &mut shown } else { &mut set };
            keys.push(format!("{section}{key}"));
        }
    }
    (set, shown)
}

#[test]
fn the_example_file_sets_every_default_and_nothing_else() {
    assert!(settings_of(EXAMPLE) == Settings::default(), "config.example.toml differs from the built-in defaults");
    let (mut set, mut shown) = keys_of_example();
    let names = |with_default: bool| {
        let set = |(key, has): &(String, bool)| *has && !OF_ONE_ENGINE.contains(&key.as_str());
        let keys = keys().into_iter().filter(|key| set(key) == with_default);
        let mut names: Vec<String> = keys.map(|(key, _)| key).collect();
        names.sort();
        names
    };
    set.sort();
    shown.sort();
    assert_eq!(set, names(true), "keys set in config.example.toml, and keys that have a default");
    assert_eq!(shown, names(false), "keys commented out in config.example.toml, and keys without a default");
    let (shown, built_in) = (settings_of(&uncommented(&[])).store, Settings::default().store);
    let of_one_engine = |s: settings::Store| (s.cache_bytes, s.min_free_bytes, s.schema, s.pool, s.replicas);
    assert!(of_one_engine(shown) == of_one_engine(built_in), "defaults shown commented out in config.example.toml");
}

#[test]
fn the_example_file_is_valid_and_so_are_the_defaults() {
    let example = loaded(EXAMPLE, &[], Overrides::default());
    let built_in = Config::load_from(&Overrides::default(), []).unwrap();
    assert_eq!(format!("{example:?}"), format!("{built_in:?}"));
    assert_eq!(built_in.retry, RetryPolicy::default());
    assert_eq!(built_in.http.listen.to_string(), "127.0.0.1:4665");
    assert_eq!(built_in.data_dir, Path::new(DEFAULT_DATA_DIR));
}

#[test]
fn all_that_the_example_file_shows_can_be_set() {
    let cases = [
        (
            "embedded",
            &[
                "page.oidc.client_secret_file",
                "store.url",
                "store.url_file",
                "store.schema",
                "store.pool",
                "store.replicas",
            ][..],
        ),
        ("postgres", &["page.oidc.client_secret_file", "store.cache_bytes", "store.min_free_bytes", "store.url_file"]),
        ("postgres", &["page.oidc.client_secret", "store.cache_bytes", "store.min_free_bytes", "store.url"]),
    ];
    for (engine, without) in cases {
        let loaded = loaded(&uncommented(without), &[("HOOKSWITCH_STORE__ENGINE", engine)], Overrides::default());
        assert_eq!(loaded.retention.conversation_age.as_secs(), 90 * 86_400);
        assert_eq!(loaded.store.engine.name().as_str(), engine);
    }
}

#[test]
fn later_layers_stand_above_earlier_ones_and_allow_adds() {
    let text =
        "data_dir = '/file'\n[http]\nlisten = '127.0.0.1:1'\n[senders]\nthreads = 1\n[network]\nallow = ['10.0.0.0/8']";
    let env = [
        ("HOOKSWITCH_HTTP__LISTEN", "[::1]:2"),
        ("HOOKSWITCH_DATA_DIR", "/env"),
        ("HOOKSWITCH_URL", "http://127.0.0.1:1"),
        ("HOOKSWITCH_TOKEN", "hsk_x"),
        ("HOME", "/root"),
    ];
    let from_env = loaded(text, &env, Overrides::default());
    assert_eq!(from_env.http.listen.to_string(), "[::1]:2");
    assert_eq!(from_env.data_dir, Path::new("/env"));
    assert_eq!(from_env.senders.threads, 1);

    let flags = Overrides {
        data_dir: Some("/flag".into()),
        listen: Some("127.0.0.1:3".to_owned()),
        allow: vec!["127.0.0.0/8".to_owned(), "::1".to_owned()],
        config_file: None,
    };
    let from_flags = loaded(text, &env, flags);
    assert_eq!(from_flags.http.listen.to_string(), "127.0.0.1:3");
    assert_eq!(from_flags.data_dir, Path::new("/flag"));
    for address in ["10.1.2.3", "127.0.0.1", "::1"] {
        assert!(from_flags.network.policy.check(address.parse().unwrap()).is_ok(), "{address}");
    }
    assert!(from_env.network.policy.check("127.0.0.1".parse().unwrap()).is_err());

    let env = [("HOOKSWITCH_NETWORK__ALLOW", r#"["192.168.0.0/16"]"#)];
    let replaced = loaded(text, &env, Overrides::default());
    assert!(replaced.network.policy.check("192.168.1.1".parse().unwrap()).is_ok());
    assert!(replaced.network.policy.check("10.1.2.3".parse().unwrap()).is_err());
}

#[test]
fn every_type_error_names_key_origin_and_allowed_values() {
    let text = "colour = 'red'\ndata_dir = 5\n[http]\nlisten = ['x']\nlissen = 'x'\n[senders]\nthreads = 'many'\n\
                timeout = 1.5\n[network]\nallow = '10.0.0.0/8'\ndeny = ['10.0.0.0/8', 7]\nhttps_only = 'yes'\n\
                [retry]\njitter = 'x'\n[alerts]\nsecret = 4242\n[[event_types]]\nname = 'a.b'\ntitle = 'A'\nsample = '{}'";
    let env = [("HOOKSWITCH_STORE__CACHE_BYTES", "-5"), ("HOOKSWITCH_ORDERING", "call"), ("HOOKSWITCH_NO__SUCH", "1")];
    let mut lines = faults(text, &env, Overrides::default());
    lines.sort();
    let wanted = [
        "alerts.secret (h.toml) must be text in quotes, not a number",
        "colour (h.toml) is not a key; known here are `data_dir`, `http`, `senders`, `retry`, `ordering`, `network`, \
         `retention`, `store`, `limits`, `page`, `alerts`, `event_types`, `diagnostics`",
        "data_dir (h.toml) must be text in quotes, not a number",
        "event_types[0].description (h.toml) must be given",
        "http.lissen (h.toml) is not a key; known here are `listen`, `max_body_bytes`, `max_connections`, \
         `header_timeout`, `body_timeout`, `tls_cert`, `tls_key`, `metrics_public`, `trusted_proxies`",
        "http.listen (h.toml) must be text in quotes, not a list",
        "network.allow (h.toml) must be a list in brackets, not text",
        "network.deny[1] (h.toml) must be text in quotes, not a number",
        "network.https_only (h.toml) must be true or false, not text",
        "no (environment variable HOOKSWITCH_NO__SUCH) is not a key; known here are `data_dir`, `http`, `senders`, \
         `retry`, `ordering`, `network`, `retention`, `store`, `limits`, `page`, `alerts`, `event_types`, `diagnostics`",
        "ordering (environment variable HOOKSWITCH_ORDERING) must be a section, not text",
        "retry.jitter (h.toml) must be a number, not text",
        "senders.threads (h.toml) must be a whole number, 0 or more, not text",
        "senders.timeout (h.toml) must be text in quotes, not a number with a fraction",
        "store.cache_bytes (environment variable HOOKSWITCH_STORE__CACHE_BYTES) must be a whole number, 0 or more, \
         not a negative number",
    ];
    assert_eq!(lines, wanted);
}

#[test]
fn every_value_out_of_range_names_key_origin_and_range() {
    let cases = [
        ("data_dir = ''", "data_dir (h.toml) must be a path"),
        ("http.listen = 'localhost'", "http.listen (h.toml) must be an IP address and a port"),
        ("http.max_body_bytes = 1023", "http.max_body_bytes (h.toml) must be from 1024 to 67108864, not 1023"),
        ("http.max_connections = 7", "http.max_connections (h.toml) must be from 8 to 65536, not 7"),
        ("http.header_timeout = '0s'", "http.header_timeout (h.toml) must be from \"1s\" to \"5m\", not \"0s\""),
        ("http.body_timeout = '301s'", "http.body_timeout (h.toml) must be from \"1s\" to \"5m\", not \"301s\""),
        ("senders.threads = 0", "senders.threads (h.toml) must be from 1 to 8192, not 0"),
        ("senders.timeout = 'soon'", "senders.timeout (h.toml) `soon` is not a duration"),
        ("senders.connect_timeout = '6m'", "senders.connect_timeout (h.toml) must be from \"100ms\" to \"5m\""),
        ("senders.threads = 8193", "senders.threads (h.toml) must be from 1 to 8192, not 8193"),
        ("senders.max_in_flight = 8193", "senders.max_in_flight (h.toml) must be from 1 to 8192, not 8193"),
        ("retry.initial_delay = '9h'", "retry.initial_delay (h.toml) must be from \"1ms\" to \"8h\", not \"9h\""),
        ("retry.multiplier = 0", "retry.multiplier (h.toml) must be from 1 to 100, not 0"),
        ("retry.jitter = nan", "retry.jitter (h.toml) must be from 0 to 1, not NaN"),
        ("retry.give_up_after = 'x'", "retry.give_up_after (h.toml) `x` is not a duration"),
        ("retry.disable_after = '0s'", "retry.disable_after (h.toml) must be from \"100ms\" to \"8760h\""),
        ("ordering.default = 'calls'", "ordering.default (h.toml) must be one of `call`, `none`, not `calls`"),
        ("ordering.hold = '169h'", "ordering.hold (h.toml) must be from \"0s\" to \"168h\""),
        ("network.allow = ['::1', 'all']", "network.allow[1] (h.toml) must be a network such as"),
        ("network.deny = ['10.0.0.0/33']", "network.deny[0] (h.toml) must be a network such as"),
        ("network.extra_ca = ['']", "network.extra_ca[0] (h.toml) must be a path"),
        (
            "retention.idempotency_window = '100ms'",
            "retention.idempotency_window (h.toml) must be from \"1s\" to \"720h\"",
        ),
        ("retention.log_age = '100ms'", "retention.log_age (h.toml) must be from \"1s\" to \"87600h\", not \"100ms\""),
        ("retention.log_bytes = 1", "retention.log_bytes (h.toml) must be from 8388608 to 70368744177664, not 1"),
        ("retention.event_age = 'x'", "retention.event_age (h.toml) `x` is not a duration"),
        (
            "retention.event_age = '1h'",
            "retention.event_age (h.toml) must be at least `idempotency_window`, which is \"24h\"",
        ),
        ("store.min_free_bytes = 0", "store.min_free_bytes (h.toml) must be from 1048576 to 1099511627776, not 0"),
        ("store.cache_bytes = 1", "store.cache_bytes (h.toml) must be from 1048576 to 4294967296, not 1"),
        ("store.engine = 'mysql'", "store.engine (h.toml) must be one of `embedded`, `postgres`, not `mysql`"),
        (
            "http.trusted_proxies = ['proxy.example']",
            "http.trusted_proxies[0] (h.toml) must be a network such as \"10.0.0.0/8\"",
        ),
        ("limits.memory = 1000", "limits.memory (h.toml) must be from 1048576 to 68719476736, not 1000"),
        (
            "limits.memory = 4194303",
            "limits.memory (h.toml) must be at least four times `max_body_bytes` of [http], which is 4194304, not 4194303",
        ),
        (
            "limits.connections_per_address = 0",
            "limits.connections_per_address (h.toml) must be from 1 to 65536, not 0",
        ),
        ("limits.subscriptions_per_company = 0", "limits.subscriptions_per_company (h.toml) must be from 1 to 1000000"),
        ("limits.deliveries_per_request = 0", "limits.deliveries_per_request (h.toml) must be from 1 to 10000000"),
        ("diagnostics.level = 'loud'", "diagnostics.level (h.toml) must be one of `error`, `warn`"),
        ("diagnostics.format = 'xml'", "diagnostics.format (h.toml) must be one of `text`, `json`, not `xml`"),
    ];
    for (text, wanted) in cases {
        let lines = faults(text, &[], Overrides::default());
        assert!(lines.len() == 1 && lines[0].starts_with(wanted), "{text}: {lines:?}");
    }
}

#[test]
fn all_faults_are_found_in_one_reading() {
    let text = "[retry]\njitter = 2.0\nmultiplier = 0.5\ninitial_delay = '9h'\n[senders]\nthreads = 0";
    let lines = faults(text, &[], Overrides::default());
    for key in ["retry.jitter", "retry.multiplier", "retry.initial_delay", "senders.threads"] {
        assert!(lines.iter().any(|line| line.starts_with(key)), "{key}: {lines:?}");
    }
}

#[test]
fn range_and_type_errors_are_reported_together() {
    let text = "[http]\nbogus = 1\nlisten = 'x'\nmax_connections = 3\n[senders]\nthreads = 0\nmax_in_flight = -1\n\
                [[event_types]]\nname = 'A'\ntitle = 'A'\nsample = '{}'";
    let keys: Vec<String> = faults(text, &[("HOOKSWITCH_RETRY__JITTER", "2")], Overrides::default())
        .iter()
        .map(|line| line.split(' ').next().unwrap_or_default().to_owned())
        .collect();
    let wanted = [
        "event_types[0].description",
        "http.bogus",
        "senders.max_in_flight",
        "http.max_connections",
        "http.listen",
        "senders.threads",
        "retry.jitter",
    ];
    assert_eq!(keys.iter().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(wanted), "{keys:?}");
}

#[test]
fn nothing_is_blamed_for_a_wrong_shape_elsewhere() {
    let secret = "secret = 'whsec_ZXhhbXBsZSBvbmx5OiBtYWtlIG9uZSBvZiB5b3VyIG93bg=='";
    let url = "url = 'http://127.0.0.1/alerts'";
    let cases = [
        (format!("[network]\nallow = '127.0.0.0/8'\n[alerts]\n{url}\n{secret}"), "network.allow"),
        (format!("network = 'all'\n[alerts]\n{url}\n{secret}"), "network"),
        (format!("[alerts]\n{url}\nsecret = 7\n[network]\nallow = ['127.0.0.0/8']"), "alerts.secret"),
        (format!("[alerts]\nurl = 7\n{secret}"), "alerts.url"),
        ("[retention]\nidempotency_window = 3600\nevent_age = '2h'".to_owned(), "retention.idempotency_window"),
        ("[http]\nmax_body_bytes = '8M'\n[limits]\nmemory = 2000000".to_owned(), "http.max_body_bytes"),
        ("[retry]\nmax_delay = 36000\ninitial_delay = '9h'".to_owned(), "retry.max_delay"),
        ("[http]\ntls_cert = '/a'\ntls_key = 7".to_owned(), "http.tls_key"),
        ("[[event_types]]\nname = 'a.b'\n[[event_types]]\nname = 'A'\ntitle = 7".to_owned(), "event_types"),
    ];
    for (text, wanted) in cases {
        let lines = faults(&text, &[], Overrides::default());
        assert!(lines.iter().all(|line| line.starts_with(wanted)), "{text}: {lines:?}");
    }
    // A file that cannot be read may have set any key, so missing keys are not reported.
    let variable = ("HOOKSWITCH_ALERTS__SECRET", "whsec_ZXhhbXBsZSBvbmx5OiBtYWtlIG9uZSBvZiB5b3VyIG93bg==");
    let lines = faults("[alerts\nurl = 'https://a.example/'", &[variable], Overrides::default());
    assert!(lines.len() == 1 && lines[0].starts_with("h.toml line 1 "), "{lines:?}");
}

#[test]
fn faults_of_flags_and_declared_event_types_are_located_too() {
    let text = "[network]\nallow = ['10.0.0.0/8']";
    let allow = vec!["127.0.0.0/8".to_owned(), "everything".to_owned()];
    let flags = Overrides { listen: Some("nowhere".to_owned()), allow, ..Overrides::default() };
    let lines = faults(text, &[], flags);
    assert!(lines[0].starts_with("http.listen (flag --listen) must be"), "{lines:?}");
    assert!(lines[1].starts_with("network.allow[2] (flag --allow) must be"), "{lines:?}");

    let text = "[[event_types]]\nname = 'call.voicemail'\ntitle = 'V'\ndescription = 'D'\nsample = '[]'";
    let lines = faults(text, &[], Overrides::default());
    assert!(lines.len() == 1 && lines[0].starts_with("event_types[0].sample (h.toml) "), "{lines:?}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let missing = Overrides { config_file: Some("/nonexistent/h.toml".into()), ..Overrides::default() };
    let error = Config::load_from(&missing, []).map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with("/nonexistent/h.toml cannot be read: "), "{error}");
    let lines = faults("[http]\nlisten = \n", &[], Overrides::default());
    assert!(lines.len() == 1 && lines[0].starts_with("h.toml line 2 is not valid TOML: "), "{lines:?}");
}

//! The rules of the architecture that the compiler does not check: which module may import which, no circles among
//! files, which package belongs to which module, maximum file length. And
//! the documents: that whatever the README and the handbook name is there.
//!
//! Each message names the rule and what to do instead. The checker itself is tested on small inputs.

mod code;
#[path = "../harness/documents.rs"]
mod documents;
mod files;
mod handbook;
mod package;
mod texts;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use code::{crate_paths, words_and_signs};

/// Maximum lines of an `.rs` file.
const MOST_LINES: usize = 500;

/// A module, the modules it may import, and, if it may see only a part of one, which part.
struct Module {
    name: &'static str,
    knows: &'static [&'static str],
}

/// The allowed imports of each module; they form no circle.
const MODULES: &[Module] = &[
    Module { name: "build", knows: &[] },
    Module { name: "core", knows: &[] },
    Module { name: "config", knows: &["core"] },
    Module { name: "telemetry", knows: &["core", "config"] },
    Module { name: "mail", knows: &["core"] },
    Module { name: "texts", knows: &[] },
    Module { name: "alerts", knows: &["core", "mail", "texts"] },
    Module { name: "metrics", knows: &["core"] },
    Module { name: "service", knows: &["core"] },
    Module { name: "model", knows: &["core"] },
    Module { name: "engine", knows: &["core", "model"] },
    Module { name: "store", knows: &["core", "model", "engine"] },
    Module { name: "sender", knows: &["core"] },
    Module { name: "oidc", knows: &["core", "sender"] },
    Module { name: "dispatch", knows: &["core", "store", "sender"] },
    Module {
        name: "http",
        knows: &[
            "core",
            "config",
            "store",
            "texts",
            "oidc",
            "sender::probe",
            "sender::transport",
            "sender::Transport",
            "sender::TransportHandle",
        ],
    },
    Module {
        name: "daemon",
        knows: &[
            "core",
            "config",
            "telemetry",
            "mail",
            "alerts",
            "metrics",
            "service",
            "store",
            "sender",
            "oidc",
            "dispatch",
            "http",
            "texts",
        ],
    },
    Module { name: "cli", knows: &["core", "config", "telemetry", "service", "daemon", "store::offline", "texts"] },
    Module { name: "main", knows: &["cli"] },
];

/// Words of the code that belong to one place, and what to do elsewhere.
struct Reserved {
    words: &'static [&'static str],
    places: &'static [&'static str],
    instead: &'static str,
}

const RESERVED: &[Reserved] = &[
    Reserved {
        words: &["sled"],
        places: &["src/engine/embedded/", "src/store/tests"],
        instead: "add a method to `store::Store`, in domain words",
    },
    Reserved {
        words: &["bincode"],
        places: &[
            "src/model/record/",
            "src/model/progress.rs",
            "src/engine/embedded/position.rs",
            "src/engine/embedded/kv/manifest.rs",
        ],
        instead: "make it a record of `model::record`",
    },
    Reserved {
        words: &["postgres_types", "tokio_postgres_rustls"],
        places: &["src/engine/postgres/"],
        instead: "add a method to `trait Engine`, or to `store::Store` in domain words",
    },
    Reserved {
        words: &["ureq"],
        places: &["src/sender/", "src/cli/client"],
        instead: "post through `sender::Transport`; the command line calls the daemon through `cli/client.rs`",
    },
    Reserved {
        words: &["async", "await", "tokio", "hyper", "hyper_util", "http_body_util"],
        places: &["src/http/", "src/cli/receiver/"],
        instead: "stay synchronous: a thread and a channel; only `http` and `cli::receiver` are async",
    },
    Reserved { words: &["openidconnect"], places: &["src/oidc/"], instead: "ask an `oidc::Provider`" },
    Reserved { words: &["lettre"], places: &["src/mail"], instead: "send a `mail::Letter` by `mail::Mailer`" },
    Reserved {
        words: &["fluent_bundle", "fluent_syntax", "unic_langid"],
        places: &["src/texts/"],
        instead: "take a text of `texts::Texts` by its key",
    },
    Reserved {
        words: &["prometheus"],
        places: &["src/metrics"],
        instead: "count by a method of `metrics::Metrics`, called from `daemon`",
    },
    Reserved {
        words: &["chacha20poly1305"],
        places: &["src/core/seal/"],
        instead: "seal and open by `core::seal::Keyring`",
    },
    Reserved {
        words: &["zstd"],
        places: &["src/engine/embedded/wal/packed"],
        instead: "compress by `wal::compress`, and read by offsets as of any other file",
    },
    Reserved { words: &["figment"], places: &["src/config/"], instead: "add a key to `config` and take its value" },
    Reserved {
        words: &["ctrlc", "sd_notify", "listenfd"],
        places: &["src/service/"],
        instead: "use `service::on_stop_signal` and `service::notify_*`",
    },
    Reserved {
        words: &["clap", "clap_complete", "clap_mangen"],
        places: &["src/cli/", "src/main.rs"],
        instead: "take a value; only `cli` reads arguments",
    },
    Reserved {
        words: &["unsafe"],
        places: &["src/engine/embedded/"],
        instead: "find the safe way; the one exception is the interposed sync in `engine::embedded`",
    },
];

/// The top module of a file under `src/`, and its depth (`src/a.rs` 1, `src/a/b.rs` 2).
fn module_and_depth(path: &str) -> Option<(&str, usize)> {
    let module = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    let module = module.strip_suffix("/mod").unwrap_or(module);
    (module != "lib").then(|| (module.split('/').next().unwrap_or(module), module.split('/').count()))
}

/// Imports of `path` that violate the design.
fn forbidden_imports(path: &str, text: &str) -> Vec<String> {
    let Some((module, depth)) = module_and_depth(path) else { return Vec::new() };
    let Some(rules) = MODULES.iter().find(|known| known.name == module) else {
        return vec![format!(
            "{path}: `{module}` is a new module: say in MODULES of tests/architecture whom it may know"
        )];
    };
    let mut faults = BTreeSet::new();
    for target in crate_paths(&words_and_signs(text), depth) {
        let first = target.split("::").next().unwrap_or_default();
        let is_module = MODULES.iter().any(|known| known.name == first);
        let allowed = |known: &&str| target == *known || target.starts_with(&format!("{known}::"));
        if is_module && first != module && !rules.knows.iter().any(allowed) {
            let knows = if rules.knows.is_empty() { "no other module".to_owned() } else { rules.knows.join(", ") };
            faults.insert(format!(
                "{path}: imports `{target}`, but `{module}` may know only: {knows}. Hand the value or a function in \
                 from `daemon`, or move the rule to `core`"
            ));
        }
    }
    faults.into_iter().collect()
}

/// Packages and keywords of `path` that belong elsewhere.
fn reserved_words(path: &str, text: &str) -> Vec<String> {
    let used: BTreeSet<String> = words_and_signs(text).into_iter().collect();
    let mut faults = Vec::new();
    for rule in RESERVED.iter().filter(|rule| !rule.places.iter().any(|place| path.starts_with(place))) {
        for word in rule.words.iter().filter(|word| used.contains(**word)) {
            let places = rule.places.join(" and ");
            faults.push(format!("{path}: `{word}` belongs to {places}: {}", rule.instead));
        }
    }
    faults
}

/// Violations of a file's form.
fn form(path: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let lines = text.lines().count();
    if lines > MOST_LINES {
        faults.push(format!("{path}: has {lines} lines, at most {MOST_LINES}: divide it along its subject"));
    }
    if path.starts_with("src/") && !path.ends_with("/tests.rs") && !text.starts_with("//!") {
        faults.push(format!("{path}: must begin with `//!`: what it is for, what it must not know, what always holds"));
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    if ["utils.rs", "util.rs", "common.rs", "helpers.rs", "manager.rs", "misc.rs"].contains(&name) {
        faults.push(format!("{path}: name the file by what lives in it"));
    }
    faults
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every `.rs` file below `dir`, as its path from the root and its text.
fn sources(dir: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![root().join(dir)];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten() {
            let path = entry.expect("an entry of a directory of ours").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source in UTF-8");
                found.push((from_root(&path), text));
            }
        }
    }
    found.sort();
    found
}

fn from_root(path: &Path) -> String {
    path.strip_prefix(root()).ok().and_then(Path::to_str).expect("a path below the root, in UTF-8").to_owned()
}

fn assert_clean(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn no_arrow_goes_back() {
    let sources = sources("src");
    assert!(sources.len() > 10, "the sources were not found");
    let faults: Vec<String> = sources.iter().flat_map(|(path, text)| forbidden_imports(path, text)).collect();
    assert_clean(&faults);
}

#[test]
fn every_package_stays_in_its_module() {
    let faults: Vec<String> = sources("src").iter().flat_map(|(path, text)| reserved_words(path, text)).collect();
    assert_clean(&faults);
}

#[test]
fn unsafe_is_in_one_module_at_most() {
    let sources = sources("src");
    let with = sources.iter().filter(|(_, text)| words_and_signs(text).iter().any(|word| word == "unsafe"));
    let files: Vec<&str> = with.map(|(path, _)| path.as_str()).collect();
    assert!(files.len() <= 1, "unsafe code belongs into the one module of the interposed sync, not into {files:?}");
}

#[test]
fn files_keep_their_form() {
    let all = ["src", "tests", "benches"].into_iter().flat_map(sources);
    let faults: Vec<String> = all.flat_map(|(path, text)| form(&path, &text)).collect();
    assert_clean(&faults);
}

#[test]
fn the_checker_finds_violations() {
    let core = forbidden_imports("src/core/event.rs", "use crate::store::Store;");
    assert!(core.len() == 1 && core[0].contains("may know only: no other module"), "{core:?}");
    for (path, text, faults) in [
        ("src/store/mod.rs", "use crate::{core::id, sender::{pool, probe as p}};", 2),
        ("src/model/accept.rs", "use crate::engine::Engine;", 1),
        ("src/engine/mod.rs", "use crate::{model::turn, store::Store};", 1),
        ("src/sender/pool.rs", "fn f() { let x = crate::store::Store::open(); }", 1),
        ("src/config/mod.rs", "use super::http;", 1),
        ("src/core/event.rs", "use super::super::store;", 1),
        ("src/core/event.rs", "use super::store;", 0),
        ("src/http/test.rs", "use crate::sender::pool::Pool;", 1),
        ("src/http/test.rs", "use crate::sender::{probe::Findings, Transport};", 0),
        ("src/cli/send.rs", "use crate::store::Store;", 1),
        ("src/main.rs", "fn main() { hookswitch::cli::run() }", 0),
        ("src/main.rs", "fn main() { hookswitch::store::run() }", 1),
        ("src/lib.rs", "pub mod store; use crate::store;", 0),
        ("src/attic/mod.rs", "//! new", 1),
        ("src/core/event.rs", "// use crate::store;\n/* crate::store */ const A: &str = \"crate::store\";", 0),
        ("src/core/event.rs", "const A: &str = r#\"\"crate::store\"#; const B: char = '\"'; use crate::core::id;", 0),
    ] {
        assert_eq!(forbidden_imports(path, text).len(), faults, "{path}: {text}");
    }
}

#[test]
fn the_checker_sees_packages_out_of_their_modules() {
    for (path, text, faults) in [
        ("src/dispatch/mod.rs", "use sled::Db;", 1),
        ("src/engine/embedded/kv.rs", "use sled::Db;", 0),
        ("src/engine/embedded/kv.rs", "use bincode::Encode;", 1),
        ("src/model/record/token.rs", "use bincode::Encode;", 0),
        ("src/cli/client.rs", "use ureq::Agent;", 0),
        ("src/cli/log.rs", "use ureq::Agent;", 1),
        ("src/cli/receiver/mod.rs", "use hyper::Request;", 0),
        ("src/cli/listen.rs", "use hyper::Request;", 1),
        ("src/daemon.rs", "async fn f() { tokio::spawn(g()).await }", 3),
        ("src/core/event.rs", "//! not async, no sled\nstruct Unsafe<'a>(&'a str);", 0),
        ("src/core/event.rs", "unsafe { x() }", 1),
    ] {
        assert_eq!(reserved_words(path, text).len(), faults, "{path}: {text}");
    }
}

#[test]
fn the_checker_sees_bad_form() {
    assert_eq!(form("src/core/a.rs", "//! a\n").len(), 0);
    assert_eq!(form("src/core/a.rs", "use x;\n").len(), 1);
    assert_eq!(form("src/core/utils.rs", &"//! a\n".repeat(501)).len(), 2);
}

//! The README and the handbook against what they speak of: links, files, command lines, keys of the configuration, calls of the
//! API, names. What can be tried is tried by `tests/e2e/handbook.rs`.
//!
//! Each message names the document and what is not there. The checker itself is tested on documents that are wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::Value;

use super::documents::{self, Block, Document, call, commands};
use super::{assert_clean, root, sources};

/// What else may stand at the beginning of a command: programs of the system and of others.
const PROGRAMS: &[&str] = &[
    "cd",
    "curl",
    "docker",
    "echo",
    "export",
    "journalctl",
    "minisign",
    "npx",
    "openapi-generator-cli",
    "openapi-python-client",
    "rustup",
    "sha256sum",
    "strings",
    "sudo",
    "systemctl",
    "tar",
];

/// Languages of blocks: shell and configuration are tried, receivers are run by `.ci/run receivers`.
const LANGUAGES: &[&str] = &[
    "sh",
    "toml",
    "json",
    "jinja",
    "yaml",
    "console",
    "http",
    "haproxy",
    "php",
    "js",
    "python",
    "py",
    "ruby",
    "javascript",
    "ts",
];

/// Names in the form of ours that belong to others.
const FOREIGN: &[&str] = &[
    "DATA_UPLOAD_MAX_MEMORY_SIZE",
    "application_data",
    "array_change_key_case",
    "file_get_contents",
    "call_1",
    "client_credentials",
    "get_data",
    "hookswitch_0", // a package's file
    "idle_in_transaction_session_timeout",
    "json_parse",
    "pg_dump",
    "pg_monitor",
    "pool_mode",
    "post_max_size",
    "raw_post",
    "status_code",
    "synchronous_commit",
    "synchronous_standby_names",
    "to_i",
];

/// The keys of the configuration by section, as `config.example.toml` has them; "" for those of none.
fn keys() -> &'static BTreeMap<String, BTreeSet<String>> {
    static KEYS: OnceLock<BTreeMap<String, BTreeSet<String>>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let text = fs::read_to_string(root().join("config.example.toml")).expect("config.example.toml");
        let mut keys: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut section = String::new();
        for line in text.lines().map(|line| line.strip_prefix("# ").unwrap_or(line)) {
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_matches(['[', ']']).to_owned();
                keys.entry(section.clone()).or_default();
            } else if let Some((key, _)) = line.split_once(" = ")
                && key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
            {
                keys.entry(section.clone()).or_default().insert(key.to_owned());
            }
        }
        keys
    })
}

fn is_key(section: &str, key: &str) -> bool {
    keys().get(section).is_some_and(|keys| keys.contains(key)) || keys().contains_key(&format!("{section}.{key}"))
}

/// The paths of the API with their methods and the names of their parameters.
fn routes() -> &'static BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    static ROUTES: OnceLock<BTreeMap<String, BTreeMap<String, BTreeSet<String>>>> = OnceLock::new();
    ROUTES.get_or_init(|| {
        let parts = fs::read_dir(root().join("src/http/openapi")).expect("src/http/openapi");
        let parts = parts.map(|entry| entry.expect("an entry of a directory of ours").path());
        let parts = parts.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
        let read = |path| serde_json::from_str::<Value>(&fs::read_to_string(path).expect("a part")).expect("JSON");
        let parts: Vec<Value> = parts.map(read).collect();
        let shared = |reference: &Value| {
            let name = reference.as_str()?.rsplit('/').next()?;
            parts.iter().find_map(|part| part["parameters"][name]["name"].as_str())
        };
        let mut routes: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        for (path, item) in parts.iter().filter_map(|part| part["paths"].as_object()).flatten() {
            let methods = item.as_object().expect("a path").iter().filter(|(name, _)| *name != "parameters");
            for (method, operation) in methods {
                let named = operation["parameters"].as_array().into_iter().flatten();
                let names = named.filter_map(|one| one["name"].as_str().or_else(|| shared(&one["$ref"])));
                let names = names.map(str::to_owned).collect();
                routes.entry(path.clone()).or_default().insert(method.to_uppercase(), names);
            }
        }
        routes
    })
}

/// What is wrong with a call of the API; `method` if it is named.
fn wrong_call(method: Option<&str>, path_and_query: &str) -> Option<String> {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let is_at = |template: &str| {
        let (known, given): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
        known.len() == given.len()
            && known.iter().zip(given).all(|(known, given)| known.starts_with('{') || *known == given)
    };
    let Some((template, methods)) = routes().iter().find(|(template, _)| is_at(template)) else {
        return Some(format!("`{path}` is no path of the API"));
    };
    let known = |method: &str| methods.contains_key(method);
    if let Some(method) = method.filter(|method| !known(method)) {
        return Some(format!("`{method} {template}` is no call of the API"));
    }
    let names = query.split('&').filter_map(|pair| pair.split('=').next()).filter(|name| !name.is_empty());
    let parameters: BTreeSet<&String> = methods.values().flatten().collect();
    let unknown = names.into_iter().find(|name| !parameters.contains(&(*name).to_owned()));
    unknown.map(|name| format!("`{template}` has no parameter `{name}`"))
}

/// All code of a document: of blocks and within text.
fn code(document: &Document) -> impl Iterator<Item = &str> {
    document.blocks.iter().map(|block| block.text.as_str()).chain(document.spans.iter().map(String::as_str))
}

/// What `link` leads to: a path from the root, and an anchor. `None` if it leads to another host.
fn target(document: &Document, link: &str) -> Option<(String, Option<String>)> {
    if link.contains("://") {
        return None;
    }
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor.to_owned())));
    let here = Path::new(&document.path);
    let path = if file.is_empty() { here.to_owned() } else { here.with_file_name(file) };
    Some((path.to_str().expect("made of text").to_owned(), anchor))
}

/// Links that lead to no document, and anchors that are no heading.
fn lost_links(document: &Document, all: &[Document]) -> Vec<String> {
    let lost = |link: &String| {
        let (path, anchor) = target(document, link)?;
        let known = all.iter().find(|other| other.path == path);
        let there = match (&anchor, known) {
            (Some(anchor), Some(known)) => known.anchors.contains(anchor),
            (None, None) => root().join(&path).exists(),
            (None, Some(_)) => true,
            (Some(_), None) => false,
        };
        (!there).then(|| format!("{}: the link to {link} leads nowhere", document.path))
    };
    document.links.iter().filter_map(lost).collect()
}

/// Files of the source that are named and are not there.
fn missing_files(document: &Document) -> Vec<String> {
    const ROOTS: [&str; 8] = ["src/", "tests/", "benches/", "systemd/", ".ci/", "config.", "Cargo.", "LICENSE"];
    let words = code(document).flat_map(str::split_whitespace);
    let named: BTreeSet<&str> = words.filter(|word| ROOTS.iter().any(|start| word.starts_with(start))).collect();
    let missing = named.into_iter().filter(|path| !root().join(path).exists());
    missing.map(|path| format!("{} names {path}, which is not there", document.path)).collect()
}

/// What is wrong with a command line. Within a text (`in_text`) arguments that are needed may be left out.
fn wrong_command(words: &[String], in_text: bool) -> Option<String> {
    let line = words.join(" ");
    match words[0].as_str() {
        "hookswitch" | "./hookswitch" => {
            let words = words.iter().filter(|word| *word != "…").map(|word| match word.as_str() {
                "COMMAND" => "log",
                "SHELL" => "bash",
                word => word,
            });
            let error = hookswitch::cli::definition().try_get_matches_from(words).err()?;
            let incomplete = [
                clap::error::ErrorKind::MissingRequiredArgument,
                clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
                clap::error::ErrorKind::MissingSubcommand,
            ];
            let fine = !error.use_stderr() || (in_text && incomplete.contains(&error.kind()));
            (!fine).then(|| format!("`{line}`: {error}"))
        }
        "curl" => {
            let call = call(words);
            wrong_call(Some(&call.method), &call.path)
        }
        "cargo" => wrong_cargo(words),
        ".ci/run" => {
            words[1..].iter().find(|step| !is_step(step)).map(|step| format!("`{line}`: there is no step {step}"))
        }
        path if path.starts_with(".ci/") => (!root().join(path).exists()).then(|| format!("{path} is not there")),
        "sudo" if words.get(1).is_some_and(|word| word == "hookswitch") => wrong_command(&words[1..], in_text),
        name => {
            (!PROGRAMS.contains(&name)).then(|| format!("`{line}`: say in tests/architecture how {name} is checked"))
        }
    }
}

fn is_step(name: &str) -> bool {
    let run = fs::read_to_string(root().join(".ci/run")).expect(".ci/run");
    ["quick", "list"].contains(&name) || run.contains(&format!("\nstep_{name}() "))
}

/// Tests, benchmarks and commands of ours that `cargo` is asked for.
fn wrong_cargo(words: &[String]) -> Option<String> {
    let line = words.join(" ");
    let after = |flag: &str| words.iter().position(|word| word == flag).and_then(|at| words.get(at + 1));
    if let Some(words) = line.split_once(" -- ").filter(|_| words[1] == "run").map(|(_, rest)| rest) {
        let words: Vec<String> = ["hookswitch"].into_iter().chain(words.split(' ')).map(str::to_owned).collect();
        return wrong_command(&words, false);
    }
    let missing = match (after("--bench"), after("--test")) {
        (Some(bench), _) => !root().join(format!("benches/{bench}.rs")).exists(),
        (None, Some(test)) => {
            let filter = words.last().filter(|last| *last != test && !last.starts_with('-'));
            let module = filter.is_some_and(|name| !root().join(format!("tests/{test}/{name}.rs")).exists());
            !root().join(format!("tests/{test}")).exists() || module
        }
        (None, None) => !["build", "bench", "test", "install", "run"].contains(&words[1].as_str()),
    };
    missing.then(|| format!("`{line}` finds nothing"))
}

fn wrong_commands(document: &Document) -> Vec<String> {
    let definition = hookswitch::cli::definition();
    let mut wrong = Vec::new();
    for script in document.in_language("sh") {
        wrong.extend(commands(script).iter().filter_map(|words| wrong_command(words, false)));
    }
    for text in document.in_language("console") {
        let typed: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
        wrong.extend(typed.into_iter().flat_map(commands).filter_map(|words| wrong_command(&words, false)));
    }
    for span in &document.spans {
        let words: Vec<String> = span.split_whitespace().map(|word| word.trim_matches('\'').to_owned()).collect();
        let Some(first) = words.first() else { continue };
        let is_ours = ["hookswitch", "cargo"].contains(&first.as_str()) || first.starts_with(".ci/");
        // `subscription add … --secret-file FILE`, without the name of the program.
        let is_short = words.len() > 1 && !span.contains('{') && definition.find_subcommand(first).is_some();
        if is_ours && words.len() > 1 {
            wrong.extend(wrong_command(&words, true));
        } else if is_short {
            let whole: Vec<String> = ["hookswitch".to_owned()].into_iter().chain(words).collect();
            wrong.extend(wrong_command(&whole, true));
        }
    }
    wrong.into_iter().map(|fault| format!("{}: {fault}", document.path)).collect()
}

/// Keys of the configuration that are not there, however they are written: `[http] listen`, `retry.jitter`,
/// `HOOKSWITCH_HTTP__LISTEN`.
fn wrong_keys(document: &Document) -> Vec<String> {
    let mut wrong = BTreeSet::new();
    for span in &document.spans {
        if let Some((section, key)) = span.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            let key = key.trim();
            let there = if key.is_empty() { keys().contains_key(section) } else { is_key(section, key) };
            let is_ours = section.starts_with(|c: char| c.is_ascii_lowercase()) && !key.contains(['[', '(']);
            if is_ours && !there {
                wrong.insert(format!("`{span}`"));
            }
        } else if let Some((section, key)) = span.split_once('.').filter(|(section, _)| !section.is_empty())
            && keys().contains_key(section)
            && key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
            // Credentials of systemd are named in the same way, and events of alerts.
            && !["store.key", "store.url", "store.trouble"].contains(&span.as_str())
            && !is_key(section, key)
        {
            wrong.insert(format!("`{span}`"));
        }
    }
    let variables = code(document).flat_map(|text| text.split("HOOKSWITCH_").skip(1));
    for rest in variables {
        let name: String = rest.chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect();
        if let Some((section, key)) = name.to_lowercase().split_once("__")
            && !is_key(section, key)
        {
            wrong.insert(format!("HOOKSWITCH_{name}"));
        }
    }
    wrong.into_iter().map(|key| format!("{}: {key} is no key of config.example.toml", document.path)).collect()
}

/// Calls of the API, in text and code, whose path, method or parameters are not there.
fn wrong_calls(document: &Document) -> Vec<String> {
    let mut wrong = BTreeSet::new();
    for code in code(document) {
        let words: Vec<&str> = code.split_whitespace().map(|word| word.trim_matches(['\'', '"', ','])).collect();
        for (at, word) in words.iter().enumerate() {
            let Some(path) = word.find("/v1/").map(|start| &word[start..]) else { continue };
            let before = at.checked_sub(1).map(|before| words[before]);
            let method = before.filter(|word| ["GET", "POST", "PATCH", "DELETE", "PUT"].contains(word));
            wrong.extend(wrong_call(method, path));
        }
    }
    wrong.into_iter().map(|fault| format!("{}: {fault}", document.path)).collect()
}

/// The source, in which the names of members, metrics and filters are looked up, as words.
fn known_words() -> &'static BTreeSet<String> {
    static WORDS: OnceLock<BTreeSet<String>> = OnceLock::new();
    WORDS.get_or_init(|| {
        let systemd = ["systemd/hookswitch.service", "systemd/postgres.conf"];
        let other = ["config.example.toml", ".ci/run", ".ci/release"].into_iter().chain(systemd);
        let openapi = fs::read_dir(root().join("src/http/openapi")).expect("src/http/openapi");
        let openapi = openapi.map(|entry| entry.expect("an entry of a directory of ours").path());
        let files = other.map(|path| root().join(path)).chain(openapi);
        let texts = files.filter_map(|path| fs::read_to_string(path).ok());
        let code = ["src", "tests/e2e", "tests/harness"].into_iter().flat_map(sources).map(|(_, text)| text);
        let words = |text: String| names(&text).map(str::to_owned).collect::<Vec<_>>();
        texts.chain(code).flat_map(words).collect()
    })
}

/// The words of `text` that are names in snake case.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.contains('_') && word.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// Names within text, of members, metrics, filters and variables, that the source does not have.
fn unknown_names(document: &Document) -> Vec<String> {
    let all: BTreeSet<&str> = document.spans.iter().flat_map(|span| names(span)).collect();
    let unknown = all.into_iter().filter(|name| {
        // Variables that set keys are looked at as keys.
        !FOREIGN.contains(name) && !known_words().contains(*name) && !name.contains("__")
    });
    unknown.map(|name| format!("{}: the source has nothing that is called `{name}`", document.path)).collect()
}

fn wrong_blocks(document: &Document) -> Vec<String> {
    let wrong = |block: &Block| {
        let text = &block.text;
        match block.language.as_str() {
            "json" => serde_json::from_str::<Value>(text).err().map(|error| format!("no JSON ({error}):\n{text}")),
            name if LANGUAGES.contains(&name) => None,
            name => {
                Some(format!("a block in '{name}': name its language, and say in tests/architecture how it is checked"))
            }
        }
    };
    document.blocks.iter().filter_map(wrong).map(|fault| format!("{}: {fault}", document.path)).collect()
}

fn faults(document: &Document, all: &[Document]) -> Vec<String> {
    let checks = [missing_files, wrong_commands, wrong_keys, wrong_calls, unknown_names, wrong_blocks];
    let found = checks.iter().flat_map(|check| check(document));
    found.chain(lost_links(document, all)).collect()
}

#[test]
fn the_documents_name_only_what_is_there() {
    let all = documents::all();
    assert!(all.len() > 9 && routes().len() > 30 && keys().len() > 10, "something was not found");
    let faults: Vec<String> = all.iter().flat_map(|document| faults(document, &all)).collect();
    assert_clean(&faults);
}

#[test]
fn the_readme_is_for_the_first_ten_minutes() {
    let lines = fs::read_to_string(root().join("README.md")).unwrap().lines().count();
    assert!(lines <= 200, "README.md has {lines} lines: move what is not needed at first into docs");
}

#[test]
fn the_index_names_every_chapter() {
    let all = documents::all();
    for index in ["README.md", "docs/index.md"] {
        let index = all.iter().find(|document| document.path == index).expect("an index");
        let named: BTreeSet<String> = index.links.iter().filter_map(|link| Some(target(index, link)?.0)).collect();
        for chapter in all.iter().filter(|chapter| chapter.path.starts_with("docs/") && chapter.path != index.path) {
            assert!(named.contains(&chapter.path), "{} does not link to {}", index.path, chapter.path);
        }
    }
}

#[test]
fn the_checker_finds_what_is_wrong() {
    for (text, wanted) in [
        ("`hookswitch log --statos failed`", "--statos"),
        ("`hookswitch lag`", "lag"),
        ("`subscription add … --secret-fil FILE`", "--secret-fil"),
        ("```sh\nhookswitch subscription add --company acme\n```", "<URL>"),
        ("```sh\nHOOKSWITCH_URL=x hookswitch backup \\\n    --nothing\n```", "--nothing"),
        ("```sh\nrm -rf /\n```", "how rm is checked"),
        ("```sh\ncurl -d '{}' http://127.0.0.1:4665/v1/log\n```", "`POST /v1/log`"),
        ("`PUT /v1/events`", "`PUT /v1/events`"),
        ("`/v1/logs`", "`/v1/logs`"),
        ("`GET /v1/events?compony=acme`", "`compony`"),
        ("`[http] listens`", "`[http] listens`"),
        ("`[https]`", "`[https]`"),
        ("`retry.jitters`", "`retry.jitters`"),
        ("`HOOKSWITCH_HTTP__LISTENS=x`", "HOOKSWITCH_HTTP__LISTENS"),
        ("`time_out_ms`", "`time_out_ms`"),
        ("`src/nothing.rs`", "src/nothing.rs"),
        ("[a](nothing.md)", "nothing.md"),
        ("# A\n[a](#b)", "#b"),
        ("`cargo bench --bench nothing`", "finds nothing"),
        ("`.ci/run nothing`", "no step nothing"),
        ("```json\n{\"a\"}\n```", "no JSON"),
        ("    indented", "name its language"),
    ] {
        let document = Document::read("docs/x.md", text);
        let found = faults(&document, std::slice::from_ref(&document));
        assert!(found.len() == 1 && found[0].contains(wanted), "{text}: {found:?}");
    }
    let fine = "# A b\n`hookswitch log --status failed` `subscription list` `[http] listen` `retry.jitter` `GET /v1/log?limit=5` \
                `/v1/events/{id}` `timeout_ms` `src/lib.rs` [a](#a-b)\n```sh\nhookswitch send call.missed --company 'a b' # all\n```\n";
    let document = Document::read("docs/x.md", fine);
    assert_clean(&faults(&document, std::slice::from_ref(&document)));
}

//! The README and the handbook, tried: the first webhook as it is written there, the calls of the API, the configurations,
//! and the handbook as the daemon serves it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::json;

use crate::certificates::Authority;
use crate::daemon::{Daemon, Home, hookswitch, run};
use crate::documents::{self, Document, call, commands};
use crate::receiver::Receiver;

fn readme() -> Document {
    let found = documents::all().into_iter().find(|document| document.path == "README.md");
    found.expect("README.md")
}

/// The shell script in `document` that contains `what`.
fn script(document: &Document, what: &str) -> String {
    let found = document.in_language("sh").find(|text| text.contains(what));
    found.unwrap_or_else(|| panic!("no script with `{what}` in {}", document.path)).to_owned()
}

#[test]
fn the_first_webhook_of_the_readme() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    let readme = readme();
    let mut tried = 0;
    for words in commands(&script(&readme, "hookswitch send")) {
        let [name, verb, ..] = words.as_slice() else { panic!("{words:?}") };
        // The first of these is this test's daemon, the second its receiver.
        if name == "export" || verb == "serve" || verb == "listen" {
            continue;
        }
        assert_eq!(name, "hookswitch", "{words:?}");
        let mut command = hookswitch();
        command.args(words[1..].iter().map(|word| word.replace("http://127.0.0.1:8080/hook", &receiver.url("/hook"))));
        command.env("HOOKSWITCH_URL", format!("http://{}", daemon.address));
        command.env("HOOKSWITCH_DATA_DIR", daemon.home().data());
        let exit = run(command).expect(0);
        match verb.as_str() {
            "test" => assert!(exit.stdout.contains("200"), "{exit:?}"),
            "send" => {
                drop(receiver.wait_until("the event", |all| {
                    all.iter().any(|one| one.header("hookswitch-sequence") == Some("1"))
                }));
            }
            "log" => assert!(exit.stdout.contains("call.missed"), "{exit:?}"),
            _ => {}
        }
        if verb == "send" {
            daemon.wait_for_list("/v1/log", 1);
        }
        tried += 1;
    }
    assert_eq!(tried, 4, "commands of the README");
}

#[test]
fn the_first_webhook_over_http() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    let script = script(&readme(), "/v1/subscriptions").replace("https://www.example.com/hook", &receiver.url("/hook"));
    let mut last = None;
    for words in commands(&script).iter().filter(|words| words[0] == "curl") {
        let answer = ask(&daemon, words);
        if words.iter().any(|word| word.ends_with("/v1/events")) {
            assert_eq!(receiver.wait_for(1)[0].webhook_id(), answer["id"], "{answer}");
            daemon.wait_for_list("/v1/log", 1);
        }
        last = Some(answer);
    }
    let log = last.expect("commands of curl");
    assert_eq!(log["entries"][0]["status"], "delivered", "{log}");
}

/// Does what a command line of `curl` does; fails unless it succeeds.
#[track_caller]
fn ask(daemon: &Daemon, words: &[String]) -> serde_json::Value {
    let call = call(words);
    let headers: Vec<_> = call.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let (token, others): (Vec<_>, Vec<_>) = headers.iter().partition(|(name, _)| *name == "authorization");
    assert!(token.iter().all(|(_, value)| *value == "Bearer $TOKEN"), "{words:?}");
    let body = call.body.unwrap_or_default();
    let reply = daemon.api().request(&call.method, &call.path, &others, body.as_bytes()).expect_success();
    if reply.header("content-type").is_some_and(|kind| kind.starts_with("application/json")) {
        reply.json()
    } else {
        json!(reply.text())
    }
}

#[test]
fn every_call_of_the_handbook_succeeds() {
    let daemon = Daemon::start();
    let mut tried = 0;
    for document in documents::all().iter().filter(|document| document.path != "README.md") {
        for words in document.in_language("sh").flat_map(commands).filter(|words| words[0] == "curl") {
            ask(&daemon, &words);
            tried += 1;
        }
    }
    assert!(tried >= 5, "{tried} calls were found");
}

/// The configuration with its files below `directory`.
fn placed(text: &str, directory: &Path) -> String {
    text.replace("/etc/hookswitch/", &format!("{}/", directory.display()))
}

#[test]
fn every_configuration_of_the_handbook_is_valid() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    let certificate = Authority::new().issue(&["localhost"]);
    std::fs::write(file("tls.crt"), &certificate.cert).unwrap();
    std::fs::write(file("tls.key"), &certificate.key).unwrap();
    std::fs::write(file("logo.svg"), "<svg xmlns=\"http://www.w3.org/2000/svg\"/>").unwrap();
    std::fs::write(file("oidc.secret"), "SECRET\n").unwrap();
    std::fs::write(file("store.url"), "postgresql://hookswitch@db.example/hookswitch\n").unwrap();
    let mut tried = 0;
    for document in documents::all() {
        for text in document.in_language("toml") {
            let config = file("config.toml");
            std::fs::write(&config, placed(text, directory.path())).unwrap();
            let mut check = hookswitch();
            check.arg("check-config").arg(&config);
            // What one example leaves to another.
            if text.contains("engine = \"postgres\"") && !text.contains("url") {
                check.env("HOOKSWITCH_STORE__URL_FILE", file("store.url"));
            }
            let exit = run(check);
            assert!(exit.status.success(), "{}:\n{text}\n{exit:?}", document.path);
            tried += 1;
        }
    }
    assert!(tried >= 5, "{tried} configurations were found");
}

/// The values of the attribute `name` in HTML.
fn values(html: &str, name: &str) -> Vec<String> {
    let marked = format!(" {name}=\"");
    html.split(&marked).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

#[test]
fn the_handbook_is_served_to_everybody_and_its_links_lead_somewhere() {
    let daemon = Home::new().start();
    let stranger = crate::client::Client::new(daemon.address, None);
    let chapter = |path: &str| {
        let reply = stranger.get(path).expect(200);
        let policy = reply.header("content-security-policy").unwrap_or_default();
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        let html = reply.text();
        assert!(!html.contains(" style="), "{path}: a style in the text, which its policy does not allow");
        html
    };
    let mut pages = BTreeMap::new();
    let mut open = BTreeSet::from(["/docs".to_owned()]);
    let mut wanted: Vec<(String, String, String)> = Vec::new();
    while let Some(path) = open.pop_first() {
        let html = chapter(&path);
        for link in values(&html, "href") {
            let (target, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if target.is_empty() { &path } else { target };
            if target.starts_with("/docs") {
                wanted.push((path.clone(), target.to_owned(), anchor.to_owned()));
                if !pages.contains_key(target) && *target != path {
                    open.insert(target.to_owned());
                }
            } else if target.starts_with("/assets/") {
                stranger.get(target).expect(200);
            } else {
                assert!(target.starts_with("https://") || target == "/webhooks", "{path}: {link}");
            }
        }
        pages.insert(path, html);
    }
    assert!(pages.len() > 8, "{:?}", pages.keys());
    for (from, target, anchor) in wanted.iter() {
        let html = pages.get(target).unwrap_or_else(|| panic!("{from} links to {target}, which is not there"));
        let known = anchor.is_empty() || values(html, "id").contains(anchor);
        assert!(known, "{from} links to {target}#{anchor}, which is no heading");
    }
    stranger.get("/docs/nothing").expect(404);
}

#[test]
fn a_chapter_is_compressed_and_not_sent_twice() {
    let daemon = Daemon::start();
    let stranger = crate::client::Client::new(daemon.address, None);
    let plain = stranger.get("/docs/secure").expect(200);
    let packed = stranger.request("GET", "/docs/secure", &[("accept-encoding", "gzip")], b"").expect(200);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let length =
        |reply: &crate::client::Reply| reply.header("content-length").and_then(|text| text.parse::<usize>().ok());
    assert!(length(&packed) < length(&plain).map(|plain| plain / 2), "{packed:?}");
    let tag = packed.header("etag").expect("an ETag").to_owned();
    let again = [("accept-encoding", "gzip"), ("if-none-match", tag.as_str())];
    stranger.request("GET", "/docs/secure", &again, b"").expect(304);
    assert_ne!(plain.header("etag"), Some(tag.as_str()));
}

//! `/v1/stats` and its uses with many webhooks: page by page, and together.

use serde_json::{Value, json};

use crate::client::Client;
use crate::daemon::{Daemon, hookswitch, items, run};
use crate::engine::has_directory;
use crate::page::Browser;
use crate::wait::eventually;

const COMPANIES: [&str; 3] = ["acme", "globex", "initech"];
/// More than a page contains.
const MANY: usize = 510;

/// That many webhooks, of three companies, one of each disabled; nothing listens at their URLs.
fn many(daemon: &Daemon) {
    std::thread::scope(|scope| {
        for company in COMPANIES {
            scope.spawn(move || {
                let api = Client::new(daemon.address, Some(daemon.home().token()));
                for n in 0..MANY / COMPANIES.len() {
                    let url = format!("http://127.0.0.1:9/{company}/{n}");
                    let body = json!({"company": company, "url": url, "events": ["*"], "enabled": n > 0});
                    api.post("/v1/subscriptions", &body).expect(201);
                }
            });
        }
    });
}

/// All pages, starting at `path`.
fn pages(api: &Client, path: &str) -> Vec<Value> {
    let mut pages = vec![api.get(path).expect(200).json()];
    while let Some(next) = pages[pages.len() - 1]["next"].as_str() {
        let sign = if path.contains('?') { '&' } else { '?' };
        pages.push(api.get(&format!("{path}{sign}cursor={next}")).expect(200).json());
    }
    pages
}

fn ids(pages: &[Value]) -> Vec<String> {
    let all = pages.iter().flat_map(|page| page["subscriptions"].as_array().expect("a list"));
    all.map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn with_many_webhooks_stats_come_in_pages() {
    let daemon = Daemon::start();
    many(&daemon);
    let api = daemon.api();
    let mut wanted = Vec::new();
    let mut path = "/v1/subscriptions?limit=200".to_owned();
    loop {
        let reply = api.get(&path).expect(200);
        wanted.extend(items(&reply).iter().map(|one| one["id"].as_str().unwrap().to_owned()));
        let Some(next) = reply.json()["next"].as_str().map(str::to_owned) else { break };
        path = format!("/v1/subscriptions?limit=200&cursor={next}");
    }
    assert_eq!(wanted.len(), MANY);
    let first = api.get("/v1/stats").expect(200).json();
    assert_eq!(first["subscriptions"].as_array().unwrap().len(), 500, "a page, unless another number is asked for");
    for (path, count) in [("/v1/stats", 2), ("/v1/stats?limit=50", 11), ("/v1/stats?limit=499", 2)] {
        let pages = pages(api, path);
        assert_eq!((pages.len(), ids(&pages)), (count, wanted.clone()), "{path}");
        for page in &pages {
            assert_eq!(page["queue"], first["queue"], "whole on each page");
            assert!(
                page["senders"]["threads"].is_u64() && page["disk"]["low"].is_boolean() == has_directory(),
                "{page}"
            );
        }
    }

    let of_company = pages(api, "/v1/stats?company=globex&limit=100");
    let subscriptions = of_company.iter().flat_map(|page| page["subscriptions"].as_array().unwrap());
    assert!(subscriptions.clone().all(|one| one["company"] == "globex"));
    assert_eq!((subscriptions.count(), of_company.len()), (MANY / 3, 2));
    assert!(of_company[0]["queue"].is_object(), "what is counted over all is there");
    let token = api.post("/v1/tokens", &json!({"role": "read", "company": "acme"})).expect(201).json();
    let bound = Client::new(daemon.address, Some(token["token"].as_str().unwrap().to_owned()));
    let own = pages(&bound, "/v1/stats?limit=100");
    assert_eq!(ids(&own).len(), MANY / 3);
    assert!(own[0].get("queue").is_none() && own[0].get("senders").is_none(), "{}", own[0]);
    bound.get("/v1/stats?company=globex").expect_problem(&[403]);

    for bad in ["limit=0", "limit=501", "cursor=x", "state=down"] {
        api.get(&format!("/v1/stats?{bad}")).expect_problem(&[422]);
    }
    let other = api.get("/v1/subscriptions?limit=1").expect(200).json()["next"].as_str().unwrap().to_owned();
    api.get(&format!("/v1/stats?cursor={other}")).expect_problem(&[422]);
    // The subscription at the end of a page may be deleted.
    let page = api.get("/v1/stats?limit=5").expect(200).json();
    api.delete(&format!("/v1/subscriptions/{}", wanted[4])).expect(204);
    let next = page["next"].as_str().unwrap();
    let page = api.get(&format!("/v1/stats?limit=1&cursor={next}")).expect(200).json();
    assert_eq!(page["subscriptions"][0]["id"], wanted[5]);
}

#[test]
fn with_many_webhooks_the_command_line_and_the_page_show_all() {
    let daemon = Daemon::start();
    many(&daemon);
    let status = |more: &[&str]| {
        let mut command = hookswitch();
        command.args(["status", "--url", &format!("http://{}", daemon.address)]).args(more);
        command.env("HOOKSWITCH_TOKEN", daemon.home().token());
        run(command).expect(0)
    };
    let whole = status(&["--json"]).json();
    assert_eq!((ids(std::slice::from_ref(&whole)).len(), &whole["next"]), (MANY, &Value::Null));
    assert!(whole["version"].is_string() && whole["senders"]["threads"].is_u64(), "the figures are there");
    let text = status(&[]).stdout;
    let lines = text.lines().filter(|line| line.starts_with("sub_"));
    let (paused, rows): (Vec<&str>, Vec<&str>) =
        lines.partition(|line| line.ends_with(" is disabled: disabled by hand"));
    assert_eq!((rows.len(), paused.len()), (MANY, COMPANIES.len()), "{text}");

    eventually("all webhooks to be counted in /metrics", || {
        let text = daemon.api().get("/metrics").expect(200).text();
        let count = |state: &str, count: usize| {
            text.contains(&format!("hookswitch_subscriptions{{state=\"{state}\"}} {count}\n"))
        };
        if count("ok", MANY - COMPANIES.len()) && count("disabled", COMPANIES.len()) { Ok(()) } else { Err(text) }
    });

    let browser = Browser::signed_in(&daemon);
    let row = "data-label=\"In progress\"";
    let first = browser.get("/status").expect(200).text();
    assert_eq!(first.matches(row).count(), 500);
    let (_, link) = first.split_once("href=\"/status?cursor=").expect("a way on");
    let (cursor, _) = link.split_once('"').unwrap();
    let second = browser.get(&format!("/status?cursor={cursor}")).expect(200).text();
    assert_eq!((second.matches(row).count(), second.contains("Show more")), (MANY - 500, false));
    let mut listed = 0;
    for number in 1..=MANY.div_ceil(50) {
        let page = browser.get(&format!("/webhooks?page={number}")).expect(200).text();
        listed += page.matches("data-label=\"Last response\"").count();
        let next = format!("href=\"/webhooks?page={}&", number + 1);
        assert_eq!(page.contains(&next), listed < MANY, "page {number}");
    }
    assert_eq!(listed, MANY);
    assert_eq!(browser.get("/status").expect(200).text().contains("Free disk space"), has_directory());
    assert_eq!(text.contains("MiB to stay free"), has_directory(), "{text}");
    let of_company = browser.get("/status?company=globex").expect(200).text();
    assert_eq!(of_company.matches("data-label=\"In progress\"").count(), MANY / 3);
}

#[test]
fn a_daemon_that_is_alone_shows_itself() {
    let daemon = Daemon::start();
    let cluster = daemon.api().get("/v1/cluster").expect(200).json();
    let engine = if has_directory() { "embedded" } else { "postgres" };
    assert_eq!((&cluster["engine"], &cluster["shards"]), (&json!(engine), &json!(256)), "{cluster}");
    let its = cluster["daemons"].as_array().unwrap();
    let name = its[0]["name"].as_str().unwrap();
    assert!(its.len() == 1 && name.ends_with(&format!("/{}", daemon.pid())), "{cluster}");
    assert_eq!((&its[0]["alive"], &its[0]["shards"], &its[0]["this"]), (&json!(true), &json!(256), &json!(true)));
    let bound = daemon.api().post("/v1/tokens", &json!({"role": "admin", "company": "acme"})).expect(201).json();
    let client = Client::new(daemon.address, bound["token"].as_str().map(str::to_owned));
    client.get("/v1/cluster").expect_problem(&[403]);
}

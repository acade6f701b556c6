//! Sessions of the page: they outlive the daemon, are listed and ended, and end with their token.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Client;
use crate::daemon::{Daemon, Home};
use crate::page::Browser;
use crate::postgres::{cluster, home, until};

fn token(daemon: &Daemon, role: &str, company: Option<&str>) -> Value {
    daemon.api().post("/v1/tokens", &json!({"role": role, "company": company})).expect(201).json()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

#[test]
fn a_session_survives_a_restart_and_a_kill_and_not_its_end() {
    let daemon = Daemon::start();
    let (one, other) = (Browser::signed_in(&daemon), Browser::signed_in(&daemon));
    let (home, exit) = daemon.stop();
    exit.expect(0);
    let daemon = home.start();
    let renamed = |browser: &Browser, daemon: &Daemon| browser.at(daemon).renamed(daemon);
    renamed(&one, &daemon).get("/webhooks").expect(200);
    let home = daemon.kill();
    let daemon = home.start();
    let (one, other) = (renamed(&one, &daemon), renamed(&other, &daemon));
    one.get("/webhooks").expect(200);
    other.get("/v1/subscriptions").expect(200);
    one.post("/sign-out", &json!({})).expect(303);
    let daemon = daemon.kill().start();
    assert_eq!(renamed(&one, &daemon).get("/webhooks").expect(303).header("location"), Some("/sign-in"));
    renamed(&other, &daemon).get("/webhooks").expect(200);
}

#[test]
fn sessions_are_listed_and_ended_by_admins_each_of_their_company() {
    let daemon = Daemon::start();
    let (acme, other) = (token(&daemon, "admin", Some("acme")), token(&daemon, "read", Some("other")));
    let mine = Browser::signed_in(&daemon);
    let of_acme = Browser::signed_in_with(&daemon, text(&acme["token"]));
    let of_other = Browser::signed_in_with(&daemon, text(&other["token"]));
    let all = mine.get("/v1/sessions").expect(200).json();
    let seen: Vec<_> = all["items"].as_array().unwrap().iter().map(|one| [&one["company"], &one["current"]]).collect();
    assert_eq!(json!(seen), json!([[null, true], ["acme", false], ["other", false]]));
    assert_eq!(all["items"][1]["token"], acme["id"]);
    assert_eq!((&all["items"][1]["kind"], &all["items"][2]["role"]), (&json!("token"), &json!("read")));
    assert!(!all.to_string().contains("hsk_"), "{all}");
    let bound = Client::new(daemon.address, Some(text(&acme["token"]).to_owned()));
    let own = bound.get("/v1/sessions").expect(200).json();
    assert_eq!(own["items"].as_array().map(Vec::len), Some(1), "{own}");
    let id = |at: usize| format!("/v1/sessions/{}", text(&all["items"][at]["id"]));
    let unseen = bound.delete(&id(2)).expect_problem(&[404]);
    assert_eq!(unseen, bound.delete("/v1/sessions/ses_01ARZ3NDEKTSV4RRFFQ69G5FAV").expect_problem(&[404]));
    bound.get("/v1/sessions?company=other").expect_problem(&[403]);
    of_other.get("/webhooks").expect(200);
    daemon.api().delete(&id(2)).expect(204);
    of_other.get("/webhooks").expect(303);
    of_acme.get("/webhooks").expect(200);
    daemon.api().delete(&format!("/v1/tokens/{}", text(&acme["id"]))).expect(204);
    of_acme.get("/v1/subscriptions").expect_problem(&[401]);
    assert_eq!(daemon.list("/v1/sessions").len(), 1, "those that ended are not listed");
}

#[test]
fn a_session_ends_by_itself() {
    let daemon = Home::new().set("page.session_idle", "\"60s\"").set("page.session_longest", "\"90s\"").start();
    let browser = Browser::signed_in(&daemon);
    let ends = browser.get("/v1/sessions").expect(200).json()["items"][0].clone();
    let at = |name: &str| hookswitch::core::time::Timestamp::parse(text(&ends[name])).unwrap();
    assert_eq!(at("ends_at").since(at("last_used_at")), Duration::from_secs(60), "{ends}");
}

#[test]
fn several_daemons_know_the_same_sessions() {
    let Some(cluster) = cluster() else { return };
    let home = home(&cluster, "hooks");
    let daemons = [home.clone().start(), home.start()];
    let browser = Browser::signed_in(&daemons[0]);
    let opened = Instant::now();
    until("the other knows the session", || (browser.at(&daemons[1]).get("/webhooks").status == 200).then_some(()));
    assert!(opened.elapsed() < Duration::from_secs(2), "{:?}", opened.elapsed());
    // A link works once, whoever is asked.
    let made = daemons[0].api().post("/v1/portal-links", &json!({"company": "acme"})).expect(201).json();
    let mut visitor = Browser::open(&daemons[1]);
    visitor.open_link(text(&made["url"])).expect(200);
    Browser::open(&daemons[0]).open_link(text(&made["url"])).expect_problem(&[403]);
    until("the first knows the visitor", || (visitor.at(&daemons[0]).get("/webhooks").status == 200).then_some(()));
    browser.at(&daemons[1]).post("/sign-out", &json!({})).expect(303);
    until("the first knows of the end", || (browser.get("/webhooks").status == 303).then_some(()));
    daemons[0].api().delete(&format!("/v1/portal-links/{}", text(&made["id"]))).expect(204);
    until("the other knows of the revocation", || (visitor.get("/webhooks").status == 303).then_some(()));
}

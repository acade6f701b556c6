//! Access: nothing without a token except health.

use serde_json::json;

use crate::client::Client;
use crate::daemon::Daemon;
use crate::engine::has_directory;
use crate::platform::event;

#[test]
fn every_call_but_health_needs_the_token() {
    let daemon = Daemon::start();
    let token = daemon.home().token();
    let without = Client::new(daemon.address, None);
    let unknown = Client::new(daemon.address, Some(format!("{}x", &token[..token.len() - 1])));
    let longer = Client::new(daemon.address, Some(format!("{token}x")));
    let body = event("call.new", "c1");
    for client in [&without, &unknown, &longer] {
        for path in ["/v1/events", "/v1/subscriptions", "/v1/log", "/v1/deliveries", "/v1/event-types", "/v1/nothing"] {
            let reply = client.get(path);
            assert!(reply.header("www-authenticate").is_some(), "no challenge: {reply:?}");
            reply.expect_problem(&[401]);
        }
        client.post("/v1/events", &body).expect_problem(&[401]);
        client.post("/v1/test", &json!({"url": "http://127.0.0.1:1/"})).expect_problem(&[401]);
        client.post("/v1/subscriptions", &json!({})).expect_problem(&[401]);
        client.get("/healthz").expect_success();
        client.get("/readyz").expect_success();
    }
    assert_eq!(daemon.list("/v1/events").len(), 0);
}

#[test]
fn the_token_counts_only_where_it_belongs() {
    let daemon = Daemon::start();
    let token = daemon.home().token();
    let client = Client::new(daemon.address, None);
    let basic = format!("Basic {token}");
    let bare = token.clone();
    for value in [basic.as_str(), bare.as_str(), "Bearer", "Bearer ", ""] {
        client.request("GET", "/v1/events", &[("authorization", value)], b"").expect_problem(&[401]);
    }
    client.get(&format!("/v1/events?token={token}")).expect_problem(&[401]);
    let lower = format!("bearer {token}");
    client.request("GET", "/v1/events", &[("authorization", &lower)], b"").expect(200);
}

#[cfg(unix)]
#[test]
fn the_token_is_kept_in_a_private_file_and_shown_once() {
    use std::os::unix::fs::PermissionsExt as _;
    let daemon = Daemon::start();
    if has_directory() {
        let file = daemon.home().data().join("admin.token");
        let mode = std::fs::metadata(&file).expect("the token file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{mode:o}");
    }
    let token = daemon.home().token();
    assert!(token.len() >= 32, "a token of {} characters can be guessed", token.len());
    let (home, first) = daemon.stop();
    assert!(first.stdout.contains(&token), "the first start shows the token: {first:?}");
    let daemon = home.start();
    assert_eq!(home.token(), token, "the token stays");
    daemon.api().get("/v1/events").expect(200);
    assert!(!daemon.stdout().contains(&token), "shown again: {}", daemon.stdout());
}

#[test]
fn the_description_of_the_api_is_open_to_everybody() {
    let daemon = Daemon::start();
    let reply = Client::new(daemon.address, None).get("/openapi.json").expect(200);
    let document = reply.json();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")), "{document}");
    assert_eq!(document["paths"]["/v1/events"]["post"]["x-roles"], json!(["ingest", "admin"]));
    let head = Client::new(daemon.address, None).request("POST", "/openapi.json", &[], b"").expect(405);
    assert_eq!(head.header("allow"), Some("GET, HEAD"));
}

//! Subscriptions over the API: members, refusals, write-only values, and secrets.

use serde_json::{Value, json};

use crate::daemon::{Daemon, Home};
use crate::platform::event;
use crate::receiver::Receiver;

#[test]
fn a_subscription_is_created_shown_changed_and_deleted() {
    let daemon = Daemon::start();
    let body = json!({"company": "acme", "domain": "www.acme.example", "sources": ["widget", "ilr"],
        "url": "http://127.0.0.1:9/hook", "format": "form", "layout": "flat", "events": ["call.new", "call.missed"],
        "description": "the CRM", "timeout_ms": 4000, "max_in_flight": 3, "rate_per_second": 50, "ordering": "none",
        "expire_after": {"call.new": "10m"}});
    let reply = daemon.api().post("/v1/subscriptions", &body).expect(201);
    let created = reply.json();
    let id = created["id"].as_str().unwrap_or_default().to_owned();
    assert!(id.starts_with("sub_"), "{created}");
    for name in [
        "company",
        "domain",
        "url",
        "format",
        "layout",
        "description",
        "timeout_ms",
        "max_in_flight",
        "rate_per_second",
        "ordering",
        "expire_after",
    ] {
        assert_eq!(created[name], body[name], "{name} of {created}");
    }
    let mut sources: Vec<_> = created["sources"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    sources.sort_unstable();
    assert_eq!(sources, ["lead_connect", "widget"], "{created}");
    assert_eq!((&created["enabled"], &created["waiting"]), (&json!(true), &json!(0)), "{created}");
    let path = format!("/v1/subscriptions/{id}");
    assert_eq!(daemon.api().get(&path).expect(200).json(), created);
    assert_eq!(daemon.list("/v1/subscriptions"), std::slice::from_ref(&created));

    let change = json!({"url": "http://127.0.0.1:9/other", "events": ["*"], "format": "json", "domain": null});
    let changed = daemon.api().patch(&path, &change).expect(200).json();
    for name in ["url", "events", "format", "domain"] {
        assert_eq!(changed[name], change[name], "{name} of {changed}");
    }
    for name in ["layout", "description", "timeout_ms", "created_at", "id"] {
        assert_eq!(changed[name], created[name], "{name} of {changed}");
    }
    let daemon = daemon.kill().start();
    assert_eq!(daemon.api().get(&path).expect(200).json(), changed, "after a restart");
    daemon.api().delete(&path).expect(204);
    daemon.api().get(&path).expect_problem(&[404]);
    assert_eq!(daemon.list("/v1/subscriptions").len(), 0);
}

#[test]
fn missing_members_have_their_defaults() {
    let daemon = Daemon::start();
    let created = daemon.subscribe("http://127.0.0.1:9/", json!({}));
    let seen = daemon.api().get(&created.path()).expect(200).json();
    let wanted = json!({"format": "json", "layout": "envelope", "ordering": "call", "enabled": true, "domain": null,
        "sources": [], "events": ["*"], "disabled_reason": null});
    for (name, value) in wanted.as_object().unwrap() {
        assert_eq!(&seen[name], value, "{name} of {seen}");
    }
}

#[test]
fn invalid_members_are_refused_by_name() {
    let daemon = Daemon::start();
    let good = json!({"company": "acme", "url": "http://127.0.0.1:9/", "events": ["*"]});
    let cases = [
        ("/company", json!({"company": 3})),
        ("/url", json!({"url": "ftp://127.0.0.1/"})),
        ("/url", json!({"url": "/hook"})),
        ("/url", json!({"url": "http://"})),
        ("/url", json!({"url": "http://user:pass@127.0.0.1:9/"})),
        ("/url", json!({"url": 5})),
        ("/events", json!({"events": []})),
        ("/events", json!({"events": "call.new"})),
        ("/events/0", json!({"events": ["call.exploded"]})),
        ("/format", json!({"format": "xml"})),
        ("/layout", json!({"layout": "round"})),
        ("/ordering", json!({"ordering": "alphabetical"})),
        ("/sources/0", json!({"sources": ["fax"]})),
        ("/timeout_ms", json!({"timeout_ms": 0})),
        ("/timeout_ms", json!({"timeout_ms": "5s"})),
        ("/max_in_flight", json!({"max_in_flight": -1})),
        ("/enabled", json!({"enabled": "yes"})),
        ("/headers/Host", json!({"headers": {"Host": "evil.example"}})),
        ("/headers/Content-Length", json!({"headers": {"Content-Length": "0"}})),
        ("/headers/X-A", json!({"headers": {"X-A": "a\r\nX-B: b"}})),
        ("/headers/webhook-signature", json!({"headers": {"webhook-signature": "v1,x"}})),
        ("/expire_after/call.new", json!({"expire_after": {"call.new": "soon"}})),
        ("/colour", json!({"colour": "red"})),
        ("/id", json!({"id": "sub_01JDBZ0000000000000000000A"})),
    ];
    let mut wrong = Vec::new();
    for (pointer, change) in &cases {
        let mut body = good.clone();
        body.as_object_mut().unwrap().extend(change.as_object().cloned().unwrap());
        let reply = daemon.api().post("/v1/subscriptions", &body);
        let seen = format!("{reply:?}");
        let named = |problem: &Value| {
            problem["errors"].as_array().is_some_and(|all| {
                all.iter().any(|error| error["pointer"].as_str().is_some_and(|at| at.starts_with(pointer)))
            })
        };
        if reply.status != 422 || !named(&reply.expect_problem(&[422])) {
            wrong.push(format!("{change}: expected 422 at {pointer}, came {seen}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for name in ["company", "url", "events"] {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(name);
        let problem = daemon.api().post("/v1/subscriptions", &body).expect_problem(&[422]);
        assert!(problem["errors"].to_string().contains(name), "{problem}");
    }
    assert_eq!(daemon.list("/v1/subscriptions").len(), 0);
    let created = daemon.subscribe("http://127.0.0.1:9/", json!({}));
    let before = daemon.api().get(&created.path()).expect(200).json();
    for (_, change) in cases.iter().filter(|(pointer, _)| *pointer != "/company") {
        daemon.api().patch(&created.path(), change).expect_problem(&[422]);
    }
    daemon.api().patch(&created.path(), &json!({"company": "globex"})).expect_problem(&[422]);
    assert_eq!(daemon.api().get(&created.path()).expect(200).json(), before);
}

#[test]
fn header_values_are_sent_and_never_shown() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    let value = "Basic aHVudGVyMg==";
    let subscription =
        daemon.subscribe(&receiver.url("/"), json!({"headers": {"X-Api-Key": value, "X-Plain": "p1a1n-v4lue"}}));
    daemon.accept(&event("call.new", "c1"));
    let request = receiver.wait_for(1)[0].clone();
    assert_eq!(request.header("x-api-key"), Some(value));
    let entry = daemon.wait_for_list("/v1/log", 1)[0]["id"].as_str().unwrap_or_default().to_owned();
    let probe = daemon.api().post(&format!("{}/test", subscription.path()), &json!({})).expect(200);
    let mut shown = vec![probe.text()];
    let probed = daemon.wait_for_list("/v1/log?test=true", 1)[0]["id"].as_str().unwrap_or_default().to_owned();
    let log = [format!("/v1/log/{entry}"), format!("/v1/log/{probed}"), "/v1/log".to_owned()];
    for path in log.iter().map(String::as_str).chain([
        "/v1/subscriptions",
        &subscription.path(),
        "/v1/events",
        "/v1/deliveries",
    ]) {
        shown.push(daemon.api().get(path).expect(200).text());
    }
    shown.push(daemon.api().patch(&subscription.path(), &json!({"description": "x"})).expect(200).text());
    for text in &shown {
        for secret in [value, "p1a1n-v4lue", &subscription.secret] {
            assert!(!text.contains(secret), "{secret} is shown: {text}");
        }
    }
    assert!(shown[1].to_lowercase().contains("x-api-key"), "the names are shown: {}", shown[1]);
    // A change of another member leaves them unchanged.
    daemon.accept(&event("call.new", "c2"));
    let requests = receiver.wait_for(3);
    assert_eq!(requests[2].header("x-api-key"), Some(value));
}

#[test]
fn after_a_rotation_both_secrets_sign() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    let subscription = daemon.subscribe(&receiver.url("/"), json!({}));
    let bytes = subscription.secret.strip_prefix("whsec_").map(str::len);
    assert_eq!(bytes, Some(44), "`whsec_` and the base64 of 32 bytes");
    let rotated =
        daemon.api().post(&format!("{}/rotate-secret", subscription.path()), &json!({})).expect_success().json();
    let new = rotated["secret"].as_str().unwrap_or_default().to_owned();
    assert_ne!(new, subscription.secret, "{rotated}");
    let shown = daemon.api().get(&format!("{}/secret", subscription.path())).expect(200).json();
    assert_eq!(shown["secret"], new.as_str());
    let daemon = daemon.kill().start();
    daemon.accept(&event("call.new", "c1"));
    let request = receiver.wait_for(1)[0].clone();
    assert_eq!(request.signatures(), 2, "{request:?}");
    assert!(request.is_signed_with(&new), "by the new secret");
    assert!(request.is_signed_with(&subscription.secret), "by the old one, for the overlap");
    let stranger = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    assert!(!request.is_signed_with(stranger), "by any secret");
    daemon.api().get("/v1/subscriptions").expect(200);
}

#[test]
fn a_secret_may_be_given_at_creation_and_at_rotation_and_a_wrong_one_is_refused_by_name() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    let [first, second] = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_b3RoZXIgc2VjcmV0IG9mIHRoaXMgcmVjZWl2ZXI="];
    let subscription = daemon.subscribe(&receiver.url("/"), json!({"secret": first}));
    let rotate = format!("{}/rotate-secret", subscription.path());
    let body = |secret: &str| json!({"company": "acme", "url": receiver.url("/"), "events": ["*"], "secret": secret});
    for wrong in [" ", first.trim_start_matches("whsec_"), "whsec_c2hvcnQ=", "whsec_%%%%", &format!("{first}\n")] {
        let refusals = [
            daemon.api().post("/v1/subscriptions", &body(wrong)),
            daemon.api().post(&rotate, &json!({"secret": wrong})),
            daemon.api().post("/v1/test", &json!({"url": receiver.url("/"), "secret": wrong})),
        ];
        for refusal in refusals {
            let problem = refusal.expect_problem(&[422]);
            assert_eq!(problem["errors"][0]["pointer"], "/secret", "{problem}");
            assert!(wrong.trim().is_empty() || !problem.to_string().contains(&wrong[6..]), "{wrong}: {problem}");
        }
    }
    let problem = daemon.api().patch(&subscription.path(), &json!({"secret": second})).expect_problem(&[422]);
    assert!(problem.to_string().contains("rotate-secret"), "{problem}");
    let problem = daemon.api().post(&rotate, &json!({"secret": subscription.secret})).expect_problem(&[422]);
    assert!(problem.to_string().contains("has already"), "{problem}");
    let rotated = daemon.api().post(&rotate, &json!({"secret": second})).expect_success().json();
    assert_eq!(rotated["secret"], second);
    daemon.accept(&event("call.new", "c1"));
    let request = receiver.wait_for(1)[0].clone();
    assert!(request.is_signed_with(first) && request.is_signed_with(second), "both, for the overlap: {request:?}");
}

/// Every refusal of a denied address names the configuration line.
#[track_caller]
fn check_names_the_line(text: &str) {
    assert!(text.contains("[network]") && text.contains("allow"), "which line would allow it: {text}");
}

#[test]
fn a_denied_address_is_refused_with_the_line_that_would_allow_it() {
    let daemon = Home::new().without_allow().start();
    let ours = daemon.address.port();
    let urls = [
        "http://127.0.0.1:9/",
        "http://localhost:9/",
        "http://[::1]:9/",
        "http://10.1.2.3/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:127.0.0.1]/",
        "http://0.0.0.0:9/",
    ];
    for url in urls {
        let body = json!({"company": "acme", "url": url, "events": ["*"]});
        let problem = daemon.api().post("/v1/subscriptions", &body).expect_problem(&[422]);
        assert_eq!(problem["errors"][0]["pointer"], "/url", "{url}: {problem}");
        check_names_the_line(problem["errors"][0]["detail"].as_str().unwrap_or_default());
    }
    let tested = daemon.api().post("/v1/test", &json!({"url": format!("http://127.0.0.1:{ours}/healthz")}));
    assert!(matches!(tested.status, 200 | 422), "{tested:?}");
    check_names_the_line(&tested.text());
    assert_eq!(daemon.list("/v1/subscriptions").len(), 0);
}

#[test]
fn an_address_that_is_no_longer_allowed_is_not_connected_to() {
    let home = Home::new();
    let daemon = home.start();
    let receiver = Receiver::willing();
    daemon.subscribe(&receiver.url("/"), json!({}));
    let (home, exit) = daemon.stop();
    exit.expect(0);
    let daemon = home.without_allow().start();
    daemon.accept(&event("call.new", "c1"));
    let entries = crate::wait::eventually("an attempt in the log", || {
        let entries = daemon.list("/v1/log");
        if entries.is_empty() { Err("nothing".to_owned()) } else { Ok(entries) }
    });
    let id = entries[0]["id"].as_str().unwrap_or_default();
    check_names_the_line(&daemon.api().get(&format!("/v1/log/{id}")).expect(200).text());
    assert_eq!(receiver.requests().len(), 0);
}

#[test]
fn a_webhook_is_copied_to_other_domains_with_all_that_it_has() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    let settings =
        json!({"company": "acme", "domain": "www.acme.example", "headers": {"X-Key": "k-1"}, "format": "form"});
    let original = daemon.subscribe(&receiver.url("/"), settings);
    let post = |domain: &str| {
        let event = json!({"type": "call.new", "company": "acme", "domain": domain, "source": "widget", "data": {"call_id": domain}});
        daemon.accept(&event)["deliveries"].clone()
    };
    assert_eq!(post("shop.acme.example"), 0);
    let path = format!("/v1/subscriptions/{}/copy", original.id);
    let copy = |domains: Value| daemon.api().post(&path, &json!({"domains": domains}));
    let copied = copy(json!(["shop.acme.example", "shpo.acme.example"])).expect(201).json();
    assert_eq!(copied["unseen"], json!(["shpo.acme.example"]), "a name that never posted is told");
    assert_eq!(
        (&copied["items"][0]["domain"], &copied["items"][0]["format"]),
        (&json!("shop.acme.example"), &json!("form"))
    );
    assert_eq!(post("shop.acme.example"), 1);
    let sent = receiver.wait_for(1)[0].clone();
    assert!(sent.is_signed_with(&original.secret), "with the same secret, which the receiver knows");
    assert_eq!(sent.header("x-key"), Some("k-1"));
    let refused = copy(json!(["new.acme.example", "shop.acme.example"])).expect_problem(&[409]);
    assert!(refused["detail"].as_str().unwrap().contains("`shop.acme.example` has a webhook"), "{refused}");
    assert_eq!(daemon.list("/v1/subscriptions").len(), 3, "none of them was made");
    for (domains, pointer) in [(json!([]), "/domains"), (json!([""]), "/domains/0"), (json!("a"), "/domains")] {
        let refused = copy(domains).expect_problem(&[422]);
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
    }
    daemon
        .api()
        .post("/v1/subscriptions/sub_01ARZ3NDEKTSV4RRFFQ69G5FAV/copy", &json!({"domains": ["a"]}))
        .expect_problem(&[404]);
}

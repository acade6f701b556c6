//! What a webhook says about its target: templates, presets, filters, the rule of success, and signing in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::daemon::{Daemon, Home};
use crate::platform::{EVENT_TYPES, event};
use crate::receiver::{Answer, Received, Receiver};
use crate::stand_ins;
use crate::wait::eventually;

/// Waits, disabled, for missed calls, with settings of every kind about its target.
pub(crate) fn subscribe_with_all(daemon: &Daemon, receiver: &Receiver) {
    let settings = json!({"events": ["call.missed"], "enabled": false, "signature": "v1a", "success": "2xx_3xx",
        "template": r#"{"who": "{{ data.lead_name }}"}"#, "filter": "data.lead_phone is startingwith '+1'",
        "auth": {"type": "bearer", "token": "kept"}});
    daemon.subscribe(&receiver.url("/all"), settings);
}

/// What waited for it is delivered by all of them, also in another store.
pub(crate) fn check_with_all(daemon: &Daemon, receiver: &Receiver) {
    let all = daemon.list("/v1/subscriptions");
    let shown = all.iter().find(|one| one["url"] == receiver.url("/all")).unwrap();
    let path = format!("/v1/subscriptions/{}", shown["id"].as_str().unwrap());
    let owed = daemon.api().get(&format!("{path}/events?from=1")).expect(200).json();
    daemon.api().patch(&path, &json!({"enabled": true})).expect(200);
    let arrived = receiver.wait_until("what waited", |all| all.iter().any(|one| one.path == "/all"));
    let request = arrived.iter().find(|one| one.path == "/all").unwrap();
    assert_eq!(
        (request.text().as_str(), &owed["items"][0]["body"]),
        (r#"{"who": "Ada Example"}"#, &json!(request.text()))
    );
    assert_eq!(request.header("authorization"), Some("Bearer kept"));
    let key = shown["public_keys"][0].as_str().unwrap();
    assert!(crate::standards::believes(key, request), "signed by the same key");
}

/// The newest entry of the log with its request and response.
fn newest(daemon: &Daemon, query: &str) -> Value {
    let entries = daemon.api().get(&format!("/v1/log?{query}")).expect(200).json();
    let id = entries["entries"][0]["id"].as_str().unwrap_or_else(|| panic!("no entry: {entries}")).to_owned();
    daemon.api().get(&format!("/v1/log/{id}")).expect(200).json()
}

#[test]
fn a_template_makes_the_body_and_the_log_keeps_what_was_sent() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    let template = r#"{"text": "From {{ data.lead_name }}", "n": {{ data.n }}, "kind": {{ type }}}"#;
    let made = daemon.subscribe(&receiver.url("/t"), json!({"template": template}));
    let mut posted = event("call.missed", "c1");
    posted["data"]["lead_name"] = json!("Ann \"<Lee>\"\n");
    let text = posted.to_string().replacen(r#""call_id""#, r#""n":1.50,"call_id""#, 1);
    daemon.api().request("POST", "/v1/events", &[("content-type", "application/json")], text.as_bytes()).expect(202);
    let request = &receiver.wait_for(1)[0];
    let wanted = r#"{"text": "From Ann \"<Lee>\"\n", "n": 1.50, "kind": "call.missed"}"#;
    assert_eq!(request.text(), wanted);
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert!(request.is_signed_with(&made.secret), "over the bytes of the template");

    let path = made.path();
    let changed =
        json!({"template": "sales={{ data.lead_name }}", "content_type": "application/x-www-form-urlencoded"});
    let shown = daemon.api().patch(&path, &changed).expect(200).json();
    assert_eq!((&shown["template"], &shown["content_type"]), (&changed["template"], &changed["content_type"]));
    daemon.wait_for_list("/v1/deliveries?state=delivered", 1);
    let entry = newest(&daemon, "call=c1");
    assert_eq!(entry["request"]["body"], wanted, "also after the template was changed");

    let daemon = daemon.kill().start();
    daemon.accept(&event("call.new", "c2"));
    let requests = receiver.wait_until("the second", |all| all.iter().any(|one| one.text().starts_with("sales=")));
    let last = requests.last().unwrap();
    assert_eq!(
        (last.text().as_str(), last.header("content-type")),
        ("sales=Ada+Example", Some("application/x-www-form-urlencoded"))
    );
    let probe = daemon.api().post(&format!("{path}/test"), &json!({"event": "call.new"})).expect(200).json();
    assert_eq!(probe["request"]["body"], "sales=Dana+Whitfield", "{probe}");
    let again = daemon.api().get(&format!("{path}/events?from=1")).expect(200).json();
    assert_eq!(again["items"][1]["body"], "sales=Ada+Example");
    assert_eq!(daemon.api().patch(&path, &json!({"template": null})).expect(200).json()["content_type"], Value::Null);
}

#[test]
fn a_replay_sends_what_the_present_template_makes_with_the_original_ids() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    let made = daemon.subscribe(&receiver.url("/t"), json!({"template": r#"{"old": {{ data.lead_name }}}"#}));
    let accepted = ["c1", "c2"].map(|call| daemon.accept(&event("call.missed", call))["id"].clone());
    receiver.wait_for(2);
    daemon.wait_for_list("/v1/deliveries?state=delivered", 2);
    let changed = json!({"template": r#"{"new": {{ data.call_id }}}"#, "filter": "data.call_id == 'c3'"});
    daemon.api().patch(&made.path(), &changed).expect(200);
    let since = json!({"since": "2020-01-01T00:00:00Z"});
    let queued = daemon.api().post(&format!("{}/replay", made.path()), &since).expect(202).json();
    assert_eq!(queued, json!({"queued": 2}), "a filter decides at acceptance only");
    let requests = receiver.wait_for(4);
    let again: Vec<_> = requests[2..].iter().map(|one| (json!(one.webhook_id()), one.text())).collect();
    for (id, wanted) in accepted.iter().zip([r#"{"new": "c1"}"#, r#"{"new": "c2"}"#]) {
        assert!(again.contains(&(id.clone(), wanted.to_owned())), "{again:?}");
    }
    assert!(requests.iter().all(|one| one.is_signed_with(&made.secret)));
    let entry = eventually("the log to show it", || {
        let entry = daemon.api().get("/v1/log?call=c1&limit=1").expect(200).json()["entries"][0].clone();
        if entry["replay"] == true { Ok(entry) } else { Err(entry.to_string()) }
    });
    let shown = daemon.api().get(&format!("/v1/log/{}", entry["id"].as_str().unwrap())).expect(200).json();
    assert_eq!(shown["request"]["body"], r#"{"new": "c1"}"#);
}

#[test]
fn a_template_that_fails_is_a_failed_attempt_and_no_event_is_lost_to_it() {
    let home = Home::new().set("retry.initial_delay", "\"200ms\"").set("retry.multiplier", "1");
    let daemon = home.start();
    let receiver = Receiver::willing();
    let made = daemon.subscribe(
        &receiver.url("/t"),
        json!({"template": r#"{"n": {{ data.lead_name|int(1) if data.bad is undefined else data.bad|int }}}"#}),
    );
    let other = daemon.subscribe(&receiver.url("/other"), json!({}));
    let mut posted = event("call.new", "c1");
    posted["data"]["bad"] = json!("no number");
    daemon.accept(&posted);
    receiver.wait_until("the other one", |all| all.iter().any(|one| one.path == "/other"));
    let path = made.path();
    let failed = eventually("a failed attempt", || {
        let entries = daemon.api().get(&format!("/v1/log?subscription={}", made.id)).expect(200).json();
        let entry = entries["entries"][0].clone();
        if entry["attempt"].as_u64() >= Some(2) { Ok(entry) } else { Err(entries.to_string()) }
    });
    assert_eq!(
        (&failed["error"], &failed["response"], &failed["status"]),
        (&json!("template_failed"), &Value::Null, &json!("retrying"))
    );
    let shown = daemon.api().get(&format!("/v1/log/{}", failed["id"].as_str().unwrap())).expect(200).json();
    let message = shown["message"].as_str().unwrap();
    assert!(message.contains("line 1") && message.contains("not a whole number"), "{message}");
    assert!(!message.contains("no number"), "it shows nothing of the event: {message}");
    let owed = daemon.api().get(&format!("{path}/events?from=1")).expect(200).json();
    assert!(owed["items"][0]["error"].as_str().unwrap().contains("template"), "{owed}");
    assert!(receiver.requests_to("/t").is_empty());
    daemon.api().patch(&path, &json!({"template": "{{ data.bad }}"})).expect(200);
    let sent = receiver.wait_until("the event", |all| all.iter().any(|one| one.path == "/t"));
    assert_eq!(sent.iter().find(|one| one.path == "/t").unwrap().text(), r#""no number""#);
    drop(other);
}

#[test]
fn templates_and_filters_are_checked_when_they_are_saved() {
    let daemon = Daemon::start();
    let good = json!({"company": "acme", "url": "http://127.0.0.1:9/", "events": ["call.missed", "call.new"]});
    for (members, pointer, words) in [
        (json!({"template": "{\n{{ data.x }"}), "/template", "line 2: syntax error"),
        (json!({"template": "{\"a\": {{ data.lead_name }}"}), "/template", "not JSON"),
        (json!({"template": "{{ dta.x }}"}), "/template", "names `dta`"),
        (
            json!({"template": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"}),
            "/template",
            "too much work",
        ),
        (
            json!({"template": "{% for a in range(90) %}{{ 'x' * 9999 }}{% endfor %}", "content_type": "text/plain"}),
            "/template",
            "256 KiB",
        ),
        (json!({"template": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"}), "/template", "line 1"),
        (
            json!({"template": "{{ data.lead_name|duration }}", "content_type": "text/plain", "events": ["call.new"]}),
            "/template",
            "number of seconds",
        ),
        (json!({"template": "{{ data|nope }}"}), "/template", "no filter `nope`"),
        (json!({"template": "x".repeat(40_000)}), "/template", "at most 32768 bytes"),
        (json!({"template": "{{ data }}", "preset": "slack"}), "/template", "together"),
        (json!({"template": "{{ data }}", "content_type": "json"}), "/content_type", "media type"),
        (json!({"content_type": "text/plain"}), "/content_type", "`template`"),
        (json!({"preset": "slak"}), "/preset", "must be one of `slack`"),
        (json!({"preset": "salesforce_web_to_lead"}), "/url", "`oid=`"),
        (json!({"filter": "data.department = 'x'"}), "/filter", "no expression"),
        (json!({"filter": "department == 'x'"}), "/filter", "no name `department`"),
        (
            json!({"filter": "data.retry_attempts / data.retry_attempts > 1", "events": ["call.missed"]}),
            "/filter",
            "divides by zero",
        ),
        (json!({"filter": "data.lead_phone > 7"}), "/filter", "compares text with a number"),
        (json!({"success": "3xx"}), "/success", "must be one of"),
        (json!({"success_body": {"contains": ""}}), "/success_body/contains", "1 to 500"),
        (json!({"auth": {"type": "basic", "username": "a"}}), "/auth/password", "is missing"),
        (
            json!({"auth": {"type": "bearer", "token": "t"}, "headers": {"authorization": "x"}}),
            "/auth",
            "Authorization",
        ),
        (
            json!({"auth": {"type": "oauth2_client_credentials", "token_url": "http://169.254.169.254/", "client_id": "a", "client_secret": "b"}}),
            "/auth/token_url",
            "169.254.169.254",
        ),
    ] {
        let mut body = good.clone();
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let problem = daemon.api().post("/v1/subscriptions", &body).expect_problem(&[422]);
        let error = &problem["errors"][0];
        assert_eq!(error["pointer"], pointer, "{members}: {problem}");
        assert!(error["detail"].as_str().unwrap().contains(words), "{members}: {problem}");
    }
    assert!(daemon.list("/v1/subscriptions").is_empty());
    let made = daemon.subscribe("http://127.0.0.1:9/", json!({}));
    let problem = daemon.api().patch(&made.path(), &json!({"template": "{{ data|nope }}"})).expect_problem(&[422]);
    assert_eq!(problem["errors"][0]["pointer"], "/template");
}

#[test]
fn a_preview_shows_every_event_and_stores_nothing() {
    let daemon = Daemon::start();
    let settings =
        json!({"template": "{{ data.lead_name|upper }}", "content_type": "text/plain", "filter": "data.lead_name"});
    let preview = daemon.api().post("/v1/preview", &json!({"settings": settings})).expect(200).json();
    let items = preview["items"].as_array().unwrap();
    assert_eq!(items.iter().map(|one| one["event"].as_str().unwrap()).collect::<Vec<_>>(), EVENT_TYPES);
    assert_eq!((&items[0]["body"], &items[0]["passes"]), (&json!("DANA WHITFIELD"), &json!(true)));
    assert_eq!((&items[2]["body"], &items[2]["passes"]), (&json!(""), &json!(false)));
    let broken = json!({"settings": {"template": "\n{{ x }"}, "event": "call.new"});
    let broken = daemon.api().post("/v1/preview", &broken).expect(200).json();
    assert_eq!((broken["items"].as_array().unwrap().len(), &broken["items"][0]["error"]["line"]), (1, &json!(2)));
    for preset in daemon.api().get("/v1/presets").expect(200).json()["items"].as_array().unwrap() {
        let shown =
            daemon.api().post("/v1/preview", &json!({"settings": {"preset": preset["name"]}})).expect(200).json();
        assert!(shown["items"].as_array().unwrap().iter().all(|one| one["error"].is_null()), "{preset}: {shown}");
    }
    daemon.api().post("/v1/preview", &json!({"settings": {"filter": "x"}})).expect_problem(&[422]);
    daemon.api().post("/v1/preview", &json!({"event": "no"})).expect_problem(&[422]);
    assert!(daemon.list("/v1/subscriptions").is_empty());
}

/// A service of a preset, which answers as the real one does.
fn service(preset: &'static str) -> Receiver {
    Receiver::start(move |request: &Received| {
        let content_type = request.header("content-type").unwrap_or_default();
        let answered = stand_ins::service(preset, content_type, request.body());
        let answer = Answer::status(answered.status).body(answered.body);
        match answered.location {
            Some(location) => answer.header("location", location),
            None => answer,
        }
    })
}

#[test]
fn each_preset_delivers_every_event_to_its_service() {
    let daemon = Daemon::start();
    let presets = daemon.api().get("/v1/presets").expect(200).json();
    let presets: Vec<String> =
        presets["items"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(presets.len(), 9);
    let services: Vec<(Receiver, String)> = presets
        .iter()
        .map(|preset| {
            let receiver = service(preset.clone().leak());
            let url = receiver.url("/hook?oid=00D1");
            let made = daemon.subscribe(&url, json!({"preset": preset, "rate_per_second": 1000}));
            let shown = daemon.api().get(&made.path()).expect(200).json();
            assert_eq!(shown["success"], if preset == "google_sheets" { "2xx_3xx" } else { "2xx" });
            let probe = daemon
                .api()
                .post(&format!("{}/test", made.path()), &json!({"event": "call.missed"}))
                .expect(200)
                .json();
            assert_eq!(probe["working"], true, "{preset}: {probe}");
            (receiver, made.id)
        })
        .collect();
    for event_type in EVENT_TYPES {
        daemon.accept(&event(event_type, "c1"));
    }
    for (receiver, id) in &services {
        receiver.wait_for(1 + EVENT_TYPES.len());
        daemon.wait_for_list(&format!("/v1/deliveries?state=delivered&subscription={id}"), EVENT_TYPES.len());
    }
    let rated = daemon.subscribe("http://127.0.0.1:9/", json!({"preset": "slack", "enabled": false}));
    assert_eq!(daemon.api().get(&rated.path()).expect(200).json()["rate_per_second"], 1, "what Slack takes");
}

#[test]
fn a_filter_decides_what_is_owed_and_lets_through_what_it_cannot_decide() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    let filter = r#"data.department == "sales" and data.duration > 60"#;
    let made = daemon.subscribe(&receiver.url("/"), json!({"filter": filter}));
    for (call, data) in [
        ("kept", json!({"department": "sales", "duration": 61})),
        ("other", json!({"department": "support", "duration": 61})),
        ("short", json!({"department": "sales", "duration": 60})),
        ("missing", json!({})),
        ("wild", json!({"department": "sales", "duration": "61"})),
    ] {
        let mut posted = event("call.finished", call);
        posted["data"].as_object_mut().unwrap().extend(data.as_object().unwrap().clone());
        let answer = daemon.accept(&posted);
        assert_eq!(answer["deliveries"], u32::from(matches!(call, "kept" | "wild")), "{call}");
    }
    let requests = receiver.wait_for(2);
    let calls: Vec<String> = requests.iter().map(|request| request.call()).collect();
    assert_eq!(calls.iter().collect::<std::collections::BTreeSet<_>>().len(), 2, "{calls:?}");
    let sequences: Vec<u64> = requests.iter().map(|request| request.sequence()).collect();
    assert_eq!(sequences.iter().sum::<u64>(), 3, "those of what is owed, without gaps: {sequences:?}");
    let shown = daemon.api().get(&made.path()).expect(200).json();
    assert_eq!(shown["filter_failures"]["count"], 1, "{shown}");
    assert!(shown["filter_failures"]["last"].as_str().unwrap().contains("compares text with a number"), "{shown}");
    let daemon = daemon.kill().start();
    assert_eq!(daemon.api().get(&made.path()).expect(200).json()["filter"], filter);
    let changed = daemon.api().patch(&made.path(), &json!({"filter": null})).expect(200).json();
    assert_eq!((&changed["filter"], &changed["filter_failures"]), (&Value::Null, &Value::Null));
    assert_eq!(daemon.accept(&event("call.finished", "any"))["deliveries"], 1);
}

#[test]
fn the_rule_of_success_decides_by_status_and_body() {
    let home = Home::new().set("retry.initial_delay", "\"200ms\"").set("retry.multiplier", "1");
    let daemon = home.start();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let receiver = Receiver::start(move |request| match request.path.as_str() {
        "/moved" => Answer::status(302).header("location", "https://script.googleusercontent.com/macros/echo"),
        _ if counted.fetch_add(1, Ordering::Relaxed) == 0 => {
            Answer::status(200).body(r#"{"ok":false,"error":"hunter2"}"#)
        }
        _ => Answer::status(200).body(r#"{"ok":true}"#),
    });
    let moved = daemon.subscribe(&receiver.url("/moved"), json!({"success": "2xx_3xx"}));
    let rule = json!({"success_body": {"json_pointer": "/ok", "equals": true}});
    let body = daemon.subscribe(&receiver.url("/body"), rule.clone());
    assert_eq!(daemon.api().get(&body.path()).expect(200).json()["success_body"], rule["success_body"]);
    daemon.accept(&event("call.new", "c1"));
    daemon.wait_for_list("/v1/deliveries?state=delivered", 2);
    let entry = newest(&daemon, &format!("subscription={}", moved.id));
    assert_eq!((&entry["response"], &entry["status"]), (&json!(302), &json!("delivered")));
    assert!(entry["message"].as_str().unwrap().contains("counts as delivered"), "{entry}");
    let first = newest(&daemon, &format!("subscription={}&status=retrying", body.id));
    assert_eq!((&first["response"], &first["error"]), (&json!(200), &json!("unexpected_body")));
    let message = first["message"].as_str().unwrap();
    assert!(message.contains("has another value there") && !message.contains("hunter2"), "{message}");
    let probe = json!({"url": receiver.url("/body"), "success_body": {"contains": "nothing of it"}});
    let probe = daemon.api().post("/v1/test", &probe).expect(200).json();
    assert_eq!(
        (&probe["working"], &probe["error"], &probe["response"]),
        (&json!(false), &json!("unexpected_body"), &json!(200))
    );
}

/// A server of tokens: each one is new; the script may answer otherwise.
fn tokens(script: impl Fn(usize) -> Option<Answer> + Send + Sync + 'static) -> Receiver {
    Receiver::start(move |request| {
        let body =
            json!({"access_token": format!("token-{}", request.nth), "token_type": "Bearer", "expires_in": 3600});
        script(request.nth).unwrap_or_else(|| Answer::status(200).body(body.to_string()))
    })
}

fn oauth(server: &Receiver) -> Value {
    json!({"type": "oauth2_client_credentials", "token_url": server.url("/token"), "client_id": "me", "client_secret": "hunter2-oauth", "scope": "leads"})
}

#[test]
fn a_webhook_signs_in_and_its_secret_is_never_shown() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    let mut paths = Vec::new();
    for (path, auth, wanted) in [
        (
            "/basic",
            json!({"type": "basic", "username": "Aladdin", "password": "open sesame"}),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        ),
        ("/bearer", json!({"type": "bearer", "token": "hunter2-bearer"}), "Bearer hunter2-bearer"),
    ] {
        let made = daemon.subscribe(&receiver.url(path), json!({"auth": auth}));
        paths.push((path, made.path(), made.id, wanted));
    }
    daemon.accept(&event("call.new", "c1"));
    daemon.wait_for_list("/v1/deliveries?state=delivered", 2);
    let daemon = daemon.kill().start();
    for (path, own, id, wanted) in &paths {
        assert_eq!(receiver.requests_to(path)[0].header("authorization"), Some(*wanted));
        let shown = daemon.api().get(own).expect(200).text();
        let entry = newest(&daemon, &format!("subscription={id}"));
        let probe = daemon.api().post(&format!("{own}/test"), &json!({})).expect(200);
        let parsed = probe.json();
        assert_eq!(
            (&entry["request"]["headers"]["Authorization"], &parsed["request"]["headers"]["Authorization"]),
            (&Value::Null, &Value::Null)
        );
        assert!(parsed["curl"].as_str().unwrap().contains("${AUTHORIZATION}"), "{parsed}");
        for text in [shown, entry.to_string(), probe.text()] {
            assert!(!text.contains("hunter2") && !text.contains("sesame") && !text.contains("QWxhZGRpb"), "{text}");
        }
        let before = receiver.requests_to(path).len();
        assert_eq!(
            (before, receiver.requests_to(path)[1].header("authorization")),
            (2, Some(*wanted)),
            "the test signs in, too"
        );
    }
    let (_, own, ..) = &paths[0];
    let change = json!({"auth": {"type": "basic", "username": "Aladdin", "password": null}});
    daemon.api().patch(own, &change).expect(200);
    daemon.api().post(&format!("{own}/test"), &json!({})).expect(200);
    assert_eq!(receiver.requests_to("/basic")[2].header("authorization"), Some(paths[0].3), "it is kept");
    let other = json!({"auth": {"type": "basic", "username": "Other"}});
    daemon.api().patch(own, &other).expect_problem(&[422]);
    assert_eq!(daemon.api().patch(own, &json!({"auth": null})).expect(200).json()["auth"], Value::Null);
}

#[test]
fn a_token_is_fetched_once_and_anew_when_it_is_refused() {
    let home = Home::new().set("retry.initial_delay", "\"200ms\"");
    let daemon = home.start();
    let server = tokens(|_| None);
    // The second token is the first that is taken after the first was revoked.
    let receiver = Receiver::start(|request| match (request.path.as_str(), request.header("authorization")) {
        ("/", Some("Bearer token-0")) if request.nth < 3 => Answer::status(200),
        ("/", Some("Bearer token-1")) => Answer::status(200),
        _ => Answer::status(401),
    });
    let made = daemon.subscribe(&receiver.url("/"), json!({"auth": oauth(&server), "ordering": "call"}));
    for n in 0..3 {
        daemon.accept(&event("call.new", &format!("c{n}")));
        daemon.wait_for_list("/v1/deliveries?state=delivered", n + 1);
    }
    let asked = server.requests();
    assert_eq!(asked.len(), 1, "it is kept");
    assert_eq!(asked[0].text(), "grant_type=client_credentials&scope=leads");
    assert!(asked[0].header("authorization").unwrap().starts_with("Basic "));
    daemon.accept(&event("call.new", "c3"));
    daemon.wait_for_list("/v1/deliveries?state=delivered", 4);
    assert_eq!((server.requests().len(), receiver.requests().len()), (2, 5), "within the same attempt");
    let entry = newest(&daemon, "call=c3");
    assert_eq!(
        (&entry["attempt"], &entry["status"], &entry["request"]["headers"]["Authorization"]),
        (&json!(1), &json!("delivered"), &Value::Null)
    );

    let elsewhere = daemon.subscribe(&receiver.url("/closed"), json!({"auth": oauth(&server), "enabled": false}));
    let probe = daemon.api().post(&format!("{}/test", elsewhere.path()), &json!({})).expect(200).json();
    assert_eq!((&probe["response"], &probe["working"]), (&json!(401), &json!(false)));
    assert!(
        probe["message"].as_str().unwrap().contains("A token was fetched; it is this URL that refused it"),
        "{probe}"
    );
    drop(made);
}

#[test]
fn a_token_that_cannot_be_fetched_is_named_and_holds_up_nobody() {
    let home = Home::new().set("retry.initial_delay", "\"200ms\"").set("senders.timeout", "\"1s\"");
    let daemon = home.start();
    let receiver = Receiver::willing();
    let servers: Vec<(&str, Receiver)> = vec![
        ("something that is no JSON", tokens(|_| Some(Answer::status(200).body("<html>Sign in</html>")))),
        ("a redirect", tokens(|_| Some(Answer::status(302).header("location", "https://id.example/")))),
        ("`invalid_client`", tokens(|_| Some(Answer::status(401).body(r#"{"error":"invalid_client"}"#)))),
        ("answered 500", tokens(|_| Some(Answer::status(500)))),
        ("at the token URL", tokens(|_| Some(Answer::Hang))),
        ("at the token URL", tokens(|_| Some(Answer::Close))),
    ];
    let webhooks: Vec<_> = servers
        .iter()
        .map(|(words, server)| (*words, daemon.subscribe(&receiver.url("/never"), json!({"auth": oauth(server)}))))
        .collect();
    daemon.subscribe(&receiver.url("/free"), json!({}));
    daemon.accept(&event("call.new", "c1"));
    receiver.wait_until("the free one", |all| all.iter().any(|one| one.path == "/free"));
    for (words, webhook) in &webhooks {
        let entry = eventually("a failed attempt", || {
            let entries = daemon.api().get(&format!("/v1/log?subscription={}", webhook.id)).expect(200).json();
            let entry = entries["entries"][0].clone();
            if entry.is_object() { Ok(entry) } else { Err(entries.to_string()) }
        });
        assert_eq!((&entry["error"], &entry["response"]), (&json!("sign_in_failed"), &Value::Null), "{entry}");
        let whole = daemon.api().get(&format!("/v1/log/{}", entry["id"].as_str().unwrap())).expect(200).json();
        let message = whole["message"].as_str().unwrap();
        assert!(message.to_lowercase().contains("signing in failed") && message.contains(words), "{words}: {message}");
        assert!(message.contains("nothing was sent to the webhook's own URL"), "{message}");
    }
    assert!(receiver.requests_to("/never").is_empty());
    // A token that expires at once is used, and fetched again for the next.
    let brief = tokens(|nth| Some(Answer::status(200).body(format!(r#"{{"access_token":"t{nth}","expires_in":0}}"#))));
    daemon.subscribe(&receiver.url("/brief"), json!({"auth": oauth(&brief), "max_in_flight": 1}));
    daemon.accept(&event("call.new", "c2"));
    daemon.accept(&event("call.new", "c2"));
    let all = receiver.wait_until("both", |all| all.iter().filter(|one| one.path == "/brief").count() == 2);
    let used: Vec<_> =
        all.iter().filter(|one| one.path == "/brief").map(|one| one.header("authorization").unwrap()).collect();
    assert_eq!(used, ["Bearer t0", "Bearer t1"]);
}

#[test]
fn a_cloud_event_is_delivered_and_taken_by_another_hookswitch() {
    let (daemon, second) = (Daemon::start(), Daemon::start());
    let receiver = Receiver::willing();
    daemon.subscribe(&receiver.url("/"), json!({"layout": "cloudevents"}));
    daemon.accept(&event("call.missed", "c1"));
    let request = &receiver.wait_for(1)[0];
    assert_eq!(request.header("content-type"), Some("application/cloudevents+json"));
    let (document, headers) = (request.json(), [("content-type", "application/cloudevents+json")]);
    assert_eq!((&document["specversion"], &document["subject"]), (&json!("1.0"), &json!("c1")));
    second.api().request("POST", "/v1/events", &headers, request.body()).expect(202);
    let taken = &second.list("/v1/events")[0];
    for member in ["type", "company", "domain", "source", "data"] {
        assert_eq!(taken[member], daemon.list("/v1/events")[0][member], "{member}");
    }
    let form = json!({"company": "acme", "url": "http://127.0.0.1:9/", "events": ["*"], "layout": "cloudevents", "format": "form"});
    assert_eq!(daemon.api().post("/v1/subscriptions", &form).expect_problem(&[422])["errors"][0]["pointer"], "/layout");
}

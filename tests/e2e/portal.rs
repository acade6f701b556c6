//! Portal links: a platform lets the users of its companies in, each once and for their own company and domain alone.

use serde_json::{Value, json};

use crate::client::Client;
use crate::daemon::{Daemon, Home};
use crate::page::Browser;
use crate::platform::{event, with};
use crate::receiver::Receiver;

fn link(daemon: &Daemon, settings: &Value) -> Value {
    daemon.api().post("/v1/portal-links", settings).expect(201).json()
}

fn url(made: &Value) -> &str {
    made["url"].as_str().unwrap_or_else(|| panic!("no address: {made}"))
}

#[track_caller]
fn visitor(daemon: &Daemon, settings: &Value) -> Browser {
    let mut browser = Browser::open(daemon);
    browser.open_link(url(&link(daemon, settings))).expect(200);
    browser
}

#[track_caller]
fn refused(daemon: &Daemon, url: &str, words: &str) {
    let problem = Browser::open(daemon).open_link(url).expect_problem(&[403]);
    assert!(problem["detail"].as_str().unwrap().contains(words), "{problem}");
}

#[test]
fn a_link_works_once_and_every_other_use_is_refused_in_plain_words() {
    let daemon = Daemon::start();
    let made = link(&daemon, &json!({"company": "acme", "view": "logs", "user": "Dana", "language": "de"}));
    let address = url(&made);
    assert!(address.starts_with(&format!("http://{}/portal#hsl_", daemon.address)), "{address}");
    // What only looks at links does not use it up.
    let looked_at = Browser::open(&daemon).get("/portal").expect(200);
    assert!(looked_at.text().contains("/portal/portal.js"), "{looked_at:?}");
    let mut browser = Browser::open(&daemon);
    let entered = browser.open_link(address).expect(200);
    assert_eq!(entered.json(), json!({"then": "/logs"}));
    let cookie = entered.header("set-cookie").unwrap();
    assert!(cookie.contains("SameSite=Strict") && cookie.contains("HttpOnly"), "{cookie}");
    // The link's language, whatever the browser prefers; and no switch of it.
    let logs = browser.send("GET", "/logs", &[("accept-language", "es")], b"").expect(200).text();
    assert!(logs.contains("<html lang=\"de\">") && !logs.contains("action=\"/language\""), "{logs}");
    refused(&daemon, address, "already been used");
    let changed = address.replacen("#hsl_", "#hsl_A", 1);
    refused(&daemon, &changed, "not valid");
    let (front, _) = address.rsplit_once('.').unwrap();
    let other = if front.ends_with('A') { 'E' } else { 'A' };
    refused(&daemon, &format!("{}{other}.9999999999", &front[..front.len() - 1]), "not valid");
    refused(&daemon, &format!("{front}.1700000000"), "expired");
    // The page itself must send it, not a page of somebody else.
    let fresh = link(&daemon, &json!({"company": "acme"}));
    let body = json!({"link": url(&fresh).split_once('#').unwrap().1}).to_string();
    let api = Client::new(daemon.address, None);
    for origin in ["http://evil.example", "null"] {
        let headers = [("content-type", "application/json"), ("origin", origin), ("x-hookswitch-page", "1")];
        api.request("POST", "/portal", &headers, body.as_bytes()).expect_problem(&[403]);
    }
    api.request("POST", "/portal", &[("content-type", "application/json")], body.as_bytes()).expect_problem(&[403]);
    Browser::open(&daemon).open_link(url(&fresh)).expect(200);
    let sessions = daemon.list("/v1/sessions");
    let first = &sessions[0];
    assert_eq!((&first["kind"], &first["user"], &first["language"]), (&json!("portal"), &json!("Dana"), &json!("de")));
    assert_eq!(first["link"], made["id"]);
    assert!(!daemon.stdout().contains("hsl_"), "a link is in the daemon's messages");
}

#[test]
fn a_link_ends_with_its_token_and_its_session_with_the_link() {
    let daemon = Daemon::start();
    let platform = daemon.api().post("/v1/tokens", &json!({"role": "admin"})).expect(201).json();
    let client = Client::new(daemon.address, platform["token"].as_str().map(str::to_owned));
    let by_platform = || client.post("/v1/portal-links", &json!({"company": "acme"})).expect(201).json();
    let (mut one, mut other) = (Browser::open(&daemon), Browser::open(&daemon));
    let made = by_platform();
    one.open_link(url(&made)).expect(200);
    other.open_link(url(&by_platform())).expect(200);
    let unused = by_platform();
    client.delete(&format!("/v1/portal-links/{}", made["id"].as_str().unwrap())).expect(204);
    one.get("/v1/subscriptions").expect_problem(&[401]);
    other.get("/v1/subscriptions").expect(200);
    client.delete(&format!("/v1/portal-links/{}", made["id"].as_str().unwrap())).expect_problem(&[404]);
    daemon.api().delete(&format!("/v1/tokens/{}", platform["id"].as_str().unwrap())).expect(204);
    other.get("/v1/subscriptions").expect_problem(&[401]);
    refused(&daemon, url(&unused), "not valid");
    assert_eq!(daemon.list("/v1/sessions").len(), 0);
}

#[test]
fn bad_input_is_named_and_the_address_is_that_of_the_configuration() {
    let daemon = Home::new().set("page.url", "\"https://hooks.platform.example\"").start();
    let made = link(&daemon, &json!({"company": "acme", "expires_in": "30s"}));
    assert!(url(&made).starts_with("https://hooks.platform.example/portal#hsl_"), "{made}");
    let problem =
        daemon.api().post("/v1/portal-links", &json!({"role": "ingest", "view": "keys"})).expect_problem(&[422]);
    let pointers: Vec<&str> =
        problem["errors"].as_array().unwrap().iter().filter_map(|e| e["pointer"].as_str()).collect();
    assert_eq!(pointers, ["/role", "/view", "/company"], "{problem}");
    let bound = daemon.api().post("/v1/tokens", &json!({"role": "admin", "company": "acme"})).expect(201).json();
    let bound = Client::new(daemon.address, bound["token"].as_str().map(str::to_owned));
    bound.post("/v1/portal-links", &json!({"company": "other"})).expect_problem(&[403]);
    bound.post("/v1/portal-links", &json!({"company": "acme"})).expect(201);
}

#[test]
fn a_visitor_sees_what_a_company_needs_and_no_more() {
    let daemon = Daemon::start();
    let admin = visitor(&daemon, &json!({"company": "acme", "user": "Dana Whitfield"}));
    let page = admin.get("/webhooks").expect(200).text();
    for (shown, wanted) in [
        ("\"/logs", true),
        ("\"/calls", true),
        ("\"/report", true),
        ("Dana Whitfield", true),
        ("\"/keys", false),
        ("\"/status", false),
    ] {
        assert_eq!(page.contains(shown), wanted, "{shown}: {page}");
    }
    for path in ["/keys", "/status"] {
        admin.get(path).expect(404);
    }
    let made =
        admin.post("/v1/subscriptions", &json!({"company": "acme", "url": "http://127.0.0.1:9/", "events": ["*"]}));
    let id = made.expect(201).json()["id"].as_str().unwrap().to_owned();
    admin.get(&format!("/v1/subscriptions/{id}/secret")).expect(200);
    let reader = visitor(&daemon, &json!({"company": "acme", "role": "read"}));
    reader.get("/webhooks").expect(200);
    reader.get("/webhooks/new").expect(403);
    reader.get(&format!("/v1/subscriptions/{id}/secret")).expect_problem(&[403]);
    reader.send("DELETE", &format!("/v1/subscriptions/{id}"), &[], b"").expect_problem(&[403]);
    let foreign = visitor(&daemon, &json!({"company": "other"}));
    foreign.get(&format!("/v1/subscriptions/{id}")).expect_problem(&[404]);
    foreign.get(&format!("/webhooks/{id}")).expect(404);
    foreign.get("/webhooks?company=acme").expect(403);
}

#[test]
fn a_visitor_of_one_domain_sees_that_domain_alone() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    let (own, other) = ("www.acme.example", "shop.acme.example");
    let subscribe =
        |domain: Value| daemon.subscribe(&receiver.url("/"), json!({"company": "acme", "domain": domain})).id;
    let (mine, theirs, all) = (subscribe(json!(own)), subscribe(json!(other)), subscribe(Value::Null));
    let post = |call: &str, domain: &str| {
        let posted = with(with(event("call.new", call), "company", "acme"), "domain", domain);
        daemon.accept(&posted)["id"].as_str().unwrap().to_owned()
    };
    let (my_event, their_event) = (post("mine", own), post("theirs", other));
    receiver.wait_for(4);
    let log = daemon.wait_for_list("/v1/log", 4);
    let of = |list: &[Value], subscription: &str| {
        let found = list.iter().find(|one| one["subscription"] == subscription).unwrap_or_else(|| panic!("{list:?}"));
        found["id"].as_str().unwrap().to_owned()
    };
    let deliveries = daemon.list("/v1/deliveries");
    let browser = visitor(&daemon, &json!({"company": "acme", "domain": own}));
    let ids = |path: &str, member: &str| -> Vec<String> {
        let reply = browser.get(path).expect(200).json();
        let list = reply.get("entries").or_else(|| reply.get("items")).and_then(Value::as_array).cloned().unwrap();
        list.iter().map(|one| one[member].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(ids("/v1/subscriptions", "id"), [mine.as_str()]);
    assert_eq!(ids("/v1/events", "id"), [my_event.as_str()]);
    assert_eq!(ids("/v1/calls", "call"), ["mine"]);
    assert_eq!(ids("/v1/log", "subscription"), [mine.as_str()], "not what went to the webhook of all domains");
    assert_eq!(ids("/v1/deliveries", "subscription"), [mine.as_str()]);
    assert_eq!(ids("/v1/deliveries?state=delivered", "subscription"), [mine.as_str()]);
    let event = browser.get(&format!("/v1/events/{my_event}")).expect(200).json();
    assert_eq!(event["deliveries"].as_array().map(Vec::len), Some(1), "{event}");
    let call = browser.get("/v1/calls/mine").expect(200).json();
    assert_eq!(call["subscriptions"].as_array().map(Vec::len), Some(1), "{call}");
    assert_eq!(browser.get("/v1/report/calls").expect(200).json()["totals"]["calls"], 1);
    for path in [
        format!("/v1/subscriptions/{theirs}"),
        format!("/v1/subscriptions/{all}"),
        format!("/v1/subscriptions/{all}/secret"),
        format!("/v1/events/{their_event}"),
        "/v1/calls/theirs".to_owned(),
        format!("/v1/log/{}", of(&log, &theirs)),
        format!("/v1/log/{}", of(&log, &all)),
        format!("/v1/deliveries/{}", of(&deliveries, &theirs)),
        format!("/v1/deliveries/{}", of(&deliveries, &all)),
    ] {
        browser.get(&path).expect_problem(&[404]);
    }
    for path in ["/v1/subscriptions", "/v1/events", "/v1/calls", "/v1/log", "/v1/report/calls", "/v1/conversations"] {
        browser.get(&format!("{path}?domain={other}")).expect_problem(&[403]);
    }
    let retry = format!("/v1/deliveries/{}/retry", of(&deliveries, &all));
    browser.send("POST", &retry, &[], b"").expect_problem(&[404]);
    makes_of_its_domain(&browser, &receiver.url("/"), [&mine, &all], [own, other]);
}

/// Checks that what a visitor of the domain `own` makes is of that domain, and stays there.
#[track_caller]
fn makes_of_its_domain(browser: &Browser, url: &str, [mine, all]: [&str; 2], [own, other]: [&str; 2]) {
    let copy =
        |id: &str, domain: &str| browser.post(&format!("/v1/subscriptions/{id}/copy"), &json!({"domains": [domain]}));
    copy(mine, other).expect_problem(&[403]);
    copy(all, own).expect_problem(&[404]);
    let settings = |domain: Value| json!({"company": "acme", "url": url, "events": ["*"], "domain": domain});
    let made = browser.post("/v1/subscriptions", &settings(Value::Null)).expect(201).json();
    assert_eq!(made["domain"], own);
    browser.post("/v1/subscriptions", &settings(json!(other))).expect_problem(&[403]);
    let change = |domain: Value| {
        let path = format!("/v1/subscriptions/{}", made["id"].as_str().unwrap());
        browser.send(
            "PATCH",
            &path,
            &[("content-type", "application/json")],
            json!({"domain": domain}).to_string().as_bytes(),
        )
    };
    change(json!(other)).expect_problem(&[403]);
    assert_eq!(change(Value::Null).expect(200).json()["domain"], own);
}

#[test]
fn the_page_is_shown_in_frames_of_the_named_origins_alone() {
    let header = |reply: &crate::client::Reply, name: &str| reply.header(name).map(str::to_owned);
    let policy = |reply: &crate::client::Reply| header(reply, "content-security-policy").unwrap_or_default();
    let plain = Daemon::start();
    let visiting = visitor(&plain, &json!({"company": "acme"}));
    for path in ["/portal", "/webhooks", "/sign-in"] {
        let reply = visiting.get(path);
        assert!(policy(&reply).contains("frame-ancestors 'none'"), "{path}: {reply:?}");
        assert_eq!(header(&reply, "x-frame-options").as_deref(), Some("DENY"), "{path}");
    }
    let named = Home::new().set("page.frame_ancestors", "[\"https://app.platform.example\"]").start();
    let visiting = visitor(&named, &json!({"company": "acme"}));
    for path in ["/portal", "/webhooks", "/logs", "/webhooks/nothing"] {
        let reply = visiting.get(path);
        let found = policy(&reply);
        if path == "/webhooks/nothing" {
            continue;
        }
        assert!(found.ends_with("frame-ancestors https://app.platform.example"), "{path}: {found}");
        assert!(found.contains("default-src 'none'; script-src 'self'"), "{path}: {found}");
        assert_eq!(header(&reply, "x-frame-options"), None, "{path}");
    }
    // An operator's own page is framed by nobody.
    let operator = Browser::signed_in(&named);
    for (browser, path) in [(&operator, "/webhooks"), (&Browser::open(&named), "/sign-in")] {
        let reply = browser.get(path).expect(200);
        assert!(policy(&reply).contains("frame-ancestors 'none'"), "{path}: {reply:?}");
        assert_eq!(header(&reply, "x-frame-options").as_deref(), Some("DENY"), "{path}");
    }
    // In a frame the cookie is one of that frame, and who is signed out there is not asked for a token.
    let made = link(&named, &json!({"company": "acme"}));
    let body = json!({"link": url(&made).split_once('#').unwrap().1}).to_string();
    let headers = [("content-type", "application/json"), ("x-hookswitch-framed", "1")];
    let entered = Browser::open(&named).send("POST", "/portal", &headers, body.as_bytes()).expect(200);
    let cookie = entered.header("set-cookie").unwrap();
    for part in ["hookswitch_framed_", "SameSite=None", "Secure", "Partitioned", "HttpOnly"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let stranger = Browser::open(&named).send("GET", "/webhooks", &[("sec-fetch-dest", "iframe")], b"").expect(303);
    assert_eq!(stranger.header("location"), Some("/portal"));
}

#[test]
fn the_page_looks_like_the_platforms_own() {
    let home = Home::new();
    let logo = home.beside("logo.svg");
    std::fs::write(&logo, "<svg xmlns=\"http://www.w3.org/2000/svg\"/>").unwrap();
    let home = home
        .set("page.name", "\"Acme <Phone>\"")
        .set("page.logo", &format!("{:?}", logo.display().to_string()))
        .set("page.accent", "\"#ffcc00\"")
        .set("page.support_url", "\"https://help.platform.example/\"");
    let daemon = home.start();
    daemon.wait_for_saying("too little contrast");
    let browser = visitor(&daemon, &json!({"company": "acme"}));
    for path in ["/webhooks", "/portal"] {
        let page = browser.get(path).expect(200).text();
        assert!(page.contains("Acme &lt;Phone&gt;") && !page.contains("Hookswitch</"), "{page}");
    }
    let page = browser.get("/webhooks").expect(200).text();
    assert!(
        page.contains("https:&#x2f;&#x2f;help.platform.example") || page.contains("https://help.platform.example/"),
        "{page}"
    );
    let asset = |name: &str| {
        let at = page.find(name).unwrap_or_else(|| panic!("no {name} in {page}"));
        let from = page[..at].rfind('"').unwrap() + 1;
        browser.get(&page[from..at + name.len()]).expect(200)
    };
    assert_eq!(asset("/brand/logo").header("content-type"), Some("image/svg+xml"));
    assert!(asset("/brand/accent.css").text().contains("--accent:#"));
    let missing = Home::new().set("page.logo", "\"/nowhere/logo.png\"").refused_start();
    let said = missing.expect(78).stderr;
    assert!(said.contains("`logo` of [page], /nowhere/logo.png, cannot be read"), "{said}");
}

//! Signing in at a provider of OpenID Connect: who is let in and as what, everything that must not be taken for it, and how
//! such a session ends.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hookswitch::core::oidc::PendingSignIn;
use hookswitch::core::time::Timestamp;
use serde_json::{Value, json};

use crate::client::{Client, Reply};
use crate::daemon::{Daemon, Home, hookswitch, run};
use crate::postgres::{self, cluster, until};
use crate::provider::{CLIENT, Lie, Provider, SECRET};

const RULES: &str = r#"[{group = "ops", role = "admin"}, {group = "acme-staff", role = "read", company = "acme"}]"#;

fn configured(home: Home, provider: &Provider) -> Home {
    home.set("page.url", "\"https://hooks.example\"")
        .set("page.oidc.issuer", &format!("\"{}\"", provider.issuer()))
        .set("page.oidc.name", "\"Example Login\"")
        .set("page.oidc.client_id", &format!("\"{CLIENT}\""))
        .set("page.oidc.client_secret", &format!("\"{SECRET}\""))
        .set("page.oidc.allow", RULES)
}

fn daemon(provider: &Provider) -> Daemon {
    configured(Home::new(), provider).start()
}

fn admin() -> Value {
    json!({"sub": "u-1", "email": "dana@acme.example", "groups": ["staff", "ops"]})
}

/// A browser with a jar for its cookies.
struct Browser {
    client: Client,
    cookies: Vec<(String, String)>,
}

impl Browser {
    fn open(daemon: &Daemon) -> Self {
        Self { client: Client::new(daemon.address, None), cookies: Vec::new() }
    }

    /// The same browser, led to another daemon by a balancer.
    fn at(self, daemon: &Daemon) -> Self {
        Self { cookies: self.cookies, ..Self::open(daemon) }
    }

    fn get(&mut self, path: &str) -> Reply {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let reply = self.client.request("GET", path, &[("cookie", &cookies.join("; "))], b"");
        for set in reply.headers("set-cookie") {
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            if !set.contains("Max-Age=0") {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        reply
    }

    /// Leaves for the provider; returns where it was sent.
    fn leave(&mut self, path: &str) -> String {
        self.get(path).expect(303).header("location").unwrap().to_owned()
    }

    /// Leaves, signs in as `claims` say, and comes back.
    fn sign_in(&mut self, provider: &Provider, claims: Value) -> Reply {
        let sent = self.leave("/oidc/login");
        self.get(&provider.agreed(&sent, claims))
    }
}

/// Fails unless the reply says `what` on a page without a session.
#[track_caller]
fn refused(reply: Reply, status: u16, what: &str) {
    let reply = reply.expect(status);
    let text = reply.text();
    assert!(text.contains("You are not signed in") && text.contains(what), "no `{what}` in {text}");
    assert!(reply.headers("set-cookie").all(|set| !set.starts_with("hookswitch_session")), "{reply:?}");
}

#[test]
fn members_of_a_group_are_let_in_as_it_may_and_seen_by_their_names() {
    let provider = Provider::start();
    let daemon = daemon(&provider);
    let mut dana = Browser::open(&daemon);
    let form = dana.get("/sign-in?then=%2Flogs").expect(200).text();
    assert!(
        form.contains("Sign in with Example Login") && form.contains("&#x2f;oidc&#x2f;login?then=%2Flogs"),
        "{form}"
    );
    let sent = dana.leave("/oidc/login?then=%2Flogs%3Fcompany%3Dacme");
    let away = dana.get("/oidc/login").expect(303);
    let set = away.header("set-cookie").unwrap();
    for part in ["; Path=/oidc;", "HttpOnly", "SameSite=Lax", "Secure", "Max-Age=600"] {
        assert!(set.contains(part), "{set}");
    }
    // The second sign-in of this browser is the one that counts.
    refused(dana.get(&provider.agreed(&sent, admin())), 403, "was not begun in this browser");
    let sent = dana.leave("/oidc/login?then=%2Flogs%3Fcompany%3Dacme");
    let back = dana.get(&provider.agreed(&sent, admin())).expect(200);
    assert!(back.text().contains("url=&#x2f;logs?company=acme"), "{back:?}");
    let set: Vec<&str> = back.headers("set-cookie").collect();
    assert!(set[0].contains("SameSite=Strict; Secure") && set[1].contains("Max-Age=0"), "{set:?}");
    let page = dana.get("/keys").expect(200).text();
    assert!(page.contains("Signed in as") && page.contains("dana@acme.example"), "{page}");
    assert_eq!(dana.get("/oidc/login?then=%2Flogs").expect(303).header("location"), Some("/logs"));

    let mut reader = Browser::open(&daemon);
    let staff = json!({"sub": "u-2", "preferred_username": "eve", "groups": "acme-staff"});
    reader.sign_in(&provider, staff).expect(200);
    reader.get("/webhooks").expect(200);
    reader.get("/v1/tokens").expect_problem(&[403]);
    reader.get("/v1/subscriptions?company=other").expect_problem(&[403]);

    let sessions = daemon.list("/v1/sessions");
    let shown: Vec<_> =
        sessions.iter().map(|one| ["kind", "role", "company", "user", "group"].map(|name| &one[name])).collect();
    let wanted =
        json!([["oidc", "admin", null, "dana@acme.example", "ops"], ["oidc", "read", "acme", "eve", "acme-staff"]]);
    assert_eq!(json!(shown), wanted);
    assert_eq!(sessions[0]["issuer"], provider.issuer());
    let began = daemon.list("/v1/audit?action=session.begin");
    assert_eq!(
        (&began[1]["actor"]["name"], &began[1]["after"]["subject"]),
        (&json!("dana@acme.example"), &json!("u-1"))
    );
    assert_eq!(began[1]["actor"]["id"], sessions[0]["id"]);
    daemon.api().delete(&format!("/v1/sessions/{}", sessions[0]["id"].as_str().unwrap())).expect(204);
    dana.get("/webhooks").expect(303);
    reader.get("/webhooks").expect(200);
    let (_, exit) = daemon.stop();
    let said = exit.expect(0).stderr;
    assert!(provider.secrets().iter().all(|secret| !said.contains(secret.as_str())), "{said}");
}

#[test]
fn nobody_is_let_in_without_a_group_that_is_allowed() {
    let provider = Provider::start();
    let daemon = daemon(&provider);
    for groups in [json!(["staff"]), json!([]), json!("OPS"), json!({"ops": true}), json!(["ops "])] {
        let claims = json!({"sub": "u-3", "email": "mal@acme.example", "groups": groups});
        refused(Browser::open(&daemon).sign_in(&provider, claims), 403, "none of your groups may use this page");
    }
    refused(Browser::open(&daemon).sign_in(&provider, json!({"sub": "u-3"})), 403, "none of your groups");
    let refusals = daemon.list("/v1/audit?action=session.refuse");
    assert_eq!((refusals.len(), &refusals[5]["actor"]["name"]), (6, &json!("mal@acme.example")));
    assert_eq!(
        (&refusals[5]["after"]["subject"], &refusals[5]["actor"]["address"]),
        (&json!("u-3"), &json!("127.0.0.1"))
    );
    assert_eq!(daemon.list("/v1/sessions").len(), 0);
}

#[test]
fn a_sign_in_is_for_the_browser_that_began_it_and_works_once() {
    let provider = Provider::start();
    let daemon = daemon(&provider);
    provider.lie(Lie::CodesLast);
    let mut own = Browser::open(&daemon);
    let back = {
        let sent = own.leave("/oidc/login");
        provider.agreed(&sent, admin())
    };
    refused(Browser::open(&daemon).get(&back), 403, "was not begun in this browser");
    let mut other = Browser::open(&daemon);
    other.leave("/oidc/login");
    refused(other.get(&back), 403, "was not begun in this browser");
    let state = back.split("state=").nth(1).unwrap().split('&').next().unwrap();
    refused(own.get(&back.replace(state, "another")), 403, "was not begun in this browser");
    refused(own.get("/oidc/callback"), 403, "was not begun in this browser");
    let kept = own.cookies.clone();
    own.get(&back).expect(200);
    // Somebody who has kept the cookie, and a provider that takes the code again.
    let mut again = Browser { client: Client::new(daemon.address, None), cookies: kept };
    refused(again.get(&back), 403, "has been used already");
    assert_eq!(daemon.list("/v1/sessions").len(), 1);
    // Ending the session makes no difference.
    let ended = daemon.list("/v1/sessions")[0]["id"].as_str().unwrap().to_owned();
    daemon.api().delete(&format!("/v1/sessions/{ended}")).expect(204);
    let mut forged = Browser::open(&daemon);
    forged.cookies = again.cookies.clone();
    refused(forged.get(&back), 403, "was not begun in this browser");
}

#[test]
fn an_answer_that_is_not_the_providers_for_this_sign_in_is_not_accepted() {
    let provider = Provider::start();
    let daemon = daemon(&provider);
    let said = "could not be accepted";
    for lie in [Lie::Nonce, Lie::Signature, Lie::Unsigned, Lie::Future, Lie::Audience, Lie::Issuer, Lie::Key] {
        provider.lie(lie);
        let claims = json!({"sub": "u-4", "email": "mal@acme.example", "groups": ["ops"]});
        let reply = Browser::open(&daemon).sign_in(&provider, claims);
        assert!(reply.text().contains(said), "{lie:?}: {reply:?}");
        refused(reply, 403, said);
    }
    provider.lie(Lie::Expired);
    refused(Browser::open(&daemon).sign_in(&provider, admin()), 403, "had expired when it came");
    provider.lie(Lie::None);
    provider.tell_apart();
    provider.lie(Lie::Subject);
    refused(Browser::open(&daemon).sign_in(&provider, admin()), 403, said);
    let mut other_provider = Browser::open(&daemon);
    let sent = other_provider.leave("/oidc/login");
    let back = provider.agreed(&sent, admin()).replace("&iss=http", "&iss=https");
    refused(other_provider.get(&back), 403, said);
    refused(Browser::open(&daemon).sign_in(&provider, admin()), 429, "Too many sign-ins have failed");
    assert_eq!(daemon.list("/v1/sessions").len(), 0);
    let (_, exit) = daemon.stop();
    let messages = exit.expect(0).stderr;
    for why in ["nonce", "signature", "audience", "issuer", "expired", "the clocks of the provider"] {
        assert!(messages.to_lowercase().contains(why), "no {why}: {messages}");
    }
    assert!(provider.secrets().iter().all(|secret| !messages.contains(secret.as_str())), "{messages}");
}

#[test]
fn what_somebody_declines_or_a_late_browser_is_said_in_plain_words() {
    let provider = Provider::start();
    let daemon = daemon(&provider);
    let mut browser = Browser::open(&daemon);
    let sent = browser.leave("/oidc/login?then=https%3A%2F%2Fevil.example%2F");
    let state = sent.split("state=").nth(1).unwrap().split('&').next().unwrap();
    let back = format!("/oidc/callback?error=access_denied&error_description=%3Cb%3Eevil%3C%2Fb%3E&state={state}");
    let reply = browser.get(&back);
    assert!(!reply.text().contains("evil") && reply.text().contains("href=\"&#x2f;oidc&#x2f;login\""), "{reply:?}");
    refused(reply, 403, "Example Login did not sign you in");
    // A browser whose cookie has been stretched.
    let sent = browser.leave("/oidc/login");
    let cookie = browser.cookies.pop().unwrap();
    let until = cookie.1.split('.').next().unwrap().to_owned();
    let stretched = (until.parse::<u64>().unwrap() + 60_000).to_string();
    browser.cookies.push((cookie.0, cookie.1.replace(&until, &stretched)));
    refused(browser.get(&provider.agreed(&sent, admin())), 403, "was not begun in this browser");
    // One that comes back too late, and one that claims it has hours.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    for begun in [now - Duration::from_secs(601), now + Duration::from_secs(3_600)] {
        let begun = Timestamp::from_millis(u64::try_from(begun.as_millis()).unwrap());
        let pending = PendingSignIn::begin([7; 32], begun, "/webhooks");
        let mut late = Browser::open(&daemon);
        late.get("/oidc/login");
        late.cookies[0].1 = pending.cookie().to_owned();
        refused(late.get(&format!("/oidc/callback?code=c&state={}", pending.state())), 403, "more than ten minutes");
    }
    // Nothing but a path of the page follows.
    for then in ["https%3A%2F%2Fevil.example%2Fwebhooks", "%2F%2Fevil.example%2Fwebhooks", "%2Foidc%2Flogin"] {
        let mut browser = Browser::open(&daemon);
        let sent = browser.leave(&format!("/oidc/login?then={then}"));
        let text = browser.get(&provider.agreed(&sent, admin())).expect(200).text();
        assert!(text.contains("content=\"0; url=&#x2f;webhooks\""), "{text}");
    }
}

#[test]
fn a_provider_that_is_away_is_said_to_be_and_tokens_go_on_working() {
    let provider = Provider::start();
    let home = configured(Home::new(), &provider).set("senders.connect_timeout", "\"1s\"");
    let daemon = home.start();
    let mut browser = Browser::open(&daemon);
    let sent = browser.leave("/oidc/login");
    let back = provider.agreed(&sent, admin());
    let issuer = provider.issuer();
    drop(provider);
    let reply = browser.get(&back);
    assert!(reply.header("retry-after").is_some(), "{reply:?}");
    refused(reply, 503, "cannot be reached at the moment");
    let fresh = home.clone().set("http.listen", "\"127.0.0.1:0\"");
    let (_, exit) = daemon.stop();
    exit.expect(0);
    // It starts without its provider.
    let daemon = fresh.start();
    refused(Browser::open(&daemon).get("/oidc/login"), 503, "cannot be reached at the moment");
    let said = daemon.wait_for_saying("the provider of OpenID Connect: ");
    assert!(said.contains(&issuer), "{said}");
    crate::page::Browser::signed_in(&daemon).get("/webhooks").expect(200);
}

#[test]
fn keys_that_the_provider_changes_are_fetched_when_they_are_needed() {
    let provider = Provider::start();
    let daemon = daemon(&provider);
    Browser::open(&daemon).sign_in(&provider, admin()).expect(200);
    Browser::open(&daemon).sign_in(&provider, admin()).expect(200);
    assert_eq!(provider.asked_for_keys(), 1, "they are kept");
    provider.rotate();
    Browser::open(&daemon).sign_in(&provider, admin()).expect(200);
    assert_eq!(provider.asked_for_keys(), 2);
    // Keys that are nobody's do not have it asked again and again.
    provider.lie(Lie::Key);
    refused(Browser::open(&daemon).sign_in(&provider, admin()), 403, "could not be accepted");
    provider.lie(Lie::None);
    // What is not in the ID token is asked for.
    provider.tell_apart();
    Browser::open(&daemon).sign_in(&provider, admin()).expect(200);
    assert_eq!(daemon.list("/v1/sessions")[3]["user"], "dana@acme.example");
}

#[test]
fn a_session_ends_when_its_rule_is_no_longer_configured() {
    let provider = Provider::start();
    let home = configured(Home::new(), &provider);
    let renamed = |browser: &mut Browser, daemon: &Daemon| {
        for (name, _) in &mut browser.cookies {
            if crate::engine::has_directory() {
                *name = format!("hookswitch_session_{}", daemon.address.port());
            }
        }
    };
    let daemon = home.start();
    let (mut dana, mut eve) = (Browser::open(&daemon), Browser::open(&daemon));
    dana.sign_in(&provider, admin()).expect(200);
    eve.sign_in(&provider, json!({"sub": "u-2", "groups": ["acme-staff"]})).expect(200);
    let (_, exit) = daemon.stop();
    exit.expect(0);
    let fewer = home.clone().set("page.oidc.allow", r#"[{group = "acme-staff", role = "read", company = "acme"}]"#);
    let daemon = fewer.start();
    let (mut dana, mut eve) = (dana.at(&daemon), eve.at(&daemon));
    renamed(&mut dana, &daemon);
    renamed(&mut eve, &daemon);
    dana.get("/webhooks").expect(303);
    dana.get("/v1/subscriptions").expect_problem(&[401]);
    eve.get("/webhooks").expect(200);
    let listed = daemon.list("/v1/sessions");
    assert_eq!(json!(listed.iter().map(|one| &one["group"]).collect::<Vec<_>>()), json!(["acme-staff"]));
    let (_, exit) = daemon.stop();
    exit.expect(0);
    let without = Home::clone(&home)
        .without("page.oidc.allow")
        .without("page.oidc.issuer")
        .without("page.oidc.name")
        .without("page.oidc.client_id")
        .without("page.oidc.client_secret");
    let daemon = without.start();
    let mut eve = eve.at(&daemon);
    renamed(&mut eve, &daemon);
    eve.get("/webhooks").expect(303);
    eve.get("/oidc/login").expect_problem(&[404]);
    assert!(!eve.get("/sign-in").expect(200).text().contains("/oidc/login"));
}

#[test]
fn no_portal_link_is_made_in_a_session_without_a_token() {
    let provider = Provider::start();
    let daemon = daemon(&provider);
    let mut dana = Browser::open(&daemon);
    dana.sign_in(&provider, admin()).expect(200);
    let cookie = format!("{}={}", dana.cookies[0].0, dana.cookies[0].1);
    let headers = [
        ("cookie", cookie.as_str()),
        ("sec-fetch-site", "same-origin"),
        ("x-hookswitch-page", "1"),
        ("content-type", "application/json"),
    ];
    let post = |path: &str, body: &str| dana.client.request("POST", path, &headers, body.as_bytes());
    let refused = post("/v1/portal-links", r#"{"company":"acme"}"#).expect_problem(&[403]);
    assert!(refused["detail"].as_str().unwrap().contains("ends with the token that made it"), "{refused}");
    post("/v1/tokens", r#"{"role":"read","company":"acme"}"#).expect(201);
    let audit = daemon.list("/v1/audit?action=token.create");
    assert_eq!(audit[0]["actor"]["name"], "dana@acme.example");
    post("/sign-out", "").expect(303);
    assert_eq!(daemon.list("/v1/audit?action=session.end")[0]["actor"]["name"], "dana@acme.example");
}

#[test]
fn doctor_names_a_provider_that_does_not_answer_as_the_one_configured() {
    let provider = Provider::start();
    let renamed = Provider::named(Some("https://login.example"));
    let doctor = |provider: &Provider| {
        let home = configured(Home::new(), provider);
        home.write_config();
        let mut command = hookswitch();
        command.args(["doctor", "--json", "--config"]).arg(home.beside("hookswitch.toml"));
        command.arg("--data-dir").arg(home.data()).env("HOOKSWITCH_HTTP__LISTEN", "127.0.0.1:0");
        let found: Value = serde_json::from_str(&run(command).stdout).unwrap();
        let all = found["checks"].as_array().unwrap().clone();
        all.into_iter().find(|check| check["check"] == "sign-in").unwrap()
    };
    let well = doctor(&provider);
    assert_eq!(well["state"], "ok", "{well}");
    let other = doctor(&renamed);
    assert_eq!(other["state"], "fail", "{other}");
    let text = other["message"].as_str().unwrap();
    assert!(text.contains("is of another `issuer`") && text.contains("https://login.example"), "{text}");
    let issuer = provider.issuer();
    drop(provider);
    let gone = Provider::start();
    let home = configured(Home::new(), &gone).set("page.oidc.issuer", &format!("\"{issuer}\""));
    home.write_config();
    let mut command = hookswitch();
    command.args(["doctor", "--config"]).arg(home.beside("hookswitch.toml")).arg("--data-dir").arg(home.data());
    command.env("HOOKSWITCH_HTTP__LISTEN", "127.0.0.1:0");
    let exit = run(command);
    assert!(exit.stdout.contains(&format!("nobody can sign in at {issuer}")), "{}", exit.stdout);
}

#[test]
fn somebody_may_come_back_to_another_daemon_and_once_only() {
    let Some(cluster) = cluster() else { return };
    let provider = Provider::start();
    provider.lie(Lie::CodesLast);
    let home = configured(postgres::home(&cluster, "hooks"), &provider);
    let daemons = [home.clone().start(), home.start()];
    let mut browser = Browser::open(&daemons[0]);
    let sent = browser.leave("/oidc/login");
    let back = provider.agreed(&sent, admin());
    let kept = browser.cookies.clone();
    let mut browser = browser.at(&daemons[1]);
    browser.get(&back).expect(200);
    browser.get("/webhooks").expect(200);
    let mut again = Browser { cookies: kept, ..Browser::open(&daemons[0]) };
    refused(again.get(&back), 403, "has been used already");
    let mut browser = browser.at(&daemons[0]);
    until("the other knows the session", || (browser.get("/webhooks").status == 200).then_some(()));
}

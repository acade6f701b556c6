//! Mails: alerts to operators, and what owners of webhooks are told; over TLS and STARTTLS, and by servers that refuse
//! or hang.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::certificates::Authority;
use crate::daemon::{Daemon, Home};
use crate::mail_server::{MailServer, Manner, Secured};
use crate::platform::numbered;
use crate::receiver::{Answer, Receiver};
use crate::wait::eventually;

fn home(server: &MailServer, scheme: &str, rest: &str) -> Home {
    Home::new()
        .set("alerts.smtp_url", &format!("\"{scheme}127.0.0.1:{}{rest}\"", server.address.port()))
        .set("alerts.mail_from", "\"hooks@platform.example\"")
}

fn plainly(server: &MailServer) -> Home {
    home(server, "smtp://", "?tls=none")
}

/// A receiver that fails until it is told to work.
fn shaky() -> (Receiver, Arc<AtomicBool>) {
    let up = Arc::new(AtomicBool::new(false));
    let is_up = Arc::clone(&up);
    (Receiver::start(move |_| Answer::status(if is_up.load(Ordering::Relaxed) { 200 } else { 404 })), up)
}

fn post(daemon: &Daemon, calls: usize) {
    (0..calls).for_each(|n| drop(daemon.accept(&numbered(&format!("c{n}"), n))));
}

#[test]
fn operators_are_mailed_over_tls_and_starttls_with_a_password_that_is_never_shown() {
    let authority = Authority::new();
    for scheme in ["smtps", "smtp"] {
        let identity = authority.issue(&["127.0.0.1"]);
        let secured = if scheme == "smtps" { Secured::Tls(identity) } else { Secured::StartTls(identity) };
        let server = MailServer::start(Manner::Willing, secured);
        let home = home(&server, &format!("{scheme}://ann:hunter2@"), "");
        let ca = home.beside("ca.pem");
        std::fs::write(&ca, &authority.pem).expect("written");
        let daemon = home
            .set("network.extra_ca", &format!("[{ca:?}]"))
            .set("alerts.mail_to", "[\"ops@platform.example\", \"boss@platform.example\"]")
            .start();
        let gone = Receiver::start(|_| Answer::status(410));
        daemon.subscribe(&gone.url("/in?key=hunter3"), json!({}));
        post(&daemon, 1);
        let mail = server.wait_for("about it", |mail| mail.text.contains("subscription.disabled"));
        assert!(mail.secured, "{mail:?}");
        assert_eq!(mail.to, ["ops@platform.example", "boss@platform.example"]);
        // base64 of \0ann\0hunter2
        assert_eq!(mail.auth.as_deref(), Some("AGFubgBodW50ZXIy"));
        assert!(mail.text.contains("Subject: [Hookswitch] disabled: "), "{}", mail.text);
        assert!(mail.text.contains("text/plain") && mail.text.contains("text/html"), "{}", mail.text);
        assert!(!mail.text.contains("hunter"), "{}", mail.text);
        let (_, exit) = daemon.stop();
        assert!(!exit.stderr.contains("hunter"), "{}", exit.stderr);
    }
}

#[test]
fn owners_are_told_when_their_webhook_fails_recovers_and_is_disabled_and_not_again_after_a_restart() {
    let server = MailServer::start(Manner::Willing, Secured::No);
    let daemon = plainly(&server).start();
    let (receiver, up) = shaky();
    let settings = json!({"notify": ["it@acme.example"], "description": "billing"});
    let webhook = daemon.subscribe(&receiver.url("/in?key=hunter2"), settings);
    post(&daemon, 10);
    let failing = server.wait_for("that it fails", |mail| mail.text.contains("Subject: Your webhook is failing"));
    assert_eq!(failing.to, ["it@acme.example"]);
    for part in ["status code 404", "What to do:", "billing", &webhook.id] {
        assert!(failing.text.contains(part), "{part} is not in {}", failing.text);
    }
    assert!(!failing.text.contains("hunter2"), "{}", failing.text);
    let told = daemon.wait_for_list("/v1/audit?action=subscription.notify", 1).remove(0);
    assert_eq!(told["after"], json!({"news": "failing", "to": ["it@acme.example"]}));

    // It is told no second time, whatever happens to the daemon.
    let home = daemon.kill();
    let daemon = home.start();
    receiver.wait_until("an attempt after the restart", |requests| requests.len() >= 11);
    up.store(true, Ordering::Relaxed);
    server.wait_for("that it works", |mail| mail.text.contains("Subject: Your webhook works again"));
    assert_eq!(server.mails().len(), 2, "{:#?}", server.mails());

    let gone = Receiver::start(|_| Answer::status(410));
    let gone = daemon.subscribe(&gone.url("/gone"), json!({"notify": ["it@acme.example", "boss@acme.example"]}));
    daemon.accept(&numbered("d", 0));
    let off = server.wait_for("that it is off", |mail| mail.text.contains("Subject: Your webhook was disabled"));
    assert!(off.text.contains("410 Gone") && off.text.contains(&gone.id), "{}", off.text);
    assert_eq!(off.to.len(), 2);
    let refused = daemon.api().patch(&gone.path(), &json!({"notify": ["it"]})).expect_problem(&[422]);
    assert_eq!(refused["errors"][0]["pointer"], "/notify/0", "{refused}");
}

#[test]
fn owners_are_told_in_the_language_of_their_company_or_of_the_page() {
    let server = MailServer::start(Manner::Willing, Secured::No);
    let home = plainly(&server).set("page.language", "\"de-AT\"").set("page.company_languages", "{other = \"es\"}");
    let daemon = home.start();
    let gone = Receiver::start(|_| Answer::status(410));
    daemon.subscribe(&gone.url("/gone"), json!({"notify": ["it@acme.example"]}));
    daemon.accept(&numbered("d", 0));
    let mail = server.wait_for("that it is off", |mail| mail.text.contains("Subject: Ihr Webhook wurde deaktiviert"));
    assert!(
        mail.text.contains("Einzelheiten:") && mail.text.contains("Sein Protokoll") == mail.text.contains("/logs?"),
        "{}",
        mail.text
    );
    let (home, _) = daemon.stop();
    let daemon = home.set("page.company_languages", "{acme = \"es\"}").start();
    daemon.subscribe(&gone.url("/gone-too"), json!({"notify": ["it@acme.example"]}));
    daemon.accept(&numbered("e", 0));
    server.wait_for("that it is off", |mail| mail.text.contains("Subject: Su webhook se ha"));
}

#[test]
fn an_owner_who_could_be_sent_no_mail_is_refused_with_the_remedy() {
    let server = MailServer::start(Manner::Willing, Secured::No);
    let with = plainly(&server);
    let daemon = with.start();
    let receiver = Receiver::willing();
    let told = daemon.subscribe(&receiver.url("/told"), json!({"notify": ["it@acme.example"]}));
    let untold = daemon.subscribe(&receiver.url("/untold"), json!({"notify": []}));
    let (_, exit) = daemon.stop();
    exit.expect(0);
    let daemon = with.without("alerts.smtp_url").without("alerts.mail_from").without("alerts.mail_to").start();
    let body = json!({"company": "acme", "url": receiver.url("/"), "events": ["*"], "notify": ["it@acme.example"]});
    let both = json!({"notify": ["it@acme.example", "boss@acme.example"]});
    for reply in [
        daemon.api().post("/v1/subscriptions", &body),
        daemon.api().patch(&untold.path(), &both),
        daemon.api().patch(&told.path(), &both),
    ] {
        let refused = reply.expect_problem(&[422]);
        assert_eq!(refused["errors"][0]["pointer"], "/notify", "{refused}");
        let detail = refused["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains("`smtp_url` and `mail_from` in [alerts]"), "{detail}");
    }
    // What is there already may stay, or go.
    daemon.api().patch(&told.path(), &json!({"notify": ["it@acme.example"], "description": "x"})).expect(200);
    daemon.api().patch(&told.path(), &json!({"notify": []})).expect(200);
}

#[test]
fn a_server_that_hangs_or_refuses_holds_up_nothing_and_is_asked_again() {
    let server = MailServer::start(Manner::Hanging, Secured::No);
    let operator = Receiver::willing();
    let daemon = plainly(&server)
        .set("alerts.mail_to", "[\"ops@platform.example\"]")
        .set("alerts.url", &format!("{:?}", operator.url("/slack")))
        .set("alerts.preset", "\"slack\"")
        .start();
    let gone = Receiver::start(|_| Answer::status(410));
    daemon.subscribe(&gone.url("/gone"), json!({"notify": ["it@acme.example"]}));
    post(&daemon, 1);
    server.wait_for_connections(2);
    // The other way is not held up, and speaks as the service wants it; nor is anything else.
    operator.wait_until("the alert", |requests| {
        requests.iter().any(|request| request.json()["text"].as_str().is_some_and(|text| text.contains("disabled: ")))
    });
    let works = Receiver::willing();
    daemon.subscribe(&works.url("/"), json!({}));
    daemon.accept(&numbered("e", 0));
    works.wait_for(1);
    let (home, exit) = daemon.stop();
    exit.expect(0);

    server.behave(Manner::Refusing);
    let daemon = home.start();
    let said = daemon.wait_for_saying("could not be told");
    for part in ["550", "nobody of this name here", "`smtp_url`", "next try in"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    server.behave(Manner::Willing);
    server.wait_for("after all", |mail| mail.text.contains("Subject: Your webhook was disabled"));
    let entries = eventually("the entry", || {
        let entries = daemon.list("/v1/audit?action=subscription.notify");
        if entries.len() == 1 { Ok(entries) } else { Err(format!("{entries:?}")) }
    });
    assert_eq!(entries[0]["actor"]["kind"], "daemon");
}

#[test]
fn mail_settings_are_checked_and_the_password_is_not_repeated() {
    let secret = "smtp://ann:hunter2@mail.example/nowhere";
    let exit = Home::new().set("alerts.smtp_url", &format!("{secret:?}")).refused_start();
    let exit = exit.expect(78);
    for part in ["alerts.smtp_url", "STARTTLS", "alerts.mail_from"] {
        assert!(exit.stderr.contains(part), "{part} is not in {}", exit.stderr);
    }
    assert!(!exit.stderr.contains("hunter2"), "{}", exit.stderr);
    let exit = Home::new().set("alerts.mail_to", "[\"ops\"]").refused_start().expect(78);
    assert!(exit.stderr.contains("alerts.mail_to[0]") && exit.stderr.contains("alerts.smtp_url"), "{}", exit.stderr);
}

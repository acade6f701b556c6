//! Standards that some receivers ask for: v1a of Standard Webhooks, and the handshake of CloudEvents' web hooks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};

use crate::cli::talk;
use crate::daemon::Daemon;
use crate::platform::event;
use crate::receiver::{Answer, Received, Receiver};

/// Whether a receiver that has `public_key` believes the request.
pub(crate) fn believes(public_key: &str, request: &Received) -> bool {
    let key = UnparsedPublicKey::new(&ED25519, STANDARD.decode(public_key.strip_prefix("whpk_").unwrap()).unwrap());
    let header = |name| request.header(name).unwrap();
    let begin = format!("{}.{}.", header("webhook-id"), header("webhook-timestamp"));
    let content = [begin.as_bytes(), request.body()].concat();
    let signatures = header("webhook-signature").split(' ').filter_map(|one| one.strip_prefix("v1a,"));
    signatures.filter_map(|one| STANDARD.decode(one).ok()).any(|signature| key.verify(&content, &signature).is_ok())
}

#[test]
fn signatures_are_checked_with_the_public_key_also_across_a_rotation() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    let made = daemon.subscribe(&receiver.url("/"), json!({"signature": "both", "format": "form"}));
    let shown = daemon.api().get(&made.path()).expect(200).json();
    let first = shown["public_keys"][0].as_str().unwrap().to_owned();
    daemon.accept(&event("call.new", "c1"));
    let request = &receiver.wait_for(1)[0];
    assert!(request.is_signed_with(&made.secret) && believes(&first, request) && request.signatures() == 2);

    daemon.api().patch(&made.path(), &json!({"signature": "v1a"})).expect(200);
    let rotated =
        daemon.api().post(&format!("{}/rotate-secret", made.path()), &json!({"overlap": "1h"})).expect(200).json();
    let second = rotated["public_key"].as_str().unwrap().to_owned();
    let daemon = daemon.kill().start();
    let keys = daemon.api().get(&made.path()).expect(200).json()["public_keys"].clone();
    assert_eq!(keys, json!([second, first]));
    daemon.accept(&event("call.new", "c2"));
    let request = &receiver.wait_for(2)[1];
    assert!(believes(&first, request) && believes(&second, request) && !request.is_signed_with(&made.secret));
    let other = daemon.subscribe(&receiver.url("/other"), json!({}));
    let shown = daemon.api().get(&other.path()).expect(200).json();
    assert_eq!((&shown["signature"], &shown["public_keys"]), (&json!("v1"), &Value::Array(Vec::new())));
    daemon.api().patch(&other.path(), &json!({"signature": "v2"})).expect_problem(&[422]);
}

#[test]
fn a_test_before_saving_is_signed_as_the_webhook_will_be() {
    let daemon = Daemon::start();
    let receiver = Receiver::willing();
    let secret = format!("whsec_{}", STANDARD.encode([9; 32]));
    let made = daemon.subscribe(&receiver.url("/"), json!({"signature": "v1a", "secret": secret}));
    let public_key = daemon.api().get(&made.path()).expect(200).json()["public_keys"][0].as_str().unwrap().to_owned();
    for (number, (signature, (by_secret, by_key))) in
        [("v1a", (false, true)), ("both", (true, true)), ("v1", (true, false))].into_iter().enumerate()
    {
        let asked = json!({"url": receiver.url("/"), "secret": secret, "signature": signature});
        let found = daemon.api().post("/v1/test", &asked).expect(200).json();
        let request = &receiver.wait_for(number + 1)[number];
        assert_eq!((request.is_signed_with(&secret), believes(&public_key, request)), (by_secret, by_key), "{found}");
        assert_eq!(found["request"]["headers"]["webhook-signature"], request.header("webhook-signature").unwrap());
    }
    let wrong = json!({"url": receiver.url("/"), "signature": "v2"});
    let refused = daemon.api().post("/v1/test", &wrong).expect_problem(&[422]);
    assert!(format!("{refused:?}").contains("/signature"), "{refused:?}");
}

#[test]
fn a_receiver_is_asked_for_permission_on_request() {
    let daemon = Daemon::start();
    let receiver = Receiver::start(|request| match (request.method.as_str(), request.path.as_str()) {
        ("OPTIONS", "/yes") => {
            let origin = request.header("webhook-request-origin").unwrap_or_default().to_owned();
            Answer::status(200).header("WebHook-Allowed-Origin", origin).header("WebHook-Allowed-Rate", "120")
        }
        ("OPTIONS", _) => Answer::status(405),
        _ => Answer::status(200),
    });
    let ask = |url: &str| {
        let made = daemon.subscribe(url, json!({"layout": "cloudevents", "rate_per_second": 5}));
        daemon
            .api()
            .post(&format!("{}/handshake", made.path()), &json!({"origin": "events.acme.example"}))
            .expect(200)
            .json()
    };
    let yes = ask(&receiver.url("/yes"));
    assert_eq!(
        (&yes["allowed"], &yes["allowed_rate"], &yes["response"]),
        (&json!(true), &json!(120), &json!(200)),
        "{yes}"
    );
    let asked = &receiver.requests_to("/yes")[0];
    assert_eq!((asked.header("webhook-request-rate"), asked.body().len()), (Some("300"), 0));
    let no = ask(&receiver.url("/no"));
    assert!(no["allowed"] == false && no["message"].as_str().unwrap().contains("405"), "{no}");
    for (path, exit, words) in [("/yes", 0, "120 requests a minute"), ("/no", 1, "405 to OPTIONS")] {
        let made = daemon.subscribe(&receiver.url(path), json!({}));
        let line = ["subscription", "handshake", &made.id, "--origin", "events.acme.example"];
        let said = talk(&daemon, &line).expect(exit);
        assert!(format!("{}{}", said.stdout, said.stderr).contains(words), "{said:?}");
        let said = talk(&daemon, &[&line[..], &["--json"]].concat()).expect(exit);
        assert_eq!(said.json()["allowed"], exit == 0, "{said:?}");
    }
    let refused = ask("http://127.0.0.1:1/");
    assert_eq!((&refused["allowed"], &refused["error"]), (&json!(false), &json!("connection_refused")));
    let made = daemon.subscribe(&receiver.url("/yes"), json!({}));
    for wrong in [json!({}), json!({"origin": "https://x"}), json!({"origin": "a", "b": 1})] {
        daemon.api().post(&format!("{}/handshake", made.path()), &wrong).expect_problem(&[422]);
    }
}

//! v1a of Standard Webhooks: signatures that are checked with a public key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::platform::event;
use crate::receiver::{Received, Receiver};

/// Whether a receiver that has `public_key` believes the request.
fn believes(public_key: &str, request: &Received) -> bool {
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

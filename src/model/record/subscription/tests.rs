//! Records of subscriptions: encodings and sealing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::core::auth::{Auth, ClientCredentials, CredentialsIn};
use crate::core::filter::Filter;
use crate::core::preset::Preset;
use crate::core::success::{Success, SuccessBody, SuccessRule};
use crate::core::target::Signatures;
use crate::core::template::Template;
use crate::model::in_memory::{keyring, subscription};

const NONCE: [u8; seal::NONCE] = [5; seal::NONCE];

fn certified() -> Subscription {
    let certificate = ClientCertificate { cert: "c".repeat(9000), key: Hidden::new("client-key-hunter2") };
    let previous = PreviousSecret { secret: Secret::from_bytes(*b"previous-secret-hunter3."), until: at(99) };
    Subscription { client_certificate: Some(Arc::new(certificate)), previous_secret: Some(previous), ..subscription(7) }
}

#[test]
fn certificates_round_trip_and_the_encoding_without_one_is_unchanged() {
    let (plain, keys) = (subscription(7), Keyring::default());
    let value = SubscriptionRecord::new(&plain, false).sealed(&keys, NONCE).to_value();
    assert_eq!(value, crate::model::record::versioned(&Plain::new(&plain, false)));
    for subscription in [plain, certified()] {
        let record = SubscriptionRecord::new(&subscription, true);
        let read = SubscriptionRecord::of_value(&record.to_value()).unwrap();
        assert!(read.plain.deleted && read.number().get() == 7 && read.key().is_none());
        let unsealed = read.unsealed(&keys).unwrap();
        assert!(unsealed.deleted && unsealed.locked.is_none() && !unsealed.stale);
        assert_eq!(unsealed.subscription, subscription);
    }
}

#[test]
fn later_settings_round_trip_with_any_rest() {
    for keys in [Keyring::default(), keyring(&[1])] {
        for before in [subscription(7), certified()] {
            let subscription = Subscription { nested: Nested::Json, ..before };
            let record = SubscriptionRecord::new(&subscription, false).sealed(&keys, NONCE);
            assert_eq!((record.form(), record.to_value()[0]), (Form::Extended, 4));
            let read = SubscriptionRecord::of_value(&record.to_value()).unwrap();
            assert_eq!(read.key(), keys.sealing());
            assert_eq!(read.clone().unsealed(&keys).unwrap().subscription, subscription);
            if keys.sealing().is_some() {
                let locked = read.unsealed(&Keyring::default()).unwrap();
                let kept = (locked.subscription.nested, locked.subscription.disabled);
                assert_eq!(kept, (Nested::Json, Some(DisabledReason::Unreadable)));
            }
        }
    }
}

#[test]
fn sealed_records_contain_no_secret_and_open_with_the_key() {
    let keys = keyring(&[1]);
    for subscription in [subscription(7), certified()] {
        let value = SubscriptionRecord::new(&subscription, false).sealed(&keys, NONCE).to_value();
        let has = |secret: &[u8]| value.windows(secret.len()).any(|window| window == secret);
        for secret in [&[7; 32][..], b"previous-secret-hunter3.", b"X-Key", b"client-key-hunter2"] {
            assert!(!has(secret), "{secret:?}");
        }
        assert!(has(subscription.url.as_bytes()), "the rest is in plaintext");
        let read = SubscriptionRecord::of_value(&value).unwrap();
        assert_eq!(read.key(), keys.sealing());
        assert_eq!(read.clone().sealed(&keys, [6; seal::NONCE]).to_value(), value, "sealed already");
        let unsealed = read.clone().unsealed(&keys).unwrap();
        assert!(unsealed.locked.is_none() && !unsealed.stale);
        assert_eq!(unsealed.subscription, subscription);
        // With a new key it opens, and is to be resealed.
        assert!(read.unsealed(&keyring(&[2, 1])).unwrap().stale);
    }
    assert!(SubscriptionRecord::new(&certified(), false).unsealed(&keys).unwrap().stale, "in plaintext");
}

#[test]
fn records_that_do_not_open_are_kept_and_disabled() {
    let keys = keyring(&[1]);
    let sealed = |number| SubscriptionRecord::new(&subscription(number), false).sealed(&keys, NONCE);
    let (mut bent, mut exchanged) = (sealed(7), sealed(7));
    if let Rest::Sealed(secrets) = &mut bent.rest {
        secrets.text[3] ^= 1;
    }
    exchanged.rest = sealed(8).rest;
    for (name, record, keys, why) in [
        ("no key", sealed(7), Keyring::default(), Unopened::NoKey(keys.sealing().unwrap())),
        ("another key", sealed(7), keyring(&[2]), Unopened::NoKey(keys.sealing().unwrap())),
        ("a flipped bit", bent, keyring(&[1]), Unopened::Damaged),
        ("another's", exchanged, keyring(&[1]), Unopened::Damaged),
    ] {
        assert_eq!(record.clone().opened(&keys).err(), Some(why), "{name}");
        let unsealed = record.clone().unsealed(&keys).unwrap();
        assert_eq!(unsealed.subscription.disabled, Some(DisabledReason::Unreadable), "{name}");
        assert!(unsealed.subscription.headers.is_empty() && !unsealed.stale, "{name}");
        let kept = unsealed.locked.unwrap();
        assert!(kept.enabled && kept.value == record.to_value(), "{name}");
    }
}

#[test]
fn a_record_is_sealed_with_the_current_key_if_it_opens() {
    let (none, old, both) = (Keyring::default(), keyring(&[1]), keyring(&[2, 1]));
    let clear = SubscriptionRecord::sealed_by(&subscription(7), false, &none);
    assert!(clear.key().is_none());
    let first = clear.sealed_with_current_key(&old);
    assert_eq!(first.key(), old.sealing());
    let same = first.clone().sealed_with_current_key(&old);
    assert_eq!(same.to_value(), first.to_value());
    assert_eq!(first.clone().sealed_with_current_key(&keyring(&[3])).key(), old.sealing(), "it does not open");
    let second = first.sealed_with_current_key(&both);
    assert_eq!(second.key(), both.sealing());
    assert_eq!(second.unsealed(&both).unwrap().subscription, subscription(7));
}

fn targeted(auth: Option<Auth>) -> Subscription {
    let target = Target {
        template: Some(Template::new("{{ data }}", "application/json")),
        preset: None,
        filter: Some(Filter::new("data.x == 1")),
        success: SuccessRule {
            status: Success::OkOrRedirect,
            body: Some(SuccessBody::Equals { json_pointer: "/ok".to_owned(), equals: serde_json::json!(true) }),
        },
        auth: auth.map(Arc::new),
        signatures: Signatures::Both,
    };
    Subscription { target, ..certified() }
}

fn signing_in() -> Vec<Option<Auth>> {
    let secret = || Hidden::new("auth-secret-hunter4");
    let oauth = ClientCredentials {
        token_url: "https://id.example/token".to_owned(),
        client_id: "me".to_owned(),
        client_secret: secret(),
        scope: Some("a".to_owned()),
        audience: None,
        credentials_in: CredentialsIn::Body,
    };
    let basic = Auth::Basic { username: "u".to_owned(), password: secret() };
    vec![None, Some(basic), Some(Auth::Bearer { token: secret() }), Some(Auth::ClientCredentials(oauth))]
}

#[test]
fn the_settings_of_the_target_round_trip_and_its_secret_is_sealed() {
    for keys in [Keyring::default(), keyring(&[1])] {
        let preset = Target { preset: Some(Preset::Slack), ..Target::default() };
        let contains = SuccessRule { body: Some(SuccessBody::Contains("ok".to_owned())), ..SuccessRule::default() };
        let others = [preset, Target { success: contains, ..Target::default() }];
        let others = others.map(|target| Subscription { target, ..subscription(7) });
        for subscription in signing_in().into_iter().map(targeted).chain(others) {
            let record = SubscriptionRecord::new(&subscription, false).sealed(&keys, NONCE);
            let value = record.to_value();
            assert_eq!((record.form(), value[0], record.kind()), (Form::Targeted, 5, 27));
            let read = SubscriptionRecord::of_value(&value).unwrap();
            assert_eq!(read.clone().unsealed(&keys).unwrap().subscription, subscription);
            if keys.sealing().is_some() {
                assert!(!value.windows(19).any(|window| window == b"auth-secret-hunter4"));
                let locked = read.clone().unsealed(&Keyring::default()).unwrap();
                assert!(locked.subscription.is_locked() && locked.subscription.target.auth.is_none());
                assert_eq!(locked.subscription.target.template, subscription.target.template);
                let moved = SubscriptionRecord { target: None, ..read };
                assert_eq!(moved.opened(&keys).err(), Some(Unopened::Damaged), "not as one of an older version");
            }
        }
    }
}

#[test]
fn what_cannot_be_compiled_any_more_is_kept() {
    let target = Target {
        template: Some(Template::new("{{ data|gone }}", "text/plain")),
        filter: Some(Filter::new("data.")),
        ..Target::default()
    };
    let before = Subscription { target, ..subscription(7) };
    let value = SubscriptionRecord::new(&before, false).to_value();
    let read = SubscriptionRecord::of_value(&value).unwrap().unsealed(&Keyring::default()).unwrap();
    assert_eq!(read.subscription, before);
}

/// As written when version 5 came to be; disks have such.
#[test]
fn a_record_of_the_fifth_version_is_read_for_good() {
    const FROZEN: &str = "BQcHBGFjbWUAABNodHRwOi8vMTI3LjAuMC4xOjkvBGpzb24IZW52ZWxvcGUAAAEFWC1LZXkBawAAAARjYWxsAAD9AGxQxKABAAD9\
        AGxQxKABAAAgBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcAAAhicmFja2V0cwEKe3sgZGF0YSB9fRBhcHBsaWNhdGlvbi9qc29u\
        AAELZGF0YS54ID09IDEHMnh4XzN4eAEBAy9vawR0cnVlARlvYXV0aDJfY2xpZW50X2NyZWRlbnRpYWxzAm1lGGh0dHBzOi8vaWQuZXhhbXBs\
        ZS90b2tlbgEBYQAEYm9keQRib3RoARNhdXRoLXNlY3JldC1odW50ZXI0AA==";
    let value = STANDARD.decode(FROZEN).unwrap();
    let read = SubscriptionRecord::of_value(&value).unwrap();
    assert_eq!(read.to_value(), value);
    let before = targeted(signing_in().pop().unwrap());
    let before = Subscription { client_certificate: None, previous_secret: None, ..before };
    assert_eq!(read.unsealed(&Keyring::default()).unwrap().subscription, before);
}

#[test]
fn owners_round_trip_with_and_without_a_target_and_any_rest() {
    let notify = vec![MailAddress::parse("it@acme.example").unwrap()];
    for keys in [Keyring::default(), keyring(&[1])] {
        for before in [subscription(7), certified(), targeted(None)] {
            let subscription = Subscription { notify: notify.clone(), ..before };
            let record = SubscriptionRecord::new(&subscription, false).sealed(&keys, NONCE);
            assert_eq!((record.form(), record.to_value()[0]), (Form::Further, 6));
            let read = SubscriptionRecord::of_value(&record.to_value()).unwrap();
            assert_eq!(read.unsealed(&keys).unwrap().subscription, subscription);
        }
    }
}

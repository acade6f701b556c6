//! Standard Webhooks signatures over `id.timestamp.body`: v1 (HMAC-SHA256) and v1a (Ed25519).
//!
//! The key pair of v1a is derived from the secret, so that there is one secret to keep, to seal and to rotate: whoever
//! has only the public key can check signatures, and make none. Whoever has the secret has both.
//!
//! Source: the Standard Webhooks specification, 'Signature scheme'. The body is the exact bytes sent, in any format.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use sha2::Sha256;

use super::subscription::Secret;

/// The value of `webhook-signature`: one `v1,BASE64` per secret, separated by spaces. `seconds` is the value of
/// `webhook-timestamp`, since the Unix epoch.
pub fn sign(secrets: &[&Secret], id: &str, seconds: u64, body: &[u8]) -> String {
    let timestamp = seconds.to_string();
    let one = |secret: &&Secret| {
        let code = keyed(secret, id, &timestamp, body).finalize().into_bytes();
        format!("v1,{}", STANDARD.encode(code))
    };
    secrets.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// What the seed of a key pair is derived with; the secret is the key.
const DERIVATION: &[u8] = b"hookswitch standard-webhooks v1a ed25519\0";

/// The prefix of a public key's text.
const PUBLIC_KEY: &str = "whpk_";

fn pair(secret: &Secret) -> Ed25519KeyPair {
    let mut code = Hmac::<Sha256>::new_from_slice(secret.bytes()).expect("HMAC takes keys of any length (RFC 2104)");
    code.update(DERIVATION);
    pair_of_seed(&code.finalize().into_bytes())
}

fn pair_of_seed(seed: &[u8]) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(seed).expect("every 32 bytes are a seed (RFC 8032 section 5.1.5)")
}

/// The public key of v1a for a secret: `whpk_` and base64.
pub fn public_key(secret: &Secret) -> String {
    format!("{PUBLIC_KEY}{}", STANDARD.encode(pair(secret).public_key()))
}

/// As [`sign`], of version v1a: one `v1a,BASE64` per secret.
pub fn sign_asymmetric(secrets: &[&Secret], id: &str, seconds: u64, body: &[u8]) -> String {
    let one = |secret: &&Secret| signed_by(&pair(secret), id, seconds, body);
    secrets.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn signed_by(pair: &Ed25519KeyPair, id: &str, seconds: u64, body: &[u8]) -> String {
    let content = [id.as_bytes(), b".", seconds.to_string().as_bytes(), b".", body].concat();
    format!("v1a,{}", STANDARD.encode(pair.sign(&content)))
}

/// Why verification failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadSignature {
    /// Id, timestamp or signature is empty.
    Missing,
    /// No signature matches this secret and content.
    Mismatch,
    /// The signature matches, but the timestamp is too old or in the future.
    Stale,
}

impl fmt::Display for BadSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "is not signed",
            Self::Mismatch => "has a signature that does not match the secret and the body",
            Self::Stale => "is signed, but at a time too far from now",
        })
    }
}

impl std::error::Error for BadSignature {}

/// Verifies like a receiver: one of `signatures`, of v1 or v1a, must match `secret`, and `timestamp` must be at most
/// `tolerance` seconds from `now_seconds`. `id`, `timestamp` and `signatures` are the values of the three headers, empty
/// if absent. Comparison is in constant time.
///
/// # Errors
/// Why verification failed.
pub fn verify(
    secret: &Secret,
    id: &str,
    timestamp: &str,
    signatures: &str,
    body: &[u8],
    now_seconds: u64,
    tolerance: u64,
) -> Result<(), BadSignature> {
    if id.is_empty() || timestamp.is_empty() || signatures.is_empty() {
        return Err(BadSignature::Missing);
    }
    // Digits only: `+1` would parse too.
    let seconds = timestamp.bytes().all(|byte| byte.is_ascii_digit()).then(|| timestamp.parse::<u64>().ok()).flatten();
    let seconds = seconds.ok_or(BadSignature::Mismatch)?;
    let of_version = |prefix: &'static str| {
        let texts = signatures.split_ascii_whitespace().filter_map(move |signature| signature.strip_prefix(prefix));
        texts.filter_map(|text| STANDARD.decode(text).ok())
    };
    let expected = keyed(secret, id, timestamp, body);
    let by_secret = of_version("v1,").any(|code| expected.clone().verify_slice(&code).is_ok());
    if !by_secret && !is_by_pair(secret, of_version("v1a,"), id, timestamp, body) {
        return Err(BadSignature::Mismatch);
    }
    if seconds.abs_diff(now_seconds) > tolerance { Err(BadSignature::Stale) } else { Ok(()) }
}

/// Whether one of `signatures` is by the key pair of `secret`.
fn is_by_pair(
    secret: &Secret,
    signatures: impl Iterator<Item = Vec<u8>>,
    id: &str,
    timestamp: &str,
    body: &[u8],
) -> bool {
    let mut signatures = signatures.peekable();
    if signatures.peek().is_none() {
        return false;
    }
    let content = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    let pair = pair(secret);
    let key = UnparsedPublicKey::new(&ED25519, pair.public_key());
    signatures.any(|signature| key.verify(&content, &signature).is_ok())
}

fn keyed(secret: &Secret, id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
    let mut code = Hmac::<Sha256>::new_from_slice(secret.bytes()).expect("HMAC takes keys of any length (RFC 2104)");
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        code.update(part);
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const SECONDS: u64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn secret() -> Secret {
        Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()
    }

    fn verified(id: &str, timestamp: &str, signatures: &str, body: &[u8]) -> Result<(), BadSignature> {
        verify(&secret(), id, timestamp, signatures, body, SECONDS, 300)
    }

    #[test]
    fn the_published_vector_holds_both_ways() {
        assert_eq!(sign(&[&secret()], ID, SECONDS, BODY), SIGNATURE);
        assert_eq!(verified(ID, "1614265330", SIGNATURE, BODY), Ok(()));
    }

    /// The vector of Svix's server (`test_asymmetric_key_signing`), which the specification takes its example from.
    #[test]
    fn the_published_vector_of_v1a_holds() {
        let keys = "6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
        let keys = STANDARD.decode(keys).unwrap();
        let pair = pair_of_seed(&keys[..32]);
        assert_eq!(pair.public_key().as_ref(), &keys[32..]);
        let wanted = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==";
        assert_eq!(signed_by(&pair, ID, SECONDS, BODY), wanted);
    }

    /// The vector of the Go library of Standard Webhooks (`TestAsymmetricWebhookSign`, github.com/standard-webhooks, pull
    /// request 253).
    #[test]
    fn the_vector_of_the_go_library_holds() {
        let pair = pair_of_seed(&STANDARD.decode("VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=").unwrap());
        let wanted = "v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag==";
        assert_eq!(signed_by(&pair, ID, SECONDS, BODY), wanted);
    }

    #[test]
    fn whoever_has_the_public_key_can_check() {
        let other = Secret::from_bytes([9; 32]);
        let both = sign_asymmetric(&[&other, &secret()], ID, SECONDS, BODY);
        let content = [ID.as_bytes(), b".1614265330.", BODY].concat();
        for (one, signature) in [other, secret()].iter().zip(both.split(' ')) {
            let key = STANDARD.decode(public_key(one).strip_prefix("whpk_").unwrap()).unwrap();
            let key = UnparsedPublicKey::new(&ED25519, key);
            let signature = STANDARD.decode(signature.strip_prefix("v1a,").unwrap()).unwrap();
            assert!(key.verify(&content, &signature).is_ok() && key.verify(b"other", &signature).is_err());
        }
        let (first, second) = both.split_once(' ').unwrap();
        let cut = &second[..second.len() - 4];
        for (signatures, body, wanted) in [
            (both.as_str(), BODY, Ok(())),
            (second, BODY, Ok(())),
            (second, b"other", Err(BadSignature::Mismatch)),
            (first, BODY, Err(BadSignature::Mismatch)),
            (cut, BODY, Err(BadSignature::Mismatch)),
            (&second.replace("v1a,", "v1,"), BODY, Err(BadSignature::Mismatch)),
            (&SIGNATURE.replace("v1,", "v1a,"), BODY, Err(BadSignature::Mismatch)),
        ] {
            assert_eq!(verified(ID, "1614265330", signatures, body), wanted, "{signatures}");
        }
        assert_eq!(verify(&secret(), ID, "1614265330", second, BODY, SECONDS + 301, 300), Err(BadSignature::Stale));
    }

    #[test]
    fn several_secrets_give_several_signatures_and_each_is_believed() {
        let other = Secret::from_bytes([9; 32]);
        let both = sign(&[&other, &secret()], ID, SECONDS, BODY);
        assert_eq!(both.split(' ').count(), 2);
        assert!(both.ends_with(&format!(" {SIGNATURE}")));
        assert_eq!(verified(ID, "1614265330", &both, BODY), Ok(()));
        assert_eq!(verify(&other, ID, "1614265330", &both, BODY, SECONDS, 300), Ok(()));
    }

    #[test]
    fn other_signatures_are_rejected() {
        let cut = &SIGNATURE[..SIGNATURE.len() - 4];
        let v2 = SIGNATURE.replace("v1,", "v2,");
        let cases: [(&str, &str, &str, &[u8]); 10] = [
            ("msg_other", "1614265330", SIGNATURE, BODY),
            (ID, "1614265331", SIGNATURE, BODY),
            (ID, "+1614265330", SIGNATURE, BODY),
            (ID, "99999999999999999999", SIGNATURE, BODY),
            (ID, "1614265330", SIGNATURE, b"{\"test\":2432232314}"),
            (ID, "1614265330", cut, BODY),
            (ID, "1614265330", &v2, BODY),
            (ID, "1614265330", "v1,", BODY),
            (ID, "1614265330", "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", BODY),
            (ID, "1614265330", " ", BODY),
        ];
        for (id, timestamp, signatures, body) in cases {
            assert_eq!(
                verified(id, timestamp, signatures, body),
                Err(BadSignature::Mismatch),
                "{id} {timestamp} {signatures}"
            );
        }
        for (id, timestamp, signatures) in [("", "1", "v1,"), (ID, "", "v1,"), (ID, "1", "")] {
            assert_eq!(verified(id, timestamp, signatures, BODY), Err(BadSignature::Missing));
        }
    }

    #[test]
    fn the_time_is_checked_both_ways() {
        let at = |now| verify(&secret(), ID, "1614265330", SIGNATURE, BODY, now, 300);
        for (now, wanted) in [
            (SECONDS - 301, Err(BadSignature::Stale)),
            (SECONDS - 300, Ok(())),
            (SECONDS + 300, Ok(())),
            (SECONDS + 301, Err(BadSignature::Stale)),
        ] {
            assert_eq!(at(now), wanted, "{now}");
        }
    }
}

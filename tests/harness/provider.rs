//! A stand-in for a provider of OpenID Connect, which can be made to lie.
//!
//! It checks what the standards have a provider check: the client's secret, the redirect, that a code is used once, and
//! the verifier of PKCE. ID tokens are signed with ES256.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::receiver::{Answer, Received, Receiver};

/// What the tests' client is called, and its secret.
pub(crate) const CLIENT: &str = "hookswitch";
pub(crate) const SECRET: &str = "hunter2-of-the-client";
/// Where it wants browsers to come back to.
pub(crate) const CALLBACK: &str = "https://hooks.example/oidc/callback";

/// What is wrong with its answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    /// Nothing.
    None,
    /// The ID token is for another sign-in.
    Nonce,
    /// It was changed after it was signed.
    Signature,
    /// It is not signed.
    Unsigned,
    /// Its time was over ten minutes ago.
    Expired,
    /// It was issued in ten minutes.
    Future,
    /// It is for another client.
    Audience,
    /// It is by another provider.
    Issuer,
    /// It is signed with a key that is not published.
    Key,
    /// The user-info endpoint tells of somebody else.
    Subject,
    /// A code can be used again, which is no lie, but wrong.
    CodesLast,
}

struct Granted {
    challenge: String,
    nonce: String,
    claims: Value,
    used: bool,
}

struct State {
    lie: Lie,
    /// Whether claims about people are at the user-info endpoint only.
    apart: bool,
    key: EcdsaKeyPair,
    key_id: String,
    codes: HashMap<String, Granted>,
    tokens: HashMap<String, Value>,
    /// Everything that must not be seen in a message.
    secrets: Vec<String>,
}

/// A provider on its own port. Ends when dropped.
pub(crate) struct Provider {
    receiver: Receiver,
    state: Arc<Mutex<State>>,
}

fn key() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap()
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Provider {
    pub(crate) fn start() -> Self {
        Self::named(None)
    }

    /// One that calls itself `issuer`, whatever it is asked as.
    pub(crate) fn named(issuer: Option<&str>) -> Self {
        let state = State {
            lie: Lie::None,
            apart: false,
            key: key(),
            key_id: "1".to_owned(),
            codes: HashMap::new(),
            tokens: HashMap::new(),
            secrets: vec![SECRET.to_owned()],
        };
        let state = Arc::new(Mutex::new(state));
        let (shared, base) = (Arc::clone(&state), Arc::new(OnceLock::<String>::new()));
        let (asked, issuer) = (Arc::clone(&base), issuer.map(str::to_owned));
        let receiver = Receiver::start(move |request| {
            let base = asked.wait();
            answer(&mut shared.lock().unwrap(), base, issuer.as_deref().unwrap_or(base), request)
        });
        base.set(receiver.url("")).unwrap();
        Self { receiver, state }
    }

    /// Its identifier.
    pub(crate) fn issuer(&self) -> String {
        self.receiver.url("")
    }

    /// How often what it publishes was asked for.
    pub(crate) fn asked_for_keys(&self) -> usize {
        self.receiver.requests_to("/jwks").len()
    }

    pub(crate) fn lie(&self, lie: Lie) {
        self.state.lock().unwrap().lie = lie;
    }

    /// Has claims about people at the user-info endpoint only from now on.
    pub(crate) fn tell_apart(&self) {
        self.state.lock().unwrap().apart = true;
    }

    /// Signs with a new key from now on, which it publishes.
    pub(crate) fn rotate(&self) {
        let mut state = self.state.lock().unwrap();
        state.key = key();
        state.key_id += "1";
    }

    /// What must not be seen in any message: secrets, codes and tokens.
    pub(crate) fn secrets(&self) -> Vec<String> {
        self.state.lock().unwrap().secrets.clone()
    }

    /// What somebody with these `claims` does who was sent to `location`: signs in. Returns the path and query with which
    /// their browser comes back.
    pub(crate) fn agreed(&self, location: &str, claims: Value) -> String {
        let url = Url::parse(location).unwrap();
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!((url.path(), asked["response_type"].as_str()), ("/authorize", "code"), "{location}");
        assert_eq!((asked["client_id"].as_str(), asked["redirect_uri"].as_str()), (CLIENT, CALLBACK), "{location}");
        assert_eq!(asked["code_challenge_method"], "S256", "{location}");
        assert!(asked["scope"].split(' ').any(|scope| scope == "openid"), "{location}");
        let mut state = self.state.lock().unwrap();
        let code = format!("code-{}-{}", state.codes.len(), encoded(Sha256::digest(&asked["state"])));
        let (challenge, nonce) = (asked["code_challenge"].clone(), asked["nonce"].clone());
        state.secrets.push(code.clone());
        state.codes.insert(code.clone(), Granted { challenge, nonce, claims, used: false });
        format!("/oidc/callback?code={code}&state={}&iss={}", asked["state"], self.issuer())
    }
}

fn answer(state: &mut State, base: &str, issuer: &str, request: &Received) -> Answer {
    let ok =
        |document: Value| Answer::status(200).header("content-type", "application/json").body(document.to_string());
    match request.path.as_str() {
        "/.well-known/openid-configuration" => ok(json!({
            "issuer": issuer, "authorization_endpoint": format!("{base}/authorize"),
            "token_endpoint": format!("{base}/token"), "userinfo_endpoint": format!("{base}/userinfo"),
            "jwks_uri": format!("{base}/jwks"), "response_types_supported": ["code"],
            "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["ES256"],
        })),
        "/jwks" => {
            let point = state.key.public_key().as_ref();
            let (x, y) = (encoded(&point[1..33]), encoded(&point[33..]));
            ok(json!({"keys": [{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": state.key_id,
                "x": x, "y": y}]}))
        }
        "/token" => match token(state, issuer, request) {
            Ok(document) => ok(document),
            Err(error) => Answer::status(400)
                .header("content-type", "application/json")
                .body(json!({"error": error, "error_description": format!("refused: {}", request.text())}).to_string()),
        },
        "/userinfo" => {
            let token = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
            let Some(mut claims) = token.and_then(|token| state.tokens.get(token)).cloned() else {
                return Answer::status(401);
            };
            if state.lie == Lie::Subject {
                claims["sub"] = json!("somebody-else");
            }
            ok(claims)
        }
        _ => Answer::status(404),
    }
}

fn token(state: &mut State, issuer: &str, request: &Received) -> Result<Value, &'static str> {
    let basic = format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{SECRET}")));
    if request.header("authorization") != Some(&basic) {
        return Err("invalid_client");
    }
    let form: HashMap<String, String> = request.form().into_iter().collect();
    let lasts = state.lie == Lie::CodesLast;
    let granted = form.get("code").and_then(|code| state.codes.get_mut(code)).ok_or("invalid_grant")?;
    let verifier = form.get("code_verifier").map(String::as_str).unwrap_or_default();
    let wanted = encoded(Sha256::digest(verifier));
    if (granted.used && !lasts)
        || wanted != granted.challenge
        || form.get("redirect_uri").is_none_or(|to| to != CALLBACK)
    {
        return Err("invalid_grant");
    }
    granted.used = true;
    let (nonce, claims) = (granted.nonce.clone(), granted.claims.clone());
    let access_token = format!("access-{}-{}", state.tokens.len(), encoded(&nonce));
    let id_token = id_token(state, issuer, &nonce, &claims);
    state.tokens.insert(access_token.clone(), claims);
    state.secrets.extend([verifier.to_owned(), access_token.clone(), id_token.clone()]);
    Ok(json!({"access_token": access_token, "token_type": "Bearer", "expires_in": 60, "id_token": id_token}))
}

fn id_token(state: &State, issuer: &str, nonce: &str, claims: &Value) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut all =
        json!({"iss": issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": nonce, "sub": claims["sub"]});
    if !state.apart {
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    }
    match state.lie {
        Lie::Nonce => all["nonce"] = json!(encoded("another")),
        Lie::Expired => (all["iat"], all["exp"]) = (json!(now - 900), json!(now - 600)),
        Lie::Future => (all["iat"], all["exp"]) = (json!(now + 600), json!(now + 900)),
        Lie::Audience => all["aud"] = json!("another-client"),
        Lie::Issuer => all["iss"] = json!("https://login.evil.example"),
        _ => {}
    }
    let algorithm = if state.lie == Lie::Unsigned { "none" } else { "ES256" };
    let head = encoded(json!({"alg": algorithm, "typ": "JWT", "kid": state.key_id}).to_string());
    let signed = format!("{head}.{}", encoded(all.to_string()));
    let other = (state.lie == Lie::Key).then(key);
    let signature = other.as_ref().unwrap_or(&state.key).sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    match state.lie {
        Lie::Unsigned => format!("{signed}."),
        Lie::Signature => {
            all["sub"] = json!("somebody-else");
            format!("{head}.{}.{}", encoded(all.to_string()), encoded(signature))
        }
        _ => format!("{signed}.{}", encoded(signature)),
    }
}

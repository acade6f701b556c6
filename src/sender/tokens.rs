//! Tokens of receivers that are signed in to with client credentials (RFC 6749 section 4.4).
//!
//! Knows how to ask and what was answered; the posting is handed in, so that a token URL is called under the same rules
//! as any other. A token is fetched by one attempt at a time and kept until shortly before it expires; those who wait
//! get what that one got. No fault shows a secret, or text of the server beyond an error code of the standard.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::failure::Failure;
use crate::core::attempt::{Answer, Fault, Outcome, Report};
use crate::core::auth::{ClientCredentials, CredentialsIn, basic};
use crate::core::hidden::Hidden;
use crate::core::request::{AUTHORIZATION, Outgoing, USER_AGENT};
use crate::core::subscription::{Format, Header, Layout, Nested};
use crate::core::success::SuccessRule;

/// Maximum number of tokens kept.
const MOST: usize = 1024;
/// How long before its end a token is fetched anew, at most a tenth of its life.
const MARGIN: Duration = Duration::from_secs(60);
/// How long a token without a stated life is kept: until it is refused, and no longer than this.
const UNSTATED: Duration = Duration::from_secs(3600);
/// Maximum life of a token that is kept.
const LONGEST: Duration = Duration::from_secs(86_400);
/// The error codes of RFC 6749 section 5.2, which may be shown.
const CODES: [&str; 6] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
];

/// The tokens, by what they were fetched with.
#[derive(Default)]
pub(super) struct Tokens {
    slots: Mutex<HashMap<Key, Arc<Slot>>>,
}

/// What a token is fetched with.
#[derive(PartialEq, Eq, Hash, Clone)]
struct Key([String; 5]);

#[derive(Default)]
struct Slot {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    token: Option<(Arc<Hidden>, Instant)>,
    fetching: bool,
    /// How often one was fetched, or was to be, and how the last time failed.
    fetched: u64,
    failure: Option<Failure>,
}

/// A token, and whether it was there already.
#[derive(Debug, Clone)]
pub(super) struct Got {
    token: Arc<Hidden>,
    pub(super) was_kept: bool,
}

impl Got {
    /// The value of Authorization.
    pub(super) fn header(&self) -> Hidden {
        Hidden::new(format!("Bearer {}", self.token.expose()))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets the next one fetch, whatever became of this one.
struct Fetching<'s> {
    slot: &'s Slot,
    result: Option<Result<(Arc<Hidden>, Instant), Failure>>,
}

impl Drop for Fetching<'_> {
    fn drop(&mut self) {
        let mut state = locked(&self.slot.state);
        state.fetching = false;
        state.fetched += 1;
        let none = || Err(failed("a bug in Hookswitch ended the request for a token"));
        match self.result.take().unwrap_or_else(none) {
            Ok(token) => (state.token, state.failure) = (Some(token), None),
            Err(failure) => (state.token, state.failure) = (None, Some(failure)),
        }
        self.slot.changed.notify_all();
    }
}

impl Tokens {
    /// A token, kept or fetched by `post`, which gets the request; waits for that of another attempt until `deadline`.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn get(
        &self,
        credentials: &ClientCredentials,
        deadline: Instant,
        post: impl FnOnce(&Outgoing) -> Report,
    ) -> Result<Got, Failure> {
        let slot = self.slot(credentials);
        let mut state = locked(&slot.state);
        let mut waited_for = None;
        loop {
            let now = Instant::now();
            if let Some((token, until)) = &state.token
                && *until > now
            {
                return Ok(Got { token: Arc::clone(token), was_kept: true });
            }
            if waited_for.is_some_and(|number| number < state.fetched)
                && let Some(failure) = &state.failure
            {
                return Err(failure.clone());
            }
            if !state.fetching {
                break;
            }
            waited_for.get_or_insert(state.fetched);
            if now >= deadline {
                return Err(failed("another attempt is fetching the token, and the time of this one is up"));
            }
            state = slot.changed.wait_timeout(state, deadline - now).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.fetching = true;
        drop(state);
        let mut fetching = Fetching { slot: &slot, result: None };
        let report = post(&request(credentials));
        let read = read(&report);
        let token = read.as_ref().map(|(token, _)| Arc::clone(token)).map_err(Clone::clone);
        fetching.result = Some(read);
        drop(fetching);
        token.map(|token| Got { token, was_kept: false })
    }

    /// Forgets a token that was refused, unless another one is there already.
    pub(super) fn forget(&self, credentials: &ClientCredentials, refused: &Got) {
        let slot = self.slot(credentials);
        let mut state = locked(&slot.state);
        if state.token.as_ref().is_some_and(|(token, _)| Arc::ptr_eq(token, &refused.token)) {
            state.token = None;
        }
    }

    fn slot(&self, credentials: &ClientCredentials) -> Arc<Slot> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let key = Key([
            credentials.token_url.clone(),
            credentials.client_id.clone(),
            credentials.client_secret.expose().to_owned(),
            text(&credentials.scope),
            text(&credentials.audience),
        ]);
        let mut slots = locked(&self.slots);
        if slots.len() >= MOST && !slots.contains_key(&key) {
            // What is in use is fetched again.
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(slots.entry(key).or_default())
    }
}

fn failed(detail: impl Into<String>) -> Failure {
    Failure::new(Fault::SignIn, format!("signing in failed: {}", detail.into()))
}

/// The request for a token.
fn request(credentials: &ClientCredentials) -> Outgoing {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    for (name, value) in [("scope", &credentials.scope), ("audience", &credentials.audience)] {
        if let Some(value) = value {
            form.append_pair(name, value);
        }
    }
    let (id, secret) = (&credentials.client_id, credentials.client_secret.expose());
    let mut own_headers = Vec::new();
    match credentials.credentials_in {
        CredentialsIn::Header => {
            // Form-encoded first (RFC 6749 section 2.3.1).
            let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let value = basic(&encoded(id), &encoded(secret));
            own_headers.push(Header { name: AUTHORIZATION.to_owned(), value });
        }
        CredentialsIn::Body => {
            form.append_pair("client_id", id);
            form.append_pair("client_secret", secret);
        }
    }
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Outgoing {
        url: credentials.token_url.clone(),
        headers: vec![
            header("Content-Type", "application/x-www-form-urlencoded"),
            header("User-Agent", USER_AGENT),
            header("Accept", "application/json"),
        ],
        own_headers,
        client_certificate: None,
        body: form.finish().into_bytes(),
        format: Format::Form,
        layout: Layout::Flat,
        nested: Nested::Brackets,
        is_templated: false,
        auth: None,
        success: SuccessRule::default(),
    }
}

/// The token of an answer, and until when it is kept.
fn read(report: &Report) -> Result<(Arc<Hidden>, Instant), Failure> {
    let answer = match &report.outcome {
        Outcome::Answered(answer) => answer,
        Outcome::Failed { fault, detail } => {
            let why = if detail.is_empty() { fault.to_string() } else { detail.clone() };
            return Err(failed(format!("at the token URL, {why}")));
        }
    };
    let document: Option<Value> = serde_json::from_slice(&answer.body).ok();
    if answer.status != 200 {
        return Err(failed(refusal(answer, document.as_ref())));
    }
    let member = |name: &str| document.as_ref().and_then(|document| document.get(name));
    let Some(token) = member("access_token").and_then(Value::as_str).filter(|token| is_token(token)) else {
        let what =
            if answer.truncated { "more than 8 KiB" } else { "something that is no JSON with an `access_token`" };
        return Err(failed(format!("the token URL answered 200 with {what} (RFC 6749 section 5.1)")));
    };
    if member("token_type").and_then(Value::as_str).is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(failed("the token URL answered with a token of another type than `Bearer`"));
    }
    let life = member("expires_in").and_then(|life| life.as_f64().or_else(|| life.as_str()?.parse().ok()));
    let life = life
        .filter(|life| *life >= 0.0)
        .map_or(UNSTATED, |life| Duration::from_secs_f64(life.min(LONGEST.as_secs_f64())));
    let kept = life - MARGIN.min(life / 10);
    Ok((Arc::new(Hidden::new(token)), Instant::now() + kept))
}

/// What can stand in a header (RFC 6750 section 2.1, and what servers give besides).
fn is_token(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())
}

fn refusal(answer: &Answer, document: Option<&Value>) -> String {
    let status = answer.status;
    let code = document.and_then(|document| document.get("error")?.as_str()).filter(|code| CODES.contains(code));
    match (status, code) {
        (_, Some("invalid_client")) => {
            format!(
                "the token URL answered {status}, `invalid_client`: check client_id, client_secret and credentials_in"
            )
        }
        (_, Some(code)) => format!("the token URL answered {status}, `{code}`"),
        (300..=399, None) => format!(
            "the token URL answered {status}, a redirect, which is not followed: give the URL that answers itself"
        ),
        (404, None) => "the token URL answered 404: check that it is correct".to_owned(),
        (401 | 403, None) => {
            format!("the token URL answered {status}: check client_id, client_secret and credentials_in")
        }
        _ => format!("the token URL answered {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(place: CredentialsIn) -> ClientCredentials {
        ClientCredentials {
            token_url: "https://id.example/token".to_owned(),
            client_id: "me & you".to_owned(),
            client_secret: Hidden::new("hunter2:%"),
            scope: Some("a b".to_owned()),
            audience: None,
            credentials_in: place,
        }
    }

    fn report(status: u16, body: &str) -> Report {
        let answer = Answer { status, headers: Vec::new(), body: body.as_bytes().to_vec(), truncated: false };
        Report {
            outcome: Outcome::Answered(answer),
            note: None,
            duration: Duration::ZERO,
            phases: Vec::new(),
            address: None,
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    #[test]
    fn credentials_are_sent_where_the_server_wants_them() {
        let header = request(&credentials(CredentialsIn::Header));
        assert_eq!(header.body, b"grant_type=client_credentials&scope=a+b");
        assert_eq!(header.own_headers[0].value, basic("me+%26+you", "hunter2%3A%25"));
        assert!(!format!("{header:?}").contains("hunter2"));
        let body = request(&credentials(CredentialsIn::Body));
        assert!(
            body.own_headers.is_empty() && body.body.ends_with(b"&client_id=me+%26+you&client_secret=hunter2%3A%25")
        );
    }

    #[test]
    fn a_token_is_kept_until_it_ends_or_is_refused() {
        let (tokens, credentials) = (Tokens::default(), credentials(CredentialsIn::Header));
        let get = |body: &str| tokens.get(&credentials, soon(), |_| report(200, body)).unwrap();
        let first = get(r#"{"access_token":"t1","token_type":"bearer","expires_in":600}"#);
        assert!(!first.was_kept && first.header().expose() == "Bearer t1");
        let second = get(r#"{"access_token":"t2"}"#);
        assert!(second.was_kept && second.header().expose() == "Bearer t1");
        tokens.forget(&credentials, &second);
        let third = get(r#"{"access_token":"t3","expires_in":"0"}"#);
        assert_eq!(third.header().expose(), "Bearer t3");
        tokens.forget(&credentials, &second);
        assert_eq!(get(r#"{"access_token":"t4"}"#).header().expose(), "Bearer t4", "t3 ended at once");
        tokens.forget(&credentials, &third);
        assert!(get("").was_kept, "another one was refused");
        let other = ClientCredentials { scope: None, ..credentials.clone() };
        assert!(tokens.get(&other, soon(), |_| report(500, "")).is_err());
    }

    #[test]
    fn answers_that_are_no_token_say_so() {
        let long = format!(r#"{{"access_token":"{}"#, "x".repeat(8_000));
        for (status, body, words) in [
            (200, "<html>hunter2</html>", "no JSON with an `access_token`"),
            (200, "{}", "no JSON with an `access_token`"),
            (200, r#"{"access_token":"a b\r\n"}"#, "no JSON with an `access_token`"),
            (200, r#"{"access_token":"a","token_type":"mac"}"#, "another type"),
            (200, long.as_str(), "no JSON"),
            (400, r#"{"error":"invalid_scope"}"#, "answered 400, `invalid_scope`"),
            (401, r#"{"error":"invalid_client"}"#, "check client_id"),
            (401, "", "check client_id"),
            (400, r#"{"error":"hunter2"}"#, "answered 400"),
            (302, "", "a redirect"),
            (404, "", "correct"),
            (503, "", "answered 503"),
        ] {
            let credentials = credentials(CredentialsIn::Header);
            let failure = Tokens::default().get(&credentials, soon(), |_| report(status, body)).unwrap_err();
            assert!(failure.fault == Fault::SignIn && failure.detail.contains(words), "{failure:?}");
            assert!(!failure.detail.contains("hunter2"), "{failure:?}");
        }
    }

    #[test]
    fn one_fetches_and_the_others_wait_for_it() {
        let (tokens, credentials) = (Tokens::default(), credentials(CredentialsIn::Header));
        for (body, good) in [("{}", false), (r#"{"access_token":"t"}"#, true)] {
            let asked = std::sync::atomic::AtomicUsize::new(0);
            let began = std::sync::Barrier::new(8);
            let good_of = |answer: Report| {
                began.wait();
                tokens.get(&credentials, soon(), |_| {
                    asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    // Until the others wait, or have come too late to wait.
                    let until = Instant::now() + Duration::from_millis(50);
                    while Instant::now() < until {
                        std::thread::yield_now();
                    }
                    answer
                })
            };
            let all: Vec<bool> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| good_of(report(200, body)).is_ok())).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert!(all.iter().all(|one| *one == good), "{body}");
            assert!(asked.into_inner() < 8, "{body}");
        }
        let (late, began) = (Tokens::default(), Instant::now());
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            late.get(&credentials, soon(), |_| panic!("in a request"))
        }));
        assert!(panicked.is_err());
        assert!(late.get(&credentials, began, |_| report(200, r#"{"access_token":"t"}"#)).is_ok(), "it is not held");
    }
}

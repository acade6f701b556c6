//! What the provider publishes: its addresses and its keys, fetched when they are needed and kept for a while.
//!
//! One thread fetches at a time; those who waited get what it got. After a failure none asks again at once, so that a
//! provider that hangs does not hold every thread for its whole time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use openidconnect::core::CoreProviderMetadata;
use openidconnect::{
    ClaimsVerificationError, DiscoveryError, HttpRequest, HttpResponse, IssuerUrl, SignatureVerificationError,
};

use super::failure::{Failure, Unanswered, Unverified};

/// How long it is kept.
const KEPT: Duration = Duration::from_secs(3_600);
/// How long it is used if it cannot be fetched anew.
const KEPT_AT_MOST: Duration = Duration::from_secs(86_400);
/// The pause after a failure, and between two fetches because of unknown keys.
const PAUSE: Duration = Duration::from_secs(5);

/// The library's HTTP client.
pub(super) type Send<'s> = &'s dyn Fn(HttpRequest) -> Result<HttpResponse, Unanswered>;

/// What is known of the provider.
#[derive(Default)]
pub(super) struct Published(Mutex<Known>);

#[derive(Default)]
struct Known {
    fetched: Option<(Arc<CoreProviderMetadata>, Instant)>,
    failed: Option<(Failure, Instant)>,
    /// When it was last fetched although it was known.
    renewed: Option<Instant>,
}

impl Known {
    fn younger_than(&self, age: Duration, now: Instant) -> Option<Arc<CoreProviderMetadata>> {
        let (known, since) = self.fetched.as_ref()?;
        (now.duration_since(*since) < age).then(|| Arc::clone(known))
    }
}

impl Published {
    /// What is known, or what is published now.
    pub(super) fn get(&self, issuer: &str, send: Send<'_>) -> Result<Arc<CoreProviderMetadata>, Failure> {
        self.known_or_fetched(false, issuer, send)
    }

    /// What is published now, unless that was asked for just before.
    pub(super) fn anew(&self, issuer: &str, send: Send<'_>) -> Result<Arc<CoreProviderMetadata>, Failure> {
        self.known_or_fetched(true, issuer, send)
    }

    fn known_or_fetched(&self, anew: bool, issuer: &str, send: Send<'_>) -> Result<Arc<CoreProviderMetadata>, Failure> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let renews = anew && known.renewed.is_none_or(|at| now.duration_since(at) >= PAUSE);
        if let Some(young) = known.younger_than(KEPT, now).filter(|_| !renews) {
            return Ok(young);
        }
        if renews {
            known.renewed = Some(now);
        }
        let old = known.younger_than(KEPT_AT_MOST, now);
        if let Some((failure, at)) = &known.failed
            && now.duration_since(*at) < PAUSE
        {
            return old.ok_or_else(|| failure.clone());
        }
        match fetched(issuer, send) {
            Ok(new) => {
                let new = Arc::new(new);
                (known.fetched, known.failed) = (Some((Arc::clone(&new), Instant::now())), None);
                Ok(new)
            }
            Err(failure) => {
                known.failed = Some((failure.clone(), Instant::now()));
                old.inspect(|_| {
                    tracing::warn!("the provider of OpenID Connect: {failure}; what it said before is used");
                })
                .ok_or(failure)
            }
        }
    }
}

fn fetched(issuer: &str, send: Send<'_>) -> Result<CoreProviderMetadata, Failure> {
    let away = |why: String| Failure::Away(why);
    let url = IssuerUrl::new(issuer.to_owned()).map_err(|_| away(format!("{issuer} is no URL")))?;
    let found = CoreProviderMetadata::discover(&url, &|request: HttpRequest| send(request));
    let place = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    found.map_err(|error| match error {
        DiscoveryError::Request(Unanswered(why)) => away(why),
        DiscoveryError::Response(status, ..) => {
            away(format!("{place}, or the `jwks_uri` in it, answers {} and not JSON with 200", status.as_u16()))
        }
        DiscoveryError::Parse(error) => {
            away(format!("{place}, or the `jwks_uri` in it, has something else than is wanted at `{}`", error.path()))
        }
        DiscoveryError::Validation(why) => away(format!("{place} is of another `issuer`: {why}")),
        DiscoveryError::UrlParse(_) | DiscoveryError::Other(_) | _ => away(format!("{place} cannot be asked for")),
    })
}

/// Whether an ID token was signed by a key that the provider had not published when it was last asked.
pub(super) fn is_unknown_key(why: &Unverified) -> bool {
    use ClaimsVerificationError::SignatureVerification;
    use SignatureVerificationError::NoMatchingKey;
    matches!(why, Unverified::Claims(SignatureVerification(NoMatchingKey)))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const ISSUER: &str = "https://login.example/x";

    fn document(issuer: &str) -> String {
        format!(
            r#"{{"issuer":"{issuer}","authorization_endpoint":"{issuer}/a","token_endpoint":"{issuer}/t",
            "jwks_uri":"{issuer}/k","response_types_supported":["code"],"subject_types_supported":["public"],
            "id_token_signing_alg_values_supported":["RS256"]}}"#
        )
    }

    /// Counts the documents asked for, and answers each with the next of `answers`; `None` is no answer.
    fn provider(
        answers: &RefCell<Vec<Option<String>>>,
    ) -> impl Fn(HttpRequest) -> Result<HttpResponse, Unanswered> + '_ {
        move |request| {
            let is_keys = request.uri().path().ends_with("/k");
            let body = if is_keys { Some(r#"{"keys":[]}"#.to_owned()) } else { answers.borrow_mut().remove(0) };
            let body = body.ok_or_else(|| Unanswered(format!("{}: nothing listens there", request.uri())))?;
            let answer = HttpResponse::new(body.into_bytes());
            Ok(answer)
        }
    }

    fn away(result: Result<Arc<CoreProviderMetadata>, Failure>) -> String {
        match result.map(drop) {
            Err(Failure::Away(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_known_is_used_and_a_failure_is_not_repeated_at_once() {
        let published = Published::default();
        let answers = RefCell::new(vec![None, Some(document(ISSUER)), Some(document(ISSUER))]);
        let send = provider(&answers);
        let why = away(published.get(ISSUER, &send));
        assert!(
            why.contains("https://login.example/x/.well-known/openid-configuration: nothing listens there"),
            "{why}"
        );
        assert_eq!(away(published.get(ISSUER, &send)), why);
        assert_eq!(answers.borrow().len(), 2, "asked once");
        published.0.lock().unwrap().failed = None;
        published.get(ISSUER, &send).unwrap();
        published.get(ISSUER, &send).unwrap();
        assert_eq!(answers.borrow().len(), 1, "kept");
        published.anew(ISSUER, &send).unwrap();
        published.anew(ISSUER, &send).unwrap();
        assert_eq!(answers.borrow().len(), 0, "fetched anew once in a while");
    }

    #[test]
    fn what_was_known_is_used_while_the_provider_is_away() {
        let published = Published::default();
        let answers = RefCell::new(vec![Some(document(ISSUER)), None]);
        let send = provider(&answers);
        published.get(ISSUER, &send).unwrap();
        published.anew(ISSUER, &send).unwrap();
        assert_eq!(answers.borrow().len(), 0);
    }

    #[test]
    fn a_provider_that_is_another_or_none_is_said_to_be() {
        for (body, part) in [
            (document("https://login.example/y"), "is of another `issuer`"),
            ("{}".to_owned(), "has something else than is wanted at"),
            ("<html>".to_owned(), "has something else than is wanted at"),
        ] {
            let answers = RefCell::new(vec![Some(body)]);
            let why = away(Published::default().get(ISSUER, &provider(&answers)));
            assert!(why.contains(part) && why.contains(ISSUER), "{why}");
        }
    }
}

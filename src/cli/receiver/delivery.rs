//! Interprets a request as a webhook: event type, attempt, signature.
//!
//! The receiver's side of the contract, as a customer would write it.

use std::borrow::Cow;
use std::time::SystemTime;

use super::Message;
use crate::core::json;
use crate::core::signature::{self, BadSignature};
use crate::core::subscription::Secret;
use crate::core::time::Timestamp;

/// Maximum difference of `webhook-timestamp` from the local clock, in seconds (Standard Webhooks recommends a
/// tolerance without giving one).
pub(in crate::cli) const TOLERANCE: u64 = 300;

/// The result of checking a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Signature {
    /// Made with the secret, over these bytes, recently.
    Good,
    /// Invalid, and why.
    Wrong(BadSignature),
    /// There is no secret to check it with.
    NotChecked,
}

impl Signature {
    /// For display.
    pub(in crate::cli) const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "signature ok",
            Self::Wrong(BadSignature::Missing) => "signature WRONG: a webhook-* header is missing",
            Self::Wrong(BadSignature::Mismatch) => {
                "signature WRONG: not made with this secret, or the body was changed"
            }
            Self::Wrong(BadSignature::Stale) => "signature WRONG: its time is too far from this machine's clock",
            Self::NotChecked => "signature not checked",
        }
    }
}

/// The first value of the header `name`, if it is UTF-8.
pub(in crate::cli) fn header<'m>(message: &'m Message, name: &str) -> Option<&'m str> {
    std::str::from_utf8(message.headers().get(name)?.as_bytes()).ok()
}

/// Checks the signature of `message` with `secret`.
pub(in crate::cli) fn signature(message: &Message, secret: Option<&Secret>, now: SystemTime) -> Signature {
    let Some(secret) = secret else { return Signature::NotChecked };
    let header = |name| header(message, name);
    let (Some(id), Some(time), Some(signatures)) =
        (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"))
    else {
        return Signature::Wrong(BadSignature::Missing);
    };
    let now = Timestamp::from(now).seconds();
    match signature::verify(secret, id, time, signatures, message.body(), now, TOLERANCE) {
        Ok(()) => Signature::Good,
        Err(why) => Signature::Wrong(why),
    }
}

/// Whether the body is a form.
pub(in crate::cli) fn is_form(message: &Message) -> bool {
    let content_type = header(message, "content-type").unwrap_or_default();
    content_type.split(';').next().is_some_and(|kind| kind.trim() == "application/x-www-form-urlencoded")
}

/// The keys and values of a form body, decoded.
pub(in crate::cli) fn form(body: &[u8]) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    url::form_urlencoded::parse(body)
}

/// The event type in the body, in either layout and format.
pub(in crate::cli) fn event_type(message: &Message) -> Option<String> {
    // The flat layout begins with `event`; the data may contain a `type` of its own.
    if is_form(message) {
        let flat = form(message.body()).next().filter(|(key, _)| key == "event");
        let named = flat.or_else(|| form(message.body()).find(|(key, _)| key == "type"));
        return named.map(|(_, value)| value.into_owned());
    }
    let text = std::str::from_utf8(message.body()).ok()?;
    let members = json::members(json::parse(text).ok()?).ok()?;
    let named = |wanted: &str| members.iter().find(|(name, _)| name == wanted);
    let flat = members.first().filter(|(name, _)| name == "event");
    flat.or_else(|| named("type")).and_then(|(_, value)| json::string(value).ok())
}

/// The number of the attempt, from 1.
pub(in crate::cli) fn attempt(message: &Message) -> Option<u32> {
    header(message, "hookswitch-attempt")?.parse().ok()
}

//! What both benches share: the daemon as a child process, a cheap load generator, a cheap receiver,
//! the bare disk, bad receivers, and the figures.
//!
//! All of it runs on the same few cores as the daemon, so what is measured is the product *and* its
//! load. That is why every figure stands beside a bare one of the same run.
#![allow(dead_code, reason = "each bench uses its part of this")]

pub(crate) mod bad;
pub(crate) mod client;
pub(crate) mod daemon;
pub(crate) mod disk;
pub(crate) mod figures;
pub(crate) mod nothing;
pub(crate) mod receiver;

/// A bench ends at the first fault; the sentence says which.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Whose events they are.
pub(crate) const COMPANY: &str = "acme";
/// How long the body of a posted event is, in bytes.
pub(crate) const EVENT_BYTES: usize = 1024;
/// What stands before the number of an event in its `call_id`.
pub(crate) const MARK: &str = "bench-";
/// How many digits that number has.
pub(crate) const DIGITS: usize = 16;

/// Event `number` as it is posted: [`EVENT_BYTES`] long, each of a call of its own.
pub(crate) fn event(number: u64) -> String {
    let head = format!(
        r#"{{"type":"call.missed","company":"{COMPANY}","domain":"www.acme.example","source":"widget","data":{{"call_id":"{MARK}{number:0DIGITS$}","widget_id":"w-17","lead_phone":"+12025550123","callstatus":"missed","retry_attempts":0,"created":"2026-11-24T09:30:00Z","note":""#
    );
    let tail = r#""}}"#;
    let fill = EVENT_BYTES.saturating_sub(head.len() + tail.len());
    format!("{head}{}{tail}", "lorem ipsum ".chars().cycle().take(fill).collect::<String>())
}

/// The same of another company.
pub(crate) fn event_of(company: &str, number: u64) -> String {
    event(number).replacen(&format!(r#""company":"{COMPANY}""#), &format!(r#""company":"{company}""#), 1)
}

/// Where in `text` the number of an event stands.
pub(crate) fn number_at(text: &[u8]) -> Option<std::ops::Range<usize>> {
    let mark = text.windows(MARK.len()).position(|window| window == MARK.as_bytes())?;
    let start = mark + MARK.len();
    (text.len() >= start + DIGITS).then_some(start..start + DIGITS)
}

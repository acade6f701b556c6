//! Common parts of the benches: the daemon as a child process, a cheap load generator, cheap receivers, the bare
//! disk, failing receivers, and statistics.
//!
//! All of it runs on the same few cores as the daemon, so what is measured is the product *and* its load. That is why
//! every figure is compared with a bare one of the same run.
#![allow(dead_code, reason = "each bench uses its part of this")]

pub(crate) mod bad;
pub(crate) mod client;
#[path = "../../tests/harness/cluster.rs"]
pub(crate) mod cluster;
pub(crate) mod daemon;
pub(crate) mod disk;
pub(crate) mod engine;
pub(crate) mod figures;
pub(crate) mod nothing;
pub(crate) mod receiver;
pub(crate) mod statements;

/// A bench ends at the first error.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The company of the events.
pub(crate) const COMPANY: &str = "acme";
/// Size of a posted event's body, in bytes.
pub(crate) const EVENT_BYTES: usize = 1024;
/// Precedes the number of an event in its `call_id`.
pub(crate) const MARK: &str = "bench-";
/// Digits of that number.
pub(crate) const DIGITS: usize = 16;

/// Event `number`: [`EVENT_BYTES`] long, in its own call.
pub(crate) fn event(number: u64) -> String {
    let head = format!(
        r#"{{"type":"call.missed","company":"{COMPANY}","domain":"www.acme.example","source":"widget","data":{{"call_id":"{MARK}{number:0DIGITS$}","widget_id":"w-17","lead_phone":"+12025550123","callstatus":"missed","retry_attempts":0,"created":"2026-11-24T09:30:00Z","note":""#
    );
    let tail = r#""}}"#;
    let fill = EVENT_BYTES.saturating_sub(head.len() + tail.len());
    format!("{head}{}{tail}", "lorem ipsum ".chars().cycle().take(fill).collect::<String>())
}

/// The same for another company.
pub(crate) fn event_of(company: &str, number: u64) -> String {
    event(number).replacen(&format!(r#""company":"{COMPANY}""#), &format!(r#""company":"{company}""#), 1)
}

/// The position of the event's number in `text`.
pub(crate) fn number_at(text: &[u8]) -> Option<std::ops::Range<usize>> {
    let mark = text.windows(MARK.len()).position(|window| window == MARK.as_bytes())?;
    let start = mark + MARK.len();
    (text.len() >= start + DIGITS).then_some(start..start + DIGITS)
}

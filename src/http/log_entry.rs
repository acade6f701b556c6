//! A log entry as returned by the API.

use serde::Serialize;

use super::export::Row;
use super::shape::Text;
use crate::core::attempt::{Fault, LogEntry};
use crate::core::event::{CallId, Domain};
use crate::core::id::{AttemptId, DeliveryId, EventId, SubscriptionId};
use crate::core::time::Timestamp;

/// A log entry as returned by the API.
#[derive(Serialize)]
pub(super) struct LogEntryJson<'l> {
    pub(super) id: Text<AttemptId>,
    pub(super) created: Text<Timestamp>,
    pub(super) event: &'l str,
    pub(super) status: &'static str,
    pub(super) response: Option<u16>,
    pub(super) error: Option<&'static str>,
    pub(super) error_detail: &'l str,
    pub(super) duration_ms: u128,
    pub(super) attempt: u32,
    pub(super) next_attempt: Option<Text<Timestamp>>,
    pub(super) test: bool,
    pub(super) replay: bool,
    pub(super) event_id: Option<Text<EventId>>,
    pub(super) delivery: Option<Text<DeliveryId>>,
    pub(super) subscription: Text<SubscriptionId>,
    pub(super) company: &'l str,
    pub(super) domain: Option<&'l str>,
    pub(super) call: Option<&'l str>,
    pub(super) url: &'l str,
}

impl<'l> LogEntryJson<'l> {
    pub(super) fn of(entry: &'l LogEntry) -> Self {
        Self {
            id: Text(entry.id),
            created: Text(entry.created),
            event: entry.event_type.as_str(),
            status: entry.status.as_str(),
            response: entry.response,
            error: entry.error.map(Fault::as_str),
            error_detail: &entry.error_detail,
            duration_ms: entry.duration.as_millis(),
            attempt: entry.attempt,
            next_attempt: entry.next_attempt.map(Text),
            test: entry.test,
            replay: entry.replay,
            event_id: entry.event.map(Text),
            delivery: entry.delivery.map(Text),
            subscription: Text(entry.subscription),
            company: entry.company.as_str(),
            domain: entry.domain.as_ref().map(Domain::as_str),
            call: entry.call.as_ref().map(CallId::as_str),
            url: &entry.url,
        }
    }
}

impl Row for LogEntry {
    const COLUMNS: &'static [&'static str] = &[
        "Response",
        "Created",
        "Event",
        "Status",
        "Error",
        "Detail",
        "Duration (ms)",
        "Attempt",
        "Next attempt",
        "Test",
        "URL",
        "Company",
        "Domain",
        "Call",
        "Event id",
        "Delivery",
        "Subscription",
        "Id",
        "Replay",
    ];
    const FILE: &'static str = "attachment; filename=\"hookswitch-log.csv\"";

    fn cells(&self) -> Vec<String> {
        let entry = &LogEntryJson::of(self);
        fn text(value: Option<impl ToString>) -> String {
            value.map(|value| value.to_string()).unwrap_or_default()
        }
        vec![
            text(entry.response),
            entry.created.0.to_string(),
            entry.event.to_owned(),
            entry.status.to_owned(),
            text(entry.error),
            entry.error_detail.to_owned(),
            entry.duration_ms.to_string(),
            entry.attempt.to_string(),
            text(entry.next_attempt.map(|time| time.0)),
            entry.test.to_string(),
            entry.url.to_owned(),
            entry.company.to_owned(),
            text(entry.domain),
            text(entry.call),
            text(entry.event_id.map(|id| id.0)),
            text(entry.delivery.map(|id| id.0)),
            entry.subscription.0.to_string(),
            entry.id.0.to_string(),
            entry.replay.to_string(),
        ]
    }

    fn write_json(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        serde_json::to_writer(out, &LogEntryJson::of(self))
    }
}

//! The report as returned by the API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::time::Timestamp;

/// The whole report.
#[derive(Deserialize, Serialize)]
pub(super) struct Report {
    pub(super) exact: bool,
    /// Whether everything accepted so far is counted.
    #[serde(default = "yes")]
    pub(super) complete: bool,
    pub(super) totals: Figures,
    pub(super) buckets: Vec<Bucket>,
}

const fn yes() -> bool {
    true
}

/// An hour, a day, or another part.
#[derive(Deserialize, Serialize)]
pub(super) struct Bucket {
    pub(super) bucket: Option<String>,
    #[serde(default)]
    pub(super) since: Option<String>,
    #[serde(flatten)]
    pub(super) figures: Figures,
}

impl Bucket {
    /// A bucket without calls.
    pub(super) fn empty(start: Timestamp, hourly: bool) -> Self {
        let text = start.to_string();
        let bucket = if hourly { text.clone() } else { text.chars().take(10).collect() };
        Self { bucket: Some(bucket), since: Some(text), figures: Figures::default() }
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        self.bucket.as_deref().unwrap_or("not known")
    }
}

/// The figures of a bucket.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Figures {
    pub(super) calls: u64,
    pub(super) events: BTreeMap<String, u64>,
    pub(super) connection_rate: Option<f64>,
    pub(super) missed_rate: Option<f64>,
    pub(super) time_to_claim: Lengths,
    pub(super) time_to_connect: Lengths,
    pub(super) duration: Lengths,
    pub(super) outcomes: BTreeMap<String, u64>,
    pub(super) sms: Sms,
}

impl Figures {
    /// Number of calls with an event of this type.
    pub(super) fn of(&self, event_type: &str) -> u64 {
        self.events.get(event_type).copied().unwrap_or(0)
    }
}

/// Statistics of durations.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Lengths {
    pub(super) calls: u64,
    pub(super) median_seconds: Option<f64>,
    pub(super) p90_seconds: Option<f64>,
}

/// SMS sent to leads and replies.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Sms {
    pub(super) calls_with_outbound: u64,
    pub(super) calls_with_reply: u64,
    pub(super) reply_rate: Option<f64>,
    pub(super) time_to_reply: Lengths,
}

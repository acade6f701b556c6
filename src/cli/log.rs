//! `log`: the attempts, oldest first, newest last.

use std::io::Write;
use std::thread;
use std::time::{Duration, SystemTime};

use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::client::{Client, Page, read, with_query};
use super::connection::Connection;
use super::exit::{Failure, note};
use super::table::{Column, Layout};
use super::text::safe_json;
use crate::core::time::{Timestamp, parse_duration};

/// Polling interval of a followed log.
const PERIOD: Duration = Duration::from_secs(1);
/// An entry appears shortly after its attempt ended; new entries are searched for this far back.
const LAG: Duration = Duration::from_secs(300);
/// Entries requested at once.
const PAGE: usize = 200;
/// Maximum entries printed between two polls.
const CATCH_UP_MOST: usize = 10_000;

/// Print the log of attempts
#[derive(Debug, Args)]
#[command(after_help = "\
The newest entry stands last. RESPONSE is the status code, or why there was no
answer; '!' marks one of which the rest was not in order (`error_detail` with
--json says what). TRY is the number of the attempt; 'test' marks a test.

Examples:
  hookswitch log
  hookswitch log --follow --company acme
  hookswitch log --status failed --since 24h
  hookswitch log --call c-17 --json | jq .url

With --json each entry is one line, with everything the daemon tells of it.")]
pub(super) struct Log {
    /// Continue with new entries until interrupted
    #[arg(long, short)]
    follow: bool,

    /// How many of the latest entries
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50)]
    limit: usize,

    /// Print each entry as a line of JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    filter: Filter,

    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Only entries")]
struct Filter {
    /// … of this company
    #[arg(long)]
    company: Option<String>,
    /// … of this site
    #[arg(long)]
    domain: Option<String>,
    /// … of this subscription
    #[arg(long, value_name = "ID")]
    subscription: Option<String>,
    /// … of this event type
    #[arg(long, value_name = "TYPE")]
    event: Option<String>,
    /// … delivered, retrying, failed, expired or cancelled
    #[arg(long)]
    status: Option<String>,
    /// … with this status code
    #[arg(long, value_name = "CODE")]
    response: Option<String>,
    /// … of this call
    #[arg(long, value_name = "CALL_ID")]
    call: Option<String>,
    /// … of this lead's phone number
    #[arg(long)]
    phone: Option<String>,
    /// … from this time on: RFC 3339, or so long ago (24h)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// … before this time: RFC 3339, or so long ago
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// … that are tests (true), or are not (false)
    #[arg(long, value_name = "BOOL", hide_possible_values = true)]
    test: Option<bool>,
}

/// The displayed members of an entry.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    pub(super) id: String,
    created: String,
    event: String,
    pub(super) status: String,
    #[serde(default)]
    pub(super) response: Option<u16>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    error_detail: String,
    #[serde(default)]
    duration_ms: Option<f64>,
    #[serde(default)]
    pub(super) attempt: u32,
    #[serde(default)]
    test: bool,
    #[serde(default)]
    pub(super) subscription: String,
}

/// The columns, wide enough for all our words; 80 in total.
fn layout() -> Layout {
    Layout::fixed(&[
        (Column::text("RESPONSE"), 18),
        (Column::text("CREATED (UTC)"), 19),
        (Column::text("EVENT"), 16),
        (Column::text("STATUS"), 9),
        (Column::number("TRY"), 4),
        (Column::number("MS"), 4),
    ])
}

impl Entry {
    /// The cells of [`layout`].
    pub(super) fn cells(&self) -> [String; 6] {
        let response = match (self.response, &self.error) {
            (Some(status), _) if self.error_detail.is_empty() => status.to_string(),
            (Some(status), _) => format!("{status} !"),
            (None, Some(error)) => error.clone(),
            (None, None) => "-".to_owned(),
        };
        let created = self.created.get(..19).unwrap_or(&self.created).replace('T', " ");
        let attempt = match (self.test, self.attempt) {
            (true, _) => "test".to_owned(),
            (false, 0) => "-".to_owned(),
            (false, attempt) => attempt.to_string(),
        };
        let length = self.duration_ms.filter(|_| self.attempt > 0 || self.test);
        let length = match length {
            None => "-".to_owned(),
            Some(millis) if millis < 9_999.5 => format!("{millis:.0}"),
            Some(millis) => format!("{:.0}s", millis / 1000.0),
        };
        [response, created, self.event.clone(), self.status.clone(), attempt, length]
    }
}

impl Log {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = Client::new(&self.connection)?;
        let now = Timestamp::from(SystemTime::now());
        let filter = self.filter.parameters(now)?;
        // At least one, even if none is printed: it marks where new entries begin.
        let latest = latest(&client, &filter, self.limit.max(1))?;
        let mut follower = Follower::new(now, &latest)?;
        let layout = layout();
        if !self.json {
            let nothing = latest.is_empty() && !self.follow;
            writeln!(out, "{}", if nothing { "There are no such entries.".to_owned() } else { layout.head() })?;
        }
        self.write(&latest[..latest.len().min(self.limit)], &layout, out)?;
        if !self.follow {
            return Ok(());
        }
        let mut away = false;
        loop {
            thread::sleep(PERIOD);
            let new = follower.look(&client, &filter)?;
            if new.is_none() && !away {
                note(&format!("no daemon answers at {}; waiting for it", client.base()));
            }
            away = new.is_none();
            self.write(&new.unwrap_or_default(), &layout, out)?;
        }
    }

    /// Writes entries in reverse, oldest first.
    fn write(&self, entries: &[Box<RawValue>], layout: &Layout, out: &mut dyn Write) -> Result<(), Failure> {
        for raw in entries.iter().rev() {
            let line = if self.json { safe_json(raw.get()) } else { layout.line(&read::<Entry>(raw.get())?.cells()) };
            writeln!(out, "{line}")?;
        }
        Ok(out.flush()?)
    }
}

/// The newest `limit` entries, newest first.
fn latest(client: &Client, filter: &[(&str, String)], limit: usize) -> Result<Vec<Box<RawValue>>, Failure> {
    let mut found = Vec::new();
    let mut cursor = None;
    while found.len() < limit {
        let page = read::<Page>(&client.get(&page_path(filter, cursor.as_deref(), PAGE.min(limit - found.len())))?)?;
        found.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    found.truncate(limit);
    Ok(found)
}

fn page_path(filter: &[(&str, String)], cursor: Option<&str>, limit: usize) -> String {
    let limit = limit.to_string();
    let filter = filter.iter().map(|(name, value)| (*name, Some(value.as_str())));
    let parameters: Vec<_> = filter.chain([("limit", Some(limit.as_str())), ("cursor", cursor)]).collect();
    with_query("/v1/log", &parameters)
}

/// The last printed entry. Ids ascend in the log's order, so it suffices.
#[derive(Debug)]
struct Follower {
    last: String,
    since: Timestamp,
}

impl Follower {
    fn new(now: Timestamp, printed: &[Box<RawValue>]) -> Result<Self, Failure> {
        let mut follower = Self { last: String::new(), since: now };
        follower.note(printed)?;
        Ok(follower)
    }

    /// Continues after the newest of `entries`, which is the first.
    fn note(&mut self, entries: &[Box<RawValue>]) -> Result<(), Failure> {
        if let Some(newest) = entries.first() {
            let newest: Entry = read(newest.get())?;
            self.since = Timestamp::parse(&newest.created).unwrap_or(self.since);
            self.last = newest.id;
        }
        Ok(())
    }

    /// New entries, newest first; `None` if no daemon answers.
    fn look(&mut self, client: &Client, filter: &[(&str, String)]) -> Result<Option<Vec<Box<RawValue>>>, Failure> {
        let since = Timestamp::from_millis(self.since.millis().saturating_sub(millis(LAG)));
        let mut filter = filter.to_vec();
        filter.retain(|(name, value)| *name != "since" || Timestamp::parse(value).is_ok_and(|given| given > since));
        if !filter.iter().any(|(name, _)| *name == "since") {
            filter.push(("since", since.to_string()));
        }
        let mut new = Vec::new();
        let mut cursor = None;
        loop {
            let Some(reply) = client.get_if_running(&page_path(&filter, cursor.as_deref(), PAGE))? else {
                return Ok(None);
            };
            let page: Page = read(&reply)?;
            let known = self.take_new(page.items, &mut new)?;
            cursor = page.next;
            if known || cursor.is_none() || new.len() >= CATCH_UP_MOST {
                break;
            }
        }
        self.note(&new)?;
        Ok(Some(new))
    }

    /// Moves new entries into `new`; true if a known one was reached, after which nothing is new.
    fn take_new(&self, page: Vec<Box<RawValue>>, new: &mut Vec<Box<RawValue>>) -> Result<bool, Failure> {
        for raw in page {
            if read::<Entry>(raw.get())?.id <= self.last {
                return Ok(true);
            }
            new.push(raw);
        }
        Ok(false)
    }
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

impl Filter {
    /// The query parameters of the given options.
    fn parameters(&self, now: Timestamp) -> Result<Vec<(&'static str, String)>, Failure> {
        let words = [
            ("company", &self.company),
            ("domain", &self.domain),
            ("subscription", &self.subscription),
            ("event", &self.event),
            ("status", &self.status),
            ("response", &self.response),
            ("call", &self.call),
            ("phone", &self.phone),
        ];
        let mut parameters: Vec<(&'static str, String)> =
            words.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect();
        for (name, value) in [("since", &self.since), ("until", &self.until)] {
            if let Some(text) = value {
                parameters.push((name, time(name, text, now)?));
            }
        }
        parameters.extend(self.test.map(|test| ("test", test.to_string())));
        Ok(parameters)
    }
}

/// As [`time`], if there is a `text`.
pub(super) fn optional_time(name: &str, text: &Option<String>, now: Timestamp) -> Result<Option<String>, Failure> {
    text.as_deref().map(|text| time(name, text, now)).transpose()
}

/// `text` as a point in time: itself, or a duration before `now`.
pub(super) fn time(name: &str, text: &str, now: Timestamp) -> Result<String, Failure> {
    if let Ok(at) = Timestamp::parse(text) {
        return Ok(at.to_string());
    }
    let ago = parse_duration(text).map_err(|_| {
        Failure::usage(format!(
            "--{name} must be a time such as 2026-11-23T09:30:00Z or a duration such as 24h, not `{text}`"
        ))
    })?;
    Ok(Timestamp::from_millis(now.millis().saturating_sub(millis(ago))).to_string())
}

#[cfg(test)]
mod tests;

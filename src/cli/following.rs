//! Lists of entries that go on growing, the log and the audit: the latest of them, and new ones as they come.

use std::io::Write;
use std::thread;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::client::{Client, Page, read, with_query};
use super::exit::{Failure, note};
use super::format::{CsvLines, Format, Output};
use super::progress::{self, Line, Unit};
use super::screen;
use super::table::{Column, Layout};
use super::text::safe_json;
use crate::core::time::Timestamp;

/// Polling interval of a followed list.
const PERIOD: Duration = Duration::from_secs(1);
/// An entry appears shortly after it was made; new entries are searched for this far back.
const LAG: Duration = Duration::from_secs(300);
/// Entries requested at once.
const PAGE: usize = 200;
/// Maximum entries printed between two polls.
const CATCH_UP_MOST: usize = 10_000;

/// The options of every command that prints such a list.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Printing {
    /// Continue with new entries until interrupted
    #[arg(long, short)]
    follow: bool,

    /// How many of the latest entries
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50)]
    limit: usize,

    #[command(flatten)]
    format: Format,
}

/// A list, and how its entries are printed.
pub(super) struct Listed<'l> {
    /// The path of the list.
    pub(super) path: &'static str,
    /// The query parameters that narrow it.
    pub(super) filter: Vec<(&'static str, String)>,
    /// The columns, and how wide they are at least.
    pub(super) columns: &'static [(Column, usize)],
    /// Which of its entries, and how.
    pub(super) printing: Printing,
    /// Where they are requested.
    pub(super) client: &'l Client,
}

/// What a follower needs to know of an entry.
#[derive(Debug, Deserialize)]
struct Mark {
    id: String,
    created: String,
}

impl Listed<'_> {
    /// Prints the latest entries, oldest first, and, if wanted, new ones until interrupted. `cells` are those of an entry.
    ///
    /// # Errors
    /// The daemon's, or `out` cannot be written to.
    pub(super) fn run<T: DeserializeOwned, const N: usize>(
        &self,
        now: Timestamp,
        cells: impl Fn(&T) -> [String; N],
        out: &mut dyn Write,
    ) -> Result<(), Failure> {
        // At least one, even if none is printed: it marks where new entries begin.
        let limit = self.printing.limit.max(1);
        // One page is there at once.
        let unseen = limit <= PAGE || self.printing.format.output() == Output::Json;
        let latest = progress::during(unseen, |show| self.latest(limit, show))?;
        let mut follower = Follower::new(now, &latest)?;
        let mut printer = self.printer(latest.is_empty() && !self.printing.follow, out)?;
        printer.write(&latest[..latest.len().min(self.printing.limit)], &cells)?;
        if !self.printing.follow {
            return Ok(());
        }
        let mut away = false;
        loop {
            thread::sleep(PERIOD);
            let new = follower.look(self)?;
            if new.is_none() && !away {
                note(&format!("no daemon answers at {}; waiting for it", self.client.base()));
            }
            away = new.is_none();
            printer.write(&new.unwrap_or_default(), &cells)?;
        }
    }

    /// Begins to print: writes the titles, or that there is `nothing`.
    fn printer<'o>(&self, nothing: bool, out: &'o mut dyn Write) -> Result<Printer<'o>, Failure> {
        let output = self.printing.format.output();
        let limit = match output {
            Output::Json => return Ok(Printer::Json(out)),
            Output::Csv => {
                let columns: Vec<Column> = self.columns.iter().map(|(column, _)| *column).collect();
                return CsvLines::begin(&columns, out).map(|lines| Printer::Csv(Box::new(lines)));
            }
            Output::Wide => None,
            Output::Table => screen::columns(),
        };
        let layout = Layout::fixed(self.columns, limit);
        writeln!(out, "{}", if nothing { "No entries match.".to_owned() } else { layout.head() })?;
        Ok(Printer::Table(layout, out))
    }

    /// The newest `limit` entries, newest first.
    fn latest(&self, limit: usize, show: &dyn Fn(Line)) -> Result<Vec<Box<RawValue>>, Failure> {
        let mut found = Vec::new();
        let mut cursor = None;
        while found.len() < limit {
            let path = self.page_path(&self.filter, cursor.as_deref(), PAGE.min(limit - found.len()));
            let page = read::<Page>(&self.client.get(&path)?)?;
            found.extend(page.items);
            let done = found.len() as u64;
            show(Line { doing: "reading", unit: Unit::Number("entry"), done, total: None });
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    fn page_path(&self, filter: &[(&str, String)], cursor: Option<&str>, limit: usize) -> String {
        let limit = limit.to_string();
        let filter = filter.iter().map(|(name, value)| (*name, Some(value.as_str())));
        let parameters: Vec<_> = filter.chain([("limit", Some(limit.as_str())), ("cursor", cursor)]).collect();
        with_query(self.path, &parameters)
    }
}

/// Prints entry after entry.
enum Printer<'o> {
    /// One line of JSON each.
    Json(&'o mut dyn Write),
    Csv(Box<CsvLines<'o>>),
    Table(Layout, &'o mut dyn Write),
}

impl Printer<'_> {
    /// Writes entries in reverse, oldest first.
    fn write<T: DeserializeOwned, const N: usize>(
        &mut self,
        entries: &[Box<RawValue>],
        cells: &impl Fn(&T) -> [String; N],
    ) -> Result<(), Failure> {
        for raw in entries.iter().rev() {
            let cells = || read::<T>(raw.get()).map(|entry| cells(&entry));
            match self {
                Self::Json(out) => writeln!(out, "{}", safe_json(raw.get()))?,
                Self::Csv(lines) => lines.line(&cells()?)?,
                Self::Table(layout, out) => writeln!(out, "{}", layout.line(&cells()?))?,
            }
        }
        match self {
            Self::Json(out) | Self::Table(_, out) => Ok(out.flush()?),
            // It flushes each line.
            Self::Csv(_) => Ok(()),
        }
    }
}

/// The last printed entry. Ids ascend in the list's order, so it suffices.
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
            let newest: Mark = read(newest.get())?;
            self.since = Timestamp::parse(&newest.created).unwrap_or(self.since);
            self.last = newest.id;
        }
        Ok(())
    }

    /// New entries, newest first; `None` if no daemon answers.
    fn look(&mut self, listed: &Listed<'_>) -> Result<Option<Vec<Box<RawValue>>>, Failure> {
        let lag = u64::try_from(LAG.as_millis()).unwrap_or(u64::MAX);
        let since = Timestamp::from_millis(self.since.millis().saturating_sub(lag));
        let mut filter = listed.filter.clone();
        filter.retain(|(name, value)| *name != "since" || Timestamp::parse(value).is_ok_and(|given| given > since));
        if !filter.iter().any(|(name, _)| *name == "since") {
            filter.push(("since", since.to_string()));
        }
        let mut new = Vec::new();
        let mut cursor = None;
        loop {
            let path = listed.page_path(&filter, cursor.as_deref(), PAGE);
            let Some(reply) = listed.client.get_if_running(&path)? else { return Ok(None) };
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
            if read::<Mark>(raw.get())?.id <= self.last {
                return Ok(true);
            }
            new.push(raw);
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(id: u32) -> Box<RawValue> {
        let text = format!(
            r#"{{"id":"att_{id:04}","created":"2026-11-23T09:30:00.000Z","event":"call.new","status":"delivered","response":200}}"#
        );
        RawValue::from_string(text).unwrap()
    }

    #[test]
    fn entries_are_printed_once() {
        let now = Timestamp::parse("2026-11-23T10:00:00Z").unwrap();
        let mut follower = Follower::new(now, &[raw(2), raw(1)]).unwrap();
        let mut new = Vec::new();
        assert!(follower.take_new(vec![raw(4), raw(3), raw(2), raw(1)], &mut new).unwrap());
        assert_eq!(new.len(), 2);
        follower.note(&new).unwrap();
        let mut again = Vec::new();
        assert!(follower.take_new(vec![raw(4), raw(3)], &mut again).unwrap());
        assert!(again.is_empty());
        assert!(!follower.take_new(vec![raw(6), raw(5)], &mut again).unwrap(), "more may stand on the next page");
        assert_eq!(again.len(), 2);
    }

    #[test]
    fn following_begins_now_where_nothing_matched_before() {
        let now = Timestamp::parse("2026-11-23T10:00:00Z").unwrap();
        let follower = Follower::new(now, &[]).unwrap();
        assert_eq!(follower.since, now);
        let mut new = Vec::new();
        assert!(!follower.take_new(vec![raw(1)], &mut new).unwrap());
        assert_eq!(new.len(), 1);
    }
}

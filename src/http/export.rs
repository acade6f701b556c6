//! The log or the audit as a stream of all matching entries, as CSV or NDJSON.
//!
//! Page by page: the next is read only when the client has taken the previous one, so an export of any length needs
//! the memory of two pages, and a slow client blocks no thread. Each page waits for a slot in the lane of reads, and
//! holds it only while reading.
//! among all that is read, and holds a slot for as long as it is read.

use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_DISPOSITION, HeaderValue};
use tokio::sync::mpsc;

use super::body::{Body, Broken, with_body};
use super::bridge::Share;
use super::budget::Account;
use super::problem::Problem;
use super::reply::Reply;
use crate::core::text::harmless;
use crate::store::{Page, StoreError};

/// Entries read at a time; each may contain 16 KiB of a response.
pub(super) const PAGE: usize = 100;

/// Reads the page after an id, or the first; blocks.
pub(super) type Pages<T> = Arc<dyn Fn(Option<u128>) -> Result<Page<T>, StoreError> + Send + Sync>;

/// What an export consists of.
pub(super) trait Row: Send + 'static {
    /// The columns, the most important first.
    const COLUMNS: &'static [&'static str];
    /// The header Content-Disposition of a CSV file.
    const FILE: &'static str;

    /// The cells of the columns.
    fn cells(&self) -> Vec<String>;
    /// Appends it as a JSON object.
    fn write_json(&self, out: &mut Vec<u8>) -> serde_json::Result<()>;
}

/// The format of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// RFC 4180, with a header row.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

impl Kind {
    /// The format preferred by the header `Accept` (RFC 9110 section 12.5.1), the first among equals; `None` for JSON
    /// pages.
    pub(super) fn wanted(accept: &str) -> Option<Self> {
        let (mut preferred, mut most) = (None, 0.0);
        for range in accept.split(',') {
            let range = range.to_ascii_lowercase();
            let mut parts = range.split(';').map(str::trim);
            let kind = match parts.next().unwrap_or_default() {
                "text/csv" => Some(Self::Csv),
                "application/x-ndjson" => Some(Self::Ndjson),
                "application/json" | "*/*" | "application/*" => None,
                _ => continue,
            };
            // An invalid weight counts as 0.
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
            if weight > most {
                (preferred, most) = (kind, weight);
            }
        }
        preferred
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Ndjson => "application/x-ndjson",
        }
    }

    fn write<T: Row>(self, entries: &[T], first: bool) -> Result<Vec<u8>, Problem> {
        let fault = |what: &str| {
            tracing::error!("an entry of an export could not be written as {what}");
            Problem::internal()
        };
        match self {
            Self::Csv => csv(entries, first).map_err(|_| fault("CSV")),
            Self::Ndjson => ndjson(entries).map_err(|_| fault("JSON")),
        }
    }
}

/// Streams `pages`.
///
/// # Errors
/// 500 if the first page could not be read; 429 and 503 as [`Share::run`], 503 if the client holds too much memory.
/// Later errors abort the connection.
pub(super) async fn stream<T: Row>(
    share: Share,
    account: Account,
    pages: Pages<T>,
    kind: Kind,
) -> Result<Reply, Problem> {
    let (first, next) = share.run(piece(&pages, kind, None)).await??;
    let first = (account.hold(first)?, next);
    let (room, pieces) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut piece_read = Ok(first);
        loop {
            let (bytes, next) = match piece_read {
                Ok(read) => read,
                Err(_) => return drop(room.send(Err(Broken)).await),
            };
            if !bytes.is_empty() && room.send(Ok(bytes)).await.is_err() {
                return; // the client is gone
            }
            let Some(after) = next else { return };
            let read = share.go_on(piece(&pages, kind, Some(after))).await;
            piece_read = match read.flatten() {
                Ok((bytes, next)) => tokio::select! {
                    bytes = account.hold_in_time(bytes) => Ok((bytes, next)),
                    () = room.closed() => return,
                },
                Err(problem) => Err(problem),
            };
        }
    });
    let mut reply = with_body(StatusCode::OK, kind.content_type(), Body::Stream(pieces));
    if kind == Kind::Csv {
        reply.headers_mut().insert(CONTENT_DISPOSITION, HeaderValue::from_static(T::FILE));
    }
    Ok(reply)
}

/// One formatted page, and the id after which to continue.
type Piece = (Bytes, Option<u128>);

/// Reads the page after an id, or the first; blocks.
fn piece<T: Row>(
    pages: &Pages<T>,
    kind: Kind,
    after: Option<u128>,
) -> impl FnOnce() -> Result<Piece, Problem> + Send + use<T> {
    let pages = Arc::clone(pages);
    move || {
        let page = pages(after)?;
        Ok((Bytes::from(kind.write(&page.items, after.is_none())?), page.next))
    }
}

fn ndjson<T: Row>(entries: &[T]) -> serde_json::Result<Vec<u8>> {
    let mut text = Vec::new();
    for entry in entries {
        entry.write_json(&mut text)?;
        text.push(b'\n');
    }
    Ok(text)
}

fn csv<T: Row>(entries: &[T], header: bool) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    if header {
        writer.write_record(T::COLUMNS)?;
    }
    for entry in entries {
        writer.write_record(entry.cells().into_iter().map(harmless))?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::attempt::{Fault, LogEntry, Status};
    use crate::core::event::{CallId, Company, EventType};
    use crate::core::id::{AttemptId, SubscriptionId};
    use crate::core::time::Timestamp;

    pub(in crate::http) fn entry(company: &str, call: &str) -> LogEntry {
        LogEntry {
            id: AttemptId::from_bits(7),
            created: Timestamp::from_millis(1_790_000_000_000),
            event_type: EventType::parse("call.new").unwrap(),
            status: Status::Retrying,
            response: Some(404),
            error: None,
            error_detail: String::new(),
            duration: Duration::from_millis(12),
            phases: Vec::new(),
            address: None,
            attempt: 1,
            next_attempt: None,
            test: false,
            replay: false,
            event: None,
            delivery: None,
            subscription: SubscriptionId::from_bits(8),
            company: Company::parse(company).unwrap(),
            domain: None,
            call: Some(CallId::parse(call).unwrap()),
            phone: None,
            url: "https://hooks.example/in".to_owned(),
            sent: None,
            sent_body: None,
            answer: None,
        }
    }

    #[test]
    fn csv_reads_back_and_holds_no_formula() {
        let company = "=HYPERLINK(\"http://evil.example\")";
        let mut failed = entry(company, "a,\"b\"");
        (failed.response, failed.error) = (None, Some(Fault::Refused));
        let text = csv(&[entry("@SUM(1)", "+1"), failed], true).unwrap();
        let first = std::str::from_utf8(&text).unwrap().lines().next().unwrap();
        assert!(first.starts_with("Response,Created,Event,Status,"), "{first}");
        let mut reader = csv::Reader::from_reader(text.as_slice());
        let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
        let begins: Vec<_> = rows[0].iter().take(4).collect();
        assert_eq!(begins, ["404", "2026-09-21T14:13:20.000Z", "call.new", "retrying"]);
        assert_eq!((&rows[0][11], &rows[0][13]), ("'@SUM(1)", "'+1"));
        assert_eq!((&rows[1][0], &rows[1][4]), ("", "connection_refused"));
        assert_eq!((rows[1][11].to_owned(), &rows[1][13]), (format!("'{company}"), "a,\"b\""));
    }

    #[test]
    fn ndjson_is_one_object_a_line_and_the_header_row_comes_once() {
        let text = String::from_utf8(ndjson(&[entry("a", "1"), entry("b", "\u{2028}\"")]).unwrap()).unwrap();
        let calls = text
            .split_terminator('\n')
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["call"].as_str().unwrap().to_owned());
        assert_eq!(calls.collect::<Vec<_>>(), ["1", "\u{2028}\""]);
        let later = csv(&[entry("a", "1")], false).unwrap();
        assert!(later.starts_with(b"404,"));
    }

    #[test]
    fn the_preferred_kind_is_chosen() {
        let cases = [
            ("text/csv", Some(Kind::Csv)),
            ("TEXT/CSV; header=present, application/json", Some(Kind::Csv)),
            ("text/html, application/x-ndjson;q=0.9", Some(Kind::Ndjson)),
            ("application/json, text/csv", None),
            ("text/csv;q=0.5, application/json", None),
            ("application/json;q=0.5, text/csv;q=0.8, application/x-ndjson;q=0.6", Some(Kind::Csv)),
            ("text/csv;q=0", None),
            ("text/csv;q=nan, application/x-ndjson;q=", None),
            ("*/*", None),
            ("text/html", None),
            ("", None),
        ];
        for (accept, wanted) in cases {
            assert_eq!(Kind::wanted(accept), wanted, "{accept}");
        }
    }
}

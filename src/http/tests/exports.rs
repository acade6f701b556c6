//! The log as a stream: complete, bounded in memory, and aborted on errors.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use hyper::Request;
use hyper::body::Incoming;

use super::super::bridge::Share;
use super::super::budget::Account;
use super::super::export::tests::entry;
use super::super::export::{self, Kind, Pages};
use super::super::fair_limit::Principal;
use super::super::problem::Problem;
use super::super::reply::Reply;
use super::*;
use crate::core::attempt::LogEntry;
use crate::store::{Page, StoreError};

/// Exports a log of this many pages of 100 entries; reading page `fault` fails.
struct Log {
    pages: u128,
    fault: Option<u128>,
    read: Arc<AtomicUsize>,
    budget: Budget,
    /// Notified when an export has ended, however it did.
    ended_tx: mpsc::Sender<()>,
}

struct NotifyOnDrop(mpsc::Sender<()>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

impl Handler for Log {
    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Reply {
        let (last, fault, read) = (self.pages - 1, self.fault, Arc::clone(&self.read));
        let guard = NotifyOnDrop(self.ended_tx.clone());
        let pages: Pages<LogEntry> = Arc::new(move |after| {
            let _held = &guard;
            let number = after.map_or(0, |number| number + 1);
            read.fetch_add(1, Ordering::SeqCst);
            if fault == Some(number) {
                return Err(StoreError::corrupt_state("is as the test wants it"));
            }
            let items = (0..100).map(|index| entry("acme", &format!("{number}-{index}"))).collect();
            Ok(Page { items, next: (number < last).then_some(number), scanned_until: None })
        });
        let kind = if request.uri().path() == "/csv" { Kind::Csv } else { Kind::Ndjson };
        let account = Account::new(&self.budget, Principal::new(None, None), [127, 0, 0, 1].into());
        export::stream(Share::apart(), account, pages, kind).await.unwrap_or_else(Problem::into_reply)
    }
}

fn exported(path: &str, pages: u128, fault: Option<u128>) -> String {
    let read = Arc::new(AtomicUsize::new(0));
    let server =
        serve(Log { pages, fault, read, budget: Budget::new(4 << 20), ended_tx: mpsc::channel().0 }, settings());
    exchange(server.address(), format!("GET {path} HTTP/1.0\r\n\r\n"))
}

#[test]
fn every_entry_is_in_it_once() {
    let csv = exported("/csv", 30, None);
    let (head, body) = csv.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-type: text/csv") && head.contains("attachment"), "{head}");
    assert_eq!(body.matches("Response,Created,Event,Status").count(), 1);
    let mut reader = csv::Reader::from_reader(body.as_bytes());
    let calls: Vec<_> = reader.records().map(|row| row.unwrap()[13].to_owned()).collect();
    let wanted: Vec<_> = (0..30).flat_map(|page| (0..100).map(move |index| format!("{page}-{index}"))).collect();
    assert_eq!(calls, wanted);
    let ndjson = exported("/ndjson", 3, None);
    assert_eq!(ndjson.matches("\"call\":").count(), 300);
}

#[test]
fn a_failed_stream_is_aborted_and_not_ended() {
    let refused = exported("/csv", 3, Some(0));
    assert_eq!(status(&refused), Some(500), "{refused}");
    let read = Arc::new(AtomicUsize::new(0));
    let server = serve(
        Log { pages: 3, fault: Some(2), read, budget: Budget::new(4 << 20), ended_tx: mpsc::channel().0 },
        settings(),
    );
    let cut = exchange(server.address(), "GET /ndjson HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(status(&cut) == Some(200) && cut.matches("\"call\":").count() <= 200, "{cut}");
    assert!(!cut.ends_with("\r\n0\r\n\r\n"), "the last chunk says that it is complete");
}

#[test]
fn nothing_is_read_ahead_for_a_client_that_does_not_take_it() {
    let read = Arc::new(AtomicUsize::new(0));
    let (budget, (ended_tx, ended)) = (Budget::new(4 << 20), mpsc::channel());
    let brief = Settings { write_timeout: Duration::from_millis(300), ..settings() };
    let server =
        serve(Log { pages: 1_000_000, fault: None, read: Arc::clone(&read), budget: budget.clone(), ended_tx }, brief);
    let mut stream = connect(server.address());
    stream.write_all(b"GET /ndjson HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut most = 0;
    while ended.recv_timeout(Duration::from_millis(10)).is_err() {
        most = most.max(budget.used());
    }
    assert!((1..=1 << 20).contains(&most), "{most} bytes were held at once");
    assert_eq!(budget.used(), 0, "what was held is given back");
    let read = read.load(Ordering::SeqCst);
    assert!(read < 2_000, "{read} pages of 30 KiB were read for nobody");
}

//! `GET /v1/backup`: the whole store as one stream, for administrators of all companies.
//!
//! Sent piece by piece as the client reads, so that a slow client blocks no thread; and not faster than [`PACE`], to
//! leave disk and processors to incoming events.

use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::body::{Body, Broken, with_body};
use super::bridge::{self, Asker as _};
use super::fair_limit::Lane;
use super::problem::Problem;
use super::reply::Reply;
use super::request::Permitted;
use crate::core::audit::{Action, Deed};

/// Maximum rate, in bytes per second.
const PACE: u64 = 32 << 20;

/// Streams a backup.
///
/// # Errors
/// 403 for a token bound to a company, 409 if a backup is running, 422 for a query.
pub(super) async fn stream(request: Permitted) -> Result<Reply, Problem> {
    request.no_query()?;
    if request.access.is_bound() {
        return Err(Problem::forbidden("a backup holds every company's data, and this token is bound to one"));
    }
    let now = (request.services().clock)();
    let begun = bridge::read_in(Lane::Control, &request, move |store| store.backup(now)).await?;
    let mut backup = begun.ok_or_else(|| Problem::conflict("a backup is being taken already"))?;
    // It holds every secret.
    request.note(Deed::new(Action::BackupTake, None, None)).await?;
    let (room, pieces) = mpsc::channel(1);
    let (share, account) = (request.share(Lane::Control), request.account.clone());
    tokio::spawn(async move {
        let mut next = Instant::now();
        loop {
            let read = share.go_on(move || (backup.next(), backup)).await;
            let Ok((piece, rest)) = read else { return drop(room.send(Err(Broken)).await) };
            backup = rest;
            let Some(bytes) = piece else { return };
            next = next.max(Instant::now()) + Duration::from_micros(bytes.len() as u64 * 1_000_000 / PACE);
            let bytes = tokio::select! {
                bytes = account.hold_in_time(Bytes::from(bytes)) => bytes,
                () = room.closed() => return, // the client is gone
            };
            if room.send(Ok(bytes)).await.is_err() {
                return;
            }
            sleep_until(next).await;
        }
    });
    Ok(with_body(StatusCode::OK, "application/vnd.hookswitch.backup", Body::Stream(pieces)))
}

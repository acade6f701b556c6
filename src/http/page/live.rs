//! Server-sent events: tells a view that somebody looks at when the log has grown, and every second that the connection
//! still stands.
//!
//! Knows nothing of what is in the log: a view reads that again itself. Costs nothing when nobody looks: without a
//! stream there is no task and no read, and streams share what one of them has read (`streams`). Invariant: a stream ends with
//! its session, and as soon as the daemon stops.

use std::time::{Duration, Instant};

use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::logs;
use super::streams::Place;
use super::visit::Visit;
use crate::core::id::SessionId;
use crate::http::authentication::of_session;
use crate::http::body::{Body, with_body};
use crate::http::bridge::Asker as _;
use crate::http::connection::Stopping;
use crate::http::problem::Problem;
use crate::http::reply::Reply;

/// How often a stream says something.
const BEAT: Duration = Duration::from_secs(1);
/// How long others may use what one stream has read.
const FRESH: Duration = Duration::from_millis(500);
const MANY: &str = "too many views are open at once: close some";

/// Opens a stream.
///
/// # Errors
/// 429 if too many are open.
pub(super) fn stream(visit: Visit, stopping: Stopping) -> Result<Reply, Problem> {
    let session = visit.session().ok_or_else(Problem::internal)?;
    let place = visit.streams().place(session).ok_or_else(|| Problem::too_many_requests(MANY, 10))?;
    let (sender, pieces) = mpsc::channel(1);
    tokio::spawn(async move {
        tokio::select! {
            () = tell(&visit, &place, &sender) => {}
            () = sender.closed() => {}
            () = stopped(stopping.0) => {}
        }
    });
    let mut reply = with_body(StatusCode::OK, "text/event-stream", Body::Stream(pieces));
    // Proxies such as nginx would otherwise collect what is meant at once.
    reply.headers_mut().insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(reply)
}

async fn stopped(mut stop: watch::Receiver<Option<tokio::time::Instant>>) {
    // An error means that the listener is gone.
    let _ = stop.wait_for(Option::is_some).await;
}

/// Tells what there is to tell until the session ends or the browser is gone.
async fn tell(visit: &Visit, place: &Place, sender: &mpsc::Sender<Result<bytes::Bytes, crate::http::body::Broken>>) {
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = String::new();
    loop {
        beat.tick().await;
        if !is_alive(visit, place.session) {
            return;
        }
        let text = match newest(visit).await {
            Ok(newest) if newest != told => {
                told.clone_from(&newest);
                format!("event: log\ndata: {newest}\n\n")
            }
            // What cannot be read now is told as soon as it can.
            _ => "event: beat\ndata: 1\n\n".to_owned(),
        };
        if sender.send(Ok(text.into())).await.is_err() {
            return;
        }
    }
}

fn is_alive(visit: &Visit, session: SessionId) -> bool {
    let (context, now) = (visit.context(), (visit.services().clock)());
    let session = visit.services().store.session(session).filter(|one| one.is_alive(context.lifetime, now));
    session.and_then(|session| of_session(visit.services(), session)).is_some()
}

async fn newest(visit: &Visit) -> Result<String, Problem> {
    let mut read = visit.streams().newest.lock().await;
    if let Some((at, newest)) = &*read
        && at.elapsed() < FRESH
    {
        return Ok(newest.clone());
    }
    let newest = logs::newest_tag(visit).await?;
    *read = Some((Instant::now(), newest.clone()));
    Ok(newest)
}

//! The state of the current thread's attempt: remaining time, phase, observations.
//!
//! ureq calls our connector and connections without a way to pass per-request data, and an attempt stays on one
//! thread from beginning to end: so this state is thread-local. Only [`super::attempt`] begins and ends an attempt;
//! the layers below ureq record what they do. Outside an attempt the calls here do nothing, and no time is left.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::head::{Framing, Head};
use crate::core::attempt::Phase;

/// What was observed of one attempt.
#[derive(Debug)]
pub(super) struct Marks {
    /// When the attempt must have ended.
    deadline: Instant,
    /// Time limit for resolving and connecting.
    connect_limit: Duration,
    /// The deadline for that; set when it begins.
    connect_deadline: Option<Instant>,
    phase: Phase,
    since: Instant,
    /// Completed phases.
    pub(super) phases: Vec<(Phase, Duration)>,
    /// The address connected to.
    pub(super) address: Option<SocketAddr>,
    /// Whether the connection was made for this attempt, rather than kept from an earlier one.
    pub(super) fresh: bool,
    /// Bytes received.
    pub(super) received: usize,
    /// The head of the response.
    pub(super) head: Option<Head>,
    /// Whether a client certificate was requested and there is none.
    certificate_asked: bool,
}

thread_local! {
    static CURRENT: RefCell<Option<Marks>> = const { RefCell::new(None) };
}

fn with<R>(f: impl FnOnce(&mut Marks) -> R) -> Option<R> {
    CURRENT.with_borrow_mut(|marks| marks.as_mut().map(f))
}

/// Begins an attempt that must end by `deadline`, of which resolving and connecting may take `connect_limit`.
pub(super) fn begin(now: Instant, deadline: Instant, connect_limit: Duration) {
    let marks = Marks {
        deadline,
        connect_limit,
        connect_deadline: None,
        phase: Phase::Send,
        since: now,
        phases: Vec::with_capacity(Phase::ALL.len()),
        address: None,
        fresh: false,
        received: 0,
        head: None,
        certificate_asked: false,
    };
    CURRENT.set(Some(marks));
}

/// Ends the attempt; its current phase counts as reached.
pub(super) fn end() -> Option<Marks> {
    let mut marks = CURRENT.take()?;
    marks.phases.push((marks.phase, marks.since.elapsed()));
    Some(marks)
}

/// A connection is being made: resolving begins.
pub(super) fn resolving() {
    with(|marks| {
        let now = Instant::now();
        marks.connect_deadline = Some(marks.deadline.min(now + marks.connect_limit));
        marks.phase = Phase::Resolve;
        marks.since = now;
        marks.fresh = true;
    });
}

/// `phase` begins, unless the attempt is in it.
pub(super) fn enter(phase: Phase) {
    with(|marks| {
        if marks.phase != phase {
            let now = Instant::now();
            marks.phases.push((marks.phase, now - marks.since));
            marks.phase = phase;
            marks.since = now;
        }
    });
}

/// The connection in use goes to `address`.
pub(super) fn connected_to(address: SocketAddr) {
    with(|marks| marks.address = Some(address));
}

/// `count` bytes were received.
pub(super) fn received(count: usize) {
    with(|marks| marks.received += count);
}

/// The head of the response was received.
pub(super) fn answered(head: Head) {
    with(|marks| marks.head = Some(head));
}

/// Whether the end of the response's body is known; also true before there is a response.
pub(super) fn has_clear_end() -> bool {
    with(|marks| marks.head.as_ref().is_none_or(|head| head.framing != Framing::Unclear)).unwrap_or(true)
}

/// The receiver requested a client certificate, and there is none.
pub(super) fn certificate_asked() {
    with(|marks| marks.certificate_asked = true);
}

pub(super) fn was_certificate_asked() -> bool {
    with(|marks| marks.certificate_asked).unwrap_or(false)
}

/// The attempt's current phase.
pub(super) fn phase() -> Phase {
    with(|marks| marks.phase).unwrap_or(Phase::Connect)
}

/// Time left for the current phase.
pub(super) fn left() -> Duration {
    with(|marks| {
        let deadline = match marks.phase {
            Phase::Resolve | Phase::Connect => marks.connect_deadline.unwrap_or(marks.deadline),
            Phase::Send | Phase::Wait | Phase::Receive => marks.deadline,
        };
        deadline.saturating_duration_since(Instant::now())
    })
    .unwrap_or(Duration::ZERO)
}

/// Moves the attempt's deadline to `limit` from now, if that is earlier.
pub(super) fn shorten(limit: Duration) {
    with(|marks| marks.deadline = marks.deadline.min(Instant::now() + limit));
}

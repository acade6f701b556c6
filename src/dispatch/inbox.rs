//! The dispatcher's input queue: store changes, ended attempts and control messages, in order of arrival.

use std::collections::HashMap;
use std::sync::mpsc;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::lanes::{Seen, Standing};
use super::settings::Settings;
use crate::core::delivery::Delivery;
use crate::core::id::SubscriptionId;
use crate::core::time::Moment;
use crate::store::StoreEvent;

pub(super) enum Input {
    /// Durable changes, and when they were decided.
    Changes(Moment, Vec<StoreEvent>),
    /// An attempt has ended: its delivery in monotonic time, and what it says about the receiver.
    Ended(Delivery, Seen),
    /// Query of these subscriptions' states. Nothing is sent meanwhile, so keep it short.
    Query(Vec<SubscriptionId>, mpsc::Sender<HashMap<SubscriptionId, Standing>>),
    /// New settings.
    Settings(Settings),
    Stop,
}

/// Handle to the input queue.
#[derive(Default)]
pub struct Inbox {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Default)]
struct Waiting {
    inputs: Vec<Input>,
    /// Whether the dispatcher sleeps: it is woken only then, to save a system call.
    asleep: bool,
}

impl Inbox {
    /// Adds durable changes, and when they were decided. Does not block.
    pub fn changes(&self, decided: Moment, changes: Vec<StoreEvent>) {
        self.push(Input::Changes(decided, changes));
    }

    /// Adds an ended attempt and calls `record` to tell the store, both before the dispatcher can act on it: it sees
    /// the end before its durable record, and the store sees the attempts of a delivery in order. `record` must not
    /// block.
    pub(super) fn ended(&self, after: Delivery, seen: Seen, record: impl FnOnce()) {
        let mut waiting = self.lock();
        waiting.inputs.push(Input::Ended(after, seen));
        record();
        self.wake(waiting);
    }

    pub(super) fn push(&self, input: Input) {
        let mut waiting = self.lock();
        waiting.inputs.push(input);
        self.wake(waiting);
    }

    fn wake(&self, mut waiting: MutexGuard<'_, Waiting>) {
        let asleep = std::mem::replace(&mut waiting.asleep, false);
        drop(waiting);
        if asleep {
            self.arrived.notify_one();
        }
    }

    /// Waits for input, at most for `limit`; moves all of it to `inputs`, which must be empty.
    pub(super) fn take(&self, limit: Option<Duration>, inputs: &mut Vec<Input>) {
        let until = limit.map(|limit| Instant::now() + limit);
        let mut waiting = self.lock();
        while waiting.inputs.is_empty() {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            waiting.asleep = left != Some(Duration::ZERO);
            waiting = match left {
                Some(Duration::ZERO) => break,
                Some(left) => self.arrived.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            };
        }
        waiting.asleep = false;
        std::mem::swap(&mut waiting.inputs, inputs);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

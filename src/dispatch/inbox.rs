//! The dispatcher's input queue: changes of the store, ended attempts and control, in order of arrival.

use std::collections::HashMap;
use std::sync::mpsc;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::lanes::{Seen, Standing};
use super::settings::Settings;
use crate::core::delivery::Delivery;
use crate::core::id::SubscriptionId;
use crate::core::time::Moment;
use crate::store::Change;

pub(super) enum Input {
    /// What is on the disk, and when it was decided.
    Changes(Moment, Vec<Change>),
    /// An attempt has ended; this is how its delivery stands, by the monotonic clock, and what it says of the receiver.
    Ended(Delivery, Seen),
    /// Somebody wants to know how these receivers are. Nothing is sent meanwhile: they are to be few.
    Ask(Vec<SubscriptionId>, mpsc::Sender<HashMap<SubscriptionId, Standing>>),
    /// What holds from now on.
    Settings(Settings),
    Stop,
}

/// What the dispatcher hears.
#[derive(Default)]
pub struct Inbox {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Default)]
struct Waiting {
    inputs: Vec<Input>,
    /// Whether the dispatcher sleeps: it is woken only then, which is a call of the kernel.
    asleep: bool,
}

impl Inbox {
    /// Tells of changes that are on the disk, and when they were decided. Does not block.
    pub fn changes(&self, decided: Moment, changes: Vec<Change>) {
        self.push(Input::Changes(decided, changes));
    }

    /// Tells that an attempt has ended, and has `record` tell the store, both before the dispatcher can act on it: it
    /// hears of the end before it hears that it is on the disk, and the store hears of the attempts of a delivery in
    /// their order. `record` must not block.
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

    /// Waits for something, at most for `limit`; moves all there is to `inputs`, which is empty.
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

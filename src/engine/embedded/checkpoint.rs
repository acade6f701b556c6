//! The thread that writes checkpoints, so that no commit waits for one.
//!
//! Knows nothing of their contents. One checkpoint runs at a time; the writer requests one and continues.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::engine::embedded::kv::{CheckpointMeta, Kv};

#[derive(Default)]
struct Slot {
    asked: Option<CheckpointMeta>,
    /// Whether one is being written, or is about to be.
    /// Whether a checkpoint is running or requested.
    stop: bool,
    failure: Option<String>,
}

#[derive(Default)]
struct Shared {
    slot: Mutex<Slot>,
    changed: Condvar,
}

/// The running thread.
pub(crate) struct Checkpointer {
    state: Arc<Kv>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread. `failed` is called, from it, if a checkpoint fails; no more are written then.
    ///
    /// Starts the thread. If a checkpoint fails, `failed` is called from it and no more checkpoints are written.
    /// There is no thread to be had.
    pub(crate) fn start(state: Arc<Kv>, failed: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        /// The thread cannot be started.
        let (of_thread, written) = (shared.clone(), state.clone());
        let thread = std::thread::Builder::new()
            .name("checkpointer".to_owned())
            .spawn(move || of_thread.serve(&written, &failed))?;
        Ok(Self { state, shared, thread: Some(thread) })
    }

    /// Whether no checkpoint is under way, and none has failed.
    pub(crate) fn is_free(&self) -> bool {
        /// Whether no checkpoint is running and none has failed.
        !slot.busy && slot.failure.is_none()
    }

    /// Begins a checkpoint of all changes so far, with which the journal is taken in as far as
    /// `mark` says; does nothing unless it [is free](Self::is_free).
    /// Begins a checkpoint of all changes so far, at the position in `meta`; does nothing unless [free](Self::is_free).
        if slot.busy || slot.failure.is_some() {
            return;
        }
        self.state.freeze();
        slot.asked = Some(mark);
        slot.busy = true;
        self.shared.changed.notify_all();
    }

    /// Waits until no checkpoint is under way.
    ///
    /// Waits until no checkpoint is running.
    /// Why one failed, now or before.
    pub(crate) fn settle(&self) -> Result<(), String> {
        /// Why a checkpoint failed, now or earlier.
        while slot.busy && slot.failure.is_none() {
            slot = self.shared.changed.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
        slot.failure.clone().map_or(Ok(()), Err)
    }

    /// Why a checkpoint failed, if one has.
    pub(crate) fn failure(&self) -> Option<String> {
        self.shared.lock().failure.clone()
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
        // It catches its own panics, and has told of them.
        drop(self.thread.take().map(JoinHandle::join));
    // The thread catches its own panics and has reported them.
}

impl Shared {
    fn serve(&self, state: &Kv, failed: &dyn Fn()) {
        loop {
            let mut slot = self.lock();
            while slot.asked.is_none() && !slot.stop {
                slot = self.changed.wait(slot).unwrap_or_else(PoisonError::into_inner);
            }
            let Some(mark) = slot.asked.take() else { return };
            drop(slot);
            let written = catch_unwind(AssertUnwindSafe(|| state.write_frozen(&mark)));
            let failure = match written {
                Ok(result) => result.err().map(|error| error.to_string()),
                Err(_) => Some("the state database panicked".to_owned()),
            };
            let mut slot = self.lock();
            slot.busy = false;
            slot.failure = failure;
            let end = slot.failure.is_some();
            drop(slot);
            self.changed.notify_all();
            if end {
                failed();
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! The thread that writes checkpoints, so that no commit waits for one, and merges what they wrote.
//!
//! Knows nothing of their contents. One checkpoint runs at a time; the writer requests one and continues. Merging is
//! done in small steps while no checkpoint is requested.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::engine::embedded::kv::{CheckpointMeta, Kv};

#[derive(Default)]
struct Slot {
    requested: Option<CheckpointMeta>,
    /// Whether a checkpoint is running or requested.
    busy: bool,
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
    kv: Arc<Kv>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread. If a checkpoint fails, `failed` is called from it and no more checkpoints are written.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(crate) fn start(kv: Arc<Kv>, failed: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (of_thread, written) = (shared.clone(), kv.clone());
        let thread = std::thread::Builder::new()
            .name("checkpointer".to_owned())
            .spawn(move || of_thread.serve(&written, &failed))?;
        Ok(Self { kv, shared, thread: Some(thread) })
    }

    /// Whether no checkpoint is running and none has failed.
    pub(crate) fn is_free(&self) -> bool {
        let slot = self.shared.lock();
        !slot.busy && slot.failure.is_none()
    }

    /// Begins a checkpoint of all changes so far, with the metadata `meta`; does nothing unless [free](Self::is_free).
    pub(crate) fn begin(&self, meta: CheckpointMeta) {
        let mut slot = self.shared.lock();
        if slot.busy || slot.failure.is_some() {
            return;
        }
        self.kv.freeze();
        slot.requested = Some(meta);
        slot.busy = true;
        self.shared.changed.notify_all();
    }

    /// Waits until no checkpoint is running.
    ///
    /// # Errors
    /// Why a checkpoint failed, now or earlier.
    pub(crate) fn wait_until_idle(&self) -> Result<(), String> {
        let mut slot = self.shared.lock();
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
        // The thread catches its own panics and has reported them.
        drop(self.thread.take().map(JoinHandle::join));
    }
}

impl Shared {
    fn serve(&self, kv: &Kv, failed: &dyn Fn()) {
        let mut more = true;
        loop {
            let mut slot = self.lock();
            while slot.requested.is_none() && !slot.stop && !more {
                slot = self.changed.wait(slot).unwrap_or_else(PoisonError::into_inner);
            }
            if slot.stop && slot.requested.is_none() {
                return;
            }
            let meta = slot.requested.take();
            drop(slot);
            let work = || match &meta {
                Some(meta) => kv.write_frozen(meta).map(|()| true),
                None => kv.merge(),
            };
            let failure = match catch_unwind(AssertUnwindSafe(work)) {
                Ok(Ok(left)) => {
                    more = left;
                    None
                }
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("the state database panicked".to_owned()),
            };
            let mut slot = self.lock();
            // Another one may have been requested during a merge.
            slot.busy = slot.requested.is_some();
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

//! The bridge from this async module to the blocking store.
//!
//! A write is sent to the writer with a callback that wakes the waiting request. If the client has gone away
//! meanwhile, the write continues and its answer is dropped. A read blocks, so it runs on one of a fixed number of
//! threads, in a slot of its [`Lane`] that is shared [fairly](super::fair_limit).

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::context::RequestContext;
use super::fair_limit::{FairLimit, Lane, Principal, Slot};
use super::problem::Problem;
use crate::store::{Busy, Reply, Store, StoreError};

/// Time limit of a write: far longer than any working disk needs.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);
/// Time limit of waiting for a slot.
const SLOT_DEADLINE: Duration = Duration::from_secs(30);
/// `Retry-After` of a refusal, in seconds.
const RETRY_AFTER: u16 = 2;

/// The originator of blocking work.
pub(super) trait Asker {
    /// The request context.
    fn context(&self) -> &RequestContext;
    /// The principal charged for it.
    fn principal(&self) -> Principal;

    /// Holds a slot until the response, replacing the current one: until then the result is in memory.
    fn keep_slot(&self, _slot: Option<Slot>) {}

    /// Its share of a lane.
    fn share(&self, lane: Lane) -> Share {
        Share::of(self.context(), lane, self.principal())
    }
}

/// A principal's share of a lane.
#[derive(Clone)]
pub(super) struct Share {
    limit: FairLimit,
    principal: Principal,
}

impl Share {
    pub(super) fn of(context: &RequestContext, lane: Lane, principal: Principal) -> Self {
        Self { limit: context.lanes.of(lane).clone(), principal }
    }

    /// For tests: an unshared one.
    #[cfg(test)]
    pub(super) fn apart() -> Self {
        Self { limit: FairLimit::new(4, 4), principal: Principal::new(None, None) }
    }

    /// Runs blocking work off the async thread, once a slot is free.
    ///
    /// # Errors
    /// 429 if too many of the same token wait already, 503 if no slot became free in time, 500 if `work` panicked.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        self.run_in_slot(work, false).await.map(|(done, _)| done)
    }

    /// The same for the next part of work in progress: it is not refused because others of its token wait, and waits
    /// as long as they take.
    ///
    /// # Errors
    /// 500 if `work` panicked.
    pub(super) async fn go_on<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        self.run_in_slot(work, true).await.map(|(done, _)| done)
    }

    async fn run_in_slot<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
        patient: bool,
    ) -> Result<(T, Slot), Problem> {
        const FULL: &str = "too many requests of this token are waiting already: send fewer at once";
        const LATE: &str = "the server is overloaded; nothing was done";
        let slot = self.limit.slot(self.principal.clone(), patient);
        let slot = if patient {
            slot.await
        } else {
            timeout(SLOT_DEADLINE, slot).await.map_err(|_| Problem::unavailable(LATE, RETRY_AFTER))?
        };
        let slot = slot.map_err(|_| Problem::too_many_requests(FULL, RETRY_AFTER))?;
        // Held until the work is done, even if nobody waits any more.
        let work = move || (work(), slot);
        spawn_blocking(work).await.map_err(|_| {
            tracing::error!("a blocking part of a request panicked; the panic's message stands above");
            Problem::internal()
        })
    }
}

/// Sends a write with `send` and waits until it is durable.
///
/// # Errors
/// 503 if the writer's write queue is full, if it does not answer, or if the store has failed; otherwise the
/// store's error.
pub(super) async fn written<T: Send + 'static>(send: impl FnOnce(Reply<T>) -> Result<(), Busy>) -> Result<T, Problem> {
    const LOST: &str = "the store did not say whether this was stored: post it again with the same id";
    let (answer, waiting) = oneshot::channel();
    // The client may be gone; then the answer is dropped.
    send(Box::new(move |result| drop(answer.send(result))))?;
    match timeout(WRITE_DEADLINE, waiting).await {
        Ok(Ok(result)) => result.map_err(Problem::from),
        Ok(Err(_)) | Err(_) => Err(Problem::unavailable(LOST, 5)),
    }
}

/// Reads the store off the async thread, in the lane of reads. The slot is kept until the request is answered or
/// reads again: otherwise results could pile up in memory before they are counted as responses.
///
/// # Errors
/// 500 if the data is damaged or the disk cannot be read, and as [`Share::run`].
pub(super) async fn read<T: Send + 'static>(
    asker: &impl Asker,
    work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Problem> {
    // Waiting for another slot while holding one could deadlock.
    asker.keep_slot(None);
    let store = asker.context().services.store.clone();
    let (found, slot) = asker.share(Lane::Read).run_in_slot(move || work(&store), false).await?;
    asker.keep_slot(Some(slot));
    found.map_err(Problem::from)
}

/// The same in another lane.
///
/// # Errors
/// As [`read`].
pub(super) async fn read_in<T: Send + 'static>(
    lane: Lane,
    asker: &impl Asker,
    work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Problem> {
    let (store, share) = (asker.context().services.store.clone(), asker.share(lane));
    share.run(move || work(&store)).await?.map_err(Problem::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Outage, StoreError};

    fn outcome(send: impl FnOnce(Reply<u32>) -> Result<(), Busy>) -> Result<u32, u16> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(written(send)).map_err(|problem| problem.status())
    }

    #[test]
    fn a_write_answers_when_it_is_done_and_not_before() {
        let later = |reply: Reply<u32>| {
            std::thread::spawn(move || reply(Ok(7)));
            Ok(())
        };
        assert_eq!(outcome(later), Ok(7));
    }

    #[test]
    fn a_write_that_was_not_made_is_distinguished() {
        let answered = |error: StoreError| {
            outcome(|reply| {
                reply(Err(error));
                Ok(())
            })
        };
        let dropped = |reply| {
            drop(reply);
            Ok(())
        };
        assert_eq!(outcome(|_| Err(Busy)), Err(503));
        assert_eq!(outcome(dropped), Err(503));
        assert_eq!(answered(StoreError::Unavailable(Outage::Unknown)), Err(503));
        assert_eq!(answered(StoreError::NotFound), Err(404));
        assert_eq!(answered(StoreError::Conflict("no".to_owned())), Err(409));
    }

    #[test]
    fn a_write_continues_when_its_caller_is_gone() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut kept = None;
        let send = |reply: Reply<u32>| {
            kept = Some(reply);
            Ok(())
        };
        let waited = runtime.block_on(async { timeout(Duration::ZERO, written(send)).await });
        assert!(waited.is_err(), "it was not answered");
        kept.expect("it was handed over")(Ok(7));
    }
}

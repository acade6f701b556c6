//! The bridge from this module, which is async, to the store, which blocks.
//!
//! A write goes to the committer with a callback, which wakes the request that waits for it. If the client has gone
//! away meanwhile, the write goes on and its answer is dropped. A read blocks, so it is done on one of a fixed number
//! of threads, in a slot of its [`Lane`] that is shared [fairly](super::fair_limit).

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::context::RequestContext;
use super::fair_limit::{FairLimit, Lane, Principal, Slot};
use super::problem::Problem;
use crate::store::{Busy, ReadError, Reply, Store};

/// How long a write is waited for: far longer than any disk that works needs.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);
/// How long a request waits for its turn.
const TURN_DEADLINE: Duration = Duration::from_secs(30);
/// When who was refused its turn may come again, in seconds.
const COME_AGAIN: u16 = 2;

/// Who asks for what blocks, and of whom.
pub(super) trait Asker {
    /// What serves the request.
    fn context(&self) -> &RequestContext;
    /// On whose account it is done.
    fn principal(&self) -> Principal;

    /// Keeps a slot until it is answered, in place of the one that it has: what was read is in memory until then.
    fn keep_turn(&self, _slot: Option<Slot>) {}

    /// Its share of a lane.
    fn share(&self, lane: Lane) -> Share {
        Share::of(self.context(), lane, self.principal())
    }
}

/// Somebody's share of a lane.
#[derive(Clone)]
pub(super) struct Share {
    limit: FairLimit,
    principal: Principal,
}

impl Share {
    pub(super) fn of(context: &RequestContext, lane: Lane, principal: Principal) -> Self {
        Self { limit: context.lanes.of(lane).clone(), principal }
    }

    /// For tests: one that nobody else has a part in.
    #[cfg(test)]
    pub(super) fn apart() -> Self {
        Self { limit: FairLimit::new(4, 4), principal: Principal::new(None, None) }
    }

    /// Does what blocks off the async thread, when its turn comes.
    ///
    /// # Errors
    /// 429 if too many of the same token wait already, 503 if its turn does not come, 500 if `work` panicked.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        self.run_in_turn(work, false).await.map(|(done, _)| done)
    }

    /// The same for the next part of what was begun: it is not refused because others of its token wait, and waits for
    /// as long as they take.
    ///
    /// # Errors
    /// 500 if `work` panicked.
    pub(super) async fn go_on<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        self.run_in_turn(work, true).await.map(|(done, _)| done)
    }

    async fn run_in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
        patient: bool,
    ) -> Result<(T, Slot), Problem> {
        const FULL: &str = "too many requests of this token wait for their turn already: send fewer at once";
        const LATE: &str = "more is asked for at once than can be answered; nothing was done";
        let turn = self.limit.slot(self.principal.clone(), patient);
        let slot = if patient {
            turn.await
        } else {
            timeout(TURN_DEADLINE, turn).await.map_err(|_| Problem::unavailable(LATE, COME_AGAIN))?
        };
        let slot = slot.map_err(|_| Problem::too_many_requests(FULL, COME_AGAIN))?;
        // Also if nobody waits for it any more, it is held until the work is done.
        let work = move || (work(), slot);
        spawn_blocking(work).await.map_err(|_| {
            tracing::error!("a blocking part of a request panicked; the panic's message stands above");
            Problem::internal()
        })
    }
}

/// Hands a write over with `send` and waits until it is on the disk.
///
/// # Errors
/// 503 if the committer's write queue is full, if it does not answer, or if the store has failed;
/// otherwise what the store says against it.
pub(super) async fn written<T: Send + 'static>(send: impl FnOnce(Reply<T>) -> Result<(), Busy>) -> Result<T, Problem> {
    const LOST: &str = "the store did not say whether this was stored: post it again with the same id";
    let (answer, waiting) = oneshot::channel();
    // Whoever waited may be gone: then nobody needs the answer.
    send(Box::new(move |result| drop(answer.send(result))))?;
    match timeout(WRITE_DEADLINE, waiting).await {
        Ok(Ok(result)) => result.map_err(Problem::from),
        Ok(Err(_)) | Err(_) => Err(Problem::unavailable(LOST, 5)),
    }
}

/// Reads the store off the async thread, in the lane of reads. The slot is kept until the request is answered or reads again:
/// otherwise what was read for many would gather before it is counted as an answer.
///
/// # Errors
/// 500 if what is wanted is damaged or the disk could not be read, and as [`Share::run`].
pub(super) async fn read<T: Send + 'static>(
    asker: &impl Asker,
    work: impl FnOnce(&Store) -> Result<T, ReadError> + Send + 'static,
) -> Result<T, Problem> {
    // Who waits for another slot while it keeps one could wait for itself.
    asker.keep_turn(None);
    let store = asker.context().services.store.clone();
    let (found, slot) = asker.share(Lane::Read).run_in_turn(move || work(&store), false).await?;
    asker.keep_turn(Some(slot));
    found.map_err(Problem::from)
}

/// The same in another lane.
///
/// # Errors
/// As [`read`].
pub(super) async fn read_in<T: Send + 'static>(
    lane: Lane,
    asker: &impl Asker,
    work: impl FnOnce(&Store) -> Result<T, ReadError> + Send + 'static,
) -> Result<T, Problem> {
    let (store, share) = (asker.context().services.store.clone(), asker.share(lane));
    share.run(move || work(&store)).await?.map_err(Problem::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::WriteError;

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
    fn a_write_that_is_not_made_is_told_apart() {
        let answered = |error: WriteError| {
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
        assert_eq!(answered(WriteError::Unavailable), Err(503));
        assert_eq!(answered(WriteError::NotFound), Err(404));
        assert_eq!(answered(WriteError::Conflict("no".to_owned())), Err(409));
    }

    #[test]
    fn a_write_goes_on_when_nobody_waits_for_it_any_more() {
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

//! The thread that keeps this daemon among the others: it renews the lease, and wakes the writer when others have
//! committed something, or when shards are to be taken or given up.
//!
//! It has a connection of its own, so that a lease does not wait for a commit. While it is idle it asks the server one
//! statement each time the lease is renewed. It decides nothing: the writer does, under the lock of the commits.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use postgres::fallible_iterator::FallibleIterator as _;

use crate::core::shards::ShardSet;
use crate::engine::postgres::connect::{Connector, Refusal};
use crate::engine::postgres::connection::Connection;
use crate::engine::postgres::lease::{Lease, RENEWED_EVERY};
use crate::engine::postgres::members;
use crate::engine::queue::{Control, WriteQueue};

/// How long to wait before connecting again.
const AGAIN: Duration = Duration::from_millis(300);
/// For how long it waits for a wake-up at a time, and so how long stopping may take.
const LISTEN: Duration = Duration::from_millis(100);

/// The name of the channel on which daemons of a schema wake each other, quoted.
pub(super) fn channel(schema: &str) -> String {
    // As long as a name may be, and one of its own for each schema.
    let name = format!("hookswitch {schema}");
    let name = if name.len() <= 63 { name } else { format!("hookswitch {:032x}", hash(schema)) };
    format!("\"{name}\"")
}

fn hash(schema: &str) -> u128 {
    use sha2::Digest as _;
    sha2::Sha256::digest(schema.as_bytes()).first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes))
}

/// The running thread.
pub(super) struct Running {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Stops the thread: the lease is renewed no more.
    pub(super) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.join().is_err() {
            tracing::error!("the thread that renews the lease ended in a panic");
        }
    }
}

/// Starts the thread.
///
/// # Errors
/// It cannot be started.
pub(super) fn start(connector: Connector, lease: Arc<Lease>, queue: Arc<WriteQueue>) -> io::Result<Running> {
    let stop = Arc::new(AtomicBool::new(false));
    let watch = Watch { connector, lease, queue, stop: stop.clone(), seen: 0 };
    let queue = watch.queue.clone();
    let run = move || {
        let mut watch = watch;
        if catch_unwind(AssertUnwindSafe(|| watch.run())).is_err() {
            queue.send(Control::Stop("the thread that renews the lease panicked".to_owned()));
        }
    };
    let thread = std::thread::Builder::new().name("lease".to_owned()).spawn(run)?;
    Ok(Running { stop, thread })
}

struct Watch {
    connector: Connector,
    lease: Arc<Lease>,
    queue: Arc<WriteQueue>,
    stop: Arc<AtomicBool>,
    /// The last commit that was seen.
    seen: i64,
}

impl Watch {
    fn run(&mut self) {
        while !self.is_stopped() {
            // The writer says that the server is away, and why.
            if let Err(refusal) = self.connected() {
                tracing::debug!("the lease cannot be renewed: {refusal}");
            }
            self.lease.note_connected(false, Instant::now());
            if !self.is_stopped() {
                std::thread::sleep(AGAIN);
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Renews the lease and listens, until the connection is lost.
    fn connected(&mut self) -> Result<(), Refusal> {
        let mut connection = Connection::open(&self.connector)?;
        connection.client().batch_execute(&format!("LISTEN {}", channel(self.connector.schema())))?;
        while !self.is_stopped() {
            let begun = Instant::now();
            self.renew(&mut connection)?;
            self.lease.note_connected(true, begun);
            while begun.elapsed() < RENEWED_EVERY && !self.is_stopped() {
                self.listen(&mut connection)?;
            }
        }
        Ok(())
    }

    fn renew(&mut self, connection: &mut Connection) -> Result<(), Refusal> {
        let (node, asked) = (self.lease.node(), Instant::now());
        let seen = members::renew(connection, node)?;
        if seen.has(node) {
            self.lease.renew(node, asked);
        } else {
            self.lease.lose(node);
        }
        let step = seen.step(node, ShardSet::NONE, self.lease.is_settled(asked));
        if !seen.has(node) || !step.is_nothing() {
            self.queue.send(Control::SettleShards);
        }
        if seen.batch != self.seen {
            self.seen = seen.batch;
            self.queue.send(Control::Follow);
        }
        Ok(())
    }

    fn listen(&self, connection: &mut Connection) -> Result<(), Refusal> {
        let own = format!("{:032x}", self.lease.node().0);
        let mut notifications = connection.client().notifications();
        let first = notifications.timeout_iter(LISTEN).next()?;
        let mut others = first.is_some_and(|first| first.payload() != own);
        // What else has arrived says nothing more.
        let mut arrived = notifications.iter();
        while let Some(one) = arrived.next()? {
            others |= one.payload() != own;
        }
        drop(arrived);
        drop(notifications);
        if others {
            self.queue.send(Control::Follow);
        }
        if connection.is_closed() { Err(Refusal("the connection is lost".to_owned())) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_schema_has_a_channel_of_its_own_whatever_its_length() {
        let (long, other) = ("a".repeat(63), format!("{}b", "a".repeat(62)));
        assert_eq!(channel("hooks"), "\"hookswitch hooks\"");
        assert!(channel(&long).len() <= 65 && channel(&long) != channel(&other));
    }
}

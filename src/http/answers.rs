//! The channel that returns the store's answers to the HTTP thread: one wake-up per group commit.
//!
//! Waking the HTTP thread for a single answer is a system call, repeated for the next answer while the thread is
//! already running: under load that dominates the cost of answering. Sent together through this channel, answers are
//! delivered by a task of the thread, for which waking another task is a push to a queue.
//!
//! No answer is lost with the thread: dropping answers delivers them.

use tokio::sync::mpsc::{self, UnboundedReceiver};

use crate::store;

/// The receiving end. Bounded by how much the committer processes at once.
pub struct Answers(UnboundedReceiver<store::Answers>);

/// Creates the channel: the callback for the committer, and the receiving end.
pub fn answers() -> (impl Fn(store::Answers) + Send + 'static, Answers) {
    let (way, arrived) = mpsc::unbounded_channel();
    // After the thread has ended they are returned, and dropped here.
    (move |answers| drop(way.send(answers)), Answers(arrived))
}

impl Answers {
    /// Delivers what arrives.
    pub(super) async fn give(mut self) {
        while let Some(answers) = self.0.recv().await {
            drop(answers);
        }
    }
}

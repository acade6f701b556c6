//! The channel that returns the store's answers to the HTTP thread: one wake-up per group commit.
//!
//! Waking the HTTP thread for a single answer is a system call, repeated for the next answer while the thread is
//! already running: under load that dominates the cost of answering. Sent together through this channel, answers are
//! delivered by a task of the thread, for which waking another task is a push to a queue.
//!
//! No answer is lost with the thread: those in the channel when it ends are given then, and later ones are given by the
//! writer.

use tokio::sync::mpsc::{self, UnboundedReceiver};

use crate::store;

/// The receiving end. Bounded by how much the writer processes at once.
pub struct Answers(UnboundedReceiver<store::Answers>);

/// Creates the channel: the callback for the writer, and the receiving end.
pub fn answers() -> (impl Fn(store::Answers) + Send + 'static, Answers) {
    let (way, arrived) = mpsc::unbounded_channel();
    let give = move |answers: store::Answers| {
        // After the thread has ended they are returned.
        if let Err(unsent) = way.send(answers) {
            unsent.0.give();
        }
    };
    (give, Answers(arrived))
}

impl Answers {
    /// Delivers what arrives.
    pub(super) async fn give(mut self) {
        while let Some(answers) = self.0.recv().await {
            answers.give();
        }
    }
}

impl Drop for Answers {
    /// The thread ends: what has arrived is given.
    fn drop(&mut self) {
        self.0.close();
        while let Ok(answers) = self.0.try_recv() {
            answers.give();
        }
    }
}

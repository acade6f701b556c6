//! The channel of the store's answers to the thread of the requests: one wake-up for all answers of a group commit.
//!
//! An answer from the committer to a single request wakes this thread with a system call, and the next does so again
//! while it is already running: under load that is most of what answering costs. Sent together through this channel,
//! they are given by a task of this thread, for which waking another is a push to a queue.
//!
//! No answer is lost with this thread: those that are on their way when it ends are given then, and later ones come back
//! and are given by the writer.

use tokio::sync::mpsc::{self, UnboundedReceiver};

use crate::store;

/// The end of the way at which they are given. Bounded by how much the committer takes in at once.
pub struct Answers(UnboundedReceiver<store::Answers>);

/// A way of answers: what the committer is to call, and where they arrive.
pub fn answers() -> (impl Fn(store::Answers) + Send + 'static, Answers) {
    let (way, arrived) = mpsc::unbounded_channel();
    let give = move |answers: store::Answers| {
        // If nobody is there any more they come back.
        if let Err(unsent) = way.send(answers) {
            unsent.0.give();
        }
    };
    (give, Answers(arrived))
}

impl Answers {
    /// Gives what arrives.
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

//! The read-ahead thread: reads records of the log for the writer, ahead of the turn that needs them.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use crate::engine::queue::{Control, WriteQueue};
use crate::model::read_ahead::{self, Request};
use crate::model::view::Log;

/// Starts the thread, which ends when the sender is dropped. It answers through the write queue.
///
/// # Errors
/// The thread cannot be started.
pub(crate) fn start<L: Log + 'static>(
    log: Arc<L>,
    queue: Arc<WriteQueue>,
) -> io::Result<(Sender<Request>, JoinHandle<()>)> {
    let (sender, requests) = mpsc::channel();
    let serve = move || {
        for request in requests {
            match catch_unwind(AssertUnwindSafe(|| read_ahead::read(&*log, request))) {
                Ok(answer) => queue.send(Control::ReadAhead(answer)),
                Err(_) => queue.send(Control::Stop("the read-ahead thread panicked".to_owned())),
            }
        }
    };
    let thread = std::thread::Builder::new().name("read-ahead".to_owned()).spawn(serve)?;
    Ok((sender, thread))
}

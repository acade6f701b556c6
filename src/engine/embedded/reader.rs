//! The thread that reads the log for the writer, ahead of the turn that needs it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use crate::engine::embedded::queue::{Control, WriteQueue};
use crate::engine::embedded::wal::Wal;
use crate::model::read_ahead::{self, Request};

/// Starts the thread: it ends when the sender is dropped. Answers go into the write queue.
///
/// # Errors
/// There is no thread to be had.
pub(crate) fn start(wal: Arc<Wal>, queue: Arc<WriteQueue>) -> io::Result<(Sender<Request>, JoinHandle<()>)> {
    let (sender, requests) = mpsc::channel();
    let serve = move || {
        for request in requests {
            match catch_unwind(AssertUnwindSafe(|| read_ahead::read(&*wal, request))) {
                Ok(answer) => queue.tell(Control::ReadAhead(answer)),
                Err(_) => queue.tell(Control::Stop("the thread that reads the log panicked".to_owned())),
            }
        }
    };
    let thread = std::thread::Builder::new().name("read-ahead".to_owned()).spawn(serve)?;
    Ok((sender, thread))
}

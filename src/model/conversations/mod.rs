//! SMS conversations: storing a message, with the event that it may raise, and looking at threads.
//!
//! A message and its event are one step of the journal, so there is never one without the other. What the event
//! needs of the thread and of the call's earlier events is read ahead of that, by the thread that asks
//! ([`Store::prepare_message`]), and kept in memory while it is written to ([`threads`]): so the committer,
//! for which everybody waits, reads nothing, and a message of a long thread costs it no more than the
//! bytes of the event. The state has one record for each thread and nothing in it that is personal; all that
//! people wrote is in the journal, and goes with its files.

mod post;
pub(crate) mod read;
mod shapes;
mod threads;

pub(crate) use post::{forget_some, post, relieve};
pub(crate) use read::put_in_order;
pub(crate) use shapes::Facts;
pub use shapes::{ConversationFilter, PostedMessage, PreparedMessage, Shown};
pub(crate) use threads::{Kept, Threads};

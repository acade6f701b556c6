//! SMS conversations: storing messages, raising follow-up events, and reading threads.
//!
//! A message and the event it raises are one atomic unit, so neither exists without the other. What the event needs
//! from the thread and from the call's earlier events is read beforehand, on the caller's thread
//! ([`Store::prepare_message`](crate::store::Store::prepare_message)), and cached in memory until it is written
//! ([`threads`]). The writer, which everybody waits for, therefore reads nothing, and a message in a long thread costs
//! it no more than the bytes of its event. The view holds one record per thread without personal data; everything
//! people wrote is in the log and is removed with its segments.

mod post;
pub(crate) mod read;
mod shapes;
mod threads;

pub(crate) use post::{evict, post, remove_expired};
pub(crate) use read::build_company_order;
pub(crate) use shapes::Facts;
pub use shapes::{ConversationFilter, PostedMessage, PreparedMessage, Shown};
pub(crate) use threads::{CachedThread, Threads};

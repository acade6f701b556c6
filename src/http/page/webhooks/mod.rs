//! Settings > Webhooks. The page says 'webhook' for a subscription.
//!
//! ```text
//! list      the list
//! form      the form of a new or a stored webhook, and its preview
//! stored    the tabs of a stored webhook
//! sample    a delivery as it would be sent
//! snippets  sample receivers
//! catalogue the event types
//! ```

mod catalogue;
mod form;
mod list;
mod sample;
mod snippets;
mod stored;

pub(super) use catalogue::catalogue;
pub(super) use form::{new, preview};
pub(super) use list::list;
pub(super) use stored::{activity, code, settings};

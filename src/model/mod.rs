//! The model: every decision about stored data, as functions from a command and the data read for it to records.
//!
//! Pure like core, except for what a [`turn`] reads through the [`view`] traits. Knows core and the [records](record),
//! and no engine.

pub(crate) mod accept;
pub(crate) mod accepted_delivery;
pub(crate) mod attempts;
pub(crate) mod audit;
pub(crate) mod audit_expiry;
pub(crate) mod by_hash;
pub(crate) mod calls;
pub(crate) mod cluster;
pub(crate) mod command;
pub(crate) mod conversations;
pub(crate) mod counts;
pub(crate) mod deliveries;
pub(crate) mod erase;
pub(crate) mod erasure;
pub(crate) mod error;
pub(crate) mod expiry;
pub(crate) mod fan_out;
pub(crate) mod filter;
pub(crate) mod handler;
pub(crate) mod health;
#[cfg(test)]
pub(crate) mod in_memory;
pub(crate) mod key;
pub(crate) mod keys;
pub(crate) mod known;
pub(crate) mod load;
pub(crate) mod lock;
pub(crate) mod maintenance;
pub(crate) mod manual;
pub(crate) mod notice;
pub(crate) mod page;
pub(crate) mod page_size;
pub(crate) mod progress;
pub(crate) mod query;
pub(crate) mod read_ahead;
#[cfg(feature = "postgres")]
pub(crate) mod read_set;
pub(crate) mod receipts;
pub(crate) mod record;
pub(crate) mod redaction;
pub(crate) mod redactions;
pub(crate) mod registry;
pub(crate) mod replay;
#[cfg(feature = "postgres")]
pub(crate) mod replica;
pub(crate) mod report;
pub(crate) mod retention;
pub(crate) mod session_ring;
pub(crate) mod sessions;
pub(crate) mod settings;
pub(crate) mod subscriptions;
pub(crate) mod term;
pub(crate) mod token_ring;
pub(crate) mod tokens;
pub(crate) mod turn;
pub(crate) mod value;
pub(crate) mod view;
pub(crate) mod without_webhook;

//! Values and rules. No I/O, no threads, no async, no clock, no randomness: what a function here
//! needs comes in as an argument, and what it decides goes out as a value.
//!
//! Knows no other module.

pub mod address;
pub mod attempt;
pub mod backoff;
pub mod call;
pub mod catalogue;
pub mod client_certificate;
pub mod cloud_event;
pub mod conversation;
pub mod delivery;
pub mod erasure;
pub mod event;
mod event_input;
pub mod fingerprint;
mod form;
pub mod hidden;
pub mod id;
pub mod invalid;
pub mod json;
pub mod own_headers;
pub mod payload;
pub mod proxy;
pub mod report;
pub mod request;
pub mod retry;
mod samples;
pub mod seal;
pub mod signature;
pub mod subscription;
pub mod subscription_input;
pub mod text;
pub mod time;
pub mod token;
pub mod visible;

//! Values and rules. No I/O, threads, async, clock or randomness: inputs are arguments, and decisions are returned as
//! values.
//!
//! Knows no other module.

pub mod actor;
pub mod address;
pub mod alert_preset;
mod answer;
pub mod attempt;
pub mod audit;
pub mod auth;
pub mod backoff;
pub mod call;
pub mod catalogue;
pub mod client_certificate;
pub mod cloud_event;
pub mod conversation;
pub mod database;
pub mod delivery;
pub mod erasure;
pub mod event;
mod event_input;
pub mod filter;
pub mod fingerprint;
mod form;
pub mod hidden;
pub mod id;
pub mod invalid;
pub mod json;
pub mod mail_address;
pub mod own_headers;
pub mod path;
pub mod payload;
pub mod permission;
mod phone;
pub mod preset;
pub mod proxy;
pub mod report;
pub mod request;
pub mod retry;
mod samples;
pub mod seal;
pub(crate) mod shape;
pub mod shards;
pub mod signature;
pub mod smtp;
pub mod subscription;
pub mod subscription_input;
pub(crate) mod subscription_json;
pub mod success;
pub mod target;
pub mod target_check;
pub mod target_input;
pub mod template;
pub mod text;
pub mod time;
pub mod token;
pub mod visible;

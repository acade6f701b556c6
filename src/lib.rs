//! Hookswitch: a webhook delivery appliance for call and SMS platforms.
//!
//! A phone platform posts its events; each is delivered, signed, to every URL that subscribed, and retried until
//! delivered. This is the map of the modules. The path of one event:
//!
//! 1. [`http`] reads and authorises the request; [`core::event`] makes a valid event of it.
//! 2. [`store`] hands it to the [`engine`], whose writer lets [`model`] find the matching subscriptions
//!    ([`core::subscription`]) and writes the event and its deliveries in one commit. Once that is durable, and not before,
//!    the producer gets `202`.
//! 3. [`dispatch`] decides which delivery is next (`dispatch::lanes`) and gives it to a free sender thread, which
//!    renders ([`core::payload`]), signs ([`core::signature`]) and posts it ([`sender`]).
//! 4. [`core::retry::judge`] decides the delivery's new state, and the writer writes that with the attempt's log
//!    entry in one commit.
//!
//! After a restart, stored deliveries take the same path from 3 on; there is no other.
//!
//! | module | is for | may know |
//! |---|---|---|
//! | [`core`] | values and rules; no I/O, clock, threads or randomness | nothing else |
//! | [`config`] | layers of settings, checked into values | core |
//! | [`model`] | every decision about what is kept, and the records: the only place with bincode | core |
//! | [`engine`] | what keeps records: the only module with sled | core, model |
//! | [`store`] | the verbs: how the others ask for what is kept, or change it | core, model, engine |
//! | [`sender`] | posting: the only module with ureq (and the command line's client) | core |
//! | [`oidc`] | signing in by OpenID Connect: the only module with its library | core, sender |
//! | [`dispatch`] | which delivery is sent when | core, store, sender |
//! | [`http`] | the API and the page; async, as otherwise only `cli::receiver` is | core, store, config, oidc, texts, the sender's probe |
//! | [`service`], [`telemetry`] | being a service: signals, systemd, lock, messages | core, config |
//! | [`mail`] | sending mails: the only module with lettre | core |
//! | [`alerts`] | alerts for the operator, and what owners of webhooks are told | core, mail, texts |
//! | [`texts`] | what the page and the mails to owners say, in three languages: the only module with Fluent | nothing else |
//! | [`metrics`] | counters and timings for Prometheus | core |
//! | [`daemon`] | start order, stop order, what ends the process | all of the above |
//! | [`cli`] | the command line; speaks HTTP to a daemon, or starts one | core, config, daemon, [`store::offline`], the forms of numbers in texts |
//!
//! `tests/architecture` checks the last column from the `use` lines, and that no files import each other in a circle.
//!
//! Invariants: what was answered `202` is on the disk; an attempt is repeated rather than lost; secrets appear in no
//! message and no `Debug` output; every queue, body and wait has a limit.

pub mod alerts;
pub mod cli;
pub mod config;
pub mod core;
pub mod daemon;
pub mod dispatch;
pub mod engine;
pub mod http;
pub mod mail;
pub mod metrics;
pub mod model;
pub mod oidc;
pub mod sender;
pub mod service;
pub mod store;
pub mod telemetry;
pub mod texts;

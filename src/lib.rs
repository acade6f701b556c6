//! Hookswitch: a webhook delivery appliance for call and SMS platforms.
//!
//! A phone platform posts its events; each is delivered, signed, to every URL that subscribed, and
//! tried again until it arrives. This is the map of the modules. One event goes through them like this:
//!
//! 1. [`http`] reads and authorises the request; [`core::event`] makes a valid event of it.
//! 2. [`store`] finds the subscriptions that match ([`core::subscription`]), and its committer
//!    writes the event and what is owed of it in one step. Once that has reached the disk, and not
//!    before, the producer is answered `202`.
//! 3. [`dispatch`] decides whose turn it is (`dispatch::lanes`) and hands a free sender thread the
//!    delivery. The sender renders ([`core::payload`]), signs ([`core::signature`]) and posts
//!    ([`sender`]).
//! 4. [`core::retry::judge`] says what becomes of the delivery, and the committer writes that
//!    with the attempt's entry of the log, in one step.
//!
//! After a restart, what the store has takes the same path from 3 on; there is no second way.
//!
//! | module | is for | may know |
//! |---|---|---|
//! | [`core`] | values and rules; no I/O, clock, threads or randomness | nothing else |
//! | [`config`] | layers of settings, checked into values | core |
//! | [`store`] | what is kept: the only module with sled and bincode | core |
//! | [`sender`] | posting: the only module with ureq (and the command line's client) | core |
//! | [`dispatch`] | who is sent what, when | core, store, sender |
//! | [`http`] | the API: the only module that is async | core, store, config, the sender's probe |
//! | [`service`], [`telemetry`] | being a service: signals, systemd, lock, messages | core, config |
//! | [`alerts`] | what the operator is told at `[alerts] url` | core |
//! | [`metrics`] | what is counted and timed, for Prometheus | core |
//! | [`daemon`] | start order, stop order, what ends the process | all of the above |
//! | [`cli`] | the command line; speaks HTTP to a daemon, or starts one | core, config, daemon, [`store::offline`] |
//!
//! `tests/architecture` checks the last column from the `use` lines, and that no files import each other in a circle.
//!
//! What always holds: what was answered `202` is on the disk; an attempt is made again rather than
//! lost; secrets appear in no message and no `Debug` output; every queue, body and wait has a limit.

pub mod alerts;
pub mod cli;
pub mod config;
pub mod core;
pub mod daemon;
pub mod dispatch;
pub mod engine;
pub mod http;
pub mod metrics;
pub mod model;
pub mod sender;
pub mod service;
pub mod store;
pub mod telemetry;

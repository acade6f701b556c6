//! End-to-end tests: the real binary on real temporary directories, seen from outside only.
//!
//! They know the documented behaviour and nothing about the modules, except a few values of `core` that a receiver
//! would have too (signatures, secrets, times). Every wait is for a condition, every port is 0, and each test has its
//! own daemon, so they run in parallel. A failing test shows the requests of its receivers and the output of its
//! daemon.
//!
//! `HOOKSWITCH_TEST_ENGINE=postgres` runs them on PostgreSQL, but for those that [`engine`] lists.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking, as tests do")]

mod abuse;
mod access;
mod addresses;
mod alerts;
mod answers;
mod audit;
mod backlog;
mod backup;
mod bad_input;
mod calls;
#[path = "../harness/certificates.rs"]
mod certificates;
mod chaos;
mod cli;
#[path = "../harness/client.rs"]
mod client;
mod clock;
#[path = "../harness/cluster.rs"]
mod cluster;
mod compressed;
mod crowding;
#[path = "../harness/daemon.rs"]
mod daemon;
mod damage;
mod data;
mod disk_errors;
mod doctor;
#[path = "../harness/documents.rs"]
mod documents;
mod durability;
mod engine;
mod erase;
mod forged;
mod handbook;
mod location;
mod log;
mod mail;
#[path = "../harness/mail_server.rs"]
mod mail_server;
mod main_job;
mod memory;
mod messages;
mod metrics;
mod moving;
mod oidc;
mod ordering;
mod owed;
mod page;
mod pair;
mod pause;
#[path = "../harness/platform.rs"]
mod platform;
mod portal;
mod posted;
mod postgres;
mod postgres_retention;
mod postgres_server;
mod probe;
mod progress;
#[path = "../harness/provider.rs"]
mod provider;
mod proxy;
#[path = "../harness/random.rs"]
mod random;
#[path = "../harness/receiver.rs"]
mod receiver;
mod reload;
mod replicas;
mod retry;
mod roles;
mod rolling;
mod sealed;
mod secrets;
mod secure_receivers;
mod service;
mod sessions;
mod several;
mod space;
#[path = "../harness/stand_ins.rs"]
mod stand_ins;
mod standards;
mod stats;
mod store_config;
mod subscriptions;
mod systemd;
mod targets;
#[path = "../harness/terminal.rs"]
mod terminal;
mod tls;
mod tokens;
mod upgrade;
#[path = "../harness/wait.rs"]
mod wait;
#[path = "../harness/wire.rs"]
mod wire;

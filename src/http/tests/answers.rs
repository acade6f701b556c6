//! The store's answers on the HTTP thread, with a store that writes.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use super::{PATIENCE, connect, idle_store_in, settings};
use crate::core::actor::Actor;
use crate::core::id::SubscriptionId;
use crate::core::time::Timestamp;
use crate::http::connection::Handler;
use crate::http::reply::Reply;
use crate::http::{Answers, answers, listener};
use crate::store::{Running, Store};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// Unused: these tests call the store themselves.
struct Nobody;

impl Handler for Nobody {
    async fn handle(self: Arc<Self>, _: hyper::Request<hyper::body::Incoming>) -> Reply {
        std::future::pending().await
    }
}

/// A running store in `dir`, and the receiving end of its answers.
fn running(dir: &tempfile::TempDir) -> (Store, Running, Answers) {
    let (way, arrived) = answers();
    let idle = idle_store_in(dir.path()).answering(way);
    (idle.store().clone(), idle.start(|| NOW, |_, _| (), |why| panic!("{why}")).unwrap(), arrived)
}

/// The thread that delivers the store's answer to a write.
fn given_by(store: &Store) -> Option<String> {
    let (delivered, thread) = mpsc::channel();
    let reply = Box::new(move |_| delivered.send(thread::current().name().map(str::to_owned)).unwrap());
    store.by(Actor::daemon()).discard(SubscriptionId::from_bits(7), reply).unwrap();
    thread.recv_timeout(PATIENCE).unwrap()
}

#[test]
fn answers_are_given_by_the_thread_of_the_requests_and_without_it_by_the_writer() {
    let dir = tempfile::tempdir().unwrap();
    let (store, running, arrived) = running(&dir);
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server =
        listener::start(socket, Arc::new(Nobody), settings(), arrived.give(), Box::new(|reason| panic!("{reason}")))
            .unwrap();
    for _ in 0..20 {
        assert_eq!(given_by(&store).as_deref(), Some("http"));
    }
    drop(connect(server.address()));
    server.stop(Duration::ZERO);
    assert_eq!(given_by(&store).as_deref(), Some("writer"));
    running.stop();
}

#[test]
fn answers_that_are_under_way_when_the_thread_ends_are_given_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (store, running, arrived) = running(&dir);
    let (delivered, given) = mpsc::channel();
    let reply = Box::new(move |_| delivered.send(()).unwrap());
    store.by(Actor::daemon()).discard(SubscriptionId::from_bits(7), reply).unwrap();
    // The writer is done, and nobody receives its answer.
    running.stop();
    assert_eq!(given.try_recv(), Err(mpsc::TryRecvError::Empty));
    drop(arrived);
    assert_eq!(given.try_recv(), Ok(()));
}

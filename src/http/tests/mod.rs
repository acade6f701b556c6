//! The listener on real sockets: what clients that send valid, invalid or hostile bytes see.

mod answers;
mod exports;
mod fairness;
mod hostile;
mod input;
mod limits;
mod order;
mod secure;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::connection::Handler;
use super::{Budget, FirstToken, Senders, Server, Services, Settings, listener};
use crate::core::address::AddressPolicy;
use crate::core::catalogue::Catalogue;
use crate::core::seal::Keyring;
use crate::core::subscription::Ordering;
use crate::core::time::Timestamp;
use crate::core::token::TokenHash;
use crate::sender::TransportHandle;
use crate::sender::transport::{Transport, TransportSettings};
use crate::store::{OpenedStore, Reclaim, Retention, Settings as StoreSettings, Store};

/// Longer than anything here takes when it works; reaching it fails the test.
const PATIENCE: Duration = Duration::from_secs(20);
const TOKEN: &str = "tok-of-the-tests";

fn settings() -> Settings {
    Settings {
        max_body_bytes: 4096,
        max_connections: 64,
        header_timeout: PATIENCE,
        body_timeout: PATIENCE,
        write_timeout: PATIENCE,
        connections_per_address: 64,
        trusted_proxies: Vec::new(),
        tls: None,
        page: crate::http::PageSettings::default(),
    }
}

/// Serves `handler` on a free port.
fn serve(handler: impl Handler, settings: Settings) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener::start(listener, Arc::new(handler), settings, async {}, Box::new(|reason| panic!("{reason}"))).unwrap()
}

/// A store without a writer: its writes are queued and never answered.
fn store() -> Store {
    // Its files stay open, so the directory may be removed.
    idle_store().store().clone()
}

/// A store that does not write yet, in a removed directory.
fn idle_store() -> OpenedStore {
    idle_store_in(tempfile::tempdir().unwrap().path())
}

/// A store that does not write yet, in this directory.
fn idle_store_in(dir: &std::path::Path) -> OpenedStore {
    let day = Duration::from_secs(86_400);
    let settings = StoreSettings {
        cache_bytes: 1 << 20,
        give_up_after: day,
        idempotency_window: day,
        retention: Retention {
            log_age: day,
            log_bytes: 1 << 30,
            event_age: day,
            conversation_age: day,
            audit_age: day,
            reclaim: Reclaim::default(),
        },
        min_free_bytes: 1,
        max_data_bytes: 1 << 20,
        subscriptions_per_company: 1_000,
        deliveries_per_request: 100_000,
    };
    Store::open(dir, settings, Keyring::default(), Timestamp::from_millis(1_790_000_000_000)).unwrap()
}

/// Serves the API, for requests that need no store.
fn api(settings: Settings) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    super::serve(listener, services(store()), super::answers().1, settings, Box::new(|reason| panic!("{reason}")))
        .unwrap()
}

/// The services, with this store.
fn services(store: Store) -> Services {
    let policy = AddressPolicy::new(Vec::new(), Vec::new(), false);
    let second = Duration::from_secs(1);
    let transport = TransportSettings {
        connect_timeout: second,
        timeout: second,
        policy,
        extra_ca: Vec::new(),
        proxy: None,
        idle_most: 64,
    };
    Services {
        store,
        catalogue: Arc::new(Catalogue::new(Vec::new()).unwrap()),
        transport: Arc::new(TransportHandle::new(Transport::new(transport).unwrap())),
        provider: None,
        can_mail: Box::new(|| false),
        admin_token: FirstToken::new(TokenHash::of(TOKEN), std::path::Path::new("admin.token")),
        default_ordering: Ordering::Call,
        senders: Box::new(|| Senders { busy: 0, threads: 8 }),
        flows: Arc::new(|_| std::collections::HashMap::new()),
        metrics: Arc::new(|| Ok("up 1\n".to_owned())),
        metrics_public: false,
        budget: Budget::new(4 << 20),
        ready: Box::new(|| Err("the store is being read".to_owned())),
        started: Timestamp::from_millis(0),
        clock: Box::new(|| Timestamp::from_millis(1_790_000_000_000)),
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Everything received until the server closes.
fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes) {
        assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "the connection was not closed");
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One response on a connection that stays open: its head and its body of known length.
fn read_one(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "closed in the middle of a head");
        bytes.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    head + &String::from_utf8_lossy(&body)
}

/// Sends `request` and shuts down the write side; returns everything received until the server closes.
fn exchange(address: SocketAddr, request: impl AsRef<[u8]>) -> String {
    let mut stream = connect(address);
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(request.as_ref());
    read_all(&mut stream)
}

fn status(answer: &str) -> Option<u16> {
    answer.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()
}

/// A request with the token, after which the connection is closed.
fn request(method: &str, path: &str, more: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n{more}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// POSTs `body` to `path`; returns the status and the problem.
fn post(address: SocketAddr, path: &str, content_type: &str, body: &[u8]) -> (u16, serde_json::Value) {
    let answer = exchange(address, request("POST", path, &format!("Content-Type: {content_type}\r\n"), body));
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    (status(&answer).unwrap(), serde_json::from_str(body).unwrap())
}

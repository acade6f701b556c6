//! The ordered stop.

use std::sync::mpsc;

use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::super::body::{Reply, json_text};
use super::super::connection;
use super::*;

/// Answers when the test permits.
struct Latch {
    requests: mpsc::Sender<()>,
    open: Arc<Semaphore>,
}

impl Handler for Latch {
    async fn handle(self: Arc<Self>, _request: Request<Incoming>) -> Reply {
        self.requests.send(()).unwrap();
        let _through = self.open.acquire().await.unwrap();
        json_text(StatusCode::OK, "{}")
    }
}

fn latch() -> (Server, mpsc::Receiver<()>, Arc<Semaphore>) {
    let (requests, requested) = mpsc::channel();
    let open = Arc::new(Semaphore::new(0));
    (serve(Latch { requests, open: Arc::clone(&open) }, settings()), requested, open)
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn stopping_finishes_requests_and_closes_idle_connections() {
    let (server, requested, open) = latch();
    let address = server.address();
    let mut idle = connect(address);
    let mut busy = connect(address);
    busy.write_all(GET).unwrap();
    requested.recv_timeout(PATIENCE).unwrap();
    let stopping = std::thread::spawn(move || server.stop(PATIENCE));
    assert_eq!(read_all(&mut idle), "", "an idle connection is closed");
    open.add_permits(1);
    let answer = read_all(&mut busy);
    assert!(status(&answer) == Some(200) && answer.ends_with("{}"), "{answer}");
    assert_eq!(stopping.join().unwrap(), 0);
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}

#[test]
fn requests_that_outlast_the_stop_are_cut_off() {
    let (server, requested, _open) = latch();
    let mut stuck = connect(server.address());
    stuck.write_all(GET).unwrap();
    requested.recv_timeout(PATIENCE).unwrap();
    assert_eq!(server.stop(Duration::from_millis(50)), 1);
    assert_eq!(read_all(&mut stuck), "");
}

#[test]
fn who_has_just_connected_when_it_stops_is_answered() {
    let (requests, _told) = mpsc::channel();
    let handler = Arc::new(Latch { requests, open: Arc::new(Semaphore::new(1)) });
    let (stop, stopped) = watch::channel(None);
    stop.send_replace(Some(Instant::now() + PATIENCE));
    let (mut client, server) = tokio::io::duplex(4096);
    let asking = async {
        client.write_all(GET).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let settings = settings();
    let both = async { tokio::join!(connection::serve(server, handler, &settings, true, stopped), asking) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ((), answer) = runtime.block_on(both);
    assert_eq!(status(&answer), Some(200), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
}

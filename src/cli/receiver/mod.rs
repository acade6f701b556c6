//! A webhook receiver for trying things: hyper on a thread of its own.
//!
//! Used by `listen` and `demo`; not meant for production. It is bounded (connections, sizes, waits) so that
//! misdirected traffic does not exhaust the machine. It knows nothing about subscriptions; [`delivery`] interprets
//! requests.

pub(super) mod delivery;

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::CONNECTION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{sleep, timeout};

/// Maximum concurrent connections; further ones wait.
const CONNECTIONS_MOST: usize = 128;
/// Maximum bytes of the request line and headers.
const HEAD_MOST: usize = 64 * 1024;
/// Maximum bytes of a body.
const BODY_MOST: u64 = 32 * 1024 * 1024;
/// Time limit of a head, and of silence within a body or between two requests.
const SILENCE_MOST: Duration = Duration::from_secs(60);
/// Pause after no connection could be accepted (usually: too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long, and how many bytes, the rest of a refused request is read.
const LINGER_PAUSE: Duration = Duration::from_secs(1);
const LINGER_MOST: u64 = 8 * 1024 * 1024;

/// A request as received, with chunks joined.
pub(super) type Message = Request<Vec<u8>>;

/// The response to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    /// The status code, 200 to 599.
    pub(super) status: u16,
    /// Delay before the response.
    pub(super) delay: Duration,
}

/// Decides on the response to a request. While it blocks, all connections wait.
type Handler = dyn Fn(&Message) -> Answer + Send + Sync;

/// A running receiver; stops when dropped.
pub(super) struct Receiver {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Receiver {
    /// Listens on `address` (port 0 for any free one) and answers with `handler`.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub(super) fn start(
        address: SocketAddr,
        handler: impl Fn(&Message) -> Answer + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let listener = runtime.block_on(TcpListener::bind(address))?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let serve_all = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept_all(&listener, Arc::new(handler)) => {}
                    _ = stopped => {}
                }
            });
        };
        thread::Builder::new().name("receiver".to_owned()).spawn(serve_all)?;
        Ok(Self { address, _stop: stop })
    }

    /// The address listened on.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept_all(listener: &TcpListener, handler: Arc<Handler>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MOST));
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let handler = Arc::clone(&handler);
        tokio::spawn(async move {
            // A broken connection concerns only its client.
            drop(serve(stream, handler).await);
            drop(place);
        });
    }
}

/// Answers the requests of one connection in turn.
async fn serve(stream: TcpStream, handler: Arc<Handler>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let service = service_fn(move |request| Box::pin(respond(request, Arc::clone(&handler))));
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(SILENCE_MOST)
        .max_header_size(HEAD_MOST)
        .half_close(true) // `nc` ends its side with the request
        .serve_connection(TokioIo::new(stream), service);
    // Also after an error, as hyper has answered a malformed request.
    drop(poll_fn(|cx| connection.poll_without_shutdown(cx)).await);
    // The client may still be sending: closing at once would reset the connection, and the response could be lost
    // (RFC 9112 section 9.6).
    let mut stream = connection.into_parts().io.into_inner();
    stream.shutdown().await?;
    timeout(LINGER_PAUSE, copy(&mut stream.take(LINGER_MOST), &mut sink())).await?.map(drop)
}

/// A response, or why the connection ends without one.
type Reply = Result<Response<String>, Box<dyn Error + Send + Sync>>;

/// Reads the body of a request and answers.
async fn respond(request: Request<Incoming>, handler: Arc<Handler>) -> Reply {
    let (head, mut body) = request.into_parts();
    let mut whole = Vec::new();
    loop {
        if body.size_hint().lower().saturating_add(whole.len() as u64) > BODY_MOST {
            return refusal(413, "the body is longer than 32 MiB\n");
        }
        match timeout(SILENCE_MOST, body.frame()).await? {
            Some(Ok(frame)) => whole.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Some(Err(_)) => return refusal(400, "the body broke off or is not chunked as it should be\n"),
            None => break,
        }
    }
    let answer = handler(&Request::from_parts(head, whole));
    sleep(answer.delay).await;
    Ok(Response::builder().status(answer.status).body(String::new())?)
}

fn refusal(status: u16, why: &str) -> Reply {
    Ok(Response::builder().status(status).header(CONNECTION, "close").body(why.to_owned())?)
}

/// A request with these headers.
#[cfg(test)]
pub(super) fn message(headers: &[(&str, &str)], body: &str) -> Message {
    let request = headers.iter().fold(Request::post("/hook"), |request, (name, value)| request.header(*name, *value));
    request.body(body.into()).expect("a request")
}

#[cfg(test)]
mod tests;

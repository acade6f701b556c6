//! One connection: hyper around a handler, with every wait bounded and every panic contained.
//!
//! Knows neither routes nor the store: it gets a [`Handler`] and a stream, plain or TLS.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::admission::{Admission, Seat};
use super::forwarded::Proxies;
use super::problem::Problem;
use super::reply::Reply;
use super::request_validation;
use super::settings::Settings;
use super::wire::{Suspicion, Wire};

/// Answers requests.
pub(super) trait Handler: Send + Sync + 'static {
    /// Answers one request. A panic becomes a 500, and the connection is closed after it.
    fn handle(self: Arc<Self>, request: Request<Incoming>) -> impl Future<Output = Reply> + Send;
}

/// The peer of a request, as an extension of it.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// The client's address.
    pub(super) address: IpAddr,
    /// The seat of its connection.
    seat: Arc<Seat>,
}

impl Peer {
    /// The client's address.
    pub(super) fn of<B>(request: &Request<B>) -> IpAddr {
        request.extensions().get::<Self>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.address)
    }

    /// Records that `request` had a known token.
    pub(super) fn is_known<B>(request: &Request<B>) {
        if let Some(peer) = request.extensions().get::<Self>() {
            peer.seat.set_known();
        }
    }
}

/// When the daemon stops, as an extension of a request: for answers that would go on without end.
#[derive(Debug, Clone)]
pub(super) struct Stopping(pub(super) watch::Receiver<Option<Instant>>);

/// A handler that adds the peer to its requests.
pub(super) struct WithPeer<H> {
    pub(super) handler: Arc<H>,
    pub(super) admission: Arc<Admission>,
    pub(super) proxies: Arc<Proxies>,
    pub(super) seat: Arc<Seat>,
    /// The remote address.
    pub(super) address: IpAddr,
}

impl<H: Handler> Handler for WithPeer<H> {
    async fn handle(self: Arc<Self>, mut request: Request<Incoming>) -> Reply {
        self.admission.record_head(&self.seat, std::time::Instant::now());
        let trusted = self.proxies.trusts(self.address);
        let behind = if trusted { self.proxies.client(self.address, request.headers()) } else { None };
        let counted = match behind.map(|client| self.admission.pass(client)).transpose() {
            Ok(counted) => counted,
            Err(refusal) => return refusal.problem().into_reply(),
        };
        let peer = Peer { address: behind.unwrap_or(self.address), seat: Arc::clone(&self.seat) };
        request.extensions_mut().insert(peer);
        let reply = Arc::clone(&self.handler).handle(request).await;
        drop(counted);
        reply
    }
}

/// Maximum size of a request's head, in bytes: request line and headers, of which there may be 100.
const MAX_HEAD: usize = 16 * 1024;
/// hyper's maximum read buffer; a larger head is refused before it is complete.
const MAX_BUFFER: usize = 32 * 1024;
/// How long, and how much, is read after the last response, so that a client that is still sending sees the response
/// instead of a reset.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 16 * 1024 * 1024;
/// How long a stopping daemon still accepts requests on existing connections. A client that has just connected, or
/// posts one event after the other, gets a response and learns that the connection ends, instead of being cut off
/// with a request in transit.
const LAST_REQUESTS: Duration = Duration::from_millis(250);

/// Serves `stream` until it ends, or, once `stop` is set, until [`LAST_REQUESTS`] have passed and all are answered.
pub(super) async fn serve<H: Handler>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    handler: Arc<H>,
    settings: &Settings,
    keep_alive: bool,
    stop: watch::Receiver<Option<Instant>>,
) {
    let wire = Wire::new(stream, settings.write_timeout);
    let service = Validated { handler, suspicion: wire.suspicion(), stop: stop.clone() };
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.header_timeout)
        .max_header_size(MAX_HEAD)
        .max_buf_size(MAX_BUFFER)
        .keep_alive(keep_alive)
        .serve_connection(TokioIo::new(wire), service);
    let (mut over, mut ending) = (pin!(no_more_requests(stop.clone())), false);
    let ended = loop {
        tokio::select! {
            ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break ended,
            () = &mut over, if !ending => {
                ending = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    match ended {
        Ok(()) => close(connection.into_parts().io.into_inner(), is_set(&stop)).await,
        Err(error) => tracing::debug!("a connection ended: {error}"),
    }
}

/// Ends [`LAST_REQUESTS`] after `stop` was set.
pub(super) async fn no_more_requests(mut stop: watch::Receiver<Option<Instant>>) {
    // An error means that the listener is gone, which is also a stop.
    let _ = stop.wait_for(Option::is_some).await;
    sleep(LAST_REQUESTS).await;
}

fn is_set(stop: &watch::Receiver<Option<Instant>>) -> bool {
    stop.borrow().is_some()
}

/// Shuts down the write side, and drains the client for a moment.
async fn close(mut wire: Wire<impl AsyncRead + AsyncWrite + Unpin>, stopping: bool) {
    if wire.shutdown().await.is_err() || stopping {
        return;
    }
    let drain = async {
        let mut scratch = [0; 4096];
        let mut drained = 0;
        while let Ok(count @ 1..) = wire.read(&mut scratch).await {
            drained += count;
            if drained > LINGER_BYTES {
                break;
            }
        }
    };
    // The connection ends, whether or not the client was drained.
    let _ = timeout(LINGER, drain).await;
}

/// The service called by hyper: validates the head of a request, then calls the handler.
struct Validated<H> {
    handler: Arc<H>,
    suspicion: Arc<Suspicion>,
    stop: watch::Receiver<Option<Instant>>,
}

impl<H: Handler> Service<Request<Incoming>> for Validated<H> {
    type Response = Reply;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let handler = Arc::clone(&self.handler);
        let ambiguous = self.suspicion.ambiguous.load(Ordering::Relaxed);
        let bare = self.suspicion.bare.load(Ordering::Relaxed);
        let stop = self.stop.clone();
        Box::pin(async move {
            request.extensions_mut().insert(Stopping(stop.clone()));
            let chunked = request_validation::is_chunked(&request);
            let mut reply = match request_validation::check(&request, ambiguous, bare) {
                Ok(()) => {
                    // Pinned here: passed on by value it would exist twice, thousands of bytes each.
                    let mut answer = pin!(handler.handle(request));
                    poll_fn(|cx| caught(answer.as_mut(), cx)).await
                }
                Err(problem) => problem.into_reply(),
            };
            if chunked || is_set(&stop) {
                reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(reply)
        })
    }
}

/// Polls `future`; a panic becomes a 500.
fn caught(future: Pin<&mut impl Future<Output = Reply>>, cx: &mut Context<'_>) -> Poll<Reply> {
    catch_unwind(AssertUnwindSafe(|| future.poll(cx))).unwrap_or_else(|_| {
        tracing::error!("the handler of a request panicked; the panic's message stands above");
        Poll::Ready(Problem::internal().into_reply())
    })
}

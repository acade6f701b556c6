//! `POST /v1/events` with the store replaced by nothing: hyper, the token, real parsing and validation, and a 202
//! without a promise. The difference to the daemon is its own limits and routing, the writer, and the disk.
//!
//! Or by a minimal writer that keeps the promise: a thread that appends what has accumulated to a file, calls
//! fdatasync once, and answers all; no ids, deliveries, index or state.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use hookswitch::core::catalogue::Catalogue;
use hookswitch::core::event::NewEvent;
use hookswitch::core::id::EventId;
use hookswitch::core::json;

use super::Outcome;
use super::client::Target;

const MOST_BODY: usize = 1 << 20;
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// The running endpoint; it ends when dropped.
pub(crate) struct Nothing {
    /// Its address, with the token it requires.
    pub(crate) target: Target,
    _stop: oneshot::Sender<()>,
}

/// State shared by requests.
struct Endpoint {
    catalogue: Catalogue,
    authorization: String,
    next: AtomicU64,
    writer: Option<mpsc::UnboundedSender<Waiting>>,
}

/// A body that waits for the disk, and its reply channel.
type Waiting = (Bytes, oneshot::Sender<()>);

/// Appends and syncs until all senders are gone.
fn commit(mut inbox: mpsc::UnboundedReceiver<Waiting>, mut file: std::fs::File) -> std::io::Result<()> {
    use std::io::Write;
    let (mut bytes, mut answers) = (Vec::new(), Vec::new());
    while let Some(first) = inbox.blocking_recv() {
        let mut next = Some(first);
        while let Some((body, answer)) = next {
            bytes.extend_from_slice(&body);
            answers.push(answer);
            next = inbox.try_recv().ok();
        }
        file.write_all(&bytes)?;
        file.sync_data()?;
        bytes.clear();
        // A requester that has gone away needs no answer.
        for answer in answers.drain(..) {
            let _ = answer.send(());
        }
    }
    Ok(())
}

impl Nothing {
    /// Starts it on its own thread, like the daemon's listener.
    pub(crate) fn start() -> Outcome<Self> {
        Self::start_with(None)
    }

    /// Starts it with the minimal writer, which writes to a new file in `directory`.
    pub(crate) fn with_writer(directory: &Path) -> Outcome<Self> {
        let file = tempfile::tempfile_in(directory)?;
        let (writer, inbox) = mpsc::unbounded_channel();
        thread::Builder::new().name("bare writer".to_owned()).spawn(move || commit(inbox, file))?;
        Self::start_with(Some(writer))
    }

    fn start_with(writer: Option<mpsc::UnboundedSender<Waiting>>) -> Outcome<Self> {
        let catalogue = Catalogue::new(Vec::new()).map_err(|fault| format!("{fault:?}"))?;
        let token = "nothing-0123456789abcdef0123456789abcdef".to_owned();
        let endpoint =
            Endpoint { catalogue, authorization: format!("Bearer {token}"), next: AtomicU64::new(1), writer };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let listener = runtime.block_on(TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))))?;
        let target = Target { address: listener.local_addr()?, token };
        let (stop, stopped) = oneshot::channel();
        thread::Builder::new().name("nothing".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, Arc::new(endpoint)) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { target, _stop: stop })
    }
}

async fn accept(listener: TcpListener, endpoint: Arc<Endpoint>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, Arc::clone(&endpoint)));
    }
}

async fn serve(stream: TcpStream, endpoint: Arc<Endpoint>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let endpoint = Arc::clone(&endpoint);
        async move { Ok::<_, Infallible>(answer(&endpoint, request).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    // A client that goes away ends its own connection only.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(endpoint: &Endpoint, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (status, text) = match accepted(endpoint, request).await {
        Ok(text) => (StatusCode::ACCEPTED, text),
        Err((status, text)) => (status, text),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    response
}

async fn accepted(endpoint: &Endpoint, request: Request<Incoming>) -> Result<String, (StatusCode, String)> {
    let header = |name| request.headers().get(name).map(hyper::header::HeaderValue::as_bytes);
    if request.uri().path() != "/v1/events" {
        return Err((StatusCode::NOT_FOUND, String::new()));
    }
    if header(AUTHORIZATION) != Some(endpoint.authorization.as_bytes()) {
        return Err((StatusCode::UNAUTHORIZED, String::new()));
    }
    if header(CONTENT_TYPE) != Some(b"application/json") {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, String::new()));
    }
    let bad = |fault: String| (StatusCode::BAD_REQUEST, fault);
    let body = Limited::new(request.into_body(), MOST_BODY).collect().await.map_err(|fault| bad(fault.to_string()))?;
    let body = body.to_bytes();
    let text = std::str::from_utf8(&body).map_err(|fault| bad(fault.to_string()))?;
    let raw = json::parse(text).map_err(bad)?;
    let event = NewEvent::from_json(raw, &endpoint.catalogue)
        .map_err(|fault| (StatusCode::UNPROCESSABLE_ENTITY, format!("{fault:?}")))?;
    std::hint::black_box(&event);
    if let Some(writer) = &endpoint.writer {
        let (answer, waiting) = oneshot::channel();
        let failed = || (StatusCode::SERVICE_UNAVAILABLE, "the writer has ended".to_owned());
        writer.send((body, answer)).map_err(|_| failed())?;
        waiting.await.map_err(|_| failed())?;
    }
    let id = EventId::from_bits(u128::from(endpoint.next.fetch_add(1, Ordering::Relaxed)));
    Ok(format!(r#"{{"id":"{id}","deliveries":1,"duplicate":false}}"#))
}

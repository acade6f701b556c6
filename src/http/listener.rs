//! The listener: one thread with its own tokio runtime, which serves all connections.
//!
//! The work per request is small (parse, hand over, render) and the store's waits are elsewhere, so one thread serves
//! far more than the disk handles. Blocking work goes to the runtime's blocking threads, of which there are as many
//! as may be busy at once ([`fair_limit`]).

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::admission::{Admission, Refusal};
use super::body::{self, Reply};
use super::connection::{self, Handler, WithPeer};
use super::fair_limit;
use super::forwarded::Proxies;
use super::settings::Settings;
use super::tls_connection;

/// The backlog of connections not yet accepted, capped by the kernel. A burst fills std's 128 within milliseconds,
/// and further clients then wait a second for their next try.
const QUEUE: i32 = 4096;
/// Kernel send buffer per connection (the kernel doubles it): unbounded, it would hold megabytes for a client that
/// does not read, outside the memory budget.
const UNSENT: usize = 128 * 1024;
/// Connections over the limit that are served a refusal; beyond that, a refusal is sent without reading.
const REFUSED_AT_ONCE: usize = 32;
/// Time limit of the head on such a connection.
const REFUSED_HEAD: Duration = Duration::from_secs(2);
/// Pause after the kernel failed to provide a connection (usually: too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Interval of [`tick`]: shorter than any timer of a request.
const TICK: Duration = Duration::from_secs(1);
/// Time allowed for the thread to end after its connections are closed.
const RUNTIME_STOP: Duration = Duration::from_millis(100);

/// Called with a sentence if the listener's thread dies: the daemon must stop.
pub type Died = Box<dyn FnOnce(String) + Send>;

/// The running listener.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<Option<Instant>>,
    thread: thread::JoinHandle<usize>,
}

impl Server {
    /// The address listened on.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, lets running requests finish until `deadline` from now, then closes the rest. Returns how
    /// many connections were cut off.
    pub fn stop(self, deadline: Duration) -> usize {
        self.stop.send_replace(Some(Instant::now() + deadline));
        self.thread.join().unwrap_or(0)
    }
}

/// Serves `listener` with `handler` on its own thread, which also runs `task`.
///
/// # Errors
/// The listener cannot be used, or no thread can be created.
pub(super) fn start<H: Handler>(
    listener: std::net::TcpListener,
    handler: Arc<H>,
    settings: Settings,
    task: impl Future<Output = ()> + Send + 'static,
    died: Died,
) -> io::Result<Server> {
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    SockRef::from(&listener).listen(QUEUE)?;
    // Inherited by the connections.
    SockRef::from(&listener).set_send_buffer_size(UNSENT)?;
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(fair_limit::threads())
        .thread_name("http-blocking")
        .build()?;
    let listener = {
        let _inside = runtime.enter();
        TcpListener::from_std(listener)?
    };
    runtime.spawn(task);
    runtime.spawn(tick());
    let (stop, stopped) = watch::channel(None);
    let body = move || run_guarded(runtime, accept_all(listener, handler, Arc::new(settings), stopped), died);
    let thread = thread::Builder::new().name("http".to_owned()).spawn(body)?;
    Ok(Server { address, stop, thread })
}

/// Tokio interrupts its own wait, with two system calls, for each timer that is due before all others, as some of
/// every request's are. A timer that is always due earlier avoids that.
async fn tick() {
    loop {
        sleep(TICK).await;
    }
}

fn run_guarded(runtime: Runtime, work: impl Future<Output = usize>, died: Died) -> usize {
    let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(work)));
    runtime.shutdown_timeout(RUNTIME_STOP);
    ended.unwrap_or_else(|_| {
        died("the thread `http` panicked".to_owned());
        0
    })
}

/// Accepts until `stop` changes. Returns how many connections had to be cut off.
async fn accept_all<H: Handler>(
    listener: TcpListener,
    handler: Arc<H>,
    settings: Arc<Settings>,
    mut stop: watch::Receiver<Option<Instant>>,
) -> usize {
    let served = Served::new(&settings, handler);
    let refused = Refused::new(&settings);
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                failing = false;
                // A response is one small write: waiting to coalesce would only delay it.
                let _ = stream.set_nodelay(true);
                if let Err((stream, refusal)) = served.serve(stream, peer.ip(), &stop) {
                    refused.serve(stream, refusal, &stop);
                }
            }
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                if !failing {
                    tracing::warn!("no connection can be accepted: {error}; trying again until one can");
                }
                failing = true;
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let deadline = stop.borrow().unwrap_or_else(Instant::now);
    // The remaining count tells whether they ended in time.
    let _ = timeout_at(deadline, served.admission.empty()).await;
    served.admission.count()
}

/// Errors of `accept` that concern a single, already closed connection.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// The connections being served.
struct Served<H> {
    admission: Arc<Admission>,
    proxies: Arc<Proxies>,
    settings: Arc<Settings>,
    handler: Arc<H>,
}

impl<H: Handler> Served<H> {
    fn new(settings: &Arc<Settings>, handler: Arc<H>) -> Self {
        let (most, each) = (settings.max_connections, settings.connections_per_address);
        Self {
            admission: Arc::new(Admission::new(most, each, std::time::Instant::now())),
            proxies: Arc::new(Proxies::new(settings.trusted_proxies.clone())),
            settings: Arc::clone(settings),
            handler,
        }
    }

    /// Serves `stream` in its own task, until it ends or must give way.
    ///
    /// # Errors
    /// The stream, and why it is not served.
    fn serve(
        &self,
        stream: TcpStream,
        address: IpAddr,
        stop: &watch::Receiver<Option<Instant>>,
    ) -> Result<(), (TcpStream, Refusal)> {
        let ticket = match self.admission.admit(address, self.proxies.trusts(address), std::time::Instant::now()) {
            Ok(ticket) => ticket,
            Err(refusal) => return Err((stream, refusal)),
        };
        let with_peer = WithPeer {
            handler: Arc::clone(&self.handler),
            admission: Arc::clone(&self.admission),
            proxies: Arc::clone(&self.proxies),
            seat: Arc::clone(&ticket.seat),
            address,
        };
        let (settings, stop) = (Arc::clone(&self.settings), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = converse(stream, Arc::new(with_peer), &settings, true, stop) => {}
                () = ticket.seat.must_leave() => tracing::debug!("a silent connection from {address} gave way to another"),
            }
        });
        Ok(())
    }
}

/// Serves `stream`, plain or TLS.
async fn converse<H: Handler>(
    stream: TcpStream,
    handler: Arc<H>,
    settings: &Settings,
    keep_alive: bool,
    stop: watch::Receiver<Option<Instant>>,
) {
    match settings.tls.as_ref().map(|tls| tls.acceptor()) {
        None => connection::serve(stream, handler, settings, keep_alive, stop).await,
        Some(acceptor) => tls_connection::serve(stream, &acceptor, handler, settings, keep_alive, stop).await,
    }
}

/// Connections over the limit. Some are served a refusal, others get it without being read.
struct Refused {
    served: Arc<Semaphore>,
    settings: Arc<Settings>,
}

impl Refused {
    fn new(settings: &Settings) -> Self {
        let brief = Settings { header_timeout: settings.header_timeout.min(REFUSED_HEAD), ..settings.clone() };
        Self { served: Arc::new(Semaphore::new(REFUSED_AT_ONCE)), settings: Arc::new(brief) }
    }

    fn serve(&self, stream: TcpStream, refusal: Refusal, stop: &watch::Receiver<Option<Instant>>) {
        let Ok(permit) = Arc::clone(&self.served).try_acquire_owned() else {
            return reject(stream, refusal, self.settings.tls.is_some());
        };
        let (settings, stop) = (Arc::clone(&self.settings), stop.clone());
        tokio::spawn(async move {
            converse(stream, Arc::new(Full(refusal)), &settings, false, stop).await;
            drop(permit);
        });
    }
}

/// Answers connections over the limit.
struct Full(Refusal);

impl Handler for Full {
    async fn handle(self: Arc<Self>, _request: Request<Incoming>) -> Reply {
        self.0.problem().into_reply()
    }
}

/// Sends the refusal without waiting, and closes. Over TLS that is impossible without a handshake.
fn reject(stream: TcpStream, refusal: Refusal, tls: bool) {
    // Tokio would first wait for writability, which a new socket has.
    let Ok(mut stream) = stream.into_std() else { return };
    if tls {
        return;
    }
    // Unread input would turn the close into a reset, which can overtake the response.
    let _ = stream.read(&mut [0; 4096]);
    let _ = stream.write(&body::rendered(refusal.problem().into_reply()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_thread_is_reported_to_the_daemon() {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let (died, with_peer) = std::sync::mpsc::channel();
        let died = Box::new(move |reason| died.send(reason).unwrap());
        assert_eq!(run_guarded(runtime, async { panic!("as the test wants it") }, died), 0);
        assert!(with_peer.try_recv().is_ok_and(|reason| reason.contains("http")));
    }
}

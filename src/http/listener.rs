//! The listener: one thread with a tokio runtime of its own, on which all connections live.
//!
//! A request's work here is small (parse, hand over, render) and the store's waits are elsewhere,
//! so one thread serves far more than the disk takes. Whatever blocks goes to the runtime's
//! blocking threads, of which there are as many as may be busy at once ([`fair_limit`](super::fair_limit)).

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
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

use super::Settings;
use super::connection::{self, Handler, Peer, Told};
use super::fair_limit;
use super::problem::Problem;
use super::reply::{self, Reply};
use super::tls;

/// How many connections the kernel may hold for us until they are accepted; it has a limit of its own. With std's 128
/// a crowd fills that within milliseconds, and then whoever comes waits a second for its next try.
const QUEUE: i32 = 4096;
/// Connections beyond the cap that are heard and told so; those beyond these too are told without being heard.
const REFUSED_AT_ONCE: usize = 32;
/// How long one of those may take to say what it wants.
const REFUSED_HEAD: Duration = Duration::from_secs(2);
/// How long to wait after the kernel could not give a connection (usually: too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What the thread may take, after its connections are gone, to be joined.
const RUNTIME_STOP: Duration = Duration::from_millis(100);

/// What to call, with a sentence, if the listener's thread dies: the daemon must not go on without it.
pub type Died = Box<dyn FnOnce(String) + Send>;

/// The running listener.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<Option<Instant>>,
    thread: thread::JoinHandle<usize>,
}

impl Server {
    /// The address that is listened on.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, lets the requests that are under way end until `deadline` from now, then
    /// closes what is left. Answers how many connections were cut off.
    pub fn stop(self, deadline: Duration) -> usize {
        self.stop.send_replace(Some(Instant::now() + deadline));
        self.thread.join().unwrap_or(0)
    }
}

/// Serves `listener` with `handler` on a thread of its own, which also does `errand`.
///
/// # Errors
/// The listener cannot be taken over, or no thread can be had.
pub(super) fn start<H: Handler>(
    listener: std::net::TcpListener,
    handler: Arc<H>,
    settings: Settings,
    errand: impl Future<Output = ()> + Send + 'static,
    died: Died,
) -> io::Result<Server> {
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    SockRef::from(&listener).listen(QUEUE)?;
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
    runtime.spawn(errand);
    let (stop, stopped) = watch::channel(None);
    let body = move || run_guarded(runtime, accept_all(listener, handler, Arc::new(settings), stopped), died);
    let thread = thread::Builder::new().name("http".to_owned()).spawn(body)?;
    Ok(Server { address, stop, thread })
}

fn run_guarded(runtime: Runtime, work: impl Future<Output = usize>, died: Died) -> usize {
    let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(work)));
    runtime.shutdown_timeout(RUNTIME_STOP);
    ended.unwrap_or_else(|_| {
        died("the thread `http` panicked".to_owned());
        0
    })
}

/// Accepts until `stop` changes. Answers how many connections had to be cut off.
async fn accept_all<H: Handler>(
    listener: TcpListener,
    handler: Arc<H>,
    settings: Arc<Settings>,
    mut stop: watch::Receiver<Option<Instant>>,
) -> usize {
    let served = Room { permits: Arc::new(Semaphore::new(settings.max_connections)), settings: Arc::clone(&settings) };
    let brief = Settings { header_timeout: settings.header_timeout.min(REFUSED_HEAD), ..Settings::clone(&settings) };
    let refused = Room { permits: Arc::new(Semaphore::new(REFUSED_AT_ONCE)), settings: Arc::new(brief) };
    let (mut failing, full) = (false, Arc::new(Full));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                failing = false;
                // An answer is one small write: waiting for more to send would only delay it.
                let _ = stream.set_nodelay(true);
                let left = served.serve(stream, &handler, true, &stop);
                if let Some(stream) = left.and_then(|stream| refused.serve(stream, &full, false, &stop)) {
                    turn_away(stream, settings.tls.is_some());
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
    let all = u32::try_from(settings.max_connections).unwrap_or(u32::MAX);
    // The permits come back when the connections end; whether in time is told by how many there are.
    let _ = timeout_at(deadline, served.permits.acquire_many(all)).await;
    settings.max_connections.saturating_sub(served.permits.available_permits())
}

/// Errors of `accept` that speak of one connection that is gone, not of us.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// A number of connections that are served in the same way.
struct Room {
    permits: Arc<Semaphore>,
    settings: Arc<Settings>,
}

impl Room {
    /// Serves `stream` in a task of its own if there is room; otherwise gives it back.
    fn serve<H: Handler>(
        &self,
        stream: TcpStream,
        handler: &Arc<H>,
        keep_alive: bool,
        stop: &watch::Receiver<Option<Instant>>,
    ) -> Option<TcpStream> {
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else { return Some(stream) };
        let peer = Peer(stream.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip()));
        let handler = Arc::new(Told { handler: Arc::clone(handler), peer });
        let (settings, stop) = (Arc::clone(&self.settings), stop.clone());
        tokio::spawn(async move {
            match settings.tls.as_ref().map(|tls| tls.acceptor()) {
                None => connection::serve(stream, handler, &settings, keep_alive, stop).await,
                Some(acceptor) => tls::serve(stream, &acceptor, handler, &settings, keep_alive, stop).await,
            }
            drop(permit);
        });
        None
    }
}

/// Answers on connections beyond the cap.
struct Full;

impl Full {
    fn problem() -> Problem {
        Problem::unavailable("there are as many connections as `[http] max_connections` allows", 1)
    }
}

impl Handler for Full {
    async fn handle(self: Arc<Self>, _request: Request<Incoming>) -> Reply {
        Self::problem().into_reply()
    }
}

/// Says the same to a connection that there is no room for at all, without a wait, and closes it. Over TLS that cannot
/// be said without a handshake.
fn turn_away(stream: TcpStream, tls: bool) {
    // Tokio would write only once it has been told that there is room; in a new socket there is.
    let Ok(mut stream) = stream.into_std() else { return };
    if tls {
        return;
    }
    // What has come and is not read would turn the close into a reset, which can overtake the answer.
    let _ = stream.read(&mut [0; 4096]);
    let _ = stream.write(&reply::rendered(Full::problem().into_reply()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_thread_is_told_to_the_daemon() {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let (died, told) = std::sync::mpsc::channel();
        let died = Box::new(move |reason| died.send(reason).unwrap());
        assert_eq!(run_guarded(runtime, async { panic!("as the test wants it") }, died), 0);
        assert!(told.try_recv().is_ok_and(|reason| reason.contains("http")));
    }
}

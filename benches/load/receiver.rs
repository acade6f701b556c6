//! Cheap receivers: one thread for all started together, keep-alive, plain or TLS. They answer 200 to everything, at
//! once or after a delay, and record arrivals.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::client::extent;
use super::{Outcome, number_at};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// The behaviour of receivers.
#[derive(Clone, Default)]
pub(crate) struct Manner {
    /// Response time.
    pub(crate) delay: Duration,
    /// If set, they speak TLS.
    pub(crate) tls: Option<Tls>,
}

/// A certificate for 127.0.0.1.
#[derive(Clone)]
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    /// The certificate to trust.
    pub(crate) pem: String,
}

impl Tls {
    /// A new one.
    pub(crate) fn new() -> Outcome<Self> {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![made.cert.der().clone()], key)?;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), pem: made.cert.pem() })
    }
}

/// The running receiver; the thread ends when all receivers started with it are dropped.
pub(crate) struct Receiver {
    /// Its address.
    pub(crate) address: SocketAddr,
    /// The arrivals.
    pub(crate) arrivals: Arc<Arrivals>,
    _stop: Arc<oneshot::Sender<()>>,
}

/// Arrivals by number of the event.
pub(crate) struct Arrivals {
    start: Instant,
    /// Nanoseconds since `start`, plus one; 0 if it has not arrived.
    at: Vec<AtomicU64>,
    arrived: AtomicUsize,
    repeats: AtomicUsize,
    first: OnceLock<Vec<u8>>,
}

impl Arrivals {
    /// When event `number` first arrived.
    pub(crate) fn at(&self, number: usize) -> Option<Instant> {
        let nanos = self.at.get(number)?.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.start + Duration::from_nanos(nanos))
    }

    /// All arrival times.
    pub(crate) fn all(&self) -> impl Iterator<Item = Instant> {
        (0..self.at.len()).filter_map(|number| self.at(number))
    }

    /// The last arrival.
    pub(crate) fn last(&self) -> Option<Instant> {
        self.all().max()
    }

    /// The number of events that arrived more than once.
    pub(crate) fn repeats(&self) -> usize {
        self.repeats.load(Ordering::Relaxed)
    }

    /// The first request, head and body.
    pub(crate) fn first(&self) -> Option<&[u8]> {
        self.first.get().map(Vec::as_slice)
    }

    /// Waits until `count` distinct events have arrived; an error once none has for `patience`.
    pub(crate) fn wait_for(&self, count: usize, patience: Duration) -> Outcome<()> {
        let (mut seen, mut since) = (0, Instant::now());
        loop {
            let arrived = self.arrived.load(Ordering::Relaxed);
            if arrived >= count {
                return Ok(());
            }
            if arrived > seen {
                (seen, since) = (arrived, Instant::now());
            } else if since.elapsed() > patience {
                return Err(format!("{arrived} of {count} arrived, and none for {patience:?}").into());
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn note(&self, request: &[u8]) {
        let now = self.start.elapsed().as_nanos() as u64 + 1;
        let digits = number_at(request).and_then(|range| std::str::from_utf8(&request[range]).ok());
        let slot = digits.and_then(|text| text.parse().ok()).and_then(|number: usize| self.at.get(number));
        let fresh =
            slot.is_some_and(|slot| slot.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed).is_ok());
        if fresh { &self.arrived } else { &self.repeats }.fetch_add(1, Ordering::Relaxed);
        if self.first.get().is_none() {
            let _ = self.first.set(request.to_vec());
        }
    }
}

impl Receiver {
    /// Starts one that answers at once, for events numbered below `events`.
    pub(crate) fn start(events: usize) -> Outcome<Self> {
        Self::start_many(1, events, &Manner::default())?.pop().ok_or_else(|| "no receiver".into())
    }

    /// Starts `count` of them, on one thread.
    pub(crate) fn start_many(count: usize, events: usize, manner: &Manner) -> Outcome<Vec<Self>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (stop, stopped) = oneshot::channel();
        let stop = Arc::new(stop);
        let mut receivers = Vec::new();
        for _ in 0..count {
            let listener = runtime.block_on(async { listen() })?;
            let address = listener.local_addr()?;
            let arrivals = Arc::new(Arrivals {
                start: Instant::now(),
                at: (0..events).map(|_| AtomicU64::new(0)).collect(),
                arrived: AtomicUsize::new(0),
                repeats: AtomicUsize::new(0),
                first: OnceLock::new(),
            });
            runtime.spawn(accept(listener, Arc::clone(&arrivals), manner.clone()));
            receivers.push(Self { address, arrivals, _stop: Arc::clone(&stop) });
        }
        thread::Builder::new().name("receivers".to_owned()).spawn(move || {
            // Ended by dropping the sender.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(receivers)
    }
}

/// With a backlog for all that connect at once.
fn listen() -> std::io::Result<TcpListener> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    socket.listen(4096)
}

async fn accept(listener: TcpListener, arrivals: Arc<Arrivals>, manner: Manner) {
    while let Ok((stream, _)) = listener.accept().await {
        let (arrivals, manner) = (Arc::clone(&arrivals), manner.clone());
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            // A sender that goes away ends its own connection only.
            let _ = match manner.tls {
                None => serve(stream, &arrivals, manner.delay).await,
                Some(tls) => match tls.acceptor.accept(stream).await {
                    Ok(stream) => serve(stream, &arrivals, manner.delay).await,
                    Err(fault) => Err(fault.into()),
                },
            };
        });
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, arrivals: &Arrivals, delay: Duration) -> Outcome<()> {
    let mut buffer = Vec::with_capacity(4 * 1024);
    loop {
        let end = loop {
            match extent(&buffer)? {
                Some((_, end)) if buffer.len() >= end => break end,
                _ => {}
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        arrivals.note(&buffer[..end]);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        stream.write_all(ANSWER).await?;
        stream.flush().await?;
        buffer.drain(..end);
    }
}

//! A cheap receiver: one thread, keep-alive, answers 200 to everything and notes what arrived when.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::client::extent;
use super::{Outcome, number_at};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// The running receiver; it ends when this is dropped.
pub(crate) struct Receiver {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What arrived.
    pub(crate) arrivals: Arc<Arrivals>,
    _stop: oneshot::Sender<()>,
}

/// What arrived, by the number of the event.
pub(crate) struct Arrivals {
    start: Instant,
    /// Nanoseconds since `start`, plus one; 0 for what has not arrived.
    at: Vec<AtomicU64>,
    arrived: AtomicUsize,
    repeats: AtomicUsize,
    first: OnceLock<Vec<u8>>,
}

impl Arrivals {
    /// When event `number` arrived first.
    pub(crate) fn at(&self, number: usize) -> Option<Instant> {
        let nanos = self.at.get(number)?.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.start + Duration::from_nanos(nanos))
    }

    /// When the last of them arrived.
    pub(crate) fn last(&self) -> Option<Instant> {
        (0..self.at.len()).filter_map(|number| self.at(number)).max()
    }

    /// How many arrived more than once.
    pub(crate) fn repeats(&self) -> usize {
        self.repeats.load(Ordering::Relaxed)
    }

    /// The first request, head and body.
    pub(crate) fn first(&self) -> Option<&[u8]> {
        self.first.get().map(Vec::as_slice)
    }

    /// Waits until `count` different events have arrived; an error once none has for `patience`.
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
    /// Starts one for the events numbered below `events`.
    pub(crate) fn start(events: usize) -> Outcome<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let listener = runtime.block_on(TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))))?;
        let address = listener.local_addr()?;
        let arrivals = Arc::new(Arrivals {
            start: Instant::now(),
            at: (0..events).map(|_| AtomicU64::new(0)).collect(),
            arrived: AtomicUsize::new(0),
            repeats: AtomicUsize::new(0),
            first: OnceLock::new(),
        });
        let (stop, stopped) = oneshot::channel();
        let noted = Arc::clone(&arrivals);
        thread::Builder::new().name("receiver".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, noted) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { address, arrivals, _stop: stop })
    }
}

async fn accept(listener: TcpListener, arrivals: Arc<Arrivals>) {
    while let Ok((stream, _)) = listener.accept().await {
        let arrivals = Arc::clone(&arrivals);
        tokio::spawn(async move {
            // A sender that goes away ends its own connection and nothing else.
            let _ = serve(stream, &arrivals).await;
        });
    }
}

async fn serve(mut stream: TcpStream, arrivals: &Arrivals) -> Outcome<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(8 * 1024);
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
        stream.write_all(ANSWER).await?;
        buffer.drain(..end);
    }
}

//! A webhook receiver for trying things: a small HTTP/1.1 server on blocking sockets.
//!
//! `listen` and `demo` stand on it. It is no server for production: it is bounded (connections,
//! sizes, waits) so that nothing pointed at it by mistake brings the machine down, and no more.
//! It knows nothing of subscriptions; what a request means is [`delivery`]'s.

pub(super) mod delivery;
mod message;

use std::collections::HashMap;
use std::io::{self, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use message::Fault;
pub(super) use message::Message;

/// How many connections are served at once; further ones wait.
const CONNECTIONS_MOST: usize = 128;
/// How long a connection may stay silent, in the middle of a request or between two.
const SILENCE_MOST: Duration = Duration::from_secs(60);
/// How long the rest of a refused request is waited for, and how much of it is read, in bytes.
const LINGER_PAUSE: Duration = Duration::from_secs(1);
const LINGER_MOST: u64 = 8 * 1024 * 1024;

/// How a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    /// The status code, 200 to 599.
    pub(super) status: u16,
    /// How long the answer is kept back.
    pub(super) delay: Duration,
}

/// Decides on the answer of a request; called from one thread per connection.
type Handler = dyn Fn(&Message) -> Answer + Send + Sync;

/// A receiver that runs; stops when it is dropped.
pub(super) struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    handler: Box<Handler>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    stopping: bool,
    next: u64,
    open: HashMap<u64, TcpStream>,
}

impl Receiver {
    /// Listens on `address` (port 0 for any free one) and answers as `handler` says.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub(super) fn start(
        address: SocketAddr,
        handler: impl Fn(&Message) -> Answer + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { handler: Box::new(handler), state: Mutex::default(), changed: Condvar::new() });
        let for_thread = Arc::clone(&shared);
        let acceptor =
            thread::Builder::new().name("receiver".to_owned()).spawn(move || accept(&listener, &for_thread))?;
        Ok(Self { address, shared, acceptor: Some(acceptor) })
    }

    /// Where it listens.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the process ends.
    pub(super) fn wait(mut self) {
        if let Some(acceptor) = self.acceptor.take() {
            // A panic there has been reported by its thread; all that is left is to end.
            drop(acceptor.join());
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let Some(acceptor) = self.acceptor.take() else { return };
        self.shared.stop();
        // The acceptor sits in accept(): one connection wakes it, and it sees that it is to end.
        let mut wake = self.address;
        if wake.ip().is_unspecified() {
            wake.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        if TcpStream::connect_timeout(&wake, Duration::from_secs(1)).is_ok() {
            drop(acceptor.join());
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        let mut state = self.state();
        state.stopping = true;
        for stream in state.open.values() {
            // One that is closed already is as good.
            drop(stream.shutdown(Shutdown::Both));
        }
        self.changed.notify_all();
    }

    /// Waits for a place and takes it; `None` if the receiver stops.
    fn enter(&self, stream: &TcpStream) -> Option<u64> {
        let kept = stream.try_clone().ok()?;
        let mut state = self.state();
        while !state.stopping && state.open.len() >= CONNECTIONS_MOST {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.stopping {
            return None;
        }
        state.next += 1;
        let number = state.next;
        state.open.insert(number, kept);
        Some(number)
    }

    fn leave(&self, number: u64) {
        self.state().open.remove(&number);
        self.changed.notify_all();
    }

    /// Waits for `delay`, or until the receiver stops: then false.
    fn pause(&self, delay: Duration) -> bool {
        let end = Instant::now() + delay;
        let mut state = self.state();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if state.stopping || left.is_zero() {
                return !state.stopping;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Gives a place up, also when its thread panics.
struct Place<'a>(&'a Shared, u64);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.leave(self.1);
    }
}

/// Takes connections until the receiver stops, then waits for those under way.
fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut running: Vec<JoinHandle<()>> = Vec::new();
    while !shared.state().stopping {
        let Ok((stream, _)) = listener.accept() else {
            // Out of file descriptors, most likely: wait for a connection to end.
            shared.pause(Duration::from_millis(50));
            continue;
        };
        let Some(number) = shared.enter(&stream) else { break };
        let for_thread = Arc::clone(shared);
        let spawned = thread::Builder::new().name("receiver-connection".to_owned()).spawn(move || {
            let _place = Place(&for_thread, number);
            // A connection that breaks is its client's affair.
            drop(serve(&stream, &for_thread));
        });
        match spawned {
            Ok(handle) => running.push(handle),
            Err(_) => shared.leave(number),
        }
        running.retain(|handle| !handle.is_finished());
    }
    for handle in running {
        drop(handle.join());
    }
}

/// Answers the requests of one connection, one after the other.
fn serve(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(SILENCE_MOST))?;
    stream.set_write_timeout(Some(SILENCE_MOST))?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    loop {
        let message = match message::read(&mut reader, &mut writer) {
            Ok(message) => message,
            Err(Fault::Closed) => return Ok(()),
            Err(Fault::Broken(error)) => return Err(error),
            Err(Fault::Refused(status, why)) => {
                write_answer(&mut writer, status, why, true)?;
                return linger(stream);
            }
        };
        let answer = (shared.handler)(&message);
        if !shared.pause(answer.delay) {
            return Ok(());
        }
        write_answer(&mut writer, answer.status, "", message.wants_close())?;
        if message.wants_close() {
            return Ok(());
        }
    }
}

/// Ends a connection whose client may still be sending: closing at once would reset it, and the
/// answer could be lost (RFC 9112 section 9.6).
fn linger(stream: &TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(LINGER_PAUSE))?;
    io::copy(&mut stream.take(LINGER_MOST), &mut io::sink()).map(drop)
}

fn write_answer(writer: &mut impl Write, status: u16, text: &str, close: bool) -> io::Result<()> {
    let close = if close { "connection: close\r\n" } else { "" };
    // RFC 9110 section 8.6: no Content-Length with 204.
    let head = match status {
        204 => format!("HTTP/1.1 204 \r\n{close}\r\n"),
        _ => format!(
            "HTTP/1.1 {status} \r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n{close}\r\n{text}",
            text.len()
        ),
    };
    writer.write_all(head.as_bytes())
}

#[cfg(test)]
mod tests;

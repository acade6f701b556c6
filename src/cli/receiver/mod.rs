//! A webhook receiver for trying things: a small HTTP/1.1 server on blocking sockets.
//!
//! Used by `listen` and `demo`; not meant for production. It is bounded (connections, sizes, waits) so that
//! misdirected traffic does not exhaust the machine. It knows nothing about subscriptions; [`delivery`] interprets
//! requests.

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

/// Maximum concurrent connections; further ones wait.
const CONNECTIONS_MOST: usize = 128;
/// Time limit of silence, within a request or between two.
const SILENCE_MOST: Duration = Duration::from_secs(60);
/// How long, and how many bytes, the rest of a refused request is read.
const LINGER_PAUSE: Duration = Duration::from_secs(1);
const LINGER_MOST: u64 = 8 * 1024 * 1024;

/// The response to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    /// The status code, 200 to 599.
    pub(super) status: u16,
    /// Delay before the response.
    pub(super) delay: Duration,
}

/// Decides on the response to a request; called from one thread per connection.
type Handler = dyn Fn(&Message) -> Answer + Send + Sync;

/// A running receiver; stops when dropped.
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
    /// Listens on `address` (port 0 for any free one) and answers with `handler`.
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

    /// The address listened on.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the process ends.
    pub(super) fn wait(mut self) {
        if let Some(acceptor) = self.acceptor.take() {
            // A panic there was reported by its thread.
            drop(acceptor.join());
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let Some(acceptor) = self.acceptor.take() else { return };
        self.shared.stop();
        // The acceptor blocks in accept(): one connection wakes it to end.
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
            // It may be closed already.
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

    /// Waits for `delay`; false if the receiver stops meanwhile.
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

/// Releases a place, even if its thread panics.
struct Place<'a>(&'a Shared, u64);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.leave(self.1);
    }
}

/// Accepts connections until the receiver stops, then waits for those in progress.
fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut running: Vec<JoinHandle<()>> = Vec::new();
    while !shared.state().stopping {
        let Ok((stream, _)) = listener.accept() else {
            // Probably out of file descriptors: wait for a connection to end.
            shared.pause(Duration::from_millis(50));
            continue;
        };
        let Some(number) = shared.enter(&stream) else { break };
        let for_thread = Arc::clone(shared);
        let spawned = thread::Builder::new().name("receiver-connection".to_owned()).spawn(move || {
            let _place = Place(&for_thread, number);
            // A broken connection concerns only its client.
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

/// Answers the requests of one connection in turn.
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

/// Ends a connection whose client may still be sending: closing at once would reset it, and the response could be
/// lost (RFC 9112 section 9.6).
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

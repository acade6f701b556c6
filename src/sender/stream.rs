//! A socket to a receiver, plain or TLS, on which nothing outlasts the attempt.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustls::{ClientConnection, StreamOwned};

use super::marks;

/// Granularity of socket timeouts; an attempt ends at most this much late.
const TICK: Duration = Duration::from_millis(20);
/// How long a receiver may read nothing before we check whether it has answered already.
const STALL: Duration = Duration::from_millis(240);

/// A socket whose reads and writes end when the attempt must.
#[derive(Debug)]
pub(super) struct Timed {
    socket: TcpStream,
    read_limit: Duration,
    write_limit: Duration,
    /// The first byte received, to recognise peers that do not speak TLS.
    first: Option<u8>,
}

impl Timed {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self { socket, read_limit: Duration::ZERO, write_limit: Duration::ZERO, first: None }
    }

    /// The first byte received.
    pub(super) const fn first(&self) -> Option<u8> {
        self.first
    }

    /// The time left, rounded up to a [`TICK`].
    fn limit() -> io::Result<Duration> {
        let left = marks::left();
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let ticks = left.as_millis() / TICK.as_millis() + 1;
        Ok(TICK.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX)))
    }

    /// Waits until there is something to read, possibly the end.
    fn wait(&mut self) -> io::Result<()> {
        self.patiently(|socket| socket.peek(&mut [0])).map(drop)
    }

    /// Runs `read`, waiting as long as the attempt may take.
    fn patiently(&mut self, mut read: impl FnMut(&mut TcpStream) -> io::Result<usize>) -> io::Result<usize> {
        loop {
            let limit = Self::limit()?;
            if limit != self.read_limit {
                self.socket.set_read_timeout(Some(limit))?;
                self.read_limit = limit;
            }
            match read(&mut self.socket) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Writes, waiting at most `most` for the receiver to read.
    fn write_within(&mut self, bytes: &[u8], most: Duration) -> io::Result<usize> {
        loop {
            let limit = Self::limit()?.min(most);
            if limit != self.write_limit {
                self.socket.set_write_timeout(Some(limit))?;
                self.write_limit = limit;
            }
            match self.socket.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.patiently(|socket| socket.read(buffer))?;
        self.first = self.first.or(buffer[..count].first().copied());
        Ok(count)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_within(bytes, Duration::MAX)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A socket that gives up a write after [`STALL`].
struct Impatient<'s>(&'s mut Timed);

impl Write for Impatient<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_within(bytes, STALL)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection as used by HTTP.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(Timed),
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
}

impl Stream {
    /// Sends `bytes`; `false` if the receiver stopped reading and sent something instead.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let mut rest = bytes;
        loop {
            let written = match self {
                _ if rest.is_empty() && !self.holds_back() => return Ok(true),
                Self::Plain(timed) => timed.write_within(rest, STALL).inspect(|count| rest = &rest[*count..]),
                Self::Tls(stream) => {
                    let StreamOwned { conn, sock } = stream.as_mut();
                    let taken = conn.writer().write(rest)?;
                    rest = &rest[taken..];
                    conn.write_tls(&mut Impatient(sock))
                }
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !marks::left().is_zero() => {
                    if !self.is_quiet() {
                        return Ok(false);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether TLS has unsent data.
    fn holds_back(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.conn.wants_write())
    }

    /// Waits until [`Self::read`] returns something, without a buffer to read into.
    pub(super) fn wait(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(timed) => timed.wait(),
            Self::Tls(stream) => {
                let StreamOwned { conn, sock } = stream.as_mut();
                // Messages of TLS itself, such as session tickets, are consumed here: they carry no data.
                while conn.wants_read() && !conn.wants_write() {
                    sock.wait()?;
                    if conn.complete_io(sock)?.0 == 0 {
                        break;
                    }
                }
                Ok(())
            }
        }
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(timed) => timed.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }

    /// Whether the peer is connected and silent, so that an idle connection can take another request.
    pub(super) fn is_quiet(&mut self) -> bool {
        if self.socket().set_nonblocking(true).is_err() {
            return false;
        }
        let would_block = |result: io::Result<usize>| result.is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock);
        let quiet = match self {
            Self::Plain(timed) => would_block(timed.socket.peek(&mut [0])),
            Self::Tls(stream) => tls_is_quiet(stream),
        };
        // Restored in any case: what was received is read next.
        self.socket().set_nonblocking(false).is_ok() && quiet
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(timed) => &timed.socket,
            Self::Tls(stream) => &stream.sock.socket,
        }
    }
}

/// Consumes what TLS itself may send at any time, such as session tickets; anything else is not quiet.
fn tls_is_quiet(stream: &mut StreamOwned<ClientConnection, Timed>) -> bool {
    loop {
        match stream.conn.read_tls(&mut stream.sock.socket) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
            Ok(0) | Err(_) => return false,
            Ok(_) => match stream.conn.process_new_packets() {
                Ok(state) if state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed() => {}
                Ok(_) | Err(_) => return false,
            },
        }
    }
}

//! A connection, and how it is made: resolve, check, connect (or CONNECT through the proxy), TLS.
//!
//! ureq speaks HTTP over it and keeps it for the next request to the same receiver. Done here instead of by ureq:
//! - names are resolved when a connection is made, so the addresses checked are those connected to, and a request on
//!   a kept connection resolves nothing;
//! - every read and write is limited by the remaining time of the attempt ([`super::stream`], [`super::marks`]);
//! - a request is sent in one write, headers and body together;
//! - the head of a response is read here ([`super::head`]): ureq sees a normalised one, and faults are noted.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver as UreqResolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

use super::buffers::{Spare, WireBuffers};
use super::diagnosis;
use super::failure::{Failure, is_disconnect};
use super::head::{Head, HeadReader, Progress};
use super::marks;
use super::resolver::Resolver;
use super::stream::{Stream, Timed};
use super::tls::{self, BadCertificate, Peer, Tls};
use super::tunnel;
use crate::core::attempt::{Fault, Phase};
use crate::core::client_certificate::ClientCertificate;
use crate::core::proxy::Proxy;

/// Maximum age of a connection, so that changes of the receiver's address take effect.
const AGE_MOST: Duration = Duration::from_secs(120);

/// Time limit of the extra connection for a diagnosis.
const DIAGNOSIS_MOST: Duration = Duration::from_secs(2);

/// Makes connections; shared by all agents.
#[derive(Clone)]
pub(super) struct Dialler {
    resolver: Arc<Resolver>,
    tls: Arc<Tls>,
    proxy: Option<Arc<Proxy>>,
    /// The client configuration with a client certificate, if any.
    with_certificate: Option<Arc<ClientConfig>>,
    idle: Arc<Idle>,
    spare: Arc<Spare>,
}

/// Idle connections over all receivers.
#[derive(Debug)]
struct Idle {
    count: AtomicUsize,
    most: usize,
}

impl Dialler {
    /// With at most `idle_most` idle connections.
    pub(super) fn new(resolver: Arc<Resolver>, tls: Arc<Tls>, proxy: Option<Arc<Proxy>>, idle_most: usize) -> Self {
        let idle = Arc::new(Idle { count: AtomicUsize::new(0), most: idle_most });
        Self { resolver, tls, proxy, with_certificate: None, idle, spare: Arc::default() }
    }

    /// The number of free buffers.
    #[cfg(test)]
    pub(super) fn spare_buffers(&self) -> usize {
        self.spare.count()
    }

    /// The maximum number of idle connections.
    pub(super) fn idle_most(&self) -> usize {
        self.idle.most
    }

    /// A dialler that presents a client certificate.
    ///
    /// # Errors
    /// The certificate cannot be used.
    pub(super) fn with_certificate(&self, certificate: &ClientCertificate) -> Result<Self, BadCertificate> {
        Ok(Self { with_certificate: Some(self.tls.with_certificate(certificate)?), ..self.clone() })
    }

    fn dial(&self, uri: &Uri, secure: bool) -> Result<Wire, Failure> {
        let (host, port) = host_and_port(uri, secure)?;
        let (timed, address) = self.connect_to(host, port)?;
        let stream = if secure {
            let shaken = self.tls.handshake(self.with_certificate.as_ref(), host, timed);
            Stream::Tls(Box::new(shaken.map_err(|failure| self.diagnosed(failure, host, address))?))
        } else {
            Stream::Plain(timed)
        };
        Ok(Wire {
            stream,
            address,
            buffers: WireBuffers::new(Arc::clone(&self.spare)),
            made: Instant::now(),
            unsendable: None,
            head: HeadReader::new(),
            waiting: false,
            idle: Arc::clone(&self.idle),
        })
    }

    /// Performs a TLS handshake with the host of `uri`; see [`Tls::verify_peer`].
    pub(super) fn verify_peer(&self, uri: &Uri) -> Result<Peer, Failure> {
        let (host, port) = host_and_port(uri, true)?;
        let (timed, address) = self.connect_to(host, port)?;
        self.tls.verify_peer(host, timed).map_err(|failure| self.diagnosed(failure, host, address))
    }

    /// Replaces a failure for lack of common TLS parameters by one that names the cause, if found.
    fn diagnosed(&self, failure: Failure, host: &str, address: SocketAddr) -> Failure {
        // Through a proxy the address cannot be reached again.
        if failure.detail != tls::NOTHING_IN_COMMON || self.proxy.is_some() {
            return failure;
        }
        let limit = marks::left().min(DIAGNOSIS_MOST).max(Duration::from_millis(1));
        let Ok(socket) = TcpStream::connect_timeout(&address, limit) else { return failure };
        diagnosis::of(host, &mut Timed::new(socket)).unwrap_or(failure)
    }

    fn connect_to(&self, host: &str, port: u16) -> Result<(Timed, SocketAddr), Failure> {
        marks::resolving();
        match &self.proxy {
            None => self.straight(host, port),
            Some(proxy) => self.through(proxy, host, port),
        }
    }

    fn straight(&self, host: &str, port: u16) -> Result<(Timed, SocketAddr), Failure> {
        let addresses = self.resolver.resolve(host, marks::left())?;
        marks::enter(Phase::Connect);
        let (socket, address) = connect(addresses.iter().map(|ip| SocketAddr::new(*ip, port)))?;
        marks::connected_to(address);
        Ok((Timed::new(socket), address))
    }

    /// Connects through the proxy; the address is the proxy's.
    fn through(&self, proxy: &Proxy, host: &str, port: u16) -> Result<(Timed, SocketAddr), Failure> {
        // If only the proxy can resolve names, the local lookup must leave time for the rest.
        self.resolver.vet(host, marks::left() / 4)?;
        let far = |failure: Failure| tunnel::unreachable(proxy, &failure);
        let addresses = self.resolver.of_proxy(&proxy.host, marks::left()).map_err(far)?;
        marks::enter(Phase::Connect);
        let (socket, address) = connect(addresses.iter().map(|ip| SocketAddr::new(*ip, proxy.port))).map_err(far)?;
        marks::connected_to(address);
        let mut timed = Timed::new(socket);
        tunnel::open(proxy, &mut timed, host, port)?;
        Ok((timed, address))
    }
}

/// The host, without brackets, and the port.
fn host_and_port(uri: &Uri, secure: bool) -> Result<(&str, u16), Failure> {
    let host = uri.host().ok_or_else(|| Failure::new(Fault::BadUrl, "the URL has no host"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok((host, uri.port_u16().unwrap_or(if secure { 443 } else { 80 })))
}

impl Connector for Dialler {
    type Out = Wire;

    fn connect(&self, details: &ConnectionDetails, _chained: Option<()>) -> Result<Option<Wire>, ureq::Error> {
        self.dial(details.uri, details.needs_tls()).map(Some).map_err(Failure::into_ureq)
    }
}

impl fmt::Debug for Dialler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dialler")
    }
}

/// Connects to the first address that accepts. Each gets half of the remaining time, the last all of it.
fn connect(addresses: impl ExactSizeIterator<Item = SocketAddr>) -> Result<(TcpStream, SocketAddr), Failure> {
    let mut last = Failure::new(Fault::NameNotFound, "the host's name has no address");
    let mut others = addresses.len();
    for address in addresses {
        others = others.saturating_sub(1);
        let left = marks::left();
        if left.is_zero() {
            return Err(Failure::timeout(Phase::Connect));
        }
        let limit = if others > 0 { left / 2 } else { left };
        let connected = TcpStream::connect_timeout(&address, limit.max(Duration::from_millis(1)));
        match connected.and_then(|socket| socket.set_nodelay(true).map(|()| socket)) {
            Ok(socket) => return Ok((socket, address)),
            Err(error) => {
                last = Failure::from_io(&error, Phase::Connect);
                last.detail = format!("{address}: {}", last.detail);
            }
        }
    }
    Err(last)
}

/// The resolver for ureq. [`Dialler`] resolves when it connects; this is a placeholder.
#[derive(Debug)]
pub(super) struct Deferred;

impl UreqResolver for Deferred {
    fn resolve(
        &self,
        _uri: &Uri,
        _config: &ureq::config::Config,
        _timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut addresses = self.empty();
        addresses.push(SocketAddr::from(([0, 0, 0, 0], 0)));
        Ok(addresses)
    }
}

/// A connection to a receiver.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    address: SocketAddr,
    buffers: WireBuffers,
    made: Instant,
    /// Why nothing more can be sent. The receiver may have answered nevertheless.
    unsendable: Option<Failure>,
    /// Reads the head of the awaited response.
    head: HeadReader,
    /// Whether it is idle in ureq's pool, and counted in `idle`.
    waiting: bool,
    idle: Arc<Idle>,
}

impl Wire {
    /// Sends the buffered output. A receiver that stops reading the request may have answered already (413 and close,
    /// for example), so a failure is reported only if no response can be read.
    fn flush(&mut self) -> Result<(), Failure> {
        if self.unsendable.is_none() && !self.buffers.pending().is_empty() {
            match self.stream.send(self.buffers.pending()) {
                Ok(true) => {}
                Ok(false) => {
                    let detail = "the receiver stopped reading the request and closed the connection without an answer";
                    self.unsendable = Some(Failure::new(Fault::Disconnected, detail));
                }
                Err(error) if is_disconnect(error.kind()) => {
                    self.unsendable = Some(Failure::from_io(&error, Phase::Send));
                }
                Err(error) => return Err(tls_or_io(&error)),
            }
        }
        self.buffers.sent();
        Ok(())
    }

    /// Reads the response's head, and puts a normalised one before what follows it.
    fn receive_head(&mut self) -> Result<(), Failure> {
        let head = loop {
            let ended = match self.receive() {
                Ok(0) => Failure::new(Fault::Disconnected, "the connection ended within its headers"),
                Ok(_) => {
                    let (used, progress) = self.head.read(self.buffers.input());
                    self.buffers.input_consume(used);
                    match progress {
                        Progress::More => continue,
                        Progress::Done(head) => break head,
                        Progress::Bad(failure) => return Err(failure),
                    }
                }
                Err(failure) => failure,
            };
            let why = match ended.fault {
                Fault::ResponseTimeout => "its headers did not end in time".to_owned(),
                Fault::Disconnected => "the connection ended within its headers".to_owned(),
                _ => format!("within its headers, {}", ended.detail),
            };
            match self.head.cut(why) {
                Some(head) => break head,
                None if ended.fault == Fault::Disconnected => return Err(self.unanswered()),
                None => return Err(ended),
            }
        };
        self.answered(head);
        Ok(())
    }

    fn answered(&mut self, mut head: Head) {
        if self.unsendable.is_some() {
            head.notes.push("it came before the whole request was read".to_owned());
        }
        self.buffers.lead(head.normalized());
        self.head = HeadReader::new();
        marks::answered(head);
    }

    /// The connection ended without a status.
    fn unanswered(&mut self) -> Failure {
        let broken = || Failure::new(Fault::Disconnected, "the connection broke before the answer was complete");
        self.unsendable.take().unwrap_or_else(broken)
    }

    fn receive(&mut self) -> Result<usize, Failure> {
        let waited = if self.buffers.has_input() {
            Ok(())
        } else {
            // This may take long: hold no memory meanwhile.
            self.buffers.release_input();
            self.stream.wait()
        };
        let room = self.buffers.input_append_buf();
        if room.is_empty() {
            return Err(Failure::new(Fault::Protocol, "a line of the answer's body is too long"));
        }
        let count = match waited.and_then(|()| self.stream.read(room)) {
            Ok(count) => count,
            // The end of the connection; completeness is checked above.
            Err(error) if is_disconnect(error.kind()) => 0,
            // A TLS alert is worth more than the failure to send.
            Err(error) => {
                let unsendable = self.unsendable.take();
                return Err(tls::of_stream(&error).or(unsendable).unwrap_or_else(|| tls_or_io(&error)));
            }
        };
        self.buffers.input_appended(count);
        marks::received(count);
        Ok(count)
    }

    /// Becomes idle, if there is room and it can be reused.
    fn become_idle(&mut self) -> bool {
        if self.unsendable.is_some() || self.buffers.has_input() || self.made.elapsed() >= AGE_MOST {
            return false;
        }
        if self.idle.count.fetch_add(1, Ordering::Relaxed) >= self.idle.most {
            self.idle.count.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        self.waiting = true;
        self.buffers.release();
        true
    }

    /// Stops being idle.
    fn leave_idle(&mut self) -> bool {
        self.waiting = false;
        self.idle.count.fetch_sub(1, Ordering::Relaxed);
        self.stream.is_quiet()
    }
}

/// The failure behind an error of a TLS stream or its socket.
fn tls_or_io(error: &io::Error) -> Failure {
    tls::of_stream(error).unwrap_or_else(|| Failure::from_io(error, marks::phase()))
}

impl Transport for Wire {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _timeout: NextTimeout) -> Result<(), ureq::Error> {
        marks::enter(Phase::Send);
        marks::connected_to(self.address);
        if self.buffers.gather(amount) {
            self.flush().map_err(Failure::into_ureq)?;
        }
        Ok(())
    }

    fn await_input(&mut self, _timeout: NextTimeout) -> Result<bool, ureq::Error> {
        if !self.buffers.pending().is_empty() {
            self.flush().map_err(Failure::into_ureq)?;
        }
        if marks::phase() == Phase::Send {
            marks::enter(Phase::Wait);
        }
        if marks::phase() == Phase::Wait {
            return self.receive_head().map(|()| true).map_err(Failure::into_ureq);
        }
        self.receive().map(|count| count > 0).map_err(Failure::into_ureq)
    }

    /// ureq 3.5 calls this once when it puts a connection into its pool, and once when it takes it out.
    fn is_open(&mut self) -> bool {
        if self.waiting { self.leave_idle() } else { self.become_idle() }
    }

    fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.waiting {
            self.idle.count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::core::address::AddressPolicy;

    #[test]
    fn connections_that_wait_are_counted_and_bounded() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let uri: Uri = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let policy = AddressPolicy::new(vec!["127.0.0.1/32".parse().unwrap()], Vec::new(), false);
        let dialler = Dialler::new(Arc::new(Resolver::new(policy)), Arc::new(Tls::new(&[]).unwrap()), None, 3);
        let idle = || dialler.idle.count.load(Ordering::SeqCst);
        marks::begin(Instant::now(), Instant::now() + Duration::from_secs(20), Duration::from_secs(20));

        let mut wire = dialler.dial(&uri, false).unwrap();
        assert!(wire.is_open() && idle() == 1, "waits");
        assert!(wire.is_open() && idle() == 0, "is used again");
        dialler.idle.count.store(3, Ordering::SeqCst);
        assert!(!wire.is_open() && idle() == 3, "no room");
        drop(wire);
        assert_eq!(idle(), 3);

        dialler.idle.count.store(0, Ordering::SeqCst);
        let mut wire = dialler.dial(&uri, false).unwrap();
        assert!(wire.is_open());
        drop(wire);
        assert_eq!(idle(), 0, "is dropped while it waits");

        let mut wire = dialler.dial(&uri, false).unwrap();
        wire.made = Instant::now().checked_sub(AGE_MOST).unwrap();
        assert!(!wire.is_open() && idle() == 0, "too old");
        marks::end();
    }
}

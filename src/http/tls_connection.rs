//! A TLS connection: the handshake, then the connection.
//!
//! Invariant: a handshake has a deadline and counts as a connection from its first byte.

use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;

use super::connection::{self, Handler};
use super::problem::Problem;
use super::reply::Reply;
use super::settings::Settings;

/// The first byte of a TLS connection (RFC 8446 section 5.1: handshake).
const HANDSHAKE: u8 = 22;

/// As [`connection::serve`], after a handshake. Clients that speak plain HTTP get an error that says so.
pub(super) async fn serve<H: Handler>(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    handler: Arc<H>,
    settings: &Settings,
    keep_alive: bool,
    stop: watch::Receiver<Option<Instant>>,
) {
    let shaken = async {
        let mut first = [0];
        match stream.peek(&mut first).await {
            Ok(1..) if first[0] == HANDSHAKE => acceptor.accept(stream).await.map(Ok),
            Ok(1..) => Ok(Err(stream)),
            Ok(0) => Err(std::io::ErrorKind::UnexpectedEof.into()),
            Err(error) => Err(error),
        }
    };
    let shaken = tokio::select! {
        shaken = timeout(settings.header_timeout, shaken) => shaken,
        () = connection::no_more_requests(stop.clone()) => return,
    };
    match shaken {
        Ok(Ok(Ok(secure))) => connection::serve(secure, handler, settings, keep_alive, stop).await,
        Ok(Ok(Err(plain))) => connection::serve(plain, Arc::new(Misdirected), settings, false, stop).await,
        Ok(Err(error)) => tracing::debug!("a TLS handshake failed: {error}"),
        Err(_) => tracing::debug!("a TLS handshake did not end in time"),
    }
}

/// Answers clients that speak plain HTTP to a TLS port.
struct Misdirected;

impl Handler for Misdirected {
    async fn handle(self: Arc<Self>, _request: Request<Incoming>) -> Reply {
        Problem::bad_request("this port speaks TLS: call it with https:// instead of http://").closing().into_reply()
    }
}

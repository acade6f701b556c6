//! Failing receivers: one that accepts a connection and never answers, a slow one, and an address where nothing
//! listens.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::Outcome;

/// The running receiver; it ends when dropped.
pub(crate) struct Bad {
    /// Its address.
    pub(crate) address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Bad {
    /// Answers each request after `delay`; never, without one.
    pub(crate) fn start(delay: Option<Duration>) -> Outcome<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let listener = runtime.block_on(TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))))?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        thread::Builder::new().name("bad".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, delay) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { address, _stop: stop })
    }
}

/// An address where nothing listens any more.
pub(crate) fn nobody() -> Outcome<SocketAddr> {
    Ok(std::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?.local_addr()?)
}

async fn accept(listener: TcpListener, delay: Option<Duration>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            // A sender that goes away ends its own connection only.
            let _ = serve(stream, delay).await;
        });
    }
}

async fn serve(mut stream: TcpStream, delay: Option<Duration>) -> Outcome<()> {
    let mut buffer = vec![0; 16 * 1024];
    // A request of this bench comes in one piece.
    while stream.read(&mut buffer).await? > 0 {
        if let Some(delay) = delay {
            tokio::time::sleep(delay).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await?;
        }
    }
    Ok(())
}

//! Scripted receivers on 127.0.0.1 for this module's tests.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

trait Socket: Read + Write {}
impl<T: Read + Write> Socket for T {}

/// A receiver that runs its script on every connection.
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    connections: AtomicUsize,
    requests: Mutex<Vec<String>>,
    stopped: AtomicBool,
}

/// One connection, as seen by the script.
pub(super) struct Conversation {
    stream: Box<dyn Socket>,
    pub(super) socket: TcpStream,
    shared: Arc<Shared>,
}

impl Conversation {
    /// The next request, headers and body; `None` when the sender has gone.
    pub(super) fn request(&mut self) -> Option<String> {
        let head = self.head()?;
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        self.stream.read_exact(&mut body).ok()?;
        let request = head + &String::from_utf8_lossy(&body);
        self.shared.requests.lock().unwrap().push(request.clone());
        Some(request)
    }

    /// The headers of the next request.
    pub(super) fn head(&mut self) -> Option<String> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            self.stream.read_exact(&mut byte).ok()?;
            head.push(byte[0]);
        }
        Some(String::from_utf8_lossy(&head).into_owned())
    }

    /// Sends `text` verbatim.
    pub(super) fn send(&mut self, text: &str) -> io::Result<()> {
        self.send_bytes(text.as_bytes())
    }

    /// Sends `bytes` verbatim.
    pub(super) fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).and_then(|()| self.stream.flush())
    }

    /// Answers with `status` and `body`, keeping the connection.
    pub(super) fn answer(&mut self, status: u16, body: &str) {
        let text = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        self.send(&text).ok();
    }

    /// Neither reads nor closes until the receiver is dropped.
    pub(super) fn wait(&mut self) {
        while !self.shared.stopped.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the sender closes the connection.
    pub(super) fn stall(&mut self) {
        let mut bytes = [0; 1024];
        while matches!(self.stream.read(&mut bytes), Ok(count) if count > 0) {}
    }

    /// Sends `text` repeatedly, with a pause between, until the sender has gone.
    pub(super) fn repeat(&mut self, text: &str, pause: Duration) {
        while !self.shared.stopped.load(Ordering::SeqCst) && self.send(text).is_ok() {
            std::thread::sleep(pause);
        }
    }
}

fn here() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

fn oblige(talk: &mut Conversation) {
    while talk.request().is_some() {
        talk.answer(200, "ok");
    }
}

impl Receiver {
    /// An http receiver.
    pub(super) fn start(script: impl Fn(&mut Conversation) + Send + Sync + 'static) -> Self {
        Self::accept(here(), |socket| Some(Box::new(socket)), script)
    }

    /// An https receiver with the certificate of this name in `testdata`.
    pub(super) fn start_tls(certificate: &str, script: impl Fn(&mut Conversation) + Send + Sync + 'static) -> Self {
        let chain = CertificateDer::pem_file_iter(super::tests::testdata(certificate)).unwrap();
        let key = PrivateKeyDer::from_pem_file(super::tests::testdata("server.key")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain.map(Result::unwrap).collect(), key)
            .unwrap();
        let config = Arc::new(config);
        let secure = move |socket| {
            let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), socket);
            stream.conn.complete_io(&mut stream.sock).ok()?;
            Some(Box::new(stream) as Box<dyn Socket>)
        };
        Self::accept(here(), secure, script)
    }

    /// Answers every request with 200 and `ok`.
    pub(super) fn obliging() -> Self {
        Self::start(oblige)
    }

    /// As [`Receiver::obliging`], on a given address of this machine.
    pub(super) fn obliging_at(address: &str, port: u16) -> Self {
        Self::accept(TcpListener::bind((address, port)).unwrap(), |socket| Some(Box::new(socket)), oblige)
    }

    /// The number of connections made.
    pub(super) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The requests read, in order of completion.
    pub(super) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }

    fn accept(
        listener: TcpListener,
        open: impl Fn(TcpStream) -> Option<Box<dyn Socket>> + Send + Sync + 'static,
        script: impl Fn(&mut Conversation) + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let (seen, serve) = (Arc::clone(&shared), Arc::new((open, script)));
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                if seen.stopped.load(Ordering::SeqCst) {
                    return;
                }
                seen.connections.fetch_add(1, Ordering::SeqCst);
                let (shared, serve) = (Arc::clone(&seen), Arc::clone(&serve));
                std::thread::spawn(move || {
                    let second = socket.try_clone().unwrap();
                    if let Some(stream) = serve.0(socket) {
                        serve.1(&mut Conversation { stream, socket: second, shared });
                    }
                });
            }
        });
        Self { address, shared }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        TcpStream::connect(self.address).ok();
    }
}

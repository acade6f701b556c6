//! A scripted mail server (RFC 5321): plain, with STARTTLS or with TLS, that takes mails, refuses or hangs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::certificates::{Identity, provider};
use crate::wait::{PATIENCE, Watched};

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Willing,
    /// Answers 550 to every recipient.
    Refusing,
    /// Accepts the connection and says nothing.
    Hanging,
}

/// How the connection is secured.
pub(crate) enum Secured {
    No,
    StartTls(Identity),
    Tls(Identity),
}

/// A mail as it came.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    pub(crate) to: Vec<String>,
    /// With lines that were wrapped by quoted-printable joined again.
    pub(crate) text: String,
    pub(crate) secured: bool,
    /// What AUTH was given.
    pub(crate) auth: Option<String>,
}

pub(crate) struct MailServer {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

struct State {
    mails: Watched<Vec<Mail>>,
    connections: Watched<usize>,
    manner: Watched<Manner>,
    secured: Secured,
    tls: Option<Arc<ServerConfig>>,
}

impl MailServer {
    pub(crate) fn start(manner: Manner, secured: Secured) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let tls = match &secured {
            Secured::No => None,
            Secured::StartTls(identity) | Secured::Tls(identity) => {
                let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
                let config = config.expect("versions").with_no_client_auth();
                Some(Arc::new(config.with_single_cert(identity.chain(), identity.key()).expect("a certificate")))
            }
        };
        let state = Arc::new(State {
            mails: Watched::new(Vec::new()),
            connections: Watched::new(0),
            manner: Watched::new(manner),
            secured,
            tls,
        });
        let of_thread = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&of_thread);
                thread::spawn(move || state.serve(stream));
            }
        });
        Self { address, state }
    }

    pub(crate) fn behave(&self, manner: Manner) {
        self.state.manner.change(|now| *now = manner);
    }

    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.state.mails.look(Clone::clone)
    }

    /// Waits until there are connections.
    #[track_caller]
    pub(crate) fn wait_for_connections(&self, count: usize) {
        let waited = self.state.connections.wait(PATIENCE, |now| (*now >= count).then_some(()));
        waited.unwrap_or_else(|| panic!("fewer than {count} connections"));
    }

    /// Waits for a mail that matches.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, wanted: impl Fn(&Mail) -> bool) -> Mail {
        let found = self.state.mails.wait(PATIENCE, |mails| mails.iter().find(|mail| wanted(mail)).cloned());
        found.unwrap_or_else(|| panic!("no mail {what} among {:#?}", self.mails()))
    }
}

impl State {
    fn serve(&self, stream: TcpStream) {
        self.connections.change(|count| *count += 1);
        if self.manner.look(|manner| *manner) == Manner::Hanging {
            // Until the client gives up.
            let _ = (&stream).read(&mut [0; 1]);
            return;
        }
        let _ = stream.set_read_timeout(Some(PATIENCE));
        let ended = match &self.secured {
            Secured::Tls(_) => self.encrypted(stream, true),
            Secured::No | Secured::StartTls(_) => self.converse(stream, false, true),
        };
        // A client that hangs up is one of the things that are tested.
        let _ = ended;
    }

    fn encrypted(&self, stream: TcpStream, greet: bool) -> std::io::Result<()> {
        let config = Arc::clone(self.tls.as_ref().expect("a certificate"));
        let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
        self.converse(StreamOwned::new(connection, stream), true, greet)
    }

    fn converse(&self, stream: impl Read + Write + Upgrade, secured: bool, greet: bool) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        if greet {
            write_line(&mut stream, "220 mail.test ready")?;
        }
        let (mut to, mut auth) = (Vec::new(), None);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let command = line.trim_end().to_owned();
            let verb = command.split([' ', ':']).next().unwrap_or_default().to_uppercase();
            match verb.as_str() {
                "EHLO" if !secured && matches!(self.secured, Secured::StartTls(_)) => {
                    write_line(&mut stream, "250-mail.test\r\n250 STARTTLS")?;
                }
                "EHLO" => write_line(&mut stream, "250-mail.test\r\n250-8BITMIME\r\n250 AUTH PLAIN")?,
                "STARTTLS" => {
                    write_line(&mut stream, "220 go ahead")?;
                    return match stream.into_inner().plain() {
                        Some(plain) => self.encrypted(plain, false),
                        None => Ok(()),
                    };
                }
                "AUTH" => {
                    auth = command.rsplit(' ').next().map(str::to_owned);
                    write_line(&mut stream, "235 welcome")?;
                }
                "RCPT" if self.manner.look(|manner| *manner) == Manner::Refusing => {
                    write_line(&mut stream, "550 5.1.1 nobody of this name here")?;
                }
                "RCPT" => {
                    to.push(command.split(['<', '>']).nth(1).unwrap_or_default().to_owned());
                    write_line(&mut stream, "250 ok")?;
                }
                "DATA" => {
                    write_line(&mut stream, "354 go on")?;
                    let mut text = String::new();
                    while !text.ends_with("\r\n.\r\n") {
                        if stream.read_line(&mut text)? == 0 {
                            return Ok(());
                        }
                    }
                    let text = text.replace("=\r\n", "").replace("=3D", "=");
                    let mail = Mail { to: std::mem::take(&mut to), text, secured, auth: auth.clone() };
                    self.mails.change(|mails| mails.push(mail));
                    write_line(&mut stream, "250 taken")?;
                }
                "QUIT" => return write_line(&mut stream, "221 bye"),
                _ => write_line(&mut stream, "250 ok")?,
            }
        }
    }
}

fn write_line<S: Read + Write>(stream: &mut BufReader<S>, line: &str) -> std::io::Result<()> {
    let stream = stream.get_mut();
    stream.write_all(format!("{line}\r\n").as_bytes())?;
    stream.flush()
}

/// A stream that may still be encrypted.
trait Upgrade {
    fn plain(self) -> Option<TcpStream>;
}

impl Upgrade for TcpStream {
    fn plain(self) -> Option<TcpStream> {
        Some(self)
    }
}

impl Upgrade for StreamOwned<ServerConnection, TcpStream> {
    fn plain(self) -> Option<TcpStream> {
        None
    }
}

//! Why an attempt got no answer, as the parts below ureq tell it to the attempt above.
//!
//! What is known about a failure is known where it happens: in the resolver, at the socket, in the
//! TLS handshake. It travels through ureq as a value, so that nobody has to read error texts.

use std::fmt;
use std::io;

use crate::core::attempt::{Fault, Phase};

/// A fault with what there is to know beyond its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) fault: Fault,
    /// A sentence.
    pub(super) detail: String,
}

impl Failure {
    pub(super) fn new(fault: Fault, detail: impl Into<String>) -> Self {
        Self { fault, detail: detail.into() }
    }

    /// Time ran out in `phase`.
    pub(super) fn timeout(phase: Phase) -> Self {
        let (fault, detail) = match phase {
            Phase::Resolve => (Fault::ResolveTimeout, "the host's name was not resolved in time"),
            Phase::Connect => (Fault::ConnectTimeout, "the connection was not established in time"),
            Phase::Send => (Fault::SendTimeout, "the request was not taken in time"),
            Phase::Wait => (Fault::ResponseTimeout, "no complete answer line and headers came in time"),
            Phase::Receive => (Fault::BodyTimeout, "the answer's body did not end in time"),
        };
        Self::new(fault, detail)
    }

    /// A socket failed while the attempt was in `phase`.
    pub(super) fn from_io(error: &io::Error, phase: Phase) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::timeout(phase),
            io::ErrorKind::ConnectionRefused => Self::new(Fault::Refused, "nothing listens there"),
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::AddrNotAvailable => {
                Self::new(Fault::Unreachable, format!("the network knows no way there ({error})"))
            }
            // Local limits (no descriptors left, no memory) and local firewalls: the receiver was not reached.
            _ if phase == Phase::Connect && !is_disconnect(error.kind()) => {
                Self::new(Fault::Unreachable, format!("the connection could not be made ({error})"))
            }
            _ => Self::new(Fault::Disconnected, "the connection broke before the answer was complete"),
        }
    }

    /// The failure that an error of ureq carries, or the one it amounts to in `phase`.
    pub(super) fn from_ureq(error: ureq::Error, phase: Phase) -> Self {
        match error {
            ureq::Error::Other(inner) => match inner.downcast::<Self>() {
                Ok(failure) => *failure,
                Err(other) => Self::new(Fault::Protocol, other.to_string()),
            },
            ureq::Error::Io(error) => Self::from_io(&error, phase),
            ureq::Error::Timeout(_) => Self::timeout(phase),
            ureq::Error::BadUri(_) => Self::new(Fault::BadUrl, "the URL cannot be called"),
            ureq::Error::Protocol(error) => Self::new(Fault::Protocol, format!("what came back is not HTTP: {error}")),
            ureq::Error::LargeResponseHeader(_, most) => {
                Self::new(Fault::Protocol, format!("the answer's headers are larger than {most} bytes"))
            }
            // ureq has no others on the way that is taken here.
            other => Self::new(Fault::Protocol, other.to_string()),
        }
    }

    /// The error that carries this failure through ureq.
    pub(super) fn into_ureq(self) -> ureq::Error {
        ureq::Error::Other(Box::new(self))
    }
}

/// Whether the other side ended the connection.
pub(super) fn is_disconnect(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::NotConnected
    )
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Failure {}

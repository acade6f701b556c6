//! Why an attempt got no response, passed from the layers below ureq to the attempt above.
//!
//! The cause is known where it occurs: in the resolver, at the socket, in the TLS handshake. It travels through ureq
//! as a value, so that nothing parses error texts.

use std::fmt;
use std::io;

use crate::core::attempt::{Fault, Phase};

/// A fault with its details.
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

    /// The timeout of `phase`.
    pub(super) fn timeout(phase: Phase) -> Self {
        let (fault, detail) = match phase {
            Phase::Resolve => (Fault::ResolveTimeout, "the host's name was not resolved in time"),
            Phase::Connect => (Fault::ConnectTimeout, "the connection was not established in time"),
            Phase::Send => (Fault::SendTimeout, "the receiver did not read the request in time"),
            Phase::Wait => (Fault::ResponseTimeout, "no complete answer line and headers came in time"),
            Phase::Receive => (Fault::BodyTimeout, "the answer's body did not end in time"),
        };
        Self::new(fault, detail)
    }

    /// A socket error while the attempt was in `phase`.
    pub(super) fn from_io(error: &io::Error, phase: Phase) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::timeout(phase),
            io::ErrorKind::ConnectionRefused => Self::new(Fault::Refused, "nothing listens there"),
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::AddrNotAvailable => {
                Self::new(Fault::Unreachable, format!("there is no route to it ({error})"))
            }
            // Local limits (no descriptors, no memory) and local firewalls: the receiver was not reached.
            _ if phase == Phase::Connect && !is_disconnect(error.kind()) => {
                Self::new(Fault::Unreachable, format!("the connection could not be made ({error})"))
            }
            _ => Self::new(Fault::Disconnected, "the connection broke before the answer was complete"),
        }
    }

    /// The failure carried by an error of ureq, or its equivalent in `phase`.
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
            // ureq returns no others for the calls made here.
            other => Self::new(Fault::Protocol, other.to_string()),
        }
    }

    /// An error that carries this failure through ureq.
    pub(super) fn into_ureq(self) -> ureq::Error {
        ureq::Error::Other(Box::new(self))
    }
}

/// Whether the peer closed the connection.
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

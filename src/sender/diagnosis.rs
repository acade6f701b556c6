//! Finds out why a receiver shares no TLS parameters with this server.
//!
//! An alert `handshake_failure` does not say what was wanted. So a second ClientHello offers everything in TLS 1.2
//! (RFC 5246), and the receiver's unencrypted first flight shows its choice: cipher, certificate, curve. The
//! handshake is then abandoned, and nothing else is sent.

use std::io::{Read, Write};

use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use super::failure::Failure;
use super::verifier::weak_key;
use crate::core::attempt::Fault;

/// More than a first flight takes, including long certificate chains.
const FLIGHT_MOST: usize = 64 * 1024;
/// The curve P-521 (secp521r1).
const P521: u16 = 25;
/// Suites with ECDHE and an AEAD, which this server supports.
const GOOD: [u16; 6] = [0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8];
/// Suites with ECDHE and CBC.
const CBC: [u16; 10] = [0xc009, 0xc00a, 0xc013, 0xc014, 0xc023, 0xc024, 0xc027, 0xc028, 0xc008, 0xc012];
/// Suites without ECDHE: DHE or RSA key exchange.
const OTHER: [u16; 14] =
    [0x009e, 0x009f, 0x0033, 0x0039, 0x0067, 0x006b, 0x009c, 0x009d, 0x002f, 0x0035, 0x003c, 0x003d, 0x000a, 0x0016];
/// The suites in [`OTHER`] with an AEAD.
const OTHER_AEAD: [u16; 4] = [0x009e, 0x009f, 0x009c, 0x009d];

/// The obstacle at the receiver `host` behind `socket`, if it can be determined.
pub(super) fn of(host: &str, socket: &mut (impl Read + Write)) -> Option<Failure> {
    socket.write_all(&hello(host)).ok()?;
    reason(&flight(socket))
}

/// The obstacle behind this choice.
fn reason(flight: &Flight) -> Option<Failure> {
    if let Some(weak) = flight.certificate.as_ref().and_then(weak_key) {
        return Some(weak);
    }
    let words = match (flight.suite?, flight.curve) {
        (_, Some(P521)) => "the receiver exchanges keys over the curve P-521 alone: let it use X25519, P-256 or P-384",
        (suite, _) if CBC.contains(&suite) => {
            "the receiver offers CBC ciphers alone: let it offer AES-GCM or ChaCha20-Poly1305 with ECDHE, or TLS 1.3"
        }
        (suite, _) if OTHER_AEAD.contains(&suite) => {
            "the receiver offers no ciphers with ECDHE: let it offer them, or TLS 1.3"
        }
        (suite, _) if OTHER.contains(&suite) => {
            "the receiver offers CBC ciphers alone, and none with ECDHE: let it offer AES-GCM or ChaCha20-Poly1305 with ECDHE, or \
             TLS 1.3"
        }
        _ => return None,
    };
    Some(Failure::new(Fault::Tls, words))
}

/// A ClientHello of TLS 1.2. No handshake follows, so its random is constant.
fn hello(host: &str) -> Vec<u8> {
    let numbers = |all: &[u16]| all.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<_>>();
    let suites = numbers(&[&GOOD[..], &CBC, &OTHER].concat());
    let mut extensions = Vec::new();
    // A name, not an address (RFC 6066 section 3).
    if host.parse::<std::net::IpAddr>().is_err() {
        extensions.extend(extension(0, &with_length(2, &[&[0], with_length(2, host.as_bytes()).as_slice()].concat())));
    }
    extensions.extend(extension(10, &with_length(2, &numbers(&[29, 23, 24, P521]))));
    extensions.extend(extension(11, &[1, 0]));
    let schemes = [0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0203, 0x0201];
    extensions.extend(extension(13, &with_length(2, &numbers(&schemes))));
    let body = [&[3, 3][..], &[0x5a; 32], &[0], &with_length(2, &suites), &[1, 0], &with_length(2, &extensions)];
    let message = [&[1][..], &with_length(3, &body.concat())].concat();
    [&[22, 3, 1][..], &with_length(2, &message)].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &with_length(2, content)].concat()
}

/// `content` preceded by its length in this many bytes.
fn with_length(bytes: usize, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    [&length[length.len() - bytes..], content].concat()
}

/// What was seen of a first flight.
#[derive(Debug, Default)]
struct Flight {
    suite: Option<u16>,
    certificate: Option<Certificate>,
    curve: Option<u16>,
}

/// Reads records until the flight ends or something else is received.
fn flight(socket: &mut impl Read) -> Flight {
    let (mut seen, mut messages, mut used, mut sum) = (Flight::default(), Vec::new(), 0, 0);
    let mut head = [0; 5];
    while sum < FLIGHT_MOST && socket.read_exact(&mut head).is_ok() && head[0] == 22 {
        let mut record = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
        if socket.read_exact(&mut record).is_err() {
            break;
        }
        sum += head.len() + record.len();
        messages.extend(record);
        while let Some((kind, message)) = message(&messages[used..]) {
            if kind == 14 {
                return seen;
            }
            seen.message(kind, message);
            used += 4 + message.len();
        }
    }
    seen
}

/// The first handshake message, if complete: type and content.
fn message(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (head, rest) = bytes.split_at_checked(4)?;
    let length = u32::from_be_bytes([0, head[1], head[2], head[3]]);
    Some((head[0], rest.get(..usize::try_from(length).ok()?)?))
}

impl Flight {
    fn message(&mut self, kind: u8, content: &[u8]) {
        let number = |at: usize| Some(u16::from_be_bytes([*content.get(at)?, *content.get(at + 1)?]));
        match kind {
            // Version, random and session id come before the suite.
            2 => self.suite = content.get(34).and_then(|length| number(35 + usize::from(*length))),
            11 => {
                let first = content.get(3..6).map(|length| u32::from_be_bytes([0, length[0], length[1], length[2]]));
                let first = first.and_then(|length| content.get(6..)?.get(..usize::try_from(length).ok()?));
                self.certificate = first.and_then(|der| Certificate::from_der(der).ok());
            }
            12 if content.first() == Some(&3) => self.curve = number(1),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_comes_is_read_without_harm() {
        let hello = [&[2, 0, 0, 38, 3, 3][..], &[7; 32], &[0, 0xc0, 0x14, 0]].concat();
        let record = [&[22, 3, 3, 0, hello.len() as u8][..], &hello].concat();
        assert_eq!(flight(&mut record.as_slice()).suite, Some(0xc014));
        assert!(reason(&flight(&mut record.as_slice())).unwrap().detail.contains("CBC"));
        for end in 0..record.len() {
            assert!(reason(&flight(&mut &record[..end])).is_none(), "{end}");
        }
        for bytes in [
            &[21, 3, 3, 0, 2, 2, 40][..],
            b"HTTP/1.1 400\r\n\r\n",
            &[22, 3, 3, 255, 255],
            &[22, 3, 3, 0, 4, 11, 255, 255, 255],
        ] {
            assert!(reason(&flight(&mut &bytes[..])).is_none());
        }
        let endless = [22, 3, 3, 0, 0].repeat(10);
        assert!(reason(&flight(&mut endless.as_slice())).is_none());
    }
}

//! A tunnel through a forward proxy: `CONNECT` (RFC 9110 section 9.3.6), after which the stream is as if connected to
//! the receiver.

use std::io::{Read as _, Write as _};

use super::failure::Failure;
use super::stream::Timed;
use crate::core::attempt::{Fault, Phase};
use crate::core::proxy::Proxy;
use crate::core::request::USER_AGENT;

/// Maximum size of a proxy's response.
const ANSWER_MOST: usize = 16 * 1024;

/// Asks `proxy`, to which `socket` is connected, to connect to `host` (without brackets) and `port`.
pub(super) fn open(proxy: &Proxy, socket: &mut Timed, host: &str, port: u16) -> Result<(), Failure> {
    let target = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: {USER_AGENT}\r\n");
    if let Some(authorization) = &proxy.authorization {
        request.push_str(&format!("Proxy-Authorization: {}\r\n", authorization.expose()));
    }
    request.push_str("\r\n");
    let broken = |error: &std::io::Error| match Failure::from_io(error, Phase::Connect) {
        late @ Failure { fault: Fault::ConnectTimeout, .. } => late,
        _ => failure(proxy, "ended the connection without an answer"),
    };
    socket.write_all(request.as_bytes()).map_err(|error| broken(&error))?;
    let mut answer = Vec::new();
    let mut piece = [0; 1024];
    // The receiver waits for the client to speak first, so nothing follows the proxy's response.
    while !answer.ends_with(b"\r\n\r\n") {
        match socket.read(&mut piece) {
            Ok(0) if answer.is_empty() => return Err(failure(proxy, "ended the connection without an answer")),
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&piece[..count]),
            Err(error) => return Err(broken(&error)),
        }
        // For a refusal the status line suffices.
        let begun = answer.windows(2).any(|window| window == b"\r\n");
        if answer.len() > ANSWER_MOST || (begun && !matches!(status(&answer), Some(200..=299))) {
            break;
        }
    }
    match status(&answer) {
        Some(200..=299) if answer.ends_with(b"\r\n\r\n") => Ok(()),
        Some(200..=299) => Err(failure(proxy, "began to answer and did not end")),
        Some(status) => Err(failure(proxy, &refusal(status, &target))),
        None => Err(failure(proxy, "does not speak HTTP")),
    }
}

/// The proxy could not be reached.
pub(super) fn unreachable(proxy: &Proxy, there: &Failure) -> Failure {
    if there.fault == Fault::ConnectTimeout {
        let detail = format!("the proxy {proxy} was not reached in time: {}", there.detail);
        return Failure::new(Fault::ConnectTimeout, detail);
    }
    failure(proxy, &format!("cannot be reached: {}", there.detail))
}

fn failure(proxy: &Proxy, what: &str) -> Failure {
    Failure::new(Fault::Proxy, format!("the proxy {proxy} {what}"))
}

fn refusal(status: u16, target: &str) -> String {
    match status {
        407 => "requires a user name and password (407)".to_owned(),
        502..=504 => format!("could not reach {target} ({status})"),
        _ => format!("does not let {target} through ({status})"),
    }
}

/// The status in a complete first line.
fn status(answer: &[u8]) -> Option<u16> {
    let end = answer.windows(2).position(|window| window == b"\r\n")?;
    let line = std::str::from_utf8(&answer[..end]).ok()?;
    line.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()
}

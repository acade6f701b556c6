//! One HTTP exchange that is no attempt: what a library asks of us, with an answer larger than one of a receiver.
//!
//! Takes the same path as an attempt: its addresses, its TLS, its proxy, and an end when its time is up.

use std::time::Duration;

use ureq::http::{Request, Response};

use super::failure::Failure;
use super::handshake::Trouble;
use super::transport::Transport;
use super::words;

/// Sends `request` over a fresh connection and reads its answer, of `most` bytes at most, all within `limit`. Redirects
/// are not followed, and any status is an answer.
///
/// # Errors
/// It cannot be reached, is not allowed, or does not answer with that.
pub fn fetch(
    transport: &Transport,
    request: Request<Vec<u8>>,
    limit: Duration,
    most: usize,
) -> Result<Response<Vec<u8>>, Trouble> {
    let done = transport.fetch(request, limit, most);
    done.map_err(|Failure { fault, detail }| Trouble { fault, detail, advice: words::advice(fault) })
}

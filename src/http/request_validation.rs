//! Request validation: rejects heads that HTTP/1.1 forbids and hyper accepts.
//!
//! Looks at the head only. Afterwards the method is known, the host is valid and unique, and the body's length is
//! unambiguous.

use hyper::header::{HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use hyper::http::uri::Authority;
use hyper::{Method, Request, Version};

use super::problem::Problem;

/// Checks the head of a request. `ambiguous`: its bytes had both kinds of length; `bare`: one of its lines ended in
/// LF alone (RFC 9112 section 2.2 allows refusing that).
///
/// # Errors
/// The refusal; after most of them the connection must be closed.
pub(super) fn check<B>(request: &Request<B>, ambiguous: bool, bare: bool) -> Result<(), Problem> {
    if bare {
        return Err(Problem::bad_request("the lines of a request's head must end in CR LF, not in LF alone").closing());
    }
    known_method(request.method())?;
    one_length(request.headers(), ambiguous).map_err(Problem::closing)?;
    one_host(request).map_err(Problem::closing)
}

/// Whether the body is chunked: such a request is the last of its connection.
pub(super) fn is_chunked<B>(request: &Request<B>) -> bool {
    request.headers().contains_key(TRANSFER_ENCODING)
}

fn known_method(method: &Method) -> Result<(), Problem> {
    const KNOWN: &str = "GET, HEAD, POST, PATCH, DELETE";
    match method.as_str() {
        "GET" | "HEAD" | "POST" | "PATCH" | "DELETE" | "PUT" | "OPTIONS" | "QUERY" => Ok(()),
        "CONNECT" | "TRACE" => Err(Problem::method_not_allowed(method.as_str(), KNOWN).closing()),
        _ => Err(Problem::not_implemented(format!("this method is not known here; there are: {KNOWN}")).closing()),
    }
}

/// RFC 9112 section 6.1: one `Transfer-Encoding`, without `Content-Length`.
fn one_length(headers: &HeaderMap, ambiguous: bool) -> Result<(), Problem> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else { return Ok(()) };
    if ambiguous {
        return Err(Problem::bad_request("a request must not have both Content-Length and Transfer-Encoding"));
    }
    if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Err(Problem::bad_request("the only Transfer-Encoding that is understood is `chunked`, once"));
    }
    Ok(())
}

/// RFC 9112 section 3.2: exactly one valid `Host`, equal to that of the target if it has one.
fn one_host<B>(request: &Request<B>) -> Result<(), Problem> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(valid_host(host)?),
        (None, _) if request.version() < Version::HTTP_11 => None,
        (None, _) => return Err(Problem::bad_request("the header Host is missing")),
        (Some(_), Some(_)) => return Err(Problem::bad_request("the header Host is given twice")),
    };
    let uri = request.uri();
    let Some(target) = uri.authority() else { return Ok(()) };
    let http = uri.scheme_str().is_some_and(|scheme| matches!(scheme, "http" | "https"));
    let same = host.is_none_or(|host| host == *target);
    if http && same && !target.as_str().contains('@') {
        return Ok(());
    }
    Err(Problem::bad_request("the request's target must be a path, or an http URL of the same host as the header Host"))
}

fn valid_host(host: &HeaderValue) -> Result<Authority, Problem> {
    let parsed = Authority::try_from(host.as_bytes()).ok();
    let valid = |authority: &Authority| {
        let text = authority.as_str();
        let port = text.strip_prefix(authority.host()).unwrap_or("?");
        let port_valid = port.is_empty() || port == ":" || authority.port_u16().is_some();
        !authority.host().is_empty() && !text.contains(['@', '%', '\\']) && port_valid
    };
    parsed.filter(valid).ok_or_else(|| Problem::bad_request("the header Host is not a host name with an optional port"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: &str, target: &str, headers: &[(&str, &str)]) -> Option<u16> {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap(), false, false).err().map(|problem| problem.status())
    }

    #[test]
    fn hosts_are_checked() {
        for good in ["localhost", "localhost:4665", "127.0.0.1:80", "[::1]:4665", "[::1]", "hooks.example:"] {
            assert_eq!(status("GET", "/", &[("host", good)]), None, "{good}");
        }
        for bad in ["", "a b", "a@b", "user:pass@b", "a:port", "a:99999", "a/b", "a\\b", "a%00b", "[::1", "a?b", "a#b"]
        {
            assert_eq!(status("GET", "/", &[("host", bad)]), Some(400), "{bad:?}");
        }
        assert_eq!(status("GET", "/", &[]), Some(400));
        assert_eq!(status("GET", "/", &[("host", "a"), ("host", "a")]), Some(400));
    }

    #[test]
    fn targets_with_a_host_must_name_the_same() {
        let host = [("host", "a.example:80")];
        assert_eq!(status("GET", "http://a.example:80/v1", &host), None);
        assert_eq!(status("GET", "http://A.EXAMPLE:80/v1", &host), None);
        for target in ["http://b.example/v1", "ftp://a.example:80/", "http://u@a.example:80/"] {
            assert_eq!(status("GET", target, &host), Some(400), "{target}");
        }
    }

    #[test]
    fn methods_and_codings_are_checked() {
        let host = ("host", "a");
        for (method, wanted) in
            [("TRACE", Some(405)), ("BREW", Some(501)), ("get", Some(501)), ("PUT", None), ("QUERY", None)]
        {
            assert_eq!(status(method, "/", &[host]), wanted, "{method}");
        }
        let coding = "transfer-encoding";
        assert_eq!(status("POST", "/", &[host, (coding, "Chunked")]), None);
        for bad in ["chunked, chunked", "gzip, chunked", "identity", ""] {
            assert_eq!(status("POST", "/", &[host, (coding, bad)]), Some(400), "{bad}");
        }
        assert_eq!(status("POST", "/", &[host, (coding, "chunked"), (coding, "chunked")]), Some(400));
    }
}

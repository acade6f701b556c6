//! Whether a browser sent a request from our own page: protects sessions against cross-site requests.
//!
//! A browser attaches a cookie to every request, including those made by foreign pages. So a change authorised by a
//! cookie must name its origin in headers that scripts cannot set (`Sec-Fetch-Site`, or `Origin` on unencrypted
//! connections), and carry a header that no form and no foreign script can send.

use hyper::Method;
use hyper::header::{HOST, HeaderMap, ORIGIN};

use super::problem::Problem;

/// The header set by the page's own requests.
const OURS: &str = "x-hookswitch-page";

/// The header by which the page's own requests say that it is shown in a frame.
const FRAMED: &str = "x-hookswitch-framed";

/// Whether the browser declares that a page of this origin sent it.
pub(super) fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let host = text(HOST.as_str()).unwrap_or_default();
    let origin = text(ORIGIN.as_str()).and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(scheme, origin)| {
        // Browsers omit the scheme's default port in both, or, behind a proxy, in one of them.
        let port = if scheme == "https" { ":443" } else { ":80" };
        let bare = |name: &str| name.strip_suffix(port).unwrap_or(name).to_ascii_lowercase();
        matches!(scheme, "http" | "https") && !host.is_empty() && bare(origin) == bare(host)
    })
}

/// Whether the browser used TLS, to us or to a proxy.
pub(super) fn is_encrypted(headers: &HeaderMap) -> bool {
    headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"))
}

/// Whether the browser declares that a page of another site shows ours in a frame, as far as it says.
pub(super) fn is_framed(headers: &HeaderMap) -> bool {
    headers.get(FRAMED).is_some_and(|value| value == "1")
}

/// Whether the browser asks for a page to be shown in a frame.
pub(super) fn is_for_frame(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-dest").is_some_and(|destination| destination == "iframe")
}

/// Checks that a request authorised by a session was made by the page.
///
/// # Errors
/// 403 if it makes a change and comes from elsewhere.
pub(super) fn check(method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    if method.is_safe() || (is_same_origin(headers) && headers.get(OURS).is_some_and(|value| value == "1")) {
        return Ok(());
    }
    Err(Problem::forbidden(
        "a session of the page makes changes from the page alone; elsewhere send `Authorization: Bearer TOKEN`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(given: &[(&'static str, &str)]) -> HeaderMap {
        given.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect::<HeaderMap>()
    }

    #[test]
    fn only_same_origin_requests_are_accepted() {
        let host = ("host", "hooks.example:4665");
        for (same, given) in [
            (true, vec![host, ("sec-fetch-site", "same-origin")]),
            (true, vec![host, ("origin", "http://hooks.example:4665")]),
            (true, vec![("host", "Hooks.example"), ("origin", "https://hooks.example")]),
            (true, vec![("host", "hooks.example"), ("origin", "https://hooks.example:443")]),
            (true, vec![host, ("sec-fetch-site", "same-origin"), ("origin", "https://seen-by-the-proxy.example")]),
            (false, vec![host]),
            (false, vec![host, ("origin", "null")]),
            (false, vec![host, ("origin", "http://hooks.example")]),
            (false, vec![host, ("origin", "http://hooks.example:46650")]),
            (false, vec![host, ("origin", "ftp://hooks.example:4665")]),
            (false, vec![host, ("origin", "http://evil.example:4665")]),
            (false, vec![("host", ""), ("origin", "http://")]),
            (false, vec![host, ("sec-fetch-site", "same-site"), ("origin", "http://hooks.example:4665")]),
            (false, vec![host, ("sec-fetch-site", "cross-site")]),
            (false, vec![host, ("sec-fetch-site", "none")]),
        ] {
            assert_eq!(is_same_origin(&headers(&given)), same, "{given:?}");
        }
    }

    #[test]
    fn a_change_needs_both_the_origin_and_the_header() {
        let origin = ("origin", "http://h");
        let host = ("host", "h");
        let ok = |method: Method, given: &[(&'static str, &str)]| check(&method, &headers(given)).is_ok();
        assert!(ok(Method::GET, &[]));
        assert!(ok(Method::POST, &[host, origin, (OURS, "1")]));
        for method in [Method::POST, Method::PATCH, Method::DELETE, Method::PUT] {
            assert!(!ok(method.clone(), &[host, origin]));
            assert!(!ok(method.clone(), &[host, (OURS, "1")]));
            assert!(!ok(method.clone(), &[host, origin, (OURS, "0")]));
            assert!(!ok(method, &[host, ("origin", "http://evil"), (OURS, "1")]));
        }
    }
}

//! The headers that isolate the page from other hosts and other pages.

use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY};

use crate::http::reply::Reply;

/// The policy of what a view may load and who may show it: no foreign resources, no inline scripts, and frames of the given
/// origins only.
fn rules(ancestors: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors {ancestors}"
    )
}

/// The policy for views that may be shown in frames of these origins; `None` if there are none.
pub(super) fn policy(ancestors: &[String]) -> Option<HeaderValue> {
    if ancestors.is_empty() {
        return None;
    }
    // Checked as origins when the configuration was read.
    HeaderValue::from_str(&rules(&ancestors.join(" "))).ok()
}

/// Headers that isolate the page: no foreign resources, no inline scripts, and no frames, unless `framing` allows some.
pub(super) fn guarded(mut reply: Reply, framing: Option<&HeaderValue>) -> Reply {
    let headers = reply.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    // Not `no-referrer`: browsers would then send `Origin: null` with our own forms.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    match framing {
        Some(policy) => drop(headers.insert(CONTENT_SECURITY_POLICY, policy.clone())),
        None => {
            let policy =
                HeaderValue::from_str(&rules("'none'")).unwrap_or(HeaderValue::from_static("default-src 'none'"));
            headers.insert(CONTENT_SECURITY_POLICY, policy);
            headers.insert(HeaderName::from_static("x-frame-options"), HeaderValue::from_static("DENY"));
        }
    }
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    reply
}

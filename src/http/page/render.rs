//! The templates and their filters.
//!
//! Every value is escaped where it is shown (template names end in `.html`); a missing value is an error, not a
//! blank. Knows nothing about the visitor.

use hyper::StatusCode;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};

use crate::core::json::pretty;
use crate::core::path::segment;
use crate::core::time::Timestamp;
use crate::http::body::{Body, Reply, with_body};
use crate::http::problem::Problem;

/// All templates, by name.
pub(super) const SOURCES: &[(&str, &str)] = &[
    ("layout.html", include_str!("layout/layout.html")),
    ("parts.html", include_str!("layout/parts.html")),
    ("problem.html", include_str!("problem/problem.html")),
    ("oidc.html", include_str!("oidc/oidc.html")),
    ("portal.html", include_str!("portal/portal.html")),
    ("sign_in.html", include_str!("sign_in/sign_in.html")),
    ("webhooks.html", include_str!("webhooks/list.html")),
    ("webhook.html", include_str!("webhooks/form.html")),
    ("webhook_certificate.html", include_str!("webhooks/certificate.html")),
    ("webhook_events.html", include_str!("webhooks/events.html")),
    ("webhook_body.html", include_str!("webhooks/body.html")),
    ("webhook_filter.html", include_str!("webhooks/filter.html")),
    ("webhook_sign_in.html", include_str!("webhooks/sign_in.html")),
    ("webhook_success.html", include_str!("webhooks/success.html")),
    ("activity.html", include_str!("activity/list.html")),
    ("keys.html", include_str!("keys/keys.html")),
    ("status.html", include_str!("status/status.html")),
    ("webhook_copies.html", include_str!("webhooks/copies.html")),
    ("webhook_stored.html", include_str!("webhooks/stored.html")),
    ("logs.html", include_str!("logs/list.html")),
    ("log_parts.html", include_str!("logs/parts.html")),
    ("log_entry.html", include_str!("logs/entry.html")),
    ("log_entry_body.html", include_str!("logs/entry_body.html")),
    ("dead_letters.html", include_str!("logs/dead.html")),
    ("calls.html", include_str!("calls/list.html")),
    ("call.html", include_str!("calls/call.html")),
    ("call_parts.html", include_str!("calls/parts.html")),
    ("report.html", include_str!("report/report.html")),
];

/// The content type of HTML.
const HTML: &str = "text/html; charset=utf-8";

/// `text` as a response.
pub(super) fn html(status: StatusCode, text: String) -> Reply {
    with_body(status, HTML, Body::Whole(text.into()))
}

/// The compiled templates.
pub(super) struct Templates(Environment<'static>);

impl Templates {
    pub(super) fn new() -> Self {
        let mut all = Environment::new();
        all.set_undefined_behavior(UndefinedBehavior::Strict);
        all.set_auto_escape_callback(|_| AutoEscape::Html);
        all.add_filter("utc", utc);
        all.add_filter("pretty", |text: &str| pretty(text));
        all.add_filter("host", host);
        all.add_filter("short", short);
        all.add_filter("segment", |text: &str| segment(text));
        all.add_filter("count", count);
        all.add_filter("bytes", size);
        all.add_filter("millis", millis);
        all.add_filter("seconds", seconds);
        for (name, text) in SOURCES {
            all.add_template(name, text).unwrap_or_else(|error| panic!("the template {name}: {error:#}"));
        }
        Self(all)
    }

    /// Renders the template `name`.
    ///
    /// # Errors
    /// 500 if it and `values` do not match, which is an internal error.
    pub(super) fn render(&self, name: &str, values: Value) -> Result<String, Problem> {
        let rendered = self.0.get_template(name).and_then(|template| template.render(values));
        rendered.map_err(|error| {
            tracing::error!("the page's template `{name}` failed: {error:#}");
            Problem::internal()
        })
    }
}

/// A time for display: `2026-11-25 10:02:07 UTC`. Scripts convert it to the viewer's zone.
fn utc(time: &str) -> String {
    match Timestamp::parse(time) {
        Ok(_) if time.len() >= 19 => format!("{} {} UTC", &time[..10], &time[11..19]),
        _ => time.to_owned(),
    }
}

/// The host of a URL; the URL itself if it has none.
fn host(url: &str) -> String {
    let parsed = url::Url::parse(url).ok();
    let host = parsed.and_then(|url| {
        Some(format!("{}{}", url.host_str()?, url.port().map(|p| format!(":{p}")).unwrap_or_default()))
    });
    host.unwrap_or_else(|| url.to_owned())
}

/// At most `most` characters of a text.
fn short(text: &str, most: usize) -> String {
    let mut shown: String = text.chars().take(most).collect();
    if text.chars().nth(most).is_some() {
        shown.push('…');
    }
    shown
}

/// A count with thousands separators.
fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A number of bytes for display, in powers of 1,024.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut shown = bytes as f64;
    while shown >= 1024.0 && unit + 1 < UNITS.len() {
        shown /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} bytes") } else { format!("{shown:.1} {}", UNITS[unit]) }
}

/// A duration in milliseconds, for display.
fn millis(length: u64) -> String {
    match length {
        0..1_000 => format!("{length} ms"),
        1_000..60_000 => format!("{:.1} s", length as f64 / 1_000.0),
        _ => format!("{} min {} s", length / 60_000, length % 60_000 / 1_000),
    }
}

/// A duration in seconds, for display.
pub(super) fn seconds(length: f64) -> String {
    if length < 10.0 && length.fract() != 0.0 {
        format!("{length:.1} s")
    } else if length < 120.0 {
        format!("{length:.0} s")
    } else if length < 7_200.0 {
        format!("{:.0} min", length / 60.0)
    } else {
        format!("{:.1} h", length / 3_600.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::context;

    #[test]
    fn values_are_shown_for_people() {
        assert_eq!(utc("2026-11-25T10:02:07.123Z"), "2026-11-25 10:02:07 UTC");
        assert_eq!(utc("never"), "never");
        assert_eq!(host("https://hooks.example:8443/a?b"), "hooks.example:8443");
        assert_eq!((count(0), count(999), count(1_234_567)), ("0".into(), "999".into(), "1,234,567".into()));
        assert_eq!((size(12), size(1536), size(3 << 30)), ("12 bytes".into(), "1.5 KiB".into(), "3.0 GiB".into()));
    }

    #[test]
    fn foreign_data_is_rendered_as_text() {
        let templates = Templates::new();
        let hostile = "\"'><script>alert(1)</script>&";
        let page = context! {
            assets => "/a", signed_in => false, name => hostile, logo => false, styled => false, support_url => hostile,
            frames => "",
        };
        let values = context! { page, status => 404, detail => hostile };
        let shown = templates.render("problem.html", values).unwrap();
        assert!(!shown.contains("<script>alert") && shown.contains("&lt;script&gt;alert"), "{shown}");
    }
}

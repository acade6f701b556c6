//! The templates and those of their filters that are the same in every language.
//!
//! Every value is escaped where it is shown (template names end in `.html`); a missing value is an error, not a
//! blank. Knows nothing about the visitor.

use std::sync::OnceLock;

use hyper::StatusCode;
use minijinja::{Environment, Value};

use super::localised::environment;
use crate::core::json::pretty;
use crate::core::path::segment;
use crate::http::body::{Body, Reply, with_body};
use crate::http::problem::Problem;
use crate::texts::Language;

/// All templates, by name.
pub(super) const SOURCES: &[(&str, &str)] = &[
    ("layout.html", include_str!("layout/layout.html")),
    ("parts.html", include_str!("layout/parts.html")),
    ("problem.html", include_str!("problem/problem.html")),
    ("handbook.html", include_str!("handbook/handbook.html")),
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
    ("webhook_head.html", include_str!("webhooks/head.html")),
    ("webhook_activity.html", include_str!("webhooks/activity.html")),
    ("webhook_catalogue.html", include_str!("webhooks/catalogue.html")),
    ("webhook_code.html", include_str!("webhooks/code.html")),
    ("webhook_snippets.html", include_str!("webhooks/snippets.html")),
    ("event.html", include_str!("event/event.html")),
    ("search.html", include_str!("search/search.html")),
    ("log_found.html", include_str!("logs/found.html")),
    ("log_table.html", include_str!("logs/table.html")),
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
pub(super) const HTML: &str = "text/html; charset=utf-8";

/// `text` as a response.
pub(super) fn html(status: StatusCode, text: String) -> Reply {
    with_body(status, HTML, Body::Whole(text.into()))
}

/// The compiled templates of each language, made when it is first asked for.
#[derive(Default)]
pub(super) struct Templates([OnceLock<Environment<'static>>; 3]);

impl Templates {
    fn of(&self, language: Language) -> &Environment<'static> {
        self.0[language as usize].get_or_init(|| compiled(language))
    }

    /// Renders the template `name` in `language`.
    ///
    /// # Errors
    /// 500 if it and `values` do not match, which is an internal error.
    pub(super) fn render(&self, language: Language, name: &str, values: Value) -> Result<String, Problem> {
        let rendered = self.of(language).get_template(name).and_then(|template| template.render(values));
        rendered.map_err(|error| {
            tracing::error!("the page's template `{name}` failed: {error:#}");
            Problem::internal()
        })
    }
}

fn compiled(language: Language) -> Environment<'static> {
    let mut all = environment(language);
    all.add_filter("pretty", |text: &str| pretty(text));
    all.add_filter("place", place);
    all.add_filter("short", short);
    all.add_filter("segment", |text: &str| segment(text));
    for (name, text) in SOURCES {
        all.add_template(name, text).unwrap_or_else(|error| panic!("the template {name}: {error:#}"));
    }
    all
}

/// Host and path of a URL, which tell webhooks of one host apart; the URL itself if it has no host.
fn place(url: &str) -> String {
    let parsed = url::Url::parse(url).ok();
    let place = parsed.and_then(|url| {
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        Some(format!("{}{port}{}", url.host_str()?, url.path().trim_end_matches('/')))
    });
    place.unwrap_or_else(|| url.to_owned())
}

/// At most `most` characters of a text.
fn short(text: &str, most: usize) -> String {
    let mut shown: String = text.chars().take(most).collect();
    if text.chars().nth(most).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::context;

    #[test]
    fn values_are_shown_for_people() {
        assert_eq!(place("https://hooks.example:8443/a/b?c"), "hooks.example:8443/a/b");
        assert_eq!((place("https://hooks.example/"), place("no url")), ("hooks.example".into(), "no url".into()));
        assert_eq!((short("äöü", 3), short("äöüß", 3)), ("äöü".into(), "äöü…".into()));
    }

    #[test]
    fn foreign_data_is_rendered_as_text() {
        let templates = Templates::default();
        let hostile = "\"'><script>alert(1)</script>&";
        let page = context! {
            assets => "/a", signed_in => false, name => hostile, logo => false, styled => false, support_url => hostile,
            frames => "", language => "de", languages => Value::from(()),
        };
        let values = context! { page, status => 404, detail => hostile };
        let shown = templates.render(Language::German, "problem.html", values).unwrap();
        assert!(!shown.contains("<script>alert") && shown.contains("&lt;script&gt;alert"), "{shown}");
    }
}

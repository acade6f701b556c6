//! The paths of the page.

use hyper::{Method, Uri};

use super::assets;
use crate::core::event::CallId;
use crate::core::id::{AttemptId, EventId, SubscriptionId};
use crate::http::path;
use crate::http::problem::Problem;

/// A resource of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) enum View {
    /// Redirects to the list of webhooks.
    Home,
    SignIn,
    SignOut,
    /// Sets the switch of the language.
    Language,
    /// Takes a portal link.
    Portal,
    /// Sends a browser to the provider of OpenID Connect.
    OidcLogin,
    /// Takes it back.
    OidcCallback,
    /// A script or style, by index in the table.
    Asset(usize),
    /// A chapter of the handbook, or its index.
    Handbook(Option<String>),
    /// The configured logo.
    Logo,
    /// The style of the configured colour.
    Accent,
    Webhooks,
    NewWebhook,
    /// A webhook's attempts.
    Webhook(SubscriptionId),
    WebhookSettings(SubscriptionId),
    WebhookCode(SubscriptionId),
    /// The event types.
    Catalogue,
    /// A preview of a delivery with the form's settings, as JSON, for the form's script.
    Preview,
    Logs,
    LogEntry(AttemptId),
    /// Whether the log has grown, for the list's script.
    NewestEntry,
    /// Tells when the log grows, as a stream.
    Live,
    LogExport,
    /// An event with its deliveries.
    Event(EventId),
    /// One search for everything.
    Search,
    DeadLetters,
    Calls,
    Call(CallId),
    Report,
    ReportExport,
    Activity,
    Keys,
    Status,
    /// What a browser asks for where there is nothing; no path leads to it.
    Missing,
}

/// The view at `path`, if it belongs to the page.
pub(in crate::http) fn find(path: &str) -> Option<View> {
    if path == "/" {
        return Some(View::Home);
    }
    let segments = path::segments(path)?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    Some(match segments.as_slice() {
        ["sign-in"] => View::SignIn,
        ["sign-out"] => View::SignOut,
        ["language"] => View::Language,
        ["portal"] => View::Portal,
        ["oidc", "login"] => View::OidcLogin,
        ["oidc", "callback"] => View::OidcCallback,
        ["favicon.ico"] => View::Asset(assets::find("layout", "icon.svg")?),
        ["assets", _version, "brand", "logo"] => View::Logo,
        ["assets", _version, "brand", "accent.css"] => View::Accent,
        ["assets", _version, folder, name] => View::Asset(assets::find(folder, name)?),
        ["docs"] => View::Handbook(None),
        ["docs", chapter] => View::Handbook(Some((*chapter).to_owned())),
        ["activity"] => View::Activity,
        ["keys"] => View::Keys,
        ["status"] => View::Status,
        ["webhooks"] => View::Webhooks,
        ["webhooks", "new"] => View::NewWebhook,
        ["event-types"] => View::Catalogue,
        ["webhooks", "preview"] => View::Preview,
        ["webhooks", id] => View::Webhook(id.parse().ok()?),
        ["webhooks", id, "settings"] => View::WebhookSettings(id.parse().ok()?),
        ["webhooks", id, "code"] => View::WebhookCode(id.parse().ok()?),
        ["calls"] => View::Calls,
        ["calls", id] => View::Call(CallId::parse(id).ok()?),
        ["report"] => View::Report,
        ["report", "export"] => View::ReportExport,
        ["logs"] => View::Logs,
        ["logs", "newest"] => View::NewestEntry,
        ["live"] => View::Live,
        ["events", id] => View::Event(id.parse().ok()?),
        ["search"] => View::Search,
        ["logs", "export"] => View::LogExport,
        ["logs", "dead-letters"] => View::DeadLetters,
        ["logs", id] => View::LogEntry(id.parse().ok()?),
        _ => return None,
    })
}

/// Where a form that is not of a view leads to: the view named in it, or the list of webhooks.
pub(super) fn target(wanted: Option<&str>) -> String {
    let wanted = wanted.filter(|text| text.is_ascii() && text.len() < 2_000);
    let target = wanted.and_then(|text| {
        // Must be a path with an optional query, and nothing else.
        let uri: Uri = text.parse().ok()?;
        let own = uri.authority().is_none() && uri.scheme().is_none();
        let is_redirect_target = find(uri.path()).is_some_and(|view| view.is_redirect_target());
        (own && is_redirect_target).then(|| uri.to_string())
    });
    target.unwrap_or_else(|| "/webhooks".to_owned())
}

impl View {
    /// The allowed methods, as in the header `Allow`.
    const fn allow(&self) -> &'static str {
        match self {
            Self::SignIn | Self::Portal => "GET, HEAD, POST",
            Self::SignOut | Self::Language => "POST",
            _ => "GET, HEAD",
        }
    }

    pub(super) fn check_method(&self, method: &Method) -> Result<(), Problem> {
        let allow = self.allow();
        let known = allow.split(", ").any(|name| name == method.as_str());
        if known { Ok(()) } else { Err(Problem::method_not_allowed(method.as_str(), allow)) }
    }

    /// Whether it is requested by scripts, which expect problems as from the API.
    pub(super) const fn is_for_scripts(&self) -> bool {
        matches!(self, Self::Preview | Self::NewestEntry | Self::Live)
    }

    /// Whether somebody who came by a portal link may see it.
    pub(super) const fn is_in_portal(&self) -> bool {
        !matches!(self, Self::Keys | Self::Status)
    }

    /// Whether signing in may redirect to it.
    pub(super) const fn is_redirect_target(&self) -> bool {
        let elsewhere = matches!(
            self,
            Self::SignIn | Self::SignOut | Self::Language | Self::Portal | Self::LogExport | Self::ReportExport
        ) || matches!(self, Self::OidcLogin | Self::OidcCallback | Self::Handbook(_));
        !elsewhere && !matches!(self, Self::Asset(_) | Self::Logo | Self::Accent) && !self.is_for_scripts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_page_are_found_and_no_others() {
        let id = SubscriptionId::from_bits(7);
        assert_eq!(find("/"), Some(View::Home));
        assert_eq!(find(&format!("/webhooks/{id}")), Some(View::Webhook(id)));
        assert_eq!(find(&format!("/webhooks/{id}/code")), Some(View::WebhookCode(id)));
        assert_eq!(find("/webhooks/new"), Some(View::NewWebhook));
        assert!(matches!(find("/assets/x/layout/base.css"), Some(View::Asset(_))));
        for path in
            ["", "//", "/webhooks/", "/webhooks/x", "/assets/x/layout/layout.html", "/assets/x/../mod.rs", "/v1"]
        {
            assert_eq!(find(path), None, "{path}");
        }
    }

    #[test]
    fn signing_in_redirects_only_within_the_page() {
        let own = ["/webhooks", "/webhooks/new?company=a%26b", "/"];
        for text in own {
            assert_eq!(target(Some(text)), text);
        }
        let others = [
            "//evil.example/webhooks",
            "https://evil.example/webhooks",
            "/\\evil.example",
            "/%2f/evil.example",
            "webhooks",
            "evil.example:80",
            "javascript:alert(1)",
            "/sign-out",
            "/sign-in",
            "/webhooks\r\nSet-Cookie: a=b",
            "/v1/log",
            "",
            "*",
        ];
        for text in others {
            assert_eq!(target(Some(text)), "/webhooks", "{text}");
        }
        assert_eq!(target(None), "/webhooks");
    }

    #[test]
    fn signing_in_leads_to_places_only() {
        for (path, place) in
            [("/", true), ("/webhooks", true), ("/sign-out", false), ("/assets/x/layout/base.css", false)]
        {
            assert_eq!(find(path).is_some_and(|view| view.is_redirect_target()), place, "{path}");
        }
    }
}

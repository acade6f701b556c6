//! `[page]`: where the page is found, who may embed it, how it looks, and where people sign in.

use std::collections::BTreeMap;

use url::{Host, Url};

use super::{Check, SECOND, YEAR};
use crate::config::settings;
use crate::config::values::Page;
use crate::core::colour::Colour;
use crate::core::event::Company;
use crate::core::session::Lifetime;
use crate::core::text::excerpt;

/// The longest name.
const NAME_MOST: usize = 40;
/// The most origins.
const ORIGINS_MOST: usize = 32;

impl Check {
    pub(super) fn page(&mut self, page: &settings::Page) -> Page {
        let url = page.url.as_deref().and_then(|text| self.take("page.url", origin(text, true)));
        let idle = self.duration("page.session_idle", &page.session_idle, 60 * SECOND..=YEAR);
        let total = self.duration("page.session_longest", &page.session_longest, 60 * SECOND..=YEAR);
        if page.frame_ancestors.len() > ORIGINS_MOST {
            self.fault("page.frame_ancestors", format!("must have at most {ORIGINS_MOST} origins"));
        }
        let ancestors = page.frame_ancestors.iter().enumerate();
        let frame_ancestors = ancestors
            .filter_map(|(at, text)| self.take(&format!("page.frame_ancestors.{at}"), origin(text, false)))
            .collect();
        let name = page.name.trim().to_owned();
        if name.is_empty() || name.chars().count() > NAME_MOST || name.chars().any(char::is_control) {
            self.fault("page.name", format!("must have 1 to {NAME_MOST} characters on one line"));
        }
        let oidc = self.oidc(&page.oidc, url.as_deref(), page.url.is_some());
        Page {
            oidc,
            url,
            session: Lifetime { idle: idle.min(total), total },
            frame_ancestors,
            name,
            logo: page.logo.as_deref().map(|file| self.path("page.logo", file)),
            accent: page.accent.as_deref().and_then(|text| self.take("page.accent", Colour::parse(text))),
            support_url: page.support_url.as_deref().and_then(|text| self.take("page.support_url", support(text))),
            language: page.language.as_deref().and_then(|text| self.take("page.language", language(text))),
            company_languages: page
                .company_languages
                .as_ref()
                .map(|all| self.company_languages(all))
                .unwrap_or_default(),
        }
    }

    fn company_languages(&mut self, languages: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut valid = BTreeMap::new();
        for (company, tag) in languages {
            let key = format!("page.company_languages.{company}");
            let company = self.take(&key, Company::parse(company).map_err(|fault| format!("its company {fault}")));
            let language = self.take(&key, language(tag));
            valid.extend(company.zip(language).map(|(company, language)| (company.as_str().to_owned(), language)));
        }
        valid
    }
}

/// An origin: a scheme, a host and perhaps a port. Over plain HTTP anybody on the way could be the origin, so that is
/// taken only for this machine, or if it is `plain`.
fn origin(text: &str, plain: bool) -> Result<String, String> {
    let wanted = || {
        let given = excerpt(text);
        format!("must be an origin such as \"https://app.platform.example\", without a path, not \"{given}\"")
    };
    let url = Url::parse(text).map_err(|_| wanted())?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    let host = url.host().ok_or_else(wanted)?;
    if !bare || url.password().is_some() || text.contains('*') || !matches!(url.scheme(), "http" | "https") {
        return Err(wanted());
    }
    let local = match host {
        Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    if url.scheme() == "http" && !local && !plain {
        return Err("must begin with https: over plain HTTP anybody on the way could embed the page".to_owned());
    }
    Ok(url.origin().ascii_serialization())
}

fn support(text: &str) -> Result<String, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https" | "mailto"));
    let wanted = || format!("must be a URL of https, http or mailto, not \"{}\"", excerpt(text));
    url.map(String::from).ok_or_else(wanted)
}

fn language(text: &str) -> Result<String, String> {
    crate::core::portal_link::read_language(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_whole_and_safe() {
        for (text, read) in [
            ("https://app.platform.example", "https://app.platform.example"),
            ("https://App.Platform.example:443/", "https://app.platform.example"),
            ("https://app.platform.example:8443", "https://app.platform.example:8443"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
        ] {
            assert_eq!(origin(text, false).as_deref(), Ok(read));
        }
        for text in [
            "",
            "*",
            "https:",
            "https://*.platform.example",
            "app.platform.example",
            "https://app.platform.example/path",
            "https://app.platform.example?x",
            "https://user@app.platform.example",
            "http://app.platform.example",
            "javascript:alert(1)",
            "https://a.example; script-src *",
            "https://a.example https://b.example",
        ] {
            assert!(origin(text, false).is_err(), "{text}");
        }
        assert!(origin("http://hooks.intranet:4665", true).is_ok(), "the page's own address may be plain");
    }

    #[test]
    fn support_is_a_link_that_a_page_may_have() {
        assert!(support("https://help.platform.example/webhooks").is_ok() && support("mailto:help@a.example").is_ok());
        assert!(support("javascript:alert(1)").is_err() && support("/help").is_err());
    }
}

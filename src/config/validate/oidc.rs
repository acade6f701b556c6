//! `[page.oidc]`: a provider of OpenID Connect, and who of its people is allowed in.

use std::collections::BTreeSet;

use url::Url;

use super::Check;
use crate::config::settings;
use crate::config::values::{Oidc, SecretSource};
use crate::core::event::Company;
use crate::core::hidden::Hidden;
use crate::core::oidc::{Allowed, Rule, check_address};
use crate::core::text::excerpt;
use crate::core::token::Role;

/// Where browsers come back to, below `page.url`.
pub(super) const CALLBACK: &str = "/oidc/callback";
/// The longest name.
const NAME_MOST: usize = 40;
/// The longest of the other texts, in bytes.
const TEXT_MOST: usize = 512;
/// The most scopes, and the most rules.
const SCOPES_MOST: usize = 32;
const RULES_MOST: usize = 1_000;

impl Check {
    /// `page` is `page.url`, if it is valid; `page_given` says whether it was given at all.
    pub(super) fn oidc(&mut self, oidc: &settings::Oidc, page: Option<&str>, page_given: bool) -> Option<Oidc> {
        let Some(issuer) = &oidc.issuer else {
            let more = [&oidc.name, &oidc.client_id, &oidc.client_secret, &oidc.client_secret_file];
            if more.iter().any(|key| key.is_some()) || !oidc.allow.is_empty() {
                let wanted = "must be given with the other keys of [page.oidc]: the provider's identifier, such as \
                              \"https://login.example/realms/staff\"";
                self.fault("page.oidc.issuer", wanted);
            }
            return None;
        };
        let url = self.take("page.oidc.issuer", issuer_url(issuer));
        let client_id = self.client_id(oidc.client_id.as_deref());
        let secret = self.client_secret(oidc);
        let scopes = self.scopes(&oidc.scopes);
        if oidc.groups_claim.is_empty() || oidc.groups_claim.len() > TEXT_MOST {
            self.fault("page.oidc.groups_claim", "must be the name of a claim, such as \"groups\"");
        }
        let rules = self.rules(&oidc.allow);
        if !page_given {
            let wanted = format!(
                "must be given with [page.oidc]: browsers come back from the provider to this address and `{CALLBACK}`, \
                 which has to be registered there"
            );
            self.fault("page.url", wanted);
        }
        let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
        let name = oidc.name.as_deref().map_or(host, str::trim).to_owned();
        if oidc.name.is_some() && !is_line(&name, NAME_MOST) {
            self.fault("page.oidc.name", format!("must have 1 to {NAME_MOST} characters on one line"));
        }
        url?;
        let allowed = Allowed { issuer: issuer.clone(), rules };
        let (groups_claim, callback) = (oidc.groups_claim.clone(), format!("{}{CALLBACK}", page?));
        Some(Oidc { name, client_id: client_id?, secret: secret?, scopes, groups_claim, allowed, callback })
    }

    fn client_id(&mut self, id: Option<&str>) -> Option<String> {
        let Some(id) = id else {
            self.fault("page.oidc.client_id", "must be given with `issuer`: what the provider calls this client");
            return None;
        };
        if !is_visible(id) {
            self.fault("page.oidc.client_id", format!("must have 1 to {TEXT_MOST} visible ASCII characters"));
        }
        Some(id.to_owned())
    }

    fn client_secret(&mut self, oidc: &settings::Oidc) -> Option<SecretSource> {
        match (&oidc.client_secret, &oidc.client_secret_file) {
            (Some(_), Some(_)) => {
                let wanted = "must not be given with `client_secret`: only one of them can be in force";
                self.fault("page.oidc.client_secret_file", wanted);
                None
            }
            (Some(secret), None) if !is_visible(secret) => {
                let wanted = format!("must be the secret of this client: 1 to {TEXT_MOST} visible ASCII characters");
                self.fault("page.oidc.client_secret", wanted);
                None
            }
            (Some(secret), None) => Some(SecretSource::Key(Hidden::new(secret))),
            (None, Some(file)) => Some(SecretSource::File(self.path("page.oidc.client_secret_file", file))),
            (None, None) => Some(SecretSource::Credential),
        }
    }

    /// `openid` is asked for in any case.
    fn scopes(&mut self, scopes: &[String]) -> Vec<String> {
        if scopes.len() > SCOPES_MOST {
            self.fault("page.oidc.scopes", format!("must have at most {SCOPES_MOST} scopes"));
        }
        for (at, scope) in scopes.iter().enumerate() {
            // RFC 6749 section 3.3.
            if !is_visible(scope) || scope.contains(['"', '\\']) {
                let wanted = format!("must be one scope such as \"profile\", not \"{}\"", excerpt(scope));
                self.fault(format!("page.oidc.scopes.{at}"), wanted);
            }
        }
        scopes.iter().filter(|scope| *scope != "openid").cloned().collect()
    }

    fn rules(&mut self, rules: &[settings::OidcRule]) -> Vec<Rule> {
        if rules.is_empty() || rules.len() > RULES_MOST {
            let wanted = format!(
                "must have 1 to {RULES_MOST} rules, each a `[[page.oidc.allow]]` with `group` and `role`, and `company` if \
                 its members see that company alone; without one nobody could sign in"
            );
            self.fault("page.oidc.allow", wanted);
        }
        let mut seen = BTreeSet::new();
        let mut read = Vec::with_capacity(rules.len());
        for (at, rule) in rules.iter().enumerate() {
            let key = |name: &str| format!("page.oidc.allow.{at}.{name}");
            if !is_line(&rule.group, TEXT_MOST) {
                self.fault(key("group"), format!("must have 1 to {TEXT_MOST} characters on one line"));
            } else if !seen.insert(&rule.group) {
                self.fault(key("group"), "is there twice: the first rule that fits decides, so this one has no effect");
            }
            let role = Role::parse(&rule.role).ok().filter(|role| *role != Role::Ingest);
            let wanted = || "must be `read` or `admin`: a session of the page posts no events".to_owned();
            let role = self.take(&key("role"), role.ok_or_else(wanted));
            let company = rule.company.as_deref().map(|name| self.take(&key("company"), Company::parse(name)));
            let company = match company {
                None => None,
                Some(Some(company)) => Some(company),
                // It must not become access to all companies.
                Some(None) => continue,
            };
            read.extend(role.map(|role| Rule { group: rule.group.clone(), role, company }));
        }
        read
    }
}

/// The issuer is compared with what the provider says, character by character: so it is kept as it was written.
fn issuer_url(text: &str) -> Result<Url, String> {
    let wanted = || {
        let given = excerpt(text);
        format!(
            "must be a URL without user, `?` and `#`, such as \"https://login.example/realms/staff\", not \"{given}\""
        )
    };
    let url = Url::parse(text).map_err(|_| wanted())?;
    let bare = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    let host = url.host_str().is_some_and(|host| !host.is_empty());
    if !bare || !host || url.password().is_some() || !matches!(url.scheme(), "http" | "https") {
        return Err(wanted());
    }
    check_address(&url).map(|()| url)
}

fn is_visible(text: &str) -> bool {
    (1..=TEXT_MOST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_line(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

//! Signing in at the operator's provider of OpenID Connect: who is allowed what, and what ties the way back from the
//! provider to the browser that left for it.
//!
//! Whoever comes back shows a cookie. All that the provider is told of a sign-in (`state`, `nonce`, the challenge of PKCE)
//! is derived from it, so nothing is kept while somebody is away, and any daemon can take them back. That each sign-in
//! opens one session at most is the store's to see to: [`PendingSignIn::hash`] is what it remembers.
//!
//! Knows neither HTTP nor the provider.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use url::{Host, Url};

use super::event::Company;
use super::hidden::Hidden;
use super::session::Member;
use super::time::Timestamp;
use super::token::{Role, TokenHash};

/// What the members of a group may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The group, as the provider names it.
    pub group: String,
    /// What its members may do: `read` or `admin`.
    pub role: Role,
    /// The only company that they see, if they are bound to one.
    pub company: Option<Company>,
}

/// Who is allowed what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// The provider whose groups these are.
    pub issuer: String,
    /// The first that fits decides.
    pub rules: Vec<Rule>,
}

impl Allowed {
    /// The rule for somebody in `groups`; `None` if none of them is allowed.
    pub fn of_groups(&self, groups: &[String]) -> Option<&Rule> {
        self.rules.iter().find(|rule| groups.contains(&rule.group))
    }

    /// Whether what `member` was once given, for `company`, is given to their group still.
    pub fn still_allows(&self, member: &Member, company: Option<&Company>) -> bool {
        let same =
            |rule: &Rule| rule.group == member.group && rule.role == member.role && rule.company.as_ref() == company;
        self.issuer == member.issuer && self.rules.iter().any(same)
    }
}

/// A sign-in while somebody is away at the provider, as their browser keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingSignIn {
    cookie: Hidden,
    until: Timestamp,
    then: String,
}

impl PendingSignIn {
    /// How long somebody may be away.
    pub const LIFE: Duration = Duration::from_secs(600);
    /// The longest cookie that is read.
    const COOKIE_MOST: usize = 4_000;

    /// A sign-in that begins at `now`, with these random bytes, and leads to `then` afterwards.
    pub fn begin(random: [u8; 32], now: Timestamp, then: &str) -> Self {
        let until = now.plus(Self::LIFE);
        let (random, encoded) = (URL_SAFE_NO_PAD.encode(random), URL_SAFE_NO_PAD.encode(then));
        let cookie = Hidden::new(format!("{}.{random}.{encoded}", until.millis()));
        Self { cookie, until, then: then.to_owned() }
    }

    /// Reads a cookie; `None` if it is none of ours.
    pub fn parse(cookie: &str) -> Option<Self> {
        let mut parts = Some(cookie).filter(|text| text.len() <= Self::COOKIE_MOST)?.split('.');
        let (until, random, then) = (parts.next()?, parts.next()?, parts.next()?);
        let whole = parts.next().is_none() && URL_SAFE_NO_PAD.decode(random).is_ok_and(|bytes| bytes.len() == 32);
        let then = String::from_utf8(URL_SAFE_NO_PAD.decode(then).ok()?).ok()?;
        let until = Timestamp::from_millis(until.parse().ok()?);
        whole.then(|| Self { cookie: Hidden::new(cookie), until, then })
    }

    /// The value of the cookie.
    pub fn cookie(&self) -> &str {
        self.cookie.expose()
    }

    /// Where it leads afterwards, as the browser says: to be checked.
    pub fn then(&self) -> &str {
        &self.then
    }

    /// Until when somebody may come back.
    pub const fn until(&self) -> Timestamp {
        self.until
    }

    /// Whether somebody may come back at `now`. One that claims a longer life than any has is none of ours.
    pub fn is_in_time(&self, now: Timestamp) -> bool {
        now < self.until && self.until <= now.plus(Self::LIFE)
    }

    /// `state` (RFC 6749 section 10.12).
    pub fn state(&self) -> String {
        self.derived("state")
    }

    /// `nonce` (OpenID Connect Core 1.0 section 15.5.2).
    pub fn nonce(&self) -> String {
        self.derived("nonce")
    }

    /// The code verifier of PKCE (RFC 7636 section 4.1): 43 characters.
    pub fn verifier(&self) -> Hidden {
        Hidden::new(self.derived("verifier"))
    }

    /// By which the store knows that it has been used.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(&self.derived("used"))
    }

    /// One of them says nothing of the others, nor of the cookie.
    fn derived(&self, what: &str) -> String {
        let text = format!("hookswitch sign-in {what}: {}", self.cookie.expose());
        URL_SAFE_NO_PAD.encode(Sha256::digest(text.as_bytes()))
    }
}

/// Whether something of a provider may be asked for at `url`: by https, or on this machine.
///
/// # Errors
/// What it must be.
pub fn check_address(url: &Url) -> Result<(), String> {
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_here => Ok(()),
        _ => Err("must begin with https (plain http is for a provider on this machine alone)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    fn rule(group: &str, role: Role, company: Option<&str>) -> Rule {
        Rule { group: group.to_owned(), role, company: company.map(|name| Company::parse(name).unwrap()) }
    }

    fn allowed() -> Allowed {
        let rules = vec![rule("ops", Role::Admin, None), rule("acme", Role::Read, Some("acme"))];
        Allowed { issuer: "https://login.example".to_owned(), rules }
    }

    #[test]
    fn the_first_rule_that_fits_decides_and_others_are_refused() {
        let of = |groups: &[&str]| {
            let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
            allowed().of_groups(&groups).map(|rule| rule.group.clone())
        };
        assert_eq!(of(&["acme", "ops"]).as_deref(), Some("ops"));
        assert_eq!(of(&["sales", "acme"]).as_deref(), Some("acme"));
        for groups in [&[][..], &["Ops"], &["op"], &["ops "]] {
            assert_eq!(of(groups), None, "{groups:?}");
        }
    }

    #[test]
    fn a_session_lasts_as_long_as_its_rule() {
        let acme = Company::parse("acme").unwrap();
        let text = str::to_owned;
        let member = Member {
            issuer: text("https://login.example"),
            subject: text("7"),
            name: text("Dana"),
            group: text("acme"),
            role: Role::Read,
        };
        assert!(allowed().still_allows(&member, Some(&acme)));
        assert!(!allowed().still_allows(&member, None), "nor for all companies");
        let with = |rules| Allowed { rules, ..allowed() };
        for gone in [
            with(vec![]),
            with(vec![rule("acme", Role::Admin, Some("acme"))]),
            with(vec![rule("acme", Role::Read, Some("other"))]),
            with(vec![rule("other", Role::Read, Some("acme"))]),
            Allowed { issuer: text("https://other.example"), ..allowed() },
        ] {
            assert!(!gone.still_allows(&member, Some(&acme)), "{gone:?}");
        }
    }

    #[test]
    fn what_the_provider_is_told_depends_on_the_whole_cookie() {
        let begun = PendingSignIn::begin([7; 32], NOW, "/webhooks?company=a");
        let read = PendingSignIn::parse(begun.cookie()).unwrap();
        assert_eq!(read, begun);
        assert_eq!((read.then(), read.verifier().expose().len()), ("/webhooks?company=a", 43));
        let told = |one: &PendingSignIn| [one.state(), one.nonce(), one.verifier().expose().to_owned()];
        let all = told(&begun);
        assert!(all[0] != all[1] && all[1] != all[2] && all.iter().all(|text| !begun.cookie().contains(text)));
        for other in [
            PendingSignIn::begin([8; 32], NOW, "/webhooks?company=a"),
            PendingSignIn::begin([7; 32], NOW.plus(Duration::from_millis(1)), "/webhooks?company=a"),
            PendingSignIn::begin([7; 32], NOW, "/webhooks"),
        ] {
            assert!(told(&other).iter().zip(&all).all(|(other, own)| other != own));
        }
        for text in ["", "1.2.3", "1..", "x.y.z", &format!("{}.", begun.cookie()), &"9".repeat(5_000)] {
            assert_eq!(PendingSignIn::parse(text), None, "{text}");
        }
        assert!(!format!("{begun:?}").contains(begun.cookie()));
    }

    #[test]
    fn somebody_may_be_away_for_ten_minutes() {
        let begun = PendingSignIn::begin([7; 32], NOW, "/");
        let after = |seconds| NOW.plus(Duration::from_secs(seconds));
        assert!(begun.is_in_time(NOW) && begun.is_in_time(after(599)) && !begun.is_in_time(after(600)));
        let forged = begun.cookie().replacen("1790", "1990", 1);
        assert!(!PendingSignIn::parse(&forged).unwrap().is_in_time(NOW), "a browser cannot make it longer");
    }

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        let check = |text: &str| check_address(&Url::parse(text).unwrap()).is_ok();
        for good in
            ["https://login.example/realms/x", "http://127.0.0.1:8080", "http://[::1]/", "http://localhost:9000"]
        {
            assert!(check(good), "{good}");
        }
        for bad in ["http://login.example", "http://10.0.0.1", "http://localhost.example", "file:///etc/passwd"] {
            assert!(!check(bad), "{bad}");
        }
    }
}

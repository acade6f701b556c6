//! Portal links: a platform lets a user of one of its companies into the page, without a token and without a password.
//!
//! A link is 256 random bits as text, shown once when it is made; its SHA-256 is stored. It works once and within
//! minutes. Knows neither storage nor the page's addresses.
//!
//! Invariant: neither a link's text nor its hash appears in any `Debug` output.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::value::RawValue;

use super::event::{Company, Domain};
use super::hidden::Hidden;
use super::id::PortalLinkId;
use super::invalid::{Invalid, pointer};
use super::json::{self, nullable, word};
use super::text::words;
use super::time::{Timestamp, format_duration, parse_duration};
use super::token::{Role, TokenHash};

/// How long a link works, unless said otherwise.
const EXPIRES: Duration = Duration::from_secs(5 * 60);
const EXPIRES_LEAST: Duration = Duration::from_secs(10);
const EXPIRES_MOST: Duration = Duration::from_secs(15 * 60);
/// The valid members of the body of `POST /v1/portal-links`.
const MEMBERS: &str = "company, role, domain, view, language, user, expires_in";
/// The longest name of a user.
const USER_MOST: usize = 200;

words! {
    /// The view of the page that a link leads to.
    PortalView {
        /// The list of webhooks.
        Webhooks = "webhooks",
        /// The form for a new one.
        NewWebhook = "new_webhook",
        /// The log.
        Logs = "logs",
        /// The calls.
        Calls = "calls",
        /// The call report.
        Report = "report",
    }
}

impl PortalView {
    /// Its path.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Webhooks => "/webhooks",
            Self::NewWebhook => "/webhooks/new",
            Self::Logs => "/logs",
            Self::Calls => "/calls",
            Self::Report => "/report",
        }
    }
}

/// A link to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalLinkDraft {
    /// The company that it signs in for.
    pub company: Company,
    /// What it permits: `read` or `admin`.
    pub role: Role,
    /// The only domain that it shows, if it is bound to one.
    pub domain: Option<Domain>,
    /// The view that it leads to.
    pub view: PortalView,
    /// The language that the page is to speak.
    pub language: Option<String>,
    /// Who it is for, in the platform's words.
    pub user: Option<String>,
    /// How long it works.
    pub expires_in: Duration,
}

impl PortalLinkDraft {
    /// Parses the body of `POST /v1/portal-links`.
    ///
    /// # Errors
    /// Every fault with its pointer, unknown members included.
    pub fn from_json(raw: &RawValue) -> Result<Self, Invalid> {
        let members = json::members(raw).map_err(|fault| Invalid::one("", fault))?;
        let mut invalid = Invalid::default();
        if let Some(name) = json::first_duplicate(&members) {
            invalid.add(pointer(name), "is given twice");
        }
        let (mut company, mut role, mut domain, mut view) = (None, Some(Role::Admin), None, Some(PortalView::Webhooks));
        let (mut language, mut user, mut expires_in) = (None, None, Some(EXPIRES));
        for (name, value) in &members {
            let member = &pointer(name);
            match name.as_ref() {
                "company" => company = invalid.check(member, word(value, Company::parse)),
                "role" => role = invalid.check(member, word(value, read_role)),
                "domain" => {
                    domain = invalid.check(member, nullable(value, |value| word(value, Domain::parse))).flatten();
                }
                "view" => view = invalid.check(member, word(value, PortalView::parse)),
                "language" => {
                    language = invalid.check(member, nullable(value, |value| word(value, read_language))).flatten();
                }
                "user" => user = invalid.check(member, nullable(value, |value| word(value, read_user))).flatten(),
                "expires_in" => expires_in = invalid.check(member, word(value, read_length)),
                _ => invalid.add(member, format!("is not a member of a portal link; there are: {MEMBERS}")),
            }
        }
        if !members.iter().any(|(name, _)| name == "company") {
            invalid.add("/company", "is missing: the company that the link signs in for");
        }
        let complete = || {
            let (company, role, view, expires_in) = (company?, role?, view?, expires_in?);
            Some(Self { company, role, domain, view, language, user, expires_in })
        };
        invalid.or(complete())
    }
}

fn read_role(text: &str) -> Result<Role, String> {
    match Role::parse(text) {
        Ok(role @ (Role::Read | Role::Admin)) => Ok(role),
        _ => Err("must be `read` or `admin`".to_owned()),
    }
}

/// A language tag (RFC 5646) by its shape alone: which languages the page speaks is for the page to say.
///
/// # Errors
/// A sentence on the form.
pub fn read_language(text: &str) -> Result<String, String> {
    let part = |(at, part): (usize, &str)| {
        let fits = |c: char| c.is_ascii_alphabetic() || (at > 0 && c.is_ascii_digit());
        (1..=8).contains(&part.len()) && part.chars().all(fits)
    };
    if text.len() <= 35 && text.split('-').enumerate().all(part) {
        return Ok(text.to_owned());
    }
    Err("must be a language tag such as `en`, `de` or `es-MX`".to_owned())
}

fn read_user(text: &str) -> Result<String, String> {
    let length = text.chars().count();
    if !(1..=USER_MOST).contains(&length) {
        return Err(format!("must have 1 to {USER_MOST} characters, not {length}"));
    }
    if text.chars().any(char::is_control) {
        return Err("must not have control characters".to_owned());
    }
    Ok(text.to_owned())
}

fn read_length(text: &str) -> Result<Duration, String> {
    let length = parse_duration(text)?;
    if (EXPIRES_LEAST..=EXPIRES_MOST).contains(&length) {
        return Ok(length);
    }
    Err(format!("must be from {} to {}", format_duration(EXPIRES_LEAST), format_duration(EXPIRES_MOST)))
}

/// The text of a link: `hsl_`, 43 characters of base64url, a dot, and when it expires in seconds. The time is there to
/// tell a link that is late from one that was altered, when nothing of it is stored any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalLinkText(Hidden);

impl PortalLinkText {
    /// The prefix of the text.
    pub const PREFIX: &'static str = "hsl_";

    /// The link for these random bytes, which expires at this time.
    pub fn new(random: [u8; 32], expires_at: Timestamp) -> Self {
        let (random, seconds) = (URL_SAFE_NO_PAD.encode(random), expires_at.millis().div_ceil(1_000));
        Self(Hidden::new(format!("{}{random}.{seconds}", Self::PREFIX)))
    }

    /// Parses one; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (random, seconds) = text.strip_prefix(Self::PREFIX)?.split_once('.')?;
        let random = URL_SAFE_NO_PAD.decode(random).ok()?;
        let is_time = seconds.len() <= 12 && seconds.bytes().all(|digit| digit.is_ascii_digit());
        (random.len() == 32 && is_time && !seconds.is_empty()).then(|| Self(Hidden::new(text)))
    }

    /// The text, for the one place that shows it.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The hash that is stored.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(self.expose())
    }

    /// Whether it says of itself that it has expired.
    pub fn is_over(&self, now: Timestamp) -> bool {
        let seconds = self.expose().rsplit_once('.').and_then(|(_, seconds)| seconds.parse::<u64>().ok());
        seconds.is_some_and(|seconds| seconds.saturating_mul(1_000) <= now.millis())
    }
}

/// A link that was made, without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalLink {
    /// Its id.
    pub id: PortalLinkId,
    /// The hash of its text.
    pub hash: TokenHash,
    /// The token that made it.
    pub token: TokenHash,
    /// The company that it signs in for.
    pub company: Company,
    /// What it permits.
    pub role: Role,
    /// The only domain that it shows, if it is bound to one.
    pub domain: Option<Domain>,
    /// The view that it leads to.
    pub view: PortalView,
    /// The language that the page is to speak.
    pub language: Option<String>,
    /// Who it is for.
    pub user: Option<String>,
    /// When it ceases to work.
    pub expires_at: Timestamp,
    /// Whether it has been used.
    pub used: bool,
}

impl PortalLink {
    /// Whether it has expired.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<PortalLinkDraft, String> {
        PortalLinkDraft::from_json(json::parse(text).unwrap()).map_err(|invalid| invalid.to_string())
    }

    #[test]
    fn a_draft_is_read() {
        let least = read(r#"{"company":"acme"}"#).unwrap();
        assert_eq!((least.company.as_str(), least.role, least.view), ("acme", Role::Admin, PortalView::Webhooks));
        assert_eq!((least.domain, least.user, least.expires_in), (None, None, EXPIRES));
        let all = read(
            r#"{"company":"acme","role":"read","domain":"www.acme.example","view":"logs","language":"es-MX",
                "user":"Dana Whitfield","expires_in":"90s"}"#,
        )
        .unwrap();
        assert_eq!((all.role, all.view.path(), all.expires_in.as_secs()), (Role::Read, "/logs", 90));
        assert_eq!((all.language.as_deref(), all.user.as_deref()), (Some("es-MX"), Some("Dana Whitfield")));
    }

    #[test]
    fn faults_are_named_and_an_empty_domain_never_widens_a_link() {
        let cases = [
            ("{}", "/company is missing"),
            (r#"{"company":null}"#, "/company must be a string"),
            (r#"{"company":"a","company":"b"}"#, "/company is given twice"),
            (r#"{"company":"a","role":"ingest"}"#, "/role must be `read` or `admin`"),
            (r#"{"company":"a","domain":""}"#, "/domain must have 1"),
            (r#"{"company":"a","view":"keys"}"#, "/view must be one of"),
            (r#"{"company":"a","language":"deutsch bitte"}"#, "/language must be a language tag"),
            (r#"{"company":"a","language":"-"}"#, "/language must be a language tag"),
            (r#"{"company":"a","user":"a\nb"}"#, "/user must not have control"),
            (r#"{"company":"a","expires_in":"1s"}"#, "/expires_in must be from 10s to 15m"),
            (r#"{"company":"a","expires_in":"16m"}"#, "/expires_in must be from"),
            (r#"{"company":"a","url":1}"#, "/url is not a member"),
            ("[]", "the document must be an object"),
        ];
        for (text, wanted) in cases {
            let refusal = read(text).unwrap_err();
            assert!(refusal.contains(wanted), "{text}: {refusal}");
        }
    }

    #[test]
    fn a_text_says_when_it_is_over_and_shows_itself_nowhere_else() {
        let end = Timestamp::from_millis(1_790_000_000_001);
        let text = PortalLinkText::new([7; 32], end);
        assert_eq!(PortalLinkText::parse(text.expose()), Some(text.clone()));
        assert!(!text.is_over(end) && text.is_over(end.plus(Duration::from_secs(1))));
        assert!(!format!("{text:?} {:?}", text.hash()).contains("hsl_"));
        let random = &text.expose()[..47];
        for wrong in ["", "hsl_.1", random, &format!("{random}."), &format!("{random}.x"), &text.expose()[4..]] {
            assert_eq!(PortalLinkText::parse(wrong), None, "{wrong}");
        }
    }
}

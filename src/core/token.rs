//! Tokens: who may call the API, for what, for which company, and until when.
//!
//! A token is 256 random bits as text, shown once when it is created. Its SHA-256 is stored ([`TokenHash`]): 2^256
//! values cannot be guessed, so a slow password hash would cost every request and add nothing. Knows neither storage
//! nor transport.
//!
//! Invariant: neither a token's text nor its hash appears in any `Debug` output.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::event::Company;
use super::hidden::Hidden;
use super::id::TokenId;
use super::invalid::{Invalid, pointer};
use super::json::{self, nullable, word};
use super::subscription_input::read_description;
use super::time::{Timestamp, format_duration, parse_duration};

const EXPIRES_LEAST: Duration = Duration::from_secs(60);
const EXPIRES_MOST: Duration = Duration::from_secs(10 * 365 * 86_400);
/// The valid members of the body of `POST /v1/tokens`.
const MEMBERS: &str = "role, company, description, expires_at, expires_in";

/// What a token permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Posting events and messages.
    Ingest,
    /// Reading everything but secrets.
    Read,
    /// Everything.
    Admin,
}

impl Role {
    /// All of them, in display order.
    pub const ALL: [Self; 3] = [Self::Ingest, Self::Read, Self::Admin];

    /// As text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }

    /// Reads one.
    ///
    /// # Errors
    /// A sentence that lists the valid values.
    pub fn parse(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| "must be `ingest`, `read` or `admin`".to_owned())
    }

    /// Whether it includes what `needed` permits: an admin everything, the others their own.
    pub fn may(self, needed: Self) -> bool {
        self == Self::Admin || self == needed
    }
}

/// The text of a token: `hsk_` and 43 characters of base64url.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenText(Hidden);

impl TokenText {
    /// The prefix of the text.
    pub const PREFIX: &'static str = "hsk_";

    /// The token for these random bytes.
    pub fn from_bytes(random: [u8; 32]) -> Self {
        Self(Hidden::new(format!("{}{}", Self::PREFIX, URL_SAFE_NO_PAD.encode(random))))
    }

    /// Parses one; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(Self::PREFIX)?).ok()?;
        (bytes.len() == 32).then(|| Self(Hidden::new(text)))
    }

    /// The text, for the one place that shows or stores it.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The hash that is stored.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(self.expose())
    }
}

/// The SHA-256 of a token, stored and compared in its place.
#[derive(Clone, Copy)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of `text`.
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// The hash with these stored bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes, for storing.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether it is equal, in constant time.
    pub fn same(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// The part used for lookup. Its timing reveals at most which hashes share a prefix, which leads to no token: the
    /// rest is compared by [`TokenHash::same`].
    pub fn locator(&self) -> u64 {
        self.0.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[token]")
    }
}

impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        self.same(other)
    }
}

impl Eq for TokenHash {}

/// A created token, without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// What it permits.
    pub role: Role,
    /// The company it is bound to, if any.
    pub company: Option<Company>,
    /// Free text.
    pub description: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, as far as known: see the store's `find_token`.
    pub last_used_at: Option<Timestamp>,
    /// The hash of its text.
    pub hash: TokenHash,
}

impl Token {
    /// Whether it has expired.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

/// A token to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenDraft {
    /// What it permits.
    pub role: Role,
    /// The company it is bound to, if any.
    pub company: Option<Company>,
    /// Free text, at most 500 characters.
    pub description: String,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
}

impl TokenDraft {
    /// Parses the body of `POST /v1/tokens`.
    ///
    /// # Errors
    /// Every fault with its pointer, unknown members included.
    pub fn from_json(raw: &RawValue, now: Timestamp) -> Result<Self, Invalid> {
        let members = json::members(raw).map_err(|fault| Invalid::one("", fault))?;
        let mut invalid = Invalid::default();
        if let Some(name) = json::first_duplicate(&members) {
            invalid.add(pointer(name), "is given twice");
        }
        let (mut role, mut company, mut description, mut at, mut after) = (None, None, String::new(), None, None);
        for (name, value) in &members {
            let member = &pointer(name);
            match name.as_ref() {
                "role" => role = invalid.check(member, word(value, Role::parse)),
                "company" => {
                    company = invalid.check(member, nullable(value, |value| word(value, Company::parse))).flatten();
                }
                "description" => {
                    let read = nullable(value, |value| word(value, read_description));
                    description = invalid.check(member, read).flatten().unwrap_or_default();
                }
                "expires_at" => {
                    let read = nullable(value, |value| word(value, |text| read_time(text, now)));
                    at = invalid.check(member, read).flatten();
                }
                "expires_in" => {
                    let read = nullable(value, |value| word(value, read_length));
                    after = invalid.check(member, read).flatten();
                }
                "id" | "created_at" | "last_used_at" | "token" => invalid.add(member, "is read-only: leave it out"),
                _ => invalid.add(member, format!("is not a member of a token; there are: {MEMBERS}")),
            }
        }
        let given = |wanted: &str| members.iter().any(|(name, _)| name == wanted);
        if !given("role") {
            invalid.add("/role", "is missing: `ingest`, `read` or `admin`");
        }
        if given("expires_at") && given("expires_in") {
            invalid.add("/expires_in", "cannot be combined with `expires_at`: give one of them");
        }
        let expires_at = at.or_else(|| after.map(|length| now.plus(length)));
        invalid.or(role.map(|role| Self { role, company, description, expires_at }))
    }
}

fn read_time(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let time = Timestamp::parse(text)?;
    if time <= now {
        return Err(format!("must be in the future; it is {now}"));
    }
    Ok(time)
}

fn read_length(text: &str) -> Result<Duration, String> {
    let length = parse_duration(text)?;
    if (EXPIRES_LEAST..=EXPIRES_MOST).contains(&length) {
        return Ok(length);
    }
    Err(format!("must be from {} to {}", format_duration(EXPIRES_LEAST), format_duration(EXPIRES_MOST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_790_000_000_000;

    fn read(text: &str) -> Result<TokenDraft, String> {
        TokenDraft::from_json(json::parse(text).unwrap(), Timestamp::from_millis(NOW)).map_err(|i| i.to_string())
    }

    #[test]
    fn an_empty_text_never_widens_a_token() {
        for member in ["company", "expires_at", "expires_in"] {
            let refusal = read(&format!(r#"{{"role":"read","{member}":""}}"#)).unwrap_err();
            assert!(refusal.contains(member), "{refusal}");
        }
        assert!(read(r#"{"role":""}"#).is_err() && read(r#"{"role":"read","description":""}"#).is_ok());
    }

    #[test]
    fn a_text_reads_back_and_shows_itself_nowhere_else() {
        let text = TokenText::from_bytes([7; 32]);
        assert_eq!(text.expose().len(), 47);
        assert_eq!(TokenText::parse(text.expose()), Some(text.clone()));
        assert!(text.hash().same(&TokenHash::of(text.expose())));
        assert!(!text.hash().same(&TokenHash::of("hsk_")));
        assert!(!format!("{text:?} {:?}", text.hash()).contains("hsk_"));
        for wrong in ["", "hsk_", "hsk_AAAA", &text.expose()[4..], "hsk_!!!!"] {
            assert_eq!(TokenText::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn admins_may_do_everything_and_other_roles_their_own() {
        for own in Role::ALL {
            assert_eq!(Role::parse(own.as_str()), Ok(own));
            for needed in Role::ALL {
                assert_eq!(own.may(needed), own == needed || own == Role::Admin, "{own:?} {needed:?}");
            }
        }
    }

    #[test]
    fn a_draft_is_read() {
        let all = read(r#"{"role":"read","company":"acme","description":"the page","expires_in":"1h"}"#).unwrap();
        assert_eq!((all.role, all.company.unwrap().as_str()), (Role::Read, "acme"));
        assert_eq!(all.expires_at, Some(Timestamp::from_millis(NOW + 3_600_000)));
        let least = read(r#"{"role":"admin","company":null,"description":null,"expires_at":null}"#).unwrap();
        assert_eq!((least.role, least.company, least.expires_at), (Role::Admin, None, None));
        let at = read(r#"{"role":"ingest","expires_at":"2100-01-01T00:00:00Z"}"#).unwrap();
        assert_eq!(at.expires_at.unwrap().to_string(), "2100-01-01T00:00:00.000Z");
    }

    #[test]
    fn faults_are_named() {
        let cases = [
            ("{}", "/role is missing"),
            (r#"{"role":"root"}"#, "/role must be"),
            (r#"{"role":null}"#, "/role must be a string"),
            (r#"{"role":"read","role":"admin"}"#, "/role is given twice"),
            (r#"{"role":"read","company":""}"#, "/company"),
            (r#"{"role":"read","expires_in":"1s"}"#, "/expires_in must be from 1m to 87600h"),
            (r#"{"role":"read","expires_in":"99999d"}"#, "/expires_in must be from"),
            (r#"{"role":"read","expires_at":"2001-01-01T00:00:00Z"}"#, "/expires_at must be in the future"),
            (
                r#"{"role":"read","expires_at":"2100-01-01T00:00:00Z","expires_in":"1h"}"#,
                "/expires_in cannot be combined",
            ),
            (r#"{"role":"read","token":"hsk_"}"#, "/token is read-only"),
            (r#"{"role":"read","rights":1}"#, "/rights is not a member"),
            ("[]", "the document must be an object"),
        ];
        for (text, wanted) in cases {
            let refusal = read(text).unwrap_err();
            assert!(refusal.contains(wanted), "{text}: {refusal}");
        }
    }
}

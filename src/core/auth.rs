//! How deliveries sign in at their receiver: by user name and password, by a token, or by a token that is fetched with
//! client credentials (OAuth 2, RFC 6749 section 4.4).
//!
//! Knows the settings; tokens are fetched by `sender`. The secret of each is write-only: no fault shows one.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use super::address;
use super::hidden::Hidden;
use super::invalid::{Invalid, pointer};
use super::json::{self, Kind};
use super::text::words;

/// Maximum characters of a name or a scope.
const NAME_MOST: usize = 500;
/// Maximum bytes of a secret.
const SECRET_MOST: usize = 4 * 1024;

words! {
    /// The kinds of signing in.
    AuthType {
        /// A user name and a password (RFC 7617).
        Basic = "basic",
        /// A token (RFC 6750).
        Bearer = "bearer",
        /// A token fetched with client credentials (RFC 6749 section 4.4).
        ClientCredentials = "oauth2_client_credentials",
    }
}

words! {
    /// Where client credentials are sent (RFC 6749 section 2.3.1).
    CredentialsIn {
        /// In the header Authorization, which every server must accept.
        Header = "header",
        /// In the body, which some servers want.
        Body = "body",
    }
}

/// How deliveries sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// By user name and password.
    Basic {
        /// The user name, without a colon.
        username: String,
        /// The password.
        password: Hidden,
    },
    /// By a token.
    Bearer {
        /// The token.
        token: Hidden,
    },
    /// By a token that is fetched.
    ClientCredentials(ClientCredentials),
}

/// What a token is fetched with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCredentials {
    /// Where it is fetched: an absolute http or https URL.
    pub token_url: String,
    /// Who asks.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: Hidden,
    /// What is asked for.
    pub scope: Option<String>,
    /// Whom the token is for, for servers that ask for it.
    pub audience: Option<String>,
    /// Where the credentials are sent.
    pub credentials_in: CredentialsIn,
}

impl Auth {
    /// Its kind.
    pub const fn kind(&self) -> AuthType {
        match self {
            Self::Basic { .. } => AuthType::Basic,
            Self::Bearer { .. } => AuthType::Bearer,
            Self::ClientCredentials(_) => AuthType::ClientCredentials,
        }
    }

    /// Its secret.
    pub const fn secret(&self) -> &Hidden {
        match self {
            Self::Basic { password, .. } => password,
            Self::Bearer { token } => token,
            Self::ClientCredentials(credentials) => &credentials.client_secret,
        }
    }

    /// The same with another secret.
    #[must_use]
    pub fn with_secret(mut self, secret: Hidden) -> Self {
        match &mut self {
            Self::Basic { password: own, .. } | Self::Bearer { token: own } => *own = secret,
            Self::ClientCredentials(credentials) => credentials.client_secret = secret,
        }
        self
    }

    /// The value of Authorization, unless a token must be fetched first.
    pub fn header(&self) -> Option<Hidden> {
        match self {
            Self::Basic { username, password } => Some(basic(username, password.expose())),
            Self::Bearer { token } => Some(Hidden::new(format!("Bearer {}", token.expose()))),
            Self::ClientCredentials(_) => None,
        }
    }
}

/// The value of Authorization for a user name and a password, in UTF-8 (RFC 7617 section 2.1).
pub fn basic(username: &str, password: &str) -> Hidden {
    Hidden::new(format!("Basic {}", STANDARD.encode(format!("{username}:{password}"))))
}

/// `auth` of a body: the settings, without the secret if the stored one is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthChange {
    auth: Auth,
    has_secret: bool,
}

/// The name of the member that holds the secret.
const fn secret_name(kind: AuthType) -> &'static str {
    match kind {
        AuthType::Basic => "password",
        AuthType::Bearer => "token",
        AuthType::ClientCredentials => "client_secret",
    }
}

impl AuthChange {
    /// Parses `auth`. A secret that is null, or left out, keeps the stored one.
    ///
    /// # Errors
    /// Every fault with its pointer, relative to the object; none shows a secret.
    pub fn read(raw: &RawValue) -> Result<Self, Invalid> {
        let members = json::members(raw).map_err(|fault| Invalid::one("", fault))?;
        let mut invalid = Invalid::default();
        if let Some(name) = json::first_duplicate(&members) {
            invalid.add(pointer(name), "is given twice");
        }
        let member = |wanted: &str| members.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value);
        let kind = member("type").map_or_else(
            || Err("is missing: the kind of signing in".to_owned()),
            |value| json::word(value, AuthType::parse),
        );
        let Some(kind) = invalid.check("/type", kind) else { return Err(invalid) };
        let names = members_of(kind);
        for (name, _) in members.iter().filter(|(name, _)| name != "type" && !names.contains(&name.as_ref())) {
            let there = names.join(", ");
            invalid.add(pointer(name), format!("is not a member for `{kind}`; there are: type, {there}"));
        }
        let secret = member(secret_name(kind)).filter(|value| Kind::of(value) != Kind::Null);
        let secret = secret.map(|value| invalid.check(&pointer(secret_name(kind)), read_secret(value, kind)));
        let has_secret = secret.is_some();
        let secret = secret.flatten().unwrap_or_else(|| Hidden::new(""));
        let mut text = |name: &str| {
            let read = member(name).map(|value| json::line(value, NAME_MOST));
            invalid.check(&pointer(name), read.unwrap_or_else(|| Err("is missing".to_owned()))).unwrap_or_default()
        };
        let auth = match kind {
            AuthType::Basic => Auth::Basic { username: text("username"), password: secret },
            AuthType::Bearer => Auth::Bearer { token: secret },
            AuthType::ClientCredentials => {
                let client_id = text("client_id");
                let mut optional = |name: &str| {
                    let read = member(name).map(|value| json::optional(value, |value| json::line(value, NAME_MOST)));
                    read.and_then(|read| invalid.check(&pointer(name), read)).flatten()
                };
                let (scope, audience) = (optional("scope"), optional("audience"));
                let url = member("token_url")
                    .map(|value| json::word(value, |text| address::read_url(text).map(String::from)));
                let url = url.unwrap_or_else(|| Err("is missing: where the token is fetched".to_owned()));
                let token_url = invalid.check("/token_url", url).unwrap_or_default();
                let place = member("credentials_in")
                    .map_or(Ok(CredentialsIn::Header), |value| json::word(value, CredentialsIn::parse));
                let credentials_in = invalid.check("/credentials_in", place).unwrap_or(CredentialsIn::Header);
                Auth::ClientCredentials(ClientCredentials {
                    token_url,
                    client_id,
                    client_secret: secret,
                    scope,
                    audience,
                    credentials_in,
                })
            }
        };
        if let Auth::Basic { username, .. } = &auth
            && username.contains(':')
        {
            invalid.add("/username", "must not have a colon, which ends a user name in HTTP");
        }
        invalid.or(Some(Self { auth, has_secret }))
    }

    /// The settings, with the stored secret if none is given. It is kept only for the same user, and the same place
    /// that it is sent to.
    ///
    /// # Errors
    /// There is none to keep.
    pub fn resolve(&self, stored: Option<&Arc<Auth>>) -> Result<Arc<Auth>, Invalid> {
        if self.has_secret {
            return Ok(Arc::new(self.auth.clone()));
        }
        let kept = stored.filter(|stored| same_place(stored, &self.auth));
        let kept = kept.map(|stored| Arc::new(self.auth.clone().with_secret(stored.secret().clone())));
        kept.ok_or_else(|| {
            let name = secret_name(self.auth.kind());
            let detail = "is missing: only the stored one of the same kind, user and token URL can be kept";
            Invalid::one(pointer(name), detail)
        })
    }
}

/// Whether a stored secret may be kept for other settings: not if it would be sent elsewhere.
fn same_place(stored: &Auth, other: &Auth) -> bool {
    match (stored, other) {
        (Auth::Basic { username, .. }, Auth::Basic { username: other, .. }) => username == other,
        (Auth::Bearer { .. }, Auth::Bearer { .. }) => true,
        (Auth::ClientCredentials(stored), Auth::ClientCredentials(other)) => {
            stored.token_url == other.token_url && stored.client_id == other.client_id
        }
        _ => false,
    }
}

const fn members_of(kind: AuthType) -> &'static [&'static str] {
    match kind {
        AuthType::Basic => &["username", "password"],
        AuthType::Bearer => &["token"],
        AuthType::ClientCredentials => {
            &["token_url", "client_id", "client_secret", "scope", "audience", "credentials_in"]
        }
    }
}

/// A secret: in a header, so visible ASCII, but for passwords and client secrets, which are encoded.
fn read_secret(value: &RawValue, kind: AuthType) -> Result<Hidden, String> {
    let text = json::string(value)?;
    if text.is_empty() || text.len() > SECRET_MOST {
        return Err(format!("must have 1 to {SECRET_MOST} bytes"));
    }
    let good = match kind {
        AuthType::Bearer => text.bytes().all(|byte| byte.is_ascii_graphic()),
        AuthType::Basic | AuthType::ClientCredentials => !text.chars().any(char::is_control),
    };
    if good { Ok(Hidden::new(text)) } else { Err("has characters that cannot be sent".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<AuthChange, Invalid> {
        AuthChange::read(json::parse(text).unwrap())
    }

    fn made(text: &str) -> Arc<Auth> {
        read(text).unwrap().resolve(None).unwrap()
    }

    const OAUTH: &str = r#"{"type":"oauth2_client_credentials","token_url":"https://id.example/token","client_id":"me",
        "client_secret":"hunter2","scope":"a b","credentials_in":"body"}"#;

    #[test]
    fn the_kinds_are_read_and_hide_their_secret() {
        let basic = made(r#"{"type":"basic","username":"Aladdin","password":"open sesame"}"#);
        assert_eq!(basic.header().unwrap().expose(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "RFC 7617 section 2");
        let bearer = made(r#"{"type":"bearer","token":"mF_9.B5f-4.1JqM"}"#);
        assert_eq!(bearer.header().unwrap().expose(), "Bearer mF_9.B5f-4.1JqM");
        let oauth = made(OAUTH);
        let Auth::ClientCredentials(credentials) = oauth.as_ref() else { panic!() };
        assert_eq!((credentials.scope.as_deref(), credentials.audience.as_deref()), (Some("a b"), None));
        assert_eq!((credentials.credentials_in, oauth.header()), (CredentialsIn::Body, None));
        assert!(!format!("{basic:?}{bearer:?}{oauth:?}").contains("hunter2"));
    }

    #[test]
    fn a_stored_secret_is_kept_only_where_it_was() {
        let stored = made(OAUTH);
        let without = OAUTH.replace(r#""client_secret":"hunter2","#, "");
        assert_eq!(read(&without).unwrap().resolve(Some(&stored)), Ok(Arc::clone(&stored)));
        for (text, at) in [
            (without.clone(), None),
            (without.replace("id.example", "evil.example"), Some(&stored)),
            (without.replace("\"me\"", "\"you\""), Some(&stored)),
            (r#"{"type":"bearer","client_secret":null}"#.replace("client_secret", "token"), Some(&stored)),
        ] {
            let invalid = read(&text).unwrap().resolve(at).unwrap_err();
            assert!(invalid.errors[0].detail.contains("is missing"), "{text}");
        }
    }

    #[test]
    fn faults_name_the_member_and_show_no_secret() {
        for (text, at) in [
            ("[]", ""),
            ("{}", "/type"),
            (r#"{"type":"digest"}"#, "/type"),
            (r#"{"type":"basic","username":"a:b","password":"hunter2"}"#, "/username"),
            (r#"{"type":"basic","password":"hunter2"}"#, "/username"),
            (r#"{"type":"basic","username":"a","password":""}"#, "/password"),
            (r#"{"type":"bearer","token":"hunter2\r\nX: y"}"#, "/token"),
            (r#"{"type":"bearer","token":"hunter2","username":"a"}"#, "/username"),
            (r#"{"type":"oauth2_client_credentials","client_id":"a","client_secret":"hunter2"}"#, "/token_url"),
            (
                r#"{"type":"oauth2_client_credentials","client_id":"a","token_url":"ftp://x","client_secret":"hunter2"}"#,
                "/token_url",
            ),
        ] {
            let invalid = read(text).unwrap_err();
            assert_eq!(invalid.errors[0].pointer, at, "{text}");
            assert!(!invalid.to_string().contains("hunter2"), "{invalid}");
        }
    }
}

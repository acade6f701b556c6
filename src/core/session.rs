//! Sessions of the page: signed-in browsers, under an id that only they know.
//!
//! A session has no permissions of its own: they are those of the token that the browser signed in with, or those that
//! a portal link gave, as long as the token that made the link may still make such links. So revoking a token ends its
//! sessions. Those of a member of the operator's organisation are what the configuration gives one of their groups, as
//! long as it does. Knows neither storage nor cookies.
//!
//! Invariant: neither the text of a cookie nor its hash appears in any `Debug` output.

use std::time::Duration;

use super::event::{Company, Domain};
use super::id::{PortalLinkId, SessionId};
use super::time::Timestamp;
use super::token::{Role, TokenHash};

/// How long sessions last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// Without a request.
    pub idle: Duration,
    /// In total.
    pub total: Duration,
}

impl Default for Lifetime {
    fn default() -> Self {
        Self { idle: Duration::from_secs(12 * 3_600), total: Duration::from_secs(30 * 86_400) }
    }
}

/// A signed-in browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The hash of the cookie's value.
    pub hash: TokenHash,
    /// How it was signed in.
    pub by: SignedInBy,
    /// The only company that it sees, if it is bound to one.
    pub company: Option<Company>,
    /// When it began.
    pub begun: Timestamp,
    /// Its last request, as far as known: see the store's `find_session`.
    pub seen: Timestamp,
}

/// How a browser was signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignedInBy {
    /// With this token.
    Token(TokenHash),
    /// By a portal link.
    Link {
        /// The token that made the link.
        maker: TokenHash,
        /// Who came by it.
        visitor: Visitor,
    },
    /// At the provider of OpenID Connect.
    Provider(Member),
}

impl Session {
    /// The token that the browser signed in with, or that made its link.
    pub const fn token(&self) -> Option<&TokenHash> {
        match &self.by {
            SignedInBy::Token(token) | SignedInBy::Link { maker: token, .. } => Some(token),
            SignedInBy::Provider(_) => None,
        }
    }

    /// Who came by a portal link.
    pub const fn visitor(&self) -> Option<&Visitor> {
        match &self.by {
            SignedInBy::Link { visitor, .. } => Some(visitor),
            SignedInBy::Token(_) | SignedInBy::Provider(_) => None,
        }
    }

    /// Who signed in at the provider of OpenID Connect.
    pub const fn member(&self) -> Option<&Member> {
        match &self.by {
            SignedInBy::Provider(member) => Some(member),
            SignedInBy::Token(_) | SignedInBy::Link { .. } => None,
        }
    }

    /// Whether it has neither been idle for too long nor lasted too long.
    pub fn is_alive(&self, lifetime: Lifetime, now: Timestamp) -> bool {
        self.is_alive_since(self.seen, lifetime, now)
    }

    /// The same, if its last request was at `seen`.
    pub fn is_alive_since(&self, seen: Timestamp, lifetime: Lifetime, now: Timestamp) -> bool {
        now < seen.plus(lifetime.idle).min(self.begun.plus(lifetime.total))
    }

    /// When it ends unless there is another request.
    pub fn ends_at(&self, lifetime: Lifetime) -> Timestamp {
        self.seen.plus(lifetime.idle).min(self.begun.plus(lifetime.total))
    }
}

/// Somebody who came by a portal link, and what it permits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    /// The link.
    pub link: PortalLinkId,
    /// What it permits within the company.
    pub role: Role,
    /// The only domain that it sees, if it is bound to one.
    pub domain: Option<Domain>,
    /// The language that the page is to speak.
    pub language: Option<String>,
    /// Who it is, in the platform's words.
    pub user: Option<String>,
}

/// Somebody who signed in at the provider of OpenID Connect, and what the configuration gave them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The provider (`iss`).
    pub issuer: String,
    /// Who it is, for the provider (`sub`).
    pub subject: String,
    /// For people: the mail address, the user name, or else the subject.
    pub name: String,
    /// The group that is allowed.
    pub group: String,
    /// What it is allowed.
    pub role: Role,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_it_is_idle_and_when_it_is_old() {
        let begun = Timestamp::from_millis(1_790_000_000_000);
        let lifetime = Lifetime { idle: Duration::from_secs(100), total: Duration::from_secs(250) };
        let after = |seconds| begun.plus(Duration::from_secs(seconds));
        let seen = |seconds| Session {
            id: SessionId::from_bits(1),
            hash: TokenHash::of("cookie"),
            by: SignedInBy::Token(TokenHash::of("token")),
            company: None,
            begun,
            seen: after(seconds),
        };
        for (last, now, alive) in [(0, 99, true), (0, 100, false), (90, 189, true), (240, 249, true), (240, 250, false)]
        {
            assert_eq!(seen(last).is_alive(lifetime, after(now)), alive, "{last} {now}");
        }
        let shown = format!("{:?}", seen(0));
        assert!(!shown.contains("hsk") && shown.contains("[token]"), "{shown}");
    }
}

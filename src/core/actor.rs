//! Who does something, and from where: the first half of an entry of the audit.

use std::net::IpAddr;

use super::id::TokenId;
use super::text::words;

words! {
    /// What kind of actor did something.
    ActorKind {
        /// A token of the API; its id is the token's.
        Token = "token",
        /// A browser that signed in on the page; its id is that of the session, or of the token it signed in with.
        Session = "session",
        /// A browser that was signed in by a portal link; its name is the platform's own user.
        Portal = "portal",
        /// SIGHUP: somebody with rights on the machine.
        Signal = "sighup",
        /// The daemon itself.
        Daemon = "daemon",
    }
}

words! {
    /// Which way a request came.
    Via {
        /// The API.
        Api = "api",
        /// The command line, which speaks to the API.
        Cli = "cli",
        /// The page.
        Page = "page",
    }
}

/// Who does something, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// What kind of actor.
    pub kind: ActorKind,
    /// The id of its token or session.
    pub id: Option<String>,
    /// For people: the description of its token, or the user's name.
    pub name: Option<String>,
    /// Which way the request came.
    pub via: Option<Via>,
    /// The client's address.
    pub address: Option<IpAddr>,
}

impl Actor {
    /// The maximum length of a name, in characters; the rest is cut off.
    const NAME_MOST: usize = 256;

    const fn alone(kind: ActorKind) -> Self {
        Self { kind, id: None, name: None, via: None, address: None }
    }

    /// The daemon itself.
    pub const fn daemon() -> Self {
        Self::alone(ActorKind::Daemon)
    }

    /// SIGHUP.
    pub const fn signal() -> Self {
        Self::alone(ActorKind::Signal)
    }

    /// A token.
    pub fn token(id: TokenId, description: &str) -> Self {
        Self { id: Some(id.to_string()), ..Self::alone(ActorKind::Token) }.named(description)
    }

    /// A session of the page, under its id or that of its token, and the user's name.
    pub fn session(id: String, user: &str) -> Self {
        Self { id: Some(id), ..Self::alone(ActorKind::Session) }.named(user)
    }

    /// A session that a portal link began, and the name of the platform's user.
    pub fn portal(id: String, user: &str) -> Self {
        Self { id: Some(id), ..Self::alone(ActorKind::Portal) }.named(user)
    }

    /// Somebody whose session is about to begin, by a portal link: known by its address until then.
    pub const fn visitor() -> Self {
        Self::alone(ActorKind::Portal)
    }

    fn named(self, name: &str) -> Self {
        let name: String = name.chars().take(Self::NAME_MOST).collect();
        Self { name: Some(name).filter(|name| !name.is_empty()), ..self }
    }

    /// The same, with where the request came from.
    #[must_use]
    pub fn from(self, via: Via, address: Option<IpAddr>) -> Self {
        Self { via: Some(via), address, ..self }
    }

    /// The words by which it is found: its kind, its id and its name.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        let named = [self.id.as_deref(), self.name.as_deref()];
        std::iter::once(self.kind.as_str()).chain(named.into_iter().flatten())
    }

    /// Whether a filter's word means it.
    pub fn is(&self, word: &str) -> bool {
        self.words().any(|own| own == word)
    }
}

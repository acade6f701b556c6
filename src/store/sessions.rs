//! Sessions of the page, and portal links.

use crate::core::event::Company;
use crate::core::hidden::Hidden;
use crate::core::id::{PortalLinkId, SessionId};
use crate::core::portal_link::{PortalLink, PortalLinkDraft, PortalLinkText};
use crate::core::session::{Lifetime, Session};
use crate::core::time::Timestamp;
use crate::core::token::TokenHash;
use crate::model::command::{Busy, Command, Operation, Reply};
use crate::model::lock::lock;
use crate::model::sessions::{MemberEntry, PortalLinkUse};
use crate::store::acting::Acting;
use crate::store::api::Store;

impl Store {
    /// The living session whose cookie has this hash. Counts as a request of it, which is persisted now and then.
    pub fn find_session(&self, hash: &TokenHash, lifetime: Lifetime, now: Timestamp) -> Option<Session> {
        let (session, due) = self.session_ring().find(hash, lifetime, now)?;
        if due {
            // Nobody waits for it: if the queue is full, a later request is persisted.
            let _ = self.push(Command::TouchSession(session.id, Box::new(|_| ())));
        }
        Some(session)
    }

    /// One session, alive or not.
    pub fn session(&self, id: SessionId) -> Option<Session> {
        self.session_ring().get(id)
    }

    /// The living sessions, in order of their beginning.
    pub fn sessions(&self, lifetime: Lifetime, now: Timestamp) -> Vec<Session> {
        let mut all = self.session_ring().all();
        all.retain(|session| session.is_alive(lifetime, now));
        all
    }

    /// The company of a portal link that is kept, or of the session that it opened.
    pub fn portal_link_company(&self, id: PortalLinkId) -> Option<Company> {
        let link = lock(&self.shared.registry).portal_links.get(id.bits()).map(|link| link.company.clone());
        let of_link = |session: &Session| session.visitor().is_some_and(|visitor| visitor.link == id);
        link.or_else(|| self.session_ring().all().into_iter().find(of_link)?.company)
    }
}

impl Acting {
    /// Opens a session for a browser that signed in with `token`, which may be bound to `company`; the reply has the
    /// value of its cookie, which is stored nowhere.
    ///
    /// # Errors
    /// As [`Store::accept`].
    pub fn open_session(
        &self,
        token: TokenHash,
        company: Option<Company>,
        lifetime: Lifetime,
        reply: Reply<Hidden>,
    ) -> Result<(), Busy> {
        self.push(Operation::OpenSession(token, company, lifetime, reply))
    }

    /// Opens a session for somebody who came back from the provider of OpenID Connect; the reply has the value of its
    /// cookie, which is stored nowhere, or `None` if that sign-in was used before.
    ///
    /// # Errors
    /// As [`Store::accept`].
    pub fn open_member_session(
        &self,
        entry: MemberEntry,
        lifetime: Lifetime,
        reply: Reply<Option<Hidden>>,
    ) -> Result<(), Busy> {
        self.push(Operation::OpenMemberSession(Box::new(entry), lifetime, reply))
    }

    /// Ends a session.
    ///
    /// # Errors
    /// As [`Store::accept`].
    pub fn end_session(&self, id: SessionId, reply: Reply<()>) -> Result<(), Busy> {
        self.push(Operation::EndSession(id, reply))
    }

    /// Makes a portal link with `token`; the reply has its text, which is stored nowhere.
    ///
    /// # Errors
    /// As [`Store::accept`].
    pub fn create_portal_link(
        &self,
        draft: PortalLinkDraft,
        token: TokenHash,
        reply: Reply<(PortalLink, PortalLinkText)>,
    ) -> Result<(), Busy> {
        self.push_addition(|reply| Operation::CreatePortalLink(Box::new(draft), token, reply), reply)
    }

    /// Uses the link with this text, which opens a session once.
    ///
    /// # Errors
    /// As [`Store::accept`].
    pub fn use_portal_link(
        &self,
        text: PortalLinkText,
        lifetime: Lifetime,
        reply: Reply<PortalLinkUse>,
    ) -> Result<(), Busy> {
        self.push(Operation::UsePortalLink(text, lifetime, reply))
    }

    /// Revokes a portal link, and ends the session that it opened.
    ///
    /// # Errors
    /// As [`Store::accept`].
    pub fn revoke_portal_link(&self, id: PortalLinkId, reply: Reply<()>) -> Result<(), Busy> {
        self.push(Operation::RevokePortalLink(id, reply))
    }
}

//! Permissions: roles, and the restriction to one company and one domain.
//!
//! Handlers do not compare companies themselves; they use [`Access`]. For a token bound to one company, those of
//! others do not exist. So it is with a session that a portal link bound to one domain: it sees what is of that domain
//! alone, and no webhook that is for all domains of the company.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::fair_limit::Principal;
use super::problem::Problem;
use crate::core::event::{Company, Domain};
use crate::core::id::{SessionId, TokenId};
use crate::core::session::{Member, Visitor};
use crate::core::time::Timestamp;
use crate::core::token::{Role, TokenHash};
use crate::store::{Store, Webhooks};

/// What the permissions of a request come from. Small, as every posted event has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    /// Nothing: for requests that only read.
    Nobody,
    /// The admin token of the first start.
    FirstToken,
    /// A token.
    Token(TokenId),
}

/// The permissions of a token, or of a session of the page.
#[derive(Debug, Clone)]
pub(super) struct Access {
    role: Role,
    company: Option<Company>,
    token: Option<TokenHash>,
    identity: Identity,
    session: Option<SessionId>,
    /// Who came by a portal link. Their domain is there.
    visitor: Option<Arc<Visitor>>,
    /// Who signed in at the provider of OpenID Connect.
    member: Option<Arc<Member>>,
}

impl Access {
    /// All permissions, for all companies.
    pub(super) const fn admin() -> Self {
        Self::new(Role::Admin, None)
    }

    /// The permissions of `role`, for one company if given.
    pub(super) const fn new(role: Role, company: Option<Company>) -> Self {
        Self { role, company, token: None, identity: Identity::Nobody, session: None, visitor: None, member: None }
    }

    /// The same, for the token with this hash.
    #[must_use]
    pub(super) fn by(self, token: &TokenHash, identity: Identity) -> Self {
        Self { token: Some(*token), identity, ..self }
    }

    /// What they come from.
    pub(super) const fn identity(&self) -> Identity {
        self.identity
    }

    /// The same, in a session of the page.
    #[must_use]
    pub(super) fn in_session(self, session: SessionId) -> Self {
        Self { session: Some(session), ..self }
    }

    /// The permissions of somebody who came by a portal link for `company`; `hash` is that of the session's cookie.
    pub(super) fn of_visitor(session: SessionId, hash: &TokenHash, company: Company, visitor: Visitor) -> Self {
        let access = Self::new(visitor.role, Some(company)).by(hash, Identity::Nobody).in_session(session);
        Self { visitor: Some(Arc::new(visitor)), ..access }
    }

    /// The permissions of somebody who signed in at the provider; `hash` is that of the session's cookie.
    pub(super) fn of_member(session: SessionId, hash: &TokenHash, company: Option<Company>, member: Member) -> Self {
        let access = Self::new(member.role, company).by(hash, Identity::Nobody).in_session(session);
        Self { member: Some(Arc::new(member)), ..access }
    }

    /// The session of the page, if it is one.
    pub(super) const fn session(&self) -> Option<SessionId> {
        self.session
    }

    /// Who came by a portal link, if so.
    pub(super) fn visitor(&self) -> Option<&Visitor> {
        self.visitor.as_deref()
    }

    /// Who signed in at the provider of OpenID Connect, if so.
    pub(super) fn member(&self) -> Option<&Member> {
        self.member.as_deref()
    }

    /// The hash of the token; of a visitor or a member that of the session's cookie.
    pub(super) const fn token(&self) -> Option<&TokenHash> {
        self.token.as_ref()
    }

    /// The domain that it is bound to, if any.
    pub(super) fn domain(&self) -> Option<&Domain> {
        self.visitor.as_ref().and_then(|visitor| visitor.domain.as_ref())
    }

    /// The principal charged for its work.
    pub(super) fn principal(&self) -> Principal {
        Principal::new(self.token.as_ref(), self.company.as_ref())
    }

    /// Checks that this role includes `needed`: an admin everything, the others their own.
    ///
    /// # Errors
    /// 403 that names the role.
    pub(super) fn require(&self, needed: Role) -> Result<(), Problem> {
        if self.role.may(needed) {
            return Ok(());
        }
        let (needed, own) = (needed.as_str(), self.role.as_str());
        Err(Problem::forbidden(format!("this needs a token with the role `{needed}`; this one's is `{own}`")))
    }

    /// Whether resources of `company` and `domain` (`None`: of all its domains) are accessible; if not, they do not exist
    /// (404).
    pub(super) fn sees(&self, company: &Company, domain: Option<&Domain>) -> bool {
        self.company.as_ref().is_none_or(|own| own == company) && self.domain().is_none_or(|own| Some(own) == domain)
    }

    /// The webhooks that are visible, if not all of the company are: those of the domain that it is bound to.
    pub(super) fn webhooks(&self, store: &Store) -> Option<Webhooks> {
        let (company, domain) = (self.company.as_ref()?, self.domain()?);
        Some(Arc::new(store.subscriptions_of_domain(company, domain)))
    }

    /// Whether this role includes `needed`.
    pub(super) fn may(&self, needed: Role) -> bool {
        self.require(needed).is_ok()
    }

    /// Whether the token is bound to a company.
    pub(super) const fn is_bound(&self) -> bool {
        self.company.is_some()
    }

    /// The company that the token is bound to, if any.
    pub(super) const fn company(&self) -> Option<&Company> {
        self.company.as_ref()
    }

    /// Checks a company named in a request.
    ///
    /// # Errors
    /// 403 if the token is bound to another.
    pub(super) fn own(&self, company: &Company) -> Result<(), Problem> {
        if self.company.as_ref().is_none_or(|own| own == company) {
            return Ok(());
        }
        Err(Problem::forbidden("this token is bound to another company"))
    }

    /// The company to which a list is restricted, if any: the one requested, or else the token's own.
    ///
    /// # Errors
    /// 403 if another company is requested than the token's own.
    pub(super) fn narrow(&self, requested: Option<Company>) -> Result<Option<Company>, Problem> {
        if let Some(company) = &requested {
            self.own(company)?;
        }
        Ok(requested.or_else(|| self.company.clone()))
    }

    /// The same for a domain: the one requested, or else the session's own.
    ///
    /// # Errors
    /// 403 if another domain is requested than the session's own.
    pub(super) fn narrow_domain(&self, requested: Option<Domain>) -> Result<Option<Domain>, Problem> {
        match (self.domain(), &requested) {
            (Some(own), Some(other)) if own != other => {
                Err(Problem::forbidden(format!("this session is bound to the domain `{own}`")))
            }
            (own, _) => Ok(requested.or_else(|| own.cloned())),
        }
    }
}

/// The admin token of the first start, which is stored in a file beside the store.
#[derive(Debug)]
pub struct FirstToken {
    hash: TokenHash,
    kept_in: String,
    /// Time of last use since this start, in milliseconds; 0 for never.
    used: AtomicU64,
}

impl FirstToken {
    /// The token with this hash, whose text is in the file `kept_in`.
    pub fn new(hash: TokenHash, kept_in: &Path) -> Self {
        Self { hash, kept_in: kept_in.display().to_string(), used: AtomicU64::new(0) }
    }

    /// Its hash.
    pub(super) const fn hash(&self) -> &TokenHash {
        &self.hash
    }

    /// Whether this is its hash.
    pub(super) fn is(&self, hash: &TokenHash) -> bool {
        self.hash.same(hash)
    }

    /// Records a use at `now`.
    pub(super) fn note_use(&self, now: Timestamp) {
        self.used.store(now.millis(), Ordering::Relaxed);
    }

    /// The file with its text.
    pub(super) fn kept_in(&self) -> &str {
        &self.kept_in
    }

    /// Time of last use since this start.
    pub(super) fn last_used_at(&self) -> Option<Timestamp> {
        let used = self.used.load(Ordering::Relaxed);
        (used > 0).then(|| Timestamp::from_millis(used))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::id::PortalLinkId;

    fn company(name: &str) -> Company {
        Company::parse(name).unwrap()
    }

    #[test]
    fn roles_permit_their_own_operations_and_admin_all() {
        for needed in [Role::Ingest, Role::Read, Role::Admin] {
            for own in [Role::Ingest, Role::Read, Role::Admin] {
                let allowed = Access::new(own, None).require(needed).is_ok();
                assert_eq!(allowed, own == needed || own == Role::Admin, "{own:?} {needed:?}");
            }
        }
    }

    #[test]
    fn a_bound_token_reaches_one_company_alone() {
        let (own, other) = (company("acme"), company("other"));
        let bound = Access::new(Role::Read, Some(own.clone()));
        assert!(bound.sees(&own, None) && !bound.sees(&other, None) && bound.is_bound());
        assert_eq!(bound.narrow(None).unwrap(), Some(own.clone()));
        assert_eq!(bound.narrow(Some(own.clone())).unwrap(), Some(own));
        assert_eq!(bound.narrow(Some(other.clone())).unwrap_err().status(), 403);
        assert_eq!(Access::admin().narrow(Some(other.clone())).unwrap(), Some(other));
        assert_eq!(Access::admin().narrow(None).unwrap(), None);
    }

    #[test]
    fn a_session_of_one_domain_reaches_that_domain_alone() {
        let domain = |name: &str| Domain::parse(name).unwrap();
        let (own, other) = (domain("www.acme.example"), domain("shop.acme.example"));
        let of = |domain| {
            let visitor =
                Visitor { link: PortalLinkId::from_bits(1), role: Role::Read, domain, language: None, user: None };
            Access::of_visitor(SessionId::from_bits(1), &TokenHash::of("c"), company("acme"), visitor)
        };
        let bound = of(Some(own.clone()));
        assert!(bound.sees(&company("acme"), Some(&own)) && !bound.sees(&company("other"), Some(&own)));
        assert!(!bound.sees(&company("acme"), Some(&other)) && !bound.sees(&company("acme"), None));
        assert_eq!(bound.narrow_domain(None).unwrap(), Some(own.clone()));
        assert_eq!(bound.narrow_domain(Some(own.clone())).unwrap(), Some(own));
        assert_eq!(bound.narrow_domain(Some(other.clone())).unwrap_err().status(), 403);
        let wide = of(None);
        assert!(wide.sees(&company("acme"), None) && wide.sees(&company("acme"), Some(&other)));
        assert_eq!(wide.narrow_domain(Some(other.clone())).unwrap(), Some(other));
    }
}

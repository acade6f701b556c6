//! Permissions: roles, and the restriction to one company.
//!
//! Handlers do not compare companies themselves; they use [`Access`]. For a token bound to one company, those of
//! others do not exist.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::fair_limit::Principal;
use super::problem::Problem;
use crate::core::event::Company;
use crate::core::id::TokenId;
use crate::core::time::Timestamp;
use crate::core::token::{Role, TokenHash};

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

/// The permissions of a token.
#[derive(Debug, Clone)]
pub(super) struct Access {
    role: Role,
    company: Option<Company>,
    token: Option<TokenHash>,
    identity: Identity,
    session: bool,
}

impl Access {
    /// All permissions, for all companies.
    pub(super) const fn admin() -> Self {
        Self::new(Role::Admin, None)
    }

    /// The permissions of `role`, for one company if given.
    pub(super) const fn new(role: Role, company: Option<Company>) -> Self {
        Self { role, company, token: None, identity: Identity::Nobody, session: false }
    }

    /// The same, for the token with this hash.
    #[must_use]
    pub(super) fn by(self, token: &TokenHash, identity: Identity) -> Self {
        Self { token: Some(*token), identity, ..self }
    }

    /// The same, in a session of the page.
    #[must_use]
    pub(super) fn in_session(self) -> Self {
        Self { session: true, ..self }
    }

    /// What they come from.
    pub(super) const fn identity(&self) -> Identity {
        self.identity
    }

    /// Whether they are those of a session of the page.
    pub(super) const fn is_session(&self) -> bool {
        self.session
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

    /// Whether resources of `company` are accessible; if not, they do not exist (404).
    pub(super) fn sees(&self, company: &Company) -> bool {
        self.company.as_ref().is_none_or(|own| own == company)
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
        if self.sees(company) {
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
        assert!(bound.sees(&own) && !bound.sees(&other) && bound.is_bound());
        assert_eq!(bound.narrow(None).unwrap(), Some(own.clone()));
        assert_eq!(bound.narrow(Some(own.clone())).unwrap(), Some(own));
        assert_eq!(bound.narrow(Some(other.clone())).unwrap_err().status(), 403);
        assert_eq!(Access::admin().narrow(Some(other.clone())).unwrap(), Some(other));
        assert_eq!(Access::admin().narrow(None).unwrap(), None);
    }
}

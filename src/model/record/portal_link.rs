//! A portal link, and its end.

use bincode::{Decode, Encode};

use crate::core::event::{Company, Domain};
use crate::core::id::PortalLinkId;
use crate::core::portal_link::{PortalLink, PortalView};
use crate::core::token::{Role, TokenHash};
use crate::model::keys;
use crate::model::record::codec::{Word as _, at, optional, versioned};
use crate::model::record::kind::{
    Class, Kind, Target, begins_no_delivery, complete_if_decoded, encoded_as_id, encoded_as_itself, kept_by_the_view,
    kept_until_oldest, not_indexed, nothing_personal,
};

/// A link; only its hash is stored.
#[derive(Encode, Decode)]
pub(crate) struct PortalLinkRecord {
    id: u128,
    hash: [u8; 32],
    token: [u8; 32],
    company: String,
    role: String,
    domain: Option<String>,
    view: String,
    language: Option<String>,
    user: Option<String>,
    expires_at: u64,
    used: bool,
}

impl From<&PortalLink> for PortalLinkRecord {
    fn from(link: &PortalLink) -> Self {
        Self {
            id: link.id.bits(),
            hash: *link.hash.bytes(),
            token: *link.token.bytes(),
            company: link.company.as_str().to_owned(),
            role: link.role.word(),
            domain: link.domain.as_ref().map(|domain| domain.as_str().to_owned()),
            view: link.view.as_str().to_owned(),
            language: link.language.clone(),
            user: link.user.clone(),
            expires_at: link.expires_at.millis(),
            used: link.used,
        }
    }
}

impl PortalLinkRecord {
    pub(crate) fn link(self) -> Option<PortalLink> {
        Some(PortalLink {
            id: PortalLinkId::from_bits(self.id),
            hash: TokenHash::from_bytes(self.hash),
            token: TokenHash::from_bytes(self.token),
            company: Company::parse(&self.company).ok()?,
            role: Role::read(&self.role)?,
            domain: optional(self.domain, |name| Domain::parse(name).ok())?,
            view: PortalView::parse(&self.view).ok()?,
            language: self.language,
            user: self.user,
            expires_at: at(self.expires_at),
            used: self.used,
        })
    }
}

impl Kind for PortalLinkRecord {
    const NAME: &'static str = "portal links";
    const CLASS: Class = Class::Other;
    const GRANTS_RIGHTS: bool = true;

    encoded_as_itself!(34);
    not_indexed!();
    begins_no_delivery!();

    fn decodes_fully(self, _: u128) -> bool {
        self.link().is_some()
    }

    fn apply(self, _: u128, target: Target<'_>) -> Option<Self> {
        target.view.put(keys::portal_link(PortalLinkId::from_bits(self.id)), versioned(&self));
        if let Some(link) = self.link() {
            target.memory.put_portal_link(link);
        }
        None
    }

    kept_by_the_view!();
    nothing_personal!();
}

/// A portal link was revoked, or has expired and is no longer kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PortalLinkGone(pub(crate) PortalLinkId);

impl Kind for PortalLinkGone {
    const NAME: &'static str = "ends of portal links";
    const CLASS: Class = Class::Other;
    const GRANTS_RIGHTS: bool = false;

    encoded_as_id!(35, PortalLinkId);
    not_indexed!();
    begins_no_delivery!();
    complete_if_decoded!();

    fn apply(self, _: u128, target: Target<'_>) -> Option<Self> {
        target.view.remove(keys::portal_link(self.0));
        target.memory.remove_portal_link(self.0);
        None
    }

    kept_until_oldest!();
    nothing_personal!();
}

//! A session of the page, and its end.

use bincode::{Decode, Encode};

use crate::core::event::{Company, Domain};
use crate::core::id::{PortalLinkId, SessionId};
use crate::core::session::{Session, Visitor};
use crate::core::token::{Role, TokenHash};
use crate::model::keys;
use crate::model::record::codec::{Word as _, at, optional, versioned};
use crate::model::record::kind::{
    Class, Kind, Target, begins_no_delivery, complete_if_decoded, encoded_as_id, encoded_as_itself, kept_by_the_view,
    kept_until_oldest, not_indexed, nothing_personal,
};

/// A session; only the hash of its cookie is stored.
#[derive(Encode, Decode)]
pub(crate) struct SessionRecord {
    id: u128,
    hash: [u8; 32],
    token: [u8; 32],
    company: Option<String>,
    visitor: Option<VisitorRecord>,
    begun: u64,
    seen: u64,
}

#[derive(Encode, Decode)]
struct VisitorRecord {
    link: u128,
    role: String,
    domain: Option<String>,
    language: Option<String>,
    user: Option<String>,
}

impl From<&Session> for SessionRecord {
    fn from(session: &Session) -> Self {
        let visitor = session.visitor.as_ref().map(|visitor| VisitorRecord {
            link: visitor.link.bits(),
            role: visitor.role.word(),
            domain: visitor.domain.as_ref().map(|domain| domain.as_str().to_owned()),
            language: visitor.language.clone(),
            user: visitor.user.clone(),
        });
        Self {
            id: session.id.bits(),
            hash: *session.hash.bytes(),
            token: *session.token.bytes(),
            company: session.company.as_ref().map(|company| company.as_str().to_owned()),
            visitor,
            begun: session.begun.millis(),
            seen: session.seen.millis(),
        }
    }
}

impl VisitorRecord {
    fn visitor(self) -> Option<Visitor> {
        Some(Visitor {
            link: PortalLinkId::from_bits(self.link),
            role: Role::read(&self.role)?,
            domain: optional(self.domain, |name| Domain::parse(name).ok())?,
            language: self.language,
            user: self.user,
        })
    }
}

impl SessionRecord {
    pub(crate) fn session(self) -> Option<Session> {
        let company = optional(self.company, |name| Company::parse(name).ok())?;
        let visitor = match self.visitor {
            None => None,
            // A visitor without a company must not become access to all companies.
            Some(_) if company.is_none() => return None,
            Some(visitor) => Some(visitor.visitor()?),
        };
        Some(Session {
            id: SessionId::from_bits(self.id),
            hash: TokenHash::from_bytes(self.hash),
            token: TokenHash::from_bytes(self.token),
            company,
            visitor,
            begun: at(self.begun),
            seen: at(self.seen),
        })
    }
}

impl Kind for SessionRecord {
    const NAME: &'static str = "sessions of the page";
    const CLASS: Class = Class::Other;
    const GRANTS_RIGHTS: bool = true;

    encoded_as_itself!(32);
    not_indexed!();
    begins_no_delivery!();

    fn decodes_fully(self, _: u128) -> bool {
        self.session().is_some()
    }

    fn apply(self, _: u128, target: Target<'_>) -> Option<Self> {
        target.view.put(keys::session(SessionId::from_bits(self.id)), versioned(&self));
        if let Some(session) = self.session() {
            target.memory.put_session(session);
        }
        None
    }

    kept_by_the_view!();
    nothing_personal!();
}

/// A session was ended, or has ended by itself and is no longer kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionEnded(pub(crate) SessionId);

impl Kind for SessionEnded {
    const NAME: &'static str = "ends of sessions";
    const CLASS: Class = Class::Other;
    const GRANTS_RIGHTS: bool = false;

    encoded_as_id!(33, SessionId);
    not_indexed!();
    begins_no_delivery!();
    complete_if_decoded!();

    fn apply(self, _: u128, target: Target<'_>) -> Option<Self> {
        target.view.remove(keys::session(self.0));
        target.memory.remove_session(self.0);
        None
    }

    kept_until_oldest!();
    nothing_personal!();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::time::Timestamp;
    use crate::model::record::codec;

    fn session() -> Session {
        Session {
            id: SessionId::from_bits(7),
            hash: TokenHash::of("cookie"),
            token: TokenHash::of("token"),
            company: Some(Company::parse("acme").unwrap()),
            visitor: Some(Visitor {
                link: PortalLinkId::from_bits(8),
                role: Role::Read,
                domain: Some(Domain::parse("www.acme.example").unwrap()),
                language: Some("de".to_owned()),
                user: Some("Dana".to_owned()),
            }),
            begun: Timestamp::from_millis(1),
            seen: Timestamp::from_millis(2),
        }
    }

    #[test]
    fn a_session_is_stored_whole_and_an_unreadable_one_grants_nothing() {
        let read = |record: SessionRecord| codec::decode::<SessionRecord>(&codec::encode(&record)).unwrap().session();
        assert_eq!(read(SessionRecord::from(&session())), Some(session()));
        let of_token = Session { company: None, visitor: None, ..session() };
        assert_eq!(read(SessionRecord::from(&of_token)), Some(of_token));
        let spoil = |spoil: fn(&mut SessionRecord)| {
            let mut record = SessionRecord::from(&session());
            spoil(&mut record);
            read(record)
        };
        assert_eq!(spoil(|record| record.company = None), None);
        assert_eq!(spoil(|record| record.company = Some(String::new())), None);
        assert_eq!(spoil(|record| record.visitor.as_mut().unwrap().domain = Some(String::new())), None);
        assert_eq!(spoil(|record| record.visitor.as_mut().unwrap().role = "root".to_owned()), None);
    }
}

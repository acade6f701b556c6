//! A session of the page, its end, and the sign-ins at a provider that have been used.

use bincode::{Decode, Encode};

use crate::core::event::{Company, Domain};
use crate::core::id::{PortalLinkId, SessionId};
use crate::core::session::{Member, Session, SignedInBy, Visitor};
use crate::core::token::{Role, TokenHash};
use crate::model::keys;
use crate::model::record::codec::{self, Word as _, at, optional, versioned, versioned_as};
use crate::model::record::kind::{
    Class, Kind, Target, begins_no_delivery, complete_if_decoded, encoded_as_id, encoded_as_itself, kept_by_the_view,
    kept_until_oldest, not_indexed, nothing_personal,
};

/// A session; only the hash of its cookie is stored.
pub(crate) struct SessionRecord {
    session: ByToken,
    /// Who signed in at the provider. Then `session` has no token.
    member: Option<MemberRecord>,
}

/// The version of the value of a session with a member.
const WITH_MEMBER: u8 = 2;

#[derive(Encode, Decode)]
struct ByToken {
    id: u128,
    hash: [u8; 32],
    token: [u8; 32],
    company: Option<String>,
    visitor: Option<VisitorRecord>,
    begun: u64,
    seen: u64,
}

#[derive(Encode, Decode)]
struct MemberRecord {
    issuer: String,
    subject: String,
    name: String,
    group: String,
    role: String,
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
        let visitor = session.visitor().map(|visitor| VisitorRecord {
            link: visitor.link.bits(),
            role: visitor.role.word(),
            domain: visitor.domain.as_ref().map(|domain| domain.as_str().to_owned()),
            language: visitor.language.clone(),
            user: visitor.user.clone(),
        });
        let member = session.member().map(|member| MemberRecord {
            issuer: member.issuer.clone(),
            subject: member.subject.clone(),
            name: member.name.clone(),
            group: member.group.clone(),
            role: member.role.word(),
        });
        let session = ByToken {
            id: session.id.bits(),
            hash: *session.hash.bytes(),
            token: session.token().map_or([0; 32], |token| *token.bytes()),
            company: session.company.as_ref().map(|company| company.as_str().to_owned()),
            visitor,
            begun: session.begun.millis(),
            seen: session.seen.millis(),
        };
        Self { session, member }
    }
}

impl MemberRecord {
    fn member(self) -> Option<Member> {
        let Self { issuer, subject, name, group, role } = self;
        Some(Member { issuer, subject, name, group, role: Role::read(&role)? })
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
    /// The record in a value of the view.
    pub(crate) fn of_value(value: &[u8]) -> Option<Self> {
        match value.split_first()? {
            (&codec::VERSION, session) => Self::decode(KINDS[0], session),
            (&WITH_MEMBER, both) => Self::decode(KINDS[1], both),
            _ => None,
        }
    }

    fn value(&self) -> Vec<u8> {
        match &self.member {
            None => versioned(&self.session),
            Some(member) => versioned_as(WITH_MEMBER, &(&self.session, member)),
        }
    }

    pub(crate) fn session(self) -> Option<Session> {
        let Self { session, member } = self;
        let company = optional(session.company, |name| Company::parse(name).ok())?;
        let token = TokenHash::from_bytes(session.token);
        let by = match (member, session.visitor) {
            (Some(member), None) => SignedInBy::Provider(member.member()?),
            (Some(_), Some(_)) => return None,
            (None, None) => SignedInBy::Token(token),
            // A visitor without a company must not become access to all companies.
            (None, Some(_)) if company.is_none() => return None,
            (None, Some(visitor)) => SignedInBy::Link { maker: token, visitor: visitor.visitor()? },
        };
        Some(Session {
            id: SessionId::from_bits(session.id),
            hash: TokenHash::from_bytes(session.hash),
            by,
            company,
            begun: at(session.begun),
            seen: at(session.seen),
        })
    }
}

/// The kinds: without and with a member.
const KINDS: [u8; 2] = [32, 36];

impl Kind for SessionRecord {
    const NAME: &'static str = "sessions of the page";
    const CLASS: Class = Class::Other;
    const GRANTS_RIGHTS: bool = true;

    const KINDS: &'static [u8] = &KINDS;

    fn kind(&self) -> u8 {
        KINDS[usize::from(self.member.is_some())]
    }

    fn encode(&self, out: &mut Vec<u8>) {
        codec::encode_into(out, &self.session);
        if let Some(member) = &self.member {
            codec::encode_into(out, member);
        }
    }

    fn decode(kind: u8, payload: &[u8]) -> Option<Self> {
        if kind == KINDS[0] {
            return codec::decode(payload).map(|session| Self { session, member: None });
        }
        codec::decode(payload).map(|(session, member)| Self { session, member: Some(member) })
    }

    not_indexed!();
    begins_no_delivery!();

    fn decodes_fully(self, _: u128) -> bool {
        self.session().is_some()
    }

    fn apply(self, _: u128, target: Target<'_>) -> Option<Self> {
        target.view.put(keys::session(SessionId::from_bits(self.session.id)), self.value());
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

/// A sign-in at a provider has opened its session, and opens no other. Nothing of it matters after its time is up.
#[derive(Debug, Encode, Decode)]
pub(crate) struct SignInUsed {
    pub(crate) until: u64,
    pub(crate) hash: [u8; 32],
}

impl Kind for SignInUsed {
    const NAME: &'static str = "used sign-ins";
    const CLASS: Class = Class::Other;
    const GRANTS_RIGHTS: bool = false;

    encoded_as_itself!(37);
    not_indexed!();
    begins_no_delivery!();
    complete_if_decoded!();

    fn apply(self, _: u128, target: Target<'_>) -> Option<Self> {
        target.view.put(keys::sign_in(at(self.until), &TokenHash::from_bytes(self.hash)), Vec::new());
        None
    }

    kept_by_the_view!();
    nothing_personal!();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::time::Timestamp;

    fn session() -> Session {
        Session {
            id: SessionId::from_bits(7),
            hash: TokenHash::of("cookie"),
            by: SignedInBy::Link {
                maker: TokenHash::of("token"),
                visitor: Visitor {
                    link: PortalLinkId::from_bits(8),
                    role: Role::Read,
                    domain: Some(Domain::parse("www.acme.example").unwrap()),
                    language: Some("de".to_owned()),
                    user: Some("Dana".to_owned()),
                },
            },
            company: Some(Company::parse("acme").unwrap()),
            begun: Timestamp::from_millis(1),
            seen: Timestamp::from_millis(2),
        }
    }

    /// As read from the log, and the same from the view.
    fn read(record: &SessionRecord) -> Option<Session> {
        let mut payload = Vec::new();
        record.encode(&mut payload);
        let read = SessionRecord::decode(record.kind(), &payload).unwrap().session();
        assert_eq!(SessionRecord::of_value(&record.value()).unwrap().session(), read);
        read
    }

    #[test]
    fn a_session_is_stored_whole_and_an_unreadable_one_grants_nothing() {
        assert_eq!(read(&SessionRecord::from(&session())), Some(session()));
        let of_token = Session { company: None, by: SignedInBy::Token(TokenHash::of("token")), ..session() };
        assert_eq!(read(&SessionRecord::from(&of_token)), Some(of_token));
        let text = str::to_owned;
        let (issuer, subject, name) = (text("https://login.example"), text("7"), text("dana@acme.example"));
        let member = Member { issuer, subject, name, group: text("ops"), role: Role::Admin };
        let of_member = Session { company: None, by: SignedInBy::Provider(member), ..session() };
        let record = SessionRecord::from(&of_member);
        assert_eq!((record.kind(), SessionRecord::from(&session()).kind()), (36, 32));
        assert_eq!(read(&record), Some(of_member.clone()));
        let mut record = SessionRecord::from(&of_member);
        record.member.as_mut().unwrap().role = text("root");
        assert_eq!(read(&record), None);
        let spoil = |spoil: fn(&mut SessionRecord)| {
            let mut record = SessionRecord::from(&session());
            spoil(&mut record);
            read(&record)
        };
        assert_eq!(spoil(|record| record.session.company = None), None);
        assert_eq!(spoil(|record| record.session.company = Some(String::new())), None);
        assert_eq!(spoil(|record| record.session.visitor.as_mut().unwrap().domain = Some(String::new())), None);
        assert_eq!(spoil(|record| record.session.visitor.as_mut().unwrap().role = "root".to_owned()), None);
    }
}

//! Opening and ending sessions of the page; making, using and revoking portal links.
//!
//! What always holds: a link, and a sign-in at a provider, opens one session at most; with a token its sessions and links end, with a link its session;
//! and signing in often ends no session of another token or company.

use std::sync::Arc;

use crate::core::actor::Actor;
use crate::core::audit::{Action, Deed};
use crate::core::event::Company;
use crate::core::hidden::Hidden;
use crate::core::id::{PortalLinkId, SessionId};
use crate::core::portal_link::{PortalLink, PortalLinkDraft, PortalLinkText, PortalView};
use crate::core::session::{Lifetime, Member, Session, SignedInBy, Visitor};
use crate::core::time::Timestamp;
use crate::core::token::{TokenHash, TokenText};
use crate::model::audit::{self, Audited};
use crate::model::error::StoreError;
use crate::model::key::{Key, ValueKind};
use crate::model::keys;
use crate::model::lock::lock;
use crate::model::record::{PortalLinkGone, PortalLinkRecord, Record, SessionEnded, SessionRecord, SignInUsed};
use crate::model::session_ring::Sessions;
use crate::model::turn::{Turn, random_secret};

/// The maximum number of sessions that a token, or a member, was signed in with; one more ends the one idle longest.
const MOST_OF_TOKEN: usize = 100;
/// The maximum number of sessions bound to a company.
const MOST_OF_COMPANY: usize = 1_000;
/// The maximum number of sessions.
const MOST: usize = 20_000;
/// The maximum number of links of a company that are neither used nor expired.
const LINKS_OF_COMPANY: usize = 1_000;
/// The maximum number of links that are kept.
const LINKS: usize = 20_000;
/// How many that have ended by themselves are removed at once.
const REMOVED_AT_ONCE: usize = 64;

/// What became of a portal link that was presented.
#[derive(Debug)]
pub enum PortalLinkUse {
    /// It opened a session.
    Opened(Box<OpenedSession>),
    /// It has been used before.
    Used,
    /// It has expired.
    Expired,
    /// It is not known: altered, revoked, or of another store.
    Unknown,
}

/// A session just opened.
#[derive(Debug)]
pub struct OpenedSession {
    /// The session.
    pub session: Session,
    /// The value of its cookie, which is stored nowhere.
    pub cookie: Hidden,
    /// The view to show first.
    pub view: PortalView,
}

/// Somebody who came back from the provider of OpenID Connect, and is allowed in.
#[derive(Debug, Clone)]
pub struct MemberEntry {
    /// Who.
    pub member: Member,
    /// The only company that they see, if they are bound to one.
    pub company: Option<Company>,
    /// The hash of the sign-in, which opens one session at most.
    pub sign_in: TokenHash,
    /// Until when that sign-in might be used.
    pub until: Timestamp,
}

/// Opens a session for somebody who came back from the provider. Returns the value of its cookie; `None` if this sign-in
/// was used before.
pub(crate) fn open_for_member(
    turn: &mut Turn<'_>,
    actor: &Actor,
    entry: MemberEntry,
    lifetime: Lifetime,
) -> Result<Audited<Option<Hidden>>, StoreError> {
    let MemberEntry { member, company, sign_in, until } = entry;
    if turn.get(&keys::sign_in(until, &sign_in))?.is_some() {
        return Ok(Audited::nothing_done(None));
    }
    forget_old_sign_ins(turn)?;
    let (session, cookie) = new_session(turn, SignedInBy::Provider(member.clone()), company);
    let mut records = room_for(turn, &session, lifetime);
    records.push(SignInUsed { until: until.millis(), hash: *sign_in.bytes() }.into());
    records.push(of_session(&session));
    let deed = deed(Action::SessionBegin, &session).with("issuer", member.issuer).with("subject", member.subject);
    let deed = deed.with("group", member.group).with("role", member.role.as_str());
    // Only now its session is known.
    let actor =
        Actor { via: actor.via, address: actor.address, ..Actor::session(session.id.to_string(), &member.name) };
    Ok(audit::write(turn, records, &actor, deed, Some(cookie)))
}

/// Removes used sign-ins whose time is up. They are in its order.
fn forget_old_sign_ins(turn: &Turn<'_>) -> Result<(), StoreError> {
    let oldest = turn.scan(&Key::all(ValueKind::SignIn), None, REMOVED_AT_ONCE)?;
    let is_over = |key: &Key| keys::sign_in_until(key).is_none_or(|until| until <= turn.now);
    oldest.into_iter().map(|(key, _)| key).take_while(is_over).for_each(|key| turn.view.remove(key));
    Ok(())
}

/// Opens a session for a browser that signed in with `token`, which may be bound to `company`. Returns the value of its
/// cookie.
pub(crate) fn open(
    turn: &mut Turn<'_>,
    actor: &Actor,
    token: TokenHash,
    company: Option<Company>,
    lifetime: Lifetime,
) -> Audited<Hidden> {
    let (session, cookie) = new_session(turn, SignedInBy::Token(token), company);
    let mut records = room_for(turn, &session, lifetime);
    records.push(of_session(&session));
    let deed = deed(Action::SessionBegin, &session);
    audit::write(turn, records, actor, deed, cookie)
}

/// What is recorded of a session.
fn deed(action: Action, session: &Session) -> Deed {
    let domain = session.visitor().and_then(|visitor| visitor.domain.clone());
    Deed { domain, ..Deed::new(action, session.company.clone(), Some(session.id.to_string())) }
}

fn new_session(turn: &mut Turn<'_>, by: SignedInBy, company: Option<Company>) -> (Session, Hidden) {
    let cookie = Hidden::new(&TokenText::from_bytes(random_secret()).expose()[TokenText::PREFIX.len()..]);
    let id = SessionId::from_bits(turn.next_id());
    let hash = TokenHash::of(cookie.expose());
    (Session { id, hash, by, company, begun: turn.now, seen: turn.now }, cookie)
}

/// Removes sessions that are over, and the one idle longest wherever there would be too many.
fn room_for(turn: &Turn<'_>, new: &Session, lifetime: Lifetime) -> Vec<Record> {
    let (alive, over): (Vec<_>, Vec<_>) =
        sessions(turn).all().into_iter().partition(|session| session.is_alive(lifetime, turn.now));
    let mut gone: Vec<SessionId> = over.iter().map(|session| session.id).take(REMOVED_AT_ONCE).collect();
    let mut make_room = |most: usize, counted: &dyn Fn(&Session) -> bool| {
        let counted = alive.iter().filter(|session| counted(session) && !gone.contains(&session.id));
        let (count, idle) = counted.fold((0, None::<&Session>), |(count, idle), session| {
            (count + 1, Some(idle.filter(|idle| idle.seen <= session.seen).unwrap_or(session)))
        });
        gone.extend(idle.filter(|_| count >= most).map(|idle| idle.id));
    };
    match &new.by {
        SignedInBy::Token(_) => make_room(MOST_OF_TOKEN, &|session| session.by == new.by),
        SignedInBy::Provider(Member { issuer, subject, .. }) => make_room(MOST_OF_TOKEN, &|session| {
            session.member().is_some_and(|other| other.issuer == *issuer && other.subject == *subject)
        }),
        SignedInBy::Link { .. } => {}
    }
    if new.company.is_some() {
        make_room(MOST_OF_COMPANY, &|session| session.company == new.company);
    }
    make_room(MOST, &|_| true);
    gone.into_iter().map(|id| SessionEnded(id).into()).collect()
}

/// Persists the last request of a session.
pub(crate) fn touch(turn: &mut Turn<'_>, id: SessionId) {
    if let Some(session) = sessions(turn).get(id) {
        turn.write(vec![of_session(&session)]);
    }
}

/// Ends a session. From here on it is no longer found.
pub(crate) fn end(turn: &mut Turn<'_>, actor: &Actor, id: SessionId) -> Result<Audited<()>, StoreError> {
    let session = sessions(turn).get(id).ok_or(StoreError::NotFound)?;
    let deed = deed(Action::SessionEnd, &session);
    Ok(audit::write(turn, vec![SessionEnded(id).into()], actor, deed, ()))
}

/// What ends with a token: its sessions, and the links that it made with theirs.
pub(crate) fn end_of_token(turn: &Turn<'_>, token: &TokenHash) -> Vec<Record> {
    let registry = lock(turn.registry);
    let links = registry.portal_links.all().filter(|link| link.token == *token);
    let links = links.map(|link| PortalLinkGone(link.id).into());
    let sessions = registry.sessions.all().into_iter().filter(|session| session.token() == Some(token));
    links.chain(sessions.map(|session| SessionEnded(session.id).into())).collect()
}

/// Makes a link with `token`.
pub(crate) fn create_link(
    turn: &mut Turn<'_>,
    actor: &Actor,
    draft: PortalLinkDraft,
    token: TokenHash,
) -> Result<Audited<(PortalLink, PortalLinkText)>, StoreError> {
    let mut records = expired_links(turn);
    check_room(turn, &draft.company, records.len())?;
    let expires_at = turn.now.plus(draft.expires_in);
    let text = PortalLinkText::new(random_secret(), expires_at);
    let link = PortalLink {
        id: PortalLinkId::from_bits(turn.next_id()),
        hash: text.hash(),
        token,
        company: draft.company,
        role: draft.role,
        domain: draft.domain,
        view: draft.view,
        language: draft.language,
        user: draft.user,
        expires_at,
        used: false,
    };
    records.push(of_link(&link));
    let deed = of_link_deed(Action::PortalLinkCreate, &link);
    let deed = deed.with("role", link.role.as_str()).with("user", link.user.clone());
    Ok(audit::write(turn, records, actor, deed, (link, text)))
}

/// What is recorded of a link.
fn of_link_deed(action: Action, link: &PortalLink) -> Deed {
    let deed = Deed::new(action, Some(link.company.clone()), Some(link.id.to_string()));
    Deed { domain: link.domain.clone(), ..deed }
}

fn check_room(turn: &Turn<'_>, company: &Company, removed: usize) -> Result<(), StoreError> {
    let registry = lock(turn.registry);
    let links = &registry.portal_links;
    let waits = |link: &&PortalLink| link.company == *company && !link.used && !link.is_over(turn.now);
    if links.len() - removed >= LINKS {
        return Err(StoreError::Limit(format!("there are {LINKS} portal links already: they expire within minutes")));
    }
    if links.all().filter(waits).count() >= LINKS_OF_COMPANY {
        let why = format!("the company has {LINKS_OF_COMPANY} unused portal links already: they expire within minutes");
        return Err(StoreError::Limit(why));
    }
    Ok(())
}

/// Removes links that have expired.
fn expired_links(turn: &Turn<'_>) -> Vec<Record> {
    let registry = lock(turn.registry);
    let expired = registry.portal_links.all().filter(|link| link.is_over(turn.now)).take(REMOVED_AT_ONCE);
    expired.map(|link| PortalLinkGone(link.id).into()).collect()
}

/// Uses the link with this text: opens its session, if it is the first use and in time.
pub(crate) fn use_link(
    turn: &mut Turn<'_>,
    actor: &Actor,
    text: &PortalLinkText,
    lifetime: Lifetime,
) -> Audited<PortalLinkUse> {
    let found = lock(turn.registry).portal_links.find(&text.hash()).cloned();
    let link = match found {
        None if text.is_over(turn.now) => return Audited::nothing_done(PortalLinkUse::Expired),
        None => return Audited::nothing_done(PortalLinkUse::Unknown),
        Some(link) if link.used => return Audited::nothing_done(PortalLinkUse::Used),
        Some(link) if link.is_over(turn.now) => return Audited::nothing_done(PortalLinkUse::Expired),
        Some(link) => link,
    };
    let PortalLink { id, role, domain, language, user, .. } = link.clone();
    let visitor = Visitor { link: id, role, domain, language, user };
    let by = SignedInBy::Link { maker: link.token, visitor };
    let (session, cookie) = new_session(turn, by, Some(link.company.clone()));
    let mut records = room_for(turn, &session, lifetime);
    let view = link.view;
    records.push(of_link(&PortalLink { used: true, ..link }));
    records.push(of_session(&session));
    let deed = deed(Action::SessionBegin, &session).with("link", id.to_string());
    let user = session.visitor().and_then(|visitor| visitor.user.as_deref()).unwrap_or_default();
    // Only now it is known who came.
    let actor = Actor { via: actor.via, address: actor.address, ..Actor::portal(session.id.to_string(), user) };
    let opened = PortalLinkUse::Opened(Box::new(OpenedSession { session, cookie, view }));
    audit::write(turn, records, &actor, deed, opened)
}

/// Revokes a link, and ends the session that it opened.
pub(crate) fn revoke_link(turn: &mut Turn<'_>, actor: &Actor, id: PortalLinkId) -> Result<Audited<()>, StoreError> {
    let link = lock(turn.registry).portal_links.get(id.bits()).cloned();
    let known = link.is_some();
    let sessions = sessions(turn).all();
    let came_by = |session: &&Session| session.visitor().is_some_and(|visitor| visitor.link == id);
    let opened = sessions.iter().find(came_by);
    let company = link.as_ref().map(|link| link.company.clone());
    let company = company.or_else(|| opened.and_then(|session| session.company.clone()));
    let domain = opened.and_then(Session::visitor).and_then(|visitor| visitor.domain.clone());
    let domain = link.and_then(|link| link.domain).or(domain);
    let mut records: Vec<Record> =
        sessions.iter().filter(came_by).map(|session| SessionEnded(session.id).into()).collect();
    if !known && records.is_empty() {
        return Err(StoreError::NotFound);
    }
    records.extend(known.then(|| Record::from(PortalLinkGone(id))));
    let deed = Deed { domain, ..Deed::new(Action::PortalLinkRevoke, company, Some(id.to_string())) };
    Ok(audit::write(turn, records, actor, deed, ()))
}

fn of_session(session: &Session) -> Record {
    Record::from(Box::new(SessionRecord::from(session)))
}

fn of_link(link: &PortalLink) -> Record {
    Record::from(Box::new(PortalLinkRecord::from(link)))
}

fn sessions(turn: &Turn<'_>) -> Arc<Sessions> {
    lock(turn.registry).sessions.clone()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::json;
    use crate::core::token::{Role, TokenDraft};
    use crate::model::in_memory::{InMemory, anyone};
    use crate::model::tokens;

    const LIFETIME: Lifetime = Lifetime { idle: Duration::from_secs(600), total: Duration::from_secs(6_000) };

    fn company(name: &str) -> Company {
        Company::parse(name).unwrap()
    }

    fn link(engine: &mut InMemory, settings: &str, token: &str) -> Result<(PortalLink, PortalLinkText), StoreError> {
        let draft = PortalLinkDraft::from_json(json::parse(settings).unwrap()).unwrap();
        engine.decide(|turn| create_link(turn, &anyone(), draft, TokenHash::of(token))).0.map(Audited::answer)
    }

    fn used(engine: &mut InMemory, text: &PortalLinkText) -> PortalLinkUse {
        engine.decide(|turn| use_link(turn, &anyone(), text, LIFETIME)).0.answer()
    }

    fn opened(engine: &mut InMemory, text: &PortalLinkText) -> OpenedSession {
        match used(engine, text) {
            PortalLinkUse::Opened(opened) => *opened,
            other => panic!("{other:?}"),
        }
    }

    fn open_one(engine: &mut InMemory, token: &str, of: Option<&str>) -> TokenHash {
        let (token, of) = (TokenHash::of(token), of.map(company));
        TokenHash::of(engine.decide(|turn| open(turn, &anyone(), token, of, LIFETIME)).0.answer().expose())
    }

    fn lives(engine: &InMemory, cookie: &TokenHash) -> bool {
        lock(&engine.registry).sessions.find(cookie, LIFETIME, engine.now).is_some()
    }

    fn count(engine: &InMemory) -> usize {
        lock(&engine.registry).sessions.all().len()
    }

    #[test]
    fn a_link_opens_one_session_with_what_it_says() {
        let mut engine = InMemory::new();
        let settings = r#"{"company":"acme","role":"read","domain":"www.acme.example","view":"logs","user":"Dana"}"#;
        let (link, text) = link(&mut engine, settings, "t").unwrap();
        let OpenedSession { session, cookie, view } = opened(&mut engine, &text);
        assert_eq!((session.company.as_ref().unwrap().as_str(), view), ("acme", PortalView::Logs));
        let visitor = session.visitor().unwrap();
        assert_eq!((visitor.link, visitor.role, visitor.user.as_deref()), (link.id, Role::Read, Some("Dana")));
        assert_eq!(visitor.domain.as_ref().unwrap().as_str(), "www.acme.example");
        assert!(lives(&engine, &TokenHash::of(cookie.expose())));
        assert!(matches!(used(&mut engine, &text), PortalLinkUse::Used));
        assert_eq!(count(&engine), 1);
    }

    #[test]
    fn a_link_that_is_late_or_altered_opens_nothing() {
        let mut engine = InMemory::new();
        let (_, text) = link(&mut engine, r#"{"company":"acme","expires_in":"1m"}"#, "t").unwrap();
        let altered = text.expose().replacen(&text.expose()[4..6], "--", 1);
        let altered = PortalLinkText::parse(&altered).unwrap();
        assert!(matches!(used(&mut engine, &altered), PortalLinkUse::Unknown));
        let begun = engine.now;
        engine.now = begun.plus(Duration::from_secs(60));
        assert!(matches!(used(&mut engine, &text), PortalLinkUse::Expired));
        // Making another removes it, and it still says what it was.
        engine.now = begun.plus(Duration::from_secs(62));
        link(&mut engine, r#"{"company":"acme"}"#, "t").unwrap();
        assert_eq!(lock(&engine.registry).portal_links.len(), 1);
        assert!(matches!(used(&mut engine, &text), PortalLinkUse::Expired));
        assert_eq!(count(&engine), 0);
    }

    #[test]
    fn with_a_token_or_a_link_end_their_sessions_and_no_others() {
        let mut engine = InMemory::new();
        let draft = |role| TokenDraft { role, company: None, description: String::new(), expires_at: None };
        let (token, text) =
            engine.decide(|turn| tokens::create(turn, &anyone(), draft(Role::Admin))).0.unwrap().answer();
        let of_token = open_one(&mut engine, text.expose(), None);
        let of_other = open_one(&mut engine, "other", None);
        let (one, one_text) = link(&mut engine, r#"{"company":"acme"}"#, text.expose()).unwrap();
        let (_, unused) = link(&mut engine, r#"{"company":"acme"}"#, text.expose()).unwrap();
        let (_, others) = link(&mut engine, r#"{"company":"acme"}"#, "other").unwrap();
        let by_link = |opened: OpenedSession| TokenHash::of(opened.cookie.expose());
        let of_link = by_link(opened(&mut engine, &one_text));
        assert!(engine.decide(|turn| revoke_link(turn, &anyone(), one.id)).0.is_ok());
        assert!(!lives(&engine, &of_link) && lives(&engine, &of_token));
        assert!(matches!(used(&mut engine, &one_text), PortalLinkUse::Unknown));
        let again = engine.decide(|turn| revoke_link(turn, &anyone(), one.id)).0;
        assert_eq!(again.err(), Some(StoreError::NotFound));
        engine.decide(|turn| tokens::revoke(turn, &anyone(), token.id)).0.unwrap();
        assert!(!lives(&engine, &of_token) && lives(&engine, &of_other));
        assert!(matches!(used(&mut engine, &unused), PortalLinkUse::Unknown));
        let of_other_link = by_link(opened(&mut engine, &others));
        assert!(lives(&engine, &of_other_link));
    }

    #[test]
    fn signing_in_often_evicts_only_sessions_of_the_same_token_or_company() {
        let mut engine = InMemory::new();
        let admin = open_one(&mut engine, "admin", None);
        let first = open_one(&mut engine, "t", None);
        let later = |engine: &mut InMemory| engine.now = engine.now.plus(Duration::from_millis(1));
        for _ in 0..MOST_OF_TOKEN {
            later(&mut engine);
            open_one(&mut engine, "t", None);
        }
        assert!(!lives(&engine, &first) && lives(&engine, &admin), "the one idle longest goes");
        assert_eq!(count(&engine), MOST_OF_TOKEN + 1);
        let other = open_one(&mut engine, "other", Some("b"));
        for number in 0..=MOST_OF_COMPANY {
            later(&mut engine);
            open_one(&mut engine, &number.to_string(), Some("a"));
        }
        assert_eq!(count(&engine), MOST_OF_TOKEN + MOST_OF_COMPANY + 2);
        assert!(lives(&engine, &other));
        // Those that are over make room by themselves.
        engine.now = engine.now.plus(LIFETIME.idle);
        for _ in 0..MOST_OF_COMPANY / REMOVED_AT_ONCE + 3 {
            open_one(&mut engine, "t", None);
        }
        assert!(count(&engine) < 30, "{}", count(&engine));
    }

    fn entry(engine: &InMemory, subject: &str, sign_in: &str) -> MemberEntry {
        let text = str::to_owned;
        let (issuer, subject, name) = (text("https://login.example"), text(subject), text("dana@acme.example"));
        let member = Member { issuer, subject, name, group: text("ops"), role: Role::Admin };
        let until = engine.now.plus(Duration::from_secs(600));
        MemberEntry { member, company: None, sign_in: TokenHash::of(sign_in), until }
    }

    fn came_back(engine: &mut InMemory, entry: &MemberEntry) -> Option<TokenHash> {
        let opened = engine.decide(|turn| open_for_member(turn, &anyone(), entry.clone(), LIFETIME)).0;
        opened.unwrap().answer().map(|cookie| TokenHash::of(cookie.expose()))
    }

    #[test]
    fn a_sign_in_at_the_provider_opens_one_session_even_when_that_has_ended() {
        let mut engine = InMemory::new();
        let first = entry(&engine, "7", "a");
        let cookie = came_back(&mut engine, &first).unwrap();
        assert!(lives(&engine, &cookie) && came_back(&mut engine, &first).is_none());
        let id = lock(&engine.registry).sessions.all()[0].id;
        engine.decide(|turn| end(turn, &anyone(), id)).0.unwrap();
        assert!(came_back(&mut engine, &first).is_none() && count(&engine) == 0);
        // What is remembered goes when its time is up: nobody comes back with it any more.
        engine.now = engine.now.plus(Duration::from_secs(600));
        let second = entry(&engine, "7", "b");
        came_back(&mut engine, &second).unwrap();
        let left = engine.view.all();
        let left: Vec<_> = left.keys().filter(|key| key.kind() == ValueKind::SignIn).cloned().collect();
        assert_eq!(left, [keys::sign_in(second.until, &second.sign_in)]);
    }

    #[test]
    fn signing_in_often_at_the_provider_evicts_only_sessions_of_the_same_member() {
        let mut engine = InMemory::new();
        let (admin, other) = (open_one(&mut engine, "admin", None), entry(&engine, "8", "other"));
        let other = came_back(&mut engine, &other).unwrap();
        let mut all = Vec::new();
        for number in 0..=MOST_OF_TOKEN {
            engine.now = engine.now.plus(Duration::from_millis(1));
            let entry = entry(&engine, "7", &number.to_string());
            all.push(came_back(&mut engine, &entry).unwrap());
        }
        assert!(!lives(&engine, &all[0]) && lives(&engine, &all[1]), "the one idle longest goes");
        assert!(lives(&engine, &admin) && lives(&engine, &other));
    }

    #[test]
    fn the_number_of_links_is_bounded() {
        let mut engine = InMemory::new();
        for _ in 0..LINKS_OF_COMPANY {
            link(&mut engine, r#"{"company":"acme"}"#, "t").unwrap();
        }
        let full = link(&mut engine, r#"{"company":"acme"}"#, "t").unwrap_err().to_string();
        assert!(full.contains("1000 unused portal links"), "{full}");
        link(&mut engine, r#"{"company":"other"}"#, "t").unwrap();
        engine.now = engine.now.plus(Duration::from_secs(3_600));
        link(&mut engine, r#"{"company":"acme"}"#, "t").unwrap();
    }
}

//! Sessions and portal links as they were first stored: later builds must read them.
//!
//! `cargo test --lib store::tests::frozen_sessions -- --ignored` wrote `tests/frozen/sessions/` and, when sessions of members
//! came, `tests/frozen/members/`. A new version of one of these records gets a directory of its own.

use std::fs;

use serde_json::{Value, json};

use super::*;
use crate::core::portal_link::{PortalLinkDraft, PortalLinkText};
use crate::core::seal::Keyring;
use crate::core::session::{Lifetime, Member};
use crate::core::time::Timestamp;
use crate::core::token::{Role, TokenHash};

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen/sessions")
}

fn members() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen/members")
}

fn member(name: &str) -> MemberEntry {
    let text = str::to_owned;
    let (issuer, subject, group) = (text("https://login.example/realms/x"), text("u-7"), text("büro"));
    MemberEntry {
        member: Member { issuer, subject, name: text(name), group, role: Role::Read },
        company: Some(Company::parse("Büro 電話").unwrap()),
        sign_in: TokenHash::of("a sign-in"),
        until: Timestamp::from_millis(4_000_000_000_000),
    }
}

/// Longer than the years until this is read.
const LIFETIME: Lifetime = Lifetime { idle: Duration::from_secs(1 << 32), total: Duration::from_secs(1 << 32) };

const LINK: &str = r#"{"company":"Büro 電話","role":"read","domain":"www.acme.example","view":"logs","language":"de",
    "user":"Zoë","expires_in":"15m"}"#;

#[test]
#[ignore = "writes tests/frozen/sessions anew"]
fn write_the_frozen_sessions() {
    drop(fs::remove_dir_all(root()));
    fs::create_dir_all(root().join("data")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open(dir.path());
    let maker = TokenHash::of("the token");
    let cookie = ask(|reply| store.by(anyone()).open_session(maker, None, LIFETIME, reply)).unwrap();
    let link = || {
        let draft = PortalLinkDraft::from_json(json::parse(LINK).unwrap()).unwrap();
        ask(|reply| store.by(anyone()).create_portal_link(draft, maker, reply)).unwrap().1
    };
    let (used, unused) = (link(), link());
    let PortalLinkUse::Opened(visitor) =
        ask(|reply| store.by(anyone()).use_portal_link(used.clone(), LIFETIME, reply)).unwrap()
    else {
        panic!("the link was not used")
    };
    let facts = json!({"cookie": cookie.expose(), "visitor": visitor.cookie.expose(), "used": used.expose(),
        "unused": unused.expose()});
    // As a kill leaves it: the state is behind the log.
    copy_dir(dir.path(), &root().join("data"));
    fs::write(root().join("facts.json"), serde_json::to_string_pretty(&facts).unwrap() + "\n").unwrap();
    drop(store);
    running.stop();
    drop(fs::remove_dir(root().join("data/state/blobs")));
}

#[test]
#[ignore = "writes tests/frozen/members anew"]
fn write_the_frozen_members() {
    drop(fs::remove_dir_all(members()));
    fs::create_dir_all(members().join("data")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let Open { store, running, .. } = open(dir.path());
    let entry = member("Zoë");
    let cookie = ask(|reply| store.by(anyone()).open_member_session(entry, LIFETIME, reply)).unwrap().unwrap();
    copy_dir(dir.path(), &members().join("data"));
    let facts = json!({"cookie": cookie.expose()});
    fs::write(members().join("facts.json"), serde_json::to_string_pretty(&facts).unwrap() + "\n").unwrap();
    drop(store);
    running.stop();
    drop(fs::remove_dir(members().join("data/state/blobs")));
}

#[test]
fn the_frozen_members_are_read() {
    let facts: Value = serde_json::from_str(&fs::read_to_string(members().join("facts.json")).unwrap()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    copy_dir(&members().join("data"), dir.path());
    let unstarted = Store::open(dir.path(), settings(), Keyring::default(), NOW).unwrap_or_else(|why| panic!("{why}"));
    let store = unstarted.store().clone();
    let running = unstarted.start(|| NOW, |_, _| (), |why| panic!("{why}")).unwrap();
    let hash = TokenHash::of(facts["cookie"].as_str().unwrap());
    let session = store.find_session(&hash, LIFETIME, NOW).unwrap();
    let wanted = member("Zoë");
    assert_eq!((session.member(), session.company.as_ref()), (Some(&wanted.member), wanted.company.as_ref()));
    let again = ask(|reply| store.by(anyone()).open_member_session(wanted, LIFETIME, reply)).unwrap();
    assert!(again.is_none(), "its sign-in was used");
    drop(store);
    running.stop();
}

#[test]
fn the_frozen_sessions_are_read() {
    let facts: Value = serde_json::from_str(&fs::read_to_string(root().join("facts.json")).unwrap()).unwrap();
    let text = |name: &str| facts[name].as_str().unwrap();
    let dir = tempfile::tempdir().unwrap();
    copy_dir(&root().join("data"), dir.path());
    let unstarted = Store::open(dir.path(), settings(), Keyring::default(), NOW).unwrap_or_else(|why| panic!("{why}"));
    let store = unstarted.store().clone();
    let running = unstarted.start(|| NOW, |_, _| (), |why| panic!("{why}")).unwrap();
    let find = |name: &str| store.find_session(&TokenHash::of(text(name)), LIFETIME, NOW).unwrap();
    assert_eq!(find("cookie").token(), Some(&TokenHash::of("the token")));
    let visitor = find("visitor");
    assert_eq!(visitor.company.as_ref().unwrap().as_str(), "Büro 電話");
    let visitor = visitor.visitor().unwrap();
    assert_eq!((visitor.role, visitor.domain.as_ref().unwrap().as_str()), (Role::Read, "www.acme.example"));
    assert_eq!((visitor.language.as_deref(), visitor.user.as_deref()), (Some("de"), Some("Zoë")));
    let used = |name: &str| {
        let link = PortalLinkText::parse(text(name)).unwrap();
        ask(|reply| store.by(anyone()).use_portal_link(link, LIFETIME, reply)).unwrap()
    };
    assert!(matches!(used("used"), PortalLinkUse::Used));
    assert!(matches!(used("unused"), PortalLinkUse::Opened(_)));
    drop(store);
    running.stop();
}

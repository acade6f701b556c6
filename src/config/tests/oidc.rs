//! `[page.oidc]`: what belongs together, and every bad combination by its name.

use super::*;
use crate::core::oidc::Rule;
use crate::core::token::Role;

const PAGE: &str = "[page]\nurl = 'https://hooks.example'\n";
const OIDC: &str =
    "[page.oidc]\nissuer = 'https://login.example/realms/x'\nclient_id = 'hooks'\nclient_secret = 'hunter2'\n";
const ALLOW: &str = "[[page.oidc.allow]]\ngroup = 'ops'\nrole = 'admin'\n";

fn all() -> String {
    format!("{PAGE}{OIDC}{ALLOW}[[page.oidc.allow]]\ngroup = 'acme'\nrole = 'read'\ncompany = 'acme'\n")
}

fn refused(text: &str) -> Vec<String> {
    let lines = faults(text, &[], Overrides::default());
    assert!(lines.iter().all(|line| !line.contains("hunter2")), "{lines:?}");
    lines
}

#[test]
fn a_provider_is_configured_with_its_rules_in_order() {
    let oidc = loaded(&all(), &[], Overrides::default()).page.oidc.unwrap();
    assert_eq!((oidc.name.as_str(), oidc.client_id.as_str()), ("login.example", "hooks"));
    assert_eq!(oidc.callback, "https://hooks.example/oidc/callback");
    assert_eq!(
        (oidc.allowed.issuer.as_str(), oidc.groups_claim.as_str()),
        ("https://login.example/realms/x", "groups")
    );
    assert_eq!(oidc.scopes, ["email", "profile"], "`openid` is asked for in any case");
    let company = crate::core::event::Company::parse("acme").unwrap();
    let rule = |group: &str, role, company| Rule { group: group.to_owned(), role, company };
    assert_eq!(oidc.allowed.rules, [rule("ops", Role::Admin, None), rule("acme", Role::Read, Some(company))]);
    assert!(!format!("{oidc:?}").contains("hunter2"), "{oidc:?}");
    let by_file = all().replace("client_secret = 'hunter2'", "client_secret_file = '/etc/s'");
    let oidc = loaded(&by_file, &[], Overrides::default()).page.oidc.unwrap();
    assert_eq!(oidc.secret, SecretSource::File("/etc/s".into()));
    let by_neither = all().replace("client_secret = 'hunter2'", "name = 'Example Login'");
    let oidc = loaded(&by_neither, &[], Overrides::default()).page.oidc.unwrap();
    assert_eq!((oidc.secret, oidc.name.as_str()), (SecretSource::Credential, "Example Login"));
    let env = [("HOOKSWITCH_PAGE__OIDC__CLIENT_ID", "other")];
    assert_eq!(loaded(&all(), &env, Overrides::default()).page.oidc.unwrap().client_id, "other");
    assert_eq!(loaded("", &[], Overrides::default()).page.oidc, None);
}

#[test]
fn what_is_missing_is_named_with_what_it_is() {
    for (text, key, wanted) in [
        (format!("{OIDC}{ALLOW}"), "page.url", "must be given with [page.oidc]: browsers come back"),
        (format!("{PAGE}{OIDC}"), "page.oidc.allow", "must have 1 to 1000 rules, each a `[[page.oidc.allow]]`"),
        (all().replace("client_id = 'hooks'\n", ""), "page.oidc.client_id", "must be given with `issuer`"),
        (format!("{PAGE}{ALLOW}"), "page.oidc.issuer", "must be given with the other keys"),
        (all().replace("issuer = 'https://login.example/realms/x'\n", ""), "page.oidc.issuer", "must be given with"),
        (all().replacen("role = 'admin'\n", "", 1), "page.oidc.allow[0].role", "must be given"),
    ] {
        let lines = refused(&text);
        assert!(lines.len() == 1 && lines[0].starts_with(key) && lines[0].contains(wanted), "{key}: {lines:?}");
    }
}

#[test]
fn what_does_not_fit_is_named_with_what_would() {
    for (from, to, key, wanted) in [
        ("https://login.example/realms/x", "http://login.example", "page.oidc.issuer", "must begin with https"),
        ("https://login.example/realms/x", "http://10.0.0.7", "page.oidc.issuer", "must begin with https"),
        ("https://login.example/realms/x", "login.example", "page.oidc.issuer", "must be a URL without user"),
        ("https://login.example/realms/x", "https://user@a.example", "page.oidc.issuer", "must be a URL without"),
        ("https://login.example/realms/x", "https://a.example/?x", "page.oidc.issuer", "must be a URL without user"),
        ("client_id = 'hooks'", "client_id = ''", "page.oidc.client_id", "visible ASCII"),
        ("'hunter2'", "'hunter2 '", "page.oidc.client_secret", "visible ASCII"),
        ("'hunter2'", "'hunter2'\nclient_secret_file = '/x'", "page.oidc.client_secret_file", "only one of them"),
        ("'hunter2'", "'hunter2'\nname = ''", "page.oidc.name", "1 to 40 characters"),
        ("'hunter2'", "'hunter2'\nscopes = ['a b']", "page.oidc.scopes[0]", "must be one scope"),
        ("'hunter2'", "'hunter2'\ngroups_claim = ''", "page.oidc.groups_claim", "the name of a claim"),
        ("'hunter2'", "'hunter2'\ngroup_claim = 'x'", "page.oidc.group_claim", "is not a key; known here are `issuer`"),
        ("role = 'read'", "role = 'ingest'", "page.oidc.allow[1].role", "must be `read` or `admin`"),
        ("company = 'acme'", "company = ''", "page.oidc.allow[1].company", "must have"),
        ("company = 'acme'", "domain = 'a'", "page.oidc.allow[1].domain", "is not a key"),
        ("group = 'acme'", "group = 'ops'", "page.oidc.allow[1].group", "is there twice"),
        ("group = 'acme'", "group = ''", "page.oidc.allow[1].group", "characters on one line"),
    ] {
        assert!(all().contains(from), "{from}");
        let text = all().replace(from, to);
        let error = refused(&text);
        assert!(error.len() == 1 && error[0].starts_with(key) && error[0].contains(wanted), "{key}: {error:?}");
    }
}

#[test]
fn an_issuer_on_this_machine_may_be_plain_and_one_inside_may_be_private() {
    for issuer in ["http://127.0.0.1:8080/x", "http://localhost:8080", "https://10.0.0.7/", "https://login.intranet"] {
        let text = all().replace("https://login.example/realms/x", issuer);
        assert_eq!(loaded(&text, &[], Overrides::default()).page.oidc.unwrap().allowed.issuer, issuer);
    }
}

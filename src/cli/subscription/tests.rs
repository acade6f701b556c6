use super::*;
use crate::cli::probe::HeaderArg;

#[test]
fn only_a_clear_yes_is_one() {
    for (answer, wanted) in
        [("y\n", true), ("YES\n", true), ("\n", false), ("", false), ("no\n", false), ("yy\n", false)]
    {
        let mut prompt = Vec::new();
        assert_eq!(confirmed("Remove? ", &mut answer.as_bytes(), &mut prompt).unwrap(), wanted, "{answer:?}");
        assert_eq!(prompt, b"Remove? ");
    }
}

fn edit(headers: &[&str], remove: &[&str]) -> Edit {
    Edit {
        id: "sub_1".to_owned(),
        new_url: None,
        events: None,
        remove_header: remove.iter().map(|name| (*name).to_owned()).collect(),
        json: false,
        settings: Settings::with_headers(headers.iter().map(|text| HeaderArg::parse(text).unwrap()).collect()),
    }
}

#[test]
fn a_change_of_one_header_keeps_the_others() {
    let current = json!({"headers": {"X-Key": null, "X-Other": null}});
    let changed = edit(&["x-key: new", "X-More: m"], &[]).headers(&current).unwrap();
    assert_eq!(Value::Object(changed), json!({"x-key": "new", "X-More": "m", "X-Other": null}));
    let removed = edit(&[], &["x-other"]).headers(&current).unwrap();
    assert_eq!(Value::Object(removed), json!({"X-Key": null}));
    assert!(edit(&[], &["X-None"]).headers(&current).is_err());
}

#[test]
fn a_subscription_is_shown_by_line_without_unset_members() {
    let reply =
        r#"{"id":"sub_1","domain":null,"events":["call.new"],"headers":{},"url":"http://a/\u001b","timeout_ms":500}"#;
    let mut out = Vec::new();
    write_members(reply, &mut out).unwrap();
    let wanted = "id               sub_1\nevents           [ \"call.new\" ]\nurl              http://a/\\u{1b}\ntimeout_ms       500\n";
    assert_eq!(String::from_utf8(out).unwrap(), wanted);
}

#[test]
fn of_a_client_certificate_it_is_shown_until_when_it_is_good() {
    let mut params = rcgen::CertificateParams::new(vec!["hookswitch".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2026, 12, 31);
    let pem = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem();
    let shown = |pem: &str| {
        let mut out = Vec::new();
        write_members(&json!({"client_cert": pem}).to_string(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    assert_eq!(shown(&pem), "client_cert      good until 2026-12-31T00:00:00.000Z\n");
    assert_eq!(shown("rubbish"), "client_cert      cannot be read\n");
}

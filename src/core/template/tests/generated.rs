//! Templates put together at random: none panics, runs for ever, makes what is not of its content type, or says in its
//! fault what an event holds.
//!
//! `PROPTEST_CASES=1000000 cargo test --lib core::template::tests::generated` runs as many of each.

use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;

use super::*;
use crate::core::template::syntax::{LIST_FILTERS, SCALAR_FILTERS};

/// With a text and a number that occur nowhere else.
const DATA: &str = r#"{"call_id":"c","a":1.50,"n":7031990,"s":"canary \"x\" %H","t":"2026-11-23T09:30:00Z","null":null,
    "list":[1,[2,{"b":null}],"canary"],"conversation":[{"direction":"inbound","body":"canary"},3],"phone":"+12025550143"}"#;
const CANARIES: [&str; 2] = ["canary", "7031990"];

fn cases() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: config.cases.max(2_000), ..config }
}

/// Tokens and bytes in any order: most of it is no template.
fn strung_together() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("{{ data.a }}".to_owned()),
        Just("{{ data|items|list|tojson }}".to_owned()),
        Just("{% for x in data.list %}".to_owned()),
        Just("{% endfor %}".to_owned()),
        Just("{% if data.a > 1 %}".to_owned()),
        Just("{% else %}{% endif %}".to_owned()),
        Just("{% set t %}".to_owned()),
        Just("{% endset %}".to_owned()),
        Just("{% macro m(x) %}{{ m(x) }}{% endmacro %}{{ m(1) }}".to_owned()),
        Just("{{ range(99999999)|list|length }}".to_owned()),
        Just("{{ ('x' * 9999)|list|join('y' * 999) }}".to_owned()),
        Just("{{ data.a|time(data.s, data.s) }}".to_owned()),
        Just("{{ [1] * 99999999 }}{{ {'a': data}|pprint }}".to_owned()),
        Just("\"".to_owned()),
        Just("{".to_owned()),
        "[ -~]{0,12}",
        "\\PC{0,6}",
        "[a-z]{1,8}".prop_map(|name| format!("{{{{ data.s|{name} }}}}")),
    ];
    proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

fn one_of(words: &'static [&'static str]) -> BoxedStrategy<String> {
    proptest::sample::select(words).prop_map(str::to_owned).boxed()
}

/// An expression by the grammar: most of them compile, and many have a value.
fn expression() -> BoxedStrategy<String> {
    let leaf = one_of(&[
        "data",
        "data.a",
        "data.n",
        "data.s",
        "data.t",
        "data.list",
        "data.none",
        "data.none.deep",
        "data.null",
        "data.phone",
        "data.conversation",
        "type",
        "timestamp",
        "domain",
        "query",
        "query.x",
        "x",
        "loop.index",
        "0",
        "1",
        "-3",
        "1.5",
        "1e308",
        "99999999999999999999",
        "'x'",
        "'%H:%M'",
        "'Europe/Berlin'",
        "''",
        "true",
        "none",
        "[]",
        "['a', data.s, 1]",
        "range(3)",
        "range(99999)",
    ]);
    leaf.prop_recursive(4, 24, 3, |inner| {
        let argument = prop_oneof![3 => Just(String::new()), 1 => inner.clone()];
        let filters = [&SCALAR_FILTERS[..], &LIST_FILTERS[..]].concat();
        let operator = one_of(&[
            "+", "-", "*", "/", "//", "%", "**", "~", "and", "or", "==", "!=", "<", "<=", ">", ">=", "in", "not in",
        ]);
        let test = one_of(&["defined", "none", "number", "string", "sequence", "mapping", "time",
            "timezone", "divisibleby(0)", "odd"]);
        prop_oneof![
            3 => (inner.clone(), proptest::sample::select(filters), argument)
                .prop_map(|(value, filter, argument)| format!("({value})|{filter}({argument})")),
            2 => (inner.clone(), operator, inner.clone()).prop_map(|(left, op, right)| format!("({left} {op} {right})")),
            1 => (inner.clone(), test).prop_map(|(value, test)| format!("({value} is {test})")),
            1 => (inner.clone(), inner.clone()).prop_map(|(of, at)| format!("({of})[{at}]")),
            1 => (inner.clone(), inner.clone()).prop_map(|(of, at)| format!("({of})[{at}:]")),
            1 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} if {b} else {c})")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{{a}: {b}}}")),
            1 => inner.clone().prop_map(|value| format!("(not {value})")),
            1 => inner.prop_map(|value| format!("({value}).b")),
        ]
    })
    .boxed()
}

/// A template by the grammar.
fn by_the_grammar() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        4 => expression().prop_map(|value| format!("{{{{ {value} }}}}")),
        2 => expression().prop_map(|value| format!("\"{{{{ {value} }}}}\"")),
        1 => expression().prop_map(|value| format!("{{% set x = {value} %}}")),
        1 => one_of(&["\"", "[", "]", ",", "{\"a\":", "}", " ", "1", "\\", "é", "{# #}"]),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|all| all.concat()),
            (expression(), inner.clone(), inner.clone())
                .prop_map(|(test, a, b)| format!("{{% if {test} %}}{a}{{% else %}}{b}{{% endif %}}")),
            (expression(), inner.clone()).prop_map(|(all, body)| format!("{{% for x in {all} %}}{body}{{% endfor %}}")),
            inner.clone().prop_map(|body| format!("{{% set x %}}{body}{{% endset %}}{{{{ x }}}}")),
            (proptest::sample::select(&SCALAR_FILTERS[..]), inner.clone())
                .prop_map(|(name, body)| format!("{{% filter {name} %}}{body}{{% endfilter %}}")),
            (expression(), inner.clone())
                .prop_map(|(value, body)| format!("{{% macro m(x) %}}{body}{{% endmacro %}}{{{{ m({value}) }}}}")),
            (expression(), inner).prop_map(|(value, body)| format!("{{% with x = {value} %}}{body}{{% endwith %}}")),
        ]
    })
    .boxed()
}

fn sources() -> impl Strategy<Value = String> {
    prop_oneof![3 => by_the_grammar(), 1 => strung_together()]
}

fn is_well_formed(content_type: &str, bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    bytes.len() <= OUTPUT_MOST && (content_type != CONTENT_TYPE || json::parse(text).is_ok())
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn no_template_panics_or_makes_what_is_no_json(source in sources()) {
        let event = event(DATA);
        for content_type in [CONTENT_TYPE, "text/plain", "application/x-www-form-urlencoded"] {
            let template = Template::new(&source, content_type);
            let checked = template.check();
            match template.render(&event, "http://a.example/?x=y") {
                Ok(bytes) => prop_assert!(is_well_formed(content_type, &bytes), "{source}"),
                Err(fault) => {
                    prop_assert!(!fault.detail.is_empty() && fault.detail.chars().count() < 600, "{fault}");
                    let shown = CANARIES.iter().find(|canary| fault.detail.contains(**canary));
                    prop_assert!(shown.is_none(), "{source}: it shows what the event holds: {fault}");
                }
            }
            prop_assert!(checked.is_ok() || checked.is_err_and(|fault| !fault.detail.is_empty()));
        }
    }
}

/// The grammar is worth its name: a good part of what it makes has a result.
#[test]
fn what_the_grammar_makes_is_often_rendered() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let event = event(DATA);
    let mut rendered = 0;
    for _ in 0..300 {
        let source = by_the_grammar().new_tree(&mut runner).unwrap().current();
        rendered += usize::from(Template::new(&source, "text/plain").render(&event, "").is_ok());
    }
    assert!(rendered > 60, "{rendered} of 300");
}

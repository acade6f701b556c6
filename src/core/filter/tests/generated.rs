//! Expressions put together at random: none panics or runs for ever; one that fails lets the event through, and says
//! nothing of what it holds.
//!
//! `PROPTEST_CASES=1000000 cargo test --lib core::filter::tests::generated` runs as many.

use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;

use super::*;

fn cases() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: config.cases.max(5_000), ..config }
}

fn one_of(words: &'static [&'static str]) -> BoxedStrategy<String> {
    proptest::sample::select(words).prop_map(str::to_owned).boxed()
}

/// Tokens in any order: most of it is no expression.
fn strung_together() -> BoxedStrategy<String> {
    let token = one_of(&[
        "data.tags",
        "data.lead.name",
        "data.none",
        "data",
        " and ",
        " or ",
        " not ",
        " in ",
        " == ",
        " < ",
        "(",
        ")",
        "[",
        "]",
        ",",
        "|int",
        "|length",
        "[0]",
        "-",
        " ** ",
        " // ",
        " ~ ",
        "99999999999",
        "1e300",
        "'x'",
        " if ",
        " else ",
        "|last",
        " is defined",
    ]);
    let token = prop_oneof![9 => token, 1 => "\\PC{0,8}"];
    proptest::collection::vec(token, 0..24).prop_map(|parts| parts.concat()).boxed()
}

/// An expression by the grammar.
fn by_the_grammar() -> BoxedStrategy<String> {
    let leaf = one_of(&[
        "data",
        "data.tags",
        "data.lead",
        "data.lead.name",
        "data['lead']",
        "data.none",
        "data.none.deep",
        "data.null",
        "data.yes",
        "data.n",
        "data.big",
        "type",
        "id",
        "timestamp",
        "domain",
        "company",
        "source",
        "0",
        "-1",
        "7",
        "1.5",
        "1e300",
        "99999999999999999999",
        "'x'",
        "''",
        "'canary'",
        "true",
        "none",
        "[]",
        "['a', 1, data.n]",
    ]);
    leaf.prop_recursive(5, 32, 3, |inner| {
        let operator = one_of(&[
            "+", "-", "*", "/", "//", "%", "**", "~", "and", "or", "==", "!=", "<", "<=", ">", ">=", "in", "not in",
        ]);
        let filter = one_of(&[
            "abs", "count", "default(1)", "d('x')", "first", "float", "int", "int(7)", "last", "length", "lower", "string", "trim",
            "upper",
        ]);
        let test = one_of(&["defined", "undefined", "none", "number", "string", "startingwith 'c'", "endingwith data.n"]);
        prop_oneof![
            3 => (inner.clone(), operator, inner.clone()).prop_map(|(left, op, right)| format!("({left} {op} {right})")),
            2 => (inner.clone(), filter).prop_map(|(value, filter)| format!("({value})|{filter}")),
            1 => (inner.clone(), test).prop_map(|(value, test)| format!("({value} is {test})")),
            1 => (inner.clone(), inner.clone()).prop_map(|(of, at)| format!("({of})[{at}]")),
            1 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} if {b} else {c})")),
            1 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} < {b} <= {c})")),
            1 => inner.prop_map(|value| format!("(not -{value})")),
        ]
    })
    .boxed()
}

/// Data with a text and a number that occur nowhere else.
fn data(text: &str) -> String {
    let text = json::quote(text);
    format!(
        r#"{{"call_id":"c","tags":[{text},[1.5],"canary"],"lead":{{"name":{text},"age":30}},"null":null,"yes":true,"n":7031990,"big":1e300}}"#
    )
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn no_filter_panics_or_withholds_by_failing(
        source in prop_oneof![3 => by_the_grammar(), 1 => strung_together()],
        text in "\\PC{0,20}",
    ) {
        let event = Event::for_test(&data(&text));
        let facts = Facts::of(&event);
        let filter = Filter::new(&source);
        match filter.decide(&facts) {
            Ok(decided) => prop_assert_eq!(filter.lets_through(&facts), decided),
            Err(why) => {
                prop_assert!(filter.lets_through(&facts), "{}", source);
                prop_assert_eq!(filter.failures(), (1, Some(why.clone())));
                let is_written = source.contains("canary") || source.contains("7031990");
                let shown = why.contains("7031990") || why.contains("canary");
                prop_assert!(is_written || !shown, "{}: it shows what the event holds: {}", source, why);
            }
        }
    }
}

/// The grammar is worth its name: most of what it makes is an expression, and a good part of that decides.
#[test]
fn what_the_grammar_makes_often_decides() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let event = Event::for_test(&data("x"));
    let facts = Facts::of(&event);
    let made: Vec<String> = (0..500).map(|_| by_the_grammar().new_tree(&mut runner).unwrap().current()).collect();
    let read = made.iter().filter_map(|source| Filter::parse(source).ok()).collect::<Vec<_>>();
    let decided = read.iter().filter(|filter| filter.decide(&facts).is_ok()).count();
    assert!(read.len() > 400 && decided > 150, "{} are read, {decided} decide", read.len());
}

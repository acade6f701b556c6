//! Filters: what they let through, and what they make of bad input.

mod generated;

use super::*;
use crate::core::event::Event;
use crate::core::json;

const DATA: &str = r#"{"call_id":"c","department":"sales","duration":73,"score":1.50,"text":"70","null":null,"empty":"",
    "tags":["a","b",3],"lead":{"name":"Ann \"A\"","age":30},"conversation":[{"body":"Hi"},{"body":"Yes"}],"no":false}"#;

fn decide(source: &str) -> Result<bool, String> {
    Filter::parse(source)?.decide(&Facts::of(&Event::for_test(DATA)))
}

#[test]
fn expressions_decide() {
    for (source, wanted) in [
        (r#"data.department == "sales" and data.duration|int > 60"#, true),
        (r#"data.department == "support""#, false),
        (r#"data.department in ["support", "sales"]"#, true),
        (r#"data.department not in ("support", "sales")"#, false),
        ("type == 'call.new' and source == 'api' and company == 'acme' and domain is none", true),
        ("domain", false),
        ("timestamp < '2000' and id is startingwith 'evt_'", true),
        ("data.text|int >= 70 and data.text|int != 71", true),
        ("data.score == 1.5 and 1 < data.score < 2", true),
        ("data.lead.name == 'Ann \"A\"' and data['lead']['age'] + 1 == 31", true),
        (
            "data.conversation|length == 2 and data.conversation[1].body == 'Yes' and (data.conversation|last).body == 'Yes'",
            true,
        ),
        ("'a' in data.tags and 3 in data.tags and 'c' not in data.tags", true),
        ("'al' in data.department and 'lead' in data and 'name' in data.lead", true),
        ("data.department|upper ~ '!' == 'SALES!'", true),
        ("(data.duration // 60, data.duration % 60) == (1, 13)", true),
        ("-data.duration|abs == 73 and not data.no", true),
        ("data.none|default('x') == 'x' and data.null|d(1) == 1", true),
        ("'yes' if data.duration > 70 else ''", true),
        ("true", true),
        ("data.empty", false),
        ("data.tags == ['a', 'b', 3]", false),
        ("data.tags", true),
        ("9007199254740993 == 9007199254740992", false),
    ] {
        assert_eq!(decide(source), Ok(wanted), "{source}");
    }
}

#[test]
fn what_is_missing_is_false() {
    for comparison in ["== 1", "== 'x'", "< 1", "> 1", "<= 1", ">= 1", "in [1]", "in 'x'"] {
        for member in
            ["data.none", "data.none.at.all", "data.department.none", "data.tags[9]", "data.null", "data.none|int"]
        {
            assert_eq!(decide(&format!("{member} {comparison}")), Ok(false), "{member} {comparison}");
        }
    }
    assert_eq!(decide("data.none"), Ok(false));
    assert_eq!(decide("1 in data.none"), Ok(false));
    assert_eq!(decide("data.none != 1 and data.none not in [1] and data.none is undefined"), Ok(true));
}

#[test]
fn what_cannot_be_decided_says_why_and_lets_through() {
    for (source, words) in [
        ("data.duration / 0", "divides by zero"),
        ("data.duration % 0", "divides by zero"),
        ("data.text > 60", "compares text with a number"),
        ("data.tags < 3", "compares a list or an object with a number"),
        ("data.department + 1", "computes with text and a number"),
        ("data.department|int > 1", "`|int` has text in front of it"),
        ("1 in data.duration", "looks for a number in a number"),
        ("1e300 * 1e300", "too large"),
        ("-data.department", "for numbers"),
    ] {
        let filter = Filter::parse(source).unwrap();
        let event = Event::for_test(DATA);
        let why = filter.decide(&Facts::of(&event)).unwrap_err();
        assert!(why.contains(words) && !why.contains("sales"), "{source}: {why}");
        assert!(filter.clone().lets_through(&Facts::of(&event)));
        assert_eq!(filter.failures(), (1, Some(why)));
    }
    assert!(Filter::new("data.").lets_through(&Facts::of(&Event::for_test(DATA))));
}

#[test]
fn what_is_no_expression_is_refused() {
    let long = "data.x or ".repeat(99);
    for (source, words) in [
        ("", "unexpected end"),
        ("data.", "syntax error"),
        ("data.x == ", "unexpected end"),
        ("department == 'x'", "no name `department`"),
        ("data.x|nope", "no filter `nope`"),
        ("data.x is nope", "no test `nope`"),
        ("range(9)", "no call"),
        ("{'a': 1}", "no map literal"),
        ("data.x[1:2]", "no expression"),
        ("data.x is startingwith", "has one argument"),
        ("data.x|int(1, 2)", "at most one argument"),
        (&format!("{long}1"), "nested too deeply"),
        (&"x".repeat(1_001), "at most 1000 bytes"),
        (&"(".repeat(999), ""),
        (&format!("{}1", "not ".repeat(200)), ""),
        ("data.x == 999999999999999999999999999999999999999999", ""),
    ] {
        let why = Filter::parse(source).unwrap_err();
        assert!(why.contains(words), "{source}: {why}");
    }
}

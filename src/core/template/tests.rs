//! Templates: escaping, digits, filters, bounds.

mod generated;

use proptest::prelude::*;

use super::*;

fn event(data: &str) -> Event {
    Event::for_test(data)
}

fn rendered_as(content_type: &str, source: &str, data: &str) -> Result<String, String> {
    let template = Template::new(source, content_type);
    let bytes = template.render(&event(data), "https://a.example/?oid=00D%2B1&oid=2");
    bytes.map(|bytes| String::from_utf8(bytes).unwrap()).map_err(|fault| fault.to_string())
}

fn json_of(source: &str, data: &str) -> Result<String, String> {
    rendered_as("application/json", source, data)
}

fn text_of(source: &str, data: &str) -> String {
    rendered_as("text/plain", source, data).unwrap()
}

const NAME: &str = r#"{"call_id":"c","lead_name":"Ann \"<Lee>\" \\ \u00e9\n&","n":null,"list":[1.50,{"a":1}]}"#;

#[test]
fn json_is_valid_whatever_a_value_holds() {
    for (source, wanted) in [
        (r#"{"text": {{ data.lead_name }}}"#, r#"{"text": "Ann \"<Lee>\" \\ é\n&"}"#),
        (r#"{"text": "From {{ data.lead_name }}!"}"#, r#"{"text": "From Ann \"<Lee>\" \\ é\n&!"}"#),
        (
            r#"{"a\"{{ type }}": {{ data.nothing }}, "b": "{{ data.nothing.at.all }}{{ data.n }}"}"#,
            r#"{"a\"call.new": null, "b": ""}"#,
        ),
        ("{{ data.list }}", r#"[1.50,{"a":1}]"#),
        (r#"{"text": "{{ data.list }}"}"#, r#"{"text": "[1.50,{\"a\":1}]"}"#),
        ("{{ data }}", NAME),
        ("{{ {'b': data.list, 'a': data.n} }}", r#"{"b":[1.50,{"a":1}],"a":null}"#),
        ("{{ data.list|tojson }}", r#"[1.50,{"a":1}]"#),
        ("{{ domain }}", "null"),
    ] {
        assert_eq!(json_of(source, NAME).as_deref(), Ok(wanted), "{source}");
    }
}

#[test]
fn set_blocks_and_macros_make_text() {
    for source in [
        "{% set t %}From {{ data.lead_name }}{% endset %}{\"text\": {{ t }}}",
        "{% macro t(name) %}From {{ name }}{% endmacro %}{\"text\": {{ t(data.lead_name) }}}",
        "{% set t %}From {{ data.lead_name }}{% endset %}{\"text\": \"{{ t }}\"}",
        "{\"text\": {% filter trim %}\"From {{ data.lead_name|tojson|string|trim('\"') }}\"{% endfilter %}}",
    ] {
        let rendered = json_of(source, r#"{"call_id":"c","lead_name":"\"Ann\""}"#);
        // The last one is written by hand, and wrong: a fault, not a broken body.
        match source.contains("filter trim") {
            false => assert_eq!(rendered.as_deref(), Ok(r#"{"text": "From \"Ann\""}"#), "{source}"),
            true => assert!(rendered.is_ok() || rendered.is_err_and(|why| why.contains("not JSON"))),
        }
    }
}

#[test]
fn forms_and_markup_are_escaped_and_text_is_not() {
    let source = "q={{ data.lead_name }}&list={{ data.list }}&n={{ data.n }}";
    let form = rendered_as("application/x-www-form-urlencoded", source, NAME).unwrap();
    assert_eq!(form, "q=Ann+%22%3CLee%3E%22+%5C+%C3%A9%0A%26&list=%5B1.50%2C%7B%22a%22%3A1%7D%5D&n=");
    let xml = rendered_as("application/soap+xml; charset=utf-8", "<n>{{ data.lead_name }}</n>", NAME).unwrap();
    assert_eq!(xml, "<n>Ann &quot;&lt;Lee&gt;&quot; \\ é\n&amp;</n>");
    assert_eq!(text_of("{{ data.lead_name }}", NAME), "Ann \"<Lee>\" \\ é\n&");
    assert_eq!(text_of("{{ query.oid }} {{ query.none }}", NAME), "2 ");
}

#[test]
fn numbers_keep_their_digits() {
    let data = r#"{"call_id":"c","a":1.50,"b":123456789012345678901234567890123456789012345678901234567890,
        "c":-0,"d":1e3,"e":0.1234567890123456789,"f":340282366920938463463374607431768211456,"g":1.5,"h":9007199254740993,"i":1.5000}"#;
    for (name, digits) in [
        ("a", "1.50"),
        ("b", "123456789012345678901234567890123456789012345678901234567890"),
        ("c", "-0"),
        ("d", "1e3"),
        ("e", "0.1234567890123456789"),
        ("f", "340282366920938463463374607431768211456"),
        ("h", "9007199254740993"),
        ("i", "1.5000"),
    ] {
        assert_eq!(json_of(&format!("{{{{ data.{name} }}}}"), data).as_deref(), Ok(digits));
        assert_eq!(text_of(&format!("{{{{ data.{name}|string }}}}"), data), digits);
        assert_eq!(json_of(&format!("[{{{{ [data.{name}] }}}}]"), data), Ok(format!("[[{digits}]]")));
    }
    // Two that are equal, written differently.
    let both = "{% set x = data.a %}{% set y = data.i %}{{ x }} {{ y }} {{ data.g }}";
    assert_eq!(text_of(both, data), "1.50 1.5000 1.5");
    assert_eq!(text_of("{{ data.a > 1.4 and data.a + 1 == 2.5 and data.h - 1 == 9007199254740992 }}", data), "true");
    assert_eq!(text_of("{{ data.b|float > 1 }} {{ data.d|int }}", data), "true 1000");
}

#[test]
fn filters_write_what_people_read() {
    let data = r#"{"call_id":"c","phone":"+15550100123","at":"2026-11-23T09:30:00Z","seconds":3725,"text":"0123456789",
        "conversation":[{"direction":"outbound","body":"Hi"},{"direction":"inbound","body":"Yes\nplease"},{"direction":"inbound"}],"null":null,"empty":""}"#;
    for (source, wanted) in [
        ("{{ data.phone|phone }}", "(555) 010-0123"),
        ("{{ data.none|phone }}{{ data.none|time }}{{ data.null|duration }}{{ data.none|conversation_text }}", ""),
        ("{{ data.at|time('America/New_York', '%H:%M %Z') }}", "04:30 EST"),
        ("{{ data.at|time(zone='Europe/Berlin') }}", "2026-11-23 10:30"),
        ("{{ 1763890200|time }} {{ 1763890200123|time(format='%S') }}", "2025-11-23 09:30 00"),
        ("{{ timestamp|time('UTC', '%Y') }}", "1970"),
        ("{{ data.seconds|duration }}, {{ 73|duration }}, {{ '9'|duration }}", "1 h 2 min 5 s, 1 min 13 s, 9 s"),
        (
            "{{ data.none|default('-') }}{{ data.null|default('-') }}{{ data.empty|default('-') }}{{ data.empty|default('-', true) }}",
            "---",
        ),
        (
            "{{ data.text|truncate(5) }} {{ data.text|truncate(10) }} {{ data.text|truncate(length=4, end='..') }}",
            "0123… 0123456789 01..",
        ),
        ("{{ data.conversation|conversation_text }}", "Team: Hi\nLead: Yes\nplease\nLead: "),
        ("{{ data.conversation|conversation_text(lead='Ann') }}", "Team: Hi\nAnn: Yes\nplease\nAnn: "),
        ("{{ '<!channel> & co'|mrkdwn }}", "&lt;!channel&gt; &amp; co"),
        ("{{ data.phone|upper }}{{ 'a'|upper }}", "+15550100123A"),
        ("{{ data.none|int }} {{ '12'|int }} {{ 'x'|int(7) }} {{ true|int }}", "0 12 7 1"),
        (
            "{% for name, value in data|items %}{% if loop.first %}{{ name }}={{ value }}{% endif %}{% endfor %}",
            "call_id=c",
        ),
        (
            "{{ data.conversation|length }}{{ data.conversation[1].direction }}{{ data['phone'] }}",
            "3inbound+15550100123",
        ),
    ] {
        assert_eq!(text_of(source, data), wanted, "{source}");
    }
}

#[test]
fn faults_name_the_line_and_what_is_wrong() {
    for (source, line, words) in [
        ("{\n\"a\": {{ data.x }\n}", Some(2), "syntax error"),
        ("{\n\n{{ data|nope }}}", Some(3), "no filter `nope`; there are: abs"),
        ("{{ 'x'|time }}", Some(1), "a time such as"),
        ("{{ timestamp|time('Mars') }}", Some(1), "`Mars` is no time zone"),
        ("{{ timestamp|time('UTC', '%Q%Q%!') }}", Some(1), "`%Q%Q%!` is no format"),
        ("{{ timestamp|time(company ~ 'Mars') }}", Some(1), "what it was given is no time zone"),
        ("{{ 'x'|duration }}", Some(1), "number of seconds"),
        ("{{ 1 / 0 }}", Some(1), "divides by zero"),
        ("{{ 'x'|int }}", Some(1), "not a whole number"),
        ("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}", Some(1), "too much work"),
        ("{{ 'x' * 1000000000 }}", Some(1), "too much work"),
        ("{% set x = 'x' * 1000000 %}{{ x }}{{ x }}", None, "longer than 256 KiB"),
        ("{% for i in range(40) %}{{ 'x' * 10000 }}{% endfor %}", None, "longer than 256 KiB"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", Some(1), ""),
        ("{\"a\": 1,}", None, "not JSON"),
        ("{{ '{'|safe }} 1", None, "not JSON"),
        ("", None, "empty"),
        ("{{ 1e308 * 10 }}", Some(1), ""),
    ] {
        let fault = Template::new(source, CONTENT_TYPE).render(&event(r#"{"call_id":"c"}"#), "").unwrap_err();
        assert_eq!(fault.line, line, "{source}: {fault}");
        assert!(fault.detail.contains(words) && fault.detail.len() < 500, "{source}: {fault}");
    }
}

#[test]
fn names_that_no_event_has_are_found() {
    for (source, name) in [("{{ dta.lead_name }}", "`dta`"), ("{{ lead_name }}", "`lead_name`")] {
        assert!(Template::new(source, CONTENT_TYPE).check().unwrap_err().detail.contains(name));
    }
    let good = "{% set x = data.a %}{% for m in range(3) %}{{ x ~ m ~ loop.index ~ query.oid ~ id }}{% endfor %}";
    assert_eq!(Template::new(good, CONTENT_TYPE).check(), Ok(()));
}

#[test]
fn content_types_are_read() {
    for good in ["application/json", "text/plain; charset=utf-8", "application/vnd.api+json"] {
        assert_eq!(read_content_type(good).as_deref(), Ok(good));
    }
    for wrong in ["", "json", "a/b\r\nX: y", " text/plain", "text/", "/x", "text/pläin", &"a/".repeat(99)] {
        assert!(read_content_type(wrong).is_err(), "{wrong}");
    }
}

proptest! {
    #[test]
    fn names_of_every_kind_make_valid_json(name in "\\PC*", quoted in any::<bool>()) {
        let data = format!(r#"{{"call_id":"c","lead_name":{}}}"#, json::quote(&name));
        let source = if quoted { r#"{"t": "{{ data.lead_name }}"}"# } else { r#"{"t": {{ data.lead_name }}}"# };
        let body = json_of(source, &data).unwrap();
        let read: serde_json::Value = serde_json::from_str(&body).unwrap();
        prop_assert_eq!(read["t"].as_str(), Some(name.as_str()));
    }
}

/// Renders on the stack of a sender thread; whatever comes of it, it comes.
fn on_a_sender(source: String) -> Result<Vec<u8>, TemplateFault> {
    let data = format!(r#"{{"call_id":"c","a":[{0}1],"b":[{0}2]}}"#, "1,".repeat(20_000));
    let thread = std::thread::Builder::new().stack_size(512 * 1024);
    let render = move || Template::new(&source, "text/plain").render(&event(&data), "");
    thread.spawn(render).unwrap().join().unwrap()
}

#[test]
fn deep_templates_fit_on_the_stack_of_a_sender_thread() {
    let fill = |text: &str| text.repeat((TEMPLATE_MOST - 40) / text.len());
    for source in [
        "{% macro m() %}{{ m()|upper|lower }}{% endmacro %}{{ m() }}".to_owned(),
        "{% macro m() %}{% set x %}{% for a in [m()|upper] %}{{ a }}{% endfor %}{% endset %}{{ x }}{% endmacro %}{{ m() }}".to_owned(),
        "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}".to_owned(),
        fill("{{ ("),
        fill("{% if 1 %}"),
        format!("{{% if 1 %}}{}{{% endif %}}", fill("{%elif 1%}")),
        format!("{{{{ {} }}}}", fill("(")),
        format!("{{{{ {} }}}}", fill("[")),
        format!("{{{{ {}1 }}}}", fill("{1:")),
        format!("{{{{ {}1 }}}}", fill("not ")),
        format!("{{{{ {}1 }}}}", fill("-")),
        format!("{{{{ 1{} }}}}", fill("+1")),
        format!("{{{{ 1{} }}}}", fill("~1")),
        format!("{{{{ 1{} }}}}", fill("**1")),
        format!("{{{{ 1{} }}}}", fill(" and 1")),
        format!("{{{{ 1{} }}}}", fill("<1")),
        format!("{{{{ data{} }}}}", fill(".a")),
        format!("{{{{ data{} }}}}", fill("[1]")),
        format!("{{{{ data{} }}}}", fill("()")),
        format!("{{{{ 1{} }}}}", fill("|d")),
        format!("{{{{ 1{} }}}}", fill(" is defined")),
        format!("{{{{ 1{} }}}}", fill(" if 1 else 1")),
    ] {
        let begin: String = source.chars().take(40).collect();
        assert!(on_a_sender(source).is_err() || begin.contains("1<1"), "{begin}");
    }
}

/// Lists that hold themselves many times would take longer to compare than anyone waits.
#[test]
fn templates_cannot_build_what_takes_for_ever() {
    for (build, words) in [
        ("{% set x = [x, x] %}{% set y = [y, y] %}", "neither variables nor"),
        ("{% set x = (x, x) %}{% set y = (y, y) %}", "neither variables nor"),
        ("{% set x = {1: x, 2: x} %}{% set y = {1: y, 2: y} %}", "neither variables nor"),
        ("{% set x = x, x %}{% set y = y, y %}", "neither variables nor"),
        ("{% set x = (x * 9)|batch(9)|list %}", "no filter `batch`"),
        ("{% set x = x|zip(x) %}", "no filter `zip`"),
        ("{% set x = dict(a=x, b=x) %}", "no function `dict`"),
        ("{% set x = namespace(a=x, b=x) %}", "no function `namespace`"),
        ("{% set data = [data.a, data.a] %}", "`data` is the event's"),
        ("{% for data in [1] %}{% endfor %}", "`data` is the event's"),
        ("{% macro data(x) %}{% endmacro %}", "`data` is the event's"),
        ("{% import 'body' as x %}", "`import` is not used here"),
        ("{% include 'body' %}", "`include` is not used here"),
        ("{% extends 'body' %}", "`extends` is not used here"),
        ("{% block x %}{% endblock %}", "defined twice"),
        ("{% autoescape true %}{% endautoescape %}", "escaped by the content type"),
        ("{{ range(*[1]) }}", "without `*`"),
    ] {
        let fault = on_a_sender(format!("{}{{{{ x == y }}}}", build.repeat(40))).unwrap_err();
        assert!(fault.detail.contains(words), "{build}: {fault}");
    }
    for slow in [
        "{% set x = [data.a] * 1000 %}{% set y = [data.b] * 1000 %}{% for i in range(1000) %}{{ x == y }}{% endfor %}",
        "{% for i in range(9999) %}{{ data.a == data.b }}{{ data.a < data.b }}{{ data.a in [data.b] }}{% endfor %}",
        "{% for i in range(9999) %}{{ [data.a, data.b]|sort|unique|list|length }}{% endfor %}",
        "{{ ('x' * 1000)|replace('x', 'y' * 1000)|replace('y', 'z' * 1000) }}",
        "{{ [data.a] * 99999999 }}",
        "{{ 2 ** 9999999 }}{{ 'x' * 999999999999 }}{{ range(999999999)|list|length }}",
    ] {
        assert!(on_a_sender(slow.to_owned()).is_err(), "{slow}");
    }
    let flat = "{{ [data.call_id, data.none, 'x', data.call_id|upper, data.call_id ~ 1]|select|join(', ') }}";
    assert_eq!(on_a_sender(flat.to_owned()).unwrap(), b"c, x, C, c1");
}

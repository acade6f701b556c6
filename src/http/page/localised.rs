//! What templates are given in the language of the view: its texts, and how it writes numbers and times.
//!
//! `t(KEY, NAME=VALUE, …)` is a text of [`crate::texts`]; it is escaped, and so are values, unless a template has made
//! them: `t("sign-in-token-help", file=code("admin.token"))`.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, HtmlEscape, UndefinedBehavior, Value};

use super::script_texts::ScriptTexts;
use crate::core::phone;
use crate::texts::{Argument, Language, Texts};

/// Stands for the markup of value N within a text, while the rest is escaped: U+E000 and up are of private use.
const MARKUP: u32 = 0xe000;

/// An environment without templates for `language`.
pub(super) fn environment(language: Language) -> Environment<'static> {
    let texts = Texts::of(language);
    let mut all = Environment::new();
    all.set_undefined_behavior(UndefinedBehavior::Strict);
    all.set_auto_escape_callback(|_| AutoEscape::Html);
    all.add_function("t", move |key: &str, values: Kwargs| text(texts, key, &values));
    all.add_function("word", move |prefix: &str, word: &str, other: Option<&str>| match other {
        Some(other) => texts.word_or(prefix, word, other),
        None => texts.word(prefix, word),
    });
    let scripts = ScriptTexts::of(texts);
    all.add_function("script_texts", move |script: &str| Value::from_safe_string(scripts.element(script)));
    all.add_filter("phone", |number: &str, region: Option<&str>| phone::shown(number, region));
    all.add_filter("utc", move |time: &str| language.time(time));
    all.add_filter("bucket", move |name: &str| language.bucket(name));
    all.add_filter("count", move |number: u64| language.count(number));
    all.add_filter("bytes", move |number: u64| language.bytes(number));
    all.add_filter("millis", move |length: u64| language.millis(length));
    all.add_filter("seconds", move |length: f64| language.seconds(length));
    all.add_filter("percent", move |share: f64| language.percent(share));
    // A number that the API or the page has written with a point.
    all.add_filter("decimal", move |number: &str| {
        let digits = number.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        number.parse().map_or_else(|_| number.to_owned(), |value| language.decimal(value, digits))
    });
    all
}

fn text(texts: &Texts, key: &str, values: &Kwargs) -> Result<Value, Error> {
    let mut markup: Vec<String> = Vec::new();
    let mut arguments = Vec::new();
    for name in values.args() {
        let value: Value = values.get(name)?;
        let argument = match value.kind() {
            ValueKind::Undefined | ValueKind::None => {
                let fault = format!("the text `{key}` is given no `{name}`");
                return Err(Error::new(ErrorKind::InvalidOperation, fault));
            }
            ValueKind::Number => Argument::Number(f64::try_from(value)?),
            _ if value.is_safe() => {
                let mark = char::from_u32(MARKUP + markup.len() as u32).unwrap_or_default();
                markup.push(value.to_string());
                Argument::from(mark.to_string())
            }
            // Nobody else's text is taken for a mark of ours.
            _ => Argument::from(value.to_string().replace(|c: char| is_mark(c, 64), "")),
        };
        arguments.push((name, argument));
    }
    let found = texts.find(key, &arguments).map_err(|fault| Error::new(ErrorKind::InvalidOperation, fault.0))?;
    let mut shown = String::with_capacity(found.len() + 16);
    for part in found.split_inclusive(|c: char| is_mark(c, markup.len())) {
        let mark = part.chars().next_back().filter(|c| is_mark(*c, markup.len()));
        let plain = mark.map_or(part, |mark| &part[..part.len() - mark.len_utf8()]);
        shown.push_str(&HtmlEscape(plain).to_string());
        shown.push_str(mark.map_or("", |mark| &markup[(mark as u32 - MARKUP) as usize]));
    }
    Ok(Value::from_safe_string(shown))
}

fn is_mark(character: char, most: usize) -> bool {
    (character as u32).checked_sub(MARKUP).is_some_and(|index| (index as usize) < most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::context;

    fn rendered(language: Language, source: &str) -> Result<String, Error> {
        environment(language).render_named_str("x.html", source, context! { evil => "<b>\u{e000}", n => 1_234 })
    }

    #[test]
    fn texts_and_values_are_escaped_and_markup_of_templates_is_kept() {
        let of = |source: &str| rendered(Language::English, source);
        let text = of("{% set file %}<code>x</code>{% endset %}{{ t(\"sign-in-token-help\", file=file) }}").unwrap();
        assert!(text.contains("the file <code>x</code> of"), "{text}");
        let text = of("{{ t(\"sign-in-token-help\", file=evil) }}").unwrap();
        assert!(text.contains("the file &lt;b&gt; of"), "{text}");
        assert_eq!(rendered(Language::German, "{{ n|count }} {{ \"99.4\"|decimal }}").unwrap(), "1.234 99,4");
        for fault in [
            "{{ t(\"no-such-key\") }}",
            "{{ t(\"sign-in-token-help\") }}",
            "{{ t(\"sign-in-token-help\", file=none) }}",
        ] {
            assert!(of(fault).is_err(), "{fault}");
        }
    }

    #[test]
    fn every_word_of_the_api_that_views_show_has_a_text() {
        use crate::core::actor::{ActorKind, Via};
        use crate::core::attempt::{Fault, Phase, Status};
        use crate::core::audit::Action;
        use crate::core::subscription::DisabledReason;
        let texts = Texts::of(Language::English);
        let all = [
            ("error", Fault::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>()),
            ("phase", Phase::ALL.iter().map(|word| word.as_str()).collect()),
            ("status", Status::ALL.iter().map(|word| word.as_str()).collect()),
            ("outcome", Fault::ALL.iter().map(|word| word.as_str()).collect()),
            ("action", Action::ALL.iter().map(|word| word.as_str()).collect()),
            ("actor", ActorKind::ALL.iter().map(|word| word.as_str()).collect()),
            ("via", Via::ALL.iter().map(|word| word.as_str()).collect()),
            ("disabled", DisabledReason::ALL.iter().map(|word| word.as_str()).collect()),
        ];
        for (prefix, words) in all {
            for word in words {
                assert_ne!(texts.word_or(prefix, word, ""), "", "{prefix}-{word}");
            }
        }
    }
}

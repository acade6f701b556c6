//! What holds of the catalogue, and of whoever uses it: the page's templates, scripts and modules, and the mails.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use fluent_syntax::ast::{Entry, Expression, InlineExpression, Pattern, PatternElement};

use super::catalogue::sources;
use super::{Argument, Language, Texts};

/// The messages of a language, each with the names of its arguments.
fn messages(language: Language) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    for (file, text) in sources(language) {
        let resource = fluent_syntax::parser::parse(text);
        let resource = resource.unwrap_or_else(|(_, faults)| panic!("{}/{file}: {faults:?}", language.tag()));
        for entry in resource.body {
            let Entry::Message(message) = entry else { continue };
            let (key, pattern) = (message.id.name, message.value.expect("a message with a text"));
            let mut arguments = BTreeSet::new();
            gather(&pattern, &mut arguments);
            assert!(
                found.insert(key.to_owned(), arguments).is_none(),
                "{}/{file}: `{key}` is there twice",
                language.tag()
            );
        }
    }
    found
}

fn gather(pattern: &Pattern<&str>, arguments: &mut BTreeSet<String>) {
    for element in &pattern.elements {
        let PatternElement::Placeable { expression } = element else { continue };
        let inline = match expression {
            Expression::Inline(inline) => inline,
            Expression::Select { selector, variants } => {
                variants.iter().for_each(|variant| gather(&variant.value, arguments));
                selector
            }
        };
        match inline {
            InlineExpression::VariableReference { id } => drop(arguments.insert(id.name.to_owned())),
            InlineExpression::StringLiteral { .. } => {}
            other => panic!("`{other:?}`: use arguments only, so that scripts can show it"),
        }
    }
}

/// All files below `dir` with one of these endings, with their texts, but without comments and tests.
fn files(dir: &Path, endings: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, endings));
        } else if path.extension().is_some_and(|ending| endings.iter().any(|wanted| ending == *wanted)) {
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            let text = code.collect::<Vec<_>>().join("\n");
            found.push((path, text));
        }
    }
    found
}

fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(path)
}

/// What may use a text.
fn users() -> Vec<(PathBuf, String)> {
    let mut all = files(&source("http/page"), &["html", "js", "rs"]);
    all.extend(files(&source("alerts"), &["rs"]));
    all
}

/// What stands in quotes after each of `calls`, with the rest of the text after it.
fn called<'t>(text: &'t str, calls: &[&str]) -> Vec<(&'t str, &'t str)> {
    let mut found = Vec::new();
    for call in calls {
        for (at, _) in text.match_indices(call) {
            let before = text[..at].chars().next_back();
            if call.starts_with(|c: char| c.is_alphanumeric())
                && before.is_some_and(|c| c.is_alphanumeric() || c == '_')
            {
                continue;
            }
            let rest = &text[at + call.len()..];
            let end = rest.find('"').expect("the end of a key");
            found.push((&rest[..end], &rest[end + 1..]));
        }
    }
    found
}

/// How texts are asked for by their whole key, and by the beginning of one.
const WHOLE: [&str; 4] = ["t(\"", ".text(\"", ".text_with(\"", ".find(\""];
const PREFIX: [&str; 4] = ["word(\"", ".word_or(\"", "keys_with(\"", ".word(\""];

#[test]
fn every_key_exists_in_all_languages_with_the_same_arguments() {
    let english = messages(Language::English);
    assert!(english.len() > 300, "the catalogue was not found: {}", english.len());
    for language in [Language::German, Language::Spanish] {
        let other = messages(language);
        for (key, arguments) in &english {
            assert_eq!(other.get(key), Some(arguments), "`{key}` in {}", language.tag());
        }
        let more: Vec<_> = other.keys().filter(|key| !english.contains_key(*key)).collect();
        assert!(more.is_empty(), "in {} only: {more:?}", language.tag());
    }
}

#[test]
fn every_key_that_is_used_exists_and_every_key_is_used() {
    let known = messages(Language::English);
    let mut unused: BTreeSet<&str> = known.keys().map(String::as_str).collect();
    for (path, text) in users() {
        let name = path.display();
        for (key, _) in called(&text, &WHOLE) {
            assert!(known.contains_key(key), "{name}: there is no text `{key}`");
        }
        for (prefix, _) in called(&text, &PREFIX) {
            let begin = format!("{prefix}-");
            assert!(known.keys().any(|key| key.starts_with(&begin)), "{name}: no text begins with `{begin}`");
            unused.retain(|key| !key.starts_with(&begin));
        }
        // Rust hands keys on, too.
        unused.retain(|key| !text.contains(&format!("\"{key}\"")));
    }
    assert!(unused.is_empty(), "texts that nobody uses: {unused:?}");
}

#[test]
fn templates_give_texts_the_arguments_that_they_have() {
    let known = messages(Language::English);
    for (path, text) in files(&source("http/page"), &["html"]) {
        for (key, rest) in called(&text, &["t(\""]) {
            let given: BTreeSet<String> = arguments(rest).into_iter().collect();
            assert_eq!(Some(&given), known.get(key), "{}: `{key}`", path.display());
        }
    }
}

/// The names of the arguments up to the bracket that closes the call.
fn arguments(rest: &str) -> Vec<String> {
    let (mut depth, mut quoted, mut part, mut names) = (1, false, String::new(), Vec::new());
    for c in rest.chars() {
        match c {
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => depth -= 1,
            '=' if !quoted && depth == 1 => names.push(part.trim().trim_start_matches(',').trim().to_owned()),
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if c == ',' && !quoted && depth == 1 {
            part.clear();
        } else {
            part.push(c);
        }
    }
    names.retain(|name| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_'));
    names
}

#[test]
fn texts_are_made_with_plurals_and_numbers_of_their_language() {
    let of =
        |language, count: u64| Texts::of(language).text_with("logs-new-entries", &[("count", Argument::from(count))]);
    assert_eq!((of(Language::English, 1), of(Language::English, 2)), ("1 new entry".into(), "2 new entries".into()));
    assert_eq!(of(Language::German, 12_345), "12.345 neue Einträge");
    assert_eq!(
        (of(Language::Spanish, 1), of(Language::Spanish, 0)),
        ("1 registro nuevo".into(), "0 registros nuevos".into())
    );
    let texts = Texts::of(Language::German);
    assert_eq!(texts.word("status", "retrying"), "Wird wiederholt");
    assert_eq!(texts.word("status", "never_heard_of"), "never heard of");
    assert_eq!(texts.word("disabled", "the receiver answered 410 Gone").split(' ').next(), Some("der"));
    assert!(texts.find("no-such", &[]).is_err() && texts.find("logs-new-entries", &[]).is_err());
}

#[test]
fn scripts_get_plurals_as_data() {
    let given = Texts::of(Language::English).for_scripts(["logs-new-entries", "copy"]).unwrap();
    let entries = &given["logs-new-entries"][0];
    assert_eq!((&entries["s"], &entries["or"]), (&"count".into(), &"other".into()));
    assert_eq!(entries["in"]["one"], serde_json::json!([{"v": "count"}, " new entry"]));
    assert_eq!(given["copy"], "Copy");
}

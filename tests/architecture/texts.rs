//! Whether words of the page stand in its templates and scripts instead of the catalogue (`src/texts`).

use std::fs;
use std::path::Path;

use super::root;

/// Attributes that people read.
const READ: [&str; 6] = ["aria-label", "placeholder", "title", "alt", "label", "data-label"];

/// Elements whose content is code, not words.
const CODE: [&str; 4] = ["code", "script", "style", "svg"];

/// Texts that are the same in every language, in elements and attributes: names, and examples of values.
const SAME: [&str; 18] = [
    "UTC",
    "Hookswitch",
    "https://www.example.com/webhook",
    "https://login.example.com/oauth2/token",
    "www.acme.example",
    "shop.acme.example",
    "it@acme.example",
    "+12025550123",
    "sub_…",
    "15000",
    "ms",
    "-----BEGIN CERTIFICATE-----",
    "-----BEGIN PRIVATE KEY-----",
    "data.department == &quot;Sales&quot; and data.duration &gt; 60",
    "whsec_••••••••••••••••",
    "/ok",
    "true",
    "application/json",
];

/// What a string of a script follows that names elements or classes.
const NAMES_FOLLOW: [&str; 7] =
    ["class: ", "className = ", "querySelector(", "querySelectorAll(", "closest(", "matches(", "classList.add("];

/// Strings of scripts that are no words of the page although they look like some.
const NAMES: [&str; 4] = ["Accept", "Content-Type", "X-Hookswitch-Page", "Enter"];

fn below(dir: &Path, ending: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory of the page") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(below(&path, ending));
        } else if path.extension().is_some_and(|one| one == ending) {
            let text = fs::read_to_string(&path).expect("a source in UTF-8");
            found.push((path.display().to_string(), text));
        }
    }
    found
}

/// `text` without what stands between `open` and `close`, which is handed to `inside`.
fn without(text: &str, open: &str, close: &str, mut inside: impl FnMut(&str)) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(open) {
        let (part, further) = after.split_once(close).unwrap_or((after, ""));
        kept.push_str(before);
        inside(part);
        rest = further;
    }
    kept + rest
}

fn has_letters(text: &str) -> bool {
    text.chars().any(char::is_alphabetic)
}

/// Words in a template: between elements, in attributes, and in strings of its expressions.
fn words_in_template(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let text = without(text, "{#", "#}", |_| {});
    let text = without(&text, "{% block script %}", "{% endblock %}", |_| {});
    let mut strings = |inside: &str| {
        let parts: Vec<&str> = inside.split('"').collect();
        for pair in parts.chunks_exact(2) {
            // A value that is compared, and code, are not shown as words.
            let shown = !["== ", "!= ", "code("].iter().any(|before| pair[0].ends_with(before));
            if shown && is_sentence(pair[1]) {
                found.push(pair[1].to_owned());
            }
        }
    };
    let text = without(&text, "{{", "}}", &mut strings);
    let mut text = without(&text, "{%", "%}", &mut strings);
    for element in CODE {
        text = without(&text, &format!("<{element}>"), &format!("</{element}>"), |_| {});
        text = without(&text, &format!("<{element} "), &format!("</{element}>"), |_| {});
    }
    let mut words = Vec::new();
    let between = without(&text, "<", ">", |tag| {
        for name in READ {
            for value in tag.split(&format!(" {name}=\"")).skip(1) {
                words.push(value.split('"').next().unwrap_or_default().to_owned());
            }
            for value in tag.split(&format!(" {name}='")).skip(1) {
                words.push(value.split('\'').next().unwrap_or_default().to_owned());
            }
        }
        words.push("\n".to_owned());
    });
    words.extend(between.lines().map(str::to_owned));
    let entities = |word: &str| word.replace("&nbsp;", "").replace("&amp;", "");
    let words = words.iter().map(|word| entities(word).trim().to_owned());
    let is_same = |word: &String| SAME.contains(&word.as_str());
    found.extend(words.filter(|word| has_letters(word) && !is_same(word)));
    found
}

/// Whether a string looks like words for people: a capital and small letters, or several words.
fn is_sentence(text: &str) -> bool {
    let text = text.trim();
    let words: Vec<&str> = text.split_whitespace().collect();
    let plain = |word: &&&str| {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        bare.chars().count() > 1 && bare.chars().all(char::is_alphabetic)
    };
    let capital = text.starts_with(char::is_uppercase) && text.chars().skip(1).any(char::is_lowercase);
    capital
        || words.iter().filter(plain).count() >= 2
            && text.chars().all(|c| c.is_alphanumeric() || " .,:;!?’'“”()…-".contains(c))
}

/// Words in a script: strings that look like some. `${…}` in them is left out.
fn words_in_script(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['"', '\'', '`', '/']) {
        let sign = rest[at..].chars().next().unwrap_or_default();
        let after = &rest[at + 1..];
        if sign == '/' {
            let skipped = match after.chars().next() {
                Some('/') => after.find('\n').unwrap_or(after.len()),
                Some('*') => after.find("*/").map_or(after.len(), |end| end + 2),
                // A regular expression follows a bracket, a comma or an operator.
                _ if rest[..at].trim_end().ends_with(['(', ',', '=', ':', '?']) => expression(after),
                _ => 0,
            };
            rest = &after[skipped..];
            continue;
        }
        let length = string(after, sign);
        let inside = without(&after[..length], "${", "}", |_| {});
        let names = NAMES_FOLLOW.iter().any(|before| rest[..at].ends_with(before));
        if is_sentence(&inside) && !names && !NAMES.contains(&inside.trim_end_matches(": ")) {
            found.push(inside);
        }
        rest = after.get(length + 1..).unwrap_or_default();
    }
    found
}

fn string(after: &str, sign: char) -> usize {
    let mut escaped = false;
    let mut depth = 0;
    let mut before = ' ';
    for (at, c) in after.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '{' if sign == '`' && before == '$' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            _ if c == sign && depth == 0 => return at,
            _ => {}
        }
        before = c;
    }
    after.len()
}

fn expression(after: &str) -> usize {
    let (mut escaped, mut class) = (false, false);
    for (at, c) in after.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => class = true,
            ']' => class = false,
            '/' if !class => return at + 1,
            _ => {}
        }
    }
    after.len()
}

#[test]
fn no_words_stand_in_templates_and_scripts() {
    let page = root().join("src/http/page");
    let (templates, scripts) = (below(&page, "html"), below(&page, "js"));
    assert!(templates.len() > 20 && scripts.len() > 20, "the page was not found");
    let templates = templates.iter().map(|(path, text)| (path, words_in_template(text)));
    let scripts = scripts.iter().map(|(path, text)| (path, words_in_script(text)));
    let faults: Vec<String> = templates
        .chain(scripts)
        .flat_map(|(path, words)| words.into_iter().map(move |word| format!("{path}: `{word}`: put it into src/texts")))
        .collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn the_checker_finds_words() {
    for (text, words) in [
        ("<p>Hello</p>", 1),
        ("<p>{{ t(\"key\") }} · {{ x }}</p>", 0),
        ("<p>ok {{ x }}</p>", 1),
        ("<input placeholder=\"Your name\" class=\"wide field\">", 1),
        ("<input placeholder='Your name'>", 1),
        ("<td data-label=\"{{ t(\"a\") }}\"><code>abc</code></td>", 0),
        ("{{ badge(\"good\", \"Active\") }}", 1),
        ("{% if x == \"disabled by hand\" %}{% endif %}", 0),
        ("{# a comment #}<svg class=\"x\"><text>x</text></svg>", 0),
    ] {
        assert_eq!(words_in_template(text).len(), words, "{text}: {:?}", words_in_template(text));
    }
    for (text, words) in [
        ("say(\"Saved.\");", 1),
        ("say(t(\"form-saved\")); // Saved. It's done\n", 0),
        ("x = `Deliver ${n} again?`;", 1),
        ("x = `${t(\"a\", { b })} ${c}`;", 0),
        ("form.querySelectorAll(\"input, select\"); element(\"p\", { class: \"notice bad\" })", 0),
        ("x.match(/\"Hello there\"/); y = 'nothing is here';", 1),
        ("throw new Refusal(0, \"it does not answer\");", 1),
    ] {
        assert_eq!(words_in_script(text).len(), words, "{text}: {:?}", words_in_script(text));
    }
}

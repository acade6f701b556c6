//! Which texts a view's scripts use, and these as a part of the view.
//!
//! Found in the scripts themselves: `t("KEY")`, and `word("PREFIX", …)` for all keys that begin so, in the view's own
//! script and all that it imports. They are data, not code: browsers run nothing of it, and a value ends no element.

use std::collections::{BTreeMap, BTreeSet};

use super::assets;
use crate::texts::Texts;

/// The script of all views.
const COMMON: &str = "layout/page.js";

/// The elements for each script that a view may have, in one language.
pub(super) struct ScriptTexts(BTreeMap<String, String>);

impl ScriptTexts {
    /// In the language of `texts`.
    pub(super) fn of(texts: &Texts) -> Self {
        let scripts = assets::scripts().map(|(path, _)| path).chain([String::new()]);
        Self(scripts.map(|path| (path.clone(), element(texts, &path))).collect())
    }

    /// The element for the view's own script, such as `logs/list.js`; for that of all views alone if it is empty.
    pub(super) fn element(&self, script: &str) -> String {
        self.0.get(script).cloned().unwrap_or_default()
    }
}

fn element(texts: &Texts, script: &str) -> String {
    let keys = keys(texts, script);
    let found = texts.for_scripts(keys.iter().map(String::as_str)).unwrap_or_else(|fault| {
        // A test excludes it.
        tracing::error!("the texts of {script} cannot be given to it: {}", fault.0);
        serde_json::Value::Object(serde_json::Map::new())
    });
    let json = found.to_string().replace('<', "\\u003c");
    format!("<script type=\"application/json\" id=\"texts\">{json}</script>")
}

/// The keys that `script` and those that it imports use.
pub(super) fn keys(texts: &Texts, script: &str) -> BTreeSet<String> {
    let all: BTreeMap<String, &str> = assets::scripts().collect();
    let mut open: Vec<String> =
        [COMMON, script].iter().filter(|path| !path.is_empty()).map(|path| (*path).to_owned()).collect();
    let (mut seen, mut keys) = (BTreeSet::new(), BTreeSet::new());
    while let Some(path) = open.pop() {
        let Some(text) = all.get(&path) else { continue };
        if !seen.insert(path.clone()) {
            continue;
        }
        let folder = path.split('/').next().unwrap_or_default();
        open.extend(imports(text).map(|from| match from.strip_prefix("../") {
            Some(path) => path.to_owned(),
            None => format!("{folder}/{}", from.trim_start_matches("./")),
        }));
        keys.extend(used(text, "t(\"").map(str::to_owned));
        keys.extend(used(text, "word(\"").flat_map(|prefix| texts.keys_with(&format!("{prefix}-"))));
    }
    keys
}

fn imports(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| line.starts_with("import ")).filter_map(|line| line.rsplit('"').nth(1))
}

/// What stands in quotes after each `call` that is no part of a longer name.
fn used<'t>(text: &'t str, call: &'static str) -> impl Iterator<Item = &'t str> {
    text.match_indices(call).filter_map(move |(at, _)| {
        let before = text[..at].chars().next_back();
        let is_name = before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '$'));
        let rest = &text[at + call.len()..];
        (!is_name).then(|| rest.split('"').next().unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts::Language;

    #[test]
    fn every_script_has_the_texts_that_it_uses_and_what_it_imports_uses() {
        for language in Language::ALL {
            let texts = Texts::of(language);
            for (path, _) in assets::scripts() {
                let keys = keys(texts, &path);
                assert!(keys.contains("copied"), "{path}: {keys:?}");
                let given = texts.for_scripts(keys.iter().map(String::as_str));
                assert!(given.is_ok(), "{path}: {given:?}");
            }
        }
        let portal = element(Texts::of(Language::German), "portal/portal.js");
        assert!(portal.contains("\"portal-signed-out\":\"Abgemeldet\"") && !portal.contains("sign-in-"), "{portal}");
    }

    #[test]
    fn calls_are_told_from_longer_names() {
        let text = r#"t("a"), set("b"), x.t("c"), word("d", x), ${t("e")}"#;
        assert_eq!(used(text, "t(\"").collect::<Vec<_>>(), ["a", "e"]);
        assert_eq!(used(text, "word(\"").collect::<Vec<_>>(), ["d"]);
    }
}

//! Messages as JSON, for the page's scripts, which choose plurals and insert values by themselves.
//!
//! A message is a string, or a list of its parts: strings, `{"v": NAME}` for the value NAME, and `{"s": NAME, "in":
//! {VARIANT: message}, "or": VARIANT}` for the variant that the value NAME chooses, by the language's plural rules if it
//! is a number.

use fluent_syntax::ast::{Expression, InlineExpression, Pattern, PatternElement, VariantKey};
use serde_json::{Map, Value, json};

use super::catalogue::{Texts, Unknown};

impl Texts {
    /// The messages of these keys, as one object.
    ///
    /// # Errors
    /// One is missing, or uses what scripts cannot show: functions, other messages, selections within selections.
    pub fn for_scripts<'k>(&self, keys: impl IntoIterator<Item = &'k str>) -> Result<Value, Unknown> {
        let of = |key: &'k str| {
            let pattern = self.pattern(key).ok_or_else(|| Unknown(format!("`{key}`")))?;
            let message = message(pattern).ok_or_else(|| Unknown(format!("`{key}` is too much for scripts")))?;
            Ok((key.to_owned(), message))
        };
        keys.into_iter().map(of).collect::<Result<Map<_, _>, _>>().map(Value::Object)
    }

    /// The keys that begin with `prefix`.
    pub fn keys_with(&self, prefix: &str) -> Vec<String> {
        let files = super::catalogue::sources(self.language());
        let lines = files.iter().flat_map(|(_, text)| text.lines());
        let keys = lines.filter_map(|line| line.split_once(" =").map(|(key, _)| key));
        keys.filter(|key| key.starts_with(prefix) && self.pattern(key).is_some()).map(str::to_owned).collect()
    }
}

fn message(pattern: &Pattern<&str>) -> Option<Value> {
    let parts = pattern.elements.iter().map(part).collect::<Option<Vec<_>>>()?;
    match parts.as_slice() {
        [Value::String(text)] => Some(json!(text)),
        _ => Some(Value::Array(parts)),
    }
}

fn part(element: &PatternElement<&str>) -> Option<Value> {
    let expression = match element {
        PatternElement::TextElement { value } => return Some(json!(value)),
        PatternElement::Placeable { expression } => expression,
    };
    match expression {
        Expression::Inline(InlineExpression::VariableReference { id }) => Some(json!({"v": id.name})),
        Expression::Inline(InlineExpression::StringLiteral { value }) => Some(json!(value)),
        Expression::Select { selector: InlineExpression::VariableReference { id }, variants } => {
            let name = |key: &VariantKey<&str>| match key {
                VariantKey::Identifier { name } => (*name).to_owned(),
                VariantKey::NumberLiteral { value } => (*value).to_owned(),
            };
            let all = variants.iter().map(|variant| Some((name(&variant.key), message(&variant.value)?)));
            let all = all.collect::<Option<Map<_, _>>>()?;
            let or = variants.iter().find(|variant| variant.default).map(|variant| name(&variant.key))?;
            Some(json!({"s": id.name, "in": all, "or": or}))
        }
        _ => None,
    }
}

//! Sample receivers in five languages, for a webhook's format, layout and signatures. For v1a there is none in C#, which
//! needs a package for it that is not at hand where they are tested; it says what such a receiver must do.
//!
//! The webhook's URL appears in them as a comment and as a path. Special characters are omitted, so that no URL ends
//! a comment or string and continues as code.

use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use serde::Serialize;

use crate::core::target::Signatures;
use crate::http::problem::Problem;

const SOURCES: [(&str, &str, &str); 5] = [
    ("php", "PHP", include_str!("snippets/php.txt")),
    ("node", "Node", include_str!("snippets/node.txt")),
    ("python", "Python", include_str!("snippets/python.txt")),
    ("ruby", "Ruby", include_str!("snippets/ruby.txt")),
    ("csharp", "C#", include_str!("snippets/csharp.txt")),
];

/// A sample receiver.
#[derive(Serialize)]
pub(super) struct Snippet {
    name: &'static str,
    title: &'static str,
    text: String,
}

/// The sample receivers for a webhook with these settings. Where v1a is sent they check it, with the public key.
///
/// # Errors
/// 500 if a template cannot be rendered, which is an internal error.
pub(super) fn of(url: &str, format: &str, layout: &str, signatures: Signatures) -> Result<Vec<Snippet>, Problem> {
    let plain = |text: &str| -> String {
        text.chars().take(200).take_while(|c| c.is_ascii_alphanumeric() || "-._~:/@%".contains(*c)).collect()
    };
    let path = url::Url::parse(url).map_or_else(|_| "/".to_owned(), |url| plain(url.path()));
    let asymmetric = signatures != Signatures::Symmetric;
    let variable = if asymmetric { "WEBHOOK_PUBLIC_KEY" } else { "WEBHOOK_SECRET" };
    let values = context! { url => plain(url), path, format, layout, asymmetric, variable };
    let mut all = Environment::new();
    all.set_undefined_behavior(UndefinedBehavior::Strict);
    all.set_auto_escape_callback(|_| AutoEscape::None);
    let filled = |(name, title, source): (&'static str, &'static str, &'static str)| {
        let text = all.render_str(source, values.clone())? + "\n";
        Ok(Snippet { name, title, text })
    };
    SOURCES.into_iter().map(filled).collect::<Result<_, minijinja::Error>>().map_err(|error| {
        tracing::error!("a receiver's template failed: {error:#}");
        Problem::internal()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_receivers_match_the_webhook_and_escape_urls() {
        let versions = [(Signatures::Symmetric, "v1,"), (Signatures::Asymmetric, "v1a,"), (Signatures::Both, "v1a,")];
        let renderings = ["json", "form"].map(|format| ["envelope", "flat"].map(|layout| (format, layout)));
        for (format, layout) in renderings.concat() {
            for (signatures, version) in versions {
                let all = of("https://a.example/hook?\"); evil(\n", format, layout, signatures).unwrap();
                assert_eq!(all.len(), 5);
                for Snippet { name, text, .. } in all {
                    assert!(text.contains("https://a.example/hook") && !text.contains("evil"), "{name}: {text}");
                    let by_key = version == "v1a,";
                    assert_eq!(
                        (text.contains("whsec_"), text.contains("WEBHOOK_SECRET")),
                        (!by_key, !by_key),
                        "{text}"
                    );
                    assert_eq!(
                        (text.contains("whpk_"), text.contains("WEBHOOK_PUBLIC_KEY")),
                        (by_key, by_key),
                        "{text}"
                    );
                    assert!(
                        text.contains(version) && !text.contains("{%") && !text.contains("\n\n\n"),
                        "{name}: {text}"
                    );
                    if by_key && name == "csharp" {
                        assert!(text.lines().all(|line| line.starts_with("// ")), "{text}");
                        continue;
                    }
                    assert_eq!(
                        text.contains("\"event\"") || text.contains("'event'") || text.contains("{ event,"),
                        layout == "flat",
                        "{name}: {text}"
                    );
                }
            }
        }
    }
}

//! A minimal Rust tokeniser: code without comments and literals, and the paths in it.

/// The words and signs of `text`, without comments, literals and lifetimes. `::` is one sign.
pub(crate) fn words_and_signs(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = skipped(rest);
        if skipped > 0 {
            rest = &rest[skipped..];
            continue;
        }
        let length = if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        if !first.is_whitespace() {
            found.push(rest[..length].to_owned());
        }
        rest = &rest[length..];
    }
    found
}

pub(crate) fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The length of a comment or literal at the beginning of `rest`, in bytes; 0 for code.
fn skipped(rest: &str) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment(rest);
    }
    if let Some(hashes) = raw_hashes(rest) {
        let end = format!("\"{}", "#".repeat(hashes));
        let start = rest.find('"').map_or(rest.len(), |at| at + 1);
        return rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len());
    }
    if rest.starts_with('"') || rest.starts_with("b\"") || rest.starts_with("c\"") {
        return quoted(rest, '"');
    }
    if let Some(inside) = rest.strip_prefix('\'') {
        let mut characters = inside.chars();
        let (one, two) = (characters.next(), characters.next());
        let is_character = one == Some('\\') || two == Some('\'');
        // Otherwise a lifetime: the tick and its name.
        return if is_character {
            quoted(rest, '\'')
        } else {
            1 + inside.find(|c| !is_word(c)).unwrap_or(inside.len())
        };
    }
    0
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        let (step, change) = match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (2, 1),
            [b'*', b'/', ..] => (2, -1),
            _ => (1, 0),
        };
        at += step;
        depth += change;
        if depth == 0 {
            break;
        }
    }
    at
}

/// The number of `#` of a raw string that begins here.
fn raw_hashes(rest: &str) -> Option<usize> {
    let marks = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = marks.len() - marks.trim_start_matches('#').len();
    marks[hashes..].starts_with('"').then_some(hashes)
}

/// The length of a quoted literal, including escaped quotes.
fn quoted(rest: &str, quote: char) -> usize {
    let start = rest.find(quote).map_or(rest.len(), |at| at + 1);
    let mut escaped = false;
    for (at, character) in rest[start..].char_indices() {
        if character == quote && !escaped {
            return start + at + 1;
        }
        escaped = character == '\\' && !escaped;
    }
    rest.len()
}

/// The paths from the crate's root, without that prefix: `core::id::EventId` for `use crate::{core::id::EventId}`.
/// `depth` is that of the file's module, for paths with `super`.
pub(crate) fn crate_paths(code: &[String], depth: usize) -> Vec<String> {
    let mut found = Vec::new();
    for at in 0..code.len() {
        let starts = at == 0 || code[at - 1] != "::";
        let root = match code[at].as_str() {
            "crate" | "hookswitch" if starts => 1,
            "super" if starts => {
                let supers = code[at..].chunks(2).take_while(|pair| pair[0] == "super").count();
                if supers < depth {
                    continue;
                }
                2 * supers - 1
            }
            _ => continue,
        };
        if code.get(at + root).is_some_and(|sign| sign == "::") {
            tree(&code[at + root + 1..], "", &mut found);
        }
    }
    found
}

/// Adds the paths of one tree (`a::b`, `a::{b, c::d}`) and returns its number of signs.
fn tree(code: &[String], before: &str, found: &mut Vec<String>) -> usize {
    if code.first().is_some_and(|sign| sign == "{") {
        let mut at = 1;
        while at < code.len() && code[at] != "}" {
            let length = tree(&code[at..], before, found);
            at += length.max(1);
            while at < code.len() && code[at] != "," && code[at] != "}" {
                at += 1; // `as name`
            }
            at += usize::from(at < code.len() && code[at] == ",");
        }
        return at + 1;
    }
    let Some(first) = code.first().filter(|word| word.chars().all(is_word)) else { return 0 };
    let path = if before.is_empty() { first.clone() } else { format!("{before}::{first}") };
    let goes_on = code.get(1).is_some_and(|sign| sign == "::");
    let next = code.get(2).is_some_and(|sign| sign == "{" || sign.chars().all(is_word));
    if goes_on && next {
        return 2 + tree(&code[2..], &path, found);
    }
    found.push(path);
    1
}

/// One name brought in by a `use`.
pub(crate) struct Use {
    /// The path as written, with its `crate`, `super` or `self`.
    pub(crate) path: Vec<String>,
    /// Its name here.
    pub(crate) name: String,
    /// Whether it is re-exported.
    pub(crate) public: bool,
}

/// The names brought in by the `use` lines of `code`, and the code without them.
pub(crate) fn uses(code: &[String]) -> (Vec<Use>, Vec<String>) {
    let (mut found, mut rest) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < code.len() {
        if code[at] != "use" {
            rest.push(code[at].clone());
            at += 1;
            continue;
        }
        let public = at > 0 && (code[at - 1] == "pub" || code[at - 1] == ")");
        let end = code[at..].iter().position(|sign| sign == ";").map_or(code.len(), |length| at + length);
        branches(&code[at + 1..end], &[], public, &mut found);
        at = end + 1;
    }
    (found, rest)
}

/// Adds the names of one tree of a `use` after `before` and returns its number of signs.
fn branches(code: &[String], before: &[String], public: bool, found: &mut Vec<Use>) -> usize {
    let mut path = before.to_vec();
    let mut at = 0;
    while let Some(sign) = code.get(at) {
        at += 1;
        match sign.as_str() {
            "::" => {}
            "{" => {
                while code.get(at).is_some_and(|sign| sign != "}") {
                    at += branches(&code[at..], &path, public, found).max(1);
                    at += usize::from(code.get(at).is_some_and(|sign| sign == ","));
                }
                return at + 1;
            }
            "as" => {
                let name = code.get(at).cloned().unwrap_or_default();
                found.push(Use { path, name, public });
                return at + 1;
            }
            "," | "}" => {
                at -= 1;
                break;
            }
            // `a::{self}` is `a`, but `self::a` starts here.
            "self" if !path.is_empty() => {}
            word => path.push(word.to_owned()),
        }
    }
    if let Some(name) = path.last().cloned() {
        found.push(Use { path, name, public });
    }
    at
}

/// `code` without parts compiled for tests only.
pub(crate) fn without_tests(code: &[String]) -> Vec<String> {
    let attribute = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < code.len() {
        if !code[at..].iter().map(String::as_str).take(attribute.len()).eq(attribute) {
            kept.push(code[at].clone());
            at += 1;
            continue;
        }
        at += attribute.len();
        let mut depth = 0_usize;
        while let Some(sign) = code.get(at) {
            at += 1;
            match sign.as_str() {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" => depth = depth.saturating_sub(1),
                "}" if depth == 1 => break,
                "}" => depth = depth.saturating_sub(1),
                ";" | "," if depth == 0 => break,
                _ => {}
            }
        }
    }
    kept
}

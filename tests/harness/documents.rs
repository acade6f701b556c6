//! The README and the handbook as tests see them: code, links, headings, and the commands of shell blocks.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A block of code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) language: String,
    pub(crate) text: String,
}

/// A document in Markdown.
#[derive(Debug, Default)]
pub(crate) struct Document {
    /// Its path from the root of the source.
    pub(crate) path: String,
    pub(crate) blocks: Vec<Block>,
    /// Code within text.
    pub(crate) spans: Vec<String>,
    pub(crate) links: Vec<String>,
    /// The anchors of its headings, as GitHub and the page make them.
    pub(crate) anchors: BTreeSet<String>,
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The README and all chapters of the handbook.
pub(crate) fn all() -> Vec<Document> {
    let mut paths = vec!["README.md".to_owned()];
    for entry in fs::read_dir(root().join("docs")).expect("docs") {
        let name = entry.expect("an entry of a directory of ours").file_name();
        let name = name.to_str().expect("a name in UTF-8");
        paths.extend(name.ends_with(".md").then(|| format!("docs/{name}")));
    }
    paths.sort();
    let read = |path: &String| Document::read(path, &fs::read_to_string(root().join(path)).expect("a document"));
    paths.iter().map(read).collect()
}

impl Document {
    pub(crate) fn read(path: &str, text: &str) -> Self {
        let mut document = Self { path: path.to_owned(), ..Self::default() };
        let (mut heading, mut in_block) = (None::<String>, false);
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => document.anchors.extend(heading.take().map(|text| anchor(&text))),
                Event::Start(Tag::CodeBlock(kind)) => {
                    let language =
                        if let CodeBlockKind::Fenced(name) = kind { name.to_string() } else { String::new() };
                    document.blocks.push(Block { language, text: String::new() });
                    in_block = true;
                }
                Event::End(TagEnd::CodeBlock) => in_block = false,
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    document.links.push(dest_url.to_string());
                }
                Event::Text(text) if in_block => {
                    document.blocks.last_mut().expect("a block that was begun").text += &text;
                }
                Event::Text(text) => heading.iter_mut().for_each(|heading| *heading += &text),
                Event::Code(text) => {
                    heading.iter_mut().for_each(|heading| *heading += &text);
                    document.spans.push(text.to_string());
                }
                _ => {}
            }
        }
        document
    }

    /// The blocks in `language`.
    pub(crate) fn in_language<'d>(&'d self, language: &'d str) -> impl Iterator<Item = &'d str> {
        self.blocks.iter().filter(move |block| block.language == language).map(|block| block.text.as_str())
    }
}

fn anchor(text: &str) -> String {
    let kept = text.to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}

/// The simple commands of a script of `sh`, each as its words, without assignments before them. Comments go, quotes are taken away, and
/// what is expanded (`$TOKEN`, `$(…)`) stays as it is written.
pub(crate) fn commands(script: &str) -> Vec<Vec<String>> {
    let script = script.replace("\\\n", " ");
    let mut found = vec![Vec::new()];
    let mut word = None::<String>;
    let mut characters = script.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\'' => word.get_or_insert_default().extend(characters.by_ref().take_while(|c| *c != '\'')),
            '"' => word.get_or_insert_default().extend(characters.by_ref().take_while(|c| *c != '"')),
            '$' if characters.peek() == Some(&'(') => {
                let word = word.get_or_insert_default();
                word.push('$');
                word.extend(characters.by_ref().take_while(|c| *c != ')'));
                word.push(')');
            }
            '#' if word.is_none() => drop(characters.by_ref().find(|c| *c == '\n').map(|_| found.push(Vec::new()))),
            ' ' | '\t' => found.last_mut().expect("one at least").extend(word.take()),
            '\n' | ';' | '&' | '|' => {
                found.last_mut().expect("one at least").extend(word.take());
                found.push(Vec::new());
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    found.last_mut().expect("one at least").extend(word);
    let bare = |words: Vec<String>| words.into_iter().skip_while(|word| is_assignment(word)).collect::<Vec<_>>();
    found.into_iter().map(bare).filter(|words| !words.is_empty()).collect()
}

fn is_assignment(word: &str) -> bool {
    let name = word.split_once('=').map_or("", |(name, _)| name);
    !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// What a command line of `curl` asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<String>,
}

/// Reads the words of a command line of `curl`.
///
/// # Panics
/// If there is something in it that is not read here.
pub(crate) fn call(words: &[String]) -> Call {
    let mut call = Call { method: "GET".to_owned(), path: String::new(), headers: Vec::new(), body: None };
    let mut rest = words[1..].iter();
    while let Some(word) = rest.next() {
        let mut value = || rest.next().unwrap_or_else(|| panic!("{word} has no value: {words:?}")).clone();
        match word.as_str() {
            "-H" => {
                let line = value();
                let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("no header: {line}"));
                call.headers.push((name.to_lowercase(), value.to_owned()));
            }
            "-d" => (call.method, call.body) = ("POST".to_owned(), Some(value())),
            "-X" => call.method = value(),
            "-o" => drop(value()),
            "-s" => {}
            url => {
                let path = url.strip_prefix("http://127.0.0.1:4665").or_else(|| url.strip_prefix("127.0.0.1:4665"));
                call.path = path.unwrap_or_else(|| panic!("not understood: {url} in {words:?}")).to_owned();
            }
        }
    }
    call
}

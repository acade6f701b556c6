//! The handbook at `/docs`: the documents of the folder `docs`, which the build renders and compresses (`src/build`).
//!
//! It holds no secrets and is the same for everybody, so it needs no session, and each chapter is rendered once. It is in
//! English only, frame included.

use std::io::Read as _;
use std::sync::OnceLock;

use flate2::read::GzDecoder;
use hyper::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
use minijinja::{Value, context};

use super::prepared::Prepared;
use super::render::{HTML, Templates};
use crate::http::problem::Problem;
use crate::http::reply::Reply;
use crate::texts::Language;

/// Each chapter's name, title and HTML, each followed by a NUL.
const PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/handbook.gz"));

/// The chapter that `/docs` shows.
const INDEX: &str = "index";

struct Chapter {
    name: &'static str,
    title: &'static str,
    text: &'static str,
    /// The whole page, rendered when it is first asked for.
    page: OnceLock<Prepared>,
}

/// All chapters, decompressed when one is first asked for.
#[derive(Default)]
pub(super) struct Handbook(OnceLock<Vec<Chapter>>);

impl Handbook {
    fn chapters(&self) -> &[Chapter] {
        self.0.get_or_init(|| {
            let parts: Vec<&str> = unpacked().split_terminator('\0').collect();
            let chapter = |part: &[&'static str]| match *part {
                [name, title, text] => Some(Chapter { name, title, text, page: OnceLock::new() }),
                _ => None,
            };
            parts.chunks_exact(3).filter_map(chapter).collect()
        })
    }

    /// The chapter `name`, or the index, rendered with what all templates are given as `page`.
    ///
    /// # Errors
    /// 404 if there is no such chapter.
    pub(super) fn show(
        &self,
        templates: &Templates,
        page: impl FnOnce() -> Value,
        name: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Reply, Problem> {
        let name = name.unwrap_or(INDEX);
        let found = self.chapters().iter().find(|chapter| chapter.name == name);
        let chapter = found.ok_or_else(|| Problem::not_found("the handbook has no such chapter: /docs lists them"))?;
        let prepared = match chapter.page.get() {
            Some(prepared) => prepared,
            None => {
                let rendered = templates.render(Language::English, "handbook.html", self.values(chapter, page()))?;
                chapter.page.get_or_init(|| Prepared::new(rendered.into()))
            }
        };
        let mut reply = prepared.reply(HTML, headers);
        reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        Ok(reply)
    }

    fn values(&self, chapter: &Chapter, page: Value) -> Value {
        let all: Vec<Value> = self.chapters().iter().map(|one| link(one, one.name == chapter.name)).collect();
        context! {
            page,
            title => chapter.title,
            chapters => all,
            // Rendered by the build from the documents of the source.
            text => Value::from_safe_string(chapter.text.to_owned()),
        }
    }
}

/// A chapter in the list of all.
fn link(chapter: &Chapter, current: bool) -> Value {
    let path = if chapter.name == INDEX { "/docs".to_owned() } else { format!("/docs/{}", chapter.name) };
    let title = if chapter.name == INDEX { "Contents" } else { chapter.title };
    // Names of files of the source: nothing in them needs escaping.
    context! { path => Value::from_safe_string(path), title, current }
}

/// The decompressed handbook, kept for the life of the process.
fn unpacked() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let mut text = String::new();
        // Written by the build; if it could not be read there would be no chapters, which a test would notice.
        GzDecoder::new(PACKED).read_to_string(&mut text).map(|_| text).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_is_a_chapter_and_the_index_is_the_first() {
        let handbook = Handbook::default();
        let mut names: Vec<String> = handbook.chapters().iter().map(|chapter| format!("{}.md", chapter.name)).collect();
        assert_eq!(names.first().map(String::as_str), Some("index.md"));
        names.sort_unstable();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docs");
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut files: Vec<String> = files.filter(|name| name.ends_with(".md")).collect();
        files.sort_unstable();
        assert_eq!(names, files);
    }
}

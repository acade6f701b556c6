//! Renders the handbook (`docs/*.md`) as HTML when the program is built, so that the program carries no Markdown parser.
//!
//! The result is one file, compressed: for each chapter its name, its title and its HTML, each followed by a NUL. Chapters are
//! in the order in which `docs/index.md` links to them, after the index itself. Faults of a document (HTML in it, a
//! chapter that the index does not name, a link into the source) fail the build.
//!
//! Knows nothing of the page that shows it, except the path `/docs`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;
use pulldown_cmark::{Alignment, CowStr, Event, LinkType, Options, Parser, Tag, TagEnd, html};

/// The chapter that `/docs` shows.
const INDEX: &str = "index";

/// Writes `handbook.gz` into the directory of what the build makes.
pub(crate) fn render() {
    println!("cargo::rerun-if-changed=docs");
    let mut sources = BTreeMap::new();
    for entry in fs::read_dir("docs").expect("docs") {
        let path = entry.expect("an entry of docs").path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name in UTF-8").to_owned();
            sources.insert(name, fs::read_to_string(&path).expect("a chapter in UTF-8"));
        }
    }
    let index = sources.get(INDEX).expect("docs/index.md");
    let place = |name: &str| if name == INDEX { Some(0) } else { index.find(&format!("]({name}.md)")) };
    let mut chapters: Vec<(usize, &str)> = Vec::new();
    for name in sources.keys() {
        let place = place(name).unwrap_or_else(|| panic!("docs/index.md does not link to {name}.md"));
        chapters.push((place, name));
    }
    chapters.sort_unstable();
    let mut whole = String::new();
    for (_, name) in chapters {
        let (title, text) = chapter(name, &sources[name]);
        for part in [name, &title, &text] {
            whole.push_str(part);
            whole.push('\0');
        }
    }
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(whole.as_bytes()).expect("memory");
    let target = Path::new(&env::var_os("OUT_DIR").expect("OUT_DIR")).join("handbook.gz");
    fs::write(target, packed.finish().expect("memory")).expect("a file in OUT_DIR");
}

/// The title and the HTML of a chapter.
fn chapter(name: &str, source: &str) -> (String, String) {
    let mut parsed: Vec<Event> = Parser::new_ext(source, Options::ENABLE_TABLES).collect();
    let mut title = None;
    let mut headings: Vec<String> = Vec::new();
    for at in 0..parsed.len() {
        match &mut parsed[at] {
            Event::Html(text) | Event::InlineHtml(text) => panic!("docs/{name}.md: HTML is not shown: {text}"),
            Event::Start(Tag::Link { link_type, dest_url, .. }) if *link_type != LinkType::Autolink => {
                *dest_url = link(name, dest_url).into();
            }
            Event::Start(Tag::Heading { .. }) => {
                let text = text_of(&parsed[at..]);
                let id = anchor(&text);
                assert!(!headings.contains(&id), "docs/{name}.md: two headings are called '{text}'");
                headings.push(id.clone());
                if let Event::Start(Tag::Heading { id: own, .. }) = &mut parsed[at] {
                    *own = Some(id.into());
                }
                title.get_or_insert(text);
            }
            // It would be a style in the text, which the page's policy does not allow.
            Event::Start(Tag::Table(alignments)) => alignments.fill(Alignment::None),
            _ => {}
        }
    }
    let mut text = String::new();
    let mut ids = headings.into_iter();
    let shown = parsed.into_iter().flat_map(|event| shown(event, &mut ids));
    html::push_html(&mut text, shown);
    (title.unwrap_or_else(|| panic!("docs/{name}.md has no title")), text)
}

/// An event as it is rendered: what may be wider than the page can be scrolled, by keyboard too, and a heading has a link
/// to itself.
fn shown<'e>(event: Event<'e>, headings: &mut impl Iterator<Item = String>) -> Vec<Event<'e>> {
    let html = |text: &'static str| Event::Html(CowStr::Borrowed(text));
    match event {
        Event::Start(Tag::Table(_)) => vec![html("<div class=\"scroll\" tabindex=\"0\">"), event],
        Event::End(TagEnd::Table) => vec![event, html("</div>\n")],
        Event::Start(Tag::CodeBlock(_)) => vec![html("<pre tabindex=\"0\"><code>")],
        Event::End(TagEnd::CodeBlock) => vec![html("</code></pre>\n")],
        Event::End(TagEnd::Heading(_)) => {
            let id = headings.next().unwrap_or_default();
            let link = format!(" <a class=\"anchor\" href=\"#{id}\" aria-label=\"Link to this section\">#</a>");
            vec![Event::InlineHtml(link.into()), event]
        }
        event => vec![event],
    }
}

/// The text of the heading that `events` begin with.
fn text_of(events: &[Event]) -> String {
    let inside = events.iter().take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
    inside
        .filter_map(|event| if let Event::Text(text) | Event::Code(text) = event { Some(&**text) } else { None })
        .collect()
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(text: &str) -> String {
    let kept = text.to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}

/// Where a link of the chapter `name` leads to on the page.
fn link(name: &str, target: &str) -> String {
    if target.starts_with("https://") || target.starts_with('#') {
        return target.to_owned();
    }
    let (file, anchor) = target.split_once('#').map_or((target, ""), |(file, anchor)| (file, anchor));
    let chapter = file.strip_suffix(".md").filter(|file| !file.contains(['/', '.']));
    let chapter = chapter.unwrap_or_else(|| panic!("docs/{name}.md: '{target}' is no chapter: name it without a link"));
    let path = if chapter == INDEX { "/docs".to_owned() } else { format!("/docs/{chapter}") };
    if anchor.is_empty() { path } else { format!("{path}#{anchor}") }
}

//! The pictures and other files of a message: their URLs at the platform. Nothing here fetches them.

use serde_json::value::RawValue;
use url::Url;

use super::super::invalid::{Invalid, pointer};
use super::super::json::{self, quote};

/// Maximum files of a message.
const MEDIA_MOST: usize = 20;
/// Maximum characters of a URL.
const URL_MOST: usize = 2_048;
/// Maximum characters of a media type (RFC 6838 section 4.2 allows 127 on either side of the slash).
const TYPE_MOST: usize = 255;

/// A file of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// An absolute http or https URL, as posted.
    pub url: String,
    /// Its media type, such as `image/jpeg`, if given.
    pub content_type: Option<String>,
}

impl Media {
    /// As JSON.
    pub fn to_json(&self) -> String {
        let content_type = self.content_type.as_deref().map_or_else(|| "null".to_owned(), quote);
        format!(r#"{{"url":{},"content_type":{content_type}}}"#, quote(&self.url))
    }
}

/// `media` as a further member of a JSON object; empty if there is none.
pub(super) fn as_member(media: &[Media]) -> String {
    if media.is_empty() {
        return String::new();
    }
    let items: Vec<String> = media.iter().map(Media::to_json).collect();
    format!(r#","media":[{}]"#, items.join(","))
}

/// Parses the list.
///
/// # Errors
/// Every fault with its pointer, relative to the list.
pub(super) fn read(value: &RawValue) -> Result<Vec<Media>, Invalid> {
    let items = json::items(value).map_err(|fault| Invalid::one("", fault))?;
    if items.len() > MEDIA_MOST {
        return Err(Invalid::one("", format!("must have at most {MEDIA_MOST} items, not {}", items.len())));
    }
    let mut invalid = Invalid::default();
    let mut media = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        match read_one(item) {
            Ok(one) => media.push(one),
            Err(inner) => invalid.nest(&format!("/{index}"), inner),
        }
    }
    invalid.or(Some(media))
}

fn read_one(value: &RawValue) -> Result<Media, Invalid> {
    let members = json::members(value).map_err(|fault| Invalid::one("", fault))?;
    let mut invalid = Invalid::default();
    if let Some(name) = json::first_duplicate(&members) {
        invalid.add(pointer(name), "is given twice");
    }
    let (mut url, mut content_type) = (None, None);
    for (name, value) in &members {
        let at = pointer(name);
        match name.as_ref() {
            "url" => url = invalid.check(&at, read_url(value)),
            "content_type" => content_type = invalid.check(&at, json::optional(value, read_type)).flatten(),
            _ => invalid.add(at, "is not a member of a file; there are: url, content_type"),
        }
    }
    if !members.iter().any(|(name, _)| name == "url") {
        invalid.add("/url", "is missing: where the file is");
    }
    invalid.or(url.map(|url| Media { url, content_type }))
}

/// Only schemes that a browser may follow: the page links to it.
fn read_url(value: &RawValue) -> Result<String, String> {
    let text = json::line(value, URL_MOST)?;
    let web = Url::parse(&text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if web { Ok(text) } else { Err("must be an absolute http or https URL".to_owned()) }
}

fn read_type(value: &RawValue) -> Result<String, String> {
    let text = json::line(value, TYPE_MOST)?;
    let (essence, _) = text.split_once(';').unwrap_or((&text, ""));
    match essence.trim().split_once('/') {
        Some((kind, sub)) if !kind.is_empty() && !sub.is_empty() => Ok(text),
        _ => Err("must be a media type, such as `image/jpeg`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(text: &str) -> Result<Vec<Media>, String> {
        read(json::parse(text).unwrap()).map_err(|invalid| invalid.to_string())
    }

    #[test]
    fn files_are_read_as_they_were_posted() {
        let read = reading(
            r#"[{"url":"HTTPS://Media.Example/a b?x=1","content_type":"image/jpeg; q=1"},{"url":"http://m.example/2","content_type":""}]"#,
        );
        let read = read.unwrap();
        assert_eq!(read[0].url, "HTTPS://Media.Example/a b?x=1");
        assert_eq!((read[0].content_type.as_deref(), read[1].content_type.as_deref()), (Some("image/jpeg; q=1"), None));
        let wanted = r#","media":[{"url":"HTTPS://Media.Example/a b?x=1","content_type":"image/jpeg; q=1"},{"url":"http://m.example/2","content_type":null}]"#;
        assert_eq!(as_member(&read), wanted);
        assert_eq!((reading("[]"), as_member(&[])), (Ok(Vec::new()), String::new()));
        let many = vec![r#"{"url":"https://m.example/"}"#; MEDIA_MOST].join(",");
        assert_eq!(reading(&format!("[{many}]")).unwrap().len(), MEDIA_MOST);
    }

    #[test]
    fn faults_are_named() {
        let many = vec![r#"{"url":"https://m.example/"}"#; MEDIA_MOST + 1].join(",");
        for (text, wanted) in [
            (format!("[{many}]"), "at most 20"),
            ("{}".to_owned(), "a list"),
            (r#"["https://m.example/"]"#.to_owned(), "/0 must be an object"),
            ("[{}]".to_owned(), "/0/url is missing"),
            (r#"[{"url":"javascript:alert(1)"}]"#.to_owned(), "/0/url must be an absolute http"),
            (r#"[{"url":"//m.example/x"}]"#.to_owned(), "/0/url must be an absolute http"),
            (r#"[{"url":""}]"#.to_owned(), "/0/url must have 1 to 2048"),
            (format!(r#"[{{"url":"https://m.example/{}"}}]"#, "x".repeat(URL_MOST)), "/0/url must have 1 to 2048"),
            (r#"[{"url":"https://m.example/\n"}]"#.to_owned(), "/0/url must not have control"),
            (
                r#"[{"url":"https://m.example/","content_type":"jpeg"}]"#.to_owned(),
                "/0/content_type must be a media type",
            ),
            (r#"[{"url":"https://m.example/","size":1}]"#.to_owned(), "/0/size is not a member"),
            (r#"[{"url":"https://m.example/","url":"https://m.example/"}]"#.to_owned(), "/0/url is given twice"),
        ] {
            let refusal = reading(&text).unwrap_err();
            assert!(refusal.contains(wanted), "{text}: {refusal}");
        }
    }
}

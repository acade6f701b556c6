//! The language of a view, and the switch on the page.
//!
//! A portal link decides; else the switch, which is kept in a cookie; else what the browser prefers (`Accept-Language`);
//! else `[page] language`; else English.

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{ACCEPT_LANGUAGE, COOKIE, HeaderMap, HeaderValue, SET_COOKIE};

use super::paths::target;
use crate::http::context::RequestContext;
use crate::http::problem::Problem;
use crate::http::reply::{Reply, seen_other};
use crate::http::{origin, portal_links, request};
use crate::texts::{Language, Texts};

/// The cookie of the switch. It says nothing about anybody, and may be the same for all daemons of a host.
const COOKIE_NAME: &str = "hookswitch_language";
/// How long it lasts, in seconds: a year.
const COOKIE_AGE: u32 = 31_536_000;

/// The language of a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spoken {
    pub(super) language: Language,
    /// Whether the viewer may choose another: not if the platform has chosen.
    pub(super) free: bool,
    /// Where the viewer is, as far as the browser or the link say (ISO 3166-1): for phone numbers.
    pub(super) region: Option<[u8; 2]>,
}

impl Spoken {
    /// For a request with these headers, by somebody whose portal link asks for the language `by_link`.
    pub(super) fn of(headers: &HeaderMap, by_link: Option<&str>, configured: Option<&str>) -> Self {
        let lines = headers.get_all(ACCEPT_LANGUAGE).iter().filter_map(|line| line.to_str().ok());
        let accepted = lines.collect::<Vec<_>>().join(",");
        let region = by_link.into_iter().chain(accepted.split(',')).find_map(region);
        if let Some(language) = by_link.and_then(Language::of_tag) {
            return Self { language, free: false, region };
        }
        let language = switched(headers).or_else(|| Language::preferred(&accepted));
        let language = language.or_else(|| configured.and_then(Language::of_tag)).unwrap_or(Language::English);
        Self { language, free: true, region }
    }

    /// The same for somebody who is not signed in.
    pub(super) fn of_stranger(context: &RequestContext, headers: &HeaderMap) -> Self {
        Self::of(headers, None, context.page.language.as_deref())
    }

    /// Its texts.
    pub(super) fn texts(self) -> &'static Texts {
        Texts::of(self.language)
    }
}

/// The region of a tag such as `de-AT;q=0.9` (RFC 5646 section 2.2.4).
fn region(range: &str) -> Option<[u8; 2]> {
    let tag = range.split(';').next().unwrap_or_default();
    let region = tag.trim().split('-').skip(1).find(|part| part.len() == 2)?;
    region
        .bytes()
        .all(|byte| byte.is_ascii_alphabetic())
        .then(|| region.to_ascii_uppercase().into_bytes().try_into().ok())?
}

/// What the switch was set to.
fn switched(headers: &HeaderMap) -> Option<Language> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, _)| name.trim() == COOKIE_NAME).find_map(|(_, value)| Language::of_tag(value))
}

/// Sets the switch, and goes back to the view that it was on.
///
/// # Errors
/// 403 from another site; 422 for a language that the page does not speak.
pub(super) async fn switch(context: &RequestContext, request: Request<Incoming>) -> Result<Reply, Problem> {
    if !origin::is_same_origin(request.headers()) {
        return Err(Problem::forbidden("the language is switched from the page itself").closing());
    }
    let framed = origin::is_for_frame(request.headers());
    let fields = request::form(request, context.limits).await?;
    let field = |name: &str| fields.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str());
    let language = field("language").and_then(Language::of_tag);
    let language = language.ok_or_else(|| Problem::invalid("/language", "must be `en`, `de` or `es`"))?;
    // A frame of another site has only cookies of its own.
    let place = if framed { "SameSite=None; Secure; Partitioned" } else { "SameSite=Lax" };
    let cookie = format!("{COOKIE_NAME}={}; Path=/; Max-Age={COOKIE_AGE}; HttpOnly; {place}", language.tag());
    let then = field("then").map(|then| if then == portal_links::PATH { then.to_owned() } else { target(Some(then)) });
    let mut reply = seen_other(&then.unwrap_or_else(|| target(None)));
    let cookie = HeaderValue::from_str(&cookie).map_err(|_| Problem::internal())?;
    reply.headers_mut().append(SET_COOKIE, cookie);
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_decides_then_the_switch_then_the_browser_then_the_configuration() {
        let headers = |given: &[(&'static str, &str)]| {
            let pairs = given.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            pairs.collect::<HeaderMap>()
        };
        let switch = ("cookie", "a=b; hookswitch_language=es");
        let browser = ("accept-language", "fr, de;q=0.5");
        for (given, link, configured, language, free) in [
            (vec![switch, browser], Some("en-GB"), Some("de"), Language::English, false),
            (vec![switch, browser], Some("fr"), Some("en"), Language::Spanish, true),
            (vec![switch, browser], None, Some("en"), Language::Spanish, true),
            (vec![browser], None, Some("en"), Language::German, true),
            (vec![("cookie", "hookswitch_language=fr"), browser], None, None, Language::German, true),
            (vec![("accept-language", "fr")], None, Some("es-MX"), Language::Spanish, true),
            (vec![("accept-language", "fr")], None, Some("fr"), Language::English, true),
            (vec![], None, None, Language::English, true),
        ] {
            let found = Spoken::of(&headers(&given), link, configured);
            assert_eq!((found.language, found.free), (language, free), "{given:?}");
        }
        for (tag, wanted) in
            [("de-at;q=0.5", Some(*b"AT")), ("zh-Hant-TW", Some(*b"TW")), ("de", None), ("es-419", None)]
        {
            assert_eq!(region(tag), wanted, "{tag}");
        }
    }
}

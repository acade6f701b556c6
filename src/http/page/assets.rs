//! Scripts and styles from the views' folders.
//!
//! Served below `/assets/VERSION/`, where the version is a hash of all of them, so browsers may cache them
//! indefinitely. Below it the paths are those of the source, so scripts import each other unchanged. Under another
//! version (of a page from before an upgrade) they are served too, but must be revalidated each time.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
use minijinja::Value;
use sha2::{Digest as _, Sha256};

use super::prepared::{Prepared, short};
use crate::core::colour::Colour;
use crate::http::body::{Body, with_body};
use crate::http::brand::{self, Logo};
use crate::http::problem::Problem;
use crate::http::reply::Reply;

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// One file.
pub(super) struct Asset {
    folder: &'static str,
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

macro_rules! assets {
    ($($kind:ident $folder:literal $name:literal),+ $(,)?) => {
        &[$(Asset { folder: $folder, name: $name, kind: $kind, text: include_str!(concat!($folder, "/", $name)) }),+]
    };
}

/// All of them.
const ALL: &[Asset] = assets![
    SVG "layout" "icon.svg",
    CSS "layout" "base.css",
    CSS "layout" "frame.css",
    CSS "layout" "controls.css",
    CSS "layout" "tables.css",
    JS "layout" "page.js",
    JS "layout" "texts.js",
    JS "layout" "ready.js",
    JS "layout" "api.js",
    JS "layout" "dom.js",
    JS "layout" "dialog.js",
    JS "layout" "time.js",
    JS "layout" "copy.js",
    JS "layout" "filters.js",
    CSS "layout" "filters.css",
    JS "layout" "faults.js",
    JS "layout" "embed.js",
    JS "layout" "live.js",
    JS "layout" "shortcuts.js",
    JS "layout" "refresh.js",
    CSS "sign_in" "sign_in.css",
    CSS "handbook" "handbook.css",
    JS "portal" "portal.js",
    CSS "webhooks" "list.css",
    JS "webhooks" "list.js",
    CSS "webhooks" "form.css",
    JS "webhooks" "form.js",
    JS "webhooks" "fields.js",
    JS "webhooks" "target.js",
    JS "webhooks" "filter.js",
    JS "webhooks" "certificate.js",
    JS "webhooks" "test.js",
    JS "webhooks" "url.js",
    JS "webhooks" "preview.js",
    JS "webhooks" "secret.js",
    JS "webhooks" "state.js",
    JS "webhooks" "replay.js",
    JS "webhooks" "activity.js",
    JS "webhooks" "code.js",
    JS "webhooks" "domains.js",
    CSS "calls" "calls.css",
    JS "calls" "list.js",
    CSS "report" "report.css",
    JS "report" "report.js",
    CSS "logs" "logs.css",
    JS "event" "event.js",
    JS "logs" "list.js",
    JS "logs" "rows.js",
    JS "logs" "live.js",
    JS "logs" "entry.js",
    JS "logs" "again.js",
    JS "logs" "dead.js",
    CSS "activity" "activity.css",
    JS "activity" "list.js",
    CSS "keys" "keys.css",
    JS "keys" "keys.js",
    CSS "status" "status.css",
    JS "status" "status.js",
];

/// The index of `folder/name`.
pub(super) fn find(folder: &str, name: &str) -> Option<usize> {
    ALL.iter().position(|asset| asset.folder == folder && asset.name == name)
}

/// All scripts: their paths below `/assets/VERSION/`, and their texts.
pub(super) fn scripts() -> impl Iterator<Item = (String, &'static str)> {
    let scripts = ALL.iter().filter(|asset| asset.kind == JS);
    scripts.map(|asset| (format!("{}/{}", asset.folder, asset.name), asset.text))
}

/// All files, ready to be sent.
pub(super) struct Assets {
    ready: Vec<Prepared>,
    logo: Option<Logo>,
    /// The style of the configured colour.
    accent: Bytes,
    /// The prefix of their paths: `/assets/VERSION`.
    base: String,
}

impl Assets {
    pub(super) fn new(logo: Option<Logo>, accent: Option<Colour>) -> Self {
        let mut whole = Sha256::new();
        let mut ready = Vec::with_capacity(ALL.len());
        for asset in ALL {
            let file = Prepared::new(Bytes::from_static(asset.text.as_bytes()));
            whole.update(Sha256::digest(file.plain()));
            ready.push(file);
        }
        let accent: Bytes = accent.map(brand::style).unwrap_or_default().into();
        whole.update(Sha256::digest(&accent));
        whole.update(Sha256::digest(logo.as_ref().map(|logo| logo.bytes.clone()).unwrap_or_default()));
        Self { ready, logo, accent, base: format!("/assets/{}", short(&whole.finalize())) }
    }

    /// `/assets/VERSION`, for templates: generated, so it needs no escaping.
    pub(super) fn base(&self) -> Value {
        Value::from_safe_string(self.base.clone())
    }

    /// The configured logo.
    ///
    /// # Errors
    /// 404 if there is none.
    pub(super) fn logo(&self, path: &str) -> Result<Reply, Problem> {
        let none = || Problem::not_found("there is no logo");
        let logo = self.logo.as_ref().ok_or_else(none)?;
        Ok(self.kept(path, with_body(StatusCode::OK, logo.media, Body::Whole(logo.bytes.clone()))))
    }

    /// The style of the configured colour.
    pub(super) fn accent(&self, path: &str) -> Reply {
        self.kept(path, with_body(StatusCode::OK, CSS, Body::Whole(self.accent.clone())))
    }

    /// `reply`, which browsers may keep if it was requested under the current version.
    fn kept(&self, path: &str, mut reply: Reply) -> Reply {
        let lasting = path.strip_prefix(&self.base).is_some_and(|rest| rest.starts_with('/'));
        let keep = if lasting { "public, max-age=31536000, immutable" } else { "no-cache" };
        reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(keep));
        reply
    }

    /// The file at `index`, requested as `path`; `304` if the browser has it.
    pub(super) fn reply(&self, index: usize, path: &str, headers: &HeaderMap) -> Reply {
        self.kept(path, self.ready[index].reply(ALL[index].kind, headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(reply: &Reply) -> &Bytes {
        match reply.body() {
            Body::Whole(bytes) => bytes,
            Body::Stream(_) => panic!("an asset is never streamed"),
        }
    }

    fn request(assets: &Assets, path: &str, headers: &[(&'static str, &str)]) -> Reply {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        assets.reply(find("layout", "base.css").unwrap(), path, &headers)
    }

    #[test]
    fn an_asset_has_a_tag_for_each_of_its_forms_and_is_kept_under_its_version() {
        let assets = Assets::new(None, None);
        let path = format!("{}/layout/base.css", assets.base());
        let plain = request(&assets, &path, &[]);
        let packed = request(&assets, &path, &[("accept-encoding", "gzip")]);
        assert_eq!(packed.headers()["content-encoding"], "gzip");
        assert!(bytes(&packed).len() < bytes(&plain).len());
        assert_ne!(plain.headers()["etag"], packed.headers()["etag"]);
        assert!(plain.headers()["cache-control"].to_str().unwrap().contains("immutable"));
        let stale = request(&assets, "/assets/000000000000/layout/base.css", &[]);
        assert_eq!(stale.headers()["cache-control"], "no-cache");
        let tag = packed.headers()["etag"].to_str().unwrap();
        let again = request(&assets, &path, &[("accept-encoding", "gzip"), ("if-none-match", tag)]);
        assert_eq!((again.status().as_u16(), bytes(&again).len()), (304, 0));
        let other = request(&assets, &path, &[("if-none-match", tag)]);
        assert_eq!(other.status(), 200, "the tag of the other form");
    }

    #[test]
    fn every_import_and_every_asset_that_a_template_names_is_there() {
        for asset in ALL.iter().filter(|asset| asset.kind == JS) {
            for line in asset.text.lines().filter(|line| line.starts_with("import ")) {
                let from = line.rsplit('"').nth(1).unwrap_or_else(|| panic!("{}: {line}", asset.name));
                let parts: Vec<&str> = from.split('/').collect();
                let found = match parts.as_slice() {
                    [".", name] => find(asset.folder, name),
                    ["..", folder, name] => find(folder, name),
                    _ => None,
                };
                assert!(found.is_some(), "{}: {line}", asset.name);
            }
        }
        for (name, text) in super::super::render::SOURCES {
            let linked = text.split("{{ page.assets }}/").skip(1).map(|named| named.split('"').next().unwrap());
            let own = text.split("{% block script %}").skip(1).map(|named| named.split("{%").next().unwrap());
            for path in linked.chain(own) {
                if path.starts_with("brand/") || path.is_empty() || path == "{{ script }}" {
                    continue;
                }
                let found = path.split_once('/').and_then(|(folder, name)| find(folder, name));
                assert!(found.is_some(), "{name}: {path}");
            }
        }
    }
}

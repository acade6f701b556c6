//! Bodies of a webhook's own: templates in the language of Jinja, rendered from an event's envelope.
//!
//! Knows no files, no network and no clock; the work, the depth and the output of a rendering are bounded, so that no
//! template, whoever wrote it, can hold up or break anything. What a template cannot render is a [`TemplateFault`], a
//! sentence for whoever wrote it, which shows nothing of the event.

mod environment;
mod fault;
mod filters;
mod output;
mod syntax;
mod values;

use std::fmt;
use std::sync::{Arc, OnceLock};

use minijinja::{ErrorKind, Value};

use self::environment::Compiled;
use self::output::{Escaping, Rendering, Writer};
use self::syntax::NAME;
use self::values::Envelope;
use super::event::Event;
use super::json;
use super::text::excerpt;

pub use fault::TemplateFault;
pub use output::OUTPUT_MOST;

/// Maximum bytes of a template.
pub const TEMPLATE_MOST: usize = 32 * 1024;
/// Maximum characters of a content type.
const CONTENT_TYPE_MOST: usize = 128;
/// The content type of templates that name none.
pub const CONTENT_TYPE: &str = "application/json";

/// A template and its content type. Cheap to clone.
#[derive(Clone)]
pub struct Template {
    source: Arc<str>,
    content_type: Arc<str>,
    /// Compiled when it is first used: most of those that are read from the disk are not, for a while.
    compiled: Arc<OnceLock<Result<Compiled, TemplateFault>>>,
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.content_type == other.content_type
    }
}

impl Eq for Template {}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template").field("source", &self.source).field("content_type", &self.content_type).finish()
    }
}

impl Template {
    /// A template. One that cannot be compiled is kept, and fails when it is rendered.
    pub fn new(source: &str, content_type: &str) -> Self {
        Self { source: source.into(), content_type: content_type.into(), compiled: Arc::default() }
    }

    fn compiled(&self) -> Result<&Compiled, TemplateFault> {
        if let Some(found) = self.compiled.get() {
            return found.as_ref().map_err(Clone::clone);
        }
        let busy = "it cannot be compiled at present: this server could not start a thread for it";
        let busy = || TemplateFault { line: None, detail: busy.to_owned() };
        let made = environment::compile(&self.source).ok_or_else(busy)?;
        self.compiled.get_or_init(|| made).as_ref().map_err(Clone::clone)
    }

    /// The same with another content type.
    #[must_use]
    pub fn with_content_type(&self, content_type: &str) -> Self {
        Self { content_type: content_type.into(), ..self.clone() }
    }

    /// Its text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The value of `Content-Type`.
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// Why it can never render: it cannot be compiled, or names what an event does not have.
    ///
    /// # Errors
    /// The fault.
    pub fn check(&self) -> Result<(), TemplateFault> {
        let compiled = self.compiled()?;
        match compiled.unknown.clone() {
            Some(detail) => Err(TemplateFault { line: None, detail }),
            None => Ok(()),
        }
    }

    /// Renders the body of an event's delivery to `url`.
    ///
    /// # Errors
    /// The fault: of the template, or of a result that is not what its content type says.
    pub fn render(&self, event: &Event, url: &str) -> Result<Vec<u8>, TemplateFault> {
        let compiled = self.compiled()?;
        let escaping = Escaping::of(&self.content_type);
        let rendering = Arc::new(Rendering::new(escaping));
        let envelope = Arc::new(Envelope::of(event, parameters(url), Value::from_dyn_object(Arc::clone(&rendering))));
        let mut writer = Writer { bytes: Vec::new(), rendering: &rendering };
        let rendered = compiled.environment.get_template(NAME);
        let rendered = rendered.and_then(|template| {
            template.render_captured_to(Value::from_dyn_object(Arc::clone(&envelope)), &mut writer).map(drop)
        });
        rendered.map_err(|error| TemplateFault::of(&error))?;
        let bytes = writer.bytes;
        if envelope.overworked() {
            return Err(TemplateFault::of(&ErrorKind::OutOfFuel.into()));
        }
        if escaping == Escaping::Json {
            check_json(&bytes)?;
        }
        Ok(bytes)
    }
}

/// The parameters of the webhook's URL, by which a template can take what belongs to one target only.
fn parameters(url: &str) -> Value {
    let Ok(url) = url::Url::parse(url) else { return Value::from(()) };
    Value::from_pairs(url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())))
}

fn check_json(bytes: &[u8]) -> Result<(), TemplateFault> {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let fault = |detail| Err(TemplateFault { line: None, detail });
    if text.trim().is_empty() {
        return fault("its result is empty, which is no JSON".to_owned());
    }
    match json::parse(text) {
        Ok(_) => Ok(()),
        Err(why) => fault(format!("its result is not JSON: {why}")),
    }
}

/// Reads a content type: a media type with its parameters (RFC 9110 section 8.3.1).
///
/// # Errors
/// What would be right.
pub fn read_content_type(text: &str) -> Result<String, String> {
    const WANTED: &str = "must be a media type such as application/json or text/plain; charset=utf-8";
    let token = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte))
    };
    let essence = text.split(';').next().unwrap_or_default().trim();
    let halves = essence.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype));
    let visible = text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && text.trim() == text;
    if !halves || !visible || text.len() > CONTENT_TYPE_MOST {
        return Err(format!("{WANTED}, not `{}`", excerpt(text)));
    }
    Ok(text.to_owned())
}

/// Reads a template's text.
///
/// # Errors
/// It is too long, or not text.
pub(super) fn read_source(text: &str) -> Result<String, String> {
    if text.len() > TEMPLATE_MOST {
        return Err(format!("must have at most {TEMPLATE_MOST} bytes, not {}", text.len()));
    }
    if text.contains('\0') {
        return Err("must not have a character U+0000".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;

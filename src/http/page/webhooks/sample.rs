//! A sample of an event type as it would be sent, for people to read: for the form's preview, and for the catalogue.

use crate::core::catalogue::Entry;
use crate::core::event::{Company, Domain, Source};
use crate::core::id::EventId;
use crate::core::json::pretty;
use crate::core::request::{Outgoing, Probe};
use crate::core::subscription::{Format, Layout, Nested, Secret};
use crate::core::target::Target;
use crate::core::time::Timestamp;
use crate::http::problem::Problem;

/// The settings that it is sent with.
pub(super) struct Way {
    pub(super) format: Format,
    pub(super) layout: Layout,
    pub(super) nested: Nested,
    pub(super) target: Target,
}

/// Where its event is from.
pub(super) struct Origin {
    pub(super) company: Option<Company>,
    pub(super) domain: Option<Domain>,
    pub(super) source: Source,
}

/// A delivery.
pub(super) struct Sample {
    pub(super) headers: Vec<(String, String)>,
    /// The body, JSON with line breaks, of a form one decoded field per line.
    pub(super) body: String,
}

impl Sample {
    /// The sample of `entry`. Its id and the secret of its signature are meaningless.
    ///
    /// # Errors
    /// It cannot be rendered, which is a fault of ours: the samples are known.
    pub(super) fn of(entry: &Entry, way: &Way, origin: &Origin, now: Timestamp) -> Result<Self, Problem> {
        let secret = Secret::from_bytes([0; 32]);
        let probe = Probe {
            url: "",
            format: way.format,
            layout: way.layout,
            nested: way.nested,
            target: &way.target,
            own_headers: &[],
            client_certificate: None,
            secrets: vec![&secret],
            entry,
            event: EventId::from_bits(u128::from(now.millis()) << 80),
            company: origin.company.as_ref(),
            domain: origin.domain.as_ref(),
            source: origin.source,
        };
        let Outgoing { headers, body, .. } = Outgoing::probe(&probe, now).map_err(|_| Problem::internal())?;
        let body = String::from_utf8_lossy(&body);
        let is_json = way.format == Format::Json || way.layout == Layout::CloudEvents;
        Ok(Self { headers, body: if is_json { pretty(&body) } else { fields(&body) } })
    }
}

/// The decoded fields of a form, one per line.
fn fields(body: &str) -> String {
    let fields = url::form_urlencoded::parse(body.as_bytes());
    fields.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("\n")
}

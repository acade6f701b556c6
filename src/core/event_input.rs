//! Parses a posted event: from JSON to a valid [`NewEvent`], or all faults with their pointers.

use serde_json::value::RawValue;

use super::catalogue::Catalogue;
use super::event::{Company, Domain, EventType, NewEvent, ProducerId, Source};
use super::invalid::{Invalid, pointer};
use super::json;
use super::time::Timestamp;

/// The valid top-level members of an event.
const MEMBERS: &str = "type, company, domain, source, occurred_at, id, data";

/// The top-level strings of an event, as far as read.
#[derive(Default)]
struct Draft<'a> {
    event_type: Option<EventType>,
    company: Option<Company>,
    domain: Option<Domain>,
    source: Option<Source>,
    occurred_at: Option<Timestamp>,
    producer_id: Option<ProducerId>,
    data: Option<&'a RawValue>,
}

impl NewEvent {
    /// Parses the body of `POST /v1/events`.
    ///
    /// # Errors
    /// Every fault with its pointer; pointers are relative to the event.
    pub fn from_json(raw: &RawValue, catalogue: &Catalogue) -> Result<Self, Invalid> {
        let members = json::members(raw).map_err(|fault| Invalid::one("", fault))?;
        let mut invalid = Invalid::default();
        if let Some(name) = json::first_duplicate(&members) {
            invalid.add(pointer(name), "is given twice");
        }
        let mut draft = Draft::default();
        for (name, value) in &members {
            draft.read(name, value, catalogue, &mut invalid);
        }
        draft.finish(&members, catalogue, invalid)
    }
}

impl<'a> Draft<'a> {
    fn read(&mut self, name: &str, value: &'a RawValue, catalogue: &Catalogue, invalid: &mut Invalid) {
        let at = pointer(name);
        let optional = |value: &RawValue| !json::is_nothing(value);
        match name {
            "type" => {
                let parsed = json::string(value).and_then(|text| catalogue.event_type(&text));
                self.event_type = invalid.check(&at, parsed);
            }
            "company" => self.company = invalid.check(&at, json::string(value).and_then(|t| Company::parse(&t))),
            "source" => self.source = invalid.check(&at, json::string(value).and_then(|t| Source::parse(&t))),
            "domain" if optional(value) => {
                self.domain = invalid.check(&at, json::string(value).and_then(|t| Domain::parse(&t)));
            }
            "occurred_at" if optional(value) => {
                self.occurred_at = invalid.check(&at, json::string(value).and_then(|t| Timestamp::parse(&t)));
            }
            "id" if optional(value) => {
                self.producer_id = invalid.check(&at, json::string(value).and_then(|t| ProducerId::parse(&t)));
            }
            "domain" | "occurred_at" | "id" => {}
            "data" => self.data = Some(value),
            _ => invalid.add(at, format!("is not a member of an event; there are: {MEMBERS}")),
        }
    }

    fn finish(
        self,
        members: &[(String, &RawValue)],
        catalogue: &Catalogue,
        mut invalid: Invalid,
    ) -> Result<NewEvent, Invalid> {
        for name in ["type", "company", "source", "data"] {
            if !members.iter().any(|(member, _)| member == name) {
                invalid.add(pointer(name), "is missing");
            }
        }
        let mut keys = None;
        if let Some(data) = self.data {
            if let Err((at, detail)) = json::check(data, 1) {
                invalid.add(format!("/data{at}"), detail);
            } else {
                match catalogue.check_data(self.event_type.as_ref(), data) {
                    Ok(found) => keys = Some(found),
                    Err(inner) => invalid.nest("/data", inner),
                }
            }
        }
        let event = (|| {
            let keys = keys?;
            Some(NewEvent {
                event_type: self.event_type?,
                company: self.company?,
                domain: self.domain,
                source: self.source?,
                occurred_at: self.occurred_at,
                producer_id: self.producer_id,
                call: keys.call,
                phone: keys.phone,
                data: self.data?.get().to_owned(),
                long: keys.long,
            })
        })();
        invalid.or(event)
    }
}

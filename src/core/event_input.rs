//! Parses a posted event: from JSON to a valid [`NewEvent`], or all faults with their pointers.

use serde_json::value::RawValue;

use super::catalogue::{Catalogue, DataKeys};
use super::event::{Company, Domain, EventType, NewEvent, ProducerId, Source};
use super::invalid::{Invalid, pointer};
use super::json::{self, Kind, Member};
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
    /// Parses an event of the body of `POST /v1/events`.
    ///
    /// # Errors
    /// `text` is not JSON: what is wrong and at which line and column. Else every fault with its pointer; pointers are
    /// relative to the event.
    pub fn from_text(text: &str, catalogue: &Catalogue) -> Result<Result<Self, Invalid>, String> {
        match json::document_members(text) {
            Some(members) => Ok(Self::from_members(&members, catalogue)),
            None => json::parse(text).map(|raw| Self::from_json(raw, catalogue)),
        }
    }

    /// The same of an event that is JSON.
    ///
    /// # Errors
    /// Every fault with its pointer; pointers are relative to the event.
    pub fn from_json(raw: &RawValue, catalogue: &Catalogue) -> Result<Self, Invalid> {
        Self::from_members(&json::members(raw).map_err(|fault| Invalid::one("", fault))?, catalogue)
    }

    fn from_members(members: &[Member<'_>], catalogue: &Catalogue) -> Result<Self, Invalid> {
        let mut invalid = Invalid::default();
        if let Some(name) = json::first_duplicate(members) {
            invalid.add(pointer(name), "is given twice");
        }
        let mut draft = Draft::default();
        for (name, value) in members {
            draft.read(name, value, catalogue, &mut invalid);
        }
        draft.finish(members, catalogue, invalid)
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

    fn finish(self, members: &[Member<'_>], catalogue: &Catalogue, mut invalid: Invalid) -> Result<NewEvent, Invalid> {
        for name in ["type", "company", "source", "data"] {
            if !members.iter().any(|(member, _)| member == name) {
                invalid.add(pointer(name), "is missing");
            }
        }
        let mut keys = None;
        if let Some(data) = self.data {
            match read_data(data, self.event_type.as_ref(), catalogue) {
                Ok(found) => keys = Some(found),
                Err(inner) => invalid.nest("/data", inner),
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

/// What is used of an event's data: its members are read once, and looked at in all depths.
fn read_data(data: &RawValue, event_type: Option<&EventType>, catalogue: &Catalogue) -> Result<DataKeys, Invalid> {
    let fault = |(at, detail)| Invalid::one(at, detail);
    if Kind::of(data) != Kind::Object {
        json::check(data, 1).map_err(fault)?;
    }
    let members = json::members(data).map_err(|fault| Invalid::one("", fault))?;
    json::check_members(&members, 1).map_err(fault)?;
    catalogue.check_members(event_type, data, &members)
}

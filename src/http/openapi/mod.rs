//! `GET /openapi.json`: an OpenAPI 3.1 description of the API, public.
//!
//! Written by hand, one JSON file per subject in this folder: constraints on requests are stricter and clearer than a
//! derive could express. Added by code: the refusals of every operation, the words of closed lists, the event types
//! (`event_schemas`), and what of a webhook is given and changed. Two extensions: `x-roles`, the tokens that may call (none:
//! public), and `x-bound`, whether a token of one company may not.
//!
//! Clients are generated from it (`.ci/clients.py`), which bounds what it may use: each schema has a name of its own, a call has one
//! type of answer, a closed list is an `enum`, and what is left out is null. What else the daemon takes is said in words.
//!
//! It cannot drift: `tests` compares paths and methods with `routes`, the end-to-end test of roles calls every
//! operation with every kind of token, and schemathesis tests the daemon against it (`.ci/schemathesis`).

mod event_schemas;

use bytes::Bytes;
use hyper::StatusCode;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::body::json_text;
use super::problem::Problem;
use super::reply::Reply;
use crate::core::attempt::{Fault, Phase, Status};
use crate::core::audit::Action;
use crate::core::catalogue::Catalogue;
use crate::core::delivery::State;
use crate::core::report::By;

/// The parts of the document: `paths`, `schemas` and `parameters`, by subject.
const PARTS: &[&str] = &[
    include_str!("shared.json"),
    include_str!("service.json"),
    include_str!("events.json"),
    include_str!("subscriptions.json"),
    include_str!("deliveries.json"),
    include_str!("calls.json"),
    include_str!("messages.json"),
    include_str!("portal.json"),
];

/// The methods an operation may have.
const METHODS: [&str; 4] = ["get", "post", "patch", "delete"];

/// The refusals: name, status, and description.
const REFUSALS: [(&str, &str, &str); 13] = [
    ("BadRequest", "400", "The request is not HTTP as it should be, or its body is not JSON."),
    ("NoToken", "401", "No token, one that is not known, was revoked or has expired."),
    ("Forbidden", "403", "The token's role or company does not fit."),
    ("NotFound", "404", "There is nothing with this id that this token may see."),
    ("TooSlow", "408", "The body did not come in time."),
    ("Conflict", "409", "It does not fit what is there, or there would be more of something than there may be."),
    ("TooLarge", "413", "The body is larger than `max_body_bytes`."),
    ("MediaType", "415", "The header Content-Type names another type, or there is a Content-Encoding."),
    ("Invalid", "422", "What was read is not valid; `errors` says where."),
    ("TooMany", "429", "Too many requests of this token wait for their turn; come again after Retry-After."),
    ("Internal", "500", "A fault of Hookswitch's own, or what is asked for is damaged on the disk or cannot be read."),
    ("Unavailable", "503", "It cannot be done at present; come again after Retry-After."),
    ("DiskLow", "507", "Nothing new is accepted for want of room on the disk."),
];

/// What a change of a webhook is.
const CHANGE: &str = "As for a new one, but without `company`, which cannot change, and `secret`, which is rotated. `headers` \
                      replaces all: a value null keeps the stored one of that name.";

const ABOUT: &str = "Delivers the events of a call and SMS platform to webhooks. HEAD is wherever GET is. An optional member of \
                     a request that is an empty text counts as null.";

/// A value whose members are in order, but for `application/json`, which comes before other media types: openapi-generator makes
/// a client of the first type of a body alone.
struct JsonFirst<'v>(&'v Value);

impl Serialize for JsonFirst<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const FIRST: &str = "application/json";
        match self.0 {
            Value::Object(members) => {
                let others = members.iter().filter(|(name, _)| *name != FIRST);
                serializer.collect_map(
                    members
                        .get_key_value(FIRST)
                        .into_iter()
                        .chain(others)
                        .map(|(name, value)| (name, JsonFirst(value))),
                )
            }
            Value::Array(items) => serializer.collect_seq(items.iter().map(JsonFirst)),
            other => other.serialize(serializer),
        }
    }
}

/// The document, built once.
pub(super) struct Description(Bytes);

impl Description {
    /// Describes the API with these event types.
    pub(super) fn of(catalogue: &Catalogue) -> Self {
        // Serialising a JSON value into memory cannot fail.
        Self(serde_json::to_vec(&JsonFirst(&document(catalogue))).unwrap_or_default().into())
    }

    /// Returns it.
    pub(super) fn show(&self) -> Result<Reply, Problem> {
        Ok(json_text(StatusCode::OK, self.0.clone()))
    }
}

fn document(catalogue: &Catalogue) -> Value {
    let mut parts: [Map<String, Value>; 3] = Default::default();
    let [paths, schemas, parameters] = &mut parts;
    for part in PARTS {
        // A test checks that each part can be parsed.
        let mut read: Value = serde_json::from_str(part).unwrap_or_default();
        for (name, whole) in [("paths", &mut *paths), ("schemas", &mut *schemas), ("parameters", &mut *parameters)] {
            whole.extend(read[name].as_object_mut().map(std::mem::take).unwrap_or_default());
        }
    }
    name_words(schemas);
    event_schemas::add(schemas, catalogue);
    event_schemas::add_headers(parameters);
    divide_subscription(schemas);
    for (path, item) in paths.iter_mut() {
        for method in METHODS {
            if let Some(operation) = item.get_mut(method) {
                complete(operation, path.contains('{'));
            }
        }
    }
    let [paths, schemas, parameters] = parts;
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Hookswitch",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The daemon that serves this document."}],
        "security": [{"token": []}],
        "paths": paths,
        "webhooks": event_schemas::webhooks(catalogue),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "parameters": parameters,
            "responses": refusals(),
            "schemas": schemas,
        },
    })
}

fn refusals() -> Map<String, Value> {
    let refusal = |(name, status, description): &(&str, &str, &str)| {
        let header = match *status {
            "401" => Some("WWW-Authenticate"),
            "429" | "503" | "507" => Some("Retry-After"),
            _ => None,
        };
        let shown = json!({"required": true, "schema": {"type": "string"}});
        let headers: Map<String, Value> = header.map(|name| (name.to_owned(), shown)).into_iter().collect();
        let content = json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
        ((*name).to_owned(), json!({"description": description, "headers": headers, "content": content}))
    };
    REFUSALS.iter().map(refusal).collect()
}

/// Adds what all operations share: refusals, and who may call it.
fn complete(operation: &mut Value, of_one: bool) {
    let roles: Vec<String> = operation["x-roles"].as_array().into_iter().flatten().map(Value::to_string).collect();
    let mut statuses = vec!["400", "500"];
    if roles.is_empty() {
        operation["security"] = json!([]);
    } else {
        statuses.extend(["401", "403", "422", "429", "503"]);
        let mut text = format!("Roles: {}.", roles.join(", ").replace('"', ""));
        if operation["x-bound"] == "refused" {
            text += " Not for a token that is bound to a company.";
        }
        let before = operation["description"].as_str().map(|text| format!("{text}\n\n")).unwrap_or_default();
        operation["description"] = Value::from(before + &text);
    }
    if of_one {
        statuses.push("404");
    }
    if operation.get("requestBody").is_some() {
        statuses.extend(["408", "413", "415"]);
    }
    let named = |status: &str| REFUSALS.iter().find(|(_, known, _)| *known == status);
    for (name, status, _) in statuses.into_iter().filter_map(named) {
        operation["responses"][status] = json!({"$ref": format!("#/components/responses/{name}")});
    }
}

/// Adds the words of closed lists.
fn name_words(schemas: &mut Map<String, Value>) {
    fn words<T: Copy>(all: &[T], word: impl Fn(T) -> &'static str) -> Value {
        all.iter().map(|one| Value::from(word(*one))).collect()
    }
    let lists = [
        ("DeliveryState", words(State::ALL, State::as_str)),
        ("Status", words(Status::ALL, Status::as_str)),
        ("Fault", words(Fault::ALL, Fault::as_str)),
        ("Phase", words(Phase::ALL, Phase::as_str)),
        ("ReportBy", words(&By::ALL, By::as_str)),
        ("AuditAction", words(Action::ALL, Action::as_str)),
    ];
    for (name, list) in lists {
        schemas.entry(name).or_insert_with(|| json!({"type": "string"}))["enum"] = list;
    }
}

/// Adds what a new webhook needs, and what of a webhook can be changed, to what a webhook can have.
fn divide_subscription(schemas: &mut Map<String, Value>) {
    let input = schemas.get("SubscriptionInput").cloned().unwrap_or_default();
    let mut new = input.clone();
    new["required"] = json!(["company", "url", "events"]);
    let mut change = input;
    change["description"] = Value::from(CHANGE);
    for fixed in ["company", "secret"] {
        change["properties"].as_object_mut().map(|members| members.remove(fixed));
    }
    schemas.insert("NewSubscription".to_owned(), new);
    schemas.insert("SubscriptionChange".to_owned(), change);
}

#[cfg(test)]
mod tests;

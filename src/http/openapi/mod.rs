//! `GET /openapi.json`: what the API is, as an OpenAPI 3.1 document, open to everybody.
//!
//! It is written by hand, one JSON file for each subject beside this one: what a request may hold is stricter and
//! better told there than a derive could tell it. What would only be repeated is added here: the refusals that
//! every operation has, the words of closed lists, and the event types of the configuration. Two members are
//! ours: `x-roles`, which tokens may call (none: everybody), and `x-bound`, that a token of one company may not.
//!
//! It cannot drift: `tests` compares paths and methods with `routes`, the end-to-end test of roles calls every
//! operation with every kind of token, and schemathesis calls the daemon by it (`.ci/schemathesis`).

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::body::json_text;
use super::problem::Problem;
use super::reply::Reply;
use crate::core::attempt::{Fault, Phase, Status};
use crate::core::catalogue::Catalogue;
use crate::core::delivery::State;
use crate::core::report::By;

/// The document's parts: `paths`, `schemas` and `parameters` of one subject each.
const PARTS: &[&str] = &[
    include_str!("shared.json"),
    include_str!("service.json"),
    include_str!("events.json"),
    include_str!("subscriptions.json"),
    include_str!("deliveries.json"),
    include_str!("calls.json"),
    include_str!("messages.json"),
];

/// The methods that an operation may have.
const METHODS: [&str; 4] = ["get", "post", "patch", "delete"];

/// The refusals: the name of each, its status, and when it is answered.
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

/// The document, made once.
pub(super) struct Description(Bytes);

impl Description {
    /// Describes the API with these event types.
    pub(super) fn of(catalogue: &Catalogue) -> Self {
        Self(document(catalogue).to_string().into())
    }

    /// Shows it.
    pub(super) fn show(&self) -> Result<Reply, Problem> {
        Ok(json_text(StatusCode::OK, self.0.clone()))
    }
}

fn document(catalogue: &Catalogue) -> Value {
    let mut parts: [Map<String, Value>; 3] = Default::default();
    let [paths, schemas, parameters] = &mut parts;
    for part in PARTS {
        // That each of them can be read is tested.
        let mut read: Value = serde_json::from_str(part).unwrap_or_default();
        for (name, whole) in [("paths", &mut *paths), ("schemas", &mut *schemas), ("parameters", &mut *parameters)] {
            whole.extend(read[name].as_object_mut().map(std::mem::take).unwrap_or_default());
        }
    }
    name_words(schemas);
    name_event_types(schemas, catalogue);
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
            "description": "Delivers the events of a call and SMS platform to webhooks. HEAD is wherever GET is.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "security": [{"token": []}],
        "paths": paths,
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

/// Adds what every operation of its kind has: refusals, and in words who may call it.
fn complete(operation: &mut Value, of_one: bool) {
    let roles: Vec<String> = operation["x-roles"].as_array().into_iter().flatten().map(Value::to_string).collect();
    let mut statuses = vec!["400", "500"];
    if roles.is_empty() {
        operation["security"] = json!([]);
    } else {
        statuses.extend(["401", "403", "422", "429", "503"]);
        let mut said = format!("Roles: {}.", roles.join(", ").replace('"', ""));
        if operation["x-bound"] == "refused" {
            said += " Not for a token that is bound to a company.";
        }
        let before = operation["description"].as_str().map(|text| format!("{text}\n\n")).unwrap_or_default();
        operation["description"] = Value::from(before + &said);
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

/// The words of the closed lists that the code has.
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
    ];
    for (name, list) in lists {
        schemas.entry(name).or_insert_with(|| json!({"type": "string"}))["enum"] = list;
    }
}

/// The event types by name, and for each what an event of it holds.
fn name_event_types(schemas: &mut Map<String, Value>, catalogue: &Catalogue) {
    let names: Value = catalogue.entries().iter().map(|entry| Value::from(entry.name.as_str())).collect();
    schemas.entry("EventType").or_insert_with(|| json!({}))["enum"] = names;
    let reference = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    for entry in catalogue.entries() {
        let mut data = catalogue.schema(entry);
        data.as_object_mut().map(|members| members.remove("$schema"));
        schemas.insert(format!("Data.{}", entry.name), data);
    }
    for kind in ["NewEvent", "CloudEvent"] {
        // What is written down for any type becomes one schema for each.
        let any = schemas.remove(kind).unwrap_or_default();
        let mut each = Vec::new();
        for entry in catalogue.entries() {
            let mut event = any.clone();
            event["title"] = Value::from(entry.title.as_str());
            event["properties"]["type"] = json!({"const": entry.name.as_str()});
            event["properties"]["data"] = reference(&format!("Data.{}", entry.name));
            let name = format!("{kind}.{}", entry.name);
            each.push(reference(&name));
            schemas.insert(name, event);
        }
        schemas.insert(kind.to_owned(), json!({"anyOf": each}));
    }
}

#[cfg(test)]
mod tests;

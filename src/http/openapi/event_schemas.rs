//! What the document says of each event type: its data, the event as it is posted (also as a CloudEvent), and the delivery that
//! receivers get (`webhooks`).
//!
//! Clients are generated from it, so each schema has a name of its own and no title, and what is one of several is told
//! apart by its `type`.

use serde_json::{Map, Value, json};

use crate::core::catalogue::{Catalogue, Entry};

/// The headers of a delivery: name, whether each has it, schema, and description.
const HEADERS: [(&str, bool, &str, &str); 7] = [
    ("webhook-id", true, "EventId", "The event's id: the same at every attempt."),
    ("webhook-timestamp", true, "UnixSeconds", "When the attempt was signed, in seconds since 1970."),
    (
        "webhook-signature",
        true,
        "AnyText",
        "By Standard Webhooks, over id, timestamp and body; several are separated by blanks.",
    ),
    ("hookswitch-delivery", true, "DeliveryId", "The delivery."),
    ("hookswitch-attempt", true, "Sequence", "The number of the attempt, from 1."),
    ("hookswitch-sequence", true, "Sequence", "The number of the delivery among those of this webhook, without gaps."),
    ("hookswitch-gap", false, "DeliveryId", "The delivery of the same call that this one has passed."),
];

/// Adds the event types by name, and the schemas of each.
pub(super) fn add(schemas: &mut Map<String, Value>, catalogue: &Catalogue) {
    let names: Vec<Value> = catalogue.entries().iter().map(|entry| Value::from(entry.name.as_str())).collect();
    let or_all: Vec<Value> = names.iter().cloned().chain([Value::from("*")]).collect();
    schemas.entry("EventType").or_insert_with(|| json!({}))["enum"] = Value::from(names);
    schemas.entry("EventTypeOrAll").or_insert_with(|| json!({}))["enum"] = Value::from(or_all);
    for entry in catalogue.entries() {
        schemas.insert(named(entry, "", "Data"), data(catalogue, entry));
    }
    for (kind, before, after) in
        [("NewEvent", "New", "Event"), ("CloudEvent", "", "CloudEvent"), ("DeliveredEvent", "", "Event")]
    {
        // The generic schema becomes one schema per type.
        let any = schemas.remove(kind).unwrap_or_default();
        let mut mapping = Map::new();
        for entry in catalogue.entries() {
            let mut event = any.clone();
            event["description"] = Value::from(entry.description.as_str());
            event["properties"]["type"] = json!({"type": "string", "const": entry.name.as_str()});
            event["properties"]["data"] = reference("schemas", &named(entry, "", "Data"));
            let name = named(entry, before, after);
            mapping.insert(entry.name.to_string(), Value::from(format!("#/components/schemas/{name}")));
            schemas.insert(name, event);
        }
        if kind != "DeliveredEvent" {
            let each: Vec<Value> = mapping.values().map(|path| json!({"$ref": path})).collect();
            let apart = json!({"propertyName": "type", "mapping": mapping});
            schemas.insert(kind.to_owned(), json!({"oneOf": each, "discriminator": apart}));
        }
    }
}

/// Adds the headers of a delivery.
pub(super) fn add_headers(parameters: &mut Map<String, Value>) {
    for (name, required, schema, description) in HEADERS {
        let header = json!({"name": name, "in": "header", "required": required, "description": description,
            "schema": reference("schemas", schema)});
        parameters.insert(component(name), header);
    }
}

/// The requests that receivers get, in the envelope as JSON.
pub(super) fn webhooks(catalogue: &Catalogue) -> Map<String, Value> {
    let headers: Vec<Value> = HEADERS.iter().map(|(name, ..)| reference("parameters", &component(name))).collect();
    let webhook = |entry: &Entry| {
        let body = json!({"required": true, "content": {"application/json": {"schema": reference("schemas", &named(entry, "", "Event"))}}});
        let post = json!({
            "operationId": format!("on{}", named(entry, "", "")), "tags": ["webhooks"], "summary": entry.title,
            "description": "In the format and layout that are the default. A webhook may choose others.",
            "security": [], "parameters": headers, "requestBody": body,
            "responses": {
                "200": {"description": "Taken, as by every status 2xx."},
                "410": {"description": "Not wanted any more: the webhook is disabled."},
            },
        });
        (entry.name.to_string(), json!({"post": post}))
    };
    catalogue.entries().iter().map(webhook).collect()
}

/// The schema of the data of an event type. Its documented members are typed as they are in its sample. Hookswitch passes them
/// through and checks only those that are required.
fn data(catalogue: &Catalogue, entry: &Entry) -> Value {
    let mut schema = catalogue.schema(entry);
    let sample: Value = serde_json::from_str(&entry.sample).unwrap_or_default();
    type_members(&mut schema, &sample);
    if let Some(members) = schema.as_object_mut() {
        members.remove("$schema");
        members.remove("title");
    }
    schema
}

fn type_members(schema: &mut Value, sample: &Value) {
    for (name, member) in schema["properties"].as_object_mut().into_iter().flatten() {
        let kind = match &sample[name] {
            Value::String(_) => "string",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::Bool(_) => "boolean",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
            Value::Null => continue,
        };
        if member.get("type").is_none() {
            member["type"] = Value::from(kind);
        }
        if member.get("items").is_some() {
            member["items"]["type"] = Value::from("object");
            type_members(&mut member["items"], &sample[name][0]);
        }
    }
}

fn reference(kind: &str, name: &str) -> Value {
    json!({"$ref": format!("#/components/{kind}/{name}")})
}

/// The name of a schema of an event type: `CallMissed` between `before` and `after`.
fn named(entry: &Entry, before: &str, after: &str) -> String {
    format!("{before}{}{after}", component(entry.name.as_str()))
}

/// A name of the API as one of a component: `call.missed` is `CallMissed`.
fn component(name: &str) -> String {
    let mut written = String::with_capacity(name.len());
    for part in name.split(['.', '-']) {
        let mut characters = part.chars();
        written.extend(characters.next().map(|first| first.to_ascii_uppercase()));
        written.push_str(characters.as_str());
    }
    written
}

//! `POST …/{id}/handshake`: asks the receiver for permission to deliver, as CloudEvents' web hooks have it.

use std::sync::Arc;

use hyper::StatusCode;
use serde_json::json;

use super::bridge::{Asker as _, Share};
use super::fair_limit::Lane;
use super::problem::Problem;
use super::reply::{Reply, json};
use super::request::{Document, Permitted};
use super::subscriptions;
use crate::core::attempt::{Fault, Outcome};
use crate::core::audit::{Action, Deed};
use crate::core::id::SubscriptionId;
use crate::core::invalid::{Invalid, pointer};
use crate::core::json as raw;
use crate::core::permission::{Permission, read_origin};
use crate::core::request::Outgoing;

/// Asks, and says what was answered. Nothing is stored.
pub(super) async fn ask(mut request: Permitted, id: SubscriptionId) -> Result<Reply, Problem> {
    request.no_query()?;
    let subscription = subscriptions::find(&request, id)?;
    subscriptions::check_unlocked(&subscription)?;
    let origin = origin(&request.json().await?)?;
    let asked = Deed::to(Action::SubscriptionHandshake, &subscription).with("origin", origin.as_str());
    request.note(asked).await?;
    let context = Arc::clone(&request.context);
    let share = Share::of(&request.context, Lane::Probe, request.principal().concerning(&subscription.company));
    let outgoing = Outgoing::permission(&subscription, &origin);
    let report = share.run(move || context.services.transport.get().ask(&outgoing)).await?;
    let (response, error, permission) = match &report.outcome {
        Outcome::Answered(answer) => (Some(answer.status), None, Permission::of(answer, &origin)),
        Outcome::Failed { fault, detail } => {
            let why = if detail.is_empty() { fault.to_string() } else { detail.clone() };
            let message = format!("Not asked: {why}.");
            (None, Some(*fault), Permission { is_granted: false, rate: None, message })
        }
    };
    let shown = json!({
        "allowed": permission.is_granted, "allowed_rate": permission.rate, "message": permission.message,
        "response": response, "error": error.map(Fault::as_str), "duration_ms": report.duration.as_millis() as u64,
    });
    json(StatusCode::OK, &shown)
}

fn origin(document: &Document) -> Result<String, Problem> {
    let members = raw::members(document.parse()?).map_err(|fault| Problem::invalid("", fault))?;
    let mut invalid = Invalid::default();
    let mut origin = None;
    for (name, value) in &members {
        match name.as_ref() {
            "origin" => origin = invalid.check("/origin", raw::string(value).and_then(|text| read_origin(&text))),
            _ => invalid.add(pointer(name), "is not a member here; there is: origin"),
        }
    }
    if !members.iter().any(|(name, _)| name == "origin") {
        invalid.add("/origin", "is missing: the DNS name that events come from");
    }
    invalid.or(origin).map_err(Problem::from)
}

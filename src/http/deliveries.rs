//! `/v1/deliveries`: deliveries and their states; retrying and cancelling by hand.

use hyper::StatusCode;
use serde::Serialize;

use super::bridge;
use super::cursor;
use super::fair_limit::Lane;
use super::problem::Problem;
use super::reply::{Reply, json};
use super::request::Permitted;
use super::shape::{Items, Text};
use crate::core::delivery::{Delivery, State};
use crate::core::event::{CallId, Company, Domain, EventType};
use crate::core::id::{DeliveryId, EventId, SubscriptionId};
use crate::core::time::Timestamp;
use crate::store::{DeliveryFilter, KnownDelivery, Store, StoreError};

/// A delivery as returned by the API.
#[derive(Serialize)]
pub(super) struct DeliveryJson<'d> {
    id: Text<DeliveryId>,
    event_id: Text<EventId>,
    event: &'d str,
    subscription: Text<SubscriptionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    company: Option<&'d str>,
    call: &'d str,
    sequence: u64,
    state: &'static str,
    attempts: u32,
    created: Text<Timestamp>,
    next_attempt: Option<Text<Timestamp>>,
    give_up_at: Text<Timestamp>,
    expires_at: Option<Text<Timestamp>>,
    last_response: Option<u16>,
}

/// `delivery`, of `company` if known.
pub(super) fn shown<'d>(delivery: &'d Delivery, company: Option<&'d Company>) -> DeliveryJson<'d> {
    DeliveryJson {
        id: Text(delivery.id),
        event_id: Text(delivery.event),
        event: delivery.event_type.as_str(),
        subscription: Text(delivery.subscription),
        company: company.map(Company::as_str),
        call: delivery.call.as_str(),
        sequence: delivery.id.sequence(),
        state: delivery.state.as_str(),
        attempts: delivery.attempts,
        created: Text(delivery.id.timestamp()),
        next_attempt: delivery.state.is_owed().then_some(Text(delivery.due)),
        give_up_at: Text(delivery.give_up_at),
        expires_at: delivery.expire_at.map(Text),
        last_response: delivery.last_response,
    }
}

/// Whose a delivery is.
type Owner = (Company, Option<Domain>);

/// A delivery's owner: its subscription's, or, once that is deleted, its event's.
fn owner_of(store: &Store, delivery: &Delivery) -> Result<Option<Owner>, StoreError> {
    if let Some(owner) = subscriber(store, delivery) {
        return Ok(Some(owner));
    }
    Ok(store.event(delivery.event)?.map(|event| (event.company, event.domain)))
}

fn subscriber(store: &Store, delivery: &Delivery) -> Option<Owner> {
    store.subscription(delivery.subscription).map(|one| (one.company.clone(), one.domain.clone()))
}

/// The delivery with this id and its company, if the request may see it.
async fn find(request: &Permitted, id: DeliveryId) -> Result<(Delivery, Option<Company>), Problem> {
    let found = bridge::read(request, move |store| {
        let Some(delivery) = store.delivery(id)? else { return Ok(None) };
        let owner = owner_of(store, &delivery)?;
        Ok(Some((delivery, owner)))
    });
    visible(request, found.await?)
}

/// The same, with what is needed to retry or cancel it.
async fn find_known(request: &Permitted, id: DeliveryId) -> Result<(KnownDelivery, Option<Company>), Problem> {
    let found = bridge::read_in(Lane::Control, request, move |store| {
        let Some(known) = store.known_delivery(id)? else { return Ok(None) };
        let of_event = || known.event.as_ref().map(|event| (event.company.clone(), event.domain.clone()));
        let owner = subscriber(store, &known.delivery).or_else(of_event);
        Ok(Some((known, owner)))
    });
    visible(request, found.await?)
}

/// Returns what was found, if the request may see it.
fn visible<T>(request: &Permitted, found: Option<(T, Option<Owner>)>) -> Result<(T, Option<Company>), Problem> {
    let access = &request.access;
    let sees = |owner: &Option<Owner>| {
        owner.as_ref().map_or(!access.is_bound(), |(company, domain)| access.sees(company, domain.as_ref()))
    };
    let found = found.filter(|(_, owner)| sees(owner)).map(|(found, owner)| (found, owner.map(|(company, _)| company)));
    found.ok_or_else(|| Problem::not_found("there is no delivery with this id"))
}

/// Deliveries, newest first.
pub(super) async fn list(request: Permitted) -> Result<Reply, Problem> {
    let mut query = request.query();
    let filter = DeliveryFilter {
        company: query.take("company", Company::parse),
        subscription: query.take("subscription", parse_id),
        webhooks: request.access.webhooks(&request.services().store),
        event: query.take("event_id", parse_id),
        event_type: query.take("event", EventType::parse),
        call: query.take("call", CallId::parse),
        state: query.take("state", State::parse),
        since: query.take_with_plus("since", Timestamp::parse),
        until: query.take_with_plus("until", Timestamp::parse),
    };
    let (limit, after) = query.page_of_deliveries();
    query.finish()?;
    let filter = DeliveryFilter { company: request.access.narrow(filter.company.clone())?, ..filter };
    let read = move |store: &Store| store.deliveries(&filter, after, limit);
    let found = bridge::read(&request, read).await?;
    let owner = |delivery: &Delivery| request.services().store.subscription(delivery.subscription);
    let owners: Vec<_> = found.items.iter().map(owner).collect();
    let pairs = found.items.iter().zip(&owners);
    let items = pairs.map(|(delivery, owner)| shown(delivery, owner.as_ref().map(|owner| &owner.company))).collect();
    let next = found.next.map(cursor::write_place);
    json(StatusCode::OK, &Items { items, next, scanned_until: found.scanned_until.map(Text) })
}

/// Parses an id, with a sentence on its form.
pub(super) fn parse_id<I: std::str::FromStr>(text: &str) -> Result<I, String>
where
    I::Err: std::fmt::Display,
{
    text.parse().map_err(|fault: I::Err| fault.to_string())
}

/// One delivery.
pub(super) async fn show(request: Permitted, id: DeliveryId) -> Result<Reply, Problem> {
    request.no_query()?;
    let (delivery, company) = find(&request, id).await?;
    json(StatusCode::OK, &shown(&delivery, company.as_ref()))
}

/// Delivers again, whatever the state.
pub(super) async fn retry(request: Permitted, id: DeliveryId) -> Result<Reply, Problem> {
    request.no_query()?;
    let (known, company) = find_known(&request, id).await?;
    let delivery = bridge::written(|reply| request.acting().retry(known, reply)).await?;
    json(StatusCode::ACCEPTED, &shown(&delivery, company.as_ref()))
}

/// Cancels an outstanding delivery or a dead letter.
pub(super) async fn cancel(request: Permitted, id: DeliveryId) -> Result<Reply, Problem> {
    request.no_query()?;
    let (known, company) = find_known(&request, id).await?;
    let delivery = bridge::written(|reply| request.acting().cancel(known, reply)).await?;
    json(StatusCode::OK, &shown(&delivery, company.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::id::SubscriptionNumber;

    #[test]
    fn only_unfinished_deliveries_show_a_next_attempt() {
        let at = Timestamp::from_millis(1_790_000_000_000);
        let mut delivery = Delivery {
            state: State::Retrying,
            attempts: 2,
            give_up_at: at,
            last_response: Some(500),
            ..Delivery::for_test(DeliveryId::new(at, SubscriptionNumber::new(3), 42))
        };
        let time = at.to_string();
        let mut wanted = serde_json::json!({
            "id": delivery.id.to_string(), "event_id": delivery.event.to_string(), "event": "call.new",
            "subscription": delivery.subscription.to_string(), "call": "c", "sequence": 42, "state": "retrying",
            "attempts": 2, "created": time, "next_attempt": time, "give_up_at": time, "expires_at": null,
            "last_response": 500,
        });
        assert_eq!(serde_json::to_value(shown(&delivery, None)).unwrap(), wanted);
        delivery.state = State::Failed;
        wanted["state"] = "failed".into();
        wanted["next_attempt"] = serde_json::Value::Null;
        assert_eq!(serde_json::to_value(shown(&delivery, None)).unwrap(), wanted);
    }
}

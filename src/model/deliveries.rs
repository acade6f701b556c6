//! Lists of deliveries in any state.
//!
//! The access path depends on the filter. Pending deliveries and dead letters are in the view, by subscription. Ended
//! ones are found by the log entries that ended them, newest first. All others, and those of a call, an event or before
//! a time, are found event by event.

use std::ops::ControlFlow;

use crate::core::attempt::Status;
use crate::core::delivery::{Delivery, State};
use crate::core::event::Company;
use crate::core::id::{AttemptId, DeliveryId, EventId, MAX_SEQUENCE, SubscriptionId, SubscriptionNumber};
use crate::core::time::Timestamp;
use crate::model::error::StoreError;
use crate::model::filter::DeliveryFilter;
use crate::model::key::ValueKind;
use crate::model::keys;
use crate::model::page::{DeliveryCursor, Page};
use crate::model::query::{self, DELIVERY_KINDS, lowest_id, matches_if_set, time_of};
use crate::model::record::{self, Accepted, EndedRecord, Kind as _, Logged};
use crate::model::term::Term;
use crate::model::view::{Log, Reached, View, Wanted, Work};

/// A query for deliveries.
pub(crate) struct DeliveryQuery<'a> {
    pub(crate) view: &'a dyn View,
    pub(crate) log: &'a dyn Log,
    pub(crate) filter: &'a DeliveryFilter,
    /// The number of the filter's subscription, if that exists.
    pub(crate) number: Option<SubscriptionNumber>,
    /// The company of a subscription, if that exists.
    pub(crate) owner: &'a dyn Fn(SubscriptionId) -> Option<Company>,
    pub(crate) after: Option<DeliveryCursor>,
    pub(crate) limit: usize,
}

/// A partially filled page.
struct PartialPage {
    items: Vec<Delivery>,
    /// The position of the delivery examined last.
    looked_at: DeliveryCursor,
}

impl PartialPage {
    fn new(after: Option<DeliveryCursor>) -> Self {
        Self { items: Vec::new(), looked_at: after.unwrap_or(DeliveryCursor { major: u128::MAX, minor: 0 }) }
    }

    /// The page, with more to follow.
    fn end_early(self, limit: usize, time: impl FnOnce(DeliveryCursor) -> Timestamp) -> Page<Delivery, DeliveryCursor> {
        let scanned_until = (self.items.len() < limit).then(|| time(self.looked_at));
        Page { items: self.items, next: Some(self.looked_at), scanned_until }
    }

    fn end(self) -> Page<Delivery, DeliveryCursor> {
        Page { items: self.items, next: None, scanned_until: None }
    }

    /// The page, given how far the search of the log got.
    fn page(mut self, reached: Reached, limit: usize) -> Page<Delivery, DeliveryCursor> {
        match reached {
            Reached::End => return self.end(),
            Reached::Spent(id) => self.looked_at = DeliveryCursor { major: id, minor: 0 },
            Reached::Enough => {}
        }
        self.end_early(limit, |place| time_of(place.major))
    }
}

fn matches(filter: &DeliveryFilter, delivery: &Delivery) -> bool {
    may_match(filter, delivery) && matches_if_set(filter.state.as_ref(), Some(&delivery.state))
}

/// Whether it may match, regardless of its current state.
fn may_match(filter: &DeliveryFilter, delivery: &Delivery) -> bool {
    let accepted = delivery.id.timestamp();
    matches_if_set(filter.subscription.as_ref(), Some(&delivery.subscription))
        && filter.webhooks.as_ref().is_none_or(|webhooks| webhooks.contains(&delivery.subscription))
        && matches_if_set(filter.event.as_ref(), Some(&delivery.event))
        && matches_if_set(filter.event_type.as_ref(), Some(&delivery.event_type))
        && matches_if_set(filter.call.as_ref(), Some(&delivery.call))
        && filter.since.is_none_or(|since| accepted >= since)
        && filter.until.is_none_or(|until| accepted < until)
}

impl DeliveryQuery<'_> {
    /// A page of deliveries. For those that are pending or failed only if an event is given; otherwise see
    /// [`by_state`](Self::by_state).
    pub(crate) fn page(&self) -> Result<Page<Delivery, DeliveryCursor>, StoreError> {
        let filter = self.filter;
        let ended = match filter.state {
            Some(State::Delivered) => Some(Status::Delivered),
            Some(State::Expired) => Some(Status::Expired),
            Some(State::Cancelled) => Some(Status::Cancelled),
            Some(State::Pending | State::Retrying | State::Failed) | None => None,
        };
        let narrow = filter.event.is_some() || filter.call.is_some() || filter.until.is_some();
        match ended {
            Some(status) if !narrow => self.by_ending(status),
            _ => self.by_event(),
        }
    }

    fn of_company(&self, company: &str) -> bool {
        self.filter.company.as_ref().is_none_or(|wanted| wanted.as_str() == company)
    }

    /// Event by event, newest first.
    fn by_event(&self) -> Result<Page<Delivery, DeliveryCursor>, StoreError> {
        let filter = self.filter;
        let work = self.log.bounded();
        let keys: Vec<Term<'_>> = [
            filter.call.as_ref().map(|call| Term::Call(call.as_str())),
            self.number.map(Term::Owed),
            filter.event_type.as_ref().map(|event_type| Term::Type(event_type.as_str())),
        ]
        .into_iter()
        .flatten()
        .collect();
        // An event with deliveries left is examined again.
        let (below, within) = match self.after {
            Some(DeliveryCursor { major, minor: 0 }) => (major, None),
            Some(place) => (place.major.saturating_add(1), Some(place)),
            None => (u128::MAX, None),
        };
        let below = filter.until.map_or(below, |until| below.min(lowest_id(Some(until))));
        let below = filter.event.map_or(below, |event| below.min(event.bits() + 1));
        let wanted = Wanted {
            kinds: Accepted::KINDS,
            company: filter.company.as_ref().map(Company::as_str),
            keys: &keys,
            below,
            from: filter.event.map_or_else(|| lowest_id(filter.since), EventId::bits),
            until: None,
        };
        let mut found = PartialPage::new(self.after);
        let mut failed = None;
        let reached = self.log.newest_first(&wanted, &work, &mut |head, payload| {
            let accepted = record::decode::<Accepted>(payload).filter(|accepted| self.of_company(accepted.company()));
            let within = within.filter(|place| place.major == head.id).map(|place| place.minor);
            match accepted
                .map_or(Ok(ControlFlow::Continue(())), |it| self.event(head.id, &it, within, &mut found, &work))
            {
                Ok(flow) => Ok(flow),
                Err(error) => {
                    failed = Some(error);
                    Ok(ControlFlow::Break(()))
                }
            }
        })?;
        if let Some(failed) = failed {
            return Err(failed);
        }
        Ok(found.page(reached, self.limit))
    }

    /// Adds the matching deliveries of an event, after the one with the bits `within`. Breaks if the page is full and
    /// there is one more, or if the read budget is exhausted.
    fn event(
        &self,
        event: u128,
        accepted: &Accepted,
        within: Option<u128>,
        found: &mut PartialPage,
        work: &Work<'_>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let mut initial = accepted.deliveries(EventId::from_bits(event)).unwrap_or_default();
        if let Some(last) = within {
            // They are ordered by subscription number.
            let number = DeliveryId::from_bits(last).subscription_number();
            initial.retain(|delivery| delivery.id.subscription_number() > number);
        }
        initial.retain(|delivery| may_match(self.filter, delivery));
        for delivery in initial {
            let place = DeliveryCursor { major: event, minor: delivery.id.bits() };
            let current = query::current(self.view, self.log, delivery)?;
            work.record();
            if matches(self.filter, &current) {
                if found.items.len() == self.limit {
                    return Ok(ControlFlow::Break(()));
                }
                found.items.push(current);
            }
            found.looked_at = place;
            if work.is_spent() {
                return Ok(ControlFlow::Break(()));
            }
        }
        found.looked_at = DeliveryCursor { major: event, minor: 0 };
        Ok(ControlFlow::Continue(()))
    }

    /// By the log entries that ended them, or the records that retention left of such entries.
    fn by_ending(&self, status: Status) -> Result<Page<Delivery, DeliveryCursor>, StoreError> {
        let filter = self.filter;
        let work = self.log.bounded();
        let keys: Vec<Term<'_>> = [
            filter.subscription.map(|id| Term::Subscription(id.bits())),
            Some(Term::Status(status.as_str())),
            filter.event_type.as_ref().map(|event_type| Term::Type(event_type.as_str())),
        ]
        .into_iter()
        .flatten()
        .collect();
        let wanted = Wanted {
            kinds: DELIVERY_KINDS,
            company: filter.company.as_ref().map(Company::as_str),
            keys: &keys,
            below: self.after.map_or(u128::MAX, |after| after.major),
            // No delivery ends before it starts.
            from: lowest_id(filter.since),
            until: None,
        };
        let mut found = PartialPage::new(self.after);
        let mut failed = None;
        let reached = self.log.newest_first(&wanted, &work, &mut |head, payload| {
            let delivery = match self.ended_here(head.kind, head.id, payload, status, &work) {
                Ok(delivery) => delivery,
                Err(error) => {
                    failed = Some(error);
                    return Ok(ControlFlow::Break(()));
                }
            };
            if let Some(delivery) = delivery {
                if found.items.len() == self.limit {
                    return Ok(ControlFlow::Break(()));
                }
                found.items.push(delivery);
            }
            found.looked_at = DeliveryCursor { major: head.id, minor: 0 };
            Ok(ControlFlow::Continue(()))
        })?;
        if let Some(failed) = failed {
            return Err(failed);
        }
        Ok(found.page(reached, self.limit))
    }

    /// The delivery ended by this record, if it matches and no later record is about it.
    fn ended_here(
        &self,
        kind: u8,
        id: u128,
        payload: &[u8],
        status: Status,
        work: &Work<'_>,
    ) -> Result<Option<Delivery>, StoreError> {
        let (found, of_company) = if Logged::KINDS.contains(&kind) {
            let entry = record::decode::<Logged>(payload).and_then(|logged| logged.entry(AttemptId::from_bits(id)));
            let Some(entry) = entry.filter(|entry| entry.status == status) else { return Ok(None) };
            let Some(delivery) = entry.delivery.filter(|_| self.of_company(entry.company.as_str())) else {
                return Ok(None);
            };
            if !self.is_last_record(delivery, id, work)? {
                return Ok(None);
            }
            (query::ended(self.view, self.log, delivery, &entry, None)?, true)
        } else {
            let Some(EndedRecord { delivery, company }) = EndedRecord::decode(kind, payload) else { return Ok(None) };
            let Some(delivery) = delivery.delivery() else { return Ok(None) };
            if !self.is_last_record(delivery.id, id, work)? {
                return Ok(None);
            }
            let of_company = self.filter.company.is_none() || self.of_company(&self.owner_of(&delivery, company)?);
            (record::find(delivery.id, self.view)?.or(Some(delivery)), of_company)
        };
        Ok(found.filter(|delivery| of_company && matches(self.filter, delivery)))
    }

    fn owner_of(&self, delivery: &Delivery, said: Option<String>) -> Result<String, StoreError> {
        if let Some(company) = said {
            return Ok(company);
        }
        if let Some(company) = (self.owner)(delivery.subscription) {
            return Ok(company.as_str().to_owned());
        }
        let event = query::accepted_record(self.log, delivery.event)?;
        Ok(event.map_or_else(String::new, |event| event.company().to_owned()))
    }

    /// Whether the record `id` is the last about a delivery that is neither pending nor failed.
    fn is_last_record(&self, delivery: DeliveryId, id: u128, work: &Work<'_>) -> Result<bool, StoreError> {
        work.record();
        if record::find(delivery, self.view)?.is_some() {
            return Ok(false);
        }
        let bits = delivery.bits();
        let later = Wanted { kinds: DELIVERY_KINDS, keys: &[Term::Delivery(bits)], from: id + 1, ..Wanted::ANY };
        let later = self.log.newest_of(&later, work, &mut |head, payload| {
            query::delivery_in(head, payload).is_some_and(|found| found == delivery)
        })?;
        Ok(later.is_none())
    }

    /// A page of pending deliveries or dead letters, by subscription, newest first within each. `numbers` are the
    /// subscriptions that have any, descending.
    pub(crate) fn by_state(
        &self,
        numbers: &[SubscriptionNumber],
    ) -> Result<Page<Delivery, DeliveryCursor>, StoreError> {
        let kind = if self.filter.state == Some(State::Failed) { ValueKind::Dead } else { ValueKind::Owed };
        let work = self.log.bounded();
        let mut found = PartialPage::new(self.after);
        let after = self.after.map(|place| DeliveryId::from_bits(place.minor));
        let time = |place: DeliveryCursor| DeliveryId::from_bits(place.minor).timestamp();
        for number in numbers {
            let first = keys::numbered(kind, *number);
            let mut below = match after {
                Some(after) if *number > after.subscription_number() => continue,
                Some(after) if *number == after.subscription_number() => keys::delivery(kind, after),
                _ => keys::delivery(kind, DeliveryId::new(Timestamp::ZERO, *number, MAX_SEQUENCE)),
            };
            loop {
                let some = self.view.scan_down(&first, &below, self.limit.max(64))?;
                let Some((last, _)) = some.last() else { break };
                below = last.clone();
                for delivery in some.iter().filter_map(|(_, value)| record::delivery_of(value)) {
                    work.record();
                    let place = DeliveryCursor { major: 0, minor: delivery.id.bits() };
                    if matches(self.filter, &delivery) {
                        if found.items.len() == self.limit {
                            return Ok(found.end_early(self.limit, time));
                        }
                        found.items.push(delivery);
                    }
                    found.looked_at = place;
                    if work.is_spent() {
                        return Ok(found.end_early(self.limit, time));
                    }
                }
            }
        }
        Ok(found.end())
    }
}

//! Fan-outs: the intent to accept all events of a batch with many deliveries, and its progress.

use bincode::{Decode, Encode};

use crate::core::event::NewEvent;
use crate::core::id::EventId;
use crate::core::long_members::LongMembers;
use crate::core::time::Timestamp;
use crate::model::error::StoreError;
use crate::model::keys;
use crate::model::record::codec;
use crate::model::record::event::Accepted;
use crate::model::record::kind::{
    Class, Disposition, Expired, Frame, Kind, Target, Waits, begins_no_delivery, complete_if_decoded,
    encoded_as_itself, kept_by_the_view, not_indexed, nothing_personal,
};
use crate::model::redaction::{Rule, Subject};
use crate::model::term::Terms;

/// The events of a batch as posted, without ids and deliveries.
#[derive(Debug, Encode, Decode)]
pub(crate) struct FanOutRecord {
    pub(crate) posted: Vec<Accepted>,
}

impl FanOutRecord {
    pub(crate) fn new(events: &[NewEvent], now: Timestamp) -> Self {
        let posted = |event: &NewEvent| Accepted::new(event.clone().accepted(EventId::from_bits(0), now), &[]);
        Self { posted: events.iter().map(posted).collect() }
    }

    /// The events to accept.
    pub(crate) fn events(self) -> impl Iterator<Item = NewEvent> {
        let events = self.posted.into_iter().filter_map(|posted| posted.event(EventId::from_bits(0)));
        events.map(|event| NewEvent {
            event_type: event.event_type,
            company: event.company,
            domain: event.domain,
            source: event.source,
            occurred_at: Some(event.occurred_at),
            producer_id: event.producer_id,
            call: event.call,
            phone: event.phone,
            data: event.data,
            // Only found again by reading all of it.
            long: LongMembers::default(),
        })
    }
}

impl Kind for FanOutRecord {
    const NAME: &'static str = "batches accepted in steps";
    const CLASS: Class = Class::WithEvent;
    const GRANTS_RIGHTS: bool = false;

    encoded_as_itself!(22);

    fn terms(&self) -> Terms {
        Terms { keys: self.posted.iter().flat_map(Accepted::personal_terms).collect(), at: None }
    }

    begins_no_delivery!();

    fn decodes_fully(self, _: u128) -> bool {
        let count = self.posted.len();
        self.events().count() == count
    }

    fn apply(self, id: u128, target: Target<'_>) -> Option<Self> {
        FanOutProgress { id, done: Some(0) }.apply(0, target);
        None
    }

    /// It was carried out long before its events expire.
    fn retain(frame: Frame<'_>, expired: &Expired, _: Waits<'_>) -> Result<Disposition, StoreError> {
        Ok(Disposition::keep_if(frame.id >= expired.events_below))
    }

    /// The intent has the data of the batch's events, too.
    fn redact(frame: Frame<'_>, rule: &Rule) -> Option<Vec<u8>> {
        if frame.id >= rule.below {
            return None;
        }
        let mut changed = false;
        let erase = |event: Accepted| match event.left_by(rule) {
            Some(data) => {
                changed = true;
                event.erased(data)
            }
            None => event,
        };
        let posted = codec::decode::<Self>(frame.payload)?.posted.into_iter().map(erase).collect();
        changed.then(|| codec::encode(&Self { posted }))
    }

    fn subjects(frame: Frame<'_>, visit: &mut dyn FnMut(&Subject<'_>)) {
        let fan_out = codec::decode::<Self>(frame.payload);
        fan_out.iter().flat_map(|it| &it.posted).for_each(|event| visit(&event.subject()));
    }
}

/// The progress of a fan-out.
#[derive(Debug, Clone, Copy, Encode, Decode)]
pub(crate) struct FanOutProgress {
    /// The id of its intent.
    pub(crate) id: u128,
    /// The number of accepted events; `None` for all.
    pub(crate) done: Option<u32>,
}

impl Kind for FanOutProgress {
    const NAME: &'static str = "batches accepted in steps";
    const CLASS: Class = Class::Other;
    const GRANTS_RIGHTS: bool = false;

    encoded_as_itself!(23);
    not_indexed!();
    begins_no_delivery!();
    complete_if_decoded!();

    fn apply(self, _: u128, target: Target<'_>) -> Option<Self> {
        match self.done {
            Some(done) => target.view.put(keys::fan_out(self.id), done.to_be_bytes().to_vec()),
            None => target.view.remove(keys::fan_out(self.id)),
        }
        None
    }

    kept_by_the_view!();
    nothing_personal!();
}

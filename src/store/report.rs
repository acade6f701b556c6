//! The call report: kept up as events are accepted, so that asking for it reads no event.
//!
//! **What is kept.** Of each call its [marks](crate::core::call) (`t`), so that what comes late or again is told from
//! what is new. Of all calls of a company that began in one hour, with one domain, source and agent: how many had what,
//! how they ended, and how long things took (`a`, a key for each, so that an event changes little). A call that
//! turns out to have begun in another hour, or gets an agent, is taken out of one group and put into the other.
//!
//! **How long.** A call's marks until it is `event_age` since the last of them, and a little longer: an event that
//! comes after that counts as of a new call. The groups for good; their names are a site's and an agent's, no lead's.
//! A backup has both. Where a salvage has to make `state` anew from the journal, the report begins with the
//! oldest event that is still kept. A directory of a time when there was no report has one from then on.
//!
//! **Why applying an event twice changes nothing more**, also where the state is of a later time already, in parts: each
//! value says which event changed it last. Ids ascend in the journal, so a value whose last one is not below the event's
//! has it. A call's marks are only ever added to, each with the event that it is of; so what the call added to the
//! report before the event, and with it, can be told at any later time. And each group is brought from the one to
//! the other exactly if its own last event is below. A group of which nothing is left goes, and what is then taken
//! out of it once more is not there.

use std::collections::BTreeMap;

use crate::core::call::{Heard, Place, Share, news, share};
use crate::core::event::{Company, EventType};
use crate::core::id::{EventId, MessageId};
use crate::core::report::{By, Figures, MOST_OUTCOMES, MOST_TYPES, OTHER, Part, Report, tally};

use super::keys::{self, GroupPart};
use super::record::{Accepted, CallRecord, GroupCounts, GroupOutcomes, GroupTimes, MessageRecord};
use super::state::{State, StateError};
use super::step::{unversioned, versioned};
use super::verbs::Store;
use super::{ReadError, ReportFilter};

/// How many keys of the report are read in one go.
const PAGE: usize = 500;
/// How many different outcomes one set of figures shows.
const SHOWN_OUTCOMES: usize = 500;

/// Takes an accepted event into the report. Part of its step.
pub(super) fn event_accepted(id: EventId, accepted: &Accepted, state: &State) {
    let (Ok(event_type), Some(source)) = (EventType::parse(accepted.event_type()), accepted.source()) else { return };
    let domain = accepted.domain();
    let heard = Heard::Event {
        event_type: &event_type,
        at: accepted.occurred_at(),
        domain: domain.as_ref(),
        source,
        data: accepted.data(),
    };
    take_in(state, (accepted.company(), accepted.call()), id.bits(), heard);
}

/// Takes a stored message into the report. Part of its step.
pub(super) fn message_stored(id: MessageId, message: &MessageRecord, state: &State) {
    let Some(thread) = message.thread().clone().conversation() else { return };
    let heard = Heard::Message {
        outbound: message.is_outbound(),
        sent_at: message.sent_at(),
        domain: thread.domain.as_ref(),
        source: thread.source,
    };
    take_in(state, (thread.company.as_str(), thread.call.as_str()), id.bits(), heard);
}

/// Takes something that was heard of a call (its company and its id) into the report. Part of the step that `id`, which
/// is above those of all steps before, stands for: the one of the event, or of the message.
pub(super) fn take_in(state: &State, call: (&str, &str), id: u128, heard: Heard<'_>) {
    if let Err(error) = change(state, call, id, heard) {
        state.note_failure(error);
    }
}

fn change(state: &State, (company, call): (&str, &str), id: u128, heard: Heard<'_>) -> Result<(), StateError> {
    let key = keys::call(company, call);
    let value = state.get(&key)?;
    let known = value.as_deref().and_then(|value| {
        let record = unversioned::<CallRecord>(value)?;
        record.marks().map(|marks| (record, marks))
    });
    if let (None, Some(value)) = (&known, value) {
        state.set_aside(&key, value);
    }
    let (mut record, mut marks) = known.unwrap_or_default();
    let before = if id > record.last {
        let new = news(&marks, heard);
        if new.is_empty() {
            return Ok(());
        }
        record.add(id, &new);
        state.put(key, versioned(&record));
        let before = marks.len();
        marks.extend(new);
        before
    } else {
        let Some((before, with)) = record.place_of(id) else { return Ok(()) };
        marks.truncate(with);
        before
    };
    regroup(state, company, id, share(&marks[..before]).as_ref(), share(&marks).as_ref())
}

/// Brings the groups from what a call added to them to what it adds from now on.
fn regroup(
    state: &State,
    company: &str,
    id: u128,
    before: Option<&Share>,
    after: Option<&Share>,
) -> Result<(), StateError> {
    let same_place = before.map(|share| &share.place) == after.map(|share| &share.place);
    for part in GroupPart::ALL {
        let entry = |share| Entry::of(share, part);
        let (out, into) = (before.and_then(entry), after.and_then(entry));
        if out == into && (same_place || out.is_none()) {
            continue;
        }
        let key = |share: &Share| keys::group(company, &share.place, part);
        match (before, after) {
            (Some(_), Some(share)) if same_place => update(state, key(share), id, out.as_ref(), into.as_ref())?,
            _ => {
                if let (Some(share), Some(out)) = (before, &out) {
                    update(state, key(share), id, Some(out), None)?;
                }
                if let (Some(share), Some(into)) = (after, &into) {
                    update(state, key(share), id, None, Some(into))?;
                }
            }
        }
    }
    Ok(())
}

/// What a call adds to one key of a group.
#[derive(Debug, PartialEq, Eq)]
enum Entry<'s> {
    Counts { calls: u64, texted: u64, replied: u64, events: &'s [EventType] },
    Outcome(&'s str),
    Time(u32),
}

impl<'s> Entry<'s> {
    /// `None` if it adds nothing.
    fn of(share: &'s Share, part: GroupPart) -> Option<Self> {
        Some(match part {
            GroupPart::Counts => Self::Counts {
                calls: u64::from(!share.events.is_empty()),
                texted: u64::from(share.texted),
                replied: u64::from(share.replied),
                events: &share.events,
            },
            GroupPart::Outcomes => Self::Outcome(share.outcome.as_deref()?),
            GroupPart::Claim => Self::Time(share.claim?),
            GroupPart::Connect => Self::Time(share.connect?),
            GroupPart::Talk => Self::Time(share.talk?),
            GroupPart::Reply => Self::Time(share.reply?),
        })
    }
}

/// Takes one entry out of the value of `key` and puts another in, unless it has the event already.
fn update(
    state: &State,
    key: Vec<u8>,
    id: u128,
    out: Option<&Entry<'_>>,
    into: Option<&Entry<'_>>,
) -> Result<(), StateError> {
    let changed = match into.or(out) {
        Some(Entry::Counts { .. }) => change_counts(read(state, &key)?, id, out, into),
        Some(Entry::Outcome(_)) => change_outcomes(read(state, &key)?, id, out, into),
        Some(Entry::Time(_)) => change_times(read(state, &key)?, id, out, into),
        None => None,
    };
    match changed {
        Some(value) if value.is_empty() => state.remove(key),
        Some(value) => state.put(key, value),
        None => {}
    }
    Ok(())
}

/// What a key has; nothing if it cannot be read, and then it is set aside.
fn read<R: Default + bincode::Decode<()>>(state: &State, key: &[u8]) -> Result<R, StateError> {
    let Some(value) = state.get(key)? else { return Ok(R::default()) };
    let read = unversioned(&value);
    if read.is_none() {
        state.set_aside(key, value);
    }
    Ok(read.unwrap_or_default())
}

/// The new value; an empty one if nothing is left of it. `None` if it stays as it is.
type Changed = Option<Vec<u8>>;

fn change_counts(mut group: GroupCounts, id: u128, out: Option<&Entry<'_>>, into: Option<&Entry<'_>>) -> Changed {
    if id <= group.last {
        return None;
    }
    group.last = id;
    let mut types: BTreeMap<String, u64> = std::mem::take(&mut group.events).into_iter().collect();
    if let Some(Entry::Counts { calls, texted, replied, events }) = out {
        group.calls = group.calls.saturating_sub(*calls);
        group.texted = group.texted.saturating_sub(*texted);
        group.replied = group.replied.saturating_sub(*replied);
        events.iter().for_each(|event_type| take_out(&mut types, event_type.as_str()));
    }
    if let Some(Entry::Counts { calls, texted, replied, events }) = into {
        group.calls += calls;
        group.texted += texted;
        group.replied += replied;
        for event_type in *events {
            if types.len() < MOST_TYPES || types.contains_key(event_type.as_str()) {
                *types.entry(event_type.as_str().to_owned()).or_default() += 1;
            }
        }
    }
    let nothing = group.calls == 0 && group.texted == 0 && group.replied == 0;
    group.events = types.into_iter().collect();
    Some(if nothing { Vec::new() } else { versioned(&group) })
}

/// One less of a name's, or of those that were too many.
fn take_out(counts: &mut BTreeMap<String, u64>, name: &str) {
    let name = if counts.contains_key(name) { name } else { OTHER };
    if let Some(count) = counts.get_mut(name) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(name);
        }
    }
}

fn change_outcomes(mut group: GroupOutcomes, id: u128, out: Option<&Entry<'_>>, into: Option<&Entry<'_>>) -> Changed {
    if id <= group.last {
        return None;
    }
    group.last = id;
    let mut counts: BTreeMap<String, u64> = group.outcomes.into_iter().collect();
    if let Some(Entry::Outcome(name)) = out {
        take_out(&mut counts, name);
    }
    if let Some(Entry::Outcome(name)) = into {
        tally(&mut counts, name, 1, MOST_OUTCOMES);
    }
    group.outcomes = counts.into_iter().collect();
    Some(if group.outcomes.is_empty() { Vec::new() } else { versioned(&group) })
}

fn change_times(group: GroupTimes, id: u128, out: Option<&Entry<'_>>, into: Option<&Entry<'_>>) -> Changed {
    if id <= group.last {
        return None;
    }
    let mut times = group.times();
    if let Some(Entry::Time(millis)) = out {
        times.remove(*millis);
    }
    if let Some(Entry::Time(millis)) = into {
        times.add(*millis, 1);
    }
    Some(if times.count() == 0 { Vec::new() } else { versioned(&GroupTimes::new(id, &times)) })
}

/// The last that was heard of a call.
pub(super) fn last_heard(value: &[u8]) -> Option<u128> {
    unversioned::<CallRecord>(value).map(|call| call.last)
}

impl Store {
    /// The call report, divided by `by`; `None` if it has more than `most` parts.
    ///
    /// Ranges are in whole hours: the one in which `since` lies is in it, and the one in which `until` lies, if that
    /// is not its beginning.
    ///
    /// # Errors
    /// The state cannot be read, or is damaged.
    pub fn call_report(&self, filter: &ReportFilter, by: By, most: usize) -> Result<Option<Report>, ReadError> {
        report(&self.shared.state, filter, by, most)
    }
}

/// The group that a key is of.
struct Group {
    company: String,
    place: Place,
    part: GroupPart,
}

fn report(state: &State, filter: &ReportFilter, by: By, most: usize) -> Result<Option<Report>, ReadError> {
    let prefix = keys::groups(filter.company.as_ref().map(Company::as_str));
    let from = filter.since.map_or(0, |since| hour(since.millis()));
    let until = filter.until.map_or(u32::MAX, |until| hour(until.millis().saturating_add(3_599_999)));
    let mut report = Report::default();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = state.scan(&prefix, after.as_deref(), PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(Some(report)) };
        after = Some(last.clone());
        for (key, value) in &page {
            let Some((company, place, part)) = keys::group_in(key) else {
                state.note_unreadable(key, None);
                continue;
            };
            let group = Group { company, place, part };
            if let Some(behind) = group.skip(from, until) {
                after = Some(behind);
                break;
            }
            if group.is_wanted(filter) {
                let name = group.part_of(by);
                if !report.parts.contains_key(&name) && report.parts.len() == most {
                    return Ok(None);
                }
                let added = add(&mut report.totals, group.part, value);
                if added.and_then(|()| add(report.parts.entry(name).or_default(), group.part, value)).is_none() {
                    state.note_unreadable(key, None);
                }
            }
        }
    }
}

fn hour(millis: u64) -> u32 {
    u32::try_from(millis / 3_600_000).unwrap_or(u32::MAX)
}

impl Group {
    /// If it is outside of the hours: the key behind which the next one inside may be.
    fn skip(&self, from: u32, until: u32) -> Option<Vec<u8>> {
        if self.place.hour < from {
            return Some(keys::groups_from(&self.company, from));
        }
        (self.place.hour >= until).then(|| keys::groups_behind(&self.company))
    }

    fn is_wanted(&self, filter: &ReportFilter) -> bool {
        let Place { domain, source, agent, .. } = &self.place;
        filter.domain.as_ref().is_none_or(|wanted| domain.as_ref() == Some(wanted))
            && filter.source.is_none_or(|wanted| *source == wanted)
            && filter.agent.as_ref().is_none_or(|wanted| agent.as_ref() == Some(wanted))
    }

    fn part_of(&self, by: By) -> Part {
        let Place { hour, domain, source, agent } = &self.place;
        match by {
            By::Hour => Part::Hour(*hour),
            By::Day => Part::Day(*hour / 24),
            By::Company => Part::Name(Some(self.company.clone())),
            By::Domain => Part::Name(domain.as_ref().map(|domain| domain.as_str().to_owned())),
            By::Source => Part::Name(Some(source.as_str().to_owned())),
            By::Agent => Part::Name(agent.clone()),
        }
    }
}

/// Adds a value of a group to figures; `None`, and nothing is added, if it cannot be read.
fn add(figures: &mut Figures, part: GroupPart, value: &[u8]) -> Option<()> {
    let times = |value: &[u8]| unversioned::<GroupTimes>(value).map(GroupTimes::times);
    match part {
        GroupPart::Counts => {
            let group: GroupCounts = unversioned(value)?;
            let parsed = group.events.into_iter().map(|(name, count)| Some((EventType::parse(&name).ok()?, count)));
            let events: Vec<_> = parsed.collect::<Option<_>>()?;
            figures.calls += group.calls;
            figures.texted += group.texted;
            figures.replied += group.replied;
            for (event_type, count) in events {
                *figures.events.entry(event_type).or_default() += count;
            }
        }
        GroupPart::Outcomes => {
            let group: GroupOutcomes = unversioned(value)?;
            for (name, count) in group.outcomes {
                tally(&mut figures.outcomes, &name, count, SHOWN_OUTCOMES);
            }
        }
        GroupPart::Claim => figures.claim.merge(&times(value)?),
        GroupPart::Connect => figures.connect.merge(&times(value)?),
        GroupPart::Talk => figures.talk.merge(&times(value)?),
        GroupPart::Reply => figures.reply.merge(&times(value)?),
    }
    Some(())
}

#[cfg(test)]
mod tests;

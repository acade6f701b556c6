//! The report groups that a group commit changes: read once, updated by each of its events, written once.

use std::collections::{BTreeMap, HashMap};

use crate::core::call::Contribution;
use crate::core::event::EventType;
use crate::core::report::{MOST_OUTCOMES, MOST_TYPES, OTHER, tally};
use crate::model::error::StoreError;
use crate::model::keys::{self, GroupPart};
use crate::model::record::codec::Readable;
use crate::model::record::{GroupCounts, GroupOutcomes, GroupTimes, unversioned, versioned};
use crate::model::view::ViewMut;

/// The changed groups.
pub(crate) struct Groups<'s> {
    pub(crate) view: &'s dyn ViewMut,
    counts: HashMap<Vec<u8>, Changing<GroupCounts>>,
    outcomes: HashMap<Vec<u8>, Changing<GroupOutcomes>>,
}

/// A part of a group, with its named counts as a map.
#[derive(Default)]
struct Changing<R> {
    record: R,
    named: BTreeMap<String, u64>,
    changed: bool,
}

/// A call's contribution to one key of a group.
#[derive(Debug, PartialEq, Eq)]
enum Entry<'s> {
    Counts { calls: u64, texted: u64, replied: u64, events: &'s [EventType] },
    Outcome(&'s str),
    Time(u32),
}

impl<'s> Entry<'s> {
    /// `None` if it contributes nothing.
    fn of(contribution: &'s Contribution, part: GroupPart) -> Option<Self> {
        Some(match part {
            GroupPart::Counts => Self::Counts {
                calls: u64::from(!contribution.events.is_empty()),
                texted: u64::from(contribution.texted),
                replied: u64::from(contribution.replied),
                events: &contribution.events,
            },
            GroupPart::Outcomes => Self::Outcome(contribution.outcome.as_deref()?),
            GroupPart::Claim => Self::Time(contribution.claim?),
            GroupPart::Connect => Self::Time(contribution.connect?),
            GroupPart::Talk => Self::Time(contribution.talk?),
            GroupPart::Reply => Self::Time(contribution.reply?),
        })
    }
}

impl<'s> Groups<'s> {
    /// Starts without changes.
    pub(crate) fn of(view: &'s dyn ViewMut) -> Self {
        Self { view, counts: HashMap::new(), outcomes: HashMap::new() }
    }

    /// Replaces a call's contribution to the groups.
    pub(crate) fn regroup(
        &mut self,
        company: &str,
        id: u128,
        before: Option<&Contribution>,
        after: Option<&Contribution>,
    ) -> Result<(), StoreError> {
        let same_place =
            before.map(|contribution| &contribution.place) == after.map(|contribution| &contribution.place);
        for part in GroupPart::ALL {
            let entry = |contribution| Entry::of(contribution, part);
            let (out, into) = (before.and_then(entry), after.and_then(entry));
            if out == into && (same_place || out.is_none()) {
                continue;
            }
            let key = |contribution: &Contribution| keys::group(company, &contribution.place, part);
            match (before, after) {
                (Some(_), Some(contribution)) if same_place => {
                    self.update(key(contribution), id, out.as_ref(), into.as_ref())?;
                }
                _ => {
                    if let (Some(contribution), Some(out)) = (before, &out) {
                        self.update(key(contribution), id, Some(out), None)?;
                    }
                    if let (Some(contribution), Some(into)) = (after, &into) {
                        self.update(key(contribution), id, None, Some(into))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Replaces one entry of `key` by another, unless the event is included already.
    fn update(
        &mut self,
        key: Vec<u8>,
        id: u128,
        out: Option<&Entry<'_>>,
        into: Option<&Entry<'_>>,
    ) -> Result<(), StoreError> {
        match into.or(out) {
            Some(Entry::Counts { .. }) => {
                let group = changing(self.view, &mut self.counts, key, |group| &mut group.events)?;
                change_counts(group, id, out, into);
            }
            Some(Entry::Outcome(_)) => {
                let group = changing(self.view, &mut self.outcomes, key, |group| &mut group.outcomes)?;
                change_outcomes(group, id, out, into);
            }
            Some(Entry::Time(_)) => self.change_times(key, id, out, into)?,
            None => {}
        }
        Ok(())
    }

    /// Few events have durations, so these are written at once.
    fn change_times(
        &self,
        key: Vec<u8>,
        id: u128,
        out: Option<&Entry<'_>>,
        into: Option<&Entry<'_>>,
    ) -> Result<(), StoreError> {
        let group: GroupTimes = read(self.view, &key)?;
        if id <= group.last {
            return Ok(());
        }
        let mut times = group.times();
        if let Some(Entry::Time(millis)) = out {
            times.remove(*millis);
        }
        if let Some(Entry::Time(millis)) = into {
            times.add(*millis, 1);
        }
        match times.count() {
            0 => self.view.remove(key),
            _ => self.view.put(key, versioned(&GroupTimes::new(id, &times))),
        }
        Ok(())
    }

    /// Writes the changed groups. Empty ones are removed.
    pub(crate) fn write(self) {
        let put = |key, gone, value: &dyn Fn() -> Vec<u8>| match gone {
            true => self.view.remove(key),
            false => self.view.put(key, value()),
        };
        for (key, Changing { mut record, named, .. }) in self.counts.into_iter().filter(|(_, group)| group.changed) {
            let gone = is_nothing(&record);
            record.events = named.into_iter().collect();
            put(key, gone, &|| versioned(&record));
        }
        for (key, Changing { mut record, named, .. }) in self.outcomes.into_iter().filter(|(_, group)| group.changed) {
            let gone = named.is_empty();
            record.outcomes = named.into_iter().collect();
            put(key, gone, &|| versioned(&record));
        }
    }
}

/// The current group of `key`.
fn changing<'g, R: Default + Readable>(
    view: &dyn ViewMut,
    groups: &'g mut HashMap<Vec<u8>, Changing<R>>,
    key: Vec<u8>,
    names: impl Fn(&mut R) -> &mut Vec<(String, u64)>,
) -> Result<&'g mut Changing<R>, StoreError> {
    use std::collections::hash_map::Entry;
    match groups.entry(key) {
        Entry::Occupied(known) => Ok(known.into_mut()),
        Entry::Vacant(place) => {
            let mut record: R = read(view, place.key())?;
            let named = std::mem::take(names(&mut record)).into_iter().collect();
            Ok(place.insert(Changing { record, named, changed: false }))
        }
    }
}

/// The value of a key; the default if it is unreadable, and then it is set aside.
fn read<R: Default + Readable>(view: &dyn ViewMut, key: &[u8]) -> Result<R, StoreError> {
    let Some(value) = view.get(key)? else { return Ok(R::default()) };
    let read = unversioned(&value);
    if read.is_none() {
        view.set_aside(key, value);
    }
    Ok(read.unwrap_or_default())
}

const fn is_nothing(group: &GroupCounts) -> bool {
    group.calls == 0 && group.texted == 0 && group.replied == 0
}

fn change_counts(changing: &mut Changing<GroupCounts>, id: u128, out: Option<&Entry<'_>>, into: Option<&Entry<'_>>) {
    let Changing { record: group, named: types, changed } = changing;
    if id <= group.last {
        return;
    }
    (group.last, *changed) = (id, true);
    if let Some(Entry::Counts { calls, texted, replied, events }) = out {
        group.calls = group.calls.saturating_sub(*calls);
        group.texted = group.texted.saturating_sub(*texted);
        group.replied = group.replied.saturating_sub(*replied);
        events.iter().for_each(|event_type| take_out(types, event_type.as_str()));
    }
    if let Some(Entry::Counts { calls, texted, replied, events }) = into {
        group.calls += calls;
        group.texted += texted;
        group.replied += replied;
        for event_type in *events {
            if let Some(count) = types.get_mut(event_type.as_str()) {
                *count += 1;
            } else if types.len() < MOST_TYPES {
                types.insert(event_type.as_str().to_owned(), 1);
            }
        }
    }
    if is_nothing(group) {
        // As if it had never existed, also for later events: the id of its last event is dropped.
        *changing = Changing { changed: true, ..Changing::default() };
    }
}

/// Decrements the count of a name, or that of the overflow name.
fn take_out(counts: &mut BTreeMap<String, u64>, name: &str) {
    let name = if counts.contains_key(name) { name } else { OTHER };
    if let Some(count) = counts.get_mut(name) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(name);
        }
    }
}

fn change_outcomes(
    changing: &mut Changing<GroupOutcomes>,
    id: u128,
    out: Option<&Entry<'_>>,
    into: Option<&Entry<'_>>,
) {
    let Changing { record: group, named: counts, changed } = changing;
    if id <= group.last {
        return;
    }
    (group.last, *changed) = (id, true);
    if let Some(Entry::Outcome(name)) = out {
        take_out(counts, name);
    }
    if let Some(Entry::Outcome(name)) = into {
        tally(counts, name, 1, MOST_OUTCOMES);
    }
    if counts.is_empty() {
        *changing = Changing { changed: true, ..Changing::default() };
    }
}

//! Requests that create many deliveries: when they are accepted, and in how many steps.
//!
//! A group commit takes about as long as what is decided in it, so the share of one company is bounded: beyond
//! [`STEP_DELIVERIES`] its requests are deferred to the next commit, and those of others are not.
//!
//! A batch that creates more is a **fan-out**. First an intent is written: all its events as posted, in one record,
//! synced before or with the first of them. Then its events are accepted like any others, some in each group commit,
//! along with a progress record; the request is answered when the last is durable. A restart finds an unfinished intent
//! and completes it before accepting anything else from its companies. So a batch is accepted completely or not at all,
//! depending on whether its intent is on disk.
//!
//! What always holds: nothing else of a company is accepted between the steps of its fan-out, and its requests are
//! accepted in the order of arrival. If the view cannot be persisted fast enough, fan-outs wait for it and the commits
//! of others do not.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Mutex;

use crate::core::event::{Company, NewEvent};
use crate::core::id::EventId;
use crate::core::invalid::Invalid;
use crate::model::command::{Accepted, Command, Reply};
use crate::model::error::{StoreError, u32_of};
use crate::model::key::{Key, ValueKind};
use crate::model::lock::lock;
use crate::model::notice::StoreEvent;
use crate::model::receipts::{self, EventContent, EventReceipt};
use crate::model::record::{self, FanOutProgress, FanOutRecord, Record};
use crate::model::registry::Registry;
use crate::model::turn::Turn;
use crate::model::view::{Log, View, ViewMut};
use crate::model::{accept, keys};

/// The maximum number of deliveries created for one company in a group commit; a request below it is never split.
pub(crate) const STEP_DELIVERIES: usize = 2_000;
/// The maximum number of events per step of a fan-out.
const STEP_EVENTS: usize = 256;
/// The maximum for all companies together, except for small requests.
const COMMIT_DELIVERIES: usize = 4 * STEP_DELIVERIES;
/// The maximum number of deliveries of a small request.
const FEW: usize = 64;
/// While more bytes of changes than this have not reached the engine's storage, only small requests are accepted:
/// others would fill the memory, and then everybody would wait for the storage.
const UNFLUSHED_MOST: usize = 4 << 20;
/// The maximum number of deferred commands, and of bytes of event data in them.
const DEFERRED_MOST: usize = 4096;
const DEFERRED_BYTES: usize = 32 << 20;

/// A batch that is being accepted in steps.
pub(crate) struct FanOut {
    /// The id of its intent.
    id: u128,
    companies: BTreeSet<Company>,
    /// The events not accepted yet.
    events: VecDeque<NewEvent>,
    /// The number of accepted events.
    done: u32,
    accepted: Vec<Accepted>,
    /// The waiting caller; none after a restart.
    reply: Option<Reply<Vec<Accepted>>>,
}

/// How to accept a request's events.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// At once.
    AtOnce,
    /// As a fan-out.
    InSteps,
    /// Not at all: they would create too many deliveries, or reuse ids.
    Refused(Invalid),
}

/// Deferred requests and unfinished fan-outs.
#[derive(Default)]
pub(crate) struct Backlog {
    fan_outs: VecDeque<FanOut>,
    /// Those that have taken their step in this group commit.
    stepped: VecDeque<FanOut>,
    /// In order of arrival.
    deferred: VecDeque<Command>,
    deferred_bytes: usize,
    /// The number of deliveries created in this group commit, by company and in total.
    used: HashMap<Company, usize>,
    used_in_all: usize,
    /// Companies with a deferred request or an unfinished fan-out: their later requests wait.
    blocked: HashSet<Company>,
    /// Whether the engine's storage lags.
    behind: bool,
}

impl Backlog {
    /// The ids of the unfinished fan-outs.
    #[cfg(feature = "postgres")]
    pub(crate) fn ids(&self) -> Vec<u128> {
        self.fan_outs.iter().map(|fan_out| fan_out.id).collect()
    }

    /// Adds the unfinished fan-outs in the view for whose ids `own` holds and that are not here yet.
    pub(crate) fn adopt(
        &mut self,
        view: &dyn View,
        log: &dyn Log,
        own: impl Fn(u128) -> bool,
    ) -> Result<(), StoreError> {
        for (key, value) in view.scan(&Key::all(ValueKind::FanOut), None, usize::MAX)? {
            let read = |what: &str| StoreError::corrupt_state(format!("has a fan-out {what} that cannot be read"));
            let id = key.rest().get(..16).and_then(|id| id.try_into().ok()).map(u128::from_be_bytes);
            let id = id.ok_or_else(|| read("key"))?;
            if !own(id) || self.fan_outs.iter().any(|known| known.id == id) {
                continue;
            }
            let done = value.try_into().map(u32::from_be_bytes).map_err(|_| read("value"))?;
            let mut found = None;
            log.record(id, &mut |_, payload| found = record::decode::<FanOutRecord>(payload))?;
            if found.is_none() {
                // Happens after a salvage. Without its events it cannot continue.
                tracing::error!("a batch was being accepted, and the rest of its events is missing from the log");
            }
            let events: VecDeque<NewEvent> =
                found.into_iter().flat_map(FanOutRecord::events).skip(done as usize).collect();
            let companies = events.iter().map(|event| event.company.clone()).collect();
            self.fan_outs.push_back(FanOut { id, companies, events, done, accepted: Vec::new(), reply: None });
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fan_outs.is_empty() && self.deferred.is_empty()
    }

    /// Starts a group commit: returns the deferred commands, to be [admitted](Self::admit) before newer ones.
    pub(crate) fn begin(&mut self, view: &dyn ViewMut) -> VecDeque<Command> {
        self.used.clear();
        self.used_in_all = 0;
        self.behind = view.gathered() > UNFLUSHED_MOST;
        self.blocked = self.fan_outs.iter().flat_map(|fan_out| fan_out.companies.iter().cloned()).collect();
        self.deferred_bytes = 0;
        std::mem::take(&mut self.deferred)
    }

    /// Returns the command if it may be executed in this group commit, with what to [note](Self::note) afterwards;
    /// otherwise defers it.
    pub(crate) fn admit(&mut self, command: Command, registry: &Mutex<Registry>) -> Option<(Command, Claim)> {
        // The upper bound is cheap to compute, and enough unless it is large.
        let mut claim = claim(&command, &lock(registry), Registry::most_of_event);
        if !self.has_room(&claim) && !claim.iter().any(|(company, _)| self.blocked.contains(company)) {
            claim = self::claim(&command, &lock(registry), count_deliveries);
        }
        if claim.is_empty() || self.has_room(&claim) {
            return Some((command, claim));
        }
        let weight = command.weight();
        if self.deferred.len() >= DEFERRED_MOST || self.deferred_bytes + weight > DEFERRED_BYTES.max(weight) {
            command.refuse_with(&StoreError::Busy);
            return None;
        }
        self.blocked.extend(claim.into_iter().map(|(company, _)| company));
        self.deferred_bytes += weight;
        self.deferred.push_back(command);
        None
    }

    fn has_room(&self, claim: &Claim) -> bool {
        let in_all: usize = claim.iter().map(|(_, deliveries)| deliveries).sum();
        let full = self.behind || (self.used_in_all > 0 && self.used_in_all + in_all > COMMIT_DELIVERIES);
        (in_all <= FEW || !full)
            && claim.iter().all(|(company, deliveries)| {
                let used = self.used.get(company).copied().unwrap_or(0);
                !self.blocked.contains(company) && (used == 0 || used + deliveries <= STEP_DELIVERIES)
            })
    }

    /// Counts the deliveries created by an admitted command.
    pub(crate) fn note(&mut self, claim: Claim, made: usize) {
        self.used_in_all += made;
        if made > 0 {
            claim.into_iter().for_each(|(company, most)| *self.used.entry(company).or_default() += made.min(most));
        }
    }

    /// Whether there is work for the next group commit; not while the storage lags.
    pub(crate) fn is_due(&self, view: &dyn ViewMut) -> bool {
        !self.is_empty() && view.gathered() <= UNFLUSHED_MOST
    }

    /// Adds a fan-out whose intent has been written.
    pub(crate) fn push(&mut self, fan_out: FanOut) {
        self.blocked.extend(fan_out.companies.iter().cloned());
        self.fan_outs.push_back(fan_out);
    }

    /// The next fan-out, unless this group commit is full.
    pub(crate) fn next(&mut self) -> Option<FanOut> {
        let enough = self.behind || (self.used_in_all > 0 && self.used_in_all + STEP_DELIVERIES > COMMIT_DELIVERIES);
        if enough { None } else { self.fan_outs.pop_front() }
    }

    /// Puts back a fan-out that has taken its step in this group commit.
    pub(crate) fn put_back(&mut self, fan_out: FanOut) {
        self.stepped.push_back(fan_out);
    }

    /// Ends a group commit: fan-outs that had no step in it come first in the next.
    pub(crate) fn end(&mut self) {
        self.fan_outs.append(&mut self.stepped);
    }

    /// Fails everything that waits. Of a fan-out, steps may have been committed.
    pub(crate) fn refuse(&mut self, why: &StoreError) {
        self.deferred.drain(..).for_each(|command| command.refuse_with(why));
        let replies = self.fan_outs.drain(..).filter_map(|fan_out| fan_out.reply);
        replies.for_each(|reply| reply(Err(why.clone())));
    }
}

/// The companies for which a command creates deliveries, and how many; empty if it accepts nothing.
pub(crate) type Claim = Vec<(Company, usize)>;

fn claim(command: &Command, registry: &Registry, count: impl Fn(&Registry, &NewEvent) -> usize) -> Claim {
    let mut claim: Claim = Vec::new();
    match command {
        Command::Accept(events, _) => {
            for event in events {
                let deliveries = count(registry, event);
                match claim.last_mut() {
                    Some((last, before)) if *last == event.company => *before += deliveries,
                    _ => claim.push((event.company.clone(), deliveries)),
                }
            }
        }
        Command::Message(message, _) => {
            claim.push((message.company().clone(), registry.most_of_company(message.company())));
        }
        _ => {}
    }
    claim
}

/// Decides how to accept these events.
pub(crate) fn plan(turn: &Turn<'_>, events: &[NewEvent]) -> Plan {
    let most = turn.settings.deliveries_per_request as usize;
    let registry = lock(turn.registry);
    let bound: usize = events.iter().map(|event| registry.most_of_event(event)).sum();
    if bound <= STEP_DELIVERIES.min(most) {
        return Plan::AtOnce;
    }
    let mut count = 0;
    for (index, event) in events.iter().enumerate() {
        count += count_deliveries(&registry, event);
        if count > most {
            let pointer = if events.len() == 1 { String::new() } else { format!("/{index}") };
            let detail = format!(
                "brings the deliveries of this request above {most}, the most that one may make \
                 (`deliveries_per_request` in [limits]): post fewer events at once, or have the limit raised"
            );
            return Plan::Refused(Invalid::one(pointer, detail));
        }
    }
    if count <= STEP_DELIVERIES || events.len() == 1 {
        return Plan::AtOnce;
    }
    drop(registry);
    let conflicts = conflicts(turn, events);
    if conflicts.errors.is_empty() { Plan::InSteps } else { Plan::Refused(conflicts) }
}

/// Which of these events reuse a producer's id with different content. Checked up front for events that are accepted in
/// steps, so that either all or none are accepted.
fn conflicts(turn: &Turn<'_>, events: &[NewEvent]) -> Invalid {
    let mut invalid = Invalid::default();
    let mut first_seen: HashMap<Key, EventReceipt> = HashMap::new();
    for (index, event) in events.iter().enumerate() {
        let Some(id) = &event.producer_id else { continue };
        let (key, content) = (keys::producer(event.company.as_str(), id.as_str()), EventContent::of(event));
        let here = first_seen.get(&key).copied();
        let in_batch = here.is_some();
        // An unreadable view ends the daemon at the step that needs it.
        match here.or_else(|| accept::posted_before(turn, &key).ok().flatten()) {
            Some(first) => receipts::note_conflict(index, &first, content, in_batch, &mut invalid),
            None => drop(first_seen.insert(key, EventReceipt::new(EventId::from_bits(0), turn.now, 0, content))),
        }
    }
    invalid
}

/// Writes the intent to accept all of these, and returns the fan-out.
pub(crate) fn begin(turn: &mut Turn<'_>, events: Vec<NewEvent>, reply: Reply<Vec<Accepted>>) -> FanOut {
    let id = turn.next_id();
    let intent = FanOutRecord::new(&events, turn.now);
    turn.write(vec![Record::of(id, intent)]);
    let companies = events.iter().map(|event| event.company.clone()).collect();
    FanOut { id, companies, events: events.into(), done: 0, accepted: Vec::new(), reply: Some(reply) }
}

/// Accepts the next events of a fan-out; returns whether there are more.
pub(crate) fn step(turn: &mut Turn<'_>, fan_out: &mut FanOut) -> Result<bool, StoreError> {
    let some = next_events(&lock(turn.registry), &fan_out.events);
    let events: Vec<NewEvent> = fan_out.events.drain(..some).collect();
    // Conflicting ids were ruled out when the intent was written.
    let mut decided = accept::decide_on(turn, events, true)?;
    fan_out.done += u32_of(some);
    fan_out.accepted.extend(decided.answers);
    let done = (!fan_out.events.is_empty()).then_some(fan_out.done);
    decided.records.push(Record::from(FanOutProgress { id: fan_out.id, done }));
    turn.write(decided.records);
    if !decided.deliveries.is_empty() {
        turn.outcome.events.push(StoreEvent::Owed(decided.deliveries));
    }
    Ok(done.is_some())
}

impl FanOut {
    /// The answer and its recipient, for when everything is durable.
    pub(crate) fn answer(self) -> Option<(Reply<Vec<Accepted>>, Vec<Accepted>)> {
        self.reply.map(|reply| (reply, self.accepted))
    }
}

/// How many of these events, from the first on, are accepted in one step; at least one.
fn next_events(registry: &Registry, events: &VecDeque<NewEvent>) -> usize {
    let mut deliveries = events.front().map_or(0, |first| count_deliveries(registry, first));
    let rest = events.iter().skip(1).take_while(|event| {
        deliveries += count_deliveries(registry, event);
        deliveries <= STEP_DELIVERIES
    });
    (1 + rest.count()).min(events.len()).min(STEP_EVENTS)
}

/// How many deliveries an event creates.
fn count_deliveries(registry: &Registry, event: &NewEvent) -> usize {
    let states = registry.of_company(&event.company);
    states.filter(|state| accept::matches(&state.subscription, event)).count()
}

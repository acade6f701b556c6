//! Requests that make many deliveries: in whose turn they are accepted, and in how many steps.
//!
//! A group commit takes about as long as what is decided in it, so how much one company may have decided in it is
//! bounded: beyond [`STEP_DELIVERIES`] what it posts waits for the next one, and others do not.
//!
//! A batch that makes more is a **fan-out**. First an intent is written: all its events as they were posted, in one
//! record, which is synced before or with the first of them. Then its events are accepted as all others are, some in each group
//! commit, with a note of how many are; the request is answered when the last is on the disk. A
//! start finds an intent that is not carried out to its end, and carries it out before anything else of these
//! companies is accepted. So a batch is accepted whole or not at all: what counts is whether its intent is on the disk.
//!
//! What always holds: of one company nothing is accepted between the steps of its fan-out, and what it posts is accepted in
//! the order in which it came. Where the state cannot be written to its database as fast, fan-outs wait for it, and
//! others' commits do not.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Mutex;

use crate::core::event::{Company, NewEvent};
use crate::core::id::EventId;
use crate::core::invalid::Invalid;
use crate::model::command::{Accepted, Command, Reply};
use crate::model::error::{StoreError, u32_of};
use crate::model::lock::lock;
use crate::model::notice::StoreEvent;
use crate::model::receipts::{self, EventContent, EventReceipt};
use crate::model::record::{self, FanOutProgress, FanOutRecord, Record};
use crate::model::registry::Registry;
use crate::model::turn::Turn;
use crate::model::view::{Log, View, ViewMut};
use crate::model::{accept, keys};

/// How many deliveries of one company are made in one group commit; a request that makes fewer is never cut.
pub(crate) const STEP_DELIVERIES: usize = 2_000;
/// How many events are accepted in one step of a fan-out.
const STEP_EVENTS: usize = 256;
/// How many of all companies, but for requests that make few.
const COMMIT_DELIVERIES: usize = 4 * STEP_DELIVERIES;
/// Up to how many deliveries are few.
const FEW: usize = 64;
/// While the changes that have not reached the state database are more bytes than this, only requests that make few
/// deliveries are accepted: others would fill the memory, and then everybody would wait for the database.
const GATHERED_MOST: usize = 4 << 20;
/// How many commands may wait for their company's turn, and how many bytes of event data in them.
const DEFERRED_MOST: usize = 4096;
const DEFERRED_BYTES: usize = 32 << 20;

/// A batch that is being accepted in steps.
pub(crate) struct FanOut {
    /// The id of its intent.
    id: u128,
    companies: BTreeSet<Company>,
    /// Those that are not accepted yet.
    events: VecDeque<NewEvent>,
    /// How many are.
    done: u32,
    accepted: Vec<Accepted>,
    /// Who waits for it; nobody after a restart.
    reply: Option<Reply<Vec<Accepted>>>,
}

/// How a request's events are to be accepted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// As one step.
    AtOnce,
    /// As a fan-out.
    InSteps,
    /// Not at all: they would make too many deliveries.
    Refused(Invalid),
}

/// What waits for its company's turn.
#[derive(Default)]
pub(crate) struct Backlog {
    fan_outs: VecDeque<FanOut>,
    /// Those that made a step in this group commit.
    stepped: VecDeque<FanOut>,
    /// In the order in which they came.
    deferred: VecDeque<Command>,
    deferred_bytes: usize,
    /// How many deliveries are made in this group commit, by company and in all.
    used: HashMap<Company, usize>,
    used_in_all: usize,
    /// Of whom something is deferred or a fan-out is under way: what comes later waits behind it.
    blocked: HashSet<Company>,
    /// Whether the state database is behind.
    behind: bool,
}

impl Backlog {
    /// Takes up what the last run began.
    pub(crate) fn load(view: &dyn View, log: &dyn Log) -> Result<Self, StoreError> {
        let mut backlog = Self::default();
        for (key, value) in view.scan(&[keys::FAN_OUT], None, usize::MAX)? {
            let read = |what: &str| StoreError::corrupt_state(format!("has a fan-out {what} that cannot be read"));
            let id = key.get(1..17).and_then(|id| id.try_into().ok()).map(u128::from_be_bytes);
            let id = id.ok_or_else(|| read("key"))?;
            let done = value.try_into().map(u32::from_be_bytes).map_err(|_| read("value"))?;
            let mut found = None;
            log.record(id, &mut |_, payload| found = record::decode::<FanOutRecord>(payload))?;
            if found.is_none() {
                // After a salvage. Without its events it is over.
                tracing::error!("a batch was being accepted, and the journal does not have the rest of its events");
            }
            let events: VecDeque<NewEvent> =
                found.into_iter().flat_map(FanOutRecord::events).skip(done as usize).collect();
            let companies = events.iter().map(|event| event.company.clone()).collect();
            backlog.fan_outs.push_back(FanOut { id, companies, events, done, accepted: Vec::new(), reply: None });
        }
        Ok(backlog)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fan_outs.is_empty() && self.deferred.is_empty()
    }

    /// A group commit begins: gives what was deferred, to be [admitted](Self::admit) ahead of what came since.
    pub(crate) fn begin(&mut self, view: &dyn ViewMut) -> VecDeque<Command> {
        self.used.clear();
        self.used_in_all = 0;
        self.behind = view.gathered() > GATHERED_MOST;
        self.blocked = self.fan_outs.iter().flat_map(|fan_out| fan_out.companies.iter().cloned()).collect();
        self.deferred_bytes = 0;
        std::mem::take(&mut self.deferred)
    }

    /// Gives the command back if it may be carried out in this group commit, with what is to be [noted](Self::note)
    /// afterwards; otherwise it waits.
    pub(crate) fn admit(&mut self, command: Command, registry: &Mutex<Registry>) -> Option<(Command, Claim)> {
        // The least that there may be is cheap to know, and enough unless much is asked for.
        let mut claim = claim(&command, &lock(registry), Registry::most_of_event);
        if !self.has_room(&claim) && !claim.iter().any(|(company, _)| self.blocked.contains(company)) {
            claim = self::claim(&command, &lock(registry), matching);
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

    /// What was admitted has made so many deliveries.
    pub(crate) fn note(&mut self, claim: Claim, made: usize) {
        self.used_in_all += made;
        if made > 0 {
            claim.into_iter().for_each(|(company, most)| *self.used.entry(company).or_default() += made.min(most));
        }
    }

    /// Whether there is something to be done in the next group commit; not while the database is behind.
    pub(crate) fn is_due(&self, view: &dyn ViewMut) -> bool {
        !self.is_empty() && view.gathered() <= GATHERED_MOST
    }

    /// Begins a fan-out whose intent has been written.
    pub(crate) fn push(&mut self, fan_out: FanOut) {
        self.blocked.extend(fan_out.companies.iter().cloned());
        self.fan_outs.push_back(fan_out);
    }

    /// The fan-out whose turn it is, unless enough is decided in this group commit.
    pub(crate) fn next(&mut self) -> Option<FanOut> {
        let enough = self.behind || (self.used_in_all > 0 && self.used_in_all + STEP_DELIVERIES > COMMIT_DELIVERIES);
        if enough { None } else { self.fan_outs.pop_front() }
    }

    /// It has made its step in this group commit.
    pub(crate) fn put_back(&mut self, fan_out: FanOut) {
        self.stepped.push_back(fan_out);
    }

    /// A group commit ends: who had no turn in it is the first in the next.
    pub(crate) fn end(&mut self) {
        self.fan_outs.append(&mut self.stepped);
    }

    /// The store has failed: tells all who wait.
    pub(crate) fn refuse(&mut self) {
        self.deferred.drain(..).for_each(Command::refuse);
        let replies = self.fan_outs.drain(..).filter_map(|fan_out| fan_out.reply);
        replies.for_each(|reply| reply(Err(StoreError::Unavailable)));
    }
}

/// Of which companies a command makes deliveries, and how many; of none if it accepts nothing.
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

/// How to accept these.
pub(crate) fn plan(turn: &Turn<'_>, events: &[NewEvent]) -> Plan {
    let most = turn.settings.deliveries_per_request as usize;
    let registry = lock(turn.registry);
    let bound: usize = events.iter().map(|event| registry.most_of_event(event)).sum();
    if bound <= STEP_DELIVERIES.min(most) {
        return Plan::AtOnce;
    }
    let mut count = 0;
    for (index, event) in events.iter().enumerate() {
        count += matching(&registry, event);
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

/// Which of these events have the producer's id of another with other content: for those that are not accepted in
/// one step, so that none is if one cannot be.
fn conflicts(turn: &Turn<'_>, events: &[NewEvent]) -> Invalid {
    let mut invalid = Invalid::default();
    let mut first_seen: HashMap<Vec<u8>, EventReceipt> = HashMap::new();
    for (index, event) in events.iter().enumerate() {
        let Some(id) = &event.producer_id else { continue };
        let (key, content) = (keys::producer(event.company.as_str(), id.as_str()), EventContent::of(event));
        let here = first_seen.get(&key).copied();
        let in_batch = here.is_some();
        // A state that cannot be read ends the daemon at the step that needs it.
        match here.or_else(|| accept::posted_before(turn, &key).ok().flatten()) {
            Some(first) => receipts::note_conflict(index, &first, content, in_batch, &mut invalid),
            None => drop(first_seen.insert(key, EventReceipt::new(EventId::from_bits(0), turn.now, 0, content))),
        }
    }
    invalid
}

/// Writes the intent to accept all of these, and gives what is to be done for it.
pub(crate) fn begin(turn: &mut Turn<'_>, events: Vec<NewEvent>, reply: Reply<Vec<Accepted>>) -> FanOut {
    let id = turn.next_id();
    let intent = FanOutRecord::new(&events, turn.now);
    turn.write(vec![Record::of(id, intent)]);
    let companies = events.iter().map(|event| event.company.clone()).collect();
    FanOut { id, companies, events: events.into(), done: 0, accepted: Vec::new(), reply: Some(reply) }
}

/// Accepts the next events of a fan-out, and tells whether there are more.
pub(crate) fn go_on(turn: &mut Turn<'_>, fan_out: &mut FanOut) -> Result<bool, StoreError> {
    let some = next_events(&lock(turn.registry), &fan_out.events);
    let events: Vec<NewEvent> = fan_out.events.drain(..some).collect();
    // None has an id of another's: that was looked at when the intent was written.
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
    /// What is to be answered, and to whom, once all is on the disk.
    pub(crate) fn answer(self) -> Option<(Reply<Vec<Accepted>>, Vec<Accepted>)> {
        self.reply.map(|reply| (reply, self.accepted))
    }
}

/// How many of these, from the first on, are accepted in one step; at least one.
fn next_events(registry: &Registry, events: &VecDeque<NewEvent>) -> usize {
    let mut deliveries = events.front().map_or(0, |first| matching(registry, first));
    let rest = events.iter().skip(1).take_while(|event| {
        deliveries += matching(registry, event);
        deliveries <= STEP_DELIVERIES
    });
    (1 + rest.count()).min(events.len()).min(STEP_EVENTS)
}

/// How many deliveries an event makes.
fn matching(registry: &Registry, event: &NewEvent) -> usize {
    let accounts = registry.of_company(&event.company);
    accounts.filter(|account| accept::takes(&account.subscription, event)).count()
}

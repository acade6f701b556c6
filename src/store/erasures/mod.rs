//! Erasing a person's data: out of events, conversations and the log, and off the disk.
//!
//! **What goes.** Of a company's events with this `lead_phone`, and of the others of the same calls that name no other
//! lead: `data` but for a few members that say nothing of a person ([`core::erasure`](crate::core::erasure)). Of the
//! messages of these calls' threads: numbers, body and what they say of the lead. Of entries of the log of these
//! events: the number, and what the receiver answered. The events, messages and entries themselves stay, with their
//! times, and so do all counts.
//!
//! **How.** What is to be erased is written into a file of its own (`erasing/`), synced, before anything else is
//! done, and from then on everything that is read from the journal is read as if it were done already
//! ([`Journal::mask`](super::journal::Journal::mask)); so are deliveries that are still sent. Then, in the thread
//! that retention has too, a new journal file is begun, every older one in which the index finds the number
//! or one of the calls is written again by the same rule, and the file in `erasing/` goes. A start
//! finds it and begins again: doing it twice changes nothing more. At last the journal is told that it was
//! done, and when, without the number.
//!
//! The state database has nothing that is personal. What is accepted after the request is not touched. Backups that
//! were made before, or while it was under way, hold what was erased.

mod index;
mod rule;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, mpsc};
use std::time::Duration;

use crate::core::delivery::{Delivery, State as Standing};
use crate::core::event::Company;
use crate::core::id::{ErasureId, EventId};
use crate::core::time::Timestamp;

use super::conversations::threads_of;
use super::desk::{Desk, Done};
use super::inbox::Command;
use super::journal::{Breath, Fate, Journal, Key, Mask, Unpruned, Wanted, kind};
use super::kinds::{Kind, erasure_in};
use super::known::{KnownDelivery, KnownEvent};
use super::place::{self, Damage};
use super::query::{self, lowest_id};
use super::record::{self, Accepted, ErasureRecord};
use super::step::{self, Step};
use super::verbs::Store;
use super::{ReadError, StoreError, keys};
use index::Index;
pub(super) use rule::Rule;

/// Where what is to be erased stands until it is.
const DIRECTORY: &str = "erasing";
/// How many calls of one person are erased at once.
const CALLS_MOST: usize = 10_000;
/// How many deliveries are being cancelled at a time.
const CANCELLED_AT_ONCE: usize = 256;
/// How long an erasure that is done is remembered: far longer than an attempt takes.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// Why a delivery is cancelled.
const WHY: &str = "what its event said was erased at the request of the person it was about";

/// An erasure that was asked for, as far as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// Its id.
    pub id: ErasureId,
    /// Whose data it was.
    pub company: Company,
    /// When it was asked for. From then on nothing of it was shown or sent.
    pub requested_at: Timestamp,
    /// When it was off the disk; `None` while it is not.
    pub done_at: Option<Timestamp>,
    /// How many events it was found in.
    pub events: u64,
    /// How many messages; entries of the log. Known once it is done.
    pub messages: u64,
    /// How many entries of the log.
    pub log_entries: u64,
    /// How many deliveries were cancelled.
    pub cancelled: u64,
}

/// What is being erased, for all who read.
pub(super) struct Erasures {
    dir: PathBuf,
    journal: Arc<Journal>,
    /// Those that are not off the disk yet, in the order in which they were asked for.
    under_way: Mutex<BTreeMap<ErasureId, Arc<Rule>>>,
    /// The same, for reading by them.
    masks: Arc<RwLock<Index>>,
    /// What attempts that had begun before may still say: by those under way, and for a while by those that are done
    /// and found something.
    scrubs: Mutex<Scrubs>,
}

#[derive(Default)]
struct Scrubs {
    index: Index,
    /// Those that are done, the oldest first.
    done: VecDeque<Arc<Rule>>,
}

impl Erasures {
    /// Takes up what is under way in the data directory `dir`.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(super) fn take_up(dir: &Path, journal: Arc<Journal>) -> Result<Self, Damage> {
        let dir = dir.join(DIRECTORY);
        let mut rules = BTreeMap::new();
        let unreadable = |error: std::io::Error| Damage::io(&dir, "cannot be read", &error);
        if dir.is_dir() {
            for entry in fs::read_dir(&dir).map_err(unreadable)? {
                let path = entry.map_err(unreadable)?.path();
                if path.extension().is_some_and(|extension| extension == "json") {
                    let text = fs::read_to_string(&path).map_err(unreadable)?;
                    let rule = Rule::from_json(&text).ok_or_else(|| Damage::new(&path, "is damaged"))?;
                    rules.insert(rule.id, Arc::new(rule));
                }
            }
        }
        let scrubs = Mutex::new(Scrubs { index: Index::of(rules.values()), done: VecDeque::new() });
        let masks = Arc::new(RwLock::new(Index::of(rules.values())));
        let erasures = Self { dir, journal, under_way: Mutex::new(rules), masks, scrubs };
        erasures.mask();
        Ok(erasures)
    }

    /// Writes a rule to the disk, and reads by it from now on.
    fn begin(&self, rule: Rule) -> std::io::Result<()> {
        if !self.dir.is_dir() {
            fs::create_dir(&self.dir)?;
            self.dir.parent().map_or(Ok(()), place::sync_dir)?;
        }
        place::replace_file(&self.path(rule.id), rule.to_json().as_bytes())?;
        let rule = Arc::new(rule);
        step::lock(&self.scrubs).index.insert(rule.clone());
        self.masks.write().unwrap_or_else(PoisonError::into_inner).insert(rule.clone());
        step::lock(&self.under_way).insert(rule.id, rule);
        self.mask();
        Ok(())
    }

    fn path(&self, id: ErasureId) -> PathBuf {
        self.dir.join(format!("{id}.json"))
    }

    /// From now on the journal is read by the rules of what is not off the disk yet.
    fn mask(&self) {
        // One at a time, so that what is set last is what holds.
        let _turn = step::lock(&self.under_way);
        let masks = self.masks.clone();
        let none = masks.read().unwrap_or_else(PoisonError::into_inner).is_empty();
        self.journal.mask((!none).then(|| {
            Mask::new(move |head, payload| {
                let masks = masks.read().unwrap_or_else(PoisonError::into_inner);
                masks.apply(head, payload).map(|(masked, _)| masked)
            })
        }));
    }

    /// Those that are not off the disk yet.
    pub(super) fn under_way(&self) -> Vec<Arc<Rule>> {
        step::lock(&self.under_way).values().cloned().collect()
    }

    /// Takes out of an entry of the log that is about to be written what a rule takes out of those that are.
    pub(super) fn scrub(&self, entry: &mut crate::core::attempt::LogEntry) {
        step::lock(&self.scrubs).index.scrub(entry);
    }

    /// Writes the files again in which something of `rules` stands, each once; all below `newest`. Says what was found,
    /// by rule.
    pub(super) fn erase(
        &self,
        rules: &[Arc<Rule>],
        newest: u32,
        breath: Breath<'_>,
    ) -> Result<HashMap<ErasureId, Found>, Unpruned> {
        let mut found: HashMap<ErasureId, Found> = HashMap::new();
        let hashes: Vec<u64> = rules.iter().flat_map(|rule| rule.hashes()).collect();
        let index = Index::of(rules);
        for number in self.journal.numbers_with(&hashes)? {
            if number >= newest {
                continue;
            }
            let mut any = false;
            self.journal.survey(
                number,
                &mut |head, payload| {
                    if let Some((_, id)) = index.apply(head, payload) {
                        any = true;
                        found.entry(id).or_default().count(head.kind);
                    }
                    Ok(Fate::Keep)
                },
                breath,
            )?;
            if !any {
                continue;
            }
            self.journal.rewrite(
                number,
                &mut |head, payload| {
                    Ok(index.apply(head, payload).map_or(Fate::Keep, |(erased, _)| Fate::Become(head.kind, erased)))
                },
                breath,
            )?;
        }
        Ok(found)
    }

    /// They are off the disk, and the journal knows. Of one that `found` nothing, nothing is left; the others are
    /// remembered until no attempt can be under way any more that had begun before.
    pub(super) fn done(
        &self,
        rules: &[Arc<Rule>],
        found: &HashMap<ErasureId, Found>,
        now: Timestamp,
    ) -> std::io::Result<()> {
        for rule in rules {
            fs::remove_file(self.path(rule.id))?;
        }
        place::sync_dir(&self.dir)?;
        let mut scrubs = step::lock(&self.scrubs);
        // What was found stands under the first rule of a number, and the later ones are about it as well.
        let person = |rule: &Arc<Rule>| (rule.company.clone(), rule.phone.clone());
        let touched: BTreeSet<_> = rules.iter().filter(|rule| found.contains_key(&rule.id)).map(person).collect();
        for rule in rules {
            step::lock(&self.under_way).remove(&rule.id);
            self.masks.write().unwrap_or_else(PoisonError::into_inner).remove(rule);
            if touched.contains(&person(rule)) {
                scrubs.done.push_back(rule.clone());
            } else {
                scrubs.index.remove(rule);
            }
        }
        while scrubs.done.front().is_some_and(|rule| now.since(rule.at) > REMEMBERED) {
            if let Some(rule) = scrubs.done.pop_front() {
                scrubs.index.remove(&rule);
            }
        }
        drop(scrubs);
        self.mask();
        Ok(())
    }
}

/// In how many frames something was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) events: u64,
    pub(super) messages: u64,
    pub(super) log_entries: u64,
}

impl Found {
    fn count(&mut self, kind: u8) {
        match kind {
            kind::ACCEPTED => self.events += 1,
            kind::MESSAGE | kind::MEDIA_MESSAGE => self.messages += 1,
            kind::LOGGED => self.log_entries += 1,
            _ => {}
        }
    }
}

/// An erasure as the journal said it last. Reads the whole journal, if need be.
fn noted_last(journal: &Journal, id: ErasureId) -> Result<Option<ErasureRecord>, Damage> {
    let mut last = None;
    let wanted = Wanted { kinds: &[kind::ERASURE], ..Wanted::ANY };
    journal.to_the_end(&wanted, &journal.unbounded(), &mut |_, payload| {
        let noted = record::decode::<(u128, ErasureRecord)>(payload).filter(|(bits, _)| *bits == id.bits());
        last = noted.map(|(_, record)| record);
        Ok(if last.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(last)
}

impl Desk {
    /// Notes how far an erasure is. Who asked for it and who does it note what each knows, in either order.
    pub(super) fn note_erasure(&mut self, id: ErasureId, record: ErasureRecord) -> Done<()> {
        let key = keys::erasure(id);
        let before = match self.state.get(&key)? {
            Some(value) if Kind::Erasure.is_readable(&key, &value) => step::unversioned(&value),
            Some(value) => {
                self.state.set_aside(&key, value);
                noted_last(&self.journal, id).ok().flatten()
            }
            None => None,
        };
        self.write(vec![Step::Erasure(id, Box::new(record.with(before)))]);
        Ok(Ok(()))
    }
}

impl Store {
    /// Erases what is known of the person with this number, as `lead_phone` has it: from now on nothing of it is shown
    /// or sent, and soon it is off the disk. With `cancel`, what is still owed of it is cancelled; otherwise it
    /// is sent without it. Blocks until that is so.
    ///
    /// # Errors
    /// It could not be noted, or what there is could not be read; then it may be asked for again.
    pub fn erase(&self, company: &Company, phone: &str, cancel: bool, now: Timestamp) -> Result<Erasure, ReadError> {
        let shared = &self.shared;
        let mut calls: BTreeSet<String> = BTreeSet::new();
        let threads = threads_of(&shared.state, &shared.journal, Some(company), phone)?;
        calls.extend(threads.iter().map(|thread| thread.call.as_str().to_owned()));
        self.events_of(company, Key::Phone(phone), &mut |event| {
            calls.extend(event.phone().filter(|own| *own == phone).map(|_| event.call().to_owned()));
        })?;
        if calls.len() > CALLS_MOST {
            return Err(StoreError::Limit(format!("there are more than {CALLS_MOST} calls with this number")));
        }
        let last = shared.state.durable().last_id;
        let below = lowest_id(Some(Timestamp::from_millis(now.millis() + 1))).max(last + 1);
        let id = ErasureId::from_bits(super::desk::fresh_bits(now));
        let calls = calls.into_iter().collect();
        let mut events = Vec::new();
        let rule = Rule { id, company: company.as_str().to_owned(), phone: phone.to_owned(), calls, below, at: now };
        for call in &rule.calls {
            self.raw_events_of_call(company, call, &rule, &mut events)?;
        }
        if rule.calls.is_empty() && shared.journal.numbers_with(&rule.hashes())?.is_empty() {
            // No record speaks of this number, so that there is nothing to be read by this rule, nor to be written again.
            let record = ErasureRecord::begun(company.as_str(), now, 0, 0).done(now, 0, 0, 0);
            return self.noted_erasure(id, record);
        }
        let calls = rule.calls.clone();
        let noted = shared.erasures.begin(rule);
        noted
            .map_err(|error| StoreError::io(Path::new("erasing"), "what is to be erased could not be noted", &error))?;
        for call in &calls {
            super::conversations::forget(self, company.as_str(), call);
        }
        let cancelled = if cancel { self.cancel_all_of(&events)? } else { 0 };
        let record = ErasureRecord::begun(company.as_str(), now, events.len() as u64, cancelled);
        self.noted_erasure(id, record)
    }

    fn noted_erasure(&self, id: ErasureId, record: ErasureRecord) -> Result<Erasure, ReadError> {
        self.note_erasure(id, &record)?;
        let unreadable = || StoreError::corrupt_state("has a record of an erasure that cannot be read");
        record.erasure(id).ok_or_else(unreadable)
    }

    /// The erasures, the newest first.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn erasures(&self, company: Option<&Company>) -> Result<Vec<Erasure>, ReadError> {
        let all = self.shared.state.scan(&[keys::ERASURE], None, usize::MAX)?;
        let mut found: Vec<Erasure> = Vec::new();
        for (key, value) in &all {
            let Some(id) = erasure_in(key) else { continue };
            let read = step::unversioned::<ErasureRecord>(value).and_then(|record| record.erasure(id));
            found.extend(match read {
                Some(erasure) => Some(erasure),
                None => {
                    let record = noted_last(&self.shared.journal, id)?;
                    self.shared.state.note_unreadable(key, record.as_ref().map(step::versioned));
                    record.and_then(|record| record.erasure(id))
                }
            });
        }
        found.retain(|erasure| company.is_none_or(|company| *company == erasure.company));
        found.reverse();
        Ok(found)
    }

    fn events_of(&self, company: &Company, key: Key<'_>, visit: &mut dyn FnMut(&Accepted)) -> Result<(), ReadError> {
        let (journal, keys) = (&self.shared.journal, [key]);
        let (kinds, company) = (&[kind::ACCEPTED][..], company.as_str());
        let wanted = Wanted { kinds, company: Some(company), keys: &keys, ..Wanted::ANY };
        journal.newest_first(&wanted, &journal.unbounded(), &mut |_, payload| {
            let event = record::decode::<Accepted>(payload).filter(|event| event.company() == company);
            event.iter().for_each(&mut *visit);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(())
    }

    /// The ids of the events of a call that the rule takes something out of.
    fn raw_events_of_call(
        &self,
        company: &Company,
        call: &str,
        rule: &Rule,
        events: &mut Vec<EventId>,
    ) -> Result<(), ReadError> {
        let (journal, keys) = (&self.shared.journal, [Key::Call(call)]);
        let (kinds, company) = (&[kind::ACCEPTED][..], company.as_str());
        let wanted = Wanted { kinds, company: Some(company), keys: &keys, below: rule.below, ..Wanted::ANY };
        journal.newest_first(&wanted, &journal.unbounded(), &mut |head, payload| {
            let of_call = record::decode::<Accepted>(payload)
                .is_some_and(|event| event.company() == company && event.call() == call);
            if of_call && rule.apply(head, payload).is_some() {
                events.push(EventId::from_bits(head.id));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(())
    }

    /// Cancels what is owed of these events, dead letters too. Says how much that was.
    fn cancel_all_of(&self, events: &[EventId]) -> Result<u64, ReadError> {
        // One call may owe thousands: they share group commits instead of waiting for one each.
        let mut waiting = VecDeque::new();
        let mut cancelled = 0;
        for id in events {
            let event = query::event(&self.shared.journal, *id)?.map(KnownEvent::from);
            for delivery in self.event_deliveries(*id)? {
                if !delivery.state.is_owed() && delivery.state != Standing::Failed {
                    continue;
                }
                let known = KnownDelivery { delivery, event: event.clone() };
                waiting.push_back(self.hand_in(|reply| Command::Cancel(Box::new(known.clone()), WHY, reply))?);
                if waiting.len() > CANCELLED_AT_ONCE {
                    cancelled += waiting.pop_front().map_or(Ok(0), |answer| was_cancelled(&answer))?;
                }
            }
        }
        waiting.iter().try_fold(cancelled, |all, answer| Ok(all + was_cancelled(answer)?))
    }

    /// Notes in the journal how far an erasure is.
    pub(super) fn note_erasure(&self, id: ErasureId, record: &ErasureRecord) -> Result<(), ReadError> {
        self.wait_for(|reply| Command::Erasure(id, Box::new(record.clone()), reply))
    }

    /// Has the committer do something, and waits for it.
    fn wait_for<T: Send + 'static>(&self, command: impl Fn(super::Reply<T>) -> Command) -> Result<T, StoreError> {
        self.hand_in(command)?.recv().map_err(|_| StoreError::Unavailable)?
    }

    /// Hands the committer something to do; waits for a place in its queue alone.
    fn hand_in<T: Send + 'static>(
        &self,
        command: impl Fn(super::Reply<T>) -> Command,
    ) -> Result<mpsc::Receiver<Result<T, StoreError>>, StoreError> {
        for _ in 0..1000 {
            let (sender, answer) = mpsc::channel();
            let reply = Box::new(move |result| drop(sender.send(result)));
            if self.push(command(reply)).is_ok() {
                return Ok(answer);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(StoreError::Busy)
    }
}

/// Whether a delivery was cancelled, 1, or 0 if it had ended meanwhile or its subscription is gone.
fn was_cancelled(answer: &mpsc::Receiver<Result<Delivery, StoreError>>) -> Result<u64, StoreError> {
    match answer.recv().map_err(|_| StoreError::Unavailable)? {
        Ok(_) => Ok(1),
        Err(StoreError::NotFound | StoreError::Conflict(_)) => Ok(0),
        Err(error) => Err(error),
    }
}

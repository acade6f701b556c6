//! Reading a journal frame by frame beside the state that goes with it, and comparing the two.
//!
//! Two replicas run along: one begins with nothing and takes in every frame, which is what the journal
//! says; the other begins with the state database and takes in what that has not, which is what a start
//! would make of it. In the end both must owe the same.

use std::collections::{BTreeMap, HashMap};

use crate::core::delivery::Delivery;
use crate::core::id::{DeliveryId, EventId};
use crate::engine::embedded::frame::{Binding, NoFrame};
use crate::engine::embedded::offline::replica::Replica;
use crate::engine::embedded::offline::report::{Findings, Receiver};
use crate::engine::embedded::wal::Header;
use crate::engine::embedded::wal::recovery::{self, Tail};
use crate::model::error::{Damage, u32_of};
use crate::model::keys;
use crate::model::lock::lock;
use crate::model::record::{self, Body, CheckpointPosition, Head, Owed, Record};
use crate::model::segment::Class;

/// Takes a frame that was read: its header and its payload.
pub(crate) type Keep<'k> = &'k mut dyn FnMut(Head, &[u8]) -> Result<(), Damage>;

/// A journal file that is being read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'p> {
    /// Its name, for messages.
    pub(crate) name: &'p str,
    pub(crate) number: u32,
    /// What its header says of its frames.
    pub(crate) header: Header,
    /// Whether it is the newest: its end may be torn, and retention has not been at it.
    pub(crate) newest: bool,
    /// Up to here a checkpoint has taken it in.
    pub(crate) acknowledged: u32,
    /// Of a compressed file: where the block begins in which the frame in question does.
    pub(crate) block: Option<u64>,
}

impl Place<'_> {
    /// The byte of the file at which what stands at offset `at` is looked for.
    fn byte(&self, at: usize) -> u64 {
        self.block.unwrap_or(at as u64)
    }
}

/// A sequence number that was given.
#[derive(Debug, Clone, Copy)]
struct Given {
    sequence: u64,
    /// In which journal file.
    file: u32,
    /// How many gaps there were before it.
    gaps: u64,
}

/// A journal and its state on their way to being compared.
pub(crate) struct Audit {
    pub(crate) findings: Findings,
    /// What the whole journal says.
    pub(crate) rebuilt: Replica,
    /// The state that goes with it and how much of the journal it has; `None` if it could not be read.
    pub(crate) stored: Option<(Replica, CheckpointPosition)>,
    /// The last frame's place, group commit and id, as a checkpoint behind it says.
    pub(crate) end: CheckpointPosition,
    /// The group commit of the last whole step.
    whole_batch: u64,
    /// Bytes that are no frames, and how many times there were such.
    pub(crate) lost_bytes: u64,
    pub(crate) gaps: u64,
    /// Whether one of them is where the state does not know what it had.
    pub(crate) unknown_gap: bool,
    /// How many records were taken, and how many of those that may be a stranger's were left out, by their kinds.
    pub(crate) taken: BTreeMap<&'static str, u64>,
    pub(crate) left_out: BTreeMap<&'static str, u64>,
    /// How many that may be a stranger's were taken.
    pub(crate) unproved: u64,
    /// Whether what is being read may be a stranger's: it stands behind damage in a file of version 1.
    doubtful: bool,
    /// Sequence numbers passed over where there was a gap.
    pub(crate) missing_sequences: u64,
    /// The ids of the accepted events, ascending.
    events: Vec<u128>,
    /// The ids of the messages, ascending.
    messages: Vec<u128>,
    /// How many of them stand ahead of the last file.
    older_events: usize,
    /// Whether retention has taken something out of the journal.
    pruned: bool,
    /// The last sequence number of each subscription.
    sequences: HashMap<u32, Given>,
    /// Frames of a step whose end has not come.
    step: Vec<(Head, Vec<u8>)>,
}

impl Audit {
    /// Begins with the state, if it could be read.
    pub(crate) fn new(stored: Option<(Replica, CheckpointPosition)>) -> Result<Self, String> {
        Ok(Self {
            findings: Findings::default(),
            rebuilt: Replica::empty()?,
            stored,
            end: CheckpointPosition::default(),
            whole_batch: 0,
            lost_bytes: 0,
            gaps: 0,
            unknown_gap: false,
            taken: BTreeMap::new(),
            left_out: BTreeMap::new(),
            unproved: 0,
            doubtful: false,
            missing_sequences: 0,
            events: Vec::new(),
            messages: Vec::new(),
            older_events: 0,
            pruned: false,
            sequences: HashMap::new(),
            step: Vec::new(),
        })
    }

    pub(crate) fn begin_file(&mut self) {
        self.findings.files += 1;
        self.doubtful = false;
    }

    /// Reads a whole journal file, its header included, and goes on behind what is damaged.
    pub(crate) fn file(&mut self, place: Place<'_>, bytes: &[u8], keep: Keep<'_>) -> Result<(), Damage> {
        self.begin_file();
        let mut at = (place.header.end() as usize).min(bytes.len());
        let mut whole = at;
        while at < bytes.len() {
            match place.header.binding.decode(&bytes[at..], u32_of(at)) {
                Ok((head, payload, length)) => {
                    self.frame(place, at, head, payload, keep)?;
                    at += length;
                    if self.step.is_empty() {
                        whole = at;
                    }
                }
                Err(_) if self.is_torn(place, bytes, whole) => return Ok(()),
                Err(fault) => at = self.gap(place, bytes, at, fault),
            }
        }
        if whole < at && self.is_torn(place, bytes, whole) {
            return Ok(());
        }
        if at < place.acknowledged as usize {
            let what = format!("ends before byte {}, up to which it was written and acknowledged", place.acknowledged);
            self.findings.fault(place.name, at as u64, what);
            self.lost(place.number, at, 0);
        }
        Ok(())
    }

    /// Whether a start would cut away what stands behind the last whole step, which ends at `whole`. Takes note of how
    /// much that is.
    fn is_torn(&mut self, place: Place<'_>, bytes: &[u8], whole: usize) -> bool {
        if !place.newest {
            return false;
        }
        let batch = self.whole_batch.max(self.stored.as_ref().map_or(0, |(_, applied)| applied.batch));
        let (binding, acknowledged) = (place.header.binding, place.acknowledged);
        let Tail::Torn(torn) = recovery::tail(binding, &bytes[whole..], u32_of(whole), batch, acknowledged) else {
            return false;
        };
        self.step.clear();
        self.findings.torn_bytes += torn as u64;
        true
    }

    /// There is no frame at `at`: says where to go on.
    fn gap(&mut self, place: Place<'_>, bytes: &[u8], at: usize, fault: NoFrame) -> usize {
        let next = recovery::resume(place.header.binding, bytes, at, self.end.batch);
        let to = next.unwrap_or(bytes.len());
        let what = match fault {
            NoFrame::Short(_) if next.is_none() => "ends in the middle of a record",
            _ => "is damaged",
        };
        self.findings.fault(place.name, at as u64, format!("{what}; {} bytes cannot be read", to - at));
        self.lost(place.number, at, to - at);
        self.doubtful |= place.header.binding == Binding::Plain;
        to
    }

    /// Something is lost that stood in journal file `number` from byte `at` on, of so many bytes.
    pub(crate) fn lost(&mut self, number: u32, at: usize, bytes: usize) {
        self.lost_bytes += bytes as u64;
        self.gaps += 1;
        let known = |applied: &CheckpointPosition| (number, at) < (applied.segment, applied.offset as usize);
        self.unknown_gap |= !self.stored.as_ref().is_some_and(|(_, applied)| known(applied));
    }

    /// Whether a frame is left out: a stranger may have made it, and it would give him powers.
    fn is_left_out(&mut self, head: Head) -> bool {
        let left_out = self.doubtful && record::grants_rights(head.kind);
        if left_out {
            *self.left_out.entry(record::name(head.kind)).or_default() += 1;
        }
        self.unproved += u64::from(self.doubtful && !left_out);
        left_out
    }

    /// Takes in a frame that stands at `at`.
    pub(crate) fn frame(
        &mut self,
        place: Place<'_>,
        at: usize,
        head: Head,
        payload: &[u8],
        keep: Keep<'_>,
    ) -> Result<(), Damage> {
        if self.is_left_out(head) {
            return Ok(());
        }
        let length = place.header.binding.header() + payload.len();
        if !self.look(place, at, head, payload) {
            self.lost(place.number, at, length);
            return Ok(());
        }
        // Every group commit writes something, so a number that is missing was taken out.
        self.pruned |= head.batch > self.end.batch + 1;
        let behind = u32_of(at + length);
        // What a stranger says of it must not make what follows look old.
        if !self.doubtful {
            self.end.batch = self.end.batch.max(head.batch);
        }
        self.end.last_id = self.end.last_id.max(head.id);
        (self.end.segment, self.end.offset) = (place.number, behind);
        self.step.push((head, payload.to_vec()));
        if head.continues {
            return Ok(());
        }
        self.whole_batch = head.batch;
        for (head, payload) in std::mem::take(&mut self.step) {
            self.findings.bytes += (place.header.binding.header() + payload.len()) as u64;
            *self.taken.entry(record::name(head.kind)).or_default() += 1;
            match (record::SCHEMA.class)(head.kind) {
                Class::Event => self.findings.events += 1,
                Class::LogEntry => self.findings.log_entries += 1,
                Class::Message | Class::WithEvent | Class::Other => self.findings.other_records += 1,
            }
            self.rebuilt.apply(head, &payload)?;
            if let Some((stored, applied)) = &self.stored
                && (place.number, behind) > (applied.segment, applied.offset)
            {
                stored.apply(head, &payload)?;
            }
            keep(head, &payload)?;
        }
        Ok(())
    }

    /// Looks closely at a frame; false if nothing can be made of it.
    fn look(&mut self, place: Place<'_>, at: usize, head: Head, payload: &[u8]) -> bool {
        let mut fault = |what: String| self.findings.fault(place.name, place.byte(at), what);
        if head.version != record::VERSION {
            fault(format!("has a record of version {}, which this hookswitch does not know", head.version));
            return false;
        }
        let readable = Record::decode(head, payload).is_some_and(|record| {
            let given = match &record.body {
                Body::Accepted(accepted) => accepted.owed.iter().map(Owed::id).collect(),
                _ => Vec::new(),
            };
            let sound = record.decodes_fully();
            if sound {
                self.note(place, at, head, &given);
            }
            sound
        });
        let mut fault = |what: String| self.findings.fault(place.name, place.byte(at), what);
        if !readable {
            fault(format!("has a record that cannot be read (kind {})", head.kind));
            return false;
        }
        if head.id != 0 && head.id <= self.end.last_id {
            fault("has a record that is out of order: its id is not above the one before".to_owned());
        }
        if head.batch < self.end.batch {
            fault("has a record that is out of order: it was written before the one that it follows".to_owned());
        }
        true
    }

    /// Takes note of a record that can be read, with the ids of the deliveries that it begins.
    fn note(&mut self, place: Place<'_>, at: usize, head: Head, given: &[DeliveryId]) {
        match (record::SCHEMA.class)(head.kind) {
            Class::Event => {
                if place.number != self.end.segment {
                    self.older_events = self.events.len();
                }
                self.events.push(head.id);
                given.iter().for_each(|id| self.sequence(place, at, id.subscription_number(), id.sequence()));
            }
            Class::Message => self.messages.push(head.id),
            Class::LogEntry | Class::WithEvent | Class::Other => {}
        }
    }

    /// Takes note of a sequence number that was given.
    fn sequence(&mut self, place: Place<'_>, at: usize, number: u32, sequence: u64) {
        let given = Given { sequence, file: place.number, gaps: self.gaps };
        let before = self.sequences.insert(number, given);
        let Some(before) = before.filter(|before| sequence != before.sequence + 1) else { return };
        if before.gaps != given.gaps {
            self.missing_sequences += sequence.saturating_sub(before.sequence + 1);
        } else if sequence <= before.sequence || (place.newest && before.file == place.number) {
            // In older files retention may have taken out what stood between.
            let what = format!("has sequence number {sequence} of subscription {number} behind {}", before.sequence);
            self.findings.fault(place.name, place.byte(at), what);
        }
    }

    /// Settles both replicas and compares them, if the journal is whole.
    pub(crate) fn compare(&mut self) -> Result<(), Damage> {
        self.rebuilt.settle()?;
        if let Some((stored, _)) = &self.stored
            && let Err(damage) = stored.settle()
        {
            self.findings.fault("state", None, damage.detail());
            self.stored = None;
        }
        let Some((stored, _)) = &self.stored else { return Ok(()) };
        let mut faults = Vec::new();
        for prefix in [keys::OWED, keys::DEAD] {
            let (here, there) = (standing(stored, prefix)?, standing(&self.rebuilt, prefix)?);
            let what = if prefix == keys::OWED { "owed" } else { "a dead letter" };
            if self.gaps > 0 {
                continue;
            }
            for (id, _) in here.iter().filter(|(id, _)| !there.contains_key(*id)) {
                faults.push(format!("says that {id} is {what}, and the journal does not"));
            }
            for (id, event) in there.iter().filter(|(id, _)| !here.contains_key(*id)) {
                if self.ends_are_kept(*event) {
                    faults.push(format!("does not have {id}, which is {what} by the journal"));
                }
            }
        }
        stored.each(&[keys::OWED], &mut |_, value| {
            if let Some(delivery) = record::delivery_of(value).filter(|delivery| !self.has_event(delivery)) {
                faults.push(format!("owes {}, whose event {} is not in the journal", delivery.id, delivery.event));
            }
            Ok(())
        })?;
        faults.into_iter().for_each(|what| self.findings.fault("state", None, what));
        Ok(())
    }

    /// Whether the journal must still say how the deliveries of an event ended. Retention, which never touches the
    /// last file, may have taken that out before the event itself.
    fn ends_are_kept(&self, event: EventId) -> bool {
        !self.pruned || self.events.get(self.older_events).is_some_and(|first| event.bits() >= *first)
    }

    /// Whether the event of a delivery was read.
    pub(crate) fn has_event(&self, delivery: &Delivery) -> bool {
        self.has_event_id(delivery.event.bits())
    }

    /// Whether the event with these id bits was read.
    pub(crate) fn has_event_id(&self, bits: u128) -> bool {
        self.events.binary_search(&bits).is_ok()
    }

    /// Whether the message with these id bits was read.
    pub(crate) fn has_message_id(&self, bits: u128) -> bool {
        self.messages.binary_search(&bits).is_ok()
    }

    /// The replica that is to be believed.
    pub(crate) fn best(&self) -> &Replica {
        self.stored.as_ref().map_or(&self.rebuilt, |(stored, _)| stored)
    }

    /// Completes the findings with what the state says.
    pub(crate) fn sum_up(&mut self) {
        let best = self.stored.as_ref().map_or(&self.rebuilt, |(stored, _)| stored);
        let registry = lock(&best.registry);
        // What a deleted subscription is owed is about to be cancelled.
        for account in registry.all() {
            self.findings.pending += account.counts.pending;
            self.findings.retrying += account.counts.retrying;
            self.findings.failed += account.counts.failed;
            self.findings.subscriptions.push(Receiver::of(account));
        }
        for (_, record) in registry.locked() {
            self.findings.sealed += 1;
            self.findings.sealed_with.extend(record.key.map(|key| key.to_string()));
        }
    }
}

/// The deliveries under a prefix, with their events.
fn standing(replica: &Replica, prefix: u8) -> Result<BTreeMap<DeliveryId, EventId>, Damage> {
    let mut found = BTreeMap::new();
    replica.each(&[prefix], &mut |_, value| {
        found.extend(record::delivery_of(value).map(|delivery| (delivery.id, delivery.event)));
        Ok(())
    })?;
    Ok(found)
}

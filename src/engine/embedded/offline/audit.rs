//! Reading a WAL frame by frame along with its state, and comparing the two.
//!
//! Two replicas are maintained: one starts empty and applies every frame, giving the state according to the WAL; the
//! other starts with the state database and applies the frames beyond its checkpoint, as a start would. In the end both
//! must have the same outstanding deliveries.

use std::collections::{BTreeMap, HashMap};

use crate::core::delivery::Delivery;
use crate::core::id::{DeliveryId, EventId, SubscriptionNumber};
use crate::engine::embedded::frame::{Binding, NoFrame};
use crate::engine::embedded::kv::stored_key::prefix;
use crate::engine::embedded::offline::replica::Replica;
use crate::engine::embedded::offline::report::{Findings, Receiver};
use crate::engine::embedded::position::CheckpointPosition;
use crate::engine::embedded::wal::Header;
use crate::engine::embedded::wal::recovery::{self, TailState};
use crate::model::error::{Damage, u32_of};
use crate::model::key::ValueKind;
use crate::model::lock::lock;
use crate::model::record::Class;
use crate::model::record::{self, Head, Record};

/// Receives a frame that was read: its header and its payload.
pub(crate) type OnFrame<'k> = &'k mut dyn FnMut(Head, &[u8]) -> Result<(), Damage>;

/// A segment that is being read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SegmentInfo<'p> {
    /// Its file name, for messages.
    pub(crate) name: &'p str,
    pub(crate) number: u32,
    /// Its header, which verifies its frames.
    pub(crate) header: Header,
    /// Whether it is the newest: its end may be torn, and retention has not compacted it.
    pub(crate) newest: bool,
    /// A checkpoint covers it up to here.
    pub(crate) acknowledged: u32,
    /// Of a compressed segment: the byte of the block in which the current frame begins.
    pub(crate) block: Option<u64>,
}

impl SegmentInfo<'_> {
    /// The byte of the file to report for offset `at`.
    fn byte(&self, at: usize) -> u64 {
        self.block.unwrap_or(at as u64)
    }
}

/// A sequence number that was assigned.
#[derive(Debug, Clone, Copy)]
struct Assigned {
    sequence: u64,
    /// The segment of its record.
    file: u32,
    /// How many gaps preceded it.
    gaps: u64,
}

/// A WAL and its state, for comparison.
pub(crate) struct Audit {
    pub(crate) findings: Findings,
    /// The state according to the whole WAL.
    pub(crate) rebuilt: Replica,
    /// The stored state and its checkpoint position; `None` if it could not be read.
    pub(crate) stored: Option<(Replica, CheckpointPosition)>,
    /// The position, group commit and id of the last frame, as a checkpoint behind it would record them.
    pub(crate) end: CheckpointPosition,
    /// The group commit of the last whole transaction.
    whole_batch: u64,
    /// Bytes that are no frames, and the number of gaps that they form.
    pub(crate) lost_bytes: u64,
    pub(crate) gaps: u64,
    /// Whether a gap is beyond the checkpoint, so that the state does not know its content.
    pub(crate) unknown_gap: bool,
    /// The number of records that were read, and of those left out because they may be forged, by kind.
    pub(crate) taken: BTreeMap<&'static str, u64>,
    pub(crate) left_out: BTreeMap<&'static str, u64>,
    /// The number of possibly forged records that were read.
    pub(crate) unproved: u64,
    /// Whether frames may be forged from here on: they follow damage in a segment of version 1.
    untrusted: bool,
    /// Sequence numbers that are missing where there is a gap.
    pub(crate) missing_sequences: u64,
    /// The ids of accepted events, ascending.
    events: Vec<u128>,
    /// The ids of messages, ascending.
    messages: Vec<u128>,
    /// How many of the events are in older segments than the last.
    older_events: usize,
    /// Whether retention has removed records from the WAL.
    compacted: bool,
    /// The last sequence number of each subscription.
    sequences: HashMap<SubscriptionNumber, Assigned>,
    /// The highest number of a subscription in an event that cannot be forged: a forged one could use all numbers up.
    highest_number: SubscriptionNumber,
    /// Frames of a transaction whose end has not been read.
    transaction: Vec<(Head, Vec<u8>)>,
}

impl Audit {
    /// Begins with the stored state, if it could be read.
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
            untrusted: false,
            missing_sequences: 0,
            events: Vec::new(),
            messages: Vec::new(),
            older_events: 0,
            compacted: false,
            sequences: HashMap::new(),
            highest_number: SubscriptionNumber::ZERO,
            transaction: Vec::new(),
        })
    }

    pub(crate) fn begin_file(&mut self) {
        self.findings.files += 1;
        self.untrusted = false;
    }

    /// Reads a whole segment, its header included, and continues behind damage.
    pub(crate) fn file(&mut self, segment: SegmentInfo<'_>, bytes: &[u8], on_frame: OnFrame<'_>) -> Result<(), Damage> {
        self.begin_file();
        let mut at = (segment.header.end() as usize).min(bytes.len());
        let mut whole = at;
        while at < bytes.len() {
            match segment.header.binding.decode(&bytes[at..], u32_of(at)) {
                Ok((head, payload, length)) => {
                    self.frame(segment, at, head, payload, on_frame)?;
                    at += length;
                    if self.transaction.is_empty() {
                        whole = at;
                    }
                }
                Err(_) if self.is_torn(segment, bytes, whole) => return Ok(()),
                Err(fault) => at = self.gap(segment, bytes, at, fault),
            }
        }
        if whole < at && self.is_torn(segment, bytes, whole) {
            return Ok(());
        }
        if at < segment.acknowledged as usize {
            let what =
                format!("ends before byte {}, up to which it was written and acknowledged", segment.acknowledged);
            self.findings.fault(segment.name, at as u64, what);
            self.lost(segment.number, at, 0);
        }
        Ok(())
    }

    /// Whether a start would truncate everything behind the last whole transaction, which ends at `whole`. If so,
    /// counts the bytes.
    fn is_torn(&mut self, segment: SegmentInfo<'_>, bytes: &[u8], whole: usize) -> bool {
        if !segment.newest {
            return false;
        }
        let batch = self.whole_batch.max(self.stored.as_ref().map_or(0, |(_, applied)| applied.batch));
        let (binding, acknowledged) = (segment.header.binding, segment.acknowledged);
        let TailState::Torn(torn) =
            recovery::classify_tail(binding, &bytes[whole..], u32_of(whole), batch, acknowledged)
        else {
            return false;
        };
        self.transaction.clear();
        self.findings.torn_bytes += torn as u64;
        true
    }

    /// Reports that there is no frame at `at`; returns where to continue.
    fn gap(&mut self, segment: SegmentInfo<'_>, bytes: &[u8], at: usize, fault: NoFrame) -> usize {
        let next = recovery::resume(segment.header.binding, bytes, at, self.end.batch);
        let to = next.unwrap_or(bytes.len());
        let what = match fault {
            NoFrame::Short(_) if next.is_none() => "ends in the middle of a record",
            _ => "is damaged",
        };
        self.findings.fault(segment.name, at as u64, format!("{what}; {} bytes cannot be read", to - at));
        self.lost(segment.number, at, to - at);
        self.untrusted |= segment.header.binding == Binding::Plain;
        to
    }

    /// Records that data is lost in segment `number`: its offset and length.
    pub(crate) fn lost(&mut self, number: u32, at: usize, bytes: usize) {
        self.lost_bytes += bytes as u64;
        self.gaps += 1;
        let known = |applied: &CheckpointPosition| (number, at) < (applied.segment, applied.offset as usize);
        self.unknown_gap |= !self.stored.as_ref().is_some_and(|(_, applied)| known(applied));
    }

    /// Whether a frame is left out because it may be forged and would grant rights.
    fn is_left_out(&mut self, head: Head) -> bool {
        let left_out = self.untrusted && record::grants_rights(head.kind);
        if left_out {
            *self.left_out.entry(record::name(head.kind)).or_default() += 1;
        }
        self.unproved += u64::from(self.untrusted && !left_out);
        left_out
    }

    /// Processes a frame at offset `at`.
    pub(crate) fn frame(
        &mut self,
        segment: SegmentInfo<'_>,
        at: usize,
        head: Head,
        payload: &[u8],
        on_frame: OnFrame<'_>,
    ) -> Result<(), Damage> {
        if self.is_left_out(head) {
            return Ok(());
        }
        let length = segment.header.binding.header() + payload.len();
        if !self.validate(segment, at, head, payload) {
            self.lost(segment.number, at, length);
            return Ok(());
        }
        // Every group commit writes something, so a missing number was removed.
        self.compacted |= head.batch > self.end.batch + 1;
        let behind = u32_of(at + length);
        // A forged number must not make the following frames look old.
        if !self.untrusted {
            self.end.batch = self.end.batch.max(head.batch);
        }
        self.end.last_id = self.end.last_id.max(head.id);
        (self.end.segment, self.end.offset) = (segment.number, behind);
        self.transaction.push((head, payload.to_vec()));
        if head.continues {
            return Ok(());
        }
        self.whole_batch = head.batch;
        for (head, payload) in std::mem::take(&mut self.transaction) {
            self.findings.bytes += (segment.header.binding.header() + payload.len()) as u64;
            *self.taken.entry(record::name(head.kind)).or_default() += 1;
            match (record::SCHEMA.class)(head.kind) {
                Class::Event => self.findings.events += 1,
                Class::LogEntry => self.findings.log_entries += 1,
                Class::Message | Class::WithEvent | Class::Other => self.findings.other_records += 1,
            }
            self.rebuilt.apply(head, &payload)?;
            if let Some((stored, applied)) = &self.stored
                && (segment.number, behind) > (applied.segment, applied.offset)
            {
                stored.apply(head, &payload)?;
            }
            on_frame(head, &payload)?;
        }
        Ok(())
    }

    /// Validates a record; returns false if it is unreadable.
    fn validate(&mut self, segment: SegmentInfo<'_>, at: usize, head: Head, payload: &[u8]) -> bool {
        let mut fault = |what: String| self.findings.fault(segment.name, segment.byte(at), what);
        if head.version != record::VERSION {
            fault(format!("has a record of version {}, which this hookswitch does not know", head.version));
            return false;
        }
        let readable = Record::decode(head, payload).is_some_and(|record| {
            let given = record.begins();
            let sound = record.decodes_fully();
            if sound {
                self.index(segment, at, head, &given);
            }
            sound
        });
        let mut fault = |what: String| self.findings.fault(segment.name, segment.byte(at), what);
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

    /// Indexes a valid record, with the ids of the deliveries that it begins.
    fn index(&mut self, segment: SegmentInfo<'_>, at: usize, head: Head, given: &[DeliveryId]) {
        match (record::SCHEMA.class)(head.kind) {
            Class::Event => {
                if segment.number != self.end.segment {
                    self.older_events = self.events.len();
                }
                self.events.push(head.id);
                given.iter().for_each(|id| self.check_sequence(segment, at, id.subscription_number(), id.sequence()));
            }
            Class::Message => self.messages.push(head.id),
            Class::LogEntry | Class::WithEvent | Class::Other => {}
        }
    }

    /// Checks an assigned sequence number against the previous one.
    fn check_sequence(&mut self, segment: SegmentInfo<'_>, at: usize, number: SubscriptionNumber, sequence: u64) {
        let given = Assigned { sequence, file: segment.number, gaps: self.gaps };
        let before = self.sequences.insert(number, given);
        if !self.untrusted {
            self.highest_number = self.highest_number.max(number);
        }
        let Some(before) = before.filter(|before| sequence != before.sequence + 1) else { return };
        if before.gaps != given.gaps {
            self.missing_sequences += sequence.saturating_sub(before.sequence + 1);
        } else if sequence <= before.sequence || (segment.newest && before.file == segment.number) {
            // In older segments retention may have removed the records between.
            let what = format!("has sequence number {sequence} of subscription {number} behind {}", before.sequence);
            self.findings.fault(segment.name, segment.byte(at), what);
        }
    }

    /// The lowest number for the next subscription, by the events alone. The records of a subscription may be lost, or
    /// dropped after its deletion, while events still have deliveries with its number: another must not get these.
    pub(crate) fn next_number(&self) -> SubscriptionNumber {
        self.highest_number.next().unwrap_or(self.highest_number)
    }

    /// Completes both replicas and compares them, unless the WAL has gaps.
    pub(crate) fn compare(&mut self) -> Result<(), Damage> {
        self.rebuilt.reload_registry()?;
        if let Some((stored, _)) = &self.stored
            && let Err(damage) = stored.reload_registry()
        {
            self.findings.fault("state", None, damage.detail());
            self.stored = None;
        }
        let Some((stored, _)) = &self.stored else { return Ok(()) };
        let mut faults = Vec::new();
        for kind in [ValueKind::Owed, ValueKind::Dead] {
            let (here, there) = (standing(stored, kind)?, standing(&self.rebuilt, kind)?);
            let what = if kind == ValueKind::Owed { "owed" } else { "a dead letter" };
            if self.gaps > 0 {
                continue;
            }
            for (id, _) in here.iter().filter(|(id, _)| !there.contains_key(*id)) {
                faults.push(format!("says that {id} is {what}, and the write-ahead log does not"));
            }
            for (id, event) in there.iter().filter(|(id, _)| !here.contains_key(*id)) {
                if self.must_have_ends(*event) {
                    faults.push(format!("does not have {id}, which is {what} according to the write-ahead log"));
                }
            }
        }
        stored.each(prefix(ValueKind::Owed), &mut |_, value| {
            if let Some(delivery) = record::delivery_of(value).filter(|delivery| !self.has_event(delivery)) {
                faults.push(format!(
                    "owes {}, whose event {} is not in the write-ahead log",
                    delivery.id, delivery.event
                ));
            }
            Ok(())
        })?;
        faults.into_iter().for_each(|what| self.findings.fault("state", None, what));
        Ok(())
    }

    /// Whether the WAL must still contain the ends of an event's deliveries. Retention may have removed them before the
    /// event itself, but never compacts the last segment.
    fn must_have_ends(&self, event: EventId) -> bool {
        !self.compacted || self.events.get(self.older_events).is_some_and(|first| event.bits() >= *first)
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

    /// The replica to trust: the stored state if it could be read.
    pub(crate) fn best(&self) -> &Replica {
        self.stored.as_ref().map_or(&self.rebuilt, |(stored, _)| stored)
    }

    /// Completes the findings with totals of the state.
    pub(crate) fn sum_up(&mut self) {
        let best = self.stored.as_ref().map_or(&self.rebuilt, |(stored, _)| stored);
        let registry = lock(&best.registry);
        // Outstanding deliveries of a deleted subscription are about to be cancelled.
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
fn standing(replica: &Replica, kind: ValueKind) -> Result<BTreeMap<DeliveryId, EventId>, Damage> {
    let mut found = BTreeMap::new();
    replica.each(prefix(kind), &mut |_, value| {
        found.extend(record::delivery_of(value).map(|delivery| (delivery.id, delivery.event)));
        Ok(())
    })?;
    Ok(found)
}

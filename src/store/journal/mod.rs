//! The journal: everything that happened, in order, in append-only files with a checksum on every
//! frame. What it says is what is true; the state database can be made again from where the two
//! last agreed.
//!
//! Ids ascend through the whole journal, which is how one is found without an index key of its own.

mod compress;
mod copy;
mod header;
mod index;
mod indexed;
mod names;
mod owed;
mod packed;
mod prune;
pub(super) mod recovery;
mod search;
mod segment;
mod unpacked;
mod writer;

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

pub(super) use self::copy::{Copying, Part};
pub(super) use self::header::{HEADER, Header};
pub(super) use self::index::{
    Growing, Key, Marks, Note, Outline, Whose, end_in, is_of_before, to_bytes as index_bytes,
};
pub(super) use self::owed::Owing;
#[cfg(test)]
pub(super) use self::packed::pack_file;
pub(super) use self::packed::{Packing, Shape, Source};
pub(super) use self::prune::{Breath, Fate, Unpruned, first, note_first};
use self::search::Tally;
pub(super) use self::search::{Reached, Wanted, Work};
pub(super) use self::segment::path_of as file_path;
use self::segment::{End, Segment};
use self::unpacked::Unpacked;
pub(super) use self::writer::Writer;
use super::frame::Head;
use super::place::{self, Damage};
use super::record::{self, Accepted, Applied, DeliveryRecord, EndedRecord, FanOutRecord, Logged, MessageRecord};

/// The kinds of record in frames.
pub(super) mod kind {
    pub(in crate::store) const ACCEPTED: u8 = 1;
    pub(in crate::store) const LOGGED: u8 = 2;
    pub(in crate::store) const SUBSCRIPTION: u8 = 3;
    pub(in crate::store) const SUBSCRIPTION_REMOVED: u8 = 4;
    pub(in crate::store) const REQUEUED: u8 = 5;
    pub(in crate::store) const REPLAY: u8 = 6;
    pub(in crate::store) const DISCARD: u8 = 7;
    pub(in crate::store) const ENDED: u8 = 8;
    pub(in crate::store) const ACCOUNT: u8 = 9;
    pub(in crate::store) const FORGOTTEN: u8 = 10;
    pub(in crate::store) const MESSAGE: u8 = 11;
    pub(in crate::store) const THREAD_GONE: u8 = 12;
    pub(in crate::store) const TOKEN: u8 = 17;
    pub(in crate::store) const TOKEN_REVOKED: u8 = 18;
    pub(in crate::store) const ERASURE: u8 = 19;
    /// As `SUBSCRIPTION`, with a client certificate.
    pub(in crate::store) const CERTIFIED_SUBSCRIPTION: u8 = 20;
    /// As `SUBSCRIPTION`, with its secrets sealed.
    pub(in crate::store) const SEALED_SUBSCRIPTION: u8 = 21;
    pub(in crate::store) const FAN_OUT: u8 = 22;
    pub(in crate::store) const FAN_OUT_STEP: u8 = 23;
    /// As `SUBSCRIPTION`, with settings that came later.
    pub(in crate::store) const EXTENDED_SUBSCRIPTION: u8 = 24;
    /// As `MESSAGE`, with pictures or other files.
    pub(in crate::store) const MEDIA_MESSAGE: u8 = 25;
    /// Both.
    pub(in crate::store) const MESSAGES: [u8; 2] = [MESSAGE, MEDIA_MESSAGE];
    /// As `ENDED`, and it says whose the delivery was.
    pub(in crate::store) const ENDED_OF_COMPANY: u8 = 26;

    /// What records of a kind are called, several of them.
    pub(in crate::store) const fn name(kind: u8) -> &'static str {
        match kind {
            ACCEPTED => "events",
            LOGGED | ENDED | ENDED_OF_COMPANY => "log entries",
            SUBSCRIPTION | CERTIFIED_SUBSCRIPTION | SEALED_SUBSCRIPTION | EXTENDED_SUBSCRIPTION => "subscriptions",
            SUBSCRIPTION_REMOVED => "deletions of subscriptions",
            ACCOUNT => "standings of subscriptions",
            REQUEUED | FORGOTTEN => "deliveries put back or forgotten",
            REPLAY | DISCARD => "replays and discards",
            MESSAGE | MEDIA_MESSAGE => "messages",
            THREAD_GONE => "ends of conversations",
            TOKEN => "tokens",
            TOKEN_REVOKED => "revocations of tokens",
            ERASURE => "erasures",
            FAN_OUT | FAN_OUT_STEP => "batches accepted in steps",
            _ => "others",
        }
    }

    /// Whether such a record gives powers, or changes where and with which secrets something is sent.
    pub(in crate::store) const fn gives_powers(kind: u8) -> bool {
        matches!(
            kind,
            TOKEN
                | SUBSCRIPTION
                | CERTIFIED_SUBSCRIPTION
                | SEALED_SUBSCRIPTION
                | EXTENDED_SUBSCRIPTION
                | SUBSCRIPTION_REMOVED
                | ACCOUNT
                | REPLAY
                | DISCARD
        )
    }
}

/// A frame as the index takes note of it.
pub(super) fn note_of(offset: u32, length: usize, head: Head, payload: &[u8]) -> Note {
    let length = place::u32_of(length);
    Note { offset, length, kind: head.kind, id: head.id, marks: marks_of(head, payload) }
}

/// What the index keeps of a frame.
fn marks_of(head: Head, payload: &[u8]) -> Marks {
    let marks = match head.kind {
        kind::ACCEPTED => record::decode::<Accepted>(payload).map(|accepted| accepted_marks(&accepted)),
        kind::LOGGED => record::decode::<Logged>(payload).map(|logged| logged_marks(&logged)),
        kind::MESSAGE | kind::MEDIA_MESSAGE => MessageRecord::decode(payload).map(|message| message_marks(&message)),
        kind::ENDED => record::decode::<DeliveryRecord>(payload).map(|ended| ended_marks(&ended, None)),
        kind::ERASURE => Some(erasure_marks()),
        kind::FAN_OUT => record::decode::<FanOutRecord>(payload).map(|fan_out| fan_out_marks(&fan_out)),
        kind::ENDED_OF_COMPANY => {
            record::decode::<EndedRecord>(payload).map(|ended| ended_marks(&ended.delivery, Some(&ended.company)))
        }
        _ => None,
    };
    marks.unwrap_or_default()
}

/// The marks of what is left of a delivery that ended.
pub(super) fn ended_marks(ended: &DeliveryRecord, company: Option<&str>) -> Marks {
    let of = company.map_or(Whose::UNKNOWN, Whose::company);
    let (event_type, call, state) = ended.names();
    let about = [
        Key::Delivery(ended.id().bits()),
        Key::Status(state),
        Key::Subscription(ended.subscription()),
        Key::Type(event_type),
        Key::Call(call),
    ];
    Marks { keys: of.keys(about), at: None }
}

/// The marks of what is noted of an erasure.
pub(super) fn erasure_marks() -> Marks {
    Marks { keys: Whose::UNKNOWN.keys([Key::All]), at: None }
}

/// The marks of a message.
pub(super) fn message_marks(message: &MessageRecord) -> Marks {
    let thread = message.thread();
    let of = Whose::company(thread.company());
    let own = [Key::All, Key::Thread(thread.id()), Key::Call(thread.call())];
    Marks { keys: of.keys(own.into_iter().chain(message.phones().map(Key::Phone))), at: None }
}

/// The marks of an accepted event.
pub(super) fn accepted_marks(accepted: &Accepted) -> Marks {
    let of = Whose::company(accepted.company());
    let (event_type, source) = (Key::Type(accepted.event_type()), Key::Source(accepted.source_word()));
    let own = [Key::All, event_type, source, Key::Call(accepted.call())].into_iter();
    let own = own.chain(accepted.domain_name().map(Key::Domain)).chain(accepted.phone().map(Key::Phone));
    let owed = accepted.owed.iter().map(|owed| Key::Owed(owed.id().subscription_number()));
    Marks { keys: of.keys(own.chain(owed)), at: Some(accepted.accepted_at()) }
}

/// The marks of the events of a batch, so that erasures find them.
pub(super) fn fan_out_marks(fan_out: &FanOutRecord) -> Marks {
    let keys = fan_out.posted.iter().flat_map(|accepted| {
        let about = [Some(Key::Call(accepted.call())), accepted.phone().map(Key::Phone)];
        Whose::company(accepted.company()).keys(about.into_iter().flatten())
    });
    Marks { keys: keys.collect(), at: None }
}

/// The marks of an entry of the log.
pub(super) fn logged_marks(logged: &Logged) -> Marks {
    let of = Whose::company(logged.company());
    let own = [
        Key::All,
        Key::Type(logged.event_type()),
        Key::Status(logged.status()),
        Key::Response(logged.response()),
        Key::Subscription(logged.subscription().bits()),
    ];
    let own = own.into_iter().chain(logged.is_test().then_some(Key::Test));
    let own = own.chain(logged.domain().map(Key::Domain)).chain(logged.call().map(Key::Call));
    let own = own.chain(logged.phone().map(Key::Phone));
    let own = own.chain(logged.delivery().map(|id| Key::Delivery(id.bits())));
    Marks { keys: of.keys(own), at: Some(logged.created()) }
}

/// The journal, for reading; cheap to share.
#[derive(Debug)]
pub(super) struct Journal {
    dir: PathBuf,
    segments: RwLock<BTreeMap<u32, Arc<Segment>>>,
    /// What was read.
    tally: Tally,
    /// Held while a file goes or is replaced.
    files: Mutex<()>,
    /// What of compressed files was read last.
    blocks: Arc<Unpacked>,
    /// How what is read is changed on its way out.
    mask: Mutex<Option<Mask>>,
}

/// Takes a frame in: its header, its payload, and how far that is in the journal.
pub(super) type Replay<'r> = &'r mut dyn FnMut(Head, &[u8], Applied) -> Result<(), Damage>;
/// Looks at a frame. Says whether to go on.
pub(super) type Visit<'v> = &'v mut dyn FnMut(Head, &[u8]) -> Result<ControlFlow<()>, Damage>;

/// What is handed out in place of a frame's payload; `None` if it is handed out as it stands.
#[derive(Clone)]
pub(super) struct Mask(Arc<Masking>);
type Masking = dyn Fn(Head, &[u8]) -> Option<Vec<u8>> + Send + Sync;

impl Mask {
    pub(super) fn new(masking: impl Fn(Head, &[u8]) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(masking))
    }
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[mask]")
    }
}

impl Journal {
    /// Makes an empty journal in `dir`, which exists.
    pub(super) fn create(dir: &Path, now: u64) -> io::Result<()> {
        Segment::create(dir, 1, now)?;
        note_first(dir, 1)
    }

    /// Opens the journal in `dir` and hands every frame behind `applied` to `replay` (header,
    /// payload, position behind it), whole steps only. What a cut left torn at the very end is cut
    /// away; anything else that is not a frame is damage. Files that retention has dropped are not missed.
    pub(super) fn open(dir: &Path, applied: Applied, replay: Replay<'_>) -> Result<(Arc<Self>, Writer), Damage> {
        let numbers = numbers_in(dir)?;
        let newest = numbers.last().copied().unwrap_or(0).max(applied.segment).max(1);
        let first = first(dir)?.or_else(|| numbers.first().copied()).unwrap_or(newest);
        if applied.segment > 0 && applied.segment < first {
            let detail = "is missing: the state database has not taken it in to its end";
            return Err(Damage::new(&segment::path_of(dir, applied.segment), detail));
        }
        let (mut segments, blocks) = (BTreeMap::new(), Arc::<Unpacked>::default());
        for number in first..=newest {
            if !numbers.contains(&number) {
                return Err(Damage::new(&segment::path_of(dir, number), "is missing"));
            }
            let opened = if number == newest && recovery::was_never_used(dir, number, applied) {
                let created = segment::remove_unfinished(dir, number).and_then(|()| Segment::create(dir, number, 0));
                created.map_err(|error| Damage::io(&segment::path_of(dir, number), "cannot be made", &error))
            } else {
                Segment::open(dir, number, &blocks)
            };
            segments.insert(number, Arc::new(opened?));
        }
        // A process that was killed may have written what it had not synced yet. It is there to be read and is taken in
        // below, and the state must not come to the disk ahead of it: a power cut would leave a state that speaks of
        // frames that are gone.
        for segment in segments.range(applied.segment..).map(|(_, segment)| segment) {
            segment.sync().map_err(|error| Damage::io(segment.path(), "cannot be synced", &error))?;
        }
        place::sync_dir(dir).map_err(|error| Damage::io(dir, "cannot be synced", &error))?;
        let mut reached = applied;
        for (number, segment) in segments.range(applied.segment..) {
            recovery::take_in(segment, &mut reached, *number == newest, replay)?;
        }
        let active = segments[&newest].clone();
        active.index_for_writing()?;
        let leftovers = prune::remove_leftovers(dir, first);
        leftovers.map_err(|error| Damage::io(dir, "has leftovers that cannot be removed", &error))?;
        let (dir, segments) = (dir.to_owned(), RwLock::new(segments));
        let (tally, files, mask) = (Tally::default(), Mutex::default(), Mutex::default());
        let journal = Arc::new(Self { dir, segments, tally, files, blocks, mask });
        let writer = Writer::new(journal.clone(), active);
        Ok((journal, writer))
    }

    /// From now on what is read by id, by key or in order is changed so on its way out. Whoever copies, takes in or
    /// writes files again sees what is there.
    pub(super) fn mask(&self, mask: Option<Mask>) {
        *self.mask.lock().unwrap_or_else(PoisonError::into_inner) = mask;
    }

    /// Hands a payload to `visit`, masked if it is to be.
    fn unmasked_or_not<T>(mask: Option<&Mask>, head: Head, payload: &[u8], visit: impl FnOnce(&[u8]) -> T) -> T {
        match mask.and_then(|mask| (mask.0)(head, payload)) {
            Some(masked) => visit(&masked),
            None => visit(payload),
        }
    }

    fn masking(&self) -> Option<Mask> {
        self.mask.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Hands the frame with this id to `visit` and tells whether there is one.
    pub(super) fn get(&self, id: u128, visit: &mut dyn FnMut(Head, &[u8])) -> Result<bool, Damage> {
        let mask = self.masking();
        let Some(segment) = self.segment_from(id)? else { return Ok(false) };
        let work = self.unbounded();
        let Some(near) = segment.asked(&work, |index| index.mark_up_to(id))? else { return Ok(false) };
        let mut found = false;
        let end = segment.look(near, segment.end(), &mut |_, head, payload| {
            work.frame(payload.len() as u64);
            if head.id == id {
                found = true;
                Self::unmasked_or_not(mask.as_ref(), head, payload, |payload| visit(head, payload));
            }
            head.id < id
        })?;
        match end {
            End::NoFrame(at) => Err(segment.damaged(at)),
            End::Clean => Ok(found),
        }
    }

    /// The newest file whose first id is not above `id`.
    fn segment_from(&self, id: u128) -> Result<Option<Arc<Segment>>, Damage> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        for segment in segments.values().rev() {
            if segment.first_id()?.is_some_and(|first| first <= id) {
                return Ok(Some(segment.clone()));
            }
        }
        Ok(None)
    }
}

/// The numbers of the journal files in `dir`, ascending.
pub(super) fn numbers_in(dir: &Path) -> Result<Vec<u32>, Damage> {
    let unreadable = |error: io::Error| Damage::io(dir, "cannot be read", &error);
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let number: Option<u32> =
            name.to_str().and_then(|name| name.strip_suffix(".log")).and_then(|stem| stem.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

#[cfg(test)]
mod tests;

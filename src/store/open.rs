//! Opening a data directory: making a new one, telling a foreign or damaged one, and taking what
//! the journal has beyond the last checkpoint into the state.
//!
//! A directory that is refused is left as it is. sled's traps, each with its counter-measure here
//! or in [`super::sync`] and [`super::state`]: names that are never synced, an `open` that panics on
//! a flipped byte, a shortened file that opens as an empty database, leftovers of a crash that keep
//! it from opening for ever.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::core::time::Timestamp;

use super::journal::{Journal, Writer};
use super::keys;
use super::ledger::Ledger;
use super::place::{self, Damage};
use super::record::{Applied, DeliveryRecord, HealthRecord, SubscriptionRecord};
use super::state::State;
use super::step::{self, Step};
use super::sync;

/// The file whose presence says: there must be data.
pub(super) const FORMAT: &str = "FORMAT";
/// The version of the whole directory that this program writes.
pub(super) const FORMAT_VERSION: u32 = 1;
/// The file that stands while a new directory is made.
pub(super) const UNFINISHED: &str = "unfinished";
/// What stands in [`UNFINISHED`] while a directory is laid out from something that must not be lost.
pub(super) const LAYING_OUT: &[u8] = b"restore or salvage\n";
/// What a directory may hold before there is data in it.
const HARMLESS: [&str; 4] = ["lock", "admin.token", "admin.token.new", "lost+found"];
/// The file in `state/` with the least length that the database file must have.
const LENGTH: &str = "length";

/// Why a data directory was not opened. Says which file, what is wrong with it, and what to do.
#[derive(Debug)]
pub struct OpenError(String);

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OpenError {}

/// What to do about a directory that is damaged.
pub(super) const REMEDY: &str = "either put back a backup (`hookswitch restore FILE --data-dir DIR`), \
                      or save what can be read (`hookswitch verify --salvage --data-dir DIR --into NEWDIR`)";

impl OpenError {
    fn damaged(dir: &Path, what: impl fmt::Display) -> Self {
        Self(format!(
            "the data directory {} cannot be used: {what}; nothing in it was changed; {REMEDY}",
            dir.display()
        ))
    }

    fn io(path: &Path, error: &io::Error) -> Self {
        Self(format!(
            "{}: {error}; the data directory must be on a local disk and writable by this user",
            path.display()
        ))
    }
}

impl From<Damage> for OpenError {
    fn from(damage: Damage) -> Self {
        Self(format!("{damage}; nothing in it was changed; {REMEDY}"))
    }
}

/// An open store, before its threads run.
pub(super) struct Opened {
    pub(super) state: Arc<State>,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) journal: Arc<Journal>,
    pub(super) writer: Writer,
    /// How far the journal has been taken in; all of it.
    pub(super) applied: Applied,
}

/// Opens the store in `dir`, which exists; makes it first if there is none.
pub(super) fn open(dir: &Path, cache_bytes: u64, now: Timestamp) -> Result<Opened, OpenError> {
    let marker = dir.join(FORMAT);
    let fresh = match fs::read_to_string(&marker) {
        Ok(text) => {
            check_format(dir, &text)?;
            false
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(OpenError::io(&marker, &error)),
    };
    if fresh {
        prepare(dir, now)?;
        return open_parts(dir, cache_bytes, true);
    }
    let before = Before::keep(dir).map_err(|error| OpenError::io(dir, &error))?;
    let opened = open_parts(dir, cache_bytes, false);
    match &opened {
        Ok(_) => before.discard().map_err(|error| OpenError::io(dir, &error))?,
        Err(_) => before.put_back(dir).map_err(|error| OpenError::io(dir, &error))?,
    }
    opened
}

fn open_parts(dir: &Path, cache_bytes: u64, fresh: bool) -> Result<Opened, OpenError> {
    let db = open_sled(dir, cache_bytes, fresh)?;
    let state = State::new(db.clone());
    if fresh {
        let applied = Applied { segment: 1, next_number: 1, ..Applied::default() };
        state.checkpoint(applied).map_err(|error| OpenError::damaged(dir, error))?;
    }
    sync_names(&dir.join("state")).map_err(|error| OpenError::io(&dir.join("state"), &error))?;
    prove_sync(dir, &db)?;
    if fresh {
        finish(dir).map_err(|error| OpenError::io(dir, &error))?;
    }
    let opened = recover(dir, state)?;
    note_length(dir).map_err(|error| OpenError::io(&dir.join("state"), &error))?;
    Ok(opened)
}

/// A copy of the state database, kept while it is opened: sled writes over what it cannot read, and
/// a directory that is refused must stay as it was.
struct Before(PathBuf);

/// The largest database of which a copy is kept: copying must not make a start slow. Beyond it a
/// damaged database may be changed when it is refused.
const COPIED_MOST: u64 = 256 << 20;

impl Before {
    fn keep(dir: &Path) -> io::Result<Self> {
        let copy = dir.join("state-before-open");
        if copy.exists() {
            // An opening was interrupted, which sled itself recovers from.
            fs::remove_dir_all(&copy)?;
        }
        let state = dir.join("state");
        if fs::metadata(state.join("db")).is_ok_and(|db| db.len() <= COPIED_MOST) {
            copy_dir(&state, &copy)?;
        }
        Ok(Self(copy))
    }

    fn discard(&self) -> io::Result<()> {
        if self.0.exists() { fs::remove_dir_all(&self.0) } else { Ok(()) }
    }

    fn put_back(&self, dir: &Path) -> io::Result<()> {
        if self.0.exists() {
            fs::remove_dir_all(dir.join("state"))?;
            fs::rename(&self.0, dir.join("state"))?;
        }
        Ok(())
    }
}

pub(super) fn copy_dir(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Whether this FORMAT is one of a newer version.
pub(super) fn is_newer(text: &str) -> bool {
    format_in(text).is_some_and(|version| version > FORMAT_VERSION)
}

fn format_in(text: &str) -> Option<u32> {
    text.strip_prefix("hookswitch data, format ")?.trim_end().parse().ok()
}

pub(super) fn check_format(dir: &Path, text: &str) -> Result<(), OpenError> {
    match format_in(text) {
        Some(FORMAT_VERSION) => Ok(()),
        Some(newer) if newer > FORMAT_VERSION => Err(OpenError(format!(
            "{} was written by a newer hookswitch (format {newer}; this one knows format {FORMAT_VERSION}): \
             start that newer version; nothing was changed",
            dir.display()
        ))),
        _ => Err(OpenError::damaged(dir, "its file FORMAT is not one that hookswitch wrote")),
    }
}

/// Makes a new directory ready for data, or says that it is somebody else's.
fn prepare(dir: &Path, now: Timestamp) -> Result<(), OpenError> {
    let io_error = |error: io::Error| OpenError::io(dir, &error);
    let unfinished = dir.join(UNFINISHED);
    if fs::read(&unfinished).is_ok_and(|text| text == LAYING_OUT) {
        return Err(OpenError(format!(
            "a restore or salvage into {} was interrupted, and it does not hold everything: \
             remove the directory and begin again; nothing was changed",
            dir.display()
        )));
    }
    if unfinished.exists() {
        // A first start that was interrupted: nothing was ever accepted into it.
        for name in ["state", "journal"] {
            let part = dir.join(name);
            if part.exists() {
                fs::remove_dir_all(&part).map_err(|error| OpenError::io(&part, &error))?;
            }
        }
    } else {
        for entry in fs::read_dir(dir).map_err(io_error)? {
            let name = entry.map_err(io_error)?.file_name();
            if !HARMLESS.iter().any(|harmless| name == *harmless) {
                return Err(OpenError(format!(
                    "{} is not a data directory of hookswitch: it has no file FORMAT, but it has {}; \
                     name an empty directory as data_dir, or put back the whole data directory; nothing was changed",
                    dir.display(),
                    Path::new(&name).display()
                )));
            }
        }
    }
    let make = || -> io::Result<()> {
        place::replace_file(&unfinished, b"")?;
        fs::create_dir(dir.join("state"))?;
        fs::create_dir(dir.join("journal"))?;
        Journal::create(&dir.join("journal"), now.millis())
    };
    make().map_err(io_error)
}

/// Makes a directory that was laid out by a restore or a salvage one that holds data: opens it once,
/// as every start will, and only then says so.
pub(super) fn seal(dir: &Path, cache_bytes: u64) -> Result<(), OpenError> {
    let state = dir.join("state");
    sync_names(&state).map_err(|error| OpenError::io(&state, &error))?;
    note_length(dir).map_err(|error| OpenError::io(&state, &error))?;
    drop(open_parts(dir, cache_bytes, false)?);
    finish(dir).map_err(|error| OpenError::io(dir, &error))
}

/// From here on there must be data.
fn finish(dir: &Path) -> io::Result<()> {
    place::replace_file(&dir.join(FORMAT), format!("hookswitch data, format {FORMAT_VERSION}\n").as_bytes())?;
    fs::remove_file(dir.join(UNFINISHED))?;
    place::sync_dir(dir)
}

/// Opens the state database and makes sure that it is the one that must be there.
fn open_sled(dir: &Path, cache_bytes: u64, fresh: bool) -> Result<sled::Db, OpenError> {
    let path = dir.join("state");
    if !fresh {
        check_length(&path).map_err(|what| OpenError::damaged(dir, what))?;
        set_leftovers_aside(&path).map_err(|error| OpenError::io(&path, &error))?;
    }
    let db = database(&path, cache_bytes).map_err(|what| OpenError::damaged(dir, what))?;
    if !fresh && !db.was_recovered() {
        return Err(OpenError::damaged(dir, "its state database in state/ must hold data and holds none"));
    }
    Ok(db)
}

/// Opens sled, which panics on what is damaged.
pub(super) fn database(path: &Path, cache_bytes: u64) -> Result<sled::Db, String> {
    let config = sled::Config::new().path(path).cache_capacity(cache_bytes).flush_every_ms(None);
    match catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(Ok(db)) => Ok(db),
        Ok(Err(error)) => Err(format!("its state database does not open: {error}")),
        Err(_) => Err("its state database in state/ is damaged".to_owned()),
    }
}

/// sled opens a file that was cut short as an empty database, and writes over it: so the file must
/// have at least the length that it was seen to have.
pub(super) fn check_length(state: &Path) -> Result<(), String> {
    let file = state.join("db");
    let length = fs::metadata(&file).map_err(|error| format!("its file state/db cannot be read: {error}"))?.len();
    let text = fs::read_to_string(state.join(LENGTH)).map_err(|error| format!("its file state/{LENGTH}: {error}"))?;
    let least: u64 = text.trim_end().parse().map_err(|_| format!("its file state/{LENGTH} is damaged"))?;
    if length < least {
        return Err(format!("its file state/db has {length} bytes and must have at least {least}"));
    }
    Ok(())
}

/// Notes how long the database file is by now.
pub(super) fn note_length(dir: &Path) -> io::Result<()> {
    let state = dir.join("state");
    let length = fs::metadata(state.join("db"))?.len();
    place::replace_file(&state.join(LENGTH), format!("{length}\n").as_bytes())
}

/// A snapshot that a crash left half written keeps sled from opening for ever: it is moved to
/// `state/aside/`, which sled does not look into.
pub(super) fn set_leftovers_aside(state: &Path) -> io::Result<()> {
    let mut leftovers: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(state)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            leftovers.push(path);
        }
    }
    if leftovers.is_empty() {
        return Ok(());
    }
    let aside = state.join("aside");
    fs::create_dir_all(&aside)?;
    for path in leftovers {
        tracing::warn!("{} was left half written by a crash; it is not needed, and set aside", path.display());
        fs::rename(&path, aside.join(path.file_name().unwrap_or_default()))?;
    }
    place::sync_dir(&aside)?;
    place::sync_dir(state)
}

/// sled syncs neither the files that it makes nor their names.
fn sync_names(state: &Path) -> io::Result<()> {
    for entry in fs::read_dir(state)? {
        let path = entry?.path();
        if path.is_dir() {
            place::sync_dir(&path)?;
        } else {
            File::open(&path)?.sync_all()?;
        }
    }
    place::sync_dir(state)?;
    state.parent().map_or(Ok(()), place::sync_dir)
}

fn prove_sync(dir: &Path, db: &sled::Db) -> Result<(), OpenError> {
    let failed = |error: sled::Error| OpenError::damaged(dir, format!("its state database cannot be written: {error}"));
    let before = db.get(keys::OPENED).map_err(failed)?;
    let opened = before.and_then(|value| value.as_ref().try_into().ok().map(u64::from_be_bytes)).unwrap_or(0);
    db.insert(keys::OPENED, &(opened + 1).to_be_bytes()).map_err(failed)?;
    if sync::prove(|| db.flush().map(drop)).map_err(failed)? {
        return Ok(());
    }
    Err(OpenError(
        "this hookswitch was built so that its database's writes are not synced to the disk \
         (its own sync_file_range is not in effect): use another build; a power cut could lose everything"
            .to_owned(),
    ))
}

/// Takes what the journal has beyond the last checkpoint into the state.
fn recover(dir: &Path, state: State) -> Result<Opened, OpenError> {
    let damaged = |what: &dyn fmt::Display| OpenError::damaged(dir, what);
    let applied = state.applied().map_err(|error| damaged(&error))?;
    let mut applied = applied.ok_or_else(|| damaged(&"its state database does not say how far it is"))?;
    let ledger = read_ledger(&state, applied.next_number, Unreadable::PassOver).map_err(|error| damaged(&error))?;
    let ledger = Mutex::new(ledger);
    let from = applied;
    let (journal, writer) = Journal::open(&dir.join("journal"), from, &mut |head, payload, position| {
        let unknown =
            || Damage::new(&dir.join("journal"), format!("has a record that is not known (kind {})", head.kind));
        Step::decode(head, payload).ok_or_else(unknown)?.apply(&state, &ledger)?;
        applied = Applied { last_id: position.last_id.max(applied.last_id), ..position };
        Ok(())
    })?;
    settle_ledger(&state, &ledger).map_err(|error| damaged(&error))?;
    let (segment, offset) = writer.position();
    applied = Applied { segment, offset, next_number: step::lock(&ledger).next_number, ..applied };
    state.checkpoint(applied).map_err(|error| damaged(&error))?;
    state.go_live();
    Ok(Opened { state: Arc::new(state), ledger: Arc::new(ledger), journal, writer, applied })
}

/// What to do about a subscription whose record cannot be read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Nothing: its pieces may be of different times, and the journal has what makes them one again.
    PassOver,
    /// Say that it is damaged.
    Refuse,
}

/// What the ledger says once the journal is taken in: read from the state, and counted.
pub(super) fn settle_ledger(state: &State, ledger: &Mutex<Ledger>) -> Result<(), Damage> {
    let next_number = step::lock(ledger).next_number;
    let settled = read_ledger(state, next_number, Unreadable::Refuse)?;
    *step::lock(ledger) = settled;
    count(state, ledger)
}

/// The subscriptions with their sequence numbers and health, as the state has them.
pub(super) fn read_ledger(state: &State, next_number: u32, unreadable: Unreadable) -> Result<Ledger, Damage> {
    let mut ledger = Ledger::numbering_from(next_number);
    let mut records: std::collections::BTreeMap<u32, Vec<u8>> = std::collections::BTreeMap::new();
    for (key, piece) in state.scan(&[keys::SUBSCRIPTION], None, usize::MAX)? {
        let number = keys::number_in(&key).unwrap_or(0);
        records.entry(number).or_default().extend(piece);
    }
    for (number, value) in records {
        let record = step::unversioned::<SubscriptionRecord>(&value);
        let deleted = record.as_ref().is_some_and(|record| record.deleted);
        let Some(subscription) = record.and_then(SubscriptionRecord::subscription) else {
            if unreadable == Unreadable::PassOver {
                continue;
            }
            let detail = format!("has a subscription (number {number}) that cannot be read");
            return Err(Damage::new(Path::new("state"), detail));
        };
        ledger.put(subscription, deleted);
        let next = state.get(&keys::next_sequence(number))?.and_then(|value| value.try_into().ok());
        let health = state.get(&keys::health(number))?.and_then(|value| step::unversioned::<HealthRecord>(&value));
        if let Some(account) = ledger.account(number) {
            account.next_sequence = next.map_or(1, u64::from_be_bytes);
            account.health = health.map(Into::into).unwrap_or_default();
        }
    }
    Ok(ledger)
}

/// Counts what is owed and the dead letters anew: while the journal was taken in, the counts could
/// not be kept.
fn count(state: &State, ledger: &Mutex<Ledger>) -> Result<(), Damage> {
    let mut ledger = step::lock(ledger);
    ledger.reset_counts();
    for prefix in [keys::OWED, keys::DEAD] {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = state.scan(&[prefix], after.as_deref(), 1000)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (key, value) in &page {
                let delivery = step::unversioned::<DeliveryRecord>(value).and_then(DeliveryRecord::delivery);
                let unreadable = || Damage::new(Path::new("state"), "has a delivery that cannot be read");
                let standing = delivery.ok_or_else(unreadable)?.state;
                ledger.moved(keys::number_in(key).unwrap_or(0), None, Some(standing));
            }
        }
    }
    Ok(())
}

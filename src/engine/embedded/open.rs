//! Opening a data directory: creating a new one, recognising a foreign or damaged one, and replaying the WAL beyond the
//! last checkpoint into the state.
//!
//! A directory that is refused is left unchanged. Faults of sled that are handled here or in
//! [`sync`] and [`kv`](crate::engine::embedded::kv): directory entries that are never
//! synced, an `open` that panics on a flipped byte, a truncated file that opens as an empty database, and crash
//! leftovers that prevent opening for good.

mod pre_open_snapshot;

use std::fmt;
use std::fs::{self};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tracing::subscriber::{NoSubscriber, with_default};

use crate::core::id::SubscriptionNumber;
use crate::core::seal::Keyring;
use crate::core::time::Timestamp;
use crate::engine::embedded::durable::{self, sync_names};
use crate::engine::embedded::format::{FORMAT, OpenError, check_format, format_text, upgrade};
use crate::engine::embedded::kv::stored_key;
use crate::engine::embedded::kv::{CheckpointMeta, Kv};
use crate::engine::embedded::position::CheckpointPosition;
use crate::engine::embedded::wal::{self, Wal, Writer};
use crate::engine::embedded::{deadline, marker, sync};
use crate::model::error::{Damage, StoreError};
use crate::model::load::{self, Unreadable};
use crate::model::lock::lock;
use crate::model::record::{self, Record, Target};
use crate::model::registry::Registry;
use crate::model::{conversations, counts, maintenance, report};

use self::pre_open_snapshot::PreOpenSnapshot;

pub(crate) use self::pre_open_snapshot::copy_dir;

/// The file that exists while a new directory is being created.
pub(crate) const UNFINISHED: &str = "unfinished";
/// The content of [`UNFINISHED`] during a restore or salvage. An interrupted one is refused rather than started as an
/// empty store.
pub(crate) const RESTORE_MARKER: &[u8] = b"restore or salvage\n";
/// What a directory may contain before there is data in it.
const ALLOWED: [&str; 5] = ["lock", "admin.token", "admin.token.new", "lost+found", "unfinished.new"];
/// The file in `state/` with the number of a group commit that the database includes at least.
const REACHED: &str = "reached";
/// The file in `state/` with the last known length of the database file.
const LENGTH: &str = "length";
/// The size of sled's segments; sled truncates its file by whole segments.
const SEGMENT: u64 = 512 << 10;

/// An open store whose threads are not running yet.
pub(crate) struct Opened {
    pub(crate) kv: Arc<Kv>,
    pub(crate) registry: Arc<Mutex<Registry>>,
    pub(crate) wal: Arc<Wal>,
    pub(crate) writer: Writer,
    /// How far the WAL has been replayed: to its end.
    pub(crate) position: CheckpointPosition,
}

/// Opens the store in `dir`, which must exist, and creates it first in an empty one. Secrets are sealed with `keys`.
pub(crate) fn open(dir: &Path, cache_bytes: u64, keys: Keyring, now: Timestamp) -> Result<Opened, OpenError> {
    let keys = Some(Arc::new(keys));
    let marker = dir.join(FORMAT);
    let format = match fs::read_to_string(&marker) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            prepare(dir, now)?;
            return open_parts(dir, cache_bytes, true, keys);
        }
        Err(error) => return Err(OpenError::io(&marker, &error)),
    };
    check_format(dir, &format)?;
    keys.as_deref().map_or(Ok(()), |keys| marker::check_marker(dir, keys))?;
    let snapshot = PreOpenSnapshot::take(dir).map_err(|error| OpenError::io(dir, &error))?;
    // Opening changes the state to the newest format.
    upgrade(dir).map_err(|error| OpenError::io(&marker, &error))?;
    let opened = open_parts(dir, cache_bytes, false, keys);
    let cleaned_up = if opened.is_ok() {
        snapshot.discard()
    } else {
        snapshot.restore(dir).and_then(|()| put_back(&marker, &format))
    };
    match (opened, cleaned_up) {
        (opened, Ok(())) => opened,
        (Ok(_), Err(error)) => Err(OpenError::io(dir, &error)),
        (Err(why), Err(error)) => {
            Err(OpenError::Directory(format!("{why} (and {}/state could not be put back: {error})", dir.display())))
        }
    }
}

/// Gives FORMAT the text that it had.
fn put_back(marker: &Path, format: &str) -> io::Result<()> {
    if fs::read_to_string(marker)? == format { Ok(()) } else { durable::replace_file(marker, format.as_bytes()) }
}

/// `keys` are `None` for offline use: sealed records are left as they are, and no key is required.
fn open_parts(dir: &Path, cache_bytes: u64, fresh: bool, keys: Option<Arc<Keyring>>) -> Result<Opened, OpenError> {
    let db = open_sled(dir, cache_bytes, fresh)?;
    let kv = Kv::open(db.clone()).map_err(|error| OpenError::damaged(dir, error))?;
    if fresh {
        let position =
            CheckpointPosition { segment: 1, next_number: SubscriptionNumber::FIRST, ..CheckpointPosition::default() };
        let meta = CheckpointMeta { position, ..CheckpointMeta::default() };
        kv.checkpoint(&meta).map_err(|error| OpenError::damaged(dir, error))?;
    }
    sync_names(&dir.join("state")).map_err(|error| OpenError::io(&dir.join("state"), &error))?;
    prove_sync(dir, &db)?;
    if fresh {
        mark_complete(dir).map_err(|error| OpenError::io(dir, &error))?;
    }
    let opened = recover(dir, kv, keys)?;
    record_reached(dir, opened.position).map_err(|error| OpenError::io(&dir.join("state"), &error))?;
    Ok(opened)
}

/// Prepares a new directory for data, or refuses it as foreign.
fn prepare(dir: &Path, now: Timestamp) -> Result<(), OpenError> {
    let io_error = |error: io::Error| OpenError::io(dir, &error);
    let unfinished = dir.join(UNFINISHED);
    if fs::read(&unfinished).is_ok_and(|text| text == RESTORE_MARKER) {
        return Err(OpenError::Directory(format!(
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
            if !ALLOWED.iter().any(|allowed| name == *allowed) {
                return Err(OpenError::Directory(format!(
                    "{} is not a data directory of hookswitch: it has no file FORMAT, but it has {}; \
                     name an empty directory as data_dir, or put back the whole data directory; nothing was changed",
                    dir.display(),
                    Path::new(&name).display()
                )));
            }
        }
    }
    let make = || -> io::Result<()> {
        durable::replace_file(&unfinished, b"")?;
        fs::create_dir(dir.join("state"))?;
        fs::create_dir(dir.join("journal"))?;
        wal::create(&dir.join("journal"), now.millis(), &record::SCHEMA)
    };
    make().map_err(io_error)
}

/// Completes a directory written by a restore or a salvage: opens it once, as every start will, and only then marks it
/// as holding data.
pub(crate) fn complete(dir: &Path, cache_bytes: u64) -> Result<(), OpenError> {
    let state = dir.join("state");
    sync_names(&state).map_err(|error| OpenError::io(&state, &error))?;
    record_reached(dir, CheckpointPosition::default()).map_err(|error| OpenError::io(&state, &error))?;
    drop(open_parts(dir, cache_bytes, false, None)?);
    mark_complete(dir).map_err(|error| OpenError::io(dir, &error))
}

/// Marks the directory as holding data. Whatever later starts require must exist by then: power may fail right after.
fn mark_complete(dir: &Path) -> io::Result<()> {
    record_reached(dir, CheckpointPosition::default())?;
    durable::replace_file(&dir.join(FORMAT), format_text().as_bytes())?;
    fs::remove_file(dir.join(UNFINISHED))?;
    durable::sync_dir(dir)
}

/// Opens the state database and checks that it is the one that must be there.
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

/// Opens sled, which panics on damaged files.
pub(crate) fn database(path: &Path, cache_bytes: u64) -> Result<sled::Db, String> {
    deadline::until_released(&path.join("db"));
    let config = sled::Config::new().path(path).cache_capacity(cache_bytes).flush_every_ms(None);
    // The panic over a damaged database is no bug of this program, and its message helps nobody: it is not reported.
    let quietly = NoSubscriber::default();
    match with_default(quietly, || catch_unwind(AssertUnwindSafe(|| config.open()))) {
        Ok(Ok(db)) => Ok(db),
        Ok(Err(error)) => Err(format!("its state database does not open: {error}")),
        Err(_) => Err("its state database in state/ is damaged".to_owned()),
    }
}

/// Checks that the database file is at least as long as last seen: sled opens a truncated file as an empty database and
/// overwrites it. Lengths beyond one segment prove nothing, because sled truncates those itself.
pub(crate) fn check_length(state: &Path) -> Result<(), String> {
    let file = state.join("db");
    let length = fs::metadata(&file).map_err(|error| format!("its file state/db cannot be read: {error}"))?.len();
    let text = fs::read_to_string(state.join(LENGTH)).map_err(|error| format!("its file state/{LENGTH}: {error}"))?;
    let seen: u64 = text.trim_end().parse().map_err(|_| format!("its file state/{LENGTH} is damaged"))?;
    let least = seen.min(SEGMENT);
    if length < least {
        return Err(format!("its file state/db has {length} bytes and must have at least {least}"));
    }
    Ok(())
}

/// Checks that the database is not older than last seen. A longer file that was truncated may open as an earlier state;
/// what it lacks is replayed from the WAL as far as that goes back.
fn check_reached(dir: &Path, applied: CheckpointPosition) -> Result<(), OpenError> {
    let path = dir.join("state").join(REACHED);
    let reached = match fs::read_to_string(&path) {
        Ok(text) => {
            text.trim_end().parse::<u64>().map_err(|_| OpenError::damaged(dir, "its file state/reached is damaged"))?
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(OpenError::io(&path, &error)),
    };
    if applied.batch < reached {
        let what = format!(
            "its state database ends with group commit {} and was further, at {reached}: a part of state/db is missing",
            applied.batch
        );
        return Err(OpenError::damaged(dir, what));
    }
    Ok(())
}

/// Records the current length of the database file and its position.
pub(crate) fn record_reached(dir: &Path, applied: CheckpointPosition) -> io::Result<()> {
    let length = fs::metadata(dir.join("state/db"))?.len();
    durable::replace_file(&dir.join("state").join(LENGTH), format!("{length}\n").as_bytes())?;
    durable::replace_file(&dir.join("state").join(REACHED), format!("{}\n", applied.batch).as_bytes())
}

/// Moves snapshots that a crash left incomplete, with which sled never opens again, to `state/aside/`, which sled does
/// not read.
pub(crate) fn set_leftovers_aside(state: &Path) -> io::Result<()> {
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
        tracing::warn!("{} was left incomplete by a crash; it is not needed and is set aside", path.display());
        fs::rename(&path, aside.join(path.file_name().unwrap_or_default()))?;
    }
    durable::sync_dir(&aside)?;
    durable::sync_dir(state)
}

fn prove_sync(dir: &Path, db: &sled::Db) -> Result<(), OpenError> {
    let failed = |error: sled::Error| OpenError::damaged(dir, format!("its state database cannot be written: {error}"));
    let value = db.get(stored_key::OPENED).map_err(failed)?;
    let opened = value.and_then(|value| value.as_ref().try_into().ok().map(u64::from_be_bytes)).unwrap_or(0);
    let written = db.clone();
    let write = move || {
        written.insert(stored_key::OPENED, &(opened + 1).to_be_bytes())?;
        sync::prove(|| written.flush().map(drop))
    };
    let stuck = |why| OpenError::damaged(dir, format!("its state database cannot be written: {why}"));
    if deadline::within(deadline::WRITE_LIMIT, write).map_err(stuck)?.map_err(failed)? {
        return Ok(());
    }
    Err(OpenError::Directory(
        "this hookswitch was built so that its database's writes are not synced to the disk \
         (its own sync_file_range is not in effect): use another build; a power cut could lose everything"
            .to_owned(),
    ))
}

/// Replays the WAL beyond the last checkpoint into the state.
fn recover(dir: &Path, kv: Kv, keys: Option<Arc<Keyring>>) -> Result<Opened, OpenError> {
    let damaged = |what: &dyn fmt::Display| OpenError::damaged(dir, what);
    let read_error = |error: StoreError| OpenError::damaged(dir, Damage::from(error));
    let applied = kv.applied().map_err(|error| damaged(&error))?;
    let mut position = applied.ok_or_else(|| damaged(&"its state database does not record its checkpoint position"))?;
    check_reached(dir, position)?;
    let opening = keys.clone().unwrap_or_default();
    let loaded = load::registry(&kv, position.next_number, opening, Unreadable::Skip);
    let (registry, skipped) = loaded.map_err(read_error)?;
    let registry = Mutex::new(registry);
    let counted = counts::read(&kv, &registry).map_err(read_error)? && !skipped;
    let from = position;
    let (wal, mut writer) = wal::open(&dir.join("journal"), from, &record::SCHEMA, &mut |head, payload, at| {
        let unknown = || Damage::new(&dir.join("journal"), format!("has a record of an unknown kind ({})", head.kind));
        let target = Target { view: &kv, memory: &registry };
        let changes = Record::decode(head, payload).ok_or_else(unknown)?.apply(target);
        report::add_records(changes, &kv);
        position = CheckpointPosition { last_id: at.last_id.max(position.last_id), ..at };
        Ok(())
    })?;
    kv.check().map_err(read_error)?;
    load::reload_registry(&kv, &registry, counted).map_err(read_error)?;
    load::rebuild_health(&kv, &registry, &*wal).map_err(read_error)?;
    kv.repair().map_err(|error| damaged(&error))?;
    conversations::build_company_order(&kv).map_err(read_error)?;
    let mut new_key = false;
    if let Some(keys) = keys {
        marker::check_opened(dir, &lock(&registry))?;
        new_key = marker::mark_with(dir, &keys)?;
    }
    let io = |error: io::Error| OpenError::io(dir, &error);
    if writer.is_for_reading() {
        writer.rotate(0).map_err(io)?;
    }
    let (segment, offset) = writer.position();
    position = CheckpointPosition { segment, offset, next_number: lock(&registry).next_number, ..position };
    kv.checkpoint(&CheckpointMeta { position, with: counts::changed(&registry, counts::WRITTEN_MOST) })
        .map_err(|error| damaged(&error))?;
    if new_key {
        maintenance::log_if_all_sealed(&lock(&registry));
    }
    kv.go_live();
    Ok(Opened { kv: Arc::new(kv), registry: Arc::new(registry), wal, writer, position })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_first_start_is_resumed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("unfinished.new"), "").unwrap();
        prepare(dir.path(), Timestamp::from_millis(1)).unwrap();
        assert!(dir.path().join("journal/000001.log").exists());
    }

    #[test]
    fn a_directory_that_is_marked_as_holding_data_can_be_opened() {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path(), Timestamp::from_millis(1)).unwrap();
        fs::write(dir.path().join("state/db"), b"some bytes").unwrap();
        mark_complete(dir.path()).unwrap();
        assert!(dir.path().join(FORMAT).exists());
        assert_eq!(
            check_length(&dir.path().join("state")),
            Ok(()),
            "a crash here left a directory that never opened again"
        );
    }
}

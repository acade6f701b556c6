//! Opening a data directory: making a new one, telling a foreign or damaged one, and taking what
//! the journal has beyond the last checkpoint into the state.
//!
//! A directory that is refused is left as it is. sled's traps, each with its counter-measure here
//! or in [`crate::engine::embedded::sync`] and [`crate::engine::embedded::kv`]: names that are never synced, an `open` that panics on
//! a flipped byte, a shortened file that opens as an empty database, leftovers of a crash that keep
//! it from opening for ever.

mod pre_open_snapshot;

use std::fmt;
use std::fs::{self};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tracing::subscriber::{NoSubscriber, with_default};

use crate::core::seal::Keyring;
use crate::core::time::Timestamp;
use crate::engine::embedded::durable::{self, sync_names};
use crate::engine::embedded::format::{FORMAT, OpenError, check_format, format_text, upgrade};
use crate::engine::embedded::kv::{CheckpointMeta, Kv};
use crate::engine::embedded::wal::{self, Wal, Writer};
use crate::engine::embedded::{deadline, marker, sync};
use crate::model::error::{Damage, StoreError};
use crate::model::load::{self, Unreadable};
use crate::model::lock::lock;
use crate::model::record::{self, CheckpointPosition, Record, Target};
use crate::model::registry::Registry;
use crate::model::{conversations, counts, keys, maintenance, report};

use self::pre_open_snapshot::PreOpenSnapshot;

pub(crate) use self::pre_open_snapshot::copy_dir;

/// The file that stands while a new directory is made.
pub(crate) const UNFINISHED: &str = "unfinished";
/// What stands in [`UNFINISHED`] while a directory is laid out from something that must not be lost.
pub(crate) const LAYING_OUT: &[u8] = b"restore or salvage\n";
/// What a directory may hold before there is data in it.
const HARMLESS: [&str; 5] = ["lock", "admin.token", "admin.token.new", "lost+found", "unfinished.new"];
/// The file in `state/` that says which group commit the database has taken in at least.
const REACHED: &str = "reached";
/// The file in `state/` with the length that the database file was seen to have.
const LENGTH: &str = "length";
/// The length of sled's segments; its file becomes shorter by whole ones.
const SEGMENT: u64 = 512 << 10;

/// An open store, before its threads run.
pub(crate) struct Opened {
    pub(crate) state: Arc<Kv>,
    pub(crate) registry: Arc<Mutex<Registry>>,
    pub(crate) journal: Arc<Wal>,
    pub(crate) writer: Writer,
    /// How far the journal has been taken in; all of it.
    pub(crate) applied: CheckpointPosition,
}

/// Opens the store in `dir`, which exists; makes it first if there is none. Secrets are sealed and opened with `keys`.
pub(crate) fn open(dir: &Path, cache_bytes: u64, keys: Keyring, now: Timestamp) -> Result<Opened, OpenError> {
    let keys = Some(Arc::new(keys));
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
        return open_parts(dir, cache_bytes, true, keys);
    }
    keys.as_deref().map_or(Ok(()), |keys| marker::check_marker(dir, keys))?;
    let before = PreOpenSnapshot::keep(dir).map_err(|error| OpenError::io(dir, &error))?;
    let opened = open_parts(dir, cache_bytes, false, keys);
    let settled = if opened.is_ok() { before.discard() } else { before.put_back(dir) };
    match (opened, settled) {
        (opened, Ok(())) => opened,
        (Ok(_), Err(error)) => Err(OpenError::io(dir, &error)),
        (Err(why), Err(error)) => {
            Err(OpenError::Directory(format!("{why} (and {}/state could not be put back: {error})", dir.display())))
        }
    }
}

/// `keys` are `None` where the store is only to be looked at: then what is sealed is left as it is, and nobody is refused.
fn open_parts(dir: &Path, cache_bytes: u64, fresh: bool, keys: Option<Arc<Keyring>>) -> Result<Opened, OpenError> {
    let db = open_sled(dir, cache_bytes, fresh)?;
    let state = Kv::new(db.clone());
    if fresh {
        let applied = CheckpointPosition { segment: 1, next_number: 1, ..CheckpointPosition::default() };
        let meta = CheckpointMeta { applied, ..CheckpointMeta::default() };
        state.checkpoint(&meta).map_err(|error| OpenError::damaged(dir, error))?;
    }
    sync_names(&dir.join("state")).map_err(|error| OpenError::io(&dir.join("state"), &error))?;
    prove_sync(dir, &db)?;
    if fresh {
        finish(dir).map_err(|error| OpenError::io(dir, &error))?;
    }
    let opened = recover(dir, state, keys)?;
    note_reached(dir, opened.applied).map_err(|error| OpenError::io(&dir.join("state"), &error))?;
    Ok(opened)
}

/// Makes a new directory ready for data, or says that it is somebody else's.
fn prepare(dir: &Path, now: Timestamp) -> Result<(), OpenError> {
    let io_error = |error: io::Error| OpenError::io(dir, &error);
    let unfinished = dir.join(UNFINISHED);
    if fs::read(&unfinished).is_ok_and(|text| text == LAYING_OUT) {
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
            if !HARMLESS.iter().any(|harmless| name == *harmless) {
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

/// Makes a directory that was laid out by a restore or a salvage one that holds data: opens it once,
/// as every start will, and only then says so.
pub(crate) fn seal(dir: &Path, cache_bytes: u64) -> Result<(), OpenError> {
    let state = dir.join("state");
    sync_names(&state).map_err(|error| OpenError::io(&state, &error))?;
    note_reached(dir, CheckpointPosition::default()).map_err(|error| OpenError::io(&state, &error))?;
    drop(open_parts(dir, cache_bytes, false, None)?);
    finish(dir).map_err(|error| OpenError::io(dir, &error))
}

/// From here on there must be data, and all that later starts ask for must be there already: a cut may come right
/// after.
fn finish(dir: &Path) -> io::Result<()> {
    note_reached(dir, CheckpointPosition::default())?;
    durable::replace_file(&dir.join(FORMAT), format_text().as_bytes())?;
    fs::remove_file(dir.join(UNFINISHED))?;
    durable::sync_dir(dir)
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
pub(crate) fn database(path: &Path, cache_bytes: u64) -> Result<sled::Db, String> {
    deadline::until_released(&path.join("db"));
    let config = sled::Config::new().path(path).cache_capacity(cache_bytes).flush_every_ms(None);
    // Its panic over a damaged database is no bug of ours, and what it says helps nobody: it is not reported.
    let quietly = NoSubscriber::default();
    match with_default(quietly, || catch_unwind(AssertUnwindSafe(|| config.open()))) {
        Ok(Ok(db)) => Ok(db),
        Ok(Err(error)) => Err(format!("its state database does not open: {error}")),
        Err(_) => Err("its state database in state/ is damaged".to_owned()),
    }
}

/// sled opens a file that was cut short as an empty database, and writes over it: so the file must have at
/// least the length that it was seen to have. Beyond one segment sled makes it shorter by itself, too.
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

/// A longer file that was cut may open as what it was before. What is missing then is taken from the journal
/// again, as far as that goes back; but it must not be older than what it was seen to be.
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
            "its state database ends with group commit {} and was further, at {reached}: a part of state/db is gone",
            applied.batch
        );
        return Err(OpenError::damaged(dir, what));
    }
    Ok(())
}

/// Notes how long the database file is by now, and how far the database.
pub(crate) fn note_reached(dir: &Path, applied: CheckpointPosition) -> io::Result<()> {
    let length = fs::metadata(dir.join("state/db"))?.len();
    durable::replace_file(&dir.join("state").join(LENGTH), format!("{length}\n").as_bytes())?;
    durable::replace_file(&dir.join("state").join(REACHED), format!("{}\n", applied.batch).as_bytes())
}

/// A snapshot that a crash left half written keeps sled from opening for ever: it is moved to
/// `state/aside/`, which sled does not look into.
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
        tracing::warn!("{} was left half written by a crash; it is not needed, and set aside", path.display());
        fs::rename(&path, aside.join(path.file_name().unwrap_or_default()))?;
    }
    durable::sync_dir(&aside)?;
    durable::sync_dir(state)
}

fn prove_sync(dir: &Path, db: &sled::Db) -> Result<(), OpenError> {
    let failed = |error: sled::Error| OpenError::damaged(dir, format!("its state database cannot be written: {error}"));
    let before = db.get(keys::OPENED).map_err(failed)?;
    let opened = before.and_then(|value| value.as_ref().try_into().ok().map(u64::from_be_bytes)).unwrap_or(0);
    let written = db.clone();
    let write = move || {
        written.insert(keys::OPENED, &(opened + 1).to_be_bytes())?;
        sync::prove(|| written.flush().map(drop))
    };
    let stuck = |why| OpenError::damaged(dir, format!("its state database cannot be written: {why}"));
    if deadline::within(deadline::OF_A_WRITE, write).map_err(stuck)?.map_err(failed)? {
        return Ok(());
    }
    Err(OpenError::Directory(
        "this hookswitch was built so that its database's writes are not synced to the disk \
         (its own sync_file_range is not in effect): use another build; a power cut could lose everything"
            .to_owned(),
    ))
}

/// Takes what the journal has beyond the last checkpoint into the state.
fn recover(dir: &Path, state: Kv, keys: Option<Arc<Keyring>>) -> Result<Opened, OpenError> {
    let damaged = |what: &dyn fmt::Display| OpenError::damaged(dir, what);
    let unread = |error: StoreError| OpenError::damaged(dir, Damage::from(error));
    let applied = state.applied().map_err(|error| damaged(&error))?;
    let mut applied = applied.ok_or_else(|| damaged(&"its state database does not say how far it is"))?;
    check_reached(dir, applied)?;
    let opening = keys.clone().unwrap_or_default();
    let recalled = load::registry(&state, applied.next_number, opening, Unreadable::Skip);
    let (registry, passed_over) = recalled.map_err(unread)?;
    let registry = Mutex::new(registry);
    let counted = counts::read(&state, &registry).map_err(unread)? && !passed_over;
    let from = applied;
    let (journal, mut writer) =
        wal::open(&dir.join("journal"), from, &record::SCHEMA, &mut |head, payload, position| {
            let unknown =
                || Damage::new(&dir.join("journal"), format!("has a record that is not known (kind {})", head.kind));
            let target = Target { view: &state, memory: &registry };
            let heard = Record::decode(head, payload).ok_or_else(unknown)?.apply(target);
            report::take_in_all(heard, &state);
            applied = CheckpointPosition { last_id: position.last_id.max(applied.last_id), ..position };
            Ok(())
        })?;
    state.check().map_err(unread)?;
    load::reload_registry(&state, &registry, counted).map_err(unread)?;
    load::rebuild_health(&state, &registry, &*journal).map_err(unread)?;
    state.mend().map_err(|error| damaged(&error))?;
    conversations::build_company_order(&state).map_err(unread)?;
    let mut new_key = false;
    if let Some(keys) = keys {
        marker::check_opened(dir, &lock(&registry))?;
        new_key = marker::mark_with(dir, &keys)?;
    }
    let io = |error: io::Error| OpenError::io(dir, &error);
    upgrade(dir).map_err(io)?;
    if writer.is_for_reading() {
        writer.rotate(0).map_err(io)?;
    }
    let (segment, offset) = writer.position();
    applied = CheckpointPosition { segment, offset, next_number: lock(&registry).next_number, ..applied };
    state.checkpoint(&CheckpointMeta { applied, with: counts::changed(&registry) }).map_err(|error| damaged(&error))?;
    if new_key {
        maintenance::log_if_all_sealed(&lock(&registry));
    }
    state.go_live();
    Ok(Opened { state: Arc::new(state), registry: Arc::new(registry), journal, writer, applied })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_start_that_was_cut_off_at_its_first_file_is_begun_again() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("unfinished.new"), "").unwrap();
        prepare(dir.path(), Timestamp::from_millis(1)).unwrap();
        assert!(dir.path().join("journal/000001.log").exists());
    }

    #[test]
    fn a_directory_that_is_marked_as_holding_data_can_be_opened_from_then_on() {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path(), Timestamp::from_millis(1)).unwrap();
        fs::write(dir.path().join("state/db"), b"some bytes").unwrap();
        finish(dir.path()).unwrap();
        assert!(dir.path().join(FORMAT).exists());
        assert_eq!(
            check_length(&dir.path().join("state")),
            Ok(()),
            "a cut here left a directory that never opened again"
        );
    }
}

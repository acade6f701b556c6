//! Creating and opening a WAL.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};

use crate::engine::embedded::durable;
use crate::engine::embedded::position::CheckpointPosition;
use crate::engine::embedded::wal::first::{first, note_first, numbers_in, remove_leftovers};
use crate::engine::embedded::wal::log::Wal;
use crate::engine::embedded::wal::recovery::{self, Replay};
use crate::engine::embedded::wal::segment::{self, Segment};
use crate::engine::embedded::wal::unpacked::Unpacked;
use crate::engine::embedded::wal::writer::Writer;
use crate::model::error::Damage;
use crate::model::record::Schema;
use crate::model::view::Tally;

/// Creates an empty WAL in `dir`, which exists.
pub(crate) fn create(dir: &Path, now: u64, schema: &'static Schema) -> io::Result<()> {
    Segment::create(dir, 1, now, schema)?;
    note_first(dir, 1)
}

/// Opens the WAL in `dir` and replays the frames behind `applied`: `replay` gets header, payload and the position
/// behind the frame, in whole transactions only. A torn write at the very end is truncated; anything else that is not a
/// frame is damage. Segments that retention has dropped may be missing.
pub(crate) fn open(
    dir: &Path,
    applied: CheckpointPosition,
    schema: &'static Schema,
    replay: Replay<'_>,
) -> Result<(Arc<Wal>, Writer), Damage> {
    let numbers = numbers_in(dir)?;
    let newest = numbers.last().copied().unwrap_or(0).max(applied.segment).max(1);
    let first = first(dir)?.or_else(|| numbers.first().copied()).unwrap_or(newest);
    if applied.segment > 0 && applied.segment < first {
        let detail = "is missing: the state database does not include all of it";
        return Err(Damage::new(&segment::path_of(dir, applied.segment), detail));
    }
    let (mut segments, blocks) = (BTreeMap::new(), Arc::<Unpacked>::default());
    for number in first..=newest {
        if !numbers.contains(&number) {
            return Err(Damage::new(&segment::path_of(dir, number), "is missing"));
        }
        let opened = if number == newest && recovery::was_never_used(dir, number, applied) {
            let created =
                segment::remove_unfinished(dir, number).and_then(|()| Segment::create(dir, number, 0, schema));
            created.map_err(|error| Damage::io(&segment::path_of(dir, number), "cannot be created", &error))
        } else {
            Segment::open(dir, number, &blocks, schema)
        };
        segments.insert(number, Arc::new(opened?));
    }
    // A process that was killed may have left data that it had not synced. It is readable and replayed below, so it
    // must be durable before the state is: otherwise power loss would leave a state that refers to frames that are
    // gone.
    for segment in segments.range(applied.segment..).map(|(_, segment)| segment) {
        segment.sync().map_err(|error| Damage::io(segment.path(), "cannot be synced", &error))?;
    }
    durable::sync_dir(dir).map_err(|error| Damage::io(dir, "cannot be synced", &error))?;
    let mut reached = applied;
    for (number, segment) in segments.range(applied.segment..) {
        recovery::replay_segment(segment, &mut reached, *number == newest, replay)?;
    }
    let active = segments[&newest].clone();
    active.index_for_writing()?;
    let leftovers = remove_leftovers(dir, first);
    leftovers.map_err(|error| Damage::io(dir, "has leftovers that cannot be removed", &error))?;
    let (dir, segments) = (dir.to_owned(), RwLock::new(segments));
    let (tally, files, redaction) = (Tally::default(), Mutex::default(), Mutex::default());
    let wal = Arc::new(Wal { dir, segments, tally, files, blocks, redaction, schema });
    let writer = Writer::new(wal.clone(), active);
    Ok((wal, writer))
}

//! The number of the oldest segment, and the removal of leftovers of a crash.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::engine::embedded::durable;
use crate::model::error::Damage;

/// The file with the number of the oldest segment.
const FIRST: &str = "first";
/// The extension of a segment that is being rewritten.
pub(crate) const REWRITE: &str = "rewrite";
/// The numbers of the segments in `dir`, ascending.
pub(crate) fn numbers_in(dir: &Path) -> Result<Vec<u32>, Damage> {
    let unreadable = |error: io::Error| Damage::io(dir, "cannot be read", &error);
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let number: Option<u32> =
            name.to_str().and_then(|name| name.strip_suffix(".log")).and_then(|stem| stem.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Records that `number` is the oldest segment.
pub(crate) fn note_first(dir: &Path, number: u32) -> io::Result<()> {
    durable::replace_file(&dir.join(FIRST), format!("{number}\n").as_bytes())
}

/// The number of the oldest segment; `None` if it was never recorded.
pub(crate) fn first(dir: &Path) -> Result<Option<u32>, Damage> {
    let path = dir.join(FIRST);
    match fs::read_to_string(&path) {
        Ok(text) => text.trim_end().parse().map(Some).map_err(|_| Damage::new(&path, "is damaged")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Damage::io(&path, "cannot be read", &error)),
    }
}

/// Removes leftovers of a crash: segments below `first` with their indexes, and incomplete files.
pub(crate) fn remove_leftovers(dir: &Path, first: u32) -> io::Result<()> {
    let mut leftovers: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u32>().ok());
        let over = match (extension, number) {
            (Some("log" | "idx"), Some(number)) => number < first,
            (Some("new" | REWRITE), _) => true,
            _ => false,
        };
        leftovers.extend(over.then_some(path));
    }
    leftovers.iter().try_for_each(fs::remove_file)
}

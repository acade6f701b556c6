//! The format version of a data directory, and the errors of opening one.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use crate::engine::embedded::durable;
use crate::model::error::{Damage, REMEDY};

/// The file whose presence means that there must be data.
pub(crate) const FORMAT: &str = "FORMAT";
/// The version of the whole directory that this program writes.
pub(crate) const FORMAT_VERSION: u32 = 4;

/// Why a data directory was not opened. Names the file, the problem and the remedy.
#[derive(Debug)]
pub enum OpenError {
    /// The directory is foreign, damaged, of a newer version, or cannot be read or written.
    Directory(String),
    /// Its secrets are sealed with a key that was not given.
    Key(String),
    /// The database server cannot be used, or what it has cannot.
    #[cfg(feature = "postgres")]
    Server(String),
    /// The schema holds something else, or needs a newer version: starting again does not help.
    #[cfg(feature = "postgres")]
    Schema(String),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(what) | Self::Key(what) => f.write_str(what),
            #[cfg(feature = "postgres")]
            Self::Server(what) | Self::Schema(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for OpenError {}

impl OpenError {
    pub(crate) fn damaged(dir: &Path, what: impl fmt::Display) -> Self {
        Self::Directory(format!(
            "the data directory {} cannot be used: {what}; nothing in it was changed; {REMEDY}",
            dir.display()
        ))
    }

    pub(crate) fn io(path: &Path, error: &io::Error) -> Self {
        Self::Directory(format!(
            "{}: {error}; the data directory must be on a local disk and writable by this user",
            path.display()
        ))
    }
}

impl From<Damage> for OpenError {
    fn from(damage: Damage) -> Self {
        Self::Directory(format!("{damage}; nothing in it was changed; {REMEDY}"))
    }
}

/// Whether this FORMAT is of a newer version.
pub(crate) fn is_newer(text: &str) -> bool {
    format_in(text).is_some_and(|version| version > FORMAT_VERSION)
}

fn format_in(text: &str) -> Option<u32> {
    text.strip_prefix("hookswitch data, format ")?.trim_end().parse().ok()
}

pub(crate) fn check_format(dir: &Path, text: &str) -> Result<(), OpenError> {
    match format_in(text) {
        Some(1..=FORMAT_VERSION) => Ok(()),
        Some(newer) if newer > FORMAT_VERSION => Err(OpenError::Directory(format!(
            "{} was written by a newer hookswitch (format {newer}; this one knows format {FORMAT_VERSION}): \
             start that newer version; nothing was changed",
            dir.display()
        ))),
        _ => Err(OpenError::damaged(dir, "its file FORMAT is not one that hookswitch wrote")),
    }
}

/// Updates FORMAT before anything is written that an older hookswitch cannot read (the state in runs, a segment of
/// version 2, or a compressed one, which may come at any time), so that an older one reports a newer version instead of damage. Does
/// nothing if there is no FORMAT yet: it is about to be written.
pub(crate) fn upgrade(dir: &Path) -> io::Result<()> {
    let marker = dir.join(FORMAT);
    match fs::read_to_string(&marker) {
        Ok(text) if format_in(&text) != Some(FORMAT_VERSION) => {
            durable::replace_file(&marker, format_text().as_bytes())
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

pub(crate) fn format_text() -> String {
    format!("hookswitch data, format {FORMAT_VERSION}\n")
}

//! Checks that the files being written are still where a restart would look for them.
//!
//! A process can continue to write to a file that was deleted, in a directory that was moved away, or on a file system
//! that was lazily unmounted or covered by another mount: every write and sync succeeds, and none of it is found again.
//! So the writer checks before it replies: the paths down to the newest segment must still lead to the opened files,
//! compared by device and inode.
//!
//! Must not know the contents of the files. Reads only their metadata.

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a full check remains valid.
const VALID_FOR: Duration = Duration::from_secs(1);

/// Device and inode.
type Identity = (u64, u64);

/// The paths that must keep leading to the same files.
#[derive(Debug)]
pub(crate) struct Location {
    paths: Vec<(PathBuf, Identity)>,
    checked: Instant,
}

/// A path no longer leads to the file that is being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocationError {
    path: PathBuf,
    detail: String,
}

impl fmt::Display for LocationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path.display(), self.detail)
    }
}

impl Location {
    /// Records the identity of the data directory, its parts and its marker.
    ///
    /// # Errors
    /// One of them cannot be found.
    pub(crate) fn of(dir: &Path) -> io::Result<Self> {
        let paths =
            ["", crate::engine::embedded::format::FORMAT, "journal", "state", "state/db"].map(|name| match name {
                "" => dir.to_owned(),
                name => dir.join(name),
            });
        let paths = paths.into_iter().map(|path| {
            let identity = identity(&fs::metadata(&path)?);
            Ok((path, identity))
        });
        Ok(Self { paths: paths.collect::<io::Result<_>>()?, checked: Instant::now() })
    }

    /// Until when the last check is valid.
    pub(crate) fn valid_until(&self) -> Instant {
        self.checked + VALID_FOR
    }

    /// Checks all paths, and that of `newest`, the segment that is being written.
    ///
    /// # Errors
    /// One of them leads elsewhere, or nowhere.
    pub(crate) fn check(&mut self, newest: &Path, file: &File) -> Result<(), LocationError> {
        for (path, was) in &self.paths {
            check_identity(path, *was)?;
        }
        let opened = file.metadata().map(|metadata| identity(&metadata));
        check_identity(newest, opened.map_err(|error| error_at(newest, &error))?)?;
        self.checked = Instant::now();
        Ok(())
    }
}

/// Checks that an open file still has a name: one system call for every commit.
///
/// # Errors
/// It was deleted, or its metadata cannot be read.
pub(crate) fn has_name(path: &Path, file: &File) -> Result<(), LocationError> {
    match file.metadata() {
        Ok(metadata) if metadata.nlink() > 0 => Ok(()),
        Ok(_) => Err(LocationError { path: path.to_owned(), detail: "was deleted while it was written to".to_owned() }),
        Err(error) => Err(error_at(path, &error)),
    }
}

fn check_identity(path: &Path, was: Identity) -> Result<(), LocationError> {
    match fs::metadata(path) {
        Ok(metadata) if identity(&metadata) == was => Ok(()),
        Ok(metadata) if identity(&metadata).0 != was.0 => Err(LocationError {
            path: path.to_owned(),
            detail: "is on another file system than before: what it was on was unmounted, or covered by a mount"
                .to_owned(),
        }),
        Ok(_) => Err(LocationError {
            path: path.to_owned(),
            detail: "is another file or directory than the one in use".to_owned(),
        }),
        Err(error) => Err(error_at(path, &error)),
    }
}

fn error_at(path: &Path, error: &io::Error) -> LocationError {
    let detail = match error.kind() {
        io::ErrorKind::NotFound => "is gone: it was deleted, moved away or unmounted while it was in use".to_owned(),
        _ => format!("cannot be seen any more: {error}"),
    };
    LocationError { path: path.to_owned(), detail }
}

fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data_directory() -> (tempfile::TempDir, PathBuf, File) {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("data");
        for part in ["", "journal", "state"] {
            fs::create_dir(dir.join(part)).unwrap();
        }
        for file in ["FORMAT", "state/db"] {
            fs::write(dir.join(file), "x").unwrap();
        }
        let newest = dir.join("journal/000001.log");
        let file = File::create(&newest).unwrap();
        (root, dir, file)
    }

    #[test]
    fn a_changed_path_to_the_newest_segment_is_detected() {
        for name in ["", "FORMAT", "journal", "state", "state/db", "journal/000001.log"] {
            let (root, dir, file) = data_directory();
            let newest = dir.join("journal/000001.log");
            let mut location = Location::of(&dir).unwrap();
            assert_eq!(location.check(&newest, &file), Ok(()));
            let (path, aside) = (dir.join(name), root.path().join("aside"));
            let path = if name.is_empty() { dir.clone() } else { path };
            fs::rename(&path, &aside).unwrap();
            let missing = location.check(&newest, &file).unwrap_err().to_string();
            assert!(missing.contains("is gone: it was deleted, moved away or unmounted"), "{name}: {missing}");
            // A copy with the same bytes is not the file that is being written.
            let copied = std::process::Command::new("cp").arg("-r").arg(&aside).arg(&path).status().unwrap();
            assert!(copied.success());
            let another = location.check(&newest, &file).unwrap_err().to_string();
            assert!(another.contains("is another file or directory"), "{name}: {another}");
            assert!(another.starts_with(&path.display().to_string()), "{name}: {another}");
            fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path)).unwrap();
            fs::rename(&aside, &path).unwrap();
            assert_eq!(location.check(&newest, &file), Ok(()), "{name}: restored");
        }
    }

    #[test]
    fn an_unlinked_file_is_distinguished_from_a_moved_one() {
        let (root, dir, file) = data_directory();
        let newest = dir.join("journal/000001.log");
        assert_eq!(has_name(&newest, &file), Ok(()));
        let aside = root.path().join("aside");
        fs::rename(&newest, &aside).unwrap();
        assert_eq!(has_name(&newest, &file), Ok(()));
        fs::remove_file(&aside).unwrap();
        assert!(has_name(&newest, &file).unwrap_err().to_string().ends_with("was deleted while it was written to"));
    }
}

//! Whether the files that are written are still where a start would look for them.
//!
//! A process goes on writing to a file that was deleted, to a directory that was moved away and to a file system that
//! was unmounted lazily or covered by another mount: every write and every sync succeeds, and nothing of it is found
//! again. So the committer asks here before it answers: the names on the way to the newest journal file must still
//! lead to the files that were opened, told by device and inode.
//!
//! Must not know what the files hold. Reads nothing but their metadata.

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a look at all names holds good.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// Device and inode: what a name leads to.
type Identity = (u64, u64);

/// The names that must go on leading where they led.
#[derive(Debug)]
pub(crate) struct Location {
    names: Vec<(PathBuf, Identity)>,
    looked: Instant,
}

/// A name does not lead any more to what is being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gone {
    path: PathBuf,
    detail: String,
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path.display(), self.detail)
    }
}

impl Location {
    /// Remembers what the data directory, its parts and its marker are now.
    ///
    /// # Errors
    /// One of them cannot be found.
    pub(crate) fn of(dir: &Path) -> io::Result<Self> {
        let paths =
            ["", crate::engine::embedded::format::FORMAT, "journal", "state", "state/db"].map(|name| match name {
                "" => dir.to_owned(),
                name => dir.join(name),
            });
        let names = paths.into_iter().map(|path| {
            let identity = identity(&fs::metadata(&path)?);
            Ok((path, identity))
        });
        Ok(Self { names: names.collect::<io::Result<_>>()?, looked: Instant::now() })
    }

    /// Until when the last look holds good.
    pub(crate) fn good_until(&self) -> Instant {
        self.looked + GOOD_FOR
    }

    /// Looks at all names, and at that of `newest`, the file that is written to.
    ///
    /// # Errors
    /// One of them leads elsewhere, or nowhere.
    pub(crate) fn look(&mut self, newest: &Path, file: &File) -> Result<(), Gone> {
        for (path, was) in &self.names {
            same(path, *was)?;
        }
        let opened = file.metadata().map(|metadata| identity(&metadata));
        same(newest, opened.map_err(|error| gone(newest, &error))?)?;
        self.looked = Instant::now();
        Ok(())
    }
}

/// Whether an open file still has a name: one system call, for every commit.
///
/// # Errors
/// It was deleted, or nothing can be said of it any more.
pub(crate) fn has_name(path: &Path, file: &File) -> Result<(), Gone> {
    match file.metadata() {
        Ok(metadata) if metadata.nlink() > 0 => Ok(()),
        Ok(_) => Err(Gone { path: path.to_owned(), detail: "was deleted while it was written to".to_owned() }),
        Err(error) => Err(gone(path, &error)),
    }
}

fn same(path: &Path, was: Identity) -> Result<(), Gone> {
    match fs::metadata(path) {
        Ok(metadata) if identity(&metadata) == was => Ok(()),
        Ok(metadata) if identity(&metadata).0 != was.0 => Err(Gone {
            path: path.to_owned(),
            detail: "is on another file system than before: what it was on was unmounted, or covered by a mount"
                .to_owned(),
        }),
        Ok(_) => {
            Err(Gone { path: path.to_owned(), detail: "is another file or directory than the one in use".to_owned() })
        }
        Err(error) => Err(gone(path, &error)),
    }
}

fn gone(path: &Path, error: &io::Error) -> Gone {
    let detail = match error.kind() {
        io::ErrorKind::NotFound => "is gone: it was deleted, moved away or unmounted while it was in use".to_owned(),
        _ => format!("cannot be seen any more: {error}"),
    };
    Gone { path: path.to_owned(), detail }
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
    fn every_name_on_the_way_is_missed_when_it_leads_elsewhere() {
        for name in ["", "FORMAT", "journal", "state", "state/db", "journal/000001.log"] {
            let (root, dir, file) = data_directory();
            let newest = dir.join("journal/000001.log");
            let mut location = Location::of(&dir).unwrap();
            assert_eq!(location.look(&newest, &file), Ok(()));
            let (path, aside) = (dir.join(name), root.path().join("aside"));
            let path = if name.is_empty() { dir.clone() } else { path };
            fs::rename(&path, &aside).unwrap();
            let missing = location.look(&newest, &file).unwrap_err().to_string();
            assert!(missing.contains("is gone: it was deleted, moved away or unmounted"), "{name}: {missing}");
            // The same bytes in its place are not the file that is written to.
            let copied = std::process::Command::new("cp").arg("-r").arg(&aside).arg(&path).status().unwrap();
            assert!(copied.success());
            let another = location.look(&newest, &file).unwrap_err().to_string();
            assert!(another.contains("is another file or directory"), "{name}: {another}");
            assert!(another.starts_with(&path.display().to_string()), "{name}: {another}");
            fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path)).unwrap();
            fs::rename(&aside, &path).unwrap();
            assert_eq!(location.look(&newest, &file), Ok(()), "{name}: put back");
        }
    }

    #[test]
    fn a_file_without_a_name_is_told_from_one_that_was_moved() {
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

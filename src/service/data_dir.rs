//! The data directory: creation, permissions, and the lock against a second daemon.
//!
//! Knows nothing about the store's files in it. A foreign directory is left unchanged. Our own is private to its
//! owner: directories 0700, files 0600, whoever starts the process and with whatever umask.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, umask};
use nix::unistd::geteuid;

/// The lock file in the data directory. Locked with the kernel's `flock`; the file itself stays.
const LOCK: &str = "lock";
/// More than a process writes into it.
const HELD_MOST: u64 = 128;

/// The lock on the data directory; released when dropped, or when the process ends.
#[derive(Debug)]
pub struct DataDirLock {
    file: File,
    dir: PathBuf,
    /// The file's previous content: nothing, or the process id of a killed daemon.
    before: Vec<u8>,
}

/// The data directory cannot be used.
#[derive(Debug)]
pub enum DataDirError {
    /// Another daemon runs on it.
    Busy {
        /// The directory.
        dir: PathBuf,
        /// Its process id, if readable.
        pid: Option<u32>,
        /// Its listen address, once it listens.
        listens: Option<SocketAddr>,
    },
    /// It contains something that is not Hookswitch's data.
    Foreign {
        /// The directory.
        dir: PathBuf,
        /// One entry found in it.
        found: String,
    },
    /// Others may modify its content, and this user may not change that.
    Open {
        /// The directory.
        dir: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A file operation failed.
    Io {
        /// The failed operation, as a verb: `create`, `lock`.
        verb: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The error.
        error: io::Error,
    },
}

impl fmt::Display for DataDirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy { dir, pid: Some(pid), .. } => {
                write!(f, "another hookswitch (pid {pid}) is running on {}", dir.display())
            }
            Self::Busy { dir, pid: None, .. } => write!(f, "another hookswitch is running on {}", dir.display()),
            Self::Foreign { dir, found } => write!(
                f,
                "{} is not a Hookswitch data directory: it holds {found:?}. Nothing was changed in it; \
                 name an empty or a new directory with --data-dir",
                dir.display()
            ),
            Self::Open { dir, mode } => {
                let dir = dir.display();
                write!(
                    f,
                    "other users may change what is in {dir} (its mode is {mode:04o}), and hookswitch may not change that, \
                     because the directory belongs to somebody else: chmod 700 {dir} and chown it to the user hookswitch runs \
                     as, or name a directory inside it, which is then created (--data-dir, `data_dir`)"
                )
            }
            Self::Io { verb, path, error } => write!(
                f,
                "cannot {verb} {}: {error}. The data directory must be writable for the user hookswitch runs as \
                 (--data-dir, `data_dir`)",
                path.display()
            ),
        }
    }
}

impl std::error::Error for DataDirError {}

impl DataDirLock {
    /// Creates the directory if necessary (mode 0700, durably), and takes its lock. Files created by this process
    /// from then on are private to its user; existing files open to others are corrected, and that is logged.
    ///
    /// # Errors
    /// Another process holds it; it is foreign; others could modify it, and that cannot be corrected; or it cannot be
    /// created or written.
    pub fn take(dir: &Path) -> Result<Self, DataDirError> {
        umask(Mode::S_IRWXG | Mode::S_IRWXO);
        create(dir)?;
        refuse_foreign(dir)?;
        let path = dir.join(LOCK);
        let at = |verb| at(verb, &path);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = open.map_err(at("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(busy(dir, &mut file));
            }
            Err(TryLockError::Error(error)) => return Err(at("lock")(error)),
        }
        let mut before = Vec::new();
        file.read_to_end(&mut before).map_err(at("read"))?;
        let written = write_whole(&mut file, format!("{}\n", std::process::id()).as_bytes());
        written.map_err(at("write"))?;
        if !dir.join("FORMAT").exists() {
            // From here on the directory may contain names by which it would not be recognised as ours. The entry
            // made by an interrupted start may not be durable yet; the parent may belong to somebody else.
            sync_dir(dir).map_err(at("sync"))?;
            drop(sync_parent(dir));
        }
        close_to_others(dir)?;
        Ok(Self { file, dir: dir.to_owned(), before })
    }

    /// Marks the directory as in use: from now on the lock file is left empty.
    pub fn in_use(&mut self) {
        self.before.clear();
    }

    /// Records the listen address, for processes that find the directory locked.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn listening(&mut self, address: SocketAddr) -> io::Result<()> {
        write_whole(&mut self.file, format!("{}\n{address}\n", std::process::id()).as_bytes())
    }

    /// Gives files created by root in the directory to the directory's owner: the daemon's user could not open them
    /// otherwise. Does nothing unless called by root.
    ///
    /// # Errors
    /// An owner cannot be read or changed.
    pub fn hand_over(&self) -> Result<(), DataDirError> {
        if !geteuid().is_root() {
            return Ok(());
        }
        let owner = fs::metadata(&self.dir).map_err(at("read", &self.dir))?;
        give(&self.dir, owner.uid(), owner.gid())
    }

    /// The locked directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Keeps a daemon from starting on a data directory while it is read, without changing anything in it.
#[derive(Debug)]
pub struct DataDirHold {
    file: Option<File>,
}

impl DataDirHold {
    /// Takes the lock of `dir`, if it has a lock file; without one no daemon ran there.
    ///
    /// # Errors
    /// Another process holds it, or the file cannot be opened.
    pub fn take(dir: &Path) -> Result<Self, DataDirError> {
        let path = dir.join(LOCK);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self { file: None }),
            Err(error) => return Err(at("open", &path)(error)),
        };
        match file.try_lock() {
            Ok(()) => Ok(Self { file: Some(file) }),
            Err(TryLockError::WouldBlock) => Err(busy(dir, &mut file)),
            Err(TryLockError::Error(error)) => Err(at("lock", &path)(error)),
        }
    }
}

impl Drop for DataDirLock {
    /// Leaves the lock file empty; or unchanged, if the directory was refused. Closing the file would not release the
    /// lock while a child process that is about to exec still has it open (flock(2)).
    fn drop(&mut self) {
        if let Err(error) = write_whole(&mut self.file, &self.before) {
            tracing::warn!(%error, "the lock file of {} could not be emptied", self.dir.display());
        }
        drop(self.file.unlock());
    }
}

impl Drop for DataDirHold {
    /// As that of [`DataDirLock`].
    fn drop(&mut self) {
        drop(self.file.as_ref().map(File::unlock));
    }
}

/// Replaces the content of `file` with `bytes`.
fn write_whole(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    file.rewind()?;
    file.set_len(0)?;
    file.write_all(bytes)
}

fn at(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DataDirError {
    let path = path.to_owned();
    move |error| DataDirError::Io { verb, path, error }
}

/// Changes the owner of everything below `dir`. Links themselves are changed, not followed.
fn give(dir: &Path, user: u32, group: u32) -> Result<(), DataDirError> {
    for entry in fs::read_dir(dir).map_err(at("read", dir))? {
        let path = entry.map_err(at("read", dir))?.path();
        lchown(&path, Some(user), Some(group)).map_err(at("give away", &path))?;
        if fs::symlink_metadata(&path).map_err(at("read", &path))?.is_dir() {
            give(&path, user, group)?;
        }
    }
    Ok(())
}

/// Creates the directory and its parents, and makes its name durable.
fn create(dir: &Path) -> Result<(), DataDirError> {
    if dir.is_dir() {
        return Ok(());
    }
    // A dangling link, as systemd's /var/lib/hookswitch after its directory was moved away: create its target.
    let target = fs::read_link(dir).ok().map(|target| dir.with_file_name(target));
    let dir = target.as_deref().unwrap_or(dir);
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at("create", dir))?;
    sync_parent(dir).map_err(at("sync", dir))
}

fn sync_parent(dir: &Path) -> io::Result<()> {
    sync_dir(dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

/// Makes the names in a directory durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// A mistyped `--data-dir` must not scatter files over a home directory.
fn refuse_foreign(dir: &Path) -> Result<(), DataDirError> {
    if [LOCK, "FORMAT"].iter().any(|name| dir.join(name).exists()) {
        return Ok(());
    }
    for entry in fs::read_dir(dir).map_err(at("read", dir))? {
        let name = entry.map_err(at("read", dir))?.file_name();
        // The root of a file system contains this.
        if name != "lost+found" {
            return Err(DataDirError::Foreign { dir: dir.to_owned(), found: name.to_string_lossy().into_owned() });
        }
    }
    Ok(())
}

/// The process id written by the holder.
fn busy(dir: &Path, file: &mut File) -> DataDirError {
    let mut text = String::new();
    // Unreadable content means unknown.
    let _ = file.take(HELD_MOST).read_to_string(&mut text);
    let mut lines = text.lines();
    let pid = lines.next().and_then(|line| line.trim().parse().ok());
    DataDirError::Busy { dir: dir.to_owned(), pid, listens: lines.next().and_then(|line| line.parse().ok()) }
}

/// Removes the permissions of others from the directory, and from everything below once it contains data.
fn close_to_others(dir: &Path) -> Result<(), DataDirError> {
    let mode = fs::metadata(dir).map_err(at("read", dir))?.permissions().mode();
    let holds_data = dir.join("FORMAT").exists();
    match mend(dir, mode, 0o700) {
        Ok(mended) => {
            let below = if holds_data { mend_below(dir).map_err(at("look into", dir))? } else { 0 };
            if usize::from(mended) + below > 0 {
                tracing::warn!(
                    "{} or something in it was readable by others, and it contains personal data and secrets; it is now its \
                     owner's alone (directories 0700, files 0600)",
                    dir.display()
                );
            }
            Ok(())
        }
        // Write permission would allow others to replace our files.
        Err(_) if mode & 0o022 != 0 => Err(DataDirError::Open { dir: dir.to_owned(), mode: mode & 0o7777 }),
        Err(error) => {
            let dir = dir.display();
            tracing::warn!(
                "other users may see the names in {dir}, and that cannot be corrected ({error}): chmod 700 {dir}"
            );
            Ok(())
        }
    }
}

/// Corrects everything below `dir` that belongs to this user; returns how many. Links are not followed.
fn mend_below(dir: &Path) -> io::Result<usize> {
    let mut mended = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        let owned = metadata.uid() == geteuid().as_raw() || geteuid().is_root();
        let (path, mode) = (entry.path(), metadata.permissions().mode());
        if !owned || metadata.is_symlink() {
            continue;
        }
        mended += usize::from(mend(&path, mode, if metadata.is_dir() { 0o700 } else { 0o600 })?);
        if metadata.is_dir() {
            mended += mend_below(&path)?;
        }
    }
    Ok(mended)
}

/// Removes all permissions but `most` from a file or directory; returns whether there were more.
fn mend(path: &Path, mode: u32, most: u32) -> io::Result<bool> {
    if mode & 0o077 == 0 {
        return Ok(false);
    }
    fs::set_permissions(path, Permissions::from_mode(mode & most)).map(|()| true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_made_private_and_held_by_one() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("var/data");
        let lock = DataDirLock::take(&dir).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        let second = DataDirLock::take(&dir).unwrap_err().to_string();
        assert_eq!(second, format!("another hookswitch (pid {}) is running on {}", std::process::id(), dir.display()));
        drop(lock);
        assert_eq!(fs::read(dir.join(LOCK)).unwrap(), b"", "no trace of a process that is gone");
        assert_eq!(DataDirLock::take(&dir).unwrap().dir(), dir);
    }

    #[test]
    fn the_lock_ends_with_its_holder_though_a_child_process_still_has_the_file_open() {
        let root = tempfile::tempdir().unwrap();
        let lock = DataDirLock::take(root.path()).unwrap();
        let inherited = lock.file.try_clone().unwrap();
        drop(lock);
        let hold = DataDirHold::take(root.path()).unwrap();
        let inherited = (inherited, hold.file.as_ref().unwrap().try_clone().unwrap());
        drop(hold);
        assert!(DataDirLock::take(root.path()).is_ok());
        drop(inherited);
    }

    #[test]
    fn a_dangling_link_is_followed_to_the_directory_to_create() {
        let root = tempfile::tempdir().unwrap();
        let (link, dir) = (root.path().join("hookswitch"), root.path().join("private/hookswitch"));
        std::os::unix::fs::symlink("private/hookswitch", &link).unwrap();
        assert_eq!(DataDirLock::take(&link).unwrap().dir(), link);
        assert!(dir.join(LOCK).is_file());
    }

    #[test]
    fn files_created_by_root_belong_to_the_directorys_owner() {
        let root = tempfile::tempdir().unwrap();
        let lock = DataDirLock::take(root.path()).unwrap();
        fs::create_dir(root.path().join("state")).unwrap();
        fs::write(root.path().join("state/db"), "").unwrap();
        std::os::unix::fs::symlink("/nowhere", root.path().join("link")).unwrap();
        let own = fs::metadata(root.path()).unwrap().uid();
        let other = if geteuid().is_root() { 64_488 } else { own };
        lchown(root.path(), Some(other), Some(other)).unwrap_or_else(|_| assert_eq!(own, other));
        lock.hand_over().unwrap();
        for path in [LOCK, "state", "state/db", "link"] {
            assert_eq!(fs::symlink_metadata(root.path().join(path)).unwrap().uid(), other, "{path}");
        }
    }

    #[test]
    fn a_refused_directory_keeps_a_killed_daemons_files() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(LOCK);
        fs::write(&path, "4194304\n").unwrap();
        let lock = DataDirLock::take(root.path()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        drop(lock);
        assert_eq!(fs::read(&path).unwrap(), b"4194304\n", "refused");
        let mut lock = DataDirLock::take(root.path()).unwrap();
        lock.in_use();
        drop(lock);
        assert_eq!(fs::read(&path).unwrap(), b"", "used");
    }

    #[test]
    fn a_directory_that_is_not_ours_is_left_as_it_was() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("lost+found")).unwrap();
        fs::write(root.path().join("thesis.odt"), "").unwrap();
        let refusal = DataDirLock::take(root.path()).unwrap_err().to_string();
        assert!(refusal.contains("it holds \"thesis.odt\""), "{refusal}");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
        fs::remove_file(root.path().join("thesis.odt")).unwrap();
        assert!(DataDirLock::take(root.path()).is_ok());
        fs::write(root.path().join("thesis.odt"), "").unwrap();
        assert!(DataDirLock::take(root.path()).is_ok(), "its lock file says that it is ours");
    }

    #[test]
    fn paths_that_cannot_be_directories_are_named() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        for dir in [file.clone(), file.join("below")] {
            let refusal = DataDirLock::take(&dir).unwrap_err().to_string();
            assert!(refusal.starts_with(&format!("cannot create {}: ", dir.display())), "{refusal}");
        }
    }
}

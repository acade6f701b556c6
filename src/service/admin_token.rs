//! The admin token of the first start, stored in `DATA_DIR/admin.token`.
//!
//! The token appears in no error, message or Debug output; [`AdminToken::expose`] returns it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::data_dir::sync_dir;
use crate::core::token::{TokenHash, TokenText};

const FILE: &str = "admin.token";
const NEW_FILE: &str = "admin.token.new";

/// A token with all permissions: `hsk_` and 43 characters of base64url.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminToken {
    text: TokenText,
    new: bool,
    kept_in: PathBuf,
}

/// The token file cannot be used. Never shows its content.
#[derive(Debug)]
pub enum TokenError {
    /// It contains something else.
    Malformed(PathBuf),
    /// Others than its owner may read or write it.
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file operation failed, or the kernel provided no random bytes.
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(path) => write!(
                f,
                "{} does not hold an admin token (`{}` and 43 characters): put it back from a copy, or remove \
                 the file and restart hookswitch to create a new one",
                path.display(),
                TokenText::PREFIX
            ),
            Self::Open { path, mode } => {
                let path = path.display();
                write!(f, "{path} is open to other users (mode {mode:04o}): chmod 600 {path}")
            }
            Self::Io { path, error } => write!(f, "cannot use the admin token file {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for TokenError {}

impl AdminToken {
    /// The token file of a data directory.
    pub fn path(dir: &Path) -> PathBuf {
        dir.join(FILE)
    }

    /// The token in the directory `credentials` (`$CREDENTIALS_DIRECTORY` of systemd, with
    /// `LoadCredential=admin.token:…`); `None` if there is none.
    ///
    /// # Errors
    /// It cannot be read, or is not a token.
    pub fn handed_over(credentials: &Path) -> Result<Option<Self>, TokenError> {
        let path = Self::path(credentials);
        // systemd restricts its mode to this service.
        let text = match read(&path) {
            Ok((text, _)) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(TokenError::Io { path, error }),
        };
        match TokenText::parse(text.trim_end()) {
            Some(text) => Ok(Some(Self { text, new: false, kept_in: path })),
            None => Err(TokenError::Malformed(path)),
        }
    }

    /// The token stored in `dir`; creates one, durably, if there is none. The caller must hold the directory's lock.
    ///
    /// # Errors
    /// The file cannot be read or written, is open to others, or contains something else.
    pub fn load_or_create(dir: &Path) -> Result<Self, TokenError> {
        match Self::load(dir) {
            Err(TokenError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => Self::create(dir),
            other => other,
        }
    }

    /// The token stored in `dir`.
    ///
    /// # Errors
    /// As [`AdminToken::load_or_create`]; also if there is none.
    pub fn load(dir: &Path) -> Result<Self, TokenError> {
        let path = Self::path(dir);
        let (text, mode) = read(&path).map_err(|error| TokenError::Io { path: path.clone(), error })?;
        if mode & 0o077 != 0 {
            return Err(TokenError::Open { path, mode });
        }
        let Some(text) = TokenText::parse(text.trim_end()) else { return Err(TokenError::Malformed(path)) };
        Ok(Self { text, new: false, kept_in: path })
    }

    fn create(dir: &Path) -> Result<Self, TokenError> {
        let path = Self::path(dir);
        let mut bytes = [0; 32];
        let random = getrandom::fill(&mut bytes).map_err(io::Error::from);
        let text = TokenText::from_bytes(bytes);
        let written = random.and_then(|()| write(dir, &path, text.expose()));
        match written {
            Ok(()) => Ok(Self { text, new: true, kept_in: path }),
            Err(error) => Err(TokenError::Io { path, error }),
        }
    }

    /// The file that contains it.
    pub fn kept_in(&self) -> &Path {
        &self.kept_in
    }

    /// The token itself.
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// Its hash, for comparison.
    pub fn hash(&self) -> TokenHash {
        self.text.hash()
    }

    /// Whether it was just created, and must be shown once.
    pub const fn is_new(&self) -> bool {
        self.new
    }
}

/// The file's text, up to a token's length, and its permission bits.
fn read(path: &Path) -> io::Result<(String, u32)> {
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o7777;
    let mut bytes = Vec::new();
    file.take(256).read_to_end(&mut bytes)?;
    Ok((String::from_utf8(bytes).unwrap_or_default(), mode))
}

/// Writes the file atomically: after a power cut it is complete or absent.
fn write(dir: &Path, path: &Path, text: &str) -> io::Result<()> {
    let new = dir.join(NEW_FILE);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    sync_dir(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(NEW_FILE), "left by a crash").unwrap();
        let made = AdminToken::load_or_create(dir.path()).unwrap();
        assert!(made.is_new() && made.expose().starts_with("hsk_") && made.expose().len() == 47);
        assert_eq!(fs::metadata(AdminToken::path(dir.path())).unwrap().permissions().mode() & 0o7777, 0o600);
        assert!(!dir.path().join(NEW_FILE).exists());
        let read = AdminToken::load_or_create(dir.path()).unwrap();
        assert!(!read.is_new());
        assert_eq!(read.expose(), made.expose());
        assert!(!format!("{made:?}").contains("hsk_"));
    }

    #[test]
    fn a_file_that_is_open_or_holds_something_else_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = AdminToken::path(dir.path());
        AdminToken::load_or_create(dir.path()).unwrap();
        for mode in [0o640, 0o604, 0o620] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let refusal = AdminToken::load_or_create(dir.path()).unwrap_err().to_string();
            assert!(refusal.ends_with(&format!("(mode {mode:04o}): chmod 600 {}", path.display())), "{refusal}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for text in ["", "hsk_", "hunter2hunter2", "hsk_!!!", "hsk_AAAA", "\u{fffd}"] {
            fs::write(&path, text).unwrap();
            let refusal = AdminToken::load_or_create(dir.path()).unwrap_err().to_string();
            assert!(refusal.starts_with(&format!("{} does not hold an admin token", path.display())), "{refusal}");
            assert!(!refusal.contains("hunter2"));
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn without_a_directory_there_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("none");
        assert!(matches!(AdminToken::load(&missing), Err(TokenError::Io { .. })));
        assert!(matches!(AdminToken::load_or_create(&missing), Err(TokenError::Io { .. })));
    }
}

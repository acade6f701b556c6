//! The file with the URL of the database: `url_file` of `[store]`, or systemd's credential `store.url`.
//!
//! Its content appears in no error, message or Debug output.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::secret_file;
use crate::core::database::DatabaseUrl;

/// The name of systemd's credential.
const CREDENTIAL: &str = "store.url";

/// A URL, and the file it was read from.
#[derive(Debug)]
pub struct UrlFile {
    path: PathBuf,
    /// Its permission bits; `None` for a credential, whose mode systemd manages.
    mode: Option<u32>,
    url: DatabaseUrl,
}

/// The file cannot be used.
#[derive(Debug)]
pub enum UrlFileError {
    /// It cannot be read.
    Io(PathBuf, io::Error),
    /// Its content is not the URL of a database; a sentence that begins with `must`.
    Bad(PathBuf, String),
}

impl fmt::Display for UrlFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(
                f,
                "{} cannot be read: {error}; `url_file` in [store] must name a file that the user of the daemon can read, \
                 with the URL of the database",
                path.display()
            ),
            Self::Bad(path, wanted) => write!(f, "the content of {} {wanted}", path.display()),
        }
    }
}

impl std::error::Error for UrlFileError {}

impl UrlFile {
    /// Reads the URL in the file at `path`, which may end with a line break.
    ///
    /// # Errors
    /// It cannot be read, or contains something else.
    pub fn read(path: &Path) -> Result<Self, UrlFileError> {
        let (text, mode) = secret_file::read(path).map_err(|error| UrlFileError::Io(path.to_owned(), error))?;
        Self::of(path, &text, Some(mode))
    }

    /// The URL in the directory `credentials` (`$CREDENTIALS_DIRECTORY` of systemd, with
    /// `LoadCredential=store.url:…`); `None` if there is none.
    ///
    /// # Errors
    /// As [`UrlFile::read`].
    pub fn handed_over(credentials: &Path) -> Result<Option<Self>, UrlFileError> {
        let path = credentials.join(CREDENTIAL);
        match secret_file::read(&path) {
            Ok((text, _)) => Self::of(&path, &text, None).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(UrlFileError::Io(path, error)),
        }
    }

    fn of(path: &Path, text: &str, mode: Option<u32>) -> Result<Self, UrlFileError> {
        let url = DatabaseUrl::parse(text.trim()).map_err(|wanted| UrlFileError::Bad(path.to_owned(), wanted))?;
        Ok(Self { path: path.to_owned(), mode, url })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its URL.
    pub fn into_url(self) -> DatabaseUrl {
        self.url
    }

    /// Its permission bits, if others than its owner may read or write it.
    pub fn open_to_others(&self) -> Option<u32> {
        secret_file::open_to_others(self.mode)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const URL: &str = "postgresql://u:hunter2@db.example/hooks";

    #[test]
    fn a_file_and_a_credential_are_read_and_the_url_is_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        assert!(UrlFile::handed_over(dir.path()).unwrap().is_none());
        let file = dir.path().join(CREDENTIAL);
        fs::write(&file, format!("{URL}\n")).unwrap();
        for (mode, open) in [(0o600, None), (0o400, None), (0o640, Some(0o640)), (0o604, Some(0o604))] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let own = UrlFile::read(&file).unwrap();
            assert_eq!(own.open_to_others(), open);
            assert!(!format!("{own:?}").contains("hunter2"), "{own:?}");
            let credential = UrlFile::handed_over(dir.path()).unwrap().unwrap();
            assert!(credential.path() == file && credential.open_to_others().is_none());
            assert_eq!(own.into_url().expose(), URL);
            assert_eq!(credential.into_url().expose(), URL);
        }
    }

    #[test]
    fn errors_name_file_and_remedy_without_the_content() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(CREDENTIAL);
        let shown = file.display().to_string();
        for (text, wanted) in [
            (format!("{URL}\n{URL}").into_bytes(), format!("the content of {shown} must be a URL without spaces")),
            (b"hunter2".to_vec(), format!("the content of {shown} must be a URL that begins with `postgresql://`")),
            (Vec::new(), format!("the content of {shown} must be a URL that begins with `postgresql://`")),
            (b"postgresql://u:hunter2 \xff".to_vec(), format!("{shown} cannot be read")),
            (vec![b'h'; 70_000], format!("{shown} cannot be read: it has more than 65536 bytes")),
        ] {
            fs::write(&file, text).unwrap();
            for error in [UrlFile::read(&file).unwrap_err(), UrlFile::handed_over(dir.path()).unwrap_err()] {
                assert!(error.to_string().starts_with(&wanted), "{error}");
                assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
            }
        }
        fs::remove_file(&file).unwrap();
        let missing = UrlFile::read(&file).unwrap_err().to_string();
        assert!(missing.contains("`url_file` in [store]"), "{missing}");
    }
}

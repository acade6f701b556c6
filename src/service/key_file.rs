//! The file with the keys that seal secrets on the disk: the configured one, or systemd's credential `store.key`.
//!
//! Its content appears in no error, message or Debug output.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::secret_file;
use crate::core::seal::{BadKeys, Keyring};

/// The name of systemd's credential.
const CREDENTIAL: &str = "store.key";

/// Keys, and the file they were read from.
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    /// Its permission bits; `None` for a credential, whose mode systemd manages.
    mode: Option<u32>,
    keys: Keyring,
}

/// The key file cannot be used.
#[derive(Debug)]
pub enum KeyFileError {
    /// It cannot be read.
    Io(PathBuf, io::Error),
    /// Its content is invalid.
    Bad(PathBuf, BadKeys),
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(
                f,
                "the key file {} cannot be read: {error}; `key_file` in [store] must name a file that the user of the \
                 daemon can read (make one with `head -c 32 /dev/urandom | base64`)",
                path.display()
            ),
            Self::Bad(path, bad) => {
                let line = bad.line.map(|line| format!(" line {line}")).unwrap_or_default();
                write!(
                    f,
                    "the key file {}{line} {}; each line must be the base64 of 32 random bytes (`head -c 32 \
                     /dev/urandom | base64`), `lost` and a fingerprint, or a remark behind `#`",
                    path.display(),
                    bad.fault
                )
            }
        }
    }
}

impl std::error::Error for KeyFileError {}

impl KeyFile {
    /// Reads the file `configured`, or without one the credential in the directory `credentials`, if it exists;
    /// `None` if there is neither.
    ///
    /// # Errors
    /// It cannot be read, or is not a key file.
    pub fn find(configured: Option<&Path>, credentials: Option<&Path>) -> Result<Option<Self>, KeyFileError> {
        if let Some(path) = configured {
            let (text, mode) = secret_file::read(path).map_err(|error| KeyFileError::Io(path.to_owned(), error))?;
            return Self::of(path, &text, Some(mode)).map(Some);
        }
        let Some(path) = credentials.map(|directory| directory.join(CREDENTIAL)) else { return Ok(None) };
        match secret_file::read(&path) {
            Ok((text, _)) => Self::of(&path, &text, None).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(KeyFileError::Io(path, error)),
        }
    }

    fn of(path: &Path, text: &str, mode: Option<u32>) -> Result<Self, KeyFileError> {
        let keys = Keyring::parse(path.display().to_string(), text);
        let keys = keys.map_err(|bad| KeyFileError::Bad(path.to_owned(), bad))?;
        Ok(Self { path: path.to_owned(), mode, keys })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its keys.
    pub const fn keys(&self) -> &Keyring {
        &self.keys
    }

    /// Its keys.
    pub fn into_keys(self) -> Keyring {
        self.keys
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

    const KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

    #[test]
    fn the_configured_file_goes_before_the_credential_and_neither_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("own.key");
        assert!(KeyFile::find(None, None).unwrap().is_none());
        assert!(KeyFile::find(None, Some(dir.path())).unwrap().is_none());
        fs::write(dir.path().join(CREDENTIAL), format!("{KEY}\n")).unwrap();
        let credential = KeyFile::find(None, Some(dir.path())).unwrap().unwrap();
        assert!(credential.path().ends_with(CREDENTIAL) && credential.open_to_others().is_none());
        fs::write(&file, format!("# own\n{}\n", KEY.replace("AQEB", "AgIC"))).unwrap();
        for (mode, open) in [(0o600, None), (0o400, None), (0o640, Some(0o640)), (0o604, Some(0o604))] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let own = KeyFile::find(Some(&file), Some(dir.path())).unwrap().unwrap();
            assert_eq!(own.open_to_others(), open);
            assert_ne!(own.keys().sealing(), credential.keys().sealing());
        }
    }

    #[test]
    fn errors_name_file_line_and_remedy_without_the_content() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("own.key");
        let refused = |text: &[u8]| {
            fs::write(&file, text).unwrap();
            KeyFile::find(Some(&file), None).unwrap_err().to_string()
        };
        let named = format!("the key file {}", file.display());
        for (text, wanted) in [
            (format!("{KEY}\n\nhunter2").into_bytes(), " line 3 is not the base64 of a key"),
            (Vec::new(), " has no key"),
            (b"hunter2 \xff".to_vec(), " cannot be read"),
            (vec![b'#'; 70_000], " cannot be read: it has more than 65536 bytes"),
        ] {
            let refusal = refused(&text);
            assert!(refusal.starts_with(&format!("{named}{wanted}")), "{refusal}");
            assert!(refusal.contains("head -c 32") && !refusal.contains("hunter2"), "{refusal}");
        }
        fs::remove_file(&file).unwrap();
        let missing = KeyFile::find(Some(&file), Some(dir.path())).unwrap_err().to_string();
        assert!(missing.contains("`key_file` in [store]"), "{missing}");
    }
}

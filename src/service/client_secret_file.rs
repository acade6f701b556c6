//! The file with the secret of this client of OpenID Connect: `client_secret_file` of `[page.oidc]`, or systemd's credential
//! `page.oidc.client_secret`.
//!
//! Its content appears in no error, message or Debug output.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::secret_file;
use crate::core::hidden::Hidden;

/// The name of systemd's credential.
const CREDENTIAL: &str = "page.oidc.client_secret";

/// A secret, and the file it was read from.
#[derive(Debug)]
pub struct ClientSecretFile {
    path: PathBuf,
    /// Its permission bits; `None` for a credential, whose mode systemd manages.
    mode: Option<u32>,
    secret: Hidden,
}

/// The file cannot be used.
#[derive(Debug)]
pub enum ClientSecretError {
    /// It cannot be read.
    Io(PathBuf, io::Error),
    /// Its content is no secret of a client.
    Bad(PathBuf),
}

impl fmt::Display for ClientSecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(
                f,
                "{} cannot be read: {error}; `client_secret_file` in [page.oidc] must name a file that the user of the \
                 daemon can read, with the secret that the provider gave this client",
                path.display()
            ),
            Self::Bad(path) => write!(
                f,
                "the content of {} must be the secret that the provider gave this client: visible ASCII characters on one \
                 line",
                path.display()
            ),
        }
    }
}

impl std::error::Error for ClientSecretError {}

impl ClientSecretFile {
    /// Reads the secret in the file at `path`, which may end with a line break.
    ///
    /// # Errors
    /// It cannot be read, or contains something else.
    pub fn read(path: &Path) -> Result<Self, ClientSecretError> {
        let (text, mode) = secret_file::read(path).map_err(|error| ClientSecretError::Io(path.to_owned(), error))?;
        Self::of(path, &text, Some(mode))
    }

    /// The secret in the directory `credentials` (`$CREDENTIALS_DIRECTORY` of systemd, with
    /// `LoadCredential=page.oidc.client_secret:…`); `None` if there is none.
    ///
    /// # Errors
    /// As [`ClientSecretFile::read`].
    pub fn handed_over(credentials: &Path) -> Result<Option<Self>, ClientSecretError> {
        let path = credentials.join(CREDENTIAL);
        match secret_file::read(&path) {
            Ok((text, _)) => Self::of(&path, &text, None).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ClientSecretError::Io(path, error)),
        }
    }

    fn of(path: &Path, text: &str, mode: Option<u32>) -> Result<Self, ClientSecretError> {
        let secret = text.trim();
        if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ClientSecretError::Bad(path.to_owned()));
        }
        Ok(Self { path: path.to_owned(), mode, secret: Hidden::new(secret) })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its secret.
    pub fn into_secret(self) -> Hidden {
        self.secret
    }

    /// Its permission bits, if others than its owner may read or write it.
    pub fn open_to_others(&self) -> Option<u32> {
        secret_file::open_to_others(self.mode)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_and_a_credential_are_read_and_the_secret_is_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        assert!(ClientSecretFile::handed_over(dir.path()).unwrap().is_none());
        let file = dir.path().join(CREDENTIAL);
        fs::write(&file, "hunter2\n").unwrap();
        for read in
            [ClientSecretFile::read(&file).unwrap(), ClientSecretFile::handed_over(dir.path()).unwrap().unwrap()]
        {
            assert!(!format!("{read:?}").contains("hunter2"), "{read:?}");
            assert_eq!(read.into_secret().expose(), "hunter2");
        }
        for bad in ["", "\n", "two words", "hunter2\nhunter3", "geheim\u{e4}"] {
            fs::write(&file, bad).unwrap();
            let refused = ClientSecretFile::read(&file).unwrap_err().to_string();
            assert!(refused.contains("on one line") && !refused.contains("hunter2"), "{refused}");
        }
        let missing = ClientSecretFile::read(&dir.path().join("missing")).unwrap_err().to_string();
        assert!(missing.contains("`client_secret_file` in [page.oidc]"), "{missing}");
    }
}

//! A daemon on a temporary directory, and a client of it. Both are removed when the stage is dropped.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::cli::client::Client;
use crate::cli::connection::Credentials;
use crate::cli::exit::Failure;
use crate::cli::starting::{self, Daemon, Overrides};

/// Fast retries for the demo; otherwise the defaults.
const CONFIG: &str = "\
# Written by `hookswitch demo`.
[retry]
initial_delay = \"200ms\"
multiplier = 1.5
jitter = 0.0
";

/// A running daemon. Fields are dropped in order: the daemon before its directory.
pub(super) struct Stage {
    client: Client,
    daemon: Option<Daemon>,
    token_file: PathBuf,
    directory: Directory,
}

/// A temporary directory, removed when dropped unless kept.
struct Directory {
    path: PathBuf,
    keep: bool,
}

impl Stage {
    /// Starts a daemon; `keep` leaves its directory behind.
    ///
    /// # Errors
    /// The directory cannot be created, or the daemon does not start.
    pub(super) fn set(keep: bool) -> Result<Self, Failure> {
        let directory = Directory::make(keep)?;
        let config_file = directory.path.join("config.toml");
        fs::write(&config_file, CONFIG)
            .map_err(|error| Failure::new(format!("cannot write {}: {error}", config_file.display())))?;
        let daemon = starting::start(&Overrides {
            config_file: Some(config_file),
            data_dir: Some(directory.path.join("data")),
            listen: Some("127.0.0.1:0".to_owned()),
            allow: vec!["127.0.0.0/8".to_owned()],
        })?;
        let token_file = daemon.admin_token_path().to_owned();
        let url = format!("http://{}", daemon.address());
        let client = Client::with(&url, Credentials::from_file(&token_file));
        let stage = |client| Self { client, daemon: Some(daemon), token_file, directory };
        client.map(stage)
    }

    /// A client with the admin token.
    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    /// The file of the daemon's token, if the stage is kept.
    pub(super) fn kept_token_file(&self) -> Option<&Path> {
        self.directory.keep.then_some(self.token_file.as_path())
    }

    /// The directory.
    pub(super) fn directory(&self) -> &Path {
        &self.directory.path
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            // Failures were logged, and the demo is over.
            drop(daemon.stop());
        }
    }
}

impl Directory {
    fn make(keep: bool) -> Result<Self, Failure> {
        let parent = std::env::temp_dir();
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| Failure::new(format!("no random numbers: {error}")))?;
        let path = parent.join(format!("hookswitch-demo-{:016x}", u64::from_be_bytes(random)));
        // create, not create_all: refuses a directory made by somebody else.
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| Failure::new(format!("cannot make {}: {error}", path.display())))?;
        Ok(Self { path, keep })
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if !self.keep {
            // Nothing depends on it, and the system empties its temporary directory.
            drop(fs::remove_dir_all(&self.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_directory_is_private_and_goes_unless_kept() {
        let directory = Directory::make(false).unwrap();
        let path = directory.path.clone();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(path.join("file"), "").unwrap();
        drop(directory);
        assert!(!path.exists());

        let kept = Directory::make(true).unwrap();
        let path = kept.path.clone();
        drop(kept);
        assert!(path.exists());
        fs::remove_dir(path).unwrap();
    }
}

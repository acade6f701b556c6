//! The daemon and the token that a command uses.
//!
//! Invariant: the token is in no help text, message or Debug output; only its origin is shown.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser as _};

use super::exit::Failure;
use crate::config::DEFAULT_DATA_DIR;
use crate::core::hidden::Hidden;

/// The default URL: 4665 spells HOOK on a telephone's keypad.
const DEFAULT_URL: &str = "http://127.0.0.1:4665";

/// More than any token file contains.
const TOKEN_FILE_MOST: u64 = 4096;

/// The options of every command that talks to a running daemon.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Daemon")]
pub(super) struct Connection {
    /// Where it listens (or HOOKSWITCH_URL; default http://127.0.0.1:4665)
    #[arg(long = "url", id = "daemon_url", value_name = "URL", env = "HOOKSWITCH_URL", hide_env = true)]
    #[arg(global = true, next_line_help = true, hide_default_value = true, default_value = DEFAULT_URL)]
    pub(super) url: String,

    /// Its token (or HOOKSWITCH_TOKEN; default the one in admin.token)
    #[arg(long, value_name = "TOKEN", env = "HOOKSWITCH_TOKEN", hide_env = true, hide_env_values = true)]
    #[arg(global = true, next_line_help = true, value_parser = |text: &str| Ok::<_, String>(Hidden::new(text)))]
    token: Option<Hidden>,

    /// Where admin.token is (or HOOKSWITCH_DATA_DIR; /var/lib/hookswitch)
    #[arg(long, value_name = "DIR", env = "HOOKSWITCH_DATA_DIR", hide_env = true)]
    #[arg(global = true, next_line_help = true, hide_default_value = true, default_value = DEFAULT_DATA_DIR)]
    data_dir: PathBuf,

    /// A PEM file with its certificate, or the authority's (or HOOKSWITCH_CA)
    #[arg(long, value_name = "FILE", env = "HOOKSWITCH_CA", hide_env = true, global = true, next_line_help = true)]
    #[arg(value_parser = OsStringValueParser::new().map(PathBuf::from))] // which takes an empty one, too, as none
    pub(super) ca: Option<PathBuf>,
}

/// A token and its origin, or why there is none.
pub(super) struct Credentials {
    /// The token.
    pub(super) token: Option<Hidden>,
    /// A sentence on where it came from or was looked for.
    pub(super) origin: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

impl Connection {
    /// The given token, or else the one in the token file. A missing token is not an error yet: whether the daemon
    /// runs at all is reported first.
    ///
    /// # Errors
    /// The token has invalid characters.
    pub(super) fn credentials(&self) -> Result<Credentials, Failure> {
        Credentials::of(self.token.as_ref(), &self.data_dir.join("admin.token")).checked()
    }
}

impl Credentials {
    /// The given token, unless it is empty, or else the one in `file`.
    pub(super) fn of(given: Option<&Hidden>, file: &Path) -> Self {
        match given.filter(|token| !token.expose().is_empty()) {
            Some(token) => Self {
                token: Some(token.clone()),
                origin: "The token was given by --token or HOOKSWITCH_TOKEN.".to_owned(),
            },
            None => Self::from_file(file),
        }
    }

    /// The token in `file`.
    pub(super) fn from_file(file: &Path) -> Self {
        let mut text = String::new();
        let read = std::fs::File::open(file).and_then(|opened| opened.take(TOKEN_FILE_MOST).read_to_string(&mut text));
        let shown = file.display();
        let missing = |why: String| Self {
            token: None,
            origin: format!(
                "No token was given: neither --token nor HOOKSWITCH_TOKEN is set, and {why}. \
                 (--data-dir or HOOKSWITCH_DATA_DIR says where admin.token is. A daemon on PostgreSQL keeps no such file: its \
                 admin token was printed once, at its first start, and with it `hookswitch token create` makes others.)"
            ),
        };
        match read {
            Err(error) => missing(format!("{shown} cannot be read: {error}")),
            Ok(_) if text.trim().is_empty() => missing(format!("{shown} is empty")),
            Ok(_) => {
                Self { token: Some(Hidden::new(text.trim())), origin: format!("The token was read from {shown}.") }
            }
        }
    }

    fn checked(self) -> Result<Self, Failure> {
        let bytes = self.token.as_ref().map_or(&[][..], |token| token.expose().as_bytes());
        if bytes.iter().all(u8::is_ascii_graphic) {
            return Ok(self);
        }
        Err(Failure::usage(format!("{} It has blanks or other characters that no token has.", self.origin)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(token: Option<&str>, data_dir: &Path) -> Connection {
        Connection {
            url: "http://127.0.0.1:1".to_owned(),
            token: token.map(Hidden::new),
            data_dir: data_dir.to_owned(),
            ca: None,
        }
    }

    #[test]
    fn the_given_token_comes_before_the_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("admin.token"), "from-file\n").unwrap();
        let token = |given| {
            let credentials = connection(given, dir.path()).credentials().unwrap();
            credentials.token.map(|token| token.expose().to_owned())
        };
        assert_eq!(token(Some("given")), Some("given".to_owned()));
        assert_eq!(token(Some("")), Some("from-file".to_owned()), "an empty variable is as good as none");
        assert_eq!(token(None), Some("from-file".to_owned()));
    }

    #[test]
    fn without_a_token_the_message_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let credentials = connection(None, dir.path()).credentials().unwrap();
        assert!(credentials.token.is_none());
        assert!(credentials.origin.contains(&dir.path().join("admin.token").display().to_string()));
        std::fs::write(dir.path().join("admin.token"), " \n").unwrap();
        assert!(connection(None, dir.path()).credentials().unwrap().origin.contains("is empty"));
    }

    #[test]
    fn a_token_that_cannot_be_one_is_refused_without_being_shown() {
        let dir = tempfile::tempdir().unwrap();
        let failure = connection(Some("se\ncret"), dir.path()).credentials().unwrap_err();
        assert!(!failure.message.contains("cret"), "{}", failure.message);
        assert!(!format!("{:?}", connection(Some("secret-token"), dir.path())).contains("secret-token"));
    }
}

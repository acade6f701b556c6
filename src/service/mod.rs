//! Process services: signals, systemd's protocols, the data directory's lock, the admin token, the key file, the
//! file with the database's URL, that with the secret of a client of OpenID Connect, the limit of open files.
//!
//! Knows nothing about the daemon's work: it gets callbacks. Nothing here ends the process, except a second signal.

mod admin_token;
mod client_secret_file;
mod data_dir;
mod key_file;
mod open_files;
mod secret_file;
mod signals;
mod systemd;
mod url_file;

pub use self::admin_token::{AdminToken, TokenError};
pub use self::client_secret_file::{ClientSecretError, ClientSecretFile};
pub use self::data_dir::{DataDirError, DataDirHold, DataDirLock};
pub use self::key_file::{KeyFile, KeyFileError};
pub use self::open_files::{OpenFiles, open_files_limit, raise_open_files_limit};
pub use self::signals::{Hangups, on_stop_signal};
pub use self::systemd::{
    credentials, inherited_listener, is_notified, notify_alive, notify_ready, notify_reloading, notify_status,
    notify_stopping, watchdog,
};
pub use self::url_file::{UrlFile, UrlFileError};

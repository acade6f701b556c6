//! The marker of the key that secrets are sealed with: signing secrets, custom header values and client keys of
//! subscriptions ([`seal`](crate::core::seal)).
//!
//! **Marker.** Each sealed record names the key it is sealed with. The file `sealed` in the data directory names the
//! current sealing key, so that a start without the right keys is refused before anything is touched, and a directory
//! never returns to plaintext because a line of the configuration was lost.
//!
//! **Enabling sealing and rotating the key.** Everything that is written is sealed with the first key. A start replays
//! the WAL; records that were in plaintext there, or sealed with an older key, enter the memtable sealed with the new
//! key. Then the file `sealed` is written, and only then the memtable. Records that are not in the replayed part of the
//! WAL are left as they are: a record in pieces that was torn while being replaced could not be repaired (this was
//! tried, and `tests/powercut` found directories that no longer opened). They are replaced by the segment snapshot that
//! every start begins with ([`Handler::begin_snapshot`](crate::model::handler::Handler::begin_snapshot)): it writes all
//! subscriptions to the WAL again, and [stale](crate::model::registry::SubscriptionState::stale) ones to the state in
//! the same transaction, like any other change. After a crash at any point the next start does the same again.
//!
//! **Secrets that cannot be opened**, although their key is present or because it is declared lost, are left as they
//! are. Their subscription is disabled until it gets new secrets. Other subscriptions are not affected.
//!
//! The offline commands have no keys: they copy records unchanged.

use std::fs;
use std::io;
use std::path::Path;

use crate::core::seal::{Fingerprint, Keyring};
use crate::engine::embedded::durable;
use crate::engine::embedded::format::OpenError;
use crate::model::error::Damage;
use crate::model::registry::Registry;

/// The file that names the key.
const MARKER: &str = "sealed";
/// The text ahead of the fingerprint in it.
const BEGINNING: &str = "hookswitch secrets, sealed with key ";
/// How many subscriptions whose secrets cannot be opened are listed.
const MAX_LISTED: usize = 20;

/// The key that secrets in `dir` are sealed with; `None` if they are not sealed.
pub(crate) fn marker(dir: &Path) -> Result<Option<Fingerprint>, Damage> {
    let path = dir.join(MARKER);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Damage::io(&path, "cannot be read", &error)),
    };
    let named = text.strip_prefix(BEGINNING).and_then(|rest| Fingerprint::parse(rest.trim_end()));
    named.map(Some).ok_or_else(|| Damage::new(&path, "is not as hookswitch wrote it"))
}

/// Writes the marker of `key` to `dir`, durably.
pub(crate) fn mark(dir: &Path, key: Fingerprint) -> io::Result<()> {
    durable::replace_file(&dir.join(MARKER), format!("{BEGINNING}{key}\n").as_bytes())
}

/// Writes the marker of the sealing key unless it is there already, and returns whether it did. Must happen before
/// anything sealed reaches the disk.
pub(crate) fn mark_with(dir: &Path, keys: &Keyring) -> Result<bool, OpenError> {
    match keys.sealing() {
        Some(key) if marker(dir)? != Some(key) => {
            mark(dir, key).map_err(|error| Damage::io(&dir.join(MARKER), "cannot be written", &error))?;
            tracing::info!("secrets are sealed on the disk from now on, with key {key} of {}", keys.from());
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// Refuses a directory whose secrets are sealed with a key that was not given. Touches nothing.
pub(crate) fn check_marker(dir: &Path, keys: &Keyring) -> Result<(), OpenError> {
    match marker(dir)? {
        Some(key) if !keys.answers_for(key) => Err(lacking(dir, key, keys)),
        _ => Ok(()),
    }
}

/// Refuses a store some of whose secrets need another key; logs those that cannot be opened for another reason.
pub(crate) fn check_opened(dir: &Path, registry: &Registry) -> Result<(), OpenError> {
    let keys = registry.keys();
    let locked = || registry.locked().filter_map(|(account, record)| Some((account, record.key?)));
    if let Some((_, key)) = locked().find(|(_, key)| !keys.answers_for(*key)) {
        return Err(lacking(dir, key, keys));
    }
    for (account, key) in locked().take(MAX_LISTED) {
        let why = if keys.fingerprints().any(|known| known == key) {
            "the stored record is damaged"
        } else {
            "their key is said to be lost"
        };
        tracing::error!(
            "the secrets of {} (company {}) cannot be opened: {why} (key {key}). It is disabled, and its \
             deliveries wait: rotate its secret, set its headers and client certificate again, then enable it",
            account.subscription.id,
            account.subscription.company
        );
    }
    let more = locked().count().saturating_sub(MAX_LISTED);
    if more > 0 {
        tracing::error!("{more} more subscriptions are affected: see `hookswitch subscription list`");
    }
    Ok(())
}

fn lacking(dir: &Path, key: Fingerprint, keys: &Keyring) -> OpenError {
    let given = keys.fingerprints().map(|key| key.to_string()).collect::<Vec<_>>().join(", ");
    let remedy = if given.is_empty() {
        "no key is given: name the file that has it as `key_file` in [store], or hand it over as the credential \
         `store.key` of systemd"
            .to_owned()
    } else {
        format!("{} has key {given}: put that key into it, on a line of its own", keys.from())
    };
    OpenError::Key(format!(
        "secrets in the data directory {} are sealed with key {key}, and {remedy}; nothing was changed. If nobody has \
         that key any more: see 'Secrets on the disk' in the handbook",
        dir.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::in_memory::keyring;

    #[test]
    fn the_marker_round_trips_and_a_missing_key_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (none, one, both, other) = (Keyring::default(), keyring(&[1]), keyring(&[2, 1]), keyring(&[2]));
        assert_eq!(marker(dir.path()), Ok(None));
        for keys in [&none, &one] {
            check_marker(dir.path(), keys).unwrap();
        }
        mark_with(dir.path(), &none).unwrap();
        assert!(!dir.path().join(MARKER).exists());
        mark_with(dir.path(), &one).unwrap();
        assert_eq!(marker(dir.path()), Ok(one.sealing()));
        for (keys, part) in [(&none, "`key_file` in [store]"), (&other, "test keys has key")] {
            let error = check_marker(dir.path(), keys).unwrap_err();
            let (text, wanted) = (error.to_string(), one.sealing().unwrap().to_string());
            assert!(matches!(error, OpenError::Key(_)) && text.contains(part) && text.contains(&wanted), "{text}");
        }
        check_marker(dir.path(), &both).unwrap();
        mark_with(dir.path(), &both).unwrap();
        assert_eq!(marker(dir.path()), Ok(other.sealing()));
        fs::write(dir.path().join(MARKER), "something").unwrap();
        let error = check_marker(dir.path(), &both).unwrap_err();
        assert!(matches!(error, OpenError::Directory(_)) && error.to_string().contains("sealed is not as"), "{error}");
    }
}

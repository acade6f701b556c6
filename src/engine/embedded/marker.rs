//! Secrets sealed on the disk: signing secrets, values of own headers and client keys of subscriptions
//! ([`seal`](crate::core::seal)). The rest of the store handles records and asks here for them.
//!
//! **Where.** A sealed record says with which key it is sealed. The file `sealed` in the data directory names
//! the key that seals, so that a start without the right keys is refused before anything is touched, and a directory
//! never goes back to writing in the clear because a line of the configuration got lost.
//!
//! **Turning it on, and changing the key.** Everything that is written is sealed with the first key. A start takes in
//! the journal; what that had in the clear, or under an older key, goes sealed with the new one into the state's
//! layer in memory. Then the file `sealed` is written, and only then the layer to the disk. What the journal behind
//! the last checkpoint does not speak of is left as it is: a record in pieces that was cut while it was replaced
//! could be mended by nobody (tried, and `tests/powercut` found directories that did not open again). It is replaced
//! by the first thing that every start does ([`Desk::introduce`](crate::model::desk::Desk)): all subscriptions are written
//! to the journal again, and what is [stale](crate::model::registry::SubscriptionState::stale) is put into the state by that step too,
//! like any other change. After a kill at any point the next start does the same again.
//!
//! **What does not open** although its key is there, or because its key is said to be lost, is kept as it is; its
//! subscription is disabled until somebody gives it new secrets. Others go on.
//!
//! Whoever reads a store that nobody runs has no keys: records are copied as they are.

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
/// What stands ahead of its fingerprint there.
const BEGINNING: &str = "hookswitch secrets, sealed with key ";
/// How many subscriptions that do not open are named.
const NAMED_MOST: usize = 20;

/// The key that secrets in `dir` are sealed with; `None` if there is none.
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

/// Names the key in `dir`, durably.
pub(crate) fn mark(dir: &Path, key: Fingerprint) -> io::Result<()> {
    durable::replace_file(&dir.join(MARKER), format!("{BEGINNING}{key}\n").as_bytes())
}

/// Names the key that seals, if there is one that is not named yet, and says whether: to be done before anything sealed gets
/// to the disk.
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

/// Refuses a directory whose secrets are sealed with a key that is not there. Touches nothing.
pub(crate) fn check_marker(dir: &Path, keys: &Keyring) -> Result<(), OpenError> {
    match marker(dir)? {
        Some(key) if !keys.answers_for(key) => Err(lacking(dir, key, keys)),
        _ => Ok(()),
    }
}

/// Refuses a store some of whose secrets need another key; tells of those that cannot be opened for another reason.
pub(crate) fn check_opened(dir: &Path, registry: &Registry) -> Result<(), OpenError> {
    let keys = registry.keys();
    let locked = || registry.locked().filter_map(|(account, record)| Some((account, record.key?)));
    if let Some((_, key)) = locked().find(|(_, key)| !keys.answers_for(*key)) {
        return Err(lacking(dir, key, keys));
    }
    for (account, key) in locked().take(NAMED_MOST) {
        let why = if keys.fingerprints().any(|known| known == key) {
            "what is stored is damaged"
        } else {
            "their key is said to be lost"
        };
        tracing::error!(
            "the secrets of {} (company {}) cannot be opened: {why} (key {key}). It is disabled, and what it is owed \
             waits: rotate its secret, set its headers and client certificate again, then enable it",
            account.subscription.id,
            account.subscription.company
        );
    }
    let more = locked().count().saturating_sub(NAMED_MOST);
    if more > 0 {
        tracing::error!("so it is with {more} more: see `hookswitch subscription list`");
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
         that key any more: 'Secrets on the disk' in the README",
        dir.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::in_memory::keyring;

    #[test]
    fn the_marker_is_read_as_it_was_written_and_a_key_that_is_not_there_is_named() {
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

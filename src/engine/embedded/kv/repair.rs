//! Unreadable derived values: logged once, set aside and replaced.
//!
//! Readers only record them, because a single thread makes changes. The reader supplies the replacement;
//! [`crate::model::key`] lists the kinds. A value that is not derived is never touched.

use std::sync::PoisonError;

use crate::engine::embedded::kv::Kv;
use crate::engine::embedded::kv::stored_key::{aside, is_unreadable_derived, key_of, name};
use crate::engine::embedded::kv::unreadable::hex;
use crate::model::error::StateError;
use crate::model::key::{Key, ValueKind};

/// How many unreadable values are logged, each once, and set aside at a time.
const MAX_LOGGED: usize = 1_000;

impl Kv {
    /// Records that a reader found an unreadable derived value. It is logged; the writer [sets it aside](Self::repair)
    /// with its next commit and stores `instead` in its place.
    pub(crate) fn note_unreadable(&self, key: &[u8], instead: Option<Vec<u8>>) {
        let mut unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        if unreadable.logged.len() < MAX_LOGGED && unreadable.logged.insert(key.to_vec()) {
            let what = name(key);
            let then = if instead.is_some() { "it was rebuilt" } else { "it is left out" };
            tracing::error!("the state database has {what} that cannot be read (key {}): {then}", hex(key));
        }
        if unreadable.pending.len() < MAX_LOGGED {
            unreadable.pending.insert(key.to_vec(), instead);
        }
    }

    /// Sets an unreadable value aside, so that another can take its place, and logs it.
    pub(crate) fn set_aside(&self, key: &[u8], value: Vec<u8>) {
        let what = name(key);
        tracing::error!("the state database has {what} that cannot be read (key {}): it is set aside", hex(key));
        self.put(aside(key), value);
        self.remove(key.to_vec());
    }

    /// The recorded keys of a kind.
    pub(crate) fn noted(&self, kind: ValueKind) -> Vec<Key> {
        let unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        unreadable.pending.keys().filter_map(|key| key_of(key)).filter(|key| key.kind() == kind).collect()
    }

    /// Sets aside what was [recorded](Self::note_unreadable) and is still unreadable. For the writer.
    pub(crate) fn repair(&self) -> Result<(), StateError> {
        let pending = std::mem::take(&mut self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).pending);
        for (key, instead) in pending {
            let Some(value) = self.get(&key)? else { continue };
            if is_unreadable_derived(&key, &value) {
                self.put(aside(&key), value);
                match instead {
                    Some(instead) => self.put(key, instead),
                    None => self.remove(key),
                }
            }
        }
        Ok(())
    }
}

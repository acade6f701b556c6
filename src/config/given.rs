//! Whether a key with a default was given, which matters where it does not fit another key.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value, and whether a layer gave it. Equal if the value is: written out, a default is as good as left out.
#[derive(Clone, Copy)]
pub(super) struct Given<T> {
    pub(super) value: T,
    pub(super) given: bool,
}

impl<T> Given<T> {
    /// The default, which nobody gave.
    pub(super) const fn by_default(value: T) -> Self {
        Self { value, given: false }
    }
}

impl<T: PartialEq> PartialEq for Given<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Serialize> Serialize for Given<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(|value| Self { value, given: true })
    }
}

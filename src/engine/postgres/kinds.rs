//! The numbers of kinds and classes in tables. They are stored: a number is never given to something else.

use crate::model::key::ValueKind;
use crate::model::record::Class;

/// The number of a kind of value.
pub(super) const fn value_kind(kind: ValueKind) -> i16 {
    match kind {
        ValueKind::Owed => 1,
        ValueKind::Dead => 2,
        ValueKind::Producer => 3,
        ValueKind::Message => 4,
        ValueKind::Call => 5,
        ValueKind::Group => 6,
        ValueKind::Thread => 7,
        ValueKind::Latest => 8,
        ValueKind::LatestOf => 9,
        ValueKind::InOrder => 10,
        ValueKind::Sequence => 11,
        ValueKind::Counts => 12,
        ValueKind::Counted => 13,
        ValueKind::Health => 14,
        ValueKind::Subscription => 15,
        ValueKind::Token => 16,
        ValueKind::Replay => 17,
        ValueKind::Discard => 18,
        ValueKind::FanOut => 19,
        ValueKind::Erasure => 20,
        ValueKind::WithoutWebhook => 21,
        ValueKind::Audit => 30,
        ValueKind::AuditTerm => 31,
        ValueKind::Session => 24,
        ValueKind::PortalLink => 25,
        ValueKind::SignIn => 26,
    }
}

/// The kind of value with this number.
pub(super) fn of_number(number: i16) -> Option<ValueKind> {
    ValueKind::ALL.into_iter().find(|kind| value_kind(*kind) == number)
}

/// The number of a class of records.
pub(super) const fn class(class: Class) -> i16 {
    match class {
        Class::Event => 1,
        Class::WithEvent => 2,
        Class::LogEntry => 3,
        Class::Message => 4,
        Class::Other => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_number_of_its_own() {
        let numbers: std::collections::BTreeSet<i16> = ValueKind::ALL.into_iter().map(value_kind).collect();
        assert_eq!(numbers.len(), ValueKind::ALL.len());
        assert!(ValueKind::ALL.into_iter().all(|kind| of_number(value_kind(kind)) == Some(kind)));
        assert_eq!(of_number(0), None);
    }
}

//! An entry of the audit.
//!
//! It is kept in the view, under its id and under each of its terms: what is looked at years later must not hold the
//! segments of the log for as long.

use bincode::{Decode, Encode};
use serde_json::Value;

use crate::core::actor::{Actor, ActorKind, Via};
use crate::core::audit::{Action, AuditEntry, Deed, Members};
use crate::core::event::{Company, Domain};
use crate::core::id::{AuditId, SubscriptionId};
use crate::model::keys;
use crate::model::record::codec::{Word as _, at, encode, optional, versioned};
use crate::model::record::kind::{
    Class, Kind, Target, begins_no_delivery, complete_if_decoded, encoded_as_itself, kept_by_the_view, not_indexed,
    nothing_personal,
};
use crate::model::term::{Owner, Term};

/// The maximum size of a record, in bytes: a value of the view must not be longer than 8 KiB.
const MOST_BYTES: usize = 7 << 10;
/// To how many characters the texts of one that is longer are cut, in turn.
const CUT_TO: [usize; 4] = [500, 100, 20, 0];

/// An entry.
#[derive(Debug, Clone, Encode, Decode)]
pub(crate) struct AuditRecord {
    pub(crate) id: u128,
    at: u64,
    kind: String,
    actor: Option<String>,
    name: Option<String>,
    via: Option<String>,
    address: Option<String>,
    action: String,
    company: Option<String>,
    domain: Option<String>,
    subscription: Option<u128>,
    subject: Option<String>,
    /// JSON objects.
    before: String,
    after: String,
}

impl From<&AuditEntry> for AuditRecord {
    fn from(entry: &AuditEntry) -> Self {
        let AuditEntry { id, at, actor, deed } = entry;
        let of = |before: &Members, after: &Members| Self {
            id: id.bits(),
            at: at.millis(),
            kind: actor.kind.word(),
            actor: actor.id.clone(),
            name: actor.name.clone(),
            via: actor.via.map(Via::word),
            address: actor.address.map(|address| address.to_string()),
            action: deed.action.word(),
            company: deed.company.as_ref().map(|company| company.as_str().to_owned()),
            domain: deed.domain.as_ref().map(|domain| domain.as_str().to_owned()),
            subscription: deed.subscription.map(SubscriptionId::bits),
            subject: deed.subject.clone(),
            before: Value::Object(before.clone()).to_string(),
            after: Value::Object(after.clone()).to_string(),
        };
        let mut record = of(&deed.before, &deed.after);
        let (mut before, mut after) = (deed.before.clone(), deed.after.clone());
        for most in CUT_TO {
            if encode(&record).len() <= MOST_BYTES {
                break;
            }
            before.values_mut().chain(after.values_mut()).for_each(|value| cut(value, most));
            record = of(&before, &after);
        }
        record
    }
}

/// Shortens a long value to its beginning, as text.
fn cut(value: &mut Value, most: usize) {
    let text = match &*value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.chars().count() > most {
        *value = Value::String(text.chars().take(most).chain(['…']).collect());
    }
}

impl AuditRecord {
    /// The entry; `None` if it cannot be read.
    pub(crate) fn entry(self) -> Option<AuditEntry> {
        let members = |text: &str| serde_json::from_str::<Members>(text).ok();
        Some(AuditEntry {
            id: AuditId::from_bits(self.id),
            at: at(self.at),
            actor: Actor {
                kind: ActorKind::read(&self.kind)?,
                id: self.actor,
                name: self.name,
                via: optional(self.via, Via::read)?,
                address: self.address.and_then(|address| address.parse().ok()),
            },
            deed: Deed {
                action: Action::read(&self.action)?,
                // An unreadable company must not become an entry of none: admins alone see those.
                company: optional(self.company, |name| Company::parse(name).ok())?,
                domain: self.domain.and_then(|domain| Domain::parse(&domain).ok()),
                subscription: self.subscription.map(SubscriptionId::from_bits),
                subject: self.subject,
                before: members(&self.before)?,
                after: members(&self.after)?,
            },
        })
    }

    /// The keys of the terms under which it is found.
    pub(crate) fn places(&self) -> Vec<u64> {
        let words = [Some(self.kind.as_str()), self.actor.as_deref(), self.name.as_deref()];
        let own = [Term::Audited, Term::Action(&self.action)].into_iter();
        let own = own.chain(words.into_iter().flatten().map(Term::Actor));
        let own = own.chain(self.subscription.map(Term::Concerned));
        let owner = self.company.as_deref().map_or(Owner::UNKNOWN, Owner::company);
        let mut keys = owner.keys(own);
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

impl Kind for AuditRecord {
    const NAME: &'static str = "entries of the audit";
    const CLASS: Class = Class::Other;
    const GRANTS_RIGHTS: bool = false;

    encoded_as_itself!(40);
    not_indexed!();
    begins_no_delivery!();
    complete_if_decoded!();

    fn apply(self, _: u128, target: Target<'_>) -> Option<Self> {
        for term in self.places() {
            target.view.put(keys::audit_term(term).with(&self.id.to_be_bytes()), Vec::new());
        }
        target.view.put(keys::audit(AuditId::from_bits(self.id)), versioned(&self));
        None
    }

    kept_by_the_view!();
    // By construction: see `core::audit`.
    nothing_personal!();
}

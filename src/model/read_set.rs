//! Which values of the view a decision will look at, as far as its command tells: an engine whose values are not in
//! memory reads them ahead, all at once. What a decision reads beside them it finds all the same.

use crate::model::command::{AttemptResult, Command, Operation};
use crate::model::key::{Key, ValueKind};
use crate::model::keys;

/// The values that a command looks at.
pub(crate) fn of_command(command: &Command) -> Vec<Key> {
    match command {
        Command::Accept(events, _) => {
            let of_event = |event: &crate::core::event::NewEvent| {
                let company = event.company.as_str();
                let producer = event.producer_id.as_ref().map(|id| keys::producer(company, id.as_str()));
                [Some(keys::call(company, event.call.as_str())), producer]
            };
            events.iter().flat_map(of_event).flatten().collect()
        }
        Command::Message(prepared, _) => {
            let message = &prepared.message;
            let company = message.company.as_str();
            let producer = message.producer_id.as_ref().map(|id| keys::message(company, id.as_str()));
            let call = message.call.as_str();
            [Some(keys::thread(company, call)), Some(keys::call(company, call)), producer]
                .into_iter()
                .flatten()
                .collect()
        }
        Command::By(_, Operation::Retry(known, _) | Operation::Cancel(known, ..))
        | Command::CancelErased(known, ..) => {
            [ValueKind::Owed, ValueKind::Dead].map(|kind| keys::delivery(kind, known.delivery.id)).into()
        }
        Command::By(_, Operation::OpenMemberSession(entry, ..)) => vec![keys::sign_in(entry.until, &entry.sign_in)],
        Command::By(..) | Command::TouchSession(..) | Command::ErasureProgress(..) => Vec::new(),
    }
}

/// The values that the result of an attempt looks at.
pub(crate) fn of_result(result: &AttemptResult) -> Key {
    keys::delivery(ValueKind::Owed, result.after.id)
}

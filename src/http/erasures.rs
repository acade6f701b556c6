//! `/v1/erase`: erasing a person's data, and past erasures.

use hyper::StatusCode;
use serde::Serialize;

use super::bridge;
use super::cursor::{self, List};
use super::fair_limit::Lane;
use super::problem::Problem;
use super::reply::{Reply, json};
use super::request::{Document, Permitted};
use super::shape::{Items, Text};
use crate::core::event::Company;
use crate::core::id::ErasureId;
use crate::core::invalid::{Invalid, pointer};
use crate::core::json as text;
use crate::core::time::Timestamp;
use crate::store::Erasure;

/// The parameters of an erasure.
#[derive(Debug, PartialEq, Eq)]
struct Order {
    company: Company,
    phone: String,
    /// Whether outstanding deliveries are cancelled; otherwise they are sent without the erased data.
    cancel: bool,
}

#[derive(Serialize)]
struct ErasureJson<'e> {
    id: Text<ErasureId>,
    company: &'e str,
    requested_at: Text<Timestamp>,
    done_at: Option<Text<Timestamp>>,
    events: u64,
    messages: u64,
    log_entries: u64,
    cancelled: u64,
}

fn shown(erasure: &Erasure) -> ErasureJson<'_> {
    ErasureJson {
        id: Text(erasure.id),
        company: erasure.company.as_str(),
        requested_at: Text(erasure.requested_at),
        done_at: erasure.done_at.map(Text),
        events: erasure.events,
        messages: erasure.messages,
        log_entries: erasure.log_entries,
        cancelled: erasure.cancelled,
    }
}

/// Erases a person's data. Responds once none of it is shown or sent any more; it is removed from disk shortly after,
/// as reported by [`list`].
pub(super) async fn erase(mut request: Permitted) -> Result<Reply, Problem> {
    request.no_query()?;
    let Order { company, phone, cancel } = order(&request.json().await?)?;
    request.access.own(&company)?;
    let now = (request.services().clock)();
    let acting = request.acting();
    let erase = move |_: &crate::store::Store| acting.erase(&company, &phone, cancel, now);
    let erasure = bridge::read_in(Lane::Control, &request, erase).await?;
    json(StatusCode::ACCEPTED, &shown(&erasure))
}

/// Past erasures, newest first.
pub(super) async fn list(request: Permitted) -> Result<Reply, Problem> {
    let mut query = request.query();
    let company = query.take("company", Company::parse);
    let page = query.page(List::Erasures);
    query.finish()?;
    let company = request.access.narrow(company)?;
    let read = move |store: &crate::store::Store| store.erasures(company.as_ref());
    let mut found = bridge::read_in(Lane::Control, &request, read).await?;
    found.retain(|erasure| page.after.is_none_or(|after| erasure.id.bits() < after));
    let more = found.len() > page.limit;
    found.truncate(page.limit);
    let next = found.last().filter(|_| more).map(|last| cursor::write(List::Erasures, last.id.bits()));
    json(StatusCode::OK, &Items { items: found.iter().map(shown).collect(), next, scanned_until: None })
}

fn order(document: &Document) -> Result<Order, Problem> {
    let members = text::members(document.parse()?).map_err(|fault| Problem::invalid("", fault))?;
    let mut invalid = Invalid::default();
    if let Some(name) = text::first_duplicate(&members) {
        invalid.add(pointer(name), "is given twice");
    }
    let (mut company, mut phone, mut cancel) = (None, None, true);
    for (name, value) in &members {
        let string = || text::string(value);
        match name.as_ref() {
            "company" => company = invalid.check("/company", string().and_then(|text| Company::parse(&text))),
            "phone" => phone = invalid.check("/phone", string().and_then(|text| super::query::text(&text))),
            "deliveries" if text::Kind::of(value) == text::Kind::Null => {}
            "deliveries" => {
                let read = string().and_then(|text| match text.as_str() {
                    "cancel" => Ok(true),
                    "deliver" => Ok(false),
                    _ => Err("must be \"cancel\" (pending deliveries are not sent) or \"deliver\" (without the data)"
                        .to_owned()),
                });
                cancel = invalid.check("/deliveries", read).unwrap_or(true);
            }
            _ => invalid.add(pointer(name), "is not a member here; there are: company, phone, deliveries"),
        }
    }
    for (name, wanted) in [("company", "whose events they are"), ("phone", "the lead's number, as `lead_phone` has it")]
    {
        if !members.iter().any(|(member, _)| member == name) {
            invalid.add(pointer(name), format!("is missing: {wanted}"));
        }
    }
    let order = company.zip(phone).map(|(company, phone)| Order { company, phone, cancel });
    invalid.or(order).map_err(Problem::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_erasure_is_parsed_and_its_faults_are_named() {
        let read = |body: &str| order(&Document::of(body)).map_err(|problem| format!("{problem:?}"));
        assert!(read(r#"{"company":"acme","phone":"+1"}"#).unwrap().cancel);
        assert!(!read(r#"{"company":"acme","phone":"+1","deliveries":"deliver"}"#).unwrap().cancel);
        for (body, named) in [
            ("{}", "/phone"),
            (r#"{"company":"acme","phone":""}"#, "/phone"),
            (r#"{"company":"","phone":"+1"}"#, "/company"),
            (r#"{"company":"acme","phone":"+1","deliveries":"drop"}"#, "/deliveries"),
            (r#"{"company":"acme","phone":"+1","call":"c"}"#, "/call"),
        ] {
            let refusal = read(body).unwrap_err();
            assert!(refusal.contains(named), "{body}: {refusal}");
        }
    }
}

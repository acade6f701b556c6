//! `/v1/audit`: who changed what, and who looked at which secret; as pages, and as a stream.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::ACCEPT;
use serde::Serialize;

use super::bridge::{self, Asker};
use super::cursor::List;
use super::deliveries::parse_id;
use super::export::{self, Kind, Row};
use super::fair_limit::Lane;
use super::problem::Problem;
use super::query::{self, Query};
use super::reply::{Reply, json};
use super::request::Permitted;
use super::shape::{Items, Text};
use crate::core::actor::Via;
use crate::core::audit::{Action, AuditEntry, Members};
use crate::core::event::{Company, Domain};
use crate::core::id::{AuditId, SubscriptionId};
use crate::core::time::Timestamp;
use crate::store::{AuditFilter, Page};

/// An entry as returned by the API.
#[derive(Serialize)]
pub(super) struct AuditJson<'e> {
    id: Text<AuditId>,
    created: Text<Timestamp>,
    action: &'static str,
    actor: ActorJson<'e>,
    company: Option<&'e str>,
    domain: Option<&'e str>,
    subscription: Option<Text<SubscriptionId>>,
    subject: Option<&'e str>,
    before: &'e Members,
    after: &'e Members,
}

#[derive(Serialize)]
struct ActorJson<'e> {
    kind: &'static str,
    id: Option<&'e str>,
    name: Option<&'e str>,
    via: Option<&'static str>,
    address: Option<Text<std::net::IpAddr>>,
}

impl<'e> AuditJson<'e> {
    pub(super) fn of(entry: &'e AuditEntry) -> Self {
        let AuditEntry { id, at, actor, deed } = entry;
        Self {
            id: Text(*id),
            created: Text(*at),
            action: deed.action.as_str(),
            actor: ActorJson {
                kind: actor.kind.as_str(),
                id: actor.id.as_deref(),
                name: actor.name.as_deref(),
                via: actor.via.map(Via::as_str),
                address: actor.address.map(Text),
            },
            company: deed.company.as_ref().map(Company::as_str),
            domain: deed.domain.as_ref().map(Domain::as_str),
            subscription: deed.subscription.map(Text),
            subject: deed.subject.as_deref(),
            before: &deed.before,
            after: &deed.after,
        }
    }
}

impl Row for AuditEntry {
    const COLUMNS: &'static [&'static str] = &[
        "Created",
        "Action",
        "Actor",
        "Actor id",
        "Name",
        "Via",
        "Address",
        "Company",
        "Domain",
        "Subscription",
        "Subject",
        "Before",
        "After",
        "Id",
    ];
    const FILE: &'static str = "attachment; filename=\"hookswitch-audit.csv\"";

    fn cells(&self) -> Vec<String> {
        fn text(value: Option<impl ToString>) -> String {
            value.map(|value| value.to_string()).unwrap_or_default()
        }
        let object = |members: &Members| if members.is_empty() { String::new() } else { members_text(members) };
        let Self { id, at, actor, deed } = self;
        vec![
            at.to_string(),
            deed.action.to_string(),
            actor.kind.to_string(),
            text(actor.id.as_ref()),
            text(actor.name.as_ref()),
            text(actor.via),
            text(actor.address),
            text(deed.company.as_ref().map(Company::as_str)),
            text(deed.domain.as_ref().map(Domain::as_str)),
            text(deed.subscription),
            text(deed.subject.as_ref()),
            object(&deed.before),
            object(&deed.after),
            id.to_string(),
        ]
    }

    fn write_json(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        serde_json::to_writer(out, &AuditJson::of(self))
    }
}

/// Members as JSON text.
pub(super) fn members_text(members: &Members) -> String {
    serde_json::to_string(members).unwrap_or_default()
}

fn filter(query: &mut Query) -> AuditFilter {
    AuditFilter {
        company: query.take("company", Company::parse),
        actor: query.take("actor", query::text),
        action: query.take("action", Action::parse),
        subscription: query.take("subscription", parse_id),
        since: query.take_with_plus("since", Timestamp::parse),
        until: query.take_with_plus("until", Timestamp::parse),
    }
}

/// The audit, newest first: a page as JSON, or all that match as CSV or NDJSON.
pub(super) async fn list(request: Permitted) -> Result<Reply, Problem> {
    let kind = request.headers().get(ACCEPT).and_then(|accept| Kind::wanted(accept.to_str().ok()?));
    let mut query = request.query();
    let mut filter = filter(&mut query);
    let page = if kind.is_none() { Some(query.page(List::Audit)) } else { None };
    query.finish()?;
    filter.company = request.access.narrow(filter.company)?;
    match (kind, page) {
        (Some(kind), _) => {
            let store = request.services().store.clone();
            let pages = Arc::new(move |after| store.audit(&filter, after, export::PAGE));
            export::stream(request.share(Lane::Read), request.account.clone(), pages, kind).await
        }
        (None, Some(page)) => {
            let found = self::page(&request, filter, page.after, page.limit).await?;
            let items = found.items.iter().map(AuditJson::of).collect();
            json(StatusCode::OK, &Items::of(items, List::Audit, found.next, found.scanned_until))
        }
        (None, None) => Err(Problem::internal()),
    }
}

/// Reads one page of entries, newest first, for the API and for the page's view.
///
/// # Errors
/// As [`bridge::read`].
pub(super) async fn page(
    asker: &impl Asker,
    filter: AuditFilter,
    after: Option<u128>,
    limit: usize,
) -> Result<Page<AuditEntry>, Problem> {
    bridge::read(asker, move |store| store.audit(&filter, after, limit)).await
}

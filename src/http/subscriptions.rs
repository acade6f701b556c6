//! `/v1/subscriptions`: the registered webhooks and their secrets.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;

use super::body::{json_text, no_content};
use super::bridge::{self, Asker as _, Share};
use super::cursor::List;
use super::fair_limit::Lane;
use super::problem::Problem;
use super::reply::{Reply, created, json};
use super::request::{Document, JSON, MERGE_PATCH, Permitted};
use super::shape::Items;
use super::target;
use crate::core::audit::{Action, Deed};
use crate::core::client_certificate::ClientCertificate;
use crate::core::event::{Company, Domain};
use crate::core::id::SubscriptionId;
use crate::core::invalid::{Invalid, pointer};
use crate::core::json as text;
use crate::core::mail_address::MailAddress;
use crate::core::signature::public_key;
use crate::core::subscription::{Secret, Subscription};
use crate::core::subscription_input::Change;
use crate::core::subscription_json::SubscriptionJson;
use crate::core::time::{format_duration, parse_duration};
use crate::sender::transport::BadCertificate;
use crate::store::SubscriptionFilter;

/// Default overlap during which the old secret also signs after a rotation.
const OVERLAP: Duration = Duration::from_secs(24 * 3600);
/// The place of the URL at which tokens are fetched.
const TOKEN_URL: &str = "/auth/token_url";
/// Maximum overlap.
const MOST_OVERLAP: Duration = Duration::from_secs(30 * 24 * 3600);

/// The subscription with this id, if the request may see it.
pub(super) fn find(request: &Permitted, id: SubscriptionId) -> Result<Arc<Subscription>, Problem> {
    let found = request.services().store.subscription(id);
    let found = found.filter(|found| request.access.sees(&found.company, found.domain.as_ref()));
    found.ok_or_else(|| Problem::not_found("there is no subscription with this id"))
}

/// Subscriptions in the order of their creation.
pub(super) fn list(request: &Permitted) -> Result<Reply, Problem> {
    let mut query = request.query();
    let company = query.take("company", Company::parse);
    let domain = query.take("domain", Domain::parse);
    let page = query.page(List::Subscriptions);
    query.finish()?;
    let (company, domain) = (request.access.narrow(company)?, request.access.narrow_domain(domain)?);
    let filter = SubscriptionFilter { company, domain };
    let after = page.after.map(SubscriptionId::from_bits);
    let found = request.services().store.subscriptions_page(&filter, after, page.limit);
    let now = (request.services().clock)();
    let items = found.items.iter().map(|one| SubscriptionJson::of(&one.subscription, one.waiting, now)).collect();
    json(StatusCode::OK, &Items::of(items, List::Subscriptions, found.next, None))
}

/// One subscription.
pub(super) fn show(request: &Permitted, id: SubscriptionId) -> Result<Reply, Problem> {
    request.no_query()?;
    let found = find(request, id)?;
    json(
        StatusCode::OK,
        &SubscriptionJson::of(&found, request.services().store.waiting(id), (request.services().clock)()),
    )
}

/// Registers a webhook. Its secret is given or generated; [`secret`] returns it.
pub(super) async fn create(mut request: Permitted) -> Result<Reply, Problem> {
    request.no_query()?;
    let document = request.json().await?;
    let mut change = Change::from_json(document.parse()?, &request.services().catalogue)?;
    change.domain = Some(request.access.narrow_domain(change.domain.flatten())?);
    check_mails(&request, change.notify.as_deref(), &[])?;
    let url = change.url.clone();
    let draft = change.into_draft(request.services().default_ordering)?;
    request.access.own(draft.company())?;
    check_certificate(&request, draft.client_certificate())?;
    check_url(&request, draft.company(), "/url", url).await?;
    check_url(&request, draft.company(), TOKEN_URL, target::token_url(draft.target())).await?;
    target::check(&request, target::sample_of(&draft)).await?;
    let made = bridge::written(|reply| request.acting().create_subscription(draft, reply)).await?;
    // The next new webhook on the page gets another secret.
    request.context.reserved.release(&made.secret);
    created(&format!("/v1/subscriptions/{}", made.id), &SubscriptionJson::of(&made, 0, (request.services().clock)()))
}

/// Changes the members in the body.
pub(super) async fn change(mut request: Permitted, id: SubscriptionId) -> Result<Reply, Problem> {
    request.no_query()?;
    let before = find(&request, id)?;
    let (_, document) = request.body(&[JSON, MERGE_PATCH]).await?;
    let mut change = Change::from_json(document.parse()?, &request.services().catalogue)?;
    if let Some(domain) = change.domain.take() {
        change.domain = Some(request.access.narrow_domain(domain)?);
    }
    check_mails(&request, change.notify.as_deref(), &before.notify)?;
    if !change.certificate.is_empty() {
        let after = change.certificate.resolve(before.client_certificate.as_ref())?;
        check_certificate(&request, after.as_ref())?;
    }
    let url = change.url.clone().filter(|url| *url != before.url);
    check_url(&request, &before.company, "/url", url).await?;
    let after = change.apply(&before, before.updated_at)?;
    if target::token_url(&after.target) != target::token_url(&before.target) {
        check_url(&request, &before.company, TOKEN_URL, target::token_url(&after.target)).await?;
    }
    if target::concerns(&before, &after) {
        target::check(&request, after).await?;
    }
    let after = bridge::written(|reply| request.acting().change_subscription(id, change, reply)).await?;
    json(
        StatusCode::OK,
        &SubscriptionJson::of(&after, request.services().store.waiting(id), (request.services().clock)()),
    )
}

/// Refuses a URL that deliveries could not be posted to; resolves its host.
async fn check_url(
    request: &Permitted,
    company: &Company,
    pointer: &'static str,
    url: Option<String>,
) -> Result<(), Problem> {
    let Some(url) = url else { return Ok(()) };
    let context = Arc::clone(&request.context);
    let share = Share::of(&request.context, Lane::UrlCheck, request.principal().concerning(company));
    let checked = share.run(move || context.services.transport.get().check_url(&url)).await?;
    checked.map_err(|fault| Problem::invalid(pointer, fault))
}

/// Refuses addresses, other than there are already, to which this daemon can send no mail.
fn check_mails(request: &Permitted, wanted: Option<&[MailAddress]>, before: &[MailAddress]) -> Result<(), Problem> {
    const NO_SERVER: &str = "cannot be told anything: this daemon has no mail server. Set `smtp_url` and `mail_from` in \
                             [alerts] of its configuration first (it takes them by SIGHUP), or leave `notify` out";
    let more = wanted.unwrap_or_default().iter().any(|address| !before.contains(address));
    if more && !(request.services().can_mail)() {
        return Err(Problem::invalid("/notify", NO_SERVER));
    }
    Ok(())
}

/// Refuses an unusable client certificate.
fn check_certificate(request: &Permitted, certificate: Option<&Arc<ClientCertificate>>) -> Result<(), Problem> {
    let checked = certificate.map_or(Ok(()), |it| request.services().transport.get().check_certificate(it));
    checked.map_err(|bad| match bad {
        BadCertificate::Cert(why) => Problem::invalid("/client_cert", why),
        BadCertificate::Key(why) => Problem::invalid("/client_key", why),
    })
}

/// Deletes it and cancels its outstanding deliveries.
pub(super) async fn delete(request: Permitted, id: SubscriptionId) -> Result<Reply, Problem> {
    request.no_query()?;
    find(&request, id)?;
    bridge::written(|reply| request.acting().delete_subscription(id, reply)).await?;
    Ok(no_content())
}

/// The signing secret, once it is recorded who looks at it.
pub(super) async fn secret(request: Permitted, id: SubscriptionId) -> Result<Reply, Problem> {
    request.no_query()?;
    let subscription = find(&request, id)?;
    check_unlocked(&subscription)?;
    request.note(Deed::to(Action::SecretShow, &subscription)).await?;
    Ok(reveal(&subscription.secret))
}

/// Refuses a subscription whose secrets cannot be decrypted.
pub(super) fn check_unlocked(subscription: &Subscription) -> Result<(), Problem> {
    if subscription.is_locked() {
        return Err(Problem::conflict(Subscription::LOCKED));
    }
    Ok(())
}

fn reveal(secret: &Secret) -> Reply {
    json_text(
        StatusCode::OK,
        format!(r#"{{"secret":{},"public_key":"{}"}}"#, text::quote(&secret.reveal()), public_key(secret)),
    )
}

/// Sets a new secret, given or generated; the old one also signs during the overlap.
pub(super) async fn rotate_secret(mut request: Permitted, id: SubscriptionId) -> Result<Reply, Problem> {
    request.no_query()?;
    find(&request, id)?;
    let (given, overlap) = match request.optional_json().await? {
        Some(document) => rotation(&document)?,
        None => (None, OVERLAP),
    };
    let secret = bridge::written(|reply| request.acting().rotate_secret(id, given, overlap, reply)).await?;
    Ok(reveal(&secret))
}

/// The new secret, if given, and the overlap.
fn rotation(document: &Document) -> Result<(Option<Secret>, Duration), Problem> {
    let members = text::members(document.parse()?).map_err(|fault| Problem::invalid("", fault))?;
    let mut invalid = Invalid::default();
    let (mut given, mut overlap) = (None, OVERLAP);
    if let Some(name) = text::first_duplicate(&members) {
        invalid.add(pointer(name), "is given twice");
    }
    for (name, value) in &members {
        if name == "overlap" {
            let read = text::string(value).and_then(|text| parse_duration(&text)).and_then(|length| {
                let most = format_duration(MOST_OVERLAP);
                if length > MOST_OVERLAP { Err(format!("must be at most {most}")) } else { Ok(length) }
            });
            overlap = invalid.check("/overlap", read).unwrap_or(overlap);
        } else if name == "secret" {
            if !text::is_nothing(value) {
                given = invalid.check("/secret", text::string(value).and_then(|text| Secret::parse(&text)));
            }
        } else {
            invalid.add(pointer(name), "is not a member here; there are: overlap, secret");
        }
    }
    invalid.or(Some((given, overlap))).map_err(Problem::from)
}

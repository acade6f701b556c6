//! `/v1/portal-links`: a platform makes a link that signs a user of one of its companies in, once.
//!
//! The secret of a link is the fragment of its address: browsers send a fragment to nobody, so it reaches neither the log
//! of a proxy nor a `Referer`, and a program that only looks at links does not use it up.

use hyper::StatusCode;
use hyper::header::{HOST, HeaderMap};
use serde::Serialize;

use super::body::no_content;
use super::bridge;
use super::problem::Problem;
use super::reply::{Reply, json};
use super::request::Permitted;
use super::shape::Text;
use crate::core::id::PortalLinkId;
use crate::core::portal_link::PortalLinkDraft;
use crate::core::time::Timestamp;

/// The path of the page that takes a link.
pub(super) const PATH: &str = "/portal";

const NEEDS_TOKEN: &str = "a portal link ends with the token that made it, and this session has none: make the link with \
                           `Authorization: Bearer TOKEN`";

#[derive(Serialize)]
struct Made {
    /// To revoke it by.
    id: Text<PortalLinkId>,
    url: String,
    expires_at: Text<Timestamp>,
}

/// Makes a link. Its address is shown in this response only.
pub(super) async fn create(mut request: Permitted) -> Result<Reply, Problem> {
    request.no_query()?;
    let document = request.json().await?;
    let draft = PortalLinkDraft::from_json(document.parse()?)?;
    request.access.own(&draft.company)?;
    let base = base(&request)?;
    if request.access.member().is_some() {
        return Err(Problem::forbidden(NEEDS_TOKEN));
    }
    // Sessions and links end with the token that made them.
    let Some(token) = request.access.token().copied() else { return Err(Problem::internal()) };
    let made = bridge::written(|reply| request.acting().create_portal_link(draft, token, reply)).await?;
    let (link, text) = &made;
    let url = format!("{base}{PATH}#{}", text.expose());
    json(StatusCode::CREATED, &Made { id: Text(link.id), url, expires_at: Text(link.expires_at) })
}

/// Where browsers find the page: as configured, or as this request found the daemon.
fn base(request: &Permitted) -> Result<String, Problem> {
    let page = &request.context.page;
    if let Some(url) = &page.url {
        return Ok(url.clone());
    }
    let scheme = if page.encrypted { "https" } else { "http" };
    Ok(format!("{scheme}://{}", host(request.headers())?))
}

fn host(headers: &HeaderMap) -> Result<&str, Problem> {
    headers.get(HOST).and_then(|host| host.to_str().ok()).ok_or_else(Problem::internal)
}

/// Revokes a link, and ends the session that it opened.
pub(super) async fn revoke(request: Permitted, id: PortalLinkId) -> Result<Reply, Problem> {
    request.no_query()?;
    let company = request.services().store.portal_link_company(id);
    if !company.is_some_and(|company| request.access.sees(&company, None)) {
        return Err(Problem::not_found("there is no portal link with this id, or it has expired unused"));
    }
    bridge::written(|reply| request.acting().revoke_portal_link(id, reply)).await?;
    Ok(no_content())
}

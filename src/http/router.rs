//! Routes a request: health, the page, authorisation, API.
//!
//! Above all handlers; none of them knows it.

use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION};

use super::authentication;
use super::budget::Account;
use super::connection::{Handler, Peer};
use super::context::RequestContext;
use super::fair_limit::Principal;
use super::openapi::Description;
use super::page::{self, Page, View};
use super::problem::Problem;
use super::reply::{self, Reply};
use super::request::Authorised;
use super::routes::{self, Resource};
use super::{health, metrics};

/// Answers requests.
pub(super) struct Router {
    context: Arc<RequestContext>,
    /// The OpenAPI description.
    description: Description,
    page: Arc<Page>,
}

impl Router {
    pub(super) fn new(context: Arc<RequestContext>) -> Self {
        let description = Description::of(&context.services.catalogue);
        let provider = context.services.provider.as_ref().map(|provider| provider.name());
        let page = Arc::new(Page::new(&context.page, provider));
        Self { context, description, page }
    }

    /// Health is public, and the page redirects to its sign-in. Everything else requires a token first, so that paths
    /// are not revealed without one.
    async fn answer(&self, request: Request<Incoming>) -> Result<Reply, Problem> {
        let context = &self.context;
        if let Some(view) = page::find(request.uri().path()) {
            return Box::pin(page::answer(&self.page, context, view, request)).await;
        }
        let resource = routes::find(request.uri().path());
        if resource == Some(Resource::Health) {
            Resource::Health.check_method(request.method())?;
            return Ok(health::alive());
        }
        if resource == Some(Resource::Ready) {
            Resource::Ready.check_method(request.method())?;
            return health::ready(&context.services);
        }
        if resource == Some(Resource::OpenApi) {
            Resource::OpenApi.check_method(request.method())?;
            return self.description.show();
        }
        if resource == Some(Resource::Metrics) && context.services.metrics_public {
            Resource::Metrics.check_method(request.method())?;
            return Box::pin(metrics::show(context, Principal::new(None, None))).await;
        }
        if resource.is_none() && is_browsing(&request) {
            return Box::pin(page::answer(&self.page, context, View::Missing, request)).await;
        }
        let access = authentication::authenticate(context, &request)?;
        Peer::is_known(&request);
        let resource = resource.ok_or_else(|| {
            Problem::not_found("there is nothing at this path: check it, and that an id in it is whole")
        })?;
        resource.check_method(request.method())?;
        let account = Account::new(&context.services.budget, access.principal(), Peer::of(&request));
        let reply =
            routes::answer(resource, Authorised::new(Arc::clone(context), access, account.clone(), request)).await?;
        reply::counted(reply, &account)
    }
}

/// Whether somebody looks at an address in a browser, rather than a program that expects a problem as JSON.
fn is_browsing(request: &Request<Incoming>) -> bool {
    let headers = request.headers();
    let wants_page =
        headers.get_all(ACCEPT).iter().any(|line| line.to_str().is_ok_and(|line| line.contains("text/html")));
    request.method().is_safe() && wants_page && !headers.contains_key(AUTHORIZATION)
}

impl Handler for Router {
    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Reply {
        self.answer(request).await.unwrap_or_else(Problem::into_reply)
    }
}

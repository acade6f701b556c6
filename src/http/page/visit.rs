//! A request for a view: the visitor, the company, and queries of the API.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Request, StatusCode, Uri};
use minijinja::{Value, context};
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use url::form_urlencoded;

use super::language::Spoken;
use super::recent::Recent;
use super::render::html;
use super::state::Page;
use super::streams::Streams;
use crate::core::event::{Company, Domain};
use crate::core::id::SessionId;
use crate::core::token::Role;
use crate::http::access::Access;
use crate::http::body::Body;
use crate::http::bridge::Asker;
use crate::http::budget::Account;
use crate::http::context::{RequestContext, Services};
use crate::http::fair_limit::Principal;
use crate::http::problem::Problem;
use crate::http::reply::Reply;
use crate::http::request::Authorised;
use crate::http::routes::{self, Resource};
use crate::texts::Texts;

/// A `GET` of the page by a signed-in user.
pub(super) struct Visit {
    page: Arc<Page>,
    context: Arc<RequestContext>,
    access: Access,
    account: Account,
    uri: Uri,
    query: Vec<(String, String)>,
    spoken: Spoken,
}

impl Asker for Visit {
    fn context(&self) -> &RequestContext {
        &self.context
    }

    fn principal(&self) -> Principal {
        self.access.principal()
    }
}

impl Visit {
    pub(super) fn new(
        page: Arc<Page>,
        context: Arc<RequestContext>,
        access: Access,
        account: Account,
        request: &Request<Incoming>,
    ) -> Self {
        let uri = request.uri();
        let by_link = access.visitor().and_then(|visitor| visitor.language.as_deref());
        let spoken = Spoken::of(request.headers(), by_link, context.page.language.as_deref());
        let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned();
        // An empty filter counts as absent.
        let query = query.filter(|(_, value)| !value.is_empty()).collect();
        Self { page, context, access, account, uri: uri.clone(), query, spoken }
    }

    /// The texts of the viewer's language.
    pub(super) fn texts(&self) -> &'static Texts {
        self.spoken.texts()
    }

    /// The viewer's region, as far as the browser tells it.
    pub(super) fn region(&self) -> Option<&str> {
        self.spoken.region.as_ref().and_then(|region| std::str::from_utf8(region).ok())
    }

    /// The services of other modules.
    pub(super) fn services(&self) -> &Services {
        &self.context.services
    }

    /// The attempts of the last 24 hours.
    pub(super) fn recent(&self) -> &Mutex<Recent> {
        &self.page.recent
    }

    /// The streams of live views.
    pub(super) fn streams(&self) -> &Arc<Streams> {
        &self.page.streams
    }

    /// The visitor's session.
    pub(super) const fn session(&self) -> Option<SessionId> {
        self.access.session()
    }

    /// Whether the visitor came by a portal link.
    pub(super) fn is_in_portal(&self) -> bool {
        self.access.visitor().is_some()
    }

    /// Whether the visitor's token is bound to one company.
    pub(super) fn is_bound(&self) -> bool {
        self.access.is_bound()
    }

    /// Whether the visitor may make changes.
    pub(super) fn is_admin(&self) -> bool {
        self.access.may(Role::Admin)
    }

    /// The query string of the address.
    pub(super) fn query_text(&self) -> Option<&str> {
        self.uri.query()
    }

    /// The parameters of the address with one of these names that are not empty.
    pub(super) fn chosen<'v>(&'v self, names: &'v [&str]) -> impl Iterator<Item = (&'v str, &'v str)> {
        let named = self.query.iter().filter(|(name, _)| names.contains(&name.as_str()));
        named.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// The company shown: the token's own, or the selected one; `None` for all.
    pub(super) fn company(&self) -> Option<&str> {
        self.access.company().map(Company::as_str).or_else(|| self.parameter("company"))
    }

    /// The only domain that the visitor sees, if so.
    pub(super) fn domain(&self) -> Option<&Domain> {
        self.access.domain()
    }

    /// The API's response to a `GET` of `path` with `parameters`, with the visitor's permissions.
    ///
    /// # Errors
    /// Those of the API.
    pub(super) async fn ask<'p>(
        &self,
        path: &str,
        parameters: impl IntoIterator<Item = (&'p str, &'p str)>,
    ) -> Result<Value, Problem> {
        self.ask_for(path, parameters).await
    }

    /// The same, deserialised as a `T`.
    ///
    /// # Errors
    /// Those of the API.
    pub(super) async fn ask_for<'p, T: DeserializeOwned>(
        &self,
        path: &str,
        parameters: impl IntoIterator<Item = (&'p str, &'p str)>,
    ) -> Result<T, Problem> {
        let (resource, request) = self.request(path, parameters)?;
        let reply = routes::answer(resource, request).await?;
        let Body::Whole(text) = reply.into_body() else { return Err(Problem::internal()) };
        serde_json::from_slice(&text).map_err(|error| {
            tracing::error!("the page cannot read the API's response at {path}: {error}");
            Problem::internal()
        })
    }

    /// The API's response to a `GET` of `path` as CSV, for download.
    ///
    /// # Errors
    /// Those of the API.
    pub(super) async fn csv<'p>(
        &self,
        path: &str,
        parameters: impl IntoIterator<Item = (&'p str, &'p str)>,
    ) -> Result<Reply, Problem> {
        let (resource, request) = self.request(path, parameters)?;
        routes::answer(resource, request.accepting(HeaderValue::from_static("text/csv"))).await
    }

    fn request<'p>(
        &self,
        path: &str,
        parameters: impl IntoIterator<Item = (&'p str, &'p str)>,
    ) -> Result<(Resource, Authorised), Problem> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let uri: Uri = format!("{path}?{query}").trim_end_matches('?').parse().map_err(|_| Problem::internal())?;
        let resource = routes::find(uri.path()).ok_or_else(Problem::internal)?;
        Ok((resource, Authorised::within(Arc::clone(&self.context), self.access.clone(), self.account.clone(), uri)))
    }

    /// Renders the template `name` with `values` as a view of `section`.
    ///
    /// # Errors
    /// 500 if they do not match.
    pub(super) fn page(&self, name: &str, section: &str, values: Value) -> Result<Reply, Problem> {
        self.rendered(StatusCode::OK, name, section, values)
    }

    /// The error page.
    ///
    /// # Errors
    /// 500 if it cannot be rendered.
    pub(super) fn problem(&self, problem: &Problem) -> Result<Reply, Problem> {
        let status = StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let values = context! { status => status.as_u16(), detail => problem.detail() };
        self.rendered(status, "problem.html", "", values)
    }

    fn rendered(&self, status: StatusCode, name: &str, section: &str, values: Value) -> Result<Reply, Problem> {
        let here = self.uri.path_and_query().map_or("/", hyper::http::uri::PathAndQuery::as_str);
        let more = context! {
            section => section,
            path => self.uri.path(),
            signed_in => true,
            can_change => self.is_admin(),
            bound => self.access.is_bound(),
            portal => self.is_in_portal(),
            domain => self.access.domain().map(Domain::as_str),
            user => self.user(),
            company => self.company(),
            companies => self.companies(),
            // Keeps the selected company in links.
            and_company => self.carried('&'),
            with_company => self.carried('?'),
        };
        let page = self.page.given(self.spoken, here, more);
        let text = self.page.templates.render(self.spoken.language, name, context! { page => page, ..values })?;
        Ok(html(status, text))
    }

    /// Who the visitor is, as far as that is known.
    fn user(&self) -> Option<&str> {
        let visitor = self.access.visitor().and_then(|visitor| visitor.user.as_deref());
        visitor.or_else(|| self.access.member().map(|member| member.name.as_str()))
    }

    /// The selected company as a parameter that follows `sign`; empty for a token bound to one.
    pub(super) fn carried(&self, sign: char) -> String {
        let chosen = self.company().filter(|_| !self.access.is_bound());
        let pair = |company| {
            form_urlencoded::Serializer::for_suffix(sign.to_string(), 1).append_pair("company", company).finish()
        };
        chosen.map(pair).unwrap_or_default()
    }

    /// The selectable companies: those with webhooks. None for a token bound to one.
    fn companies(&self) -> Vec<String> {
        if self.access.is_bound() {
            return Vec::new();
        }
        let with_webhook = self.services().store.companies_with_webhook();
        let chosen = self.company().map(str::to_owned);
        let mut names: Vec<String> = with_webhook.iter().map(ToString::to_string).chain(chosen).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

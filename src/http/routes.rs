//! The table of paths, with methods and roles.

use std::future::ready;
use std::pin::Pin;

use hyper::Method;

use super::path::segments;
use super::problem::Problem;
use super::reply::Reply;
use super::request::Authorised;
use super::{
    audit, backlog, backup, calls, cluster, copies, deliveries, erasures, event_types, events, handshake, log,
    messages, metrics, portal_links, probes, report, sessions, stats, subscriptions, target, tokens,
};
use crate::core::event::CallId;
use crate::core::id::{AttemptId, DeliveryId, EventId, PortalLinkId, SessionId, SubscriptionId, TokenId};
use crate::core::token::Role;

/// A resource with a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resource {
    Health,
    Ready,
    OpenApi,
    Metrics,
    Events,
    Event(EventId),
    Erase,
    Messages,
    Conversations,
    Conversation(CallId),
    EventTypes,
    EventType(String),
    Subscriptions,
    Subscription(SubscriptionId),
    Secret(SubscriptionId),
    RotateSecret(SubscriptionId),
    TestStored(SubscriptionId),
    Handshake(SubscriptionId),
    Owed(SubscriptionId),
    Replay(SubscriptionId),
    Discard(SubscriptionId),
    Copy(SubscriptionId),
    TestUrl,
    Preview,
    Presets,
    Deliveries,
    Delivery(DeliveryId),
    Retry(DeliveryId),
    Cancel(DeliveryId),
    Log,
    LogEntry(AttemptId),
    Calls,
    Call(CallId),
    CallReport,
    Stats,
    Cluster,
    Tokens,
    Token(TokenId),
    Audit,
    Sessions,
    Session(SessionId),
    PortalLinks,
    PortalLink(PortalLinkId),
    Backup,
}

/// The resource at `path`.
pub(super) fn find(path: &str) -> Option<Resource> {
    let segments = segments(path)?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    Some(match segments.as_slice() {
        ["healthz"] => Resource::Health,
        ["readyz"] => Resource::Ready,
        ["openapi.json"] => Resource::OpenApi,
        ["metrics"] => Resource::Metrics,
        ["v1", rest @ ..] => match rest {
            ["events"] => Resource::Events,
            ["events", id] => Resource::Event(id.parse().ok()?),
            ["erase"] => Resource::Erase,
            ["messages"] => Resource::Messages,
            ["conversations"] => Resource::Conversations,
            ["conversations", call] => Resource::Conversation(CallId::parse(call).ok()?),
            ["event-types"] => Resource::EventTypes,
            ["event-types", name] => Resource::EventType((*name).to_owned()),
            ["subscriptions"] => Resource::Subscriptions,
            ["subscriptions", id] => Resource::Subscription(id.parse().ok()?),
            ["subscriptions", id, "secret"] => Resource::Secret(id.parse().ok()?),
            ["subscriptions", id, "rotate-secret"] => Resource::RotateSecret(id.parse().ok()?),
            ["subscriptions", id, "test"] => Resource::TestStored(id.parse().ok()?),
            ["subscriptions", id, "handshake"] => Resource::Handshake(id.parse().ok()?),
            ["subscriptions", id, "events"] => Resource::Owed(id.parse().ok()?),
            ["subscriptions", id, "replay"] => Resource::Replay(id.parse().ok()?),
            ["subscriptions", id, "copy"] => Resource::Copy(id.parse().ok()?),
            ["subscriptions", id, "discard"] => Resource::Discard(id.parse().ok()?),
            ["test"] => Resource::TestUrl,
            ["preview"] => Resource::Preview,
            ["presets"] => Resource::Presets,
            ["deliveries"] => Resource::Deliveries,
            ["deliveries", id] => Resource::Delivery(id.parse().ok()?),
            ["deliveries", id, "retry"] => Resource::Retry(id.parse().ok()?),
            ["deliveries", id, "cancel"] => Resource::Cancel(id.parse().ok()?),
            ["log"] => Resource::Log,
            ["log", id] => Resource::LogEntry(id.parse().ok()?),
            ["calls"] => Resource::Calls,
            ["calls", call] => Resource::Call(CallId::parse(call).ok()?),
            ["report", "calls"] => Resource::CallReport,
            ["stats"] => Resource::Stats,
            ["cluster"] => Resource::Cluster,
            ["tokens"] => Resource::Tokens,
            ["tokens", id] => Resource::Token(id.parse().ok()?),
            ["audit"] => Resource::Audit,
            ["sessions"] => Resource::Sessions,
            ["sessions", id] => Resource::Session(id.parse().ok()?),
            ["portal-links"] => Resource::PortalLinks,
            ["portal-links", id] => Resource::PortalLink(id.parse().ok()?),
            ["backup"] => Resource::Backup,
            _ => return None,
        },
        _ => return None,
    })
}

impl Resource {
    /// The allowed methods, as in the header `Allow`. HEAD is allowed wherever GET is.
    const fn allow(&self) -> &'static str {
        match self {
            Self::Events | Self::Erase | Self::Subscriptions | Self::Tokens => "GET, HEAD, POST",
            Self::Subscription(_) => "GET, HEAD, PATCH, DELETE",
            Self::Token(_) | Self::Session(_) | Self::PortalLink(_) => "DELETE",
            Self::Replay(_)
            | Self::Discard(_)
            | Self::Copy(_)
            | Self::RotateSecret(_)
            | Self::TestStored(_)
            | Self::Handshake(_)
            | Self::TestUrl
            | Self::Preview
            | Self::Messages
            | Self::PortalLinks
            | Self::Retry(_)
            | Self::Cancel(_) => "POST",
            _ => "GET, HEAD",
        }
    }

    /// Whether somebody who came by a portal link may ask for it: for what a company's own settings show. What concerns
    /// the platform, and other ways in, is not for them.
    fn is_in_portal(&self, method: &Method) -> bool {
        match self {
            Self::Events => method.is_safe(),
            Self::Event(_) | Self::Conversations | Self::Conversation(_) | Self::EventTypes | Self::EventType(_) => {
                true
            }
            Self::Subscriptions | Self::Subscription(_) | Self::Secret(_) | Self::RotateSecret(_) => true,
            Self::TestStored(_) | Self::Handshake(_) | Self::Owed(_) | Self::Replay(_) | Self::Discard(_) => true,
            Self::Copy(_) | Self::TestUrl | Self::Preview | Self::Presets => true,
            Self::Deliveries | Self::Delivery(_) | Self::Retry(_) | Self::Cancel(_) => true,
            Self::Log | Self::LogEntry(_) | Self::Calls | Self::Call(_) | Self::CallReport => true,
            Self::Health | Self::Ready | Self::OpenApi => true,
            Self::Metrics | Self::Erase | Self::Messages | Self::Stats | Self::Cluster | Self::Backup => false,
            Self::Tokens | Self::Token(_) | Self::Sessions | Self::Session(_) => false,
            Self::PortalLinks | Self::PortalLink(_) => false,
            // It names the people of the platform, and where they are.
            Self::Audit => false,
        }
    }

    /// Checks that the method is allowed.
    ///
    /// # Errors
    /// 405.
    pub(super) fn check_method(&self, method: &Method) -> Result<(), Problem> {
        let allow = self.allow();
        let known = allow.split(", ").any(|name| name == method.as_str());
        if known { Ok(()) } else { Err(Problem::method_not_allowed(method.as_str(), allow)) }
    }
}

const NOT_IN_PORTAL: &str = "this session came by a portal link, which is for the webhooks, the log, the calls and the \
                             report of its company alone";

/// Answers a request for `resource`, whose method was [checked](Resource::check_method).
///
/// # Errors
/// The refusal.
pub(super) fn answer(resource: Resource, request: Authorised) -> Answer {
    if request.is_by_visitor() && !resource.is_in_portal(request.method()) {
        return Box::pin(ready(Err(Problem::forbidden(NOT_IN_PORTAL))));
    }
    if resource == Resource::Events && *request.method() == Method::POST {
        // The hot path, thousands of times a second: its state is kept small, apart from the others'.
        return match request.permit(Role::Ingest) {
            Ok(request) => Box::pin(events::post(request)),
            Err(problem) => Box::pin(ready(Err(problem))),
        };
    }
    Box::pin(answer_other(resource, request))
}

/// A pending response. Boxed: by value it would add thousands of bytes to each enclosing future.
pub(super) type Answer = Pin<Box<dyn Future<Output = Result<Reply, Problem>> + Send>>;

async fn answer_other(resource: Resource, request: Authorised) -> Result<Reply, Problem> {
    use Resource as R;
    use Role::{Admin, Read};
    let method = request.method().clone();
    match (resource, method.as_str()) {
        (R::Health | R::Ready | R::OpenApi, _) | (R::Events, "POST") => Err(Problem::internal()),
        (R::Metrics, _) => metrics::permitted(&request.permit(Read)?).await,
        (R::Events, _) => events::list(request.permit(Read)?).await,
        (R::Event(id), _) => events::show(request.permit(Read)?, id).await,
        (R::Erase, "POST") => erasures::erase(request.permit(Admin)?).await,
        (R::Erase, _) => erasures::list(request.permit(Admin)?).await,
        (R::Messages, _) => messages::post(request.permit(Role::Ingest)?).await,
        (R::Conversations, _) => messages::list(request.permit(Read)?).await,
        (R::Conversation(call), _) => messages::show(request.permit(Read)?, call).await,
        (R::EventTypes, _) => event_types::list(&request.permit(Read)?),
        (R::EventType(name), _) => event_types::show(&request.permit(Read)?, &name),
        (R::Subscriptions, "POST") => subscriptions::create(request.permit(Admin)?).await,
        (R::Subscriptions, _) => subscriptions::list(&request.permit(Read)?),
        (R::Subscription(id), "PATCH") => subscriptions::change(request.permit(Admin)?, id).await,
        (R::Subscription(id), "DELETE") => subscriptions::delete(request.permit(Admin)?, id).await,
        (R::Subscription(id), _) => subscriptions::show(&request.permit(Read)?, id),
        (R::Secret(id), _) => subscriptions::secret(request.permit(Admin)?, id).await,
        (R::RotateSecret(id), _) => subscriptions::rotate_secret(request.permit(Admin)?, id).await,
        (R::TestStored(id), _) => probes::stored(request.permit(Admin)?, id).await,
        (R::Handshake(id), _) => handshake::ask(request.permit(Admin)?, id).await,
        (R::Owed(id), _) => backlog::events_between(request.permit(Read)?, id).await,
        (R::Replay(id), _) => backlog::replay(request.permit(Admin)?, id).await,
        (R::Copy(id), _) => copies::copy(request.permit(Admin)?, id).await,
        (R::Discard(id), _) => backlog::discard(request.permit(Admin)?, id).await,
        (R::TestUrl, _) => probes::unsaved(request.permit(Admin)?).await,
        (R::Preview, _) => target::preview(request.permit(Read)?).await,
        (R::Presets, _) => target::presets(&request.permit(Read)?),
        (R::Deliveries, _) => deliveries::list(request.permit(Read)?).await,
        (R::Delivery(id), _) => deliveries::show(request.permit(Read)?, id).await,
        (R::Retry(id), _) => deliveries::retry(request.permit(Admin)?, id).await,
        (R::Cancel(id), _) => deliveries::cancel(request.permit(Admin)?, id).await,
        (R::Log, _) => log::list(request.permit(Read)?).await,
        (R::LogEntry(id), _) => log::show(request.permit(Read)?, id).await,
        (R::Calls, _) => calls::list(request.permit(Read)?).await,
        (R::Call(call), _) => calls::show(request.permit(Read)?, call).await,
        (R::CallReport, _) => report::calls(request.permit(Read)?).await,
        (R::Stats, _) => stats::show(request.permit(Read)?).await,
        (R::Cluster, _) => cluster::show(request.permit(Read)?).await,
        (R::Tokens, "POST") => tokens::create(request.permit(Admin)?).await,
        (R::Tokens, _) => tokens::list(&request.permit(Admin)?),
        (R::Token(id), _) => tokens::revoke(request.permit(Admin)?, id).await,
        (R::Audit, _) => audit::list(request.permit(Read)?).await,
        (R::Sessions, _) => sessions::list(&request.permit(Admin)?),
        (R::Session(id), _) => sessions::end(request.permit(Admin)?, id).await,
        (R::PortalLinks, _) => portal_links::create(request.permit(Admin)?).await,
        (R::PortalLink(id), _) => portal_links::revoke(request.permit(Admin)?, id).await,
        (R::Backup, _) => backup::stream(request.permit(Admin)?).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_parsed() {
        let event = EventId::from_bits(7);
        let subscription = SubscriptionId::from_bits(8);
        assert_eq!(find(&format!("/v1/events/{event}")), Some(Resource::Event(event)));
        assert_eq!(find(&format!("/v1/subscriptions/{subscription}/test")), Some(Resource::TestStored(subscription)));
        assert_eq!(find("/v1/event-types/call%2enew"), Some(Resource::EventType("call.new".to_owned())));
        assert_eq!(find("/%761/log"), Some(Resource::Log));
    }

    #[test]
    fn the_id_of_a_call_may_have_any_character() {
        for (segment, id) in [("a%2Fb", "a/b"), ("a%5Cb", "a\\b"), ("%2E%2e", ".."), ("%2E", "."), ("a%252Fb", "a%2Fb")]
        {
            let call = CallId::parse(id).unwrap();
            assert_eq!(find(&format!("/v1/calls/{segment}")), Some(Resource::Call(call.clone())), "{segment}");
            assert_eq!(find(&format!("/v1/conversations/{segment}")), Some(Resource::Conversation(call)), "{segment}");
        }
        for path in ["/v1/calls/..", "/v1/calls/.", "/v1/calls/a/b", "/v1/calls/", "/v1/calls/a%0Ab", "/v1/calls/a\\b"]
        {
            assert_eq!(find(path), None, "{path}");
        }
    }

    #[test]
    fn paths_that_name_nothing_are_not_found() {
        let event = EventId::from_bits(7);
        let wrong_id = format!("/v1/subscriptions/{event}");
        for path in [
            "",
            "*",
            "/",
            "//",
            "/v1",
            "/v1/",
            "/v1/events/",
            "//v1/events",
            "/v1//events",
            "/v2/events",
            "/V1/events",
            "/v1/events/1",
            "/v1/./events",
            "/v1/../v1/events",
            "/v1/%2e%2e/events",
            "/v1/x/%2E/events",
            "/v1%2Fevents",
            "/v1%5Cevents",
            "/v1/events%00",
            "/v1/events%",
            "/v1/events%2",
            "/v1/events%zz",
            "/v1/event-types/%ff",
            "/v1/event-types/a%2fb",
            "/v1/event-types/%+1",
            "/healthz/",
            "/readyz/x",
            &wrong_id,
        ] {
            assert_eq!(find(path), None, "{path}");
        }
    }

    #[test]
    fn other_methods_are_answered_with_allow() {
        let wanted =
            [("GET", true), ("HEAD", true), ("POST", true), ("PUT", false), ("OPTIONS", false), ("DELETE", false)];
        for (method, known) in wanted {
            assert_eq!(Resource::Events.check_method(&method.parse().unwrap()).is_ok(), known, "{method}");
        }
        let refused = Resource::TestUrl.check_method(&Method::GET).unwrap_err().into_reply();
        assert_eq!(refused.headers()["allow"], "POST");
    }
}

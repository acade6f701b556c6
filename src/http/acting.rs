//! Who makes a request, for the audit.

use std::net::IpAddr;

use hyper::header::USER_AGENT;

use super::access::{Access, Identity};
use super::bridge;
use super::connection::Peer;
use super::context::Services;
use super::problem::Problem;
use super::request::Permitted;
use super::tokens::FIRST;
use crate::core::actor::{Actor, Via};
use crate::core::audit::Deed;
use crate::store::Acting;

/// The beginning of the header User-Agent of this program's command line.
pub(crate) const CLI_AGENT: &str = "hookswitch-cli/";

impl Permitted {
    /// The store, for what this request does.
    pub(super) fn acting(&self) -> Acting {
        self.services().store.by(self.actor())
    }

    /// Records something that changes nothing in the store, before it is answered.
    ///
    /// # Errors
    /// As [`bridge::written`].
    pub(super) async fn note(&self, deed: Deed) -> Result<(), Problem> {
        bridge::written(|reply| self.acting().note(deed, reply)).await
    }

    fn actor(&self) -> Actor {
        let from_cli = || {
            let agent = self.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok());
            agent.is_some_and(|agent| agent.starts_with(CLI_AGENT))
        };
        let via = match self.access.session() {
            Some(_) => Via::Page,
            None if from_cli() => Via::Cli,
            None => Via::Api,
        };
        actor(self.services(), &self.access, via, self.peer().map(|peer: &Peer| peer.address))
    }
}

/// Who has these permissions.
pub(super) fn actor(services: &Services, access: &Access, via: Via, address: Option<IpAddr>) -> Actor {
    let (token, name) = match access.identity() {
        Identity::Nobody | Identity::FirstToken => (FIRST, "made at the first start".to_owned()),
        Identity::Token(id) => (id, services.store.token(id).map(|token| token.description).unwrap_or_default()),
    };
    if let (Some(session), Some(member)) = (access.session(), access.member()) {
        let actor = Actor::session(session.to_string(), &member.name);
        return actor.from(via, address.map(|address| address.to_canonical()));
    }
    let actor = match (access.session(), access.visitor()) {
        (Some(session), Some(visitor)) => {
            Actor::portal(session.to_string(), visitor.user.as_deref().unwrap_or_default())
        }
        (Some(session), None) => Actor::session(session.to_string(), &name),
        (None, _) => Actor::token(token, &name),
    };
    actor.from(via, address.map(|address| address.to_canonical()))
}

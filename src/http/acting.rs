//! Who makes a request, for the audit.

use hyper::header::USER_AGENT;

use super::access::Identity;
use super::bridge;
use super::connection::Peer;
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
        let (id, name) = match self.access.identity() {
            Identity::Nobody | Identity::FirstToken => (FIRST, "made at the first start".to_owned()),
            Identity::Token(id) => {
                (id, self.services().store.token(id).map(|token| token.description).unwrap_or_default())
            }
        };
        let from_cli = || {
            let agent = self.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok());
            agent.is_some_and(|agent| agent.starts_with(CLI_AGENT))
        };
        let address = self.peer().map(|peer: &Peer| peer.address.to_canonical());
        if self.access.is_session() {
            Actor::session(id.to_string(), &name).from(Via::Page, address)
        } else {
            Actor::token(id, &name).from(if from_cli() { Via::Cli } else { Via::Api }, address)
        }
    }
}

//! What a subscription says about its target beyond the URL: a body of its own, what is owed to it, which answers count
//! as delivered, how to sign in, and which signatures it checks.

use std::sync::Arc;

use super::auth::Auth;
use super::filter::Filter;
use super::preset::Preset;
use super::success::SuccessRule;
use super::template::Template;
use super::text::words;

words! {
    /// Which signatures of Standard Webhooks are sent.
    Signatures {
        /// HMAC-SHA256, with the secret that both sides have.
        Symmetric = "v1",
        /// Ed25519, checked with a public key.
        Asymmetric = "v1a",
        /// Both.
        Both = "both",
    }
}

/// The settings of a target. The default is a body by format and layout, every event, and 2xx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// A body of its own.
    pub template: Option<Template>,
    /// The body of a service that is known here; not together with a template.
    pub preset: Option<Preset>,
    /// Which of the matching events are owed.
    pub filter: Option<Filter>,
    /// Which answers count as delivered.
    pub success: SuccessRule,
    /// How to sign in.
    pub auth: Option<Arc<Auth>>,
    /// Which signatures are sent.
    pub signatures: Signatures,
}

impl Default for Target {
    fn default() -> Self {
        Self {
            template: None,
            preset: None,
            filter: None,
            success: SuccessRule::default(),
            auth: None,
            signatures: Signatures::Symmetric,
        }
    }
}

impl Target {
    /// Keeps from an earlier version what has not changed: what is compiled, and the failures counted.
    pub fn keep_of(&mut self, earlier: &Self) {
        if self.template == earlier.template {
            self.template.clone_from(&earlier.template);
        }
        if self.filter == earlier.filter {
            self.filter.clone_from(&earlier.filter);
        }
    }

    /// Whether v1a signatures are sent.
    pub fn is_asymmetric(&self) -> bool {
        self.signatures != Signatures::Symmetric
    }

    /// The template of the body, if it is not rendered by format and layout.
    pub fn body(&self) -> Option<&Template> {
        self.template.as_ref().or_else(|| self.preset.map(Preset::template))
    }
}

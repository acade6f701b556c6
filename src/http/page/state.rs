//! State shared by all views of the page.

use std::sync::Arc;

use hyper::header::HeaderValue;
use minijinja::{Value, context};
use tokio::sync::Mutex;

use super::assets::Assets;
use super::guard::policy;
use super::handbook::Handbook;
use super::language::Spoken;
use super::recent::Recent;
use super::render::Templates;
use super::streams::Streams;
use crate::http::fair_limit::FairLimit;
use crate::http::settings::PageSettings;
use crate::texts::Language;

/// Templates, assets and caches, built once at start.
pub(in crate::http) struct Page {
    pub(super) templates: Templates,
    pub(super) assets: Assets,
    pub(super) handbook: Handbook,
    pub(super) recent: Mutex<Recent>,
    /// The streams of live views.
    pub(super) streams: Arc<Streams>,
    /// Limits how many views are rendered at once.
    pub(super) views: FairLimit,
    /// What people call the provider at which they may sign in.
    pub(super) provider: Option<String>,
    /// What all templates are given.
    common: Value,
    /// The header that lets the portal be shown in frames; `None` if it may not.
    pub(super) framing: Option<HeaderValue>,
}

/// Views rendered at once.
pub(super) const VIEWS: usize = 8;
/// Requests of one token that may wait.
const WAITING: usize = 64;

impl Page {
    pub(in crate::http) fn new(settings: &PageSettings, provider: Option<&str>) -> Self {
        let assets = Assets::new(settings.logo.clone(), settings.accent);
        let common = context! {
            assets => assets.base(),
            name => settings.name.clone(),
            logo => settings.logo.is_some(),
            styled => settings.accent.is_some(),
            support_url => settings.support_url.clone(),
            frames => settings.frame_ancestors.join(" "),
        };
        Self {
            templates: Templates::default(),
            assets,
            handbook: Handbook::default(),
            common,
            framing: policy(&settings.frame_ancestors),
            recent: Mutex::default(),
            streams: Arc::default(),
            views: FairLimit::new(VIEWS, WAITING),
            provider: provider.map(str::to_owned),
        }
    }

    /// What a template is given as `page` that is in English for everybody.
    pub(super) fn in_english(&self) -> Value {
        let own = context! { language => Language::English.tag(), languages => (), signed_in => false };
        context! { ..own, ..self.common.clone() }
    }

    /// What a template is given as `page`: what all of them are given, and `more`; `here` is the address of the view.
    pub(super) fn given(&self, spoken: Spoken, here: &str, more: Value) -> Value {
        let languages = Language::ALL.map(|one| context! { tag => one.tag(), name => one.name() });
        let own = context! {
            language => spoken.language.tag(),
            languages => spoken.free.then(|| languages.to_vec()),
            here,
            region => spoken.region.as_ref().and_then(|region| std::str::from_utf8(region).ok()),
        };
        context! { ..more, ..own, ..self.common.clone() }
    }
}

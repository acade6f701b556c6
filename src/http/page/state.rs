//! State shared by all views of the page.

use tokio::sync::Mutex;

use super::assets::Assets;
use super::recent::Recent;
use super::render::Templates;
use crate::http::fair_limit::FairLimit;

/// Templates, assets and caches, built once at start.
pub(in crate::http) struct Page {
    pub(super) templates: Templates,
    pub(super) assets: Assets,
    pub(super) recent: Mutex<Recent>,
    /// Limits how many views are rendered at once.
    pub(super) views: FairLimit,
}

/// Views rendered at once.
pub(super) const VIEWS: usize = 8;
/// Requests of one token that may wait.
const WAITING: usize = 64;

impl Page {
    pub(in crate::http) fn new() -> Self {
        Self {
            templates: Templates::new(),
            assets: Assets::new(),
            recent: Mutex::default(),
            views: FairLimit::new(VIEWS, WAITING),
        }
    }
}

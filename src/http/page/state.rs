//! What the page is made of, and what its views share.

use std::sync::Mutex;

use super::assets::Assets;
use super::render::Templates;
use super::webhooks::Recent;
use crate::http::fair_limit::FairLimit;

/// What the page is made of, read once.
pub(in crate::http) struct Page {
    pub(super) templates: Templates,
    pub(super) assets: Assets,
    pub(super) recent: Mutex<Recent>,
    /// Who may have a view made.
    pub(super) views: FairLimit,
}

/// How many views are made at once.
pub(super) const VIEWS: usize = 8;
/// How many of one token may wait.
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

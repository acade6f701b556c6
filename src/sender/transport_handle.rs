//! A handle to the transport in use, which can be replaced while requests are under way.

use std::sync::{Arc, PoisonError, RwLock};

use super::transport::Transport;

/// Holds the one [`Transport`] that all threads post by.
pub struct TransportHandle {
    current: RwLock<Arc<Transport>>,
}

impl TransportHandle {
    /// Begins with `transport`.
    pub fn new(transport: Transport) -> Self {
        Self { current: RwLock::new(Arc::new(transport)) }
    }

    /// The one in use: for one request, not to be kept.
    pub fn get(&self) -> Arc<Transport> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Uses `transport` from now on. What is under way ends by the one before, whose idle connections
    /// close with it.
    pub fn exchange(&self, transport: Transport) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(transport);
    }
}

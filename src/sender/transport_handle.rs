//! A handle to the current transport, which can be replaced while requests are in flight.

use std::sync::{Arc, PoisonError, RwLock};

use super::transport::Transport;

/// Holds the [`Transport`] used by all threads.
pub struct TransportHandle {
    current: RwLock<Arc<Transport>>,
}

impl TransportHandle {
    /// A handle to `transport`.
    pub fn new(transport: Transport) -> Self {
        Self { current: RwLock::new(Arc::new(transport)) }
    }

    /// The current transport: for one request, not to be kept.
    pub fn get(&self) -> Arc<Transport> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the transport. Requests in flight finish on the previous one, whose idle connections are then closed.
    pub fn exchange(&self, transport: Transport) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(transport);
    }
}

//! Reading a delivery before it is retried or cancelled.

use crate::core::id::DeliveryId;
use crate::model::error::StoreError;
use crate::model::known::{KnownDelivery, KnownEvent};
use crate::model::query;
use crate::store::api::Store;

impl Store {
    /// Reads what retrying or cancelling a delivery needs; `None` if there is no such delivery. Blocks.
    ///
    /// # Errors
    /// The data cannot be read or is damaged.
    pub fn known_delivery(&self, id: DeliveryId) -> Result<Option<KnownDelivery>, StoreError> {
        let Some(delivery) = self.delivery(id)? else { return Ok(None) };
        let event = query::event(self.history(), delivery.event)?.map(KnownEvent::from);
        Ok(Some(KnownDelivery { delivery, event }))
    }
}

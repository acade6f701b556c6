//! The call report.

use crate::core::report::{By, Report};
use crate::model::error::StoreError;
use crate::model::filter::ReportFilter;
use crate::model::report;
use crate::store::api::Store;

impl Store {
    /// The call report, divided by `by`; `None` if it has more than `most` parts.
    ///
    /// Ranges are in whole hours: that of `since` is included, and that of `until`, unless `until` is its beginning.
    ///
    /// # Errors
    /// The view cannot be read, or is damaged.
    pub fn call_report(&self, filter: &ReportFilter, by: By, most: usize) -> Result<Option<Report>, StoreError> {
        // What was answered last may not have been added yet.
        self.view().wait_until_logged();
        report::report(self.view(), filter, by, most)
    }
}

//! The call report.

use crate::core::report::{By, Report};
use crate::model::error::StoreError;
use crate::model::filter::ReportFilter;
use crate::model::report;
use crate::store::api::Store;

impl Store {
    /// The call report, divided by `by`; `None` if it has more than `most` parts.
    ///
    /// Ranges are in whole hours: the one in which `since` lies is in it, and the one in which `until` lies, if that
    /// is not its beginning.
    ///
    /// # Errors
    /// The state cannot be read, or is damaged.
    pub fn call_report(&self, filter: &ReportFilter, by: By, most: usize) -> Result<Option<Report>, StoreError> {
        // What was answered last may be on its way into it.
        self.view().settle();
        report::report(self.view(), filter, by, most)
    }
}

//! Checks that the paths of the segments still lead to the open files: see [`crate::engine::embedded::location`].

use crate::engine::embedded::location::{Location, LocationError};
use crate::engine::embedded::wal::Writer;

impl Writer {
    /// Checks that the active segment still has a name.
    ///
    /// # Errors
    /// It was deleted.
    pub(crate) fn has_name(&self) -> Result<(), LocationError> {
        self.active.has_name()
    }

    /// Checks all paths to the active segment, and that the full segments still have a name.
    ///
    /// # Errors
    /// A path leads elsewhere, or a file was deleted.
    pub(crate) fn check_location(&self, location: &mut Location) -> Result<(), LocationError> {
        location.check(self.active.path(), self.active.file())?;
        // The holder of this lock removes or replaces a segment.
        let Ok(_files) = self.wal.files.try_lock() else { return Ok(()) };
        self.wal.newest_segments().iter().try_for_each(|segment| segment.has_name())
    }
}

//! Whether the names that lead to the journal's files still do: see [`crate::engine::embedded::location`].

use crate::engine::embedded::location::{Gone, Location};
use crate::engine::embedded::wal::Writer;

impl Writer {
    /// Whether the file that is written to still has a name.
    ///
    /// # Errors
    /// It was deleted.
    pub(crate) fn has_name(&self) -> Result<(), Gone> {
        self.active.has_name()
    }

    /// Looks at all names that lead to the file that is written to, and whether the full files still have one.
    ///
    /// # Errors
    /// One leads elsewhere, or a file was deleted.
    pub(crate) fn look(&self, location: &mut Location) -> Result<(), Gone> {
        location.look(self.active.path(), self.active.file())?;
        // Whoever holds this lets a file go or puts another in its place.
        let Ok(_files) = self.journal.files.try_lock() else { return Ok(()) };
        self.journal.newest_segments().iter().try_for_each(|segment| segment.has_name())
    }
}

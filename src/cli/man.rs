//! `man`: the manual pages, generated from the same definition as the help.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Command};
use clap_mangen::Man as Page;

use super::exit::Failure;

/// Print the manual page, or write those of all commands
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hookswitch man | man -l -
  hookswitch man /usr/share/man/man1")]
pub(super) struct Man {
    /// Write hookswitch.1, hookswitch-serve.1 and so on here
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    /// Writes the pages of `command`, the whole command line.
    pub(super) fn run(&self, command: Command, out: &mut dyn Write) -> Result<(), Failure> {
        let Some(dir) = &self.dir else {
            // Buffered, so that a write error can be distinguished.
            let mut page = Vec::new();
            Page::new(command).render(&mut page)?;
            return Ok(out.write_all(&page)?);
        };
        let unwritable =
            |error| Failure::new(format!("the manual pages cannot be written to {}: {error}", dir.display()));
        std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(command, dir)).map_err(unwritable)
    }
}

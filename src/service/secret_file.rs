//! Reading a file that contains a secret.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use zeroize::Zeroizing;

/// Maximum size of such a file, in bytes.
const LONGEST: u64 = 64 * 1024;

/// The file's text and its permission bits.
pub(super) fn read(path: &Path) -> io::Result<(Zeroizing<String>, u32)> {
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o7777;
    let mut text = Zeroizing::new(String::new());
    let read = file.take(LONGEST + 1).read_to_string(&mut text)?;
    if read as u64 > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it has more than {LONGEST} bytes")));
    }
    Ok((text, mode))
}

/// The permission bits, if others than the owner may read or write.
pub(super) fn open_to_others(mode: Option<u32>) -> Option<u32> {
    mode.filter(|mode| mode & 0o077 != 0)
}

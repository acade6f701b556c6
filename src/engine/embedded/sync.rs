//! A real fsync for sled: the only module with `unsafe`.
//!
//! On Linux, sled 0.34.7 ends its flush with `sync_file_range`, which starts writeback and guarantees nothing (`man 2
//! sync_file_range`: 'extremely dangerous'). The linker prefers a symbol of this binary over the C library's, so sled
//! calls the function below, which calls `fdatasync`. [`prove`] checks at every start that this is in effect; otherwise
//! the store does not open, because power loss could destroy the whole database.

// The linker needs the function, whatever its visibility in the crate.
#![allow(unsafe_code, unreachable_pub)]

use std::sync::atomic::{AtomicU64, Ordering};

static CALLS: AtomicU64 = AtomicU64::new(0);

/// Overrides the C library's `sync_file_range`, which sled calls.
///
/// # Safety
/// As safe as `fdatasync`: any descriptor may be passed; an invalid one yields `EBADF`.
#[unsafe(no_mangle)]
pub extern "C" fn sync_file_range(fd: libc::c_int, _offset: i64, _bytes: i64, _flags: libc::c_uint) -> libc::c_int {
    CALLS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: fdatasync takes no pointers; the kernel checks the descriptor.
    unsafe { libc::fdatasync(fd) }
}

/// How often sled has synced through the function above.
fn calls() -> u64 {
    CALLS.load(Ordering::Relaxed)
}

/// Runs `flush`, which must make sled write something, and returns whether the write was really synced.
pub(crate) fn prove(flush: impl FnOnce() -> sled::Result<()>) -> sled::Result<bool> {
    let before = calls();
    flush()?;
    Ok(calls() > before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flush_of_sled_calls_fdatasync() {
        let dir = tempfile::tempdir().unwrap();
        let db = sled::Config::new().path(dir.path()).flush_every_ms(None).open().unwrap();
        db.insert(b"k", b"v").unwrap();
        assert_eq!(prove(|| db.flush().map(drop)), Ok(true));
    }
}

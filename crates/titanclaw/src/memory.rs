//! Gives memory back to the system.
//!
//! The system's allocator keeps what was freed for the next who asks. After many turns at once that is much more than
//! the engine will need again soon, so when it comes to rest, free pages go back.

use std::sync::atomic::{AtomicU64, Ordering};

/// Less than this is not worth the work, nor the page faults when it is needed again.
const WORTH_BYTES: u64 = 8 << 20;
const PAGE_BYTES: u64 = 4096;

/// Gives free pages back if the process has grown since the last time.
pub(crate) fn give_back() {
    static LAST_BYTES: AtomicU64 = AtomicU64::new(0);
    let last = LAST_BYTES.load(Ordering::Relaxed);
    if resident_bytes() > last + WORTH_BYTES {
        trim();
    }
    LAST_BYTES.store(resident_bytes(), Ordering::Relaxed);
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn trim() {
    // SAFETY: it takes a number, holds the allocator's own locks, and moves nothing that is in use.
    unsafe { libc::malloc_trim(0) };
}

/// Other allocators give back by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}

/// Memory that the process holds now; 0 where the system does not say.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    pages
        .and_then(|statm| statm.split(' ').nth(1)?.parse::<u64>().ok())
        .map_or(0, |pages| pages * PAGE_BYTES)
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn what_was_freed_goes_back_to_the_system() {
        const BLOCKS: usize = 40_000;
        let block = || vec![1_u8; 1_000];
        let mut blocks: Vec<Vec<u8>> = (0..BLOCKS).map(|_| block()).collect();
        let full = resident_bytes();
        // The last block keeps the allocator from giving back the rest by itself.
        blocks.drain(..BLOCKS - 1);
        give_back();
        let after = resident_bytes();
        assert!(full - after > 30_000_000, "{full} {after}");
        drop(blocks);
    }
}

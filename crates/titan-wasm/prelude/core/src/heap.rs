//! The allocator. It lives in the memory that a component begins with and grows it only when that is full: a host pays much
//! more for a change of its page tables than for a whole short call.
//!
//! Small blocks come in sizes with a list of free ones each. Large ones are whole steps of 4 KiB, in one list by address, cut
//! when they are taken and joined with their neighbours when they come back.

use core::ptr::null_mut;

/// Every block begins at a multiple of it; what wants more gets it from fresh memory, and is not used again.
const ALIGN: usize = 16;
/// The largest of the small sizes.
const SMALL_MAX: usize = 16 << 10;
/// Sizes: 16, 32, 48, 64, then four to each doubling.
const SIZES: usize = 36;
/// What large blocks are whole numbers of.
const STEP: usize = 4 << 10;

/// Where more memory comes from.
pub(crate) trait Source {
    /// The bytes that there are at the beginning, from and to.
    fn first(&mut self) -> (usize, usize);
    /// Makes the end at least `bytes` later, and says where it is then.
    fn more(&mut self, bytes: usize) -> Option<usize>;
}

/// A heap in the memory of a source.
pub(crate) struct Heap<S> {
    source: S,
    /// Where fresh memory begins. Zero before the first block.
    next: usize,
    end: usize,
    free: [usize; SIZES],
    large: usize,
}

/// What stands in a free large block.
#[repr(C)]
struct Large {
    next: usize,
    bytes: usize,
}

impl<S: Source> Heap<S> {
    pub(crate) const fn new(source: S) -> Self {
        Self {
            source,
            next: 0,
            end: 0,
            free: [0; SIZES],
            large: 0,
        }
    }

    /// # Safety
    /// The memory of the source is this heap's alone.
    pub(crate) unsafe fn take(&mut self, bytes: usize, align: usize) -> *mut u8 {
        if align > ALIGN {
            return self.fresh(bytes, align);
        }
        if bytes > SMALL_MAX {
            // SAFETY: as above.
            return unsafe { self.take_large(bytes) };
        }
        let size = size_of(bytes);
        match self.free[size] {
            0 => self.fresh(bytes_of(size), ALIGN),
            block => {
                // SAFETY: free blocks hold the address of the next one.
                self.free[size] = unsafe { *(block as *const usize) };
                block as *mut u8
            }
        }
    }

    /// # Safety
    /// The block is one that was taken with just these, and nobody uses it any more.
    pub(crate) unsafe fn give(&mut self, block: *mut u8, bytes: usize, align: usize) {
        if align > ALIGN {
            return;
        }
        if bytes > SMALL_MAX {
            // SAFETY: as above.
            return unsafe { self.give_large(block as usize, steps(bytes)) };
        }
        let size = size_of(bytes);
        // SAFETY: the smallest block holds an address.
        unsafe { *block.cast::<usize>() = self.free[size] };
        self.free[size] = block as usize;
    }

    /// # Safety
    /// As for [`Heap::give`]; what was in the block is in the one that is given back.
    pub(crate) unsafe fn resize(
        &mut self,
        block: *mut u8,
        bytes: usize,
        align: usize,
        new: usize,
    ) -> *mut u8 {
        if align <= ALIGN && self.grows_in_place(block as usize, bytes, new) {
            return block;
        }
        // SAFETY: both blocks have at least the bytes that are copied, and are not the same.
        unsafe {
            let to = self.take(new, align);
            if !to.is_null() {
                core::ptr::copy_nonoverlapping(block, to, bytes.min(new));
                self.give(block, bytes, align);
            }
            to
        }
    }

    fn grows_in_place(&mut self, block: usize, bytes: usize, new: usize) -> bool {
        match (bytes > SMALL_MAX, new > SMALL_MAX) {
            (false, false) => size_of(bytes) == size_of(new),
            (true, true) => {
                let (old, new) = (steps(bytes), steps(new));
                old == new
                    || new > old && block + old == self.next && !self.fresh(new - old, 1).is_null()
            }
            _ => false,
        }
    }

    fn fresh(&mut self, bytes: usize, align: usize) -> *mut u8 {
        if self.next == 0 {
            (self.next, self.end) = self.source.first();
        }
        let at = (self.next + align - 1) & !(align - 1);
        let Some(to) = at.checked_add(bytes) else {
            return null_mut();
        };
        if to > self.end {
            match self.source.more(to - self.end) {
                Some(end) => self.end = end,
                None => return null_mut(),
            }
        }
        self.next = to;
        at as *mut u8
    }

    unsafe fn take_large(&mut self, bytes: usize) -> *mut u8 {
        let Some(bytes) = bytes.checked_next_multiple_of(STEP) else {
            return null_mut();
        };
        let mut link = &raw mut self.large;
        // SAFETY: the list holds free blocks, each with its length and the address of the next one.
        unsafe {
            while *link != 0 {
                let block = *link as *mut Large;
                let left = (*block).bytes.wrapping_sub(bytes);
                if (*block).bytes >= bytes {
                    if left == 0 {
                        *link = (*block).next;
                    } else {
                        let rest = (block as usize + bytes) as *mut Large;
                        *rest = Large {
                            next: (*block).next,
                            bytes: left,
                        };
                        *link = rest as usize;
                    }
                    return block.cast();
                }
                link = &raw mut (*block).next;
            }
        }
        self.fresh(bytes, ALIGN)
    }

    unsafe fn give_large(&mut self, block: usize, bytes: usize) {
        let mut link = &raw mut self.large;
        let mut before = null_mut::<Large>();
        // SAFETY: as in `take_large`; `block` is as long as it is said to be.
        unsafe {
            while *link != 0 && *link < block {
                before = *link as *mut Large;
                link = &raw mut (*before).next;
            }
            let mut one = block as *mut Large;
            *one = Large { next: *link, bytes };
            *link = block;
            if !before.is_null() && before as usize + (*before).bytes == block {
                *before = Large {
                    next: (*one).next,
                    bytes: (*before).bytes + bytes,
                };
                one = before;
            }
            let next = (*one).next as *mut Large;
            if !next.is_null() && one as usize + (*one).bytes == next as usize {
                *one = Large {
                    next: (*next).next,
                    bytes: (*one).bytes + (*next).bytes,
                };
            }
        }
    }
}

fn steps(bytes: usize) -> usize {
    bytes.next_multiple_of(STEP)
}

/// Which of the small sizes holds so many bytes.
fn size_of(bytes: usize) -> usize {
    if bytes <= 64 {
        return bytes.saturating_sub(1) / 16;
    }
    // 65..=128 is the first doubling of four.
    let doubling = (bytes - 1).ilog2() as usize;
    let quarter = ((bytes - 1) >> (doubling - 2)) & 3;
    4 + (doubling - 6) * 4 + quarter
}

fn bytes_of(size: usize) -> usize {
    if size < 4 {
        return (size + 1) * 16;
    }
    let (doubling, quarter) = ((size - 4) / 4 + 6, (size - 4) % 4);
    (1 << doubling) + ((quarter + 1) << (doubling - 2))
}

#[cfg(target_arch = "wasm32")]
mod wasm {
    use super::{Heap, Source};
    use core::alloc::{GlobalAlloc, Layout};
    use core::arch::wasm32::{memory_grow, memory_size};
    use core::cell::UnsafeCell;

    const PAGE: usize = 64 << 10;
    /// Memory grows by at least so many pages.
    const PAGES_MIN: usize = 16;

    unsafe extern "C" {
        /// Set by the linker: where the data ends.
        static __heap_base: u8;
    }

    struct Memory;

    impl Source for Memory {
        fn first(&mut self) -> (usize, usize) {
            ((&raw const __heap_base) as usize, memory_size(0) * PAGE)
        }

        fn more(&mut self, bytes: usize) -> Option<usize> {
            let pages = bytes.div_ceil(PAGE);
            let grows = |pages| memory_grow(0, pages) != usize::MAX;
            (grows(pages.max(PAGES_MIN)) || grows(pages)).then(|| memory_size(0) * PAGE)
        }
    }

    struct Global(UnsafeCell<Heap<Memory>>);

    // SAFETY: a component has one thread.
    unsafe impl Sync for Global {}

    // SAFETY: blocks are as long and as aligned as asked for, and nobody else has them; see `Heap`.
    unsafe impl GlobalAlloc for Global {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: one thread, and the heap calls nothing that allocates.
            unsafe { (*self.0.get()).take(layout.size(), layout.align()) }
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            // SAFETY: as above.
            unsafe { (*self.0.get()).give(block, layout.size(), layout.align()) }
        }

        unsafe fn realloc(&self, block: *mut u8, layout: Layout, new: usize) -> *mut u8 {
            // SAFETY: as above.
            unsafe { (*self.0.get()).resize(block, layout.size(), layout.align(), new) }
        }
    }

    #[global_allocator]
    static HEAP: Global = Global(UnsafeCell::new(Heap::new(Memory)));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A piece of memory that grows up to its end.
    struct Piece {
        bytes: Vec<u128>,
        given: usize,
    }

    impl Source for Piece {
        fn first(&mut self) -> (usize, usize) {
            let at = self.bytes.as_ptr() as usize;
            (at, at + self.given)
        }

        fn more(&mut self, bytes: usize) -> Option<usize> {
            self.given += bytes;
            (self.given <= self.bytes.len() * 16).then(|| self.bytes.as_ptr() as usize + self.given)
        }
    }

    fn heap(bytes: usize) -> Heap<Piece> {
        Heap::new(Piece {
            bytes: vec![0; bytes / 16],
            given: bytes / 4,
        })
    }

    #[test]
    fn every_size_holds_what_it_is_chosen_for_and_wastes_at_most_a_quarter() {
        for bytes in 1..=SMALL_MAX {
            let size = size_of(bytes);
            assert!(size < SIZES && bytes_of(size) >= bytes, "{bytes}");
            assert!(size == 0 || bytes_of(size - 1) < bytes, "{bytes}");
            assert!(
                bytes <= 64 || bytes_of(size) * 4 <= bytes * 5 + 4,
                "{bytes}"
            );
            assert_eq!(bytes_of(size) % ALIGN, 0);
        }
        assert_eq!(size_of(SMALL_MAX), SIZES - 1);
    }

    #[test]
    fn no_two_blocks_overlap_and_none_loses_what_is_in_it() {
        let mut heap = heap(8 << 20);
        let mut live: Vec<(*mut u8, usize, u8)> = Vec::new();
        let mut seed = 7_u64;
        let mut random = |n: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            usize::try_from(seed % n as u64).unwrap()
        };
        for turn in 0..20_000 {
            let most = if random(8) == 0 { 60_000 } else { 600 };
            let bytes = 1 + random(most);
            let mark = (turn % 251) as u8;
            // SAFETY: every block is used within its length, until it is given back.
            unsafe {
                match random(3) {
                    0 if !live.is_empty() => {
                        let (block, bytes, mark) = live.swap_remove(random(live.len()));
                        assert!((0..bytes).all(|i| *block.add(i) == mark));
                        heap.give(block, bytes, 8);
                    }
                    1 if !live.is_empty() => {
                        let at = random(live.len());
                        let (block, old, mark) = live[at];
                        let new = heap.resize(block, old, 8, bytes);
                        assert!((0..old.min(bytes)).all(|i| *new.add(i) == mark));
                        new.write_bytes(mark, bytes);
                        live[at] = (new, bytes, mark);
                    }
                    _ if live.len() < 100 => {
                        let block = heap.take(bytes, 8);
                        assert!(!block.is_null() && block as usize % ALIGN == 0);
                        block.write_bytes(mark, bytes);
                        live.push((block, bytes, mark));
                    }
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn large_blocks_are_joined_and_used_again() {
        let mut heap = heap(1 << 20);
        // SAFETY: nothing is written into them.
        unsafe {
            for _ in 0..1_000 {
                let three = [(); 3].map(|()| heap.take(100_000, 16));
                assert!(three.iter().all(|block| !block.is_null()));
                for at in [0, 2, 1] {
                    heap.give(three[at], 100_000, 16);
                }
                let one = heap.take(300_000, 16);
                assert_eq!(one, three[0]);
                heap.give(one, 300_000, 16);
            }
        }
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let mut heap = heap(1 << 20);
        // SAFETY: nothing is written into them.
        unsafe {
            assert!(heap.take(2 << 20, 16).is_null());
            assert!(heap.take(usize::MAX - 4096, 1).is_null());
            assert!(heap.take(usize::MAX, 1).is_null());
            let wide = heap.take(100, 4096);
            assert!(!wide.is_null() && wide as usize % 4096 == 0);
        }
    }
}

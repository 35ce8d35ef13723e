// SPDX-License-Identifier: Apache-2.0
//! A heap that overwrites what is freed.
//!
//! The problem: a plaintext passes through buffers that are not ours (the HTTP and TLS libraries',
//! those of parsers), and who frees them does not know. The approach: wipe everything, at the one
//! door that all of them go through. It costs a write to memory that is warm.
#![allow(
    unsafe_code,
    reason = "implements GlobalAlloc; docs/adr/0021-memory-of-secrets.md"
)]

use std::alloc::{GlobalAlloc, Layout};
use std::arch::asm;

/// An allocator that wipes memory before it gives it back to `A`.
#[derive(Debug)]
pub struct WipingAllocator<A>(pub A);

// SAFETY: everything is `A`'s, except that freed memory was written to within its layout just
// before. `realloc` is the provided one (new memory, copy, free), so what is left behind when a
// buffer grows is wiped as well.
unsafe impl<A: GlobalAlloc> GlobalAlloc for WipingAllocator<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps `alloc`'s rules.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps `alloc_zeroed`'s rules.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block is `layout.size()` bytes long and nobody else's any more.
        unsafe { wipe(block, layout.size()) };
        // SAFETY: the caller keeps `dealloc`'s rules.
        unsafe { self.0.dealloc(block, layout) }
    }
}

/// Overwrites `len` bytes with zeros, whatever the compiler thinks of writes that nobody reads.
///
/// # Safety
///
/// As for `ptr::write_bytes`.
#[inline]
unsafe fn wipe(block: *mut u8, len: usize) {
    // SAFETY: the caller's.
    unsafe { block.write_bytes(0, len) };
    // SAFETY: no instruction; as far as the compiler knows it reads what `block` points to.
    unsafe { asm!("/* {0} */", in(reg) block, options(nostack, preserves_flags, readonly)) };
}

#[cfg(test)]
#[allow(
    clippy::multiple_unsafe_ops_per_block,
    reason = "tests drive the allocator by hand"
)]
mod tests {
    use std::alloc::System;
    use std::sync::Mutex;

    use super::*;

    /// Keeps what memory held when it was freed.
    struct Witness(Mutex<Vec<Vec<u8>>>);

    // SAFETY: `System` does all of it.
    unsafe impl GlobalAlloc for Witness {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: the caller's.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            // SAFETY: the block is still whole.
            let held = unsafe { std::slice::from_raw_parts(block, layout.size()) }.to_vec();
            self.0.lock().unwrap().push(held);
            // SAFETY: the caller's.
            unsafe { System.dealloc(block, layout) }
        }
    }

    #[test]
    fn freed_memory_holds_zeros() {
        let heap = WipingAllocator(Witness(Mutex::default()));
        for size in [1, 7, 64, 4096, 300_000] {
            let layout = Layout::from_size_align(size, 8).unwrap();
            // SAFETY: the layout has a size, the block is written within it and freed once.
            unsafe {
                let block = heap.alloc(layout);
                block.write_bytes(0xA5, size);
                heap.dealloc(block, layout);
            }
            assert_eq!(heap.0.0.lock().unwrap().pop().unwrap(), vec![0; size]);
        }
    }

    #[test]
    fn growing_leaves_nothing_behind() {
        let heap = WipingAllocator(Witness(Mutex::default()));
        let layout = Layout::from_size_align(32, 1).unwrap();
        // SAFETY: sizes are as said, each block is freed once.
        let moved = unsafe {
            let block = heap.alloc(layout);
            block.write_bytes(0xA5, 32);
            let grown = heap.realloc(block, layout, 4096);
            let moved = std::slice::from_raw_parts(grown, 32).to_vec();
            heap.dealloc(grown, Layout::from_size_align(4096, 1).unwrap());
            moved
        };
        assert_eq!(moved, [0xA5; 32]);
        let freed = heap.0.0.lock().unwrap();
        assert_eq!(*freed, [vec![0; 32], vec![0; 4096]]);
    }
}

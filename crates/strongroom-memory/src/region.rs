// SPDX-License-Identifier: Apache-2.0
//! Pages from the kernel.
#![allow(
    unsafe_code,
    reason = "asks the kernel for pages; docs/adr/0021-memory-of-secrets.md"
)]

use std::ptr::{self, NonNull};

/// How well the memory of secrets is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// `memfd_secret`: nobody but this process can read it.
    Secret,
    /// Locked and left out of dumps: never on a drive.
    Locked,
    /// The kernel gave neither; the heap, wiped.
    Heap,
}

/// Pages that are never unmapped, so that a pointer into them is good for the life of the
/// process.
pub(crate) struct Region {
    start: NonNull<u8>,
    protection: Protection,
}

// SAFETY: a region is an address; who may use which bytes is decided by the arena.
unsafe impl Send for Region {}

impl Region {
    /// A region of [`REGION_BYTES`] zeros, of the best kind there is.
    pub(crate) fn map() -> Option<Region> {
        if cfg!(miri) {
            return None;
        }
        let secret = map_secret().map(|start| (start, Protection::Secret));
        let (start, protection) =
            secret.or_else(|| map_locked().map(|start| (start, Protection::Locked)))?;
        Some(Region { start, protection })
    }

    pub(crate) fn protection(&self) -> Protection {
        self.protection
    }

    /// The address of a byte of the region; `None` beyond its end.
    pub(crate) fn at(&self, offset: usize) -> Option<NonNull<u8>> {
        if offset >= REGION_BYTES {
            return None;
        }
        // SAFETY: the offset is within the mapping.
        Some(unsafe { self.start.add(offset) })
    }
}

fn map_secret() -> Option<NonNull<u8>> {
    // SAFETY: the call takes flags and gives a descriptor or an error.
    let file = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
    let file = libc::c_int::try_from(file).ok().filter(|file| *file >= 0)?;
    let len = libc::off_t::try_from(REGION_BYTES).ok()?;
    // SAFETY: the descriptor is ours.
    let sized = unsafe { libc::ftruncate(file, len) } == 0;
    let start = if sized {
        map(libc::MAP_SHARED, file)
    } else {
        None
    };
    // SAFETY: the descriptor is ours; the mapping stays when it is closed.
    unsafe { libc::close(file) };
    // Mapping counts all of it as locked and fails at the limit, so that no access fails later.
    let start = start?;
    advise(start, libc::MADV_DONTFORK).then_some(start)
}

fn map_locked() -> Option<NonNull<u8>> {
    let start = map(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1)?;
    // SAFETY: the range is the mapping just made.
    let locked = unsafe { libc::mlock(start.as_ptr().cast(), REGION_BYTES) } == 0;
    if locked && advise(start, libc::MADV_DONTDUMP) && advise(start, libc::MADV_DONTFORK) {
        return Some(start);
    }
    // SAFETY: nobody has an address in it yet.
    unsafe { libc::munmap(start.as_ptr().cast(), REGION_BYTES) };
    None
}

fn map(flags: libc::c_int, file: libc::c_int) -> Option<NonNull<u8>> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice.
    let start = unsafe { libc::mmap(ptr::null_mut(), REGION_BYTES, access, flags, file, 0) };
    if start == libc::MAP_FAILED {
        return None;
    }
    NonNull::new(start.cast())
}

fn advise(start: NonNull<u8>, advice: libc::c_int) -> bool {
    // SAFETY: the range is one whole mapping, and neither advice changes what is in it.
    unsafe { libc::madvise(start.as_ptr().cast(), REGION_BYTES, advice) == 0 }
}

/// Bytes of a region.
pub(crate) const REGION_BYTES: usize = 64 << 10;

// SPDX-License-Identifier: Apache-2.0
//! The arena: regions cut into slots of 32 bytes, one for the process.
#![allow(
    unsafe_code,
    reason = "lends out bytes of mapped pages; docs/adr/0021-memory-of-secrets.md"
)]

use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use zeroize::Zeroize as _;

use crate::region::{Protection, REGION_BYTES, Region};
use crate::slots::{SLOTS, Slots};

/// What the arena has and uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The kind of memory that secrets get now.
    pub protection: Protection,
    /// Bytes that the arena has.
    pub bytes: usize,
    /// Bytes of it in use.
    pub used_bytes: usize,
}

/// What the arena has and uses. Asks for its first memory if nobody did.
pub fn status() -> Status {
    let mut arena = lock();
    if arena.regions.is_empty() {
        arena.grow();
    }
    let used: usize = arena.regions.iter().map(|(_, slots)| slots.taken()).sum();
    Status {
        protection: match arena.regions.last() {
            Some((region, _)) if !arena.full || used < arena.regions.len() * SLOTS => {
                region.protection()
            }
            _ => Protection::Heap,
        },
        bytes: arena.regions.len() * REGION_BYTES,
        used_bytes: used * SLOT_BYTES,
    }
}

/// Slots that belong to whoever holds this; they are wiped and given back when it is dropped.
pub(crate) struct Loan {
    start: NonNull<u8>,
    len: usize,
    region: usize,
    first: usize,
}

// SAFETY: the bytes belong to the loan alone, wherever it is.
unsafe impl Send for Loan {}
// SAFETY: a shared loan is only read.
unsafe impl Sync for Loan {}

impl Loan {
    /// `len` bytes of zeros; `None` when the kernel gives no more.
    pub(crate) fn take(len: usize) -> Option<Loan> {
        let count = slots_of(len);
        // What no region can hold is no reason to ask for another.
        if count > SLOTS {
            return None;
        }
        let mut arena = lock();
        let (region, first) = if let Some(place) = arena.take(count) {
            place
        } else {
            arena.grow();
            arena.take(count)?
        };
        let start = arena.regions.get(region)?.0.at(first * SLOT_BYTES)?;
        Some(Loan {
            start,
            len,
            region,
            first,
        })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the slots are mapped for the life of the process, initialised (zeros of the
        // kernel's, or of a wipe, or written through `bytes_mut`), and nobody else's.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and the loan is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.bytes_mut().zeroize();
        if let Some((_, slots)) = lock().regions.get_mut(self.region) {
            slots.give(self.first, slots_of(self.len));
        }
    }
}

struct Arena {
    regions: Vec<(Region, Slots)>,
    /// The kernel refused once; it is not asked again.
    full: bool,
}

impl Arena {
    fn take(&mut self, count: usize) -> Option<(usize, usize)> {
        let mut newest_first = self.regions.iter_mut().enumerate().rev();
        newest_first.find_map(|(region, (_, slots))| Some((region, slots.take(count)?)))
    }

    fn grow(&mut self) {
        if self.full || self.regions.len() >= REGIONS_MAX {
            return;
        }
        match Region::map() {
            Some(region) => self.regions.push((region, Slots::new())),
            None => self.full = true,
        }
    }
}

/// A slot at least, so that a secret without bytes has an address too.
fn slots_of(len: usize) -> usize {
    len.div_ceil(SLOT_BYTES).max(1)
}

fn lock() -> MutexGuard<'static, Arena> {
    // Each change is complete before anything could panic.
    ARENA.lock().unwrap_or_else(PoisonError::into_inner)
}

static ARENA: Mutex<Arena> = Mutex::new(Arena {
    regions: Vec::new(),
    full: false,
});

const SLOT_BYTES: usize = REGION_BYTES / SLOTS;
/// Half of what an ordinary process may lock (8 MiB).
const REGIONS_MAX: usize = 64;

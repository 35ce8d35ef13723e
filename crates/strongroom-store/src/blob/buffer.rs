// SPDX-License-Identifier: Apache-2.0
//! Memory for units, as they lie in a shard file.
//!
//! The problem: at gigabytes a second, allocating, zeroing and first touching memory costs more
//! than sealing it. So buffers are taken from a pool and go back to it; inside a buffer the units
//! lie exactly as in the file, each followed by the room for its checksum:
//!
//! ```text
//!   | unit 0            | sum | unit 1            | sum | ...
//!   ^ slot_offset(0)          ^ slot_offset(1)
//! ```
//!
//! so that a range of units is one read or one write, segments are sealed and opened in place,
//! and plaintext is sent from where it was opened ([`UnitBuffer::into_bytes`]).
//!
//! A buffer from the pool holds whatever its last user left there: fill a unit before using it.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::shard::{SUM_LEN, slot_len};
use crate::layout::UnitLayout;

/// A run of units in pooled memory.
pub struct UnitBuffer {
    memory: Vec<u8>,
    units: usize,
    last_len: usize,
    layout: UnitLayout,
    pool: Arc<UnitPool>,
}

/// Keeps the memory of buffers that are not in use.
#[derive(Debug)]
pub(crate) struct UnitPool {
    /// Room for one slot: as much as the longest unit needs, so that all memory serves all blobs.
    room_len: usize,
    free_bytes_max: usize,
    free: Mutex<Free>,
}

/// Free memory by the number of units that it has room for: powers of two.
#[derive(Default)]
struct Free {
    by_units: BTreeMap<usize, Vec<Vec<u8>>>,
    bytes: usize,
}

impl UnitBuffer {
    /// How many units the buffer has.
    pub fn capacity_units(&self) -> usize {
        self.units
    }

    /// Where unit `index` starts in the bytes of this buffer.
    pub fn slot_offset(&self, index: usize) -> usize {
        slot_len(self.layout).saturating_mul(index)
    }

    /// Unit `index`, without its checksum; empty behind the last.
    pub fn slot(&self, index: usize) -> &[u8] {
        let start = self.slot_offset(index);
        self.memory
            .get(start..start.saturating_add(self.unit_len(index)))
            .unwrap_or_default()
    }

    /// Unit `index`, without its checksum; empty behind the last.
    pub fn slot_mut(&mut self, index: usize) -> &mut [u8] {
        let start = self.slot_offset(index);
        let end = start.saturating_add(self.unit_len(index));
        self.memory.get_mut(start..end).unwrap_or_default()
    }

    /// Says how long the last unit is that will be used: the end of a blob is rarely a full one.
    pub fn set_last_len(&mut self, bytes: u32) {
        self.last_len = usize::try_from(bytes)
            .unwrap_or(usize::MAX)
            .min(self.unit_len_full());
    }

    /// The whole buffer as shared bytes, checksums included (find units by
    /// [`Self::slot_offset`]). The memory goes back to the pool with the last reference.
    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }

    /// Shortens the buffer to its first `units` units.
    pub(crate) fn set_units(&mut self, units: usize) {
        self.units = self.units.min(units);
    }

    /// The unit length.
    pub(crate) fn layout(&self) -> UnitLayout {
        self.layout
    }

    /// Length of the last unit.
    pub(crate) fn last_len(&self) -> usize {
        self.last_len
    }

    /// The units and their checksums as they stand in the file.
    pub(crate) fn file_bytes_mut(&mut self) -> &mut [u8] {
        let len = self.file_len();
        self.memory.get_mut(..len).unwrap_or_default()
    }

    /// Where some of the units and their checksums lie in the bytes of this buffer.
    pub(crate) fn slots_range(&self, slots: Range<usize>) -> Range<usize> {
        let len = self.file_len();
        self.slot_offset(slots.start).min(len)..self.slot_offset(slots.end).min(len)
    }

    /// A range of the bytes of this buffer; empty outside.
    pub(crate) fn range_mut(&mut self, bytes: Range<usize>) -> &mut [u8] {
        self.file_bytes_mut().get_mut(bytes).unwrap_or_default()
    }

    /// How long the units and their checksums are in the file.
    pub(crate) fn file_len(&self) -> usize {
        match self.units.checked_sub(1) {
            Some(last) => self
                .slot_offset(last)
                .saturating_add(self.last_len)
                .saturating_add(SUM_LEN),
            None => 0,
        }
    }

    fn unit_len_full(&self) -> usize {
        slot_len(self.layout).saturating_sub(SUM_LEN)
    }

    fn unit_len(&self, index: usize) -> usize {
        match index.checked_add(1) {
            Some(next) if next == self.units => self.last_len,
            Some(next) if next < self.units => self.unit_len_full(),
            _ => 0,
        }
    }
}

impl AsRef<[u8]> for UnitBuffer {
    fn as_ref(&self) -> &[u8] {
        self.memory.get(..self.file_len()).unwrap_or_default()
    }
}

impl fmt::Debug for UnitBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the bytes: they may be plaintext.
        f.debug_struct("UnitBuffer")
            .field("units", &self.units)
            .finish_non_exhaustive()
    }
}

impl Drop for UnitBuffer {
    fn drop(&mut self) {
        self.pool.give_back(std::mem::take(&mut self.memory));
    }
}

impl UnitPool {
    pub(crate) fn new(longest: UnitLayout, free_bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            room_len: slot_len(longest),
            free_bytes_max,
            free: Mutex::default(),
        })
    }

    /// A buffer of `units` units of this length, from the pool when it has one. The units must
    /// not be longer than the pool's longest; those of a buffer in which they were are empty.
    pub(crate) fn take(self: &Arc<Self>, layout: UnitLayout, units: usize) -> UnitBuffer {
        let room = units.max(1).checked_next_power_of_two().unwrap_or(units);
        let memory = self
            .take_free(room)
            .unwrap_or_else(|| vec![0; room.saturating_mul(self.room_len)]);
        UnitBuffer {
            memory,
            units,
            last_len: slot_len(layout).saturating_sub(SUM_LEN),
            layout,
            pool: Arc::clone(self),
        }
    }

    /// Bytes kept for the next buffers.
    pub(crate) fn free_bytes(&self) -> usize {
        self.free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .bytes
    }

    fn take_free(&self, room: usize) -> Option<Vec<u8>> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let memory = free.by_units.get_mut(&room)?.pop()?;
        free.bytes = free.bytes.saturating_sub(memory.len());
        Some(memory)
    }

    fn give_back(&self, memory: Vec<u8>) {
        let room = memory.len() / self.room_len.max(1);
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let after = free.bytes.saturating_add(memory.len());
        if room > 0 && after <= self.free_bytes_max {
            free.bytes = after;
            free.by_units.entry(room).or_default().push(memory);
        }
    }
}

impl fmt::Debug for Free {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Free")
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: UnitLayout = UnitLayout::new(16).unwrap();
    const LONG: UnitLayout = UnitLayout::new(48).unwrap();

    fn pool(free_bytes_max: usize) -> Arc<UnitPool> {
        UnitPool::new(SHORT, free_bytes_max)
    }

    #[test]
    fn memory_serves_units_of_either_length() {
        let pool = UnitPool::new(LONG, 1 << 20);
        drop(pool.take(SHORT, 4));
        assert_eq!(pool.free_bytes(), 4 * 56);
        let mut buffer = pool.take(LONG, 4);
        assert_eq!(pool.free_bytes(), 0, "the same memory");
        for unit in 0..4 {
            assert_eq!(buffer.slot_mut(unit).len(), 48);
            assert_eq!(buffer.slot_offset(unit), unit * 56);
        }
        assert_eq!(buffer.as_ref().len(), 4 * 56);
        drop(buffer);
        let buffer = pool.take(SHORT, 4);
        assert_eq!(buffer.slot_offset(3), 3 * 24);
        assert_eq!(buffer.as_ref().len(), 4 * 24);
    }

    #[test]
    fn slots_lie_as_in_the_file() {
        let mut buffer = pool(0).take(SHORT, 3);
        for unit in 0..3 {
            assert_eq!(buffer.slot(unit).len(), 16);
            assert_eq!(buffer.slot_offset(unit), unit * 24);
            buffer.slot_mut(unit).fill(u8::try_from(unit).unwrap() + 1);
        }
        assert!(buffer.slot(3).is_empty() && buffer.slot(usize::MAX).is_empty());
        buffer.set_last_len(5);
        assert_eq!(buffer.slot(2), [3; 5]);
        assert_eq!(buffer.as_ref().len(), 24 + 24 + 5 + 8);
        let bytes = buffer.into_bytes();
        assert_eq!(&bytes[24..40], [2; 16]);
    }

    #[test]
    fn memory_returns_when_the_last_reference_goes() {
        let pool = pool(1 << 20);
        let bytes = pool.take(SHORT, 4).into_bytes();
        let part = bytes.slice(1..2);
        drop(bytes);
        assert_eq!(pool.free_bytes(), 0);
        drop(part);
        assert_eq!(pool.free_bytes(), 96);
        let again = pool.take(SHORT, 3);
        assert_eq!(pool.free_bytes(), 0, "room for four serves three");
        assert_eq!(again.capacity_units(), 3);
    }

    #[test]
    fn the_free_list_has_a_bound() {
        let pool = pool(100);
        let buffers: Vec<_> = (0..5).map(|_| pool.take(SHORT, 4)).collect();
        drop(buffers);
        assert_eq!(pool.free_bytes(), 96);
    }
}

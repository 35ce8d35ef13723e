// SPDX-License-Identifier: Apache-2.0
//! Which slots of a region are taken: a map of bits, without any memory behind it.

/// The slots of one region.
pub(crate) struct Slots {
    words: [u64; WORDS],
    /// Where the last search ended.
    next: usize,
}

impl Slots {
    pub(crate) const fn new() -> Slots {
        Slots {
            words: [0; WORDS],
            next: 0,
        }
    }

    /// Takes `count` free slots in a row: the first of them.
    pub(crate) fn take(&mut self, count: usize) -> Option<usize> {
        if count == 0 || count > SLOTS {
            return None;
        }
        let start = self
            .find(self.next, SLOTS, count)
            .or_else(|| self.find(0, self.next.saturating_add(count).min(SLOTS), count))?;
        for slot in start..start.saturating_add(count) {
            self.set(slot, true);
        }
        self.next = start.saturating_add(count);
        Some(start)
    }

    /// Gives them back.
    pub(crate) fn give(&mut self, start: usize, count: usize) {
        for slot in start..start.saturating_add(count) {
            self.set(slot, false);
        }
    }

    pub(crate) fn taken(&self) -> usize {
        self.words
            .iter()
            .map(|word| usize::try_from(word.count_ones()).unwrap_or_default())
            .sum()
    }

    fn find(&self, from: usize, to: usize, count: usize) -> Option<usize> {
        let mut free = 0;
        for slot in from..to {
            free = if self.is_taken(slot) { 0 } else { free + 1 };
            if free == count {
                return Some(slot + 1 - count);
            }
        }
        None
    }

    fn is_taken(&self, slot: usize) -> bool {
        let word = self.words.get(slot / 64).copied().unwrap_or(u64::MAX);
        word >> (slot % 64) & 1 == 1
    }

    fn set(&mut self, slot: usize, taken: bool) {
        if let Some(word) = self.words.get_mut(slot / 64) {
            let bit = 1 << (slot % 64);
            *word = if taken { *word | bit } else { *word & !bit };
        }
    }
}

/// Slots of a region.
pub(crate) const SLOTS: usize = 2048;
const WORDS: usize = SLOTS / 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_slot_is_given_twice() {
        // A linear congruence decides; the model is a plain list of who has what.
        let mut slots = Slots::new();
        let mut model = vec![false; SLOTS];
        let mut held: Vec<(usize, usize)> = Vec::new();
        let mut state = 12_345_u64;
        for _ in 0..20_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let draw = usize::try_from(state >> 40).unwrap();
            if draw % 3 == 0 && !held.is_empty() {
                let (start, count) = held.swap_remove(draw % held.len());
                slots.give(start, count);
                model[start..start + count].fill(false);
            } else {
                let count = 1 + draw % 80;
                match slots.take(count) {
                    Some(start) => {
                        let row = &mut model[start..start + count];
                        assert!(row.iter().all(|taken| !taken));
                        row.fill(true);
                        held.push((start, count));
                    }
                    None => assert!(
                        !model
                            .windows(count)
                            .any(|row| row.iter().all(|taken| !taken)),
                        "{count} slots were free"
                    ),
                }
            }
            assert_eq!(slots.taken(), model.iter().filter(|taken| **taken).count());
        }
    }

    #[test]
    fn impossible_sizes_are_refused() {
        let mut slots = Slots::new();
        assert_eq!(slots.take(0), None);
        assert_eq!(slots.take(SLOTS + 1), None);
        assert_eq!(slots.take(SLOTS), Some(0));
        assert_eq!(slots.take(1), None);
        slots.give(SLOTS - 1, 1);
        assert_eq!(slots.take(1), Some(SLOTS - 1));
    }
}

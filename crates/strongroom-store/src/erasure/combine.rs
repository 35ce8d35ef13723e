// SPDX-License-Identifier: Apache-2.0
//! Sums of products of whole units: all that encoding and rebuilding do with bytes.
//!
//! To multiply a unit by a coefficient and add it to a sum takes seven doublings for each input.
//! Done from the other end it takes seven for the *sum*, whatever the number of inputs:
//!
//! ```text
//!   a*A + b*B  =  (((A,B with bit 7) * 2 + (A,B with bit 6)) * 2 + ...) * 2 + (A,B with bit 0)
//! ```
//!
//! So a coefficient costs additions only, one for each of its bits, and small ones (parity of the
//! first two shards, and rebuilding by the first) cost next to nothing. Doubling works on eight
//! bytes of a word at once, which compilers turn into vectors of whatever length the machine
//! has. ADR 0027 has the measurements.

use super::field::FOLD;
use crate::layout::DATA_SHARDS_MAX;

/// A sum of products: which inputs go in, and with which coefficients.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Combination {
    /// For each bit of the coefficients, lowest first, the inputs that have it.
    having: [u16; 8],
}

impl Combination {
    /// The sum of the inputs times `coefficients`, in their order; at most
    /// [`DATA_SHARDS_MAX`] of them.
    pub(super) fn new(coefficients: &[u8]) -> Self {
        let mut having = [0; 8];
        for (bit, inputs) in (0..8).zip(&mut having) {
            for (input, coefficient) in (0..u32::from(DATA_SHARDS_MAX)).zip(coefficients) {
                *inputs |= u16::from((coefficient >> bit) & 1) << input;
            }
        }
        Self { having }
    }

    /// Fills `out` with the sum. Inputs that are shorter, or are not there, count as zeros; of
    /// longer ones the rest is not used.
    pub fn apply(&self, inputs: &[&[u8]], out: &mut [u8]) {
        let mut blocks = [&ZEROS; INPUTS_MAX];
        let mut ends = [ZEROS; INPUTS_MAX];
        let mut whole: [&[Block]; INPUTS_MAX] = [&[]; INPUTS_MAX];
        for ((input, whole), end) in inputs.iter().zip(&mut whole).zip(&mut ends) {
            let (blocks, rest) = input.as_chunks();
            *whole = blocks;
            for (to, from) in end.iter_mut().zip(rest) {
                *to = *from;
            }
        }
        for (number, out) in out.chunks_mut(BLOCK_BYTES).enumerate() {
            for ((block, whole), end) in blocks.iter_mut().zip(&whole).zip(&ends) {
                *block = match whole.get(number) {
                    Some(block) => block,
                    None if whole.len() == number => end,
                    None => &ZEROS,
                };
            }
            let sum = self.sum(&blocks);
            if let Some(out) = out.first_chunk_mut() {
                *out = sum;
            } else {
                for (to, from) in out.iter_mut().zip(sum) {
                    *to = from;
                }
            }
        }
    }

    fn sum(&self, blocks: &[&Block; INPUTS_MAX]) -> Block {
        // Doubling a sum that has not begun is no work worth avoiding, but that of the many
        // coefficients that are one is.
        let unused = self.having.iter().rev().take_while(|having| **having == 0);
        let mut sum = [0_u64; BLOCK_BYTES / 8];
        for having in self.having.iter().rev().skip(unused.count()) {
            for word in &mut sum {
                *word = double_each_byte(*word);
            }
            let mut left = *having;
            while left > 0 {
                let input = usize::try_from(left.trailing_zeros()).unwrap_or(usize::MAX);
                if let Some(block) = blocks.get(input) {
                    let (words, _) = block.as_chunks();
                    for (sum, word) in sum.iter_mut().zip(words) {
                        *sum ^= u64::from_le_bytes(*word);
                    }
                }
                left &= left.wrapping_sub(1);
            }
        }
        let mut block = ZEROS;
        let (words, _) = block.as_chunks_mut();
        for (to, from) in words.iter_mut().zip(sum) {
            *to = from.to_le_bytes();
        }
        block
    }
}

/// Doubles eight elements of the field, one in each byte.
const fn double_each_byte(word: u64) -> u64 {
    let falls_out = word & HIGHEST_BITS;
    // 0xFF in each byte whose highest bit falls out.
    let mask = (falls_out << 1).wrapping_sub(falls_out >> 7);
    ((word & !HIGHEST_BITS) << 1) ^ (mask & FOLDS)
}

const HIGHEST_BITS: u64 = u64::from_le_bytes([0x80; 8]);
const FOLDS: u64 = u64::from_le_bytes([FOLD; 8]);
/// Bytes worked on at once: as many as stay in registers.
const BLOCK_BYTES: usize = 128;
type Block = [u8; BLOCK_BYTES];
const ZEROS: Block = [0; BLOCK_BYTES];
/// The most inputs: data shards of a code.
const INPUTS_MAX: usize = 16;

#[expect(
    clippy::as_conversions,
    reason = "compile-time comparison of two widths of one number"
)]
const _: () = assert!(INPUTS_MAX == DATA_SHARDS_MAX as usize);

#[cfg(test)]
mod tests {
    use super::super::field;
    use super::*;

    #[test]
    fn every_product_is_that_of_the_field() {
        let all: Vec<u8> = (0..=255).collect();
        let mut out = vec![0; 256];
        for coefficient in 0..=255 {
            Combination::new(&[coefficient]).apply(&[&all], &mut out);
            for (a, product) in all.iter().zip(&out) {
                assert_eq!(*product, field::product(*a, coefficient));
            }
        }
    }

    #[test]
    fn lengths_need_not_be_those_of_blocks_nor_equal() {
        let input = |seed: u8, len: usize| -> Vec<u8> {
            let bytes = (0..=250_u8).cycle().map(|byte| byte.wrapping_mul(seed));
            bytes.take(len).collect()
        };
        for len in [0, 1, 7, 8, 9, 127, 128, 129, 255, 256, 1000] {
            for shorter in [0, 1, 8, 100, 128, 500] {
                let short: usize = len - shorter.min(len);
                let inputs = [input(3, len), input(5, short), input(7, len + 13)];
                let coefficients = [0x8E, 0x01, 0xF3];
                let slices: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
                let mut out = vec![0xEE; len];
                Combination::new(&coefficients).apply(&slices, &mut out);
                for (at, byte) in out.iter().enumerate() {
                    let expected = inputs.iter().zip(coefficients).fold(0, |sum, (input, c)| {
                        sum ^ field::product(input.get(at).copied().unwrap_or(0), c)
                    });
                    assert_eq!(*byte, expected, "{len} {shorter} {at}");
                }
                // Inputs that are not there are zeros, too.
                Combination::new(&coefficients).apply(&slices[..1], &mut out);
                for (at, byte) in out.iter().enumerate() {
                    assert_eq!(*byte, field::product(inputs[0][at], 0x8E));
                }
            }
        }
    }

    #[test]
    fn nothing_is_left_of_what_was_in_the_way() {
        let mut out = [0xEE; 300];
        Combination::new(&[0, 0]).apply(&[&[1; 300], &[2; 300]], &mut out);
        assert_eq!(out, [0; 300]);
    }
}

// SPDX-License-Identifier: Apache-2.0
//! The code: parity units from data units, and any unit from as many others as there are data
//! units.
//!
//! Parity unit `i` is the sum over the data units `j` of `C(i, j)` times the unit, byte by byte:
//!
//! ```text
//!   C(0, j) = 1                                          the sum: rebuilding by it is additions
//!   C(1, j) = x^j
//!   C(i, j) = (x^(i-1) + 1) / (x^(i-1) + x^-j)           a Cauchy matrix, scaled
//! ```
//!
//! Row 1 is the same Cauchy matrix with 0 in the place of `x^(i-1)`, row 0 its limit; rows are
//! scaled so that the first column is all ones, so with one data shard every parity shard is a
//! copy of it. Every square part of such a matrix can be inverted: whichever units are lost, as
//! long as there are no more of them than parity units, the rest determines them. The coefficients
//! do not depend on how many data or parity shards there are.

use super::combine::Combination;
use super::field;
use crate::layout::{Redundancy, ShardIndex};

/// The code of one redundancy.
#[derive(Clone, Debug)]
pub struct Codec {
    redundancy: Redundancy,
    parity: Vec<Combination>,
}

/// Units that cannot be computed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CodecError {
    /// More shards are lost than the code has parity.
    #[error("{there} shards are there and {needed} are needed")]
    TooFew {
        /// Shards needed: as many as there are data shards.
        needed: u8,
        /// Shards there.
        there: u8,
    },
    /// A shard that the code has not, or one given twice, or the lost one among those there.
    #[error("the shards given are not distinct ones of the code")]
    NotShards,
    /// Not as many units as the code has shards of their kind.
    #[error("the number of units is not that of the code")]
    NotUnits,
}

impl Codec {
    /// The code of `redundancy`.
    pub fn new(redundancy: Redundancy) -> Self {
        let parity = (0..redundancy.parity()).map(|row| {
            let coefficients: Vec<u8> = (0..redundancy.data())
                .map(|column| coefficient(row, column))
                .collect();
            Combination::new(&coefficients)
        });
        Self {
            redundancy,
            parity: parity.collect(),
        }
    }

    /// How many shards the code has.
    pub fn redundancy(&self) -> Redundancy {
        self.redundancy
    }

    /// Computes the parity units of a row from all of its data units, which may be short or empty:
    /// they count as if they went on with zeros.
    pub fn encode(&self, data: &[&[u8]], parity: &mut [&mut [u8]]) -> Result<(), CodecError> {
        if data.len() != usize::from(self.redundancy.data()) || parity.len() != self.parity.len() {
            return Err(CodecError::NotUnits);
        }
        for (combination, out) in self.parity.iter().zip(parity) {
            combination.apply(data, out);
        }
        Ok(())
    }

    /// How to compute a unit of `lost` from the units in the same row of the first
    /// [`Redundancy::data`] shards of `there`, in that order. Good for every row.
    pub fn rebuild(
        &self,
        lost: ShardIndex,
        there: &[ShardIndex],
    ) -> Result<Combination, CodecError> {
        let redundancy = self.redundancy;
        let needed = redundancy.data();
        let Some(sources) = there.get(..usize::from(needed)) else {
            return Err(CodecError::TooFew {
                needed,
                there: u8::try_from(there.len()).unwrap_or(needed),
            });
        };
        let mut given = 0_u32;
        for shard in sources.iter().chain([&lost]) {
            let bit = 1 << (shard.0 & 31);
            if !redundancy.has(*shard) || given & bit != 0 {
                return Err(CodecError::NotShards);
            }
            given |= bit;
        }
        let coefficients = coefficients(redundancy, lost, sources);
        Ok(Combination::new(&coefficients))
    }

    /// Computes a lost unit: `there` are units of the same row, of which the first
    /// [`Redundancy::data`] are used, and `out` is as long as the lost one was. Units that never
    /// were there (the end of a blob) are given as empty.
    pub fn reconstruct(
        &self,
        lost: ShardIndex,
        there: &[(ShardIndex, &[u8])],
        out: &mut [u8],
    ) -> Result<(), CodecError> {
        let shards: Vec<ShardIndex> = there.iter().map(|(shard, _)| *shard).collect();
        let units: Vec<&[u8]> = there.iter().map(|(_, unit)| *unit).collect();
        self.rebuild(lost, &shards)?.apply(&units, out);
        Ok(())
    }
}

/// With what the sources are multiplied to get a lost unit: `w` of the parity units among them is
/// chosen so that the data units that are missing cancel out, or come out as they should.
fn coefficients(redundancy: Redundancy, lost: ShardIndex, sources: &[ShardIndex]) -> Vec<u8> {
    let missing: Vec<u8> = (0..redundancy.data())
        .filter(|data| !sources.contains(&ShardIndex(*data)))
        .collect();
    let rows: Vec<u8> = sources
        .iter()
        .filter_map(|shard| shard.0.checked_sub(redundancy.data()))
        .collect();
    // One equation for each missing unit, its unknowns the weights of the parity units.
    let equations = missing.iter().map(|data| {
        rows.iter()
            .map(|row| coefficient(*row, *data))
            .chain([entry(redundancy, lost, *data)])
            .collect()
    });
    let weights = solve(equations.collect());
    let mut next_weight = weights.iter();
    sources
        .iter()
        .map(|source| {
            if redundancy.is_data(*source) {
                let through_parity = rows.iter().zip(&weights).fold(0, |sum, (row, weight)| {
                    sum ^ field::product(*weight, coefficient(*row, source.0))
                });
                entry(redundancy, lost, source.0) ^ through_parity
            } else {
                next_weight.next().copied().unwrap_or(0)
            }
        })
        .collect()
}

/// With what data unit `data` goes into the unit of a shard.
fn entry(redundancy: Redundancy, shard: ShardIndex, data: u8) -> u8 {
    match shard.0.checked_sub(redundancy.data()) {
        Some(row) => coefficient(row, data),
        None => u8::from(shard.0 == data),
    }
}

/// `C(row, column)`.
const fn coefficient(row: u8, column: u8) -> u8 {
    match row.checked_sub(1) {
        None => 1,
        Some(0) => field::power(column),
        Some(exponent) => {
            let x = field::power(exponent);
            let y = field::inverse(field::power(column));
            field::product(x ^ 1, field::inverse(x ^ y))
        }
    }
}

/// Solves as many equations as there are unknowns, by elimination; the right side is the last
/// number of each. There is always one solution, since every square part of the matrix can be
/// inverted.
fn solve(mut equations: Vec<Vec<u8>>) -> Vec<u8> {
    for unknown in 0..equations.len() {
        let number = |equation: &[u8]| equation.get(unknown).copied().unwrap_or(0);
        let with = (unknown..equations.len())
            .find(|row| equations.get(*row).is_some_and(|row| number(row) != 0));
        if let Some(with) = with {
            equations.swap(unknown, with);
        }
        let Some(mut pivot) = equations.get(unknown).cloned() else {
            continue;
        };
        let scale = field::inverse(number(&pivot));
        for number in &mut pivot {
            *number = field::product(*number, scale);
        }
        for (row, equation) in equations.iter_mut().enumerate() {
            if row == unknown {
                equation.clone_from(&pivot);
                continue;
            }
            let factor = number(equation);
            for (number, of_pivot) in equation.iter_mut().zip(&pivot) {
                *number ^= field::product(factor, *of_pivot);
            }
        }
    }
    equations
        .iter()
        .map(|equation| equation.last().copied().unwrap_or(0))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{DATA_SHARDS_MAX, PARITY_SHARDS_MAX};

    /// All sets of numbers below `below` with `size` members.
    fn subsets(below: u8, size: u32) -> impl Iterator<Item = Vec<u8>> {
        (0_u32..1 << below)
            .filter(move |set| set.count_ones() == size)
            .map(move |set| (0..below).filter(|member| set >> member & 1 == 1).collect())
    }

    /// Whether rows and columns of the matrix make a part that can be inverted.
    fn can_be_inverted(rows: &[u8], columns: &[u8], products: &[Vec<u8>]) -> bool {
        let times = |a: u8, b: u8| products[usize::from(a)][usize::from(b)];
        let mut part: Vec<Vec<u8>> = rows
            .iter()
            .map(|row| {
                columns
                    .iter()
                    .map(|column| coefficient(*row, *column))
                    .collect()
            })
            .collect();
        for at in 0..part.len() {
            let Some(pivot) = (at..part.len()).find(|row| part[*row][at] != 0) else {
                return false;
            };
            part.swap(at, pivot);
            let above = part[at].clone();
            let scale = field::inverse(above[at]);
            for row in part.iter_mut().skip(at + 1) {
                let factor = times(row[at], scale);
                for (number, above) in row.iter_mut().zip(&above) {
                    *number ^= times(factor, *above);
                }
            }
        }
        true
    }

    /// With this, every code up to 16+8 rebuilds every pattern: a lost pattern is a square part
    /// of the one matrix that all codes share.
    #[test]
    fn every_square_part_of_the_matrix_can_be_inverted() {
        let products: Vec<Vec<u8>> = (0..=255)
            .map(|a| (0..=255).map(|b| field::product(a, b)).collect())
            .collect();
        let mut parts = 0_u32;
        for size in 1..=u32::from(PARITY_SHARDS_MAX) {
            let columns: Vec<_> = subsets(DATA_SHARDS_MAX, size).collect();
            for rows in subsets(PARITY_SHARDS_MAX, size) {
                for columns in &columns {
                    assert!(
                        can_be_inverted(&rows, columns, &products),
                        "{rows:?} {columns:?}"
                    );
                    parts += 1;
                }
            }
        }
        assert_eq!(parts, 735_470);
    }

    #[test]
    fn the_first_row_and_the_first_column_are_ones_and_no_coefficient_is_zero() {
        for row in 0..PARITY_SHARDS_MAX {
            assert_eq!(coefficient(row, 0), 1);
            for column in 0..DATA_SHARDS_MAX {
                assert_eq!(coefficient(0, column), 1);
                assert_eq!(coefficient(1, column), field::power(column));
                assert_ne!(coefficient(row, column), 0);
            }
        }
    }
}

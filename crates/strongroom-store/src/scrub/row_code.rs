// SPDX-License-Identifier: Apache-2.0
//! The erasure code, one row at a time, for who has some of its units.

use crate::blob::ShardSet;
use crate::erasure::{Codec, Combination, StripeLayout};
use crate::layout::ShardIndex;

/// Computes and compares the units of a row.
pub(crate) struct RowCode {
    stripes: StripeLayout,
    codec: Codec,
    /// How each parity unit comes from all data units.
    parity: Vec<(ShardIndex, Combination)>,
    /// How the last unit that was rebuilt came from others: rows of a blob are much alike.
    last: Option<(ShardIndex, Vec<ShardIndex>, Combination)>,
    room: Vec<u8>,
}

/// Units of one row that are there and passed.
pub(crate) type Units<'a> = [(ShardIndex, &'a [u8])];

/// Whether the units of a row fit each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Agreement {
    /// They do.
    Whole,
    /// Too few are there to say.
    Unknown,
    /// These do not fit the others, which fit each other.
    Wrong(ShardSet),
    /// They do not, and which are wrong cannot be said.
    Doubtful,
}

impl RowCode {
    /// The code of a blob.
    pub(crate) fn new(stripes: StripeLayout) -> Self {
        let redundancy = stripes.redundancy();
        let codec = Codec::new(redundancy);
        let data: Vec<_> = redundancy
            .each_shard()
            .filter(|shard| redundancy.is_data(*shard))
            .collect();
        let parity = redundancy
            .each_shard()
            .filter(|shard| !redundancy.is_data(*shard))
            .filter_map(|shard| Some((shard, codec.rebuild(shard, &data).ok()?)))
            .collect();
        Self {
            stripes,
            codec,
            parity,
            last: None,
            room: Vec::new(),
        }
    }

    /// Computes the unit of `want` from those of other shards. `false` when too few are there.
    pub(crate) fn rebuild(
        &mut self,
        sealed_bytes: u64,
        row: u64,
        units: &Units<'_>,
        want: ShardIndex,
        out: &mut [u8],
    ) -> bool {
        let mut sources = self.complete(sealed_bytes, row, units);
        sources.retain(|(shard, _)| *shard != want);
        self.compute(&sources, want, out)
    }

    /// Whether the units of a row fit each other.
    pub(crate) fn compare(&mut self, sealed_bytes: u64, row: u64, units: &Units<'_>) -> Agreement {
        let units = self.complete(sealed_bytes, row, units);
        let redundancy = self.stripes.redundancy();
        let needed = usize::from(redundancy.data());
        if units.len() <= needed || redundancy.parity() == 0 {
            return Agreement::Unknown;
        }
        let data: Vec<&[u8]> = units
            .iter()
            .filter(|(shard, _)| redundancy.is_data(*shard))
            .map(|(_, unit)| *unit)
            .collect();
        if data.len() < needed {
            return self.compare_some(&units);
        }
        let mut room = std::mem::take(&mut self.room);
        let mut wrong = ShardSet::EMPTY;
        let mut compared = 0_u8;
        for (shard, combination) in &self.parity {
            let Some((_, found)) = units.iter().find(|(of, _)| of == shard) else {
                continue;
            };
            room.resize(found.len(), 0);
            combination.apply(&data, &mut room);
            compared = compared.saturating_add(1);
            if room != *found {
                wrong = wrong.with(*shard);
            }
        }
        self.room = room;
        match wrong.len() {
            0 => Agreement::Whole,
            // Every parity unit depends on every data unit: one that fits speaks for all of them.
            count if count < compared => Agreement::Wrong(wrong),
            _ => self.blame_data(&units),
        }
    }

    /// No parity unit fits. If another value of one data unit, and of no other, makes all of them
    /// fit, that one is wrong.
    fn blame_data(&mut self, units: &Units<'_>) -> Agreement {
        let redundancy = self.stripes.redundancy();
        let mut wrong = ShardSet::EMPTY;
        let suspects = units.iter().filter(|(shard, _)| redundancy.is_data(*shard));
        for (suspect, _) in suspects {
            let others: Vec<_> = units
                .iter()
                .filter(|(shard, _)| shard != suspect)
                .copied()
                .collect();
            let enough = others.len() > usize::from(redundancy.data());
            if enough && self.compare_some(&others) == Agreement::Whole {
                wrong = wrong.with(*suspect);
            }
        }
        match wrong.len() {
            1 => Agreement::Wrong(wrong),
            _ => Agreement::Doubtful,
        }
    }

    /// Whether units fit each other of which some data units are missing.
    fn compare_some(&mut self, units: &Units<'_>) -> Agreement {
        let needed = usize::from(self.stripes.redundancy().data());
        let (sources, others) = units.split_at_checked(needed).unwrap_or((units, &[]));
        let mut room = std::mem::take(&mut self.room);
        let mut agreement = Agreement::Whole;
        for (shard, found) in others {
            room.resize(found.len(), 0);
            if !self.compute(sources, *shard, &mut room) || room != *found {
                agreement = Agreement::Doubtful;
            }
        }
        self.room = room;
        agreement
    }

    fn compute(&mut self, sources: &Units<'_>, want: ShardIndex, out: &mut [u8]) -> bool {
        let needed = usize::from(self.stripes.redundancy().data());
        let Some(sources) = sources.get(..needed) else {
            return false;
        };
        let is_same = |last: &(ShardIndex, Vec<ShardIndex>, Combination)| {
            let shards = sources.iter().map(|(shard, _)| shard);
            last.0 == want && last.1.iter().eq(shards)
        };
        let combination = match &self.last {
            Some(last) if is_same(last) => last.2,
            _ => {
                let shards: Vec<_> = sources.iter().map(|(shard, _)| *shard).collect();
                let Ok(combination) = self.codec.rebuild(want, &shards) else {
                    return false;
                };
                self.last = Some((want, shards, combination));
                combination
            }
        };
        let units: Vec<&[u8]> = sources.iter().map(|(_, unit)| *unit).collect();
        combination.apply(&units, out);
        true
    }

    /// The units that are there, by shard, with those that never were and count as zeros.
    fn complete<'a>(
        &self,
        sealed_bytes: u64,
        row: u64,
        units: &Units<'a>,
    ) -> Vec<(ShardIndex, &'a [u8])> {
        let shards = self.stripes.redundancy().each_shard();
        let unit_of = |shard: ShardIndex| {
            if self.stripes.unit_len(sealed_bytes, shard, row).is_none() {
                return Some((shard, [].as_slice()));
            }
            units.iter().find(|(of, _)| *of == shard).copied()
        };
        shards.filter_map(unit_of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Redundancy, UnitLayout};

    const LEN: usize = 64;

    /// A row of a blob, all shards of it.
    fn row(data: u8, parity: u8, seed: u8) -> (RowCode, u64, Vec<Vec<u8>>) {
        let redundancy = Redundancy::new(data, parity).unwrap();
        let unit = UnitLayout::new(64).unwrap();
        let stripes = StripeLayout::new(unit, redundancy, 1).unwrap();
        let mut code = RowCode::new(stripes);
        let sealed_bytes = u64::from(data) * 64;
        let mut units: Vec<Vec<u8>> = (0..data)
            .map(|shard| {
                let byte = |at: usize| u8::try_from(at * 31 % 251).unwrap() ^ ((shard + 1) * seed);
                (0..LEN).map(byte).collect()
            })
            .collect();
        for index in data..data + parity {
            let mut out = vec![0; LEN];
            let there = with_index(&units);
            assert!(code.rebuild(sealed_bytes, 0, &there, ShardIndex(index), &mut out));
            units.push(out);
        }
        (code, sealed_bytes, units)
    }

    fn with_index(units: &[Vec<u8>]) -> Vec<(ShardIndex, &[u8])> {
        let shards = (0_u8..).map(ShardIndex);
        shards.zip(units.iter().map(Vec::as_slice)).collect()
    }

    #[test]
    fn a_whole_row_agrees_and_every_lost_unit_comes_back() {
        for (data, parity) in [(1, 1), (1, 2), (2, 1), (2, 2), (4, 2), (8, 4)] {
            let (mut code, bytes, units) = row(data, parity, 7);
            let all = with_index(&units);
            assert_eq!(code.compare(bytes, 0, &all), Agreement::Whole);
            for lost in 0..units.len() {
                let mut others = all.clone();
                let (shard, unit) = others.remove(lost);
                let mut out = vec![0; LEN];
                assert!(code.rebuild(bytes, 0, &others, shard, &mut out));
                assert_eq!(out, unit, "{data}+{parity}, shard {lost}");
                let agreement = code.compare(bytes, 0, &others);
                let expected = if parity > 1 {
                    Agreement::Whole
                } else {
                    Agreement::Unknown
                };
                assert_eq!(agreement, expected, "{data}+{parity} without {lost}");
            }
        }
    }

    #[test]
    fn one_wrong_unit_is_found_where_there_is_parity_for_it() {
        for (data, parity) in [(1, 2), (2, 2), (4, 2), (3, 3), (8, 4)] {
            let (mut code, bytes, units) = row(data, parity, 5);
            for wrong in 0..units.len() {
                let mut units = units.clone();
                units[wrong][9] ^= 0x40;
                let found = code.compare(bytes, 0, &with_index(&units));
                let shard = ShardIndex(u8::try_from(wrong).unwrap());
                let expected = Agreement::Wrong(ShardSet::EMPTY.with(shard));
                assert_eq!(found, expected, "{data}+{parity}, shard {wrong}");
            }
        }
    }

    #[test]
    fn with_one_parity_unit_a_contradiction_blames_nobody() {
        for data in [1, 2, 4] {
            let (mut code, bytes, units) = row(data, 1, 3);
            for wrong in 0..units.len() {
                let mut units = units.clone();
                units[wrong][0] ^= 1;
                let found = code.compare(bytes, 0, &with_index(&units));
                assert_eq!(found, Agreement::Doubtful, "{data}+1, shard {wrong}");
            }
        }
    }

    #[test]
    fn two_wrong_units_are_never_taken_for_none() {
        let (mut code, bytes, units) = row(4, 2, 9);
        for one in 0..units.len() {
            for other in 0..one {
                let mut units = units.clone();
                units[one][1] ^= 2;
                units[other][1] ^= 3;
                let found = code.compare(bytes, 0, &with_index(&units));
                assert_ne!(found, Agreement::Whole, "{one}, {other}");
                assert_ne!(found, Agreement::Unknown, "{one}, {other}");
            }
        }
    }

    #[test]
    fn too_few_units_rebuild_nothing() {
        let (mut code, bytes, units) = row(4, 2, 1);
        let few: Vec<_> = with_index(&units).into_iter().take(3).collect();
        let mut out = vec![0; LEN];
        assert!(!code.rebuild(bytes, 0, &few, ShardIndex(5), &mut out));
        assert_eq!(code.compare(bytes, 0, &few), Agreement::Unknown);
    }
}

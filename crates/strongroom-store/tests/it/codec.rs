// SPDX-License-Identifier: Apache-2.0
//! Erasure patterns: whatever is lost within the tolerance comes back, and nothing else does.

use proptest::prelude::*;
use strongroom_store::erasure::{Codec, CodecError};
use strongroom_store::layout::{Redundancy, ShardIndex};

/// A row of `data` + `parity` units: data of the given lengths, parity as long as the longest.
fn row(redundancy: Redundancy, lens: &[usize], seed: u8) -> Vec<Vec<u8>> {
    let mut state = u32::from(seed) + 1;
    let mut units: Vec<Vec<u8>> = lens
        .iter()
        .map(|len| {
            (0..*len)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                })
                .collect()
        })
        .collect();
    let longest = lens.iter().max().copied().unwrap_or(0);
    let mut parity = vec![vec![0xEE; longest]; usize::from(redundancy.parity())];
    let data: Vec<&[u8]> = units.iter().map(Vec::as_slice).collect();
    let mut out: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
    Codec::new(redundancy).encode(&data, &mut out).unwrap();
    units.append(&mut parity);
    units
}

fn rebuilt(
    codec: &Codec,
    units: &[Vec<u8>],
    lost: u8,
    there: &[u8],
) -> Result<Vec<u8>, CodecError> {
    let sources: Vec<(ShardIndex, &[u8])> = there
        .iter()
        .map(|shard| (ShardIndex(*shard), units[usize::from(*shard)].as_slice()))
        .collect();
    let mut out = vec![0xEE; units[usize::from(lost)].len()];
    codec.reconstruct(ShardIndex(lost), &sources, &mut out)?;
    Ok(out)
}

#[test]
fn every_pattern_of_every_code_of_up_to_eight_shards() {
    let (mut patterns, mut beyond) = (0, 0);
    for data in 1..=7_u8 {
        for parity in 1..=8 - data {
            let redundancy = Redundancy::new(data, parity).unwrap();
            let codec = Codec::new(redundancy);
            let lens: Vec<usize> = (0..usize::from(data)).map(|at| 150 - 7 * at).collect();
            let units = row(redundancy, &lens, data * 8 + parity);
            let shards = redundancy.shards();
            for lost in 1_u32..1 << shards {
                let is_lost = |shard: &u8| lost >> shard & 1 == 1;
                let there: Vec<u8> = (0..shards).filter(|shard| !is_lost(shard)).collect();
                for shard in (0..shards).filter(is_lost) {
                    let answer = rebuilt(&codec, &units, shard, &there);
                    if lost.count_ones() <= u32::from(parity) {
                        assert_eq!(
                            answer.as_ref(),
                            Ok(&units[usize::from(shard)]),
                            "{redundancy}"
                        );
                        patterns += 1;
                    } else {
                        let too_few = CodecError::TooFew {
                            needed: data,
                            there: u8::try_from(there.len()).unwrap(),
                        };
                        assert_eq!(answer, Err(too_few), "{redundancy} {lost:b}");
                        beyond += 1;
                    }
                }
            }
        }
    }
    assert!(patterns > 5_000 && beyond > 5_000, "{patterns} {beyond}");
}

#[test]
fn with_one_data_shard_every_parity_shard_is_a_copy() {
    for parity in 1..=8 {
        let redundancy = Redundancy::new(1, parity).unwrap();
        let units = row(redundancy, &[1000], parity);
        assert!(units.iter().all(|unit| *unit == units[0]));
    }
}

#[test]
fn units_that_were_never_there_are_zeros() {
    let redundancy = Redundancy::new(4, 2).unwrap();
    let units = row(redundancy, &[100, 60, 0, 0], 7);
    let codec = Codec::new(redundancy);
    assert_eq!(rebuilt(&codec, &units, 0, &[2, 3, 4, 5]).unwrap(), units[0]);
    assert_eq!(rebuilt(&codec, &units, 1, &[2, 3, 4, 5]).unwrap(), units[1]);
    assert_eq!(rebuilt(&codec, &units, 2, &[0, 1, 3, 5]).unwrap(), units[2]);
    assert_eq!(rebuilt(&codec, &units, 5, &[1, 2, 3, 4]).unwrap(), units[5]);
}

#[test]
fn shards_that_are_none_of_the_code_are_refused() {
    let redundancy = Redundancy::new(3, 2).unwrap();
    let units = row(redundancy, &[50; 3], 1);
    let codec = Codec::new(redundancy);
    let shards =
        |numbers: &[u8]| -> Vec<ShardIndex> { numbers.iter().copied().map(ShardIndex).collect() };
    for (lost, there) in [
        (0, &[1, 1, 2][..]),
        (0, &[1, 2, 0]),
        (4, &[1, 2, 4]),
        (5, &[1, 2, 3]),
        (0, &[1, 2, 5]),
        (255, &[1, 2, 3]),
        (0, &[1, 2, 33]),
    ] {
        let answer = codec.rebuild(ShardIndex(lost), &shards(there));
        assert_eq!(answer, Err(CodecError::NotShards), "{lost} {there:?}");
    }
    for there in [&[][..], &[1], &[1, 2]] {
        let answer = codec.rebuild(ShardIndex(0), &shards(there));
        assert!(matches!(answer, Err(CodecError::TooFew { needed: 3, .. })));
    }
    let data: Vec<&[u8]> = units[..3].iter().map(Vec::as_slice).collect();
    let mut one = [0; 50];
    assert_eq!(
        codec.encode(&data, &mut [&mut one]),
        Err(CodecError::NotUnits)
    );
    let mut two = [0; 50];
    let parity = &mut [&mut one[..], &mut two[..]];
    assert_eq!(codec.encode(&data[..2], parity), Err(CodecError::NotUnits));
}

#[test]
fn a_damaged_source_is_not_hidden() {
    // The code rebuilds from what it is given: that a source is what was written is for the
    // checksums to say, and a wrong one does not go unseen in what comes out.
    let redundancy = Redundancy::new(4, 2).unwrap();
    let mut units = row(redundancy, &[64; 4], 3);
    let whole = units.clone();
    let codec = Codec::new(redundancy);
    for (source, lost) in [(1, 0), (4, 0), (0, 5)] {
        units[source][10] ^= 1;
        let there: Vec<u8> = (0..6).filter(|shard| usize::from(*shard) != lost).collect();
        let answer = rebuilt(&codec, &units, u8::try_from(lost).unwrap(), &there[..4]);
        assert_ne!(answer.unwrap(), whole[lost]);
        units[source][10] ^= 1;
    }
}

proptest! {
    #[test]
    fn any_code_rebuilds_any_loss_from_any_sources(
        data in 1_u8..=16,
        parity in 1_u8..=8,
        lens in prop::collection::vec(0_usize..400, 16),
        order in Just((0..24_u8).collect::<Vec<_>>()).prop_shuffle(),
        seed in any::<u8>(),
    ) {
        let redundancy = Redundancy::new(data, parity).unwrap();
        let mut lens = lens[..usize::from(data)].to_vec();
        lens[0] = 400;
        let units = row(redundancy, &lens, seed);
        let shards: Vec<u8> = order
            .into_iter()
            .filter(|shard| *shard < redundancy.shards())
            .collect();
        let (lost, there) = shards.split_at(usize::from(parity));
        let codec = Codec::new(redundancy);
        for lost in lost {
            let answer = rebuilt(&codec, &units, *lost, there).unwrap();
            prop_assert_eq!(&answer, &units[usize::from(*lost)]);
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! The arithmetic of stripes against a picture of the blob: cells laid out one by one.

use std::collections::BTreeMap;

use proptest::prelude::*;
use strongroom_store::erasure::{StripeLayout, UnitPlace};
use strongroom_store::layout::{Redundancy, ShardIndex, StripeIndex, UnitLayout};

const UNIT: u32 = 16;

fn layout(data: u8, parity: u8, cell_units: u8) -> StripeLayout {
    let unit = UnitLayout::new(UNIT).unwrap();
    StripeLayout::new(unit, Redundancy::new(data, parity).unwrap(), cell_units).unwrap()
}

/// Every shard as the lengths of its units, with the blob's unit where there is one.
type Picture = Vec<Vec<(u32, Option<u64>)>>;

/// Lays units into cells one after the other, as the specification tells it.
fn picture(layout: StripeLayout, sealed_bytes: u64) -> Picture {
    let (data, parity) = (layout.redundancy().data(), layout.redundancy().parity());
    let mut shards: Picture = vec![Vec::new(); usize::from(data + parity)];
    let lens: Vec<u32> = (0..)
        .map_while(|unit| layout.unit().unit_len(sealed_bytes, unit))
        .collect();
    let mut unit = 0;
    for stripe in lens.chunks(usize::from(data) * usize::from(layout.cell_units())) {
        let rows = stripe.len().div_ceil(usize::from(data));
        for (shard, cell) in stripe.chunks(rows).enumerate() {
            for len in cell {
                shards[shard].push((*len, Some(unit)));
                unit += 1;
            }
        }
        for row in 0..rows {
            let longest = stripe.chunks(rows).filter_map(|cell| cell.get(row)).max();
            for shard in &mut shards[usize::from(data)..] {
                shard.push((*longest.unwrap(), None));
            }
        }
    }
    shards
}

fn holds(layout: StripeLayout, sealed_bytes: u64) {
    let shards = picture(layout, sealed_bytes);
    let units = layout.unit().unit_count(sealed_bytes);
    let rows = layout.row_count(sealed_bytes);
    assert_eq!(rows, shards.iter().map(Vec::len).max().unwrap() as u64);

    let mut seen = BTreeMap::new();
    for (index, shard) in layout.redundancy().each_shard().zip(&shards) {
        let held: u32 = shard.iter().map(|(len, _)| len).sum();
        assert_eq!(
            layout.shard_units(sealed_bytes, index),
            Some(shard.len() as u64)
        );
        assert_eq!(
            layout.shard_bytes(sealed_bytes, index),
            Some(u64::from(held))
        );
        let file = 64 + u64::from(held) + 8 * shard.len() as u64 + 100 + 64;
        assert_eq!(
            layout.shard_file_bytes(sealed_bytes, index, 100),
            Some(file)
        );
        for row in 0..rows + 2 {
            let place = UnitPlace { shard: index, row };
            let drawn = usize::try_from(row).ok().and_then(|row| shard.get(row));
            assert_eq!(
                layout.unit_len(sealed_bytes, index, row),
                drawn.map(|(len, _)| *len)
            );
            let unit = drawn.and_then(|(_, unit)| *unit);
            assert_eq!(layout.unit_at(sealed_bytes, place), unit);
            if let Some(unit) = unit {
                assert_eq!(layout.place_of(sealed_bytes, unit), Some(place));
                assert_eq!(seen.insert(unit, place), None);
            }
            let sources: Vec<_> = layout.sources(sealed_bytes, index, row).collect();
            let expected: Vec<_> = layout
                .redundancy()
                .each_shard()
                .filter(|other| *other != index)
                .filter_map(|other| {
                    let (len, _) =
                        shards[usize::from(other.0)].get(usize::try_from(row).unwrap())?;
                    Some((other, *len))
                })
                .collect();
            assert_eq!(sources, expected);
        }
        // Only the last one of a shard is short, so a shard's file has the form of a blob's.
        let as_blob: Vec<_> = (0..)
            .map_while(|row| layout.unit().unit_len(u64::from(held), row))
            .collect();
        let lens: Vec<_> = shard.iter().map(|(len, _)| *len).collect();
        assert_eq!(as_blob, lens);
    }
    assert_eq!(seen.len() as u64, units);

    let mut next_unit = 0;
    let mut next_row = 0;
    for index in 0..layout.stripe_count(sealed_bytes) {
        let stripe = layout.stripe(sealed_bytes, StripeIndex(index)).unwrap();
        assert_eq!((stripe.first_unit, stripe.first_row), (next_unit, next_row));
        for row in next_row..next_row + u64::from(stripe.rows) {
            assert_eq!(layout.stripe_of_row(sealed_bytes, row), Some(stripe));
        }
        next_unit += u64::from(stripe.units);
        next_row += u64::from(stripe.rows);
    }
    assert_eq!((next_unit, next_row), (units, rows));
    assert_eq!(layout.stripe_of_row(sealed_bytes, rows), None);
    assert_eq!(layout.place_of(sealed_bytes, units), None);
}

#[test]
fn every_small_blob_lies_as_drawn() {
    for (data, parity) in [
        (1, 0),
        (1, 1),
        (1, 2),
        (2, 1),
        (2, 2),
        (3, 2),
        (4, 2),
        (5, 1),
    ] {
        for cell_units in 1..=4 {
            for units in 0..=u64::from(data) * u64::from(cell_units) * 2 + 3 {
                for short in [0, 1, UNIT - 1] {
                    let bytes = (units * u64::from(UNIT)).saturating_sub(u64::from(short));
                    holds(layout(data, parity, cell_units), bytes);
                }
            }
        }
    }
}

#[test]
fn shards_that_the_code_has_not() {
    let layout = layout(4, 2, 2);
    for shard in [6, 7, 255].map(ShardIndex) {
        assert_eq!(layout.shard_units(1000, shard), None);
        assert_eq!(layout.shard_bytes(1000, shard), None);
        assert_eq!(layout.shard_file_bytes(1000, shard, 0), None);
        assert_eq!(layout.unit_len(1000, shard, 0), None);
        assert_eq!(layout.unit_at(1000, UnitPlace { shard, row: 0 }), None);
    }
    let bytes = |sealed, manifest| layout.shard_file_bytes(sealed, ShardIndex(0), manifest);
    assert_eq!(bytes(1000, (16 << 10) + 1), None);
    // A blob without units is nothing but its manifest, which may be longer.
    assert_eq!(bytes(0, 1 << 20), Some(128 + (1 << 20)));
    assert_eq!(bytes(0, (1 << 20) + 1), None);
    let unit = UnitLayout::new(UNIT).unwrap();
    assert_eq!(StripeLayout::new(unit, Redundancy::SINGLE, 0), None);
}

#[test]
fn cells_of_new_blobs() {
    for (data, parity, cell_units) in [
        (1, 0, 8),
        (1, 1, 8),
        (2, 2, 4),
        (3, 2, 2),
        (4, 2, 2),
        (5, 2, 1),
        (8, 4, 1),
        (16, 8, 1),
    ] {
        let redundancy = Redundancy::new(data, parity).unwrap();
        let layout = StripeLayout::for_new_blobs(UnitLayout::PRODUCT, redundancy);
        assert_eq!(layout.cell_units(), cell_units, "{redundancy}");
        assert_eq!(layout.stripe_units(), u32::from(data * cell_units));
    }
}

#[test]
fn one_shard_is_one_run() {
    let layout = StripeLayout::single(UnitLayout::PRODUCT);
    let runs: Vec<_> = layout.runs(65_568 * 1000, 3, 500).unwrap().collect();
    assert_eq!(runs.len(), 1);
    assert_eq!((runs[0].first_row, runs[0].units), (3, 500));
    for parity in [1, 2] {
        let mirrored = Redundancy::new(1, parity).unwrap();
        let mirrored = StripeLayout::for_new_blobs(UnitLayout::PRODUCT, mirrored);
        assert_eq!(mirrored.runs(65_568 * 1000, 3, 500).unwrap().count(), 1);
    }
}

proptest! {
    #[test]
    fn large_blobs_lie_as_drawn(
        data in 1_u8..=16, parity in 1_u8..=8, cell_units in 1_u8..=9, bytes in 0_u64..20_000,
    ) {
        holds(layout(data, parity, cell_units), bytes);
    }

    #[test]
    fn runs_cover_a_range_once_in_order_and_are_as_long_as_they_can_be(
        data in 1_u8..=16,
        parity in 1_u8..=8,
        cell_units in 1_u8..=9,
        bytes in 1_u64..20_000,
        first in 0_u64..1300,
        units in 0_u32..1300,
    ) {
        let layout = layout(data, parity, cell_units);
        let count = layout.unit().unit_count(bytes);
        let runs = layout.runs(bytes, first, units);
        prop_assert_eq!(runs.is_some(), first + u64::from(units) <= count);
        let runs: Vec<_> = runs.into_iter().flatten().collect();
        let mut next = first;
        for run in &runs {
            prop_assert!(run.units > 0);
            prop_assert_eq!(run.first_unit, next);
            for more in 0..u64::from(run.units) {
                let place = UnitPlace { shard: run.shard, row: run.first_row + more };
                prop_assert_eq!(layout.unit_at(bytes, place), Some(next + more));
            }
            next += u64::from(run.units);
        }
        for (run, after) in runs.iter().zip(runs.iter().skip(1)) {
            let follows = after.shard == run.shard
                && after.first_row == run.first_row + u64::from(run.units);
            prop_assert!(!follows);
        }
        if !runs.is_empty() {
            prop_assert_eq!(next, first + u64::from(units));
        }
    }

    #[test]
    fn nothing_panics_or_wraps_at_the_limits(
        data in 1_u8..=16,
        parity in 1_u8..=8,
        cell_units in 1_u8..,
        bytes in u64::MAX - 100_000_000..,
        row in any::<u64>(),
        shard in any::<u8>(),
        unit in any::<u64>(),
    ) {
        let layout = layout(data, parity, cell_units);
        let shard = ShardIndex(shard);
        let place = UnitPlace { shard, row };
        if let Some(unit) = layout.unit_at(bytes, place) {
            prop_assert_eq!(layout.place_of(bytes, unit), Some(place));
        }
        if let Some(place) = layout.place_of(bytes, unit) {
            prop_assert_eq!(layout.unit_at(bytes, place), Some(unit));
        }
        let _ = layout.unit_len(bytes, shard, row);
        let _ = layout.shard_file_bytes(bytes, shard, 0);
        let _ = layout.stripe(bytes, StripeIndex(row));
        let _ = layout.runs(bytes, unit, 7).map(Iterator::count);
        let _ = layout.sources(bytes, shard, row).count();
    }
}

// SPDX-License-Identifier: Apache-2.0
//! The arithmetic of units and files, against its inverse and against counting.

use proptest::prelude::*;
use strongroom_store::layout::{
    CHECKSUM_BYTES, HEADER_BYTES, Redundancy, TRAILER_BYTES, UNIT_BYTES, UNIT_BYTES_MAX, UnitLayout,
};

proptest! {
    #[test]
    fn file_length_and_sealed_length_are_inverse(unit in 1_u32..512, sealed in 0_u64..1 << 40) {
        let layout = UnitLayout::new(unit * 8).unwrap();
        let file = layout.file_bytes(sealed).unwrap();
        prop_assert_eq!(layout.sealed_bytes(file), Some(sealed));
    }

    #[test]
    fn every_file_length_is_of_one_blob_or_none(unit in 1_u32..16, file in 0_u64..4096) {
        let layout = UnitLayout::new(unit * 8).unwrap();
        if let Some(sealed) = layout.sealed_bytes(file) {
            prop_assert_eq!(layout.file_bytes(sealed), Some(file));
        }
    }

    #[test]
    fn offset_and_unit_are_inverse(unit in 1_u32..9000, number in 0_u64..1 << 40, within: u32) {
        let layout = UnitLayout::new(unit * 8).unwrap();
        let within = within % layout.slot_bytes();
        let offset = layout.file_offset(number).unwrap() + u64::from(within);
        let found = layout.unit_at(offset).unwrap();
        prop_assert_eq!((found.unit, found.within), (number, within));
    }

    #[test]
    fn unit_lengths_sum_to_the_blob(sealed in 0_u64..5000) {
        let layout = UnitLayout::new(64).unwrap();
        let count = layout.unit_count(sealed);
        let sum: u64 = (0..count).map(|unit| u64::from(layout.unit_len(sealed, unit).unwrap())).sum();
        prop_assert_eq!(sum, sealed);
        prop_assert_eq!(layout.unit_len(sealed, count), None);
        let file = u64::from(HEADER_BYTES + TRAILER_BYTES) + sealed + count * u64::from(CHECKSUM_BYTES);
        prop_assert_eq!(layout.file_bytes(sealed), Some(file));
    }
}

#[test]
fn the_product_layout_has_one_segment_to_a_unit() {
    let layout = UnitLayout::PRODUCT;
    assert_eq!(layout.unit_bytes(), 65_568);
    assert_eq!(layout.file_offset(0), Some(64));
    assert_eq!(layout.file_offset(1), Some(64 + 65_576));
    for (sealed, units) in [
        (0, 0),
        (1, 1),
        (65_567, 1),
        (65_568, 1),
        (65_569, 2),
        (131_136, 2),
    ] {
        assert_eq!(layout.unit_count(sealed), units, "{sealed} sealed bytes");
    }
    assert_eq!(layout.unit_len(65_569, 1), Some(1));
}

#[test]
fn nothing_overflows() {
    let layout = UnitLayout::PRODUCT;
    assert_eq!(layout.file_bytes(u64::MAX), None);
    assert_eq!(layout.file_offset(u64::MAX), None);
    assert_eq!(layout.unit_len(u64::MAX, u64::MAX), None);
    assert_eq!(layout.unit_at(0), None);
    assert_eq!(layout.sealed_bytes(0), None);
    assert_eq!(
        layout.sealed_bytes(u64::from(HEADER_BYTES + TRAILER_BYTES)),
        Some(0)
    );
    assert_eq!(
        layout.sealed_bytes(u64::from(HEADER_BYTES + TRAILER_BYTES + CHECKSUM_BYTES)),
        None
    );
    assert!(
        layout
            .sealed_bytes(u64::MAX)
            .is_none_or(|sealed| sealed < u64::MAX)
    );
}

#[test]
fn illegal_unit_lengths_are_refused() {
    for unit_bytes in [0, 1, 7, 9, UNIT_BYTES + 1, UNIT_BYTES_MAX + 8, u32::MAX] {
        assert_eq!(UnitLayout::new(unit_bytes), None, "{unit_bytes}");
    }
}

#[test]
fn only_one_plus_zero_is_offered() {
    assert_eq!(Redundancy::new(1, 0), Ok(Redundancy::SINGLE));
    for (data, parity) in [(0, 0), (0, 1), (1, 1), (2, 1), (4, 2), (255, 255)] {
        let refused = Redundancy::new(data, parity).unwrap_err();
        let expected =
            format!("redundancy {data}+{parity} is not offered by this version: only 1+0 is");
        assert_eq!(refused.to_string(), expected);
    }
}

// SPDX-License-Identifier: Apache-2.0
//! The arithmetic of units and files, against its inverse and against counting.

use proptest::prelude::*;
use strongroom_store::layout::{
    BlobPolicy, CHECKSUM_BYTES, HEADER_BYTES, InvalidRedundancy, Redundancy, TRAILER_BYTES,
    UNIT_BYTES, UNIT_BYTES_MAX, UnitLayout,
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
fn redundancies_within_the_bounds_are_offered_and_no_others() {
    for data in 0..=u8::MAX {
        for parity in 0..=u8::MAX {
            let offered =
                (1..=16).contains(&data) && (1..=8).contains(&parity) || (data, parity) == (1, 0);
            let answer = Redundancy::new(data, parity);
            assert_eq!(answer.is_ok(), offered, "{data}+{parity}");
            let text = format!("{data}+{parity}");
            assert_eq!(text.parse::<Redundancy>().is_ok(), offered, "{text}");
            if let Ok(redundancy) = answer {
                assert_eq!(redundancy.to_string(), text);
                assert_eq!(redundancy.shards(), data + parity);
            }
        }
    }
    let refused = Redundancy::new(4, 0).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "redundancy 4+0 is not offered: 1 to 16 data shards, 1 to 8 parity shards, or 1+0"
    );
}

#[test]
fn texts_that_are_no_redundancy() {
    for text in [
        "",
        "+",
        "4",
        "4+",
        "+2",
        "4+2+1",
        "4 + 2",
        "-4+2",
        "++4+2",
        "4+-2",
        "4,2",
        "x+y",
        "4+2 ",
        "4+\u{662}",
    ] {
        assert_eq!(
            text.parse::<Redundancy>(),
            Err(InvalidRedundancy::Form),
            "{text}"
        );
    }
    let huge = "4".repeat(100) + "+2";
    assert!(matches!(
        huge.parse::<Redundancy>(),
        Err(InvalidRedundancy::Unsupported(_))
    ));
}

#[test]
fn redundancies_by_number_of_drives() {
    let standard = |drives| Redundancy::for_drives(drives).to_string();
    let by_drives: Vec<String> = (1..=13).map(standard).collect();
    assert_eq!(
        by_drives.join(" "),
        "1+0 1+1 1+2 2+2 3+2 4+2 4+2 4+2 4+2 4+2 4+2 8+4 8+4"
    );
    let archive = |drives| Redundancy::archive_for_drives(drives).to_string();
    let by_drives: Vec<String> = (1..=13).map(archive).collect();
    assert_eq!(
        by_drives.join(" "),
        "1+0 1+1 1+2 2+2 3+2 4+2 5+2 6+2 6+3 7+3 8+3 8+3 8+3"
    );
    for drives in 1..100 {
        for chosen in [
            Redundancy::for_drives(drives),
            Redundancy::archive_for_drives(drives),
        ] {
            let legal = Redundancy::new(chosen.data(), chosen.parity());
            assert_eq!(legal, Ok(chosen));
            assert!(chosen.fits(&[drives]));
        }
    }
}

#[test]
fn a_code_fits_where_the_loss_of_one_facility_of_three_can_be_borne() {
    let fits = |data, parity, drives: &[usize]| Redundancy::new(data, parity).unwrap().fits(drives);
    assert!(fits(4, 2, &[6]));
    assert!(!fits(4, 2, &[5]));
    assert!(
        fits(4, 2, &[3, 3]),
        "two facilities: nothing is promised of one"
    );
    assert!(fits(4, 2, &[2, 2, 2]));
    assert!(fits(4, 2, &[2, 2, 2, 0]));
    assert!(
        !fits(4, 2, &[4, 1, 1]),
        "four in one facility, two can be lost"
    );
    assert!(
        !fits(8, 3, &[4, 4, 4]),
        "eleven shards put four in one facility"
    );
    assert!(fits(8, 4, &[4, 4, 4]));
    assert!(fits(1, 2, &[1, 1, 1]));
    assert!(!fits(1, 1, &[]));
    assert!(fits(1, 0, &[1]));
    assert!(
        !fits(1, 0, &[1, 1, 1]),
        "one shard does not survive its facility"
    );
}

#[test]
fn redundancies_and_policies_are_stored_in_one_way() {
    for (redundancy, bytes) in [
        (Redundancy::SINGLE, &[0x19, 1, 0][..]),
        (Redundancy::new(4, 2).unwrap(), &[0x19, 4, 2]),
    ] {
        assert_eq!(minicbor::to_vec(redundancy).unwrap(), bytes);
        assert_eq!(minicbor::decode::<Redundancy>(bytes).unwrap(), redundancy);
    }
    for bad in [
        &[0x19, 0, 0][..],
        &[0x19, 4, 0],
        &[0x19, 17, 2],
        &[0x19, 4, 9],
        &[0x18, 42],
    ] {
        assert!(minicbor::decode::<Redundancy>(bad).is_err(), "{bad:?}");
    }
    for (number, policy) in [
        (0, BlobPolicy::Standard),
        (1, BlobPolicy::OneFacility),
        (2, BlobPolicy::Archive),
    ] {
        assert_eq!(minicbor::to_vec(policy).unwrap(), [number]);
        assert_eq!(minicbor::decode::<BlobPolicy>(&[number]).unwrap(), policy);
    }
    for bad in 3..=u8::MAX {
        assert_eq!(BlobPolicy::from_number(bad), None);
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Range arithmetic against a model that counts byte by byte and segment by segment.

use proptest::prelude::*;
use strongroom_format::{
    BODY_PLAIN_BYTES_MAX, SegmentSpan, dual_plain_bytes, dual_sealed_bytes, plain_bytes,
    sealed_bytes, segment_count, segment_plain_range, segment_sealed_len, span,
};

/// Lengths of the segments of a body, found by cutting pieces off.
fn model_segments(mut plain: u64) -> Vec<u64> {
    let mut segments = Vec::new();
    loop {
        let piece = plain.min(65_536);
        segments.push(piece);
        plain -= piece;
        if plain == 0 {
            return segments;
        }
    }
}

fn model_span(total: u64, start: u64, len: u64) -> Option<SegmentSpan> {
    if start.checked_add(len)? > total || (len == 0 && total > 0) {
        return None;
    }
    let (mut plain_at, mut sealed_at) = (0, 0);
    let mut found: Option<SegmentSpan> = None;
    for (index, piece) in (0..).zip(model_segments(total)) {
        let holds_some = plain_at < start + len && plain_at + piece > start;
        if holds_some || total == 0 {
            let plan = found.get_or_insert_with(|| SegmentSpan {
                first: index,
                count: 0,
                sealed_offset: sealed_at,
                sealed_len: 0,
                skip_plain: u32::try_from(start - plain_at).unwrap(),
                plain_len: len,
            });
            plan.count += 1;
            plan.sealed_len += piece + 32;
        }
        plain_at += piece;
        sealed_at += piece + 32;
    }
    found
}

/// Sizes that lie around a boundary more often than chance would have it.
fn size() -> impl Strategy<Value = u64> {
    let near = (0_u64..40, -2_i64..=2)
        .prop_map(|(segments, off)| (segments * 65_536).saturating_add_signed(off));
    prop_oneof![near, 0_u64..3_000_000]
}

proptest! {
    #[test]
    fn sizes_follow_the_model(plain in size()) {
        let segments = model_segments(plain);
        let sealed: u64 = segments.iter().map(|piece| piece + 32).sum();
        prop_assert_eq!(segment_count(plain), segments.len() as u64);
        prop_assert_eq!(sealed_bytes(plain), Some(sealed));
        prop_assert_eq!(plain_bytes(sealed), Some(plain));
        let mut start = 0;
        for (index, piece) in (0..).zip(&segments) {
            let len = u32::try_from(*piece).unwrap();
            prop_assert_eq!(segment_plain_range(plain, index), Some((start, len)));
            prop_assert_eq!(segment_sealed_len(plain, index), Some(len + 32));
            start += piece;
        }
        for beyond in [segments.len() as u64, 1 << 40, u64::MAX] {
            prop_assert_eq!(segment_plain_range(plain, beyond), None);
            prop_assert_eq!(segment_sealed_len(plain, beyond), None);
        }
    }

    #[test]
    fn spans_follow_the_model(total in size(), start in size(), len in size()) {
        prop_assert_eq!(span(total, start, len), model_span(total, start, len));
        // Most random triples lie outside; fold them in as well.
        let start = start % (total + 1);
        let len = len % (total - start + 1);
        prop_assert_eq!(span(total, start, len), model_span(total, start, len));
    }

    #[test]
    fn every_function_is_total(a in any::<u64>(), b in any::<u64>(), c in any::<u64>()) {
        let _ = (plain_bytes(a), segment_count(a), segment_plain_range(a, b), segment_sealed_len(a, b));
        if let Some(plan) = span(a, b, c) {
            prop_assert!(a <= BODY_PLAIN_BYTES_MAX && b + c <= a && plan.count > 0);
        }
        if let Some(plain) = plain_bytes(a) {
            prop_assert_eq!(sealed_bytes(plain), Some(a));
        }
        if let Some(sealed) = sealed_bytes(a) {
            prop_assert_eq!(plain_bytes(sealed), Some(a));
        }
    }
}

#[test]
fn small_sealed_sizes_invert_exactly_one_to_one() {
    let mut reachable = std::collections::BTreeMap::new();
    for plain in 0..140_000 {
        assert_eq!(reachable.insert(sealed_bytes(plain).unwrap(), plain), None);
    }
    for sealed in 0..139_000 {
        assert_eq!(
            plain_bytes(sealed),
            reachable.get(&sealed).copied(),
            "{sealed}"
        );
    }
}

#[test]
fn ranges_of_small_bodies_at_each_boundary() {
    let edges = [0, 1, 65_535, 65_536, 65_537, 131_071, 131_072, 131_073];
    for total in edges {
        for start in edges {
            for len in edges {
                assert_eq!(
                    span(total, start, len),
                    model_span(total, start, len),
                    "{total} {start} {len}"
                );
            }
        }
    }
}

#[test]
fn the_largest_body_has_sizes_and_one_byte_more_has_none() {
    assert_eq!(sealed_bytes(BODY_PLAIN_BYTES_MAX), Some(5_371_330_560));
    assert_eq!(plain_bytes(5_371_330_560), Some(BODY_PLAIN_BYTES_MAX));
    assert_eq!(plain_bytes(5_371_330_561), None);
    assert_eq!(plain_bytes(5_371_330_560 + 33), None);
    for plain in [BODY_PLAIN_BYTES_MAX + 1, u64::MAX] {
        assert_eq!(sealed_bytes(plain), None);
        assert_eq!(span(plain, 0, 1), None);
        assert_eq!(segment_sealed_len(plain, 0), None);
    }
    let last = span(BODY_PLAIN_BYTES_MAX, BODY_PLAIN_BYTES_MAX - 1, 1).unwrap();
    assert_eq!(
        (last.first, last.count, last.skip_plain),
        (81_919, 1, 65_535)
    );
    assert_eq!(last.sealed_offset + last.sealed_len, 5_371_330_560);
}

#[test]
fn a_four_kibibyte_range_needs_at_most_two_segments() {
    for start in 0..200_000 {
        assert!(span(1 << 30, start, 4_096).unwrap().count <= 2);
    }
}

#[test]
fn sizes_under_two_layers_invert_exactly_one_to_one() {
    let mut reachable = std::collections::BTreeMap::new();
    for plain in 0..140_000 {
        let sealed = dual_sealed_bytes(plain).unwrap();
        let model: u64 = model_segments(plain).iter().map(|piece| piece + 64).sum();
        assert_eq!(sealed, model);
        assert_eq!(reachable.insert(sealed, plain), None);
    }
    for sealed in 0..139_000 {
        let plain = reachable.get(&sealed).copied();
        assert_eq!(dual_plain_bytes(sealed), plain, "{sealed}");
    }
}

#[test]
fn the_largest_body_has_a_size_under_two_layers_and_one_byte_more_has_none() {
    let most = 81_920 * 65_600;
    assert_eq!(dual_sealed_bytes(BODY_PLAIN_BYTES_MAX), Some(most));
    assert_eq!(dual_plain_bytes(most), Some(BODY_PLAIN_BYTES_MAX));
    for plain in [BODY_PLAIN_BYTES_MAX + 1, u64::MAX] {
        assert_eq!(dual_sealed_bytes(plain), None);
    }
    for sealed in [0, 63, 65_600 + 64, most + 1, most + 65, u64::MAX] {
        assert_eq!(dual_plain_bytes(sealed), None, "{sealed}");
    }
}

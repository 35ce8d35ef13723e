// SPDX-License-Identifier: Apache-2.0
//! Where plaintext lies in a sealed body, and back. Pure and total: `None` means "there is no such
//! place", and no input overflows or panics.

/// How many sealed bytes a body of `plain` bytes has; `None` beyond the largest body.
//= docs/spec/object-format.md#sizes
//# C(P) = P + 32 * max(1, ceil(P / 65536))
#[must_use]
pub fn sealed_bytes(plain: u64) -> Option<u64> {
    if plain > BODY_PLAIN_BYTES_MAX {
        return None;
    }
    segment_count(plain)
        .checked_mul(OVERHEAD)?
        .checked_add(plain)
}

/// The inverse of [`sealed_bytes`]; `None` if no body has that many sealed bytes.
#[must_use]
pub fn plain_bytes(sealed: u64) -> Option<u64> {
    let whole = sealed / SEALED;
    let tail = sealed % SEALED;
    let has_tail = match tail {
        0 => false,
        OVERHEAD => whole == 0,
        _ => tail > OVERHEAD,
    };
    if (tail > 0 || whole == 0) && !has_tail {
        return None;
    }
    let plain = whole
        .checked_mul(PLAIN)?
        .checked_add(tail.saturating_sub(OVERHEAD))?;
    (plain <= BODY_PLAIN_BYTES_MAX).then_some(plain)
}

/// How many segments a body of `plain` bytes has: at least one, so that emptiness is authenticated.
#[must_use]
pub const fn segment_count(plain: u64) -> u64 {
    let count = plain.div_ceil(PLAIN);
    if count == 0 { 1 } else { count }
}

/// The sealed length of segment `index` of a body of `plain_total` bytes; `None` if it has no such
/// segment.
#[must_use]
pub fn segment_sealed_len(plain_total: u64, index: u64) -> Option<u32> {
    let (_, len) = segment_plain_range(plain_total, index)?;
    len.checked_add(SEGMENT_OVERHEAD_BYTES)
}

/// The first plaintext byte of segment `index` and how many it holds; `None` if the body has no
/// such segment. The inverse of [`span`].
#[must_use]
pub fn segment_plain_range(plain_total: u64, index: u64) -> Option<(u64, u32)> {
    if plain_total > BODY_PLAIN_BYTES_MAX || index >= segment_count(plain_total) {
        return None;
    }
    let start = index.checked_mul(PLAIN)?;
    let len = plain_total.checked_sub(start)?.min(PLAIN);
    Some((start, u32::try_from(len).ok()?))
}

/// The whole segments that hold a range of plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentSpan {
    /// Index of the first segment.
    pub first: u64,
    /// Number of segments, at least one.
    pub count: u64,
    /// Where the first segment starts in the sealed body.
    pub sealed_offset: u64,
    /// Sealed length of all the segments.
    pub sealed_len: u64,
    /// Plaintext bytes of the first segment that come before the range.
    pub skip_plain: u32,
    /// Plaintext bytes of the range.
    pub plain_len: u64,
}

/// Which segments hold the `len` plaintext bytes from `start` of a body of `plain_total` bytes.
///
/// `None` if the range is not wholly inside the body, or is empty; only the empty body has an empty
/// range (its one segment), because reading it must authenticate that it is empty.
#[must_use]
pub fn span(plain_total: u64, start: u64, len: u64) -> Option<SegmentSpan> {
    let total_sealed = sealed_bytes(plain_total)?;
    let end = start.checked_add(len).filter(|end| *end <= plain_total)?;
    if len == 0 && plain_total > 0 {
        return None;
    }
    let first = start / PLAIN;
    let count = segment_count(end.checked_sub(first.checked_mul(PLAIN)?)?);
    let sealed_offset = first.checked_mul(SEALED)?;
    let sealed_end = first
        .checked_add(count)?
        .checked_mul(SEALED)?
        .min(total_sealed);
    Some(SegmentSpan {
        first,
        count,
        sealed_offset,
        sealed_len: sealed_end.checked_sub(sealed_offset)?,
        skip_plain: u32::try_from(start % PLAIN).ok()?,
        plain_len: len,
    })
}

/// How many bytes a body of `plain` bytes has under two layers, each segment of the inner one
/// wholly inside one segment of the outer; `None` beyond the largest body.
//= docs/spec/object-format.md#dual-layer-encryption
//# C_2(P) = P + 64 * max(1, ceil(P / 65536))
#[must_use]
pub fn dual_sealed_bytes(plain: u64) -> Option<u64> {
    segment_count(plain)
        .checked_mul(OVERHEAD)?
        .checked_add(sealed_bytes(plain)?)
}

/// The inverse of [`dual_sealed_bytes`]; `None` if no body has that many bytes under two layers.
#[must_use]
pub fn dual_plain_bytes(dual_sealed: u64) -> Option<u64> {
    let segments = dual_sealed.div_ceil(SEALED + OVERHEAD);
    let inner = dual_sealed.checked_sub(segments.checked_mul(OVERHEAD)?)?;
    plain_bytes(inner).filter(|plain| segment_count(*plain) == segments)
}

/// Plaintext bytes of a segment that is not the last.
pub const SEGMENT_PLAIN_BYTES: u32 = 65_536;
/// Sealed bytes of a segment that is not the last.
pub const SEGMENT_SEALED_BYTES: u32 = 65_568;
/// Sealed bytes of a segment under two layers that is not the last.
pub const DUAL_SEGMENT_SEALED_BYTES: u32 = 65_600;
/// Bytes a segment adds to its plaintext: marker 4, nonce 12, tag 16.
pub const SEGMENT_OVERHEAD_BYTES: u32 = 32;
/// Plaintext bytes of the largest body (one PUT, or one part): 5 GiB.
pub const BODY_PLAIN_BYTES_MAX: u64 = 5 << 30;
/// Segments of the largest body.
pub const BODY_SEGMENTS_MAX: u64 = segment_count(BODY_PLAIN_BYTES_MAX);

const PLAIN: u64 = 65_536;
const SEALED: u64 = 65_568;
const OVERHEAD: u64 = 32;

const _: () = {
    assert!(SEGMENT_PLAIN_BYTES + SEGMENT_OVERHEAD_BYTES == SEGMENT_SEALED_BYTES);
    assert!(SEGMENT_SEALED_BYTES + SEGMENT_OVERHEAD_BYTES == DUAL_SEGMENT_SEALED_BYTES);
    assert!(PLAIN + OVERHEAD == SEALED);
    assert!(SEGMENT_PLAIN_BYTES == 1 << 16 && PLAIN == 1 << 16);
    assert!(SEGMENT_OVERHEAD_BYTES == 32 && OVERHEAD == 32);
    assert!(BODY_SEGMENTS_MAX == 81_920);
    // INVARIANT: all of a body is sealed under its first segment key; with more segments the cached
    // key of epoch 0 would not serve them all.
    assert!(BODY_SEGMENTS_MAX <= 1 << 20);
};

// SPDX-License-Identifier: Apache-2.0
//! The `Range` header of a read (RFC 9110, 14.2) as S3 takes it.

use strongroom_object::ByteRange;

/// A single byte range, or `None` where the header is to be ignored: another unit, several
/// ranges, first after last, or no range at all. Whether the range lies in the object is decided
/// where its size is known.
pub(crate) fn parse(text: &str) -> Option<ByteRange> {
    let (unit, set) = text.trim().split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = set.trim().split_once('-')?;
    match (first, last) {
        ("", "") => None,
        ("", suffix) => number(suffix).map(ByteRange::Suffix),
        (first, "") => number(first).map(ByteRange::From),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(ByteRange::FromTo(first, last))
        }
    }
}

/// `bytes=first-last` of `x-amz-copy-source-range`: both ends are there, nothing is ignored.
pub(crate) fn parse_copy_source(text: &str) -> Option<(u64, u64)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let exact = |text: &str| number(text).filter(|n| *n < u64::MAX);
    let (first, last) = (exact(first)?, exact(last)?);
    (first <= last).then_some((first, last))
}

/// Decimal digits only; numbers beyond `u64` are as good as its end.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_ranges_parse() {
        let table = [
            ("bytes=0-0", ByteRange::FromTo(0, 0)),
            ("bytes=0-499", ByteRange::FromTo(0, 499)),
            ("Bytes=5-", ByteRange::From(5)),
            ("bytes=-5", ByteRange::Suffix(5)),
            ("bytes=-0", ByteRange::Suffix(0)),
            ("bytes=18446744073709551615-", ByteRange::From(u64::MAX)),
            ("bytes=99999999999999999999999-", ByteRange::From(u64::MAX)),
            (
                "bytes=0-99999999999999999999999",
                ByteRange::FromTo(0, u64::MAX),
            ),
            (" bytes=1-2 ", ByteRange::FromTo(1, 2)),
        ];
        for (text, range) in table {
            assert_eq!(parse(text), Some(range), "{text}");
        }
    }

    #[test]
    fn sec_n73_malformed_ranges_are_ignored() {
        for text in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-4",
            "bytes=0-0,2-2",
            "bytes=0-0,",
            "bytes=a-b",
            "bytes=0x1-2",
            "bytes=+1-2",
            "bytes=1 -2",
            "bytes=1- 2",
            "bytes=--2",
            "bytes=1-2-3",
            "octets=0-1",
            "bytes 0-1",
            "0-1",
            "bytes=-1-",
            "bytes=\u{0661}-",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn copy_source_ranges_have_both_ends() {
        assert_eq!(parse_copy_source("bytes=0-9"), Some((0, 9)));
        for text in [
            "bytes=0-",
            "bytes=-9",
            "0-9",
            "bytes=9-0",
            "bytes=0-1,3-4",
            "",
            "Bytes=0-9",
            "bytes=0-99999999999999999999",
        ] {
            assert_eq!(parse_copy_source(text), None, "{text}");
        }
    }
}

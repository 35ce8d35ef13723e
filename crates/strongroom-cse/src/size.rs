// SPDX-License-Identifier: Apache-2.0
//! Sizes as people write them.

/// Bytes: a number, or one with KiB, MiB or GiB behind it.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text.get(digits.len()..).unwrap_or_default().trim();
    let factor = match unit {
        "" | "B" => 1,
        "K" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        _ => return Err("write bytes, or a number with KiB, MiB or GiB".to_owned()),
    };
    digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| "write bytes, or a number with KiB, MiB or GiB".to_owned())
}

/// Which bytes of a plaintext are wanted, as in HTTP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Range {
    /// From here to there, both included.
    Span(u64, u64),
    /// From here to the end.
    From(u64),
    /// So many at the end.
    Last(u64),
}

impl Range {
    /// `0-99`, `100-` or `-40`; anything else is refused, and never taken for the whole object.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-')?;
        let number = |digits: &str| -> Option<u64> {
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| digits.parse().ok()).flatten()
        };
        match (first, last) {
            ("", last) => number(last).filter(|count| *count > 0).map(Self::Last),
            (first, "") => number(first).map(Self::From),
            (first, last) => match (number(first)?, number(last)?) {
                (first, last) if first <= last => Some(Self::Span(first, last)),
                _ => None,
            },
        }
    }

    /// First byte and number of bytes in a plaintext of `len`; `None` if it has none of them.
    pub(crate) fn within(self, len: u64) -> Option<(u64, u64)> {
        let end = len.checked_sub(1)?;
        let (first, last) = match self {
            Self::Span(first, last) => (first, last.min(end)),
            Self::From(first) => (first, end),
            Self::Last(count) => (len.saturating_sub(count), end),
        };
        let count = last.checked_sub(first)?.checked_add(1)?;
        Some((first, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("5", 5),
            ("5B", 5),
            ("8MiB", 8 << 20),
            ("8 MiB", 8 << 20),
            ("1G", 1 << 30),
            ("3KiB", 3072),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "MiB", "-1", "1.5MiB", "8MB", "99999999999GiB", "0x10"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ranges_are_those_of_http() {
        assert_eq!(Range::parse("0-0"), Some(Range::Span(0, 0)));
        assert_eq!(Range::parse("5-"), Some(Range::From(5)));
        assert_eq!(Range::parse("-5"), Some(Range::Last(5)));
        for wrong in [
            "", "-", "-0", "5", "5-4", "a-b", "1-2-3", "+1-2", "1-2,4-5", "--1",
        ] {
            assert_eq!(Range::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Range::Span(2, 99).within(10), Some((2, 8)));
        assert_eq!(Range::Span(2, 3).within(10), Some((2, 2)));
        assert_eq!(Range::From(9).within(10), Some((9, 1)));
        assert_eq!(Range::Last(99).within(10), Some((0, 10)));
        for outside in [Range::From(10), Range::Span(10, 11)] {
            assert_eq!(outside.within(10), None);
        }
        assert_eq!(Range::Last(1).within(0), None);
    }
}

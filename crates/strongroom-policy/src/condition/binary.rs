// SPDX-License-Identifier: Apache-2.0
//! Base 64, as `BinaryEquals` has it.

/// The bytes of a text in RFC 4648 base 64, with padding and nothing between.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(4) {
        return None;
    }
    let digits = bytes.strip_suffix(b"=").unwrap_or(bytes);
    let digits = digits.strip_suffix(b"=").unwrap_or(digits);
    let mut out = Vec::with_capacity(digits.len());
    let (mut bits, mut count) = (0_u32, 0_u32);
    for digit in digits {
        bits = (bits << 6 | u32::from(value(*digit)?)) & 0xffff;
        count = count.saturating_add(6);
        if count >= 8 {
            count = count.saturating_sub(8);
            out.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    // Bits that belong to no byte are zero, or two texts would be the same bytes.
    let unused = bits & ((1_u32 << count) - 1);
    (unused == 0).then_some(out)
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => digit.checked_sub(b'A'),
        b'a'..=b'z' => digit.checked_sub(b'a')?.checked_add(26),
        b'0'..=b'9' => digit.checked_sub(b'0')?.checked_add(52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_4648_and_what_is_not() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("Zg==", b"f"),
            ("Zm8=", b"fo"),
            ("Zm9v", b"foo"),
            ("Zm9vYg==", b"foob"),
            ("Zm9vYmE=", b"fooba"),
            ("Zm9vYmFy", b"foobar"),
            ("+/+/", b"\xfb\xff\xbf"),
        ] {
            assert_eq!(decode(text).as_deref(), Some(bytes), "{text}");
        }
        for text in [
            "Z", "Zg", "Zg=", "Zh==", "Zm9", "Zm9=", "Zm9v====", "====", "Z===", "Zm 9", "Zm9v\n",
            "-_-_", "=Zg=",
        ] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! The size line of a chunk.

use super::ChunkError;

/// A parsed size line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ChunkHeader<'a> {
    pub(super) size: u64,
    pub(super) signature: Option<&'a str>,
}

/// Reads `SIZE` or `SIZE;chunk-signature=HEX`, without the line end.
///
/// The size is 1 to 16 hex digits: no sign, no prefix, no white space.
pub(super) fn parse(line: &[u8], signed: bool, chunk: u64) -> Result<ChunkHeader<'_>, ChunkError> {
    let malformed = || ChunkError::MalformedChunkHeader { chunk };
    let text = std::str::from_utf8(line).map_err(|_| malformed())?;
    let (size_text, extension) = match text.split_once(';') {
        Some((size, extension)) => (size, Some(extension)),
        None => (text, None),
    };
    let is_hex =
        (1..=16).contains(&size_text.len()) && size_text.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_hex {
        return Err(malformed());
    }
    let size = u64::from_str_radix(size_text, 16).map_err(|_| malformed())?;
    let signature = match (signed, extension) {
        (false, None) => None,
        (true, Some(extension)) => {
            let signature = extension
                .strip_prefix("chunk-signature=")
                .ok_or(ChunkError::UnknownExtension { chunk })?;
            if signature.contains(';') {
                return Err(ChunkError::UnknownExtension { chunk });
            }
            Some(signature)
        }
        (true, None) => return Err(ChunkError::SignatureDoesNotMatch { chunk }),
        (false, Some(_)) => return Err(ChunkError::UnknownExtension { chunk }),
    };
    Ok(ChunkHeader { size, signature })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_plain_hex() {
        assert_eq!(
            parse(b"0", false, 0),
            Ok(ChunkHeader {
                size: 0,
                signature: None
            })
        );
        assert_eq!(
            parse(b"00aF", false, 0),
            Ok(ChunkHeader {
                size: 175,
                signature: None
            })
        );
        let most = parse(b"ffffffffffffffff", false, 0);
        assert_eq!(
            most,
            Ok(ChunkHeader {
                size: u64::MAX,
                signature: None
            })
        );
        for line in [
            "",
            "+1",
            "-1",
            "0x1",
            " 1",
            "1 ",
            "1\r",
            "1_0",
            "g",
            "00000000000000001",
        ] {
            assert_eq!(
                parse(line.as_bytes(), false, 7),
                Err(ChunkError::MalformedChunkHeader { chunk: 7 }),
                "{line}"
            );
        }
    }

    #[test]
    fn only_the_signature_is_an_extension() {
        assert_eq!(
            parse(b"a;chunk-signature=ab", true, 0),
            Ok(ChunkHeader {
                size: 10,
                signature: Some("ab")
            })
        );
        let unknown = Err(ChunkError::UnknownExtension { chunk: 0 });
        assert_eq!(parse(b"a;chunk-signature=ab;x=y", true, 0), unknown);
        assert_eq!(parse(b"a;x=y", true, 0), unknown);
        assert_eq!(parse(b"a;Chunk-Signature=ab", true, 0), unknown);
        assert_eq!(parse(b"a; chunk-signature=ab", true, 0), unknown);
        assert_eq!(parse(b"a;chunk-signature=ab", false, 0), unknown);
        assert_eq!(parse(b"a;", false, 0), unknown);
        assert_eq!(
            parse(b"a", true, 0),
            Err(ChunkError::SignatureDoesNotMatch { chunk: 0 })
        );
    }
}

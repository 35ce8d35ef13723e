// SPDX-License-Identifier: Apache-2.0
//! Version ids as clients see them.
//!
//! ```text
//! base64url( be64 stamp of the row's key | version uid 16 )      32 characters, no padding
//! null
//! ```
//!
//! The stamp leads to the row without a search, the uid says that it is the row that was meant.
//! Clients are to see neither in it: 32 characters that they carry.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The id of a version of an object.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct VersionId(Option<(u64, [u8; 16])>);

impl VersionId {
    /// The null version of a name.
    pub const NULL: Self = Self(None);

    pub(crate) fn new(stamp: u64, uid: [u8; 16]) -> Self {
        Self(Some((stamp, uid)))
    }

    /// The id of what stands at a place in the order of commits.
    pub(crate) fn at(stamp: u64, uid: [u8; 16], is_null: bool) -> Self {
        if is_null {
            Self::NULL
        } else {
            Self::new(stamp, uid)
        }
    }

    /// The id that is written like this; each has one spelling.
    pub fn parse(text: &str) -> Option<Self> {
        if text == NULL_TEXT {
            return Some(Self::NULL);
        }
        let bytes: [u8; ID_BYTES] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (stamp, uid) = bytes.split_first_chunk::<8>()?;
        let uid = uid.try_into().ok()?;
        Some(Self::new(u64::from_be_bytes(*stamp), uid))
    }

    /// Whether it is the null version's.
    pub fn is_null(self) -> bool {
        self.0.is_none()
    }

    /// Where the row of the version is, and its uid; `None` for the null version.
    pub(crate) fn place(self) -> Option<(u64, [u8; 16])> {
        self.0
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((stamp, uid)) = self.0 else {
            return f.write_str(NULL_TEXT);
        };
        let mut bytes = Vec::with_capacity(ID_BYTES);
        bytes.extend_from_slice(&stamp.to_be_bytes());
        bytes.extend_from_slice(&uid);
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl fmt::Debug for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VersionId({self})")
    }
}

const ID_BYTES: usize = 24;
const NULL_TEXT: &str = "null";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_in_32_characters_of_a_url() {
        for stamp in [0, 1, 255, 1 << 40, u64::MAX] {
            for uid in [[0; 16], [0xFF; 16], [0x5A; 16]] {
                let id = VersionId::new(stamp, uid);
                let text = id.to_string();
                assert_eq!(text.len(), 32);
                let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
                assert!(text.bytes().all(plain), "{text}");
                assert_eq!(VersionId::parse(&text), Some(id));
                assert_eq!(id.place(), Some((stamp, uid)));
                assert!(!id.is_null());
            }
        }
        assert_eq!(VersionId::parse("null"), Some(VersionId::NULL));
        assert_eq!(VersionId::NULL.to_string(), "null");
        assert!(VersionId::NULL.is_null() && VersionId::NULL.place().is_none());
    }

    #[test]
    fn other_texts_are_no_ids() {
        let good = VersionId::new(7, [0xFB; 16]).to_string();
        for bad in [
            "",
            "Null",
            "NULL",
            " null",
            "null ",
            "nul",
            "0",
            "../../etc/passwd",
            &good[..31],
            &format!("{good}A"),
            &format!("{good}===="),
            &format!("{}=", &good[..31]),
            &good.replace('-', "+"),
            &good.replace('_', "/"),
            &format!(" {}", &good[..31]),
            &format!("{}\n", &good[..31]),
            &"\u{e9}".repeat(16),
            &"A".repeat(64),
        ] {
            assert_ne!(bad, good);
            assert_eq!(VersionId::parse(bad), None, "{bad}");
        }
    }
}

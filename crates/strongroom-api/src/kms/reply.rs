// SPDX-License-Identifier: Apache-2.0
//! AWS JSON 1.1 documents, out.
//!
//! An answer may carry plaintext: it is written once, without copies on the way, into memory that
//! is wiped when the last byte has been handed to the connection.

use std::fmt;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use super::fault::KmsFault;

/// The body of an answer.
pub(crate) struct Reply(Zeroizing<Vec<u8>>);

impl Reply {
    /// The body of an operation that answers nothing.
    pub(crate) fn empty() -> Self {
        Self(Zeroizing::new(Vec::new()))
    }

    /// A document.
    pub(crate) fn new(document: &impl Serialize) -> Result<Self, KmsFault> {
        // INVARIANT: the capacity holds every document with plaintext in it (4,096 bytes in
        // base64 and a few names, or a key pair of RSA with 4,096 bits), so that the vector does not move and leave a copy behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(CAPACITY_BYTES));
        serde_json::to_writer(&mut *bytes, document).map_err(KmsFault::internal)?;
        Ok(Self(bytes))
    }

    /// Whether no copy of a part was left behind while it grew.
    #[cfg(test)]
    pub(crate) fn has_not_moved(&self) -> bool {
        self.0.capacity() == CAPACITY_BYTES
    }

    /// The bytes, wiped when they are dropped.
    pub(crate) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self.0)
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({} bytes)", self.0.len())
    }
}

/// Bytes, in base64 on the wire.
pub(crate) struct Blob<'a>(pub(crate) &'a [u8]);

impl Serialize for Blob<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
    }
}

/// A time, in seconds with a fraction on the wire.
pub(crate) struct EpochSeconds(pub(crate) u64);

impl Serialize for EpochSeconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let seconds = u32::try_from(self.0 / 1_000).unwrap_or(u32::MAX);
        let millis = u32::try_from(self.0 % 1_000).unwrap_or_default();
        serializer.serialize_f64(f64::from(seconds) + f64::from(millis) / 1_000.0)
    }
}

const CAPACITY_BYTES: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Document<'a> {
        plaintext: Blob<'a>,
        creation_date: EpochSeconds,
    }

    #[test]
    fn blobs_are_base64_and_times_are_seconds() {
        let document = Document {
            plaintext: Blob(&[0, 1, 2, 255]),
            creation_date: EpochSeconds(1_700_000_000_250),
        };
        let bytes = Reply::new(&document).unwrap().into_bytes();
        assert_eq!(
            &*bytes,
            br#"{"Plaintext":"AAEC/w==","CreationDate":1700000000.25}"#
        );
    }

    #[test]
    fn the_largest_secret_fits_without_moving() {
        let secret = [0; 4_096];
        let document = Document {
            plaintext: Blob(&secret),
            creation_date: EpochSeconds(0),
        };
        let reply = Reply::new(&document).unwrap();
        assert!(reply.has_not_moved());
        assert_eq!(
            format!("{reply:?}"),
            format!("Reply({} bytes)", reply.0.len())
        );
    }
}

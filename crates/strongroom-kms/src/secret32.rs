// SPDX-License-Identifier: Apache-2.0
//! A key of 32 bytes, kept in memory that only this process can read.

use std::fmt;

use strongroom_memory::SecretBytes;

/// 32 secret bytes: wiped on drop, no `Clone`, no comparison, no readable `Debug`.
pub(crate) struct Secret32(SecretBytes);

impl Secret32 {
    /// 32 bytes, filled in by `fill`, which gets zeros.
    pub(crate) fn filled<E>(fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Secret32, E> {
        SecretBytes::filled(32, fill).map(Secret32)
    }

    /// A copy; the caller wipes the original.
    pub(crate) fn copy_of(bytes: &[u8; 32]) -> Secret32 {
        Secret32(SecretBytes::copy_of(bytes))
    }

    /// The bytes. Every use of this method is a place to review.
    #[expect(clippy::expect_used, reason = "both ways to make it make 32 bytes")]
    pub(crate) fn expose_secret(&self) -> &[u8; 32] {
        let bytes = self.0.expose_secret().first_chunk();
        bytes.expect("32 bytes")
    }
}

impl fmt::Debug for Secret32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret32(..)")
    }
}

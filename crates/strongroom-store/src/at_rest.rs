// SPDX-License-Identifier: Apache-2.0
//! The sealer that the store is given: rows and log records pass through it, so that no drive
//! holds them in clear.
//!
//! The store owns the trait and knows nothing of keys; `strongroom-kms` implements it. A *stream*
//! is a number that selects a derived key. The store splits its values over streams so that no
//! derived key seals more than 2^20 of them (see `table::stream`); the implementation may rely
//! on that bound for its choice of nonces.

/// Seals and opens what the store keeps at rest.
pub trait AtRest: Send + Sync + 'static {
    /// Seals `plain` under the key of `stream`, bound to `aad`.
    ///
    /// Obligation of the caller, met by `table::stream`: never more than 2^20 values for one
    /// stream.
    fn seal(&self, stream: u64, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, AtRestError>;

    /// Opens what [`Self::seal`] made with the same `stream` and `aad`. Any other input is
    /// [`AtRestError::Open`].
    fn open(&self, stream: u64, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, AtRestError>;
}

/// Why sealing or opening failed: deliberately without detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AtRestError {
    /// The value could not be sealed.
    #[error("sealing a value at rest failed")]
    Seal,
    /// The value is not what was sealed, or not in this place.
    #[error("a value at rest did not open")]
    Open,
}

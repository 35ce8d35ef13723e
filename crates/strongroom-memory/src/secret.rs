// SPDX-License-Identifier: Apache-2.0
//! A secret of any length.

use std::convert::Infallible;
use std::fmt;

use zeroize::Zeroizing;

use crate::arena::Loan;

/// Secret bytes: kept in memory of their own, wiped on drop, no `Clone`, no comparison, no readable
/// `Debug`. Moving the value moves an address.
pub struct SecretBytes(Place);

enum Place {
    Arena(Loan),
    Heap(Zeroizing<Vec<u8>>),
}

impl SecretBytes {
    /// A copy of `bytes`; the caller wipes the original.
    pub fn copy_of(bytes: &[u8]) -> SecretBytes {
        let copied: Result<_, Infallible> = SecretBytes::filled(bytes.len(), |place| {
            place.copy_from_slice(bytes);
            Ok(())
        });
        match copied {
            Ok(secret) => secret,
            Err(never) => match never {},
        }
    }

    /// `len` zeros, filled in by `fill`.
    pub fn filled<E>(
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<SecretBytes, E> {
        let mut place = match Loan::take(len) {
            Some(loan) => Place::Arena(loan),
            None => Place::Heap(Zeroizing::new(vec![0; len])),
        };
        match &mut place {
            Place::Arena(loan) => fill(loan.bytes_mut())?,
            Place::Heap(bytes) => fill(bytes)?,
        }
        Ok(SecretBytes(place))
    }

    /// The bytes. Every use of this method is a place to review.
    pub fn expose_secret(&self) -> &[u8] {
        match &self.0 {
            Place::Arena(loan) => loan.bytes(),
            Place::Heap(bytes) => bytes,
        }
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(..)")
    }
}

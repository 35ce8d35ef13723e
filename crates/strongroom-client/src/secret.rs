// SPDX-License-Identifier: Apache-2.0
//! Keys: wiped when dropped, never copied by accident, never shown.

use std::fmt;

use zeroize::Zeroizing;

use crate::error::Error;

/// An AES key of 16, 24 or 32 bytes.
pub struct AesKey(Zeroizing<Vec<u8>>);

impl AesKey {
    /// Takes the bytes of a key; refuses other lengths than 16, 24 and 32.
    pub fn new(bytes: Vec<u8>) -> Result<Self, Error> {
        let bytes = Zeroizing::new(bytes);
        match bytes.len() {
            16 | 24 | 32 => Ok(Self(bytes)),
            _ => Err(Error::Config("an AES key has 16, 24 or 32 bytes")),
        }
    }

    /// A new random key of 32 bytes.
    pub fn generate() -> Result<Self, Error> {
        let mut bytes = Zeroizing::new(vec![0; 32]);
        aws_lc_rs::rand::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The bytes, for keyrings and key services of others' making: whoever takes them sees to it
    /// that they are neither shown nor kept.
    pub fn expose_secret(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, for the cryptographic module.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }

    /// How many bytes the key has.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Another owner of the same key: the only place that copies one.
    pub(crate) fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }
}

impl fmt::Debug for AesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AesKey(..)")
    }
}

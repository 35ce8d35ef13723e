// SPDX-License-Identifier: Apache-2.0
//! The secret from outside that opens a keyring.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::hkdf::Prk;
use aws_lc_rs::rand;
use zeroize::{Zeroize, Zeroizing};

use super::RootError;
use crate::kdf;

/// What opens a keyring.
#[derive(Debug)]
pub enum RootSecret {
    /// A random key, kept in a file of its own.
    Key(RootKey),
    /// A passphrase.
    Passphrase(Passphrase),
}

/// 32 random bytes.
pub struct RootKey(Box<Zeroizing<[u8; 32]>>);

impl RootKey {
    /// A new root key.
    pub fn generate() -> Result<RootKey, RootError> {
        let mut key = Box::new(Zeroizing::new([0; 32]));
        rand::fill(key.as_mut_slice()).map_err(|_| RootError::System("randomness"))?;
        Ok(RootKey(key))
    }

    /// The content of a root key file.
    pub fn from_bytes(bytes: &[u8]) -> Result<RootKey, RootError> {
        let mut key = Box::new(Zeroizing::new([0; 32]));
        if bytes.len() != key.len() {
            return Err(RootError::RootKeyLength(bytes.len()));
        }
        key.copy_from_slice(bytes);
        Ok(RootKey(key))
    }

    /// The bytes for the root key file.
    pub fn expose_secret(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey(..)")
    }
}

/// A passphrase.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes over a passphrase of at least [`Passphrase::CHARACTERS_MIN`] characters.
    pub fn new(text: String) -> Result<Passphrase, RootError> {
        let text = Zeroizing::new(text);
        if text.chars().count() < Passphrase::CHARACTERS_MIN {
            return Err(RootError::PassphraseTooShort {
                min: Passphrase::CHARACTERS_MIN,
            });
        }
        Ok(Passphrase(text))
    }

    /// The fewest characters a passphrase may have.
    pub const CHARACTERS_MIN: usize = 12;
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// Parameters of Argon2id, as they stand in the keyring file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cost {
    pub(super) memory_kib: u32,
    pub(super) passes: u32,
    pub(super) lanes: u32,
}

impl Cost {
    /// 64 MiB and three passes: about a fifth of a second, once per start.
    pub(super) const NEW: Cost = Cost {
        memory_kib: 64 * 1024,
        passes: 3,
        lanes: 1,
    };

    /// The file is not authenticated before the passphrase is stretched, so it may not name a
    /// cost that would hang or starve the machine.
    pub(super) fn is_bearable(self) -> bool {
        (8 * 1024..=1024 * 1024).contains(&self.memory_kib)
            && (1..=16).contains(&self.passes)
            && (1..=8).contains(&self.lanes)
    }
}

/// R as a pseudorandom key, from a random root key.
pub(super) fn root_of_key(key: &RootKey) -> Prk {
    kdf::extract(ROOT_LABEL, key.expose_secret())
}

/// R as a pseudorandom key, from a passphrase.
pub(super) fn root_of_passphrase(
    passphrase: &Passphrase,
    salt: &[u8; 32],
    cost: Cost,
) -> Result<Prk, RootError> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32))
        .map_err(|_| RootError::Corrupted("cost of the passphrase"))?;
    let mut memory = Vec::new();
    memory
        .try_reserve_exact(params.block_count())
        .map_err(|_| RootError::System("memory to stretch the passphrase"))?;
    memory.resize(params.block_count(), argon2::Block::default());
    let mut stretched = Zeroizing::new([0; 32]);
    let done = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(
            passphrase.0.as_bytes(),
            salt,
            stretched.as_mut_slice(),
            &mut memory,
        );
    for page in &mut memory {
        page.zeroize();
    }
    done.map_err(|_| RootError::System("to stretch the passphrase"))?;
    Ok(kdf::extract(ROOT_LABEL, stretched.as_slice()))
}

const ROOT_LABEL: &[u8] = b"strongroom/1/root";

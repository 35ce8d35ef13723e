// SPDX-License-Identifier: Apache-2.0
//! From a passphrase to 32 bytes, slowly.
//!
//! ```text
//!   0   1  1 Argon2id, 2 PBKDF2-HMAC-SHA-512
//!   1  12  Argon2id: memory KiB u32, passes u32, lanes u32; PBKDF2: iterations u32, eight zeros
//!  13  32  salt
//! ```

use std::num::NonZeroU32;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::{pbkdf2, rand};
use zeroize::{Zeroize as _, Zeroizing};

use super::RootError;

/// How a passphrase is stretched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StretchKind {
    /// Memory-hard: 64 MiB and three passes.
    #[default]
    Argon2id,
    /// For where only approved algorithms may be used: HMAC-SHA-512, 600,000 iterations.
    Pbkdf2,
}

/// A stretch with its salt, as it stands in the keyring file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    cost: Cost,
    salt: [u8; 32],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cost {
    Argon2id {
        memory_kib: u32,
        passes: u32,
        lanes: u32,
    },
    Pbkdf2 {
        iterations: u32,
    },
}

impl Stretch {
    /// A new salt at the cost of today: about a fifth of a second, once per start.
    pub(super) fn new(kind: StretchKind) -> Result<Stretch, RootError> {
        let mut salt = [0; 32];
        rand::fill(&mut salt).map_err(|_| RootError::System("randomness"))?;
        let cost = match kind {
            StretchKind::Argon2id => Cost::Argon2id {
                memory_kib: 64 * 1024,
                passes: 3,
                lanes: 1,
            },
            StretchKind::Pbkdf2 => Cost::Pbkdf2 {
                iterations: ITERATIONS_MIN,
            },
        };
        Ok(Stretch { cost, salt })
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let (number, words) = match self.cost {
            Cost::Argon2id {
                memory_kib,
                passes,
                lanes,
            } => (1, [memory_kib, passes, lanes]),
            Cost::Pbkdf2 { iterations } => (2, [iterations, 0, 0]),
        };
        let mut bytes = vec![number];
        for word in words {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        bytes.extend_from_slice(&self.salt);
        bytes
    }

    /// Reads the stored form. It is not authenticated before the passphrase is stretched, so it
    /// may not name a cost that would hang or starve the machine.
    pub(super) fn parse(bytes: &[u8]) -> Result<Stretch, RootError> {
        let wrong = || RootError::Corrupted("cost of the passphrase");
        let (number, rest) = bytes.split_first().ok_or_else(wrong)?;
        let (words, salt) = rest.split_first_chunk::<12>().ok_or_else(wrong)?;
        let salt = salt.try_into().map_err(|_| wrong())?;
        let [a, b, c] = words.as_chunks::<4>().0 else {
            return Err(wrong());
        };
        let [a, b, c] = [a, b, c].map(|word| u32::from_be_bytes(*word));
        let cost = match (number, a, b, c) {
            (1, memory_kib, passes, lanes)
                if (8 * 1024..=1024 * 1024).contains(&memory_kib)
                    && (1..=16).contains(&passes)
                    && (1..=8).contains(&lanes) =>
            {
                Cost::Argon2id {
                    memory_kib,
                    passes,
                    lanes,
                }
            }
            (2, iterations, 0, 0) if (ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) => {
                Cost::Pbkdf2 { iterations }
            }
            _ => return Err(wrong()),
        };
        Ok(Stretch { cost, salt })
    }

    pub(super) fn apply(&self, passphrase: &str) -> Result<Zeroizing<[u8; 32]>, RootError> {
        match self.cost {
            Cost::Argon2id {
                memory_kib,
                passes,
                lanes,
            } => {
                let params = Params::new(memory_kib, passes, lanes, Some(32))
                    .map_err(|_| RootError::Corrupted("cost of the passphrase"))?;
                argon2id(passphrase, &self.salt, params)
            }
            Cost::Pbkdf2 { iterations } => {
                let iterations = NonZeroU32::new(iterations)
                    .ok_or(RootError::Corrupted("cost of the passphrase"))?;
                let mut out = Zeroizing::new([0; 32]);
                pbkdf2::derive(
                    pbkdf2::PBKDF2_HMAC_SHA512,
                    iterations,
                    &self.salt,
                    passphrase.as_bytes(),
                    out.as_mut_slice(),
                );
                Ok(out)
            }
        }
    }
}

fn argon2id(
    passphrase: &str,
    salt: &[u8; 32],
    params: Params,
) -> Result<Zeroizing<[u8; 32]>, RootError> {
    let mut memory = Vec::new();
    memory
        .try_reserve_exact(params.block_count())
        .map_err(|_| RootError::System("memory to stretch the passphrase"))?;
    memory.resize(params.block_count(), argon2::Block::default());
    let mut out = Zeroizing::new([0; 32]);
    let done = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(
            passphrase.as_bytes(),
            salt,
            out.as_mut_slice(),
            &mut memory,
        );
    for page in &mut memory {
        page.zeroize();
    }
    done.map_err(|_| RootError::System("to stretch the passphrase"))?;
    Ok(out)
}

const ITERATIONS_MIN: u32 = 600_000;
const ITERATIONS_MAX: u32 = 50_000_000;

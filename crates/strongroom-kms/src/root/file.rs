// SPDX-License-Identifier: Apache-2.0
//! The keyring file, byte by byte (numbers are big-endian).
//!
//! ```text
//!   0   4  "SRKR"
//!   4   1  version 1
//!   5   1  provider: 1 root key, 2 passphrase
//!   6  12  Argon2id: memory KiB u32, passes u32, lanes u32   (zeros for provider 1)
//!  18  32  salt                                              (zeros for provider 1)
//!  50  32  COMM = HKDF-Expand(R, "strongroom/1/keyring-comm" || 00 || bytes[0..50))
//!  82  12  nonce
//!  94   n  AES-256-GCM(HKDF-Expand(R, "strongroom/1/keyring-seal" || 00 || bytes[0..50)),
//!           n/44 domain keys: epoch u32, created_ms u64, key 32)
//!       16  tag; AAD = "strongroom/1/keyring" || bytes[0..82)
//!       32  SHA-256 of all before
//! ```
//!
//! The SHA-256 is no protection, it tells an accident from a wrong secret. COMM makes one file
//! open under one secret only. Everything is authenticated by the tag.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hkdf::Prk;
use aws_lc_rs::rand;
use zeroize::Zeroizing;

use super::RootError;
use super::keyring::DomainKey;
use super::secret::{Cost, RootSecret, root_of_key, root_of_passphrase};
use crate::aead::AeadKey;
use crate::kdf;

/// Which kind of secret a keyring was sealed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// A root key file.
    Key,
    /// A passphrase.
    Passphrase,
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Provider::Key => "root key",
            Provider::Passphrase => "passphrase",
        })
    }
}

/// The file that holds `keys` under `secret`.
pub(super) fn seal(secret: &RootSecret, keys: &[DomainKey]) -> Result<Vec<u8>, RootError> {
    let header = Header::new(secret)?;
    let head = header.bytes();
    let root = header.root(secret)?;
    let mut plain = Zeroizing::new(Vec::with_capacity(keys.len().saturating_mul(KEY_ROW_BYTES)));
    for key in keys {
        plain.extend_from_slice(&key.epoch.to_be_bytes());
        plain.extend_from_slice(&key.created_ms.to_be_bytes());
        plain.extend_from_slice(key.secret.as_slice());
    }
    let mut file = head.to_vec();
    file.extend_from_slice(commitment(&root, &head).as_slice());
    let aad = [AAD_LABEL, &file].concat();
    sealing_key(&root, &head)?
        .seal_to(&aad, &plain, &mut file)
        .map_err(|_| RootError::System("to seal the keyring"))?;
    let sum = digest(&SHA256, &file);
    file.extend_from_slice(sum.as_ref());
    Ok(file)
}

/// The domain keys in a file.
pub(super) fn open(file: &[u8], secret: &RootSecret) -> Result<Vec<DomainKey>, RootError> {
    let (header, body) = verified(file)?;
    if header.provider != provider_of(secret) {
        return Err(RootError::OtherProvider(header.provider));
    }
    let head = header.bytes();
    let root = header.root(secret)?;
    let (committed, sealed) = body
        .split_at_checked(32)
        .ok_or(RootError::Corrupted("its length"))?;
    let own = commitment(&root, &head);
    verify_slices_are_equal(committed, own.as_slice())
        .map_err(|_| RootError::WrongSecret(header.provider))?;
    let aad = [AAD_LABEL, &head, committed].concat();
    let plain = sealing_key(&root, &head)?
        .open(&aad, sealed)
        .map_err(|_| RootError::Corrupted("its seal"))?;
    let (rows, rest) = plain.as_chunks::<KEY_ROW_BYTES>();
    if rows.is_empty() || !rest.is_empty() {
        return Err(RootError::Corrupted("its list of keys"));
    }
    rows.iter()
        .map(|row| parse_key(row).ok_or(RootError::Corrupted("its list of keys")))
        .collect()
}

/// The provider named by a file whose checksum is right.
pub(super) fn provider(file: &[u8]) -> Result<Provider, RootError> {
    verified(file).map(|(header, _)| header.provider)
}

fn parse_key(row: &[u8; KEY_ROW_BYTES]) -> Option<DomainKey> {
    let (epoch, rest) = row.split_first_chunk()?;
    let (created_ms, secret) = rest.split_first_chunk()?;
    let mut key = DomainKey::empty(u32::from_be_bytes(*epoch), u64::from_be_bytes(*created_ms));
    key.secret.copy_from_slice(secret);
    Some(key)
}

/// Splits a file with a right checksum into header and the rest without the checksum.
fn verified(file: &[u8]) -> Result<(Header, &[u8]), RootError> {
    let (rest, sum) = file
        .split_last_chunk::<32>()
        .ok_or(RootError::Corrupted("its length"))?;
    if digest(&SHA256, rest).as_ref() != sum {
        return Err(RootError::Corrupted("its checksum"));
    }
    let (head, body) = rest
        .split_first_chunk()
        .ok_or(RootError::Corrupted("its length"))?;
    Ok((Header::parse(head)?, body))
}

struct Header {
    provider: Provider,
    /// All zeros for a root key.
    cost: Cost,
    salt: [u8; 32],
}

impl Header {
    fn new(secret: &RootSecret) -> Result<Header, RootError> {
        let mut salt = [0; 32];
        let provider = provider_of(secret);
        let cost = match provider {
            Provider::Key => NO_COST,
            Provider::Passphrase => {
                rand::fill(&mut salt).map_err(|_| RootError::System("randomness"))?;
                Cost::NEW
            }
        };
        Ok(Header {
            provider,
            cost,
            salt,
        })
    }

    fn bytes(&self) -> [u8; HEAD_BYTES] {
        let provider = match self.provider {
            Provider::Key => 1,
            Provider::Passphrase => 2,
        };
        let mut bytes = [0; HEAD_BYTES];
        let all = [
            MAGIC.as_slice(),
            &[VERSION, provider],
            &self.cost.bytes(),
            &self.salt,
        ]
        .concat();
        bytes.copy_from_slice(&all);
        bytes
    }

    fn parse(bytes: &[u8; HEAD_BYTES]) -> Result<Header, RootError> {
        let wrong = RootError::Corrupted("its header");
        let (magic, rest) = bytes.split_first_chunk::<4>().ok_or(wrong)?;
        let ([version, provider], rest) = rest.split_first_chunk::<2>().ok_or(wrong)?;
        let (cost, salt) = rest.split_first_chunk::<12>().ok_or(wrong)?;
        if magic != MAGIC {
            return Err(wrong);
        }
        if *version != VERSION {
            return Err(RootError::Version(*version));
        }
        let cost = Cost::parse(cost).ok_or(wrong)?;
        let salt = salt.try_into().map_err(|_| wrong)?;
        let provider = match provider {
            1 if cost == NO_COST && salt == [0; 32] => Provider::Key,
            2 if cost.is_bearable() => Provider::Passphrase,
            _ => return Err(wrong),
        };
        Ok(Header {
            provider,
            cost,
            salt,
        })
    }

    fn root(&self, secret: &RootSecret) -> Result<Prk, RootError> {
        match secret {
            RootSecret::Key(key) => Ok(root_of_key(key)),
            RootSecret::Passphrase(passphrase) => {
                root_of_passphrase(passphrase, &self.salt, self.cost)
            }
        }
    }
}

impl Cost {
    fn bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        let words = [self.memory_kib, self.passes, self.lanes];
        for (to, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *to = word.to_be_bytes();
        }
        bytes
    }

    fn parse(bytes: &[u8; 12]) -> Option<Cost> {
        match bytes.as_chunks::<4>().0 {
            [memory_kib, passes, lanes] => Some(Cost {
                memory_kib: u32::from_be_bytes(*memory_kib),
                passes: u32::from_be_bytes(*passes),
                lanes: u32::from_be_bytes(*lanes),
            }),
            _ => None,
        }
    }
}

fn provider_of(secret: &RootSecret) -> Provider {
    match secret {
        RootSecret::Key(_) => Provider::Key,
        RootSecret::Passphrase(_) => Provider::Passphrase,
    }
}

fn commitment(root: &Prk, head: &[u8]) -> Zeroizing<[u8; 32]> {
    kdf::expand(root, &[b"strongroom/1/keyring-comm\0", head])
}

fn sealing_key(root: &Prk, head: &[u8]) -> Result<AeadKey, RootError> {
    AeadKey::new(&kdf::expand(root, &[b"strongroom/1/keyring-seal\0", head]))
        .map_err(|_| RootError::System("a cipher"))
}

const MAGIC: &[u8; 4] = b"SRKR";
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 50;
const KEY_ROW_BYTES: usize = 44;
const AAD_LABEL: &[u8] = b"strongroom/1/keyring";
const NO_COST: Cost = Cost {
    memory_kib: 0,
    passes: 0,
    lanes: 0,
};

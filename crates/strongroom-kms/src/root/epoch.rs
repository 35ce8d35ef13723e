// SPDX-License-Identifier: Apache-2.0
//! The list of keys in a keyring file: domain keys and roots of SSE-S3, each with its epoch.
//!
//! Rows of 45 bytes: `kind u8 (1 domain key, 2 SSE-S3 root) || epoch u32 || created_ms u64 ||
//! key 32`, in strictly ascending order of kind and epoch, at least one of each kind.

use std::fmt;

use aws_lc_rs::rand;
use zeroize::Zeroizing;

use super::RootError;
use crate::secret32::Secret32;

/// What a key of the keyring is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EpochKind {
    /// DK: rows and log at rest, KMS key material, private files.
    Domain,
    /// The root of the SSE-S3 keys of all buckets.
    SseS3,
}

impl EpochKind {
    fn number(self) -> u8 {
        match self {
            EpochKind::Domain => 1,
            EpochKind::SseS3 => 2,
        }
    }
}

/// An epoch of a list of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochInfo {
    /// Which list.
    pub kind: EpochKind,
    /// Its number, from 1.
    pub epoch: u32,
    /// When it was made.
    pub created_ms: u64,
}

pub(super) struct EpochKey {
    pub(super) info: EpochInfo,
    pub(super) secret: Secret32,
}

impl EpochKey {
    pub(super) fn generate(
        kind: EpochKind,
        epoch: u32,
        created_ms: u64,
    ) -> Result<EpochKey, RootError> {
        let info = EpochInfo {
            kind,
            epoch,
            created_ms,
        };
        let drawn = Secret32::filled(rand::fill);
        let secret = drawn.map_err(|_| RootError::System("randomness"))?;
        Ok(EpochKey { info, secret })
    }

    fn parse(row: &[u8; ROW_BYTES]) -> Option<EpochKey> {
        let ([kind], rest) = row.split_first_chunk()?;
        let (epoch, rest) = rest.split_first_chunk()?;
        let (created_ms, secret) = rest.split_first_chunk()?;
        let kind = match kind {
            1 => EpochKind::Domain,
            2 => EpochKind::SseS3,
            _ => return None,
        };
        let info = EpochInfo {
            kind,
            epoch: u32::from_be_bytes(*epoch),
            created_ms: u64::from_be_bytes(*created_ms),
        };
        let secret = Secret32::copy_of(secret.try_into().ok()?);
        Some(EpochKey { info, secret })
    }
}

impl fmt::Debug for EpochKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EpochKey")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

/// All keys of a keyring, in order.
#[derive(Debug)]
pub(super) struct KeyList(Vec<EpochKey>);

impl KeyList {
    pub(super) fn new(keys: Vec<EpochKey>) -> Result<KeyList, RootError> {
        let place = |key: &EpochKey| (key.info.kind, key.info.epoch);
        let has = |kind| keys.iter().any(|key| key.info.kind == kind);
        if has(EpochKind::Domain)
            && has(EpochKind::SseS3)
            && keys.is_sorted_by(|a, b| place(a) < place(b))
        {
            Ok(KeyList(keys))
        } else {
            Err(RootError::Corrupted("its list of keys"))
        }
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<KeyList, RootError> {
        let wrong = || RootError::Corrupted("its list of keys");
        let (rows, rest) = bytes.as_chunks::<ROW_BYTES>();
        if !rest.is_empty() {
            return Err(wrong());
        }
        let keys = rows
            .iter()
            .map(|row| EpochKey::parse(row).ok_or_else(wrong));
        KeyList::new(keys.collect::<Result<_, _>>()?)
    }

    pub(super) fn bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.0.len().saturating_mul(ROW_BYTES)));
        for key in &self.0 {
            bytes.push(key.info.kind.number());
            bytes.extend_from_slice(&key.info.epoch.to_be_bytes());
            bytes.extend_from_slice(&key.info.created_ms.to_be_bytes());
            bytes.extend_from_slice(key.secret.expose_secret());
        }
        bytes
    }

    pub(super) fn keys(&self) -> &[EpochKey] {
        &self.0
    }

    /// Adds the next epoch of a kind.
    pub(super) fn add(&mut self, kind: EpochKind, now_ms: u64) -> Result<(), RootError> {
        let of_kind = |key: &EpochKey| key.info.kind <= kind;
        let end = self.0.partition_point(of_kind);
        let newest = self.0.get(..end).and_then(<[EpochKey]>::last);
        let newest = newest.map_or(0, |key| key.info.epoch);
        if self.0.len() >= KEYS_MAX {
            return Err(RootError::TooManyEpochs);
        }
        let epoch = newest.checked_add(1).ok_or(RootError::TooManyEpochs)?;
        self.0.insert(end, EpochKey::generate(kind, epoch, now_ms)?);
        Ok(())
    }

    /// Whether every key of `older` is here, unchanged.
    pub(super) fn extends(&self, older: &[EpochInfo]) -> bool {
        older
            .iter()
            .all(|info| self.0.iter().any(|key| key.info == *info))
    }
}

const ROW_BYTES: usize = 45;
/// A file of at most 1 MiB holds them, with room for the wraps.
const KEYS_MAX: usize = 20_000;

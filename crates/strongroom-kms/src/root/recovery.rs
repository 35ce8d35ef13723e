// SPDX-License-Identifier: Apache-2.0
//! The recovery key: wraps the file key, is split into shares, and is kept nowhere.
//!
//! Parameters of its wrap: `set id 8 || threshold u8 || shares u8`.

use std::fmt;

use aws_lc_rs::rand;
use zeroize::Zeroizing;

use super::RootError;
use super::provider::{FileKey, RootProvider, WrapKind, unwrap_under, wrap_under};
use super::shamir;
use super::share::{Share, SplitPlan};

/// A recovery key before it is split.
pub(super) struct RecoveryKey(Zeroizing<[u8; 32]>);

impl RecoveryKey {
    pub(super) fn generate() -> Result<RecoveryKey, RootError> {
        let mut key = Zeroizing::new([0; 32]);
        rand::fill(key.as_mut_slice()).map_err(|_| RootError::System("randomness"))?;
        Ok(RecoveryKey(key))
    }

    /// The provider of the key, and its shares.
    pub(super) fn split(self, plan: SplitPlan) -> Result<(Recovery, Vec<Share>), RootError> {
        let mut set = [0; 8];
        rand::fill(&mut set).map_err(|_| RootError::System("randomness"))?;
        let values = shamir::split(&self.0, plan.threshold(), plan.shares())?;
        let shares = values.into_iter().map(|(number, value)| Share {
            set,
            threshold: plan.threshold(),
            number,
            value,
        });
        let shares = shares.collect();
        let parameters = [set.as_slice(), &[plan.threshold(), plan.shares()]].concat();
        let recovery = Recovery {
            key: self.0,
            parameters,
        };
        Ok((recovery, shares))
    }
}

/// A recovery key as the provider of a wrap.
pub(super) struct Recovery {
    key: Zeroizing<[u8; 32]>,
    parameters: Vec<u8>,
}

impl Recovery {
    /// The key whose shares these are, for the wrap with these parameters.
    pub(super) fn combine(parameters: &[u8], shares: &[Share]) -> Result<Recovery, RootError> {
        let wanted = RecoveryInfo::parse(parameters)?;
        for (at, share) in shares.iter().enumerate() {
            // A number beyond the set's last one is of no share that was made.
            if share.set != wanted.set
                || share.threshold != wanted.threshold
                || share.number > wanted.shares
            {
                return Err(RootError::ShareOfAnotherSet {
                    number: share.number,
                    set: hex::encode(wanted.set),
                });
            }
            let others = shares.get(..at).unwrap_or_default();
            if others.iter().any(|other| other.number == share.number) {
                return Err(RootError::ShareTwice(share.number));
            }
        }
        let needed = usize::from(wanted.threshold);
        let points: Vec<(u8, &[u8; 32])> = shares
            .iter()
            .take(needed)
            .map(|share| (share.number, &*share.value))
            .collect();
        if points.len() < needed {
            return Err(RootError::TooFewShares {
                have: points.len(),
                needed,
            });
        }
        Ok(Recovery {
            key: shamir::combine(&points),
            parameters: parameters.to_vec(),
        })
    }
}

impl fmt::Debug for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recovery(..)")
    }
}

impl RootProvider for Recovery {
    fn kind(&self) -> WrapKind {
        WrapKind::Recovery
    }

    fn parameters(&self) -> Result<Vec<u8>, RootError> {
        Ok(self.parameters.clone())
    }

    fn wrap(&self, _parameters: &[u8], aad: &[u8], key: &FileKey) -> Result<Vec<u8>, RootError> {
        wrap_under(&self.key, aad, key)
    }

    fn unwrap(&self, _parameters: &[u8], aad: &[u8], wrapped: &[u8]) -> Result<FileKey, RootError> {
        unwrap_under(&self.key, aad, wrapped)?.ok_or(RootError::WrongSecret(WrapKind::Recovery))
    }
}

/// What a recovery wrap says about its shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveryInfo {
    set: [u8; 8],
    threshold: u8,
    shares: u8,
}

impl RecoveryInfo {
    /// Reads the parameters of a recovery wrap.
    pub fn parse(parameters: &[u8]) -> Result<RecoveryInfo, RootError> {
        let wrong = RootError::Corrupted("parameters of the recovery key");
        let (set, rest) = parameters.split_first_chunk().ok_or(wrong.clone())?;
        let [threshold, shares] = *rest else {
            return Err(wrong);
        };
        let plan = SplitPlan::new(threshold, shares).map_err(|_| wrong)?;
        Ok(RecoveryInfo {
            set: *set,
            threshold: plan.threshold(),
            shares: plan.shares(),
        })
    }

    /// The id of the set, in hexadecimal digits.
    pub fn set(&self) -> String {
        hex::encode(self.set)
    }

    /// How many shares restore.
    pub fn threshold(&self) -> u8 {
        self.threshold
    }

    /// How many shares were made.
    pub fn shares(&self) -> u8 {
        self.shares
    }
}

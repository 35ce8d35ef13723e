// SPDX-License-Identifier: Apache-2.0
//! Rotation: a new version of a key's material becomes the current one; the older ones stay, for
//! what they encrypted. Nothing is encrypted again.

use strongroom_store::{Precondition, Write};

use crate::error::Error;
use crate::material::{self, Material};
use crate::model::{KeySpec, Origin, RotationType};
use crate::rows::{KeyRow, MATERIALS, material_key};
use crate::schedule_key_deletion::DAY_MS;
use crate::service::Kms;

impl Kms {
    /// Makes the next version current, in `row` and in the rows that are returned.
    pub(crate) fn rotate(
        &self,
        row: &mut KeyRow,
        kind: RotationType,
    ) -> Result<(Vec<Precondition>, Vec<Write>), Error> {
        let now_ms = self.now_ms();
        let uid = row.uid();
        let number = row.current_version.saturating_add(1);
        let mut preconditions = Vec::new();
        let mut material = match row.origin {
            Origin::AwsKms => {
                let damaged = || Error::Corrupted {
                    what: format!("material of KMS key {uid}"),
                };
                let current = self
                    .version(uid, row.current_version)?
                    .ok_or_else(damaged)?;
                let shred = self
                    .shred_key(uid, current.material.shred_id)?
                    .ok_or_else(damaged)?;
                // INVARIANT: the shred key is still in use when the new version is committed.
                preconditions.push(current.is_unchanged(uid));
                let mut id = [0; 32];
                material::fill(&mut id)?;
                let secret = Material::random(MATERIAL_BYTES)?;
                self.wrap_material(row, number, id, &secret, &shred)?
            }
            Origin::External => {
                let pending = self
                    .version(uid, number)?
                    .filter(|version| version.material.is_there(now_ms));
                let pending = pending.ok_or_else(|| {
                    Error::InvalidState(format!(
                        "No available key material pending rotation for the key: {}.",
                        row.arn(self.place())
                    ))
                })?;
                preconditions.push(pending.is_unchanged(uid));
                pending.material
            }
        };
        material.rotated_ms = Some(now_ms);
        material.rotation = Some(kind);
        row.current_version = number;
        row.current_material_id = material.material_id;
        let first_expiry = [row.valid_to_ms, material.valid_to_ms];
        row.valid_to_ms = first_expiry.into_iter().flatten().min();
        let write = Write::Put {
            table: MATERIALS,
            key: material_key(uid, number),
            value: material.encode()?,
        };
        Ok((preconditions, vec![write]))
    }

    /// Refuses keys whose material does not rotate, ever.
    pub(crate) fn check_rotates(&self, row: &KeyRow) -> Result<(), Error> {
        if row.spec == KeySpec::SymmetricDefault {
            return Ok(());
        }
        Err(Error::UnsupportedOperation(format!(
            "{} key spec is {} which is not valid for this operation.",
            row.arn(self.place()),
            row.spec.as_str()
        )))
    }

    /// Refuses keys whose material is not made here.
    pub(crate) fn check_rotates_by_itself(&self, row: &KeyRow) -> Result<(), Error> {
        self.check_rotates(row)?;
        match row.origin {
            Origin::AwsKms => Ok(()),
            Origin::External => Err(Error::UnsupportedOperation(format!(
                "{} origin is EXTERNAL which is not valid for this operation.",
                row.arn(self.place())
            ))),
        }
    }
}

/// When a key that rotates every so many days rotates next.
pub(crate) fn next_rotation_ms(now_ms: u64, period_days: u32) -> u64 {
    now_ms.saturating_add(u64::from(period_days).saturating_mul(DAY_MS))
}

/// Keys of services rotate every year.
pub(crate) const PERIOD_DAYS_DEFAULT: u32 = 365;
const MATERIAL_BYTES: usize = 32;

// SPDX-License-Identifier: Apache-2.0
//! Key material: made, wrapped, and unwrapped for the length of one operation.
//!
//! `EKT = AES-256-GCM(kms-wrap key of the epoch, HBK, AAD)` with `AAD = "strongroom/1/kms-material"
//! || 00 || key_uid || u32 version || u8 spec || u8 origin || u64 created_ms || material_id`.

use aws_lc_rs::rand;
use strongroom_format::KeyMaterial;
use zeroize::Zeroizing;

use crate::authorize::Permit;
use crate::error::Error;
use crate::key_id::KeyUid;
use crate::model::{KeySpec, Origin};
use crate::root::Keyring;
use crate::rows::{KeyRow, MaterialRow};

/// New random material for a version of a key. Only the wrapped form leaves this function.
pub(crate) fn generate(
    keyring: &Keyring,
    row: &KeyRow,
    version: u32,
    created_ms: u64,
) -> Result<MaterialRow, Error> {
    let mut material = Zeroizing::new([0; 32]);
    let mut material_id = [0; 32];
    fill(material.as_mut_slice())?;
    fill(&mut material_id)?;
    let aad = aad(row, version, &material_id);
    let (wrap_epoch, wrap) = keyring.newest_kms_wrap();
    let wrapped = wrap
        .seal(&aad, material.as_slice())
        .map_err(|_| Error::Internal("wrapping key material"))?;
    Ok(MaterialRow {
        wrap_epoch,
        wrapped,
        material_id,
        created_ms,
    })
}

/// Unwraps a version of the material of the key that the permit is about.
pub(crate) fn unwrap(
    permit: &Permit,
    keyring: &Keyring,
    row: &KeyRow,
    version: u32,
    material: &MaterialRow,
) -> Result<KeyMaterial, Error> {
    // INVARIANT: a permit for one key never opens the material of another.
    if !permit.covers_material_of(row.uid()) {
        return Err(Error::Internal("a permit for something else"));
    }
    let damaged = || Error::Corrupted {
        what: format!("material of KMS key {}", row.uid()),
    };
    let aad = aad(row, version, &material.material_id);
    let opened = keyring
        .kms_wrap(material.wrap_epoch)
        .ok_or_else(damaged)?
        .open(&aad, &material.wrapped)
        .map_err(|_| damaged())?;
    let bytes: &[u8; 32] = opened.as_slice().try_into().map_err(|_| damaged())?;
    Ok(KeyMaterial::from_bytes(*bytes))
}

pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), Error> {
    rand::fill(bytes).map_err(|_| Error::Internal("no randomness"))
}

fn aad(row: &KeyRow, version: u32, material_id: &[u8; 32]) -> Vec<u8> {
    let KeyUid(uid) = row.uid();
    let spec = match row.spec {
        KeySpec::SymmetricDefault => 0,
    };
    let origin = match row.origin {
        Origin::AwsKms => 0,
        Origin::External => 1,
    };
    [
        b"strongroom/1/kms-material\0".as_slice(),
        &uid,
        &version.to_be_bytes(),
        &[spec, origin],
        &row.created_ms.to_be_bytes(),
        material_id,
    ]
    .concat()
}

// SPDX-License-Identifier: Apache-2.0
//! Key material: made, wrapped, and unwrapped for the length of one operation.
//!
//! `EKT = AES-256-GCM(kms-wrap key of the epoch, material, AAD)` with `AAD = "strongroom/1/kms-material"
//! || 00 || key_uid || u32 version || u8 spec || u8 origin || u64 created_ms || material_id`.

use std::fmt;

use aws_lc_rs::rand;
use strongroom_format::KeyMaterial;
use zeroize::Zeroizing;

use crate::authorize::Permit;
use crate::error::Error;
use crate::key_id::KeyUid;
use crate::model::Origin;
use crate::rows::{KeyRow, MaterialRow};
use crate::service::Kms;

/// The secret of a version of a key, in clear: 32 bytes of a symmetric key, the bytes of a MAC
/// key, or a private key in PKCS#8 (DER).
pub(crate) struct Material(Zeroizing<Vec<u8>>);

impl Material {
    /// Takes over the bytes.
    pub(crate) fn new(bytes: Zeroizing<Vec<u8>>) -> Material {
        Material(bytes)
    }

    /// Random bytes, for symmetric and MAC keys.
    pub(crate) fn random(len: usize) -> Result<Material, Error> {
        let mut bytes = Zeroizing::new(vec![0; len]);
        fill(&mut bytes)?;
        Ok(Material(bytes))
    }

    /// The bytes. Every use of this method is a place to review.
    pub(crate) fn expose_secret(&self) -> &[u8] {
        &self.0
    }

    /// The material of a symmetric key.
    pub(crate) fn symmetric(&self) -> Result<KeyMaterial, Error> {
        let bytes: &[u8; 32] = self
            .0
            .as_slice()
            .try_into()
            .map_err(|_| Error::Internal("the length of symmetric material"))?;
        Ok(KeyMaterial::from_bytes(*bytes))
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Material(..)")
    }
}

impl Kms {
    /// Wraps new material for a version of a key, under a new id.
    pub(crate) fn wrap_material(
        &self,
        row: &KeyRow,
        version: u32,
        created_ms: u64,
        material: &Material,
    ) -> Result<MaterialRow, Error> {
        let mut material_id = [0; 32];
        fill(&mut material_id)?;
        let aad = aad(row, version, &material_id);
        let (wrap_epoch, wrap) = self.keyring().newest_kms_wrap();
        let wrapped = wrap
            .seal(&aad, material.expose_secret())
            .map_err(|_| Error::Internal("wrapping key material"))?;
        Ok(MaterialRow {
            wrap_epoch,
            wrapped,
            material_id,
            created_ms,
        })
    }

    /// Unwraps a version of the material of the key that the permit is about.
    pub(crate) fn unwrap_material(
        &self,
        permit: &Permit,
        row: &KeyRow,
        version: u32,
        material: &MaterialRow,
    ) -> Result<Material, Error> {
        // INVARIANT: a permit for one key never opens the material of another.
        if !permit.covers_material_of(row.uid()) {
            return Err(Error::Internal("a permit for something else"));
        }
        let damaged = || Error::Corrupted {
            what: format!("material of KMS key {}", row.uid()),
        };
        let aad = aad(row, version, &material.material_id);
        let opened = self
            .keyring()
            .kms_wrap(material.wrap_epoch)
            .ok_or_else(damaged)?
            .open(&aad, &material.wrapped)
            .map_err(|_| damaged())?;
        Ok(Material(opened))
    }
}

pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), Error> {
    rand::fill(bytes).map_err(|_| Error::Internal("no randomness"))
}

fn aad(row: &KeyRow, version: u32, material_id: &[u8; 32]) -> Vec<u8> {
    let KeyUid(uid) = row.uid();
    let origin = match row.origin {
        Origin::AwsKms => 0,
        Origin::External => 1,
    };
    [
        b"strongroom/1/kms-material\0".as_slice(),
        &uid,
        &version.to_be_bytes(),
        &[row.spec.number(), origin],
        &row.created_ms.to_be_bytes(),
        material_id,
    ]
    .concat()
}

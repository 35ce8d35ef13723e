// SPDX-License-Identifier: Apache-2.0
//! Key material: made, wrapped, and unwrapped for the length of one operation.
//!
//! ```text
//!  domain key --kms-wrap--+
//!                         +--HKDF--> K --AES-256-GCM--> EKT   (row of the table)
//!  shred key (vault) -----+
//! ```
//!
//! `EKT = AES-256-GCM(K, material, AAD)` with `AAD = "strongroom/1/kms-material" || 00 || key_uid ||
//! u32 version || u8 spec || u8 origin || u64 created_ms || material_id`. Rows stay in the log
//! after they are deleted; without the shred key they are random bytes for ever (`shred.rs`).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand;
use strongroom_format::KeyMaterial;
use strongroom_memory::SecretBytes;
use zeroize::Zeroizing;

use crate::aead::AeadKey;
use crate::authorize::Permit;
use crate::error::Error;
use crate::kdf;
use crate::key_id::KeyUid;
use crate::key_pair::KeyPair;
use crate::key_state::refusal;
use crate::model::{KeySpec, KeyState, Origin};
use crate::root::Keyring;
use crate::rows::{KeyRow, MaterialRow};
use crate::service::Kms;
use crate::shred::ShredKey;

/// The secret of a version of a key, in clear: 32 bytes of a symmetric key, the bytes of a MAC
/// key, or a private key in PKCS#8 (DER).
pub(crate) struct Material(SecretBytes);

impl Material {
    /// Takes over the bytes: they move to memory that only this process can read.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the caller's copy is wiped here"
    )]
    pub(crate) fn new(bytes: Zeroizing<Vec<u8>>) -> Material {
        Material(SecretBytes::copy_of(&bytes))
    }

    /// Random bytes, for symmetric and MAC keys.
    pub(crate) fn random(len: usize) -> Result<Material, Error> {
        SecretBytes::filled(len, fill).map(Material)
    }

    /// New material for a key of `spec`. RSA takes up to seconds.
    pub(crate) fn generate(spec: KeySpec) -> Result<Material, Error> {
        match spec {
            KeySpec::SymmetricDefault | KeySpec::Hmac256 => Material::random(32),
            KeySpec::Hmac224 => Material::random(28),
            KeySpec::Hmac384 => Material::random(48),
            KeySpec::Hmac512 => Material::random(64),
            KeySpec::Rsa2048
            | KeySpec::Rsa3072
            | KeySpec::Rsa4096
            | KeySpec::EccNistP256
            | KeySpec::EccNistP384
            | KeySpec::EccNistP521
            | KeySpec::EccNistEdwards25519 => {
                KeyPair::generate(spec)?.private_key().map(Material::new)
            }
        }
    }

    /// The bytes. Every use of this method is a place to review.
    pub(crate) fn expose_secret(&self) -> &[u8] {
        self.0.expose_secret()
    }

    /// The material of a symmetric key.
    pub(crate) fn symmetric(&self) -> Result<KeyMaterial, Error> {
        let bytes: &[u8; 32] = self
            .0
            .expose_secret()
            .try_into()
            .map_err(|_| Error::Internal("the length of symmetric material"))?;
        Ok(KeyMaterial::copied_from(bytes))
    }

    /// The id of imported material: the same bytes for the same key have the same id, so that
    /// what is imported again can be told from something else when it is gone.
    /// It is told to whoever may describe the key, so it must not let anybody try candidates:
    /// it is a MAC under a key of the keyring.
    pub(crate) fn imported_id(&self, keyring: &Keyring, uid: KeyUid) -> [u8; 32] {
        keyring.kms_material_id(&uid.0, self.0.expose_secret())
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Material(..)")
    }
}

impl Kms {
    /// Wraps new material for a version of a key, under a shred key of that key.
    pub(crate) fn wrap_material(
        &self,
        row: &KeyRow,
        version: u32,
        material_id: [u8; 32],
        material: &Material,
        shred: &ShredKey,
    ) -> Result<MaterialRow, Error> {
        let wrap_epoch = self.keyring().newest_epoch();
        let aad = aad(row, version, &material_id);
        let wrapped = self
            .wrapping(row.uid(), wrap_epoch, shred)
            .ok_or(Error::Internal("the newest domain key"))?
            .seal(&aad, material.expose_secret())
            .map_err(|_| Error::Internal("wrapping key material"))?;
        Ok(MaterialRow {
            wrap_epoch,
            wrapped,
            material_id,
            created_ms: self.now_ms(),
            shred_id: shred.id(),
            rotated_ms: None,
            rotation: None,
            valid_to_ms: None,
            description: None,
        })
    }

    /// Unwraps a version of the material of the key that the permit is about, or finds it
    /// unwrapped a moment ago.
    pub(crate) fn unwrap_material(
        &self,
        permit: &Permit,
        row: &KeyRow,
        version: u32,
        stored: &Arc<MaterialRow>,
    ) -> Result<Arc<Material>, Error> {
        // INVARIANT: a permit for one key never opens the material of another.
        if !permit.covers_material_of(row.uid()) {
            return Err(Error::Internal("a permit for something else"));
        }
        let now_ms = self.now_ms();
        if !stored.is_there(now_ms) {
            let missing = refusal(&row.arn(self.place()), KeyState::PendingImport);
            return Err(missing.unwrap_or(Error::Internal("a state without a refusal")));
        }
        let cache = self.materials();
        if let Some(material) = cache.get(row, version, stored, now_ms) {
            return Ok(material);
        }
        let material = Arc::new(self.open_material(row, version, stored)?);
        cache.put(row, version, stored, now_ms, &material);
        Ok(material)
    }

    /// Wraps a version again, under the newest domain key and another shred key.
    pub(crate) fn rewrap_material(
        &self,
        row: &KeyRow,
        version: u32,
        stored: &MaterialRow,
        shred: &ShredKey,
    ) -> Result<MaterialRow, Error> {
        let material = self.open_material(row, version, stored)?;
        self.wrapped_again(row, version, stored, &material, shred)
    }

    /// Wraps a version again whose shred key lies in the vault under another name; `None` if `shred`
    /// is not that.
    pub(crate) fn rewrap_renamed(
        &self,
        row: &KeyRow,
        version: u32,
        stored: &MaterialRow,
        shred: &ShredKey,
    ) -> Result<Option<MaterialRow>, Error> {
        let before = shred.called(stored.shred_id);
        match self.open_material_with(row, version, stored, &before) {
            Ok(material) => self
                .wrapped_again(row, version, stored, &material, shred)
                .map(Some),
            Err(error) if error.is_corruption() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn wrapped_again(
        &self,
        row: &KeyRow,
        version: u32,
        stored: &MaterialRow,
        material: &Material,
        shred: &ShredKey,
    ) -> Result<MaterialRow, Error> {
        let MaterialRow {
            wrap_epoch,
            wrapped,
            shred_id,
            ..
        } = self.wrap_material(row, version, stored.material_id, material, shred)?;
        Ok(MaterialRow {
            wrap_epoch,
            wrapped,
            shred_id,
            ..stored.clone()
        })
    }

    /// Opens wrapped material, which no permit is needed for where only its being whole counts.
    pub(crate) fn is_whole(
        &self,
        row: &KeyRow,
        version: u32,
        stored: &MaterialRow,
    ) -> Result<bool, Error> {
        match self.check_material(row, version, stored) {
            Ok(()) => Ok(true),
            Err(error) if error.is_corruption() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether a version opens. Nobody is given what is in it.
    pub(crate) fn check_material(
        &self,
        row: &KeyRow,
        version: u32,
        stored: &MaterialRow,
    ) -> Result<(), Error> {
        self.open_material(row, version, stored).map(drop)
    }

    fn open_material(
        &self,
        row: &KeyRow,
        version: u32,
        stored: &MaterialRow,
    ) -> Result<Material, Error> {
        let damaged = || Error::Corrupted {
            what: format!("material of KMS key {}", row.uid()),
        };
        let shred = match self.shred_key(row.uid(), stored.shred_id) {
            Err(error) if error.is_corruption() => None,
            found => found?,
        };
        let shred = shred.ok_or_else(damaged)?;
        self.open_material_with(row, version, stored, &shred)
    }

    fn open_material_with(
        &self,
        row: &KeyRow,
        version: u32,
        stored: &MaterialRow,
        shred: &ShredKey,
    ) -> Result<Material, Error> {
        let damaged = || Error::Corrupted {
            what: format!("material of KMS key {}", row.uid()),
        };
        let opened = self
            .wrapping(row.uid(), stored.wrap_epoch, shred)
            .ok_or_else(damaged)?
            .open(&aad(row, version, &stored.material_id), &stored.wrapped)
            .map_err(|_| damaged())?;
        Ok(Material::new(opened))
    }

    /// The key that wraps the material of a KMS key.
    fn wrapping(&self, uid: KeyUid, epoch: u32, shred: &ShredKey) -> Option<AeadKey> {
        let prk = self.keyring().kms_wrap(epoch, shred.expose_secret())?;
        let info = [KEY_LABEL, uid.0.as_slice(), &shred.id()];
        AeadKey::new(&kdf::expand(&prk, &info)).ok()
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

const KEY_LABEL: &[u8] = b"strongroom/1/kms-material-key\0";

#[cfg(test)]
#[path = "material_vectors.rs"]
mod vectors;

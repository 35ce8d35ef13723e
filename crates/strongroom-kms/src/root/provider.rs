// SPDX-License-Identifier: Apache-2.0
//! What a keyring file needs of the outside: somebody who wraps and unwraps one file key.
//!
//! ```text
//!   key file, passphrase            here (secret.rs)
//!   PKCS#11 token, KMS endpoint     the server: they need a library, a network
//!   recovery key                    here (recovery.rs), split into shares (share.rs)
//! ```
//!
//! A provider is asked at a start, when the keyring gets a new epoch, and when the providers
//! change. It may block: callers give it a thread of its own.

use std::fmt;

use aws_lc_rs::rand;

use super::RootError;
use crate::aead::AeadKey;
use crate::kdf;
use crate::secret32::Secret32;

/// Wraps file keys; what it keeps secret never enters this crate unless it must.
pub trait RootProvider: fmt::Debug + Send + Sync {
    /// The kind of its wraps.
    fn kind(&self) -> WrapKind;

    /// Parameters of a new wrap: not secret, and bound to the wrap.
    fn parameters(&self) -> Result<Vec<u8>, RootError>;

    /// Wraps a file key under `parameters`, bound to `aad`.
    fn wrap(&self, parameters: &[u8], aad: &[u8], key: &FileKey) -> Result<Vec<u8>, RootError>;

    /// Unwraps what [`RootProvider::wrap`] made with the same parameters and `aad`. A wrap that
    /// is not this provider's is [`RootError::WrongSecret`].
    fn unwrap(&self, parameters: &[u8], aad: &[u8], wrapped: &[u8]) -> Result<FileKey, RootError>;
}

/// FK: the random key that seals one keyring file.
pub struct FileKey(Secret32);

impl FileKey {
    pub(super) fn generate() -> Result<FileKey, RootError> {
        let drawn = Secret32::filled(rand::fill);
        let key = drawn.map_err(|_| RootError::System("randomness"))?;
        Ok(FileKey(key))
    }

    /// The file key that a provider unwrapped; `None` if these are not 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<FileKey> {
        let key: &[u8; 32] = bytes.try_into().ok()?;
        Some(FileKey(Secret32::copy_of(key)))
    }

    /// The bytes, for a provider to wrap.
    pub fn expose_secret(&self) -> &[u8; 32] {
        self.0.expose_secret()
    }
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileKey(..)")
    }
}

/// Which kind of provider made a wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrapKind {
    /// A root key in a file.
    KeyFile = 1,
    /// A passphrase.
    Passphrase = 2,
    /// An AES key in a PKCS#11 token.
    Pkcs11 = 3,
    /// A KMS key behind another endpoint.
    Kms = 4,
    /// A recovery key that was split into shares.
    Recovery = 5,
}

impl WrapKind {
    pub(super) fn number(self) -> u8 {
        match self {
            WrapKind::KeyFile => 1,
            WrapKind::Passphrase => 2,
            WrapKind::Pkcs11 => 3,
            WrapKind::Kms => 4,
            WrapKind::Recovery => 5,
        }
    }

    pub(super) fn from_number(number: u8) -> Option<WrapKind> {
        match number {
            1 => Some(WrapKind::KeyFile),
            2 => Some(WrapKind::Passphrase),
            3 => Some(WrapKind::Pkcs11),
            4 => Some(WrapKind::Kms),
            5 => Some(WrapKind::Recovery),
            _ => None,
        }
    }
}

impl fmt::Display for WrapKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WrapKind::KeyFile => "root key",
            WrapKind::Passphrase => "passphrase",
            WrapKind::Pkcs11 => "PKCS#11 key",
            WrapKind::Kms => "KMS key",
            WrapKind::Recovery => "recovery key",
        })
    }
}

/// One wrapped copy of the file key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrap {
    pub(super) kind: WrapKind,
    pub(super) id: [u8; 16],
    pub(super) created_ms: u64,
    pub(super) parameters: Vec<u8>,
    pub(super) wrapped: Vec<u8>,
}

impl Wrap {
    pub(super) fn new(
        provider: &dyn RootProvider,
        keyring_id: &[u8; 16],
        key: &FileKey,
        created_ms: u64,
    ) -> Result<Wrap, RootError> {
        let mut wrap = Wrap {
            kind: provider.kind(),
            id: [0; 16],
            created_ms,
            parameters: provider.parameters()?,
            wrapped: Vec::new(),
        };
        rand::fill(&mut wrap.id).map_err(|_| RootError::System("randomness"))?;
        wrap.wrapped = provider.wrap(&wrap.parameters, &wrap.aad(keyring_id), key)?;
        if wrap.parameters.len() > PARAMETER_BYTES_MAX || wrap.wrapped.len() > WRAPPED_BYTES_MAX {
            return Err(RootError::Provider(
                "the wrapped key it made is too long for the keyring".to_owned(),
            ));
        }
        Ok(wrap)
    }

    pub(super) fn unwrap(
        &self,
        provider: &dyn RootProvider,
        keyring_id: &[u8; 16],
    ) -> Result<FileKey, RootError> {
        provider.unwrap(&self.parameters, &self.aad(keyring_id), &self.wrapped)
    }

    /// The kind of provider that made it.
    pub fn kind(&self) -> WrapKind {
        self.kind
    }

    /// When it was made.
    pub fn created_ms(&self) -> u64 {
        self.created_ms
    }

    /// What its provider wrote down about it; not secret.
    pub fn parameters(&self) -> &[u8] {
        &self.parameters
    }

    fn aad(&self, keyring_id: &[u8; 16]) -> Vec<u8> {
        [
            AAD_LABEL,
            keyring_id,
            &[self.kind.number()],
            &self.id,
            &self.created_ms.to_be_bytes(),
            &self.parameters,
        ]
        .concat()
    }
}

/// Wraps under a secret of 32 bytes: `nonce 12 || AES-256-GCM(HKDF(secret), FK, aad)`.
pub(super) fn wrap_under(
    secret: &[u8; 32],
    aad: &[u8],
    key: &FileKey,
) -> Result<Vec<u8>, RootError> {
    wrapping_key(secret)?
        .seal(aad, key.expose_secret())
        .map_err(|_| RootError::System("to wrap the file key"))
}

/// The inverse of [`wrap_under`]; `None` under another secret.
pub(super) fn unwrap_under(
    secret: &[u8; 32],
    aad: &[u8],
    wrapped: &[u8],
) -> Result<Option<FileKey>, RootError> {
    let opened = wrapping_key(secret)?.open(aad, wrapped).ok();
    Ok(opened.and_then(|bytes| FileKey::from_bytes(&bytes)))
}

fn wrapping_key(secret: &[u8; 32]) -> Result<AeadKey, RootError> {
    let root = kdf::extract(ROOT_LABEL, secret);
    AeadKey::new(&kdf::expand(&root, &[WRAP_LABEL])).map_err(|_| RootError::System("a cipher"))
}

pub(super) const PARAMETER_BYTES_MAX: usize = 1024;
pub(super) const WRAPPED_BYTES_MAX: usize = 8192;
const AAD_LABEL: &[u8] = b"strongroom/2/keyring-wrap\0";
const ROOT_LABEL: &[u8] = b"strongroom/2/root";
const WRAP_LABEL: &[u8] = b"strongroom/2/wrap\0";

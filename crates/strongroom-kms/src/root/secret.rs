// SPDX-License-Identifier: Apache-2.0
//! The secrets from outside that this crate can use by itself: a root key and a passphrase.

use std::fmt;

use aws_lc_rs::rand;
use zeroize::Zeroizing;

use super::RootError;
use super::provider::{FileKey, RootProvider, WrapKind, unwrap_under, wrap_under};
use super::stretch::{Stretch, StretchKind};
use crate::secret32::Secret32;

/// A secret that opens a keyring.
#[derive(Debug)]
pub enum RootSecret {
    /// A random key, kept in a file of its own.
    Key(RootKey),
    /// A passphrase.
    Passphrase(Passphrase),
}

/// 32 random bytes.
pub struct RootKey(Secret32);

impl RootKey {
    /// A new root key.
    pub fn generate() -> Result<RootKey, RootError> {
        let drawn = Secret32::filled(rand::fill);
        let key = drawn.map_err(|_| RootError::System("randomness"))?;
        Ok(RootKey(key))
    }

    /// The content of a root key file.
    pub fn from_bytes(bytes: &[u8]) -> Result<RootKey, RootError> {
        let key: &[u8; 32] = bytes
            .try_into()
            .map_err(|_| RootError::RootKeyLength(bytes.len()))?;
        Ok(RootKey(Secret32::copy_of(key)))
    }

    /// The bytes for the root key file.
    pub fn expose_secret(&self) -> &[u8; 32] {
        self.0.expose_secret()
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey(..)")
    }
}

impl RootProvider for RootKey {
    fn kind(&self) -> WrapKind {
        WrapKind::KeyFile
    }

    fn parameters(&self) -> Result<Vec<u8>, RootError> {
        Ok(Vec::new())
    }

    fn wrap(&self, parameters: &[u8], aad: &[u8], key: &FileKey) -> Result<Vec<u8>, RootError> {
        need_none(parameters)?;
        wrap_under(self.expose_secret(), aad, key)
    }

    fn unwrap(&self, parameters: &[u8], aad: &[u8], wrapped: &[u8]) -> Result<FileKey, RootError> {
        need_none(parameters)?;
        unwrap_under(self.expose_secret(), aad, wrapped)?
            .ok_or(RootError::WrongSecret(WrapKind::KeyFile))
    }
}

fn need_none(parameters: &[u8]) -> Result<(), RootError> {
    if parameters.is_empty() {
        Ok(())
    } else {
        Err(RootError::Corrupted("parameters of a root key"))
    }
}

/// A passphrase, and how new wraps stretch it.
pub struct Passphrase {
    text: Zeroizing<String>,
    kind: StretchKind,
}

impl Passphrase {
    /// Takes over a passphrase of at least [`Passphrase::CHARACTERS_MIN`] characters. New wraps
    /// stretch it by Argon2id.
    pub fn new(text: String) -> Result<Passphrase, RootError> {
        let text = Zeroizing::new(text);
        if text.chars().count() < Passphrase::CHARACTERS_MIN {
            return Err(RootError::PassphraseTooShort {
                min: Passphrase::CHARACTERS_MIN,
            });
        }
        Ok(Passphrase {
            text,
            kind: StretchKind::Argon2id,
        })
    }

    /// The same passphrase, with new wraps stretched by `kind`. Wraps that are there are opened
    /// by whatever they name.
    #[must_use]
    pub fn stretched_by(mut self, kind: StretchKind) -> Passphrase {
        self.kind = kind;
        self
    }

    /// The fewest characters a passphrase may have.
    pub const CHARACTERS_MIN: usize = 12;
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

impl RootProvider for Passphrase {
    fn kind(&self) -> WrapKind {
        WrapKind::Passphrase
    }

    fn parameters(&self) -> Result<Vec<u8>, RootError> {
        Ok(Stretch::new(self.kind)?.bytes())
    }

    fn wrap(&self, parameters: &[u8], aad: &[u8], key: &FileKey) -> Result<Vec<u8>, RootError> {
        let secret = Stretch::parse(parameters)?.apply(&self.text)?;
        wrap_under(&secret, aad, key)
    }

    fn unwrap(&self, parameters: &[u8], aad: &[u8], wrapped: &[u8]) -> Result<FileKey, RootError> {
        let secret = Stretch::parse(parameters)?.apply(&self.text)?;
        unwrap_under(&secret, aad, wrapped)?.ok_or(RootError::WrongSecret(WrapKind::Passphrase))
    }
}

impl RootSecret {
    fn provider(&self) -> &dyn RootProvider {
        match self {
            RootSecret::Key(key) => key,
            RootSecret::Passphrase(passphrase) => passphrase,
        }
    }
}

impl RootProvider for RootSecret {
    fn kind(&self) -> WrapKind {
        self.provider().kind()
    }

    fn parameters(&self) -> Result<Vec<u8>, RootError> {
        self.provider().parameters()
    }

    fn wrap(&self, parameters: &[u8], aad: &[u8], key: &FileKey) -> Result<Vec<u8>, RootError> {
        self.provider().wrap(parameters, aad, key)
    }

    fn unwrap(&self, parameters: &[u8], aad: &[u8], wrapped: &[u8]) -> Result<FileKey, RootError> {
        self.provider().unwrap(parameters, aad, wrapped)
    }
}

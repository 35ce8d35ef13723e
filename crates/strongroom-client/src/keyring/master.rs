// SPDX-License-Identifier: Apache-2.0
//! Wrapping keys: one that wraps, any number that unwrap, chosen by materials description.
//!
//! A materials description is a hint that nothing authenticates: it chooses the key that is
//! tried, and whether that is the right one is decided by the key.

use std::collections::BTreeMap;

use super::aes::AesMasterKey;
use super::rsa::{RsaPrivateKey, RsaPublicKey};
use super::{Answer, Keyring, NewDataKey, Wrapped, WrappedKey, checked};
use crate::envelope::{Cipher, TextMap, Wrap};
use crate::error::Error;
use crate::secret::AesKey;

/// A keyring of wrapping keys.
#[derive(Debug, Default)]
pub struct MasterKeyring {
    writes: Option<(TextMap, Writer)>,
    reads: BTreeMap<TextMap, Reader>,
}

#[derive(Debug)]
enum Writer {
    Aes,
    Rsa(RsaPublicKey),
}

#[derive(Debug)]
enum Reader {
    Aes(AesMasterKey),
    Rsa(RsaPrivateKey),
}

impl MasterKeyring {
    /// A keyring without keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wraps new data keys under this key, and unwraps those of objects with this description. Two
    /// keys to read with under one description are refused.
    pub fn write_aes(self, description: TextMap, key: AesMasterKey) -> Result<Self, Error> {
        let writes = Some((description.clone(), Writer::Aes));
        let keyring = self.read_aes(description, key)?;
        Ok(Self { writes, ..keyring })
    }

    /// Wraps new data keys under this key.
    #[must_use]
    pub fn write_rsa(mut self, description: TextMap, key: RsaPublicKey) -> Self {
        self.writes = Some((description, Writer::Rsa(key)));
        self
    }

    /// Unwraps the data keys of objects with this description. Two keys to read with under one
    /// description are refused.
    pub fn read_aes(self, description: TextMap, key: AesMasterKey) -> Result<Self, Error> {
        self.read(description, Reader::Aes(key))
    }

    /// Unwraps the data keys of objects with this description. Two keys to read with under one
    /// description are refused.
    pub fn read_rsa(self, description: TextMap, key: RsaPrivateKey) -> Result<Self, Error> {
        self.read(description, Reader::Rsa(key))
    }

    /// A description names one key, as in Amazon's clients, which keep the last that was given and
    /// lose the objects of the other without a word. Old wraps under AES-ECB and PKCS #1 do not tell
    /// surely whether a key was the right one, so trying one after the other is no way out.
    fn read(mut self, description: TextMap, reader: Reader) -> Result<Self, Error> {
        if self.reads.contains_key(&description) {
            return Err(Error::Config(
                "two keys to read with have one materials description: give each its own",
            ));
        }
        self.reads.insert(description, reader);
        Ok(self)
    }

    fn make(&self, cipher: Cipher, context: &TextMap) -> Result<NewDataKey, Error> {
        let data_key = AesKey::generate()?;
        let wrapped = self.wrap(&data_key, cipher, context)?;
        Ok(NewDataKey { data_key, wrapped })
    }

    fn wrap(
        &self,
        data_key: &AesKey,
        cipher: Cipher,
        context: &TextMap,
    ) -> Result<WrappedKey, Error> {
        if !context.is_empty() {
            return Err(Error::Config(
                "an encryption context needs a key service: wrapping keys bind none",
            ));
        }
        let (description, writer) = self
            .writes
            .as_ref()
            .ok_or(Error::Config("the keyring has no key to write with"))?;
        let (wrapped, wrap) = match (writer, self.reads.get(description)) {
            (Writer::Rsa(key), _) => (key.wrap(data_key, cipher)?, Wrap::RsaOaepSha1),
            (Writer::Aes, Some(Reader::Aes(key))) => (key.wrap(data_key, cipher)?, Wrap::AesGcm),
            (Writer::Aes, _) => return Err(Error::Module),
        };
        Ok(WrappedKey {
            wrapped,
            wrap,
            description: description.clone(),
        })
    }

    fn open(&self, wrapped: Wrapped<'_>) -> Result<AesKey, Error> {
        if matches!(wrapped.wrap, Wrap::KmsContext | Wrap::Kms) {
            return Err(Error::WrongKey);
        }
        if !wrapped.context.is_empty() {
            return Err(Error::WrongContext);
        }
        let reader = self.reads.get(wrapped.description).ok_or_else(|| {
            Error::UnknownDescription(crate::envelope::shown(wrapped.description))
        })?;
        let data_key = match reader {
            Reader::Aes(key) => key.unwrap(wrapped.wrapped, wrapped.wrap, wrapped.cipher),
            Reader::Rsa(key) => key.unwrap(wrapped.wrapped, wrapped.wrap, wrapped.cipher),
        }?;
        checked(data_key, wrapped.cipher)
    }
}

impl Keyring for MasterKeyring {
    fn name(&self) -> Option<String> {
        let (description, writer) = self.writes.as_ref()?;
        let wrap = match writer {
            Writer::Aes => Wrap::AesGcm,
            Writer::Rsa(_) => Wrap::RsaOaepSha1,
        };
        Some(format!(
            "{} {}",
            wrap.name(),
            crate::envelope::shown(description)
        ))
    }

    fn generate<'a>(&'a self, cipher: Cipher, context: &'a TextMap) -> Answer<'a, NewDataKey> {
        Box::pin(async move { self.make(cipher, context) })
    }

    fn unwrap<'a>(&'a self, wrapped: Wrapped<'a>) -> Answer<'a, AesKey> {
        Box::pin(async move { self.open(wrapped) })
    }

    fn rewrap<'a>(
        &'a self,
        data_key: &'a AesKey,
        cipher: Cipher,
        context: &'a TextMap,
    ) -> Answer<'a, WrappedKey> {
        Box::pin(async move { self.wrap(data_key, cipher, context) })
    }
}

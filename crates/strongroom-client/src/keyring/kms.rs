// SPDX-License-Identifier: Apache-2.0
//! Data keys from a key service that speaks the AWS KMS protocol.
//!
//! The encryption context that an object was sealed under stands in its envelope, where anybody
//! who can write the object can change it. What binds an object to a purpose is the context that
//! the *caller* expects: both are compared here, before the service is asked.

use std::fmt;

use super::{Answer, Keyring, NewDataKey, Wrapped, WrappedKey, checked};
use crate::envelope::{Cipher, TextMap, Wrap};
use crate::error::Error;
use crate::secret::AesKey;

/// A data key of a key service, and what gets it back.
#[derive(Debug)]
pub struct WrappedByService {
    /// The key.
    pub data_key: AesKey,
    /// The service's CiphertextBlob.
    pub blob: Vec<u8>,
}

/// The two operations that a keyring needs of a key service. Failures are
/// [`Error::KeyService`].
pub trait KeyService: Send + Sync {
    /// GenerateDataKey with KeySpec AES_256.
    fn generate_data_key<'a>(
        &'a self,
        key_id: &'a str,
        context: &'a TextMap,
    ) -> Answer<'a, WrappedByService>;

    /// Decrypt; `key_id` is `None` only for a keyring that reads under any key.
    fn decrypt<'a>(
        &'a self,
        key_id: Option<&'a str>,
        blob: &'a [u8],
        context: &'a TextMap,
    ) -> Answer<'a, AesKey>;

    /// Encrypt: the CiphertextBlob of a data key that exists already. Needed to re-wrap only.
    fn encrypt<'a>(
        &'a self,
        key_id: &'a str,
        data_key: &'a AesKey,
        context: &'a TextMap,
    ) -> Answer<'a, Vec<u8>> {
        let _ = (key_id, data_key, context);
        Box::pin(async {
            Err(Error::Config(
                "this key service wraps no key that exists already",
            ))
        })
    }
}

/// A keyring over a key service.
pub struct KmsKeyring<S> {
    service: S,
    key_id: Option<String>,
}

impl<S: KeyService> KmsKeyring<S> {
    /// Writes and reads under one key: its id, ARN or alias.
    pub fn new(service: S, key_id: impl Into<String>) -> Self {
        Self {
            service,
            key_id: Some(key_id.into()),
        }
    }

    /// Reads under whatever key the service finds, and writes nothing. Whoever may write objects
    /// then decides by which key they are opened: give it to readers only that have no other way.
    pub fn discovery(service: S) -> Self {
        Self {
            service,
            key_id: None,
        }
    }

    async fn make(&self, cipher: Cipher, context: &TextMap) -> Result<NewDataKey, Error> {
        let (key_id, whole) = self.to_write(cipher, context)?;
        let made = self.service.generate_data_key(key_id, &whole).await?;
        if made.data_key.len() != 32 {
            return Err(Error::KeyService("its data key has not 256 bits".into()));
        }
        Ok(NewDataKey {
            data_key: made.data_key,
            wrapped: wrapped(made.blob, whole),
        })
    }

    async fn wrap(
        &self,
        data_key: &AesKey,
        cipher: Cipher,
        context: &TextMap,
    ) -> Result<WrappedKey, Error> {
        let (key_id, whole) = self.to_write(cipher, context)?;
        let blob = self.service.encrypt(key_id, data_key, &whole).await?;
        Ok(wrapped(blob, whole))
    }

    /// The key to write under, and the context with what this crate adds to it.
    fn to_write(&self, cipher: Cipher, context: &TextMap) -> Result<(&str, TextMap), Error> {
        let key_id = self
            .key_id
            .as_deref()
            .ok_or(Error::Config("a discovery keyring only reads"))?;
        no_reserved(context)?;
        let mut whole = context.clone();
        whole.insert(CIPHER_ENTRY.to_owned(), cipher.name().to_owned());
        Ok((key_id, whole))
    }

    async fn open(&self, wrapped: Wrapped<'_>) -> Result<AesKey, Error> {
        let stored = wrapped.description;
        match wrapped.wrap {
            Wrap::KmsContext => {
                no_reserved(wrapped.context)?;
                if stored.get(CIPHER_ENTRY).map(String::as_str) != Some(wrapped.cipher.name()) {
                    return Err(Error::Envelope(
                        "the encryption context is of another cipher",
                    ));
                }
                let own = stored
                    .iter()
                    .filter(|(name, _)| !RESERVED.contains(&name.as_str()));
                if !own.eq(wrapped.context.iter()) {
                    return Err(Error::WrongContext);
                }
            }
            Wrap::Kms => {
                // This wrap binds no cipher, so a context that the caller relies on must not be
                // taken for checked.
                if !wrapped.context.is_empty() {
                    return Err(Error::WrongContext);
                }
                // Where the context names a cipher, the object was sealed under the wrap that
                // binds it, and somebody wrote this one over it: to have the data key used with
                // another cipher, or to go around the caller's context.
                if stored.contains_key(CIPHER_ENTRY) {
                    return Err(Error::Envelope(
                        "the encryption context is one of another wrapping algorithm",
                    ));
                }
            }
            _ => return Err(Error::WrongKey),
        }
        let key_id = self.key_id.as_deref();
        let data_key = self
            .service
            .decrypt(key_id, wrapped.wrapped, stored)
            .await?;
        checked(data_key, wrapped.cipher)
    }
}

impl<S: KeyService> Keyring for KmsKeyring<S> {
    fn name(&self) -> Option<String> {
        let key_id = self.key_id.as_deref()?;
        Some(format!("{} {key_id}", Wrap::KmsContext.name()))
    }

    fn generate<'a>(&'a self, cipher: Cipher, context: &'a TextMap) -> Answer<'a, NewDataKey> {
        Box::pin(self.make(cipher, context))
    }

    fn unwrap<'a>(&'a self, wrapped: Wrapped<'a>) -> Answer<'a, AesKey> {
        Box::pin(self.open(wrapped))
    }

    fn rewrap<'a>(
        &'a self,
        data_key: &'a AesKey,
        cipher: Cipher,
        context: &'a TextMap,
    ) -> Answer<'a, WrappedKey> {
        Box::pin(self.wrap(data_key, cipher, context))
    }
}

fn wrapped(blob: Vec<u8>, context: TextMap) -> WrappedKey {
    WrappedKey {
        wrapped: blob,
        wrap: Wrap::KmsContext,
        description: context,
    }
}

impl<S> fmt::Debug for KmsKeyring<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KmsKeyring")
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

fn no_reserved(context: &TextMap) -> Result<(), Error> {
    if RESERVED.iter().any(|name| context.contains_key(*name)) {
        return Err(Error::Config(
            "aws:x-amz-cek-alg and kms_cmk_id are reserved in encryption contexts",
        ));
    }
    Ok(())
}

/// Names the content cipher in an encryption context.
const CIPHER_ENTRY: &str = "aws:x-amz-cek-alg";
/// Names the key in the context of legacy objects, in the writer's words: an id, an ARN or an alias. It is
/// not compared, since the key service is told which key has to open the ciphertext.
const KEY_ENTRY: &str = "kms_cmk_id";
const RESERVED: [&str; 2] = [CIPHER_ENTRY, KEY_ENTRY];

// SPDX-License-Identifier: Apache-2.0
//! Who wraps data keys: wrapping keys, or a key service.
//!
//! A keyring is asked twice: for a new data key when an object is written, and for the data key
//! of an object that is read. It never sees content. The name of the content cipher is bound to
//! the data key by every wrap that is written today, so that nobody can have an object's key used
//! with another, weaker cipher.

mod aes;
#[cfg(feature = "aws")]
mod aws_kms;
mod java_oaep;
mod kms;
mod master;
mod multi;
mod rsa;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub use aes::AesMasterKey;
#[cfg(feature = "aws")]
pub use aws_kms::AwsKms;
pub use kms::{KeyService, KmsKeyring, WrappedByService};
pub use master::MasterKeyring;
pub use multi::MultiKeyring;
pub use rsa::{RsaPrivateKey, RsaPublicKey};

use crate::envelope::{Cipher, TextMap, Wrap};
use crate::error::Error;
use crate::secret::AesKey;

/// What a keyring answers later.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// A new data key, and what has to be stored to have it again.
#[derive(Debug)]
pub struct NewDataKey {
    /// The key: for one object.
    pub data_key: AesKey,
    /// What has to be stored.
    pub wrapped: WrappedKey,
}

/// What has to be stored to have a data key again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WrappedKey {
    /// The key, wrapped.
    pub wrapped: Vec<u8>,
    /// How it was wrapped.
    pub wrap: Wrap,
    /// Materials description or encryption context, as the envelope keeps it.
    pub description: TextMap,
}

/// A data key to unwrap.
#[derive(Clone, Copy, Debug)]
pub struct Wrapped<'a> {
    /// The key, wrapped.
    pub wrapped: &'a [u8],
    /// How it was wrapped.
    pub wrap: Wrap,
    /// The cipher that it is for.
    pub cipher: Cipher,
    /// What the envelope says: materials description or encryption context.
    pub description: &'a TextMap,
    /// The encryption context that the caller expects.
    pub context: &'a TextMap,
}

/// Makes and unwraps data keys.
pub trait Keyring: Send + Sync {
    /// What tells the key that new data keys are wrapped under from others: a name, and nothing secret.
    /// An interrupted upload goes on under the name only that it was begun under. `None` if nothing
    /// tells.
    fn name(&self) -> Option<String> {
        None
    }

    /// A new data key for content under `cipher`, wrapped. `context` is the caller's encryption
    /// context, which only key services take.
    fn generate<'a>(&'a self, cipher: Cipher, context: &'a TextMap) -> Answer<'a, NewDataKey>;

    /// The data key of an object.
    fn unwrap<'a>(&'a self, wrapped: Wrapped<'a>) -> Answer<'a, AesKey>;

    /// The data key of an object, wrapped anew: other keys can open the object from then on, and
    /// its content stays as it is. A keyring need not be able to.
    fn rewrap<'a>(
        &'a self,
        data_key: &'a AesKey,
        cipher: Cipher,
        context: &'a TextMap,
    ) -> Answer<'a, WrappedKey> {
        let _ = (data_key, cipher, context);
        Box::pin(async {
            Err(Error::Config(
                "this keyring wraps no key that exists already",
            ))
        })
    }
}

impl<K: Keyring + ?Sized> Keyring for Arc<K> {
    fn name(&self) -> Option<String> {
        (**self).name()
    }

    fn generate<'a>(&'a self, cipher: Cipher, context: &'a TextMap) -> Answer<'a, NewDataKey> {
        (**self).generate(cipher, context)
    }

    fn unwrap<'a>(&'a self, wrapped: Wrapped<'a>) -> Answer<'a, AesKey> {
        (**self).unwrap(wrapped)
    }

    fn rewrap<'a>(
        &'a self,
        data_key: &'a AesKey,
        cipher: Cipher,
        context: &'a TextMap,
    ) -> Answer<'a, WrappedKey> {
        (**self).rewrap(data_key, cipher, context)
    }
}

/// An unwrapped data key must have the length that its cipher takes.
fn checked(data_key: AesKey, cipher: Cipher) -> Result<AesKey, Error> {
    match cipher {
        Cipher::GcmCommitted if data_key.len() != 32 => Err(Error::WrongKey),
        _ => Ok(data_key),
    }
}

// SPDX-License-Identifier: Apache-2.0
//! What is known about an object without any key.

use super::read::own_metadata;
use super::{EncryptedS3, persistently};
use crate::envelope::{Cipher, Envelope, Fields, claimed_plaintext_len};
use crate::error::Error;
use crate::object::Storage;
use crate::transport::Address;

/// A question about an object, to be sent.
#[derive(Clone, Debug)]
#[must_use]
pub struct HeadObject {
    s3: EncryptedS3,
    at: Address,
    version_id: Option<String>,
    suffix: Option<String>,
}

/// What is known about an object.
#[derive(Debug)]
#[non_exhaustive]
pub struct HeadObjectOutput {
    /// Bytes that are stored.
    pub stored_bytes: u64,
    /// Bytes of its plaintext: what is stored without the tag, or, under AES-CBC, what its writer
    /// said. `None` if it is not encrypted or nothing tells.
    pub plaintext_bytes: Option<u64>,
    /// Its ETag: of the ciphertext.
    pub e_tag: Option<String>,
    /// Its version.
    pub version_id: Option<String>,
    /// When it was written, seconds since 1970.
    pub last_modified_s: Option<i64>,
    /// Content-Type.
    pub content_type: Option<String>,
    /// User metadata without the envelope.
    pub metadata: Fields,
    /// How it is encrypted; [`Error::NotEncrypted`] if it is not.
    pub encryption: Result<Encryption, Error>,
}

/// How an object is encrypted.
#[derive(Debug)]
#[non_exhaustive]
pub struct Encryption {
    /// Its envelope.
    pub envelope: Envelope,
    /// Where its wrapped key lies.
    pub storage: Storage,
    /// Whether the settings of this client let it be read.
    pub verdict: Result<(), Error>,
}

impl HeadObject {
    pub(super) fn new(s3: EncryptedS3, at: Address) -> Self {
        Self {
            s3,
            at,
            version_id: None,
            suffix: None,
        }
    }

    /// A version of the object.
    pub fn version_id(mut self, version: impl Into<String>) -> Self {
        self.version_id = Some(version.into());
        self
    }

    /// Another instruction file than the usual one: what its name has behind the object's.
    pub fn instruction_suffix(mut self, suffix: impl Into<String>) -> Self {
        self.suffix = Some(suffix.into());
        self
    }

    /// Asks.
    pub async fn send(self) -> Result<HeadObjectOutput, Error> {
        let version = self.version_id.as_deref();
        let transport = self.s3.transport();
        let facts = persistently(|| transport.head_object(&self.at, version)).await?;
        let stored_bytes = facts.stored_bytes;
        let metadata = &facts.attributes.metadata;
        let found = self.s3.envelope(&self.at, self.suffix.as_deref(), metadata);
        let found = match found.await {
            // That the store did not answer says nothing about the object.
            Err(Error::Transport(error)) => return Err(Error::Transport(error)),
            found => found,
        };
        let mut plaintext_bytes = None;
        let encryption = found.map(|(envelope, storage)| {
            plaintext_bytes = match envelope.cipher() {
                Cipher::Cbc => claimed_plaintext_len(metadata),
                Cipher::Gcm | Cipher::GcmCommitted => {
                    envelope.plaintext_len(stored_bytes).ok().flatten()
                }
            };
            let (policy, legacy) = self.s3.inner.client.judges();
            Encryption {
                verdict: policy.admit(legacy, &envelope),
                envelope,
                storage,
            }
        });
        Ok(HeadObjectOutput {
            stored_bytes,
            plaintext_bytes,
            metadata: own_metadata(metadata),
            e_tag: facts.e_tag,
            version_id: facts.version_id,
            last_modified_s: facts.last_modified_s,
            content_type: facts.attributes.content_type,
            encryption,
        })
    }
}

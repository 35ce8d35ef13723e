// SPDX-License-Identifier: Apache-2.0
//! Beginning and opening objects: keyring, policy, envelope and content key in the right order.

use crate::content::{ContentKey, MessageId};
use crate::envelope::{
    Cipher, Detected, Envelope, Fields, Stored, TextMap, V2, V2Content, V3, detect,
};
use crate::error::Error;
use crate::keyring::{Keyring, Wrapped};
use crate::policy::{CommitmentPolicy, Legacy};
use crate::secret::AesKey;

/// Where the envelope of a new object is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Storage {
    /// In the object's user metadata.
    #[default]
    Metadata,
    /// The wrapped key in a file beside the object.
    InstructionFile,
}

/// Encrypts and decrypts objects by one keyring.
#[derive(Debug)]
pub struct Client<K> {
    keyring: K,
    policy: CommitmentPolicy,
    legacy: Legacy,
}

/// An object that is about to be written.
#[derive(Debug)]
pub struct NewObject {
    /// What has to be stored beside the content, before it.
    pub stored: Stored,
    /// Encrypts the content: of this object, once.
    pub key: ContentKey,
}

/// What opens the content of an object.
#[derive(Debug)]
pub enum Content {
    /// AES-GCM: [`crate::content::Decryptor`].
    Gcm(ContentKey),
    /// AES-CBC: [`crate::content::decrypt_cbc`].
    Cbc {
        /// The data key.
        key: AesKey,
        /// The IV.
        iv: [u8; 16],
    },
}

impl<K: Keyring> Client<K> {
    /// A client that writes what commits to its key and reads nothing else.
    pub fn new(keyring: K) -> Self {
        Self {
            keyring,
            policy: CommitmentPolicy::default(),
            legacy: Legacy::default(),
        }
    }

    /// With another commitment policy.
    #[must_use]
    pub fn commitment_policy(self, policy: CommitmentPolicy) -> Self {
        Self { policy, ..self }
    }

    /// With old things accepted when reading.
    #[must_use]
    pub fn legacy(self, legacy: Legacy) -> Self {
        Self { legacy, ..self }
    }

    /// A new object: a data key of its own, and what is stored beside the content.
    pub async fn begin(&self, context: &TextMap, storage: Storage) -> Result<NewObject, Error> {
        let (envelope, key) = if self.policy.writes_committed() {
            let made = self.keyring.generate(Cipher::GcmCommitted, context).await?;
            let id = MessageId::generate()?;
            let (key, commitment) = ContentKey::v3(&made.data_key, id)?;
            let envelope = Envelope::V3(V3 {
                wrapped: made.wrapped.wrapped,
                wrap: made.wrapped.wrap,
                description: made.wrapped.description,
                commitment,
                message_id: id.0,
            });
            (envelope, key)
        } else {
            let made = self.keyring.generate(Cipher::Gcm, context).await?;
            let nonce = ContentKey::generate_nonce()?;
            let envelope = Envelope::V2(V2 {
                wrapped: made.wrapped.wrapped,
                wrap: made.wrapped.wrap,
                content: V2Content::Gcm(nonce),
                description: made.wrapped.description,
            });
            (envelope, ContentKey::v2(&made.data_key, nonce))
        };
        let stored = match storage {
            Storage::Metadata => envelope.to_metadata()?,
            Storage::InstructionFile => envelope.to_instruction_file()?,
        };
        Ok(NewObject { stored, key })
    }

    /// The envelope of an object by its user metadata; `instruction` is asked for the instruction
    /// file if there has to be one, and answers `None` if there is none.
    pub fn envelope(
        metadata: &Fields,
        instruction: impl FnOnce() -> Result<Option<Vec<u8>>, Error>,
    ) -> Result<Envelope, Error> {
        match detect(metadata)? {
            Detected::Here(envelope) => Ok(envelope),
            Detected::Elsewhere(partial) => {
                let file = instruction()?.ok_or(Error::NotEncrypted)?;
                partial.complete(&file)
            }
        }
    }

    /// What opens the content of an object. `context` is the encryption context that the caller
    /// expects, whole; none is an empty one.
    pub async fn open(&self, envelope: &Envelope, context: &TextMap) -> Result<Content, Error> {
        let data_key = self.data_key(envelope, context).await?;
        Ok(match envelope {
            Envelope::V1(v1) => Content::Cbc {
                key: data_key,
                iv: v1.iv,
            },
            Envelope::V2(v2) => match v2.content {
                V2Content::Cbc(iv) => Content::Cbc { key: data_key, iv },
                V2Content::Gcm(nonce) => Content::Gcm(ContentKey::v2(&data_key, nonce)),
            },
            Envelope::V3(v3) => Content::Gcm(ContentKey::v3_committed(
                &data_key,
                MessageId(v3.message_id),
                &v3.commitment,
            )?),
        })
    }
}

impl<K: Keyring> Client<K> {
    /// What is accepted when reading, and in which format objects are written.
    #[cfg(feature = "s3")]
    pub(crate) fn judges(&self) -> (CommitmentPolicy, Legacy) {
        (self.policy, self.legacy)
    }

    /// The envelope of an object under another wrap of the same data key, by another keyring.
    /// `context` is the present encryption context, `new_context` the one to come.
    pub async fn rewrap(
        &self,
        envelope: &Envelope,
        context: &TextMap,
        other: &impl Keyring,
        new_context: &TextMap,
    ) -> Result<Envelope, Error> {
        let cipher = envelope.cipher();
        if cipher == Cipher::Cbc {
            return Err(Error::Refused {
                what: "encrypted without authentication (AES-CBC)",
                remedy: "encrypt it anew",
            });
        }
        let data_key = self.data_key(envelope, context).await?;
        if let Envelope::V3(v3) = envelope {
            // Of a data key that is not the object's, no wrap is made.
            ContentKey::v3_committed(&data_key, MessageId(v3.message_id), &v3.commitment)?;
        }
        let made = other.rewrap(&data_key, cipher, new_context).await?;
        envelope.with_wrap(made.wrapped, made.wrap, made.description)
    }

    async fn data_key(&self, envelope: &Envelope, context: &TextMap) -> Result<AesKey, Error> {
        // INVARIANT: judged before any key is used, so that refusals tell nothing about keys.
        self.policy.admit(self.legacy, envelope)?;
        let wrapped = Wrapped {
            wrapped: envelope.wrapped(),
            wrap: envelope.wrap(),
            cipher: envelope.cipher(),
            description: envelope.description(),
            context,
        };
        self.keyring.unwrap(wrapped).await
    }
}

impl Content {
    /// The plaintext of a whole object that is in memory.
    pub fn decrypt(&self, stored: &[u8]) -> Result<Vec<u8>, Error> {
        match self {
            Self::Gcm(key) => {
                let len = u64::try_from(stored.len()).map_err(|_| Error::TooLong)?;
                let mut decryptor = crate::content::Decryptor::new(key, len)?;
                let mut out = Vec::with_capacity(stored.len());
                decryptor.update_unverified(stored, &mut out)?;
                decryptor.finish()?;
                Ok(out)
            }
            Self::Cbc { key, iv } => Ok(std::mem::take(&mut *crate::content::decrypt_cbc(
                key, *iv, stored,
            )?)),
        }
    }
}

impl NewObject {
    /// What is stored, for a whole object that is in memory: the envelope, and the content. The
    /// key is used up, since it is for one plaintext.
    pub fn encrypt(self, plain: &[u8]) -> Result<(Stored, Vec<u8>), Error> {
        let mut encryptor = crate::content::Encryptor::new(&self.key)?;
        let mut out = Vec::with_capacity(plain.len().saturating_add(16));
        encryptor.update(plain, &mut out)?;
        out.extend_from_slice(&encryptor.finish()?);
        Ok((self.stored, out))
    }
}

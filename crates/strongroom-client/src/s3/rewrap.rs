// SPDX-License-Identifier: Apache-2.0
//! Another key for an object that stays as it is.
//!
//! The data key is unwrapped and wrapped anew; content, nonce, message id and commitment stay. In
//! metadata that is a copy of the object onto itself (at most 5 GiB, S3's limit), in an
//! instruction file a new file. The copy keeps metadata and headers, storage class, server-side
//! encryption and its key, and tags; the store makes ACL and Object Lock as of a new object. Both
//! happen only if nobody wrote meanwhile, until they take the place of what was there: a wrap of the
//! old data key beside a new object would be the end of that object, and so would a copy of the old
//! one over it.

use std::sync::Arc;

use bytes::Bytes;

use super::read::{Reading, own_metadata};
use super::{EncryptedS3, INSTRUCTION_SUFFIX, beside, changed, persistently, suffix_of};
use crate::envelope::{Envelope, TextMap, Wrap};
use crate::error::Error;
use crate::keyring::{Keyring, Wrapped};
use crate::object::Storage;
use crate::transport::{Address, Attributes, Condition};

/// A re-wrap, to be done.
#[must_use]
pub struct Rewrap {
    reading: Reading,
    to: Arc<dyn Keyring>,
    new_context: Option<TextMap>,
    new_suffix: Option<String>,
    enforce_rotation: bool,
}

/// What was done.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct RewrapOutput {
    /// How the data key was wrapped.
    pub envelope_before: Envelope,
    /// How it is wrapped now.
    pub envelope_after: Envelope,
    /// Where the wrapped key lies.
    pub storage: Storage,
}

impl Rewrap {
    pub(super) fn new(s3: EncryptedS3, at: Address) -> Self {
        let to = Arc::clone(&s3.inner.keyring);
        Self {
            reading: Reading::new(s3, at),
            to,
            new_context: None,
            new_suffix: None,
            enforce_rotation: false,
        }
    }

    /// An entry of the present encryption context. All of them have to be given.
    pub fn encryption_context(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.reading.context.insert(name.into(), value.into());
        self
    }

    /// The present encryption context, whole.
    pub fn encryption_contexts(mut self, context: TextMap) -> Self {
        self.reading.context = context;
        self
    }

    /// Who wraps the data key from now on; without it the client's own keyring.
    pub fn to(mut self, keyring: impl Keyring + 'static) -> Self {
        self.to = Arc::new(keyring);
        self
    }

    /// The encryption context from now on; without it the present one.
    pub fn to_context(mut self, context: TextMap) -> Self {
        self.new_context = Some(context);
        self
    }

    /// Writes another instruction file beside the usual one, which stays: for a reader with
    /// another key. Its name is the object's and this suffix, which is not empty and does not end
    /// with `.instruction`, as the files of other objects do (`.instruction` itself is the usual
    /// file). An object that is no instruction file and has that name is not written over.
    pub fn instruction_suffix(mut self, suffix: impl Into<String>) -> Self {
        self.new_suffix = Some(suffix.into());
        self
    }

    /// Writes nothing if the client's own keyring could still unwrap the new wrap: by the key that
    /// unwrapped the old one, whatever the new description says, or by the one that is registered
    /// for that.
    pub fn enforce_rotation(mut self) -> Self {
        self.enforce_rotation = true;
        self
    }

    /// Does it.
    pub async fn send(self) -> Result<RewrapOutput, Error> {
        let reading = &self.reading;
        let (s3, at) = (&reading.s3, &reading.at);
        let suffix = suffix_of(self.new_suffix.as_deref())?;
        if suffix.is_some_and(|suffix| suffix.ends_with(INSTRUCTION_SUFFIX)) {
            return Err(Error::Config(
                "with this suffix it would be the instruction file of another object",
            ));
        }
        let facts = persistently(|| s3.transport().head_object(at, None)).await?;
        let (before, storage) = s3.envelope(at, None, &facts.attributes.metadata).await?;
        // Read again below with its ETag: only what was seen here is replaced.
        let file = match storage {
            Storage::Metadata => None,
            Storage::InstructionFile => s3.instruction_file(&beside(at, None)).await?,
        };
        if storage == Storage::InstructionFile {
            let seen = s3.envelope(at, None, &facts.attributes.metadata).await?;
            if seen.0 != before {
                return Err(Error::Changed);
            }
        }
        let context = s3.context_for(at, &reading.context)?;
        let new_context = match &self.new_context {
            Some(given) => s3.context_for(at, given)?,
            None => context.clone(),
        };
        let client = &s3.inner.client;
        let after = client
            .rewrap(&before, &context, &self.to, &new_context)
            .await?;
        if self.enforce_rotation {
            self.prove_rotation(&before, &after, &new_context).await?;
        }
        match storage {
            Storage::Metadata if suffix.is_some() => {
                return Err(Error::Config(
                    "the object has its envelope in its metadata, and no instruction files",
                ));
            }
            Storage::Metadata => self.copy_onto_itself(&facts, &after).await?,
            Storage::InstructionFile => {
                let e_tag = file.and_then(|file| file.e_tag);
                self.write_file(&facts.attributes, &after, suffix, e_tag)
                    .await?;
            }
        }
        Ok(RewrapOutput {
            envelope_before: before,
            envelope_after: after,
            storage,
        })
    }

    /// The old keyring must not open the new wrap.
    async fn prove_rotation(
        &self,
        before: &Envelope,
        after: &Envelope,
        context: &TextMap,
    ) -> Result<(), Error> {
        // A description only chooses the key that is tried. That none is registered for the new one
        // says nothing of the old key, so this is tried under its own, too. Under a key service the
        // description is the context, and chooses nothing.
        let descriptions = [after.description(), before.description()];
        let asked = if is_wrapping_key(after.wrap()) { 2 } else { 1 };
        for description in descriptions.into_iter().take(asked) {
            let wrapped = Wrapped {
                wrapped: after.wrapped(),
                wrap: after.wrap(),
                cipher: after.cipher(),
                description,
                context,
            };
            match self.reading.s3.inner.keyring.unwrap(wrapped).await {
                Ok(_) => return Err(Error::Config("the old keyring still opens the new wrap")),
                // A key service that does not answer proves nothing.
                Err(Error::WrongKey | Error::UnknownDescription(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn copy_onto_itself(
        &self,
        facts: &crate::transport::Facts,
        after: &Envelope,
    ) -> Result<(), Error> {
        let at = &self.reading.at;
        let mut attributes = facts.attributes.clone();
        attributes.metadata = own_metadata(&attributes.metadata);
        attributes.metadata.extend(after.to_metadata()?.object);
        let e_tag = facts.e_tag.as_deref();
        if e_tag.is_none() {
            return Err(Error::Config(
                "the store gives no ETag to guard the copy with",
            ));
        }
        let transport = self.reading.s3.transport();
        // Once: when an answer is lost, the ETag may be another one already.
        let copied = transport.copy_object(at, at, e_tag, Some(&attributes));
        copied.await.map_err(changed)?;
        Ok(())
    }

    async fn write_file(
        &self,
        attributes: &Attributes,
        after: &Envelope,
        suffix: Option<&str>,
        e_tag: Option<String>,
    ) -> Result<(), Error> {
        let stored = after.to_instruction_file()?;
        let file = stored.instruction.ok_or(Error::Module)?;
        let to = beside(&self.reading.at, suffix);
        let attributes = Attributes {
            metadata: file.metadata.clone(),
            content_type: attributes.content_type.clone(),
            ..Attributes::default()
        };
        if suffix.is_some() {
            let s3 = &self.reading.s3;
            return s3.replace_file(to, file, attributes).await.map(|_| ());
        }
        let condition = Condition {
            if_match: Some(e_tag.ok_or(Error::Config(
                "the store gives no ETag to guard the instruction file with",
            ))?),
            if_none_match_any: false,
        };
        let transport = self.reading.s3.transport();
        let put = transport.put_object(&to, Bytes::from(file.body), &attributes, &condition);
        put.await.map_err(changed)?;
        Ok(())
    }
}

/// Whether a wrap is by a key that somebody has, and not by a key service.
fn is_wrapping_key(wrap: Wrap) -> bool {
    match wrap {
        Wrap::AesGcm
        | Wrap::RsaOaepSha1
        | Wrap::AesWrap
        | Wrap::RsaOaepSha256
        | Wrap::AesEcb
        | Wrap::RsaPkcs1 => true,
        Wrap::KmsContext | Wrap::Kms => false,
    }
}

impl std::fmt::Debug for Rewrap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rewrap")
            .field("at", &self.reading.at)
            .finish_non_exhaustive()
    }
}

// SPDX-License-Identifier: Apache-2.0
//! An object under a new data key: read verified, written anew.

use super::EncryptedS3;
use super::get_object::GetObject;
use super::plaintext::Plaintext;
use super::put_object::PutObjectOutput;
use super::read::{Reading, own_metadata, progress};
use crate::envelope::TextMap;
use crate::error::Error;
use crate::transport::Address;

/// A re-encryption, to be done.
#[must_use]
pub struct Reencrypt {
    reading: Reading,
    target: EncryptedS3,
    to: Address,
    new_context: Option<TextMap>,
}

impl Reencrypt {
    pub(super) fn new(s3: EncryptedS3, at: Address) -> Self {
        Self {
            target: s3.clone(),
            to: at.clone(),
            reading: Reading::new(s3, at),
            new_context: None,
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

    /// Who writes it: with another keyring, policy, storage or store.
    pub fn to(mut self, client: EncryptedS3) -> Self {
        self.target = client;
        self
    }

    /// Where it is written; without it over the object itself, if nobody wrote meanwhile, with the same
    /// storage class, server-side encryption and redirection.
    pub fn to_key(mut self, bucket: impl Into<String>, key: impl Into<String>) -> Self {
        self.to = Address::new(bucket, key);
        self
    }

    /// The encryption context of the new object; without it the present one.
    pub fn to_context(mut self, context: TextMap) -> Self {
        self.new_context = Some(context);
        self
    }

    /// Told how many further bytes are stored.
    pub fn on_progress(mut self, told: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.reading.progress = Some(progress(told));
        self
    }

    /// Does it.
    pub async fn send(mut self) -> Result<PutObjectOutput, Error> {
        let told = self.reading.progress.take();
        let context = self
            .new_context
            .unwrap_or_else(|| self.reading.context.clone());
        let at = self.reading.at.clone();
        let read = GetObject::of(self.reading).send().await?;
        let mut attributes = read.attributes;
        attributes.metadata = own_metadata(&attributes.metadata);
        if self.to != at {
            // It may go to another store, which does not know the class and the keys of this one.
            attributes.storage_class = None;
            attributes.server_side_encryption = None;
            attributes.website_redirect_location = None;
        }
        let put = self
            .target
            .put_object(&self.to.bucket, &self.to.key)
            .body(Plaintext::from_reader(read.body.into_async_read()))
            .encryption_contexts(context)
            .attributes(attributes)
            .told(told);
        let put = if self.to == at
            && let Some(e_tag) = read.e_tag
        {
            put.if_match(e_tag)
        } else {
            put
        };
        put.send().await
    }
}

impl std::fmt::Debug for Reencrypt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reencrypt")
            .field("at", &self.reading.at)
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}

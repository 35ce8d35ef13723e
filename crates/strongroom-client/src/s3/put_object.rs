// SPDX-License-Identifier: Apache-2.0
//! Encrypting and storing an object.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::files::RecordFile;
use super::outcome::Mark;
use super::plaintext::{Plaintext, SealedPart, Source, blocking};
use super::read::progress;
use super::record::{self, Found};
use super::upload::{self, Parts};
use super::{EncryptedS3, Progress};
use crate::content::{ContentKey, PLAINTEXT_BYTES_MAX, combine};
use crate::envelope::{Stored, TextMap, is_reserved};
use crate::error::Error;
use crate::object::{NewObject, Storage};
use crate::transport::{Address, Attributes, Condition, Written};

/// A write of an object, to be sent.
#[must_use]
pub struct PutObject {
    pub(super) s3: EncryptedS3,
    pub(super) to: Address,
    body: Plaintext,
    pub(super) context: TextMap,
    pub(super) attributes: Attributes,
    pub(super) condition: Condition,
    record: Option<PathBuf>,
    pub(super) progress: Option<Progress>,
}

/// An object that is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct PutObjectOutput {
    /// Its ETag: of the ciphertext.
    pub e_tag: Option<String>,
    /// Its version.
    pub version_id: Option<String>,
    /// Bytes of its plaintext.
    pub plaintext_bytes: u64,
    /// Bytes that are stored.
    pub stored_bytes: u64,
    /// In how many parts it was stored; 0 if whole.
    pub parts: u32,
    /// How many of them an interrupted upload had left.
    pub resumed_parts: u32,
    /// Where its wrapped key lies. In its metadata although an instruction file was asked for, if
    /// there was something at its name and the store copies no object of this length onto itself
    /// (5 GiB, S3's limit), or has no conditions on copies.
    pub storage: Storage,
}

impl PutObject {
    pub(super) fn new(s3: EncryptedS3, to: Address) -> Self {
        Self {
            s3,
            to,
            body: Plaintext::default(),
            context: TextMap::new(),
            attributes: Attributes::default(),
            condition: Condition::default(),
            record: None,
            progress: None,
        }
    }

    /// The plaintext.
    pub fn body(mut self, body: impl Into<Plaintext>) -> Self {
        self.body = body.into();
        self
    }

    /// An entry of the encryption context, which a key service binds the object to: it opens only
    /// for who names all entries. They are stored in clear.
    pub fn encryption_context(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.context.insert(name.into(), value.into());
        self
    }

    /// The encryption context, whole.
    pub fn encryption_contexts(mut self, context: TextMap) -> Self {
        self.context = context;
        self
    }

    /// User metadata, stored in clear.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into().to_ascii_lowercase();
        self.attributes.metadata.insert(name, value.into());
        self
    }

    /// Content-Type.
    pub fn content_type(mut self, value: impl Into<String>) -> Self {
        self.attributes.content_type = Some(value.into());
        self
    }

    /// Cache-Control.
    pub fn cache_control(mut self, value: impl Into<String>) -> Self {
        self.attributes.cache_control = Some(value.into());
        self
    }

    /// Content-Disposition.
    pub fn content_disposition(mut self, value: impl Into<String>) -> Self {
        self.attributes.content_disposition = Some(value.into());
        self
    }

    /// Content-Encoding.
    pub fn content_encoding(mut self, value: impl Into<String>) -> Self {
        self.attributes.content_encoding = Some(value.into());
        self
    }

    /// Content-Language.
    pub fn content_language(mut self, value: impl Into<String>) -> Self {
        self.attributes.content_language = Some(value.into());
        self
    }

    pub(super) fn attributes(mut self, attributes: Attributes) -> Self {
        self.attributes = attributes;
        self
    }

    /// Only over the object with this ETag.
    pub fn if_match(mut self, e_tag: impl Into<String>) -> Self {
        self.condition.if_match = Some(e_tag.into());
        self
    }

    /// Only if there is no object.
    pub fn if_none_match_any(mut self) -> Self {
        self.condition.if_none_match_any = true;
        self
    }

    /// Keeps a record of an upload in parts in this file, so that the same call goes on with it
    /// after a crash. The file goes when the object is stored. The plaintext must be the same:
    /// it is read and encrypted again, and what is stored already is compared and not sent. The
    /// keyring must be one that also reads: going on needs the data key.
    pub fn resumable(mut self, record: impl AsRef<Path>) -> Self {
        self.record = Some(record.as_ref().to_owned());
        self
    }

    /// Told how many further bytes of plaintext are stored.
    pub fn on_progress(self, told: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.told(Some(progress(told)))
    }

    pub(super) fn told(mut self, told: Option<Progress>) -> Self {
        self.progress = told;
        self
    }

    /// Encrypts and stores it: by one PUT up to the size of a part, in parts beyond.
    pub async fn send(mut self) -> Result<PutObjectOutput, Error> {
        if self
            .attributes
            .metadata
            .keys()
            .any(|name| is_reserved(name))
        {
            return Err(Error::Config(
                "user metadata with a name that belongs to the envelope",
            ));
        }
        if self
            .body
            .len_hint()
            .is_some_and(|len| len > PLAINTEXT_BYTES_MAX)
        {
            return Err(Error::TooLong);
        }
        let body = std::mem::take(&mut self.body).0;
        let file = match self.record.clone() {
            None => None,
            Some(path) => match blocking(move || record::read(&path)).await? {
                Found::Nothing(file) => Some(file),
                Found::Record(earlier) => match upload::resume(&self, *earlier).await? {
                    upload::Resumed::Upload(upload) => return upload.run(&self, body, None).await,
                    upload::Resumed::Gone(file) => Some(file),
                },
            },
        };
        self.begin(body, file).await
    }

    async fn begin(self, body: Source, file: Option<RecordFile>) -> Result<PutObjectOutput, Error> {
        let First {
            stored,
            key,
            body,
            sealed: first,
        } = match self.seal_first(body).await {
            Ok(first) => first,
            Err(error) => {
                upload::discard(file).await;
                return Err(error);
            }
        };
        match (body, first) {
            (Source::Stream(stream), Some(first))
                if first.plain_bytes() == self.s3.settings().part_bytes =>
            {
                let upload = upload::begin(&self, stored, key, None, file).await?;
                upload.run(&self, Source::Stream(stream), Some(first)).await
            }
            (_, Some(whole)) => {
                if let Some(file) = file {
                    blocking(move || Ok(file.remove()?)).await?;
                }
                self.put(stored, &key, whole).await
            }
            (body, None) => {
                let bytes = match &body {
                    Source::Seekable(seekable) => Some(seekable.bytes()),
                    Source::Stream(_) => None,
                };
                let upload = upload::begin(&self, stored, key, bytes, file).await?;
                upload.run(&self, body, None).await
            }
        }
    }

    /// The data key, and what is sealed before it is known whether one PUT is enough.
    async fn seal_first(&self, body: Source) -> Result<First, Error> {
        let settings = self.s3.settings();
        let context = self.s3.context_for(&self.to, &self.context)?;
        let new = self
            .s3
            .inner
            .client
            .begin(&context, settings.storage)
            .await?;
        let NewObject { stored, key } = new;
        let stored = self.placed(stored).await?;
        let key = Arc::new(key);
        let part_bytes = settings.part_bytes;
        let (body, first) = match body {
            Source::Seekable(seekable) if seekable.bytes() <= part_bytes => {
                let (source, sealing) = (seekable.clone(), Arc::clone(&key));
                let bytes = seekable.bytes();
                let sealed = blocking(move || {
                    let sealed = source.seal(&sealing, 0, bytes)?;
                    if source.is_unchanged()? {
                        Ok(sealed)
                    } else {
                        Err(Error::SourceChanged { part: None })
                    }
                });
                let sealed = sealed.await?;
                (Source::Seekable(seekable), Some(sealed))
            }
            Source::Seekable(seekable) => (Source::Seekable(seekable), None),
            Source::Stream(mut stream) => {
                let most = usize::try_from(part_bytes).map_err(|_| Error::TooLong)?;
                let sealed = stream.seal_next(&key, 0, most).await?;
                (Source::Stream(stream), Some(sealed))
            }
        };
        Ok(First {
            stored,
            key,
            body,
            sealed: first,
        })
    }

    /// One PUT. Should it have to be sent twice, it is the same ciphertext.
    async fn put(
        &self,
        stored: Stored,
        key: &ContentKey,
        sealed: SealedPart,
    ) -> Result<PutObjectOutput, Error> {
        let plaintext_bytes = sealed.plain_bytes();
        let tag = combine(key, &[sealed.digest])?;
        let mut body = sealed.ciphertext;
        body.extend_from_slice(&tag);
        let body = Bytes::from(body);
        let stored_bytes = plaintext_bytes.saturating_add(16);
        let mut attributes = self.attributes.clone();
        attributes.metadata.extend(stored.object.clone());
        let transport = self.s3.transport();
        let mark = Mark::new(&stored.object, stored_bytes, Some(tag));
        let put = |condition: Condition| {
            let (body, attributes) = (body.clone(), &attributes);
            async move {
                let put = transport.put_object(&self.to, body, attributes, &condition);
                put.await
            }
        };
        let (written, storage) = self.write(&stored, &mark, None, put).await?;
        if let Some(told) = &self.progress {
            told(plaintext_bytes);
        }
        Ok(PutObjectOutput {
            e_tag: written.e_tag,
            version_id: written.version_id,
            plaintext_bytes,
            stored_bytes,
            parts: 0,
            resumed_parts: 0,
            storage,
        })
    }
}

/// A write that nothing was sent of.
struct First {
    stored: Stored,
    key: Arc<ContentKey>,
    body: Source,
    sealed: Option<SealedPart>,
}

impl PutObjectOutput {
    pub(super) fn of(written: Written, storage: Storage, parts: &Parts) -> Self {
        Self {
            e_tag: written.e_tag,
            version_id: written.version_id,
            plaintext_bytes: parts.plaintext_bytes,
            stored_bytes: parts.plaintext_bytes.saturating_add(16),
            parts: parts.count,
            resumed_parts: parts.resumed,
            storage,
        }
    }
}

impl std::fmt::Debug for PutObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PutObject")
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}

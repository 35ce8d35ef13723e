// SPDX-License-Identifier: Apache-2.0
//! Reading an object: verified into memory or a spool, verified into a file, or unverified.

use std::path::Path;
use std::sync::{Arc, Mutex};

use super::EncryptedS3;
use super::body::{Opening, UnverifiedBody, VerifiedBody};
use super::fetch::{Opened, Place, check_length, open, receive};
use super::files::{Access, ResultFile, SpoolFile};
use super::plaintext::blocking;
use super::read::{Reading, own_metadata, progress, reading_settings};
use crate::content::{CbcDecryptor, Decryptor};
use crate::envelope::{Envelope, Fields};
use crate::error::Error;
use crate::object::{Content, Storage};
use crate::transport::{Address, Attributes, Facts};

/// A read of an object, to be sent.
#[derive(Clone)]
#[must_use]
pub struct GetObject {
    reading: Reading,
    access: Access,
}

/// An object that was verified whole.
#[derive(Debug)]
#[non_exhaustive]
pub struct GetObjectOutput {
    /// Its plaintext.
    pub body: VerifiedBody,
    /// Bytes of its plaintext.
    pub content_length: u64,
    /// Bytes that are stored.
    pub stored_bytes: u64,
    /// Its ETag: of the ciphertext.
    pub e_tag: Option<String>,
    /// Its version.
    pub version_id: Option<String>,
    /// When it was written, seconds since 1970.
    pub last_modified_s: Option<i64>,
    /// Content-Type.
    pub content_type: Option<String>,
    /// User metadata without the envelope. Not encrypted, and not authenticated.
    pub metadata: Fields,
    /// How it is encrypted.
    pub envelope: Envelope,
    /// Where its wrapped key lies.
    pub storage: Storage,
    pub(super) attributes: Attributes,
}

/// An object that comes before it is verified.
#[derive(Debug)]
#[non_exhaustive]
pub struct GetUnverifiedOutput {
    /// Its plaintext, **unverified**.
    pub body: UnverifiedBody,
    /// Bytes of its plaintext, where its cipher tells.
    pub content_length: Option<u64>,
    /// Bytes that are stored.
    pub stored_bytes: u64,
    /// Its ETag: of the ciphertext.
    pub e_tag: Option<String>,
    /// Its version.
    pub version_id: Option<String>,
    /// Content-Type.
    pub content_type: Option<String>,
    /// User metadata without the envelope. Not encrypted, and not authenticated.
    pub metadata: Fields,
    /// How it is encrypted.
    pub envelope: Envelope,
}

/// An object that lies in a file.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Downloaded {
    /// Bytes of its plaintext: of the file.
    pub plaintext_bytes: u64,
    /// Bytes that are stored.
    pub stored_bytes: u64,
    /// Its ETag: of the ciphertext.
    pub e_tag: Option<String>,
    /// Its version.
    pub version_id: Option<String>,
    /// Content-Type.
    pub content_type: Option<String>,
    /// User metadata without the envelope. Not encrypted, and not authenticated.
    pub metadata: Fields,
}

impl GetObject {
    reading_settings!();

    pub(super) fn new(s3: EncryptedS3, at: Address) -> Self {
        Self {
            reading: Reading::new(s3, at),
            access: Access::default(),
        }
    }

    pub(super) fn of(reading: Reading) -> Self {
        Self {
            reading,
            access: Access::default(),
        }
    }

    /// The mode of the file that [`Self::download_to`] makes; without it 0600. The file has it
    /// when it gets its name, not before. In a folder with a default access list the group gets
    /// nothing.
    pub fn file_mode(mut self, mode: u32) -> Self {
        self.access.mode = Some(mode & 0o777);
        self
    }

    /// The number of the group of the file that [`Self::download_to`] makes; without it the one
    /// that new files get. If the file cannot be given to it, [`Self::file_mode`] counts without
    /// what it gives to the group.
    pub fn file_group(mut self, group: u32) -> Self {
        self.access.group = Some(group);
        self
    }

    /// Told how many further bytes came.
    pub fn on_progress(mut self, told: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.reading.progress = Some(progress(told));
        self
    }

    /// Fetches the object, verifies it, and hands it out. It waits in memory or, if it is long, as
    /// ciphertext in a temporary file.
    pub async fn send(self) -> Result<GetObjectOutput, Error> {
        let opened = open(&self.reading).await?;
        self.collect(opened).await
    }

    async fn collect(&self, opened: Opened) -> Result<GetObjectOutput, Error> {
        let settings = self.reading.s3.settings();
        let stored_bytes = opened.facts.stored_bytes;
        let place = if stored_bytes <= settings.memory_bytes {
            let bytes = usize::try_from(stored_bytes).map_err(|_| Error::TooLong)?;
            Place::Memory(Mutex::new(vec![0; bytes]))
        } else {
            let folder = settings.spool_folder.clone();
            blocking(move || Ok(Place::Spool(SpoolFile::create(folder.as_deref())?))).await?
        };
        let (facts, envelope) = (opened.facts.clone(), opened.envelope.clone());
        let (storage, content) = (opened.storage, Arc::clone(&opened.content));
        let received = receive(&self.reading, opened, place).await?;
        let (body, content_length) = VerifiedBody::new(received, content).await?;
        let Facts {
            e_tag,
            version_id,
            last_modified_s,
            attributes,
            ..
        } = facts;
        Ok(GetObjectOutput {
            body,
            content_length,
            stored_bytes,
            e_tag,
            version_id,
            last_modified_s,
            content_type: attributes.content_type.clone(),
            metadata: own_metadata(&attributes.metadata),
            envelope,
            storage,
            attributes,
        })
    }

    /// Fetches the object in parallel into a file. The file gets its name when it is whole,
    /// verified and on the drive, and takes the place of one that is there. Before, it has no name,
    /// and nothing is left of it whatever ends the process. On file systems that have no files
    /// without a name it is `.XXXXXX.part` in the same folder, for its owner alone: a process that is
    /// killed leaves it there, unverified; no later download looks at it, and it may be removed.
    pub async fn download_to(self, path: impl AsRef<Path>) -> Result<Downloaded, Error> {
        let (path, access) = (path.as_ref().to_owned(), self.access);
        let opened = open(&self.reading).await?;
        let facts = opened.facts.clone();
        let file = blocking(move || Ok(ResultFile::create(&path)?)).await?;
        let plaintext_bytes = match *opened.content {
            Content::Gcm(_) => {
                let received = receive(&self.reading, opened, Place::Result(file)).await?;
                let Place::Result(file) = received.place else {
                    return Err(Error::Module);
                };
                blocking(move || Ok(file.publish(access)?)).await?;
                received.ciphertext_bytes
            }
            Content::Cbc { .. } => {
                let GetObjectOutput {
                    mut body,
                    content_length,
                    ..
                } = self.collect(opened).await?;
                let mut at = 0_u64;
                let file = Arc::new(file);
                while let Some(piece) = body.next().await? {
                    let bytes = u64::try_from(piece.len()).unwrap_or(u64::MAX);
                    let file = Arc::clone(&file);
                    blocking(move || Ok(file.write_at(&piece, at)?)).await?;
                    at = at.saturating_add(bytes);
                }
                let file = Arc::into_inner(file).ok_or(Error::Module)?;
                blocking(move || Ok(file.publish(access)?)).await?;
                content_length
            }
        };
        Ok(Downloaded {
            plaintext_bytes,
            stored_bytes: facts.stored_bytes,
            e_tag: facts.e_tag,
            version_id: facts.version_id,
            content_type: facts.attributes.content_type,
            metadata: own_metadata(&facts.attributes.metadata),
        })
    }

    /// Fetches the object and hands out what comes **before it is verified**: for readers that
    /// can take it back when the end says that it was changed.
    pub async fn send_unverified(self) -> Result<GetUnverifiedOutput, Error> {
        let reading = &self.reading;
        let fetched = reading.fetch(None).await?;
        let facts = fetched.facts;
        let stored_bytes = facts.stored_bytes;
        if fetched.first != 0 || fetched.bytes != stored_bytes {
            return Err(Error::Changed);
        }
        let metadata = &facts.attributes.metadata;
        let (envelope, _) = reading.envelope(metadata).await?;
        check_length(&envelope, stored_bytes)?;
        let opening = match reading.open(&envelope).await? {
            Content::Gcm(key) => Opening::Gcm(Box::new(Decryptor::new(&key, stored_bytes)?)),
            Content::Cbc { key, iv } => Opening::Cbc(CbcDecryptor::new(&key, iv)?),
        };
        Ok(GetUnverifiedOutput {
            body: UnverifiedBody::new(fetched.body, opening, 0, stored_bytes),
            content_length: envelope.plaintext_len(stored_bytes)?,
            stored_bytes,
            metadata: own_metadata(metadata),
            e_tag: facts.e_tag,
            version_id: facts.version_id,
            content_type: facts.attributes.content_type,
            envelope,
        })
    }
}

impl std::fmt::Debug for GetObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GetObject")
            .field("at", &self.reading.at)
            .finish_non_exhaustive()
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Copying an object inside the store, envelope and all.

use super::{EncryptedS3, beside, persistently};
use crate::error::Error;
use crate::object::Storage;
use crate::transport::{Address, TransportErrorKind, Written};

/// A copy, to be sent.
#[derive(Clone, Debug)]
#[must_use]
pub struct CopyObject {
    s3: EncryptedS3,
    from: Address,
    to: Address,
    directive: MetadataDirective,
}

/// What becomes of the metadata.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MetadataDirective {
    /// It is copied, the envelope with it.
    #[default]
    Copy,
    /// It is replaced. Refused: without its envelope, nothing opens the copy.
    Replace,
}

impl CopyObject {
    pub(super) fn new(s3: EncryptedS3, from: Address, to: Address) -> Self {
        Self {
            s3,
            from,
            to,
            directive: MetadataDirective::default(),
        }
    }

    /// What becomes of the metadata.
    pub fn metadata_directive(mut self, directive: MetadataDirective) -> Self {
        self.directive = directive;
        self
    }

    /// Copies the instruction file if there is one, then the object.
    pub async fn send(self) -> Result<Written, Error> {
        if self.directive == MetadataDirective::Replace {
            return Err(Error::Refused {
                what: "to be copied without its envelope, which nothing could open",
                remedy: "copy its metadata, too",
            });
        }
        if self.s3.settings().bind_key {
            return Err(Error::Refused {
                what: "bound to its bucket and key, so that its copy would not open",
                remedy: "encrypt it anew under the other name",
            });
        }
        let (from, to) = (&self.from, &self.to);
        let transport = self.s3.transport();
        let facts = persistently(|| transport.head_object(from, None)).await?;
        let (_, storage) = self
            .s3
            .envelope(from, None, &facts.attributes.metadata)
            .await?;
        let mut replaced = None;
        if storage == Storage::InstructionFile {
            let (file, copy) = (beside(from, None), beside(to, None));
            let file_facts = persistently(|| transport.head_object(&file, None)).await?;
            let known = self.s3.instruction_file(&file).await?;
            let known = known.ok_or(Error::NotEncrypted)?;
            if known.e_tag != file_facts.e_tag {
                return Err(Error::Changed);
            }
            let written = self
                .s3
                .replace_file(&copy, known.body, &file_facts.attributes);
            let before = written.await?;
            replaced = Some((copy, before));
        }
        let e_tag = facts.e_tag.as_deref();
        let copied = persistently(|| transport.copy_object(from, to, e_tag, None)).await;
        if let (Err(error), Some((copy, before))) = (&copied, replaced)
            && error.kind != TransportErrorKind::Unavailable
        {
            self.s3.restore_file(&copy, before).await?;
        }
        copied.map_err(super::changed)
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Copying an object inside the store, envelope and all.

use super::outcome::{self, Mark};
use super::{EncryptedS3, beside, persistently};
use crate::envelope::Instruction;
use crate::error::Error;
use crate::object::Storage;
use crate::transport::{Address, Written};

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
            let known = self.s3.instruction_file(&beside(from, None)).await?;
            let known = known.ok_or(Error::NotEncrypted)?;
            let new = Instruction {
                body: known.body,
                metadata: known.attributes.metadata.clone(),
            };
            let at = beside(to, None);
            let written = self.s3.replace_file(at, new, known.attributes);
            replaced = Some(written.await?);
        }
        let e_tag = facts.e_tag.as_deref();
        let (copied, is_lost) =
            outcome::written(|| transport.copy_object(from, to, e_tag, None)).await;
        let error = match copied {
            Ok(written) => return Ok(written),
            Err(error) => error,
        };
        if replaced.is_some() {
            // The mark is the source's, so an earlier copy has it, too: what was refused for certain
            // is not looked for.
            let mark = if is_lost {
                let last = self.s3.last_bytes(from, facts.stored_bytes, e_tag).await;
                let fields = &facts.attributes.metadata;
                Some(Mark::new(fields, facts.stored_bytes, last.ok()))
            } else {
                None
            };
            let settled = self.s3.settle(to, mark.as_ref(), is_lost, replaced).await?;
            if let Some(written) = settled {
                return Ok(written);
            }
        }
        Err(super::changed(error))
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Deleting an object, with its instruction file if it has one.

use super::{EncryptedS3, beside, persistently};
use crate::envelope::{Detected, Partial, detect, instruction_metadata};
use crate::error::Error;
use crate::transport::{Address, TransportErrorKind};

/// A deletion, to be sent.
#[derive(Clone, Debug)]
#[must_use]
pub struct DeleteObject {
    s3: EncryptedS3,
    at: Address,
    version_id: Option<String>,
}

impl DeleteObject {
    pub(super) fn new(s3: EncryptedS3, at: Address) -> Self {
        Self {
            s3,
            at,
            version_id: None,
        }
    }

    /// This version only. Its instruction file stays: which version of the file is its own,
    /// nothing says.
    pub fn version_id(mut self, version: impl Into<String>) -> Self {
        self.version_id = Some(version.into());
        self
    }

    /// Deletes the object, then its instruction file: should the second fail, a file is left over
    /// that opens nothing, and not an object that nothing opens.
    pub async fn send(self) -> Result<(), Error> {
        let transport = self.s3.transport();
        let version = self.version_id.as_deref();
        let has_file = version.is_none() && self.has_file().await?;
        persistently(|| transport.delete_object(&self.at, version)).await?;
        if has_file {
            let file = beside(&self.at, None);
            persistently(|| transport.delete_object(&file, None)).await?;
        }
        Ok(())
    }

    /// Whether there is an instruction file, and not somebody's own object of that name.
    async fn has_file(&self) -> Result<bool, Error> {
        let transport = self.s3.transport();
        let file = beside(&self.at, None);
        let facts = match persistently(|| transport.head_object(&self.at, None)).await {
            Ok(facts) => facts,
            Err(error) if error.kind == TransportErrorKind::NotFound => {
                // Perhaps one that an interrupted deletion left behind.
                return match persistently(|| transport.head_object(&file, None)).await {
                    Ok(facts) => {
                        let own = instruction_metadata();
                        let mut names = facts.attributes.metadata.keys();
                        Ok(names.any(|name| own.contains_key(name)))
                    }
                    Err(error) if error.kind == TransportErrorKind::NotFound => Ok(false),
                    Err(error) => Err(error.into()),
                };
            }
            Err(error) => return Err(error.into()),
        };
        match detect(&facts.attributes.metadata) {
            // An object whose fields make no sense is deleted like any other.
            Ok(Detected::Here(_)) | Err(_) => Ok(false),
            Ok(Detected::Elsewhere(Partial::V3 { .. })) => Ok(true),
            Ok(Detected::Elsewhere(partial)) => {
                let found = self.s3.instruction_file(&file).await;
                Ok(match found {
                    Ok(Some(found)) => partial.complete(&found.body).is_ok(),
                    Ok(None) | Err(Error::Envelope(_)) => false,
                    Err(error) => return Err(error),
                })
            }
        }
    }
}

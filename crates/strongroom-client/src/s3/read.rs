// SPDX-License-Identifier: Apache-2.0
//! What all reading begins with: which object, its envelope, its content key.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;

use super::outcome::{Replaced, is_open};
use super::{EncryptedS3, Progress, beside, changed, persistently, suffix_of};
use crate::envelope::{
    Detected, Envelope, Fields, Instruction, Partial, TextMap, detect, instruction_metadata,
    is_reserved,
};
use crate::error::Error;
use crate::object::{Content, Storage};
use crate::transport::{
    Address, Attributes, ByteRange, Condition, Fetch, Fetched, TransportError, TransportErrorKind,
};

/// Which object is read, and what its reader knows of it.
#[derive(Clone)]
pub(super) struct Reading {
    pub(super) s3: EncryptedS3,
    pub(super) at: Address,
    pub(super) context: TextMap,
    pub(super) version_id: Option<String>,
    pub(super) if_match: Option<String>,
    pub(super) suffix: Option<String>,
    pub(super) progress: Option<Progress>,
}

/// An instruction file as it lies in the store.
pub(super) struct InstructionFile {
    pub(super) body: Vec<u8>,
    pub(super) e_tag: Option<String>,
    pub(super) attributes: Attributes,
}

impl InstructionFile {
    /// Whether the store names it by an ETag, so that it can be replaced and nothing else.
    pub(super) fn is_named(&self) -> bool {
        self.e_tag.is_some()
    }

    /// Whether it is one: by its mark, which not all clients write, or by what it says.
    fn is_one(&self) -> bool {
        let mut names = self.attributes.metadata.keys();
        names.any(|name| instruction_metadata().contains_key(name)) || Partial::is_file(&self.body)
    }
}

impl Reading {
    pub(super) fn new(s3: EncryptedS3, at: Address) -> Self {
        Self {
            s3,
            at,
            context: TextMap::new(),
            version_id: None,
            if_match: None,
            suffix: None,
            progress: None,
        }
    }

    pub(super) async fn fetch(&self, range: Option<ByteRange>) -> Result<Fetched, TransportError> {
        let fetch = Fetch {
            range,
            if_match: self.if_match.clone(),
            version_id: self.version_id.clone(),
        };
        persistently(|| self.s3.transport().get_object(&self.at, &fetch)).await
    }

    pub(super) async fn envelope(&self, metadata: &Fields) -> Result<(Envelope, Storage), Error> {
        self.s3
            .envelope(&self.at, self.suffix.as_deref(), metadata)
            .await
    }

    pub(super) async fn open(&self, envelope: &Envelope) -> Result<Content, Error> {
        let context = self.s3.context_for(&self.at, &self.context)?;
        self.s3.inner.client.open(envelope, &context).await
    }

    /// What to say of an object that does not even have one byte, which no encrypted object is.
    pub(super) async fn of_nothing(&self) -> Error {
        let version = self.version_id.as_deref();
        match self.s3.transport().head_object(&self.at, version).await {
            Err(error) => error.into(),
            Ok(facts) => match self.envelope(&facts.attributes.metadata).await {
                Ok(_) => Error::Content,
                Err(error) => error,
            },
        }
    }
}

impl EncryptedS3 {
    /// The envelope of an object by its user metadata, and where the wrapped key lies.
    pub(super) async fn envelope(
        &self,
        at: &Address,
        suffix: Option<&str>,
        metadata: &Fields,
    ) -> Result<(Envelope, Storage), Error> {
        let suffix = suffix_of(suffix)?;
        match detect(metadata)? {
            Detected::Here(_) if suffix.is_some() => Err(Error::Config(
                "the object has its envelope in its metadata, and no instruction files",
            )),
            Detected::Here(envelope) => Ok((envelope, Storage::Metadata)),
            Detected::Elsewhere(partial) => {
                let file = self.instruction_file(&beside(at, suffix)).await?;
                let file = file.ok_or_else(|| partial.without_file())?;
                Ok((partial.complete(&file.body)?, Storage::InstructionFile))
            }
        }
    }

    /// An instruction file; `None` if there is none.
    pub(super) async fn instruction_file(
        &self,
        at: &Address,
    ) -> Result<Option<InstructionFile>, Error> {
        match persistently(|| self.fetch_small(at)).await {
            Ok(Some(file)) => Ok(Some(file)),
            Ok(None) => Err(Error::Envelope("the instruction file is too long")),
            Err(error) if error.kind == TransportErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What a new instruction file would replace: somebody's own object that has the name is not
    /// written over.
    pub(super) async fn own_file(&self, at: &Address) -> Result<Option<InstructionFile>, Error> {
        let there = self.instruction_file(at).await?;
        if there.as_ref().is_some_and(|there| !there.is_one()) {
            return Err(Error::Config(
                "an object that is no instruction file has the name of one",
            ));
        }
        Ok(there)
    }

    /// Writes an instruction file over the one that is there, or where there is none; if that is
    /// another one by then, it is somebody else's. Somebody's own object that has the name is not
    /// written over.
    pub(super) async fn replace_file(
        &self,
        at: Address,
        new: Instruction,
        attributes: Attributes,
    ) -> Result<Replaced, Error> {
        let before = self.own_file(&at).await?;
        self.write_file(&at, &new.body, &attributes, before.as_ref())
            .await?;
        Ok(Replaced {
            at,
            new,
            attributes,
            before,
        })
    }

    /// Writes an instruction file over the one that says `from`, or that is for the same object.
    /// One for another object, or none, is left as it is: somebody else was here, and the object
    /// that is there may be theirs.
    pub(super) async fn exchange_file(
        &self,
        at: &Address,
        from: &[u8],
        to: &[u8],
        attributes: &Attributes,
    ) -> Result<(), Error> {
        let there = match self.instruction_file(at).await {
            Ok(Some(there)) if is_of_same_object(&there.body, from) => there,
            Ok(_) | Err(Error::Envelope(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        match self.write_file(at, to, attributes, Some(&there)).await {
            Err(Error::Changed) => Ok(()),
            written => written,
        }
    }

    /// Writes an instruction file where `seen` is, or where there is none if nothing was seen.
    pub(super) async fn write_file(
        &self,
        at: &Address,
        body: &[u8],
        attributes: &Attributes,
        seen: Option<&InstructionFile>,
    ) -> Result<(), Error> {
        let bytes = Bytes::copy_from_slice(body);
        let put = async |condition: Condition| {
            let put = || {
                let transport = self.transport();
                transport.put_object(at, bytes.clone(), attributes, &condition)
            };
            persistently(put).await.map(|_| ())
        };
        let unchanged = Condition {
            if_match: seen.and_then(|seen| seen.e_tag.clone()),
            if_none_match_any: seen.is_none(),
        };
        let Err(error) = put(unchanged).await else {
            return Ok(());
        };
        let is_refused = matches!(
            error.kind,
            TransportErrorKind::PreconditionFailed | TransportErrorKind::Unsupported
        );
        if !is_refused && !is_open(&error) {
            return Err(error.into());
        }
        // The first of several tries may have been written, and its answer lost.
        let Ok(there) = self.instruction_file(at).await else {
            return Err(changed(error));
        };
        let there = there.map(|there| there.body);
        if there.as_deref() == Some(body) {
            return Ok(());
        }
        if error.kind != TransportErrorKind::Unsupported {
            return Err(changed(error));
        }
        // A store without conditions on writes: that it is still what was seen is the most that
        // can be known.
        if there.as_deref() != seen.map(|seen| seen.body.as_slice()) {
            return Err(Error::Changed);
        }
        Ok(put(Condition::default()).await?)
    }

    /// A small object whole; `None` if it is too long.
    async fn fetch_small(&self, at: &Address) -> Result<Option<InstructionFile>, TransportError> {
        let mut fetched = self.transport().get_object(at, &Fetch::default()).await?;
        let mut body = Vec::new();
        while let Some(piece) = fetched.body.next().await {
            body.extend_from_slice(&piece?);
            if body.len() > Partial::FILE_BYTES_MAX {
                return Ok(None);
            }
        }
        if u64::try_from(body.len()).ok() != Some(fetched.bytes) {
            return Err(TransportErrorKind::Unavailable.into());
        }
        Ok(Some(InstructionFile {
            body,
            e_tag: fetched.facts.e_tag,
            attributes: fetched.facts.attributes,
        }))
    }
}

/// Whether two instruction files are for one object. In format V2 the file has the nonce of the
/// object, which stays when somebody re-wraps the data key.
fn is_of_same_object(one: &[u8], other: &[u8]) -> bool {
    let nonce = |file| match Partial::Nothing.complete(file) {
        Ok(Envelope::V2(v2)) => Some(v2.content),
        _ => None,
    };
    one == other || nonce(one).is_some_and(|own| nonce(other) == Some(own))
}

/// User metadata without what belongs to the envelope.
pub(super) fn own_metadata(metadata: &Fields) -> Fields {
    let mut own = metadata.clone();
    own.retain(|name, _| !is_reserved(name));
    own
}

/// What readers are told: the settings that all reading operations have.
macro_rules! reading_settings {
    () => {
        /// An entry of the encryption context that the object was sealed under. All of them have
        /// to be given.
        pub fn encryption_context(
            mut self,
            name: impl Into<String>,
            value: impl Into<String>,
        ) -> Self {
            self.reading.context.insert(name.into(), value.into());
            self
        }

        /// The encryption context that the object was sealed under, whole.
        pub fn encryption_contexts(mut self, context: crate::envelope::TextMap) -> Self {
            self.reading.context = context;
            self
        }

        /// A version of the object.
        pub fn version_id(mut self, version: impl Into<String>) -> Self {
            self.reading.version_id = Some(version.into());
            self
        }

        /// Only the object with this ETag.
        pub fn if_match(mut self, e_tag: impl Into<String>) -> Self {
            self.reading.if_match = Some(e_tag.into());
            self
        }

        /// Another instruction file than the usual one: what its name has behind the object's.
        pub fn instruction_suffix(mut self, suffix: impl Into<String>) -> Self {
            self.reading.suffix = Some(suffix.into());
            self
        }
    };
}
pub(super) use reading_settings;

/// Makes a callback one that can be handed around.
pub(super) fn progress(told: impl Fn(u64) + Send + Sync + 'static) -> Progress {
    Arc::new(told)
}

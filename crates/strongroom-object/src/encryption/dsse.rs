// SPDX-License-Identifier: Apache-2.0
//! The object keys of a version: one, or one for each layer.
//!
//! ```text
//!   inner   EK: data key of the key service       OEK: random    sealed by aws-lc
//!   outer   EK: SSE-S3 key of the bucket          OEK: random    sealed by RustCrypto
//! ```
//!
//! The keys of the layers have nothing in common, and neither do their records; what both records
//! are bound to is the same object. Everything here that has two layers needs both.

use std::sync::OnceLock;

use strongroom_format::{
    BindDigest, BodyContext, CompletionKey, DualOpener, DualSealer, ExternalKey, ObjectDataId,
    ObjectKey, ObjectPrk, OpenError, Opener, OuterObjectKey, OuterOpener, RecordFlags,
    SealedKeyRecord, Sealer,
};

use crate::error::Error;
use crate::objects::{Objects, random_32};
use crate::pipeline::{SegmentOpener, SegmentSealer};
use crate::rows::{KeyRow, StoredPart};

/// The random keys that one object version or upload has.
pub(crate) struct ObjectKeys {
    inner: ObjectKey,
    outer: Option<OuterObjectKey>,
    /// What the keys of bodies and checksums come from, for the object that was first asked for:
    /// mostly there is no other.
    prk: OnceLock<(ObjectDataId, ObjectPrk)>,
}

/// The key that wraps the object key of an outer layer, with what is stored to find it again.
pub(super) struct OuterWrapKey {
    external_key: ExternalKey,
    ek_ref: Vec<u8>,
}

impl ObjectKeys {
    pub(super) fn new(inner: ObjectKey, outer: Option<OuterObjectKey>) -> Self {
        Self {
            inner,
            outer,
            prk: OnceLock::new(),
        }
    }

    /// New keys; two if there is something to wrap the second.
    pub(super) fn generate(outer: Option<&OuterWrapKey>) -> Result<Self, Error> {
        let outer = match outer {
            Some(_) => Some(OuterObjectKey::generate(random_32()?)),
            None => None,
        };
        Ok(Self::new(ObjectKey::generate(random_32()?), outer))
    }

    pub(super) fn inner(&self) -> &ObjectKey {
        &self.inner
    }

    pub(super) fn outer(&self) -> Option<&OuterObjectKey> {
        self.outer.as_ref()
    }

    fn with_prk<T>(&self, odi: &ObjectDataId, derive: impl FnOnce(&ObjectPrk) -> T) -> T {
        let (of, prk) = self.prk.get_or_init(|| (*odi, self.inner.prk(odi)));
        if of == odi {
            derive(prk)
        } else {
            derive(&self.inner.prk(odi))
        }
    }

    /// The key that tags an object completed without its customer key.
    pub(crate) fn completion_key(&self, odi: &ObjectDataId) -> CompletionKey {
        self.inner.completion_key(odi)
    }

    /// Seals a new body.
    pub(crate) fn sealer(&self, body: &BodyContext) -> Result<SegmentSealer, Error> {
        let BodyContext {
            odi,
            part_no,
            part_uid,
        } = body;
        let key = self.with_prk(odi, |prk| prk.payload_key(*part_no, part_uid));
        Ok(match &self.outer {
            None => SegmentSealer::One(Box::new(Sealer::new(&key, body, random_32()?))),
            Some(outer) => {
                let outer_key = outer.payload_key(odi, *part_no, part_uid);
                let ivs = [random_32()?, random_32()?];
                SegmentSealer::Two(Box::new(DualSealer::new(&key, &outer_key, body, ivs)))
            }
        })
    }

    /// Opens a stored body. Every body of an object has the layers that the object has.
    pub(crate) fn opener(
        &self,
        odi: ObjectDataId,
        part: &StoredPart,
    ) -> Result<Box<dyn SegmentOpener>, OpenError> {
        let (part_no, part_uid) = (part.part_number, part.uid());
        let body = BodyContext {
            odi,
            part_no,
            part_uid,
        };
        let key = self.with_prk(&odi, |prk| prk.payload_key(part_no, &part_uid));
        let inner = Opener::new(&key, &body, &part.header(), part.plain_len)?;
        match (&self.outer, part.outer_header()) {
            (None, None) => Ok(Box::new(inner)),
            (Some(outer), Some(header)) => {
                let key = outer.payload_key(&odi, part_no, &part_uid);
                let outer = OuterOpener::new(&key, &body, &header, part.plain_len)?;
                Ok(Box::new(DualOpener::new(outer, inner)))
            }
            (None, Some(_)) | (Some(_), None) => Err(OpenError),
        }
    }

    /// Seals a checksum for the use named by `aad`.
    pub(super) fn seal_sum(
        &self,
        odi: &ObjectDataId,
        value: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let sealed = self.with_prk(odi, ObjectPrk::sums_key).seal(value, aad);
        let sealed = match &self.outer {
            None => sealed,
            Some(outer) => sealed.and_then(|once| outer.sums_key(odi).seal(&once, aad)),
        };
        sealed.map_err(|_| Error::Internal("a checksum could not be sealed"))
    }

    /// Opens what [`Self::seal_sum`] made.
    pub(super) fn open_sum(
        &self,
        odi: &ObjectDataId,
        sealed: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, OpenError> {
        let inner = self.with_prk(odi, ObjectPrk::sums_key);
        match &self.outer {
            None => inner.open(sealed, aad),
            Some(outer) => {
                let once = outer.sums_key(odi).open(sealed, aad)?;
                inner.open(&once, aad)
            }
        }
    }
}

impl OuterWrapKey {
    /// For new objects of a bucket.
    pub(super) fn newest(objects: &Objects, bucket: &[u8; 16]) -> Result<Self, Error> {
        let (external_key, ek_ref) = objects.kms().sse_s3_key(bucket)?;
        Ok(Self {
            external_key,
            ek_ref,
        })
    }

    /// For a stored object; `None` if it has one layer.
    pub(super) fn reopen(
        objects: &Objects,
        bucket: &[u8; 16],
        key: &KeyRow,
    ) -> Result<Option<Self>, Error> {
        let Some(record) = key.outer_sealed_record()? else {
            return Ok(None);
        };
        let ek_ref = record.ek_ref().to_vec();
        let external_key = objects.kms().sse_s3_open(&ek_ref, bucket)?;
        Ok(Some(Self {
            external_key,
            ek_ref,
        }))
    }

    pub(super) fn wrap(
        &self,
        oek: &OuterObjectKey,
        bind: &BindDigest,
        flags: RecordFlags,
    ) -> Result<Vec<u8>, Error> {
        let salt = random_32()?;
        strongroom_format::wrap_outer_object_key(
            &self.external_key,
            oek,
            flags,
            &self.ek_ref,
            bind,
            salt,
        )
        .map(|record| record.to_bytes())
        .map_err(|_| Error::Internal("an object key could not be wrapped"))
    }

    pub(super) fn unwrap(
        &self,
        record: &SealedKeyRecord,
        bind: &BindDigest,
    ) -> Result<OuterObjectKey, Error> {
        strongroom_format::unwrap_outer_object_key(&self.external_key, record, bind).map_err(|_| {
            Error::Corrupted {
                what: "sealed-key record of the outer layer".to_owned(),
            }
        })
    }
}

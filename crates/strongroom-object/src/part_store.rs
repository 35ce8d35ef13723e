// SPDX-License-Identifier: Apache-2.0
//! One body, sealed and written: what PutObject, UploadPart and the copies share.

use strongroom_format::{BodyContext, ObjectDataId, PartUid};
use strongroom_store::{BlobId, Write};

use crate::digest::{WantedDigests, digest_len};
use crate::encryption::ObjectKeys;
use crate::error::Error;
use crate::model::{Body, BodyLength, Checksum, ChecksumAlgorithm, ChecksumRequest, ChecksumType};
use crate::objects::{Objects, random_uids};
use crate::pipeline::SegmentSealer;
use crate::pipeline::write::{NewBlob, Unstored, seal_body};
use crate::rows::{Place, StoredPart};
use crate::storage_class::StorageClass;
use crate::version::store_body;

/// A body to be written.
pub(crate) struct Incoming<'a> {
    /// The object's keys.
    pub oek: &'a ObjectKeys,
    /// The object-data id.
    pub odi: ObjectDataId,
    /// 0 for a PUT.
    pub part_number: u16,
    /// Of the object that it belongs to.
    pub class: StorageClass,
    /// Plaintext bytes to come.
    pub length: BodyLength,
    /// What was announced about them.
    pub checksum: &'a ChecksumRequest,
    /// What is computed when the request names no algorithm.
    pub default_algorithm: Option<ChecksumAlgorithm>,
    /// Whether a CRC-64/NVME is computed whatever the request names.
    pub crc64: bool,
    /// Whether the ETag is the MD5 of the bytes.
    pub md5_etag: bool,
}

/// A body that was sealed to its end, checked against all that was announced, and is not durable
/// yet: dropped, nothing of it stays.
pub(crate) struct SealedPart {
    /// Row of the part.
    pub part: StoredPart,
    /// Without quotes.
    pub etag: String,
    /// The checksum of the bytes.
    pub checksum: Option<Checksum>,
    /// Their CRC-64/NVME, where it was asked for and is not that checksum.
    pub crc64: Option<Checksum>,
    body: Unstored<SegmentSealer>,
}

impl SealedPart {
    /// Makes the bytes durable, with the manifest in every file of a blob; the write that stores
    /// them.
    pub(crate) async fn store(self, manifest: Vec<u8>) -> Result<Write, Error> {
        let stored = self.body.store(manifest).await?;
        let (write, _) = store_body(self.part.part_uid, stored);
        Ok(write)
    }
}

impl Objects {
    /// Read and seal one body. Nothing stays behind when this fails.
    pub(crate) async fn seal_part(
        &self,
        incoming: Incoming<'_>,
        mut body: Body,
    ) -> Result<SealedPart, Error> {
        self.blobs().check_room()?;
        let [part_uid, random_etag] = random_uids()?;
        let context = BodyContext {
            odi: incoming.odi,
            part_no: incoming.part_number,
            part_uid: PartUid(part_uid),
        };
        let sealer = incoming.oek.sealer(&context)?;
        let request = incoming.checksum;
        let algorithm = request.algorithm.or(incoming.default_algorithm);
        check_expected_len(request)?;
        let wanted = WantedDigests {
            md5: incoming.md5_etag || request.content_md5.is_some(),
            checksum: algorithm,
            crc64: incoming.crc64 && algorithm != Some(ChecksumAlgorithm::Crc64Nvme),
        };
        let floe_header = *sealer.header().as_bytes();
        let outer_floe_header = sealer.outer_header().map(|header| *header.as_bytes());
        let stored = seal_body(
            self.blobs(),
            NewBlob {
                id: BlobId(part_uid),
                policy: incoming.class.policy(),
            },
            sealer,
            &mut body,
            incoming.length,
            wanted,
        )
        .await?;
        let digests = stored.digests;
        check_md5(request, digests.md5)?;
        let trailing = body.trailing_checksum();
        let checksum = check_checksum(request, trailing.as_ref(), digests.checksum)?;
        let crc64 = digests
            .crc64
            .map(|value| full_object(ChecksumAlgorithm::Crc64Nvme, value));
        let etag = match digests.md5 {
            Some(md5) if incoming.md5_etag => hex::encode(md5),
            _ => hex::encode(random_etag),
        };
        let part = StoredPart {
            part_number: incoming.part_number,
            part_uid,
            plain_len: stored.plain_len,
            floe_header,
            place: place_of(&stored.body),
            outer_floe_header,
        };
        Ok(SealedPart {
            part,
            etag,
            checksum,
            crc64,
            body: stored.body,
        })
    }
}

fn place_of<S>(body: &Unstored<S>) -> Place {
    match body {
        Unstored::Inline(_) => Place::Inline,
        Unstored::Blob(_, location) => Place::Blob(*location),
    }
}

fn check_expected_len(request: &ChecksumRequest) -> Result<(), Error> {
    match (request.algorithm, &request.expected) {
        (Some(algorithm), Some(value)) if value.len() != digest_len(algorithm) => {
            Err(Error::ChecksumMismatch { algorithm })
        }
        _ => Ok(()),
    }
}

fn check_md5(request: &ChecksumRequest, calculated: Option<[u8; 16]>) -> Result<(), Error> {
    match (request.content_md5, calculated) {
        (Some(expected), Some(calculated)) if expected != calculated => Err(Error::BadDigest {
            expected,
            calculated,
        }),
        (Some(_), None) => Err(Error::Internal("the MD5 was not computed")),
        _ => Ok(()),
    }
}

fn check_checksum(
    request: &ChecksumRequest,
    trailing: Option<&(ChecksumAlgorithm, Vec<u8>)>,
    calculated: Option<(ChecksumAlgorithm, Vec<u8>)>,
) -> Result<Option<Checksum>, Error> {
    let Some((algorithm, value)) = calculated else {
        return match trailing {
            Some((algorithm, _)) => Err(Error::ChecksumMismatch {
                algorithm: *algorithm,
            }),
            None => Ok(None),
        };
    };
    if request
        .expected
        .as_ref()
        .is_some_and(|expected| *expected != value)
    {
        return Err(Error::ChecksumMismatch { algorithm });
    }
    if let Some((announced, expected)) = trailing
        && (*announced != algorithm || *expected != value)
    {
        return Err(Error::ChecksumMismatch {
            algorithm: *announced,
        });
    }
    Ok(Some(full_object(algorithm, value)))
}

fn full_object(algorithm: ChecksumAlgorithm, value: Vec<u8>) -> Checksum {
    Checksum {
        algorithm,
        checksum_type: ChecksumType::FullObject,
        value,
        parts: None,
    }
}

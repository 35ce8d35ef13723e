// SPDX-License-Identifier: Apache-2.0
//! A copy that stands on the bodies of its source.
//!
//! ```text
//!   source row  --OSK1 over its BIND--\                  /--> blob, references + 1
//!                                      one object key --+
//!   copy's row  --OSK1 over its BIND--/                  \--> small bodies: sealed again
//! ```
//!
//! What a body is bound to (object-data id, part, attempt) is the same for both; what an answer
//! says is bound by the record, and each has its own. Small bodies have no count of references, so
//! a copy gets its own, as an attempt of its own; an object that is nothing else is copied as ever.
//!
//! Bytes are read only where a digest is missing that S3 promises of the copy, and where its class is
//! kept otherwise than the source's: then the sealed bytes go over into blobs of its own, as they
//! are (`transcribed_body.rs`). What has bodies of its own only has manifests, too.

use std::collections::HashMap;

use futures_util::StreamExt;
use strongroom_format::{RecordFlags, SseMode};
use strongroom_store::{Batch, Write};

use crate::copy_object::{Source, copy_body};
use crate::digest::{Digester, WantedDigests, combine, digest_len};
use crate::encryption::{self, WrapKey};
use crate::error::Error;
use crate::get_object_attributes::part_checksums;
use crate::manifest::ManifestTime;
use crate::model::{
    BodyLength, Checksum, ChecksumAlgorithm, ChecksumRequest, ChecksumType, Served,
};
use crate::note::Noted;
use crate::objects::{Objects, random_uid};
use crate::part_store::Incoming;
use crate::put_object::{NewObject, StoredObject};
use crate::rows::{Place, StoredPart, VersionRow, Versioning};
use crate::storage_class::StorageClass;
use crate::transcribed_body::Transcript;
use crate::version::{Held, NewVersion};

/// What a copy stands on.
struct SharedParts {
    /// In order, as they will be.
    parts: Vec<StoredPart>,
    own: OwnBodies,
    /// On condition that the source is what it was.
    batch: Batch,
}

/// Those of the parts that no other object has.
#[derive(Default)]
struct OwnBodies {
    /// Which of them have to be written into blobs of their own first.
    transcripts: Vec<(usize, Transcript)>,
    /// Sealed bodies of those that live in the tables, by part uid.
    inline: HashMap<[u8; 16], Vec<u8>>,
}

impl Objects {
    /// Store a copy that stands on its source's bodies. `None` where it cannot: under another key
    /// or mode, where the bodies are older than the key, without a blob to share, or where the source
    /// is not what it was any more.
    pub(crate) async fn share_bodies(
        &self,
        new: &NewObject<'_>,
        wrap_key: &WrapKey,
        source: &Source,
    ) -> Result<Option<StoredObject>, Error> {
        let is_blob = |part: &StoredPart| matches!(part.place, Place::Blob(_));
        if !source.held.parts.iter().any(is_blob)
            || source.row.older_bodies
            || !wrap_key.is_as_trusted_as(&source.row.key)?
        {
            return Ok(None);
        }
        // Its rows are content, too: without end they would fill what is kept free for the tables.
        self.blobs().check_room()?;
        let (etag, checksum) = self.digests_of_copy(new, wrap_key, source).await?;
        let shared = self.shared_parts(new.class, source).await?;
        let (parts, own, mut batch) = (shared.parts, shared.own, shared.batch);
        let (oek, odi) = (&source.oek, source.row.object_data_id());
        let multipart = source.row.parts > 0;
        let mut row = VersionRow {
            version_uid: random_uid()?,
            odi: odi.0,
            size: source.row.size,
            created_ms: self.now_ms(),
            etag: etag.clone(),
            properties: new.properties.clone(),
            key: wrap_key.row(),
            checksum: Some(encryption::seal_checksum(
                wrap_key.mode(),
                oek,
                &odi,
                &checksum,
            )?),
            parts: source.row.parts,
            body: parts.first().filter(|_| !multipart).cloned(),
            null_version: new.bucket.row.versioning != Versioning::Enabled,
            null_at: None,
            class: new.class,
            restore: None,
            note: None,
            older_bodies: false,
            completed: None,
        };
        let seal = |row: &mut VersionRow| {
            let bind = encryption::bind_version(self, new.bucket, new.object_key, row, &parts)?;
            wrap_key.wrap(oek, &bind, RecordFlags::default(), &mut row.key)
        };
        // Before bodies of its own are durable: their manifests are to have the record.
        seal(&mut row)?;
        let written = self.write_own(new, &mut row, &parts, own).await?;
        batch.writes.extend(written);
        let created_ms = row.created_ms;
        let part_table = if multipart { parts.clone() } else { Vec::new() };
        let version = NewVersion {
            row,
            part_table,
            part_checksums: None,
            batch,
            seal: &seal,
            is_sealed: true,
        };
        let (bucket, name) = (new.bucket, new.object_key);
        match self
            .store_version(new.permit, bucket, name, version, &new.conditions)
            .await
        {
            Ok(changed) => Ok(Some(StoredObject {
                version_id: changed.id,
                etag,
                size: source.row.size,
                created_ms,
                encryption: wrap_key.encryption()?,
                checksum: Some(checksum),
            })),
            // The source changed, or the target did and a copy with a body of its own finds so
            // again. What was held is still there to be read.
            Err(Error::ConditionalConflict) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The parts of the copy, and the writes that let it stand on them, on condition that the
    /// source is what it was.
    async fn shared_parts(
        &self,
        class: StorageClass,
        source: &Source,
    ) -> Result<SharedParts, Error> {
        let mut parts = Vec::with_capacity(source.held.parts.len());
        let mut own_bodies = OwnBodies::default();
        // INVARIANT: references come before anything is released in the same commit: a copy onto
        // its own source would else take the bodies away that it stands on.
        let mut shares = Vec::new();
        let mut own = Vec::new();
        for (at, part) in source.held.parts.iter().enumerate() {
            parts.push(match &part.place {
                Place::Blob(location) if self.blobs().lies_as(location.blob, class.policy())? => {
                    shares.push(Write::ShareBlob(location.blob));
                    part.clone()
                }
                Place::Blob(location) => {
                    let (part, transcript) = Transcript::of(part, location)?;
                    own_bodies.transcripts.push((at, transcript));
                    part
                }
                Place::Inline => {
                    let (part, write) = self.seal_again(class, source, part).await?;
                    if let Write::Put { value, .. } = &write {
                        own_bodies.inline.insert(part.part_uid, value.clone());
                    }
                    own.push(write);
                    part
                }
            });
        }
        shares.append(&mut own);
        let batch = Batch {
            preconditions: vec![source.stands.clone()],
            writes: shares,
        };
        Ok(SharedParts {
            parts,
            own: own_bodies,
            batch,
        })
    }

    /// Writes the bodies that go over into blobs of the copy's own, with what its row says in them,
    /// and, of a copy in parts that shares none, the note; the writes that adopt them.
    async fn write_own(
        &self,
        new: &NewObject<'_>,
        row: &mut VersionRow,
        parts: &[StoredPart],
        own: OwnBodies,
    ) -> Result<Vec<Write>, Error> {
        let now = ManifestTime::now(self);
        let shares_none = own.transcripts.len() + own.inline.len() == parts.len();
        let mut writes = Vec::new();
        for (at, transcript) in own.transcripts {
            let part = parts.get(at).ok_or(Error::Internal("a part of a copy"))?;
            let manifest = self.moved_manifest(new.bucket, new.object_key, row, part, now)?;
            writes.push(self.transcribed(transcript, new.class, manifest).await?);
        }
        if row.parts == 0 || !shares_none {
            return Ok(writes);
        }
        let noted = Noted {
            bucket: new.bucket,
            object_key: new.object_key,
            row,
            parts,
            checksums: None,
            inline: own.inline,
            time: now,
        };
        if let Some((note, adoption)) = self.write_note(noted).await? {
            row.note = Some(note);
            writes.push(adoption);
        }
        Ok(writes)
    }

    /// A small body as a new attempt at the same part, under the same object key.
    async fn seal_again(
        &self,
        class: StorageClass,
        source: &Source,
        part: &StoredPart,
    ) -> Result<(StoredPart, Write), Error> {
        let sealed = source.held.inline.get(&part.part_uid).cloned();
        let held = Held {
            parts: vec![part.clone()],
            sums: None,
            inline: HashMap::from([(part.part_uid, sealed.unwrap_or_default())]),
            pin: self.blobs().pin(Vec::new()),
        };
        let served = Served {
            start: 0,
            len: part.plain_len,
            partial: false,
        };
        let body = self.open_body(&source.oek, &source.row, held, served);
        let incoming = Incoming {
            oek: &source.oek,
            odi: source.row.object_data_id(),
            part_number: part.part_number,
            class,
            length: BodyLength::Exactly(part.plain_len),
            checksum: &ChecksumRequest::default(),
            default_algorithm: None,
            crc64: false,
            md5_etag: false,
        };
        let sealed = self.seal_part(incoming, copy_body(body.await?)).await?;
        let part = sealed.part.clone();
        Ok((part, sealed.store(Vec::new()).await?))
    }

    /// The ETag and the checksum of the copy: out of what is known of the source, else out of its
    /// bytes.
    async fn digests_of_copy(
        &self,
        new: &NewObject<'_>,
        wrap_key: &WrapKey,
        source: &Source,
    ) -> Result<(String, Checksum), Error> {
        let algorithm = new.checksum.algorithm;
        let algorithm = algorithm.unwrap_or(ChecksumAlgorithm::Crc64Nvme);
        let checksum = known_checksum(source, algorithm)?;
        // Under SSE-S3 an ETag is the MD5 of the bytes, unless it is one of parts: `md5-N`.
        let etag = match wrap_key.mode() {
            SseMode::S3 if source.row.etag.contains('-') => None,
            SseMode::S3 => Some(source.row.etag.clone()),
            SseMode::Kms | SseMode::C | SseMode::Dsse => Some(hex::encode(random_uid()?)),
        };
        if let (Some(etag), Some(checksum)) = (&etag, &checksum) {
            return Ok((etag.clone(), checksum.clone()));
        }
        let missing = checksum.is_none().then_some(algorithm);
        let mut digester = Digester::new(WantedDigests {
            md5: etag.is_none(),
            checksum: missing,
            crc64: false,
        });
        let mut body = self.open_again(source).await?;
        let mut read = 0_u64;
        while let Some(piece) = body.next().await {
            let piece = piece?;
            read = read.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
            digester.update(&piece).await?;
        }
        if read != source.row.size {
            return Err(Error::Corrupted {
                what: "length of the source of a copy".to_owned(),
            });
        }
        let digests = digester.finish().await?;
        let md5 = digests.md5.map(hex::encode);
        let computed = digests.checksum.map(|(algorithm, value)| Checksum {
            algorithm,
            checksum_type: ChecksumType::FullObject,
            value,
            parts: None,
        });
        match (etag.or(md5), checksum.or(computed)) {
            (Some(etag), Some(checksum)) => Ok((etag, checksum)),
            _ => Err(Error::Internal("a digest was not computed")),
        }
    }

    /// The bytes of a source that stays held.
    async fn open_again(&self, source: &Source) -> Result<crate::ObjectBody, Error> {
        let blobs = source.held.parts.iter().filter_map(StoredPart::blob);
        let held = Held {
            parts: source.held.parts.clone(),
            sums: None,
            inline: source.held.inline.clone(),
            pin: self.blobs().pin(blobs.collect()),
        };
        let served = Served {
            start: 0,
            len: source.row.size,
            partial: false,
        };
        self.open_body(&source.oek, &source.row, held, served).await
    }
}

/// The checksum of the source's bytes, if it is stored or follows from those of its parts.
fn known_checksum(
    source: &Source,
    algorithm: ChecksumAlgorithm,
) -> Result<Option<Checksum>, Error> {
    let (row, oek) = (&source.row, &source.oek);
    let Some(whole) = encryption::open_checksum(row, oek)? else {
        return Ok(None);
    };
    if whole.algorithm != algorithm || whole.checksum_type == ChecksumType::FullObject {
        return Ok(Some(whole).filter(|whole| whole.algorithm == algorithm));
    }
    let Some(sums) = part_checksums(row, source.held.sums.as_ref(), oek)? else {
        return Ok(None);
    };
    let mut all: Option<Vec<u8>> = None;
    let sums = sums.value.chunks(digest_len(algorithm));
    for (part, sum) in source.held.parts.iter().zip(sums) {
        all = match all {
            None => Some(sum.to_vec()),
            Some(before) => match combine(algorithm, &before, sum, part.plain_len) {
                Some(both) => Some(both),
                None => return Ok(None),
            },
        };
    }
    Ok(all.map(|value| Checksum {
        algorithm,
        checksum_type: ChecksumType::FullObject,
        value,
        parts: None,
    }))
}

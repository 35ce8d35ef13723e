// SPDX-License-Identifier: Apache-2.0
//! Version rows: finding the current one, replacing it, taking it away.
//!
//! Buckets hold one version per name until versioning comes; the rows are laid out for many
//! already: their order is the order of commits, newest first, never that of a clock.

use std::collections::HashMap;
use std::ops::Bound;

use strongroom_store::{Batch, BlobId, BlobPin, CommitError, Precondition, Row, Write};

use crate::authorize::{Action, Permit};
use crate::conditions::{check_write, is_conditional};
use crate::error::Error;
use crate::model::WriteConditions;
use crate::objects::{Bucket, Objects};
use crate::pipeline::write::SealedBody;
use crate::rows::{self, ChecksumRow, PartTableRow, Place, StoredPart, VersionRow};
use crate::table_key::{self, BODIES, BUCKETS, PART_TABLES, VERSIONS};

/// How often a commit is tried again after another writer came first.
const COMMIT_TRIES_MAX: usize = 64;
/// How often a read starts again after the object was overwritten under it.
const READ_TRIES_MAX: usize = 64;

/// A version row and where it stands.
#[derive(Debug)]
pub(crate) struct Found {
    pub table_key: Vec<u8>,
    pub row: VersionRow,
    pub seq: u64,
}

/// The bytes of a version, held: an overwrite or a delete meanwhile does not take them away.
#[derive(Debug)]
pub(crate) struct Held {
    /// Its parts, in order.
    pub parts: Vec<StoredPart>,
    /// Sealed bodies that live in the tables, by part uid.
    pub inline: HashMap<[u8; 16], Vec<u8>>,
    /// Keeps the files of its blobs.
    pub pin: BlobPin,
}

/// A version about to be stored.
pub(crate) struct NewVersion {
    /// The row.
    pub row: VersionRow,
    /// Parts of a multipart object, else empty.
    pub part_table: Vec<StoredPart>,
    /// Checksums of these parts, where the object's is a composite of them.
    pub part_checksums: Option<ChecksumRow>,
    /// Bodies, upload rows and the like that come and go with it.
    pub batch: Batch,
}

impl Objects {
    /// The current version of an object, if there is one.
    pub(crate) fn find_version(
        &self,
        bucket: &Bucket,
        object_key: &str,
    ) -> Result<Option<Found>, Error> {
        let prefix = table_key::object_prefix(bucket.uid(), object_key);
        let end = table_key::prefix_end(&prefix);
        let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self
            .tables()
            .scan(VERSIONS, Bound::Included(&prefix), end, 1, false)?;
        let Some((key, Row { value, seq })) = rows.into_iter().next() else {
            return Ok(None);
        };
        let row = rows::decode(&value, "version row")?;
        Ok(Some(Found {
            table_key: key,
            row,
            seq,
        }))
    }

    /// The version a request names: the current one, or the `null` version by id.
    pub(crate) fn version(
        &self,
        bucket: &Bucket,
        object_key: &str,
        version_id: Option<&str>,
    ) -> Result<Found, Error> {
        match version_id {
            None => self
                .find_version(bucket, object_key)?
                .ok_or_else(|| Error::NoSuchKey {
                    object_key: object_key.to_owned(),
                }),
            Some(id) => self
                .find_version(bucket, object_key)?
                .filter(|found| found.row.null_version && id == "null")
                .ok_or_else(|| Error::NoSuchVersion {
                    object_key: object_key.to_owned(),
                    version_id: id.to_owned(),
                }),
        }
    }

    /// The parts of a version, in order: one for an object made by one PUT.
    pub(crate) fn parts(&self, row: &VersionRow) -> Result<Vec<StoredPart>, Error> {
        match (&row.body, row.parts) {
            (Some(body), 0) => Ok(vec![body.clone()]),
            (None, parts) if parts > 0 => {
                let damaged = || Error::Corrupted {
                    what: "part table row".to_owned(),
                };
                let found = self
                    .tables()
                    .get(PART_TABLES, &row.version_uid)?
                    .ok_or_else(damaged)?;
                let table: PartTableRow = rows::decode(&found.value, "part table row")?;
                if table.parts.len() == usize::from(parts) {
                    Ok(table.parts)
                } else {
                    Err(damaged())
                }
            }
            _ => Err(Error::Corrupted {
                what: "version row".to_owned(),
            }),
        }
    }

    /// The version a request names, with its bytes held.
    pub(crate) fn hold_version(
        &self,
        permit: &Permit,
        bucket: &Bucket,
        object_key: &str,
        version_id: Option<&str>,
    ) -> Result<(VersionRow, Held), Error> {
        permit.covers(
            &[Action::GetObject, Action::GetObjectVersion],
            &bucket.name,
            object_key,
        )?;
        for _ in 0..READ_TRIES_MAX {
            let found = self.version(bucket, object_key, version_id)?;
            let held = self.hold(&found.row);
            // Only a row that still stands says that what was held, or missed, is its own.
            let now = self.tables().get(VERSIONS, &found.table_key)?;
            if now.is_some_and(|row| row.seq == found.seq) {
                return Ok((found.row, held?));
            }
        }
        Err(Error::Internal(
            "the object is overwritten faster than it can be read",
        ))
    }

    /// Hold the bytes of a row that was just read.
    pub(crate) fn hold(&self, row: &VersionRow) -> Result<Held, Error> {
        let parts = self.parts(row)?;
        let mut inline = HashMap::new();
        let mut blobs = Vec::new();
        for part in &parts {
            match &part.place {
                Place::Blob(location) => blobs.push(location.blob),
                Place::Inline => {
                    let missing = || Error::Corrupted {
                        what: "body of the object".to_owned(),
                    };
                    let body = self
                        .tables()
                        .get(BODIES, &part.part_uid)?
                        .ok_or_else(missing)?;
                    inline.insert(part.part_uid, body.value);
                }
            }
        }
        Ok(Held {
            parts,
            inline,
            pin: self.blobs().pin(blobs),
        })
    }

    /// Commit a new version in place of the current one.
    pub(crate) async fn store_version(
        &self,
        permit: &Permit,
        bucket: &Bucket,
        object_key: &str,
        new: NewVersion,
        conditions: &WriteConditions,
    ) -> Result<(), Error> {
        permit.covers(&[Action::PutObject], &bucket.name, object_key)?;
        let prefix = table_key::object_prefix(bucket.uid(), object_key);
        let value = rows::encode(&new.row)?;
        let mut own = new.batch;
        own.writes.push(Write::PutStamped {
            table: VERSIONS,
            prefix,
            value,
        });
        if !new.part_table.is_empty() {
            let value = rows::encode(&PartTableRow {
                parts: new.part_table,
                checksums: new.part_checksums,
            })?;
            let key = new.row.version_uid.to_vec();
            own.writes.push(Write::Put {
                table: PART_TABLES,
                key,
                value,
            });
        }
        own.preconditions.push(bucket_unchanged(bucket));
        let own_preconditions = own.preconditions.len();
        let own_writes = own.writes.len();
        for _ in 0..COMMIT_TRIES_MAX {
            let current = self.find_version(bucket, object_key)?;
            let etag = current.as_ref().map(|found| found.row.etag.as_str());
            check_write(conditions, etag, object_key)?;
            own.preconditions.truncate(own_preconditions);
            own.writes.truncate(own_writes);
            own.preconditions
                .push(current_unchanged(bucket, object_key, current.as_ref()));
            if let Some(found) = current {
                let Some(removal) = self.removal_of_current(&found)? else {
                    continue;
                };
                own.writes.extend(removal);
            }
            match self.tables().commit(own).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Precondition { index, batch }) if index >= own_preconditions => {
                    own = *batch;
                }
                Err(CommitError::Precondition { .. }) => {
                    self.bucket(&bucket.name)?;
                    return Err(Error::ConditionalConflict);
                }
                Err(error) => return Err(error.into()),
            }
        }
        if is_conditional(conditions) {
            Err(Error::ConditionalConflict)
        } else {
            Err(Error::Internal("too many writers of one object"))
        }
    }

    /// Take the current version away; `false` when there is none.
    pub(crate) async fn remove_version(
        &self,
        permit: &Permit,
        bucket: &Bucket,
        object_key: &str,
    ) -> Result<bool, Error> {
        permit.covers(
            &[Action::DeleteObject, Action::DeleteObjectVersion],
            &bucket.name,
            object_key,
        )?;
        for _ in 0..COMMIT_TRIES_MAX {
            let Some(found) = self.find_version(bucket, object_key)? else {
                return Ok(false);
            };
            let unchanged = current_unchanged(bucket, object_key, Some(&found));
            let Some(writes) = self.removal_of_current(&found)? else {
                continue;
            };
            match self
                .tables()
                .commit(Batch {
                    preconditions: vec![unchanged],
                    writes,
                })
                .await
            {
                Ok(_) => return Ok(true),
                Err(CommitError::Precondition { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Internal("too many writers of one object"))
    }

    /// As [`Self::removal`]; `None` if another writer took the version away meanwhile, and its
    /// part table with it: that is no damage.
    fn removal_of_current(&self, found: &Found) -> Result<Option<Vec<Write>>, Error> {
        match self.removal(found) {
            Ok(writes) => Ok(Some(writes)),
            Err(error) => match self.tables().get(VERSIONS, &found.table_key)? {
                Some(now) if now.seq == found.seq => Err(error),
                _ => Ok(None),
            },
        }
    }

    /// What takes a version's rows and bytes away. Its sealed-key record goes with its row, so
    /// the bytes cannot be opened any more, wherever they linger.
    fn removal(&self, found: &Found) -> Result<Vec<Write>, Error> {
        let mut writes = vec![Write::Delete {
            table: VERSIONS,
            key: found.table_key.clone(),
        }];
        for part in self.parts(&found.row)? {
            writes.push(remove_body(&part));
        }
        if found.row.parts > 0 {
            let key = found.row.version_uid.to_vec();
            writes.push(Write::Delete {
                table: PART_TABLES,
                key,
            });
        }
        Ok(writes)
    }
}

/// What is there must still be what was found.
fn current_unchanged(bucket: &Bucket, object_key: &str, current: Option<&Found>) -> Precondition {
    if let Some(found) = current {
        let key = found.table_key.clone();
        return Precondition::SeqIs {
            table: VERSIONS,
            key,
            seq: found.seq,
        };
    }
    let start = table_key::object_prefix(bucket.uid(), object_key);
    let end = table_key::prefix_end(&start).unwrap_or_default();
    Precondition::RangeEmpty {
        table: VERSIONS,
        start,
        end,
    }
}

/// The bucket must still be the one that was opened.
pub(crate) fn bucket_unchanged(bucket: &Bucket) -> Precondition {
    Precondition::SeqIs {
        table: BUCKETS,
        key: bucket.name.as_bytes().to_vec(),
        seq: bucket.seq,
    }
}

/// The write that stores a sealed body under its part's uid, and its place.
pub(crate) fn store_body(part_uid: [u8; 16], body: SealedBody) -> (Write, Place) {
    match body {
        SealedBody::Inline(sealed) => {
            let write = Write::Put {
                table: BODIES,
                key: part_uid.to_vec(),
                value: sealed,
            };
            (write, Place::Inline)
        }
        SealedBody::Blob(proof) => {
            let place = Place::Blob(proof.location());
            (Write::AdoptBlob(proof), place)
        }
    }
}

/// The write that takes a part's bytes away.
pub(crate) fn remove_body(part: &StoredPart) -> Write {
    match &part.place {
        Place::Inline => Write::Delete {
            table: BODIES,
            key: part.part_uid.to_vec(),
        },
        Place::Blob(_) => Write::ReleaseBlob(BlobId(part.part_uid)),
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Versions of a name: finding one, adding one, taking one away.
//!
//! ```text
//!  Off        a write replaces the null version           a delete removes it
//!  Enabled    a write adds a version                      a delete adds a delete marker
//!  Suspended  a write adds the null version and removes   a delete does the same with a marker
//!             the null version that was there
//! ```
//!
//! The order of versions is the order of commits, newest first, never that of a clock. The null
//! version can stand anywhere in it: each entry says where it was when the entry was committed
//! (`VersionEntry`), so that it is found by one look and not by a search.

use std::collections::HashMap;
use std::ops::Bound;

use strongroom_store::{Batch, BlobPin, CommitError, Precondition, Row, Write};

use crate::authorize::{Action, Permit};
use crate::conditions::{Current, check_write, is_conditional};
use crate::error::Error;
use crate::model::WriteConditions;
use crate::objects::{Bucket, Objects, random_uid};
use crate::pipeline::write::SealedBody;
use crate::rows::{
    self, ChecksumRow, DeleteMarkerRow, PartTableRow, Place, StoredPart, VersionEntry, VersionRow,
    Versioning,
};
use crate::table_key::{self, BODIES, BUCKETS, PART_TABLES, VERSIONS};
use crate::turns::COMMIT_TRIES_MAX;
use crate::version_id::VersionId;

/// How often a read starts again after the object was overwritten under it.
const READ_TRIES_MAX: usize = 64;

/// An entry of a name and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub table_key: Vec<u8>,
    pub entry: VersionEntry,
    /// Its place in the order of commits.
    pub stamp: u64,
    /// The commit that wrote the row last: wrapping its key again leaves the stamp.
    pub seq: u64,
}

impl Found {
    pub(crate) fn read(table_key: Vec<u8>, row: &Row) -> Result<Self, Error> {
        let (_, stamp) =
            table_key::split_version_key(&table_key).ok_or_else(|| Error::Corrupted {
                what: "key of a version row".to_owned(),
            })?;
        Ok(Self {
            entry: rows::decode(&row.value, "version row")?,
            table_key,
            stamp,
            seq: row.seq,
        })
    }

    /// Its id.
    pub(crate) fn id(&self) -> VersionId {
        self.entry.id(self.stamp)
    }

    /// What conditions compare with; a delete marker has nothing of it.
    pub(crate) fn current(&self) -> Option<Current<'_>> {
        self.entry.object().map(|row| Current {
            etag: row.etag.as_str(),
            size: row.size,
            last_modified_ms: row.created_ms,
        })
    }
}

/// An object that was found, apart from what it is.
#[derive(Debug)]
pub(crate) struct Standing {
    pub table_key: Vec<u8>,
    pub id: VersionId,
    /// The commit that wrote the row last.
    pub seq: u64,
}

impl Standing {
    /// Holds as long as the row is what it was.
    pub(crate) fn stands(&self) -> Precondition {
        Precondition::SeqIs {
            table: VERSIONS,
            key: self.table_key.clone(),
            seq: self.seq,
        }
    }
}

/// A version that is an object, with its bytes held.
pub(crate) struct HeldVersion {
    pub row: VersionRow,
    pub id: VersionId,
    pub held: Held,
    /// Holds as long as the row is what it was.
    pub stands: Precondition,
}

/// The bytes of a version, held: an overwrite or a delete meanwhile does not take them away.
#[derive(Debug)]
pub(crate) struct Held {
    /// Its parts, in order.
    pub parts: Vec<StoredPart>,
    /// Their checksums, as they are stored beside them: read at another time they may be those of
    /// another row.
    pub sums: Option<ChecksumRow>,
    /// Sealed bodies that live in the tables, by part uid.
    pub inline: HashMap<[u8; 16], Vec<u8>>,
    /// Keeps the files of its blobs.
    pub pin: BlobPin,
}

/// A version about to be stored.
pub(crate) struct NewVersion<'a> {
    /// The row; whether it is the null version, and where that stands, is decided at the commit.
    pub row: VersionRow,
    /// Parts of a multipart object, else empty.
    pub part_table: Vec<StoredPart>,
    /// Checksums of these parts, where the object's is a composite of them.
    pub part_checksums: Option<ChecksumRow>,
    /// Bodies, upload rows and the like that come and go with it.
    pub batch: Batch,
    /// Wraps the object key over everything that the row says.
    pub seal: &'a (dyn Fn(&mut VersionRow) -> Result<(), Error> + Send + Sync),
    /// Whether it did already, over what the row says now.
    pub is_sealed: bool,
}

/// What a write or a delete without a version id did to a name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Changed {
    /// The id of what came in; `None` if nothing came in, or the bucket never had versions.
    pub id: Option<VersionId>,
}

/// What comes in at the head of a name, if anything does, by what the bucket does with versions
/// and where the null version stands.
type MakeEntry<'m> =
    &'m mut (dyn FnMut(Versioning, Option<u64>) -> Result<Option<Made>, Error> + Send);

/// An entry to come in at the head of a name.
struct Made {
    /// Its row.
    value: Vec<u8>,
    version_uid: [u8; 16],
    null_version: bool,
}

impl Made {
    fn of(entry: &VersionEntry) -> Result<Self, Error> {
        Ok(Self {
            value: rows::encode(entry)?,
            version_uid: entry.version_uid(),
            null_version: entry.is_null(),
        })
    }
}

impl Objects {
    /// The newest entry of a name, if there is one.
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
        let first = rows.into_iter().next();
        first.map(|(key, row)| Found::read(key, &row)).transpose()
    }

    /// The null version that stands behind an entry.
    fn null_behind(
        &self,
        bucket: &Bucket,
        object_key: &str,
        newest: &Found,
    ) -> Result<Option<Found>, Error> {
        let Some(stamp) = newest.entry.null_at() else {
            return Ok(None);
        };
        let key = table_key::version(bucket.uid(), object_key, stamp);
        let Some(row) = self.tables().get(VERSIONS, &key)? else {
            return Ok(None);
        };
        let found = Found::read(key, &row)?;
        if found.entry.is_null() {
            Ok(Some(found))
        } else {
            Err(Error::Corrupted {
                what: "place of a null version".to_owned(),
            })
        }
    }

    /// The entry with an id, if there is one.
    pub(crate) fn find_by_id(
        &self,
        bucket: &Bucket,
        object_key: &str,
        id: VersionId,
    ) -> Result<Option<Found>, Error> {
        let Some((stamp, _)) = id.place() else {
            return self.find_null(bucket, object_key);
        };
        let key = table_key::version(bucket.uid(), object_key, stamp);
        let Some(row) = self.tables().get(VERSIONS, &key)? else {
            return Ok(None);
        };
        // The stamp is the client's word; the uid in the row decides.
        let found = Found::read(key, &row)?;
        Ok((found.id() == id).then_some(found))
    }

    /// The null version of a name, if there is one.
    fn find_null(&self, bucket: &Bucket, object_key: &str) -> Result<Option<Found>, Error> {
        let mut newest = self.find_version(bucket, object_key)?;
        for _ in 0..READ_TRIES_MAX {
            let Some(found) = newest else {
                return Ok(None);
            };
            if found.entry.is_null() {
                return Ok(Some(found));
            }
            if let Some(null) = self.null_behind(bucket, object_key, &found)? {
                return Ok(Some(null));
            }
            // It may have been replaced between the two looks by one that is newer than both.
            newest = self.find_version(bucket, object_key)?;
            if newest.as_ref().is_some_and(|now| now.stamp == found.stamp) {
                return Ok(None);
            }
        }
        Err(Error::Internal(
            "the object is overwritten faster than it can be read",
        ))
    }

    /// The object that a request names. A delete marker is none.
    pub(crate) fn version(
        &self,
        bucket: &Bucket,
        object_key: &str,
        version_id: Option<VersionId>,
    ) -> Result<(Standing, VersionRow), Error> {
        let found = match version_id {
            None => self.find_version(bucket, object_key)?,
            Some(id) => self.find_by_id(bucket, object_key, id)?,
        };
        let object_key = || object_key.to_owned();
        match (found, version_id) {
            (None, None) => Err(Error::NoSuchKey {
                object_key: object_key(),
            }),
            (None, Some(version_id)) => Err(Error::NoSuchVersion {
                object_key: object_key(),
                version_id,
            }),
            (Some(found), _) => {
                let id = found.id();
                match found.entry {
                    VersionEntry::Object(row) => {
                        let standing = Standing {
                            table_key: found.table_key,
                            id,
                            seq: found.seq,
                        };
                        Ok((standing, *row))
                    }
                    VersionEntry::DeleteMarker(marker) => Err(Error::DeleteMarker {
                        object_key: object_key(),
                        version_id: id,
                        last_modified_ms: marker.created_ms,
                        named: version_id.is_some(),
                    }),
                }
            }
        }
    }

    /// The parts of a version, in order: one for an object made by one PUT.
    pub(crate) fn parts(&self, row: &VersionRow) -> Result<Vec<StoredPart>, Error> {
        Ok(self.parts_and_sums(row)?.0)
    }

    /// The same, and what is stored of the checksums of parts.
    pub(crate) fn parts_and_sums(
        &self,
        row: &VersionRow,
    ) -> Result<(Vec<StoredPart>, Option<ChecksumRow>), Error> {
        match (&row.body, row.parts) {
            (Some(body), 0) => Ok((vec![body.clone()], None)),
            (None, parts) if parts > 0 => {
                let PartTableRow { parts, checksums } = self.part_table(row)?;
                Ok((parts, checksums))
            }
            _ => Err(Error::Corrupted {
                what: "version row".to_owned(),
            }),
        }
    }

    /// The part table of a multipart object.
    pub(crate) fn part_table(&self, row: &VersionRow) -> Result<PartTableRow, Error> {
        let damaged = || Error::Corrupted {
            what: "part table row".to_owned(),
        };
        let found = self
            .tables()
            .get(PART_TABLES, &row.version_uid)?
            .ok_or_else(damaged)?;
        let table: PartTableRow = rows::decode(&found.value, "part table row")?;
        if table.parts.len() == usize::from(row.parts) {
            Ok(table)
        } else {
            Err(damaged())
        }
    }

    /// The version a request names, with its bytes held.
    pub(crate) fn hold_version(
        &self,
        permit: &Permit,
        bucket: &Bucket,
        object_key: &str,
        version_id: Option<VersionId>,
    ) -> Result<HeldVersion, Error> {
        permit.covers(
            &[Action::GetObject, Action::GetObjectVersion],
            &bucket.name,
            object_key,
        )?;
        for _ in 0..READ_TRIES_MAX {
            let (found, row) = self.version(bucket, object_key, version_id)?;
            let held = self.hold(&row);
            // Only a row that still stands says that what was held, or missed, is its own.
            let now = self.tables().get(VERSIONS, &found.table_key)?;
            if now.is_some_and(|row| row.seq == found.seq) {
                return Ok(HeldVersion {
                    row,
                    id: found.id,
                    held: held?,
                    stands: found.stands(),
                });
            }
        }
        Err(Error::Internal(
            "the object is overwritten faster than it can be read",
        ))
    }

    /// Hold the bytes of a row that was just read.
    pub(crate) fn hold(&self, row: &VersionRow) -> Result<Held, Error> {
        let (parts, sums) = self.parts_and_sums(row)?;
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
            sums,
            inline,
            pin: self.blobs().pin(blobs),
        })
    }

    /// Commit a new version of a name.
    pub(crate) async fn store_version(
        &self,
        permit: &Permit,
        bucket: &Bucket,
        object_key: &str,
        new: NewVersion<'_>,
        conditions: &WriteConditions,
    ) -> Result<Changed, Error> {
        permit.covers(&[Action::PutObject], &bucket.name, object_key)?;
        let NewVersion {
            row,
            part_table,
            part_checksums,
            batch: mut own,
            seal,
            is_sealed: mut sealed,
        } = new;
        if !part_table.is_empty() {
            let value = rows::encode(&PartTableRow {
                parts: part_table,
                checksums: part_checksums,
            })?;
            let key = row.version_uid.to_vec();
            own.writes.push(Write::Put {
                table: PART_TABLES,
                key,
                value,
            });
        }
        let mut entry = VersionEntry::Object(Box::new(row));
        let mut make = |versioning: Versioning, null_at: Option<u64>| {
            let VersionEntry::Object(row) = &mut entry else {
                return Err(Error::Internal("an object that became a delete marker"));
            };
            let null_version = versioning != Versioning::Enabled;
            if !sealed || row.null_version != null_version {
                row.null_version = null_version;
                seal(row)?;
                sealed = true;
            }
            row.null_at = null_at;
            Made::of(&entry).map(Some)
        };
        self.change_name(bucket, object_key, own, conditions, &mut make)
            .await
    }

    /// Delete a name: its null version goes for good, or a delete marker comes.
    pub(crate) async fn delete_name(
        &self,
        permit: &Permit,
        bucket: &Bucket,
        object_key: &str,
        conditions: &WriteConditions,
    ) -> Result<Changed, Error> {
        permit.covers(&[Action::DeleteObject], &bucket.name, object_key)?;
        let mut make = make_marker(random_uid()?, self.now_ms());
        self.change_name(bucket, object_key, Batch::default(), conditions, &mut make)
            .await
    }

    /// One commit at the head of a name: what `make` says comes in, the null version that it
    /// stands for goes, and `own` happens with it.
    async fn change_name(
        &self,
        bucket: &Bucket,
        object_key: &str,
        mut own: Batch,
        conditions: &WriteConditions,
        make: MakeEntry<'_>,
    ) -> Result<Changed, Error> {
        let prefix = table_key::object_prefix(bucket.uid(), object_key);
        let own_preconditions = own.preconditions.len();
        let own_writes = own.writes.len();
        let mut bucket = bucket.clone();
        let mut turn = None;
        for _ in 0..COMMIT_TRIES_MAX {
            let versioning = bucket.row.versioning;
            let newest = self.find_version(&bucket, object_key)?;
            check_write(
                conditions,
                newest.as_ref().and_then(Found::current),
                object_key,
            )?;
            let mut null_at = None;
            let mut older = None;
            if let Some(newest) = &newest {
                if versioning == Versioning::Enabled {
                    let is_null = newest.entry.is_null();
                    null_at = if is_null {
                        Some(newest.stamp)
                    } else {
                        newest.entry.null_at()
                    };
                } else if !newest.entry.is_null() {
                    older = self.null_behind(&bucket, object_key, newest)?;
                }
            }
            let replaced = match &newest {
                Some(newest) if versioning != Versioning::Enabled && newest.entry.is_null() => {
                    Some(newest)
                }
                _ => older.as_ref(),
            };
            let coming = make(versioning, null_at)?;
            if coming.is_none() && replaced.is_none() {
                return Ok(Changed { id: None });
            }

            own.preconditions.truncate(own_preconditions);
            own.writes.truncate(own_writes);
            own.preconditions.push(bucket_unchanged(&bucket));
            own.preconditions
                .extend(unchanged(&prefix, newest.as_ref(), replaced));
            let mut came = None;
            if let Some(entry) = coming {
                came = Some((entry.version_uid, entry.null_version));
                own.writes.push(Write::PutStamped {
                    table: VERSIONS,
                    prefix: prefix.clone(),
                    value: entry.value,
                });
            }
            if let Some(replaced) = replaced {
                let Some(removal) = self.removal_of(replaced)? else {
                    continue;
                };
                own.writes.extend(removal);
            }
            match self.tables().commit(own).await {
                Ok(seq) => {
                    let id = came.map(|(uid, is_null)| VersionId::at(seq.0, uid, is_null));
                    return Ok(Changed {
                        id: id.filter(|_| versioning != Versioning::Off),
                    });
                }
                Err(CommitError::Precondition { index, .. }) if index < own_preconditions => {
                    return Err(Error::ConditionalConflict);
                }
                Err(CommitError::Precondition { index, batch }) => {
                    own = *batch;
                    if turn.is_none() {
                        turn = Some(self.turns().take(&prefix).await);
                    }
                    if index == own_preconditions {
                        bucket = self.same_bucket(&bucket)?;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        if is_conditional(conditions) {
            Err(Error::ConditionalConflict)
        } else {
            Err(Error::TooManyWriters)
        }
    }

    /// The bucket as it is now, if it is still the one that was opened.
    pub(crate) fn same_bucket(&self, bucket: &Bucket) -> Result<Bucket, Error> {
        let now = self.bucket(&bucket.name)?;
        if now.uid() == bucket.uid() {
            Ok(now)
        } else {
            Err(Error::NoSuchBucket {
                bucket: bucket.name.clone(),
            })
        }
    }

    /// Take a version away for good, whatever it is; `None` when there is none of that id.
    pub(crate) async fn remove_version(
        &self,
        permit: &Permit,
        bucket: &Bucket,
        object_key: &str,
        id: VersionId,
        conditions: &WriteConditions,
    ) -> Result<Option<Found>, Error> {
        permit.covers(&[Action::DeleteObjectVersion], &bucket.name, object_key)?;
        let mut turn = None;
        for _ in 0..COMMIT_TRIES_MAX {
            let found = self.find_by_id(bucket, object_key, id)?;
            check_write(
                conditions,
                found.as_ref().and_then(Found::current),
                object_key,
            )?;
            let Some(found) = found else {
                return Ok(None);
            };
            let Some(writes) = self.removal_of(&found)? else {
                continue;
            };
            let preconditions = vec![stands(&found)];
            match self
                .tables()
                .commit(Batch {
                    preconditions,
                    writes,
                })
                .await
            {
                Ok(_) => return Ok(Some(found)),
                Err(CommitError::Precondition { .. }) => {
                    if turn.is_none() {
                        let prefix = table_key::object_prefix(bucket.uid(), object_key);
                        turn = Some(self.turns().take(&prefix).await);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::TooManyWriters)
    }

    /// Delete a name whose newest entry is still the one that a rule was held against; `None` if it
    /// is not.
    pub(crate) async fn expire_name(
        &self,
        permit: &Permit,
        bucket: &Bucket,
        object_key: &str,
        found: &Found,
    ) -> Result<Option<Changed>, Error> {
        permit.covers(&[Action::DeleteObject], &bucket.name, object_key)?;
        let mut make = make_marker(random_uid()?, self.now_ms());
        let prefix = table_key::object_prefix(bucket.uid(), object_key);
        let own = Batch {
            preconditions: vec![stands(found), nothing_newer(&prefix, found)],
            writes: Vec::new(),
        };
        let none = WriteConditions::default();
        match self
            .change_name(bucket, object_key, own, &none, &mut make)
            .await
        {
            Ok(changed) => Ok(Some(changed)),
            Err(Error::ConditionalConflict | Error::NoSuchBucket { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Take an entry away for good if it still is what a rule was held against, and `also` holds;
    /// false if not.
    pub(crate) async fn expire_version(
        &self,
        permit: &Permit,
        bucket: &Bucket,
        object_key: &str,
        found: &Found,
        also: Vec<Precondition>,
    ) -> Result<bool, Error> {
        permit.covers(&[Action::DeleteObjectVersion], &bucket.name, object_key)?;
        let Some(writes) = self.removal_of(found)? else {
            return Ok(false);
        };
        let mut preconditions = also;
        preconditions.push(stands(found));
        match self
            .tables()
            .commit(Batch {
                preconditions,
                writes,
            })
            .await
        {
            Ok(_) => Ok(true),
            Err(CommitError::Precondition { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// As [`Self::removal`]; `None` if another writer took the version away meanwhile, and its
    /// part table with it: that is no damage.
    fn removal_of(&self, found: &Found) -> Result<Option<Vec<Write>>, Error> {
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
        let Some(row) = found.entry.object() else {
            return Ok(writes);
        };
        for part in self.parts(row)? {
            writes.push(remove_body(&part));
        }
        if row.parts > 0 {
            let key = row.version_uid.to_vec();
            writes.push(Write::Delete {
                table: PART_TABLES,
                key,
            });
        }
        writes.extend(self.release_note(row)?);
        Ok(writes)
    }
}

/// What a delete puts at the head of a name: a marker, where the bucket has versions.
fn make_marker(
    version_uid: [u8; 16],
    created_ms: u64,
) -> impl FnMut(Versioning, Option<u64>) -> Result<Option<Made>, Error> + Send {
    move |versioning, null_at| {
        let marker = DeleteMarkerRow {
            version_uid,
            created_ms,
            null_version: versioning == Versioning::Suspended,
            null_at,
        };
        if versioning == Versioning::Off {
            return Ok(None);
        }
        Made::of(&VersionEntry::DeleteMarker(marker)).map(Some)
    }
}

/// What was found is still there, and is still all that was to be found.
///
/// Where the newest entry is replaced, its row stands for all: whoever else changes the head of
/// the name takes it away too. Where it stays, nothing newer may have come.
fn unchanged(prefix: &[u8], newest: Option<&Found>, replaced: Option<&Found>) -> Vec<Precondition> {
    let Some(newest) = newest else {
        return vec![Precondition::RangeEmpty {
            table: VERSIONS,
            start: prefix.to_vec(),
            end: table_key::prefix_end(prefix).unwrap_or_default(),
        }];
    };
    let mut preconditions = vec![stands(newest)];
    if replaced.is_none_or(|replaced| replaced.stamp != newest.stamp) {
        preconditions.push(Precondition::RangeEmpty {
            table: VERSIONS,
            start: prefix.to_vec(),
            end: newest.table_key.clone(),
        });
        preconditions.extend(replaced.map(stands));
    }
    preconditions
}

pub(crate) fn stands(found: &Found) -> Precondition {
    Precondition::SeqIs {
        table: VERSIONS,
        key: found.table_key.clone(),
        seq: found.seq,
    }
}

/// Nothing newer came to the name.
pub(crate) fn nothing_newer(prefix: &[u8], found: &Found) -> Precondition {
    Precondition::RangeEmpty {
        table: VERSIONS,
        start: prefix.to_vec(),
        end: found.table_key.clone(),
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
        Place::Blob(location) => Write::ReleaseBlob(location.blob),
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Brings wrapped key material forward to the newest domain key.
//!
//! ```text
//!   each KMS key, in order of uid, from where an earlier run was ended:
//!     each shred key under a new name, sealed under the newest domain key -> all its versions
//!     wrapped again -> one commit (rows as they were read, and how far we are) -> the files of
//!     before destroyed
//! ```
//!
//! Imported material gets a new shred key: who deletes a version of it is to leave nothing of its
//! secret anywhere, and can import it again. Of other material a shred key keeps its secret:
//! manifests of bodies have material that was wrapped under it, and cannot be written again. Who
//! has the older domain key alone finds no file that it opens.
//!
//! Nothing but wrapped keys changes. A version that is current is left alone, so a second run
//! writes nothing. What a crash leaves in the vault is swept at the next start.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use minicbor::{Decode, Encode};
use strongroom_store::{Precondition, TableId, Write};

use crate::error::Error;
use crate::key_id::KeyUid;
use crate::model::Origin;
use crate::rows::{KEYS, KeyRow, MATERIALS, MaterialRow};
use crate::service::{Found, Kms};
use crate::shred::ShredKey;

/// What came of bringing wrapped keys forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RewrapReport {
    /// Wrapped keys that were looked at.
    pub seen: u64,
    /// Those that were wrapped again.
    pub rewrapped: u64,
    /// Those that are damaged and were left as they are.
    pub damaged: u64,
}

/// Hears how many are done, of how many.
pub type TellRewrap<'a> = &'a (dyn Fn(u64, u64) + Send + Sync);

/// How far a run has come: everything up to this key is at this epoch.
#[derive(Clone, Debug, Default, Encode, Decode)]
pub struct RewrapMark {
    /// The epoch that is the aim.
    #[n(0)]
    epoch: u32,
    /// The last row key that is done.
    #[cbor(n(1), with = "minicbor::bytes")]
    after: Vec<u8>,
}

impl RewrapMark {
    /// Where to go on: behind the key of `stored` if its aim is `epoch`, else from the start.
    pub fn resume(stored: Option<&[u8]>, epoch: u32) -> RewrapMark {
        let start = RewrapMark {
            epoch,
            after: Vec::new(),
        };
        let found = stored.and_then(|bytes| minicbor::decode::<RewrapMark>(bytes).ok());
        found.filter(|mark| mark.epoch == epoch).unwrap_or(start)
    }

    /// The row key behind which to go on.
    pub fn after(&self) -> &[u8] {
        &self.after
    }

    /// The same aim, one row key further.
    #[must_use]
    pub fn at(&self, row_key: &[u8]) -> RewrapMark {
        RewrapMark {
            epoch: self.epoch,
            after: row_key.to_vec(),
        }
    }

    /// The write that remembers it under a name.
    pub fn write(&self, name: &str) -> Result<Write, Error> {
        Ok(Write::Put {
            table: REWRAP_MARKS,
            key: name.as_bytes().to_vec(),
            value: minicbor::to_vec(self).map_err(|_| Error::Internal("encoding a mark"))?,
        })
    }
}

impl Kms {
    /// Wraps key material again that is not under the newest domain key.
    pub async fn rewrap(&self, tell: TellRewrap<'_>) -> Result<RewrapReport, Error> {
        let epoch = self.keyring().newest_epoch();
        let stored = self.store().tables().get(REWRAP_MARKS, MARK.as_bytes())?;
        let mut mark = RewrapMark::resume(stored.as_ref().map(|row| row.value.as_slice()), epoch);
        let total = self.count_keys()?;
        let mut report = RewrapReport::default();
        let mut done = 0_u64;
        loop {
            let page = self.keys_after(mark.after())?;
            if page.is_empty() {
                break;
            }
            for uid in page {
                let next = mark.at(&uid.0);
                self.rewrap_key(uid, epoch, &next, &mut report).await?;
                mark = next;
                done = done.saturating_add(1);
                tell(done, total.max(done));
            }
        }
        // The next run begins at the first key again: material may have come in behind us.
        let end = Write::Delete {
            table: REWRAP_MARKS,
            key: MARK.as_bytes().to_vec(),
        };
        if self.commit(Vec::new(), vec![end]).await?.is_err() {
            return Err(Error::Internal("a commit without preconditions"));
        }
        Ok(report)
    }

    /// Wraps the versions of one key again, in one commit.
    async fn rewrap_key(
        &self,
        uid: KeyUid,
        epoch: u32,
        mark: &RewrapMark,
        report: &mut RewrapReport,
    ) -> Result<(), Error> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(Found { row, seq, .. }) = self.key(uid)? else {
                return Ok(());
            };
            let versions = self.versions(uid)?;
            let old = |m: &MaterialRow| m.is_wrapped() && m.wrap_epoch != epoch;
            let seen = u64::try_from(versions.len()).unwrap_or(u64::MAX);
            let wanted = versions.iter().filter(|(_, _, m)| old(m)).count();
            if wanted == 0 {
                report.seen = report.seen.saturating_add(seen);
                return Ok(());
            }
            match self
                .rewrap_versions(&row, seq, &versions, epoch, mark)
                .await
            {
                Ok(true) => {
                    report.seen = report.seen.saturating_add(seen);
                    let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
                    report.rewrapped = report.rewrapped.saturating_add(wanted);
                    return Ok(());
                }
                // Somebody changed the key meanwhile: look again.
                Ok(false) => {}
                Err(error) if error.is_corruption() => {
                    // Material that was deleted after the rows were read is no damage.
                    if self.key(uid)?.is_none_or(|now| now.seq != seq) {
                        continue;
                    }
                    report.seen = report.seen.saturating_add(seen);
                    report.damaged = report.damaged.saturating_add(1);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::Internal("the key is being changed by others"))
    }

    async fn rewrap_versions(
        &self,
        row: &KeyRow,
        seq: u64,
        versions: &[StoredVersion],
        epoch: u32,
        mark: &RewrapMark,
    ) -> Result<bool, Error> {
        let Some(as_stored) = self.store().tables().get(KEYS, &row.uid)? else {
            return Ok(false);
        };
        let mut preconditions = vec![Precondition::SeqIs {
            table: KEYS,
            key: row.uid.to_vec(),
            seq,
        }];
        // INVARIANT: the key's row is written, though nothing of it changes. A rotation, import or
        // destruction that read the shred keys of before must not be committed after this.
        let again = Write::Put {
            table: KEYS,
            key: row.uid.to_vec(),
            value: as_stored.value,
        };
        let mut writes = vec![mark.write(MARK)?, again];
        let wrapped = |(_, _, of): &&StoredVersion| of.is_wrapped();
        let (current, old): (Vec<_>, Vec<_>) = versions
            .iter()
            .filter(wrapped)
            .partition(|(_, _, of)| of.wrap_epoch == epoch);
        let kept: BTreeSet<_> = current.iter().map(|(_, _, of)| of.shred_id).collect();
        let before: BTreeSet<_> = old.iter().map(|(_, _, of)| of.shred_id).collect();
        let mut renamed = BTreeMap::new();
        let again = match self.wrap_again(row, &old, &mut renamed).await {
            Ok(again) => again,
            Err(error) => {
                self.abandon_shred_keys(row.uid(), renamed.values().map(ShredKey::id))
                    .await?;
                return Err(error);
            }
        };
        for (row_key, seq, material) in again {
            preconditions.push(Precondition::SeqIs {
                table: MATERIALS,
                key: row_key.clone(),
                seq,
            });
            writes.push(Write::Put {
                table: MATERIALS,
                key: row_key,
                value: material.encode()?,
            });
        }
        self.doomed().add(row.uid(), before.difference(&kept));
        if self.commit(preconditions, writes).await?.is_err() {
            self.abandon_shred_keys(row.uid(), renamed.values().map(ShredKey::id))
                .await?;
            return Ok(false);
        }
        self.destroy_shred_keys(before.difference(&kept).copied())
            .await?;
        Ok(true)
    }

    /// The versions wrapped again, each under the shred key of before by its new name, or under a new
    /// one, which is put into `renamed` as soon as there is a file of it.
    async fn wrap_again(
        &self,
        row: &KeyRow,
        old: &[&StoredVersion],
        renamed: &mut BTreeMap<[u8; 16], ShredKey>,
    ) -> Result<Vec<StoredVersion>, Error> {
        let mut again = Vec::with_capacity(old.len());
        for (row_key, seq, stored) in old {
            let version = row_key.last_chunk().map_or(0, |v| u32::from_be_bytes(*v));
            let id = match row.origin {
                Origin::AwsKms => stored.shred_id,
                Origin::External => IMPORTED,
            };
            let shred = if let Some(known) = renamed.remove(&id) {
                known
            } else {
                // Opened before a file is made of what cannot be used.
                self.check_material(row, version, stored)?;
                match row.origin {
                    Origin::AwsKms => self.renamed_shred_key(row.uid(), id).await?,
                    Origin::External => self.new_shred_key(row.uid()).await?,
                }
            };
            let material = self.rewrap_material(row, version, stored, &shred);
            renamed.insert(id, shred);
            again.push((row_key.clone(), *seq, material?));
        }
        Ok(again)
    }

    fn versions(&self, uid: KeyUid) -> Result<Vec<StoredVersion>, Error> {
        let rows = self.rows_of(MATERIALS, uid, usize::MAX)?;
        rows.into_iter()
            .map(|(key, row)| Ok((key, row.seq, MaterialRow::decode(uid, &row.value)?)))
            .collect()
    }

    fn count_keys(&self) -> Result<u64, Error> {
        let (mut count, mut after) = (0_u64, Vec::new());
        loop {
            let page = self.keys_after(&after)?;
            let Some(last) = page.last() else {
                return Ok(count);
            };
            after = last.0.to_vec();
            count = count.saturating_add(u64::try_from(page.len()).unwrap_or(0));
        }
    }

    fn keys_after(&self, after: &[u8]) -> Result<Vec<KeyUid>, Error> {
        let start = if after.is_empty() {
            Bound::Unbounded
        } else {
            Bound::Excluded(after)
        };
        let tables = self.store().tables();
        let rows = tables.scan(KEYS, start, Bound::Unbounded, KEYS_PER_SCAN, false)?;
        let uids = rows.iter().map(|(key, _)| {
            let uid = key.as_slice().try_into();
            uid.map(KeyUid).map_err(|_| Error::Corrupted {
                what: "key of a KMS key".to_owned(),
            })
        });
        uids.collect()
    }
}

/// Key of a row of material, the commit that wrote it, and the row.
type StoredVersion = (Vec<u8>, u64, MaterialRow);

/// Where runs remember how far they are.
pub const REWRAP_MARKS: TableId = TableId(7);
/// In the place of the shred keys of before, where all versions get one new one.
const IMPORTED: [u8; 16] = [0; 16];
const MARK: &str = "kms";
const KEYS_PER_SCAN: usize = 64;
const ATTEMPTS_MAX: usize = 16;

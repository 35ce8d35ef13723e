// SPDX-License-Identifier: Apache-2.0
//! Rows of an open upload, as every multipart operation finds them.

use std::collections::BTreeMap;
use std::ops::Bound;

use strongroom_format::SseMode;
use strongroom_store::{Batch, Precondition, Write};

use crate::authorize::{Action, Permit};
use crate::encryption::{self, WrapKey};
use crate::error::Error;
use crate::model::{ChecksumAlgorithm, ChecksumType, CustomerKey, ObjectName, Scope};
use crate::objects::{Bucket, Objects};
use crate::rows::{self, PartRowStored, UploadRow};
use crate::table_key::{self, PARTS, UPLOADS};

/// An open upload and where its row stands.
pub(crate) struct OpenUpload {
    pub table_key: Vec<u8>,
    pub row: UploadRow,
}

/// A part of an open upload and where its row stands.
pub(crate) struct OpenPart {
    pub table_key: Vec<u8>,
    pub row: PartRowStored,
    pub seq: u64,
}

impl OpenUpload {
    /// The upload must still be open. Its id is in the key of its row, and the row says the same
    /// for as long as it is there: only its object key may be wrapped again meanwhile.
    pub(crate) fn still_open(&self) -> Precondition {
        Precondition::Present {
            table: UPLOADS,
            key: self.table_key.clone(),
        }
    }

    /// The batch that ends the upload: its row and those of its parts go, if these are still all
    /// of its parts. A part that came in meanwhile would otherwise be left behind for ever.
    pub(crate) fn removal(&self, found: &[OpenPart]) -> Batch {
        let mut batch = Batch {
            preconditions: vec![self.still_open()],
            writes: vec![Write::Delete {
                table: UPLOADS,
                key: self.table_key.clone(),
            }],
        };
        let mut next = 0_u32;
        for part in found {
            let number = u32::from(part.row.part.part_number);
            batch
                .preconditions
                .extend(self.no_parts(next, Some(number)));
            batch.preconditions.push(Precondition::SeqIs {
                table: PARTS,
                key: part.table_key.clone(),
                seq: part.seq,
            });
            batch.writes.push(Write::Delete {
                table: PARTS,
                key: part.table_key.clone(),
            });
            next = number + 1;
        }
        batch.preconditions.extend(self.no_parts(next, None));
        batch
    }

    /// There are no parts from `first` up to but not including `end`.
    fn no_parts(&self, first: u32, end: Option<u32>) -> Option<Precondition> {
        let uid = &self.row.upload_uid;
        let key = |number: u32| u16::try_from(number).ok().map(|n| table_key::part(uid, n));
        if end == Some(first) {
            return None;
        }
        let end = match end {
            Some(end) => key(end)?,
            None => table_key::prefix_end(uid).unwrap_or_else(|| vec![0xFF; 17]),
        };
        Some(Precondition::RangeEmpty {
            table: PARTS,
            start: key(first)?,
            end,
        })
    }

    /// An SSE-C upload wants its key, the others want none.
    pub(crate) fn check_customer_key(&self, customer: Option<&CustomerKey>) -> Result<(), Error> {
        let mode = self.row.key.mode()?;
        if (mode == SseMode::C) != customer.is_some() {
            return Err(Error::MultipartEncryptionMissing);
        }
        encryption::check_customer_key(&self.row.key.sealed_record()?, customer).map_err(|error| {
            match error {
                Error::CustomerKeyWrong => Error::MultipartEncryptionMismatch,
                other => other,
            }
        })
    }

    /// Checksum algorithm that Create fixed.
    pub(crate) fn checksum_algorithm(&self) -> Result<Option<ChecksumAlgorithm>, Error> {
        self.row
            .checksum_algorithm
            .map(ChecksumAlgorithm::from_number)
            .transpose()
    }

    /// Checksum type that Create fixed.
    pub(crate) fn checksum_type(&self) -> ChecksumType {
        if self.row.composite {
            ChecksumType::Composite
        } else {
            ChecksumType::FullObject
        }
    }
}

impl Objects {
    /// Ask for `s3:PutObject` for a request that goes on with an upload: a part, a copy into one,
    /// its end. How the object will be sealed and stored was said when the upload was created, and
    /// that is what policies see, not headers that such a request may carry for nothing.
    pub(crate) fn authorize_part(
        &self,
        scope: Scope<'_>,
        bucket: &Bucket,
        object_key: &str,
        upload_id: &str,
    ) -> Result<Permit, Error> {
        // An upload that is not there said nothing; that it is not there is for the permitted. One
        // that was completed said what it said.
        let said = match parse_upload_id(upload_id) {
            None => BTreeMap::new(),
            Some(uid) => self
                .said_of_upload(bucket, object_key, &uid)?
                .unwrap_or_default(),
        };
        let conditions: Vec<_> = LASTING_CONDITIONS
            .iter()
            .filter_map(|name| Some((*name, said.get(*name)?.clone())))
            .collect();
        bucket.authorize_object_if(scope, Action::PutObject, object_key, &conditions)
    }

    /// The same for adapters that must answer 404 and 403 before they judge anything else; the
    /// operation itself asks again.
    pub fn admit_part(
        &self,
        scope: Scope<'_>,
        bucket: &str,
        object_key: &str,
        upload_id: &str,
    ) -> Result<(), Error> {
        ObjectName::parse(object_key)?;
        let bucket = self.bucket(bucket)?;
        self.authorize_part(scope, &bucket, object_key, upload_id)
            .map(drop)
    }

    fn said_of_upload(
        &self,
        bucket: &Bucket,
        object_key: &str,
        uid: &[u8; 16],
    ) -> Result<Option<BTreeMap<String, String>>, Error> {
        let open = self.upload_row(&table_key::upload(bucket.uid(), object_key, uid))?;
        if let Some(upload) = open {
            return Ok(Some(upload.conditions));
        }
        let found = self.find_completed(bucket, object_key, uid)?;
        Ok(found.and_then(|(_, row)| Some(row.completed?.conditions)))
    }

    fn upload_row(&self, table_key: &[u8]) -> Result<Option<UploadRow>, Error> {
        let found = self.tables().get(UPLOADS, table_key)?;
        found
            .map(|found| rows::decode(&found.value, "upload row"))
            .transpose()
    }

    /// Find an open upload by its id.
    pub(crate) fn find_upload(
        &self,
        permit: &Permit,
        bucket: &Bucket,
        object_key: &str,
        upload_id: &str,
    ) -> Result<OpenUpload, Error> {
        let actions = [
            Action::PutObject,
            Action::AbortMultipartUpload,
            Action::ListMultipartUploadParts,
        ];
        permit.covers(&actions, &bucket.name, object_key)?;
        let unknown = || Error::NoSuchUpload {
            upload_id: upload_id.to_owned(),
        };
        let uid = parse_upload_id(upload_id).ok_or_else(unknown)?;
        let table_key = table_key::upload(bucket.uid(), object_key, &uid);
        let row = self.upload_row(&table_key)?.ok_or_else(unknown)?;
        Ok(OpenUpload { table_key, row })
    }

    /// Parts of an open upload in order, from behind `after`.
    pub(crate) fn find_parts(
        &self,
        upload_uid: &[u8; 16],
        after: u16,
        limit: usize,
    ) -> Result<Vec<OpenPart>, Error> {
        let start = table_key::part(upload_uid, after);
        let end = table_key::prefix_end(upload_uid);
        let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let found = self
            .tables()
            .scan(PARTS, Bound::Excluded(&start), end, limit, false)?;
        found
            .into_iter()
            .map(|(table_key, row)| {
                let seq = row.seq;
                let row = rows::decode(&row.value, "part row")?;
                Ok(OpenPart {
                    table_key,
                    row,
                    seq,
                })
            })
            .collect()
    }

    /// Get back the key of an upload for one of its parts: an SSE-C upload wants its key with
    /// every part, the others want none.
    pub(crate) async fn reopen_upload(
        &self,
        scope: Scope<'_>,
        bucket: &Bucket,
        upload: &OpenUpload,
        customer: Option<CustomerKey>,
    ) -> Result<WrapKey, Error> {
        upload.check_customer_key(customer.as_ref())?;
        encryption::reopen(self, scope, bucket, &upload.row.key, customer).await
    }
}

/// What of a request's conditions holds for the whole upload that it creates.
pub(crate) fn lasting_conditions(said: &[(&'static str, String)]) -> BTreeMap<String, String> {
    said.iter()
        .filter(|(name, _)| LASTING_CONDITIONS.contains(name))
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect()
}

const LASTING_CONDITIONS: [&str; 4] = [
    "s3:x-amz-acl",
    "s3:x-amz-server-side-encryption",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "s3:x-amz-storage-class",
];

/// The id that clients see.
pub(crate) fn upload_id(uid: &[u8; 16]) -> String {
    hex::encode(uid)
}

/// The inverse of [`upload_id`]; one spelling only.
pub(crate) fn parse_upload_id(id: &str) -> Option<[u8; 16]> {
    let bytes: [u8; 16] = hex::decode(id).ok()?.try_into().ok()?;
    (upload_id(&bytes) == id).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upload_ids_have_one_spelling() {
        let id = upload_id(&[0xAB; 16]);
        assert_eq!(parse_upload_id(&id), Some([0xAB; 16]));
        for bad in [
            "",
            "ab",
            &id.to_uppercase(),
            &format!("{id}00"),
            "../../etc/passwd",
        ] {
            assert_eq!(parse_upload_id(bad), None, "{bad}");
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! UpdateObjectEncryption: another key around the object key, and nothing else.
//!
//! The object key is unwrapped with the key of now and wrapped under a new data key of the KMS key
//! to be, or under one from the bucket key of that, over a new BIND. That is one row; the body is
//! neither read nor written.

use strongroom_format::SseMode;
use strongroom_kms::S3Exchange;
use strongroom_store::{Batch, CommitError, Write};

use crate::authorize::Action;
use crate::encryption;
use crate::error::Error;
use crate::get_object_attributes::part_checksums;
use crate::model::{EncryptionRequest, ObjectName, Scope};
use crate::objects::{Bucket, Objects};
use crate::rewrap::is_damage;
use crate::rows::{
    self, ChecksumRow, PartTableRow, StoredPart, VersionEntry, VersionRow, context_from,
};
use crate::table_key::{PART_TABLES, VERSIONS};
use crate::version::Standing;
use crate::version_id::VersionId;

/// How often it starts again after the object was changed under it. Each try asks the key service.
const TRIES_MAX: usize = 8;

/// An UpdateObjectEncryption request: to SSE-KMS, there is nothing else.
#[derive(Debug)]
pub struct UpdateObjectEncryption {
    /// Bucket name.
    pub bucket: String,
    /// Object name.
    pub object_key: String,
    /// `None` for the current version.
    pub version_id: Option<VersionId>,
    /// The KMS key to be.
    pub key_arn: KmsKeyArn,
    /// Whether its key comes from a bucket key from then on.
    pub bucket_key: bool,
}

/// The ARN of a KMS key, right in form; no alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KmsKeyArn(String);

impl KmsKeyArn {
    /// Parse `arn:aws*:kms:region:account:key/id`, 20 to 2,048 characters.
    ///
    /// The id is kept in lower case, whichever case it came in: the key service takes both, and
    /// policies are to see one spelling.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let word = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let place = |text: &str| {
            let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            !text.is_empty() && text.bytes().all(allowed)
        };
        let account = |text: &str| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
        let fields: Vec<&str> = text.split(':').collect();
        let right = match fields.as_slice() {
            ["arn", partition, "kms", region, owner, resource] => {
                partition.strip_prefix("aws").is_some_and(word)
                    && place(region)
                    && account(owner)
                    && resource
                        .strip_prefix("key/")
                        .is_some_and(|id| !id.is_empty() && word(id))
            }
            _ => false,
        };
        match text.split_once(":key/") {
            Some((head, id)) if right && (20..=2048).contains(&text.len()) => {
                Ok(Self(format!("{head}:key/{}", id.to_ascii_lowercase())))
            }
            _ => Err(Error::InvalidKmsKeyArn),
        }
    }

    /// The ARN.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn account(&self) -> &str {
        self.0.split(':').nth(4).unwrap_or_default()
    }
}

impl Objects {
    /// Put a stored object under another KMS key.
    pub async fn update_object_encryption(
        &self,
        scope: Scope<'_>,
        input: UpdateObjectEncryption,
    ) -> Result<(), Error> {
        ObjectName::parse(&input.object_key)?;
        let bucket = self.bucket(&input.bucket)?;
        let conditions = [
            ("s3:x-amz-server-side-encryption", "aws:kms".to_owned()),
            (
                "s3:x-amz-server-side-encryption-aws-kms-key-id",
                input.key_arn.as_str().to_owned(),
            ),
        ];
        for action in [Action::PutObject, Action::UpdateObjectEncryption] {
            bucket.authorize_object_if(scope, action, &input.object_key, &conditions)?;
        }
        encryption::need_secure_transport(scope, SseMode::Kms)?;
        if input.key_arn.account() != bucket.row.owner_account {
            return Err(Error::KmsKeyOfAnotherAccount);
        }
        for _ in 0..TRIES_MAX {
            let (found, old) = self
                .version(&bucket, &input.object_key, input.version_id)
                .map_err(|error| bucket.hide(scope, error))?;
            let (parts, sums) = match self.parts_and_sums(&old) {
                Ok(read) => read,
                Err(error) if self.still_stands(&found)? => return Err(error),
                Err(_) => continue,
            };
            let changed = self
                .under_another_key(scope, &bucket, &input, &old, (&parts, sums.as_ref()))
                .await;
            let (row, mut writes) = match changed {
                Ok(changed) => changed,
                // Another one was faster, and what was read of the object is of two times.
                Err(error) if is_damage(&error) && !self.still_stands(&found)? => continue,
                Err(error) => return Err(error),
            };
            writes.push(Write::Put {
                table: VERSIONS,
                key: found.table_key.clone(),
                value: rows::encode(&VersionEntry::Object(Box::new(row)))?,
            });
            let batch = Batch {
                preconditions: vec![found.stands()],
                writes,
            };
            match self.tables().commit(batch).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Precondition { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::ConditionalConflict)
    }

    /// The row of a version with its object key under a new data key, and what else changes with
    /// it.
    async fn under_another_key(
        &self,
        scope: Scope<'_>,
        bucket: &Bucket,
        input: &UpdateObjectEncryption,
        old: &VersionRow,
        (parts, sums): (&[StoredPart], Option<&ChecksumRow>),
    ) -> Result<(VersionRow, Vec<Write>), Error> {
        let name = input.object_key.as_str();
        let record = old.key.sealed_record()?;
        let refused = |mode| Err(Error::EncryptionNotChangeable { mode });
        let old_context = old.key.kms_context()?;
        let source = match record.mode() {
            SseMode::S3 => None,
            SseMode::Kms => Some((old.key.kms_arn.as_str(), &old_context)),
            SseMode::C => return refused("SSE-C"),
            SseMode::Dsse => return refused("DSSE-KMS"),
        };
        let pairs = encryption::without_arn(&old.key.caller_context);
        let context = encryption::whole_context(&pairs, &bucket.name, name, input.bucket_key)?;
        let exchange = S3Exchange {
            source,
            target: input.key_arn.as_str(),
            context: &context,
        };
        self.kms()
            .permit_exchange_for_s3(scope.caller, scope.receipt, exchange)
            .await?;
        let flags = record.flags();
        let present = encryption::open(self, scope, bucket, &old.key, record, None).await?;
        let oek = encryption::unwrap_version(self, &present, bucket, name, old, parts)?;
        let request = EncryptionRequest::Kms {
            key_id: Some(input.key_arn.as_str().to_owned()),
            context: context_from(&pairs)?,
            bucket_key: Some(input.bucket_key),
        };
        let resolved = encryption::resolve(self, scope, bucket, name, request)?;
        let wrap_key = encryption::begin(self, scope, bucket, name, resolved).await?;
        let mut row = old.clone();
        row.key = wrap_key.row();
        row.older_bodies = true;
        // What SSE-S3 keeps in clear would tell who may not use the key what the object is.
        let odi = row.object_data_id();
        if let Some(sum) = encryption::open_checksum(old, &oek)? {
            let sealed = encryption::seal_checksum(wrap_key.mode(), &oek, &odi, &sum)?;
            row.checksum = Some(sealed);
        }
        let mut writes = Vec::new();
        if let Some(sums) = part_checksums(old, sums, &oek)? {
            let sealed = encryption::seal_part_checksums(wrap_key.mode(), &oek, &odi, &sums)?;
            let table = PartTableRow {
                parts: parts.to_vec(),
                checksums: Some(sealed),
            };
            writes.push(Write::Put {
                table: PART_TABLES,
                key: row.version_uid.to_vec(),
                value: rows::encode(&table)?,
            });
        }
        let bind = encryption::bind_version(self, bucket, name, &row, parts)?;
        wrap_key.wrap(&oek, &bind, flags, &mut row.key)?;
        Ok((row, writes))
    }

    fn still_stands(&self, found: &Standing) -> Result<bool, Error> {
        let now = self.tables().get(VERSIONS, &found.table_key)?;
        Ok(now.is_some_and(|row| row.seq == found.seq))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_of_kms_keys_and_nothing_else() {
        let id = "11112222-3333-4444-5555-666677778888";
        for good in [
            format!("arn:aws:kms:us-east-1:000000000000:key/{id}"),
            format!("arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/{id}"),
            "arn:aws:kms:eu-central-1:123456789012:key/mrk-0123456789abcdef0123456789abcdef"
                .to_owned(),
        ] {
            let arn = KmsKeyArn::parse(&good).unwrap();
            assert_eq!(arn.as_str(), good);
            assert_eq!(arn.account().len(), 12);
        }
        let upper = format!(
            "arn:aws:kms:us-east-1:000000000000:key/{}",
            id.to_uppercase()
        );
        let lower = format!("arn:aws:kms:us-east-1:000000000000:key/{id}");
        assert_eq!(KmsKeyArn::parse(&upper).unwrap().as_str(), lower);
        for bad in [
            "",
            id,
            "alias/a",
            "arn:aws:kms:us-east-1:000000000000:alias/a",
            "arn:aws:kms:us-east-1:000000000000:key/",
            "arn:aws:kms:us-east-1:000000000000:key/a/b",
            "arn:aws:kms:us-east-1:000000000000:key/a:b",
            "arn:aws:kms:us-east-1:000000000000:key/a ",
            " arn:aws:kms:us-east-1:000000000000:key/a",
            "arn:aws:kms:us-east-1:00000000000:key/a",
            "arn:aws:kms:us-east-1:00000000000a:key/a",
            "arn:aws:kms::000000000000:key/a",
            "arn:aws:kms:US-EAST-1:000000000000:key/a",
            "arn:aws:s3:us-east-1:000000000000:key/a",
            "arn:gcp:kms:us-east-1:000000000000:key/a",
            "ARN:aws:kms:us-east-1:000000000000:key/a",
            "arn:aws:kms:us-east-1:000000000000:key/\u{fc}",
        ] {
            assert!(KmsKeyArn::parse(bad).is_err(), "{bad}");
        }
        let long = format!(
            "arn:aws:kms:us-east-1:000000000000:key/{}",
            "a".repeat(2048)
        );
        assert!(KmsKeyArn::parse(&long).is_err());
    }
}

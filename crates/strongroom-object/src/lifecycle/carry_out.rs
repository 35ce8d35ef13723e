// SPDX-License-Identifier: Apache-2.0
//! What is due, done: one commit that holds only if everything still is as it was found, and one
//! event of it.
//!
//! Keys are not touched: deletes take the wrapped key away with its row, and another class leaves
//! record, sealed bytes and BIND as they are (`move_version.rs`).

use serde_json::{Map, Value, json};
use strongroom_audit::{Category, Durability, EventDetail, EventSource, Receipt, Resource};
use strongroom_store::Precondition;

use super::due::Act;
use super::move_version::{Moves, Name};
use super::worker::LifecycleReport;
use crate::authorize::{RuleAction, permit_rule};
use crate::error::Error;
use crate::objects::{Bucket, Objects};
use crate::storage_class::StorageClass;
use crate::table_key::{self, VERSIONS, object_prefix, prefix_end};
use crate::version::{Changed, Found, nothing_newer};
use crate::version_id::VersionId;

/// An act on a version that a rule was held against.
pub(super) struct Task {
    pub name: String,
    pub found: Found,
    /// The newest row of the name, where that is another: as long as it is there, this one is
    /// noncurrent.
    pub newest_key: Option<Vec<u8>>,
    pub act: Act,
    pub rule_id: String,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    Expired,
    /// With its id.
    MarkerMade(VersionId),
    MarkerRemoved,
    VersionRemoved,
    Moved(StorageClass),
    Aborted,
    /// Somebody else came first: the next pass looks again.
    Nothing,
}

impl Done {
    /// Its event, and S3's name for it in access logs.
    fn names(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::Expired | Self::VersionRemoved | Self::MarkerRemoved => {
                ("ExpireObject", "S3.EXPIRE.OBJECT")
            }
            Self::MarkerMade(_) => ("CreateDeleteMarker", "S3.CREATE.DELETEMARKER"),
            Self::Moved(class) => {
                let operation = match class {
                    StorageClass::StandardIa => "S3.TRANSITION_SIA.OBJECT",
                    StorageClass::OneZoneIa => "S3.TRANSITION_ZIA.OBJECT",
                    StorageClass::DeepArchive => "S3.TRANSITION_GDA.OBJECT",
                    StorageClass::Standard | StorageClass::Glacier => "S3.TRANSITION.OBJECT",
                };
                ("TransitionObject", operation)
            }
            Self::Aborted => ("DeleteUpload", "S3.DELETE.UPLOAD"),
            Self::Nothing => return None,
        })
    }

    pub(super) fn count(self, report: &mut LifecycleReport) {
        let counter = match self {
            Self::Expired => &mut report.expired,
            Self::MarkerMade(_) => &mut report.markers_made,
            Self::MarkerRemoved => &mut report.markers_removed,
            Self::VersionRemoved => &mut report.versions_removed,
            Self::Moved(_) => &mut report.moved,
            Self::Aborted => &mut report.uploads_aborted,
            Self::Nothing => return,
        };
        *counter = counter.saturating_add(1);
    }
}

impl Objects {
    /// Do what is due for a version, and record it.
    pub(super) async fn carry_out(
        &self,
        receipt: &Receipt,
        bucket: &Bucket,
        moves: &Moves,
        task: Task,
    ) -> Result<Done, Error> {
        let name = &task.name;
        let prefix = object_prefix(bucket.uid(), name);
        let done = match task.act {
            Act::Expire => {
                let permit = permit_rule(RuleAction::Expire, &bucket.name, name);
                let changed = self.expire_name(&permit, bucket, name, &task.found);
                match changed.await? {
                    None => Done::Nothing,
                    Some(Changed { id: None }) => Done::Expired,
                    Some(Changed { id: Some(marker) }) => Done::MarkerMade(marker),
                }
            }
            Act::RemoveMarker => {
                let older = Precondition::RangeEmpty {
                    table: VERSIONS,
                    start: [task.found.table_key.as_slice(), &[0]].concat(),
                    end: prefix_end(&prefix).unwrap_or_default(),
                };
                let alone = vec![nothing_newer(&prefix, &task.found), older];
                self.remove(bucket, &task, alone, Done::MarkerRemoved)
                    .await?
            }
            Act::RemoveVersion => {
                let newest = task
                    .newest_key
                    .clone()
                    .ok_or(Error::Internal("a noncurrent version without a newer one"))?;
                let noncurrent = vec![Precondition::Present {
                    table: VERSIONS,
                    key: newest,
                }];
                self.remove(bucket, &task, noncurrent, Done::VersionRemoved)
                    .await?
            }
            Act::Move(class) => {
                let object_key = name;
                let name = Name { bucket, object_key };
                self.move_version(moves, name, &task.found, class).await?
            }
        };
        let version = match done {
            Done::Expired => None,
            Done::MarkerMade(marker) => Some(marker),
            _ => bucket.shown_id(task.found.id()),
        };
        let mut parameters = Map::new();
        parameters.insert("bucketName".to_owned(), bucket.name.as_str().into());
        parameters.insert("key".to_owned(), name.as_str().into());
        if let Some(version) = version {
            parameters.insert("versionId".to_owned(), version.to_string().into());
        }
        if let Done::Moved(class) = done {
            parameters.insert("storageClass".to_owned(), class.name().into());
        }
        let parameters = Value::Object(parameters);
        record(receipt, bucket, name, done, parameters, &task.rule_id).await?;
        Ok(done)
    }

    async fn remove(
        &self,
        bucket: &Bucket,
        task: &Task,
        also: Vec<Precondition>,
        done: Done,
    ) -> Result<Done, Error> {
        let permit = permit_rule(RuleAction::RemoveVersion, &bucket.name, &task.name);
        let removed = self
            .expire_version(&permit, bucket, &task.name, &task.found, also)
            .await?;
        Ok(if removed { done } else { Done::Nothing })
    }

    /// Abort an upload that stayed open too long, and record it.
    pub(super) async fn abort_by_rule(
        &self,
        receipt: &Receipt,
        bucket: &Bucket,
        name: &str,
        upload_id: &str,
        rule_id: &str,
    ) -> Result<Done, Error> {
        let permit = permit_rule(RuleAction::AbortUpload, &bucket.name, name);
        let done = match self.abort_upload(&permit, bucket, name, upload_id).await {
            Ok(()) => Done::Aborted,
            Err(Error::NoSuchUpload { .. }) => Done::Nothing,
            Err(error) => return Err(error),
        };
        let parameters = json!({ "bucketName": bucket.name, "key": name, "uploadId": upload_id });
        record(receipt, bucket, name, done, parameters, rule_id).await?;
        Ok(done)
    }
}

/// The event of an act, on the drive before the next page is looked at.
async fn record(
    receipt: &Receipt,
    bucket: &Bucket,
    name: &str,
    done: Done,
    parameters: Value,
    rule_id: &str,
) -> Result<(), Error> {
    let Some((event_name, operation)) = done.names() else {
        return Ok(());
    };
    let mut detail = EventDetail::new(EventSource::S3, event_name, Category::Data, false);
    detail.is_service_event = true;
    detail.request_parameters = parameters;
    detail.additional = json!({ "operation": operation, "lifecycleRule": rule_id });
    detail.resources = vec![
        Resource {
            type_name: "AWS::S3::Object",
            arn: format!("arn:aws:s3:::{}/{name}", bucket.name),
        },
        Resource {
            type_name: "AWS::S3::Bucket",
            arn: format!("arn:aws:s3:::{}", bucket.name),
        },
    ];
    receipt.record(detail, Durability::Durable).await?;
    Ok(())
}

/// The name in a row's key, for reports of rows that cannot be read.
pub(super) fn name_of(key: &[u8]) -> String {
    let name = table_key::split_object_key(key).map(|(name, _)| name);
    name.unwrap_or_default()
}

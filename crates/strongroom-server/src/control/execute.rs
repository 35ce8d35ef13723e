// SPDX-License-Identifier: Apache-2.0
//! What the commands do, in the process that has the store open.

use serde_json::json;
use strongroom_iam::Access;
use strongroom_object::{Inspection, Scope};

use super::{
    AccessKey, Answer, ListedUser, Progress, Request, backup, drive, kms, rewrap, root, scrub,
    verify,
};
use crate::error::Error;
use crate::start::Rooms;

#[expect(clippy::too_many_lines, reason = "one arm for each request")]
pub(crate) async fn execute(
    rooms: &Rooms,
    request: &Request,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Answer, Error> {
    // The operator acts as the root user and is audited as such.
    let caller = rooms.operator()?;
    let receipt = rooms.audit.begin(caller.facts().clone());
    match request {
        Request::RootCredential {} => {
            rooms.finish(receipt, "GetRootCredential").await?;
            let root = &rooms.root;
            let key = AccessKey::new(root.access_key_id.clone(), &root.secret_access_key);
            Ok(Answer::Credential(key))
        }
        Request::UserAdd { name, policy } => {
            let made = rooms
                .iam
                .add_user_with_policy(receipt, name, policy.as_deref())
                .await
                .map_err(refused)?;
            let access_key = AccessKey::new(made.access_key_id, &made.secret);
            Ok(Answer::UserAdded {
                name: made.user.name,
                arn: made.user.arn,
                access_key,
            })
        }
        Request::UserList {} => {
            let users = rooms.iam.list_users(receipt).await.map_err(refused)?;
            let listed = users.into_iter().map(|user| ListedUser {
                created: date(user.created_ms),
                access: match user.access {
                    Access::Full => "full access",
                    Access::Policy => "policy",
                    Access::Damaged => "nothing: its policy is damaged",
                }
                .to_owned(),
                access_key_ids: user
                    .access_keys
                    .into_iter()
                    .map(|k| k.access_key_id)
                    .collect(),
                name: user.name,
                arn: user.arn,
            });
            Ok(Answer::Users(listed.collect()))
        }
        Request::UserPolicy { name } => {
            let found = rooms.iam.user_policy(receipt, name).await;
            Ok(Answer::UserPolicy(found.map_err(refused)?))
        }
        Request::UserPolicySet { name, policy } => {
            let set = rooms.iam.set_user_policy(receipt, name, policy).await;
            set.map_err(refused)?;
            Ok(Answer::UserPolicySet {})
        }
        Request::UserPolicyRemove { name } => {
            let removed = rooms.iam.remove_user_policy(receipt, name).await;
            removed.map_err(refused)?;
            Ok(Answer::UserPolicyRemoved {})
        }
        Request::UserRemove { name } => {
            rooms
                .iam
                .remove_user(receipt, name)
                .await
                .map_err(refused)?;
            Ok(Answer::UserRemoved {})
        }
        Request::InspectObject { bucket, object_key } => {
            let found = rooms.objects.inspect(bucket, object_key).await;
            rooms.finish(receipt, "InspectObject").await?;
            Ok(Answer::Inspection(shown(found.map_err(refused)?)))
        }
        Request::Verify {} => {
            let scope = Scope {
                caller: &caller,
                receipt: &receipt,
            };
            let found = verify::verify(rooms, scope, progress).await;
            rooms.finish(receipt, "VerifyStore").await?;
            Ok(Answer::Verification(found?))
        }
        Request::KmsList {} => {
            rooms.finish(receipt, "ListKmsKeys").await?;
            kms::list(rooms)
        }
        Request::KmsImpact { key } => {
            let found = kms::impact(rooms, key, progress).await;
            rooms.finish(receipt, "KmsKeyImpact").await?;
            found
        }
        Request::KmsDestruction { key } => {
            let found = kms::destruction(rooms, key).await;
            rooms.finish(receipt, "VerifyKeyDestroyed").await?;
            found
        }
        Request::KmsClock { confirm } => {
            let name = if *confirm {
                "ConfirmClock"
            } else {
                "ShowClock"
            };
            rooms.finish(receipt, name).await?;
            kms::clock(rooms, *confirm).await
        }
        Request::Rewrap {} => {
            let rewrapped = rewrap::rewrap(rooms, progress).await;
            rooms.finish(receipt, "RewrapKeys").await?;
            rewrapped
        }
        Request::RewrapBucket {
            bucket,
            prefix,
            to,
            dry_run,
        } => {
            let asked = rewrap::Asked {
                bucket,
                prefix,
                to,
                dry_run: *dry_run,
            };
            rewrap::bucket(rooms, &caller, receipt, asked, progress).await
        }
        Request::Drive { act } => {
            let done = drive::execute(rooms, act).await;
            let name = match act {
                drive::DriveRequest::Add { .. } => "AddDrive",
                drive::DriveRequest::Drain { cancel: false, .. } => "DrainDrive",
                drive::DriveRequest::Drain { cancel: true, .. } => "KeepDrive",
                drive::DriveRequest::Remove { .. } => "RemoveDrive",
                drive::DriveRequest::Replace { .. } => "ReplaceDrive",
            };
            rooms
                .finish_asked(receipt, name, drive::asked(act), &done)
                .await?;
            done
        }
        Request::Status {} => {
            rooms.finish(receipt, "GetStoreStatus").await?;
            drive::status(rooms).await
        }
        Request::BackupMetadata { file } => backup::metadata(rooms, receipt, file, progress).await,
        Request::FinishRestore {} => {
            let finished = backup::finish_restore(rooms).await;
            let nothing = serde_json::Value::Null;
            rooms
                .finish_asked(receipt, "FinishRestore", nothing, &finished)
                .await?;
            finished
        }
        Request::Root { act } => root::execute(rooms, receipt, act).await,
        Request::ScrubStatus {} => {
            rooms.finish(receipt, "ShowScrub").await?;
            scrub::status(rooms)
        }
        Request::ScrubStart {} => {
            rooms.finish(receipt, "StartScrub").await?;
            scrub::start(rooms, progress).await
        }
    }
}

pub(super) fn refused<E: std::fmt::Display>(error: E) -> Error {
    Error::Refused(error.to_string())
}

fn shown(found: Inspection) -> serde_json::Value {
    let context: serde_json::Map<String, serde_json::Value> = found
        .encryption_context
        .into_iter()
        .map(|(name, value)| (name, value.into()))
        .collect();
    let parts: Vec<_> = found
        .parts
        .into_iter()
        .map(|part| {
            json!({
                "part_number": part.part_number,
                "plain_bytes": part.plain_bytes,
                "sealed_bytes": part.sealed_bytes,
                "segments": part.segments,
                "place": if part.files.is_empty() { "tables" } else { "files" },
                "files": part.files,
            })
        })
        .collect();
    json!({
        "bucket": found.bucket,
        "object_key": found.object_key,
        "size": found.size,
        "etag": found.etag,
        "created": date(found.created_ms),
        "format": {
            "body": format!(
                "FLOE, AES-256-GCM, segments of {} bytes",
                strongroom_format::SEGMENT_PLAIN_BYTES
            ),
            "sealed_key_record": "OSK1",
            "sealed_key_record_bytes": found.record_bytes,
            "outer_sealed_key_record_bytes": found.outer_record_bytes,
            "layers": if found.outer_record_bytes.is_some() { 2 } else { 1 },
            "object_data_id": found.object_data_id,
        },
        "encryption": {
            "mode": found.mode,
            "kms_key_arn": if found.kms_key_arn.is_empty() { None } else { Some(found.kms_key_arn) },
            "bucket_key": found.bucket_key,
            "encryption_context": context,
        },
        "multipart": found.multipart,
        "parts": parts,
    })
}

/// RFC 3339, in UTC.
pub(crate) fn date(unix_ms: u64) -> String {
    i64::try_from(unix_ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map_or_else(|| "unknown".to_owned(), |at| at.to_string())
}

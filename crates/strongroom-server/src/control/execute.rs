// SPDX-License-Identifier: Apache-2.0
//! What the commands do, in the process that has the store open.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::{Access, User};
use strongroom_object::{Inspection, Scope, VersionId};

use super::deed::Deed;
use super::{
    AccessKey, Answer, ListedUser, Progress, Request, backup, drive, kms, rewrap, root, scrub,
    verify,
};
use crate::error::Error;
use crate::start::Rooms;

/// Carries a command out, and records it: what was asked before, what became of it after.
pub(crate) async fn execute(
    rooms: &Rooms,
    request: &Request,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Answer, Error> {
    // The operator acts as the root user and is audited as such.
    let caller = rooms.operator()?;
    let receipt = rooms.audit.begin(caller.facts().clone());
    let deed = Deed::of(request);
    deed.announce(&receipt).await?;
    if is_of_users(request) {
        return users(rooms, receipt, request).await;
    }
    let scope = Scope {
        caller: &caller,
        receipt: &receipt,
    };
    let done = act(rooms, scope, request, progress).await;
    deed.end(receipt, &done).await?;
    done
}

async fn act(
    rooms: &Rooms,
    scope: Scope<'_>,
    request: &Request,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Answer, Error> {
    match request {
        Request::RootCredential {} => {
            let root = &rooms.root;
            let key = AccessKey::new(root.access_key_id.clone(), &root.secret_access_key);
            Ok(Answer::Credential(key))
        }
        Request::InspectObject {
            bucket,
            object_key,
            version_id,
        } => {
            let version_id = version_id.as_deref().map(version_named).transpose()?;
            let found = rooms.objects.inspect(bucket, object_key, version_id).await;
            Ok(Answer::Inspection(shown(found.map_err(refused)?)))
        }
        Request::Verify {} => {
            let found = verify::verify(rooms, scope, progress).await;
            found.map(Answer::Verification)
        }
        Request::KmsList {} => kms::list(rooms),
        Request::KmsImpact { key } => kms::impact(rooms, key, progress).await,
        Request::KmsDestruction { key } => kms::destruction(rooms, key).await,
        Request::KmsClock { confirm } => kms::clock(rooms, *confirm).await,
        Request::Rewrap {} => rewrap::rewrap(rooms, progress).await,
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
            rewrap::bucket(rooms, scope, asked, progress).await
        }
        Request::Drive { act } => drive::execute(rooms, act).await,
        Request::Status {} => drive::status(rooms).await,
        Request::BackupMetadata { file } => backup::metadata(rooms, file, progress).await,
        Request::FinishRestore {} => backup::finish_restore(rooms).await,
        Request::Root { act } => root::execute(rooms, act).await,
        Request::ScrubStatus {} => scrub::status(rooms),
        Request::ScrubStart {} => scrub::start(rooms, progress).await,
        Request::UserAdd { .. }
        | Request::UserList {}
        | Request::UserPolicy { .. }
        | Request::UserPolicySet { .. }
        | Request::UserPolicyRemove { .. }
        | Request::UserRemove { .. } => {
            Err(Error::Refused("users are recorded elsewhere".to_owned()))
        }
    }
}

fn is_of_users(request: &Request) -> bool {
    matches!(
        request,
        Request::UserAdd { .. }
            | Request::UserList {}
            | Request::UserPolicy { .. }
            | Request::UserPolicySet { .. }
            | Request::UserPolicyRemove { .. }
            | Request::UserRemove { .. }
    )
}

/// Commands on users: `strongroom-iam` records how they end.
async fn users(rooms: &Rooms, receipt: Receipt, request: &Request) -> Result<Answer, Error> {
    match request {
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
            Ok(Answer::Users(users.into_iter().map(listed).collect()))
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
        _ => Err(Error::Refused("this is no command on users".to_owned())),
    }
}

fn listed(user: User) -> ListedUser {
    ListedUser {
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
    }
}

pub(super) fn refused<E: std::fmt::Display>(error: E) -> Error {
    Error::Refused(error.to_string())
}

fn version_named(text: &str) -> Result<VersionId, Error> {
    VersionId::parse(text).ok_or_else(|| {
        Error::Config(format!(
            "`{text}` is no version id: `aws s3api list-object-versions` shows those of an object"
        ))
    })
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
        "version_id": found.version_id.map(|id| id.to_string()),
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

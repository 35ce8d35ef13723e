// SPDX-License-Identifier: Apache-2.0
//! What the audit log says of a command.
//!
//! ```text
//!   BeginCommand {command, what was asked}  durable --> the act --> COMMAND {what was asked}, its error
//!                        \--------------- one requestID ---------------/
//! ```
//!
//! INVARIANT: nothing is changed, and no secret is read, before the first line is durable: an act that
//! was cut off (a crash, a client that hung up, a log that is out of service) has that line and not the
//! second. What only looks at the state, and at once, has the second alone; how the store is told even if
//! there is no line. The second line of commands on users is the event of IAM, by `strongroom-iam`.

use serde_json::{Value, json};
use strongroom_audit::{
    Category, Durability, EventDetail, EventError, EventSource, Receipt, Resource,
};

use super::drive::DriveRequest;
use super::{Answer, Request, RootRequest};
use crate::error::Error;

/// A command that this crate records.
#[derive(Debug)]
pub(crate) struct Deed {
    name: &'static str,
    asked: Value,
    resources: Vec<Resource>,
    read_only: bool,
    /// Recorded before it is done, too.
    is_announced: bool,
    /// Answered even if it cannot be recorded.
    is_told_regardless: bool,
}

impl Deed {
    /// What changes something, or hands out something.
    pub(crate) fn act(name: &'static str, asked: Value) -> Self {
        Self {
            name,
            asked,
            resources: Vec::new(),
            read_only: false,
            is_announced: true,
            is_told_regardless: false,
        }
    }

    /// What reads for long, or much.
    fn long_look(name: &'static str, asked: Value) -> Self {
        Self {
            read_only: true,
            ..Self::act(name, asked)
        }
    }

    fn look(name: &'static str) -> Self {
        Self {
            is_announced: false,
            ..Self::long_look(name, Value::Null)
        }
    }

    /// How the store is: an operator asks when something is broken, and most of all when the audit log is.
    /// It says nothing of what is stored, nor of keys and users.
    fn health(name: &'static str) -> Self {
        Self {
            is_told_regardless: true,
            ..Self::look(name)
        }
    }

    /// What a request is to the log. How a command on users ends is recorded by `strongroom-iam`.
    pub(super) fn of(request: &Request) -> Self {
        match request {
            Request::UserAdd { name, policy } => Self::act(
                "AddUser",
                json!({ "userName": name, "policyDocument": policy }),
            ),
            Request::UserList {} => Self::look("ListUsers"),
            Request::UserPolicy { .. } => Self::look("ShowUserPolicy"),
            Request::UserPolicySet { name, policy } => Self::act(
                "SetUserPolicy",
                json!({ "userName": name, "policyDocument": policy }),
            ),
            Request::UserPolicyRemove { name } => {
                Self::act("RemoveUserPolicy", json!({ "userName": name }))
            }
            Request::UserRemove { name } => Self::act("RemoveUser", json!({ "userName": name })),
            Request::RootCredential {} => Self::act("GetRootCredential", Value::Null),
            Request::InspectObject {
                bucket,
                object_key,
                version_id,
            } => Self::long_look(
                "InspectObject",
                match version_id {
                    None => json!({ "bucketName": bucket, "key": object_key }),
                    Some(id) => {
                        json!({ "bucketName": bucket, "key": object_key, "versionId": id })
                    }
                },
            ),
            Request::Verify {} => Self::long_look("VerifyStore", Value::Null),
            Request::KmsList {} => Self::look("ListKmsKeys"),
            Request::KmsImpact { key } => Self::long_look("KmsKeyImpact", json!({ "keyId": key })),
            Request::KmsDestruction { key } => {
                Self::long_look("VerifyKeyDestroyed", json!({ "keyId": key }))
            }
            Request::KmsClock { confirm: false } => Self::look("ShowClock"),
            Request::KmsClock { confirm: true } => Self::act("ConfirmClock", Value::Null),
            Request::Rewrap {} => Self::act("RewrapKeys", Value::Null),
            Request::RewrapBucket {
                bucket,
                prefix,
                to,
                dry_run,
            } => Self {
                read_only: *dry_run,
                resources: vec![Resource {
                    type_name: "AWS::S3::Bucket",
                    arn: format!("arn:aws:s3:::{bucket}"),
                }],
                ..Self::act(
                    "RewrapBucket",
                    json!({
                        "bucketName": bucket,
                        "prefix": prefix,
                        "keyId": to,
                        "dryRun": dry_run,
                    }),
                )
            },
            Request::BackupMetadata { file } => Self::long_look(
                "BackupMetadata",
                json!({ "file": file.display().to_string() }),
            ),
            Request::FinishRestore {} => Self::act("FinishRestore", Value::Null),
            Request::Root { act } => Self::of_root(act),
            Request::Drive { act } => Self::of_drive(act),
            Request::Status {} => Self::health("GetStoreStatus"),
            Request::ScrubStatus {} => Self::health("ShowScrub"),
            Request::ScrubStart {} => Self::act("StartScrub", Value::Null),
        }
    }

    fn of_root(act: &RootRequest) -> Self {
        match act {
            RootRequest::Show {} => Self::look("ShowRoot"),
            RootRequest::Rotate { domain, sse_s3 } => Self::act(
                "RotateKeyring",
                json!({ "domain": domain, "sseS3": sse_s3 }),
            ),
            RootRequest::Rekey { to } => Self::act("RekeyRoot", json!({ "to": to.describe() })),
            RootRequest::Escrow { threshold, shares } => Self::act(
                "EscrowRecoveryKey",
                json!({ "threshold": threshold, "shares": shares }),
            ),
            // Of the shares, how many there were.
            RootRequest::Recover { shares, to } => Self::act(
                "RecoverRoot",
                json!({ "shares": shares.len(), "to": to.describe() }),
            ),
        }
    }

    fn of_drive(act: &DriveRequest) -> Self {
        let (name, asked) = match act {
            DriveRequest::Add { facility, place } => {
                ("AddDrive", json!({ "facility": facility, "place": place }))
            }
            DriveRequest::Drain { number, cancel } => {
                let name = if *cancel { "KeepDrive" } else { "DrainDrive" };
                (name, json!({ "drive": number }))
            }
            DriveRequest::Remove { number } => ("RemoveDrive", json!({ "drive": number })),
            DriveRequest::Replace {
                facility,
                place,
                number,
                accept_loss,
            } => (
                "ReplaceDrive",
                json!({
                    "facility": facility,
                    "place": place,
                    "drive": number,
                    "acceptLoss": accept_loss,
                }),
            ),
        };
        Self::act(name, asked)
    }

    /// Records that it is about to be done. Where that fails, it is not done.
    pub(crate) async fn announce(&self, receipt: &Receipt) -> Result<(), Error> {
        if !self.is_announced {
            return Ok(());
        }
        let mut detail = self.detail("BeginCommand");
        detail.request_parameters = match &self.asked {
            Value::Object(asked) => {
                let mut asked = asked.clone();
                asked.insert("command".to_owned(), self.name.into());
                Value::Object(asked)
            }
            _ => json!({ "command": self.name }),
        };
        let recorded = receipt.record(detail, Durability::Durable).await;
        recorded.map(drop).map_err(not_recorded)
    }

    /// Records what became of it.
    pub(crate) async fn end<T: Outcome>(
        self,
        receipt: Receipt,
        done: &Result<T, Error>,
    ) -> Result<(), Error> {
        let mut detail = self.detail(self.name);
        detail.response_elements = done.as_ref().map_or(Value::Null, Outcome::shown);
        detail.error = done.as_ref().err().map(|error| EventError {
            code: format!("{}Failed", self.name),
            message: error.to_string(),
        });
        detail.request_parameters = self.asked;
        match receipt.finish(detail, Durability::Durable).await {
            Err(error) if self.is_told_regardless => {
                tracing::warn!(command = self.name, %error, "the audit log has no line of this command");
                Ok(())
            }
            recorded => recorded.map(drop).map_err(not_recorded),
        }
    }

    fn detail(&self, name: &'static str) -> EventDetail {
        let category = Category::Management;
        EventDetail {
            resources: self.resources.clone(),
            ..EventDetail::new(EventSource::Strongroom, name, category, self.read_only)
        }
    }
}

/// What an act came to, as far as the log says it.
pub(crate) trait Outcome {
    /// Without secrets; `Null` if there is nothing to say.
    fn shown(&self) -> Value;
}

impl Outcome for () {
    fn shown(&self) -> Value {
        Value::Null
    }
}

/// For what ends before the store is open.
impl Outcome for Value {
    fn shown(&self) -> Value {
        self.clone()
    }
}

impl Outcome for Answer {
    fn shown(&self) -> Value {
        match self {
            Self::BackedUp(made) => json!({
                "backupId": made.backup_id,
                "rows": made.rows,
                "lastCommit": made.seq,
            }),
            Self::RewrappedBucket(found) => json!({
                "keyId": found.key_arn,
                "versions": found.seen,
                "rewrapped": found.rewrapped,
                "current": found.current,
                "left": found.left.total,
            }),
            Self::Drive { number, replaces } => json!({ "drive": number, "replaces": replaces }),
            Self::RestoreFinished { was_restored } => json!({ "wasRestored": was_restored }),
            Self::Verification(found) => json!({
                "objects": found.objects,
                "damaged": found.damaged.total,
                "unreferred": found.unreferred.total,
            }),
            // What was handed out or shown is not for the log.
            _ => Value::Null,
        }
    }
}

fn not_recorded(error: strongroom_audit::Error) -> Error {
    Error::room("cannot write the audit log")(error)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use zeroize::Zeroizing;

    use super::*;
    use crate::root_key::source::RootSource;

    fn of(request: &Request) -> Deed {
        Deed::of(request)
    }

    /// With the audit log out of service users were made, given everything and removed, and the
    /// answer was that nothing could be recorded.
    #[test]
    fn changes_of_users_are_announced_with_what_was_asked() {
        let name = || "alice".to_owned();
        let policy = || "{}".to_owned();
        for (act, command, asked) in [
            (
                Request::UserAdd {
                    name: name(),
                    policy: Some(policy()),
                },
                "AddUser",
                json!({ "userName": "alice", "policyDocument": "{}" }),
            ),
            (
                Request::UserPolicySet {
                    name: name(),
                    policy: policy(),
                },
                "SetUserPolicy",
                json!({ "userName": "alice", "policyDocument": "{}" }),
            ),
            (
                Request::UserPolicyRemove { name: name() },
                "RemoveUserPolicy",
                json!({ "userName": "alice" }),
            ),
            (
                Request::UserRemove { name: name() },
                "RemoveUser",
                json!({ "userName": "alice" }),
            ),
        ] {
            let deed = of(&act);
            assert!(deed.is_announced && !deed.read_only, "{deed:?}");
            assert_eq!((deed.name, &deed.asked), (command, &asked));
        }
        for look in [Request::UserList {}, Request::UserPolicy { name: name() }] {
            let deed = of(&look);
            assert!(!deed.is_announced && deed.read_only, "{deed:?}");
        }
    }

    #[test]
    fn everything_that_changes_or_hands_out_something_is_announced() {
        let text = || "x".to_owned();
        let to = || RootSource::KeyFile(PathBuf::from("/k"));
        let drive = |act| Request::Drive { act };
        let root = |act| Request::Root { act };
        let place = text;
        let acts = [
            Request::RootCredential {},
            Request::KmsClock { confirm: true },
            Request::Rewrap {},
            Request::RewrapBucket {
                bucket: text(),
                prefix: text(),
                to: text(),
                dry_run: false,
            },
            Request::FinishRestore {},
            Request::ScrubStart {},
            root(RootRequest::Rotate {
                domain: true,
                sse_s3: false,
            }),
            root(RootRequest::Rekey { to: to() }),
            root(RootRequest::Escrow {
                threshold: 2,
                shares: 3,
            }),
            root(RootRequest::Recover {
                shares: Vec::new(),
                to: to(),
            }),
            drive(DriveRequest::Add {
                facility: text(),
                place: place(),
            }),
            drive(DriveRequest::Drain {
                number: 1,
                cancel: false,
            }),
            drive(DriveRequest::Drain {
                number: 1,
                cancel: true,
            }),
            drive(DriveRequest::Remove { number: 1 }),
            drive(DriveRequest::Replace {
                facility: text(),
                place: place(),
                number: None,
                accept_loss: true,
            }),
        ];
        let mut names = std::collections::BTreeSet::new();
        for act in &acts {
            let deed = of(act);
            assert!(deed.is_announced && !deed.read_only, "{deed:?}");
            assert!(names.insert(deed.name), "{deed:?}");
        }
        let file = PathBuf::from("/b");
        let copies_everything = of(&Request::BackupMetadata { file });
        assert!(copies_everything.is_announced);
        assert_eq!(copies_everything.asked["file"], "/b");
        for look in [
            Request::Status {},
            Request::ScrubStatus {},
            Request::KmsList {},
            Request::KmsClock { confirm: false },
            root(RootRequest::Show {}),
        ] {
            let deed = of(&look);
            assert!(!deed.is_announced && deed.read_only, "{deed:?}");
        }
    }

    #[test]
    fn shares_are_counted_and_not_told() {
        let shares = vec![Zeroizing::new("telling-share".to_owned()); 3];
        let act = RootRequest::Recover {
            shares,
            to: RootSource::KeyFile(PathBuf::from("/k")),
        };
        let deed = of(&Request::Root { act });
        assert_eq!(deed.asked["shares"], 3);
        assert!(!format!("{deed:?}").contains("telling"));
    }

    #[test]
    fn what_is_handed_out_is_not_in_the_log() {
        let shares = vec![Zeroizing::new("telling-share".to_owned())];
        assert_eq!(Answer::Shares(shares).shown(), Value::Null);
    }
}

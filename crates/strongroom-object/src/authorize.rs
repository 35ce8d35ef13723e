// SPDX-License-Identifier: Apache-2.0
//! The one place where policies act on S3 requests.
//!
//! Every operation asks [`authorize`] once per resource and gets a [`Permit`] back; the functions
//! that read or change an object's rows take the permit and refuse another's. Identity policies are
//! evaluated here, and nowhere else; bucket policies will be.

use strongroom_iam::{AccessDenied, Caller};
use strongroom_policy::{Context, Decision, Missing, Request, decide_account};

use crate::error::Error;

/// What an operation asks to do, by IAM action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `s3:CreateBucket`
    CreateBucket,
    /// `s3:DeleteBucket`
    DeleteBucket,
    /// `s3:GetBucketLocation`
    GetBucketLocation,
    /// `s3:GetEncryptionConfiguration`
    GetEncryptionConfiguration,
    /// `s3:PutEncryptionConfiguration`
    PutEncryptionConfiguration,
    /// `s3:ListAllMyBuckets`
    ListAllMyBuckets,
    /// `s3:ListBucket`
    ListBucket,
    /// `s3:ListBucketMultipartUploads`
    ListBucketMultipartUploads,
    /// `s3:ListMultipartUploadParts`
    ListMultipartUploadParts,
    /// `s3:AbortMultipartUpload`
    AbortMultipartUpload,
    /// `s3:PutBucketVersioning`
    PutBucketVersioning,
    /// `s3:GetBucketVersioning`
    GetBucketVersioning,
    /// `s3:ListBucketVersions`
    ListBucketVersions,
    /// `s3:PutObject`
    PutObject,
    /// `s3:UpdateObjectEncryption`
    UpdateObjectEncryption,
    /// `s3:GetObject`
    GetObject,
    /// `s3:GetObjectVersion`
    GetObjectVersion,
    /// `s3:GetObjectAttributes`
    GetObjectAttributes,
    /// `s3:GetObjectVersionAttributes`
    GetObjectVersionAttributes,
    /// `s3:DeleteObject`
    DeleteObject,
    /// `s3:DeleteObjectVersion`
    DeleteObjectVersion,
    /// `s3:RestoreObject`
    RestoreObject,
    /// `s3:PutLifecycleConfiguration`
    PutLifecycleConfiguration,
    /// `s3:GetLifecycleConfiguration`
    GetLifecycleConfiguration,
}

impl Action {
    /// The action's name in policies.
    pub fn name(self) -> &'static str {
        match self {
            Self::CreateBucket => "s3:CreateBucket",
            Self::DeleteBucket => "s3:DeleteBucket",
            Self::GetBucketLocation => "s3:GetBucketLocation",
            Self::GetEncryptionConfiguration => "s3:GetEncryptionConfiguration",
            Self::PutEncryptionConfiguration => "s3:PutEncryptionConfiguration",
            Self::ListAllMyBuckets => "s3:ListAllMyBuckets",
            Self::ListBucket => "s3:ListBucket",
            Self::ListBucketMultipartUploads => "s3:ListBucketMultipartUploads",
            Self::ListMultipartUploadParts => "s3:ListMultipartUploadParts",
            Self::AbortMultipartUpload => "s3:AbortMultipartUpload",
            Self::PutBucketVersioning => "s3:PutBucketVersioning",
            Self::GetBucketVersioning => "s3:GetBucketVersioning",
            Self::ListBucketVersions => "s3:ListBucketVersions",
            Self::PutObject => "s3:PutObject",
            Self::UpdateObjectEncryption => "s3:UpdateObjectEncryption",
            Self::GetObject => "s3:GetObject",
            Self::GetObjectVersion => "s3:GetObjectVersion",
            Self::GetObjectAttributes => "s3:GetObjectAttributes",
            Self::GetObjectVersionAttributes => "s3:GetObjectVersionAttributes",
            Self::DeleteObject => "s3:DeleteObject",
            Self::DeleteObjectVersion => "s3:DeleteObjectVersion",
            Self::RestoreObject => "s3:RestoreObject",
            Self::PutLifecycleConfiguration => "s3:PutLifecycleConfiguration",
            Self::GetLifecycleConfiguration => "s3:GetLifecycleConfiguration",
        }
    }

    /// Whether what a request says of its write or delete is said of this.
    fn writes(self) -> bool {
        matches!(
            self,
            Self::CreateBucket | Self::PutObject | Self::DeleteObject | Self::DeleteObjectVersion
        )
    }
}

/// Proof that `authorize` said yes to this action on this resource.
///
/// The functions that read or change the rows of an object take it and look at it.
#[derive(Debug)]
pub struct Permit {
    action: Action,
    arn: String,
}

impl Permit {
    /// What was permitted.
    pub fn action(&self) -> Action {
        self.action
    }

    /// Whether this is the proof for one of `actions` on an object. Anything else is a mistake of
    /// ours, and ends the request.
    pub(crate) fn covers(
        &self,
        actions: &[Action],
        bucket: &str,
        object_key: &str,
    ) -> Result<(), Error> {
        let arn = Resource::Object(bucket, object_key).arn();
        if actions.contains(&self.action) && self.arn == arn {
            Ok(())
        } else {
            Err(Error::Internal("a permit was shown for something else"))
        }
    }
}

/// What a rule does to an object of its bucket.
///
/// Who may put rules says what becomes of objects: as in S3, no policy is asked again when a rule
/// acts, and none can stop it.
pub(crate) fn permit_rule(action: RuleAction, bucket: &str, object_key: &str) -> Permit {
    let action = match action {
        RuleAction::Expire => Action::DeleteObject,
        RuleAction::RemoveVersion => Action::DeleteObjectVersion,
        RuleAction::AbortUpload => Action::AbortMultipartUpload,
    };
    Permit {
        action,
        arn: Resource::Object(bucket, object_key).arn(),
    }
}

/// All that a lifecycle rule may do; it reads nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RuleAction {
    /// As a DELETE without a version id.
    Expire,
    /// A version goes for good.
    RemoveVersion,
    /// An upload is aborted.
    AbortUpload,
}

/// What the action is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Resource<'a> {
    /// The account's list of buckets.
    Account,
    /// A bucket.
    Bucket(&'a str),
    /// An object.
    Object(&'a str, &'a str),
}

impl Resource<'_> {
    fn arn(self) -> String {
        match self {
            Self::Account => "arn:aws:s3:::*".to_owned(),
            Self::Bucket(bucket) => format!("arn:aws:s3:::{bucket}"),
            Self::Object(bucket, object_key) => format!("arn:aws:s3:::{bucket}/{object_key}"),
        }
    }
}

/// Decide whether `caller` may do `action` on `resource`, which belongs to `owner_account`: what its
/// identity policies allow. `conditions` are those of the action; the adapter's come with the
/// caller, and those of a write only for actions that are one.
pub(crate) fn authorize(
    caller: &Caller,
    action: Action,
    resource: Resource<'_>,
    owner_account: &str,
    conditions: &[(&str, String)],
) -> Result<Permit, Error> {
    let arn = resource.arn();
    let mut context = Context::over(&[caller.policy_context()]);
    context.set("aws:ViaAWSService", "false");
    context.set("aws:ResourceAccount", owner_account);
    context.set("s3:ResourceAccount", owner_account);
    let said = caller.conditions();
    let of_writes = action.writes().then_some(said.of_writes.as_slice());
    let adapters = said.always.iter().chain(of_writes.unwrap_or_default());
    let adapters = adapters.filter(|(name, _)| !conditions.iter().any(|(own, _)| own == name));
    for (name, value) in adapters {
        context.set(name, value);
    }
    for (name, value) in conditions {
        context.set(name, value);
    }
    let request = Request {
        principal: caller.principal(),
        action: action.name(),
        resource: &arn,
        context: &context,
    };
    let decision = if caller.account_id() == owner_account {
        decide_account(caller.identity_policies(), &request)
    } else {
        Decision::ImplicitDeny(Missing::ResourcePolicy)
    };
    if decision.is_allowed() {
        return Ok(Permit { action, arn });
    }
    Err(Error::AccessDenied(AccessDenied {
        principal: caller.arn().to_owned(),
        action: action.name(),
        resource: arn,
        decision,
    }))
}

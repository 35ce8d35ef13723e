// SPDX-License-Identifier: Apache-2.0
//! The one place where policies act on S3 requests.
//!
//! Every operation asks [`authorize`] once per resource and gets a [`Permit`] back; the functions
//! that read or change an object's rows take the permit and refuse another's. In this first form every principal of the account
//! has full access, so the decision is about the account alone; bucket and identity policies
//! will be evaluated here and nowhere else.

use strongroom_iam::Caller;

use crate::error::Error;

/// What an operation asks to do, by IAM action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `s3:CreateBucket`
    CreateBucket,
    /// `s3:DeleteBucket`
    DeleteBucket,
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
    /// `s3:PutObject`
    PutObject,
    /// `s3:GetObject`
    GetObject,
    /// `s3:GetObjectVersion`
    GetObjectVersion,
    /// `s3:DeleteObject`
    DeleteObject,
    /// `s3:DeleteObjectVersion`
    DeleteObjectVersion,
}

impl Action {
    /// The action's name in policies.
    pub fn name(self) -> &'static str {
        match self {
            Self::CreateBucket => "s3:CreateBucket",
            Self::DeleteBucket => "s3:DeleteBucket",
            Self::ListAllMyBuckets => "s3:ListAllMyBuckets",
            Self::ListBucket => "s3:ListBucket",
            Self::ListBucketMultipartUploads => "s3:ListBucketMultipartUploads",
            Self::ListMultipartUploadParts => "s3:ListMultipartUploadParts",
            Self::AbortMultipartUpload => "s3:AbortMultipartUpload",
            Self::PutObject => "s3:PutObject",
            Self::GetObject => "s3:GetObject",
            Self::GetObjectVersion => "s3:GetObjectVersion",
            Self::DeleteObject => "s3:DeleteObject",
            Self::DeleteObjectVersion => "s3:DeleteObjectVersion",
        }
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

/// Decide whether `caller` may do `action` on `resource`, which belongs to `owner_account`.
pub(crate) fn authorize(
    caller: &Caller,
    action: Action,
    resource: Resource<'_>,
    owner_account: &str,
) -> Result<Permit, Error> {
    if caller.account_id() == owner_account {
        return Ok(Permit {
            action,
            arn: resource.arn(),
        });
    }
    Err(Error::AccessDenied {
        arn: caller.arn().to_owned(),
        action: action.name(),
        resource: resource.arn(),
    })
}

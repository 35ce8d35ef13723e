// SPDX-License-Identifier: Apache-2.0
//! Key policies: the root of trust of each key.
//!
//! A key has one policy. That of most keys is the default one, which leaves the decision to the
//! identity policies of the account; the key of S3 has the policy of a key that a service manages.
//! Both are documents like any other, evaluated by the same code and shown by GetKeyPolicy.
//!
//! A policy names users by ARN, and a user may be removed and another one added under its name. So
//! the unique ids behind the ARNs are kept beside the document, from the moment it was set, and an
//! ARN counts for nobody but the holder of that id.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use minicbor::{Decode, Encode};
use strongroom_policy::{KEY_POLICY_BYTES_MAX, Policy, PolicyKind, Request, evaluate};

use crate::authorize::{Ask, Deciding, KmsAction, Told};
use crate::error::Error;
use crate::key_id::{KeyUid, Place};
use crate::model::KeyManager;
use crate::rows::KeyRow;
use crate::service::Kms;

/// A principal that a key policy names, and whose ARN it was when the policy was set.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct NamedPrincipal {
    #[n(0)]
    pub(crate) arn: String,
    #[n(1)]
    pub(crate) unique_id: String,
}

/// A key policy, read.
#[derive(Debug)]
pub(crate) struct KeyPolicy {
    pub(crate) text: String,
    pub(crate) parsed: Policy,
    principals: Vec<NamedPrincipal>,
}

impl KeyPolicy {
    /// Reads a stored policy.
    fn read(text: &str, principals: &[NamedPrincipal]) -> Option<KeyPolicy> {
        let unique_id = |arn: &str| {
            let named = principals.iter().find(|named| named.arn == arn);
            // Without an id it is nobody's: no principal has an empty one.
            Some(named.map_or_else(String::new, |named| named.unique_id.clone()))
        };
        let parsed = Policy::parse(text, PolicyKind::Resource).ok()?;
        Some(KeyPolicy {
            text: text.to_owned(),
            parsed: parsed.pinned(unique_id).ok()?,
            principals: principals.to_vec(),
        })
    }
}

impl KeyPolicy {
    /// The document as it is shown: a principal whose ARN is not its any more, since it was removed, by
    /// its unique id. Who puts back what was shown gives nobody else what it had.
    pub(crate) fn shown(&self, now: impl Fn(&str) -> Option<String>) -> Result<String, Error> {
        let gone = |arn: &str| {
            let named = self.principals.iter().find(|named| named.arn == arn)?;
            (now(arn).as_ref() != Some(&named.unique_id)).then(|| named.unique_id.clone())
        };
        Policy::with_principals(&self.text, gone)
            .map_err(|_| Error::Internal("a key policy that was read before"))
    }
}

/// The policies that are in force, parsed.
pub(crate) struct KeyPolicies {
    default: Arc<KeyPolicy>,
    of_s3: Arc<KeyPolicy>,
    read: RwLock<HashMap<KeyUid, Arc<KeyPolicy>>>,
}

impl KeyPolicies {
    pub(crate) fn new(place: &Place) -> Result<KeyPolicies, Error> {
        let built_in = |text: String| {
            let policy = KeyPolicy::read(&text, &[]).map(Arc::new);
            policy.ok_or(Error::Internal("a key policy of the program"))
        };
        Ok(KeyPolicies {
            default: built_in(default_document(&place.account_id))?,
            of_s3: built_in(s3_document(place))?,
            read: RwLock::default(),
        })
    }

    /// The policy of the key that S3 has of its own.
    pub(crate) fn of_s3(&self) -> &KeyPolicy {
        &self.of_s3
    }

    /// The policy of a key. What was parsed is kept as long as the row says the same.
    pub(crate) fn of(&self, row: &KeyRow) -> Result<Arc<KeyPolicy>, Error> {
        let Some(text) = &row.key_policy else {
            return Ok(Arc::clone(match row.manager {
                KeyManager::Customer => &self.default,
                KeyManager::Aws => &self.of_s3,
            }));
        };
        let uid = row.uid();
        let known = self.read.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(policy) = known.get(&uid)
            && policy.text == *text
            && policy.principals == row.key_policy_principals
        {
            return Ok(Arc::clone(policy));
        }
        drop(known);
        // A policy that cannot be read allows nobody anything.
        let policy = KeyPolicy::read(text, &row.key_policy_principals);
        let policy = Arc::new(policy.ok_or_else(|| Error::Corrupted {
            what: format!("policy of KMS key {uid}"),
        })?);
        let mut known = self.read.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= READ_MAX {
            known.clear();
        }
        known.insert(uid, Arc::clone(&policy));
        Ok(policy)
    }
}

/// A document that may become the policy of a key.
pub(crate) struct NewKeyPolicy {
    pub(crate) text: String,
    pub(crate) principals: Vec<NamedPrincipal>,
}

impl Kms {
    /// Reads a document that somebody wants as the policy of `row`: it has to be one, its
    /// principals have to exist, and unless the lock-out check is bypassed the caller has to be
    /// able to set another one afterwards.
    pub(crate) fn new_key_policy(
        &self,
        text: &str,
        bypass_lockout_check: bool,
        ask: &Ask<'_>,
        row: &KeyRow,
    ) -> Result<NewKeyPolicy, Error> {
        if text.len() > KEY_POLICY_BYTES_MAX {
            return Err(Error::LimitExceeded(format!(
                "The key policy is longer than {KEY_POLICY_BYTES_MAX} bytes."
            )));
        }
        let malformed = |why: String| Error::MalformedPolicyDocument(why);
        let parsed = Policy::parse(text, PolicyKind::Resource)
            .map_err(|error| malformed(format!("The policy is not valid: {error}")))?;
        let invalid = || {
            malformed("Policy contains a statement with one or more invalid principals.".to_owned())
        };
        let parsed = parsed
            .pinned(|arn| self.unique_id(arn))
            .map_err(|_| invalid())?;
        // What is left without an id are sessions, and there are none here; an id is of a user
        // that there is.
        let ids_exist = parsed.principal_ids().all(|id| self.is_unique_id(id));
        if parsed.principal_arns().next().is_some() || !ids_exist {
            return Err(invalid());
        }
        if !bypass_lockout_check && !self.could_put_again(&parsed, ask, row) {
            return Err(malformed(
                "The new key policy will not allow you to update the key policy in the future."
                    .to_owned(),
            ));
        }
        let mut principals: Vec<NamedPrincipal> = Vec::new();
        for (arn, unique_id) in parsed.pins() {
            if !principals.iter().any(|named| named.arn == arn) {
                principals.push(NamedPrincipal {
                    arn: arn.to_owned(),
                    unique_id: unique_id.to_owned(),
                });
            }
        }
        Ok(NewKeyPolicy {
            text: text.to_owned(),
            principals,
        })
    }

    /// Whether a key policy lets the caller set the next one, itself or by leaving that to the
    /// account.
    fn could_put_again(&self, policy: &Policy, ask: &Ask<'_>, row: &KeyRow) -> bool {
        let told = Told::by(row, self.place());
        let deciding = Deciding {
            resource: Some(policy),
            identity: &[],
        };
        let context = self.context(ask, Some((row, &told)), deciding);
        let verdict = evaluate(
            policy,
            &Request {
                principal: ask.caller.principal(),
                action: KmsAction::PutKeyPolicy.name(),
                resource: &told.arn,
                context: &context,
            },
        );
        !verdict.denied && (verdict.allowed || verdict.delegated)
    }
}

/// The one policy name that there is.
pub(crate) fn only_default(name: Option<&str>) -> Result<(), Error> {
    match name {
        None | Some(POLICY_NAME) => Ok(()),
        Some(_) => Err(Error::NotFound("No such policy exists".to_owned())),
    }
}

/// What a key without a policy of its own has.
fn default_document(account_id: &str) -> String {
    format!(
        r#"{{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {{
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {{
      "AWS" : "arn:aws:iam::{account_id}:root"
    }},
    "Action" : "kms:*",
    "Resource" : "*"
  }} ]
}}"#
    )
}

/// The policy of `aws/s3`: every principal of the account uses the key through S3, and looks at
/// it directly.
fn s3_document(place: &Place) -> String {
    let Place { region, account_id } = place;
    format!(
        r#"{{
  "Version" : "2012-10-17",
  "Id" : "auto-s3-2",
  "Statement" : [ {{
    "Sid" : "Allow access through S3 for all principals in the account that are authorized to use S3",
    "Effect" : "Allow",
    "Principal" : {{
      "AWS" : "*"
    }},
    "Action" : [ "kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey" ],
    "Resource" : "*",
    "Condition" : {{
      "StringEquals" : {{
        "kms:CallerAccount" : "{account_id}",
        "kms:ViaService" : "s3.{region}.amazonaws.com"
      }}
    }}
  }}, {{
    "Sid" : "Allow direct access to key metadata to the account",
    "Effect" : "Allow",
    "Principal" : {{
      "AWS" : "arn:aws:iam::{account_id}:root"
    }},
    "Action" : [ "kms:Describe*", "kms:Get*", "kms:List*" ],
    "Resource" : "*"
  }} ]
}}"#
    )
}

/// The only name that a key policy can have.
pub(crate) const POLICY_NAME: &str = "default";
/// Parsed policies that are kept; a key beyond that costs a parse.
const READ_MAX: usize = 1_024;

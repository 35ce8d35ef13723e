// SPDX-License-Identifier: Apache-2.0
//! The one place where it is decided who may do what with which key.
//!
//! Every user of the key's account has full access to the keys the account manages. A key managed
//! by a service (`aws/s3`) may be used through that service only; directly it can be looked at.
//! Key policies and grants will act here.

use strongroom_iam::Caller;

use crate::error::Error;
use crate::key_id::{KeyUid, Place};
use crate::model::KeyManager;
use crate::rows::KeyRow;

/// What a caller wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KmsAction {
    CreateAlias,
    CreateKey,
    Decrypt,
    DeleteAlias,
    DescribeKey,
    DisableKey,
    EnableKey,
    Encrypt,
    GenerateDataKey,
    GenerateDataKeyWithoutPlaintext,
    ListAliases,
    ListKeys,
}

impl KmsAction {
    pub(crate) fn name(self) -> &'static str {
        match self {
            KmsAction::CreateAlias => "kms:CreateAlias",
            KmsAction::CreateKey => "kms:CreateKey",
            KmsAction::Decrypt => "kms:Decrypt",
            KmsAction::DeleteAlias => "kms:DeleteAlias",
            KmsAction::DescribeKey => "kms:DescribeKey",
            KmsAction::DisableKey => "kms:DisableKey",
            KmsAction::EnableKey => "kms:EnableKey",
            KmsAction::Encrypt => "kms:Encrypt",
            KmsAction::GenerateDataKey => "kms:GenerateDataKey",
            KmsAction::GenerateDataKeyWithoutPlaintext => "kms:GenerateDataKeyWithoutPlaintext",
            KmsAction::ListAliases => "kms:ListAliases",
            KmsAction::ListKeys => "kms:ListKeys",
        }
    }

    /// Whether the policy of a service's key lets the account do this directly.
    fn allowed_on_managed_keys(self) -> bool {
        matches!(self, KmsAction::DescribeKey | KmsAction::ListAliases)
    }
}

/// By which door a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// From a client of the key service.
    Wire,
    /// From S3, for the same caller.
    S3,
}

/// Proof that `authorize` allowed an action on a key. Key material cannot be touched without it.
#[derive(Debug)]
pub(crate) struct Permit {
    key: KeyUid,
    action: KmsAction,
}

impl Permit {
    /// Whether this permit is about that key and lets its material be used.
    pub(crate) fn covers_material_of(&self, key: KeyUid) -> bool {
        self.key == key
            && matches!(
                self.action,
                KmsAction::Decrypt
                    | KmsAction::Encrypt
                    | KmsAction::GenerateDataKey
                    | KmsAction::GenerateDataKeyWithoutPlaintext
            )
    }
}

/// Decides about an action on a key.
pub(crate) fn authorize(
    caller: &Caller,
    via: Via,
    action: KmsAction,
    key: &KeyRow,
    place: &Place,
) -> Result<Permit, Error> {
    let own = caller.account_id() == key.account_id;
    let direct = match key.manager {
        KeyManager::Customer => true,
        KeyManager::Aws => via == Via::S3 || action.allowed_on_managed_keys(),
    };
    if own && direct {
        return Ok(Permit {
            key: key.uid(),
            action,
        });
    }
    Err(denied(caller, action, key.arn(place)))
}

/// Decides about an action that concerns no key, or all of the account's.
pub(crate) fn authorize_account(
    caller: &Caller,
    action: KmsAction,
    place: &Place,
) -> Result<(), Error> {
    if caller.account_id() == place.account_id {
        return Ok(());
    }
    Err(denied(caller, action, "*".to_owned()))
}

fn denied(caller: &Caller, action: KmsAction, resource: String) -> Error {
    Error::AccessDenied {
        caller: caller.arn().to_owned(),
        action: action.name(),
        resource,
    }
}

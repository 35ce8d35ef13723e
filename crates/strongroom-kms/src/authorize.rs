// SPDX-License-Identifier: Apache-2.0
//! The one place where it is decided who may do what with which key.
//!
//! Every user of the key's account has full access to the keys the account manages. A key managed
//! by a service (`aws/s3`) may be used through that service only; directly it can be looked at.
//! Key policies and grants will act here.

use strongroom_format::EncryptionContext;
use strongroom_iam::Caller;

use crate::error::Error;
use crate::key_id::KeyUid;
use crate::model::KeyManager;
use crate::rows::KeyRow;
use crate::service::Kms;

macro_rules! actions {
    ($($name:ident),* $(,)?) => {
        /// What a caller wants to do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum KmsAction { $($name,)* }

        impl KmsAction {
            /// Every action, for tests.
            #[cfg(test)]
            pub(crate) const ALL: &[KmsAction] = &[$(KmsAction::$name,)*];

            /// The word of policies, for example `kms:Encrypt`.
            pub(crate) fn name(self) -> &'static str {
                match self { $(KmsAction::$name => concat!("kms:", stringify!($name)),)* }
            }
        }
    };
}

actions! {
    CancelKeyDeletion,
    CreateAlias,
    CreateGrant,
    CreateKey,
    Decrypt,
    DeleteAlias,
    DeleteImportedKeyMaterial,
    DeriveSharedSecret,
    DescribeKey,
    DisableKey,
    DisableKeyRotation,
    EnableKey,
    EnableKeyRotation,
    Encrypt,
    GenerateDataKey,
    GenerateDataKeyPair,
    GenerateDataKeyPairWithoutPlaintext,
    GenerateDataKeyWithoutPlaintext,
    GenerateMac,
    GenerateRandom,
    GetKeyLastUsage,
    GetKeyPolicy,
    GetKeyRotationStatus,
    GetParametersForImport,
    GetPublicKey,
    ImportKeyMaterial,
    ListAliases,
    ListGrants,
    ListKeyPolicies,
    ListKeyRotations,
    ListKeys,
    ListResourceTags,
    ListRetirableGrants,
    PutKeyPolicy,
    ReEncryptFrom,
    ReEncryptTo,
    RetireGrant,
    RevokeGrant,
    RotateKeyOnDemand,
    ScheduleKeyDeletion,
    Sign,
    TagResource,
    UntagResource,
    UpdateAlias,
    UpdateKeyDescription,
    Verify,
    VerifyMac,
}

impl KmsAction {
    /// Whether the policy of a service's key lets the account do this directly.
    fn allowed_on_managed_keys(self) -> bool {
        matches!(
            self,
            KmsAction::DescribeKey
                | KmsAction::GetKeyLastUsage
                | KmsAction::GetKeyPolicy
                | KmsAction::GetKeyRotationStatus
                | KmsAction::ListAliases
                | KmsAction::ListGrants
                | KmsAction::ListKeyPolicies
                | KmsAction::ListKeyRotations
                | KmsAction::ListResourceTags
        )
    }

    /// Whether a permit for this action lets the material of the key be used.
    fn uses_material(self) -> bool {
        matches!(
            self,
            KmsAction::Decrypt
                | KmsAction::DeriveSharedSecret
                | KmsAction::Encrypt
                | KmsAction::GenerateDataKey
                | KmsAction::GenerateDataKeyPair
                | KmsAction::GenerateDataKeyPairWithoutPlaintext
                | KmsAction::GenerateDataKeyWithoutPlaintext
                | KmsAction::GenerateMac
                | KmsAction::GetPublicKey
                | KmsAction::ImportKeyMaterial
                | KmsAction::ReEncryptFrom
                | KmsAction::ReEncryptTo
                | KmsAction::Sign
                | KmsAction::Verify
                | KmsAction::VerifyMac
        )
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
        self.key == key && self.action.uses_material()
    }
}

/// A question to `authorize`: who wants to do what, and what is known about the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) via: Via,
    pub(crate) action: KmsAction,
    /// `kms:EncryptionContext:..` of policies, and what grants constrain.
    pub(crate) context: Option<&'a EncryptionContext>,
    /// Grants that the caller names; they need not be known everywhere yet.
    pub(crate) grant_tokens: &'a [String],
    /// Further condition keys of the action, like `kms:WrappingAlgorithm`, with their values.
    pub(crate) conditions: &'a [(&'static str, String)],
}

impl<'a> Ask<'a> {
    pub(crate) fn new(caller: &'a Caller, via: Via, action: KmsAction) -> Ask<'a> {
        Ask {
            caller,
            via,
            action,
            context: None,
            grant_tokens: &[],
            conditions: &[],
        }
    }

    pub(crate) fn context(self, context: &'a EncryptionContext) -> Ask<'a> {
        let context = Some(context);
        Ask { context, ..self }
    }

    pub(crate) fn grant_tokens(self, grant_tokens: &'a [String]) -> Ask<'a> {
        Ask {
            grant_tokens,
            ..self
        }
    }
}

impl Kms {
    /// Decides about an action on a key.
    pub(crate) fn authorize(&self, ask: &Ask<'_>, key: &KeyRow) -> Result<Permit, Error> {
        // There are no grants yet, so no token is one of theirs.
        if !ask.grant_tokens.is_empty() {
            return Err(Error::InvalidGrantToken);
        }
        let own = ask.caller.account_id() == key.account_id;
        let direct = match key.manager {
            KeyManager::Customer => true,
            KeyManager::Aws => ask.via == Via::S3 || ask.action.allowed_on_managed_keys(),
        };
        if own && direct {
            return Ok(Permit {
                key: key.uid(),
                action: ask.action,
            });
        }
        Err(denied(ask, key.arn(self.place())))
    }

    /// Decides about an action that concerns no key, or all of the account's.
    pub(crate) fn authorize_account(&self, ask: &Ask<'_>) -> Result<(), Error> {
        if ask.caller.account_id() == self.place().account_id {
            return Ok(());
        }
        Err(denied(ask, "*".to_owned()))
    }
}

fn denied(ask: &Ask<'_>, resource: String) -> Error {
    Error::AccessDenied {
        caller: ask.caller.arn().to_owned(),
        action: ask.action.name(),
        resource,
    }
}

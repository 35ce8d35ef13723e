// SPDX-License-Identifier: Apache-2.0
//! `X-Amz-Target`: which operation a request is.

use super::fault::{KmsFault, KmsFaultKind};

macro_rules! operations {
    ($($name:ident),* $(,)?) => {
        /// The operations that this server has.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Operation { $(#[doc = stringify!($name)] $name,)* }

        impl Operation {
            /// Every operation.
            const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name on the wire and in the audit trail.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

operations! {
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
    ReEncrypt,
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

impl Operation {
    /// Read the header. What the service has and this server will not have is told apart
    /// from what nobody has.
    pub(crate) fn from_target(target: Option<&str>) -> Result<Self, KmsFault> {
        let unknown = || KmsFault::new(KmsFaultKind::UnknownOperation, "");
        let name = target
            .and_then(|t| t.strip_prefix(TARGET_PREFIX))
            .ok_or_else(unknown)?;
        if let Some(operation) = Self::ALL.iter().find(|operation| operation.name() == name) {
            return Ok(*operation);
        }
        if let Some((_, why)) = NEVER.iter().find(|(never, _)| *never == name) {
            return Err(KmsFault::new(KmsFaultKind::UnsupportedOperation, *why));
        }
        Err(unknown())
    }
}

/// The name of the operation that a target asks for, for the audit log: also of one that is refused, or
/// that this server will not have. [`UNKNOWN`] for what nobody has.
pub(crate) fn named(target: Option<&str>) -> &'static str {
    let name = target.and_then(|target| target.strip_prefix(TARGET_PREFIX));
    let ours = Operation::ALL.iter().map(|operation| operation.name());
    let never = NEVER.iter().map(|(name, _)| *name);
    ours.chain(never)
        .find(|known| Some(*known) == name)
        .unwrap_or(UNKNOWN)
}

/// The operation of requests that name none.
pub(crate) const UNKNOWN: &str = "Unknown";

/// What every target of the key service begins with.
pub(crate) const TARGET_PREFIX: &str = "TrentService.";

/// What this server will not have, and why.
const NEVER: [(&str, &str); 10] = [
    ("ConnectCustomKeyStore", CUSTOM_KEY_STORES),
    ("CreateCustomKeyStore", CUSTOM_KEY_STORES),
    ("Decapsulate", ENCAPSULATION),
    ("DeleteCustomKeyStore", CUSTOM_KEY_STORES),
    ("DescribeCustomKeyStores", CUSTOM_KEY_STORES),
    ("DisconnectCustomKeyStore", CUSTOM_KEY_STORES),
    ("Encapsulate", ENCAPSULATION),
    ("ReplicateKey", REPLICAS),
    ("UpdateCustomKeyStore", CUSTOM_KEY_STORES),
    ("UpdatePrimaryRegion", REPLICAS),
];
const CUSTOM_KEY_STORES: &str = "Custom key stores are not supported: keys are kept in this \
                                 server's own key store.";
const ENCAPSULATION: &str = "ML-KEM keys are not supported.";
const REPLICAS: &str =
    "Replicas of multi-Region keys are not supported: this server is one Region.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_has_56_operations() {
        assert_eq!(Operation::ALL.len() + NEVER.len(), 56);
        for operation in Operation::ALL {
            let target = format!("TrentService.{}", operation.name());
            assert_eq!(Operation::from_target(Some(&target)).unwrap(), *operation);
            assert_eq!(named(Some(&target)), operation.name());
        }
        for (name, why) in NEVER {
            let fault = Operation::from_target(Some(&format!("TrentService.{name}"))).unwrap_err();
            assert_eq!(fault.kind, KmsFaultKind::UnsupportedOperation);
            assert_eq!(fault.message, why);
            assert_eq!(named(Some(&format!("TrentService.{name}"))), name);
        }
    }

    #[test]
    fn sec_n88_unknown_targets_are_refused() {
        for target in [
            None,
            Some(""),
            Some("Encrypt"),
            Some("TrentService"),
            Some("TrentService."),
            Some("TrentService.encrypt"),
            Some("TrentService.Encrypt "),
            Some(" TrentService.Encrypt"),
            Some("trentservice.Encrypt"),
            Some("TrentService.Encrypt.Decrypt"),
            Some("TrentService.DropAllKeys"),
            Some("AWSSecurityTokenService.GetCallerIdentity"),
            Some("com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents"),
        ] {
            let fault = Operation::from_target(target).unwrap_err();
            assert_eq!(fault.kind, KmsFaultKind::UnknownOperation, "{target:?}");
        }
    }
}

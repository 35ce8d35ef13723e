// SPDX-License-Identifier: Apache-2.0
//! The one place where it is decided who may do what with which key.
//!
//! ```text
//! explicit Deny in the key policy or an identity policy?  -> no
//! key policy allows the principal itself?                 -> yes
//! key policy leaves it to the account, identity allows?   -> yes
//! a grant to the principal, whose constraints hold?       -> yes
//! otherwise                                               -> no
//! ```
//!
//! All of it is read at each decision: a change of a policy or grant acts on the next request.
//! What `aws:` and `kms:` condition keys say is set here and by `Caller`, from what the server
//! knows itself; a client sets none of them.

use std::sync::{Arc, OnceLock};

use strongroom_format::EncryptionContext;
use strongroom_iam::{AccessDenied, Caller};
use strongroom_policy::{
    Context, Decision, Missing, Policy, Request, SharedContext, decide_account, decide_key,
};

use crate::error::Error;
use crate::grant::Terms;
use crate::key_id::{KeyUid, Place};
use crate::key_policy::{KeyPolicies, KeyPolicy};
use crate::model::{KeySpec, Tag};
use crate::rows::KeyRow;
use crate::s3::AWS_S3_ALIAS;
use crate::service::Kms;
use crate::use_key::{ENCRYPTION_ALGORITHM, REQUEST_ALIAS};

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
    /// What encrypts or decrypts, and so has an encryption algorithm.
    fn is_encryption(self) -> bool {
        matches!(
            self,
            KmsAction::Decrypt
                | KmsAction::Encrypt
                | KmsAction::GenerateDataKey
                | KmsAction::GenerateDataKeyPair
                | KmsAction::GenerateDataKeyPairWithoutPlaintext
                | KmsAction::GenerateDataKeyWithoutPlaintext
                | KmsAction::ReEncryptFrom
                | KmsAction::ReEncryptTo
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
    /// Further condition keys of the action, like `kms:WrappingAlgorithm`, with their values. A
    /// name that is there more than once has several values.
    pub(crate) conditions: &'a [(&'static str, String)],
    /// `kms:RequestAlias`: the alias that the request names the key by.
    pub(crate) alias: Option<&'a str>,
    /// `aws:RequestTag/..` and `aws:TagKeys`.
    pub(crate) tags: &'a [Tag],
    /// `aws:TagKeys` of a request that names tags without values.
    pub(crate) tag_keys: &'a [String],
    /// What the grant that is asked for would allow: a grant may pass on what it allows itself.
    pub(crate) terms: Option<&'a Terms>,
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
            alias: None,
            tags: &[],
            tag_keys: &[],
            terms: None,
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

    pub(crate) fn conditions(self, conditions: &'a [(&'static str, String)]) -> Ask<'a> {
        Ask { conditions, ..self }
    }

    pub(crate) fn tags(self, tags: &'a [Tag]) -> Ask<'a> {
        Ask { tags, ..self }
    }

    pub(crate) fn tag_keys(self, tag_keys: &'a [String]) -> Ask<'a> {
        Ask { tag_keys, ..self }
    }

    pub(crate) fn terms(self, terms: &'a Terms) -> Ask<'a> {
        let terms = Some(terms);
        Ask { terms, ..self }
    }
}

/// What a key says of itself, whoever asks. It says nothing that comes with time.
pub(crate) struct Told {
    pub(crate) arn: String,
    context: SharedContext,
    /// Read when somebody decides by it.
    policy: OnceLock<Arc<KeyPolicy>>,
}

impl Told {
    pub(crate) fn by(key: &KeyRow, place: &Place) -> Told {
        Told {
            arn: key.arn(place),
            context: describe(key).share(),
            policy: OnceLock::new(),
        }
    }

    /// The policy of the key that this was told by.
    fn policy(&self, key: &KeyRow, policies: &KeyPolicies) -> Result<&KeyPolicy, Error> {
        if let Some(known) = self.policy.get() {
            return Ok(known);
        }
        // One that cannot be read is not remembered.
        let read = policies.of(key)?;
        Ok(self.policy.get_or_init(|| read))
    }
}

/// The policies that decide. What none of them asks for changes nothing, and is not found out.
#[derive(Clone, Copy)]
pub(crate) struct Deciding<'a> {
    pub(crate) resource: Option<&'a Policy>,
    pub(crate) identity: &'a [Arc<Policy>],
}

impl Deciding<'_> {
    fn any(&self, asks: impl Fn(&Policy) -> bool) -> bool {
        self.resource.is_some_and(&asks) || self.identity.iter().any(|policy| asks(policy))
    }

    fn ask_for(&self, condition_key: &str) -> bool {
        self.any(|policy| policy.asks_for(condition_key))
    }
}

/// What each door says of the requests that came by it.
pub(crate) struct Doors {
    wire: Door,
    s3: Door,
}

struct Door {
    /// Of those whose caller is of the account that the keys belong to: that, too.
    own_account: SharedContext,
    others: SharedContext,
}

impl Doors {
    pub(crate) fn new(place: &Place) -> Doors {
        let said = |via: Via, account: Option<&str>| {
            let mut context = Context::new();
            context.set("aws:ViaAWSService", word(via == Via::S3));
            if via == Via::S3 {
                let service = format!("s3.{}.amazonaws.com", place.region);
                context.set("kms:ViaService", service);
            }
            if let Some(account) = account {
                context.set(CALLER_ACCOUNT, account);
            }
            context.share()
        };
        let door = |via: Via| Door {
            own_account: said(via, Some(&place.account_id)),
            others: said(via, None),
        };
        Doors {
            wire: door(Via::Wire),
            s3: door(Via::S3),
        }
    }

    fn of(&self, via: Via, is_own_account: bool) -> &SharedContext {
        let door = match via {
            Via::Wire => &self.wire,
            Via::S3 => &self.s3,
        };
        if is_own_account {
            &door.own_account
        } else {
            &door.others
        }
    }
}

impl Kms {
    /// Decides about an action on a key.
    pub(crate) fn authorize(&self, ask: &Ask<'_>, key: &KeyRow) -> Result<Permit, Error> {
        self.authorize_told(ask, key, &Told::by(key, self.place()))
    }

    /// The same, where what the key says of itself is at hand.
    pub(crate) fn authorize_told(
        &self,
        ask: &Ask<'_>,
        key: &KeyRow,
        told: &Told,
    ) -> Result<Permit, Error> {
        self.check_grant_tokens(ask.grant_tokens)?;
        let policy = told.policy(key, self.key_policies())?;
        let identity = ask.caller.identity_policies();
        let context = self.context_of_key(ask, key, told, &policy.parsed)?;
        let request = Request {
            principal: ask.caller.principal(),
            action: ask.action.name(),
            resource: &told.arn,
            context: &context,
        };
        let by_identity = || decide_account(identity, &request).is_allowed();
        let mut decision = decide_key(&policy.parsed, identity, false, &request);
        // Grants are read only where they can change something.
        if matches!(decision, Decision::ImplicitDeny(_)) && self.granted(ask, key, by_identity)? {
            decision = decide_key(&policy.parsed, identity, true, &request);
        }
        if decision.is_allowed() {
            return Ok(Permit {
                key: key.uid(),
                action: ask.action,
            });
        }
        Err(denied(ask, told.arn.clone(), decision))
    }

    /// Decides about retiring a grant. Policies can forbid it, but not allow it: `may` says whether
    /// the grant lets the caller do it, told whether the identity policies of the caller would.
    pub(crate) fn authorize_retirement(
        &self,
        ask: &Ask<'_>,
        key: &KeyRow,
        may: impl FnOnce(bool) -> bool,
    ) -> Result<(), Error> {
        let told = Told::by(key, self.place());
        let policy = told.policy(key, self.key_policies())?;
        let identity = ask.caller.identity_policies();
        let context = self.context_of_key(ask, key, &told, &policy.parsed)?;
        let request = Request {
            principal: ask.caller.principal(),
            action: ask.action.name(),
            resource: &told.arn,
            context: &context,
        };
        let by_identity = decide_account(identity, &request).is_allowed();
        let decision = decide_key(&policy.parsed, identity, true, &request);
        match decision {
            Decision::Allow if may(by_identity) => Ok(()),
            Decision::Allow => {
                let decision = Decision::ImplicitDeny(Missing::ResourcePolicy);
                Err(denied(ask, told.arn, decision))
            }
            no => Err(denied(ask, told.arn, no)),
        }
    }

    /// Decides about an action on the key of S3 before there is one: only who may use it makes it.
    pub(crate) fn authorize_first_use(&self, ask: &Ask<'_>) -> Result<(), Error> {
        let resource = self.place().key_arn(KeyUid([0; 16]));
        let policy = self.key_policies().of_s3();
        let identity = ask.caller.identity_policies();
        let deciding = Deciding {
            resource: Some(&policy.parsed),
            identity,
        };
        let context = self.context(ask, None, deciding);
        let request = Request {
            principal: ask.caller.principal(),
            action: ask.action.name(),
            resource: &resource,
            context: &context,
        };
        let decision = decide_key(&policy.parsed, identity, false, &request);
        if decision.is_allowed() {
            return Ok(());
        }
        Err(denied(ask, self.place().alias_arn(AWS_S3_ALIAS), decision))
    }

    /// Decides about an action that concerns no key, or all of the account's: what identity
    /// policies allow.
    pub(crate) fn authorize_account(&self, ask: &Ask<'_>) -> Result<(), Error> {
        self.authorize_by_identity(ask, "*".to_owned())
    }

    /// Decides about an action on an alias, which has no policy of its own. What the action does
    /// to a key is another question.
    pub(crate) fn authorize_alias(&self, ask: &Ask<'_>, alias: &str) -> Result<(), Error> {
        self.authorize_by_identity(ask, self.place().alias_arn(alias))
    }

    /// Decides by identity policies alone.
    fn authorize_by_identity(&self, ask: &Ask<'_>, resource: String) -> Result<(), Error> {
        let identity = ask.caller.identity_policies();
        let deciding = Deciding {
            resource: None,
            identity,
        };
        let context = self.context(ask, None, deciding);
        let request = Request {
            principal: ask.caller.principal(),
            action: ask.action.name(),
            resource: &resource,
            context: &context,
        };
        let decision = decide_account(identity, &request);
        if ask.caller.account_id() != self.place().account_id {
            let decision = Decision::ImplicitDeny(Missing::ResourcePolicy);
            return Err(denied(ask, resource, decision));
        }
        if decision.is_allowed() {
            return Ok(());
        }
        Err(denied(ask, resource, decision))
    }

    /// The condition keys of a question about a key. Its aliases are read only where a policy asks
    /// for them.
    fn context_of_key(
        &self,
        ask: &Ask<'_>,
        key: &KeyRow,
        told: &Told,
        policy: &Policy,
    ) -> Result<Context, Error> {
        let deciding = Deciding {
            resource: Some(policy),
            identity: ask.caller.identity_policies(),
        };
        let mut context = self.context(ask, Some((key, told)), deciding);
        if deciding.ask_for(RESOURCE_ALIASES) {
            let names = self.alias_names_of(key.uid(), None, usize::MAX)?;
            context.set_all(RESOURCE_ALIASES, names.iter().map(String::as_str));
        }
        Ok(context)
    }

    /// The condition keys of a question: none if those who decide ask for none, and the costly ones
    /// only if they ask for them.
    pub(crate) fn context(
        &self,
        ask: &Ask<'_>,
        key: Option<(&KeyRow, &Told)>,
        deciding: Deciding<'_>,
    ) -> Context {
        if !deciding.any(Policy::asks_for_something) {
            return Context::default();
        }
        let caller = ask.caller.policy_context();
        let account = ask.caller.account_id();
        let is_own_account = account == self.place().account_id;
        let door = self.doors().of(ask.via, is_own_account);
        let mut context = match key {
            Some((_, told)) => Context::over(&[caller, door, &told.context]),
            None => Context::over(&[caller, door]),
        };
        if !is_own_account && deciding.ask_for(CALLER_ACCOUNT) {
            context.set(CALLER_ACCOUNT, account);
        }
        if deciding.ask_for(ENCRYPTION_ALGORITHM)
            && let Some((key, _)) = key
            && ask.action.is_encryption()
            && key.spec == KeySpec::SymmetricDefault
            && !ask
                .conditions
                .iter()
                .any(|(name, _)| *name == ENCRYPTION_ALGORITHM)
        {
            context.set(ENCRYPTION_ALGORITHM, key.spec.as_str());
        }
        if let Some(pairs) = ask.context
            && deciding.any(|policy| policy.asks_for_any_of(CONTEXT_KEYS))
        {
            for (name, value) in pairs.iter() {
                context.set(&format!("kms:EncryptionContext:{name}"), value);
            }
            context.set_all(
                "kms:EncryptionContextKeys",
                pairs.iter().map(|(name, _)| name),
            );
        }
        for (at, (name, _)) in ask.conditions.iter().enumerate() {
            let is_this = |(other, _): &&(&'static str, String)| other == name;
            let is_told = ask.conditions.iter().take(at).any(|other| is_this(&other));
            if is_told || !deciding.ask_for(name) {
                continue;
            }
            let mut values = ask
                .conditions
                .iter()
                .filter(is_this)
                .map(|(_, value)| value);
            match (values.next(), values.next()) {
                (Some(only), None) if !LISTS.contains(name) => context.set(name, only),
                _ => {
                    let all = ask.conditions.iter().filter(is_this);
                    context.set_all(name, all.map(|(_, value)| value))
                }
            };
        }
        if let Some(alias) = ask.alias
            && deciding.ask_for(REQUEST_ALIAS)
        {
            context.set(REQUEST_ALIAS, alias);
        }
        for tag in ask.tags {
            context.set(&format!("aws:RequestTag/{}", tag.key), &tag.value);
        }
        if !ask.tags.is_empty() || !ask.tag_keys.is_empty() {
            let named = ask.tags.iter().map(|tag| &tag.key);
            context.set_all("aws:TagKeys", named.chain(ask.tag_keys));
        }
        context
    }
}

fn describe(key: &KeyRow) -> Context {
    let mut context = Context::over(&[]);
    context.set("aws:ResourceAccount", &key.account_id);
    for (name, value) in [
        ("kms:KeySpec", key.spec.as_str()),
        ("kms:CustomerMasterKeySpec", key.spec.as_str()),
        ("kms:KeyUsage", key.usage.as_str()),
        ("kms:CustomerMasterKeyUsage", key.usage.as_str()),
        ("kms:KeyOrigin", key.origin.as_str()),
        ("kms:MultiRegion", word(key.multi_region)),
    ] {
        context.set(name, value);
    }
    if key.multi_region {
        context.set("kms:MultiRegionKeyType", "PRIMARY");
    }
    for tag in &key.tags {
        context.set(&format!("aws:ResourceTag/{}", tag.key), &tag.value);
    }
    context
}

fn word(on: bool) -> &'static str {
    if on { "true" } else { "false" }
}

fn denied(ask: &Ask<'_>, resource: String, decision: Decision) -> Error {
    Error::AccessDenied(AccessDenied {
        principal: ask.caller.arn().to_owned(),
        action: ask.action.name(),
        resource,
        decision,
    })
}

const CALLER_ACCOUNT: &str = "kms:CallerAccount";
const RESOURCE_ALIASES: &str = "kms:ResourceAliases";
/// `kms:EncryptionContext:..` and `kms:EncryptionContextKeys`.
const CONTEXT_KEYS: &str = "kms:EncryptionContext";
/// Condition keys that are lists by their nature, also when there is one value.
const LISTS: &[&str] = &["kms:GrantOperations"];

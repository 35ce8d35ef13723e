// SPDX-License-Identifier: Apache-2.0
//! The inner half of everything that uses key material: authorize, state, purpose, then the
//! material. The wire operations and S3 come through here; nothing else unwraps material.

use std::sync::Arc;

use strongroom_format::EncryptionContext;
use strongroom_iam::Caller;

use crate::authorize::{Ask, KmsAction, Permit, Told, Via};
use crate::error::Error;
use crate::event::Event;
use crate::material::Material;
use crate::model::{KeySpec, KeyUsage};
use crate::rows::KeyRow;
use crate::service::{Found, Kms};

/// What is asked of a found key.
#[derive(Clone, Copy)]
pub(crate) struct Use<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) action: KmsAction,
    pub(crate) context: Option<&'a EncryptionContext>,
    pub(crate) grant_tokens: &'a [String],
    pub(crate) dry_run: bool,
    /// Condition keys of the action, with the values that the request gives them.
    pub(crate) conditions: &'a [(&'static str, String)],
}

/// Material with the id that tells its version.
pub(crate) struct Unwrapped {
    pub(crate) material: Arc<Material>,
    pub(crate) id: String,
}

impl Kms {
    /// Permission first, then the key's state and purpose, as AWS answers.
    pub(crate) fn permit(
        &self,
        wish: &Use<'_>,
        found: &Found,
        event: &mut Event<'_>,
    ) -> Result<Permit, Error> {
        if let Some(context) = wish.context {
            check_context(context)?;
        }
        let row = &found.row;
        event.touches(&found.told.arn);
        event.uses(self, row.uid());
        self.decide(wish, found, event.via())
    }

    /// What [`Self::permit`] decides, for what is not recorded as a use of the key.
    pub(crate) fn decide(&self, wish: &Use<'_>, found: &Found, via: Via) -> Result<Permit, Error> {
        let alias = found.alias.as_deref();
        self.decide_about(wish, &found.row, &found.told, alias, via)
    }

    /// The same about a key as it counts now, what it says of itself, and the alias that the request
    /// names it by.
    pub(crate) fn decide_about(
        &self,
        wish: &Use<'_>,
        row: &KeyRow,
        told: &Told,
        alias: Option<&str>,
        via: Via,
    ) -> Result<Permit, Error> {
        let ask = Ask::new(wish.caller, via, wish.action).grant_tokens(wish.grant_tokens);
        let ask = match wish.context {
            Some(context) => ask.context(context),
            None => ask,
        };
        let ask = Ask {
            conditions: wish.conditions,
            alias,
            ..ask
        };
        let permit = self.authorize_told(&ask, row, told)?;
        let needs = wish.action.needs();
        if !needs.fit(row.state) {
            needs.check(&told.arn, row.state)?;
        }
        let purpose = Purpose::of(wish.action);
        if purpose.suits(row) {
            return Ok(permit);
        }
        let arn = &told.arn;
        let usage = row.usage.as_str();
        let operation = operation(wish.action);
        Err(Error::InvalidKeyUsage(format!(
            "{arn} key usage is {usage} which is not valid for {operation}."
        )))
    }

    /// The material that a key uses now.
    pub(crate) fn current_material(
        &self,
        permit: &Permit,
        row: &KeyRow,
    ) -> Result<Unwrapped, Error> {
        let version = row.current_version;
        let missing = || Error::Corrupted {
            what: format!("material {version} of KMS key {}", row.uid()),
        };
        self.material_of(permit, row, version)?.ok_or_else(missing)
    }

    /// A version of a key's material, if there is one.
    pub(crate) fn material_of(
        &self,
        permit: &Permit,
        row: &KeyRow,
        version: u32,
    ) -> Result<Option<Unwrapped>, Error> {
        let Some(mut stored) = self.material(row.uid(), version)? else {
            return Ok(None);
        };
        let material = match self.unwrap_material(permit, row, version, &stored) {
            // Was it wrapped again, and the shred key of before destroyed, after the row was read?
            // Once is enough: nothing is wrapped again twice within a moment.
            Err(error) if error.is_corruption() => match self.material(row.uid(), version)? {
                Some(now) if now != stored => {
                    stored = now;
                    self.unwrap_material(permit, row, version, &stored)?
                }
                _ => return Err(error),
            },
            unwrapped => unwrapped?,
        };
        let id = hex::encode(stored.material_id);
        Ok(Some(Unwrapped { material, id }))
    }
}

impl KeyRow {
    /// Refuses an algorithm that the key has not.
    pub(crate) fn has_algorithm(&self, algorithm: &str) -> Result<(), Error> {
        if self.spec.algorithms(self.usage).contains(&algorithm) {
            return Ok(());
        }
        Err(Error::InvalidKeyUsage(format!(
            "Algorithm {algorithm} is incompatible with key spec {}.",
            self.spec.as_str()
        )))
    }
}

/// What a key must be for, so that an action can use it.
enum Purpose {
    Any,
    Usage(KeyUsage),
    /// Symmetric encryption.
    DataKeys,
}

impl Purpose {
    fn of(action: KmsAction) -> Purpose {
        match action {
            KmsAction::Encrypt
            | KmsAction::Decrypt
            | KmsAction::ReEncryptFrom
            | KmsAction::ReEncryptTo => Purpose::Usage(KeyUsage::EncryptDecrypt),
            KmsAction::GenerateDataKey
            | KmsAction::GenerateDataKeyWithoutPlaintext
            | KmsAction::GenerateDataKeyPair
            | KmsAction::GenerateDataKeyPairWithoutPlaintext => Purpose::DataKeys,
            KmsAction::Sign | KmsAction::Verify => Purpose::Usage(KeyUsage::SignVerify),
            KmsAction::GenerateMac | KmsAction::VerifyMac => {
                Purpose::Usage(KeyUsage::GenerateVerifyMac)
            }
            KmsAction::DeriveSharedSecret => Purpose::Usage(KeyUsage::KeyAgreement),
            _ => Purpose::Any,
        }
    }

    fn suits(&self, row: &KeyRow) -> bool {
        match self {
            Purpose::Any => true,
            Purpose::Usage(usage) => row.usage == *usage,
            Purpose::DataKeys => row.spec == KeySpec::SymmetricDefault,
        }
    }
}

/// The operation that asks for an action.
fn operation(action: KmsAction) -> &'static str {
    match action {
        KmsAction::ReEncryptFrom | KmsAction::ReEncryptTo => "ReEncrypt",
        other => other.name().trim_start_matches("kms:"),
    }
}

/// Names and values of an encryption context may not be empty, nor the whole too long.
fn check_context(context: &EncryptionContext) -> Result<(), Error> {
    if context
        .iter()
        .any(|(name, value)| name.is_empty() || value.is_empty())
    {
        return Err(Error::Validation(
            "1 validation error detected: Value at 'encryptionContext' failed to satisfy \
             constraint: Map keys and values must satisfy constraint: [Member must have length \
             greater than or equal to 1]"
                .to_owned(),
        ));
    }
    let characters: usize = context
        .iter()
        .map(|(name, value)| name.chars().count().saturating_add(value.chars().count()))
        .sum();
    if characters > CONTEXT_CHARACTERS_MAX {
        return Err(Error::Validation(
            "1 validation error detected: Value at 'encryptionContext' failed to satisfy \
             constraint: Map must have length less than or equal to 8192"
                .to_owned(),
        ));
    }
    Ok(())
}

pub(crate) const REQUEST_ALIAS: &str = "kms:RequestAlias";
pub(crate) const ENCRYPTION_ALGORITHM: &str = "kms:EncryptionAlgorithm";
const CONTEXT_CHARACTERS_MAX: usize = 8192;

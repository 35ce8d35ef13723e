// SPDX-License-Identifier: Apache-2.0
//! CreateKey.

use serde_json::{Value, json};
use strongroom_audit::Receipt;
use strongroom_iam::Caller;
use strongroom_store::{Precondition, Write};

use crate::authorize::{Ask, KmsAction, Via};
use crate::error::Error;
use crate::event::Event;
use crate::heavy;
use crate::key_id::{KeyUid, shortened};
use crate::material::{self, Material};
use crate::model::{KeyManager, KeyMetadata, KeySpec, KeyState, KeyUsage, Origin, Tag};
use crate::put_key_policy::BYPASS;
use crate::rotation::{PERIOD_DAYS_DEFAULT, next_rotation_ms};
use crate::rows::{KEYS, KeyRow, MATERIALS, MaterialRow, material_key};
use crate::service::Kms;

/// Parameters of CreateKey; words are as on the wire, `None` where nothing was sent.
#[derive(Clone, Debug, Default)]
pub struct CreateKeyInput {
    /// The account's words.
    pub description: Option<String>,
    /// What the key is for; must be given unless the key is symmetric.
    pub key_usage: Option<String>,
    /// `SYMMETRIC_DEFAULT` when `None`.
    pub key_spec: Option<String>,
    /// `AWS_KMS` when `None`; a key of origin `EXTERNAL` waits for its material.
    pub origin: Option<String>,
    /// Whether it is the primary key of a multi-Region key, which has no replicas here.
    pub multi_region: bool,
    /// Key policy document.
    pub policy: Option<String>,
    /// Whether the policy may keep the caller from setting another one.
    pub bypass_policy_lockout_safety_check: bool,
    /// Tags.
    pub tags: Vec<Tag>,
}

impl Kms {
    /// Makes a key with its first material.
    pub async fn create_key(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: CreateKeyInput,
    ) -> Result<KeyMetadata, Error> {
        let mut event = Event::new(receipt, "CreateKey", false, asked(&input));
        let result = self.try_create_key(caller, input, &mut event).await;
        event.close(result).await
    }

    async fn try_create_key(
        &self,
        caller: &Caller,
        input: CreateKeyInput,
        event: &mut Event<'_>,
    ) -> Result<KeyMetadata, Error> {
        let bypass = input.bypass_policy_lockout_safety_check;
        let tags = input.tags.clone();
        let new = NewKey::parse(input)?;
        let mut conditions = new.conditions();
        conditions.push((BYPASS, bypass.to_string()));
        let ask = Ask::new(caller, event.via(), KmsAction::CreateKey)
            .conditions(&conditions)
            .tags(&tags);
        self.authorize_account(&ask)?;
        if !tags.is_empty() {
            // Tags decide about access, so giving them is a permission of its own.
            let tagging = Ask::new(caller, event.via(), KmsAction::TagResource)
                .conditions(&conditions)
                .tags(&tags);
            self.authorize_account(&tagging)?;
        }
        let mut made = self.new_key(new).await?;
        if let Err(error) = self.check_first_policy(caller, bypass, event.via(), &mut made.row) {
            made.undo(self).await?;
            return Err(error);
        }
        let metadata = made.row.describe(self.place());
        event.touches(&metadata.arn);
        event.response(json!({ "keyMetadata": told(&metadata) }));
        let (preconditions, writes) = made.batch()?;
        match self.commit(preconditions, writes).await? {
            Ok(()) => Ok(metadata),
            Err(_) => Err(Error::Internal("a key id was drawn twice")),
        }
    }

    /// Holds the policy that a key is to begin with against the rules of PutKeyPolicy.
    fn check_first_policy(
        &self,
        caller: &Caller,
        bypass: bool,
        via: Via,
        row: &mut KeyRow,
    ) -> Result<(), Error> {
        if let Some(text) = row.key_policy.take() {
            let conditions = [(BYPASS, bypass.to_string())];
            let ask = Ask::new(caller, via, KmsAction::PutKeyPolicy).conditions(&conditions);
            let policy = self.new_key_policy(&text, bypass, &ask, row)?;
            row.key_policy = Some(policy.text);
            row.key_policy_principals = policy.principals;
        }
        Ok(())
    }

    /// A key of the account with its first material, not yet committed. A key of origin EXTERNAL
    /// has none yet.
    pub(crate) async fn new_key(&self, new: NewKey) -> Result<MadeKey, Error> {
        let mut random = [0; 16];
        material::fill(&mut random)?;
        let KeyUid(uid) = if new.multi_region {
            KeyUid::multi_region_from_random(random)
        } else {
            KeyUid::from_random(random)
        };
        let now_ms = self.now_ms();
        let period_days = match new.manager {
            KeyManager::Customer => None,
            KeyManager::Aws => Some(PERIOD_DAYS_DEFAULT),
        };
        let mut row = KeyRow {
            uid,
            account_id: self.place().account_id.clone(),
            state: KeyState::PendingImport,
            state_epoch: 0,
            description: new.description,
            usage: new.usage,
            spec: new.spec,
            origin: new.origin,
            manager: new.manager,
            created_ms: now_ms,
            tags: new.tags,
            key_policy: new.key_policy,
            current_version: 0,
            current_material_id: [0; 32],
            deletion_ms: None,
            valid_to_ms: None,
            multi_region: new.multi_region,
            rotation_period_days: period_days,
            next_rotation_ms: period_days.map(|days| next_rotation_ms(now_ms, days)),
            on_demand_rotations: 0,
            lacks_material: false,
            key_policy_principals: Vec::new(),
        };
        if row.origin == Origin::External {
            row.lacks_material = true;
            let material = None;
            return Ok(MadeKey { row, material });
        }
        let spec = row.spec;
        let secret = heavy::make_key_of(spec, move || Material::generate(spec)).await?;
        row.state = KeyState::Enabled;
        row.current_version = FIRST_VERSION;
        material::fill(&mut row.current_material_id)?;
        let shred = self.new_shred_key(row.uid()).await?;
        let id = row.current_material_id;
        let material = self.wrap_material(&row, FIRST_VERSION, id, &secret, &shred)?;
        let material = Some(material);
        Ok(MadeKey { row, material })
    }
}

/// What is decided about a key before it is made.
pub(crate) struct NewKey {
    pub(crate) description: String,
    pub(crate) spec: KeySpec,
    pub(crate) usage: KeyUsage,
    pub(crate) origin: Origin,
    pub(crate) multi_region: bool,
    pub(crate) manager: KeyManager,
    pub(crate) key_policy: Option<String>,
    pub(crate) tags: Vec<Tag>,
}

impl NewKey {
    fn parse(input: CreateKeyInput) -> Result<NewKey, Error> {
        let spec = key_spec(input.key_spec.as_deref())?;
        let usage = key_usage(input.key_usage.as_deref(), spec)?;
        let origin = origin(input.origin.as_deref())?;
        let description = input.description.unwrap_or_default();
        if description.chars().count() > DESCRIPTION_CHARACTERS_MAX {
            return Err(Error::constraint(
                shortened(&description),
                "description",
                "have length less than or equal to 8192",
            ));
        }
        check_tags(&input.tags)?;
        Ok(NewKey {
            description,
            spec,
            usage,
            origin,
            multi_region: input.multi_region,
            manager: KeyManager::Customer,
            key_policy: input.policy,
            tags: input.tags,
        })
    }

    /// The condition keys of CreateKey.
    fn conditions(&self) -> Vec<(&'static str, String)> {
        let mut conditions = vec![
            ("kms:KeySpec", self.spec.as_str().to_owned()),
            ("kms:KeyUsage", self.usage.as_str().to_owned()),
            ("kms:KeyOrigin", self.origin.as_str().to_owned()),
            ("kms:MultiRegion", self.multi_region.to_string()),
        ];
        if self.multi_region {
            conditions.push(("kms:MultiRegionKeyType", "PRIMARY".to_owned()));
        }
        conditions
    }
}

/// A key ready to be committed.
pub(crate) struct MadeKey {
    pub(crate) row: KeyRow,
    material: Option<MaterialRow>,
}

impl MadeKey {
    /// Takes back what was kept for a key that was not committed after all.
    pub(crate) async fn undo(&self, kms: &Kms) -> Result<(), Error> {
        match &self.material {
            Some(material) => kms.destroy_shred_key(material.shred_id).await,
            None => Ok(()),
        }
    }

    pub(crate) fn batch(&self) -> Result<(Vec<Precondition>, Vec<Write>), Error> {
        let key = self.row.uid.to_vec();
        let absent = Precondition::Absent {
            table: KEYS,
            key: key.clone(),
        };
        let mut writes = vec![Write::Put {
            table: KEYS,
            key,
            value: self.row.encode()?,
        }];
        if let Some(material) = &self.material {
            writes.push(Write::Put {
                table: MATERIALS,
                key: material_key(self.row.uid(), FIRST_VERSION),
                value: material.encode()?,
            });
        }
        Ok((vec![absent], writes))
    }

    /// The request parameters of an event for a key that nobody asked for by parameters.
    pub(crate) fn parameters(&self) -> Value {
        json!({
            "description": self.row.description,
            "keyUsage": self.row.usage.as_str(),
            "keySpec": self.row.spec.as_str(),
            "origin": self.row.origin.as_str(),
        })
    }
}

fn key_spec(word: Option<&str>) -> Result<KeySpec, Error> {
    let Some(word) = word else {
        return Ok(KeySpec::SymmetricDefault);
    };
    KeySpec::parse(word).ok_or_else(|| {
        if OTHER_KEY_SPECS.contains(&word) {
            return not_offered("KeySpec", word);
        }
        let known = KeySpec::ALL.iter().map(|spec| spec.as_str());
        constraint(
            word,
            "keySpec",
            known.chain(OTHER_KEY_SPECS.iter().copied()),
        )
    })
}

/// What a key is for says itself only of symmetric keys.
fn key_usage(word: Option<&str>, spec: KeySpec) -> Result<KeyUsage, Error> {
    let Some(word) = word else {
        return match spec {
            KeySpec::SymmetricDefault => Ok(KeyUsage::EncryptDecrypt),
            _ => Err(Error::Validation(
                "You must specify a KeyUsage value for all KMS keys except for symmetric \
                 encryption keys."
                    .to_owned(),
            )),
        };
    };
    let usage = KeyUsage::parse(word).ok_or_else(|| {
        if word == OTHER_KEY_USAGE {
            return not_offered("KeyUsage", word);
        }
        let known = KeyUsage::ALL.iter().map(|usage| usage.as_str());
        constraint(word, "keyUsage", known.chain([OTHER_KEY_USAGE]))
    })?;
    if spec.algorithms(usage).is_empty() {
        return Err(Error::Validation(format!(
            "KeyUsage {word} is not compatible with KeySpec {}.",
            spec.as_str()
        )));
    }
    Ok(usage)
}

fn origin(word: Option<&str>) -> Result<Origin, Error> {
    match word {
        None | Some("AWS_KMS") => Ok(Origin::AwsKms),
        Some("EXTERNAL") => Ok(Origin::External),
        Some(word) if OTHER_ORIGINS.contains(&word) => Err(not_offered("Origin", word)),
        Some(word) => {
            let known = ["AWS_KMS", "EXTERNAL"].into_iter();
            Err(constraint(word, "origin", known.chain(OTHER_ORIGINS)))
        }
    }
}

/// For words that AWS knows and no key here has.
fn not_offered(member: &str, word: &str) -> Error {
    Error::UnsupportedOperation(format!("{member} {word} is not supported here."))
}

/// For words that nobody knows.
fn constraint<'a>(word: &str, member: &str, known: impl Iterator<Item = &'a str>) -> Error {
    let known: Vec<&str> = known.collect();
    let must = format!("satisfy enum value set: [{}]", known.join(", "));
    Error::constraint(shortened(word), member, &must)
}

/// Names that begin with `aws:`, in any case, are not the account's to give or take.
pub(crate) fn check_tag_name(name: &str) -> Result<(), Error> {
    if name
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("aws:"))
    {
        return Err(Error::Tag(
            "Tags beginning with aws: are reserved".to_owned(),
        ));
    }
    Ok(())
}

pub(crate) fn check_tags(tags: &[Tag]) -> Result<(), Error> {
    if tags.len() > TAGS_MAX {
        return Err(Error::Tag("Too many tags".to_owned()));
    }
    for (at, tag) in tags.iter().enumerate() {
        check_tag_name(&tag.key)?;
        if tags.iter().take(at).any(|earlier| earlier.key == tag.key) {
            return Err(Error::Tag("Duplicate tag keys".to_owned()));
        }
        let key_characters = tag.key.chars().count();
        if !(1..=TAG_KEY_CHARACTERS_MAX).contains(&key_characters) {
            let must = "have length between 1 and 128";
            return Err(Error::constraint(shortened(&tag.key), "tagKey", must));
        }
        if tag.value.chars().count() > TAG_VALUE_CHARACTERS_MAX {
            let must = "have length less than or equal to 256";
            return Err(Error::constraint(shortened(&tag.value), "tagValue", must));
        }
    }
    Ok(())
}

fn asked(input: &CreateKeyInput) -> Value {
    let word =
        |word: &Option<String>, default: &str| json!(word.as_deref().map_or(default, shortened));
    let tags = input.tags.iter().take(TAGS_MAX);
    let tags = tags.map(|tag| json!({ "tagKey": shortened(&tag.key) }));
    json!({
        "policy": input.policy,
        "bypassPolicyLockoutSafetyCheck": input.bypass_policy_lockout_safety_check,
        "description": word(&input.description, ""),
        "keyUsage": word(&input.key_usage, "ENCRYPT_DECRYPT"),
        "keySpec": word(&input.key_spec, "SYMMETRIC_DEFAULT"),
        "origin": word(&input.origin, "AWS_KMS"),
        "multiRegion": input.multi_region,
        "tags": tags.collect::<Vec<_>>(),
    })
}

fn told(metadata: &KeyMetadata) -> Value {
    let mut told = json!({
        "aWSAccountId": metadata.account_id,
        "keyId": metadata.key_id,
        "arn": metadata.arn,
        "enabled": metadata.enabled,
        "description": shortened(&metadata.description),
        "keyUsage": metadata.usage.as_str(),
        "keyState": metadata.state.as_str(),
        "origin": metadata.origin.as_str(),
        "keyManager": metadata.manager.as_str(),
        "keySpec": metadata.spec.as_str(),
        "multiRegion": metadata.multi_region,
        "currentKeyMaterialId": metadata.current_key_material_id,
    });
    let algorithms = match metadata.usage {
        KeyUsage::EncryptDecrypt => "encryptionAlgorithms",
        KeyUsage::SignVerify => "signingAlgorithms",
        KeyUsage::GenerateVerifyMac => "macAlgorithms",
        KeyUsage::KeyAgreement => "keyAgreementAlgorithms",
    };
    if let Value::Object(members) = &mut told {
        members.insert(algorithms.to_owned(), json!(metadata.algorithms));
    }
    told
}

const FIRST_VERSION: u32 = 1;
const DESCRIPTION_CHARACTERS_MAX: usize = 8192;
const TAGS_MAX: usize = 50;
const TAG_KEY_CHARACTERS_MAX: usize = 128;
const TAG_VALUE_CHARACTERS_MAX: usize = 256;
// What AWS knows besides.
const OTHER_KEY_SPECS: [&str; 8] = [
    "ECC_SECG_P256K1",
    "SM2",
    "ML_DSA_44",
    "ML_DSA_65",
    "ML_DSA_87",
    "ML_KEM_512",
    "ML_KEM_768",
    "ML_KEM_1024",
];
const OTHER_KEY_USAGE: &str = "ENCAPSULATE_DECAPSULATE";
const OTHER_ORIGINS: [&str; 2] = ["AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"];

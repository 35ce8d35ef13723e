// SPDX-License-Identifier: Apache-2.0
//! CreateKey.

use serde_json::{Value, json};
use strongroom_audit::Receipt;
use strongroom_iam::Caller;
use strongroom_store::{Precondition, Write};

use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::event::Event;
use crate::key_id::{KeyUid, shortened};
use crate::material::{self, Material};
use crate::model::{KeyManager, KeyMetadata, KeySpec, KeyState, KeyUsage, Origin, Tag};
use crate::rows::{KEYS, KeyRow, MATERIALS, MaterialRow, material_key};
use crate::service::Kms;

/// Parameters of CreateKey; words are as on the wire, `None` where nothing was sent.
#[derive(Clone, Debug, Default)]
pub struct CreateKeyInput {
    /// The account's words.
    pub description: Option<String>,
    /// `ENCRYPT_DECRYPT` is supported.
    pub key_usage: Option<String>,
    /// `SYMMETRIC_DEFAULT` is supported.
    pub key_spec: Option<String>,
    /// `AWS_KMS` is supported.
    pub origin: Option<String>,
    /// Not supported yet when `true`.
    pub multi_region: bool,
    /// Key policy document.
    pub policy: Option<String>,
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
        self.authorize_account(&Ask::new(caller, event.via(), KmsAction::CreateKey))?;
        let new = NewKey::parse(input, &self.place().account_id)?;
        let made = self.new_key(new).await?;
        let metadata = made.row.describe(self.place());
        event.touches(&metadata.arn);
        event.response(json!({ "keyMetadata": told(&metadata) }));
        let (preconditions, writes) = made.batch()?;
        match self.commit(preconditions, writes).await? {
            Ok(()) => Ok(metadata),
            Err(_) => Err(Error::Internal("a key id was drawn twice")),
        }
    }

    /// A key of the account with its first material, not yet committed.
    pub(crate) async fn new_key(&self, new: NewKey) -> Result<MadeKey, Error> {
        let mut random = [0; 16];
        material::fill(&mut random)?;
        let KeyUid(uid) = KeyUid::from_random(random);
        let mut row = KeyRow {
            uid,
            account_id: self.place().account_id.clone(),
            state: KeyState::Enabled,
            state_epoch: 0,
            description: new.description,
            usage: KeyUsage::EncryptDecrypt,
            spec: KeySpec::SymmetricDefault,
            origin: Origin::AwsKms,
            manager: new.manager,
            created_ms: self.now_ms(),
            tags: new.tags,
            key_policy: new.key_policy,
            current_version: FIRST_VERSION,
            current_material_id: [0; 32],
            deletion_ms: None,
            valid_to_ms: None,
            multi_region: false,
            rotation_period_days: None,
            next_rotation_ms: None,
            on_demand_rotations: 0,
            lacks_material: false,
        };
        let secret = Material::random(SYMMETRIC_BYTES)?;
        material::fill(&mut row.current_material_id)?;
        let shred = self.new_shred_key(row.uid()).await?;
        let id = row.current_material_id;
        let material = self.wrap_material(&row, FIRST_VERSION, id, &secret, &shred)?;
        Ok(MadeKey { row, material })
    }
}

/// What is decided about a key before it is made.
pub(crate) struct NewKey {
    pub(crate) description: String,
    pub(crate) manager: KeyManager,
    pub(crate) key_policy: Option<String>,
    pub(crate) tags: Vec<Tag>,
}

impl NewKey {
    fn parse(input: CreateKeyInput, account_id: &str) -> Result<NewKey, Error> {
        supported(input.key_spec.as_deref(), "keySpec", KEY_SPECS)?;
        supported(input.key_usage.as_deref(), "keyUsage", KEY_USAGES)?;
        supported(input.origin.as_deref(), "origin", ORIGINS)?;
        if input.multi_region {
            return Err(Error::UnsupportedOperation(
                "Multi-Region keys are not supported; create a single-Region key.".to_owned(),
            ));
        }
        let description = input.description.unwrap_or_default();
        if description.chars().count() > DESCRIPTION_CHARACTERS_MAX {
            return Err(Error::constraint(
                shortened(&description),
                "description",
                "have length less than or equal to 8192",
            ));
        }
        check_tags(&input.tags)?;
        if let Some(policy) = &input.policy {
            check_policy(policy, account_id)?;
        }
        Ok(NewKey {
            description,
            manager: KeyManager::Customer,
            key_policy: input.policy,
            tags: input.tags,
        })
    }
}

/// A key ready to be committed.
pub(crate) struct MadeKey {
    pub(crate) row: KeyRow,
    material: MaterialRow,
}

impl MadeKey {
    /// Takes back what was kept for a key that was not committed after all.
    pub(crate) async fn undo(&self, kms: &Kms) -> Result<(), Error> {
        kms.destroy_shred_key(self.material.shred_id).await
    }

    pub(crate) fn batch(&self) -> Result<(Vec<Precondition>, Vec<Write>), Error> {
        let key = self.row.uid.to_vec();
        let material_key = material_key(self.row.uid(), FIRST_VERSION);
        let absent = Precondition::Absent {
            table: KEYS,
            key: key.clone(),
        };
        let writes = vec![
            Write::Put {
                table: KEYS,
                key,
                value: self.row.encode()?,
            },
            Write::Put {
                table: MATERIALS,
                key: material_key,
                value: self.material.encode()?,
            },
        ];
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

/// Tells a word that is not offered yet from one that does not exist.
fn supported(word: Option<&str>, member: &str, words: &[&str]) -> Result<(), Error> {
    let (Some(word), Some(only)) = (word, words.first()) else {
        return Ok(());
    };
    if word == *only {
        return Ok(());
    }
    if words.contains(&word) {
        return Err(Error::UnsupportedOperation(format!(
            "{member} {word} is not supported; supported is {only}."
        )));
    }
    let must = format!("satisfy enum value set: [{}]", words.join(", "));
    Err(Error::constraint(shortened(word), member, &must))
}

fn check_tags(tags: &[Tag]) -> Result<(), Error> {
    if tags.len() > TAGS_MAX {
        return Err(Error::Tag("Too many tags".to_owned()));
    }
    for (at, tag) in tags.iter().enumerate() {
        if tag.key.starts_with("aws:") {
            return Err(Error::Tag(
                "Tags beginning with aws: are reserved".to_owned(),
            ));
        }
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

/// A policy is kept as it is; what it means is not looked at yet.
/// Accepts the one key policy that is in force for every key: the account's own principals, by
/// what their identities allow. Any other would be stored and not enforced, and whoever wrote it
/// would rely on it.
fn check_policy(policy: &str, account_id: &str) -> Result<(), Error> {
    let malformed = |why: &str| Error::MalformedPolicyDocument(why.to_owned());
    if policy.len() > POLICY_BYTES_MAX {
        return Err(malformed("Policy is longer than 32768 bytes"));
    }
    let Ok(Value::Object(document)) = serde_json::from_str(policy) else {
        return Err(malformed(
            "Policy contains a statement that is not valid JSON",
        ));
    };
    let statement = match document.get("Statement") {
        Some(Value::Array(statements)) => match statements.as_slice() {
            [only] => Some(only),
            _ => None,
        },
        other => other,
    };
    if statement.is_some_and(|statement| is_default(statement, account_id)) {
        return Ok(());
    }
    Err(Error::UnsupportedOperation(
        "Key policies are not enforced yet; leave Policy out, or give the default key policy."
            .to_owned(),
    ))
}

/// Whether a statement is that of the default key policy (AWS KMS Developer Guide, "Default key
/// policy"), whatever its Sid.
fn is_default(statement: &Value, account_id: &str) -> bool {
    let Some(members) = statement.as_object() else {
        return false;
    };
    let root = format!("arn:aws:iam::{account_id}:root");
    let known = ["Sid", "Effect", "Principal", "Action", "Resource"];
    let is = |name: &str, text: &str| {
        let one = json!(text);
        members
            .get(name)
            .is_some_and(|value| *value == one || *value == json!([text]))
    };
    let principal = members.get("Principal");
    members.keys().all(|name| known.contains(&name.as_str()))
        && is("Effect", "Allow")
        && is("Action", "kms:*")
        && is("Resource", "*")
        && principal.is_some_and(|value| {
            *value == json!({ "AWS": root }) || *value == json!({ "AWS": [root] })
        })
}

fn asked(input: &CreateKeyInput) -> Value {
    let word =
        |word: &Option<String>, default: &str| json!(word.as_deref().map_or(default, shortened));
    let tags = input.tags.iter().take(TAGS_MAX);
    let tags = tags.map(|tag| json!({ "tagKey": shortened(&tag.key) }));
    json!({
        "description": word(&input.description, ""),
        "keyUsage": word(&input.key_usage, "ENCRYPT_DECRYPT"),
        "keySpec": word(&input.key_spec, "SYMMETRIC_DEFAULT"),
        "origin": word(&input.origin, "AWS_KMS"),
        "multiRegion": input.multi_region,
        "tags": tags.collect::<Vec<_>>(),
    })
}

fn told(metadata: &KeyMetadata) -> Value {
    json!({
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
        "encryptionAlgorithms": metadata.encryption_algorithms,
        "multiRegion": metadata.multi_region,
        "currentKeyMaterialId": metadata.current_key_material_id,
    })
}

const FIRST_VERSION: u32 = 1;
const SYMMETRIC_BYTES: usize = 32;
const DESCRIPTION_CHARACTERS_MAX: usize = 8192;
const POLICY_BYTES_MAX: usize = 32 * 1024;
const TAGS_MAX: usize = 50;
const TAG_KEY_CHARACTERS_MAX: usize = 128;
const TAG_VALUE_CHARACTERS_MAX: usize = 256;
// The words AWS knows; the first is the one offered here.
const KEY_SPECS: &[&str] = &[
    "SYMMETRIC_DEFAULT",
    "RSA_2048",
    "RSA_3072",
    "RSA_4096",
    "ECC_NIST_P256",
    "ECC_NIST_P384",
    "ECC_NIST_P521",
    "ECC_NIST_EDWARDS25519",
    "ECC_SECG_P256K1",
    "HMAC_224",
    "HMAC_256",
    "HMAC_384",
    "HMAC_512",
    "SM2",
    "ML_DSA_44",
    "ML_DSA_65",
    "ML_DSA_87",
];
const KEY_USAGES: &[&str] = &[
    "ENCRYPT_DECRYPT",
    "SIGN_VERIFY",
    "GENERATE_VERIFY_MAC",
    "KEY_AGREEMENT",
];
const ORIGINS: &[&str] = &["AWS_KMS", "EXTERNAL", "AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"];

// SPDX-License-Identifier: Apache-2.0
//! ImportKeyMaterial.

use std::collections::BTreeSet;

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;
use strongroom_store::{Precondition, Write};

use crate::authorize::{Ask, KmsAction};
use crate::delete_imported_key_material::check_imports;
use crate::error::Error;
use crate::event::{Event, asked};
use crate::heavy;
use crate::import_token::ImportToken;
use crate::key_change::Change;
use crate::key_id::shortened;
use crate::key_pair::KeyPair;
use crate::material::Material;
use crate::model::KeySpec;
use crate::rows::{KeyRow, MATERIALS, material_key};
use crate::schedule_key_deletion::DAY_MS;
use crate::service::{Kms, Version};
use crate::shred::ShredKey;

/// Parameters of ImportKeyMaterial; words are as on the wire.
#[derive(Clone, Debug, Default)]
pub struct ImportKeyMaterialInput {
    /// Key id or key ARN.
    pub key_id: String,
    /// Of GetParametersForImport.
    pub import_token: Vec<u8>,
    /// Wrapped under the public key that came with the token.
    pub encrypted_key_material: Vec<u8>,
    /// `KEY_MATERIAL_EXPIRES` when `None`.
    pub expiration_model: Option<String>,
    /// When it expires, Unix time in milliseconds.
    pub valid_to_ms: Option<u64>,
    /// `NEW_KEY_MATERIAL` or `EXISTING_KEY_MATERIAL`.
    pub import_type: Option<String>,
    /// The account's words about the material.
    pub key_material_description: Option<String>,
    /// The id that the material must have.
    pub key_material_id: Option<String>,
}

/// Answer of ImportKeyMaterial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportKeyMaterialOutput {
    /// Key ARN (`KeyId` on the wire).
    pub key_arn: String,
    /// 64 hexadecimal digits, made from the key and the material.
    pub key_material_id: String,
}

/// What a change of the rows comes to.
struct Imported {
    shred_ids: BTreeSet<[u8; 16]>,
}

impl Kms {
    /// Takes material that was made elsewhere into a key of origin EXTERNAL.
    pub async fn import_key_material(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: ImportKeyMaterialInput,
    ) -> Result<ImportKeyMaterialOutput, Error> {
        let mut event = Event::new(
            receipt,
            "ImportKeyMaterial",
            false,
            json!({ "keyId": asked(&input.key_id) }),
        );
        for (name, word) in [
            ("expirationModel", &input.expiration_model),
            ("importType", &input.import_type),
            ("keyMaterialDescription", &input.key_material_description),
            ("keyMaterialId", &input.key_material_id),
        ] {
            if let Some(word) = word {
                event.parameter(name, shortened(word).into());
            }
        }
        if let Some(valid_to_ms) = input.valid_to_ms {
            event.parameter("validTo", (valid_to_ms / 1_000).into());
        }
        let result = self
            .try_import_key_material(caller, &input, &mut event)
            .await;
        event.close(result).await
    }

    async fn try_import_key_material(
        &self,
        caller: &Caller,
        input: &ImportKeyMaterialInput,
        event: &mut Event<'_>,
    ) -> Result<ImportKeyMaterialOutput, Error> {
        let now_ms = self.now_ms();
        let valid_to_ms = expiry(input, now_ms)?;
        let wish = Wish::parse(input)?;
        let mut conditions = vec![("kms:ExpirationModel", expiration_model(input).to_owned())];
        if let Some(valid_to_ms) = valid_to_ms {
            conditions.push(("kms:ValidTo", (valid_to_ms / 1_000).to_string()));
        }
        let ask = Ask {
            conditions: &conditions,
            ..Ask::new(caller, event.via(), KmsAction::ImportKeyMaterial)
        };
        let uid = self.importing(&ask, &input.key_id, event)?;
        let token = ImportToken::open(self.keyring(), uid, &input.import_token)?;
        if token.valid_to_ms <= now_ms {
            return Err(Error::ExpiredImportToken(
                "The import token has expired.".to_owned(),
            ));
        }
        let encrypted = input.encrypted_key_material.clone();
        let material = heavy::beside(move || token.unwrap(&encrypted)).await?;
        let material = Material::new(material);
        let id = material.imported_id(self.keyring(), uid);
        let shred = self.new_shred_key(uid).await?;
        let change = self.change_named_key(&input.key_id, &ask, |row| {
            let arn = row.arn(self.place());
            check_imports(row, &arn)?;
            ask.action.needs().check(&arn, row.state)?;
            check_material(row.spec, &material)?;
            let versions = self.versions_of(row.uid())?;
            let number = wish.version(row, &versions, id)?;
            self.put_in(row, versions, number, id, &material, &shred, |stored| {
                stored.valid_to_ms = valid_to_ms;
                if input.key_material_description.is_some() {
                    stored
                        .description
                        .clone_from(&input.key_material_description);
                }
            })
        });
        let (row, imported) = match change.await {
            Ok(changed) => changed,
            Err(error) => {
                self.destroy_shred_key(shred.id()).await?;
                return Err(error);
            }
        };
        self.forget(uid);
        self.destroy_shred_keys(imported.shred_ids).await?;
        let key_arn = row.arn(self.place());
        let key_material_id = hex::encode(id);
        event.material_id(&key_material_id);
        event.response(json!({ "keyId": key_arn, "keyMaterialId": key_material_id }));
        Ok(ImportKeyMaterialOutput {
            key_arn,
            key_material_id,
        })
    }

    /// Puts material into a version, new or known by its id.
    #[expect(clippy::too_many_arguments, reason = "one step of an operation")]
    fn put_in(
        &self,
        row: &mut KeyRow,
        mut versions: Vec<Version>,
        number: u32,
        id: [u8; 32],
        material: &Material,
        shred: &ShredKey,
        describe: impl FnOnce(&mut crate::rows::MaterialRow),
    ) -> Result<Change<Imported>, Error> {
        let uid = row.uid();
        // What is there of the same material is replaced, and destroyed.
        let mut taken = self.take_out(row, &mut versions, &[number], shred)?;
        let mut stored = self.wrap_material(row, number, id, material, shred)?;
        let key = material_key(uid, number);
        let known = versions.iter_mut().find(|version| version.number == number);
        if let Some(known) = known {
            if known.material.material_id == id {
                stored.created_ms = known.material.created_ms;
                stored.rotated_ms = known.material.rotated_ms;
                stored.rotation = known.material.rotation;
                stored.description = known.material.description.take();
            }
            describe(&mut stored);
            if taken.shred_ids.is_empty() {
                taken.preconditions.push(known.is_unchanged(uid));
            }
            known.material = stored.clone();
        } else {
            describe(&mut stored);
            taken.preconditions.push(Precondition::Absent {
                table: MATERIALS,
                key: key.clone(),
            });
            versions.push(Version {
                number,
                material: stored.clone(),
                seq: 0,
            });
        }
        // The last write of a row is the one that counts.
        let same = |write: &Write| matches!(write, Write::Put { key: there, .. } if *there == key);
        taken.writes.retain(|write| !same(write));
        taken.writes.push(Write::Put {
            table: MATERIALS,
            key,
            value: stored.encode()?,
        });
        if row.current_version == 0 {
            row.current_version = number;
            row.current_material_id = id;
        }
        self.settle(row, &versions);
        let imported = Imported {
            shred_ids: taken.shred_ids,
        };
        Ok(Change::Rows(imported, taken.preconditions, taken.writes))
    }
}

/// What the caller says of the material.
struct Wish<'a> {
    is_new: Option<bool>,
    /// Members that only symmetric keys take.
    only_symmetric: bool,
    id: Option<&'a str>,
}

impl Wish<'_> {
    fn parse(input: &ImportKeyMaterialInput) -> Result<Wish<'_>, Error> {
        let is_new = match input.import_type.as_deref() {
            None => None,
            Some("NEW_KEY_MATERIAL") => Some(true),
            Some("EXISTING_KEY_MATERIAL") => Some(false),
            Some(other) => {
                return Err(Error::constraint(
                    shortened(other),
                    "importType",
                    "satisfy enum value set: [NEW_KEY_MATERIAL, EXISTING_KEY_MATERIAL]",
                ));
            }
        };
        let id = input.key_material_id.as_deref();
        if id.is_some() && is_new == Some(true) {
            return Err(Error::Validation(
                "You cannot specify KeyMaterialId when ImportType is NEW_KEY_MATERIAL.".to_owned(),
            ));
        }
        if let Some(text) = &input.key_material_description {
            let allowed = |c: char| c.is_ascii_alphanumeric() || ":/_.-".contains(c);
            let fits = text.chars().all(|c| allowed(c) || c.is_whitespace());
            if !fits || text.chars().count() > DESCRIPTION_CHARACTERS_MAX {
                let must = "satisfy regular expression pattern: ^[a-zA-Z0-9:/_\\s.-]+$";
                let shown = shortened(text);
                return Err(Error::constraint(shown, "keyMaterialDescription", must));
            }
        }
        Ok(Wish {
            is_new,
            only_symmetric: is_new.is_some()
                || id.is_some()
                || input.key_material_description.is_some(),
            id,
        })
    }

    /// The version that material with this id goes into.
    fn version(&self, row: &KeyRow, versions: &[Version], id: [u8; 32]) -> Result<u32, Error> {
        let symmetric = row.spec == KeySpec::SymmetricDefault;
        if self.only_symmetric && !symmetric {
            return Err(Error::Validation(
                "ImportType, KeyMaterialDescription and KeyMaterialId are for symmetric encryption \
                 keys only."
                    .to_owned(),
            ));
        }
        let other = || {
            Error::IncorrectKeyMaterial(
                "The key material is not the key material that was imported before.".to_owned(),
            )
        };
        if self.id.is_some_and(|asked| asked != hex::encode(id)) {
            return Err(other());
        }
        let known = versions
            .iter()
            .find(|version| version.material.material_id == id);
        if !self.is_new.unwrap_or(versions.is_empty()) {
            return known.map(|version| version.number).ok_or_else(other);
        }
        if known.is_some() {
            return Err(Error::IncorrectKeyMaterial(
                "The key material has been imported into this key before.".to_owned(),
            ));
        }
        let pending = versions
            .iter()
            .filter(|version| version.material.is_wrapped())
            .find(|version| version.number > row.current_version);
        if let Some(pending) = pending {
            return Err(Error::InvalidState(format!(
                "New key material (id: {}) cannot be imported into KMS key {}, because another \
                 key material (id: {}) is pending rotation.",
                hex::encode(id),
                row.uid(),
                hex::encode(pending.material.material_id)
            )));
        }
        Ok(row.current_version.saturating_add(1))
    }
}

fn expiration_model(input: &ImportKeyMaterialInput) -> &str {
    input.expiration_model.as_deref().unwrap_or(EXPIRES)
}

fn expiry(input: &ImportKeyMaterialInput, now_ms: u64) -> Result<Option<u64>, Error> {
    let invalid = |text: &str| Err(Error::Validation(text.to_owned()));
    match (expiration_model(input), input.valid_to_ms) {
        (DOES_NOT_EXPIRE, None) => Ok(None),
        (DOES_NOT_EXPIRE, Some(_)) => invalid(
            "A validTo date must not be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE",
        ),
        (EXPIRES, None) => {
            invalid("A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES")
        }
        (EXPIRES, Some(valid_to_ms)) => {
            let end_ms = now_ms.saturating_add(VALID_DAYS_MAX.saturating_mul(DAY_MS));
            if valid_to_ms <= now_ms {
                return invalid("The validTo date must be in the future.");
            }
            if valid_to_ms > end_ms {
                return invalid("The validTo date must not be more than 365 days in the future.");
            }
            Ok(Some(valid_to_ms))
        }
        (other, _) => Err(Error::constraint(
            shortened(other),
            "expirationModel",
            "satisfy enum value set: [KEY_MATERIAL_EXPIRES, KEY_MATERIAL_DOES_NOT_EXPIRE]",
        )),
    }
}

/// Refuses material that a key of `spec` cannot have.
fn check_material(spec: KeySpec, material: &Material) -> Result<(), Error> {
    let len = material.expose_secret().len();
    let fits = match spec {
        KeySpec::SymmetricDefault => len == 32,
        KeySpec::Hmac224 => (28..=64).contains(&len),
        KeySpec::Hmac256 => (32..=64).contains(&len),
        KeySpec::Hmac384 => (48..=128).contains(&len),
        KeySpec::Hmac512 => (64..=128).contains(&len),
        KeySpec::Rsa2048
        | KeySpec::Rsa3072
        | KeySpec::Rsa4096
        | KeySpec::EccNistP256
        | KeySpec::EccNistP384
        | KeySpec::EccNistP521
        | KeySpec::EccNistEdwards25519 => {
            is_one_value(material.expose_secret()) && KeyPair::read(spec, material).is_ok()
        }
    };
    if fits {
        return Ok(());
    }
    Err(Error::IncorrectKeyMaterial(format!(
        "The key material is not valid for key spec {}.",
        spec.as_str()
    )))
}

/// Whether this is one sequence of DER and nothing behind it, as a private key has to be written.
fn is_one_value(der: &[u8]) -> bool {
    let length = match der {
        [0x30, short @ 0..=0x7f, rest @ ..] => Some((usize::from(*short), rest)),
        [0x30, 0x81, one @ 0x80..=0xff, rest @ ..] => Some((usize::from(*one), rest)),
        [0x30, 0x82, high @ 1..=0xff, low, rest @ ..] => {
            Some((usize::from(u16::from_be_bytes([*high, *low])), rest))
        }
        // No private key is that long.
        _ => None,
    };
    length.is_some_and(|(length, rest)| length == rest.len())
}

const EXPIRES: &str = "KEY_MATERIAL_EXPIRES";
const DOES_NOT_EXPIRE: &str = "KEY_MATERIAL_DOES_NOT_EXPIRE";
const VALID_DAYS_MAX: u64 = 365;
const DESCRIPTION_CHARACTERS_MAX: usize = 256;

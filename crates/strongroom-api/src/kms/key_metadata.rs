// SPDX-License-Identifier: Apache-2.0
//! `KeyMetadata`, the answer of CreateKey and DescribeKey.

use serde::Serialize;
use strongroom_kms::{KeyMetadata, KeyUsage};

use super::fault::KmsFault;
use super::reply::{EpochSeconds, Reply};

/// The whole answer.
pub(super) fn reply(metadata: &KeyMetadata) -> Result<Reply, KmsFault> {
    Reply::new(&Answer {
        key_metadata: Metadata::from(metadata),
    })
}

/// The word for whether imported material expires.
pub(super) fn expiration_model(valid_to_ms: Option<u64>) -> &'static str {
    match valid_to_ms {
        Some(_) => "KEY_MATERIAL_EXPIRES",
        None => "KEY_MATERIAL_DOES_NOT_EXPIRE",
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    key_metadata: Metadata<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata<'a> {
    #[serde(rename = "AWSAccountId")]
    account_id: &'a str,
    key_id: &'a str,
    arn: &'a str,
    creation_date: EpochSeconds,
    enabled: bool,
    description: &'a str,
    key_usage: &'static str,
    key_state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_date: Option<EpochSeconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_to: Option<EpochSeconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration_model: Option<&'static str>,
    origin: &'static str,
    key_manager: &'static str,
    /// The older name of the key spec, which clients still read.
    customer_master_key_spec: &'static str,
    key_spec: &'static str,
    #[serde(flatten)]
    algorithms: Algorithms,
    multi_region: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    multi_region_configuration: Option<MultiRegionConfiguration<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_key_material_id: Option<&'a str>,
}

/// The algorithms of a key; which member they are says what the key is for.
#[derive(Serialize)]
pub(super) enum Algorithms {
    #[serde(rename = "EncryptionAlgorithms")]
    Encryption(&'static [&'static str]),
    #[serde(rename = "SigningAlgorithms")]
    Signing(&'static [&'static str]),
    #[serde(rename = "MacAlgorithms")]
    Mac(&'static [&'static str]),
    #[serde(rename = "KeyAgreementAlgorithms")]
    KeyAgreement(&'static [&'static str]),
}

impl Algorithms {
    pub(super) fn new(usage: KeyUsage, algorithms: &'static [&'static str]) -> Self {
        match usage {
            KeyUsage::EncryptDecrypt => Self::Encryption(algorithms),
            KeyUsage::SignVerify => Self::Signing(algorithms),
            KeyUsage::GenerateVerifyMac => Self::Mac(algorithms),
            KeyUsage::KeyAgreement => Self::KeyAgreement(algorithms),
        }
    }
}

/// A multi-Region key here is a primary key without replicas.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct MultiRegionConfiguration<'a> {
    multi_region_key_type: &'static str,
    primary_key: MultiRegionKey<'a>,
    replica_keys: [MultiRegionKey<'a>; 0],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct MultiRegionKey<'a> {
    arn: &'a str,
    region: &'a str,
}

impl<'a> From<&'a KeyMetadata> for Metadata<'a> {
    fn from(metadata: &'a KeyMetadata) -> Self {
        Self {
            account_id: &metadata.account_id,
            key_id: &metadata.key_id,
            arn: &metadata.arn,
            creation_date: EpochSeconds(metadata.created_ms),
            enabled: metadata.enabled,
            description: &metadata.description,
            key_usage: metadata.usage.as_str(),
            key_state: metadata.state.as_str(),
            deletion_date: metadata.deletion_ms.map(EpochSeconds),
            valid_to: metadata.valid_to_ms.map(EpochSeconds),
            // Said of imported material that is there.
            expiration_model: metadata
                .has_imported_material
                .then(|| expiration_model(metadata.valid_to_ms)),
            origin: metadata.origin.as_str(),
            key_manager: metadata.manager.as_str(),
            customer_master_key_spec: metadata.spec.as_str(),
            key_spec: metadata.spec.as_str(),
            algorithms: Algorithms::new(metadata.usage, metadata.algorithms),
            multi_region: metadata.multi_region,
            multi_region_configuration: metadata.multi_region.then_some(MultiRegionConfiguration {
                multi_region_key_type: "PRIMARY",
                primary_key: MultiRegionKey {
                    arn: &metadata.arn,
                    region: &metadata.region,
                },
                replica_keys: [],
            }),
            current_key_material_id: metadata.current_key_material_id.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use strongroom_kms::{KeyManager, KeySpec, KeyState, Origin};

    use super::*;

    fn metadata() -> KeyMetadata {
        KeyMetadata {
            account_id: "000000000000".to_owned(),
            key_id: "id".to_owned(),
            arn: "arn".to_owned(),
            created_ms: 1_700_000_000_500,
            enabled: true,
            description: "d".to_owned(),
            usage: KeyUsage::EncryptDecrypt,
            state: KeyState::Enabled,
            deletion_ms: None,
            valid_to_ms: None,
            has_imported_material: false,
            origin: Origin::AwsKms,
            manager: KeyManager::Customer,
            spec: KeySpec::SymmetricDefault,
            algorithms: &["SYMMETRIC_DEFAULT"],
            multi_region: false,
            region: "r".to_owned(),
            current_key_material_id: Some("m".to_owned()),
        }
    }

    #[test]
    fn answer_has_the_members_of_the_service() {
        let bytes = reply(&metadata()).unwrap().into_bytes();
        assert_eq!(
            std::str::from_utf8(&bytes).unwrap(),
            r#"{"KeyMetadata":{"AWSAccountId":"000000000000","KeyId":"id","Arn":"arn","#.to_owned()
                + r#""CreationDate":1700000000.5,"Enabled":true,"Description":"d","#
                + r#""KeyUsage":"ENCRYPT_DECRYPT","KeyState":"Enabled","Origin":"AWS_KMS","#
                + r#""KeyManager":"CUSTOMER","CustomerMasterKeySpec":"SYMMETRIC_DEFAULT","#
                + r#""KeySpec":"SYMMETRIC_DEFAULT","EncryptionAlgorithms":["SYMMETRIC_DEFAULT"],"#
                + r#""MultiRegion":false,"CurrentKeyMaterialId":"m"}}"#
        );
    }

    #[test]
    fn multi_region_keys_are_primary_keys() {
        let metadata = KeyMetadata {
            usage: KeyUsage::GenerateVerifyMac,
            spec: KeySpec::Hmac224,
            algorithms: &["HMAC_SHA_224"],
            multi_region: true,
            current_key_material_id: None,
            ..metadata()
        };
        let bytes = reply(&metadata).unwrap().into_bytes();
        let text = std::str::from_utf8(&bytes).unwrap();
        let wanted = r#""MacAlgorithms":["HMAC_SHA_224"],"MultiRegion":true,"#.to_owned()
            + r#""MultiRegionConfiguration":{"MultiRegionKeyType":"PRIMARY","#
            + r#""PrimaryKey":{"Arn":"arn","Region":"r"},"ReplicaKeys":[]}}}"#;
        assert!(text.ends_with(&wanted), "{text}");
        for (usage, member) in [
            (KeyUsage::EncryptDecrypt, "EncryptionAlgorithms"),
            (KeyUsage::SignVerify, "SigningAlgorithms"),
            (KeyUsage::GenerateVerifyMac, "MacAlgorithms"),
            (KeyUsage::KeyAgreement, "KeyAgreementAlgorithms"),
        ] {
            let told = serde_json::to_string(&Algorithms::new(usage, &["A"])).unwrap();
            assert_eq!(told, format!("{{\"{member}\":[\"A\"]}}"));
        }
    }
}

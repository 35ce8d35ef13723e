// SPDX-License-Identifier: Apache-2.0
//! Key service: KMS keys, key material, aliases, data keys; and the keyring at the root of all.
//!
//! ```text
//!   root secret --root::unseal--> Keyring --at_rest--> store      (rows, log)
//!                                    |
//!   Caller, Receipt, Input           | kms-wrap key
//!        |                           v
//!     operation --find--> KeyRow --authorize--> Permit --unwrap--> material --> answer
//!        |                                                                        |
//!        `---------------- Receipt::record (success or refusal, durable) <--------'
//! ```
//!
//! One function for each operation, used by the wire and by S3 alike. Key material is reachable
//! only with a `Permit`, a permit only through `authorize`, and no public function returns either.
//! The state of a key is read from the table at each use: disabling stops use at once.

mod aead;
mod alias;
mod authorize;
mod bucket_key;
mod bucket_key_cache;
mod cancel_key_deletion;
mod create_alias;
mod create_grant;
mod create_key;
mod data_key;
mod decrypt;
mod delete_alias;
mod delete_imported_key_material;
mod derive_shared_secret;
mod describe_key;
mod destroy_key;
mod disable_key;
mod disable_key_rotation;
mod enable_key;
mod enable_key_rotation;
mod encrypt;
mod encryption;
mod error;
mod event;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod generate_data_key;
mod generate_data_key_pair;
mod generate_data_key_pair_without_plaintext;
mod generate_data_key_without_plaintext;
mod generate_mac;
mod generate_random;
mod get_key_last_usage;
mod get_key_policy;
mod get_key_rotation_status;
mod get_parameters_for_import;
mod get_public_key;
mod grant;
mod grant_index;
mod heavy;
mod import_key_material;
mod import_token;
mod kdf;
mod key_change;
mod key_id;
mod key_pair;
mod key_policy;
mod key_state;
mod last_use;
mod list_aliases;
mod list_grants;
mod list_key_policies;
mod list_key_rotations;
mod list_keys;
mod list_resource_tags;
mod list_retirable_grants;
mod mac;
mod material;
mod material_cache;
mod message;
mod model;
mod opened_rows;
mod overview;
mod page;
mod patience;
mod prefix;
mod put_key_policy;
mod re_encrypt;
mod rebuild;
mod retire_grant;
mod revoke_grant;
mod rewrap;
pub mod root;
mod rotate_key_on_demand;
mod rotation;
mod rows;
mod run_due;
mod s3;
mod s3_exchange;
mod schedule_key_deletion;
mod secret32;
#[cfg(test)]
mod secret_types;
mod seen_time;
mod service;
mod shred;
mod sign;
mod signing;
mod sse_s3;
mod tag_resource;
mod turn;
mod untag_resource;
mod update_alias;
mod update_key_description;
mod use_key;
mod verify;
mod verify_mac;
mod verify_vault;

pub use cancel_key_deletion::CancelKeyDeletionInput;
pub use create_alias::CreateAliasInput;
pub use create_grant::{CreateGrantInput, CreateGrantOutput};
pub use create_key::CreateKeyInput;
pub use data_key::DataKeySpec;
pub use decrypt::{DecryptInput, DecryptOutput};
pub use delete_alias::DeleteAliasInput;
pub use delete_imported_key_material::{
    DeleteImportedKeyMaterialInput, DeleteImportedKeyMaterialOutput,
};
pub use derive_shared_secret::{DeriveSharedSecretInput, DeriveSharedSecretOutput};
pub use describe_key::DescribeKeyInput;
pub use disable_key::DisableKeyInput;
pub use disable_key_rotation::DisableKeyRotationInput;
pub use enable_key::EnableKeyInput;
pub use enable_key_rotation::EnableKeyRotationInput;
pub use encrypt::{EncryptInput, EncryptOutput};
pub use error::Error;
pub use generate_data_key::{GenerateDataKeyInput, GenerateDataKeyOutput};
pub use generate_data_key_pair::{GenerateDataKeyPairInput, GenerateDataKeyPairOutput};
pub use generate_data_key_pair_without_plaintext::GenerateDataKeyPairWithoutPlaintextOutput;
pub use generate_data_key_without_plaintext::GenerateDataKeyWithoutPlaintextOutput;
pub use generate_mac::GenerateMacOutput;
pub use generate_random::GenerateRandomInput;
pub use get_key_last_usage::{GetKeyLastUsageInput, GetKeyLastUsageOutput};
pub use get_key_policy::{GetKeyPolicyInput, GetKeyPolicyOutput};
pub use get_key_rotation_status::{GetKeyRotationStatusInput, GetKeyRotationStatusOutput};
pub use get_parameters_for_import::{GetParametersForImportInput, GetParametersForImportOutput};
pub use get_public_key::{GetPublicKeyInput, GetPublicKeyOutput};
pub use grant::{GrantConstraints, GrantOperation};
pub use import_key_material::{ImportKeyMaterialInput, ImportKeyMaterialOutput};
pub use last_use::LastUse;
pub use list_aliases::{AliasListEntry, ListAliasesInput, ListAliasesOutput};
pub use list_grants::{GrantListEntry, ListGrantsInput, ListGrantsOutput};
pub use list_key_policies::ListKeyPoliciesInput;
pub use list_key_rotations::{
    ImportedListEntry, ListKeyRotationsInput, ListKeyRotationsOutput, RotationsListEntry,
};
pub use list_keys::{KeyListEntry, ListKeysInput, ListKeysOutput};
pub use list_resource_tags::{ListResourceTagsInput, ListResourceTagsOutput};
pub use list_retirable_grants::ListRetirableGrantsInput;
pub use mac::GenerateMacInput;
pub use model::{
    CiphertextBlob, KeyManager, KeyMetadata, KeySpec, KeyState, KeyUsage, Origin, Plaintext,
    RotationType, Tag,
};
pub use overview::{Destruction, KeyOverview};
pub use put_key_policy::PutKeyPolicyInput;
pub use re_encrypt::{ReEncryptInput, ReEncryptOutput};
pub use rebuild::{RebuiltKey, RebuiltKeys, TableRow};
pub use retire_grant::RetireGrantInput;
pub use revoke_grant::RevokeGrantInput;
pub use rewrap::{REWRAP_MARKS, RewrapMark, RewrapReport, TellRewrap};
pub use root::Keyring;
pub use rotate_key_on_demand::RotateKeyOnDemandInput;
pub use run_due::DueReport;
pub use s3::S3DataKey;
pub use s3_exchange::S3Exchange;
pub use schedule_key_deletion::{ScheduleKeyDeletionInput, ScheduleKeyDeletionOutput};
pub use seen_time::ClockReport;
pub use service::Kms;
pub use sign::{SignInput, SignOutput};
pub use tag_resource::TagResourceInput;
pub use untag_resource::UntagResourceInput;
pub use update_alias::UpdateAliasInput;
pub use update_key_description::UpdateKeyDescriptionInput;
pub use verify::{VerifyInput, VerifyOutput};
pub use verify_mac::{VerifyMacInput, VerifyMacOutput};
pub use verify_vault::VaultReport;

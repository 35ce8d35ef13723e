// SPDX-License-Identifier: Apache-2.0
//! Objects of our own writing, made and judged by `vectors/client_side.py` without this library: what opens, and
//! everything that must not, each by its name.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use serde::Deserialize;
use serde_json::Value;
use strongroom_client::content::{ContentKey, decrypt_range, range_of};
use strongroom_client::envelope::{Cipher, Fields, TextMap};
use strongroom_client::keyring::{
    Answer, KeyService, Keyring, KmsKeyring, MasterKeyring, NewDataKey, RsaPrivateKey, Wrapped,
    WrappedByService,
};
use strongroom_client::{AesKey, Client, CommitmentPolicy, Error, Legacy};

use crate::world::aes;

#[derive(Deserialize)]
struct Vectors {
    opened: Vec<Object>,
    refused: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    name: String,
    policy: String,
    #[serde(default)]
    legacy_wrapping: bool,
    #[serde(default)]
    legacy_modes: bool,
    metadata: Fields,
    instruction_file: Option<String>,
    #[serde(default)]
    context: TextMap,
    keys: Keys,
    content_hex: String,
    expect: String,
    plaintext_hex: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Keys {
    Aes(Vec<Value>),
    Rsa(Vec<Value>),
    Kms(Value),
}

static VECTORS: LazyLock<Vectors> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../../vectors/cse/own-objects.json")).unwrap()
});

/// How often keys were asked for.
#[derive(Default)]
struct Asked {
    keyring: AtomicUsize,
    service: AtomicUsize,
}

/// Knows some ciphertexts, under one context each.
struct Service {
    known: Vec<Value>,
    asked: Arc<Asked>,
}

impl KeyService for Service {
    fn generate_data_key<'a>(&'a self, _: &'a str, _: &'a TextMap) -> Answer<'a, WrappedByService> {
        Box::pin(async { Err(Error::KeyService("reads only".into())) })
    }

    fn decrypt<'a>(
        &'a self,
        _: Option<&'a str>,
        blob: &'a [u8],
        context: &'a TextMap,
    ) -> Answer<'a, AesKey> {
        self.asked.service.fetch_add(1, Ordering::SeqCst);
        let is_it = |known: &&Value| {
            known["blob_hex"] == hex::encode(blob).as_str() && texts(&known["context"]) == *context
        };
        let found = self
            .known
            .iter()
            .find(is_it)
            .map(|known| bytes(&known["data_key_hex"]));
        Box::pin(async move {
            AesKey::new(found.ok_or_else(|| Error::KeyService("InvalidCiphertext".into()))?)
        })
    }
}

/// Counts what it is asked.
struct Counted {
    keyring: Box<dyn Keyring>,
    asked: Arc<Asked>,
}

impl Keyring for Counted {
    fn generate<'a>(&'a self, cipher: Cipher, context: &'a TextMap) -> Answer<'a, NewDataKey> {
        self.keyring.generate(cipher, context)
    }

    fn unwrap<'a>(&'a self, wrapped: Wrapped<'a>) -> Answer<'a, AesKey> {
        self.asked.keyring.fetch_add(1, Ordering::SeqCst);
        self.keyring.unwrap(wrapped)
    }
}

fn bytes(hex: &Value) -> Vec<u8> {
    hex::decode(hex.as_str().unwrap()).unwrap()
}

fn texts(map: &Value) -> TextMap {
    serde_json::from_value(map.clone()).unwrap()
}

fn keyring(keys: &Keys, asked: &Arc<Asked>) -> Box<dyn Keyring> {
    match keys {
        Keys::Aes(keys) => Box::new(keys.iter().fold(MasterKeyring::new(), |ring, key| {
            ring.read_aes(texts(&key["description"]), aes(&bytes(&key["key_hex"])))
                .unwrap()
        })),
        Keys::Rsa(keys) => Box::new(keys.iter().fold(MasterKeyring::new(), |ring, key| {
            let der = crate::world::pem(key["pkcs8_b64"].as_str().unwrap());
            ring.read_rsa(
                texts(&key["description"]),
                RsaPrivateKey::from_pkcs8(&der).unwrap(),
            )
            .unwrap()
        })),
        Keys::Kms(service) => Box::new(KmsKeyring::new(
            Service {
                known: service["ciphertexts"].as_array().unwrap().clone(),
                asked: Arc::clone(asked),
            },
            service["key_id"].as_str().unwrap(),
        )),
    }
}

async fn open(object: &Object, asked: &Arc<Asked>) -> Result<Vec<u8>, Error> {
    let keyring = Counted {
        keyring: keyring(&object.keys, asked),
        asked: Arc::clone(asked),
    };
    let policy = match object.policy.as_str() {
        "require-encrypt-allow-decrypt" => CommitmentPolicy::RequireEncryptAllowDecrypt,
        "require-encrypt-require-decrypt" => CommitmentPolicy::RequireEncryptRequireDecrypt,
        other => panic!("{other}"),
    };
    let client = Client::new(keyring)
        .commitment_policy(policy)
        .legacy(Legacy {
            wrapping_algorithms: object.legacy_wrapping,
            unauthenticated_modes: object.legacy_modes,
        });
    let file = object.instruction_file.clone().map(String::into_bytes);
    let envelope = Client::<Counted>::envelope(&object.metadata, || Ok(file))?;
    let content = client.open(&envelope, &object.context).await?;
    content.decrypt(&hex::decode(&object.content_hex).unwrap())
}

fn class(error: &Error) -> &'static str {
    match error {
        Error::NotEncrypted => "not_encrypted",
        Error::Envelope(_) => "envelope",
        Error::Refused { .. } => "refused",
        Error::WrongKey => "wrong_key",
        Error::UnknownDescription(_) => "unknown_description",
        Error::WrongContext => "wrong_context",
        Error::KeyService(_) => "key_service",
        Error::Commitment => "commitment",
        Error::Content => "content",
        Error::Range => "range",
        Error::Config(_) => "config",
        _ => "other",
    }
}

#[tokio::test]
async fn every_object_of_our_own_opens() {
    assert!(VECTORS.opened.len() > 100);
    for object in &VECTORS.opened {
        assert_eq!(object.expect, "ok", "{}", object.name);
        let plain = open(object, &Arc::default()).await;
        let plain = plain.unwrap_or_else(|error| panic!("{}: {error}", object.name));
        assert_eq!(
            Some(hex::encode(plain)),
            object.plaintext_hex,
            "{}",
            object.name
        );
    }
}

#[test]
fn ranges_of_our_own() {
    let json: Value =
        serde_json::from_str(include_str!("../../../../vectors/cse/own-ranges.json")).unwrap();
    for vector in json["ranges"].as_array().unwrap() {
        let name = vector["name"].as_str().unwrap();
        let number = |field: &str| vector[field].as_u64().unwrap();
        let range = range_of(number("stored_bytes"), number("first"), number("last"));
        if vector["expect"] != "ok" {
            assert_eq!(
                class(&range.unwrap_err()),
                vector["expect"].as_str().unwrap(),
                "{name}"
            );
            continue;
        }
        let range = range.unwrap();
        let (first, last) = (number("fetch_first"), number("fetch_last"));
        assert_eq!((range.first, range.last), (first, last), "{name}");
        let key = AesKey::new(bytes(&vector["key_hex"])).unwrap();
        let key = ContentKey::v2(&key, bytes(&vector["nonce_hex"]).try_into().unwrap());
        let zeros = vec![0; usize::try_from(last - first + 1).unwrap()];
        let mut out = Vec::new();
        decrypt_range(&key, range, &zeros, &mut out).unwrap();
        assert_eq!(out, bytes(&vector["keystream_hex"]), "{name}");
    }
}

/// It fails as it should, and no key was used where none has to be.
async fn refused(name: &str) {
    let object = VECTORS
        .refused
        .iter()
        .find(|object| object.name == name)
        .unwrap();
    let asked = Arc::default();
    let error = open(object, &asked).await.unwrap_err();
    assert_eq!(class(&error), object.expect, "{error}");
    let (keyring, service) = (
        asked.keyring.load(Ordering::SeqCst),
        asked.service.load(Ordering::SeqCst),
    );
    match class(&error) {
        "not_encrypted" | "refused" => assert_eq!((keyring, service), (0, 0), "{name}"),
        "envelope" | "wrong_context" | "config" | "wrong_key" => assert_eq!(service, 0, "{name}"),
        _ => assert_eq!(keyring, 1, "{name}"),
    }
}

macro_rules! refused {
    ($($name:ident)*) => {
        $(#[tokio::test]
        async fn $name() {
            refused(stringify!($name)).await;
        })*

        #[test]
        fn each_refused_object_has_its_test() {
            let tested = [$(stringify!($name)),*];
            let names: Vec<&str> = VECTORS.refused.iter().map(|object| object.name.as_str()).collect();
            assert_eq!(names, tested);
        }
    };
}

refused! {
    cse_n01_body_bit_flipped_v3
    cse_n02_tag_bit_flipped_v3
    cse_n03_body_cut_by_1_v3
    cse_n04_body_cut_by_16_v3
    cse_n05_byte_appended_v3
    cse_n01_body_bit_flipped_v2
    cse_n02_tag_bit_flipped_v2
    cse_n03_body_cut_by_1_v2
    cse_n04_body_cut_by_16_v2
    cse_n05_byte_appended_v2
    cse_n06_c_flipped
    cse_n07_d_flipped
    cse_n08_i_flipped
    cse_n09_d_of_27_bytes
    cse_n10_d_of_29_bytes
    cse_n11_i_of_27_bytes
    cse_n12_i_of_29_bytes
    cse_n12_i_all_zero
    cse_n13_wrapped_key_of_another_object_kms
    cse_n13_wrapped_key_of_another_object_aes
    cse_n14_w_02_on_a_kms_object
    cse_n14_w_02_and_m_on_a_kms_object
    cse_n14_w_12_on_an_aes_object
    cse_n15_w_99
    cse_n16_w_01
    cse_n17_c_114
    cse_n18_c_116
    cse_n19_key_and_key_v2
    cse_n20_key_v2_and_3
    cse_n21_key_and_3
    cse_n22_v2_with_c
    cse_n23_v2_with_w
    cse_n24_v2_with_c_and_w
    cse_n25_v3_with_tag_len
    cse_n26_v3_with_iv
    cse_n27_instruction_file_with_c
    cse_n27_instruction_file_with_d
    cse_n27_instruction_file_with_i
    cse_n28_instruction_file_of_v2_for_v3
    cse_n28_instruction_file_of_v2_and_v3
    cse_n28_instruction_file_of_v3_for_v2
    cse_n29_instruction_file_with_unknown_field
    cse_n30_instruction_file_not_json
    cse_n31_instruction_file_json_array
    cse_n31_instruction_file_number_for_a_text
    cse_n31_instruction_file_name_twice
    cse_n31_instruction_file_empty
    cse_n31_instruction_file_missing
    cse_n32_context_entry_wrong_v3
    cse_n33_context_entry_missing_v3
    cse_n33_context_missing_v3
    cse_n34_context_entry_extra_v3
    cse_n35_context_entry_reserved_v3
    cse_n35_context_entry_reserved_key_id_v3
    cse_n32_context_entry_wrong_v2
    cse_n33_context_entry_missing_v2
    cse_n33_context_missing_v2
    cse_n34_context_entry_extra_v2
    cse_n35_context_entry_reserved_v2
    cse_n35_context_entry_reserved_key_id_v2
    cse_n36_stored_cek_alg_of_v2_in_v3
    cse_n36_stored_cek_alg_of_v3_in_v2
    cse_n36_stored_cek_alg_missing
    cse_n37_tag_len_96
    cse_n38_gcm_iv_of_16_bytes
    cse_n39_iv_all_zero
    cse_n40_gcm_to_cbc_under_aes
    cse_n41_gcm_to_cbc_under_rsa
    cse_n42_gcm_to_cbc_under_kms
    cse_n43_kms_context_to_kms
    cse_n43_kms_context_to_kms_and_cbc
    cse_n43_kms_context_to_kms_around_the_context
    cse_n43_kms_with_a_context_expected
    cse_n44_cbc_with_flags_off
    cse_n45_kms_with_flags_off
    cse_n46_aeswrap_with_flags_off
    cse_n46_oaep_sha256_with_flags_off
    cse_n47_v1_with_flags_off_aes
    cse_n47_v1_with_only_wrapping_aes
    cse_n47_v1_with_only_modes_aes
    cse_n47_v1_with_flags_off_rsa
    cse_n47_v1_with_only_wrapping_rsa
    cse_n47_v1_with_only_modes_rsa
    cse_n48_require_decrypt_v2_kms_17
    cse_n48_require_decrypt_v2_aes_17
    cse_n48_require_decrypt_v2_rsa_17
    cse_n48_require_decrypt_v2_aes_instruction_file
    cse_n48_require_decrypt_v1_aes_37
    cse_n49_plaintext_object
    cse_n49_plaintext_object_with_metadata
    cse_n49_half_an_envelope_v3
    cse_n49_half_an_envelope_v2
    cse_n49_two_of_c_d_i
    cse_n50_oaep_length_byte_31
    cse_n50_oaep_length_byte_16
    cse_n50_oaep_length_byte_beyond
    cse_n51_oaep_suffix_116
    cse_n51_oaep_suffix_longer
    cse_n51_oaep_suffix_missing
    cse_n51_oaep_nothing
    cse_n52_key_wrapped_for_v2_in_v3
    cse_n52_data_key_of_16_bytes_in_v3
    cse_n53_another_master_key
    cse_n54_unknown_description
    cse_n55_description_array
    cse_n55_description_number
    cse_n55_description_twice
    cse_n55_description_empty
    cse_n55_description_trailing
    cse_n55_description_half_a_character
    cse_n56_base64_without_padding
    cse_n56_base64_with_a_line
    cse_n56_base64_of_urls
}

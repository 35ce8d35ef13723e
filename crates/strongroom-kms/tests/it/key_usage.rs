// SPDX-License-Identifier: Apache-2.0
//! Which operation works with which key: one table.

use strongroom_format::EncryptionContext;
use strongroom_kms::{
    CiphertextBlob, DataKeySpec, DecryptInput, DeriveSharedSecretInput, EncryptInput, Error,
    GenerateDataKeyInput, GenerateDataKeyPairInput, GenerateMacInput, KeyMetadata, Plaintext,
    ReEncryptInput, SignInput, VerifyInput, VerifyMacInput,
};

use crate::world::{World, new_world};

/// Asks for an operation with a key, in a way that is right but for the key, and only to see
/// whether it would work.
#[expect(clippy::too_many_lines, reason = "one arm for each operation")]
async fn ask(world: &World, operation: &str, key: &KeyMetadata, other: &KeyMetadata) -> Error {
    let receipt = world.receipt();
    let (kms, caller) = (&world.kms, &world.caller);
    let algorithm = key.algorithms[0].to_owned();
    let rsa = key.spec.as_str().starts_with("RSA");
    let encryption = if rsa {
        "RSAES_OAEP_SHA_256"
    } else {
        "SYMMETRIC_DEFAULT"
    };
    let key_id = key.key_id.clone();
    let data_key = || GenerateDataKeyInput {
        key_id: key.key_id.clone(),
        spec: DataKeySpec::Aes256,
        context: EncryptionContext::new(),
        grant_tokens: Vec::new(),
        dry_run: true,
    };
    let pair = || GenerateDataKeyPairInput {
        key_id: key.key_id.clone(),
        key_pair_spec: "ECC_NIST_P256".to_owned(),
        context: EncryptionContext::new(),
        grant_tokens: Vec::new(),
        dry_run: true,
    };
    let signed = || SignInput {
        key_id: key.key_id.clone(),
        message: Plaintext::new(vec![1]),
        message_type: None,
        algorithm: if operation_fits(&algorithm, &["RSASSA", "ECDSA", "ED25519"]) {
            algorithm.clone()
        } else {
            "ECDSA_SHA_256".to_owned()
        },
        grant_tokens: Vec::new(),
        dry_run: true,
    };
    let message = || GenerateMacInput {
        key_id: key.key_id.clone(),
        message: Plaintext::new(vec![1]),
        algorithm: if operation_fits(&algorithm, &["HMAC"]) {
            algorithm.clone()
        } else {
            "HMAC_SHA_256".to_owned()
        },
        grant_tokens: Vec::new(),
        dry_run: true,
    };
    let re_encrypt =
        |from: &KeyMetadata, to: &KeyMetadata, (one, two): (&str, &str)| ReEncryptInput {
            ciphertext_blob: CiphertextBlob(Vec::new()),
            source_context: EncryptionContext::new(),
            source_key_id: Some(from.key_id.clone()),
            source_algorithm: Some(one.to_owned()),
            destination_key_id: to.key_id.clone(),
            destination_context: EncryptionContext::new(),
            destination_algorithm: Some(two.to_owned()),
            grant_tokens: Vec::new(),
            dry_run: true,
            ignore_ciphertext: true,
        };
    let done = match operation {
        "Encrypt" => {
            let input = EncryptInput {
                key_id,
                plaintext: Plaintext::new(vec![1]),
                context: EncryptionContext::new(),
                algorithm: Some(encryption.to_owned()),
                grant_tokens: Vec::new(),
                dry_run: true,
            };
            kms.encrypt(caller, &receipt, input).await.map(drop)
        }
        "Decrypt" => {
            let input = DecryptInput {
                ciphertext_blob: CiphertextBlob(Vec::new()),
                context: EncryptionContext::new(),
                key_id: Some(key_id),
                algorithm: Some(encryption.to_owned()),
                grant_tokens: Vec::new(),
                dry_run: true,
                ignore_ciphertext: true,
            };
            kms.decrypt(caller, &receipt, input).await.map(drop)
        }
        "ReEncrypt from" => {
            let input = re_encrypt(key, other, (encryption, "SYMMETRIC_DEFAULT"));
            kms.re_encrypt(caller, &receipt, input).await.map(drop)
        }
        "ReEncrypt to" => {
            let input = re_encrypt(other, key, ("SYMMETRIC_DEFAULT", encryption));
            kms.re_encrypt(caller, &receipt, input).await.map(drop)
        }
        "GenerateDataKey" => kms
            .generate_data_key(caller, &receipt, data_key())
            .await
            .map(drop),
        "GenerateDataKeyWithoutPlaintext" => kms
            .generate_data_key_without_plaintext(caller, &receipt, data_key())
            .await
            .map(drop),
        "GenerateDataKeyPair" => kms
            .generate_data_key_pair(caller, &receipt, pair())
            .await
            .map(drop),
        "GenerateDataKeyPairWithoutPlaintext" => kms
            .generate_data_key_pair_without_plaintext(caller, &receipt, pair())
            .await
            .map(drop),
        "Sign" => kms.sign(caller, &receipt, signed()).await.map(drop),
        "Verify" => {
            let input = VerifyInput {
                signed: signed(),
                signature: vec![1],
            };
            kms.verify(caller, &receipt, input).await.map(drop)
        }
        "GenerateMac" => kms
            .generate_mac(caller, &receipt, message())
            .await
            .map(drop),
        "VerifyMac" => {
            let input = VerifyMacInput {
                message: message(),
                mac: vec![1],
            };
            kms.verify_mac(caller, &receipt, input).await.map(drop)
        }
        _ => {
            let public_key = match world.public_key(&key.key_id).await {
                Ok(told) => told.public_key,
                Err(_) => vec![1],
            };
            let input = DeriveSharedSecretInput {
                key_id,
                algorithm: "ECDH".to_owned(),
                public_key,
                grant_tokens: Vec::new(),
                dry_run: true,
            };
            kms.derive_shared_secret(caller, &receipt, input)
                .await
                .map(drop)
        }
    };
    receipt.finish_recorded();
    done.unwrap_err()
}

fn operation_fits(algorithm: &str, begins: &[&str]) -> bool {
    begins.iter().any(|begin| algorithm.starts_with(begin))
}

const OPERATIONS: [&str; 13] = [
    "Encrypt",
    "Decrypt",
    "ReEncrypt from",
    "ReEncrypt to",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "Sign",
    "Verify",
    "GenerateMac",
    "VerifyMac",
    "DeriveSharedSecret",
];

/// One letter for each operation, in their order: `+` works, `-` does not.
const TABLE: [(&str, &str, &str); 12] = [
    ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", "++++++++-----"),
    ("RSA_2048", "ENCRYPT_DECRYPT", "++++---------"),
    ("RSA_2048", "SIGN_VERIFY", "--------++---"),
    ("ECC_NIST_P256", "SIGN_VERIFY", "--------++---"),
    ("ECC_NIST_P384", "SIGN_VERIFY", "--------++---"),
    ("ECC_NIST_P521", "SIGN_VERIFY", "--------++---"),
    ("ECC_NIST_P256", "KEY_AGREEMENT", "------------+"),
    ("ECC_NIST_P384", "KEY_AGREEMENT", "------------+"),
    ("ECC_NIST_P521", "KEY_AGREEMENT", "------------+"),
    ("ECC_NIST_EDWARDS25519", "SIGN_VERIFY", "--------++---"),
    ("HMAC_224", "GENERATE_VERIFY_MAC", "----------++-"),
    ("HMAC_512", "GENERATE_VERIFY_MAC", "----------++-"),
];

#[tokio::test]
async fn keys_do_what_they_are_for_and_nothing_else() {
    let world = new_world().await;
    let other = world.key().await;
    for (spec, usage, row) in TABLE {
        let key = world.key_of(spec, usage).await;
        let mut told = String::new();
        for operation in OPERATIONS {
            let error = ask(&world, operation, &key, &other).await;
            match error.code() {
                "DryRunOperationException" => told.push('+'),
                "InvalidKeyUsageException" => {
                    let name = operation.split(' ').next().unwrap();
                    let text = format!(
                        "{} key usage is {usage} which is not valid for {name}.",
                        key.arn
                    );
                    assert_eq!(error.to_string(), text);
                    told.push('-');
                }
                code => panic!("{spec} {usage} {operation}: {code} {error}"),
            }
        }
        assert_eq!(told, row, "{spec} {usage}");
    }
}

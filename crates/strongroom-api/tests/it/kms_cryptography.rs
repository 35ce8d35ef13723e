// SPDX-License-Identifier: Apache-2.0
//! The key service's wire: asymmetric keys, message authentication codes, and data key pairs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::{House, house};
use crate::kms::{ask, refuse};

async fn key(house: &House, spec: &str, usage: &str) -> Value {
    let made = ask(
        house,
        "CreateKey",
        json!({"KeySpec": spec, "KeyUsage": usage}),
    )
    .await;
    made["KeyMetadata"].clone()
}

#[tokio::test]
async fn signatures() {
    let house = house().await;
    let metadata = key(&house, "ECC_NIST_P256", "SIGN_VERIFY").await;
    let arn = metadata["Arn"].as_str().unwrap();
    assert_eq!(metadata["SigningAlgorithms"], json!(["ECDSA_SHA_256"]));
    assert_eq!(metadata["CustomerMasterKeySpec"], "ECC_NIST_P256");
    assert_eq!(metadata.get("EncryptionAlgorithms"), None);
    assert_eq!(metadata.get("CurrentKeyMaterialId"), None);
    let public = ask(&house, "GetPublicKey", json!({"KeyId": arn})).await;
    assert_eq!(public["KeyId"], arn);
    assert_eq!(public["KeySpec"], "ECC_NIST_P256");
    assert_eq!(public["KeyUsage"], "SIGN_VERIFY");
    assert_eq!(public["SigningAlgorithms"], json!(["ECDSA_SHA_256"]));
    let der = STANDARD.decode(public["PublicKey"].as_str().unwrap());
    assert_eq!(der.unwrap().len(), 91);
    let mut wish = json!({
        "KeyId": arn,
        "Message": "AAEC",
        "SigningAlgorithm": "ECDSA_SHA_256",
    });
    let signed = ask(&house, "Sign", wish.clone()).await;
    assert_eq!(signed["KeyId"], arn);
    assert_eq!(signed["SigningAlgorithm"], "ECDSA_SHA_256");
    wish["Signature"] = signed["Signature"].clone();
    let told = ask(&house, "Verify", wish.clone()).await;
    assert_eq!(
        told,
        json!({"KeyId": arn, "SignatureValid": true, "SigningAlgorithm": "ECDSA_SHA_256"})
    );
    wish["Message"] = json!("AAED");
    let kind = "KMSInvalidSignatureException";
    assert_eq!(refuse(&house, "Verify", wish.clone(), kind).await, "");
    wish["MessageType"] = json!("DIGEST");
    let message = refuse(&house, "Verify", wish.clone(), "ValidationException").await;
    assert_eq!(
        message,
        "Digest is invalid length for algorithm ECDSA_SHA_256."
    );
    wish["SigningAlgorithm"] = json!("ED25519_PH_SHA_512");
    refuse(&house, "Verify", wish, "InvalidKeyUsageException").await;
}

#[tokio::test]
async fn message_authentication_codes() {
    let house = house().await;
    let metadata = key(&house, "HMAC_224", "GENERATE_VERIFY_MAC").await;
    let arn = metadata["Arn"].as_str().unwrap();
    assert_eq!(metadata["MacAlgorithms"], json!(["HMAC_SHA_224"]));
    let mut wish = json!({"KeyId": arn, "Message": "AAEC", "MacAlgorithm": "HMAC_SHA_224"});
    let made = ask(&house, "GenerateMac", wish.clone()).await;
    assert_eq!(
        (&made["KeyId"], &made["MacAlgorithm"]),
        (&json!(arn), &json!("HMAC_SHA_224"))
    );
    wish["Mac"] = made["Mac"].clone();
    let told = ask(&house, "VerifyMac", wish.clone()).await;
    assert_eq!(
        told,
        json!({"KeyId": arn, "MacValid": true, "MacAlgorithm": "HMAC_SHA_224"})
    );
    wish["Message"] = json!("AAED");
    let kind = "KMSInvalidMacException";
    assert_eq!(refuse(&house, "VerifyMac", wish, kind).await, "");
}

#[tokio::test]
async fn rsa_ciphertexts_and_re_encryption() {
    let house = house().await;
    let metadata = key(&house, "RSA_2048", "ENCRYPT_DECRYPT").await;
    let rsa = metadata["Arn"].as_str().unwrap();
    let symmetric = ask(&house, "CreateKey", json!({})).await;
    let symmetric = symmetric["KeyMetadata"]["Arn"].as_str().unwrap();
    let algorithm = "RSAES_OAEP_SHA_256";
    let made = ask(
        &house,
        "Encrypt",
        json!({"KeyId": rsa, "Plaintext": "AAEC", "EncryptionAlgorithm": algorithm}),
    )
    .await;
    assert_eq!(made["EncryptionAlgorithm"], algorithm);
    let blob = &made["CiphertextBlob"];
    let wish = json!({"CiphertextBlob": blob, "KeyId": rsa, "EncryptionAlgorithm": algorithm});
    let opened = ask(&house, "Decrypt", wish).await;
    assert_eq!(
        opened,
        json!({"KeyId": rsa, "Plaintext": "AAEC", "EncryptionAlgorithm": algorithm})
    );
    let wish = json!({"CiphertextBlob": blob, "EncryptionAlgorithm": algorithm});
    let message = refuse(&house, "Decrypt", wish, "ValidationException").await;
    assert!(message.contains("'keyId'"), "{message}");
    let again = ask(
        &house,
        "ReEncrypt",
        json!({
            "CiphertextBlob": blob,
            "SourceKeyId": rsa,
            "SourceEncryptionAlgorithm": algorithm,
            "DestinationKeyId": symmetric,
            "DestinationEncryptionContext": {"a": "b"},
        }),
    )
    .await;
    assert_eq!(
        (&again["SourceKeyId"], &again["KeyId"]),
        (&json!(rsa), &json!(symmetric))
    );
    assert_eq!(again["SourceEncryptionAlgorithm"], algorithm);
    assert_eq!(again["DestinationEncryptionAlgorithm"], "SYMMETRIC_DEFAULT");
    assert_eq!(again.get("SourceKeyMaterialId"), None);
    assert_eq!(
        again["DestinationKeyMaterialId"].as_str().unwrap().len(),
        64
    );
    let wish = json!({
        "CiphertextBlob": again["CiphertextBlob"],
        "EncryptionContext": {"a": "b"},
    });
    assert_eq!(ask(&house, "Decrypt", wish).await["Plaintext"], "AAEC");
    let dry = json!({
        "DryRun": true,
        "DryRunModifiers": ["IGNORE_CIPHERTEXT"],
        "KeyId": symmetric,
    });
    refuse(&house, "Decrypt", dry, "DryRunOperationException").await;
}

#[tokio::test]
async fn data_key_pairs_and_shared_secrets() {
    let house = house().await;
    let symmetric = ask(&house, "CreateKey", json!({})).await;
    let symmetric = symmetric["KeyMetadata"]["Arn"].as_str().unwrap();
    let wish = json!({"KeyId": symmetric, "KeyPairSpec": "ECC_NIST_P384"});
    let pair = ask(&house, "GenerateDataKeyPair", wish.clone()).await;
    assert_eq!(pair["KeyId"], symmetric);
    assert_eq!(pair["KeyPairSpec"], "ECC_NIST_P384");
    assert_eq!(pair["KeyMaterialId"].as_str().unwrap().len(), 64);
    let wrapped = json!({"CiphertextBlob": pair["PrivateKeyCiphertextBlob"]});
    let opened = ask(&house, "Decrypt", wrapped).await;
    assert_eq!(opened["Plaintext"], pair["PrivateKeyPlaintext"]);
    let without = ask(&house, "GenerateDataKeyPairWithoutPlaintext", wish).await;
    assert_eq!(without.get("PrivateKeyPlaintext"), None);
    assert_ne!(without["PublicKey"], pair["PublicKey"]);

    let metadata = key(&house, "ECC_NIST_P384", "KEY_AGREEMENT").await;
    let arn = metadata["Arn"].as_str().unwrap();
    assert_eq!(metadata["KeyAgreementAlgorithms"], json!(["ECDH"]));
    let wish = json!({
        "KeyId": arn,
        "KeyAgreementAlgorithm": "ECDH",
        "PublicKey": pair["PublicKey"],
    });
    let derived = ask(&house, "DeriveSharedSecret", wish).await;
    let secret = STANDARD.decode(derived["SharedSecret"].as_str().unwrap());
    assert_eq!(secret.unwrap().len(), 48);
    assert_eq!(
        (&derived["KeyId"], &derived["KeyOrigin"]),
        (&json!(arn), &json!("AWS_KMS"))
    );
    let wish = json!({"KeyId": arn, "KeyAgreementAlgorithm": "ECDH", "PublicKey": "AAEC"});
    refuse(&house, "DeriveSharedSecret", wish, "ValidationException").await;
}

#[tokio::test]
async fn random_bytes_and_multi_region_keys() {
    let house = house().await;
    let random = ask(&house, "GenerateRandom", json!({"NumberOfBytes": 1024})).await;
    let bytes = STANDARD.decode(random["Plaintext"].as_str().unwrap());
    assert_eq!(bytes.unwrap().len(), 1024);
    let kind = "ValidationException";
    let message = refuse(&house, "GenerateRandom", json!({}), kind).await;
    assert_eq!(message, "NumberOfBytes is required.");
    let wish = json!({"MultiRegion": true, "Origin": "EXTERNAL"});
    let made = ask(&house, "CreateKey", wish).await;
    let metadata = &made["KeyMetadata"];
    assert_eq!(metadata["KeyState"], "PendingImport");
    let configuration = &metadata["MultiRegionConfiguration"];
    assert_eq!(configuration["MultiRegionKeyType"], "PRIMARY");
    assert_eq!(configuration["PrimaryKey"]["Arn"], metadata["Arn"]);
    assert_eq!(configuration["ReplicaKeys"], json!([]));
    let wish = json!({"KeyId": metadata["KeyId"]});
    let described = ask(&house, "DescribeKey", wish).await;
    assert_eq!(described["KeyMetadata"], *metadata);
}

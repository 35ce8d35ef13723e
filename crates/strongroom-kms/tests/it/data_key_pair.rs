// SPDX-License-Identifier: Apache-2.0
//! GenerateDataKeyPair and GenerateDataKeyPairWithoutPlaintext.

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rsa::PrivateDecryptingKey;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use serde_json::json;
use strongroom_kms::{Error, GenerateDataKeyPairInput, GenerateDataKeyPairOutput};

use crate::world::{World, context, new_world, refused};

fn input(key_id: &str, spec: &str) -> GenerateDataKeyPairInput {
    GenerateDataKeyPairInput {
        key_id: key_id.to_owned(),
        key_pair_spec: spec.to_owned(),
        context: context(&[("a", "b")]),
        grant_tokens: Vec::new(),
        dry_run: false,
    }
}

async fn generate(
    world: &World,
    input: GenerateDataKeyPairInput,
) -> Result<GenerateDataKeyPairOutput, Error> {
    let receipt = world.receipt();
    let kms = &world.kms;
    let result = kms
        .generate_data_key_pair(&world.caller, &receipt, input)
        .await;
    receipt.finish_recorded();
    result
}

/// The public key that belongs to a private key, by another way than the service's.
fn public_key_of(spec: &str, pkcs8: &[u8]) -> Vec<u8> {
    let curve = |algorithm| {
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8).unwrap();
        pair.public_key().as_der().unwrap().as_ref().to_vec()
    };
    match spec {
        "ECC_NIST_P256" => curve(&ECDSA_P256_SHA256_ASN1_SIGNING),
        "ECC_NIST_P384" => curve(&ECDSA_P384_SHA384_ASN1_SIGNING),
        "ECC_NIST_P521" => curve(&ECDSA_P521_SHA512_ASN1_SIGNING),
        "ECC_NIST_EDWARDS25519" => {
            let pair = Ed25519KeyPair::from_pkcs8(pkcs8).unwrap();
            pair.public_key().as_der().unwrap().as_ref().to_vec()
        }
        _ => {
            let pair = PrivateDecryptingKey::from_pkcs8(pkcs8).unwrap();
            let public_key: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
            public_key.as_ref().to_vec()
        }
    }
}

const SPECS: [&str; 7] = [
    "RSA_2048",
    "RSA_3072",
    "RSA_4096",
    "ECC_NIST_P256",
    "ECC_NIST_P384",
    "ECC_NIST_P521",
    "ECC_NIST_EDWARDS25519",
];

#[tokio::test]
async fn the_three_forms_of_a_pair_agree() {
    let world = new_world().await;
    let key = world.key().await;
    for spec in SPECS {
        let made = generate(&world, input(&key.key_id, spec)).await.unwrap();
        assert_eq!(made.key_pair_spec.as_str(), spec);
        assert_eq!(made.key_arn, key.arn);
        assert_eq!(
            Some(&made.key_material_id),
            key.current_key_material_id.as_ref()
        );
        let private_key = made.private_key.expose_secret();
        assert_eq!(made.public_key, public_key_of(spec, private_key), "{spec}");
        let blob = &made.private_key_blob.0;
        let right = context(&[("a", "b")]);
        let opened = world.decrypt(blob, &right, None).await.unwrap();
        assert_eq!(opened.plaintext.expose_secret(), private_key);
        let wrong = context(&[("a", "c")]);
        let refusal = refused(world.decrypt(blob, &wrong, None).await);
        assert_eq!(refusal, ("InvalidCiphertextException", String::new()));
    }
}

#[tokio::test]
async fn without_plaintext_opens_later() {
    let world = new_world().await;
    let key = world.key().await;
    let receipt = world.receipt();
    let made = world
        .kms
        .generate_data_key_pair_without_plaintext(
            &world.caller,
            &receipt,
            input(&key.arn, "ECC_NIST_P256"),
        )
        .await
        .unwrap();
    receipt.finish_recorded();
    let event = world.last_event().await;
    assert_eq!(event["eventName"], "GenerateDataKeyPairWithoutPlaintext");
    assert_eq!(
        event["requestParameters"],
        json!({
            "keyId": key.arn,
            "keyPairSpec": "ECC_NIST_P256",
            "encryptionContext": { "a": "b" },
        })
    );
    assert_eq!(
        event["additionalEventData"],
        json!({ "keyMaterialId": made.key_material_id })
    );
    let right = context(&[("a", "b")]);
    let opened = world
        .decrypt(&made.private_key_blob.0, &right, Some(&key.arn))
        .await;
    let opened = opened.unwrap();
    let public_key = public_key_of("ECC_NIST_P256", opened.plaintext.expose_secret());
    assert_eq!(made.public_key, public_key);
}

#[tokio::test]
async fn two_pairs_differ() {
    let world = new_world().await;
    let key = world.key().await;
    for spec in ["RSA_2048", "ECC_NIST_P256", "ECC_NIST_EDWARDS25519"] {
        let one = generate(&world, input(&key.key_id, spec)).await.unwrap();
        let two = generate(&world, input(&key.key_id, spec)).await.unwrap();
        assert_ne!(one.public_key, two.public_key);
    }
}

#[tokio::test]
async fn pairs_that_are_not_made() {
    let world = new_world().await;
    let key = world.key().await;
    let rsa = world.key_of("RSA_2048", "ENCRYPT_DECRYPT").await;
    let good = || input(&key.key_id, "ECC_NIST_P256");
    let dry = GenerateDataKeyPairInput {
        dry_run: true,
        ..good()
    };
    let no_value = GenerateDataKeyPairInput {
        context: context(&[("a", "")]),
        ..good()
    };
    for (wish, code) in [
        (
            input(&key.key_id, "ECC_SECG_P256K1"),
            "UnsupportedOperationException",
        ),
        (input(&key.key_id, "SM2"), "UnsupportedOperationException"),
        (
            input(&key.key_id, "ML_KEM_768"),
            "UnsupportedOperationException",
        ),
        (
            input(&key.key_id, "SYMMETRIC_DEFAULT"),
            "ValidationException",
        ),
        (input(&key.key_id, "HMAC_256"), "ValidationException"),
        (input(&key.key_id, "RSA_1024"), "ValidationException"),
        (input(&key.key_id, ""), "ValidationException"),
        (input(&rsa.key_id, "RSA_2048"), "InvalidKeyUsageException"),
        (input("alias/none", "RSA_2048"), "NotFoundException"),
        (no_value, "ValidationException"),
        (dry, "DryRunOperationException"),
    ] {
        assert_eq!(refused(generate(&world, wish).await).0, code);
    }
    world.disable(&key.key_id).await;
    assert_eq!(
        refused(generate(&world, good()).await).0,
        "DisabledException"
    );
}

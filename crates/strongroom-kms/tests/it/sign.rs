// SPDX-License-Identifier: Apache-2.0
//! Sign and Verify.

use aws_lc_rs::digest::{self, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, ED25519,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    UnparsedPublicKey, VerificationAlgorithm,
};
use serde_json::json;
use strongroom_kms::{
    Error, KeyMetadata, Plaintext, SignInput, SignOutput, VerifyInput, VerifyOutput,
};

use crate::world::{World, caller_of, new_world, refused};

/// What is asked, without the key.
#[derive(Clone, Copy)]
struct Asked<'a> {
    algorithm: &'a str,
    message: &'a [u8],
    message_type: Option<&'a str>,
    dry_run: bool,
}

fn raw<'a>(algorithm: &'a str, message: &'a [u8]) -> Asked<'a> {
    Asked {
        algorithm,
        message,
        message_type: None,
        dry_run: false,
    }
}

fn input(key_id: &str, asked: Asked<'_>) -> SignInput {
    SignInput {
        key_id: key_id.to_owned(),
        message: Plaintext::new(asked.message.to_vec()),
        message_type: asked.message_type.map(str::to_owned),
        algorithm: asked.algorithm.to_owned(),
        grant_tokens: Vec::new(),
        dry_run: asked.dry_run,
    }
}

async fn sign(world: &World, key_id: &str, asked: Asked<'_>) -> Result<SignOutput, Error> {
    let receipt = world.receipt();
    let wish = input(key_id, asked);
    let result = world.kms.sign(&world.caller, &receipt, wish).await;
    receipt.finish_recorded();
    result
}

async fn verify(
    world: &World,
    key_id: &str,
    asked: Asked<'_>,
    signature: &[u8],
) -> Result<VerifyOutput, Error> {
    let receipt = world.receipt();
    let wish = VerifyInput {
        signed: input(key_id, asked),
        signature: signature.to_vec(),
    };
    let result = world.kms.verify(&world.caller, &receipt, wish).await;
    receipt.finish_recorded();
    result
}

type Independent = (
    &'static str,
    &'static dyn VerificationAlgorithm,
    &'static digest::Algorithm,
);

const RSA: [Independent; 6] = [
    (
        "RSASSA_PSS_SHA_256",
        &RSA_PSS_2048_8192_SHA256,
        &digest::SHA256,
    ),
    (
        "RSASSA_PSS_SHA_384",
        &RSA_PSS_2048_8192_SHA384,
        &digest::SHA384,
    ),
    (
        "RSASSA_PSS_SHA_512",
        &RSA_PSS_2048_8192_SHA512,
        &digest::SHA512,
    ),
    (
        "RSASSA_PKCS1_V1_5_SHA_256",
        &RSA_PKCS1_2048_8192_SHA256,
        &digest::SHA256,
    ),
    (
        "RSASSA_PKCS1_V1_5_SHA_384",
        &RSA_PKCS1_2048_8192_SHA384,
        &digest::SHA384,
    ),
    (
        "RSASSA_PKCS1_V1_5_SHA_512",
        &RSA_PKCS1_2048_8192_SHA512,
        &digest::SHA512,
    ),
];
const P256: [Independent; 1] = [("ECDSA_SHA_256", &ECDSA_P256_SHA256_ASN1, &digest::SHA256)];
const P384: [Independent; 1] = [("ECDSA_SHA_384", &ECDSA_P384_SHA384_ASN1, &digest::SHA384)];
const P521: [Independent; 1] = [("ECDSA_SHA_512", &ECDSA_P521_SHA512_ASN1, &digest::SHA512)];

/// Signs in both ways and has the signatures verified here and by the public key alone.
async fn signs(world: &World, key: &KeyMetadata, algorithms: &[Independent]) {
    let public_key = world.public_key(&key.key_id).await.unwrap().public_key;
    let message = b"what is signed";
    for (algorithm, elsewhere, hash) in algorithms {
        let digest = digest(hash, message);
        let as_digest = Asked {
            message_type: Some("DIGEST"),
            ..raw(algorithm, digest.as_ref())
        };
        for asked in [raw(algorithm, message), as_digest] {
            let signed = sign(world, &key.key_id, asked).await.unwrap();
            assert_eq!((&signed.key_arn, signed.algorithm), (&key.arn, *algorithm));
            let elsewhere = UnparsedPublicKey::new(*elsewhere, &public_key);
            elsewhere.verify(message, &signed.signature).unwrap();
            // A message and its digest are the same thing.
            for asked in [raw(algorithm, message), as_digest] {
                let told = verify(world, &key.key_id, asked, &signed.signature).await;
                assert_eq!(told.unwrap().key_arn, key.arn, "{algorithm}");
            }
            let other = raw(algorithm, b"what is not signed");
            let refusal = refused(verify(world, &key.key_id, other, &signed.signature).await);
            assert_eq!(refusal, ("KMSInvalidSignatureException", String::new()));
        }
        for wrong in [0, 1, digest.as_ref().len() - 1, digest.as_ref().len() + 1] {
            let bytes = vec![7; wrong];
            let asked = Asked {
                message_type: Some("DIGEST"),
                ..raw(algorithm, &bytes)
            };
            let (code, message) = refused(sign(world, &key.key_id, asked).await);
            assert_eq!(code, "ValidationException");
            if wrong > 0 {
                let wanted = format!("Digest is invalid length for algorithm {algorithm}.");
                assert_eq!(message, wanted);
            }
        }
    }
}

#[tokio::test]
async fn signatures_of_rsa() {
    let world = new_world().await;
    for spec in ["RSA_2048", "RSA_3072"] {
        let key = world.key_of(spec, "SIGN_VERIFY").await;
        signs(&world, &key, &RSA).await;
    }
}

#[tokio::test]
async fn signatures_of_curves() {
    let world = new_world().await;
    let key = world.key_of("ECC_NIST_P256", "SIGN_VERIFY").await;
    signs(&world, &key, &P256).await;
    let key = world.key_of("ECC_NIST_P384", "SIGN_VERIFY").await;
    signs(&world, &key, &P384).await;
    let key = world.key_of("ECC_NIST_P521", "SIGN_VERIFY").await;
    signs(&world, &key, &P521).await;
}

#[tokio::test]
async fn signatures_of_ed25519() {
    let world = new_world().await;
    let key = world.key_of("ECC_NIST_EDWARDS25519", "SIGN_VERIFY").await;
    let public_key = world.public_key(&key.key_id).await.unwrap().public_key;
    let asked = raw("ED25519_SHA_512", b"message");
    let signed = sign(&world, &key.key_id, asked).await.unwrap();
    let elsewhere = UnparsedPublicKey::new(&ED25519, &public_key);
    elsewhere.verify(b"message", &signed.signature).unwrap();
    assert!(
        verify(&world, &key.key_id, asked, &signed.signature)
            .await
            .is_ok()
    );
    let message = [7; 64];
    let asked = Asked {
        message_type: Some("DIGEST"),
        ..raw("ED25519_SHA_512", &message)
    };
    let refusal = refused(sign(&world, &key.key_id, asked).await);
    let text = "Message type DIGEST is incompatible with algorithm ED25519_SHA_512.";
    assert_eq!(refusal, ("ValidationException", text.to_owned()));
    let asked = Asked {
        algorithm: "ED25519_PH_SHA_512",
        ..asked
    };
    let refusal = refused(sign(&world, &key.key_id, asked).await);
    let text = "Algorithm ED25519_PH_SHA_512 is not supported here.";
    assert_eq!(refusal, ("UnsupportedOperationException", text.to_owned()));
}

#[tokio::test]
async fn every_byte_of_a_signature_counts() {
    let world = new_world().await;
    for (spec, algorithm) in [
        ("RSA_2048", "RSASSA_PSS_SHA_256"),
        ("RSA_2048", "RSASSA_PKCS1_V1_5_SHA_512"),
        ("ECC_NIST_P256", "ECDSA_SHA_256"),
        ("ECC_NIST_P521", "ECDSA_SHA_512"),
        ("ECC_NIST_EDWARDS25519", "ED25519_SHA_512"),
    ] {
        let key = world.key_of(spec, "SIGN_VERIFY").await;
        let asked = raw(algorithm, b"message");
        let good = sign(&world, &key.key_id, asked).await.unwrap().signature;
        let mut bad: Vec<Vec<u8>> = Vec::new();
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 1 << (at % 8);
            bad.push(changed);
        }
        bad.extend((1..good.len()).map(|len| good[..len].to_vec()));
        bad.push([good.as_slice(), &[0]].concat());
        bad.push([&[0], good.as_slice()].concat());
        bad.push([good.as_slice(), &good].concat());
        bad.push(vec![0; good.len()]);
        bad.push(vec![0xff; good.len()]);
        for signature in bad {
            let refusal = refused(verify(&world, &key.key_id, asked, &signature).await);
            assert_eq!(
                refusal,
                ("KMSInvalidSignatureException", String::new()),
                "{spec} {}",
                hex::encode(&signature)
            );
        }
        for (len, code) in [(0, "ValidationException"), (6145, "ValidationException")] {
            let refusal = refused(verify(&world, &key.key_id, asked, &vec![1; len]).await);
            assert_eq!(refusal.0, code);
        }
        let other = world.key_of(spec, "SIGN_VERIFY").await;
        let refusal = refused(verify(&world, &other.key_id, asked, &good).await);
        assert_eq!(refusal.0, "KMSInvalidSignatureException");
        assert!(verify(&world, &key.key_id, asked, &good).await.is_ok());
    }
}

#[tokio::test]
async fn signature_by_another_algorithm_of_the_same_key() {
    let world = new_world().await;
    let key = world.key_of("RSA_2048", "SIGN_VERIFY").await;
    for (at, (algorithm, ..)) in RSA.iter().enumerate() {
        let signed = sign(&world, &key.key_id, raw(algorithm, b"m"))
            .await
            .unwrap();
        for (other, (algorithm, ..)) in RSA.iter().enumerate() {
            let told = verify(&world, &key.key_id, raw(algorithm, b"m"), &signed.signature).await;
            assert_eq!(told.is_ok(), at == other, "{at} {other}");
        }
    }
}

#[tokio::test]
async fn requests_that_cannot_be_signed() {
    let world = new_world().await;
    let key = world.key_of("ECC_NIST_P256", "SIGN_VERIFY").await;
    let good = raw("ECDSA_SHA_256", b"message");
    let kind = |word| Asked {
        message_type: Some(word),
        ..good
    };
    for (asked, code) in [
        (raw("ECDSA_SHA_384", b"m"), "InvalidKeyUsageException"),
        (raw("RSASSA_PSS_SHA_256", b"m"), "InvalidKeyUsageException"),
        (raw("ED25519_PH_SHA_512", b"m"), "InvalidKeyUsageException"),
        (raw("SM2DSA", b"m"), "InvalidKeyUsageException"),
        (raw("ML_DSA_SHAKE_256", b"m"), "InvalidKeyUsageException"),
        (raw("ecdsa_sha_256", b"m"), "ValidationException"),
        (raw("", b"m"), "ValidationException"),
        (raw("ECDSA_SHA_256", b""), "ValidationException"),
        (raw("ECDSA_SHA_256", &[7; 4097]), "ValidationException"),
        (kind("digest"), "ValidationException"),
        (kind("EXTERNAL_MU"), "ValidationException"),
        (
            Asked {
                dry_run: true,
                ..good
            },
            "DryRunOperationException",
        ),
    ] {
        let refusal = refused(sign(&world, &key.key_id, asked).await);
        assert_eq!(
            refusal.0, code,
            "{} {:?}",
            asked.algorithm, asked.message_type
        );
        let refusal = refused(verify(&world, &key.key_id, asked, b"x").await);
        assert_eq!(refusal.0, code);
    }
    let refusal = refused(sign(&world, &key.key_id, raw("ECDSA_SHA_384", b"m")).await);
    let text = "Algorithm ECDSA_SHA_384 is incompatible with key spec ECC_NIST_P256.";
    assert_eq!(refusal.1, text);
    assert_eq!(
        refused(sign(&world, "alias/none", good).await).0,
        "NotFoundException"
    );
    let receipt = world.receipt();
    let stranger = caller_of("999988887777");
    let result = world
        .kms
        .sign(&stranger, &receipt, input(&key.key_id, good));
    let result = result.await;
    receipt.finish_recorded();
    assert_eq!(refused(result).0, "AccessDeniedException");
    world.disable(&key.key_id).await;
    let refusal = refused(sign(&world, &key.key_id, good).await);
    assert_eq!(refusal.1, format!("{} is disabled.", key.arn));
    assert_eq!(
        refused(verify(&world, &key.key_id, good, b"x").await).0,
        "DisabledException"
    );
}

#[tokio::test]
async fn events_of_signatures() {
    let world = new_world().await;
    let key = world.key_of("ECC_NIST_P256", "SIGN_VERIFY").await;
    let asked = raw("ECDSA_SHA_256", b"PLANTED-MESSAGE");
    let signed = sign(&world, &key.arn, asked).await.unwrap();
    let parameters = json!({
        "keyId": key.arn,
        "messageType": "RAW",
        "signingAlgorithm": "ECDSA_SHA_256",
    });
    let event = world.last_event().await;
    assert_eq!(
        (&event["eventName"], &event["readOnly"]),
        (&json!("Sign"), &json!(true))
    );
    assert_eq!(event["requestParameters"], parameters);
    assert_eq!(event["resources"][0]["ARN"], key.arn);
    let mut bad = signed.signature.clone();
    bad[20] ^= 1;
    verify(&world, &key.arn, asked, &bad).await.unwrap_err();
    let event = world.last_event().await;
    assert_eq!(event["eventName"], "Verify");
    assert_eq!(event["requestParameters"], parameters);
    assert_eq!(event["errorCode"], "KMSInvalidSignatureException");
    let trail = world.audit_text().await;
    assert!(!trail.contains("PLANTED-MESSAGE"));
    assert!(!trail.contains(&hex::encode(&signed.signature)));
}

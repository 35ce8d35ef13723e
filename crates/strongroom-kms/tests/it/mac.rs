// SPDX-License-Identifier: Apache-2.0
//! GenerateMac and VerifyMac.

use serde_json::json;
use strongroom_kms::{
    Error, GenerateMacInput, GenerateMacOutput, Plaintext, VerifyMacInput, VerifyMacOutput,
};

use crate::world::{World, caller_of, new_world, refused};

fn input(key_id: &str, algorithm: &str, message: &[u8]) -> GenerateMacInput {
    GenerateMacInput {
        key_id: key_id.to_owned(),
        message: Plaintext::new(message.to_vec()),
        algorithm: algorithm.to_owned(),
        grant_tokens: Vec::new(),
        dry_run: false,
    }
}

async fn mac(world: &World, input: GenerateMacInput) -> Result<GenerateMacOutput, Error> {
    let receipt = world.receipt();
    let result = world.kms.generate_mac(&world.caller, &receipt, input).await;
    receipt.finish_recorded();
    result
}

async fn verify(
    world: &World,
    message: GenerateMacInput,
    mac: &[u8],
) -> Result<VerifyMacOutput, Error> {
    let receipt = world.receipt();
    let mac = mac.to_vec();
    let input = VerifyMacInput { message, mac };
    let result = world.kms.verify_mac(&world.caller, &receipt, input).await;
    receipt.finish_recorded();
    result
}

const KINDS: [(&str, &str, usize); 4] = [
    ("HMAC_224", "HMAC_SHA_224", 28),
    ("HMAC_256", "HMAC_SHA_256", 32),
    ("HMAC_384", "HMAC_SHA_384", 48),
    ("HMAC_512", "HMAC_SHA_512", 64),
];

#[tokio::test]
async fn every_byte_of_a_mac_counts() {
    let world = new_world().await;
    for (spec, algorithm, len) in KINDS {
        let key = world.key_of(spec, "GENERATE_VERIFY_MAC").await;
        let wish = || input(&key.key_id, algorithm, b"message");
        let made = mac(&world, wish()).await.unwrap();
        assert_eq!(made.mac.len(), len);
        assert_eq!((&made.key_arn, made.algorithm), (&key.arn, algorithm));
        let good = made.mac;
        assert_eq!(mac(&world, wish()).await.unwrap().mac, good);
        let told = verify(&world, wish(), &good).await.unwrap();
        assert_eq!((told.key_arn, told.algorithm), (key.arn.clone(), algorithm));
        let mut bad: Vec<Vec<u8>> = Vec::new();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut changed = good.clone();
                changed[at] ^= 1 << bit;
                bad.push(changed);
            }
        }
        // Codes cut short are not codes here.
        bad.extend((1..good.len()).map(|len| good[..len].to_vec()));
        bad.push([good.as_slice(), &[0]].concat());
        bad.push([good.as_slice(), &good].concat());
        for wrong in bad {
            let refusal = refused(verify(&world, wish(), &wrong).await);
            assert_eq!(refusal, ("KMSInvalidMacException", String::new()));
        }
        for other in [&b"messagf"[..], b"message\0", b"m"] {
            let wish = input(&key.key_id, algorithm, other);
            let refusal = refused(verify(&world, wish, &good).await);
            assert_eq!(refusal.0, "KMSInvalidMacException");
        }
        let other = world.key_of(spec, "GENERATE_VERIFY_MAC").await;
        let wish = input(&other.key_id, algorithm, b"message");
        let refusal = refused(verify(&world, wish, &good).await);
        assert_eq!(refusal.0, "KMSInvalidMacException");
    }
}

#[tokio::test]
async fn requests_without_a_mac() {
    let world = new_world().await;
    let key = world.key_of("HMAC_256", "GENERATE_VERIFY_MAC").await;
    let good = || input(&key.key_id, "HMAC_SHA_256", b"m");
    let dry = GenerateMacInput {
        dry_run: true,
        ..good()
    };
    for (wish, code) in [
        (
            input(&key.key_id, "HMAC_SHA_256", b""),
            "ValidationException",
        ),
        (
            input(&key.key_id, "HMAC_SHA_256", &[7; 4097]),
            "ValidationException",
        ),
        (
            input(&key.key_id, "HMAC_SHA_1", b"m"),
            "ValidationException",
        ),
        (input(&key.key_id, "", b"m"), "ValidationException"),
        (
            input(&key.key_id, "HMAC_SHA_512", b"m"),
            "InvalidKeyUsageException",
        ),
        (
            input(&key.key_id, "HMAC_SHA_224", b"m"),
            "InvalidKeyUsageException",
        ),
        (
            input("alias/none", "HMAC_SHA_256", b"m"),
            "NotFoundException",
        ),
        (dry, "DryRunOperationException"),
    ] {
        assert_eq!(refused(mac(&world, wish).await).0, code);
    }
    assert!(
        mac(&world, input(&key.key_id, "HMAC_SHA_256", &[7; 4096]))
            .await
            .is_ok()
    );
    for len in [0, 6145] {
        let refusal = refused(verify(&world, good(), &vec![1; len]).await);
        assert_eq!(refusal.0, "ValidationException");
    }
    let receipt = world.receipt();
    let stranger = caller_of("999988887777");
    let result = world.kms.generate_mac(&stranger, &receipt, good()).await;
    receipt.finish_recorded();
    assert_eq!(refused(result).0, "AccessDeniedException");
    world.disable(&key.key_id).await;
    assert_eq!(refused(mac(&world, good()).await).0, "DisabledException");
    let refusal = refused(verify(&world, good(), &[1; 32]).await);
    assert_eq!(refusal.0, "DisabledException");
}

#[tokio::test]
async fn events_of_macs() {
    let world = new_world().await;
    let key = world.key_of("HMAC_384", "GENERATE_VERIFY_MAC").await;
    let wish = || input(&key.key_id, "HMAC_SHA_384", b"PLANTED-MESSAGE");
    let made = mac(&world, wish()).await.unwrap();
    let event = world.last_event().await;
    assert_eq!(event["eventName"], "GenerateMac");
    let parameters = json!({ "keyId": key.key_id, "macAlgorithm": "HMAC_SHA_384" });
    assert_eq!(event["requestParameters"], parameters);
    verify(&world, wish(), &[0; 48]).await.unwrap_err();
    let event = world.last_event().await;
    assert_eq!(event["eventName"], "VerifyMac");
    assert_eq!(event["errorCode"], "KMSInvalidMacException");
    assert_eq!(event["resources"][0]["ARN"], key.arn);
    let trail = world.audit_text().await;
    assert!(!trail.contains("PLANTED-MESSAGE"));
    assert!(!trail.contains(&hex::encode(&made.mac)));
}

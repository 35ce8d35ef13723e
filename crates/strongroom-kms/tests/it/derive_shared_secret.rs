// SPDX-License-Identifier: Apache-2.0
//! DeriveSharedSecret.

use aws_lc_rs::agreement::{
    Algorithm, ECDH_P256, ECDH_P384, ECDH_P521, PrivateKey, UnparsedPublicKey, agree,
};
use aws_lc_rs::encoding::{AsBigEndian as _, AsDer as _, EcPublicKeyCompressedBin};
use serde_json::json;
use strongroom_kms::{DeriveSharedSecretInput, DeriveSharedSecretOutput, Error, Origin};

use crate::world::{World, caller_of, new_world, refused};

const CURVES: [(&str, &Algorithm, usize); 3] = [
    ("ECC_NIST_P256", &ECDH_P256, 32),
    ("ECC_NIST_P384", &ECDH_P384, 48),
    ("ECC_NIST_P521", &ECDH_P521, 66),
];

fn input(key_id: &str, public_key: &[u8]) -> DeriveSharedSecretInput {
    DeriveSharedSecretInput {
        key_id: key_id.to_owned(),
        algorithm: "ECDH".to_owned(),
        public_key: public_key.to_vec(),
        grant_tokens: Vec::new(),
        dry_run: false,
    }
}

async fn derive(
    world: &World,
    input: DeriveSharedSecretInput,
) -> Result<DeriveSharedSecretOutput, Error> {
    let receipt = world.receipt();
    let kms = &world.kms;
    let result = kms.derive_shared_secret(&world.caller, &receipt, input);
    let result = result.await;
    receipt.finish_recorded();
    result
}

#[tokio::test]
async fn both_sides_have_one_secret() {
    let world = new_world().await;
    for (spec, curve, len) in CURVES {
        let key = world.key_of(spec, "KEY_AGREEMENT").await;
        let ours = world.public_key(&key.key_id).await.unwrap().public_key;
        let theirs = PrivateKey::generate(curve).unwrap();
        let public_key = theirs.compute_public_key().unwrap().as_der().unwrap();
        let told = derive(&world, input(&key.arn, public_key.as_ref()))
            .await
            .unwrap();
        assert_eq!((told.key_arn, told.algorithm), (key.arn.clone(), "ECDH"));
        assert_eq!(told.origin, Origin::AwsKms);
        let secret = told.shared_secret.expose_secret();
        assert_eq!(secret.len(), len);
        let there = UnparsedPublicKey::new(curve, ours);
        agree(&theirs, there, (), |bytes| {
            assert_eq!(bytes, secret);
            Ok(())
        })
        .unwrap();
        // Two keys of the service agree as well.
        let other = world.key_of(spec, "KEY_AGREEMENT").await;
        let of_key = world.public_key(&key.key_id).await.unwrap().public_key;
        let of_other = world.public_key(&other.key_id).await.unwrap().public_key;
        let one = derive(&world, input(&key.key_id, &of_other)).await.unwrap();
        let two = derive(&world, input(&other.key_id, &of_key)).await.unwrap();
        assert_eq!(
            one.shared_secret.expose_secret(),
            two.shared_secret.expose_secret()
        );
    }
}

#[tokio::test]
async fn public_keys_must_be_points_of_the_curve() {
    let world = new_world().await;
    for (spec, curve, _) in CURVES {
        let key = world.key_of(spec, "KEY_AGREEMENT").await;
        let theirs = PrivateKey::generate(curve).unwrap();
        let point = theirs.compute_public_key().unwrap();
        let good = point.as_der().unwrap().as_ref().to_vec();
        let compressed: EcPublicKeyCompressedBin<'_> = point.as_be_bytes().unwrap();
        let mut bad: Vec<Vec<u8>> = Vec::new();
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 1;
            bad.push(changed);
        }
        bad.extend((1..good.len()).map(|len| good[..len].to_vec()));
        bad.push([good.as_slice(), &[0]].concat());
        bad.push([good.as_slice(), &good].concat());
        bad.push(point.as_ref().to_vec());
        bad.push(compressed.as_ref().to_vec());
        bad.push(vec![0; good.len()]);
        // The point at infinity.
        bad.push([&good[..good.len() - point.as_ref().len()], &[0]].concat());
        for (_, other, _) in CURVES.iter().filter(|(other, ..)| *other != spec) {
            let theirs = PrivateKey::generate(other).unwrap();
            let point = theirs.compute_public_key().unwrap();
            bad.push(point.as_der().unwrap().as_ref().to_vec());
        }
        for other in ["RSA_2048", "ECC_NIST_EDWARDS25519"] {
            let other = world.key_of(other, "SIGN_VERIFY").await;
            bad.push(world.public_key(&other.key_id).await.unwrap().public_key);
        }
        for public_key in bad {
            let refusal = refused(derive(&world, input(&key.key_id, &public_key)).await);
            assert_eq!(
                refusal.0,
                "ValidationException",
                "{spec} {}",
                hex::encode(&public_key)
            );
        }
        assert!(derive(&world, input(&key.key_id, &good)).await.is_ok());
    }
}

#[tokio::test]
async fn requests_without_a_secret() {
    let world = new_world().await;
    let key = world.key_of("ECC_NIST_P256", "KEY_AGREEMENT").await;
    let signs = world.key_of("ECC_NIST_P256", "SIGN_VERIFY").await;
    let theirs = PrivateKey::generate(&ECDH_P256).unwrap();
    let public_key = theirs.compute_public_key().unwrap().as_der().unwrap();
    let good = || input(&key.key_id, public_key.as_ref());
    let algorithm = DeriveSharedSecretInput {
        algorithm: "X25519".to_owned(),
        ..good()
    };
    let dry = DeriveSharedSecretInput {
        dry_run: true,
        ..good()
    };
    for (wish, code) in [
        (algorithm, "ValidationException"),
        (dry, "DryRunOperationException"),
        (
            input(&signs.key_id, public_key.as_ref()),
            "InvalidKeyUsageException",
        ),
        (
            input("alias/none", public_key.as_ref()),
            "NotFoundException",
        ),
        (input(&key.key_id, &[]), "ValidationException"),
    ] {
        assert_eq!(refused(derive(&world, wish).await).0, code);
    }
    let receipt = world.receipt();
    let stranger = caller_of("999988887777");
    let result = world.kms.derive_shared_secret(&stranger, &receipt, good());
    let result = result.await;
    receipt.finish_recorded();
    assert_eq!(refused(result).0, "AccessDeniedException");
    assert!(derive(&world, good()).await.is_ok());
    let event = world.last_event().await;
    assert_eq!(event["eventName"], "DeriveSharedSecret");
    assert_eq!(
        event["requestParameters"],
        json!({ "keyId": key.key_id, "keyAgreementAlgorithm": "ECDH" })
    );
    world.disable(&key.key_id).await;
    assert_eq!(refused(derive(&world, good()).await).0, "DisabledException");
}

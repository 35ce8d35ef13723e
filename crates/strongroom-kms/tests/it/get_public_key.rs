// SPDX-License-Identifier: Apache-2.0
//! GetPublicKey.

use strongroom_kms::{KeySpec, KeyUsage};

use crate::world::{new_world, refused};

/// How each SubjectPublicKeyInfo begins (RFC 8017, 5480, 8410), and how long it is.
const FORMS: [(&str, &str, &str, usize); 6] = [
    (
        "RSA_2048",
        "SIGN_VERIFY",
        "30820122300d06092a864886f70d01010105000382010f003082010a0282010100",
        294,
    ),
    (
        "RSA_3072",
        "ENCRYPT_DECRYPT",
        "308201a2300d06092a864886f70d01010105000382018f003082018a0282018100",
        422,
    ),
    (
        "ECC_NIST_P256",
        "SIGN_VERIFY",
        "3059301306072a8648ce3d020106082a8648ce3d03010703420004",
        91,
    ),
    (
        "ECC_NIST_P384",
        "KEY_AGREEMENT",
        "3076301006072a8648ce3d020106052b8104002203620004",
        120,
    ),
    (
        "ECC_NIST_P521",
        "SIGN_VERIFY",
        "30819b301006072a8648ce3d020106052b810400230381860004",
        158,
    ),
    (
        "ECC_NIST_EDWARDS25519",
        "SIGN_VERIFY",
        "302a300506032b6570032100",
        44,
    ),
];

#[tokio::test]
async fn public_keys_have_the_form_of_their_specification() {
    let world = new_world().await;
    for (spec, usage, begin, len) in FORMS {
        let key = world.key_of(spec, usage).await;
        let told = world.public_key(&key.arn).await.unwrap();
        assert!(hex::encode(&told.public_key).starts_with(begin), "{spec}");
        assert_eq!(told.public_key.len(), len, "{spec}");
        assert_eq!((told.spec, told.usage), (key.spec, key.usage));
        assert_eq!(told.algorithms, key.algorithms);
        assert_eq!(told.key_arn, key.arn);
        let again = world.public_key(&key.key_id).await.unwrap();
        assert_eq!(told.public_key, again.public_key);
        let event = world.last_event().await;
        assert_eq!(event["eventName"], "GetPublicKey");
        assert_eq!(event["resources"][0]["ARN"], key.arn);
    }
}

#[tokio::test]
async fn symmetric_keys_have_no_public_half() {
    let world = new_world().await;
    let symmetric = world.key().await;
    assert_eq!(
        (symmetric.spec, symmetric.usage),
        (KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt)
    );
    let mac = world.key_of("HMAC_256", "GENERATE_VERIFY_MAC").await;
    for key in [symmetric, mac] {
        let (code, message) = refused(world.public_key(&key.key_id).await);
        assert_eq!(code, "UnsupportedOperationException");
        assert!(message.starts_with(&key.arn), "{message}");
    }
    let refusal = refused(world.public_key("alias/none").await);
    assert_eq!(refusal.0, "NotFoundException");
    let key = world.key_of("ECC_NIST_P256", "SIGN_VERIFY").await;
    world.disable(&key.key_id).await;
    let refusal = refused(world.public_key(&key.key_id).await);
    assert_eq!(
        refusal,
        ("DisabledException", format!("{} is disabled.", key.arn))
    );
}

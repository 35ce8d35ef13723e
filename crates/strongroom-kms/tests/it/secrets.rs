// SPDX-License-Identifier: Apache-2.0
//! Secrets show nowhere: not in `Debug`, errors, the audit log, nor on the drive.

use std::path::Path;

use base64_of::base64;
use strongroom_kms::root::{Passphrase, RootKey, RootSecret};
use strongroom_kms::{
    DataKeySpec, DeriveSharedSecretInput, EncryptInput, GenerateDataKeyPairInput, GenerateMacInput,
    GenerateRandomInput, Plaintext, ReEncryptInput, SignInput, VerifyInput, VerifyMacInput,
};

use strongroom_testkit::contents_below;

use crate::world::{context, new_world};

const PLANTED: &str = "PLANTED-SECRET-0123456789-ABCDEF";

/// The ways a secret could be written.
fn shapes(secret: &[u8]) -> Vec<Vec<u8>> {
    let numbers = format!("{secret:?}");
    vec![
        secret.to_vec(),
        hex::encode(secret).into_bytes(),
        hex::encode_upper(secret).into_bytes(),
        base64(secret).into_bytes(),
        numbers.trim_matches(['[', ']']).to_owned().into_bytes(),
    ]
}

fn assert_absent(text: &[u8], secret: &[u8], place: &str) {
    for shape in shapes(secret) {
        assert!(
            !text.windows(shape.len()).any(|window| window == shape),
            "secret in {place}"
        );
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story of one secret")]
async fn planted_secrets_are_found_nowhere() {
    let world = new_world().await;
    let key = world.key().await;
    let context = context(&[("a", "b")]);
    let input = || EncryptInput {
        key_id: key.key_id.clone(),
        plaintext: Plaintext::new(PLANTED.as_bytes().to_vec()),
        context: context.clone(),
        algorithm: None,
        grant_tokens: Vec::new(),
        dry_run: false,
    };
    assert_absent(
        format!("{:?}", input()).as_bytes(),
        PLANTED.as_bytes(),
        "EncryptInput",
    );
    let receipt = world.receipt();
    let sealed = world
        .kms
        .encrypt(&world.caller, &receipt, input())
        .await
        .unwrap();
    let opened = world
        .decrypt(&sealed.ciphertext_blob.0, &context, None)
        .await
        .unwrap();
    assert_eq!(opened.plaintext.expose_secret(), PLANTED.as_bytes());
    assert_absent(
        format!("{opened:?}").as_bytes(),
        PLANTED.as_bytes(),
        "DecryptOutput",
    );
    let wrong = EncryptInput {
        algorithm: Some("RSAES_OAEP_SHA_1".to_owned()),
        ..input()
    };
    let error = world
        .kms
        .encrypt(&world.caller, &receipt, wrong)
        .await
        .unwrap_err();
    assert_absent(
        format!("{error:?} {error}").as_bytes(),
        PLANTED.as_bytes(),
        "error",
    );
    let long = EncryptInput {
        plaintext: Plaintext::new(PLANTED.repeat(200).into()),
        ..input()
    };
    let error = world
        .kms
        .encrypt(&world.caller, &receipt, long)
        .await
        .unwrap_err();
    assert_absent(
        format!("{error:?} {error}").as_bytes(),
        PLANTED.as_bytes(),
        "error",
    );
    receipt.finish_recorded();

    let data_key = world
        .data_key(&key.key_id, DataKeySpec::Aes256)
        .await
        .unwrap();
    let data_key_secret = data_key.plaintext.expose_secret().to_vec();
    assert_absent(
        format!("{data_key:?}").as_bytes(),
        &data_key_secret,
        "GenerateDataKeyOutput",
    );
    let receipt = world.receipt();
    let for_s3 = world
        .kms
        .generate_data_key_for_s3(&world.caller, &receipt, None, &context)
        .await
        .unwrap();
    receipt.finish_recorded();
    let s3_secret = *for_s3.plaintext.expose_secret();
    assert_absent(format!("{for_s3:?}").as_bytes(), &s3_secret, "S3DataKey");

    let trail = world.audit_text().await;
    for secret in [PLANTED.as_bytes(), &data_key_secret, &s3_secret] {
        assert_absent(trail.as_bytes(), secret, "the audit log");
    }
    for blob in [
        &sealed.ciphertext_blob.0,
        &data_key.ciphertext_blob.0,
        &for_s3.blob,
    ] {
        assert_absent(trail.as_bytes(), blob, "the audit log");
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story of one secret")]
async fn secrets_of_asymmetric_keys_and_macs_are_found_nowhere() {
    let world = new_world().await;
    let planted = || Plaintext::new(PLANTED.as_bytes().to_vec());
    let mut shown: Vec<(&str, String)> = Vec::new();
    let mut secrets: Vec<Vec<u8>> = vec![PLANTED.as_bytes().to_vec()];
    let mut answers: Vec<Vec<u8>> = Vec::new();
    let receipt = world.receipt();
    let (kms, caller) = (&world.kms, &world.caller);

    let signs = world.key_of("RSA_2048", "SIGN_VERIFY").await;
    let sign = |algorithm: &str| SignInput {
        key_id: signs.key_id.clone(),
        message: planted(),
        message_type: None,
        algorithm: algorithm.to_owned(),
        grant_tokens: Vec::new(),
        dry_run: false,
    };
    shown.push(("SignInput", format!("{:?}", sign(""))));
    for algorithm in ["RSASSA_PSS_SHA_256", "ECDSA_SHA_256", "NONE"] {
        match kms.sign(caller, &receipt, sign(algorithm)).await {
            Ok(signed) => answers.push(signed.signature),
            Err(error) => shown.push(("a refusal to sign", format!("{error:?} {error}"))),
        }
    }
    let digest = SignInput {
        message_type: Some("DIGEST".to_owned()),
        message: Plaintext::new(PLANTED.repeat(2).into_bytes()),
        ..sign("RSASSA_PSS_SHA_256")
    };
    let error = kms.sign(caller, &receipt, digest).await.unwrap_err();
    shown.push(("a refusal of a digest", format!("{error:?} {error}")));
    let wrong = VerifyInput {
        signed: sign("RSASSA_PSS_SHA_256"),
        signature: vec![1; 256],
    };
    shown.push(("VerifyInput", format!("{wrong:?}")));
    let error = kms.verify(caller, &receipt, wrong).await.unwrap_err();
    shown.push(("a refusal to verify", format!("{error:?} {error}")));

    let mac = world.key_of("HMAC_256", "GENERATE_VERIFY_MAC").await;
    let message = || GenerateMacInput {
        key_id: mac.key_id.clone(),
        message: planted(),
        algorithm: "HMAC_SHA_256".to_owned(),
        grant_tokens: Vec::new(),
        dry_run: false,
    };
    shown.push(("GenerateMacInput", format!("{:?}", message())));
    let made = kms.generate_mac(caller, &receipt, message()).await.unwrap();
    answers.push(made.mac);
    let wrong = VerifyMacInput {
        message: message(),
        mac: vec![1; 32],
    };
    let error = kms.verify_mac(caller, &receipt, wrong).await.unwrap_err();
    shown.push(("a refusal of a code", format!("{error:?} {error}")));

    let rsa = world.key_of("RSA_2048", "ENCRYPT_DECRYPT").await;
    let encrypt = |key_id: &str, times: usize| EncryptInput {
        key_id: key_id.to_owned(),
        plaintext: Plaintext::new(PLANTED.repeat(times).into_bytes()),
        context: context(&[]),
        algorithm: Some("RSAES_OAEP_SHA_256".to_owned()),
        grant_tokens: Vec::new(),
        dry_run: false,
    };
    let error = kms
        .encrypt(caller, &receipt, encrypt(&rsa.key_id, 10))
        .await;
    let error = error.unwrap_err();
    shown.push(("a plaintext too long", format!("{error:?} {error}")));
    let sealed = kms.encrypt(caller, &receipt, encrypt(&rsa.key_id, 1)).await;
    let sealed = sealed.unwrap().ciphertext_blob;
    answers.push(sealed.0.clone());
    let symmetric = world.key().await;
    let again = ReEncryptInput {
        ciphertext_blob: sealed,
        source_context: context(&[]),
        source_key_id: Some(rsa.key_id.clone()),
        source_algorithm: Some("RSAES_OAEP_SHA_256".to_owned()),
        destination_key_id: symmetric.key_id.clone(),
        destination_context: context(&[]),
        destination_algorithm: None,
        grant_tokens: Vec::new(),
        dry_run: false,
        ignore_ciphertext: false,
    };
    let sealed = kms.re_encrypt(caller, &receipt, again).await.unwrap();
    answers.push(sealed.ciphertext_blob.0);

    let pair = GenerateDataKeyPairInput {
        key_id: symmetric.key_id.clone(),
        key_pair_spec: "ECC_NIST_P256".to_owned(),
        context: context(&[]),
        grant_tokens: Vec::new(),
        dry_run: false,
    };
    let made = kms
        .generate_data_key_pair(caller, &receipt, pair)
        .await
        .unwrap();
    shown.push(("GenerateDataKeyPairOutput", format!("{made:?}")));
    secrets.push(made.private_key.expose_secret().to_vec());
    answers.push(made.private_key_blob.0);
    let agrees = world.key_of("ECC_NIST_P256", "KEY_AGREEMENT").await;
    let derive = DeriveSharedSecretInput {
        key_id: agrees.key_id.clone(),
        algorithm: "ECDH".to_owned(),
        public_key: made.public_key,
        grant_tokens: Vec::new(),
        dry_run: false,
    };
    let derived = kms
        .derive_shared_secret(caller, &receipt, derive)
        .await
        .unwrap();
    shown.push(("DeriveSharedSecretOutput", format!("{derived:?}")));
    secrets.push(derived.shared_secret.expose_secret().to_vec());
    let random = GenerateRandomInput {
        number_of_bytes: Some(32),
    };
    let random = kms.generate_random(caller, &receipt, random).await.unwrap();
    secrets.push(random.expose_secret().to_vec());
    receipt.finish_recorded();

    let trail = world.audit_text().await;
    for secret in &secrets {
        for (place, text) in &shown {
            assert_absent(text.as_bytes(), secret, place);
        }
        assert_absent(trail.as_bytes(), secret, "the audit log");
    }
    for answer in &answers {
        assert_absent(trail.as_bytes(), answer, "the audit log");
    }
    world.store.close().await.unwrap();
    for secret in &secrets {
        scan(world.path(), secret);
    }
}

#[test]
fn root_secrets_do_not_print() {
    let key = RootKey::generate().unwrap();
    let secret = *key.expose_secret();
    assert_absent(format!("{key:?}").as_bytes(), &secret, "RootKey");
    assert_absent(
        format!("{:?}", RootSecret::Key(key)).as_bytes(),
        &secret,
        "RootSecret",
    );
    let passphrase = Passphrase::new(PLANTED.to_owned()).unwrap();
    let shown = format!("{:?}", RootSecret::Passphrase(passphrase));
    assert_absent(shown.as_bytes(), PLANTED.as_bytes(), "Passphrase");
}

#[tokio::test]
async fn descriptions_are_not_on_the_drive_in_clear() {
    let world = new_world().await;
    let receipt = world.receipt();
    let input = strongroom_kms::CreateKeyInput {
        key_spec: None,
        tags: vec![strongroom_kms::Tag {
            key: "owner".to_owned(),
            value: PLANTED.to_owned(),
        }],
        ..strongroom_kms::CreateKeyInput::default()
    };
    world
        .kms
        .create_key(&world.caller, &receipt, input)
        .await
        .unwrap();
    receipt.finish_recorded();
    world.store.close().await.unwrap();
    scan(world.path(), PLANTED.as_bytes());
}

fn scan(dir: &Path, secret: &[u8]) {
    for (path, content) in contents_below(dir).unwrap() {
        assert_absent(&content, secret, &path.display().to_string());
    }
}

mod base64_of {
    /// Enough base64 to search for it: without padding.
    pub(super) fn base64(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for triple in bytes.chunks_exact(3) {
            let value = triple
                .iter()
                .fold(0_usize, |value, byte| value << 8 | usize::from(*byte));
            for shift in [18, 12, 6, 0] {
                text.push(char::from(DIGITS[(value >> shift) & 63]));
            }
        }
        text
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Secrets show nowhere: not in `Debug`, errors, the audit log, nor on the drive.

use std::fs;
use std::path::Path;

use base64_of::base64;
use strongroom_kms::root::{Passphrase, RootKey, RootSecret};
use strongroom_kms::{DataKeySpec, EncryptInput, Plaintext};

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
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            scan(&path, secret);
        } else {
            assert_absent(
                &fs::read(&path).unwrap(),
                secret,
                &path.display().to_string(),
            );
        }
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

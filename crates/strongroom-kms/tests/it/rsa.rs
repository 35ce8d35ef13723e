// SPDX-License-Identifier: Apache-2.0
//! Encrypt, Decrypt and ReEncrypt with RSA keys.

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPublicEncryptingKey,
    PublicEncryptingKey,
};
use strongroom_format::EncryptionContext;
use strongroom_kms::{
    CiphertextBlob, DecryptInput, DecryptOutput, EncryptInput, EncryptOutput, Error, Plaintext,
    ReEncryptInput, ReEncryptOutput,
};

use crate::world::{World, context, new_world, refused};

const SHA_1: &str = "RSAES_OAEP_SHA_1";
const SHA_256: &str = "RSAES_OAEP_SHA_256";
const SAID_NOTHING: (&str, String) = ("InvalidCiphertextException", String::new());

fn plain(key_id: &str, algorithm: &str, plaintext: &[u8]) -> EncryptInput {
    EncryptInput {
        key_id: key_id.to_owned(),
        plaintext: Plaintext::new(plaintext.to_vec()),
        context: EncryptionContext::new(),
        algorithm: Some(algorithm.to_owned()),
        grant_tokens: Vec::new(),
        dry_run: false,
    }
}

fn sealed(key_id: &str, algorithm: &str, ciphertext: &[u8]) -> DecryptInput {
    DecryptInput {
        ciphertext_blob: CiphertextBlob(ciphertext.to_vec()),
        context: EncryptionContext::new(),
        key_id: Some(key_id.to_owned()),
        algorithm: Some(algorithm.to_owned()),
        grant_tokens: Vec::new(),
        dry_run: false,
        ignore_ciphertext: false,
    }
}

async fn encrypt(world: &World, input: EncryptInput) -> Result<EncryptOutput, Error> {
    let receipt = world.receipt();
    let result = world.kms.encrypt(&world.caller, &receipt, input).await;
    receipt.finish_recorded();
    result
}

async fn decrypt(world: &World, input: DecryptInput) -> Result<DecryptOutput, Error> {
    let receipt = world.receipt();
    let result = world.kms.decrypt(&world.caller, &receipt, input).await;
    receipt.finish_recorded();
    result
}

async fn re_encrypt(world: &World, input: ReEncryptInput) -> Result<ReEncryptOutput, Error> {
    let receipt = world.receipt();
    let result = world.kms.re_encrypt(&world.caller, &receipt, input).await;
    receipt.finish_recorded();
    result
}

/// Encrypts with the public key alone, as a client would.
fn elsewhere(public_key: &[u8], algorithm: &'static OaepAlgorithm, plaintext: &[u8]) -> Vec<u8> {
    let key = PublicEncryptingKey::from_der(public_key).unwrap();
    let key = OaepPublicEncryptingKey::new(key).unwrap();
    let mut ciphertext = vec![0; key.ciphertext_size()];
    let sealed = key.encrypt(algorithm, plaintext, &mut ciphertext, None);
    sealed.unwrap().to_vec()
}

#[tokio::test]
async fn sizes_and_strangers_ciphertexts() {
    let world = new_world().await;
    for (spec, modulus, max_1, max_256) in
        [("RSA_2048", 256, 214, 190), ("RSA_3072", 384, 342, 318)]
    {
        let key = world.key_of(spec, "ENCRYPT_DECRYPT").await;
        let public_key = world.public_key(&key.key_id).await.unwrap().public_key;
        for (algorithm, here, max) in [
            (SHA_1, &OAEP_SHA1_MGF1SHA1, max_1),
            (SHA_256, &OAEP_SHA256_MGF1SHA256, max_256),
        ] {
            for len in [1, 16, max] {
                let plaintext = vec![7; len];
                let made = encrypt(&world, plain(&key.arn, algorithm, &plaintext)).await;
                let made = made.unwrap();
                assert_eq!((made.key_arn, made.algorithm), (key.arn.clone(), algorithm));
                let ciphertext = made.ciphertext_blob.0;
                assert_eq!(ciphertext.len(), modulus);
                for ciphertext in [ciphertext, elsewhere(&public_key, here, &plaintext)] {
                    let wish = sealed(&key.key_id, algorithm, &ciphertext);
                    let opened = decrypt(&world, wish).await.unwrap();
                    assert_eq!(opened.plaintext.expose_secret(), plaintext);
                    assert_eq!(opened.key_arn, key.arn);
                    assert_eq!(opened.algorithm, algorithm);
                    assert_eq!(opened.key_material_id, None);
                }
            }
            let long = vec![7; max + 1];
            let refusal = refused(encrypt(&world, plain(&key.arn, algorithm, &long)).await);
            let text = format!(
                "Algorithm {algorithm} and key spec {spec} cannot encrypt data larger than {max} \
                 bytes."
            );
            assert_eq!(refusal, ("ValidationException", text));
        }
    }
}

#[tokio::test]
async fn every_byte_of_the_ciphertext_counts() {
    let world = new_world().await;
    let key = world.key_of("RSA_2048", "ENCRYPT_DECRYPT").await;
    let other = world.key_of("RSA_2048", "ENCRYPT_DECRYPT").await;
    let made = encrypt(&world, plain(&key.key_id, SHA_256, b"secret")).await;
    let good = made.unwrap().ciphertext_blob.0;
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
    bad.push(vec![0; 256]);
    bad.push(vec![0xff; 256]);
    for ciphertext in bad {
        let refusal = refused(decrypt(&world, sealed(&key.key_id, SHA_256, &ciphertext)).await);
        assert_eq!(refusal, SAID_NOTHING);
    }
    for (key_id, algorithm) in [(&key.key_id, SHA_1), (&other.key_id, SHA_256)] {
        let refusal = refused(decrypt(&world, sealed(key_id, algorithm, &good)).await);
        assert_eq!(refusal, SAID_NOTHING);
    }
    assert!(
        decrypt(&world, sealed(&key.key_id, SHA_256, &good))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn requests_that_do_not_fit_the_key() {
    let world = new_world().await;
    let key = world.key_of("RSA_2048", "ENCRYPT_DECRYPT").await;
    let symmetric = world.key().await;
    let bound = context(&[("a", "b")]);
    let good = || plain(&key.key_id, SHA_256, b"secret");
    let with_context = EncryptInput {
        context: bound.clone(),
        ..good()
    };
    let without_algorithm = EncryptInput {
        algorithm: None,
        ..good()
    };
    let dry = EncryptInput {
        dry_run: true,
        ..good()
    };
    for (input, code) in [
        (with_context, "ValidationException"),
        (without_algorithm, "InvalidKeyUsageException"),
        (
            plain(&key.key_id, "SM2PKE", b"x"),
            "InvalidKeyUsageException",
        ),
        (
            plain(&key.key_id, "RSAES_PKCS1", b"x"),
            "ValidationException",
        ),
        (
            plain(&symmetric.key_id, SHA_256, b"x"),
            "InvalidKeyUsageException",
        ),
        (plain(&key.key_id, SHA_256, b""), "ValidationException"),
        (
            plain(&key.key_id, SHA_256, &[7; 4097]),
            "ValidationException",
        ),
        (dry, "DryRunOperationException"),
    ] {
        assert_eq!(refused(encrypt(&world, input).await).0, code);
    }
    let ciphertext = encrypt(&world, good()).await.unwrap().ciphertext_blob.0;
    let good = || sealed(&key.key_id, SHA_256, &ciphertext);
    let without_key = DecryptInput {
        key_id: None,
        ..good()
    };
    let without_algorithm = DecryptInput {
        algorithm: None,
        ..good()
    };
    let with_context = DecryptInput {
        context: bound,
        ..good()
    };
    let symmetric = sealed(&symmetric.key_id, SHA_256, &ciphertext);
    let nothing = DecryptInput {
        key_id: None,
        ..without_algorithm.clone()
    };
    let dry = DecryptInput {
        dry_run: true,
        ..good()
    };
    for (input, code) in [
        (without_key, "ValidationException"),
        (without_algorithm, "InvalidKeyUsageException"),
        (with_context, "ValidationException"),
        (symmetric, "InvalidKeyUsageException"),
        (nothing, "InvalidCiphertextException"),
        (dry, "DryRunOperationException"),
    ] {
        assert_eq!(refused(decrypt(&world, input).await).0, code);
    }
    world.disable(&key.key_id).await;
    assert_eq!(
        refused(decrypt(&world, good()).await).0,
        "DisabledException"
    );
}

#[tokio::test]
async fn re_encryption_between_kinds_of_keys() {
    let world = new_world().await;
    let rsa = world.key_of("RSA_2048", "ENCRYPT_DECRYPT").await;
    let symmetric = world.key().await;
    let bound = context(&[("a", "b")]);
    let made = encrypt(&world, plain(&rsa.key_id, SHA_1, b"secret")).await;
    let there = ReEncryptInput {
        ciphertext_blob: made.unwrap().ciphertext_blob,
        source_context: EncryptionContext::new(),
        source_key_id: Some(rsa.arn.clone()),
        source_algorithm: Some(SHA_1.to_owned()),
        destination_key_id: symmetric.arn.clone(),
        destination_context: bound.clone(),
        destination_algorithm: None,
        grant_tokens: Vec::new(),
        dry_run: false,
        ignore_ciphertext: false,
    };
    let blob = re_encrypt(&world, there.clone()).await.unwrap();
    assert_eq!(blob.source_key_material_id, None);
    assert_eq!(
        blob.destination_key_material_id,
        symmetric.current_key_material_id
    );
    assert_eq!(blob.source_algorithm, SHA_1);
    let opened = world.decrypt(&blob.ciphertext_blob.0, &bound, None).await;
    assert_eq!(opened.unwrap().plaintext.expose_secret(), b"secret");
    let back = ReEncryptInput {
        ciphertext_blob: blob.ciphertext_blob,
        source_context: bound.clone(),
        source_key_id: None,
        source_algorithm: None,
        destination_key_id: rsa.arn.clone(),
        destination_context: EncryptionContext::new(),
        destination_algorithm: Some(SHA_256.to_owned()),
        ..there.clone()
    };
    let again = re_encrypt(&world, back.clone()).await.unwrap();
    assert_eq!(again.destination_key_material_id, None);
    let opened = decrypt(
        &world,
        sealed(&rsa.key_id, SHA_256, &again.ciphertext_blob.0),
    )
    .await;
    assert_eq!(opened.unwrap().plaintext.expose_secret(), b"secret");

    let bound_for_rsa = ReEncryptInput {
        destination_context: bound,
        ..back.clone()
    };
    let unknown_source = ReEncryptInput {
        source_key_id: None,
        ..there.clone()
    };
    let no_algorithm = ReEncryptInput {
        destination_algorithm: None,
        ..back
    };
    let other_algorithm = ReEncryptInput {
        source_algorithm: Some(SHA_256.to_owned()),
        ..there
    };
    for (input, code) in [
        (bound_for_rsa, "ValidationException"),
        (unknown_source, "ValidationException"),
        (no_algorithm, "InvalidKeyUsageException"),
        (other_algorithm, "InvalidCiphertextException"),
    ] {
        assert_eq!(refused(re_encrypt(&world, input).await).0, code);
    }
}

// SPDX-License-Identifier: Apache-2.0
//! A vault that does not answer: S3 is told so in bounded time, and uses of other keys go on.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::pin::pin;
use std::process::Command;
use std::time::Duration;

use strongroom_format::EncryptionContext;
use strongroom_kms::{
    DataKeySpec, DeriveSharedSecretInput, Error, GenerateDataKeyInput, GenerateDataKeyPairInput,
    GenerateMacInput, KeyMetadata, Plaintext, ReEncryptInput, SignInput, VerifyInput,
    VerifyMacInput,
};

use crate::world::{World, call, caller_of, context, new_world, refused};

const BUCKET: [u8; 16] = [7; 16];
/// A millisecond less than is waited for the vault.
const ALMOST: Duration = Duration::from_millis(9_999);
/// How long material stays in memory.
const LEASE_MS: u64 = 5_000;
const STEP: Duration = Duration::from_millis(20);
const O_NONBLOCK: i32 = 0o4000;

fn of_object() -> EncryptionContext {
    context(&[("aws:s3:arn", "arn:aws:s3:::b/k")])
}

impl World {
    /// The file of the vault that a key needs.
    fn shred_file(&self, key: &KeyMetadata) -> PathBuf {
        let uid: String = key.key_id.split('-').collect();
        let entries = self.store.vault().list().unwrap();
        let of_key = |owner: &[u8; 16]| format!("{:032x}", u128::from_be_bytes(*owner)) == uid;
        let entry = entries
            .iter()
            .find(|e| e.owner.as_ref().is_some_and(of_key));
        let name = format!("{:032x}", u128::from_be_bytes(entry.unwrap().id));
        let file = self.path().join("vault").join(&name);
        assert!(file.exists());
        file
    }

    async fn make(&self, key: &KeyMetadata) -> Result<Vec<u8>, Error> {
        let (receipt, context) = (self.receipt(), of_object());
        let made =
            self.kms
                .generate_data_key_for_s3(&self.caller, &receipt, Some(&key.key_id), &context);
        let made = made.await.map(|made| made.blob);
        receipt.finish_recorded();
        made
    }

    async fn open(&self, blob: &[u8]) -> Result<(), Error> {
        let (receipt, context) = (self.receipt(), of_object());
        let opened = self
            .kms
            .decrypt_for_s3(&self.caller, &receipt, blob, &context);
        let opened = opened.await.map(|_| ());
        receipt.finish_recorded();
        opened
    }

    async fn make_bucket_key(&self, key: &KeyMetadata) -> Result<Vec<u8>, Error> {
        let (receipt, context) = (self.receipt(), of_object());
        let made = self.kms.bucket_key_for_s3(
            &self.caller,
            &receipt,
            Some(&key.key_id),
            &BUCKET,
            &context,
        );
        let made = made.await.map(|made| made.blob);
        receipt.finish_recorded();
        made
    }

    async fn open_bucket_key(&self, ek_ref: &[u8]) -> Result<(), Error> {
        let (receipt, context) = (self.receipt(), of_object());
        let opened =
            self.kms
                .open_bucket_key_for_s3(&self.caller, &receipt, ek_ref, &BUCKET, &context);
        let opened = opened.await.map(|_| ());
        receipt.finish_recorded();
        opened
    }
}

fn timed_out<T: std::fmt::Debug>(result: &Result<T, Error>) {
    assert!(matches!(result, Err(Error::Timeout)), "{result:?}");
}

#[tokio::test]
async fn vault_that_hangs_is_given_ten_seconds_and_holds_nobody_else() {
    let world = new_world().await;
    let (key, other) = (world.key().await, world.key().await);
    let blob = world.make(&key).await.unwrap();
    let reference = world.make_bucket_key(&key).await.unwrap();
    let file = world.shred_file(&key);
    let aside = file.with_extension("aside");
    fs::rename(&file, &aside).unwrap();
    let made = Command::new("mkfifo").arg(&file).status().unwrap();
    assert!(made.success());
    // The material is not in memory any more, and neither is the bucket key.
    world.clock.advance_ms(300_000.max(LEASE_MS));
    // Time stands still but for what this test lets pass.
    tokio::time::pause();
    let mut waiting = pin!(async {
        tokio::join!(
            async { timed_out(&world.make(&key).await) },
            async { timed_out(&world.make(&key).await) },
            async { timed_out(&world.open(&blob).await) },
            async { timed_out(&world.make_bucket_key(&key).await) },
            async { timed_out(&world.make_bucket_key(&key).await) },
            async { timed_out(&world.open_bucket_key(&reference).await) },
            async { timed_out(&world.open_bucket_key(&reference).await) },
        );
    });
    let serve = async || {
        for _ in 0..20 {
            let blob = world.make(&other).await.unwrap();
            world.open(&blob).await.unwrap();
        }
    };
    let served = async {
        serve().await;
        tokio::time::advance(ALMOST).await;
        serve().await;
    };
    tokio::select! {
        biased;
        () = &mut waiting => panic!("given up before the time was over"),
        () = served => {}
    }
    // Timers are of whole milliseconds, rounded up. What is said to the audit log is waited for, too.
    tokio::time::advance(Duration::from_millis(2)).await;
    loop {
        let pass = async {
            std::thread::sleep(STEP);
            tokio::time::advance(STEP).await;
        };
        tokio::select! {
            biased;
            () = &mut waiting => break,
            () = pass => {}
        }
    }
    tokio::time::resume();
    let codes: Vec<_> = world
        .events()
        .await
        .into_iter()
        .filter(|event| !event["errorCode"].is_null())
        .map(|event| {
            assert_eq!(event["resources"][0]["ARN"], key.arn);
            event["errorCode"].clone()
        })
        .collect();
    // One who waited for somebody else's bucket key asked for nothing yet.
    assert!((5..=7).contains(&codes.len()), "{codes:?}");
    assert!(
        codes
            .iter()
            .all(|code| code == "DependencyTimeoutException")
    );

    // The drive comes back: who read the pipe reads its end, and the key serves again.
    let pipe = OpenOptions::new()
        .write(true)
        .custom_flags(O_NONBLOCK)
        .open(&file);
    fs::rename(&aside, &file).unwrap();
    drop(pipe);
    world.open(&blob).await.unwrap();
    world.open_bucket_key(&reference).await.unwrap();
    world.make_bucket_key(&key).await.unwrap();
}

#[tokio::test]
async fn who_is_refused_does_not_wait_for_the_vault() {
    let world = new_world().await;
    let key = world.key().await;
    let blob = world.make(&key).await.unwrap();
    world.disable(&key.key_id).await;
    let file = world.shred_file(&key);
    fs::remove_file(&file).unwrap();
    let made = Command::new("mkfifo").arg(&file).status().unwrap();
    assert!(made.success());
    for refused in [world.make(&key).await.map(|_| ()), world.open(&blob).await] {
        assert!(
            matches!(refused, Err(Error::Disabled { .. })),
            "{refused:?}"
        );
    }
}

/// As above, for a client of the key service: it is told at once that it may not use the key, by
/// every operation that needs the key's material, and does not wait for a vault that hangs.
#[tokio::test]
#[expect(
    clippy::too_many_lines,
    reason = "one request of each of twelve operations"
)]
async fn sec_who_may_not_use_a_key_does_not_wait_for_its_vault() {
    let mut world = new_world().await;
    let key = world.key().await;
    let signing = world.key_of("ECC_NIST_P256", "SIGN_VERIFY").await;
    let agreeing = world.key_of("ECC_NIST_P256", "KEY_AGREEMENT").await;
    let mac = world.key_of("HMAC_256", "GENERATE_VERIFY_MAC").await;
    let public_key = world.public_key(&agreeing.key_id).await.unwrap().public_key;
    let sealed = world.encrypt(&key.arn, b"x", &context(&[])).await.unwrap();
    for key in [&key, &signing, &agreeing, &mac] {
        let file = world.shred_file(key);
        fs::remove_file(&file).unwrap();
        let made = Command::new("mkfifo").arg(&file).status().unwrap();
        assert!(made.success());
    }
    world.clock.advance_ms(LEASE_MS);
    world.caller = caller_of("444455556666");

    let none = context(&[]);
    let sign = || SignInput {
        key_id: signing.arn.clone(),
        message: Plaintext::new(b"message".to_vec()),
        message_type: None,
        algorithm: "ECDSA_SHA_256".to_owned(),
        grant_tokens: Vec::new(),
        dry_run: false,
    };
    let code_of = || GenerateMacInput {
        key_id: mac.arn.clone(),
        message: Plaintext::new(b"message".to_vec()),
        algorithm: "HMAC_SHA_256".to_owned(),
        grant_tokens: Vec::new(),
        dry_run: false,
    };
    let data_key = || GenerateDataKeyInput {
        key_id: key.arn.clone(),
        spec: DataKeySpec::Aes256,
        context: context(&[]),
        grant_tokens: Vec::new(),
        dry_run: false,
    };
    let pair = GenerateDataKeyPairInput {
        key_id: key.arn.clone(),
        key_pair_spec: "ECC_NIST_P256".to_owned(),
        context: context(&[]),
        grant_tokens: Vec::new(),
        dry_run: false,
    };
    let secret = DeriveSharedSecretInput {
        key_id: agreeing.arn.clone(),
        algorithm: "ECDH".to_owned(),
        public_key,
        grant_tokens: Vec::new(),
        dry_run: false,
    };
    let again = ReEncryptInput {
        ciphertext_blob: sealed.ciphertext_blob.clone(),
        source_context: context(&[]),
        source_key_id: Some(key.arn.clone()),
        source_algorithm: None,
        destination_key_id: key.arn.clone(),
        destination_context: context(&[]),
        destination_algorithm: None,
        grant_tokens: Vec::new(),
        dry_run: false,
        ignore_ciphertext: false,
    };
    let verify = VerifyInput {
        signed: sign(),
        signature: vec![1; 70],
    };
    let verify_mac = VerifyMacInput {
        message: code_of(),
        mac: vec![1; 32],
    };
    let answers = [
        world.encrypt(&key.arn, b"x", &none).await.map(drop),
        world
            .decrypt(&sealed.ciphertext_blob.0, &none, Some(&key.arn))
            .await
            .map(drop),
        call!(world, re_encrypt, again).map(drop),
        call!(world, generate_data_key, data_key()).map(drop),
        call!(world, generate_data_key_without_plaintext, data_key()).map(drop),
        call!(world, generate_data_key_pair, pair).map(drop),
        call!(world, sign, sign()).map(drop),
        call!(world, verify, verify).map(drop),
        call!(world, generate_mac, code_of()).map(drop),
        call!(world, verify_mac, verify_mac).map(drop),
        call!(world, derive_shared_secret, secret).map(drop),
        world.public_key(&signing.arn).await.map(drop),
    ];
    let events = world.events().await;
    for (at, answer) in answers.into_iter().enumerate() {
        let (code, _) = refused(answer);
        assert_eq!(code, "AccessDeniedException", "{at}");
    }
    let refusals = events.iter().rev().take(12);
    for event in refusals {
        assert_eq!(event["errorCode"], "AccessDenied", "{event}");
        assert_eq!(
            event["resources"].as_array().map(Vec::len),
            Some(1),
            "{event}"
        );
    }
}

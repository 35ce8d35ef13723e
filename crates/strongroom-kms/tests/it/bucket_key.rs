// SPDX-License-Identifier: Apache-2.0
//! Bucket keys: how seldom the KMS key is used, and that a change of anything acts at once.

use std::sync::Arc;

use serde_json::json;
use strongroom_format::{EncryptionContext, ExternalKey};
use strongroom_iam::Caller;
use strongroom_kms::{
    CreateAliasInput, Error, RevokeGrantInput, RotateKeyOnDemandInput, S3DataKey,
    ScheduleKeyDeletionInput,
};

use crate::import::{imported, rotated_to_another};
use crate::sec_damage::{MATERIALS, put, rows};
use crate::users::{
    ALL_OF_KMS, NOTHING_OF_KMS, delegation, denial, grant_to, policy, root_arn, statement, user_arn,
};
use crate::world::{NOON_MS, World, call, context, new_world, refused};

const BUCKET: [u8; 16] = [7; 16];
const LIFETIME_MS: u64 = 300_000;

fn of_bucket() -> EncryptionContext {
    context(&[("aws:s3:arn", "arn:aws:s3:::b")])
}

impl World {
    pub(crate) async fn write(&self, caller: &Caller, key: &str) -> Result<S3DataKey, Error> {
        self.write_in(caller, key, &BUCKET, &of_bucket()).await
    }

    async fn write_in(
        &self,
        caller: &Caller,
        key: &str,
        bucket: &[u8; 16],
        context: &EncryptionContext,
    ) -> Result<S3DataKey, Error> {
        let receipt = self.audit.begin(caller.facts().clone());
        let made = self
            .kms
            .bucket_key_for_s3(caller, &receipt, Some(key), bucket, context)
            .await;
        receipt.finish_recorded();
        made
    }

    pub(crate) async fn read(&self, caller: &Caller, ek_ref: &[u8]) -> Result<ExternalKey, Error> {
        self.read_in(caller, ek_ref, &BUCKET, &of_bucket()).await
    }

    async fn read_in(
        &self,
        caller: &Caller,
        ek_ref: &[u8],
        bucket: &[u8; 16],
        context: &EncryptionContext,
    ) -> Result<ExternalKey, Error> {
        let receipt = self.audit.begin(caller.facts().clone());
        let opened = self
            .kms
            .open_bucket_key_for_s3(caller, &receipt, ek_ref, bucket, context)
            .await;
        receipt.finish_recorded();
        opened
    }

    /// So that the next use finds it held, and its KMS key looked at: the first gets the bucket key,
    /// the second reads the rows, the third does not.
    async fn hold(&self, caller: &Caller, ek_ref: &[u8]) {
        for _ in 0..3 {
            self.read(caller, ek_ref).await.unwrap();
        }
    }

    async fn hold_to_write(&self, caller: &Caller, key: &str) {
        for _ in 0..3 {
            self.write(caller, key).await.unwrap();
        }
    }

    /// To read under it, and to write under its key.
    async fn refuses(&self, ek_ref: &[u8], key: &str, code: &str) {
        let read = refused(self.read(&self.caller, ek_ref).await);
        assert_eq!(read.0, code, "read");
        let write = refused(self.write(&self.caller, key).await);
        assert_eq!(write.0, code, "write");
    }

    /// How often the log says that a KMS key was used, or asked for and refused.
    async fn uses(&self, name: &str) -> usize {
        let events = self.events().await;
        events.iter().filter(|e| e["eventName"] == name).count()
    }
}

fn same(one: &ExternalKey, other: &ExternalKey) -> bool {
    one.expose_secret() == other.expose_secret()
}

#[tokio::test]
async fn many_objects_are_one_use_and_each_has_its_own_key() {
    let world = new_world().await;
    let key = world.key().await;
    let mut made = Vec::new();
    for _ in 0..20 {
        made.push(world.write(&world.caller, &key.key_id).await.unwrap());
    }
    assert_eq!(world.uses("GenerateDataKey").await, 1);
    let event = world.last_event().await;
    assert_eq!(
        event["requestParameters"]["encryptionContext"],
        json!({ "aws:s3:arn": "arn:aws:s3:::b" })
    );
    assert_eq!(event["resources"][0]["ARN"], key.arn);
    assert_eq!(event["userIdentity"]["invokedBy"], "AWS Internal");
    for (at, one) in made.iter().enumerate() {
        for other in &made[..at] {
            assert!(!same(&one.plaintext, &other.plaintext));
            assert_ne!(one.blob, other.blob);
        }
        assert_eq!(one.key_arn, key.arn);
        for _ in 0..5 {
            let opened = world.read(&world.caller, &one.blob).await.unwrap();
            assert!(same(&opened, &one.plaintext));
        }
    }
    assert_eq!(world.uses("Decrypt").await, 1);
    // What was in memory is gone: the references are enough.
    let world = world.restarted().await;
    let opened = world.read(&world.caller, &made[3].blob).await.unwrap();
    assert!(same(&opened, &made[3].plaintext));
    assert_eq!(world.uses("Decrypt").await, 2);
}

#[tokio::test]
async fn key_of_s3_serves_buckets_from_its_first_use() {
    let world = new_world().await;
    let receipt = world.receipt();
    let context = of_bucket();
    for _ in 0..3 {
        world
            .kms
            .bucket_key_for_s3(&world.caller, &receipt, None, &BUCKET, &context)
            .await
            .unwrap();
    }
    receipt.finish_recorded();
    assert_eq!(world.uses("CreateKey").await, 1);
    assert_eq!(world.uses("GenerateDataKey").await, 1);
}

#[tokio::test]
async fn lives_five_minutes() {
    let world = new_world().await;
    let key = world.key().await;
    let made = world.write(&world.caller, &key.key_id).await.unwrap();
    world.read(&world.caller, &made.blob).await.unwrap();
    world.clock.advance_ms(LIFETIME_MS - 1);
    world.write(&world.caller, &key.key_id).await.unwrap();
    world.read(&world.caller, &made.blob).await.unwrap();
    assert_eq!(world.uses("GenerateDataKey").await, 1);
    assert_eq!(world.uses("Decrypt").await, 1);
    // Uses do not make it live longer.
    world.clock.advance_ms(1);
    let later = world.write(&world.caller, &key.key_id).await.unwrap();
    world.read(&world.caller, &made.blob).await.unwrap();
    assert_ne!(later.blob[33..], made.blob[33..]);
    assert_eq!(world.uses("GenerateDataKey").await, 2);
    assert_eq!(world.uses("Decrypt").await, 2);
}

#[tokio::test]
async fn requesters_buckets_contexts_and_directions_do_not_share() {
    let world = new_world().await;
    let iam = world.iam().await;
    let ann = world.user(&iam, "ann", Some(ALL_OF_KMS)).await;
    let bob = world.user(&iam, "bob", Some(ALL_OF_KMS)).await;
    let key = world.key().await;
    let other_key = world.key().await;
    let made = world.write(&ann, &key.key_id).await.unwrap();
    let ciphertext = |one: &S3DataKey| one.blob[33..].to_vec();
    let mut blobs = vec![ciphertext(&made)];
    blobs.push(ciphertext(&world.write(&bob, &key.key_id).await.unwrap()));
    blobs.push(ciphertext(
        &world.write(&ann, &other_key.key_id).await.unwrap(),
    ));
    let (id, other) = (&key.key_id, [8; 16]);
    let elsewhere = world.write_in(&ann, id, &other, &of_bucket()).await;
    blobs.push(ciphertext(&elsewhere.unwrap()));
    let more = context(&[("aws:s3:arn", "arn:aws:s3:::b"), ("a", "b")]);
    blobs.push(ciphertext(
        &world.write_in(&ann, id, &BUCKET, &more).await.unwrap(),
    ));
    assert_eq!(world.uses("GenerateDataKey").await, 5);
    blobs.sort();
    blobs.dedup();
    assert_eq!(blobs.len(), 5);
    // Each reader is in the log by itself, under its own name.
    for reader in [&ann, &bob, &ann, &bob] {
        world.read(reader, &made.blob).await.unwrap();
    }
    assert_eq!(world.uses("Decrypt").await, 2);
    let events = world.events().await;
    let readers: Vec<_> = events
        .iter()
        .filter(|event| event["eventName"] == "Decrypt")
        .map(|event| event["userIdentity"]["arn"].as_str().unwrap())
        .collect();
    assert_eq!(readers, [user_arn("ann"), user_arn("bob")]);
    // A context or a bucket that is not the object's does not find the key that is held.
    let wrong = world.read_in(&ann, &made.blob, &BUCKET, &more).await;
    assert_eq!(refused(wrong).0, "InvalidCiphertextException");
    let elsewhere = world.read_in(&ann, &made.blob, &other, &of_bucket()).await;
    assert!(!same(&elsewhere.unwrap(), &made.plaintext));
}

#[tokio::test]
async fn who_may_only_write_does_not_read_what_is_held_nor_the_reverse() {
    let world = new_world().await;
    let iam = world.iam().await;
    let may =
        |action: &str| policy(&json!({ "Effect": "Allow", "Action": action, "Resource": "*" }));
    let writer = may("kms:GenerateDataKey");
    let writer = world.user(&iam, "writer", Some(&writer)).await;
    let reader = world.user(&iam, "reader", Some(&may("kms:Decrypt"))).await;
    let key = world.key().await;
    let made = world.write(&writer, &key.key_id).await.unwrap();
    world.read(&reader, &made.blob).await.unwrap();
    world.read(&world.caller, &made.blob).await.unwrap();
    for _ in 0..3 {
        denial(world.read(&writer, &made.blob).await);
        denial(world.write(&reader, &key.key_id).await);
    }
    // Refusals are in the log, each of them.
    assert_eq!(world.uses("Decrypt").await, 2 + 3);
    assert_eq!(world.uses("GenerateDataKey").await, 1 + 3);
    assert_eq!(world.last_event().await["errorCode"], "AccessDenied");
}

#[tokio::test]
async fn sec_n70_a_disabled_key_stops_the_next_use_of_its_bucket_keys() {
    let world = new_world().await;
    let key = world.key().await;
    let made = world.write(&world.caller, &key.key_id).await.unwrap();
    world.hold(&world.caller, &made.blob).await;
    world.hold_to_write(&world.caller, &key.key_id).await;
    world.disable(&key.key_id).await;
    for _ in 0..2 {
        let read = refused(world.read(&world.caller, &made.blob).await);
        assert_eq!(read.0, "DisabledException");
        assert_eq!(world.last_event().await["errorCode"], "DisabledException");
        let write = refused(world.write(&world.caller, &key.key_id).await);
        assert_eq!(write.0, "DisabledException");
    }
}

#[tokio::test]
async fn sec_n70_a_key_due_for_deletion_stops_the_next_use_of_its_bucket_keys() {
    let world = new_world().await;
    let key = world.key().await;
    let made = world.write(&world.caller, &key.key_id).await.unwrap();
    world.hold(&world.caller, &made.blob).await;
    world.hold_to_write(&world.caller, &key.key_id).await;
    let input = ScheduleKeyDeletionInput {
        key_id: key.key_id.clone(),
        pending_window_in_days: None,
    };
    call!(world, schedule_key_deletion, input).unwrap();
    world
        .refuses(&made.blob, &key.key_id, "KMSInvalidStateException")
        .await;
}

#[tokio::test]
async fn sec_n37_key_policy_identity_policy_and_grant_act_on_the_next_use() {
    let world = new_world().await;
    let iam = world.iam().await;
    let ann = world.user(&iam, "ann", Some(ALL_OF_KMS)).await;
    let bob = world.user(&iam, "bob", Some(NOTHING_OF_KMS)).await;
    let key = world.key().await;
    let grant = world
        .grant_as(
            &world.caller,
            grant_to(&key.arn, "bob", &["Decrypt", "GenerateDataKey"]),
        )
        .await
        .unwrap();
    let made = world.write(&ann, &key.key_id).await.unwrap();
    let of_bob = world.write(&bob, &key.key_id).await.unwrap();
    for caller in [&ann, &bob] {
        world.hold(caller, &made.blob).await;
        world.hold(caller, &of_bob.blob).await;
        world.hold_to_write(caller, &key.key_id).await;
    }
    let input = RevokeGrantInput {
        key_id: key.key_id.clone(),
        grant_id: grant.grant_id,
        dry_run: false,
    };
    call!(world, revoke_grant, input).unwrap();
    denial(world.read(&bob, &made.blob).await);
    denial(world.read(&bob, &of_bob.blob).await);
    denial(world.write(&bob, &key.key_id).await);
    world.read(&ann, &made.blob).await.unwrap();
    let deny = statement("Deny", &json!({ "AWS": user_arn("ann") }), "kms:Decrypt");
    let document = policy(&json!([delegation(), deny]));
    world.hold(&ann, &made.blob).await;
    world.hold_to_write(&ann, &key.key_id).await;
    world.put_policy(&key.key_id, &document).await;
    denial(world.read(&ann, &made.blob).await);
    world.hold_to_write(&ann, &key.key_id).await;
    world.hold(&world.caller, &made.blob).await;
    world.hold_to_write(&world.caller, &key.key_id).await;
    // Only the object's own bucket counts in conditions about the context.
    let mut only = statement("Allow", &json!({ "AWS": root_arn() }), "kms:*");
    only["Condition"] = json!({ "StringEquals": {
        "kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::b/k" } });
    world.put_policy(&key.key_id, &policy(&only)).await;
    denial(world.write(&world.caller, &key.key_id).await);
    denial(world.read(&world.caller, &made.blob).await);
}

/// What is remembered of a key is not how the last request named it.
#[tokio::test]
async fn sec_n37_the_alias_of_each_request_counts() {
    let world = new_world().await;
    let iam = world.iam().await;
    let ann = world.user(&iam, "ann", Some(ALL_OF_KMS)).await;
    let key = world.key().await;
    let input = CreateAliasInput {
        alias_name: "alias/one".to_owned(),
        target_key_id: key.key_id.clone(),
    };
    call!(world, create_alias, input).unwrap();
    let ann_arn = json!({ "AWS": user_arn("ann") });
    let mut deny = statement("Deny", &ann_arn, "kms:GenerateDataKey");
    deny["Condition"] = json!({ "StringNotEquals": { "kms:RequestAlias": "alias/one" } });
    let document = policy(&json!([delegation(), deny]));
    world.put_policy(&key.key_id, &document).await;
    for _ in 0..3 {
        world.hold_to_write(&ann, "alias/one").await;
        denial(world.write(&ann, &key.key_id).await);
    }
}

/// A key whose policy is long is looked up each time; nothing else differs.
#[tokio::test]
async fn sec_n70_a_key_with_a_long_policy_is_stopped_like_any_other() {
    let world = new_world().await;
    let key = world.key().await;
    let mut long = delegation();
    long["Sid"] = json!("x".repeat(12_000));
    world.put_policy(&key.key_id, &policy(&json!([long]))).await;
    let made = world.write(&world.caller, &key.key_id).await.unwrap();
    world.hold(&world.caller, &made.blob).await;
    world.hold_to_write(&world.caller, &key.key_id).await;
    world.disable(&key.key_id).await;
    world
        .refuses(&made.blob, &key.key_id, "DisabledException")
        .await;
}

/// No commit says that its time has come.
#[tokio::test]
async fn sec_n70_imported_material_that_expires_stops_the_next_use_of_its_bucket_keys() {
    let world = new_world().await;
    let valid_to_ms = NOON_MS + LIFETIME_MS / 2;
    let key_id = imported(&world, valid_to_ms).await;
    let made = world.write(&world.caller, &key_id).await.unwrap();
    world.clock.set_ms(valid_to_ms - 1);
    world.hold(&world.caller, &made.blob).await;
    world.hold_to_write(&world.caller, &key_id).await;
    world.clock.set_ms(valid_to_ms);
    world
        .refuses(&made.blob, &key_id, "KMSInvalidStateException")
        .await;
}

/// The older of two materials expires, which the newest ciphertexts do not need.
#[tokio::test]
async fn sec_n70_older_material_that_expires_stops_the_next_use_of_what_came_from_it() {
    let world = new_world().await;
    let valid_to_ms = NOON_MS + LIFETIME_MS / 2;
    let key_id = imported(&world, valid_to_ms).await;
    let made = world.write(&world.caller, &key_id).await.unwrap();
    rotated_to_another(&world, &key_id).await;
    world.hold(&world.caller, &made.blob).await;
    world.hold_to_write(&world.caller, &key_id).await;
    world.clock.set_ms(valid_to_ms);
    let read = refused(world.read(&world.caller, &made.blob).await);
    assert_eq!(read.0, "KMSInvalidStateException");
    // A key lacks what any of its materials lacks, also for what the others would do.
    let write = refused(world.write(&world.caller, &key_id).await);
    assert_eq!(write.0, "KMSInvalidStateException");
}

/// What is read again because another key changed is the same, and lives no longer for it.
#[tokio::test]
async fn changes_of_other_keys_neither_end_nor_prolong_it() {
    let world = new_world().await;
    let key = world.key().await;
    let made = world.write(&world.caller, &key.key_id).await.unwrap();
    world.hold(&world.caller, &made.blob).await;
    for _ in 0..4 {
        world.clock.advance_ms(LIFETIME_MS / 5);
        let other = world.key().await;
        world.disable(&other.key_id).await;
        let opened = world.read(&world.caller, &made.blob).await.unwrap();
        assert!(same(&opened, &made.plaintext));
        world.hold(&world.caller, &made.blob).await;
    }
    assert_eq!(world.uses("Decrypt").await, 1);
    world.clock.advance_ms(LIFETIME_MS / 5);
    world.read(&world.caller, &made.blob).await.unwrap();
    assert_eq!(world.uses("Decrypt").await, 2);
}

#[tokio::test]
async fn rotation_and_new_wraps_begin_another_bucket_key() {
    let mut world = new_world().await;
    let key = world.key().await;
    let first = world.write(&world.caller, &key.key_id).await.unwrap();
    world.hold(&world.caller, &first.blob).await;
    world.hold_to_write(&world.caller, &key.key_id).await;
    let input = RotateKeyOnDemandInput {
        key_id: key.key_id.clone(),
    };
    call!(world, rotate_key_on_demand, input).unwrap();
    let second = world.write(&world.caller, &key.key_id).await.unwrap();
    assert_ne!(first.key_material_id, second.key_material_id);
    assert_ne!(first.blob[33..], second.blob[33..]);
    for made in [&first, &second] {
        let opened = world.read(&world.caller, &made.blob).await.unwrap();
        assert!(same(&opened, &made.plaintext));
    }
    world.hold(&world.caller, &first.blob).await;
    world.rotate();
    world.kms.rewrap(&|_, _| {}).await.unwrap();
    for made in [&first, &second] {
        let opened = world.read(&world.caller, &made.blob).await.unwrap();
        assert!(same(&opened, &made.plaintext));
    }
    assert_eq!(world.uses("Decrypt").await, 5);
}

/// Nothing of the KMS key's own row says that another row of it is not what it was.
#[tokio::test]
async fn sec_n70_a_held_bucket_key_serves_only_while_its_material_is_as_it_was() {
    let world = new_world().await;
    let key = world.key().await;
    let made = world.write(&world.caller, &key.key_id).await.unwrap();
    let stored = rows(&world, MATERIALS, &key.key_id);
    let [(row_key, row)] = stored.as_slice() else {
        panic!("{} rows", stored.len());
    };
    for turn in 1..=3 {
        world.hold(&world.caller, &made.blob).await;
        world.hold_to_write(&world.caller, &key.key_id).await;
        put(&world, MATERIALS, row_key, b"damaged").await;
        let read = world.read(&world.caller, &made.blob).await;
        assert!(read.is_err(), "{turn}");
        let write = world.write(&world.caller, &key.key_id).await;
        assert!(write.is_err(), "{turn}");
        put(&world, MATERIALS, row_key, row).await;
        let opened = world.read(&world.caller, &made.blob).await.unwrap();
        assert!(same(&opened, &made.plaintext));
    }
}

#[tokio::test]
async fn every_changed_bit_of_a_reference_is_another_key_or_none() {
    let world = new_world().await;
    let key = world.key().await;
    let made = world.write(&world.caller, &key.key_id).await.unwrap();
    world.read(&world.caller, &made.blob).await.unwrap();
    for at in 0..made.blob.len() {
        let mut changed = made.blob.clone();
        changed[at] ^= 1;
        match world.read(&world.caller, &changed).await {
            // The salt: a key that fits no record.
            Ok(opened) => {
                assert!((1..33).contains(&at), "{at}");
                assert!(!same(&opened, &made.plaintext));
            }
            Err(error) => assert!(matches!(error.code(), "InvalidCiphertextException"), "{at}"),
        }
        let cut = world.read(&world.caller, &made.blob[..at]).await;
        assert_eq!(refused(cut).0, "InvalidCiphertextException");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_at_the_same_time_are_one_use() {
    let world = Arc::new(new_world().await);
    let key = world.key().await;
    let made = world.write(&world.caller, &key.key_id).await.unwrap();
    world.clock.advance_ms(LIFETIME_MS);
    let all: Vec<_> = (0..32)
        .map(|_| {
            let (world, id, blob) = (world.clone(), key.key_id.clone(), made.blob.clone());
            tokio::spawn(async move {
                world.write(&world.caller, &id).await.unwrap();
                world.read(&world.caller, &blob).await.unwrap();
            })
        })
        .collect();
    for one in all {
        one.await.unwrap();
    }
    assert_eq!(world.uses("GenerateDataKey").await, 2);
    assert_eq!(world.uses("Decrypt").await, 1);
}

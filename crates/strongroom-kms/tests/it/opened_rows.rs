// SPDX-License-Identifier: Apache-2.0
//! Rows that are kept opened: they save reading, and never outlive a change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::json;
use strongroom_iam::{Caller, Iam};
use strongroom_kms::{
    CreateAliasInput, DataKeySpec, DeleteAliasInput, EnableKeyInput, Error, RevokeGrantInput,
    S3DataKey, ScheduleKeyDeletionInput, TagResourceInput, UntagResourceInput, UpdateAliasInput,
};

use crate::import::imported;
use crate::users::{ALL_OF_KMS, NOTHING_OF_KMS, delegation, grant_to, policy, statement, user_arn};
use crate::world::{
    DAY_MS, NOON_MS, World, call, context, new_world, new_world_in_memory, refused,
};

const ALIAS: &str = "alias/a";

impl World {
    async fn enable(&self, key_id: &str) {
        let key_id = key_id.to_owned();
        call!(self, enable_key, EnableKeyInput { key_id }).unwrap();
    }

    async fn name(&self, target: &str) {
        let input = CreateAliasInput {
            alias_name: ALIAS.to_owned(),
            target_key_id: target.to_owned(),
        };
        call!(self, create_alias, input).unwrap();
    }

    async fn unname(&self) {
        let alias_name = ALIAS.to_owned();
        call!(self, delete_alias, DeleteAliasInput { alias_name }).unwrap();
    }

    async fn rename(&self, target: &str) {
        let input = UpdateAliasInput {
            alias_name: ALIAS.to_owned(),
            target_key_id: target.to_owned(),
        };
        call!(self, update_alias, input).unwrap();
    }
}

#[tokio::test]
async fn uses_of_a_bucket_key_that_is_held_open_no_row() {
    let world = new_world().await;
    let key = world.key().await;
    world.name(&key.key_id).await;
    let made = world.write(&world.caller, ALIAS).await.unwrap();
    world.read(&world.caller, &made.blob).await.unwrap();
    let before = world.rows_read();
    for _ in 0..50 {
        world.write(&world.caller, ALIAS).await.unwrap();
        world.write(&world.caller, &key.arn).await.unwrap();
        world.read(&world.caller, &made.blob).await.unwrap();
    }
    assert_eq!(world.rows_read(), before);
}

/// It has the row itself, as long as nothing changes; one whose policy is long it has not.
#[tokio::test]
async fn a_held_bucket_key_needs_no_row_when_others_crowd_it_out() {
    let world = new_world_in_memory().await;
    let (key, long) = (world.key().await, world.key().await);
    let document = |bytes: usize| {
        let mut said = delegation();
        said["Sid"] = json!("x".repeat(bytes));
        policy(&json!([said]))
    };
    world.put_policy(&long.key_id, &document(12_000)).await;
    // More than there is room for.
    let mut others = Vec::new();
    for _ in 0..160 {
        let other = world.key().await;
        world.put_policy(&other.key_id, &document(30_000)).await;
        others.push(other.key_id);
    }
    let mut blobs = Vec::new();
    for held in [&key, &long] {
        let made = world.write(&world.caller, &held.key_id).await.unwrap();
        for _ in 0..3 {
            world.write(&world.caller, &held.key_id).await.unwrap();
            world.read(&world.caller, &made.blob).await.unwrap();
        }
        blobs.push(made.blob);
    }
    let uses = async |of: usize| {
        for other in &others {
            world.describe(other).await.unwrap();
        }
        let before = world.rows_read();
        let held = [&key, &long][of];
        world.write(&world.caller, &held.key_id).await.unwrap();
        world.read(&world.caller, &blobs[of]).await.unwrap();
        world.rows_read() - before
    };
    assert_eq!(uses(0).await, 0);
    assert_eq!(uses(1).await, 1, "its row was crowded out, too");
}

#[tokio::test]
async fn an_alias_means_the_key_that_it_names_now_whatever_is_held() {
    let world = new_world().await;
    let keys = [world.key().await, world.key().await];
    world.name(&keys[0].key_id).await;
    for turn in 0..6 {
        let now = &keys[turn % 2];
        world.rename(&now.key_id).await;
        for _ in 0..3 {
            let made = world.write(&world.caller, ALIAS).await.unwrap();
            assert_eq!(made.key_arn, now.arn, "{turn}");
        }
    }
}

#[tokio::test]
async fn uses_of_a_key_open_its_rows_once() {
    let world = new_world().await;
    let key = world.key().await;
    let own = context(&[("a", "b")]);
    let sealed = world.encrypt(&key.key_id, b"x", &own).await.unwrap();
    let before = world.rows_read();
    for _ in 0..10 {
        world.encrypt(&key.key_id, b"x", &own).await.unwrap();
        let blob = &sealed.ciphertext_blob.0;
        world.decrypt(blob, &own, None).await.unwrap();
        let spec = DataKeySpec::Aes256;
        world.data_key(&key.arn, spec).await.unwrap();
    }
    assert_eq!(world.rows_read(), before);
    // A commit to another table, and then one to the table of keys.
    world.name(&key.key_id).await;
    let named = world.rows_read();
    world.encrypt(&key.key_id, b"x", &own).await.unwrap();
    assert_eq!(world.rows_read(), named);
    world.key().await;
    let made = world.rows_read();
    world.encrypt(&key.key_id, b"x", &own).await.unwrap();
    assert_eq!(world.rows_read(), made + 2, "its row, and its material's");
}

#[tokio::test]
async fn sec_n70_every_change_of_a_key_or_alias_acts_on_the_next_use() {
    let world = new_world().await;
    let (key, other) = (world.key().await, world.key().await);
    world.name(&key.key_id).await;
    let own = context(&[]);
    let uses = async || world.encrypt(ALIAS, b"x", &own).await;
    let by_arn = async || world.encrypt(&key.arn, b"x", &own).await;
    for _ in 0..3 {
        assert_eq!(uses().await.unwrap().key_arn, key.arn);
        world.rename(&other.key_id).await;
        assert_eq!(uses().await.unwrap().key_arn, other.arn);
        world.rename(&key.key_id).await;
        assert_eq!(uses().await.unwrap().key_arn, key.arn);
        world.disable(&key.key_id).await;
        assert_eq!(refused(uses().await).0, "DisabledException");
        assert_eq!(refused(by_arn().await).0, "DisabledException");
        world.enable(&key.key_id).await;
        assert_eq!(by_arn().await.unwrap().key_arn, key.arn);
        uses().await.unwrap();
        world.unname().await;
        assert_eq!(refused(uses().await).0, "NotFoundException");
        world.name(&key.key_id).await;
    }
}

#[tokio::test]
async fn policies_and_tags_act_on_the_next_use() {
    let world = new_world().await;
    let iam = world.iam().await;
    let ann = world.user(&iam, "ann", Some(ALL_OF_KMS)).await;
    let key = world.key().await;
    let own = context(&[]);
    let uses = async || {
        let sealed = world.encrypt_as(&ann, &key.key_id, &own, &[]).await;
        sealed.is_ok()
    };
    let deny = statement("Deny", &json!({ "AWS": user_arn("ann") }), "kms:Encrypt");
    let mut tagged = deny.clone();
    tagged["Condition"] = json!({ "StringEquals": { "aws:ResourceTag/t": "v" } });
    let allowing = policy(&json!([delegation()]));
    let tags = policy(&json!([delegation(), tagged]));
    for _ in 0..3 {
        assert!(uses().await);
        world
            .put_policy(&key.key_id, &policy(&json!([delegation(), deny])))
            .await;
        assert!(!uses().await);
        world.put_policy(&key.key_id, &allowing).await;
        assert!(uses().await);
        world.put_policy(&key.key_id, &tags).await;
        assert!(uses().await);
        let input = TagResourceInput {
            key_id: key.key_id.clone(),
            tags: vec![strongroom_kms::Tag {
                key: "t".to_owned(),
                value: "v".to_owned(),
            }],
        };
        call!(world, tag_resource, input).unwrap();
        assert!(!uses().await);
        let input = UntagResourceInput {
            key_id: key.key_id.clone(),
            tag_keys: vec!["t".to_owned()],
        };
        call!(world, untag_resource, input).unwrap();
    }
}

/// No commit tells of time: a row that is kept counts as it does at the moment of its use.
#[tokio::test]
async fn what_comes_with_time_comes_for_rows_that_are_kept() {
    let world = new_world().await;
    let own = context(&[]);
    let imported = imported(&world, NOON_MS + 60_000).await;
    world.encrypt(&imported, b"x", &own).await.unwrap();
    let doomed = world.key().await;
    let input = ScheduleKeyDeletionInput {
        key_id: doomed.key_id.clone(),
        pending_window_in_days: Some(7),
    };
    call!(world, schedule_key_deletion, input).unwrap();
    let state = async || {
        let described = world.describe(&doomed.key_id).await;
        described.map(|key| key.state.as_str()).ok()
    };
    assert_eq!(state().await, Some("PendingDeletion"));
    world.clock.advance_ms(60_000);
    let expired = refused(world.encrypt(&imported, b"x", &own).await);
    assert_eq!(expired.0, "KMSInvalidStateException");
    world.clock.advance_ms(7 * DAY_MS - 60_001);
    assert_eq!(state().await, Some("PendingDeletion"));
    world.clock.advance_ms(1);
    assert_eq!(state().await, None);
}

/// Whether a use was refused in the way that the change makes it.
type Refuses = fn(&Error) -> bool;

/// Uses in four tasks while `forbid` and `allow` take turns. A use that began after the answer of
/// one and ended before the other began must have come out accordingly.
async fn turns<F: Future<Output = Result<(), Error>> + Send>(
    rounds: u64,
    refuses: Refuses,
    one_use: impl Fn(usize) -> F + Send + Sync + 'static,
    change: impl AsyncFn(bool),
) {
    let (phase, done) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    // Uses that were wholly within a phase: allowed, forbidden.
    let within = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let one_use = Arc::new(one_use);
    let tasks: Vec<_> = (0..4)
        .map(|task| {
            let (phase, done) = (Arc::clone(&phase), Arc::clone(&done));
            let (within, one_use) = (Arc::clone(&within), Arc::clone(&one_use));
            tokio::spawn(async move {
                while !done.load(Ordering::SeqCst) {
                    let before = phase.load(Ordering::SeqCst);
                    let outcome = one_use(task).await;
                    if phase.load(Ordering::SeqCst) != before {
                        continue;
                    }
                    match before % 4 {
                        0 => {
                            assert!(outcome.is_ok(), "{outcome:?}");
                            within[0].fetch_add(1, Ordering::SeqCst);
                        }
                        2 => {
                            let is_no = outcome.as_ref().err().is_some_and(refuses);
                            assert!(is_no, "used after the answer: {outcome:?}");
                            within[1].fetch_add(1, Ordering::SeqCst);
                        }
                        _ => {}
                    }
                }
            })
        })
        .collect();
    let is_over = || tasks.iter().any(tokio::task::JoinHandle::is_finished);
    for round in 1..=rounds {
        for (at, forbids) in [(0, true), (1, false)] {
            let before = within[at].load(Ordering::SeqCst);
            while within[at].load(Ordering::SeqCst) < before + 8 && !is_over() {
                tokio::task::yield_now().await;
            }
            phase.fetch_add(1, Ordering::SeqCst);
            change(forbids).await;
            phase.fetch_add(1, Ordering::SeqCst);
        }
        if is_over() {
            break;
        }
        assert_eq!(phase.load(Ordering::SeqCst), round * 4);
    }
    done.store(true, Ordering::SeqCst);
    for task in tasks {
        task.await.unwrap();
    }
}

/// A key, what was made under it, and who uses it.
struct Story {
    world: World,
    key_id: String,
    made: S3DataKey,
    caller: Caller,
    _iam: Iam,
}

impl Story {
    async fn new(identity: &str) -> Arc<Story> {
        let world = new_world_in_memory().await;
        let iam = world.iam().await;
        let caller = world.user(&iam, "ann", Some(identity)).await;
        let key_id = world.key().await.key_id;
        let made = world.write(&world.caller, &key_id).await.unwrap();
        Arc::new(Story {
            world,
            key_id,
            made,
            caller,
            _iam: iam,
        })
    }

    /// Uses the key in one of four ways.
    async fn uses(&self, way: usize) -> Result<(), Error> {
        let Story { world, caller, .. } = self;
        let key_id = &self.key_id;
        match way {
            0 => world.read(caller, &self.made.blob).await.map(drop),
            1 => world.write(caller, key_id).await.map(drop),
            2 => {
                let own = context(&[("a", "b")]);
                let sealed = world.encrypt_as(caller, key_id, &own, &[]).await;
                sealed.map(drop)
            }
            _ => {
                let made = world.write(caller, key_id).await?;
                world.read(caller, &made.blob).await.map(drop)
            }
        }
    }
}

fn is_denied(error: &Error) -> bool {
    matches!(error, Error::AccessDenied(_))
}

const ROUNDS: u64 = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sec_n70_no_use_succeeds_after_the_answer_to_disabling() {
    let story = Story::new(ALL_OF_KMS).await;
    let same = Arc::clone(&story);
    let one_use = move |way| {
        let same = Arc::clone(&same);
        async move { same.uses(way).await }
    };
    let refuses = |error: &Error| error.code() == "DisabledException";
    turns(ROUNDS, refuses, one_use, async |forbid: bool| {
        if forbid {
            story.world.disable(&story.key_id).await;
        } else {
            story.world.enable(&story.key_id).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sec_n37_no_use_succeeds_after_the_answer_to_another_policy() {
    let story = Story::new(ALL_OF_KMS).await;
    let same = Arc::clone(&story);
    let one_use = move |way| {
        let same = Arc::clone(&same);
        async move { same.uses(way).await }
    };
    let deny = statement("Deny", &json!({ "AWS": user_arn("ann") }), "kms:*");
    let documents = [
        policy(&json!([delegation()])),
        policy(&json!([delegation(), deny])),
    ];
    turns(ROUNDS, is_denied, one_use, async |forbid: bool| {
        let document = &documents[usize::from(forbid)];
        story.world.put_policy(&story.key_id, document).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sec_n37_no_use_succeeds_after_the_answer_to_the_end_of_a_grant() {
    let story = Story::new(NOTHING_OF_KMS).await;
    let same = Arc::clone(&story);
    let operations = &["Decrypt", "GenerateDataKey", "Encrypt"];
    let grant = async || {
        let input = grant_to(&story.key_id, "ann", operations);
        let made = story.world.grant_as(&story.world.caller, input).await;
        made.unwrap().grant_id
    };
    let held = tokio::sync::Mutex::new(grant().await);
    let one_use = move |way| {
        let same = Arc::clone(&same);
        async move { same.uses(way).await }
    };
    turns(ROUNDS, is_denied, one_use, async |forbid: bool| {
        let mut held = held.lock().await;
        if forbid {
            let input = RevokeGrantInput {
                key_id: story.key_id.clone(),
                grant_id: held.clone(),
                dry_run: false,
            };
            call!(story.world, revoke_grant, input).unwrap();
        } else {
            *held = grant().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_use_by_an_alias_succeeds_after_the_answer_to_its_deletion() {
    let story = Story::new(ALL_OF_KMS).await;
    story.world.name(&story.key_id).await;
    let same = Arc::clone(&story);
    let one_use = move |_| {
        let same = Arc::clone(&same);
        async move { same.world.write(&same.caller, ALIAS).await.map(drop) }
    };
    let refuses = |error: &Error| error.code() == "NotFoundException";
    turns(ROUNDS, refuses, one_use, async |forbid: bool| {
        if forbid {
            story.world.unname().await;
        } else {
            story.world.name(&story.key_id).await;
        }
    })
    .await;
}

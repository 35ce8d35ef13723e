// SPDX-License-Identifier: Apache-2.0
//! Writes of objects with instruction files that are killed at any step, and that meet others at
//! any step: what is there always opens.

use std::sync::Arc;

use strongroom_client::transport::{Attributes, TransportErrorKind};
use strongroom_client::{CommitmentPolicy, EncryptedS3, Error, Storage};

use crate::faulty::{Call, Fault, Faulty, plain};
use crate::keys::keyring;
use crate::writing::PART;

const V3: CommitmentPolicy = CommitmentPolicy::RequireEncryptAllowDecrypt;
const V2: CommitmentPolicy = CommitmentPolicy::ForbidEncryptAllowDecrypt;

fn client(store: &Arc<Faulty>, policy: CommitmentPolicy, storage: Storage) -> EncryptedS3 {
    EncryptedS3::builder(Arc::clone(store), keyring(1))
        .part_bytes(u64::try_from(PART).unwrap())
        .commitment_policy(policy)
        .storage(storage)
        .build()
        .unwrap()
}

async fn read(s3: &EncryptedS3) -> Result<Vec<u8>, Error> {
    s3.get_object("b", "k").send().await?.body.collect().await
}

/// Story: a re-encryption replaced the instruction file and was killed before it replaced the object.
/// The only wrapped data key of what was there was gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_killed_at_any_step_leaves_what_opens() {
    for (old_policy, new_policy) in [(V3, V3), (V2, V3), (V3, V2), (V2, V2)] {
        for old_storage in [Storage::InstructionFile, Storage::Metadata] {
            for len in [300, 2 * PART + 5] {
                for after in [false, true] {
                    let steps = killed_at_each(old_policy, new_policy, old_storage, len, after);
                    let steps = steps.await;
                    assert!(steps > 5, "{steps}");
                }
            }
        }
    }
}

/// How many calls the write has; it was killed at each of them.
async fn killed_at_each(
    old_policy: CommitmentPolicy,
    new_policy: CommitmentPolicy,
    old_storage: Storage,
    len: usize,
    after: bool,
) -> usize {
    for step in 0.. {
        let store = Faulty::new();
        let old = client(&store, old_policy, old_storage);
        old.put_object("b", "k").body("old").send().await.unwrap();
        let new = client(&store, new_policy, Storage::InstructionFile);
        let mut left = step;
        store.rule(move |_| {
            left -= 1;
            match (left, after) {
                (-1, false) => Fault::KilledBefore,
                (-1, true) => Fault::KilledAfter,
                _ => Fault::Nothing,
            }
        });
        let put = new.put_object("b", "k").body(plain(len)).send();
        let done = tokio::select! {
            done = put => Some(done.unwrap()),
            () = store.killed.notified() => None,
        };
        store.rule(|_| Fault::Nothing);
        let found = read(&new).await.unwrap();
        assert!(found == b"old" || found == plain(len), "step {step}");
        // And writing it again puts the key where it was wanted.
        let again = new.put_object("b", "k").body(plain(len)).send();
        assert_eq!(again.await.unwrap().storage, Storage::InstructionFile);
        let (_, attributes) = store.stored("k");
        assert!(!attributes.metadata.contains_key("x-amz-3"));
        assert!(!attributes.metadata.contains_key("x-amz-key-v2"));
        assert!(read(&new).await.unwrap() == plain(len));
        if done.is_some() {
            return usize::try_from(step).unwrap();
        }
    }
    0
}

/// Story: two writes of one object overlapped, both were told that it is stored, and the object of
/// the one lay beside the file of the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_in_any_order_leave_what_opens() {
    let mut rounds = tokio::task::JoinSet::new();
    for round in 0..1000 {
        rounds.spawn(writers_meet(round));
    }
    while let Some(done) = rounds.join_next().await {
        done.unwrap();
    }
}

async fn writers_meet(round: u64) {
    let mut random = round;
    let mut next = move |below: u64| {
        random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (random ^ (random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) % below
    };
    let store = Faulty::new();
    let is_new = next(3) == 0;
    if !is_new {
        let policy = if next(2) == 0 { V2 } else { V3 };
        let old = client(&store, policy, Storage::InstructionFile);
        old.put_object("b", "k").body("old").send().await.unwrap();
    }
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..3_u8 {
        let policy = if next(2) == 0 { V2 } else { V3 };
        let storage = match next(5) {
            0 => Storage::Metadata,
            _ => Storage::InstructionFile,
        };
        let s3 = client(&store, policy, storage);
        let is_rewrap = writer == 2 && next(2) == 0;
        writers.spawn(async move {
            if is_rewrap {
                s3.rewrap("b", "k").send().await.map(|_| 0)
            } else {
                let put = s3.put_object("b", "k").body(vec![writer; 20]).send();
                put.await.map(|_| 1)
            }
        });
    }
    store.rule(move |_| match next(40) {
        0 => Fault::LostAnswer,
        1 => Fault::Refused(TransportErrorKind::AccessDenied),
        2 => Fault::KilledAfter,
        turns => Fault::Later(usize::try_from(turns % 9).unwrap()),
    });
    let mut stored = 0;
    // Those that were killed never end.
    let patience = std::time::Duration::from_secs(8);
    while let Ok(Some(done)) = tokio::time::timeout(patience, writers.join_next()).await {
        stored += done.unwrap().unwrap_or(0);
    }
    writers.shutdown().await;
    store.rule(|_| Fault::Nothing);
    match read(&client(&store, V3, Storage::Metadata)).await {
        Ok(_) => {}
        Err(error) if error.is_not_found() => assert!(stored == 0 && is_new),
        Err(error) => panic!("round {round}: {error}"),
    }
}

/// A write over something that is there keeps what it was given besides the envelope, when its
/// wrapped key goes out of its metadata.
#[tokio::test]
async fn what_lies_beside_stays_when_the_key_goes() {
    let store = Faulty::new();
    let s3 = client(&store, V3, Storage::InstructionFile);
    for content in ["one", "two"] {
        let put = s3.put_object("b", "k").body(content);
        let put = put.metadata("a", "b").content_type("text/plain");
        put.cache_control("no-cache").send().await.unwrap();
        let (_, attributes) = store.stored("k");
        assert_eq!(attributes.metadata["a"], "b");
        assert_eq!(attributes.metadata.len(), 4, "{content}");
        assert_eq!(attributes.content_type.as_deref(), Some("text/plain"));
        assert_eq!(attributes.cache_control.as_deref(), Some("no-cache"));
    }
}

/// A file that a write left behind, under a name where nothing is, is no object's: another writer
/// may be between its file and its object.
#[tokio::test]
async fn a_file_without_an_object_is_somebodys_on_the_way() {
    let store = Faulty::new();
    let s3 = client(&store, V3, Storage::InstructionFile);
    s3.put_object("b", "x").body("x").send().await.unwrap();
    let (file, attributes) = store.stored("x.instruction");
    store.place("k.instruction", file, &attributes).await;
    store.rule(|call| match call {
        Call::Copy(_) => Fault::Refused(TransportErrorKind::AccessDenied),
        _ => Fault::Nothing,
    });
    let refused = s3.put_object("b", "k").body("new").send().await;
    assert!(refused.is_err());
    assert_eq!(read(&s3).await.unwrap(), b"new");
    assert!(store.stored("k").1.metadata.contains_key("x-amz-3"));
}

/// Stores without a condition on copies keep the wrapped key in both places, and the caller knows.
#[tokio::test]
async fn without_guarded_copies_the_key_stays_in_the_metadata() {
    let store = Faulty::new();
    let s3 = client(&store, V3, Storage::InstructionFile);
    store.place("k", "plain", &Attributes::default()).await;
    store.rule(|call| match call {
        Call::Copy(_) => Fault::RefusesConditions,
        _ => Fault::Nothing,
    });
    let put = s3.put_object("b", "k").body("new").send().await.unwrap();
    assert_eq!(put.storage, Storage::Metadata);
    assert_eq!(read(&s3).await.unwrap(), b"new");
}

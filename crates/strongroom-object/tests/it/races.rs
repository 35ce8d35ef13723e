// SPDX-License-Identifier: Apache-2.0
//! Writers that meet: exactly one wins where one may, and nothing is left of the others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use strongroom_object::{
    EncryptionRequest, Error, Properties, PropertiesDirective, WriteConditions,
};
use strongroom_store::drive::Folder;

use crate::harness::*;
use crate::multipart::{complete, completed, create, part};
use crate::shared_bodies::copy_input;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sec_n74_fifty_writers_if_none_match_any_one_wins() {
    let house = Arc::new(house().await);
    house.bucket("bucket").await;
    let mut tasks = Vec::new();
    for number in 0..50_u32 {
        let house = Arc::clone(&house);
        tasks.push(tokio::spawn(async move {
            let bytes = vec![number as u8; 40_000];
            let mut input = put_input("bucket", "k", &bytes, EncryptionRequest::S3);
            input.conditions = WriteConditions {
                if_none_match_any: true,
                ..WriteConditions::default()
            };
            house
                .objects
                .put_object(house.request().scope(), input)
                .await
                .map(|_| number)
        }));
    }
    let mut winners = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            Ok(number) => winners.push(number),
            Err(Error::PreconditionFailed { .. } | Error::ConditionalConflict) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(winners.len(), 1);
    let expected = vec![winners[0] as u8; 40_000];
    assert_eq!(house.get("bucket", "k", None).await.unwrap(), expected);
    house.tidied().await;
    assert_eq!(blobs(&house), 1, "the losers' blobs are gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_of_one_name_all_succeed_and_one_version_stays() {
    let house = Arc::new(house().await);
    house.bucket("bucket").await;
    let mut tasks = Vec::new();
    for number in 0..30_u8 {
        let house = Arc::clone(&house);
        tasks.push(tokio::spawn(async move {
            let bytes = vec![number; 40_000];
            house
                .put("bucket", "k", &bytes, EncryptionRequest::S3)
                .await
                .unwrap();
            let got = house.get("bucket", "k", None).await.unwrap();
            assert!(
                got.len() == 40_000 && got.iter().all(|b| *b == got[0]),
                "never a mixture"
            );
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    house.tidied().await;
    assert_eq!(blobs(&house), 1);
}

/// Story: a client copied an object onto itself to change what lies beside it, and somebody stored
/// a new one while the old one's bytes were held. The copy came last, and the new object, whose
/// writer had been answered, was gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_copy_onto_itself_with_if_match_replaces_nothing_newer() {
    let house = Arc::new(house().await);
    house.bucket("bucket").await;
    // In the row, and in a blob.
    for len in [100, 40_000] {
        let (old, new) = (vec![1; len], vec![2; len]);
        let (mut copied, mut refused) = (0, 0);
        // How many turns the copy has before the writer; less than none when it has them behind it.
        let mut ahead = 0_i32;
        let begun = Instant::now();
        // The race would prove nothing if one of them always came first.
        while copied + refused < 200 || copied == 0 || refused == 0 {
            assert!(begun.elapsed() < LONG, "{copied} {refused}, {ahead} turns");
            let old = house.put("bucket", "k", &old, EncryptionRequest::S3);
            let mut input = copy_input(("bucket", "k"), ("bucket", "k"), EncryptionRequest::S3);
            input.directive = PropertiesDirective::Replace(Properties::default());
            input.conditions = WriteConditions {
                if_match: Some(old.await.unwrap().etag),
                ..WriteConditions::default()
            };
            let copy = {
                let house = Arc::clone(&house);
                tokio::spawn(async move {
                    turns(-ahead).await;
                    let request = house.request();
                    let copy = house.objects.copy_object(request.scope(), input).await;
                    copy.map(|_| ())
                })
            };
            turns(ahead).await;
            house
                .put("bucket", "k", &new, EncryptionRequest::S3)
                .await
                .unwrap();
            match copy.await.unwrap() {
                // Whoever came first begins later next time, so that they go on meeting.
                Ok(()) => (copied, ahead) = (copied + 1, ahead - 1),
                Err(Error::PreconditionFailed { .. }) => {
                    (refused, ahead) = (refused + 1, ahead + 1);
                }
                Err(other) => panic!("{other}"),
            }
            let found = house.get("bucket", "k", None).await.unwrap();
            assert!(found == new, "{copied} {refused} of {len} bytes");
        }
    }
}

/// Lets others run so many times.
async fn turns(count: i32) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

const LONG: Duration = Duration::from_mins(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_bucket_is_not_deleted_under_a_writer() {
    for _ in 0..20 {
        let house = Arc::new(house().await);
        house.bucket("bucket").await;
        let writer = {
            let house = Arc::clone(&house);
            tokio::spawn(async move { house.put("bucket", "k", b"x", EncryptionRequest::S3).await })
        };
        let deleted = house
            .objects
            .delete_bucket(house.request().scope(), "bucket")
            .await;
        let written = writer.await.unwrap();
        match (deleted, written) {
            (Ok(()), Err(Error::NoSuchBucket { .. }))
            | (Err(Error::BucketNotEmpty { .. }), Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sec_n76_parts_come_again_while_uploads_are_completed() {
    let house = Arc::new(house().await);
    house.bucket("bucket").await;
    for round in 0..40 {
        let upload = create(&house, EncryptionRequest::S3).await;
        let first = part(&house, &upload, 1, b"first", None).await.unwrap();
        // What comes again is named in every second round, and else is a part that is not.
        let number = 1 + round % 2;
        let again = {
            let (house, upload) = (Arc::clone(&house), upload.clone());
            tokio::spawn(async move {
                for turn in 0..10 {
                    match part(&house, &upload, number, &[turn], None).await {
                        Ok(_) => {}
                        Err(Error::NoSuchUpload { .. }) => break,
                        Err(other) => panic!("{other:?}"),
                    }
                }
            })
        };
        let parts = vec![completed(1, &first)];
        match complete(&house, &upload, parts, None).await {
            Ok(_) => {
                let got = house.get("bucket", "k", None).await.unwrap();
                assert_eq!(got, b"first");
            }
            Err(Error::InvalidPart { part_number: 1, .. }) if number == 1 => {}
            Err(other) => panic!("{other:?}"),
        }
        again.await.unwrap();
    }
}

fn blobs(house: &House) -> usize {
    (0..=u8::MAX)
        .map(|shelf| {
            house
                .drive
                .list(Folder::Blobs(shelf))
                .map_or(0, |files| files.len())
        })
        .sum()
}

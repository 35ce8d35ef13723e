// SPDX-License-Identifier: Apache-2.0
//! Pages of a listing against the obvious model: sort, filter, roll up, cut.

use std::collections::BTreeSet;

use strongroom_object::{EncryptionRequest, Error, ListObjects};
use strongroom_store::{Batch, TableId, Write};

use crate::harness::*;

const NAMES: [&str; 22] = [
    "a",
    "a/",
    "a/1",
    "a/2",
    "a/b/1",
    "a/b/2",
    "a0",
    "b",
    "b/",
    "b//",
    "b//1",
    "c/d/e/f",
    "d",
    "dd",
    "ddd",
    "photos/2025/a",
    "photos/2025/b",
    "photos/2026/a",
    "photos/x",
    "z\u{1}",
    "\u{e9}",
    "\u{1F600}",
];

/// Names and common prefixes in one order, as S3 counts them.
fn model(prefix: &str, delimiter: &str) -> Vec<String> {
    let rolled: BTreeSet<String> = NAMES
        .iter()
        .filter(|name| name.starts_with(prefix))
        .map(|name| {
            let rest = &name[prefix.len()..];
            match rest.find(delimiter).filter(|_| !delimiter.is_empty()) {
                Some(end) => name[..prefix.len() + end + delimiter.len()].to_owned(),
                None => (*name).to_owned(),
            }
        })
        .collect();
    rolled.into_iter().collect()
}

#[tokio::test]
async fn every_page_size_prefix_and_delimiter() {
    let house = house().await;
    house.bucket("bucket").await;
    house.bucket("bucket2").await;
    house
        .put("bucket2", "elsewhere", b"", EncryptionRequest::S3)
        .await
        .unwrap();
    for name in NAMES {
        house
            .put("bucket", name, b"x", EncryptionRequest::S3)
            .await
            .unwrap();
    }
    let prefixes = [
        "", "a", "a/", "a/b", "a/b/", "b/", "b//", "photos/", "nothing", "\u{e9}",
    ];
    for prefix in prefixes {
        for delimiter in ["", "/", "//", "d", "2", "a/"] {
            let expected = model(prefix, delimiter);
            for max_keys in [1, 2, 3, 7, 1000] {
                let got = list_all(&house, prefix, delimiter, max_keys).await;
                assert_eq!(got, expected, "{prefix:?} {delimiter:?} {max_keys}");
            }
        }
    }
}

async fn list_all(house: &House, prefix: &str, delimiter: &str, max_keys: u32) -> Vec<String> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let input = ListObjects {
            bucket: "bucket".to_owned(),
            prefix: prefix.to_owned(),
            delimiter: delimiter.to_owned(),
            after: after.take(),
            max_keys,
        };
        let page = house
            .objects
            .list_objects(house.request().scope(), input)
            .await
            .unwrap();
        assert!(page.objects.len() + page.common_prefixes.len() <= max_keys as usize);
        let mut names: Vec<_> = page
            .objects
            .into_iter()
            .map(|object| object.object_key)
            .collect();
        names.extend(page.common_prefixes);
        names.sort();
        all.extend(names);
        match page.next_after {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
}

#[tokio::test]
async fn a_start_anywhere_leaves_out_what_is_not_behind_it() {
    let house = house().await;
    house.bucket("bucket").await;
    for name in NAMES {
        house
            .put("bucket", name, b"x", EncryptionRequest::S3)
            .await
            .unwrap();
    }
    for after in NAMES.into_iter().chain(["", "a/b/", "zzz", "photos/2025/"]) {
        let input = ListObjects {
            bucket: "bucket".to_owned(),
            prefix: String::new(),
            delimiter: String::new(),
            after: Some(after.to_owned()),
            max_keys: 1000,
        };
        let page = house
            .objects
            .list_objects(house.request().scope(), input)
            .await
            .unwrap();
        let got: Vec<_> = page
            .objects
            .iter()
            .map(|object| object.object_key.as_str())
            .collect();
        let mut expected: Vec<_> = NAMES.into_iter().filter(|name| *name > after).collect();
        expected.sort_unstable();
        assert_eq!(got, expected, "after {after:?}");
    }
}

/// A bucket beyond the end of the list of buckets would be hidden from its owner, and from a
/// verification of the store.
#[tokio::test]
async fn sec_no_bucket_is_made_that_the_list_would_leave_out() {
    let house = house().await;
    house.bucket("zz-last").await;
    let buckets = TableId(20);
    let row = house.store.tables().get(buckets, b"zz-last").unwrap();
    let value = row.unwrap().value;
    for thousand in 0..10_u32 {
        let count = if thousand == 0 { 999 } else { 1000 };
        let put = |number: u32| Write::Put {
            table: buckets,
            key: format!("b-{thousand}-{number}").into_bytes(),
            value: value.clone(),
        };
        let batch = Batch {
            preconditions: Vec::new(),
            writes: (0..count).map(put).collect(),
        };
        house.store.tables().commit(batch).await.unwrap();
    }
    let scope = house.request();
    let one_more = house.objects.create_bucket(scope.scope(), "one-more").await;
    assert!(matches!(one_more, Err(Error::TooManyBuckets)));
    let again = house.objects.create_bucket(scope.scope(), "zz-last").await;
    assert!(matches!(again, Err(Error::BucketAlreadyOwnedByYou { .. })));
    let listed = house.objects.list_buckets(scope.scope()).await.unwrap();
    assert_eq!(listed.len(), 10_000);
    assert_eq!(listed.last().unwrap().name, "zz-last");
}

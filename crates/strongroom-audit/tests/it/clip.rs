// SPDX-License-Identifier: Apache-2.0
//! What a record keeps of parameters that are too long for it.
//!
//! The story: 17,100 tabs in a header that the operation ignored made `requestParameters` longer than
//! 100 KB, and the whole of it was left out. A caller could so take the name of what it read, copied or
//! deleted out of its own event.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use strongroom_audit::{Durability, EventDetail};

use crate::world::{facts, new_world, put_object};

async fn record_of(detail: EventDetail) -> Value {
    let world = new_world().await;
    let receipt = world.audit.begin(facts());
    receipt.finish(detail, Durability::Durable).await.unwrap();
    world.only_record().await
}

async fn record_with(parameters: Value) -> Value {
    let mut detail = put_object("k");
    detail.request_parameters = parameters;
    record_of(detail).await
}

fn sha256(text: &str) -> String {
    hex::encode(aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA256,
        text.as_bytes(),
    ))
}

/// Where something was cut, and what is said of it.
fn cut_at<'r>(record: &'r Value, place: &str) -> &'r Value {
    let cuts = record["additionalEventData"]["clipped"].as_array().unwrap();
    let found = cuts.iter().find(|cut| cut["at"] == place);
    found.unwrap_or_else(|| panic!("{place} is not in {cuts:?}"))
}

#[tokio::test]
async fn sec_a_long_header_takes_no_other_parameter_out_of_the_event() {
    let (tabs, key) = ("\t".repeat(30_000), "\u{1}".repeat(1024));
    let record = record_with(json!({
        "bucketName": "b", "key": key, "versionId": "v", "uploadId": "u", "partNumber": "1",
        "x-amz-copy-source": "b/secret?versionId=w", "range": tabs, "start-after": "\u{1}".repeat(20_000),
    }))
    .await;
    let kept = &record["requestParameters"];
    assert_eq!(kept["bucketName"], "b");
    assert_eq!(kept["key"], key);
    assert_eq!(kept["versionId"], "v");
    assert_eq!(kept["uploadId"], "u");
    assert_eq!(kept["partNumber"], "1");
    assert_eq!(kept["x-amz-copy-source"], "b/secret?versionId=w");
    assert_eq!(kept["range"], "\t".repeat(1024));
    assert_eq!(kept["start-after"], "\u{1}".repeat(1024));
    let cut = cut_at(&record, "/requestParameters/range");
    assert_eq!(
        *cut,
        json!({ "at": "/requestParameters/range", "bytes": 30_000, "sha256": sha256(&tabs) })
    );
    assert_eq!(
        cut_at(&record, "/requestParameters/start-after")["bytes"],
        20_000
    );
}

#[tokio::test]
async fn sec_what_is_in_the_event_is_whole_where_nothing_is_too_long() {
    let parameters = json!({
        "bucketName": "b", "range": "x".repeat(1024), "list": [1, true, null, "\u{1f600}"],
        "key": "\t".repeat(1024), "policy": "\"".repeat(32 << 10),
        "encryptionContext": { "a".repeat(4000): "b".repeat(4000) },
    });
    let record = record_with(parameters.clone()).await;
    assert_eq!(record["requestParameters"], parameters);
    assert!(record.get("additionalEventData").is_none());
}

#[tokio::test]
async fn sec_a_policy_stays_whole_beside_long_names_and_leaves_room_for_flags() {
    let policy = "\"".repeat(32 << 10);
    let record = record_with(json!({
        "keyId": "k".repeat(1024), "policyName": "\u{1}".repeat(5000), "policy": policy,
        "bypassPolicyLockoutSafetyCheck": true,
    }))
    .await;
    let kept = &record["requestParameters"];
    assert_eq!(kept["policy"], policy);
    assert_eq!(kept["keyId"], "k".repeat(1024));
    assert_eq!(kept["bypassPolicyLockoutSafetyCheck"], true);
    assert_eq!(kept["policyName"], "\u{1}".repeat(1024));
    // One that nobody may store is cut, and known by its digest.
    let policy = "\u{1}".repeat(200_000);
    let record = record_with(json!({
        "keyId": "k", "policy": policy, "bypassPolicyLockoutSafetyCheck": true,
    }))
    .await;
    let kept = &record["requestParameters"];
    assert!(policy.starts_with(kept["policy"].as_str().unwrap()));
    assert!(kept["policy"].as_str().unwrap().len() > 10_000);
    assert_eq!(kept["bypassPolicyLockoutSafetyCheck"], true);
    assert_eq!(
        cut_at(&record, "/requestParameters/policy")["sha256"],
        sha256(&policy)
    );
}

#[tokio::test]
async fn sec_lists_and_maps_are_cut_with_a_count() {
    let mut detail = put_object("k");
    detail.request_parameters = json!({
        "key": "k", "tags": (0..5_000).map(|n| json!({ "tagKey": n.to_string() })).collect::<Vec<_>>(),
    });
    let pairs = (0..3_000).map(|n| (format!("{n:0100}"), json!("v")));
    detail.response_elements = Value::Object(pairs.collect());
    detail.additional = json!({ "bytesTransferredIn": 3 });
    let record = record_of(detail).await;
    let tags = record["requestParameters"]["tags"].as_array().unwrap();
    let cut = cut_at(&record, "/requestParameters/tags");
    assert_eq!(cut["members"], 5_000);
    assert_eq!(cut["kept"], tags.len());
    assert_eq!(tags.len(), 1_000);
    assert_eq!(tags[999]["tagKey"], "999");
    let elements = record["responseElements"].as_object().unwrap();
    let cut = cut_at(&record, "/responseElements");
    assert_eq!(
        (cut["members"].as_u64(), cut["kept"].as_u64()),
        (Some(3_000), Some(elements.len() as u64))
    );
    assert!(elements.len() > 500, "{}", elements.len());
    assert_eq!(record["additionalEventData"]["bytesTransferredIn"], 3);
}

#[tokio::test]
async fn sec_no_digest_is_told_of_what_could_be_derived_from_a_secret() {
    let long = "x".repeat(5_000);
    let record = record_with(json!({
        "key": "k", "x-amz-server-side-encryption-customer-key-md5": long, "if-match": long,
        "description": long, "a~/b": long,
    }))
    .await;
    for name in [
        "x-amz-server-side-encryption-customer-key-md5",
        "if-match",
        "description",
        "a~0~1b",
    ] {
        let cut = cut_at(&record, &format!("/requestParameters/{name}"));
        assert_eq!(cut["bytes"], 5_000);
        assert!(cut.get("sha256").is_none(), "{name}");
    }
}

#[tokio::test]
async fn sec_of_many_cuts_the_first_are_told_and_the_others_counted() {
    let members = (0..100).map(|n| {
        (
            format!("{n:02}{}", "\u{1}".repeat(20)),
            json!("y".repeat(2_000)),
        )
    });
    let record = record_with(Value::Object(members.collect())).await;
    let additional = &record["additionalEventData"];
    assert_eq!(additional["clipped"].as_array().unwrap().len(), 32);
    assert_eq!(additional["clippedMore"], 68);
    assert_eq!(record["requestParameters"].as_object().unwrap().len(), 100);
}

const NAMES: [&str; 10] = [
    "bucketName",
    "key",
    "versionId",
    "uploadId",
    "x-amz-copy-source",
    "keyId",
    "sourceKeyId",
    "destinationKeyId",
    "targetKeyId",
    "aliasName",
];

/// Texts of letters that JSON writes in one to six bytes.
fn text(bytes_max: usize) -> impl Strategy<Value = String> {
    let letter = prop_oneof![
        "\"",
        "\\\\",
        "\t",
        "\u{1}",
        "\u{1f}",
        "x",
        "\u{e4}",
        "\u{1f600}"
    ];
    (letter, 0..=bytes_max).prop_map(|(letter, bytes)| letter.repeat(bytes / letter.len().max(1)))
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        text(100).prop_map(Value::from),
        text(150_000).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 64, 40, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..40).prop_map(Value::from),
            proptest::collection::vec((text(2_000), inner.clone()), 0..40).prop_map(map),
            (inner, 0_usize..3_000).prop_map(|(item, times)| {
                if item.is_string() || item.is_array() || item.is_object() {
                    Value::from(vec![item; times / 300])
                } else {
                    Value::from(vec![item; times])
                }
            }),
        ]
    })
}

fn map(members: Vec<(String, Value)>) -> Value {
    Value::Object(members.into_iter().collect())
}

fn parameters() -> impl Strategy<Value = Value> {
    let names = proptest::collection::vec(proptest::option::of(text(1024)), NAMES.len());
    let others = proptest::collection::vec(
        (
            prop_oneof![text(3_000), "policy|range|encryptionContext|[a-z]{1,9}"],
            value(),
        ),
        0..60,
    );
    (names, others).prop_map(|(names, others)| {
        let mut members: Map<String, Value> = others.into_iter().collect();
        for (name, text) in NAMES.iter().zip(names) {
            if let Some(text) = text {
                members.insert((*name).to_owned(), text.into());
            }
        }
        Value::Object(members)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn sec_whatever_was_asked_the_event_is_bounded_and_names_it(
        asked in parameters(),
        answered in value(),
        additional in value(),
    ) {
        let mut detail = put_object("k");
        detail.request_parameters = asked.clone();
        detail.response_elements = answered.clone();
        detail.additional = additional;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let record = runtime.block_on(record_of(detail));
        for field in ["requestParameters", "responseElements"] {
            let bytes = serde_json::to_vec(&record[field]).unwrap().len();
            prop_assert!(bytes <= 100 << 10, "{field}: {bytes}");
        }
        let bytes = serde_json::to_vec(&record).unwrap().len();
        prop_assert!(bytes < 400 << 10, "{bytes}");
        for name in NAMES {
            if let Some(text) = asked.get(name) {
                prop_assert_eq!(&record["requestParameters"][name], text);
            }
        }
        prop_assert!(is_part_of(&record["responseElements"], &answered));
        prop_assert!(is_part_of(&record["requestParameters"], &asked));
        let is_whole = record["requestParameters"] == asked && record["responseElements"] == answered;
        prop_assert!(is_whole || record["additionalEventData"].get("clipped").is_some());
    }
}

/// Nothing is in a record that was not said: texts are cut at their ends, lists after some items.
fn is_part_of(kept: &Value, said: &Value) -> bool {
    match (kept, said) {
        (Value::String(kept), Value::String(said)) => said.starts_with(kept.as_str()),
        (Value::Array(kept), Value::Array(said)) => {
            kept.len() <= said.len()
                && kept
                    .iter()
                    .all(|item| said.iter().any(|of| is_part_of(item, of)))
        }
        (Value::Object(kept), Value::Object(said)) => {
            let known = |name: &str, value: &Value| {
                said.iter()
                    .any(|(whole, of)| whole.starts_with(name) && is_part_of(value, of))
            };
            kept.iter().all(|(name, value)| known(name, value))
        }
        (kept, said) => kept == said,
    }
}

// SPDX-License-Identifier: Apache-2.0
//! What a record says.

use serde_json::{Value, json};
use strongroom_audit::{
    Category, Durability, EventDetail, EventError, EventSource, Resource, UserIdentity,
};

use crate::world::{facts, lines, new_world, put_object};

#[tokio::test]
async fn data_event_of_s3() {
    let world = new_world().await;
    let mut detail = put_object("k");
    detail.response_elements = json!({ "x-amz-server-side-encryption": "AES256" });
    detail.additional = json!({ "bytesTransferredIn": 3 });
    detail.resources = vec![
        Resource {
            type_name: "AWS::S3::Object",
            arn: "arn:aws:s3:::b/k".to_owned(),
        },
        Resource {
            type_name: "AWS::S3::Bucket",
            arn: "arn:aws:s3:::b".to_owned(),
        },
    ];
    let receipt = world.audit.begin(facts());
    let id = receipt.finish(detail, Durability::Durable).await.unwrap();
    assert_eq!(
        world.only_record().await,
        json!({
            "eventVersion": "1.11",
            "userIdentity": {
                "type": "Root",
                "principalId": "111122223333",
                "arn": "arn:aws:iam::111122223333:root",
                "accountId": "111122223333",
                "accessKeyId": "AKIAEXAMPLE"
            },
            "eventTime": "2026-11-21T10:01:02Z",
            "eventSource": "s3.amazonaws.com",
            "eventName": "PutObject",
            "awsRegion": "us-east-1",
            "sourceIPAddress": "203.0.113.9",
            "userAgent": "[aws-cli/2]",
            "requestParameters": { "bucketName": "b", "key": "k" },
            "responseElements": { "x-amz-server-side-encryption": "AES256" },
            "additionalEventData": { "bytesTransferredIn": 3 },
            "requestID": "0A1B2C",
            "eventID": id.to_string(),
            "readOnly": false,
            "resources": [
                { "type": "AWS::S3::Object", "ARN": "arn:aws:s3:::b/k" },
                { "accountId": "111122223333", "type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::b" }
            ],
            "eventType": "AwsApiCall",
            "managementEvent": false,
            "recipientAccountId": "111122223333",
            "eventCategory": "Data",
            "tlsDetails": {
                "tlsVersion": "TLSv1.3",
                "cipherSuite": "TLS_AES_128_GCM_SHA256",
                "clientProvidedHostHeader": "b.s3.us-east-1.amazonaws.com"
            },
            "strongroom": { "seq": 1, "prev": "0".repeat(64), "synced": 0 }
        })
    );
}

#[tokio::test]
async fn refused_event_of_kms_for_s3() {
    let world = new_world().await;
    let mut detail = EventDetail::new(
        EventSource::Kms,
        "GenerateDataKey",
        Category::Management,
        true,
    );
    detail.error = Some(EventError {
        code: "DisabledException".to_owned(),
        message: "arn is disabled.".to_owned(),
    });
    detail.shared_event_id = Some("s".to_owned());
    let mut facts = facts();
    facts.identity = UserIdentity::IamUser {
        account_id: "111122223333".to_owned(),
        user_name: "alice".to_owned(),
        principal_id: "AIDAEXAMPLE".to_owned(),
        arn: "arn:aws:iam::111122223333:user/alice".to_owned(),
        access_key_id: "AKIAALICE".to_owned(),
    };
    let receipt = world.audit.begin(facts);
    receipt
        .record_internal(detail, Durability::Durable)
        .await
        .unwrap();
    receipt.finish_recorded();
    let record = world.only_record().await;
    assert_eq!(
        record["userIdentity"],
        json!({
            "type": "IAMUser",
            "principalId": "AIDAEXAMPLE",
            "arn": "arn:aws:iam::111122223333:user/alice",
            "accountId": "111122223333",
            "accessKeyId": "AKIAALICE",
            "userName": "alice",
            "invokedBy": "AWS Internal"
        })
    );
    assert_eq!(record["sourceIPAddress"], "AWS Internal");
    assert_eq!(record["userAgent"], "AWS Internal");
    assert_eq!(record.get("tlsDetails"), None);
    assert_eq!(record["errorCode"], "DisabledException");
    assert_eq!(record["errorMessage"], "arn is disabled.");
    assert_eq!(record["sharedEventID"], "s");
    assert_eq!(record["managementEvent"], true);
    assert_eq!(record["requestParameters"], Value::Null);
    assert_eq!(record.get("additionalEventData"), None);
    assert_eq!(record.get("resources"), None);
}

#[tokio::test]
async fn identities_without_credentials() {
    let cases = [
        (
            UserIdentity::Anonymous,
            json!({ "type": "AWSAccount", "principalId": "", "accountId": "anonymous" }),
        ),
        (
            UserIdentity::Unknown {
                access_key_id: Some("AKIAWHO".to_owned()),
            },
            json!({ "type": "Unknown", "principalId": "", "accessKeyId": "AKIAWHO" }),
        ),
        (
            UserIdentity::AwsService {
                invoked_by: "strongroom.internal".to_owned(),
            },
            json!({ "type": "AWSService", "invokedBy": "strongroom.internal" }),
        ),
    ];
    for (identity, expected) in cases {
        let world = new_world().await;
        let mut facts = facts();
        facts.identity = identity;
        let receipt = world.audit.begin(facts);
        receipt
            .finish(put_object("k"), Durability::Buffered)
            .await
            .unwrap();
        assert_eq!(world.only_record().await["userIdentity"], expected);
    }
}

#[tokio::test]
async fn dropped_receipt_records_an_aborted_request() {
    let world = new_world().await;
    drop(world.audit.begin(facts()));
    let record = world.only_record().await;
    assert_eq!(record["eventName"], "AbortRequest");
    assert_eq!(record["eventSource"], "strongroom.internal");
    assert_eq!(record["errorCode"], "RequestAborted");
    assert_eq!(record["requestID"], "0A1B2C");
}

#[tokio::test]
async fn receipt_that_is_recorded_and_then_dropped_was_aborted() {
    let world = new_world().await;
    let receipt = world.audit.begin(facts());
    receipt
        .record(put_object("k"), Durability::Durable)
        .await
        .unwrap();
    drop(receipt);
    world.audit.flush().await.unwrap();
    assert_eq!(lines(&world.drive).len(), 2);
}

#[tokio::test]
async fn hostile_text_stays_on_one_line_and_short() {
    let world = new_world().await;
    let mut facts = facts();
    facts.user_agent = format!("a\n{{\"strongroom\":1}}\u{0}\r{}", "\u{e4}".repeat(4000));
    facts.host = "h\"\\".to_owned();
    let receipt = world.audit.begin(facts);
    receipt
        .finish(put_object("line\nbreak"), Durability::Durable)
        .await
        .unwrap();
    let record = world.only_record().await;
    assert!(record["userAgent"].as_str().unwrap().len() <= 1024);
    assert_eq!(record["tlsDetails"]["clientProvidedHostHeader"], "h\"\\");
    assert_eq!(record["requestParameters"]["key"], "line\nbreak");
}

#[tokio::test]
async fn sec_no_client_text_makes_a_record_that_the_log_cannot_read_back() {
    let world = new_world().await;
    // Each of these is two megabytes or more of JSON; a list of deletions may name such an object.
    for letter in ["\"", "\u{1}", "x", "\u{1f600}"] {
        let text = letter.repeat(2 << 20);
        let mut detail = put_object(&text);
        detail.response_elements = json!({ &text: [text] });
        detail.additional = json!({ "text": "\u{1}".repeat(100 << 10) });
        detail.error = Some(EventError {
            code: "KeyTooLongError".to_owned(),
            message: text.clone(),
        });
        detail.resources = (0..3)
            .map(|_| Resource {
                type_name: "AWS::S3::Object",
                arn: format!("arn:aws:s3:::b/{text}"),
            })
            .chain((0..1000).map(|_| Resource {
                type_name: "AWS::S3::Object",
                arn: letter.repeat(1024),
            }))
            .collect();
        let mut facts = facts();
        facts.user_agent.clone_from(&text);
        facts.host = text;
        let receipt = world.audit.begin(facts);
        receipt.finish(detail, Durability::Durable).await.unwrap();
    }
    world.put("after").await.unwrap();
    world.audit.close().await.unwrap();
    let longest = lines(&world.drive).iter().map(Vec::len).max().unwrap();
    assert!(longest < 1 << 20, "{longest} bytes");
    let again = crate::world::open(&world.drive).await.unwrap();
    again.put("again").await.unwrap();
    assert_eq!(lines(&again.drive).len(), 6);
}

#[test]
fn event_id_is_a_version_4_uuid() {
    let id = strongroom_audit::EventId::from_random([0xff; 16]).to_string();
    assert_eq!(id, "ffffffff-ffff-4fff-bfff-ffffffffffff");
    let id = strongroom_audit::EventId::from_random([0; 16]).to_string();
    assert_eq!(id, "00000000-0000-4000-8000-000000000000");
}

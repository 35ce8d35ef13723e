// SPDX-License-Identifier: Apache-2.0
//! What the key service writes into the audit log.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;

use serde_json::json;
use strongroom_kms::{DataKeySpec, DisableKeyInput};

use crate::world::{ACCOUNT, context, new_world};

#[tokio::test]
async fn direct_use_and_its_refusal() {
    let world = new_world().await;
    let key = world.key().await;
    let created = world.last_event().await;
    assert_eq!(created["eventName"], "CreateKey");
    assert_eq!(created["readOnly"], false);
    assert_eq!(created["responseElements"]["keyMetadata"]["arn"], key.arn);

    let made = world
        .data_key(&key.key_id, DataKeySpec::Bytes(20))
        .await
        .unwrap();
    let event = world.last_event().await;
    assert_eq!(event["eventSource"], "kms.amazonaws.com");
    assert_eq!(event["eventName"], "GenerateDataKey");
    assert_eq!(
        event["requestParameters"],
        json!({ "keyId": key.key_id, "numberOfBytes": 20 })
    );
    assert_eq!(event["responseElements"], json!(null));
    assert_eq!(
        event["additionalEventData"],
        json!({ "keyMaterialId": made.key_material_id })
    );
    assert_eq!(
        event["resources"],
        json!([{ "accountId": ACCOUNT, "type": "AWS::KMS::Key", "ARN": key.arn }])
    );
    assert_eq!(event["sourceIPAddress"], "203.0.113.9");
    assert_eq!(event["tlsDetails"]["tlsVersion"], "TLSv1.3");
    assert_eq!(event["eventCategory"], "Management");
    assert_eq!(event["readOnly"], true);

    let receipt = world.receipt();
    let input = DisableKeyInput {
        key_id: key.key_id.clone(),
    };
    world
        .kms
        .disable_key(&world.caller, &receipt, input)
        .await
        .unwrap();
    receipt.finish_recorded();
    assert_eq!(
        world.last_event().await["responseElements"],
        json!({ "keyId": key.arn })
    );
    world
        .data_key(&key.key_id, DataKeySpec::Aes256)
        .await
        .unwrap_err();
    let event = world.last_event().await;
    assert_eq!(event["errorCode"], "DisabledException");
    assert_eq!(event["errorMessage"], format!("{} is disabled.", key.arn));
    assert_eq!(event["requestParameters"]["keySpec"], "AES_256");
    world
        .data_key("nonsense", DataKeySpec::Aes256)
        .await
        .unwrap_err();
    let event = world.last_event().await;
    assert_eq!(event["errorCode"], "NotFoundException");
    assert_eq!(event.get("resources"), None);
}

#[tokio::test]
async fn use_by_s3() {
    let world = new_world().await;
    let context = context(&[("aws:s3:arn", "arn:aws:s3:::b/k")]);
    let receipt = world.receipt();
    let made = world
        .kms
        .generate_data_key_for_s3(&world.caller, &receipt, None, &context)
        .await
        .unwrap();
    let events = world.events().await;
    assert_eq!(events[0]["eventName"], "CreateKey");
    assert_eq!(events[0]["requestParameters"]["aliasName"], "alias/aws/s3");
    let event = &events[1];
    assert_eq!(event["eventName"], "GenerateDataKey");
    assert_eq!(
        event["requestParameters"],
        json!({
            "keyId": made.key_arn,
            "keySpec": "AES_256",
            "encryptionContext": { "aws:s3:arn": "arn:aws:s3:::b/k" }
        })
    );
    assert_eq!(
        event["additionalEventData"],
        json!({
            "keyMaterialId": made.key_material_id,
            "kms:ViaService": "s3.us-east-1.amazonaws.com"
        })
    );
    assert_eq!(event["userIdentity"]["accessKeyId"], "AKIAEXAMPLE");
    assert_eq!(event["userIdentity"]["invokedBy"], "AWS Internal");
    assert_eq!(event["sourceIPAddress"], "AWS Internal");
    assert_eq!(event["userAgent"], "AWS Internal");
    let kms = &world.kms;
    kms.decrypt_for_s3(&world.caller, &receipt, &made.blob, &context)
        .await
        .unwrap();
    let event = world.last_event().await;
    assert_eq!(event["eventName"], "Decrypt");
    assert_eq!(
        event["requestParameters"],
        json!({
            "encryptionAlgorithm": "SYMMETRIC_DEFAULT",
            "encryptionContext": { "aws:s3:arn": "arn:aws:s3:::b/k" }
        })
    );
    assert_eq!(event["resources"][0]["ARN"], made.key_arn);
    receipt.finish_recorded();
}

#[tokio::test]
async fn no_event_no_answer() {
    let world = new_world().await;
    let key = world.key().await;
    world.audit.close().await.unwrap();
    let made = world.data_key(&key.key_id, DataKeySpec::Aes256).await;
    assert_eq!(made.unwrap_err().code(), "KMSInternalException");
}

#[tokio::test]
async fn change_whose_caller_went_away_is_recorded() {
    let world = new_world().await;
    // A commit may be faster than the first look at it; then it is the next key's turn.
    for _ in 0..100 {
        let key = world.key().await;
        let receipt = world.receipt();
        let input = DisableKeyInput {
            key_id: key.key_id.clone(),
        };
        let is_ready = {
            let mut change = pin!(world.kms.disable_key(&world.caller, &receipt, input));
            // Polled once and dropped: the commit may have been on its way, or carried out.
            poll_fn(|cx| Poll::Ready(change.as_mut().poll(cx).is_ready())).await
        };
        receipt.finish_recorded();
        let event = world.last_event().await;
        assert_eq!(event["eventName"], "DisableKey");
        assert_eq!(event["requestParameters"], json!({ "keyId": key.key_id }));
        assert_eq!(event["resources"][0]["ARN"], key.arn);
        if !is_ready {
            return;
        }
    }
    panic!("no change was ever on its way");
}

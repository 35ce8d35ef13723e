// SPDX-License-Identifier: Apache-2.0
//! The key service's wire.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Auth, Call, House, Reply, house};

const JSON: &str = "application/x-amz-json-1.1";

pub(crate) fn call<'h>(house: &'h House, operation: &str, body: &str) -> Call<'h> {
    let mut call = house
        .call("POST", "/")
        .header("content-type", JSON)
        .header("x-amz-target", &format!("TrentService.{operation}"))
        .body(body.to_owned());
    call.service = "kms";
    call
}

pub(crate) async fn ask(house: &House, operation: &str, body: Value) -> Value {
    let reply = call(house, operation, &body.to_string())
        .send()
        .await
        .expect(StatusCode::OK);
    assert_eq!(reply.header("content-type"), JSON);
    assert!(reply.has("x-amzn-requestid"));
    if reply.body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&reply.body).unwrap()
    }
}

#[track_caller]
fn refused(reply: &Reply, status: u16, kind: &str) -> String {
    assert_eq!(reply.status.as_u16(), status, "{}", reply.text());
    assert_eq!(reply.header("content-type"), JSON);
    let fault: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(fault["__type"], kind, "{fault}");
    fault["message"].as_str().unwrap().to_owned()
}

pub(crate) async fn refuse(house: &House, operation: &str, body: Value, kind: &str) -> String {
    let reply = call(house, operation, &body.to_string()).send().await;
    refused(&reply, 400, kind)
}

async fn key(house: &House) -> String {
    let made = ask(house, "CreateKey", json!({"Description": "test"})).await;
    made["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_key_works_and_stops_working() {
    let house = house().await;
    let made = ask(&house, "CreateKey", json!({"Description": "test"})).await;
    let metadata = &made["KeyMetadata"];
    let arn = metadata["Arn"].as_str().unwrap();
    assert_eq!(metadata["KeyState"], "Enabled");
    assert_eq!(metadata["CreationDate"], 1_790_000_000.0);
    assert_eq!(metadata["KeySpec"], "SYMMETRIC_DEFAULT");
    let secret = STANDARD.encode("planted secret");
    let context = json!({"purpose": "test", "tenant": "a"});
    let encrypted = ask(
        &house,
        "Encrypt",
        json!({"KeyId": arn, "Plaintext": secret, "EncryptionContext": context}),
    )
    .await;
    assert_eq!(encrypted["KeyId"], *arn);
    let blob = encrypted["CiphertextBlob"].as_str().unwrap();
    let wish = json!({"CiphertextBlob": blob, "EncryptionContext": context});
    let opened = ask(&house, "Decrypt", wish.clone()).await;
    assert_eq!(opened["Plaintext"], secret);
    assert_eq!(opened["EncryptionAlgorithm"], "SYMMETRIC_DEFAULT");

    assert_eq!(
        ask(&house, "DisableKey", json!({"KeyId": arn})).await,
        Value::Null
    );
    let message = refuse(&house, "Decrypt", wish.clone(), "DisabledException").await;
    assert_eq!(message, format!("{arn} is disabled."));
    ask(&house, "EnableKey", json!({"KeyId": arn})).await;
    assert_eq!(ask(&house, "Decrypt", wish).await["Plaintext"], secret);

    // Neither the plaintext nor the ciphertext is in the audit trail or anywhere on the drive.
    for (file, bytes) in strongroom_testkit::contents_below(house.folder.path()).unwrap() {
        for planted in ["planted secret", secret.as_str(), blob] {
            let found = bytes
                .windows(planted.len())
                .any(|w| w == planted.as_bytes());
            assert!(!found, "{planted} in {}", file.display());
        }
    }
    let events = house.events().await;
    let names: Vec<_> = events
        .iter()
        .map(|event| event["eventName"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "CreateKey",
            "Encrypt",
            "Decrypt",
            "DisableKey",
            "Decrypt",
            "EnableKey",
            "Decrypt"
        ]
    );
    assert_eq!(events[4]["errorCode"], "DisabledException");
}

#[tokio::test]
async fn sec_n81_contexts_bind_and_have_no_order() {
    let house = house().await;
    let arn = key(&house).await;
    let encrypted = ask(
        &house,
        "Encrypt",
        json!({"KeyId": arn, "Plaintext": "AAEC", "EncryptionContext": {"a": "1", "b": "2"}}),
    )
    .await;
    let blob = encrypted["CiphertextBlob"].as_str().unwrap();
    let ordered = format!(
        "{{\"CiphertextBlob\":\"{blob}\",\"EncryptionContext\":{{\"b\":\"2\",\"a\":\"1\"}}}}"
    );
    call(&house, "Decrypt", &ordered)
        .send()
        .await
        .expect(StatusCode::OK);
    for context in [
        json!(null),
        json!({}),
        json!({"a": "1"}),
        json!({"a": "1", "b": "2", "c": "3"}),
        json!({"A": "1", "b": "2"}),
        json!({"a": "1", "b": "3"}),
        json!({"a": "2", "b": "1"}),
        json!({"a": "12", "b": ""}),
    ] {
        let wish = json!({"CiphertextBlob": blob, "EncryptionContext": context});
        let kind = match context.get("b").and_then(Value::as_str) {
            Some("") => "ValidationException",
            _ => "InvalidCiphertextException",
        };
        let message = refuse(&house, "Decrypt", wish, kind).await;
        assert!(kind == "ValidationException" || message.is_empty());
    }
}

#[tokio::test]
async fn sec_n80_no_changed_ciphertext_opens() {
    let house = house().await;
    let arn = key(&house).await;
    let encrypted = ask(
        &house,
        "Encrypt",
        json!({"KeyId": arn, "Plaintext": "AAEC"}),
    )
    .await;
    let blob = STANDARD
        .decode(encrypted["CiphertextBlob"].as_str().unwrap())
        .unwrap();
    let mut changed: Vec<Vec<u8>> = (0..blob.len())
        .map(|at| {
            let mut changed = blob.clone();
            changed[at] ^= 1;
            changed
        })
        .collect();
    changed.push(blob[..blob.len() - 1].to_vec());
    changed.push(blob[1..].to_vec());
    changed.push([&blob[..], &[0]].concat());
    changed.push(vec![0]);
    for blob in changed {
        let wish = json!({"CiphertextBlob": STANDARD.encode(&blob)});
        refuse(&house, "Decrypt", wish, "InvalidCiphertextException").await;
    }
    let other = key(&house).await;
    let wish = json!({"CiphertextBlob": STANDARD.encode(&blob), "KeyId": other});
    refuse(&house, "Decrypt", wish, "IncorrectKeyException").await;
}

#[tokio::test]
async fn sec_n83_data_keys_have_the_asked_size() {
    let house = house().await;
    let arn = key(&house).await;
    for (size, wish) in [
        (32, json!({"KeyId": arn, "KeySpec": "AES_256"})),
        (16, json!({"KeyId": arn, "KeySpec": "AES_128"})),
        (1, json!({"KeyId": arn, "NumberOfBytes": 1})),
        (1_024, json!({"KeyId": arn, "NumberOfBytes": 1_024})),
    ] {
        let made = ask(&house, "GenerateDataKey", wish.clone()).await;
        let plaintext = STANDARD
            .decode(made["Plaintext"].as_str().unwrap())
            .unwrap();
        assert_eq!(plaintext.len(), size);
        let wish = json!({"CiphertextBlob": made["CiphertextBlob"], "KeyId": arn});
        assert_eq!(
            ask(&house, "Decrypt", wish).await["Plaintext"],
            made["Plaintext"]
        );
        let without = json!({"KeyId": arn, "NumberOfBytes": size});
        let made = ask(&house, "GenerateDataKeyWithoutPlaintext", without).await;
        assert!(made.get("Plaintext").is_none());
        assert!(made["CiphertextBlob"].is_string());
    }
    let message = refuse(
        &house,
        "GenerateDataKey",
        json!({"KeyId": arn, "NumberOfBytes": 1_025}),
        "ValidationException",
    )
    .await;
    assert_eq!(
        message,
        "1 validation error detected: Value '1025' at 'numberOfBytes' failed to satisfy constraint: \
         Member must have value less than or equal to 1024"
    );
    for wish in [
        json!({"KeyId": arn}),
        json!({"KeyId": arn, "KeySpec": "AES_256", "NumberOfBytes": 32}),
        json!({"KeyId": arn, "NumberOfBytes": 0}),
        json!({"KeyId": arn, "KeySpec": "RSA_2048"}),
        json!({"KeySpec": "AES_256"}),
    ] {
        refuse(&house, "GenerateDataKey", wish, "ValidationException").await;
    }
    let long = json!({"KeyId": arn, "Plaintext": STANDARD.encode([0; 4_097])});
    refuse(&house, "Encrypt", long, "ValidationException").await;
    let dry = json!({"KeyId": arn, "KeySpec": "AES_256", "DryRun": true});
    refuse(&house, "GenerateDataKey", dry, "DryRunOperationException").await;
}

#[tokio::test]
async fn aliases_name_keys() {
    let house = house().await;
    let (one, two) = (key(&house).await, key(&house).await);
    ask(
        &house,
        "CreateAlias",
        json!({"AliasName": "alias/a", "TargetKeyId": one}),
    )
    .await;
    let again = json!({"AliasName": "alias/a", "TargetKeyId": two});
    refuse(&house, "CreateAlias", again, "AlreadyExistsException").await;
    let described = ask(&house, "DescribeKey", json!({"KeyId": "alias/a"})).await;
    assert_eq!(described["KeyMetadata"]["Arn"], *one);
    let listed = ask(&house, "ListAliases", json!({"Limit": 1})).await;
    assert_eq!(listed["Aliases"][0]["AliasName"], "alias/a");
    assert_eq!(listed["Truncated"], false);
    let keys = ask(&house, "ListKeys", json!({"Limit": 1})).await;
    assert_eq!(keys["Truncated"], true);
    let wish = json!({"Marker": keys["NextMarker"], "Limit": 1});
    let rest = ask(&house, "ListKeys", wish).await;
    assert_ne!(keys["Keys"][0]["KeyArn"], rest["Keys"][0]["KeyArn"]);
    ask(&house, "DeleteAlias", json!({"AliasName": "alias/a"})).await;
    refuse(
        &house,
        "DescribeKey",
        json!({"KeyId": "alias/a"}),
        "NotFoundException",
    )
    .await;
    for (wish, kind) in [
        (
            json!({"AliasName": "a", "TargetKeyId": one}),
            "ValidationException",
        ),
        (
            json!({"AliasName": "alias/a b", "TargetKeyId": one}),
            "ValidationException",
        ),
        (
            json!({"AliasName": "", "TargetKeyId": one}),
            "ValidationException",
        ),
        (json!({"TargetKeyId": one}), "ValidationException"),
        (
            json!({"AliasName": ["alias/a"], "TargetKeyId": one}),
            "SerializationException",
        ),
    ] {
        let reply = call(&house, "CreateAlias", &wish.to_string()).send().await;
        let kind = if reply.text().contains("InvalidAliasName") {
            "InvalidAliasNameException"
        } else {
            kind
        };
        refused(&reply, 400, kind);
    }
    for marker in ["x", "", "k", "a00"] {
        let reply = call(&house, "ListKeys", &json!({"Marker": marker}).to_string())
            .send()
            .await;
        assert_eq!(
            reply.status,
            StatusCode::BAD_REQUEST,
            "{marker}: {}",
            reply.text()
        );
    }
}

#[tokio::test]
async fn sec_n88_requests_of_the_wrong_form_are_refused_and_recorded() {
    let house = house().await;
    for (operation, body, kind) in [
        ("Nonsense", "{}", "UnknownOperationException"),
        ("encrypt", "{}", "UnknownOperationException"),
        ("", "{}", "UnknownOperationException"),
        ("ReplicateKey", "{}", "UnsupportedOperationException"),
        (
            "CreateCustomKeyStore",
            "{}",
            "UnsupportedOperationException",
        ),
        ("Encrypt", "{", "SerializationException"),
        ("Encrypt", "[]", "SerializationException"),
        (
            "Encrypt",
            "{\"KeyId\":\"a\",\"KeyId\":\"b\"}",
            "SerializationException",
        ),
        ("Encrypt", "\u{1f}\u{8b}", "SerializationException"),
        ("Encrypt", "", "ValidationException"),
    ] {
        let reply = call(&house, operation, body).send().await;
        refused(&reply, 400, kind);
    }
    let big = format!("{{\"KeyId\":\"{}\"}}", "a".repeat(1_000_000));
    refused(
        &call(&house, "Encrypt", &big).send().await,
        413,
        "RequestEntityTooLargeException",
    );
    for content_type in ["application/json", "application/x-amz-json-1.0", "text/xml"] {
        let mut call = call(&house, "ListKeys", "{}");
        call.headers[1].1 = content_type.to_owned();
        refused(&call.send().await, 400, "UnknownOperationException");
    }
    let compressed = call(&house, "ListKeys", "{}").header("content-encoding", "gzip");
    refused(&compressed.send().await, 400, "SerializationException");
    let events = house.events().await;
    assert_eq!(events.len(), 15);
    assert!(events.iter().all(|event| event["errorCode"].is_string()));
}

#[tokio::test]
async fn signatures_are_refused_in_the_words_of_the_service() {
    let house = house().await;
    let wish = || call(&house, "ListKeys", "{}");
    let anonymous = wish().auth(Auth::None).send().await;
    refused(&anonymous, 400, "MissingAuthenticationTokenException");
    let mut unknown = wish();
    unknown.access_key_id = "AKIANOBODYNOBODYNOBO";
    refused(&unknown.send().await, 400, "UnrecognizedClientException");
    let mut wrong = wish();
    wrong.secret = "another-secret-of-forty-characters-length";
    let message = refused(&wrong.send().await, 400, "InvalidSignatureException");
    assert!(
        message.starts_with("The request signature we calculated"),
        "{message}"
    );
    let mut other_region = wish();
    other_region.region = "eu-west-1";
    refused(&other_region.send().await, 400, "InvalidSignatureException");
    let mut other_service = wish();
    other_service.service = "s3";
    refused(
        &other_service.send().await,
        400,
        "InvalidSignatureException",
    );
    let changed = wish().send_wire(|_| b"{\"Limit\":1}".to_vec()).await;
    assert!(!changed.status.is_success());
    let malformed = wish()
        .auth(Auth::None)
        .header("authorization", "AWS4-HMAC-SHA256 x");
    refused(&malformed.send().await, 400, "IncompleteSignature");
}

#[tokio::test]
async fn sec_n40_plain_http_from_afar_is_refused() {
    let house = house().await;
    let reply = call(&house, "ListKeys", "{}").plain_http().send().await;
    refused(&reply, 400, "AccessDeniedException");
    let events = house.events().await;
    assert_eq!(events[0]["errorCode"], "AccessDeniedException");
}

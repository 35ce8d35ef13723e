// SPDX-License-Identifier: Apache-2.0
//! The key service as a client sees it: JSON over HTTPS on connections that are kept, each request
//! signed over its body, each answer read and compared.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::SendRequest;
use serde::Deserialize;
use strongroom_wire::sigv4::{PayloadMode, SigningInput, sign_request};

use crate::Outcome;
use crate::kms::Operation;
use crate::load::{Done, Endpoint, connect};

/// Runs an operation on `connections` connections for `time`.
pub(crate) async fn run(
    endpoint: &Endpoint,
    operation: Operation,
    connections: usize,
    time: Duration,
) -> Outcome<Done> {
    let mut sender = connect(endpoint).await?;
    let made: KeyMade = call(endpoint, &mut sender, "CreateKey", b"{}".as_slice().into()).await?;
    let key: Arc<str> = made.key_metadata.arn.into();
    let start = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let (endpoint, key) = (endpoint.clone(), Arc::clone(&key));
        tasks.push(tokio::spawn(async move {
            one(&endpoint, operation, &key, start + time).await
        }));
    }
    let mut done = Done::default();
    for task in tasks {
        done.requests += task.await??;
    }
    done.seconds = start.elapsed().as_secs_f64();
    Ok(done)
}

async fn one(endpoint: &Endpoint, operation: Operation, key: &str, end: Instant) -> Outcome<u64> {
    let mut sender = connect(endpoint).await?;
    let context = r#""EncryptionContext":{"aws:s3:arn":"arn:aws:s3:::bench/a/name.parquet"}"#;
    let generate = format!(r#"{{"KeyId":"{key}","KeySpec":"AES_256",{context}}}"#);
    let generate = Bytes::from(generate);
    let made: Answer = call(endpoint, &mut sender, "GenerateDataKey", generate.clone()).await?;
    let blob = made.ciphertext_blob.ok_or("no ciphertext")?;
    let decrypt = Bytes::from(format!(r#"{{"CiphertextBlob":"{blob}",{context}}}"#));
    let mut count = 0;
    while Instant::now() < end {
        match operation {
            Operation::GenerateDataKey => {
                let body = generate.clone();
                let made: Answer = call(endpoint, &mut sender, operation.name(), body).await?;
                let plain = STANDARD.decode(&made.plaintext)?;
                if plain.len() != 32 || made.key_id != key || made.ciphertext_blob.is_none() {
                    return Err("not a data key".into());
                }
            }
            Operation::Decrypt => {
                let body = decrypt.clone();
                let opened: Answer = call(endpoint, &mut sender, operation.name(), body).await?;
                if opened.plaintext != made.plaintext || opened.key_id != key {
                    return Err("another plaintext".into());
                }
            }
        }
        count += 1;
    }
    Ok(count)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeyMade {
    key_metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    plaintext: String,
    key_id: String,
    ciphertext_blob: Option<String>,
}

async fn call<T: for<'a> Deserialize<'a>>(
    endpoint: &Endpoint,
    sender: &mut SendRequest<Full<Bytes>>,
    operation: &str,
    body: Bytes,
) -> Outcome<T> {
    let request = build(endpoint, operation, body)?;
    sender.ready().await?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    if !status.is_success() {
        let refusal = String::from_utf8_lossy(&body);
        return Err(format!("{operation}: {status}: {refusal}").into());
    }
    Ok(serde_json::from_slice(&body)?)
}

fn build(endpoint: &Endpoint, operation: &str, body: Bytes) -> Outcome<Request<Full<Bytes>>> {
    let credential = endpoint.credential.as_ref().ok_or("no credential")?;
    let host = endpoint.address.to_string();
    let target = format!("TrentService.{operation}");
    let headers: [(&str, &[u8]); 3] = [
        ("content-type", b"application/x-amz-json-1.1"),
        ("host", host.as_bytes()),
        ("x-amz-target", target.as_bytes()),
    ];
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(digest(&SHA256, &body).as_ref());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let signed = sign_request(&SigningInput {
        method: "POST",
        path: "/",
        query: "",
        headers: &headers,
        access_key_id: &credential.access_key_id,
        secret: &credential.secret,
        session_token: None,
        region: "us-east-1",
        service: "kms",
        payload: PayloadMode::Sha256(sha256),
        now_ms: u64::try_from(now.as_millis())?,
    })
    .map_err(|error| format!("{error:?}"))?;
    let mut request = Request::builder().method(Method::POST).uri("/");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    for (name, value) in signed.headers {
        request = request.header(name, value);
    }
    Ok(request.body(Full::new(body))?)
}

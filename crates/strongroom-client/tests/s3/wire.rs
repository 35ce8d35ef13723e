// SPDX-License-Identifier: Apache-2.0
//! What goes over the wire to a store with the S3 protocol, and what its answers are taken for.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig};
use strongroom_client::transport::{Address, AwsS3, Transport as _, TransportErrorKind};
use strongroom_client::{Client, EncryptedS3, Error, Storage};

use crate::keys::keyring;

/// A request without its body: method, headers in lower case.
struct Request {
    method: String,
    headers: BTreeMap<String, String>,
}

/// Status, headers, body.
type Answer = (u16, Vec<(String, String)>, &'static str);

/// A store that answers so, on this machine.
fn store(answer: impl Fn(&Request) -> Answer + Send + 'static) -> AwsS3 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // It goes with the process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let Some(request) = read(&stream) else {
                continue;
            };
            write(&stream, &answer(&request));
        }
    });
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("a", "b", None, None, "test"))
        .endpoint_url(format!("http://127.0.0.1:{port}"))
        .force_path_style(true)
        .retry_config(RetryConfig::disabled())
        // However slow the machine is.
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    AwsS3::new(aws_sdk_s3::Client::from_conf(config.build()))
}

/// The head of a request; those of these tests have no body.
fn read(mut stream: &TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let (line, rest) = head.split_once("\r\n").unwrap();
    let headers = rest.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    });
    Some(Request {
        method: line.split(' ').next().unwrap().to_owned(),
        headers: headers.collect(),
    })
}

fn write(mut stream: &TcpStream, (status, headers, body): &Answer) {
    let mut text = format!("HTTP/1.1 {status} x\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| name == "content-length") {
        text += &["content-length: ", &body.len().to_string(), "\r\n"].concat();
    }
    for (name, value) in headers {
        text += &[name, ": ", value, "\r\n"].concat();
    }
    // A client that went away has what it wanted.
    let _ = stream.write_all(format!("{text}\r\n{body}").as_bytes());
}

const OLD: &str = "\"00000000000000000000000000000001\"";
const NEW: &str = "\"00000000000000000000000000000002\"";
const COPIED: &str = "<CopyObjectResult><ETag>\"3\"</ETag><LastModified>2026-01-01T00:00:00Z</LastModified></CopyObjectResult>";
const CHANGED: &str = "<Error><Code>PreconditionFailed</Code><Message>no</Message></Error>";
const CONFLICT: &str =
    "<Error><Code>ConditionalRequestConflict</Code><Message>no</Message></Error>";
const NOT_THERE: &str = "<Error><Code>NotImplemented</Code><Message>no</Message></Error>";

/// A store with one encrypted object, over which somebody writes while it is copied onto itself:
/// after the conditions on the source were looked at, and before the copy takes its place. Gives the
/// client, and the ETag of what is there.
async fn written_while_copied(
    refusal: (u16, &'static str),
) -> (EncryptedS3, Arc<Mutex<&'static str>>) {
    let client = Client::new(keyring(1));
    let context = BTreeMap::default();
    let begun = client.begin(&context, Storage::Metadata);
    let (stored, content) = begun.await.unwrap().encrypt(b"hello").unwrap();
    let there = Arc::new(Mutex::new(OLD));
    let now = Arc::clone(&there);
    let store = store(move |request| {
        let mut there = now.lock().unwrap();
        if request.method == "HEAD" {
            let named =
                |(name, value): (&String, &String)| (format!("x-amz-meta-{name}"), value.clone());
            let mut headers: Vec<_> = stored.object.iter().map(named).collect();
            headers.push(("etag".to_owned(), (*there).to_owned()));
            headers.push(("content-length".to_owned(), content.len().to_string()));
            return (200, headers, "");
        }
        let header = |name: &str| request.headers.get(name).map(String::as_str);
        assert_eq!(header("x-amz-copy-source"), Some("b/k"));
        if header("x-amz-copy-source-if-match") != Some(&**there) {
            return (412, Vec::new(), CHANGED);
        }
        *there = NEW;
        if header("if-match").is_some_and(|wanted| wanted != &**there) {
            return (refusal.0, Vec::new(), refusal.1);
        }
        *there = "\"3\"";
        (200, Vec::new(), COPIED)
    });
    (EncryptedS3::new(store, keyring(1)), there)
}

/// Story: an object was re-wrapped by a copy onto itself, somebody wrote a new one while the bytes
/// were copied, and was told that it is stored. Then the copy of the old one took its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rewrap_does_not_replace_what_was_written_while_it_copied() {
    for refusal in [(412, CHANGED), (409, CONFLICT)] {
        let (s3, there) = written_while_copied(refusal).await;
        let refused = s3.rewrap("b", "k").to(keyring(2)).send().await;
        assert!(matches!(refused, Err(Error::Changed)), "{refused:?}");
        assert_eq!(*there.lock().unwrap(), NEW);
    }
}

/// A store that has no such condition is not asked without it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rewrap_that_cannot_be_guarded_is_refused() {
    let (s3, there) = written_while_copied((501, NOT_THERE)).await;
    let refused = s3.rewrap("b", "k").to(keyring(2)).send().await;
    let Err(Error::Transport(error)) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(error.kind, TransportErrorKind::Unsupported);
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert!(why.contains("If-Match"), "{why}");
    assert_eq!(*there.lock().unwrap(), NEW);
}

/// The condition on what is replaced is of copies onto themselves only: elsewhere there is another
/// object, or none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_elsewhere_asks_for_its_source_only() {
    let (s3, there) = written_while_copied((412, CHANGED)).await;
    s3.copy_object(("b", "k"), ("b", "copy"))
        .send()
        .await
        .unwrap();
    assert_eq!(*there.lock().unwrap(), "\"3\"");
}

/// Expires may be any text, and a copy with new metadata has what it is given again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_rewrap_has_to_say_again_is_said() {
    let client = Client::new(keyring(1));
    let context = BTreeMap::default();
    let begun = client.begin(&context, Storage::Metadata);
    let (stored, content) = begun.await.unwrap().encrypt(b"hello").unwrap();
    let said = Arc::new(Mutex::new(BTreeMap::new()));
    let heard = Arc::clone(&said);
    let store = store(move |request| {
        if request.method == "HEAD" {
            let named =
                |(name, value): (&String, &String)| (format!("x-amz-meta-{name}"), value.clone());
            let mut headers: Vec<_> = stored.object.iter().map(named).collect();
            for (name, value) in [
                ("etag", OLD),
                ("expires", "0"),
                ("x-amz-website-redirect-location", "/there"),
            ] {
                headers.push((name.to_owned(), value.to_owned()));
            }
            headers.push(("content-length".to_owned(), content.len().to_string()));
            return (200, headers, "");
        }
        heard.lock().unwrap().clone_from(&request.headers);
        (200, Vec::new(), COPIED)
    });
    let s3 = EncryptedS3::new(store, keyring(1));
    s3.rewrap("b", "k").to(keyring(2)).send().await.unwrap();
    let said = said.lock().unwrap();
    assert_eq!(said["expires"], "0");
    assert_eq!(said["x-amz-website-redirect-location"], "/there");
}

/// Story: a store took a request and never answered, and its client waited for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_never_answers_is_given_up() {
    let silent = store(|_| {
        loop {
            std::thread::park();
        }
    });
    let silent = silent.read_timeout(std::time::Duration::from_millis(200));
    let (at, attributes, always) = (
        Address::new("b", "k"),
        Default::default(),
        Default::default(),
    );
    let put = silent.put_object(&at, "hello".into(), &attributes, &always);
    let patience = std::time::Duration::from_mins(1);
    let answer = tokio::time::timeout(patience, put).await.unwrap();
    let error = answer.unwrap_err();
    assert_eq!(error.kind, TransportErrorKind::Unavailable);
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert!(why.starts_with("no answer in time"), "{why}");
}

/// Story: the address of the key service was none, and the error of the SDK showed the request that it
/// could not send: with the data key in it that was to be wrapped.
#[tokio::test]
async fn sec_what_fails_says_nothing_of_what_was_to_be_sent() {
    use strongroom_client::AesKey;
    use strongroom_client::keyring::{AwsKms, KeyService as _};

    let key = AesKey::new(vec![0xa7; 32]).unwrap();
    for url in [
        "127.0.0.1:9000",
        "localhost:9000",
        "https//kms.example.com",
        "kms.example.com",
        "/x",
        "ht tp://x",
        "https://a b",
        " https://127.0.0.1:1",
        "https://127.0.0.1:1 ",
        "https://127.0.0.1:1\n",
        "https://127.0.0.1:99999",
        "http://[::1",
        "ftp://127.0.0.1:1",
        "http://127.0.0.1:1",
    ] {
        let config = aws_sdk_kms::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("AKIA", "secret", None, None, "test"))
            .endpoint_url(url)
            .retry_config(RetryConfig::disabled());
        let kms = AwsKms::new(aws_sdk_kms::Client::from_conf(config.build()));
        let context = BTreeMap::default();
        let error = kms.encrypt("key", &key, &context).await.unwrap_err();
        let mut text = format!("{error:?}");
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = cause {
            text += &error.to_string();
            cause = error.source();
        }
        for secret in [
            "p6enp6en",
            "a7a7",
            "167, 167",
            "Plaintext",
            "AKIA",
            "Signature",
        ] {
            assert!(!text.contains(secret), "{url:?}: {text}");
        }
        assert!(text.len() < 500, "{text}");
    }
}

// SPDX-License-Identifier: Apache-2.0
//! The tables of refusals, row by row.

use super::*;

const MD5_MISMATCH: &str =
    "The calculated MD5 hash of the key did not match the hash that was provided.";
const KEY_INVALID: &str = "The secret key was invalid for the specified algorithm.";
const PROVIDE: &str =
    "Requests specifying Server Side Encryption with Customer provided keys must provide ";

fn headers(pairs: &[(&HeaderName, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| ((*name).clone(), HeaderValue::from_str(value).unwrap()))
        .collect()
}

fn write(pairs: &[(&HeaderName, &str)], secure: bool) -> Result<EncryptionRequest, S3Error> {
    for_write_headers(&Headers {
        headers: &headers(pairs),
        secure,
    })
}

fn read(pairs: &[(&HeaderName, &str)], secure: bool) -> Result<Option<CustomerKey>, S3Error> {
    Headers {
        headers: &headers(pairs),
        secure,
    }
    .customer_key(Trio::Object)
}

#[track_caller]
fn refused(result: Result<EncryptionRequest, S3Error>, code: S3Code, message: &str, value: &str) {
    let error = result.expect_err(message);
    assert_eq!((error.code, &*error.message), (code, message));
    if code != S3Code::InvalidRequest {
        let argument = error
            .elements
            .iter()
            .find(|(name, _)| *name == "ArgumentName");
        assert_eq!(
            argument.map(|(_, v)| v.as_str()),
            Some("x-amz-server-side-encryption")
        );
        let shown = error
            .elements
            .iter()
            .find(|(name, _)| *name == "ArgumentValue");
        assert_eq!(shown.map(|(_, v)| v.as_str()), Some(value));
    }
}

fn trio(key: &[u8]) -> (String, String) {
    (
        STANDARD.encode(key),
        STANDARD.encode(strongroom_md5::digest(key)),
    )
}

#[test]
fn modes_are_recognised() {
    assert!(matches!(
        write(&[], true),
        Ok(EncryptionRequest::Default { bucket_key: None })
    ));
    assert!(matches!(
        write(&[], false),
        Ok(EncryptionRequest::Default { bucket_key: None })
    ));
    assert!(matches!(
        write(&[(&names::SSE, "AES256")], false),
        Ok(EncryptionRequest::S3)
    ));
    let kms = write(
        &[
            (&names::SSE, "aws:kms"),
            (&names::SSE_KMS_KEY_ID, "alias/a"),
        ],
        true,
    );
    assert!(
        matches!(kms, Ok(EncryptionRequest::Kms { key_id: Some(id), context, bucket_key: None }) if id == "alias/a" && context.is_empty())
    );
    let (key, md5) = trio(&[7; 32]);
    let customer = write(
        &[
            (&names::SSE_C_ALGORITHM, "AES256"),
            (&names::SSE_C_KEY, &key),
            (&names::SSE_C_KEY_MD5, &md5),
        ],
        true,
    );
    assert!(matches!(customer, Ok(EncryptionRequest::Customer(k)) if k.md5_base64 == md5));
}

#[test]
fn bucket_key_header_without_kms_has_no_effect() {
    for value in ["true", "false"] {
        assert!(write(&[(&names::SSE_BUCKET_KEY, value)], true).is_ok());
        assert!(
            write(
                &[(&names::SSE, "AES256"), (&names::SSE_BUCKET_KEY, value)],
                true
            )
            .is_ok()
        );
    }
    for value in ["", "True", "1", "yes"] {
        let error = write(&[(&names::SSE_BUCKET_KEY, value)], true).unwrap_err();
        assert_eq!(error.code, S3Code::InvalidArgument, "{value}");
    }
}

#[test]
fn unknown_methods_are_refused() {
    for value in [
        "", "aes256", "AES128", "aes:kms", "AWS:KMS", "aws:fsx", "aws:kms ", "AES256,",
    ] {
        let message = "The encryption method specified is not supported";
        refused(
            write(&[(&names::SSE, value)], true),
            S3Code::InvalidArgument,
            message,
            value,
        );
    }
}

#[test]
fn two_layers_take_a_key_and_a_context_and_no_bucket_key() {
    let context = STANDARD.encode(r#"{"a":"1"}"#);
    let dsse = [
        (&names::SSE, "aws:kms:dsse"),
        (&names::SSE_KMS_KEY_ID, "alias/a"),
        (&names::SSE_CONTEXT, context.as_str()),
        (&names::SSE_BUCKET_KEY, "true"),
    ];
    let parsed = write(&dsse, true);
    assert!(
        matches!(&parsed, Ok(EncryptionRequest::Dsse { key_id: Some(id), context }) if id == "alias/a" && context.get("a") == Some("1")),
        "{parsed:?}"
    );
    refused(
        write(&dsse, false),
        S3Code::InvalidArgument,
        "Requests specifying Server Side Encryption with AWS KMS managed keys must be made over a secure connection.",
        "aws:kms:dsse",
    );
}

#[test]
fn bucket_key_header_of_sse_kms_is_true_false_or_left_to_the_bucket() {
    for (value, wanted) in [("true", true), ("false", false)] {
        let parsed = write(
            &[(&names::SSE, "aws:kms"), (&names::SSE_BUCKET_KEY, value)],
            true,
        );
        assert!(
            matches!(parsed, Ok(EncryptionRequest::Kms { bucket_key: Some(found), .. }) if found == wanted)
        );
    }
    for value in ["", "True", "1"] {
        for method in ["aws:kms", "aws:kms:dsse"] {
            let pairs = [(&names::SSE, method), (&names::SSE_BUCKET_KEY, value)];
            let error = write(&pairs, true).unwrap_err();
            assert_eq!(error.code, S3Code::InvalidArgument, "{method} {value}");
        }
    }
}

#[test]
fn sec_n67_kms_headers_need_the_kms_method() {
    let message = "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms";
    for name in [&names::SSE_KMS_KEY_ID, &names::SSE_CONTEXT] {
        refused(
            write(&[(name, "x")], true),
            S3Code::InvalidArgument,
            message,
            "null",
        );
        let with_aes = write(&[(&names::SSE, "AES256"), (name, "x")], true);
        refused(with_aes, S3Code::InvalidArgument, message, "AES256");
    }
}

#[test]
fn kms_over_plain_http_is_refused() {
    let message = "Requests specifying Server Side Encryption with AWS KMS managed keys must be made over a secure connection.";
    refused(
        write(&[(&names::SSE, "aws:kms")], false),
        S3Code::InvalidArgument,
        message,
        "aws:kms",
    );
}

#[test]
fn sec_n67_contexts_are_flat_string_maps() {
    let context = |json: &str| {
        let header = STANDARD.encode(json);
        write(
            &[(&names::SSE, "aws:kms"), (&names::SSE_CONTEXT, &header)],
            true,
        )
    };
    let parsed = context(r#"{"b":"2","a":"1"}"#).unwrap();
    let EncryptionRequest::Kms {
        context: parsed, ..
    } = parsed
    else {
        panic!("{parsed:?}")
    };
    assert_eq!(parsed.get("a"), Some("1"));
    assert_eq!(
        context_header(&parsed),
        STANDARD.encode(r#"{"a":"1","b":"2"}"#)
    );
    assert!(context("{}").is_ok());
    for json in [
        "",
        "null",
        r#"{"a":""}"#,
        r#"{"":"a"}"#,
        r#"{"a":"b","c":""}"#,
        "[]",
        "\"a\"",
        "1",
        "{",
        r#"{"a":1}"#,
        r#"{"a":null}"#,
        r#"{"a":{"b":"c"}}"#,
        r#"{"a":["b"]}"#,
        r#"{"a":"b"} x"#,
        r#"{"a":"b","a":"c"}"#,
        "{\"a\":\"\u{fffd}",
    ] {
        assert_eq!(
            context(json).unwrap_err().code,
            S3Code::InvalidArgument,
            "{json}"
        );
    }
    let raw = |header: &str| {
        write(
            &[(&names::SSE, "aws:kms"), (&names::SSE_CONTEXT, header)],
            true,
        )
        .unwrap_err()
        .code
    };
    assert_eq!(raw("not base64!"), S3Code::InvalidArgument);
    assert_eq!(raw(&STANDARD.encode([0xff, 0xfe])), S3Code::InvalidArgument);
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(8 * 1024));
    assert_eq!(context(&large).unwrap_err().code, S3Code::InvalidArgument);
}

#[test]
fn sec_n66_customer_key_rows_in_order() {
    let (key, md5) = trio(&[7; 32]);
    let (alg, k, m) = (
        &names::SSE_C_ALGORITHM,
        &names::SSE_C_KEY,
        &names::SSE_C_KEY_MD5,
    );
    // Row 1 comes before the algorithm is looked at.
    let incompatible = "Server Side Encryption with Customer provided key is incompatible with the encryption method specified";
    for sse in ["AES256", "aws:kms", "nonsense"] {
        let both = write(&[(&names::SSE, sse), (alg, "AES192")], true);
        refused(both, S3Code::InvalidArgument, incompatible, sse);
    }
    let row2 = format!("{PROVIDE}a valid encryption algorithm.");
    refused(
        write(&[(k, &key), (m, &md5)], true),
        S3Code::InvalidArgument,
        &row2,
        "null",
    );
    refused(
        write(&[(k, &key)], true),
        S3Code::InvalidArgument,
        &row2,
        "null",
    );
    refused(
        write(&[(m, &md5)], true),
        S3Code::InvalidArgument,
        &row2,
        "null",
    );
    let row3 = format!("{PROVIDE}an appropriate secret key.");
    refused(
        write(&[(alg, "AES256")], true),
        S3Code::InvalidArgument,
        &row3,
        "null",
    );
    refused(
        write(&[(alg, "AES128"), (m, &md5)], true),
        S3Code::InvalidArgument,
        &row3,
        "null",
    );
    let row4 = "The Encryption request you specified is not valid. Supported value: AES256.";
    for algorithm in ["AES128", "aes256", "", "AES256 x"] {
        let result = write(&[(alg, algorithm), (k, &key)], true);
        refused(result, S3Code::InvalidEncryptionAlgorithm, row4, algorithm);
    }
    let row5 = format!("{PROVIDE}the client calculated MD5 of the secret key.");
    refused(
        write(&[(alg, "AES256"), (k, &key)], true),
        S3Code::InvalidArgument,
        &row5,
        "null",
    );
    let (_, other_md5) = trio(&[8; 32]);
    for wrong in [other_md5.as_str(), "", "x", &md5.to_lowercase()] {
        let result = write(&[(alg, "AES256"), (k, &key), (m, wrong)], true);
        refused(result, S3Code::InvalidArgument, MD5_MISMATCH, "null");
    }
    for bytes in [&[7; 31][..], &[7; 33], &[7; 16], key.as_bytes()] {
        let (key, md5) = trio(bytes);
        let result = write(&[(alg, "AES256"), (k, &key), (m, &md5)], true);
        refused(result, S3Code::InvalidArgument, KEY_INVALID, "null");
    }
    for bad in ["***", "", "AAA", &key.replace('=', "")] {
        let result = write(&[(alg, "AES256"), (k, bad), (m, &md5)], true);
        refused(result, S3Code::InvalidArgument, KEY_INVALID, "null");
    }
}

#[test]
fn sec_n66_customer_key_over_plain_http_is_refused_first() {
    let message = "Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection.";
    let (key, md5) = trio(&[7; 32]);
    let pairs = [
        (&names::SSE_C_ALGORITHM, "AES256"),
        (&names::SSE_C_KEY, key.as_str()),
        (&names::SSE_C_KEY_MD5, md5.as_str()),
    ];
    refused(write(&pairs, false), S3Code::InvalidRequest, message, "");
    assert_eq!(read(&pairs, false).unwrap_err().message, message);
    for pair in pairs {
        refused(write(&[pair], false), S3Code::InvalidRequest, message, "");
    }
    let source = [(&names::COPY_SSE_C_KEY, key.as_str())];
    refused(write(&source, false), S3Code::InvalidRequest, message, "");
}

#[test]
fn reads_take_no_key_or_a_whole_one() {
    let (key, md5) = trio(&[7; 32]);
    assert!(read(&[], true).unwrap().is_none());
    let whole = read(
        &[
            (&names::SSE_C_ALGORITHM, "AES256"),
            (&names::SSE_C_KEY, &key),
            (&names::SSE_C_KEY_MD5, &md5),
        ],
        true,
    );
    assert!(whole.unwrap().is_some());
    assert!(read(&[(&names::SSE_C_KEY, &key)], true).is_err());
}

#[test]
fn errors_never_show_the_key() {
    let (key, md5) = trio(b"0123456789abcdef0123456789abcde");
    let error = write(
        &[
            (&names::SSE_C_ALGORITHM, "AES256"),
            (&names::SSE_C_KEY, &key),
            (&names::SSE_C_KEY_MD5, &md5),
        ],
        true,
    )
    .unwrap_err();
    assert!(!format!("{error:?}").contains(&key));
}

#[test]
fn answers_echo_the_stored_facts() {
    let mut out = HeaderMap::new();
    echo(&mut out, &Encryption::S3, true);
    assert_eq!(out.get(names::SSE).unwrap(), "AES256");
    let mut context = EncryptionContext::default();
    context.insert("a".to_owned(), "b".to_owned()).unwrap();
    let kms = Encryption::Kms {
        key_arn: "arn:x".to_owned(),
        context: Some(context.clone()),
        bucket_key: false,
    };
    let mut write = HeaderMap::new();
    echo(&mut write, &kms, true);
    assert_eq!(write.get(names::SSE).unwrap(), "aws:kms");
    assert_eq!(write.get(names::SSE_KMS_KEY_ID).unwrap(), "arn:x");
    assert!(write.contains_key(names::SSE_CONTEXT));
    let mut read = HeaderMap::new();
    echo(&mut read, &kms, false);
    assert!(!read.contains_key(names::SSE_CONTEXT));
    assert!(!read.contains_key(names::SSE_BUCKET_KEY));
    let in_force = Encryption::Kms {
        key_arn: "arn:x".to_owned(),
        context: None,
        bucket_key: true,
    };
    let mut bucket_key = HeaderMap::new();
    echo(&mut bucket_key, &in_force, false);
    assert_eq!(bucket_key.get(names::SSE_BUCKET_KEY).unwrap(), "true");
    let two_layers = Encryption::Dsse {
        key_arn: "arn:y".to_owned(),
        context: Some(context),
    };
    let mut dsse = HeaderMap::new();
    echo(&mut dsse, &two_layers, true);
    assert_eq!(dsse.get(names::SSE).unwrap(), "aws:kms:dsse");
    assert_eq!(dsse.get(names::SSE_KMS_KEY_ID).unwrap(), "arn:y");
    assert!(dsse.contains_key(names::SSE_CONTEXT));
    assert!(!dsse.contains_key(names::SSE_BUCKET_KEY));
    let mut customer = HeaderMap::new();
    echo(
        &mut customer,
        &Encryption::Customer {
            md5_base64: Some("m".to_owned()),
        },
        true,
    );
    assert!(!customer.contains_key(names::SSE));
    assert_eq!(customer.get(names::SSE_C_KEY_MD5).unwrap(), "m");
    let mut complete = HeaderMap::new();
    echo(
        &mut complete,
        &Encryption::Customer { md5_base64: None },
        true,
    );
    assert!(complete.is_empty());
}

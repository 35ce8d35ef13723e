// SPDX-License-Identifier: Apache-2.0
//! `PUT /bucket/key?encryption`: UpdateObjectEncryption.
//!
//! What it asks for is in the document, and so are the values of the condition keys of its
//! policies: the document is read before anybody is asked for permission. Of one that asks for
//! nothing, only who may do this in a bucket that is there is told what is wrong with it.

use http::{HeaderName, StatusCode, header};
use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_object::{Action, KmsKeyArn, UpdateObjectEncryption};

use super::{S3Request, delete_objects, encryption_headers, names};
use crate::error::{S3Code, S3Error};
use crate::response::Answer;
use crate::xml::{Element, Limits};

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    let input = match input(req).await {
        Ok(input) => input,
        Err(refusal) => {
            let (bucket, object_key) = (req.bucket()?, req.object_key()?);
            for action in [Action::PutObject, Action::UpdateObjectEncryption] {
                let scope = req.scope(receipt);
                req.objects().admit(scope, bucket, object_key, action)?;
            }
            return Err(refusal);
        }
    };
    req.objects()
        .update_object_encryption(req.scope(receipt), input)
        .await?;
    let mut answer = Answer::empty(StatusCode::OK);
    answer.audit.sse_applied = Some("SSE_KMS");
    Ok(answer)
}

/// The request as the conductor takes it.
async fn input(req: &mut S3Request) -> Result<UpdateObjectEncryption, S3Error> {
    refuse_headers(req)?;
    let version_id = req.version_id()?;
    delete_objects::require_checksum(&req.headers)?;
    let body = req.read_small_body(LIMITS.bytes).await?;
    let asked = Asked::parse(&body)?;
    let shown = json!({
        "SSE-KMS": {
            "KMSKeyArn": asked.key_arn,
            "BucketKeyEnabled": asked.bucket_key,
        }
    });
    req.said.insert("ObjectEncryption", shown);
    Ok(UpdateObjectEncryption {
        bucket: req.bucket()?.to_owned(),
        object_key: req.object_key()?.to_owned(),
        version_id,
        key_arn: KmsKeyArn::parse(&asked.key_arn)?,
        bucket_key: asked.bucket_key,
    })
}

/// Conditions that S3 does not have here. Nobody must take the change for one that was made under
/// them.
const CONDITIONS: [HeaderName; 6] = [
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    names::IF_MATCH_LAST_MODIFIED_TIME,
    names::IF_MATCH_SIZE,
];

/// Headers that ask for what this operation does not do.
fn refuse_headers(req: &S3Request) -> Result<(), S3Error> {
    if let Some(name) = CONDITIONS
        .iter()
        .find(|name| req.headers.contains_key(*name))
    {
        return Err(S3Error::from_code(S3Code::NotImplemented).with("Header", name.as_str()));
    }
    encryption_headers::refuse_on_read(req)?;
    for name in [
        names::SSE_C_ALGORITHM,
        names::SSE_C_KEY,
        names::SSE_C_KEY_MD5,
        names::COPY_SOURCE,
    ] {
        if req.headers.contains_key(&name) {
            return Err(S3Error::invalid_argument(
                format!("{name} header is not supported for this operation."),
                name.as_str(),
                "",
            ));
        }
    }
    Ok(())
}

/// The document.
#[derive(Debug)]
struct Asked {
    /// As it was written.
    key_arn: String,
    bucket_key: bool,
}

impl Asked {
    fn parse(body: &[u8]) -> Result<Self, S3Error> {
        let document = Element::parse(body, "ObjectEncryption", &LIMITS)?;
        document.expect_children(&["SSE-KMS", "SSE-S3", "SSE-C", "DSSE-KMS"], &[])?;
        if document.child("SSE-C").is_some() || document.child("DSSE-KMS").is_some() {
            return Err(S3Error::invalid_request(TARGET_UNSUPPORTED));
        }
        let (Some(kms), [_]) = (document.child("SSE-KMS"), document.all_children()) else {
            return Err(S3Error::invalid_request(TYPE_REQUIRED));
        };
        kms.expect_children(&["KMSKeyArn", "BucketKeyEnabled"], &[])?;
        let arn = kms.text_of("KMSKeyArn")?.filter(|arn| !arn.is_empty());
        let arn = arn.ok_or_else(|| S3Error::invalid_request(ARN_REQUIRED))?;
        let bucket_key = match kms.text_of("BucketKeyEnabled")? {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(S3Error::invalid_request(BUCKET_KEY_INVALID)),
        };
        Ok(Self {
            key_arn: arn.to_owned(),
            bucket_key,
        })
    }
}

/// Fuzzing: any document; an ARN that was taken has an ARN's form.
pub(crate) fn fuzz(body: &[u8]) {
    if let Ok(asked) = Asked::parse(body)
        && let Ok(arn) = KmsKeyArn::parse(&asked.key_arn)
    {
        assert!(arn.as_str().starts_with("arn:aws"), "not an ARN of a key");
    }
}

const TARGET_UNSUPPORTED: &str = "The UpdateObjectEncryption operation doesn't support updating the encryption type to DSSE-KMS or SSE-C. Modify the request to specify SSE-KMS for the updated encryption type, and then try again.";
const TYPE_REQUIRED: &str = "Requests that modify an object encryption configuration require a valid new encryption type. Valid values are SSEKMS. Modify the request to specify SSE-KMS for the updated encryption type, and then try again.";
const ARN_REQUIRED: &str = "Requests that modify an object's encryption type to SSE-KMS require an Amazon Web Services KMS key Amazon Resource Name (ARN). Modify the request to specify a KMS key ARN, and then try again.";
const BUCKET_KEY_INVALID: &str = "The BucketKeyEnabled value isn't valid. Valid values are true or false. Modify the request to specify a valid value, and then try again.";
const LIMITS: Limits = Limits {
    bytes: 16 * 1024,
    elements: 16,
};

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:kms:us-east-1:000000000000:key/11112222-3333-4444-5555-666677778888";

    fn refusal(text: &str) -> (String, String) {
        let asked = Asked::parse(text.as_bytes());
        let error = asked
            .and_then(|asked| Ok(KmsKeyArn::parse(&asked.key_arn)?))
            .expect_err(text);
        (error.code.as_str().to_owned(), error.message.into_owned())
    }

    fn kms(inner: &str) -> String {
        format!("<ObjectEncryption><SSE-KMS>{inner}</SSE-KMS></ObjectEncryption>")
    }

    #[test]
    fn documents_of_stock_clients_are_read() {
        let asked = Asked::parse(
            format!(
                "<ObjectEncryption xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><SSE-KMS>\
                 <KMSKeyArn>{ARN}</KMSKeyArn><BucketKeyEnabled>true</BucketKeyEnabled></SSE-KMS>\
                 </ObjectEncryption>"
            )
            .as_bytes(),
        )
        .unwrap();
        assert_eq!((asked.key_arn.as_str(), asked.bucket_key), (ARN, true));
        for rest in ["", "<BucketKeyEnabled>false</BucketKeyEnabled>"] {
            let text = kms(&format!("<KMSKeyArn>{ARN}</KMSKeyArn>{rest}"));
            assert!(!Asked::parse(text.as_bytes()).unwrap().bucket_key);
        }
    }

    #[test]
    fn sec_n71_other_targets_and_arns_are_invalid_requests() {
        let arn = format!("<KMSKeyArn>{ARN}</KMSKeyArn>");
        for (text, message) in [
            ("<ObjectEncryption/>".to_owned(), TYPE_REQUIRED),
            (
                "<ObjectEncryption><SSE-S3/></ObjectEncryption>".to_owned(),
                TYPE_REQUIRED,
            ),
            (
                format!("<ObjectEncryption><SSE-S3/><SSE-KMS>{arn}</SSE-KMS></ObjectEncryption>"),
                TYPE_REQUIRED,
            ),
            (
                "<ObjectEncryption><SSE-C/></ObjectEncryption>".to_owned(),
                TARGET_UNSUPPORTED,
            ),
            (
                format!("<ObjectEncryption><DSSE-KMS>{arn}</DSSE-KMS></ObjectEncryption>"),
                TARGET_UNSUPPORTED,
            ),
            (kms(""), ARN_REQUIRED),
            (kms("<KMSKeyArn/>"), ARN_REQUIRED),
            (
                kms("<BucketKeyEnabled>false</BucketKeyEnabled>"),
                ARN_REQUIRED,
            ),
            (
                kms(&format!("{arn}<BucketKeyEnabled>yes</BucketKeyEnabled>")),
                BUCKET_KEY_INVALID,
            ),
            (
                kms(&format!("{arn}<BucketKeyEnabled/>")),
                BUCKET_KEY_INVALID,
            ),
        ] {
            assert_eq!(
                refusal(&text),
                ("InvalidRequest".to_owned(), message.to_owned()),
                "{text}"
            );
        }
        for bad in ["alias/a", "11112222-3333-4444-5555-666677778888", "arn:x"] {
            let (code, message) = refusal(&kms(&format!("<KMSKeyArn>{bad}</KMSKeyArn>")));
            assert_eq!(code, "InvalidRequest");
            assert!(message.contains("require a valid"), "{message}");
        }
    }

    #[test]
    fn sec_n54_other_documents_are_malformed() {
        let arn = format!("<KMSKeyArn>{ARN}</KMSKeyArn>");
        for text in [
            String::new(),
            "x".to_owned(),
            "<ObjectEncryption>".to_owned(),
            "<objectEncryption/>".to_owned(),
            "<ObjectEncryption>text</ObjectEncryption>".to_owned(),
            "<ObjectEncryption><Other/></ObjectEncryption>".to_owned(),
            kms(&format!("{arn}{arn}")),
            kms(&format!("{arn}<Other/>")),
            kms(&format!("{arn}text")),
            kms("<KMSKeyArn><a/></KMSKeyArn>"),
            format!("<!DOCTYPE a>{}", kms(&arn)),
            format!(
                "<ObjectEncryption><SSE-KMS>{arn}</SSE-KMS><SSE-KMS>{arn}</SSE-KMS></ObjectEncryption>"
            ),
        ] {
            assert_eq!(refusal(&text).0, "MalformedXML", "{text}");
        }
    }
}

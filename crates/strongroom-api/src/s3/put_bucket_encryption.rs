// SPDX-License-Identifier: Apache-2.0
//! `PUT /bucket?encryption`: PutBucketEncryption.

use http::StatusCode;
use serde_json::{Map, Value, json};
use strongroom_audit::Receipt;
use strongroom_object::{Action, DefaultAlgorithm, PutBucketEncryption};

use super::S3Request;
use super::delete_objects::require_checksum;
use super::get_bucket_encryption::algorithm_name;
use crate::error::S3Error;
use crate::response::Answer;
use crate::xml::{Element, Limits, Malformed};

/// Longest key id, bytes.
const KEY_ID_BYTES_MAX: usize = 2048;
const LIMITS: Limits = Limits {
    bytes: 64 * 1024,
    elements: 256,
};

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    let bucket = req.bucket()?.to_owned();
    // Whether there is such a bucket is answered before the document is looked at.
    req.objects().admit_to_bucket(
        req.scope(receipt),
        &bucket,
        Action::PutEncryptionConfiguration,
    )?;
    require_checksum(&req.headers)?;
    let body = req.read_small_body(LIMITS.bytes).await?;
    let rule = Rule::parse(&body)?;
    req.said.insert(
        "ServerSideEncryptionConfiguration",
        json!({ "Rule": rule.shown() }),
    );
    let input = PutBucketEncryption {
        bucket,
        algorithm: rule.algorithm,
        kms_key_id: rule.kms_key_id,
        bucket_key: rule.bucket_key.unwrap_or(false),
        block_customer_keys: rule.block_customer_keys,
    };
    req.objects()
        .put_bucket_encryption(req.scope(receipt), input)
        .await?;
    Ok(Answer::empty(StatusCode::OK))
}

/// Fuzzing: any document.
pub(crate) fn fuzz(body: &[u8]) {
    let _ = Rule::parse(body);
}

/// The one rule of a `ServerSideEncryptionConfiguration`.
#[derive(Debug, PartialEq, Eq)]
struct Rule {
    /// `None`: the rule is there for what it blocks alone.
    algorithm: Option<DefaultAlgorithm>,
    kms_key_id: Option<String>,
    bucket_key: Option<bool>,
    block_customer_keys: Option<bool>,
}

impl Rule {
    fn parse(body: &[u8]) -> Result<Self, S3Error> {
        let document = Element::parse(body, "ServerSideEncryptionConfiguration", &LIMITS)?;
        document.expect_children(&["Rule"], &[])?;
        let rule = document.child("Rule").ok_or(Malformed("no rule"))?;
        let names = [
            "ApplyServerSideEncryptionByDefault",
            "BucketKeyEnabled",
            "BlockedEncryptionTypes",
        ];
        rule.expect_children(&names, &[])?;
        let block_customer_keys = match rule.child("BlockedEncryptionTypes") {
            None => None,
            Some(types) => {
                types.expect_children(&["EncryptionType"], &[])?;
                match types.required("EncryptionType")? {
                    "SSE-C" => Some(true),
                    "NONE" => Some(false),
                    _ => return Err(Malformed("an encryption type that cannot be blocked").into()),
                }
            }
        };
        let (algorithm, kms_key_id) = match rule.child("ApplyServerSideEncryptionByDefault") {
            Some(default) => {
                let (algorithm, kms_key_id) = by_default(default)?;
                (Some(algorithm), kms_key_id)
            }
            None if block_customer_keys.is_some() => (None, None),
            None => return Err(Malformed("a rule that says nothing").into()),
        };
        Ok(Self {
            algorithm,
            kms_key_id,
            bucket_key: rule.boolean("BucketKeyEnabled")?,
            block_customer_keys,
        })
    }

    /// As the audit event shows it.
    fn shown(&self) -> Value {
        let mut rule = Map::new();
        if let Some(algorithm) = self.algorithm {
            let mut default = Map::new();
            default.insert("SSEAlgorithm".to_owned(), algorithm_name(algorithm).into());
            if let Some(key_id) = &self.kms_key_id {
                default.insert("KMSMasterKeyID".to_owned(), key_id.as_str().into());
            }
            rule.insert(
                "ApplyServerSideEncryptionByDefault".to_owned(),
                Value::Object(default),
            );
        }
        if let Some(bucket_key) = self.bucket_key {
            rule.insert("BucketKeyEnabled".to_owned(), bucket_key.into());
        }
        if let Some(block) = self.block_customer_keys {
            let name = if block { "SSE-C" } else { "NONE" };
            rule.insert(
                "BlockedEncryptionTypes".to_owned(),
                json!({ "EncryptionType": name }),
            );
        }
        Value::Object(rule)
    }
}

fn by_default(default: &Element) -> Result<(DefaultAlgorithm, Option<String>), S3Error> {
    default.expect_children(&["SSEAlgorithm", "KMSMasterKeyID"], &[])?;
    let algorithm = match default.required("SSEAlgorithm")? {
        "AES256" => DefaultAlgorithm::S3,
        "aws:kms" => DefaultAlgorithm::Kms,
        "aws:kms:dsse" => DefaultAlgorithm::Dsse,
        _ => return Err(Malformed("an algorithm that no default can be").into()),
    };
    let key_id = default
        .text_of("KMSMasterKeyID")?
        .filter(|id| !id.is_empty());
    if key_id.is_some() && algorithm == DefaultAlgorithm::S3 {
        return Err(S3Error::invalid_argument(
            "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse",
            "ApplyServerSideEncryptionByDefault",
            "null",
        ));
    }
    if key_id.is_some_and(|id| id.len() > KEY_ID_BYTES_MAX || id.chars().any(char::is_control)) {
        return Err(Malformed("a key id that no key has").into());
    }
    Ok((algorithm, key_id.map(str::to_owned)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NS: &str = "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";

    fn parse(rules: &str) -> Result<Rule, S3Error> {
        let name = "ServerSideEncryptionConfiguration";
        Rule::parse(format!("<{name} {NS}>{rules}</{name}>").as_bytes())
    }

    fn default(inner: &str) -> String {
        format!("<ApplyServerSideEncryptionByDefault>{inner}</ApplyServerSideEncryptionByDefault>")
    }

    #[test]
    fn rules_are_read() {
        let blocked = |name: &str| {
            format!(
                "<BlockedEncryptionTypes><EncryptionType>{name}</EncryptionType>\
                 </BlockedEncryptionTypes>"
            )
        };
        let s3 = default("<SSEAlgorithm>AES256</SSEAlgorithm>");
        let rule = parse(&format!("<Rule>{s3}</Rule>")).unwrap();
        assert_eq!(rule.algorithm, Some(DefaultAlgorithm::S3));
        assert_eq!((rule.bucket_key, rule.block_customer_keys), (None, None));
        let kms =
            default("<SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>alias/k</KMSMasterKeyID>");
        let text = format!(
            "<Rule>{kms}<BucketKeyEnabled>true</BucketKeyEnabled>{}</Rule>",
            blocked("SSE-C")
        );
        assert_eq!(
            parse(&text).unwrap(),
            Rule {
                algorithm: Some(DefaultAlgorithm::Kms),
                kms_key_id: Some("alias/k".to_owned()),
                bucket_key: Some(true),
                block_customer_keys: Some(true),
            }
        );
        let rule = parse(&format!("<Rule>{}</Rule>", blocked("NONE"))).unwrap();
        assert_eq!(rule.algorithm, None);
        assert_eq!(rule.block_customer_keys, Some(false));
        assert_eq!(
            rule.shown(),
            json!({ "BlockedEncryptionTypes": { "EncryptionType": "NONE" } })
        );
        let dsse = default("<SSEAlgorithm>aws:kms:dsse</SSEAlgorithm><KMSMasterKeyID/>");
        let rule = parse(&format!("<Rule>{dsse}</Rule>")).unwrap();
        assert_eq!(
            (rule.algorithm, rule.kms_key_id),
            (Some(DefaultAlgorithm::Dsse), None)
        );
    }

    #[test]
    fn other_documents_are_refused() {
        let s3 = default("<SSEAlgorithm>AES256</SSEAlgorithm>");
        let kms = "<SSEAlgorithm>aws:kms</SSEAlgorithm>";
        let types =
            |inner: &str| format!("<BlockedEncryptionTypes>{inner}</BlockedEncryptionTypes>");
        let none = "<EncryptionType>NONE</EncryptionType>";
        let sse_c = "<EncryptionType>SSE-C</EncryptionType>";
        for bad in [
            String::new(),
            "<Rule/>".to_owned(),
            "<Rule><BucketKeyEnabled>true</BucketKeyEnabled></Rule>".to_owned(),
            format!("<Rule>{s3}</Rule><Rule>{s3}</Rule>"),
            format!("<Rule>{s3}{s3}</Rule>"),
            format!("<Rule>{s3}<Other/></Rule>"),
            format!("<Rule>{s3}<BucketKeyEnabled>yes</BucketKeyEnabled></Rule>"),
            format!("<Rule>{}</Rule>", default("")),
            format!("<Rule>{}</Rule>", default("<SSEAlgorithm/>")),
            format!(
                "<Rule>{}</Rule>",
                default("<SSEAlgorithm>aes256</SSEAlgorithm>")
            ),
            format!(
                "<Rule>{}</Rule>",
                default("<SSEAlgorithm>SSE-C</SSEAlgorithm>")
            ),
            format!(
                "<Rule>{}</Rule>",
                default("<SSEAlgorithm>aws:fsx</SSEAlgorithm>")
            ),
            format!(
                "<Rule>{}</Rule>",
                default(&format!("{kms}<KMSKeyID>a</KMSKeyID>"))
            ),
            format!(
                "<Rule>{}</Rule>",
                default(&format!(
                    "{kms}<KMSMasterKeyID>a</KMSMasterKeyID><KMSMasterKeyID>a</KMSMasterKeyID>"
                ))
            ),
            format!(
                "<Rule>{}</Rule>",
                default(&format!(
                    "{kms}<KMSMasterKeyID>{}</KMSMasterKeyID>",
                    "a".repeat(KEY_ID_BYTES_MAX + 1)
                ))
            ),
            format!("<Rule>{s3}{}</Rule>", types("")),
            format!("<Rule>{s3}{}</Rule>", types(&format!("{none}{sse_c}"))),
            format!(
                "<Rule>{s3}{}</Rule>",
                types("<EncryptionType>SSE-S3</EncryptionType>")
            ),
            format!("<Rule>{s3}{}</Rule>", types("<EncryptionType/>")),
        ] {
            let error = parse(&bad).unwrap_err();
            assert_eq!(error.code.as_str(), "MalformedXML", "{bad}");
        }
        let keyed =
            default("<SSEAlgorithm>AES256</SSEAlgorithm><KMSMasterKeyID>a</KMSMasterKeyID>");
        let error = parse(&format!("<Rule>{keyed}</Rule>")).unwrap_err();
        assert_eq!(error.code.as_str(), "InvalidArgument");
    }
}

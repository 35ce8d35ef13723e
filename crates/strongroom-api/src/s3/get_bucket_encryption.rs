// SPDX-License-Identifier: Apache-2.0
//! `GET /bucket?encryption`: GetBucketEncryption.

use bytes::Bytes;
use strongroom_audit::Receipt;
use strongroom_object::{BucketEncryption, DefaultAlgorithm};

use super::S3Request;
use crate::error::S3Error;
use crate::response::Answer;
use crate::xml::Xml;

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    let rule = req
        .objects()
        .get_bucket_encryption(req.scope(receipt), req.bucket()?)
        .await?;
    Ok(Answer::xml(document(&rule)))
}

fn document(rule: &BucketEncryption) -> Bytes {
    let mut xml = Xml::document("ServerSideEncryptionConfiguration");
    xml.open("Rule");
    xml.open("ApplyServerSideEncryptionByDefault");
    xml.text("SSEAlgorithm", algorithm_name(rule.algorithm));
    xml.optional("KMSMasterKeyID", rule.kms_key_id.as_deref());
    xml.close();
    xml.boolean("BucketKeyEnabled", rule.bucket_key);
    xml.open("BlockedEncryptionTypes");
    let blocked = if rule.blocks_customer_keys {
        "SSE-C"
    } else {
        "NONE"
    };
    xml.text("EncryptionType", blocked);
    xml.finish()
}

/// The word of the header `x-amz-server-side-encryption`.
pub(super) fn algorithm_name(algorithm: DefaultAlgorithm) -> &'static str {
    match algorithm {
        DefaultAlgorithm::S3 => "AES256",
        DefaultAlgorithm::Kms => "aws:kms",
        DefaultAlgorithm::Dsse => "aws:kms:dsse",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_shows_all_it_says() {
        let mut rule = BucketEncryption {
            algorithm: DefaultAlgorithm::S3,
            kms_key_id: None,
            bucket_key: false,
            blocks_customer_keys: false,
        };
        let text = |rule: &BucketEncryption| String::from_utf8(document(rule).to_vec()).unwrap();
        assert!(text(&rule).ends_with(
            "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>\
             </ApplyServerSideEncryptionByDefault><BucketKeyEnabled>false</BucketKeyEnabled>\
             <BlockedEncryptionTypes><EncryptionType>NONE</EncryptionType></BlockedEncryptionTypes>\
             </Rule></ServerSideEncryptionConfiguration>"
        ));
        rule.algorithm = DefaultAlgorithm::Dsse;
        rule.kms_key_id = Some("a<b".to_owned());
        rule.bucket_key = true;
        rule.blocks_customer_keys = true;
        assert!(text(&rule).contains(
            "<SSEAlgorithm>aws:kms:dsse</SSEAlgorithm><KMSMasterKeyID>a&lt;b</KMSMasterKeyID>\
             </ApplyServerSideEncryptionByDefault><BucketKeyEnabled>true</BucketKeyEnabled>\
             <BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType>"
        ));
    }
}

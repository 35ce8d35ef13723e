// SPDX-License-Identifier: Apache-2.0
//! CreateKey.

use strongroom_kms::{CreateKeyInput, Tag};

use super::fault::KmsFault;
use super::json::Json;
use super::members::{Members, wrong_type};
use super::parameters::{BYPASS, POLICY};
use super::reply::Reply;
use super::{Call, key_metadata};

pub(super) async fn handle(call: Call<'_>, members: Members) -> Result<Reply, KmsFault> {
    let input = decode(members)?;
    let metadata = call
        .kms
        .create_key(call.caller, call.receipt, input)
        .await?;
    key_metadata::reply(&metadata)
}

pub(super) fn decode(mut members: Members) -> Result<CreateKeyInput, KmsFault> {
    let key_spec = members.text("KeySpec", WORD)?;
    // The older name of the same parameter.
    let older = members.text("CustomerMasterKeySpec", WORD)?;
    if key_spec.is_some() && older.is_some() {
        return Err(KmsFault::validation(
            "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. \
             CustomerMasterKeySpec is deprecated.",
        ));
    }
    for name in ["CustomKeyStoreId", "XksKeyId"] {
        if members.present(name) {
            return Err(KmsFault::not_yet(format!("The parameter {name}")));
        }
    }
    let input = CreateKeyInput {
        description: members.text("Description", 0..=8_192)?,
        key_usage: members.text("KeyUsage", WORD)?,
        key_spec: key_spec.or(older),
        origin: members.text("Origin", WORD)?,
        multi_region: members.boolean("MultiRegion")?.unwrap_or(false),
        policy: members.text("Policy", POLICY)?,
        bypass_policy_lockout_safety_check: members.boolean(BYPASS)?.unwrap_or(false),
        tags: tags(&mut members)?,
    };
    members.finish()?;
    Ok(input)
}

pub(super) fn tags(members: &mut Members) -> Result<Vec<Tag>, KmsFault> {
    let mut tags = Vec::new();
    for entry in members.list("Tags")? {
        let Json::Map(entry) = entry else {
            return Err(wrong_type(&entry, "Tag"));
        };
        let mut entry = Members::new(entry);
        let tag = Tag {
            key: entry.required_text("TagKey", 1..=128)?,
            value: entry.required_text("TagValue", 0..=256)?,
        };
        entry.finish()?;
        tags.push(tag);
    }
    Ok(tags)
}

const WORD: std::ops::RangeInclusive<usize> = 0..=256;

#[cfg(test)]
mod tests {
    use super::super::tests::members;
    use super::*;

    #[test]
    fn requests_are_read() {
        let input = decode(members(
            r#"{"Description":"d","KeyUsage":"ENCRYPT_DECRYPT","CustomerMasterKeySpec":
                "SYMMETRIC_DEFAULT","Origin":"AWS_KMS","MultiRegion":false,
                "BypassPolicyLockoutSafetyCheck":false,"Tags":[{"TagKey":"k","TagValue":""}]}"#,
        ))
        .unwrap();
        assert_eq!(input.key_spec.as_deref(), Some("SYMMETRIC_DEFAULT"));
        assert_eq!(
            input.tags,
            [Tag {
                key: "k".to_owned(),
                value: String::new()
            }]
        );
        assert!(decode(members("{}")).unwrap().tags.is_empty());
    }

    #[test]
    fn other_requests_are_refused() {
        for (bad, code) in [
            (
                r#"{"KeySpec":"SYMMETRIC_DEFAULT","CustomerMasterKeySpec":"SYMMETRIC_DEFAULT"}"#,
                "ValidationException",
            ),
            (
                r#"{"CustomKeyStoreId":"cks-1"}"#,
                "UnsupportedOperationException",
            ),
            (r#"{"XksKeyId":"x"}"#, "UnsupportedOperationException"),
            (r#"{"MultiRegion":"true"}"#, "SerializationException"),
            (r#"{"Policy":{}}"#, "SerializationException"),
            (r#"{"Policy":""}"#, "ValidationException"),
            (r#"{"Tags":{}}"#, "SerializationException"),
            (r#"{"Tags":["k"]}"#, "SerializationException"),
            (r#"{"Tags":[{"TagKey":"k"}]}"#, "ValidationException"),
            (
                r#"{"Tags":[{"TagKey":"","TagValue":""}]}"#,
                "ValidationException",
            ),
            (
                r#"{"Tags":[{"TagKey":1,"TagValue":""}]}"#,
                "SerializationException",
            ),
            (r#"{"Description":[]}"#, "SerializationException"),
        ] {
            assert_eq!(
                decode(members(bad)).unwrap_err().kind.as_str(),
                code,
                "{bad}"
            );
        }
    }
}

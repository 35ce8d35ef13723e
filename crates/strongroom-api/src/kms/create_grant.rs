// SPDX-License-Identifier: Apache-2.0
//! CreateGrant.

use std::collections::BTreeMap;

use serde::Serialize;
use strongroom_kms::CreateGrantInput;

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::{KEY_ID, PRINCIPAL, grant_tokens};
use super::reply::Reply;

pub(super) async fn handle(call: Call<'_>, members: Members) -> Result<Reply, KmsFault> {
    let input = decode(members)?;
    let output = call
        .kms
        .create_grant(call.caller, call.receipt, input)
        .await?;
    Reply::new(&Answer {
        grant_token: &output.grant_token,
        grant_id: &output.grant_id,
    })
}

pub(super) fn decode(mut members: Members) -> Result<CreateGrantInput, KmsFault> {
    // Services are no principals here.
    for name in ["GranteeServicePrincipal", "RetiringServicePrincipal"] {
        if members.present(name) {
            return Err(KmsFault::not_yet(format!("The parameter {name}")));
        }
    }
    let (context_equals, context_subset) = constraints(&mut members)?;
    let input = CreateGrantInput {
        key_id: members.required_text("KeyId", KEY_ID)?,
        grantee_principal: members.required_text("GranteePrincipal", PRINCIPAL)?,
        retiring_principal: members.text("RetiringPrincipal", PRINCIPAL)?,
        operations: members.text_list("Operations")?,
        context_equals,
        context_subset,
        name: members.text("Name", 1..=256)?,
        grant_tokens: grant_tokens(&mut members)?,
        dry_run: members.boolean("DryRun")?.unwrap_or(false),
    };
    members.finish()?;
    Ok(input)
}

type Pairs = Option<BTreeMap<String, String>>;

fn constraints(members: &mut Members) -> Result<(Pairs, Pairs), KmsFault> {
    let Some(mut constraints) = members.structure("Constraints")? else {
        return Ok((None, None));
    };
    if constraints.present("SourceArn") {
        return Err(KmsFault::not_yet("The grant constraint SourceArn"));
    }
    let equals = constraints.optional_text_map("EncryptionContextEquals")?;
    let subset = constraints.optional_text_map("EncryptionContextSubset")?;
    constraints.finish()?;
    Ok((equals, subset))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    grant_token: &'a str,
    grant_id: &'a str,
}

#[cfg(test)]
mod tests {
    use super::super::tests::members;
    use super::*;

    #[test]
    fn requests_are_read() {
        let input = decode(members(
            r#"{"KeyId":"k","GranteePrincipal":"arn:aws:iam::111122223333:user/ann",
                "RetiringPrincipal":"arn:aws:iam::111122223333:root","Operations":["Decrypt","Encrypt"],
                "Constraints":{"EncryptionContextSubset":{"a":"b"}},"Name":"n","GrantTokens":["t"],
                "DryRun":true}"#,
        ))
        .unwrap();
        assert_eq!(input.operations, ["Decrypt", "Encrypt"]);
        assert_eq!(input.context_equals, None);
        let pairs = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        assert_eq!(input.context_subset, Some(pairs));
        assert_eq!(input.grant_tokens, ["t"]);
        assert!(input.dry_run);
    }

    #[test]
    fn other_requests_are_refused() {
        let with = |more: &str| {
            format!(r#"{{"KeyId":"k","GranteePrincipal":"p","Operations":["Decrypt"]{more}}}"#)
        };
        decode(members(&with(""))).unwrap();
        for (more, code) in [
            (r#","Constraints":[]"#, "SerializationException"),
            (
                r#","Constraints":{"EncryptionContextEquals":[]}"#,
                "SerializationException",
            ),
            (
                r#","Constraints":{"EncryptionContextEquals":{"a":1}}"#,
                "SerializationException",
            ),
            (
                r#","Constraints":{"SourceArn":"a"}"#,
                "UnsupportedOperationException",
            ),
            (
                r#","GranteeServicePrincipal":"s3.amazonaws.com""#,
                "UnsupportedOperationException",
            ),
            (r#","Name":"""#, "ValidationException"),
            (r#","GrantTokens":"t""#, "SerializationException"),
            (r#","DryRun":"true""#, "SerializationException"),
        ] {
            let fault = decode(members(&with(more))).unwrap_err();
            assert_eq!(fault.kind.as_str(), code, "{more}");
        }
        for (bad, code) in [
            (
                r#"{"KeyId":"k","Operations":["Decrypt"]}"#,
                "ValidationException",
            ),
            (
                r#"{"KeyId":"k","GranteePrincipal":"p","Operations":"Decrypt"}"#,
                "SerializationException",
            ),
            (
                r#"{"KeyId":"k","GranteePrincipal":"","Operations":["Decrypt"]}"#,
                "ValidationException",
            ),
        ] {
            assert_eq!(
                decode(members(bad)).unwrap_err().kind.as_str(),
                code,
                "{bad}"
            );
        }
    }
}

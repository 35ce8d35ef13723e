// SPDX-License-Identifier: Apache-2.0
//! ListKeys.

use serde::Serialize;
use strongroom_kms::{KeyListEntry, ListKeysInput};

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::{LIMIT, MARKER};
use super::reply::Reply;

pub(super) async fn handle(call: Call<'_>, mut members: Members) -> Result<Reply, KmsFault> {
    let input = ListKeysInput {
        limit: members.integer("Limit", LIMIT)?,
        marker: members.text("Marker", MARKER)?,
    };
    let owners = members.text_list("ResourceOwners")?;
    members.finish()?;
    check_owners(&owners)?;
    let output = call.kms.list_keys(call.caller, call.receipt, input).await?;
    Reply::new(&Answer {
        keys: output.keys.iter().map(Key::from).collect(),
        truncated: output.next_marker.is_some(),
        next_marker: output.next_marker.as_deref(),
    })
}

/// Keys are not shared between accounts here, so the account's own keys are all there are.
fn check_owners(owners: &[String]) -> Result<(), KmsFault> {
    for owner in owners {
        match owner.as_str() {
            "SELF" => {}
            "OTHER_ACCOUNTS_VIA_RAM" => {
                return Err(KmsFault::not_yet(
                    "The resource owner OTHER_ACCOUNTS_VIA_RAM",
                ));
            }
            _ => {
                return Err(KmsFault::validation(
                    "1 validation error detected: Value at 'resourceOwners' failed to satisfy \
                     constraint: Member must satisfy constraint: [Member must satisfy enum value \
                     set: [SELF, OTHER_ACCOUNTS_VIA_RAM]]",
                ));
            }
        }
    }
    Ok(())
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    keys: Vec<Key<'a>>,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Key<'a> {
    key_id: &'a str,
    key_arn: &'a str,
}

impl<'a> From<&'a KeyListEntry> for Key<'a> {
    fn from(entry: &'a KeyListEntry) -> Self {
        Self {
            key_id: &entry.key_id,
            key_arn: &entry.key_arn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_n88_keys_of_others_are_not_pretended() {
        let owners = |words: &[&str]| {
            check_owners(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>())
        };
        assert!(owners(&[]).is_ok() && owners(&["SELF"]).is_ok());
        for (bad, kind) in [
            (
                ["SELF", "OTHER_ACCOUNTS_VIA_RAM"],
                "UnsupportedOperationException",
            ),
            (
                ["OTHER_ACCOUNTS_VIA_RAM", "self"],
                "UnsupportedOperationException",
            ),
            (["self", "SELF"], "ValidationException"),
            (["SELF", ""], "ValidationException"),
        ] {
            assert_eq!(owners(&bad).unwrap_err().kind.as_str(), kind);
        }
    }
}

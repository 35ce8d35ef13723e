// SPDX-License-Identifier: Apache-2.0
//! ListRetirableGrants.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::grant::{GrantId, GrantPrincipal, UID_BYTES};
use crate::grant_index::{GRANT_INDEX, retiring_prefix};
use crate::key_id::{KeyUid, shortened};
use crate::list_grants::{LIMIT_DEFAULT, ListGrantsOutput, PAGE_GRANTS_MAX};
use crate::page;
use crate::service::Kms;

/// Parameters of ListRetirableGrants.
#[derive(Clone, Debug, Default)]
pub struct ListRetirableGrantsInput {
    /// ARN of a principal of the account.
    pub retiring_principal: String,
    /// 1 to 1,000; 50 when `None`. A page has at most 100.
    pub limit: Option<i64>,
    /// `next_marker` of the page before.
    pub marker: Option<String>,
}

impl Kms {
    /// The grants of all keys that a principal may retire, page by page.
    pub async fn list_retirable_grants(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: ListRetirableGrantsInput,
    ) -> Result<ListGrantsOutput, Error> {
        let parameters = json!({
            "retiringPrincipal": asked(&input.retiring_principal),
            "limit": input.limit,
        });
        let event = Event::new(receipt, "ListRetirableGrants", true, parameters);
        let result = self.try_list_retirable_grants(caller, &input, &event);
        event.close(result).await
    }

    fn try_list_retirable_grants(
        &self,
        caller: &Caller,
        input: &ListRetirableGrantsInput,
        event: &Event<'_>,
    ) -> Result<ListGrantsOutput, Error> {
        let ask = Ask::new(caller, event.via(), KmsAction::ListRetirableGrants);
        self.authorize_account(&ask)?;
        let limit = page::limit(input.limit, LIMIT_DEFAULT)?.min(PAGE_GRANTS_MAX);
        let arn = &input.retiring_principal;
        let unique_id = self.unique_id(arn).ok_or_else(|| {
            Error::InvalidArn(format!(
                "ARN does not refer to a valid principal: {}",
                shortened(arn)
            ))
        })?;
        let retiring = GrantPrincipal {
            arn: arn.clone(),
            unique_id,
        };
        let prefix = retiring_prefix(&retiring);
        let after = match &input.marker {
            Some(marker) => {
                let last = page::after(LISTING, marker)?;
                if last.len() != UID_BYTES + 32 {
                    return Err(Error::InvalidMarker);
                }
                Some([prefix.as_slice(), &last].concat())
            }
            None => None,
        };
        let more = limit.saturating_add(1);
        let mut rows = self.rows_behind(GRANT_INDEX, &prefix, after.as_deref(), more)?;
        let truncated = rows.len() > limit;
        rows.truncate(limit);
        let mut output = ListGrantsOutput {
            grants: Vec::new(),
            next_marker: None,
        };
        for (key, _) in &rows {
            let identity = key.get(prefix.len()..).unwrap_or_default();
            let (uid, id) = parse(identity)?;
            output.next_marker = truncated.then(|| page::marker(LISTING, identity));
            // An entry may outlive its grant for a moment, while a key is taken away.
            let grant = self.grant(uid, id)?;
            if let Some(grant) = grant.filter(|g| g.row.retiring.as_ref() == Some(&retiring)) {
                output.grants.push(self.listed(uid, &grant));
            }
        }
        Ok(output)
    }
}

fn parse(identity: &[u8]) -> Result<(KeyUid, GrantId), Error> {
    let parsed = || {
        let (uid, id) = identity.split_first_chunk::<UID_BYTES>()?;
        Some((KeyUid(*uid), GrantId(id.try_into().ok()?)))
    };
    parsed().ok_or_else(|| Error::Corrupted {
        what: "an entry of a retiring principal".to_owned(),
    })
}

const LISTING: char = 'r';

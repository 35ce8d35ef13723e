// SPDX-License-Identifier: Apache-2.0
//! ListGrants.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::grant::{
    FoundGrant, GrantConstraints, GrantId, GrantOperation, GrantPrincipal, invalid_grant_id,
};
use crate::key_id::KeyUid;
use crate::page::{self, LIMIT_MAX};
use crate::service::Kms;

/// Parameters of ListGrants.
#[derive(Clone, Debug, Default)]
pub struct ListGrantsInput {
    /// Key id or key ARN.
    pub key_id: String,
    /// 1 to 1,000; 50 when `None`. A page has at most 100.
    pub limit: Option<i64>,
    /// `next_marker` of the page before.
    pub marker: Option<String>,
    /// Only this grant.
    pub grant_id: Option<String>,
    /// Only grants to this principal.
    pub grantee_principal: Option<String>,
}

/// Answer of ListGrants and ListRetirableGrants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListGrantsOutput {
    /// Grants in the order of their ids.
    pub grants: Vec<GrantListEntry>,
    /// Where the next page begins, if there is one (`Truncated` on the wire).
    pub next_marker: Option<String>,
}

/// A grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantListEntry {
    /// Key ARN (`KeyId` on the wire).
    pub key_arn: String,
    /// 64 hexadecimal digits.
    pub grant_id: String,
    /// The name that CreateGrant was given.
    pub name: Option<String>,
    /// Creation, Unix time in milliseconds.
    pub created_ms: u64,
    /// ARN of the principal that it is for; its unique id where the principal is gone.
    pub grantee_principal: String,
    /// ARN of the principal that may retire it.
    pub retiring_principal: Option<String>,
    /// ARN of the account under which it was made.
    pub issuing_account: String,
    /// What it allows.
    pub operations: Vec<GrantOperation>,
    /// What it insists on.
    pub constraints: Option<GrantConstraints>,
}

impl Kms {
    /// The grants of a key, page by page.
    pub async fn list_grants(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: ListGrantsInput,
    ) -> Result<ListGrantsOutput, Error> {
        let parameters = json!({ "keyId": asked(&input.key_id), "limit": input.limit });
        let mut event = Event::new(receipt, "ListGrants", true, parameters);
        for (name, filter) in [
            ("grantId", &input.grant_id),
            ("granteePrincipal", &input.grantee_principal),
        ] {
            if let Some(filter) = filter {
                event.parameter(name, asked(filter));
            }
        }
        let result = self.try_list_grants(caller, &input, &mut event);
        event.close(result).await
    }

    fn try_list_grants(
        &self,
        caller: &Caller,
        input: &ListGrantsInput,
        event: &mut Event<'_>,
    ) -> Result<ListGrantsOutput, Error> {
        let found = self.find_without_alias(&input.key_id)?;
        let uid = found.row.uid();
        event.touches(&found.row.arn(self.place()));
        let conditions = [("kms:GrantIsForAWSResource", "false".to_owned())];
        let ask = Ask::new(caller, event.via(), KmsAction::ListGrants).conditions(&conditions);
        self.authorize(&ask, &found.row)?;
        let limit = page::limit(input.limit, LIMIT_DEFAULT)?.min(PAGE_GRANTS_MAX);
        let after = match &input.marker {
            Some(marker) => {
                let id = page::after(LISTING, marker)?;
                Some(GrantId(id.try_into().map_err(|_| Error::InvalidMarker)?))
            }
            None => None,
        };
        let only = match &input.grant_id {
            Some(id) => Some(GrantId::parse(id).ok_or_else(|| invalid_grant_id(id))?),
            None => None,
        };
        if let Some(id) = only {
            let grant = self
                .grant(uid, id)?
                .filter(|grant| self.is_for(grant, input));
            return Ok(ListGrantsOutput {
                grants: grant.iter().map(|grant| self.listed(uid, grant)).collect(),
                next_marker: None,
            });
        }
        self.page_of_grants(uid, input, after, limit)
    }

    /// A page. Where the filter is the id of a principal whose name nobody knows any more, a page
    /// is a part of all grants, and may be short.
    fn page_of_grants(
        &self,
        uid: KeyUid,
        input: &ListGrantsInput,
        after: Option<GrantId>,
        limit: usize,
    ) -> Result<ListGrantsOutput, Error> {
        let grantee = input.grantee_principal.as_deref();
        let arn = grantee.filter(|grantee| grantee.starts_with("arn:"));
        let most = if grantee.is_some() && arn.is_none() {
            LIMIT_MAX
        } else {
            limit
        };
        let page = self.grants(uid, arn, after, most.saturating_add(1))?;
        let mut grants = Vec::new();
        let mut last = None;
        for (at, grant) in page.iter().enumerate() {
            if grants.len() == limit || at == most {
                let last: Option<GrantId> = last;
                return Ok(ListGrantsOutput {
                    grants,
                    next_marker: last.map(|id| page::marker(LISTING, &id.0)),
                });
            }
            if self.is_for(grant, input) {
                grants.push(self.listed(uid, grant));
            }
            last = Some(grant.id);
        }
        Ok(ListGrantsOutput {
            grants,
            next_marker: None,
        })
    }

    /// A grant as listings show it.
    pub(crate) fn listed(&self, key: KeyUid, grant: &FoundGrant) -> GrantListEntry {
        let row = &grant.row;
        GrantListEntry {
            key_arn: self.place().key_arn(key),
            grant_id: grant.id.text(),
            name: row.name.clone(),
            created_ms: row.created_ms,
            grantee_principal: self.shown(&row.grantee),
            retiring_principal: row.retiring.as_ref().map(|arn| self.shown(arn)),
            issuing_account: crate::key_id::root_arn(&self.place().account_id),
            operations: row.operations.clone(),
            constraints: row.constraints.clone(),
        }
    }

    /// The ARN of a principal, or its unique id if the ARN is not its any more.
    fn shown(&self, principal: &GrantPrincipal) -> String {
        let GrantPrincipal { arn, unique_id } = principal;
        if self.unique_id(arn).as_ref() == Some(unique_id) {
            arn.clone()
        } else {
            unique_id.clone()
        }
    }

    /// Whether a grant is for the principal that is asked for, who is not whoever had that ARN before.
    fn is_for(&self, grant: &FoundGrant, input: &ListGrantsInput) -> bool {
        let grantee = &grant.row.grantee;
        let wanted = input.grantee_principal.as_ref();
        wanted.is_none_or(|wanted| *wanted == grantee.unique_id || *wanted == self.shown(grantee))
    }
}

const LISTING: char = 'g';
pub(crate) const LIMIT_DEFAULT: usize = 50;
/// AWS shows no more on a page.
pub(crate) const PAGE_GRANTS_MAX: usize = 100;

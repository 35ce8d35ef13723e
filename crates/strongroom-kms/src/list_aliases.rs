// SPDX-License-Identifier: Apache-2.0
//! ListAliases.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::alias::StoredAlias;
use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::key_id::KeyUid;
use crate::page;
use crate::service::Kms;

/// Parameters of ListAliases.
#[derive(Clone, Debug, Default)]
pub struct ListAliasesInput {
    /// Key id or key ARN: only this key's aliases.
    pub key_id: Option<String>,
    /// 1 to 1,000; 50 when `None`.
    pub limit: Option<i64>,
    /// `next_marker` of the page before.
    pub marker: Option<String>,
}

/// Answer of ListAliases.
#[derive(Clone, Debug)]
pub struct ListAliasesOutput {
    /// Aliases in the order of their names.
    pub aliases: Vec<AliasListEntry>,
    /// Where the next page begins, if there is one (`Truncated` on the wire).
    pub next_marker: Option<String>,
}

/// One alias of the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AliasListEntry {
    /// With its prefix `alias/`.
    pub alias_name: String,
    /// ARN of the alias.
    pub alias_arn: String,
    /// UUID of the key.
    pub target_key_id: String,
    /// Creation, Unix time in milliseconds.
    pub created_ms: u64,
    /// Last change of the target, Unix time in milliseconds.
    pub updated_ms: u64,
}

impl Kms {
    /// The aliases of the account or of one key, page by page.
    pub async fn list_aliases(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: ListAliasesInput,
    ) -> Result<ListAliasesOutput, Error> {
        let mut event = Event::new(
            receipt,
            "ListAliases",
            true,
            json!({ "limit": input.limit }),
        );
        if let Some(key_id) = &input.key_id {
            event.parameter("keyId", asked(key_id));
        }
        let result = self.try_list_aliases(caller, &input, &mut event);
        event.close(result).await
    }

    fn try_list_aliases(
        &self,
        caller: &Caller,
        input: &ListAliasesInput,
        event: &mut Event<'_>,
    ) -> Result<ListAliasesOutput, Error> {
        let ask = Ask::new(caller, event.via(), KmsAction::ListAliases);
        let target = if let Some(key_id) = &input.key_id {
            let found = self.find_without_alias(key_id)?;
            event.touches(&found.row.arn(self.place()));
            self.authorize(&ask, &found.row)?;
            Some(found.row.uid())
        } else {
            self.authorize_account(&ask)?;
            None
        };
        let limit = page::limit(input.limit, LIMIT_DEFAULT)?;
        let after = match &input.marker {
            Some(marker) => {
                let name = page::after(LISTING, marker)?;
                Some(String::from_utf8(name).map_err(|_| Error::InvalidMarker)?)
            }
            None => None,
        };
        let (found, next_marker) = self.page_of_aliases(target, after.as_deref(), limit)?;
        let aliases = found.into_iter().map(|alias| AliasListEntry {
            alias_arn: self.place().alias_arn(&alias.name),
            alias_name: alias.name,
            target_key_id: KeyUid(alias.row.target).to_string(),
            created_ms: alias.row.created_ms,
            updated_ms: alias.row.updated_ms,
        });
        Ok(ListAliasesOutput {
            aliases: aliases.collect(),
            next_marker,
        })
    }

    fn page_of_aliases(
        &self,
        target: Option<KeyUid>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<StoredAlias>, Option<String>), Error> {
        let marker = |last: &str| page::marker(LISTING, last.as_bytes());
        let more = limit.saturating_add(1);
        let Some(uid) = target else {
            let mut found = self.aliases(after, more)?;
            let truncated = found.len() > limit;
            found.truncate(limit);
            let last = found.last().filter(|_| truncated);
            let marker = last.map(|alias| marker(&alias.name));
            return Ok((found, marker));
        };
        let mut names = self.alias_names_of(uid, after, more)?;
        let truncated = names.len() > limit;
        names.truncate(limit);
        let mut found = Vec::with_capacity(names.len());
        for name in &names {
            found.extend(self.alias_of(uid, name)?);
        }
        let last = names.last().filter(|_| truncated);
        Ok((found, last.map(|name| marker(name))))
    }
}

const LISTING: char = 'a';
const LIMIT_DEFAULT: usize = 50;

// SPDX-License-Identifier: Apache-2.0
//! ListKeys.

use std::ops::Bound;

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::{Ask, KmsAction, Via};
use crate::error::Error;
use crate::event::Event;
use crate::key_id::KeyUid;
use crate::page;
use crate::rows::KEYS;
use crate::service::Kms;

/// Parameters of ListKeys.
#[derive(Clone, Debug, Default)]
pub struct ListKeysInput {
    /// 1 to 1,000; 100 when `None`.
    pub limit: Option<i64>,
    /// `next_marker` of the page before.
    pub marker: Option<String>,
}

/// Answer of ListKeys.
#[derive(Clone, Debug)]
pub struct ListKeysOutput {
    /// Keys in the order of their ids.
    pub keys: Vec<KeyListEntry>,
    /// Where the next page begins, if there is one (`Truncated` on the wire).
    pub next_marker: Option<String>,
}

/// One key of the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyListEntry {
    /// UUID.
    pub key_id: String,
    /// ARN.
    pub key_arn: String,
}

impl Kms {
    /// The keys of the account, page by page.
    pub async fn list_keys(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: ListKeysInput,
    ) -> Result<ListKeysOutput, Error> {
        let event = Event::new(receipt, "ListKeys", true, json!({ "limit": input.limit }));
        let result = self.try_list_keys(caller, &input);
        event.close(result).await
    }

    fn try_list_keys(
        &self,
        caller: &Caller,
        input: &ListKeysInput,
    ) -> Result<ListKeysOutput, Error> {
        self.authorize_account(&Ask::new(caller, Via::Wire, KmsAction::ListKeys))?;
        let limit = page::limit(input.limit, LIMIT_DEFAULT)?;
        let after = match &input.marker {
            Some(marker) => {
                let uid = page::after(LISTING, marker)?;
                Some(<[u8; 16]>::try_from(uid).map_err(|_| Error::InvalidMarker)?)
            }
            None => None,
        };
        let start = after
            .as_ref()
            .map_or(Bound::Unbounded, |uid| Bound::Excluded(uid.as_slice()));
        let more = limit.saturating_add(1);
        let rows = self
            .store()
            .tables()
            .scan(KEYS, start, Bound::Unbounded, more, false)?;
        let mut keys = Vec::new();
        let mut last = None;
        for (key, _) in rows.iter().take(limit) {
            let uid = key.as_slice().try_into().map(KeyUid);
            let uid = uid.map_err(|_| Error::Corrupted {
                what: "key of a KMS key".to_owned(),
            })?;
            keys.push(KeyListEntry {
                key_id: uid.to_string(),
                key_arn: self.place().key_arn(uid),
            });
            last = Some(key);
        }
        let next = last.filter(|_| rows.len() > limit);
        Ok(ListKeysOutput {
            keys,
            next_marker: next.map(|key| page::marker(LISTING, key)),
        })
    }
}

const LISTING: char = 'k';
const LIMIT_DEFAULT: usize = 100;

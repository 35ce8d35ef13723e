// SPDX-License-Identifier: Apache-2.0
//! ListResourceTags.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::model::Tag;
use crate::page;
use crate::service::Kms;

/// Parameters of ListResourceTags.
#[derive(Clone, Debug, Default)]
pub struct ListResourceTagsInput {
    /// Key id or key ARN.
    pub key_id: String,
    /// 1 to 50; 50 when `None`.
    pub limit: Option<i64>,
    /// `next_marker` of the page before.
    pub marker: Option<String>,
}

/// Answer of ListResourceTags.
#[derive(Clone, Debug)]
pub struct ListResourceTagsOutput {
    /// Tags in the order of their names.
    pub tags: Vec<Tag>,
    /// Where the next page begins, if there is one (`Truncated` on the wire).
    pub next_marker: Option<String>,
}

impl Kms {
    /// The tags of a key, page by page.
    pub async fn list_resource_tags(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: ListResourceTagsInput,
    ) -> Result<ListResourceTagsOutput, Error> {
        let parameters = json!({ "keyId": asked(&input.key_id), "limit": input.limit });
        let mut event = Event::new(receipt, "ListResourceTags", true, parameters);
        let result = self.try_list_resource_tags(caller, &input, &mut event);
        event.close(result).await
    }

    fn try_list_resource_tags(
        &self,
        caller: &Caller,
        input: &ListResourceTagsInput,
        event: &mut Event<'_>,
    ) -> Result<ListResourceTagsOutput, Error> {
        let limit = page::limit(input.limit, LIMIT_MAX)?;
        if limit > LIMIT_MAX {
            let must = "have value less than or equal to 50";
            return Err(Error::constraint(limit, "limit", must));
        }
        let after = match &input.marker {
            Some(marker) => {
                let name = page::after(LISTING, marker)?;
                Some(String::from_utf8(name).map_err(|_| Error::InvalidMarker)?)
            }
            None => None,
        };
        let found = self.find_without_alias(&input.key_id)?;
        event.touches(&found.row.arn(self.place()));
        let ask = Ask::new(caller, event.via(), KmsAction::ListResourceTags);
        self.authorize(&ask, &found.row)?;
        let mut tags = found.row.tags.clone();
        tags.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        tags.retain(|tag| after.as_ref().is_none_or(|after| tag.key > *after));
        let truncated = tags.len() > limit;
        tags.truncate(limit);
        let last = tags.last().filter(|_| truncated);
        Ok(ListResourceTagsOutput {
            next_marker: last.map(|tag| page::marker(LISTING, tag.key.as_bytes())),
            tags,
        })
    }
}

const LISTING: char = 't';
const LIMIT_MAX: usize = 50;

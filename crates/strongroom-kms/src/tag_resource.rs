// SPDX-License-Identifier: Apache-2.0
//! TagResource.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::{Ask, KmsAction};
use crate::create_key::check_tags;
use crate::error::Error;
use crate::event::{Event, asked};
use crate::key_change::Change;
use crate::model::Tag;
use crate::service::Kms;

/// Parameters of TagResource.
#[derive(Clone, Debug)]
pub struct TagResourceInput {
    /// Key id or key ARN.
    pub key_id: String,
    /// Tags to put on the key; one whose name is there already replaces it.
    pub tags: Vec<Tag>,
}

impl Kms {
    /// Puts tags on a key.
    pub async fn tag_resource(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: TagResourceInput,
    ) -> Result<(), Error> {
        let tags = input
            .tags
            .iter()
            .take(TAGS_TOLD_MAX)
            .map(|tag| json!({ "tagKey": tag.key, "tagValue": tag.value }));
        let parameters = json!({
            "keyId": asked(&input.key_id),
            "tags": tags.collect::<Vec<_>>(),
        });
        let mut event = Event::new(receipt, "TagResource", false, parameters);
        let result = self.try_tag_resource(caller, &input, &mut event).await;
        event.close(result).await
    }

    async fn try_tag_resource(
        &self,
        caller: &Caller,
        input: &TagResourceInput,
        event: &mut Event<'_>,
    ) -> Result<(), Error> {
        check_tags(&input.tags)?;
        let ask = Ask::new(caller, event.via(), KmsAction::TagResource).tags(&input.tags);
        let change = self.change_key(&input.key_id, &ask, event, |row| {
            ask.action
                .needs()
                .check(&row.arn(self.place()), row.state)?;
            for tag in &input.tags {
                match row.tags.iter_mut().find(|there| there.key == tag.key) {
                    Some(there) => there.value.clone_from(&tag.value),
                    None => row.tags.push(tag.clone()),
                }
            }
            check_tags(&row.tags)?;
            Ok(Change::Row(()))
        });
        change.await.map(drop)
    }
}

const TAGS_TOLD_MAX: usize = 50;

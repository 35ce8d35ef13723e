// SPDX-License-Identifier: Apache-2.0
//! UntagResource.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::{Ask, KmsAction};
use crate::create_key::check_tag_name;
use crate::error::Error;
use crate::event::{Event, asked};
use crate::key_change::Change;
use crate::key_id::shortened;
use crate::service::Kms;

/// Parameters of UntagResource.
#[derive(Clone, Debug)]
pub struct UntagResourceInput {
    /// Key id or key ARN.
    pub key_id: String,
    /// Names of tags; one that is not there is no error.
    pub tag_keys: Vec<String>,
}

impl Kms {
    /// Takes tags from a key.
    pub async fn untag_resource(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: UntagResourceInput,
    ) -> Result<(), Error> {
        let names: Vec<_> = input.tag_keys.iter().take(TAGS_TOLD_MAX).collect();
        let parameters = json!({ "keyId": asked(&input.key_id), "tagKeys": names });
        let mut event = Event::new(receipt, "UntagResource", false, parameters);
        let result = self.try_untag_resource(caller, &input, &mut event).await;
        event.close(result).await
    }

    async fn try_untag_resource(
        &self,
        caller: &Caller,
        input: &UntagResourceInput,
        event: &mut Event<'_>,
    ) -> Result<(), Error> {
        for name in &input.tag_keys {
            if !(1..=NAME_CHARACTERS_MAX).contains(&name.chars().count()) {
                let must = "have length between 1 and 128";
                return Err(Error::constraint(shortened(name), "tagKeys", must));
            }
            check_tag_name(name)?;
        }
        let ask = Ask::new(caller, event.via(), KmsAction::UntagResource).tag_keys(&input.tag_keys);
        let change = self.change_key(&input.key_id, &ask, event, |row| {
            ask.action
                .needs()
                .check(&row.arn(self.place()), row.state)?;
            row.tags.retain(|tag| !input.tag_keys.contains(&tag.key));
            Ok(Change::Row(()))
        });
        change.await.map(drop)
    }
}

const NAME_CHARACTERS_MAX: usize = 128;
const TAGS_TOLD_MAX: usize = 50;

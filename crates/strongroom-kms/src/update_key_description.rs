// SPDX-License-Identifier: Apache-2.0
//! UpdateKeyDescription.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::key_change::Change;
use crate::key_id::shortened;
use crate::service::Kms;

/// Parameters of UpdateKeyDescription.
#[derive(Clone, Debug)]
pub struct UpdateKeyDescriptionInput {
    /// Key id or key ARN.
    pub key_id: String,
    /// At most 8,192 characters.
    pub description: String,
}

impl Kms {
    /// Changes the account's words about a key.
    pub async fn update_key_description(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: UpdateKeyDescriptionInput,
    ) -> Result<(), Error> {
        let parameters = json!({
            "keyId": asked(&input.key_id),
            "description": shortened(&input.description),
        });
        let mut event = Event::new(receipt, "UpdateKeyDescription", false, parameters);
        let result = self
            .try_update_key_description(caller, &input, &mut event)
            .await;
        event.close(result).await
    }

    async fn try_update_key_description(
        &self,
        caller: &Caller,
        input: &UpdateKeyDescriptionInput,
        event: &mut Event<'_>,
    ) -> Result<(), Error> {
        if input.description.chars().count() > CHARACTERS_MAX {
            return Err(Error::constraint(
                shortened(&input.description),
                "description",
                "have length less than or equal to 8192",
            ));
        }
        let ask = Ask::new(caller, event.via(), KmsAction::UpdateKeyDescription);
        let change = self.change_key(&input.key_id, &ask, event, |row| {
            ask.action
                .needs()
                .check(&row.arn(self.place()), row.state)?;
            row.description.clone_from(&input.description);
            Ok(Change::Row(()))
        });
        change.await.map(drop)
    }
}

const CHARACTERS_MAX: usize = 8192;

// SPDX-License-Identifier: Apache-2.0
//! DisableKeyRotation.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::key_change::Change;
use crate::service::Kms;

/// Parameters of DisableKeyRotation.
#[derive(Clone, Debug)]
pub struct DisableKeyRotationInput {
    /// Key id or key ARN.
    pub key_id: String,
}

impl Kms {
    /// Lets a key rotate no more by itself.
    pub async fn disable_key_rotation(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: DisableKeyRotationInput,
    ) -> Result<(), Error> {
        let mut event = Event::new(
            receipt,
            "DisableKeyRotation",
            false,
            json!({ "keyId": asked(&input.key_id) }),
        );
        let ask = Ask::new(caller, event.via(), KmsAction::DisableKeyRotation);
        let change = self.change_key(&input.key_id, &ask, &mut event, |row| {
            self.check_rotates_by_itself(row)?;
            ask.action
                .needs()
                .check(&row.arn(self.place()), row.state)?;
            row.rotation_period_days = None;
            row.next_rotation_ms = None;
            Ok(Change::Row(()))
        });
        let result = change.await.map(drop);
        event.close(result).await
    }
}

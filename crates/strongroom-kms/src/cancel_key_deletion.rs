// SPDX-License-Identifier: Apache-2.0
//! CancelKeyDeletion.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::key_state::StateChange;
use crate::service::Kms;

/// Parameters of CancelKeyDeletion.
#[derive(Clone, Debug)]
pub struct CancelKeyDeletionInput {
    /// Key id or key ARN.
    pub key_id: String,
}

impl Kms {
    /// Keeps a key that was to be destroyed; it is disabled then. The answer is its ARN.
    pub async fn cancel_key_deletion(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: CancelKeyDeletionInput,
    ) -> Result<String, Error> {
        let mut event = Event::new(
            receipt,
            "CancelKeyDeletion",
            false,
            json!({ "keyId": asked(&input.key_id) }),
        );
        let ask = Ask::new(caller, event.via(), KmsAction::CancelKeyDeletion);
        let change = StateChange::CancelDeletion;
        let result = self
            .change_state(&ask, &input.key_id, change, None, &mut event)
            .await;
        event.close(result.map(|row| row.arn(self.place()))).await
    }
}

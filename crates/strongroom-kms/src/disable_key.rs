// SPDX-License-Identifier: Apache-2.0
//! DisableKey.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::key_state::StateChange;
use crate::service::Kms;

/// Parameters of DisableKey.
#[derive(Clone, Debug)]
pub struct DisableKeyInput {
    /// Key id or key ARN.
    pub key_id: String,
}

impl Kms {
    /// Stops a key from being used, at once.
    pub async fn disable_key(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: DisableKeyInput,
    ) -> Result<(), Error> {
        let mut event = Event::new(
            receipt,
            "DisableKey",
            false,
            json!({ "keyId": asked(&input.key_id) }),
        );
        let ask = Ask::new(caller, event.via(), KmsAction::DisableKey);
        let result = self
            .change_state(&ask, &input.key_id, StateChange::Disable, None, &mut event)
            .await;
        event.close(result.map(drop)).await
    }
}

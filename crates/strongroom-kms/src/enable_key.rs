// SPDX-License-Identifier: Apache-2.0
//! EnableKey.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::key_state::StateChange;
use crate::service::Kms;

/// Parameters of EnableKey.
#[derive(Clone, Debug)]
pub struct EnableKeyInput {
    /// Key id or key ARN.
    pub key_id: String,
}

impl Kms {
    /// Makes a disabled key usable again.
    pub async fn enable_key(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: EnableKeyInput,
    ) -> Result<(), Error> {
        let mut event = Event::new(
            receipt,
            "EnableKey",
            false,
            json!({ "keyId": asked(&input.key_id) }),
        );
        let ask = Ask::new(caller, event.via(), KmsAction::EnableKey);
        let result = self
            .change_state(&ask, &input.key_id, StateChange::Enable, None, &mut event)
            .await;
        event.close(result.map(drop)).await
    }
}

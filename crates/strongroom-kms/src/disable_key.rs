// SPDX-License-Identifier: Apache-2.0
//! DisableKey.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

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
        let event = Event::new(
            receipt,
            "DisableKey",
            false,
            json!({ "keyId": asked(&input.key_id) }),
        );
        self.change_state(caller, &input.key_id, StateChange::Disable, event)
            .await
    }
}

// SPDX-License-Identifier: Apache-2.0
//! EnableKey.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

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
        let event = Event::new(
            receipt,
            "EnableKey",
            false,
            json!({ "keyId": asked(&input.key_id) }),
        );
        self.change_state(caller, &input.key_id, StateChange::Enable, event)
            .await
    }
}

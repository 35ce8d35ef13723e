// SPDX-License-Identifier: Apache-2.0
//! GetKeyRotationStatus.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::model::KeyState;
use crate::service::Kms;

/// Parameters of GetKeyRotationStatus.
#[derive(Clone, Debug)]
pub struct GetKeyRotationStatusInput {
    /// Key id or key ARN.
    pub key_id: String,
}

/// Answer of GetKeyRotationStatus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetKeyRotationStatusOutput {
    /// Key id.
    pub key_id: String,
    /// Days between two automatic rotations; `None` when the key does not rotate by itself.
    pub rotation_period_in_days: Option<u32>,
    /// When the next is due, Unix time in milliseconds.
    pub next_rotation_ms: Option<u64>,
}

impl Kms {
    /// Whether and when a key rotates by itself. One that is to be destroyed does not.
    pub async fn get_key_rotation_status(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: GetKeyRotationStatusInput,
    ) -> Result<GetKeyRotationStatusOutput, Error> {
        let parameters = json!({ "keyId": asked(&input.key_id) });
        let mut event = Event::new(receipt, "GetKeyRotationStatus", true, parameters);
        let result = self.try_get_key_rotation_status(caller, &input, &mut event);
        event.close(result).await
    }

    fn try_get_key_rotation_status(
        &self,
        caller: &Caller,
        input: &GetKeyRotationStatusInput,
        event: &mut Event<'_>,
    ) -> Result<GetKeyRotationStatusOutput, Error> {
        let row = self.find_without_alias(&input.key_id)?.row;
        event.touches(&row.arn(self.place()));
        let ask = Ask::new(caller, event.via(), KmsAction::GetKeyRotationStatus);
        self.authorize(&ask, &row)?;
        self.check_rotates(&row)?;
        let rotates = row.state != KeyState::PendingDeletion;
        Ok(GetKeyRotationStatusOutput {
            key_id: row.uid().to_string(),
            rotation_period_in_days: row.rotation_period_days.filter(|_| rotates),
            next_rotation_ms: row.next_rotation_ms.filter(|_| rotates),
        })
    }
}

// SPDX-License-Identifier: Apache-2.0
//! RotateKeyOnDemand.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::key_change::Change;
use crate::model::RotationType;
use crate::service::Kms;

/// Parameters of RotateKeyOnDemand.
#[derive(Clone, Debug)]
pub struct RotateKeyOnDemandInput {
    /// Key id or key ARN.
    pub key_id: String,
}

impl Kms {
    /// Rotates a key now; its schedule stays as it is. The answer is its key id.
    pub async fn rotate_key_on_demand(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: RotateKeyOnDemandInput,
    ) -> Result<String, Error> {
        let mut event = Event::new(
            receipt,
            "RotateKeyOnDemand",
            false,
            json!({ "keyId": asked(&input.key_id) }),
        );
        let ask = Ask::new(caller, event.via(), KmsAction::RotateKeyOnDemand);
        let change = self.change_key(&input.key_id, &ask, &mut event, |row| {
            let arn = row.arn(self.place());
            self.check_rotates(row)?;
            ask.action.needs().check(&arn, row.state)?;
            if row.on_demand_rotations >= ROTATIONS_MAX {
                return Err(Error::LimitExceeded(format!(
                    "The on-demand rotations limit has been reached for the given keyId. No more \
                     on-demand rotations can be performed for this key: {arn}"
                )));
            }
            let (preconditions, writes) = self.rotate(row, RotationType::OnDemand)?;
            row.on_demand_rotations = row.on_demand_rotations.saturating_add(1);
            Ok(Change::Rows((), preconditions, writes))
        });
        let result = change.await;
        if let Ok((row, ())) = &result {
            event.material_id(&hex::encode(row.current_material_id));
            event.response(json!({ "keyId": row.uid().to_string() }));
        }
        event
            .close(result.map(|(row, ())| row.uid().to_string()))
            .await
    }
}

const ROTATIONS_MAX: u32 = 25;

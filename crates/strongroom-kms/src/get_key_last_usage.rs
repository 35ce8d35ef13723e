// SPDX-License-Identifier: Apache-2.0
//! GetKeyLastUsage.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::last_use::LastUse;
use crate::service::Kms;

/// Parameters of GetKeyLastUsage.
#[derive(Clone, Debug)]
pub struct GetKeyLastUsageInput {
    /// Key id or key ARN.
    pub key_id: String,
}

/// Answer of GetKeyLastUsage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetKeyLastUsageOutput {
    /// Key id.
    pub key_id: String,
    /// The last use; `None` for a key that was never used.
    pub last_use: Option<LastUse>,
    /// Since when uses are noted, Unix time in milliseconds: since the key was made.
    pub tracking_start_ms: u64,
    /// When the key was made, Unix time in milliseconds.
    pub created_ms: u64,
}

impl Kms {
    /// When a key was last used with success, and for what.
    pub async fn get_key_last_usage(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: GetKeyLastUsageInput,
    ) -> Result<GetKeyLastUsageOutput, Error> {
        let parameters = json!({ "keyId": asked(&input.key_id) });
        let mut event = Event::new(receipt, "GetKeyLastUsage", true, parameters);
        let result = self.try_get_key_last_usage(caller, &input, &mut event);
        event.close(result).await
    }

    fn try_get_key_last_usage(
        &self,
        caller: &Caller,
        input: &GetKeyLastUsageInput,
        event: &mut Event<'_>,
    ) -> Result<GetKeyLastUsageOutput, Error> {
        let row = self.find_without_alias(&input.key_id)?.row;
        event.touches(&row.arn(self.place()));
        let ask = Ask::new(caller, event.via(), KmsAction::GetKeyLastUsage);
        self.authorize(&ask, &row)?;
        Ok(GetKeyLastUsageOutput {
            key_id: row.uid().to_string(),
            last_use: self.last_use(row.uid())?,
            tracking_start_ms: row.created_ms,
            created_ms: row.created_ms,
        })
    }
}

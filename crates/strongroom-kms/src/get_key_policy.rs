// SPDX-License-Identifier: Apache-2.0
//! GetKeyPolicy.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::key_policy::{POLICY_NAME, only_default};
use crate::service::Kms;

/// Parameters of GetKeyPolicy.
#[derive(Clone, Debug)]
pub struct GetKeyPolicyInput {
    /// Key id or key ARN.
    pub key_id: String,
    /// `default` when `None`; there is no other.
    pub policy_name: Option<String>,
}

/// Answer of GetKeyPolicy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetKeyPolicyOutput {
    /// The document as it was set, or the one that is in force where none was. Who was removed since
    /// stands there by its unique id.
    pub policy: String,
    /// `default`.
    pub policy_name: &'static str,
}

impl Kms {
    /// The policy of a key.
    pub async fn get_key_policy(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: GetKeyPolicyInput,
    ) -> Result<GetKeyPolicyOutput, Error> {
        let policy_name = input.policy_name.as_deref().unwrap_or(POLICY_NAME);
        let parameters = json!({
            "keyId": asked(&input.key_id),
            "policyName": asked(policy_name),
        });
        let mut event = Event::new(receipt, "GetKeyPolicy", true, parameters);
        let result = self.try_get_key_policy(caller, &input, &mut event);
        event.close(result).await
    }

    fn try_get_key_policy(
        &self,
        caller: &Caller,
        input: &GetKeyPolicyInput,
        event: &mut Event<'_>,
    ) -> Result<GetKeyPolicyOutput, Error> {
        let found = self.find_without_alias(&input.key_id)?;
        event.touches(&found.row.arn(self.place()));
        let ask = Ask::new(caller, event.via(), KmsAction::GetKeyPolicy);
        self.authorize(&ask, &found.row)?;
        only_default(input.policy_name.as_deref())?;
        let policy = self.key_policies().of(&found.row)?;
        Ok(GetKeyPolicyOutput {
            policy: policy.shown(|arn| self.unique_id(arn))?,
            policy_name: POLICY_NAME,
        })
    }
}

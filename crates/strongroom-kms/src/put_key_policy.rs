// SPDX-License-Identifier: Apache-2.0
//! PutKeyPolicy.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::key_change::Change;
use crate::key_policy::{POLICY_NAME, only_default};
use crate::key_state::refusal;
use crate::model::KeyState;
use crate::service::Kms;

/// Parameters of PutKeyPolicy.
#[derive(Clone, Debug)]
pub struct PutKeyPolicyInput {
    /// Key id or key ARN.
    pub key_id: String,
    /// `default` when `None`; there is no other.
    pub policy_name: Option<String>,
    /// The document.
    pub policy: String,
    /// Set it even if the caller could not set another one afterwards.
    pub bypass_policy_lockout_safety_check: bool,
}

impl Kms {
    /// Gives a key another policy, which decides about the next request.
    pub async fn put_key_policy(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: PutKeyPolicyInput,
    ) -> Result<(), Error> {
        let policy_name = input.policy_name.as_deref().unwrap_or(POLICY_NAME);
        let parameters = json!({
            "keyId": asked(&input.key_id),
            "policyName": asked(policy_name),
            "policy": input.policy,
            "bypassPolicyLockoutSafetyCheck": input.bypass_policy_lockout_safety_check,
        });
        let mut event = Event::new(receipt, "PutKeyPolicy", false, parameters);
        let result = self.try_put_key_policy(caller, &input, &mut event).await;
        event.close(result).await
    }

    async fn try_put_key_policy(
        &self,
        caller: &Caller,
        input: &PutKeyPolicyInput,
        event: &mut Event<'_>,
    ) -> Result<(), Error> {
        let bypass = input.bypass_policy_lockout_safety_check;
        let conditions = [(BYPASS, bypass.to_string())];
        let ask = Ask::new(caller, event.via(), KmsAction::PutKeyPolicy).conditions(&conditions);
        self.change_key(&input.key_id, &ask, event, |row| {
            if row.state == KeyState::PendingDeletion {
                let error = refusal(&row.arn(self.place()), row.state);
                return Err(error.unwrap_or(Error::Internal("a state without a refusal")));
            }
            only_default(input.policy_name.as_deref())?;
            let new = self.new_key_policy(&input.policy, bypass, &ask, row)?;
            row.key_policy = Some(new.text);
            row.key_policy_principals = new.principals;
            Ok(Change::Row(()))
        })
        .await?;
        Ok(())
    }
}

/// The condition key of the bypass; CreateKey has it too.
pub(crate) const BYPASS: &str = "kms:BypassPolicyLockoutSafetyCheck";

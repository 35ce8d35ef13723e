// SPDX-License-Identifier: Apache-2.0
//! ListKeyPolicies.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::key_policy::POLICY_NAME;
use crate::page;
use crate::service::Kms;

/// Parameters of ListKeyPolicies.
#[derive(Clone, Debug)]
pub struct ListKeyPoliciesInput {
    /// Key id or key ARN.
    pub key_id: String,
    /// 1 to 1,000; 100 when `None`.
    pub limit: Option<i64>,
    /// There is one page, so no marker is one of its.
    pub marker: Option<String>,
}

impl Kms {
    /// The names of a key's policies: `default`.
    pub async fn list_key_policies(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: ListKeyPoliciesInput,
    ) -> Result<Vec<&'static str>, Error> {
        let parameters = json!({ "keyId": asked(&input.key_id), "limit": input.limit });
        let mut event = Event::new(receipt, "ListKeyPolicies", true, parameters);
        let result = self.try_list_key_policies(caller, &input, &mut event);
        event.close(result).await
    }

    fn try_list_key_policies(
        &self,
        caller: &Caller,
        input: &ListKeyPoliciesInput,
        event: &mut Event<'_>,
    ) -> Result<Vec<&'static str>, Error> {
        let found = self.find_without_alias(&input.key_id)?;
        event.touches(&found.row.arn(self.place()));
        let ask = Ask::new(caller, event.via(), KmsAction::ListKeyPolicies);
        self.authorize(&ask, &found.row)?;
        page::limit(input.limit, page::LIMIT_MAX)?;
        if input.marker.is_some() {
            return Err(Error::InvalidMarker);
        }
        Ok(vec![POLICY_NAME])
    }
}

// SPDX-License-Identifier: Apache-2.0
//! RevokeGrant: who manages a key takes a grant back.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::grant::{GrantId, invalid_grant_id};
use crate::service::Kms;

/// Parameters of RevokeGrant.
#[derive(Clone, Debug)]
pub struct RevokeGrantInput {
    /// Key id or key ARN.
    pub key_id: String,
    /// 64 hexadecimal digits.
    pub grant_id: String,
    /// Only say whether it would succeed.
    pub dry_run: bool,
}

impl Kms {
    /// Ends a grant; it allows nothing any more when this returns.
    pub async fn revoke_grant(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: RevokeGrantInput,
    ) -> Result<(), Error> {
        let parameters = json!({
            "keyId": asked(&input.key_id),
            "grantId": asked(&input.grant_id),
        });
        let mut event = Event::new(receipt, "RevokeGrant", false, parameters);
        let result = self.try_revoke_grant(caller, &input, &mut event).await;
        event.close(result).await
    }

    async fn try_revoke_grant(
        &self,
        caller: &Caller,
        input: &RevokeGrantInput,
        event: &mut Event<'_>,
    ) -> Result<(), Error> {
        let found = self.find_without_alias(&input.key_id)?;
        let uid = found.row.uid();
        event.touches(&found.row.arn(self.place()));
        let conditions = [("kms:GrantIsForAWSResource", "false".to_owned())];
        let ask = Ask::new(caller, event.via(), KmsAction::RevokeGrant).conditions(&conditions);
        self.authorize(&ask, &found.row)?;
        let gone = || invalid_grant_id(&input.grant_id);
        let id = GrantId::parse(&input.grant_id).ok_or_else(gone)?;
        let grant = self.grant(uid, id)?.ok_or_else(gone)?;
        if input.dry_run {
            return Err(Error::DryRun);
        }
        if self.remove_grant(uid, &grant).await? {
            Ok(())
        } else {
            Err(gone())
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! RetireGrant: who a grant is for gives it back. The grant itself decides who may.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::grant::{FoundGrant, GrantId, GrantOperation, invalid_grant_id};
use crate::key_state::refusal;
use crate::model::KeyState;
use crate::rows::KeyRow;
use crate::service::Kms;

/// Parameters of RetireGrant: a token, or a key and a grant id.
#[derive(Clone, Debug, Default)]
pub struct RetireGrantInput {
    /// A token of the grant.
    pub grant_token: Option<String>,
    /// Key id or key ARN.
    pub key_id: Option<String>,
    /// 64 hexadecimal digits.
    pub grant_id: Option<String>,
    /// Only say whether it would succeed.
    pub dry_run: bool,
}

impl Kms {
    /// Ends a grant, on behalf of its grantee or retiring principal; it allows nothing any more
    /// when this returns.
    pub async fn retire_grant(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: RetireGrantInput,
    ) -> Result<(), Error> {
        let mut event = Event::new(receipt, "RetireGrant", false, json!({}));
        for (name, value) in [("keyId", &input.key_id), ("grantId", &input.grant_id)] {
            if let Some(value) = value {
                event.parameter(name, asked(value));
            }
        }
        let result = self.try_retire_grant(caller, &input, &mut event).await;
        event.close(result).await
    }

    async fn try_retire_grant(
        &self,
        caller: &Caller,
        input: &RetireGrantInput,
        event: &mut Event<'_>,
    ) -> Result<(), Error> {
        let (found, id, gone) = match (&input.grant_token, &input.key_id, &input.grant_id) {
            (Some(token), None, None) => {
                let (uid, id) = self.open_grant_token(token)?;
                let found = self.key(uid)?.ok_or(Error::InvalidGrantToken)?;
                event.parameter("grantId", id.text().into());
                (found, id, Error::InvalidGrantToken)
            }
            (None, Some(key_id), Some(grant_id)) => {
                let found = self.find_without_alias(key_id)?;
                let id = GrantId::parse(grant_id).ok_or_else(|| invalid_grant_id(grant_id))?;
                (found, id, invalid_grant_id(grant_id))
            }
            _ => {
                return Err(Error::Validation(
                    "Please specify either a grant token, or a key ID and a grant ID.".to_owned(),
                ));
            }
        };
        let uid = found.row.uid();
        let arn = found.row.arn(self.place());
        event.touches(&arn);
        let Some(grant) = self.grant(uid, id)? else {
            return Err(gone);
        };
        let ask = Ask::new(caller, event.via(), KmsAction::RetireGrant);
        self.authorize_retirement(&ask, &found.row, |by_identity| {
            may_retire(caller, &found.row, &grant, by_identity)
        })?;
        if matches!(found.row.state, KeyState::Unavailable) {
            let error = refusal(&arn, found.row.state);
            return Err(error.unwrap_or(Error::Internal("a state without a refusal")));
        }
        if input.dry_run {
            return Err(Error::DryRun);
        }
        if self.remove_grant(uid, &grant).await? {
            Ok(())
        } else {
            Err(gone)
        }
    }
}

/// The root user of the account under which the grant was made, its retiring principal, and its
/// grantee if the grant says so. Where the retiring principal is the account, its identity policies
/// decide.
fn may_retire(caller: &Caller, row: &KeyRow, grant: &FoundGrant, by_identity: bool) -> bool {
    if caller.account_id() != row.account_id {
        return false;
    }
    let grantee = &grant.row.grantee;
    let retiring = grant.row.retiring.as_ref();
    caller.is_root()
        || retiring.is_some_and(|retiring| retiring.is(caller))
        || retiring.is_some_and(|retiring| retiring.unique_id == row.account_id && by_identity)
        || (grantee.is(caller) && grant.row.operations.contains(&GrantOperation::RetireGrant))
}

// SPDX-License-Identifier: Apache-2.0
//! DeleteAlias.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;
use strongroom_store::Precondition;

use crate::alias::{AliasChange, AliasName};
use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::rows::{ALIASES, AliasRow, alias_key};
use crate::service::Kms;

/// Parameters of DeleteAlias.
#[derive(Clone, Debug)]
pub struct DeleteAliasInput {
    /// With its prefix `alias/`.
    pub alias_name: String,
}

impl Kms {
    /// Takes a name from a key; the key stays.
    pub async fn delete_alias(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: DeleteAliasInput,
    ) -> Result<(), Error> {
        let parameters = json!({ "aliasName": asked(&input.alias_name) });
        let mut event = Event::new(receipt, "DeleteAlias", false, parameters);
        let result = self.try_delete_alias(caller, &input, &mut event).await;
        event.close(result).await
    }

    async fn try_delete_alias(
        &self,
        caller: &Caller,
        input: &DeleteAliasInput,
        event: &mut Event<'_>,
    ) -> Result<(), Error> {
        let alias = AliasName::parse(&input.alias_name)?;
        let key = alias_key(&self.place().account_id, alias.as_str());
        let not_found = || self.place().alias_not_found(alias.as_str());
        let stored = self
            .store()
            .tables()
            .get(ALIASES, &key)?
            .ok_or_else(not_found)?;
        let row = AliasRow::decode(alias.as_str(), &stored.value)?;
        let found = self.target(crate::key_id::KeyUid(row.target), alias.as_str())?;
        event.touches_alias(&self.place().alias_arn(alias.as_str()));
        event.touches(&found.row.arn(self.place()));
        let ask = Ask::new(caller, event.via(), KmsAction::DeleteAlias);
        self.authorize_alias(&ask, alias.as_str())?;
        self.authorize(&ask, &found.row)?;
        let unchanged = Precondition::SeqIs {
            table: ALIASES,
            key,
            seq: stored.seq,
        };
        let change = AliasChange {
            name: alias.as_str(),
            old: Some(found.row.uid()),
            new: None,
        };
        let writes = change.writes(&self.place().account_id)?;
        match self.commit(vec![unchanged], writes).await? {
            Ok(()) => Ok(()),
            // Somebody else deleted it first.
            Err(_) => Err(not_found()),
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! UpdateAlias.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;
use strongroom_store::Precondition;

use crate::alias::{AliasChange, AliasName};
use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::key_id::{KeyName, KeyUid};
use crate::rows::{ALIASES, AliasRow, KEYS, alias_key};
use crate::service::Kms;

/// Parameters of UpdateAlias.
#[derive(Clone, Debug)]
pub struct UpdateAliasInput {
    /// With its prefix `alias/`.
    pub alias_name: String,
    /// Key id or key ARN.
    pub target_key_id: String,
}

impl Kms {
    /// Lets a name stand for another key.
    pub async fn update_alias(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: UpdateAliasInput,
    ) -> Result<(), Error> {
        let mut event = Event::new(
            receipt,
            "UpdateAlias",
            false,
            json!({
                "aliasName": asked(&input.alias_name),
                "targetKeyId": asked(&input.target_key_id),
            }),
        );
        let result = self.try_update_alias(caller, &input, &mut event).await;
        event.close(result).await
    }

    async fn try_update_alias(
        &self,
        caller: &Caller,
        input: &UpdateAliasInput,
        event: &mut Event<'_>,
    ) -> Result<(), Error> {
        let alias = AliasName::parse(&input.alias_name)?;
        if let KeyName::Alias(_) = self.place().parse(&input.target_key_id)? {
            return Err(Error::Validation(
                "Aliases must refer to keys. Not aliases".to_owned(),
            ));
        }
        let key = alias_key(&self.place().account_id, alias.as_str());
        let not_found = || self.place().alias_not_found(alias.as_str());
        let stored = self
            .store()
            .tables()
            .get(ALIASES, &key)?
            .ok_or_else(not_found)?;
        let mut row = AliasRow::decode(alias.as_str(), &stored.value)?;
        let old = self.target(KeyUid(row.target), alias.as_str())?.row;
        let new = self.find_without_alias(&input.target_key_id)?.row;
        let arn = new.arn(self.place());
        event.touches_alias(&self.place().alias_arn(alias.as_str()));
        event.touches(&old.arn(self.place()));
        event.touches(&arn);
        let ask = Ask::new(caller, event.via(), KmsAction::UpdateAlias);
        // The name and both keys are three resources.
        self.authorize_alias(&ask, alias.as_str())?;
        self.authorize(&ask, &old)?;
        self.authorize(&ask, &new)?;
        // The key that the name is taken from may be on its way out.
        ask.action.needs().check(&arn, new.state)?;
        if (old.usage, old.spec.is_asymmetric()) != (new.usage, new.spec.is_asymmetric()) {
            return Err(Error::Validation(format!(
                "Alias {} can be associated only with a key of the same type and usage as its \
                 current key.",
                alias.as_str()
            )));
        }
        // So that two requests do not both take the last place.
        let _turn = self.turn(new.uid()).await;
        if old.uid != new.uid {
            self.check_room_for_alias(new.uid(), &arn)?;
        }
        row.target = new.uid;
        row.updated_ms = self.now_ms();
        let preconditions = vec![
            Precondition::SeqIs {
                table: ALIASES,
                key: key.clone(),
                seq: stored.seq,
            },
            Precondition::Present {
                table: KEYS,
                key: new.uid.to_vec(),
            },
        ];
        let change = AliasChange {
            name: alias.as_str(),
            old: Some(old.uid()),
            new: Some(&row),
        };
        let writes = change.writes(&self.place().account_id)?;
        match self.commit(preconditions, writes).await? {
            Ok(()) => Ok(()),
            // Somebody else changed or deleted it first.
            Err(conflict) if conflict.index == 0 => Err(not_found()),
            Err(_) => Err(self.place().key_not_found(new.uid())),
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! CreateAlias.

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

/// Parameters of CreateAlias.
#[derive(Clone, Debug)]
pub struct CreateAliasInput {
    /// With its prefix `alias/`.
    pub alias_name: String,
    /// Key id or key ARN.
    pub target_key_id: String,
}

impl Kms {
    /// Gives a key a name.
    pub async fn create_alias(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: CreateAliasInput,
    ) -> Result<(), Error> {
        let mut event = Event::new(
            receipt,
            "CreateAlias",
            false,
            json!({
                "aliasName": asked(&input.alias_name),
                "targetKeyId": asked(&input.target_key_id),
            }),
        );
        let result = self.try_create_alias(caller, &input, &mut event).await;
        event.close(result).await
    }

    async fn try_create_alias(
        &self,
        caller: &Caller,
        input: &CreateAliasInput,
        event: &mut Event<'_>,
    ) -> Result<(), Error> {
        let alias = AliasName::parse(&input.alias_name)?;
        if let KeyName::Alias(_) = self.place().parse(&input.target_key_id)? {
            return Err(Error::Validation(
                "Aliases must refer to keys. Not aliases".to_owned(),
            ));
        }
        let found = self.find_without_alias(&input.target_key_id)?;
        let uid = found.row.uid();
        let arn = found.row.arn(self.place());
        let alias_arn = self.place().alias_arn(alias.as_str());
        event.touches_alias(&alias_arn);
        event.touches(&arn);
        let ask = Ask::new(caller, event.via(), KmsAction::CreateAlias);
        // The name and the key are two resources.
        self.authorize_alias(&ask, alias.as_str())?;
        self.authorize(&ask, &found.row)?;
        ask.action.needs().check(&arn, found.row.state)?;
        // So that two requests do not both take the last place.
        let _turn = self.turn(uid).await;
        self.check_room_for_alias(uid, &arn)?;
        let now_ms = self.now_ms();
        let row = AliasRow {
            target: uid.0,
            created_ms: now_ms,
            updated_ms: now_ms,
        };
        let key = alias_key(&self.place().account_id, alias.as_str());
        let preconditions = vec![
            Precondition::Absent {
                table: ALIASES,
                key: key.clone(),
            },
            Precondition::Present {
                table: KEYS,
                key: uid.0.to_vec(),
            },
        ];
        let change = AliasChange {
            name: alias.as_str(),
            old: None,
            new: Some(&row),
        };
        let writes = change.writes(&self.place().account_id)?;
        match self.commit(preconditions, writes).await? {
            Ok(()) => Ok(()),
            Err(conflict) if conflict.index == 0 => Err(Error::AlreadyExists(format!(
                "An alias with the name {alias_arn} already exists"
            ))),
            Err(_) => Err(self.place().key_not_found(uid)),
        }
    }

    /// Refuses one more alias for a key that has as many as it may.
    pub(crate) fn check_room_for_alias(&self, uid: KeyUid, arn: &str) -> Result<(), Error> {
        let there = self.alias_names_of(uid, None, ALIASES_PER_KEY_MAX)?.len();
        if there < ALIASES_PER_KEY_MAX {
            return Ok(());
        }
        Err(Error::LimitExceeded(format!(
            "The key {arn} has {ALIASES_PER_KEY_MAX} aliases, which is the limit."
        )))
    }
}

const ALIASES_PER_KEY_MAX: usize = 50;

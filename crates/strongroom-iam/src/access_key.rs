// SPDX-License-Identifier: Apache-2.0
//! Adds and removes access keys of a user, so that keys can be changed without a gap.

use serde_json::{Value, json};
use strongroom_audit::Receipt;
use strongroom_store::{Batch, Precondition, Write};
use strongroom_wire::SecretAccessKey;

use crate::add_user::cut;
use crate::error::Error;
use crate::event;
use crate::iam::{ACCESS_KEYS_MAX, ACCESS_KEYS_TABLE, Iam, Inner, USERS_TABLE};
use crate::identifier;
use crate::remove_user::{commit_removal, delete_access_key};
use crate::row::AccessKeyRow;
use crate::user::{NewAccessKey, User, UserName};

impl Iam {
    /// Adds a second access key. Records `CreateAccessKey` and ends the receipt.
    pub async fn add_access_key(
        &self,
        receipt: Receipt,
        name: &str,
    ) -> Result<NewAccessKey, Error> {
        let name = name.to_owned();
        let asked = event::asked("CreateAccessKey", false, json!({ "userName": cut(&name) }));
        let create_key = asked.clone();
        self.change(receipt, asked, move |inner| async move {
            let (made, created_ms) = add(&inner, &UserName::parse(&name)?).await?;
            let answer = event::access_key_response(&made.user, &made.access_key_id, created_ms);
            let events = vec![event::done(create_key, &made.user, answer)];
            Ok((made, events))
        })
        .await
    }

    /// Removes one access key of a user; from then on it authenticates nothing. Records
    /// `DeleteAccessKey` and ends the receipt.
    pub async fn remove_access_key(
        &self,
        receipt: Receipt,
        name: &str,
        access_key_id: &str,
    ) -> Result<(), Error> {
        let name = name.to_owned();
        let access_key_id = access_key_id.to_owned();
        let parameters = json!({ "userName": cut(&name), "accessKeyId": cut(&access_key_id) });
        let asked = event::asked("DeleteAccessKey", false, parameters);
        self.change(receipt, asked, move |inner| async move {
            let user = remove(&inner, &UserName::parse(&name)?, &access_key_id).await?;
            let detail = delete_access_key(&user, &access_key_id);
            Ok(((), vec![event::done(detail, &user, Value::Null)]))
        })
        .await
    }
}

async fn add(inner: &Inner, name: &UserName) -> Result<(NewAccessKey, u64), Error> {
    let folded = name.folded();
    let (user, principal_id) = inner
        .read(|directory| {
            let row = directory.user_row(&folded)?;
            Some((directory.user(&folded)?, row.principal_id.clone()))
        })
        .ok_or_else(|| Error::NoSuchUser {
            name: name.as_str().to_owned(),
        })?;
    if user.access_keys.len() >= ACCESS_KEYS_MAX {
        return Err(Error::TooManyAccessKeys { name: user.name });
    }
    let access_key_id = identifier::access_key_id()?;
    let secret = identifier::secret_access_key()?;
    let created_ms = inner.now_ms();
    let row = AccessKeyRow {
        user: folded.clone(),
        principal_id,
        secret: SecretAccessKey::new(secret.expose_secret().to_owned()),
        created_ms,
    };
    let key = access_key_id.clone().into_bytes();
    let batch = Batch {
        preconditions: vec![
            Precondition::Present {
                table: USERS_TABLE,
                key: folded.clone().into_bytes(),
            },
            Precondition::Absent {
                table: ACCESS_KEYS_TABLE,
                key: key.clone(),
            },
        ],
        writes: vec![Write::Put {
            table: ACCESS_KEYS_TABLE,
            key,
            value: row.to_bytes()?,
        }],
    };
    inner.commit(batch).await?;
    let user = inner.write(|directory| {
        directory.insert_key(access_key_id.clone(), row)?;
        directory.user(&folded).ok_or(Error::Corrupted {
            place: "the user of a new key",
        })
    })?;
    Ok((
        NewAccessKey {
            user,
            access_key_id,
            secret,
        },
        created_ms,
    ))
}

async fn remove(inner: &Inner, name: &UserName, access_key_id: &str) -> Result<User, Error> {
    let folded = name.folded();
    let (user, removed) = inner.write(|directory| {
        let user = directory.user(&folded).ok_or_else(|| Error::NoSuchUser {
            name: name.as_str().to_owned(),
        })?;
        if !user
            .access_keys
            .iter()
            .any(|key| key.access_key_id == access_key_id)
        {
            return Err(Error::NoSuchAccessKey {
                access_key_id: cut(access_key_id),
            });
        }
        Ok((user, directory.remove_key(&folded, access_key_id)))
    })?;
    let key = access_key_id.as_bytes().to_vec();
    let batch = Batch {
        preconditions: vec![Precondition::Present {
            table: ACCESS_KEYS_TABLE,
            key: key.clone(),
        }],
        writes: vec![Write::Delete {
            table: ACCESS_KEYS_TABLE,
            key,
        }],
    };
    commit_removal(inner, removed, batch).await?;
    Ok(user)
}

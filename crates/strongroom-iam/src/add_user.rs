// SPDX-License-Identifier: Apache-2.0
//! Adds a user with a first access key.

use serde_json::{Value, json};
use strongroom_audit::Receipt;
use strongroom_store::{Batch, Precondition, Write};
use strongroom_wire::SecretAccessKey;

use crate::error::Error;
use crate::event;
use crate::iam::{ACCESS_KEYS_TABLE, Iam, Inner, USERS_MAX, USERS_TABLE};
use crate::identifier;
use crate::identity_policy::{Document, granted};
use crate::row::{AccessKeyRow, UserRow};
use crate::user::{NewAccessKey, UserName};
use crate::user_policy::POLICY_NAME;

impl Iam {
    /// Adds a user with full access and a first access key, whose secret is only in the answer.
    ///
    /// Records `CreateUser` and `CreateAccessKey` and ends the receipt.
    pub async fn add_user(&self, receipt: Receipt, name: &str) -> Result<NewAccessKey, Error> {
        self.add_user_with_policy(receipt, name, None).await
    }

    /// Like [`Iam::add_user`]; with a policy the user may do what it allows from its first moment,
    /// and `PutUserPolicy` is recorded too.
    pub async fn add_user_with_policy(
        &self,
        receipt: Receipt,
        name: &str,
        policy: Option<&str>,
    ) -> Result<NewAccessKey, Error> {
        let (name, policy) = (name.to_owned(), policy.map(str::to_owned));
        let asked = event::asked("CreateUser", false, json!({ "userName": cut(&name) }));
        let create_user = asked.clone();
        self.change(receipt, asked, move |inner| async move {
            let name = UserName::parse(&name)?;
            let document = policy.as_deref().map(Document::parse).transpose()?;
            let made = add(&inner, &name, document).await?;
            let create_key = event::asked(
                "CreateAccessKey",
                false,
                json!({ "userName": made.user.name }),
            );
            let created_ms = made.user.created_ms;
            let key_answer =
                event::access_key_response(&made.user, &made.access_key_id, created_ms);
            let user = &made.user;
            let mut events = vec![event::done(create_user, user, event::user_response(user))];
            if let Some(policy) = &policy {
                let parameters = json!({
                    "userName": user.name,
                    "policyName": POLICY_NAME,
                    "policyDocument": policy,
                });
                let put_policy = event::asked("PutUserPolicy", false, parameters);
                events.push(event::done(put_policy, user, Value::Null));
            }
            events.push(event::done(create_key, user, key_answer));
            Ok((made, events))
        })
        .await
    }
}

async fn add(
    inner: &Inner,
    name: &UserName,
    document: Option<Document>,
) -> Result<NewAccessKey, Error> {
    let folded = name.folded();
    if inner.read(|directory| directory.user_row(&folded).is_some()) {
        return Err(Error::UserExists {
            name: name.as_str().to_owned(),
        });
    }
    if inner.read(|directory| directory.user_count() >= USERS_MAX) {
        return Err(Error::TooManyUsers);
    }
    let user = UserRow {
        name: name.as_str().to_owned(),
        principal_id: identifier::principal_id()?,
        created_ms: inner.now_ms(),
        policy: document.as_ref().map(|document| document.text.clone()),
    };
    let access_key_id = identifier::access_key_id()?;
    let secret = identifier::secret_access_key()?;
    let key = AccessKeyRow {
        user: folded.clone(),
        principal_id: user.principal_id.clone(),
        secret: SecretAccessKey::new(secret.expose_secret().to_owned()),
        created_ms: user.created_ms,
    };
    let user_key = folded.clone().into_bytes();
    let key_key = access_key_id.clone().into_bytes();
    let batch = Batch {
        preconditions: vec![
            Precondition::Absent {
                table: USERS_TABLE,
                key: user_key.clone(),
            },
            Precondition::Absent {
                table: ACCESS_KEYS_TABLE,
                key: key_key.clone(),
            },
        ],
        writes: vec![
            Write::Put {
                table: USERS_TABLE,
                key: user_key,
                value: user.to_bytes()?,
            },
            Write::Put {
                table: ACCESS_KEYS_TABLE,
                key: key_key,
                value: key.to_bytes()?,
            },
        ],
    };
    inner.commit(batch).await?;
    let user = inner.write(|directory| {
        let access = match document {
            Some(document) => granted(document.parsed),
            None => directory.full_access(),
        };
        directory.insert_user(folded.clone(), user, access);
        directory.insert_key(access_key_id.clone(), key)?;
        directory.user(&folded).ok_or(Error::Corrupted {
            place: "the user just added",
        })
    })?;
    Ok(NewAccessKey {
        user,
        access_key_id,
        secret,
    })
}

/// A parameter as the event shows it: what was sent, within bounds.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(128).collect()
}

// SPDX-License-Identifier: Apache-2.0
//! Sets, shows and removes the identity policy of a user.

use serde_json::{Value, json};
use strongroom_audit::{Durability, Receipt};
use strongroom_store::{Batch, Precondition, Write};

use crate::add_user::cut;
use crate::error::Error;
use crate::event;
use crate::iam::{Iam, Inner, USERS_TABLE};
use crate::identity_policy::{Document, Granted, granted};
use crate::user::{User, UserName};

impl Iam {
    /// Sets the identity policy of a user, in place of the one it has; requests that are
    /// authenticated from then on are judged by it. Records `PutUserPolicy` and ends the receipt.
    pub async fn set_user_policy(
        &self,
        receipt: Receipt,
        name: &str,
        document: &str,
    ) -> Result<User, Error> {
        let (name, document) = (name.to_owned(), document.to_owned());
        let parameters = json!({
            "userName": cut(&name),
            "policyName": POLICY_NAME,
            "policyDocument": document,
        });
        let asked = event::asked("PutUserPolicy", false, parameters);
        let done = asked.clone();
        self.change(receipt, asked, move |inner| async move {
            let name = UserName::parse(&name)?;
            let Document { text, parsed } = Document::parse(&document)?;
            let user = store(&inner, &name, Some(text), granted(parsed)).await?;
            let events = vec![event::done(done, &user, Value::Null)];
            Ok((user, events))
        })
        .await
    }

    /// The identity policy of a user as it was given; `None` if it has none, and so full access.
    /// Records `GetUserPolicy` and ends the receipt.
    pub async fn user_policy(&self, receipt: Receipt, name: &str) -> Result<Option<String>, Error> {
        let parameters = json!({ "userName": cut(name), "policyName": POLICY_NAME });
        let asked = event::asked("GetUserPolicy", true, parameters);
        let found = UserName::parse(name).and_then(|name| {
            let folded = name.folded();
            let stored = self.inner().read(|directory| {
                let policy = directory.user_row(&folded)?.policy.clone();
                Some((directory.user(&folded)?, policy))
            });
            stored.ok_or_else(|| no_such_user(&name))
        });
        match found {
            Ok((user, policy)) => {
                let detail = event::done(asked, &user, Value::Null);
                receipt.finish(detail, Durability::Durable).await?;
                Ok(policy)
            }
            Err(error) => {
                let refusal = event::refused(asked, &error);
                receipt.finish(refusal, Durability::Durable).await?;
                Err(error)
            }
        }
    }

    /// Takes the identity policy off a user, which has full access from then on. Records
    /// `DeleteUserPolicy` and ends the receipt.
    pub async fn remove_user_policy(&self, receipt: Receipt, name: &str) -> Result<User, Error> {
        let name = name.to_owned();
        let parameters = json!({ "userName": cut(&name), "policyName": POLICY_NAME });
        let asked = event::asked("DeleteUserPolicy", false, parameters);
        let done = asked.clone();
        self.change(receipt, asked, move |inner| async move {
            let name = UserName::parse(&name)?;
            let full = inner.read(|directory| {
                let row = directory.user_row(&name.folded())?;
                Some(row.policy.as_ref().map(|_| directory.full_access()))
            });
            let full = full.ok_or_else(|| no_such_user(&name))?;
            let full = full.ok_or_else(|| Error::NoSuchUserPolicy {
                name: name.as_str().to_owned(),
            })?;
            let user = store(&inner, &name, None, full).await?;
            let events = vec![event::done(done, &user, Value::Null)];
            Ok((user, events))
        })
        .await
    }
}

/// Commits a user's row with another policy.
///
/// INVARIANT: whatever is not certain gives less access, never more. When the outcome of the
/// commit is unknown the user may do nothing, and the tables decide at the next start.
async fn store(
    inner: &Inner,
    name: &UserName,
    policy: Option<String>,
    access: Granted,
) -> Result<User, Error> {
    let folded = name.folded();
    let row = inner.read(|directory| directory.user_row(&folded).cloned());
    let mut row = row.ok_or_else(|| no_such_user(name))?;
    row.policy = policy;
    let key = folded.clone().into_bytes();
    let batch = Batch {
        preconditions: vec![Precondition::Present {
            table: USERS_TABLE,
            key: key.clone(),
        }],
        writes: vec![Write::Put {
            table: USERS_TABLE,
            key,
            value: row.to_bytes()?,
        }],
    };
    match inner.commit(batch).await {
        Ok(()) => inner.write(|directory| {
            directory.insert_user(folded.clone(), row, access);
            directory.user(&folded).ok_or(Error::Corrupted {
                place: "the user just changed",
            })
        }),
        Err(error) => {
            if matches!(error, Error::OutcomeUnknown) {
                inner.write(|directory| directory.distrust(&folded));
            }
            Err(error)
        }
    }
}

fn no_such_user(name: &UserName) -> Error {
    Error::NoSuchUser {
        name: name.as_str().to_owned(),
    }
}

/// IAM names the policies of a user; here there is one.
pub(crate) const POLICY_NAME: &str = "identity-policy";

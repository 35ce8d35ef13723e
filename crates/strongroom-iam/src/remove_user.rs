// SPDX-License-Identifier: Apache-2.0
//! Removes a user with all its access keys.

use serde_json::{Value, json};
use strongroom_audit::Receipt;
use strongroom_store::{Batch, Precondition, Write};

use crate::add_user::cut;
use crate::directory::Removed;
use crate::error::Error;
use crate::event;
use crate::iam::{ACCESS_KEYS_TABLE, Iam, Inner, USERS_TABLE};
use crate::user::{User, UserName};

impl Iam {
    /// Removes a user and all its access keys; from then on no request of theirs is
    /// authenticated. Returns the user as it was.
    ///
    /// Records a `DeleteAccessKey` for each key and `DeleteUser`, and ends the receipt.
    pub async fn remove_user(&self, receipt: Receipt, name: &str) -> Result<User, Error> {
        let name = name.to_owned();
        let asked = event::asked("DeleteUser", false, json!({ "userName": cut(&name) }));
        let delete_user = asked.clone();
        self.change(receipt, asked, move |inner| async move {
            let user = remove(&inner, &UserName::parse(&name)?).await?;
            let mut events = Vec::new();
            for key in &user.access_keys {
                events.push(event::done(
                    delete_access_key(&user, &key.access_key_id),
                    &user,
                    Value::Null,
                ));
            }
            events.push(event::done(delete_user, &user, Value::Null));
            Ok((user, events))
        })
        .await
    }
}

async fn remove(inner: &Inner, name: &UserName) -> Result<User, Error> {
    let folded = name.folded();
    let no_such_user = || Error::NoSuchUser {
        name: name.as_str().to_owned(),
    };
    let (user, removed) = inner.write(|directory| {
        let user = directory.user(&folded).ok_or_else(no_such_user)?;
        Ok::<_, Error>((user, directory.remove_user(&folded)))
    })?;
    let mut writes = vec![Write::Delete {
        table: USERS_TABLE,
        key: folded.clone().into_bytes(),
    }];
    writes.extend(
        removed
            .access_key_ids()
            .into_iter()
            .map(|id| Write::Delete {
                table: ACCESS_KEYS_TABLE,
                key: id.into_bytes(),
            }),
    );
    let preconditions = vec![Precondition::Present {
        table: USERS_TABLE,
        key: folded.into_bytes(),
    }];
    commit_removal(
        inner,
        removed,
        Batch {
            preconditions,
            writes,
        },
    )
    .await?;
    Ok(user)
}

/// Commits the removal of what has left the directory already.
///
/// INVARIANT: only a commit that certainly changed nothing puts it back. When the outcome is
/// unknown the keys stay unusable, and the tables decide at the next start.
pub(crate) async fn commit_removal(
    inner: &Inner,
    removed: Removed,
    batch: Batch,
) -> Result<(), Error> {
    inner.forget_signing_keys(&removed.access_key_ids());
    let outcome = inner.commit(batch).await;
    if let Err(Error::Store(_)) = &outcome {
        inner.write(|directory| directory.restore(removed));
    }
    outcome
}

/// The event of one access key's removal, as asked.
pub(crate) fn delete_access_key(user: &User, access_key_id: &str) -> strongroom_audit::EventDetail {
    event::asked(
        "DeleteAccessKey",
        false,
        json!({ "userName": user.name, "accessKeyId": access_key_id }),
    )
}

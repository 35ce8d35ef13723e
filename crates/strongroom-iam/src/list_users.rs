// SPDX-License-Identifier: Apache-2.0
//! Lists users.

use serde_json::Value;
use strongroom_audit::{Durability, Receipt};

use crate::directory::Directory;
use crate::error::Error;
use crate::event;
use crate::iam::Iam;
use crate::user::User;

impl Iam {
    /// All users, by name. Records `ListUsers` and ends the receipt.
    pub async fn list_users(&self, receipt: Receipt) -> Result<Vec<User>, Error> {
        let users = self.inner().read(Directory::users);
        let detail = event::asked("ListUsers", true, Value::Null);
        receipt.finish(detail, Durability::Buffered).await?;
        Ok(users)
    }
}

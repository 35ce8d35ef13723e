// SPDX-License-Identifier: Apache-2.0
//! Users and access keys in memory.
//!
//! The tables are the truth and this is all of them: one process owns the tables, and every
//! change goes through [`crate::Iam`], which commits first (or, for removals, forgets first) and
//! then writes through.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use strongroom_audit::UserIdentity;
use strongroom_wire::SecretAccessKey;

use crate::credential::RootCredential;
use crate::error::Error;
use crate::identity_policy::{Access, BuiltIn, Granted};
use crate::row::{AccessKeyRow, UserRow};
use crate::user::{AccessKey, User, root_arn, user_arn};

/// What a signature made with an access key proves.
#[derive(Debug)]
pub(crate) struct Principal {
    pub(crate) identity: UserIdentity,
    pub(crate) arn: String,
    pub(crate) secret: SecretAccessKey,
    /// Folded name; `None` for root.
    user: Option<String>,
    created_ms: u64,
}

/// All principals of the account.
#[derive(Debug)]
pub(crate) struct Directory {
    account_id: String,
    built_in: BuiltIn,
    users: BTreeMap<String, Entry>,
    principals: HashMap<String, Arc<Principal>>,
}

/// A user, and what its policy gives.
#[derive(Debug)]
struct Entry {
    row: UserRow,
    granted: Granted,
}

/// What was removed with a user, to put it back when nothing was committed after all.
pub(crate) struct Removed {
    folded: String,
    entry: Option<Entry>,
    principals: Vec<(String, Arc<Principal>)>,
}

impl Directory {
    pub(crate) fn new(account_id: &str, root: RootCredential) -> Result<Self, Error> {
        let RootCredential {
            access_key_id,
            secret,
        } = root;
        let principal = Principal {
            identity: UserIdentity::Root {
                account_id: account_id.to_owned(),
                access_key_id: access_key_id.clone(),
            },
            arn: root_arn(account_id),
            secret,
            user: None,
            created_ms: 0,
        };
        Ok(Self {
            account_id: account_id.to_owned(),
            built_in: BuiltIn::new()?,
            users: BTreeMap::new(),
            principals: HashMap::from([(access_key_id, Arc::new(principal))]),
        })
    }

    /// Whose access key it is, and what its owner may ask for, in one look.
    pub(crate) fn principal(&self, access_key_id: &str) -> Option<(Arc<Principal>, Granted)> {
        let principal = self.principals.get(access_key_id)?;
        let granted = match &principal.user {
            None => self.built_in.full_access(),
            Some(folded) => self
                .users
                .get(folded)
                .map_or_else(|| self.built_in.no_access(), |user| user.granted.clone()),
        };
        Some((Arc::clone(principal), granted))
    }

    pub(crate) fn user_row(&self, folded: &str) -> Option<&UserRow> {
        self.users.get(folded).map(|user| &user.row)
    }

    /// What root may, and a user without a policy.
    pub(crate) fn full_access(&self) -> Granted {
        self.built_in.full_access()
    }

    /// From now on the user may do nothing.
    pub(crate) fn distrust(&mut self, folded: &str) {
        if let Some(user) = self.users.get_mut(folded) {
            user.granted = self.built_in.no_access();
        }
    }

    /// The unique id behind the ARN of a principal: of a user, or of the root user, whose is the
    /// account's. `None`: nobody's ARN.
    pub(crate) fn unique_id(&self, arn: &str) -> Option<String> {
        if arn == root_arn(&self.account_id) {
            return Some(self.account_id.clone());
        }
        let name = arn.strip_prefix(&user_arn(&self.account_id, ""))?;
        let row = self.user_row(&name.to_ascii_lowercase())?;
        // Names are unique without regard to case, but an ARN has one spelling.
        (row.name == name).then(|| row.principal_id.clone())
    }

    /// The ARN of the principal with this unique id.
    pub(crate) fn arn_of(&self, unique_id: &str) -> Option<String> {
        if unique_id == self.account_id {
            return Some(root_arn(&self.account_id));
        }
        let mut users = self.users.values();
        let user = users.find(|user| user.row.principal_id == unique_id)?;
        Some(user_arn(&self.account_id, &user.row.name))
    }

    pub(crate) fn user_count(&self) -> usize {
        self.users.len()
    }

    pub(crate) fn user(&self, folded: &str) -> Option<User> {
        let Entry { row, granted } = self.users.get(folded)?;
        let mut access_keys: Vec<AccessKey> = self
            .principals
            .iter()
            .filter(|(_, principal)| principal.user.as_deref() == Some(folded))
            .map(|(id, principal)| AccessKey {
                access_key_id: id.clone(),
                created_ms: principal.created_ms,
            })
            .collect();
        access_keys.sort_unstable_by(|a, b| a.access_key_id.cmp(&b.access_key_id));
        Some(User {
            name: row.name.clone(),
            arn: user_arn(&self.account_id, &row.name),
            principal_id: row.principal_id.clone(),
            created_ms: row.created_ms,
            access: granted.access,
            access_keys,
        })
    }

    pub(crate) fn users(&self) -> Vec<User> {
        self.users
            .keys()
            .filter_map(|folded| self.user(folded))
            .collect()
    }

    pub(crate) fn insert_user(&mut self, folded: String, row: UserRow, granted: Granted) {
        self.users.insert(folded, Entry { row, granted });
    }

    /// Adds a user as its row has it. A policy that cannot be read lets it do nothing; `false`
    /// says so.
    pub(crate) fn insert_stored_user(&mut self, folded: String, row: UserRow) -> bool {
        let granted = self.built_in.stored(row.policy.as_deref());
        let readable = granted.access != Access::Damaged;
        self.insert_user(folded, row, granted);
        readable
    }

    /// Adds an access key. Its owner must be there, and be the one it was made for.
    pub(crate) fn insert_key(
        &mut self,
        access_key_id: String,
        row: AccessKeyRow,
    ) -> Result<(), Error> {
        let owner = self
            .user_row(&row.user)
            .filter(|user| user.principal_id == row.principal_id)
            .ok_or(Error::Corrupted {
                place: "an access key without its user",
            })?;
        if self
            .principals
            .get(&access_key_id)
            .is_some_and(|known| known.user.is_none())
        {
            return Err(Error::RootKeyOfUser);
        }
        let arn = user_arn(&self.account_id, &owner.name);
        let principal = Principal {
            identity: UserIdentity::IamUser {
                account_id: self.account_id.clone(),
                user_name: owner.name.clone(),
                principal_id: owner.principal_id.clone(),
                arn: arn.clone(),
                access_key_id: access_key_id.clone(),
            },
            arn,
            secret: row.secret,
            user: Some(row.user),
            created_ms: row.created_ms,
        };
        self.principals.insert(access_key_id, Arc::new(principal));
        Ok(())
    }

    /// Takes a user and all its access keys out.
    pub(crate) fn remove_user(&mut self, folded: &str) -> Removed {
        let owned = |principal: &Principal| principal.user.as_deref() == Some(folded);
        let principals = self
            .principals
            .extract_if(|_, principal| owned(principal))
            .collect();
        Removed {
            folded: folded.to_owned(),
            entry: self.users.remove(folded),
            principals,
        }
    }

    /// Takes one access key of a user out.
    pub(crate) fn remove_key(&mut self, folded: &str, access_key_id: &str) -> Removed {
        let is_it = |id: &str, principal: &Principal| {
            id == access_key_id && principal.user.as_deref() == Some(folded)
        };
        let principals = self.principals.extract_if(|id, p| is_it(id, p)).collect();
        Removed {
            folded: folded.to_owned(),
            entry: None,
            principals,
        }
    }

    /// Puts back what was taken out.
    pub(crate) fn restore(&mut self, removed: Removed) {
        if let Some(entry) = removed.entry {
            self.users.insert(removed.folded, entry);
        }
        self.principals.extend(removed.principals);
    }
}

impl Removed {
    pub(crate) fn access_key_ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.principals.iter().map(|(id, _)| id.clone()).collect();
        ids.sort_unstable();
        ids
    }
}

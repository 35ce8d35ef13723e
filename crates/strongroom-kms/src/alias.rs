// SPDX-License-Identifier: Apache-2.0
//! Names of aliases, and walking through them: all of the account's, or those of one key, which a
//! table of their own lists, so that nobody reads the aliases of other keys to find them.

use std::ops::Bound;

use strongroom_store::{Precondition, Write};

use crate::error::Error;
use crate::key_id::{KeyUid, shortened};
use crate::rows::{ALIASES, AliasRow, KEY_ALIAS, KEY_ALIASES, alias_key, key_alias_key};
use crate::service::Kms;

/// A name that the account may give to an alias, with its prefix `alias/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AliasName(String);

impl AliasName {
    pub(crate) fn parse(text: &str) -> Result<AliasName, Error> {
        if text.is_empty() {
            let must = "have length greater than or equal to 1";
            return Err(Error::constraint("", "aliasName", must));
        }
        if text.len() > NAME_BYTES_MAX {
            let must = "have length less than or equal to 256";
            return Err(Error::constraint(shortened(text), "aliasName", must));
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b":/_-".contains(&byte);
        if !text.bytes().all(allowed) {
            let must = "satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$";
            return Err(Error::constraint(text, "aliasName", must));
        }
        let Some(name) = text.strip_prefix("alias/") else {
            return Err(Error::Validation(
                "Alias must start with the prefix \"alias/\". Please see \
                 https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html"
                    .to_owned(),
            ));
        };
        if name.is_empty() || name.contains(':') {
            return Err(Error::InvalidAliasName(format!(
                "{text} contains invalid characters for an alias"
            )));
        }
        if name.starts_with("aws/") {
            return Err(Error::InvalidAliasName(
                "Aliases with the prefix \"alias/aws/\" are reserved".to_owned(),
            ));
        }
        Ok(AliasName(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// An alias as it is stored.
pub(crate) struct StoredAlias {
    pub(crate) name: String,
    pub(crate) row: AliasRow,
}

/// A change of where an alias points. The alias and its entry under its key change in one commit.
pub(crate) struct AliasChange<'a> {
    pub(crate) name: &'a str,
    /// The key that it stood for.
    pub(crate) old: Option<KeyUid>,
    /// What it is now; `None` takes it away.
    pub(crate) new: Option<&'a AliasRow>,
}

impl AliasChange<'_> {
    pub(crate) fn writes(&self, account_id: &str) -> Result<Vec<Write>, Error> {
        let mut writes = Vec::new();
        let alias_key = alias_key(account_id, self.name);
        if let Some(old) = self.old {
            writes.push(Write::Delete {
                table: KEY_ALIASES,
                key: key_alias_key(old, self.name),
            });
        }
        if let Some(new) = self.new {
            let key = key_alias_key(KeyUid(new.target), self.name);
            // An alias that is given to the key it has is written once.
            writes.retain(|write| !matches!(write, Write::Delete { key: old, .. } if *old == key));
            writes.push(Write::Put {
                table: KEY_ALIASES,
                key,
                value: KEY_ALIAS.to_vec(),
            });
            writes.push(Write::Put {
                table: ALIASES,
                key: alias_key,
                value: new.encode()?,
            });
        } else {
            writes.push(Write::Delete {
                table: ALIASES,
                key: alias_key,
            });
        }
        Ok(writes)
    }
}

impl Kms {
    /// Aliases in the order of their names after `after`, at most `count`.
    pub(crate) fn aliases(
        &self,
        after: Option<&str>,
        count: usize,
    ) -> Result<Vec<StoredAlias>, Error> {
        let account_id = self.place().account_id.as_str();
        let start = alias_key(account_id, after.unwrap_or_default());
        // No alias name begins with a byte above this one.
        let end = [account_id.as_bytes(), &[0xff]].concat();
        let tables = self.store().tables();
        let range = (Bound::Excluded(start.as_slice()), Bound::Excluded(&*end));
        let rows = tables.scan(ALIASES, range.0, range.1, count, false)?;
        rows.into_iter()
            .map(|(key, stored)| {
                let name = name_behind(&key, account_id.len())?;
                let row = AliasRow::decode(&name, &stored.value)?;
                Ok(StoredAlias { name, row })
            })
            .collect()
    }

    /// Names of the aliases of a key, in their order after `after`, at most `count`. The aliases
    /// themselves are not read.
    pub(crate) fn alias_names_of(
        &self,
        uid: KeyUid,
        after: Option<&str>,
        count: usize,
    ) -> Result<Vec<String>, Error> {
        let after = after.map(|name| key_alias_key(uid, name));
        let rows = self.rows_behind(KEY_ALIASES, &uid.0, after.as_deref(), count)?;
        rows.into_iter()
            .map(|(key, _)| name_behind(&key, uid.0.len()))
            .collect()
    }

    /// An alias of a key; `None` if it was deleted or given to another key meanwhile.
    pub(crate) fn alias_of(&self, uid: KeyUid, name: &str) -> Result<Option<StoredAlias>, Error> {
        let key = alias_key(&self.place().account_id, name);
        let Some(stored) = self.store().tables().get(ALIASES, &key)? else {
            return Ok(None);
        };
        let row = AliasRow::decode(name, &stored.value)?;
        let name = name.to_owned();
        Ok((row.target == uid.0).then_some(StoredAlias { name, row }))
    }

    /// Everything that takes the aliases of a key away, whether they can be read or not, and what
    /// makes it fail if one of them is changed before.
    pub(crate) fn alias_removal(
        &self,
        uid: KeyUid,
    ) -> Result<(Vec<Precondition>, Vec<Write>), Error> {
        let (mut preconditions, mut writes) = (Vec::new(), Vec::new());
        for name in self.alias_names_of(uid, None, usize::MAX)? {
            writes.push(Write::Delete {
                table: KEY_ALIASES,
                key: key_alias_key(uid, &name),
            });
            let key = alias_key(&self.place().account_id, &name);
            let Some(stored) = self.store().tables().get(ALIASES, &key)? else {
                continue;
            };
            preconditions.push(Precondition::SeqIs {
                table: ALIASES,
                key: key.clone(),
                seq: stored.seq,
            });
            // A damaged alias does not stop its key's destruction; one of another key stays.
            let target = AliasRow::decode(&name, &stored.value).map(|row| row.target);
            if target.is_err() || target.is_ok_and(|target| target == uid.0) {
                writes.push(Write::Delete {
                    table: ALIASES,
                    key,
                });
            }
        }
        Ok((preconditions, writes))
    }
}

/// The alias name in the key of a row, behind what is the same for all.
fn name_behind(row_key: &[u8], head_bytes: usize) -> Result<String, Error> {
    let name = row_key.get(head_bytes..);
    let name = name.and_then(|name| str::from_utf8(name).ok());
    name.map(str::to_owned).ok_or_else(|| Error::Corrupted {
        what: "KMS alias".to_owned(),
    })
}

const NAME_BYTES_MAX: usize = 256;

// SPDX-License-Identifier: Apache-2.0
//! Names of aliases, and walking through them.

use std::ops::Bound;

use crate::error::Error;
use crate::key_id::{KeyUid, shortened};
use crate::page::LIMIT_MAX;
use crate::rows::{ALIASES, AliasRow, alias_key};
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

impl Kms {
    /// Aliases in the order of their names after `after`, of one key or of all, at most `count`.
    pub(crate) fn aliases(
        &self,
        target: Option<KeyUid>,
        after: Option<&str>,
        count: usize,
    ) -> Result<Vec<StoredAlias>, Error> {
        let account_id = self.place().account_id.as_str();
        // No alias name begins with a byte above this one.
        let end = [account_id.as_bytes(), &[0xff]].concat();
        let mut start = alias_key(account_id, after.unwrap_or_default());
        let mut found = Vec::new();
        loop {
            let range = (
                Bound::Excluded(start.as_slice()),
                Bound::Excluded(end.as_slice()),
            );
            let rows = self
                .store()
                .tables()
                .scan(ALIASES, range.0, range.1, LIMIT_MAX, false)?;
            let all = rows.len() < LIMIT_MAX;
            let Some((last, _)) = rows.last() else {
                return Ok(found);
            };
            start.clone_from(last);
            for (key, stored) in rows {
                let name = key
                    .get(account_id.len()..)
                    .and_then(|name| str::from_utf8(name).ok());
                let name = name.ok_or_else(|| Error::Corrupted {
                    what: "KMS alias".to_owned(),
                })?;
                let row = AliasRow::decode(name, &stored.value)?;
                if target.is_none_or(|target| target.0 == row.target) {
                    found.push(StoredAlias {
                        name: name.to_owned(),
                        row,
                    });
                }
                if found.len() >= count {
                    return Ok(found);
                }
            }
            if all {
                return Ok(found);
            }
        }
    }
}

const NAME_BYTES_MAX: usize = 256;

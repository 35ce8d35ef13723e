// SPDX-License-Identifier: Apache-2.0
//! Users and their access keys, as the rest of the server sees them.

use strongroom_wire::SecretAccessKey;

use crate::error::Error;
use crate::identity_policy::Access;

/// A user of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name, in the case it was given.
    pub name: String,
    /// `arn:aws:iam::ACCOUNT:user/NAME`.
    pub arn: String,
    /// `AIDA..`: never used again, also when the name is.
    pub principal_id: String,
    /// When the user was added, in milliseconds since 1970.
    pub created_ms: u64,
    /// What it may ask for.
    pub access: Access,
    /// At most two access keys, in the order of their ids.
    pub access_keys: Vec<AccessKey>,
}

/// The public half of an access key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// `AKIA..`.
    pub access_key_id: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
}

/// A new access key with its secret, to be shown to its owner once.
#[derive(Debug)]
pub struct NewAccessKey {
    /// Whose it is.
    pub user: User,
    /// `AKIA..`.
    pub access_key_id: String,
    /// The secret: nobody can ask for it again.
    pub secret: SecretAccessKey,
}

/// A user name within IAM's rules: `[\w+=,.@-]{1,64}` in ASCII.
#[derive(Debug, Clone)]
pub(crate) struct UserName(String);

impl UserName {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let valid = (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b));
        if !valid {
            let name = text
                .chars()
                .take(128)
                .flat_map(char::escape_default)
                .collect();
            return Err(Error::InvalidUserName { name });
        }
        Ok(Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The form in which names are unique.
    pub(crate) fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

/// ARN of a user.
pub(crate) fn user_arn(account_id: &str, name: &str) -> String {
    format!("arn:aws:iam::{account_id}:user/{name}")
}

/// ARN of the root user.
pub(crate) fn root_arn(account_id: &str) -> String {
    format!("arn:aws:iam::{account_id}:root")
}

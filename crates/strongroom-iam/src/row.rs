// SPDX-License-Identifier: Apache-2.0
//! Rows of the two identity tables. The store seals them.
//!
//! `iam_users`: key is the folded name. `iam_access_keys`: key is the access key id.

use minicbor::{Decode, Encode};
use strongroom_wire::SecretAccessKey;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::user::UserName;

/// A row of `iam_users`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct UserRow {
    #[n(0)]
    pub(crate) name: String,
    #[n(1)]
    pub(crate) principal_id: String,
    #[n(2)]
    pub(crate) created_ms: u64,
    /// The identity policy as it was given. In the user's own row, so that a user is never read
    /// without its policy.
    #[n(3)]
    pub(crate) policy: Option<String>,
}

/// A row of `iam_access_keys`.
#[derive(Debug)]
pub(crate) struct AccessKeyRow {
    /// Folded name of the owner.
    pub(crate) user: String,
    /// The owner's unique id: a key never passes to another user of the same name.
    pub(crate) principal_id: String,
    pub(crate) secret: SecretAccessKey,
    pub(crate) created_ms: u64,
}

#[derive(Encode, Decode)]
struct StoredAccessKey<'a> {
    #[b(0)]
    user: &'a str,
    #[b(1)]
    principal_id: &'a str,
    #[b(2)]
    secret: &'a str,
    #[n(3)]
    created_ms: u64,
}

impl UserRow {
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        minicbor::to_vec(self).map_err(|_| Error::Corrupted { place: USERS })
    }

    /// Reads the row stored under `key`.
    pub(crate) fn parse(key: &[u8], bytes: &[u8]) -> Result<Self, Error> {
        let row: Self = decode_whole(bytes).ok_or(Error::Corrupted { place: USERS })?;
        let name = UserName::parse(&row.name).map_err(|_| Error::Corrupted { place: USERS })?;
        if name.folded().as_bytes() != key || !row.principal_id.starts_with("AIDA") {
            return Err(Error::Corrupted { place: USERS });
        }
        Ok(row)
    }
}

impl AccessKeyRow {
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let stored = StoredAccessKey {
            user: &self.user,
            principal_id: &self.principal_id,
            secret: self.secret.expose_secret(),
            created_ms: self.created_ms,
        };
        minicbor::to_vec(stored).map_err(|_| Error::Corrupted { place: ACCESS_KEYS })
    }

    /// Reads a row; its bytes are erased.
    pub(crate) fn parse(bytes: Vec<u8>) -> Result<Self, Error> {
        let bytes = Zeroizing::new(bytes);
        let stored: StoredAccessKey<'_> =
            decode_whole(&bytes).ok_or(Error::Corrupted { place: ACCESS_KEYS })?;
        if stored.secret.is_empty() {
            return Err(Error::Corrupted { place: ACCESS_KEYS });
        }
        Ok(Self {
            user: stored.user.to_owned(),
            principal_id: stored.principal_id.to_owned(),
            secret: SecretAccessKey::new(stored.secret.to_owned()),
            created_ms: stored.created_ms,
        })
    }
}

/// Decodes a value that takes all of `bytes`.
fn decode_whole<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Option<T> {
    let mut decoder = minicbor::Decoder::new(bytes);
    let value = decoder.decode().ok()?;
    (decoder.position() == bytes.len()).then_some(value)
}

const USERS: &str = "a row of iam_users";
const ACCESS_KEYS: &str = "a row of iam_access_keys";

#[cfg(test)]
mod tests {
    use super::*;

    fn key_row() -> AccessKeyRow {
        AccessKeyRow {
            user: "ann".to_owned(),
            principal_id: "AIDAX".to_owned(),
            secret: SecretAccessKey::new("s".repeat(40)),
            created_ms: 7,
        }
    }

    #[test]
    fn rows_round_trip() {
        let user = UserRow {
            name: "Ann".to_owned(),
            principal_id: "AIDAX".to_owned(),
            created_ms: 7,
            policy: Some("{}".to_owned()),
        };
        assert_eq!(
            UserRow::parse(b"ann", &user.to_bytes().unwrap()).unwrap(),
            user
        );
        let key = AccessKeyRow::parse(key_row().to_bytes().unwrap()).unwrap();
        assert_eq!((key.user.as_str(), key.created_ms), ("ann", 7));
        assert_eq!(key.secret.expose_secret(), "s".repeat(40));
    }

    #[test]
    fn damaged_rows_are_errors() {
        let user = UserRow {
            name: "Ann".to_owned(),
            principal_id: "AIDAX".to_owned(),
            created_ms: 7,
            policy: Some("{}".to_owned()),
        };
        let bytes = user.to_bytes().unwrap();
        assert!(UserRow::parse(b"bob", &bytes).is_err());
        for cut in 0..bytes.len() {
            assert!(UserRow::parse(b"ann", &bytes[..cut]).is_err());
        }
        assert!(UserRow::parse(b"ann", &[bytes.as_slice(), b"\0"].concat()).is_err());
        let bytes = key_row().to_bytes().unwrap();
        for cut in 0..bytes.len() {
            assert!(AccessKeyRow::parse(bytes[..cut].to_vec()).is_err());
        }
        assert!(AccessKeyRow::parse([bytes.as_slice(), b"\0"].concat()).is_err());
    }
}

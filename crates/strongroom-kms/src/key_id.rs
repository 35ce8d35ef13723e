// SPDX-License-Identifier: Apache-2.0
//! The four ways to name a key: key id, key ARN, alias name, alias ARN.

use std::fmt;

use crate::error::Error;

/// Identity of a key, never used again; its text is the key id: a UUID, or `mrk-` and 32
/// digits for a multi-Region key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KeyUid(pub(crate) [u8; 16]);

impl KeyUid {
    /// A version 4 UUID of these random bytes.
    pub(crate) fn from_random(mut random: [u8; 16]) -> KeyUid {
        let [_, _, _, _, _, _, version, _, variant, ..] = &mut random;
        *version = (*version & 0x0f) | 0x40;
        *variant = (*variant & 0x3f) | 0x80;
        KeyUid(random)
    }

    /// The identity of a multi-Region key: marked in the version nibble, which is 8 (RFC 9562,
    /// UUIDs with a meaning of one's own), so that the two forms never meet.
    pub(crate) fn multi_region_from_random(random: [u8; 16]) -> KeyUid {
        let KeyUid(mut uid) = KeyUid::from_random(random);
        let [_, _, _, _, _, _, version, ..] = &mut uid;
        *version = (*version & 0x0f) | 0x80;
        KeyUid(uid)
    }

    /// The uid that is the key of a row.
    pub(crate) fn from_row_key(key: &[u8]) -> Result<KeyUid, Error> {
        let uid = <[u8; 16]>::try_from(key).map(KeyUid);
        uid.map_err(|_| Error::Corrupted {
            what: "key of a row of a KMS key".to_owned(),
        })
    }

    pub(crate) fn is_multi_region(self) -> bool {
        let [_, _, _, _, _, _, version, ..] = self.0;
        version >> 4 == 8
    }

    /// Reads the text form, in either case.
    fn parse(text: &str) -> Option<KeyUid> {
        if let Some(digits) = text.strip_prefix(MULTI_REGION_PREFIX) {
            let mut uid = [0; 16];
            hex::decode_to_slice(digits, &mut uid).ok()?;
            return Some(KeyUid(uid)).filter(|uid| uid.is_multi_region());
        }
        let bytes = text.as_bytes();
        let dashed = bytes.len() == 36
            && bytes.iter().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => *byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            });
        let mut uid = [0; 16];
        hex::decode_to_slice(text.replace('-', ""), &mut uid).ok()?;
        Some(KeyUid(uid)).filter(|uid| dashed && !uid.is_multi_region())
    }
}

impl fmt::Display for KeyUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Each use of a key names it several times.
        let mut digits = [0; 32];
        hex::encode_to_slice(self.0, &mut digits).map_err(|_| fmt::Error)?;
        let digits = str::from_utf8(&digits).map_err(|_| fmt::Error)?;
        if self.is_multi_region() {
            f.write_str(MULTI_REGION_PREFIX)?;
            return f.write_str(digits);
        }
        for (at, group) in [0..8, 8..12, 12..16, 16..20, 20..32]
            .into_iter()
            .enumerate()
        {
            if at > 0 {
                f.write_str("-")?;
            }
            f.write_str(digits.get(group).ok_or(fmt::Error)?)?;
        }
        Ok(())
    }
}

/// Where this key service stands: the middle of its ARNs.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) region: String,
    pub(crate) account_id: String,
}

impl Place {
    pub(crate) fn key_arn(&self, uid: KeyUid) -> String {
        format!("arn:aws:kms:{}:{}:key/{uid}", self.region, self.account_id)
    }

    /// `alias` with its prefix `alias/`.
    pub(crate) fn alias_arn(&self, alias: &str) -> String {
        format!("arn:aws:kms:{}:{}:{alias}", self.region, self.account_id)
    }

    /// Reads a key identifier. The account of an ARN is not looked at here: a key of another
    /// account is a key that does not exist.
    pub(crate) fn parse(&self, text: &str) -> Result<KeyName, Error> {
        if text.is_empty() {
            return Err(Error::constraint(
                "",
                "keyId",
                "have length greater than or equal to 1",
            ));
        }
        if text.len() > KEY_ID_BYTES_MAX {
            return Err(Error::constraint(
                shortened(text),
                "keyId",
                "have length less than or equal to 2048",
            ));
        }
        if !text.starts_with("arn:") {
            return self.parse_local(text, text);
        }
        let invalid = || Error::InvalidArn(format!("Invalid arn {text}"));
        let mut parts = text.splitn(6, ':').skip(1);
        let (Some("aws"), Some("kms")) = (parts.next(), parts.next()) else {
            return Err(invalid());
        };
        let (Some(region), Some(account_id), Some(resource)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(invalid());
        };
        if region != self.region {
            return Err(Error::NotFound(format!("Invalid arn {region}")));
        }
        let local = match resource.strip_prefix("key/") {
            // The ARN of a key is no way to name an alias.
            Some(id) if id.starts_with("alias/") => return Err(invalid_key_id(text)),
            Some(id) => id,
            None if resource.starts_with("alias/") => resource,
            None => return Err(invalid()),
        };
        if account_id != self.account_id {
            return Err(if local.starts_with("alias/") {
                Error::NotFound(format!("Alias {text} is not found."))
            } else {
                Error::NotFound(format!("Key '{text}' does not exist"))
            });
        }
        self.parse_local(local, text)
    }

    fn parse_local(&self, local: &str, whole: &str) -> Result<KeyName, Error> {
        if local.starts_with("alias/") {
            return Ok(KeyName::Alias(local.to_owned()));
        }
        if let Some(uid) = KeyUid::parse(local) {
            return Ok(KeyName::Key(uid));
        }
        if is_multi_region_id(local) {
            let arn = format!(
                "arn:aws:kms:{}:{}:key/{local}",
                self.region, self.account_id
            );
            return Err(Error::NotFound(format!("Key '{arn}' does not exist")));
        }
        Err(invalid_key_id(whole))
    }

    pub(crate) fn key_not_found(&self, uid: KeyUid) -> Error {
        Error::NotFound(format!("Key '{}' does not exist", self.key_arn(uid)))
    }

    pub(crate) fn alias_not_found(&self, alias: &str) -> Error {
        Error::NotFound(format!("Alias {} is not found.", self.alias_arn(alias)))
    }
}

/// The root user of an account, and the account as a principal of policies.
pub(crate) fn root_arn(account_id: &str) -> String {
    format!("arn:aws:iam::{account_id}:root")
}

/// A key identifier, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyName {
    Key(KeyUid),
    /// With its prefix `alias/`.
    Alias(String),
}

pub(crate) fn invalid_key_id(text: &str) -> Error {
    Error::NotFound(format!("Invalid keyId '{text}'"))
}

/// Whether a text has the form of a multi-Region key's id.
fn is_multi_region_id(text: &str) -> bool {
    text.strip_prefix(MULTI_REGION_PREFIX)
        .is_some_and(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The beginning of a text that is too long to be repeated in a message.
pub(crate) fn shortened(text: &str) -> &str {
    text.get(..text.floor_char_boundary(256))
        .unwrap_or_default()
}

const MULTI_REGION_PREFIX: &str = "mrk-";
const KEY_ID_BYTES_MAX: usize = 2048;

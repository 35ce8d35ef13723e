// SPDX-License-Identifier: Apache-2.0
//! Entry points for fuzzing: any bytes may be given.

use std::str::FromStr as _;

use aws_lc_rs::digest::{SHA256, digest};

use crate::root::{KeyringFile, RecoveryInfo, RootKey, Share, recover};

#[cfg(test)]
mod tests;

/// Reads `bytes` as a keyring file, as one whose checksum was made to fit, and as a share in text.
/// What is in the right form is opened with a root key of nines.
pub fn keyring(bytes: &[u8]) {
    file(bytes);
    let sum = digest(&SHA256, bytes);
    file(&[bytes, sum.as_ref()].concat());
    if let Some(body) = bytes.get(..bytes.len().saturating_sub(32)) {
        let sum = digest(&SHA256, body);
        file(&[body, sum.as_ref()].concat());
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(share) = Share::from_str(text)
    {
        let again = Share::from_str(&share.expose_secret());
        assert!(again.is_ok_and(|again| again.number() == share.number()));
    }
}

fn file(bytes: &[u8]) {
    let Ok(file) = KeyringFile::parse(bytes) else {
        return;
    };
    assert!(!file.wraps().is_empty());
    for wrap in file.wraps() {
        let _ = RecoveryInfo::parse(wrap.parameters());
    }
    let _ = recover(&file, &[]);
    let Ok(key) = RootKey::from_bytes(&[9; 32]) else {
        return;
    };
    if let Ok(open) = file.open(&key) {
        assert!(open.keyring().is_ok());
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Identifiers in AWS's shapes, from the system's randomness.

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strongroom_wire::SecretAccessKey;
use zeroize::Zeroizing;

use crate::error::Error;

/// `AKIA` and 16 characters: 80 random bits.
pub(crate) fn access_key_id() -> Result<String, Error> {
    prefixed("AKIA", 16)
}

/// `AIDA` and 17 characters: 85 random bits.
pub(crate) fn principal_id() -> Result<String, Error> {
    prefixed("AIDA", 17)
}

/// 40 characters: 240 random bits.
pub(crate) fn secret_access_key() -> Result<SecretAccessKey, Error> {
    let mut random = Zeroizing::new([0u8; 30]);
    rand::fill(random.as_mut_slice()).map_err(|_| Error::Random)?;
    Ok(SecretAccessKey::new(STANDARD.encode(random.as_slice())))
}

fn prefixed(prefix: &str, random_chars: usize) -> Result<String, Error> {
    let mut random = vec![0u8; random_chars];
    rand::fill(&mut random).map_err(|_| Error::Random)?;
    let mut id = String::with_capacity(prefix.len().saturating_add(random_chars));
    id.push_str(prefix);
    id.extend(random.iter().map(|byte| base32(byte & 31)));
    Ok(id)
}

/// RFC 4648 base 32.
fn base32(value: u8) -> char {
    match value {
        0..=25 => char::from(b'A' + value),
        _ => char::from(b'2' + ((value - 26) & 7)),
    }
}

// SPDX-License-Identifier: Apache-2.0
//! AES-CBC with padding, reading only: what clients wrote before AES-GCM.
//!
//! Nothing authenticates it, so every way of failing is the same error.

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, DecryptionContext, StreamingDecryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::secret::AesKey;

/// The plaintext of a whole object under AES-CBC.
pub fn decrypt_cbc(
    key: &AesKey,
    iv: [u8; 16],
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Error> {
    decrypt(key, iv, ciphertext).map_err(|_| Error::Content)
}

fn decrypt(
    key: &AesKey,
    iv: [u8; 16],
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, aws_lc_rs::error::Unspecified> {
    let algorithm = match key.len() {
        16 => &AES_128,
        24 => &AES_192,
        _ => &AES_256,
    };
    let unbound = UnboundCipherKey::new(algorithm, key.expose())?;
    let context = DecryptionContext::Iv128(FixedLength::from(iv));
    let mut stream = StreamingDecryptingKey::cbc_pkcs7(unbound, context)?;
    let room = ciphertext
        .len()
        .checked_add(32)
        .ok_or(aws_lc_rs::error::Unspecified)?;
    let mut out = Zeroizing::new(vec![0; room]);
    let written = stream.update(ciphertext, &mut out)?.written().len();
    let rest = out.get_mut(written..).unwrap_or_default();
    let last = stream.finish(rest)?.written().len();
    out.truncate(written.saturating_add(last));
    Ok(out)
}

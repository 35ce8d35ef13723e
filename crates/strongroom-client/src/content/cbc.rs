// SPDX-License-Identifier: Apache-2.0
//! AES-CBC with padding, reading only: what clients wrote before AES-GCM.
//!
//! Nothing authenticates it, so every way of failing is the same error.

use std::fmt;

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
    let mut out = Zeroizing::new(Vec::new());
    let mut decryptor = CbcDecryptor::new(key, iv)?;
    decryptor.update_unverified(ciphertext, &mut out)?;
    decryptor.finish(&mut out)?;
    Ok(out)
}

/// Decrypts an object under AES-CBC from its first byte to its last.
pub struct CbcDecryptor(StreamingDecryptingKey);

impl CbcDecryptor {
    /// Begins an object.
    pub fn new(key: &AesKey, iv: [u8; 16]) -> Result<Self, Error> {
        let algorithm = match key.len() {
            16 => &AES_128,
            24 => &AES_192,
            _ => &AES_256,
        };
        let unbound = UnboundCipherKey::new(algorithm, key.expose())?;
        let context = DecryptionContext::Iv128(FixedLength::from(iv));
        Ok(Self(StreamingDecryptingKey::cbc_pkcs7(unbound, context)?))
    }

    /// Appends to `out` what the next ciphertext decrypts to, as far as it is known.
    pub fn update_unverified(&mut self, ciphertext: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let start = out.len();
        // The module wants room for a block more than it writes.
        out.resize(start.saturating_add(ciphertext.len()).saturating_add(32), 0);
        let room = out.get_mut(start..).unwrap_or_default();
        let update = self.0.update(ciphertext, room);
        let written = update.map_err(|_| Error::Content)?.written().len();
        out.truncate(start.saturating_add(written));
        Ok(())
    }

    /// Appends the rest, if the padding is one.
    pub fn finish(self, out: &mut Vec<u8>) -> Result<(), Error> {
        let mut room = Zeroizing::new([0; 32]);
        let last = self.0.finish(&mut *room).map_err(|_| Error::Content)?;
        out.extend_from_slice(last.written());
        Ok(())
    }
}

impl fmt::Debug for CbcDecryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CbcDecryptor(..)")
    }
}

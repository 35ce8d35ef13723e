// SPDX-License-Identifier: Apache-2.0
//! Data keys under an RSA key pair. Who only writes needs the public key, who only reads the
//! private one.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPrivateDecryptingKey,
    OaepPublicEncryptingKey, Pkcs1PrivateDecryptingKey, PrivateDecryptingKey, PublicEncryptingKey,
};
use zeroize::Zeroizing;

use super::java_oaep::JavaOaep;
use crate::envelope::{Cipher, Wrap};
use crate::error::Error;
use crate::secret::AesKey;

/// The public half of an RSA wrapping key.
pub struct RsaPublicKey(OaepPublicEncryptingKey);

/// The private half of an RSA wrapping key.
pub struct RsaPrivateKey {
    oaep: OaepPrivateDecryptingKey,
    pkcs1: Pkcs1PrivateDecryptingKey,
    /// For Java's own pair of hashes; the module opens all others.
    java: Option<Box<JavaOaep>>,
    /// Makes the data key that stands in for one with wrong padding.
    instead: Box<hmac::Key>,
}

impl RsaPublicKey {
    /// A public key as DER, SubjectPublicKeyInfo; 2,048 bits at least.
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        let wrong =
            Error::Config("not an RSA public key (DER, SubjectPublicKeyInfo, 2048 bits up)");
        let key = PublicEncryptingKey::from_der(der).map_err(|_| wrong)?;
        Ok(Self(OaepPublicEncryptingKey::new(key)?))
    }

    /// RSA-OAEP of `length 1 || data key || name of the cipher`.
    pub(super) fn wrap(&self, data_key: &AesKey, cipher: Cipher) -> Result<Vec<u8>, Error> {
        let len = u8::try_from(data_key.len()).map_err(|_| Error::Module)?;
        let bytes = [&[len], data_key.expose(), cipher.name().as_bytes()].concat();
        let plain = Zeroizing::new(bytes);
        let mut out = vec![0; self.0.ciphertext_size()];
        let wrapped = self
            .0
            .encrypt(&OAEP_SHA1_MGF1SHA1, &plain, &mut out, None)?;
        Ok(wrapped.to_vec())
    }
}

impl RsaPrivateKey {
    /// A private key as DER, PKCS#8; 2,048 bits at least. One whose two primes differ in length does
    /// not open the OAEP wraps of Java's own provider; all others it opens.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, Error> {
        let wrong = || Error::Config("not an RSA private key (DER, PKCS#8, 2048 bits up)");
        let key = || PrivateDecryptingKey::from_pkcs8(der).map_err(|_| wrong());
        Ok(Self {
            oaep: OaepPrivateDecryptingKey::new(key()?)?,
            pkcs1: Pkcs1PrivateDecryptingKey::new(key()?)?,
            java: JavaOaep::from_pkcs8(der).map(Box::new),
            instead: Box::new(hmac::Key::new(hmac::HMAC_SHA256, der)),
        })
    }

    pub(super) fn unwrap(
        &self,
        wrapped: &[u8],
        wrap: Wrap,
        cipher: Cipher,
    ) -> Result<AesKey, Error> {
        match wrap {
            Wrap::RsaOaepSha1 => self
                .open_oaep(&OAEP_SHA1_MGF1SHA1, wrapped)
                .and_then(|plain| bound_key(&plain, cipher))
                .ok_or(Error::WrongKey),
            // Java's own provider pairs SHA-256 with MGF1 over SHA-1, other providers with MGF1
            // over SHA-256, and the object does not say which.
            Wrap::RsaOaepSha256 => self
                .java
                .as_ref()
                .and_then(|java| java.open(wrapped))
                .or_else(|| self.open_oaep(&OAEP_SHA256_MGF1SHA256, wrapped))
                .and_then(|plain| AesKey::new(plain.to_vec()).ok())
                .ok_or(Error::WrongKey),
            Wrap::RsaPkcs1 => self.open_pkcs1(wrapped),
            _ => Err(Error::WrongKey),
        }
    }

    fn open_oaep(
        &self,
        padding: &'static OaepAlgorithm,
        wrapped: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let mut out = Zeroizing::new(vec![0; self.oaep.min_output_size()]);
        let len = self
            .oaep
            .decrypt(padding, wrapped, &mut out, None)
            .ok()?
            .len();
        out.truncate(len);
        Some(out)
    }

    /// Whether the padding holds must not show: a wrong one gives another key, which then does not
    /// open the content. It is the same one each time, as a right one would be: a new one for
    /// each try would fail in other ways from try to try, and tell.
    fn open_pkcs1(&self, wrapped: &[u8]) -> Result<AesKey, Error> {
        let instead = AesKey::new(hmac::sign(&self.instead, wrapped).as_ref().to_vec())?;
        let mut out = Zeroizing::new(vec![0; self.pkcs1.min_output_size()]);
        let len = self
            .pkcs1
            .decrypt(wrapped, &mut out)
            .map_or(0, |plain| plain.len());
        out.truncate(len);
        Ok(AesKey::new(out.to_vec()).unwrap_or(instead))
    }
}

/// The data key in an OAEP payload that is for this cipher.
fn bound_key(plain: &[u8], cipher: Cipher) -> Option<AesKey> {
    let (len, rest) = plain.split_first()?;
    let (key, name) = rest.split_at_checked(usize::from(*len))?;
    verify_slices_are_equal(name, cipher.name().as_bytes()).ok()?;
    AesKey::new(key.to_vec()).ok()
}

impl fmt::Debug for RsaPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RsaPublicKey(..)")
    }
}

impl fmt::Debug for RsaPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RsaPrivateKey(..)")
    }
}

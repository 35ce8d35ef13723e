// SPDX-License-Identifier: Apache-2.0
//! Format V3: the content key derived from data key and message id, and the commitment to it.
//!
//! ```text
//! PRK = HMAC-SHA-512(message id, data key)
//! COM = HMAC-SHA-512(PRK, 00 73 "COMMITKEY" 01), first 28 bytes
//! DEK = HMAC-SHA-512(PRK, 00 73 "DERIVEKEY" 01), first 32 bytes
//! ```
//! which is HKDF of RFC 5869. The nonce is constant: a message id is used for one plaintext only.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hkdf::{HKDF_SHA512, KeyType, Prk, Salt};
use zeroize::Zeroizing;

use super::ContentKey;
use crate::error::Error;
use crate::secret::AesKey;

/// The salt of one object's keys. Never use one for two plaintexts under the same data key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MessageId(pub [u8; 28]);

impl MessageId {
    /// A new one.
    pub fn generate() -> Result<Self, Error> {
        let mut id = [0; 28];
        aws_lc_rs::rand::fill(&mut id)?;
        Ok(Self(id))
    }
}

impl ContentKey {
    /// The key of a new object in format V3, and the object's commitment to it.
    pub fn v3(data_key: &AesKey, id: MessageId) -> Result<(Self, [u8; 28]), Error> {
        let derived = Derived::new(data_key, id)?;
        let commitment = derived.commitment()?;
        Ok((derived.content_key()?, commitment))
    }

    /// The key of an object in format V3 that commits to its key with `commitment`.
    pub fn v3_committed(
        data_key: &AesKey,
        id: MessageId,
        commitment: &[u8; 28],
    ) -> Result<Self, Error> {
        let derived = Derived::new(data_key, id)?;
        // INVARIANT: compared before the content key is derived, let alone used.
        verify_slices_are_equal(&derived.commitment()?, commitment)
            .map_err(|_| Error::Commitment)?;
        derived.content_key()
    }
}

struct Derived(Prk);

/// How many bytes are derived.
struct Bytes(usize);

impl KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

impl Derived {
    fn new(data_key: &AesKey, id: MessageId) -> Result<Self, Error> {
        if data_key.len() != 32 {
            return Err(Error::WrongKey);
        }
        if id.0 == [0; 28] {
            return Err(Error::Envelope("the message id is all zeros"));
        }
        let salt = Salt::new(HKDF_SHA512, &id.0);
        Ok(Self(salt.extract(data_key.expose())))
    }

    fn expand<const N: usize>(&self, label: &[u8]) -> Result<Zeroizing<[u8; N]>, Error> {
        let mut bytes = Zeroizing::new([0; N]);
        let info = [SUITE.as_slice(), label];
        self.0.expand(&info, Bytes(N))?.fill(bytes.as_mut_slice())?;
        Ok(bytes)
    }

    fn commitment(&self) -> Result<[u8; 28], Error> {
        self.expand(b"COMMITKEY").map(|bytes| *bytes)
    }

    fn content_key(&self) -> Result<ContentKey, Error> {
        Ok(ContentKey {
            key: AesKey::new(self.expand::<32>(b"DERIVEKEY")?.to_vec())?,
            nonce: [1; 12],
            aad: &SUITE,
        })
    }
}

/// The number of the algorithm suite, in the two bytes that keys and content are bound to.
const SUITE: [u8; 2] = [0x00, 0x73];

#[cfg(test)]
mod tests {
    use super::*;

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        hex::decode(text).unwrap().try_into().unwrap()
    }

    /// The two known answers that Amazon's Go client has among its unit tests.
    #[test]
    fn known_answers() {
        for (pdk, mid, dek, com) in [
            (
                "80d90dc4cc7e77d8a6332efa44eba56230a7fe7b89af37d1e501ab2e07c0a163",
                "b8ea76bed24c7b85382a148cb9dcd1cfdfb765f55ded4dfa6e0c4c79",
                "6dd14f546cc006e639126e83f5d4d1b118576bb5df97f38c6fb3a1db87bbc338",
                "f89818bc0a346d3a3426b68e9509b6b2ae5fe1f904aa329fb73625db",
            ),
            (
                "501afb8227d22e75e68010414b8abdaf3064c081e8e922dafef4992036394d60",
                "61a00b4981a5aacfd136c55cb726e32d2a547dc7600a7d4675c69127",
                "e14786a714748d1d2c3a4a6816dec56ddf1881bbeabb4f39420ffb9f63700b2f",
                "5c1e73e47f6fe3a70d6d094283aceaa76d2975feb829212d88f0afc1",
            ),
        ] {
            let data_key = AesKey::new(hex::<32>(pdk).to_vec()).unwrap();
            let id = MessageId(hex(mid));
            let (key, commitment) = ContentKey::v3(&data_key, id).unwrap();
            assert_eq!(key.key.expose(), hex::<32>(dek));
            assert_eq!(commitment, hex::<28>(com));
            assert!(ContentKey::v3_committed(&data_key, id, &commitment).is_ok());
            for bit in 0..28 * 8 {
                let mut other = commitment;
                other[bit / 8] ^= 1 << (bit % 8);
                let refused = ContentKey::v3_committed(&data_key, id, &other);
                assert!(matches!(refused, Err(Error::Commitment)), "bit {bit}");
            }
        }
    }

    #[test]
    fn keys_and_ids_that_no_object_has() {
        let short = AesKey::new(vec![7; 16]).unwrap();
        let id = MessageId([1; 28]);
        assert!(matches!(ContentKey::v3(&short, id), Err(Error::WrongKey)));
        let long = AesKey::new(vec![7; 32]).unwrap();
        let zeros = ContentKey::v3(&long, MessageId([0; 28]));
        assert!(matches!(zeros, Err(Error::Envelope(_))));
    }
}

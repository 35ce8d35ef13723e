// SPDX-License-Identifier: Apache-2.0
//! RSA-OAEP as Java's own provider has it under the name `OAEPWithSHA-256AndMGF1Padding`: SHA-256 for
//! the label, but SHA-1 in the mask. Amazon's first client for Java wrapped data keys so. Reading only.
//!
//! The cryptographic module has no such pair; the `rsa` crate has (ADR 0047). It is used for nothing
//! else, and blinded with the module's random numbers. Whatever is wrong, the answer is the same `None`.

use std::fmt;

use aws_lc_rs::error::Unspecified;
use rsa::pkcs8::DecodePrivateKey as _;
use rsa::rand_core::{TryCryptoRng, TryRng};
use rsa::traits::PaddingScheme as _;
use rsa::{Oaep, RsaPrivateKey};
use sha1::Sha1;
use sha2::Sha256;
use zeroize::Zeroizing;

/// An RSA private key that this padding is taken off with.
pub(super) struct JavaOaep(RsaPrivateKey);

impl JavaOaep {
    /// Of a private key as DER, PKCS#8. `None` if it is none, and for keys that only the module takes:
    /// with more than two primes, or primes of unequal length.
    pub(super) fn from_pkcs8(der: &[u8]) -> Option<Self> {
        RsaPrivateKey::from_pkcs8_der(der).ok().map(Self)
    }

    /// The data key of 16, 24 or 32 bytes that was wrapped.
    pub(super) fn open(&self, wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let padding = Oaep::<Sha256, Sha1>::new_with_mgf_hash();
        let plain = padding.decrypt(Some(&mut ModuleRandom), &self.0, wrapped);
        let plain = Zeroizing::new(plain.ok()?);
        matches!(plain.len(), 16 | 24 | 32).then_some(plain)
    }
}

impl fmt::Debug for JavaOaep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JavaOaep(..)")
    }
}

/// The module's random numbers, for the blinding.
struct ModuleRandom;

impl TryRng for ModuleRandom {
    type Error = Unspecified;

    fn try_next_u32(&mut self) -> Result<u32, Unspecified> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Unspecified> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_be_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Unspecified> {
        aws_lc_rs::rand::fill(to)
    }
}

impl TryCryptoRng for ModuleRandom {}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
    use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
    use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};
    use rsa::hazmat::rsa_encrypt;
    use rsa::traits::PublicKeyParts as _;
    use rsa::{BoxedUint, RsaPublicKey};

    use super::*;

    fn new_key() -> Vec<u8> {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
        der.as_ref().to_vec()
    }

    /// RSA without padding.
    fn power(public: &RsaPublicKey, encoded: &[u8]) -> Vec<u8> {
        let number = BoxedUint::from_be_slice(encoded, 2048).unwrap();
        rsa_encrypt(public, &number).unwrap().to_be_bytes().into()
    }

    /// MGF1 with SHA-1.
    fn mask(seed: &[u8], bytes: usize) -> Vec<u8> {
        let blocks = (0_u32..).map(|counter| {
            let input = [seed, &counter.to_be_bytes()].concat();
            digest(&SHA1_FOR_LEGACY_USE_ONLY, &input).as_ref().to_vec()
        });
        blocks
            .take(bytes.div_ceil(20))
            .flatten()
            .take(bytes)
            .collect()
    }

    fn xor(a: &[u8], b: &[u8]) -> Vec<u8> {
        a.iter().zip(b).map(|(a, b)| a ^ b).collect()
    }

    /// What the writer encrypts (RFC 8017, section 7.1.1): a first byte, a label's hash, padding, a
    /// message.
    fn encoded(first: u8, label: &[u8], zeros: u8, one: u8, message: &[u8]) -> Vec<u8> {
        let mut block = digest(&SHA256, label).as_ref().to_vec();
        block.resize(256 - 33 - message.len() - 1, zeros);
        block.push(one);
        block.extend_from_slice(message);
        let seed = [0x5C; 32];
        let masked = xor(&block, &mask(&seed, block.len()));
        let masked_seed = xor(&seed, &mask(&masked, 32));
        [&[first], &masked_seed[..], &masked[..]].concat()
    }

    #[test]
    fn only_data_keys_under_the_right_padding_open() {
        let private = JavaOaep::from_pkcs8(&new_key()).unwrap();
        let public = private.0.to_public_key();
        let modulus: Vec<u8> = public.n().to_be_bytes().into();
        let wrap = |encoded: &[u8]| power(&public, encoded);
        for len in [16, 24, 32] {
            let message = vec![9; len];
            let wrapped = wrap(&encoded(0, b"", 0, 1, &message));
            assert_eq!(*private.open(&wrapped).unwrap(), message);
            for bit in (0..256 * 8).step_by(97) {
                let mut other = wrapped.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                assert!(private.open(&other).is_none(), "bit {bit}");
            }
        }
        let key = [9; 32];
        // A first byte of 1 is below every modulus of 2,048 bits, whose first is 128 and more.
        for (story, encoded) in [
            ("another first byte", encoded(1, b"", 0, 1, &key)),
            ("another label", encoded(0, b"x", 0, 1, &key)),
            ("padding that is not zero", encoded(0, b"", 7, 1, &key)),
            ("no end of the padding", encoded(0, b"", 0, 0, &key)),
            ("another end", encoded(0, b"", 0, 2, &key)),
            ("a key that is too short", encoded(0, b"", 0, 1, &[9; 31])),
            ("a key that is too long", encoded(0, b"", 0, 1, &[9; 33])),
            ("no key", encoded(0, b"", 0, 1, &[])),
            ("all zeros", vec![0; 256]),
        ] {
            assert!(private.open(&wrap(&encoded)).is_none(), "{story}");
        }
        let wrapped = wrap(&encoded(0, b"", 0, 1, &key));
        for wrong in [
            Vec::new(),
            wrapped[1..].to_vec(),
            [&[0], &wrapped[..]].concat(),
            modulus,
            vec![0xFF; 256],
        ] {
            assert!(private.open(&wrong).is_none());
        }
        assert_eq!(format!("{private:?}"), "JavaOaep(..)");
    }

    #[test]
    fn der_that_is_cut_or_is_no_rsa_key_is_none() {
        let der = new_key();
        for cut in (0..der.len()).step_by(13) {
            assert!(JavaOaep::from_pkcs8(&der[..cut]).is_none(), "{cut}");
        }
        for wrong in [&[][..], &[0x30], &[0x30, 0x84, 0, 0, 0, 0], &[0x30, 0x80]] {
            assert!(JavaOaep::from_pkcs8(wrong).is_none());
        }
    }

    /// Blinding is only as good as what it draws.
    #[test]
    fn random_numbers_are_drawn() {
        let mut random = ModuleRandom;
        let one = (
            random.try_next_u64().unwrap(),
            random.try_next_u32().unwrap(),
        );
        let other = (
            random.try_next_u64().unwrap(),
            random.try_next_u32().unwrap(),
        );
        assert!(one.0 != other.0 && one.1 != other.1);
    }
}

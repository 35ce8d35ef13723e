// SPDX-License-Identifier: Apache-2.0
//! RSA-OAEP as Java's own provider has it under the name `OAEPWithSHA-256AndMGF1Padding`: SHA-256 for
//! the label, but SHA-1 in the mask. Amazon's first client for Java wrapped data keys so. Reading only.
//!
//! The cryptographic module has no such pair and gives out no bare RSA, so both are here: the power by
//! a library whose time does not depend on the numbers, the padding by comparisons in constant time.
//! Whatever is wrong, the answer is the same `None`.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use crypto_bigint::BoxedUint;
use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use zeroize::{Zeroize as _, Zeroizing};

/// The numbers of an RSA private key that the padding is taken off with.
pub(super) struct JavaOaep {
    modulus: Vec<u8>,
    exponent: Zeroizing<Vec<u8>>,
}

impl JavaOaep {
    /// Of a private key as DER, PKCS#8.
    pub(super) fn from_pkcs8(der: &[u8]) -> Option<Self> {
        let (info, _) = element(der, SEQUENCE)?;
        let (_version, info) = element(info, INTEGER)?;
        let (_algorithm, info) = element(info, SEQUENCE)?;
        let (key, _) = element(info, OCTETS)?;
        let (key, _) = element(key, SEQUENCE)?;
        let (_version, key) = element(key, INTEGER)?;
        let (modulus, key) = element(key, INTEGER)?;
        let (_public, key) = element(key, INTEGER)?;
        let (exponent, _) = element(key, INTEGER)?;
        let (modulus, exponent) = (magnitude(modulus), magnitude(exponent));
        let is_whole = modulus.len() >= MODULUS_BYTES_MIN && exponent.len() <= modulus.len();
        is_whole.then(|| Self {
            modulus: modulus.to_vec(),
            exponent: Zeroizing::new(exponent.to_vec()),
        })
    }

    /// The data key of 16, 24 or 32 bytes that was wrapped.
    pub(super) fn open(&self, wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        unpad(&self.power(wrapped)?)
    }

    /// `wrapped` to the power of the exponent: as many bytes as the modulus has.
    fn power(&self, wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        // Neither is a secret.
        if wrapped.len() != self.modulus.len() || wrapped >= self.modulus.as_slice() {
            return None;
        }
        let bits = u32::try_from(self.modulus.len()).ok()?.checked_mul(8)?;
        let number = |bytes: &[u8]| BoxedUint::from_be_slice(bytes, bits).ok();
        let modulus = number(&self.modulus)?.into_odd().into_option()?;
        let params = BoxedMontyParams::new(modulus);
        let mut exponent = number(&self.exponent)?;
        let mut result = BoxedMontyForm::new(number(wrapped)?, &params).pow(&exponent);
        let mut message = result.retrieve();
        let bytes = Zeroizing::new(message.to_be_bytes().into_vec());
        exponent.zeroize();
        result.zeroize();
        message.zeroize();
        let zeros = bytes.len().checked_sub(self.modulus.len())?;
        Some(Zeroizing::new(bytes.get(zeros..)?.to_vec()))
    }
}

impl fmt::Debug for JavaOaep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JavaOaep(..)")
    }
}

/// RFC 8017, section 7.1.2, step 3, for messages of the lengths of AES keys:
///
/// ```text
///   00 || seed 32, masked || (SHA-256 of no label || 00 .. 00 || 01 || message), masked
/// ```
fn unpad(encoded: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (first, rest) = encoded.split_first()?;
    let (masked_seed, masked) = rest.split_first_chunk::<32>()?;
    let seed = xor(masked_seed, &mask(masked, 32));
    let block = xor(masked, &mask(&seed, masked.len()));
    let mut found = None;
    for len in [16_usize, 24, 32] {
        let before = block.len().checked_sub(len)?;
        let (padding, message) = block.split_at_checked(before)?;
        // Compared whole, so that it does not show how much of it was right.
        let is = Zeroizing::new([&[*first], padding].concat());
        let mut should = vec![0];
        should.extend_from_slice(digest(&SHA256, &[]).as_ref());
        should.resize(before, 0);
        should.push(1);
        if verify_slices_are_equal(&is, &should).is_ok() {
            found = Some(Zeroizing::new(message.to_vec()));
        }
    }
    found
}

/// MGF1 with SHA-1.
fn mask(seed: &[u8], bytes: usize) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(bytes.saturating_add(20)));
    for counter in 0_u32.. {
        if out.len() >= bytes {
            break;
        }
        let input = Zeroizing::new([seed, &counter.to_be_bytes()].concat());
        out.extend_from_slice(digest(&SHA1_FOR_LEGACY_USE_ONLY, &input).as_ref());
    }
    out.truncate(bytes);
    out
}

fn xor(a: &[u8], b: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(a.to_vec());
    out.iter_mut().zip(b).for_each(|(out, b)| *out ^= b);
    out
}

/// Content of the first element of DER, and what is behind it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let rest = der.strip_prefix(&[tag])?;
    let (first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7F => (usize::from(*first), rest),
        0x81..=0x83 => {
            let (len, rest) = rest.split_at_checked(usize::from(first & 0x0F))?;
            let len = len
                .iter()
                .fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
            (len, rest)
        }
        _ => return None,
    };
    rest.split_at_checked(len)
}

/// A positive number without the zeros before it.
fn magnitude(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
/// 2,048 bits.
const MODULUS_BYTES_MIN: usize = 256;

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
    use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};

    use super::*;

    struct Pair {
        private: JavaOaep,
        /// The same modulus with the public exponent.
        public: JavaOaep,
    }

    fn pair() -> Pair {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
        let private = JavaOaep::from_pkcs8(der.as_ref()).unwrap();
        let public = JavaOaep {
            modulus: private.modulus.clone(),
            exponent: Zeroizing::new(vec![1, 0, 1]),
        };
        Pair { private, public }
    }

    /// What the writer encrypts: a first byte, a label's hash, padding, a message.
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
        let Pair { private, public } = pair();
        let wrap = |encoded: &[u8]| public.power(encoded).unwrap();
        for len in [16, 24, 32] {
            let message = vec![9; len];
            let wrapped = wrap(&encoded(0, b"", 0, 1, &message));
            assert_eq!(*private.open(&wrapped).unwrap(), message);
            for bit in (0..256 * 8).step_by(97) {
                let mut other = wrapped.to_vec();
                other[bit / 8] ^= 1 << (bit % 8);
                assert!(private.open(&other).is_none(), "bit {bit}");
            }
        }
        let key = [9; 32];
        for (story, encoded) in [
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
        // Not to be wrapped under all moduli, so without RSA.
        assert!(unpad(&encoded(0, b"", 0, 1, &key)).is_some());
        assert!(unpad(&encoded(1, b"", 0, 1, &key)).is_none());
        let wrapped = wrap(&encoded(0, b"", 0, 1, &key));
        for wrong in [
            Vec::new(),
            wrapped[1..].to_vec(),
            [&[0], &wrapped[..]].concat(),
            private.modulus.clone(),
            vec![0xFF; 256],
        ] {
            assert!(private.open(&wrong).is_none());
        }
        assert!(!format!("{private:?}").contains("exponent"));
    }

    #[test]
    fn der_that_is_cut_or_is_no_rsa_key_is_none() {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
        let der = der.as_ref();
        for cut in (0..der.len()).step_by(13) {
            assert!(JavaOaep::from_pkcs8(&der[..cut]).is_none(), "{cut}");
        }
        for wrong in [&[][..], &[0x30], &[0x30, 0x84, 0, 0, 0, 0], &[0x30, 0x80]] {
            assert!(JavaOaep::from_pkcs8(wrong).is_none());
        }
    }
}

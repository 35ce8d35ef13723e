// SPDX-License-Identifier: Apache-2.0
//! Key pairs: made, written as PKCS#8 and SubjectPublicKeyInfo (both DER), and read again.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaKeyPair,
};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::material::Material;
use crate::model::KeySpec;

/// A key pair, ready for use.
pub(crate) enum KeyPair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl KeyPair {
    /// A new key pair. RSA takes up to seconds.
    pub(crate) fn generate(spec: KeySpec) -> Result<KeyPair, Error> {
        let refused = |_| Error::Internal("making a key pair");
        match Kind::of(spec)? {
            Kind::Rsa(size) => RsaKeyPair::generate(size)
                .map(KeyPair::Rsa)
                .map_err(refused),
            Kind::Ecdsa(curve) => EcdsaKeyPair::generate(curve)
                .map(KeyPair::Ecdsa)
                .map_err(refused),
            Kind::Ed25519 => Ed25519KeyPair::generate()
                .map(KeyPair::Ed25519)
                .map_err(refused),
        }
    }

    /// The key pair that is the material of a key of `spec`.
    pub(crate) fn read(spec: KeySpec, material: &Material) -> Result<KeyPair, Error> {
        let pkcs8 = material.expose_secret();
        let pair = match Kind::of(spec)? {
            Kind::Rsa(size) => RsaKeyPair::from_pkcs8(pkcs8)
                .ok()
                .filter(|pair| pair.public_modulus_len() == size.len())
                .map(KeyPair::Rsa),
            Kind::Ecdsa(curve) => EcdsaKeyPair::from_pkcs8(curve, pkcs8)
                .ok()
                .map(KeyPair::Ecdsa),
            Kind::Ed25519 => Ed25519KeyPair::from_pkcs8(pkcs8).ok().map(KeyPair::Ed25519),
        };
        pair.ok_or_else(|| Error::Corrupted {
            what: format!("a private key of {}", spec.as_str()),
        })
    }

    /// The private key: PrivateKeyInfo (RFC 5208).
    pub(crate) fn private_key(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let der: Result<Pkcs8V1Der<'_>, _> = match self {
            KeyPair::Rsa(pair) => pair.as_der(),
            KeyPair::Ecdsa(pair) => {
                let written = pair.to_pkcs8v1();
                let written = written.map_err(|_| Error::Internal("writing a private key"))?;
                return Ok(Zeroizing::new(written.as_ref().to_vec()));
            }
            KeyPair::Ed25519(pair) => pair.as_der(),
        };
        let der = der.map_err(|_| Error::Internal("writing a private key"))?;
        Ok(Zeroizing::new(der.as_ref().to_vec()))
    }

    /// The public key: SubjectPublicKeyInfo (RFC 5280).
    pub(crate) fn public_key(&self) -> Result<Vec<u8>, Error> {
        let der: Result<PublicKeyX509Der<'_>, _> = match self {
            KeyPair::Rsa(pair) => pair.public_key().as_der(),
            KeyPair::Ecdsa(pair) => pair.public_key().as_der(),
            KeyPair::Ed25519(pair) => pair.public_key().as_der(),
        };
        let der = der.map_err(|_| Error::Internal("writing a public key"))?;
        Ok(der.as_ref().to_vec())
    }
}

/// How the cryptographic module makes and reads the key pairs of a specification.
enum Kind {
    Rsa(KeySize),
    Ecdsa(&'static EcdsaSigningAlgorithm),
    Ed25519,
}

impl Kind {
    fn of(spec: KeySpec) -> Result<Kind, Error> {
        match spec {
            KeySpec::Rsa2048 => Ok(Kind::Rsa(KeySize::Rsa2048)),
            KeySpec::Rsa3072 => Ok(Kind::Rsa(KeySize::Rsa3072)),
            KeySpec::Rsa4096 => Ok(Kind::Rsa(KeySize::Rsa4096)),
            KeySpec::EccNistP256 => Ok(Kind::Ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING)),
            KeySpec::EccNistP384 => Ok(Kind::Ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING)),
            KeySpec::EccNistP521 => Ok(Kind::Ecdsa(&ECDSA_P521_SHA512_ASN1_SIGNING)),
            KeySpec::EccNistEdwards25519 => Ok(Kind::Ed25519),
            KeySpec::SymmetricDefault
            | KeySpec::Hmac224
            | KeySpec::Hmac256
            | KeySpec::Hmac384
            | KeySpec::Hmac512 => Err(Error::Internal("a key pair of a symmetric key")),
        }
    }
}

/// Keys of every kind, with what OpenSSL did with them (`tests/openssl/make.py`).
#[cfg(test)]
pub(crate) mod openssl {
    use serde_json::Value;

    use super::*;

    pub(crate) struct Vector {
        pub(crate) spec: KeySpec,
        pub(crate) private: Material,
        pub(crate) members: Value,
        pub(crate) message: Vec<u8>,
    }

    impl Vector {
        pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
            hex::decode(self.members[name].as_str().unwrap()).unwrap()
        }

        /// A member that is a map from words of the wire to bytes.
        pub(crate) fn map(&self, name: &str) -> Vec<(String, Vec<u8>)> {
            let Some(map) = self.members[name].as_object() else {
                return Vec::new();
            };
            map.iter()
                .map(|(word, bytes)| {
                    let bytes = hex::decode(bytes.as_str().unwrap()).unwrap();
                    (word.clone(), bytes)
                })
                .collect()
        }
    }

    pub(crate) fn vectors() -> Vec<Vector> {
        let all: Value =
            serde_json::from_str(include_str!("../tests/openssl/vectors.json")).unwrap();
        let message = hex::decode(all["message"].as_str().unwrap()).unwrap();
        let keys = all["keys"].as_object().unwrap();
        keys.iter()
            .map(|(spec, members)| {
                let private = hex::decode(members["private"].as_str().unwrap()).unwrap();
                Vector {
                    spec: KeySpec::parse(spec).unwrap(),
                    private: Material::new(Zeroizing::new(private)),
                    members: members.clone(),
                    message: message.clone(),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_openssl_are_read_and_written_alike() {
        for vector in openssl::vectors() {
            let pair = KeyPair::read(vector.spec, &vector.private).unwrap();
            assert_eq!(pair.public_key().unwrap(), vector.bytes("public"));
            let again = pair.private_key().unwrap();
            assert_eq!(
                again.as_slice(),
                vector.private.expose_secret(),
                "{:?}",
                vector.spec
            );
        }
    }

    const QUICK: [KeySpec; 5] = [
        KeySpec::Rsa2048,
        KeySpec::EccNistP256,
        KeySpec::EccNistP384,
        KeySpec::EccNistP521,
        KeySpec::EccNistEdwards25519,
    ];

    #[test]
    fn key_pairs_are_read_as_they_were_written() {
        for spec in QUICK {
            let pair = KeyPair::generate(spec).unwrap();
            let material = Material::new(pair.private_key().unwrap());
            let again = KeyPair::read(spec, &material).unwrap();
            assert_eq!(pair.public_key().unwrap(), again.public_key().unwrap());
            for other in KeySpec::ALL.iter().filter(|other| **other != spec) {
                assert!(
                    KeyPair::read(*other, &material).is_err(),
                    "{spec:?} {other:?}"
                );
            }
            let whole = material.expose_secret();
            for len in 0..whole.len() {
                let short = Material::new(Zeroizing::new(whole[..len].to_vec()));
                assert!(KeyPair::read(spec, &short).is_err(), "{spec:?} {len}");
            }
        }
    }

    #[test]
    fn symmetric_keys_are_no_pairs() {
        for spec in [
            KeySpec::SymmetricDefault,
            KeySpec::Hmac224,
            KeySpec::Hmac512,
        ] {
            assert!(KeyPair::generate(spec).is_err());
        }
    }
}

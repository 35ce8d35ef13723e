// SPDX-License-Identifier: Apache-2.0
//! Signature algorithms, and both directions of each with one key pair; of Sign and Verify.

use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, ED25519, KeyPair as _,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding, UnparsedPublicKey, VerificationAlgorithm,
};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::key_id::shortened;
use crate::key_pair::KeyPair;
use crate::model::Plaintext;
use crate::rows::KeyRow;

/// A signature algorithm that keys here can have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SigningAlgorithm {
    word: &'static str,
    scheme: Scheme,
    hash: Hash,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    RsaPss,
    RsaPkcs1,
    Ecdsa,
    /// The message itself is signed, so there is no digest of it.
    Ed25519,
    /// Ed25519 of a digest; the cryptographic module has no function for it that is safe to call.
    Ed25519Ph,
    /// What no key here has.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            Hash::Sha256 => &digest::SHA256,
            Hash::Sha384 => &digest::SHA384,
            Hash::Sha512 => &digest::SHA512,
        }
    }
}

/// What is signed: the bytes that were sent, or what they are the digest of.
pub(crate) enum Message {
    Raw(Zeroizing<Vec<u8>>),
    Digest(Digest),
}

/// `MessageType` of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageType {
    Raw,
    Digest,
    /// Of algorithms that no key here has.
    ExternalMu,
}

impl MessageType {
    pub(crate) fn parse(word: Option<&str>) -> Result<MessageType, Error> {
        match word {
            None | Some("RAW") => Ok(MessageType::Raw),
            Some("DIGEST") => Ok(MessageType::Digest),
            Some("EXTERNAL_MU") => Ok(MessageType::ExternalMu),
            Some(other) => Err(Error::constraint(
                shortened(other),
                "messageType",
                "satisfy enum value set: [RAW, DIGEST, EXTERNAL_MU]",
            )),
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            MessageType::Raw => "RAW",
            MessageType::Digest => "DIGEST",
            MessageType::ExternalMu => "EXTERNAL_MU",
        }
    }
}

impl SigningAlgorithm {
    /// Reads the word of the wire.
    pub(crate) fn parse(word: &str) -> Result<SigningAlgorithm, Error> {
        let known = ALGORITHMS.iter().find(|known| known.word == word);
        known.copied().ok_or_else(|| {
            let words: Vec<&str> = ALGORITHMS.iter().map(|known| known.word).collect();
            let must = format!("satisfy enum value set: [{}]", words.join(", "));
            Error::constraint(shortened(word), "signingAlgorithm", &must)
        })
    }

    /// The word of the wire.
    pub(crate) fn as_str(self) -> &'static str {
        self.word
    }

    /// Refuses an algorithm that the key has not.
    pub(crate) fn suits(self, row: &KeyRow) -> Result<(), Error> {
        let of_key = row.spec.algorithms(row.usage);
        if self.scheme == Scheme::Ed25519Ph && of_key.contains(&ED25519_WORD) {
            return Err(Error::UnsupportedOperation(format!(
                "Algorithm {} is not supported here.",
                self.word
            )));
        }
        row.has_algorithm(self.word)
    }

    /// The message as this algorithm takes it.
    pub(crate) fn message(
        self,
        bytes: &Plaintext,
        kind: MessageType,
        row: &KeyRow,
    ) -> Result<Message, Error> {
        let bytes = bytes.expose_secret();
        match kind {
            MessageType::Raw => Ok(Message::Raw(Zeroizing::new(bytes.to_vec()))),
            MessageType::Digest if self.scheme == Scheme::Ed25519 => {
                Err(Error::Validation(format!(
                    "Message type DIGEST is incompatible with algorithm {}.",
                    self.word
                )))
            }
            MessageType::Digest => {
                let digest = Digest::import_less_safe(bytes, self.hash.algorithm());
                digest.map(Message::Digest).map_err(|_| {
                    Error::Validation(format!(
                        "Digest is invalid length for algorithm {}.",
                        self.word
                    ))
                })
            }
            MessageType::ExternalMu => Err(Error::Validation(format!(
                "Message type EXTERNAL_MU is incompatible with key spec {}.",
                row.spec.as_str()
            ))),
        }
    }

    /// Signs; ECDSA's signatures are DER (RFC 3279).
    pub(crate) fn sign(self, pair: &KeyPair, message: &Message) -> Result<Vec<u8>, Error> {
        let refused = |_| Error::Internal("signing");
        match pair {
            KeyPair::Rsa(pair) => {
                let encoding = self.rsa_encoding()?;
                let mut signature = vec![0; pair.public_modulus_len()];
                match message {
                    Message::Raw(bytes) => {
                        pair.sign(encoding, &SystemRandom::new(), bytes, &mut signature)
                    }
                    Message::Digest(digest) => pair.sign_digest(encoding, digest, &mut signature),
                }
                .map_err(refused)?;
                Ok(signature)
            }
            KeyPair::Ecdsa(pair) => {
                let signature = match message {
                    Message::Raw(bytes) => pair.sign(&SystemRandom::new(), bytes),
                    Message::Digest(digest) => pair.sign_digest(digest),
                };
                Ok(signature.map_err(refused)?.as_ref().to_vec())
            }
            KeyPair::Ed25519(pair) => match message {
                Message::Raw(bytes) => Ok(pair.try_sign(bytes).map_err(refused)?.as_ref().to_vec()),
                Message::Digest(_) => Err(Error::Internal("a digest for Ed25519")),
            },
        }
    }

    /// Whether the key pair signed the message so.
    pub(crate) fn verify(
        self,
        pair: &KeyPair,
        message: &Message,
        signature: &[u8],
    ) -> Result<(), Error> {
        let algorithm = self.verification(pair)?;
        let key = match pair {
            KeyPair::Rsa(pair) => pair.public_key().as_ref(),
            KeyPair::Ecdsa(pair) => pair.public_key().as_ref(),
            KeyPair::Ed25519(pair) => pair.public_key().as_ref(),
        };
        let key = UnparsedPublicKey::new(algorithm, key);
        match message {
            Message::Raw(bytes) => key.verify(bytes, signature),
            Message::Digest(digest) => key.verify_digest(digest, signature),
        }
        .map_err(|_| Error::InvalidSignature)
    }

    fn rsa_encoding(self) -> Result<&'static dyn RsaEncoding, Error> {
        match (self.scheme, self.hash) {
            (Scheme::RsaPss, Hash::Sha256) => Ok(&RSA_PSS_SHA256),
            (Scheme::RsaPss, Hash::Sha384) => Ok(&RSA_PSS_SHA384),
            (Scheme::RsaPss, Hash::Sha512) => Ok(&RSA_PSS_SHA512),
            (Scheme::RsaPkcs1, Hash::Sha256) => Ok(&RSA_PKCS1_SHA256),
            (Scheme::RsaPkcs1, Hash::Sha384) => Ok(&RSA_PKCS1_SHA384),
            (Scheme::RsaPkcs1, Hash::Sha512) => Ok(&RSA_PKCS1_SHA512),
            (Scheme::Ecdsa | Scheme::Ed25519 | Scheme::Ed25519Ph | Scheme::Other, _) => {
                Err(Error::Internal("an algorithm that is not of RSA"))
            }
        }
    }

    fn verification(self, pair: &KeyPair) -> Result<&'static dyn VerificationAlgorithm, Error> {
        match (pair, self.scheme, self.hash) {
            (KeyPair::Rsa(_), Scheme::RsaPss, Hash::Sha256) => Ok(&RSA_PSS_2048_8192_SHA256),
            (KeyPair::Rsa(_), Scheme::RsaPss, Hash::Sha384) => Ok(&RSA_PSS_2048_8192_SHA384),
            (KeyPair::Rsa(_), Scheme::RsaPss, Hash::Sha512) => Ok(&RSA_PSS_2048_8192_SHA512),
            (KeyPair::Rsa(_), Scheme::RsaPkcs1, Hash::Sha256) => Ok(&RSA_PKCS1_2048_8192_SHA256),
            (KeyPair::Rsa(_), Scheme::RsaPkcs1, Hash::Sha384) => Ok(&RSA_PKCS1_2048_8192_SHA384),
            (KeyPair::Rsa(_), Scheme::RsaPkcs1, Hash::Sha512) => Ok(&RSA_PKCS1_2048_8192_SHA512),
            (KeyPair::Ecdsa(_), Scheme::Ecdsa, Hash::Sha256) => Ok(&ECDSA_P256_SHA256_ASN1),
            (KeyPair::Ecdsa(_), Scheme::Ecdsa, Hash::Sha384) => Ok(&ECDSA_P384_SHA384_ASN1),
            (KeyPair::Ecdsa(_), Scheme::Ecdsa, Hash::Sha512) => Ok(&ECDSA_P521_SHA512_ASN1),
            (KeyPair::Ed25519(_), Scheme::Ed25519, Hash::Sha512) => Ok(&ED25519),
            (KeyPair::Rsa(_) | KeyPair::Ecdsa(_) | KeyPair::Ed25519(_), _, _) => {
                Err(Error::Internal("an algorithm that the key has not"))
            }
        }
    }
}

const fn algorithm(word: &'static str, scheme: Scheme, hash: Hash) -> SigningAlgorithm {
    SigningAlgorithm { word, scheme, hash }
}

const ED25519_WORD: &str = "ED25519_SHA_512";
const ALGORITHMS: [SigningAlgorithm; 13] = [
    algorithm("RSASSA_PSS_SHA_256", Scheme::RsaPss, Hash::Sha256),
    algorithm("RSASSA_PSS_SHA_384", Scheme::RsaPss, Hash::Sha384),
    algorithm("RSASSA_PSS_SHA_512", Scheme::RsaPss, Hash::Sha512),
    algorithm("RSASSA_PKCS1_V1_5_SHA_256", Scheme::RsaPkcs1, Hash::Sha256),
    algorithm("RSASSA_PKCS1_V1_5_SHA_384", Scheme::RsaPkcs1, Hash::Sha384),
    algorithm("RSASSA_PKCS1_V1_5_SHA_512", Scheme::RsaPkcs1, Hash::Sha512),
    algorithm("ECDSA_SHA_256", Scheme::Ecdsa, Hash::Sha256),
    algorithm("ECDSA_SHA_384", Scheme::Ecdsa, Hash::Sha384),
    algorithm("ECDSA_SHA_512", Scheme::Ecdsa, Hash::Sha512),
    algorithm("SM2DSA", Scheme::Other, Hash::Sha256),
    algorithm("ML_DSA_SHAKE_256", Scheme::Other, Hash::Sha256),
    algorithm(ED25519_WORD, Scheme::Ed25519, Hash::Sha512),
    algorithm("ED25519_PH_SHA_512", Scheme::Ed25519Ph, Hash::Sha512),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_pair::openssl::vectors;

    fn raw(bytes: &[u8]) -> Message {
        Message::Raw(Zeroizing::new(bytes.to_vec()))
    }

    #[test]
    fn signatures_of_openssl_verify() {
        let mut count = 0;
        for vector in vectors() {
            let pair = KeyPair::read(vector.spec, &vector.private).unwrap();
            for (word, signature) in vector.map("signatures") {
                let algorithm = SigningAlgorithm::parse(&word).unwrap();
                let message = raw(&vector.message);
                algorithm.verify(&pair, &message, &signature).unwrap();
                if !matches!(algorithm.scheme, Scheme::RsaPss | Scheme::Ecdsa) {
                    // No randomness in it, so there is one signature only.
                    assert_eq!(
                        algorithm.sign(&pair, &message).unwrap(),
                        signature,
                        "{word}"
                    );
                }
                let other = raw(b"another message");
                assert!(
                    algorithm.verify(&pair, &other, &signature).is_err(),
                    "{word}"
                );
                let mut changed = signature.clone();
                *changed.last_mut().unwrap() ^= 1;
                assert!(
                    algorithm.verify(&pair, &message, &changed).is_err(),
                    "{word}"
                );
                count += 1;
            }
        }
        assert_eq!(count, 10);
    }

    /// RFC 8032, section 7.1, test 2.
    #[test]
    fn ed25519_of_its_rfc() {
        let pkcs8 = "302e020100300506032b657004220420".to_owned()
            + "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
        let material = crate::material::Material::new(hex::decode(pkcs8).unwrap().into());
        let spec = crate::model::KeySpec::EccNistEdwards25519;
        let pair = KeyPair::read(spec, &material).unwrap();
        let algorithm = SigningAlgorithm::parse("ED25519_SHA_512").unwrap();
        let signature = algorithm.sign(&pair, &raw(&[0x72])).unwrap();
        assert_eq!(
            hex::encode(signature),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da".to_owned()
                + "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        );
    }

    #[test]
    fn algorithms_of_other_keys_do_not_run() {
        for vector in vectors() {
            let pair = KeyPair::read(vector.spec, &vector.private).unwrap();
            let own = vector.map("signatures");
            let others = ALGORITHMS
                .iter()
                .filter(|algorithm| own.iter().all(|(word, _)| word != algorithm.word));
            for algorithm in others {
                let told = algorithm.verify(&pair, &raw(b"m"), &[0; 64]);
                assert!(told.is_err(), "{:?} {}", vector.spec, algorithm.word);
            }
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! What a KMS key is: the words of the interface, and how they are stored.

use std::fmt;

use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

/// Where a key is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum KeyState {
    /// In use.
    #[n(0)]
    Enabled,
    /// Not usable until enabled again.
    #[n(1)]
    Disabled,
    /// Waiting to be destroyed.
    #[n(2)]
    PendingDeletion,
    /// Waiting for imported material.
    #[n(3)]
    PendingImport,
    /// Its material cannot be reached.
    #[n(4)]
    Unavailable,
}

impl KeyState {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            KeyState::Enabled => "Enabled",
            KeyState::Disabled => "Disabled",
            KeyState::PendingDeletion => "PendingDeletion",
            KeyState::PendingImport => "PendingImport",
            KeyState::Unavailable => "Unavailable",
        }
    }
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum KeyUsage {
    /// Encrypting data and data keys.
    #[n(0)]
    EncryptDecrypt,
    /// Signatures.
    #[n(1)]
    SignVerify,
    /// Message authentication codes.
    #[n(2)]
    GenerateVerifyMac,
    /// Shared secrets.
    #[n(3)]
    KeyAgreement,
}

impl KeyUsage {
    /// Every usage that keys can have here.
    pub const ALL: &[KeyUsage] = &[
        KeyUsage::EncryptDecrypt,
        KeyUsage::SignVerify,
        KeyUsage::GenerateVerifyMac,
        KeyUsage::KeyAgreement,
    ];

    /// Reads the word of the wire.
    pub(crate) fn parse(word: &str) -> Option<KeyUsage> {
        let usages = KeyUsage::ALL.iter().copied();
        usages.into_iter().find(|usage| usage.as_str() == word)
    }

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            KeyUsage::EncryptDecrypt => "ENCRYPT_DECRYPT",
            KeyUsage::SignVerify => "SIGN_VERIFY",
            KeyUsage::GenerateVerifyMac => "GENERATE_VERIFY_MAC",
            KeyUsage::KeyAgreement => "KEY_AGREEMENT",
        }
    }
}

/// Which algorithm a key is for. The numbers are stored, and bound to the wrapped material.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum KeySpec {
    /// AES-256-GCM.
    #[n(0)]
    SymmetricDefault,
    /// RSA, 2,048 bits.
    #[n(1)]
    Rsa2048,
    /// RSA, 3,072 bits.
    #[n(2)]
    Rsa3072,
    /// RSA, 4,096 bits.
    #[n(3)]
    Rsa4096,
    /// NIST P-256 (secp256r1).
    #[n(4)]
    EccNistP256,
    /// NIST P-384 (secp384r1).
    #[n(5)]
    EccNistP384,
    /// NIST P-521 (secp521r1).
    #[n(6)]
    EccNistP521,
    /// Ed25519.
    #[n(7)]
    EccNistEdwards25519,
    /// HMAC with SHA-224.
    #[n(8)]
    Hmac224,
    /// HMAC with SHA-256.
    #[n(9)]
    Hmac256,
    /// HMAC with SHA-384.
    #[n(10)]
    Hmac384,
    /// HMAC with SHA-512.
    #[n(11)]
    Hmac512,
}

impl KeySpec {
    /// Every specification that keys can have here.
    pub const ALL: &[KeySpec] = &[
        KeySpec::SymmetricDefault,
        KeySpec::Rsa2048,
        KeySpec::Rsa3072,
        KeySpec::Rsa4096,
        KeySpec::EccNistP256,
        KeySpec::EccNistP384,
        KeySpec::EccNistP521,
        KeySpec::EccNistEdwards25519,
        KeySpec::Hmac224,
        KeySpec::Hmac256,
        KeySpec::Hmac384,
        KeySpec::Hmac512,
    ];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            KeySpec::SymmetricDefault => "SYMMETRIC_DEFAULT",
            KeySpec::Rsa2048 => "RSA_2048",
            KeySpec::Rsa3072 => "RSA_3072",
            KeySpec::Rsa4096 => "RSA_4096",
            KeySpec::EccNistP256 => "ECC_NIST_P256",
            KeySpec::EccNistP384 => "ECC_NIST_P384",
            KeySpec::EccNistP521 => "ECC_NIST_P521",
            KeySpec::EccNistEdwards25519 => "ECC_NIST_EDWARDS25519",
            KeySpec::Hmac224 => "HMAC_224",
            KeySpec::Hmac256 => "HMAC_256",
            KeySpec::Hmac384 => "HMAC_384",
            KeySpec::Hmac512 => "HMAC_512",
        }
    }

    /// Reads the word of the wire.
    pub(crate) fn parse(word: &str) -> Option<KeySpec> {
        let specs = KeySpec::ALL.iter().copied();
        specs.into_iter().find(|spec| spec.as_str() == word)
    }

    /// Whether a key has a public half.
    pub(crate) fn is_asymmetric(self) -> bool {
        match self {
            KeySpec::Rsa2048
            | KeySpec::Rsa3072
            | KeySpec::Rsa4096
            | KeySpec::EccNistP256
            | KeySpec::EccNistP384
            | KeySpec::EccNistP521
            | KeySpec::EccNistEdwards25519 => true,
            KeySpec::SymmetricDefault
            | KeySpec::Hmac224
            | KeySpec::Hmac256
            | KeySpec::Hmac384
            | KeySpec::Hmac512 => false,
        }
    }

    /// Whether it is RSA, whose private operations take milliseconds.
    pub(crate) fn is_rsa(self) -> bool {
        matches!(self, KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096)
    }

    /// The algorithms of a key that is for `usage`; none if it cannot be for that.
    pub(crate) fn algorithms(self, usage: KeyUsage) -> &'static [&'static str] {
        use KeySpec as S;
        match (usage, self) {
            (KeyUsage::EncryptDecrypt, S::SymmetricDefault) => &["SYMMETRIC_DEFAULT"],
            (KeyUsage::EncryptDecrypt, S::Rsa2048 | S::Rsa3072 | S::Rsa4096) => {
                &["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"]
            }
            (KeyUsage::SignVerify, S::Rsa2048 | S::Rsa3072 | S::Rsa4096) => &[
                "RSASSA_PKCS1_V1_5_SHA_256",
                "RSASSA_PKCS1_V1_5_SHA_384",
                "RSASSA_PKCS1_V1_5_SHA_512",
                "RSASSA_PSS_SHA_256",
                "RSASSA_PSS_SHA_384",
                "RSASSA_PSS_SHA_512",
            ],
            (KeyUsage::SignVerify, S::EccNistP256) => &["ECDSA_SHA_256"],
            (KeyUsage::SignVerify, S::EccNistP384) => &["ECDSA_SHA_384"],
            (KeyUsage::SignVerify, S::EccNistP521) => &["ECDSA_SHA_512"],
            (KeyUsage::SignVerify, S::EccNistEdwards25519) => &["ED25519_SHA_512"],
            (KeyUsage::GenerateVerifyMac, S::Hmac224) => &["HMAC_SHA_224"],
            (KeyUsage::GenerateVerifyMac, S::Hmac256) => &["HMAC_SHA_256"],
            (KeyUsage::GenerateVerifyMac, S::Hmac384) => &["HMAC_SHA_384"],
            (KeyUsage::GenerateVerifyMac, S::Hmac512) => &["HMAC_SHA_512"],
            (KeyUsage::KeyAgreement, S::EccNistP256 | S::EccNistP384 | S::EccNistP521) => &["ECDH"],
            (
                KeyUsage::EncryptDecrypt
                | KeyUsage::SignVerify
                | KeyUsage::GenerateVerifyMac
                | KeyUsage::KeyAgreement,
                _,
            ) => &[],
        }
    }

    /// The number under which it is stored.
    pub(crate) fn number(self) -> u8 {
        match self {
            KeySpec::SymmetricDefault => 0,
            KeySpec::Rsa2048 => 1,
            KeySpec::Rsa3072 => 2,
            KeySpec::Rsa4096 => 3,
            KeySpec::EccNistP256 => 4,
            KeySpec::EccNistP384 => 5,
            KeySpec::EccNistP521 => 6,
            KeySpec::EccNistEdwards25519 => 7,
            KeySpec::Hmac224 => 8,
            KeySpec::Hmac256 => 9,
            KeySpec::Hmac384 => 10,
            KeySpec::Hmac512 => 11,
        }
    }
}

/// Where the key material comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Origin {
    /// Made here.
    #[n(0)]
    AwsKms,
    /// Imported.
    #[n(1)]
    External,
}

impl Origin {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::AwsKms => "AWS_KMS",
            Origin::External => "EXTERNAL",
        }
    }
}

/// Who manages a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum KeyManager {
    /// The account.
    #[n(0)]
    Customer,
    /// A service of this server, like `aws/s3`: the account may use the key through that service
    /// and look at it, nothing else.
    #[n(1)]
    Aws,
}

impl KeyManager {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            KeyManager::Customer => "CUSTOMER",
            KeyManager::Aws => "AWS",
        }
    }
}

/// What caused a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum RotationType {
    /// The period had passed.
    #[n(0)]
    Automatic,
    /// Somebody asked for it.
    #[n(1)]
    OnDemand,
}

impl RotationType {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            RotationType::Automatic => "AUTOMATIC",
            RotationType::OnDemand => "ON_DEMAND",
        }
    }
}

/// A name and a value that the account puts on a key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Tag {
    /// Name.
    #[n(0)]
    pub key: String,
    /// Value.
    #[n(1)]
    pub value: String,
}

/// What DescribeKey and CreateKey tell about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyMetadata {
    /// Account that owns the key.
    pub account_id: String,
    /// UUID.
    pub key_id: String,
    /// ARN.
    pub arn: String,
    /// Creation, Unix time in milliseconds.
    pub created_ms: u64,
    /// Whether `state` is Enabled.
    pub enabled: bool,
    /// The account's words.
    pub description: String,
    /// What it is for.
    pub usage: KeyUsage,
    /// Where it is in its life.
    pub state: KeyState,
    /// When its material is destroyed.
    pub deletion_ms: Option<u64>,
    /// When imported material expires.
    pub valid_to_ms: Option<u64>,
    /// Whether imported material is there, all that it needs.
    pub has_imported_material: bool,
    /// Where the material comes from.
    pub origin: Origin,
    /// Who manages it.
    pub manager: KeyManager,
    /// Algorithm.
    pub spec: KeySpec,
    /// The algorithms of what it is for.
    pub algorithms: &'static [&'static str],
    /// Whether other regions may hold it too.
    pub multi_region: bool,
    /// Region it was made in; that of the primary key of a multi-Region key.
    pub region: String,
    /// 64 hexadecimal digits; of symmetric keys that have material.
    pub current_key_material_id: Option<String>,
}

/// Bytes that the caller encrypts or gets back: wiped on drop, no `Clone`, no readable `Debug`.
pub struct Plaintext(Zeroizing<Vec<u8>>);

impl Plaintext {
    /// Takes over the bytes.
    pub fn new(bytes: Vec<u8>) -> Plaintext {
        Plaintext(Zeroizing::new(bytes))
    }

    /// The bytes. Every use of this method is a place to review.
    pub fn expose_secret(&self) -> &[u8] {
        &self.0
    }
}

impl From<Zeroizing<Vec<u8>>> for Plaintext {
    fn from(bytes: Zeroizing<Vec<u8>>) -> Plaintext {
        Plaintext(bytes)
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plaintext(..)")
    }
}

/// Opaque result of encryption; not secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CiphertextBlob(pub Vec<u8>);

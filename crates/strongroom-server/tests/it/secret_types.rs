// SPDX-License-Identifier: Apache-2.0
//! Every public type that is a secret, of all rooms. This file compiles, which is the test.

use strongroom_format::{
    CompletionKey, ExternalKey, KeyMaterial, ObjectKey, Opener, PayloadKey, Sealer, SumsKey,
};
use strongroom_kms::root::{FileKey, Keyring, Passphrase, RootKey, RootSecret, Share};
use strongroom_kms::{
    DecryptOutput, DeriveSharedSecretOutput, EncryptInput, GenerateDataKeyOutput,
    GenerateDataKeyPairOutput, GenerateMacInput, Plaintext, S3DataKey, SignInput, VerifyInput,
    VerifyMacInput,
};
use strongroom_memory::SecretBytes;
use strongroom_testkit::assert_secret_type;
use strongroom_wire::SecretAccessKey;

assert_secret_type!(
    // Keys of objects.
    ExternalKey,
    ObjectKey,
    PayloadKey,
    SumsKey,
    CompletionKey,
    KeyMaterial,
    Sealer,
    Opener,
    // The root, and what hangs on it.
    RootSecret,
    RootKey,
    Passphrase,
    Keyring,
    FileKey,
    Share,
    // What the key service takes in and gives out.
    Plaintext,
    EncryptInput,
    DecryptOutput,
    GenerateDataKeyOutput,
    GenerateDataKeyPairOutput,
    DeriveSharedSecretOutput,
    SignInput,
    VerifyInput,
    GenerateMacInput,
    VerifyMacInput,
    S3DataKey,
    // Credentials.
    SecretAccessKey,
    SecretBytes,
);

#[test]
fn secrets_do_not_print() {
    let key = [0xA7; 32];
    let shown = [
        format!("{:?}", ExternalKey::from_bytes(key)),
        format!("{:?}", KeyMaterial::from_bytes(key)),
        format!("{:?}", RootKey::from_bytes(&key).unwrap()),
        format!("{:?}", Plaintext::new(key.to_vec())),
        format!("{:?}", SecretBytes::copy_of(&key)),
        format!("{:?}", SecretAccessKey::new("a7".repeat(20))),
        format!(
            "{:?}",
            Passphrase::new("a7a7a7a7a7a7a7".to_owned()).unwrap()
        ),
    ];
    for text in shown {
        let text = text.to_lowercase();
        assert!(!text.contains("a7a7") && !text.contains("167"), "{text}");
        assert!(text.ends_with("(..)"), "{text}");
    }
}

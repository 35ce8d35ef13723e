// SPDX-License-Identifier: Apache-2.0
//! The root of all keys: a secret from outside opens the keyring file, which holds the domain
//! keys.
//!
//! ```text
//!  root key (32 random bytes)  --+
//!                                +--> R --HKDF--> seals the keyring file
//!  passphrase --Argon2id-------- +                  domain key epoch 1..n
//!                                                     |-- rows and log at rest   (AtRest)
//!                                                     |-- SSE-S3 keys of buckets
//!                                                     |-- wraps KMS key material
//!                                                     `-- small secrets of the server
//! ```
//!
//! Bytes in, bytes out: the server keeps the files.

mod at_rest;
mod file;
mod keyring;
mod secret;

pub use file::Provider;
pub use keyring::Keyring;
pub use secret::{Passphrase, RootKey, RootSecret};

/// Makes a new keyring with one domain key: the keyring and the bytes of its file.
pub fn create(secret: &RootSecret, now_ms: u64) -> Result<(Keyring, Vec<u8>), RootError> {
    let keys = vec![keyring::DomainKey::generate(1, now_ms)?];
    let file = file::seal(secret, &keys)?;
    Ok((Keyring::new(&keys)?, file))
}

/// Opens the bytes of a keyring file.
pub fn unseal(file: &[u8], secret: &RootSecret) -> Result<Keyring, RootError> {
    Keyring::new(&file::open(file, secret)?)
}

/// Which kind of secret a keyring file wants.
pub fn provider(file: &[u8]) -> Result<Provider, RootError> {
    file::provider(file)
}

/// Why a keyring could not be made or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    /// The file is whole; the secret is another one than it was sealed with.
    #[error("the {0} is not the one this keyring was sealed with")]
    WrongSecret(Provider),
    /// The keyring wants the other kind of secret.
    #[error("this keyring was sealed with a {0}")]
    OtherProvider(Provider),
    /// A root key that is not 32 bytes long.
    #[error("a root key has 32 bytes, not {0}")]
    RootKeyLength(usize),
    /// A passphrase that anybody could guess.
    #[error("a passphrase needs at least {min} characters")]
    PassphraseTooShort {
        /// The least number of characters.
        min: usize,
    },
    /// The file was written by a later version.
    #[error("keyring version {0} is not known to this program")]
    Version(u8),
    /// The file is not what was written.
    #[error("the keyring is damaged: {0}")]
    Corrupted(&'static str),
    /// No randomness or memory from the operating system.
    #[error("the operating system refused {0}")]
    System(&'static str),
}

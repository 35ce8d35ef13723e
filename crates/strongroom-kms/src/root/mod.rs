// SPDX-License-Identifier: Apache-2.0
//! The root of all keys: a secret from outside opens the keyring file, which holds the domain
//! keys and the roots of SSE-S3.
//!
//! ```text
//!  key file   passphrase   PKCS#11   KMS endpoint   recovery key (shares)
//!      `----------+----------+---------+------------------'
//!                 | wrap, unwrap (RootProvider)
//!                 v
//!                FK --HKDF--> seals the list in the keyring file
//!                               |-- domain key epoch 1..n
//!                               |     |-- rows and log at rest   (AtRest)
//!                               |     |-- wraps KMS key material
//!                               |     |-- manifests in shard files
//!                               |     `-- small secrets of the server
//!                               `-- SSE-S3 root epoch 1..n -- SSE-S3 keys of buckets
//! ```
//!
//! Bytes in, bytes out: the server keeps the files, and talks to tokens and endpoints.

mod at_rest;
mod epoch;
mod file;
mod keyring;
mod manifest;
mod provider;
mod recovery;
mod secret;
mod shamir;
mod share;
mod stretch;

pub use epoch::{EpochInfo, EpochKind};
pub use file::{KeyringFile, OpenKeyringFile, Rotation, recover};
pub use keyring::Keyring;
pub use provider::{FileKey, RootProvider, Wrap, WrapKind};
pub use recovery::RecoveryInfo;
pub use secret::{Passphrase, RootKey, RootSecret};
pub use share::{Share, SplitPlan};
pub use stretch::StretchKind;

/// Makes a new keyring with one key of each kind: the keyring and the bytes of its file.
pub fn create(provider: &dyn RootProvider, now_ms: u64) -> Result<(Keyring, Vec<u8>), RootError> {
    let open = OpenKeyringFile::create(provider, now_ms)?;
    Ok((open.keyring()?, open.seal()?))
}

/// Opens the bytes of a keyring file.
pub fn unseal(file: &[u8], provider: &dyn RootProvider) -> Result<Keyring, RootError> {
    KeyringFile::parse(file)?.open(provider)?.keyring()
}

/// Why a keyring could not be made, opened or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    /// The file is whole; the secret is another one than it was sealed with.
    #[error("the {0} is not the one this keyring was sealed with")]
    WrongSecret(WrapKind),
    /// The keyring wants the other kind of secret.
    #[error("this keyring was sealed with a {0}")]
    OtherProvider(WrapKind),
    /// A root key that is not 32 bytes long.
    #[error("a root key has 32 bytes, not {0}")]
    RootKeyLength(usize),
    /// A passphrase that anybody could guess.
    #[error("a passphrase needs at least {min} characters")]
    PassphraseTooShort {
        /// The least number of characters.
        min: usize,
    },
    /// A provider outside this crate could not be used; in its own words, without secrets.
    #[error("{0}")]
    Provider(String),
    /// The file has room for no more wraps.
    #[error("the keyring has as many wraps as it can hold")]
    TooManyWraps,
    /// The file has room for no more keys.
    #[error("the keyring has as many epochs as it can hold")]
    TooManyEpochs,
    /// A change of providers was begun and not finished.
    #[error("a change of root keys was begun and not finished: run it again first")]
    RekeyUnderWay,
    /// Shares that nobody could use.
    #[error("a recovery key is split into 2 to 16 shares, of which at least 2 restore it")]
    Plan,
    /// The keyring has no recovery key.
    #[error("this keyring has no recovery key: none was ever split, or it was made anew since")]
    NoRecovery,
    /// Something that is not a share.
    #[error("this is not a share: {0}")]
    Share(&'static str),
    /// A share of another recovery key.
    #[error("share {number} belongs to another set: this keyring wants shares of set {set}")]
    ShareOfAnotherSet {
        /// Number of the share.
        number: u8,
        /// The set that is wanted.
        set: String,
    },
    /// The same share twice.
    #[error("share {0} was given twice")]
    ShareTwice(u8),
    /// Not enough shares.
    #[error("{have} of the {needed} shares that are needed were given")]
    TooFewShares {
        /// How many were given.
        have: usize,
        /// How many are needed.
        needed: usize,
    },
    /// The file was written by another version.
    #[error("keyring version {0} is not known to this program")]
    Version(u8),
    /// The file is not what was written.
    #[error("the keyring is damaged: {0}")]
    Corrupted(&'static str),
    /// No randomness or memory from the operating system.
    #[error("the operating system refused {0}")]
    System(&'static str),
}

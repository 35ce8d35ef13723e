// SPDX-License-Identifier: Apache-2.0
//! Client-side encryption of S3 objects, in the formats of Amazon's S3 Encryption Clients.
//!
//! Plaintext and wrapping keys never leave the process that uses this crate. What it writes, Amazon's
//! clients read, and the other way round.
//!
//! ```text
//!   envelope   what lies beside the ciphertext: metadata or an instruction file     no cryptography
//!   policy     what is written, what is accepted                                    no cryptography
//!   keyring    who wraps the data key: AES, RSA, a key service
//!   content    the ciphertext: streams, ranges, parts in any order                  no I/O
//!   Client     all of them together: begin an object, open an object                no I/O
//! ```
//!
//! Nothing here does I/O: a transport hands in metadata and bytes, and gets metadata and bytes.
//! Formats: `docs/spec/client-side-encryption.md`.

pub mod content;
pub mod envelope;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod keyring;
mod object;
mod policy;
mod secret;

pub use error::Error;
pub use object::{Client, Content, NewObject, Storage};
pub use policy::{CommitmentPolicy, Legacy};
pub use secret::AesKey;

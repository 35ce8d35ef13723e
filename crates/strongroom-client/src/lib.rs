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
//!   s3         EncryptedS3: store and read objects, verified, in bounded memory     feature `s3`
//!   transport  what carries them: Amazon's SDK, `object_store`                      `aws`, `object_store`
//! ```
//!
//! Begin with `EncryptedS3`, or, to move bytes and metadata yourself, with [`Client`]. Formats:
//! `docs/spec/client-side-encryption.md`.
//!
//! With Amazon's SDK, which finds region and credentials as the AWS CLI does:
//!
//! ```no_run
//! # #[cfg(feature = "aws")] {
//! use strongroom_client::keyring::{AwsKms, KmsKeyring};
//! use strongroom_client::transport::AwsS3;
//! use strongroom_client::{EncryptedS3, Error, Plaintext};
//!
//! async fn backup(s3: aws_sdk_s3::Client, kms: aws_sdk_kms::Client) -> Result<(), Error> {
//!     let keyring = KmsKeyring::new(AwsKms::new(kms), "alias/backup");
//!     let s3 = EncryptedS3::new(AwsS3::new(s3), keyring);
//!     let stored = s3
//!         .put_object("bucket", "backup.tar")
//!         .body(Plaintext::from_path("backup.tar")?)
//!         .encryption_context("purpose", "backup")
//!         // Killed in the middle, the same call goes on where it was.
//!         .resumable("backup.tar.upload")
//!         .send()
//!         .await?;
//!     println!("{} bytes in {} parts", stored.plaintext_bytes, stored.parts);
//!     s3.get_object("bucket", "backup.tar")
//!         .encryption_context("purpose", "backup")
//!         .download_to("restored.tar")
//!         .await?;
//!     Ok(())
//! }
//! # }
//! ```

pub mod content;
pub mod envelope;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod keyring;
mod object;
mod policy;
#[cfg(feature = "s3")]
pub mod s3;
mod secret;
#[cfg(feature = "s3")]
pub mod transport;

pub use error::Error;
pub use object::{Client, Content, NewObject, Storage};
pub use policy::{CommitmentPolicy, Legacy};
#[cfg(feature = "s3")]
pub use s3::{EncryptedS3, MetadataDirective, Plaintext};
pub use secret::AesKey;
#[cfg(feature = "s3")]
pub use transport::ByteRange;

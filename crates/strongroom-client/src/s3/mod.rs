// SPDX-License-Identifier: Apache-2.0
//! The client that stores and reads encrypted objects.
//!
//! ```text
//!   put_object      Plaintext --seal--> one PUT, or parts in parallel ----> Transport
//!                                          | record of an upload (a file), to go on after a crash
//!   get_object      Transport --ranges in parallel--> spool of ciphertext --tag?--> VerifiedBody
//!   download_to     Transport --ranges in parallel--> private file --------tag?--> the file's name
//! ```
//! Memory is bounded whatever the size of an object: some parts on their way, or some pieces.

mod body;
mod buffers;
mod builder;
mod copy_object;
mod delete_object;
mod fetch;
mod files;
mod get_object;
mod get_range;
mod head_object;
mod instruction;
mod list_objects;
mod outcome;
mod plaintext;
mod put_object;
mod read;
mod record;
mod reencrypt;
mod rewrap;
mod upload;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use body::{Reader, UnverifiedBody, VerifiedBody};
pub use builder::Builder;
pub use copy_object::{CopyObject, MetadataDirective};
pub use delete_object::DeleteObject;
pub use get_object::{Downloaded, GetObject, GetObjectOutput, GetUnverifiedOutput};
pub use get_range::{GetRange, GetRangeOutput};
pub use head_object::{Encryption, HeadObject, HeadObjectOutput};
pub use list_objects::{ListObjectsV2, ListObjectsV2Output, ListedObject};
pub use plaintext::Plaintext;
pub use put_object::{PutObject, PutObjectOutput};
pub use reencrypt::Reencrypt;
pub use rewrap::{Rewrap, RewrapOutput};

use crate::envelope::TextMap;
use crate::error::Error;
use crate::keyring::Keyring;
use crate::object::{Client, Storage};
use crate::transport::{Address, Transport, TransportError, TransportErrorKind};

/// Stores and reads encrypted objects. Cheap to clone.
///
/// ```
/// use strongroom_client::keyring::{AesMasterKey, MasterKeyring};
/// use strongroom_client::transport::InMemory;
/// use strongroom_client::{AesKey, EncryptedS3, Error};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let key = AesMasterKey::new(AesKey::generate()?);
/// let keyring = MasterKeyring::new().write_aes(Default::default(), key)?;
/// let s3 = EncryptedS3::new(InMemory::new(), keyring);
///
/// s3.put_object("bucket", "greeting").body("hello").send().await?;
/// let object = s3.get_object("bucket", "greeting").send().await?;
/// assert_eq!(object.content_length, 5);
/// assert_eq!(object.body.collect().await?, b"hello");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct EncryptedS3 {
    inner: Arc<Inner>,
}

struct Inner {
    transport: Arc<dyn Transport>,
    client: Client<Arc<dyn Keyring>>,
    keyring: Arc<dyn Keyring>,
    settings: Settings,
}

#[derive(Clone, Debug)]
struct Settings {
    storage: Storage,
    bind_key: bool,
    part_bytes: u64,
    concurrency: usize,
    memory_bytes: u64,
    spool_folder: Option<PathBuf>,
}

/// Told how many further bytes of plaintext are stored, or were read.
type Progress = Arc<dyn Fn(u64) + Send + Sync>;

impl EncryptedS3 {
    /// A client that writes what commits to its key and reads nothing else.
    pub fn new(transport: impl Transport + 'static, keyring: impl Keyring + 'static) -> Self {
        Builder::new(transport, keyring).with_defaults()
    }

    /// A client with settings of its own.
    pub fn builder(
        transport: impl Transport + 'static,
        keyring: impl Keyring + 'static,
    ) -> Builder {
        Builder::new(transport, keyring)
    }

    /// Encrypts and stores an object.
    pub fn put_object(&self, bucket: impl Into<String>, key: impl Into<String>) -> PutObject {
        PutObject::new(self.clone(), Address::new(bucket, key))
    }

    /// Reads and decrypts an object; nothing of it comes before it was verified.
    pub fn get_object(&self, bucket: impl Into<String>, key: impl Into<String>) -> GetObject {
        GetObject::new(self.clone(), Address::new(bucket, key))
    }

    /// Reads a range of an object, which **nothing authenticates**: whoever can write to the
    /// bucket can change any bit of it. Needs `enable_legacy_unauthenticated_modes`.
    pub fn get_range_unverified(
        &self,
        bucket: impl Into<String>,
        key: impl Into<String>,
        range: crate::transport::ByteRange,
    ) -> GetRange {
        GetRange::new(self.clone(), Address::new(bucket, key), range)
    }

    /// What is known about an object, encrypted or not. Uses no key.
    pub fn head_object(&self, bucket: impl Into<String>, key: impl Into<String>) -> HeadObject {
        HeadObject::new(self.clone(), Address::new(bucket, key))
    }

    /// Deletes an object, with its instruction file if it has one.
    pub fn delete_object(&self, bucket: impl Into<String>, key: impl Into<String>) -> DeleteObject {
        DeleteObject::new(self.clone(), Address::new(bucket, key))
    }

    /// Copies an object as it is, with its instruction file if it has one.
    pub fn copy_object(&self, from: impl Into<Address>, to: impl Into<Address>) -> CopyObject {
        CopyObject::new(self.clone(), from.into(), to.into())
    }

    /// Lists names. Whether an object is encrypted stands in no list: ask [`Self::head_object`].
    pub fn list_objects_v2(&self, bucket: impl Into<String>) -> ListObjectsV2 {
        ListObjectsV2::new(self.clone(), bucket.into())
    }

    /// Wraps an object's data key anew, under another key. Its content is not touched.
    pub fn rewrap(&self, bucket: impl Into<String>, key: impl Into<String>) -> Rewrap {
        Rewrap::new(self.clone(), Address::new(bucket, key))
    }

    /// Reads an object verified, and writes it under a new data key.
    pub fn reencrypt(&self, bucket: impl Into<String>, key: impl Into<String>) -> Reencrypt {
        Reencrypt::new(self.clone(), Address::new(bucket, key))
    }

    /// Ends an interrupted upload: its parts at the store go, and its record.
    pub async fn abort_resumable(&self, record: impl AsRef<std::path::Path>) -> Result<(), Error> {
        upload::abort(self, record.as_ref()).await
    }

    fn transport(&self) -> &dyn Transport {
        &*self.inner.transport
    }

    fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// The context that an object is sealed under: the caller's, and where it lies if that is to
    /// be bound.
    fn context_for(&self, at: &Address, context: &TextMap) -> Result<TextMap, Error> {
        let mut context = context.clone();
        if self.settings().bind_key {
            for (name, value) in [(BOUND_BUCKET, &at.bucket), (BOUND_KEY, &at.key)] {
                if context.insert(name.to_owned(), value.clone()).is_some() {
                    return Err(Error::Config(
                        "s3-bucket and s3-key are reserved in encryption contexts that bind the key",
                    ));
                }
            }
        }
        Ok(context)
    }
}

impl fmt::Debug for EncryptedS3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedS3")
            .field("settings", self.settings())
            .finish_non_exhaustive()
    }
}

/// The instruction file of an object.
fn beside(at: &Address, suffix: Option<&str>) -> Address {
    let suffix = suffix.unwrap_or(INSTRUCTION_SUFFIX);
    Address::new(&at.bucket, format!("{}{suffix}", at.key))
}

/// The suffix of an instruction file as it was given; `None` is the usual one.
fn suffix_of(given: Option<&str>) -> Result<Option<&str>, Error> {
    match given {
        Some("") => Err(Error::Config(
            "an empty suffix would make the object its own instruction file",
        )),
        Some(INSTRUCTION_SUFFIX) => Ok(None),
        other => Ok(other),
    }
}

/// Tries again what may be tried again: where no answer came, but not after a wait for one. The caller sees to it that doing it
/// twice does what doing it once does.
async fn persistently<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, TransportError>
where
    F: Future<Output = Result<T, TransportError>>,
{
    let mut pause = PAUSE_FIRST;
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(error) if error.kind == TransportErrorKind::Unavailable && !error.is_timeout() => {}
            answer => return answer,
        }
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(4);
    }
    attempt().await
}

/// What a condition that does not hold means: somebody wrote meanwhile.
fn changed(error: TransportError) -> Error {
    match error.kind {
        TransportErrorKind::PreconditionFailed => Error::Changed,
        _ => error.into(),
    }
}

/// Entries of the encryption context when the key is bound.
const BOUND_BUCKET: &str = "s3-bucket";
const BOUND_KEY: &str = "s3-key";
/// What an instruction file is called behind the object's name.
const INSTRUCTION_SUFFIX: &str = ".instruction";
/// How often something is tried.
const ATTEMPTS: u32 = 4;
const PAUSE_FIRST: Duration = Duration::from_millis(50);

// SPDX-License-Identifier: Apache-2.0
//! Settings of a client.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::{EncryptedS3, Inner, Settings};
use crate::error::Error;
use crate::keyring::Keyring;
use crate::object::{Client, Storage};
use crate::policy::{CommitmentPolicy, Legacy};
use crate::transport::Transport;

/// Makes a client. The names are those of Amazon's clients where they have the setting.
pub struct Builder {
    transport: Arc<dyn Transport>,
    keyring: Arc<dyn Keyring>,
    policy: CommitmentPolicy,
    legacy: Legacy,
    settings: Settings,
}

impl Builder {
    pub(super) fn new(
        transport: impl Transport + 'static,
        keyring: impl Keyring + 'static,
    ) -> Self {
        Self {
            transport: Arc::new(transport),
            keyring: Arc::new(keyring),
            policy: CommitmentPolicy::default(),
            legacy: Legacy::default(),
            settings: Settings {
                storage: Storage::default(),
                bind_key: false,
                part_bytes: PART_BYTES,
                concurrency: CONCURRENCY,
                memory_bytes: MEMORY_BYTES,
                spool_folder: None,
            },
        }
    }

    /// Whether objects must commit to their key, when writing and when reading.
    #[must_use]
    pub fn commitment_policy(mut self, policy: CommitmentPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Whether data keys are read that old clients wrapped in ways that bind nothing.
    #[must_use]
    pub fn enable_legacy_wrapping_algorithms(mut self, enable: bool) -> Self {
        self.legacy.wrapping_algorithms = enable;
        self
    }

    /// Whether content under AES-CBC is read, and ranges of objects: neither is authenticated.
    #[must_use]
    pub fn enable_legacy_unauthenticated_modes(mut self, enable: bool) -> Self {
        self.legacy.unauthenticated_modes = enable;
        self
    }

    /// Where the envelope of a new object is kept.
    #[must_use]
    pub fn storage(mut self, storage: Storage) -> Self {
        self.settings.storage = storage;
        self
    }

    /// Puts bucket and key of an object into its encryption context (as `s3-bucket` and
    /// `s3-key`), so that nobody can pass it off as another one. Needs a key service; a copy or a
    /// renamed object does not open any more.
    #[must_use]
    pub fn bind_key(mut self, bind: bool) -> Self {
        self.settings.bind_key = bind;
        self
    }

    /// Bytes of a part of an upload, and the longest object that is stored by one PUT: a multiple
    /// of 16 from 64 KiB to 5 GiB. S3 itself wants 5 MiB and more; other stores may take less.
    /// Memory for parts is this times the concurrency.
    #[must_use]
    pub fn part_bytes(mut self, bytes: u64) -> Self {
        self.settings.part_bytes = bytes;
        self
    }

    /// How many parts or ranges are on their way at the same time.
    #[must_use]
    pub fn concurrency(mut self, parts: usize) -> Self {
        self.settings.concurrency = parts;
        self
    }

    /// Objects of up to so many bytes are verified in memory, longer ones in a temporary file
    /// without a name, which holds ciphertext.
    #[must_use]
    pub fn memory_bytes(mut self, bytes: u64) -> Self {
        self.settings.memory_bytes = bytes;
        self
    }

    /// Where temporary files are made; otherwise where the system has them.
    #[must_use]
    pub fn spool_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.settings.spool_folder = Some(folder.into());
        self
    }

    /// The client, if the settings make sense.
    pub fn build(self) -> Result<EncryptedS3, Error> {
        let bytes = self.settings.part_bytes;
        if !bytes.is_multiple_of(16) || !(PART_BYTES_MIN..=PART_BYTES_MAX).contains(&bytes) {
            return Err(Error::Config(
                "a part has a multiple of 16 bytes from 64 KiB to 5 GiB",
            ));
        }
        if self.settings.concurrency == 0 {
            return Err(Error::Config("the concurrency is at least 1"));
        }
        Ok(self.with_defaults())
    }

    pub(super) fn with_defaults(self) -> EncryptedS3 {
        let client = Client::new(Arc::clone(&self.keyring))
            .commitment_policy(self.policy)
            .legacy(self.legacy);
        EncryptedS3 {
            inner: Arc::new(Inner {
                transport: self.transport,
                client,
                keyring: self.keyring,
                settings: self.settings,
            }),
        }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("policy", &self.policy)
            .field("legacy", &self.legacy)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// 10,000 of them, S3's limit, hold the longest object; four, with what else there is, less than 64 MiB.
const PART_BYTES: u64 = 7 * 1024 * 1024;
const _: () = assert!(PART_BYTES * 10_000 > crate::content::PLAINTEXT_BYTES_MAX);
const PART_BYTES_MIN: u64 = 64 * 1024;
const PART_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;
const CONCURRENCY: usize = 4;
const MEMORY_BYTES: u64 = 8 * 1024 * 1024;

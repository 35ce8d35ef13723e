// SPDX-License-Identifier: Apache-2.0
//! The open keyring: domain keys, and what is derived from them.
//!
//! A domain key itself seals nothing: each purpose has its own key, derived with its own label.
//! The newest epoch is used for new things; what older epochs sealed names its epoch.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hkdf::Prk;
use aws_lc_rs::rand;
use strongroom_format::ExternalKey;
use strongroom_store::AtRest;
use zeroize::Zeroizing;

use super::RootError;
use super::at_rest::RowSealer;
use crate::aead::AeadKey;
use crate::error::Error;
use crate::kdf;

/// The keys of this store, open in memory.
pub struct Keyring {
    newest_epoch: u32,
    newest: Domain,
    older: BTreeMap<u32, Domain>,
}

impl Keyring {
    pub(super) fn new(keys: &[DomainKey]) -> Result<Keyring, RootError> {
        let mut domains = BTreeMap::new();
        for key in keys {
            if domains.insert(key.epoch, Domain::new(key)?).is_some() {
                return Err(RootError::Corrupted("an epoch is there twice"));
            }
        }
        let (newest_epoch, newest) = domains
            .pop_last()
            .ok_or(RootError::Corrupted("it holds no key"))?;
        Ok(Keyring {
            newest_epoch,
            newest,
            older: domains,
        })
    }

    /// The sealer of rows and log records, for the store.
    pub fn at_rest(&self) -> Arc<dyn AtRest> {
        let older = self
            .older
            .iter()
            .map(|(epoch, domain)| (*epoch, domain.rows.clone()));
        let roots = older.chain([(self.newest_epoch, self.newest.rows.clone())]);
        Arc::new(RowSealer::new(roots.collect(), self.newest_epoch))
    }

    /// Seals a small secret of the server for a file outside the store. `label` says which, and
    /// has to be given again to open it.
    pub fn seal_private(&self, label: &str, plain: &[u8]) -> Result<Vec<u8>, Error> {
        let mut sealed = private_head(self.newest_epoch);
        let aad = private_aad(&sealed, label);
        self.newest
            .private
            .seal_to(&aad, plain, &mut sealed)
            .map_err(|_| Error::Internal("sealing a private file"))?;
        Ok(sealed)
    }

    /// Opens what [`Keyring::seal_private`] made.
    pub fn open_private(&self, label: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let wrong = || Error::Corrupted {
            what: format!("private file `{label}`"),
        };
        let (head, rest) = sealed.split_first_chunk::<5>().ok_or_else(wrong)?;
        let [version, epoch @ ..] = *head;
        let epoch = u32::from_be_bytes(epoch);
        let domain = self.domain(epoch).filter(|_| version == PRIVATE_VERSION);
        let domain = domain.ok_or_else(wrong)?;
        domain
            .private
            .open(&private_aad(head, label), rest)
            .map_err(|_| wrong())
    }

    /// The epoch that wraps new key material and seals new shred keys.
    pub(crate) fn newest_epoch(&self) -> u32 {
        self.newest_epoch
    }

    /// The root of the key that wraps KMS key material: one half is the domain key of an epoch,
    /// the other a shred key. Neither half alone gives anything.
    pub(crate) fn kms_wrap(&self, epoch: u32, shred: &[u8; 32]) -> Option<Prk> {
        let domain = self.domain(epoch)?;
        let mut both = Zeroizing::new([0; 64]);
        let (first, second) = both.split_at_mut(32);
        first.copy_from_slice(domain.kms_wrap.as_slice());
        second.copy_from_slice(shred);
        Some(kdf::extract(b"strongroom/1/kms-material", both.as_slice()))
    }

    /// The key that seals shred keys in an epoch.
    pub(crate) fn kms_shred(&self, epoch: u32) -> Option<&AeadKey> {
        Some(&self.domain(epoch)?.kms_shred)
    }

    /// The epoch of new SSE-S3 keys, and a bucket's key in it.
    pub(crate) fn newest_sse_s3(&self, bucket_uid: &[u8; 16]) -> (u32, ExternalKey) {
        (self.newest_epoch, self.newest.sse_s3(bucket_uid))
    }

    /// The SSE-S3 key of a bucket in an epoch.
    pub(crate) fn sse_s3(&self, epoch: u32, bucket_uid: &[u8; 16]) -> Option<ExternalKey> {
        Some(self.domain(epoch)?.sse_s3(bucket_uid))
    }

    fn domain(&self, epoch: u32) -> Option<&Domain> {
        if epoch == self.newest_epoch {
            Some(&self.newest)
        } else {
            self.older.get(&epoch)
        }
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("newest_epoch", &self.newest_epoch)
            .finish_non_exhaustive()
    }
}

/// DK: one domain key, as the keyring file has it.
pub(super) struct DomainKey {
    pub(super) epoch: u32,
    pub(super) created_ms: u64,
    pub(super) secret: Box<Zeroizing<[u8; 32]>>,
}

impl DomainKey {
    pub(super) fn empty(epoch: u32, created_ms: u64) -> DomainKey {
        DomainKey {
            epoch,
            created_ms,
            secret: Box::new(Zeroizing::new([0; 32])),
        }
    }

    pub(super) fn generate(epoch: u32, created_ms: u64) -> Result<DomainKey, RootError> {
        let mut key = DomainKey::empty(epoch, created_ms);
        rand::fill(key.secret.as_mut_slice()).map_err(|_| RootError::System("randomness"))?;
        Ok(key)
    }
}

/// What one domain key gives.
struct Domain {
    rows: Prk,
    sse_s3: Prk,
    kms_wrap: Zeroizing<[u8; 32]>,
    kms_shred: AeadKey,
    private: AeadKey,
}

impl Domain {
    fn new(key: &DomainKey) -> Result<Domain, RootError> {
        let root = kdf::extract(b"strongroom/1/domain", key.secret.as_slice());
        let epoch = key.epoch.to_be_bytes();
        let derive = |label: &[u8]| kdf::expand(&root, &[label, &[0], &epoch]);
        let aead =
            |label: &[u8]| AeadKey::new(&derive(label)).map_err(|_| RootError::System("a cipher"));
        Ok(Domain {
            rows: kdf::extract(
                b"strongroom/1/at-rest",
                derive(b"strongroom/1/meta").as_slice(),
            ),
            sse_s3: kdf::extract(
                b"strongroom/1/sse-s3",
                derive(b"strongroom/1/sse-s3-root").as_slice(),
            ),
            kms_wrap: derive(b"strongroom/1/kms-wrap"),
            kms_shred: aead(b"strongroom/1/kms-shred")?,
            private: aead(b"strongroom/1/private")?,
        })
    }
}

impl Domain {
    fn sse_s3(&self, bucket_uid: &[u8; 16]) -> ExternalKey {
        let key = kdf::expand(&self.sse_s3, &[b"strongroom/1/sse-s3-bucket\0", bucket_uid]);
        ExternalKey::from_bytes(*key)
    }
}

fn private_head(epoch: u32) -> Vec<u8> {
    [[PRIVATE_VERSION].as_slice(), &epoch.to_be_bytes()].concat()
}

fn private_aad(head: &[u8], label: &str) -> Vec<u8> {
    [b"strongroom/1/private\0".as_slice(), head, label.as_bytes()].concat()
}

const PRIVATE_VERSION: u8 = 1;

// SPDX-License-Identifier: Apache-2.0
//! The open keyring: domain keys and SSE-S3 roots, and what is derived from them.
//!
//! A key of the keyring seals nothing itself: each purpose has its own key, derived with its own
//! label. The newest epoch is used for new things; what older epochs sealed names its epoch.
//!
//! A running server gets new epochs by [`Keyring::install`]. Readers take a snapshot of all keys
//! and never wait.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::hkdf::Prk;
use aws_lc_rs::hmac;
use strongroom_format::ExternalKey;
use strongroom_store::AtRest;
use zeroize::Zeroizing;

use super::RootError;
use super::at_rest::RowSealer;
use super::epoch::{EpochInfo, EpochKey, EpochKind, KeyList};
use super::file::OpenKeyringFile;
use crate::aead::AeadKey;
use crate::error::Error;
use crate::kdf;
use crate::secret32::Secret32;

/// The keys of this store, open in memory.
pub struct Keyring {
    keys: Arc<ArcSwap<Keys>>,
}

/// All keys at one moment.
pub(super) struct Keys {
    infos: Vec<EpochInfo>,
    domains: BTreeMap<u32, Arc<Domain>>,
    newest_domain: (u32, Arc<Domain>),
    sse_s3: BTreeMap<u32, Arc<Secret32>>,
    newest_sse_s3: (u32, Arc<Secret32>),
    material_ids: hmac::Key,
}

impl Keys {
    fn new(list: &KeyList) -> Result<Keys, RootError> {
        let mut domains = BTreeMap::new();
        let mut sse_s3 = BTreeMap::new();
        for key in list.keys() {
            let epoch = key.info.epoch;
            match key.info.kind {
                EpochKind::Domain => {
                    domains.insert(epoch, Arc::new(Domain::new(key)?));
                }
                EpochKind::SseS3 => {
                    let root = Secret32::copy_of(key.secret.expose_secret());
                    sse_s3.insert(epoch, Arc::new(root));
                }
            }
        }
        let missing = RootError::Corrupted("its list of keys");
        let mut first = list.keys().iter();
        let first = first.find(|key| key.info.kind == EpochKind::Domain);
        let material_ids = material_ids(first.ok_or(missing.clone())?);
        let newest_domain = domains.last_key_value().ok_or(missing.clone())?;
        let newest_sse_s3 = sse_s3.last_key_value().ok_or(missing)?;
        Ok(Keys {
            infos: list.keys().iter().map(|key| key.info).collect(),
            newest_domain: (*newest_domain.0, Arc::clone(newest_domain.1)),
            newest_sse_s3: (*newest_sse_s3.0, Arc::clone(newest_sse_s3.1)),
            domains,
            sse_s3,
            material_ids,
        })
    }

    pub(super) fn newest_domain(&self) -> u32 {
        self.newest_domain.0
    }

    /// The root of the keys of rows.
    pub(super) fn rows(&self, epoch: u32) -> Option<Prk> {
        let rows = self.domains.get(&epoch)?.rows.expose_secret();
        Some(kdf::extract(b"strongroom/1/at-rest", rows))
    }
}

impl Keyring {
    pub(super) fn new(list: &KeyList) -> Result<Keyring, RootError> {
        Ok(Keyring {
            keys: Arc::new(ArcSwap::from_pointee(Keys::new(list)?)),
        })
    }

    /// Uses the keys of a changed file from now on. The caller has made the file durable: what
    /// is sealed under a new epoch must open after a crash.
    pub fn install(&self, file: &OpenKeyringFile) -> Result<(), RootError> {
        self.check(file)?;
        self.keys.store(Arc::new(Keys::new(file.keys())?));
        Ok(())
    }

    /// Refuses a file that lacks a key in use: an older copy, put back while the server runs. It
    /// must not be changed and written, since the number of the missing epoch would then be that
    /// of another key.
    pub fn check(&self, file: &OpenKeyringFile) -> Result<(), RootError> {
        // INVARIANT: an epoch never goes while things sealed under it may be left.
        if file.keys().extends(&self.keys.load().infos) {
            Ok(())
        } else {
            Err(RootError::Corrupted("it lacks an epoch that is in use"))
        }
    }

    /// All epochs, by kind and age.
    pub fn epochs(&self) -> Vec<EpochInfo> {
        self.keys.load().infos.clone()
    }

    /// The epoch that new things of a kind use.
    pub fn newest(&self, kind: EpochKind) -> EpochInfo {
        let keys = self.keys.load();
        let newest = keys.infos.iter().rfind(|info| info.kind == kind);
        newest.copied().unwrap_or(EpochInfo {
            kind,
            epoch: 0,
            created_ms: 0,
        })
    }

    /// The sealer of rows and log records, for the store. It follows the keyring.
    pub fn at_rest(&self) -> Arc<dyn AtRest> {
        Arc::new(RowSealer::new(Arc::clone(&self.keys)))
    }

    /// Seals a small secret of the server for a file outside the store. `label` says which, and
    /// has to be given again to open it.
    pub fn seal_private(&self, label: &str, plain: &[u8]) -> Result<Vec<u8>, Error> {
        let keys = self.keys.load();
        let (epoch, domain) = &keys.newest_domain;
        let mut sealed = private_head(*epoch);
        let aad = private_aad(&sealed, label);
        domain
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
        let domain = self.domain(u32::from_be_bytes(epoch));
        let domain = domain.filter(|_| version == PRIVATE_VERSION);
        domain
            .ok_or_else(wrong)?
            .private
            .open(&private_aad(head, label), rest)
            .map_err(|_| wrong())
    }

    /// Whether a private file is sealed under the newest epoch.
    pub fn is_private_current(&self, sealed: &[u8]) -> bool {
        let head = private_head(self.keys.load().newest_domain.0);
        sealed.starts_with(&head)
    }

    /// The epoch that wraps new key material and seals new shred keys.
    pub(crate) fn newest_epoch(&self) -> u32 {
        self.keys.load().newest_domain.0
    }

    /// The root of the key that wraps KMS key material: one half is the domain key of an epoch,
    /// the other a shred key. Neither half alone gives anything.
    pub(crate) fn kms_wrap(&self, epoch: u32, shred: &[u8; 32]) -> Option<Prk> {
        let domain = self.domain(epoch)?;
        let mut both = Zeroizing::new([0; 64]);
        let (first, second) = both.split_at_mut(32);
        first.copy_from_slice(domain.kms_wrap.expose_secret());
        second.copy_from_slice(shred);
        Some(kdf::extract(b"strongroom/1/kms-material", both.as_slice()))
    }

    /// The key that seals shred keys in an epoch.
    pub(crate) fn kms_shred(&self, epoch: u32) -> Option<Arc<AeadKey>> {
        Some(Arc::clone(&self.domain(epoch)?.kms_shred))
    }

    /// The epoch of new SSE-S3 keys, and a bucket's key in it.
    pub(crate) fn newest_sse_s3(&self, bucket_uid: &[u8; 16]) -> (u32, ExternalKey) {
        let keys = self.keys.load();
        let (epoch, root) = &keys.newest_sse_s3;
        (*epoch, bucket_key(root, bucket_uid))
    }

    /// The SSE-S3 key of a bucket in an epoch.
    pub(crate) fn sse_s3(&self, epoch: u32, bucket_uid: &[u8; 16]) -> Option<ExternalKey> {
        let keys = self.keys.load();
        Some(bucket_key(keys.sse_s3.get(&epoch)?, bucket_uid))
    }

    /// The id of material that was imported into a KMS key: a MAC under a key of the first epoch,
    /// which is the same as long as the keyring lives. No epoch ever goes.
    pub(crate) fn kms_material_id(&self, key_uid: &[u8; 16], material: &[u8]) -> [u8; 32] {
        let keys = self.keys.load();
        let mut mac = hmac::Context::with_key(&keys.material_ids);
        mac.update(key_uid);
        mac.update(material);
        let mut id = [0; 32];
        for (to, from) in id.iter_mut().zip(mac.sign().as_ref()) {
            *to = *from;
        }
        id
    }

    /// The epoch that new manifests are sealed in, and the root of their keys in an epoch.
    pub(super) fn manifests(&self, epoch: u32) -> Option<Prk> {
        let domain = self.domain(epoch)?;
        let secret = domain.manifests.expose_secret();
        Some(kdf::extract(b"strongroom/1/manifests", secret))
    }

    fn domain(&self, epoch: u32) -> Option<Arc<Domain>> {
        self.keys.load().domains.get(&epoch).cloned()
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("epochs", &self.epochs())
            .finish_non_exhaustive()
    }
}

/// What one domain key gives.
///
/// INVARIANT: no `Prk` is kept. It holds what it was extracted from, as it was, on the heap; what
/// lives as long as the process lies in memory that only this process can read.
pub(super) struct Domain {
    rows: Secret32,
    manifests: Secret32,
    kms_wrap: Secret32,
    kms_shred: Arc<AeadKey>,
    private: AeadKey,
}

impl Domain {
    fn new(key: &EpochKey) -> Result<Domain, RootError> {
        let derive = deriver(key);
        let aead =
            |label: &[u8]| AeadKey::new(&derive(label)).map_err(|_| RootError::System("a cipher"));
        Ok(Domain {
            rows: Secret32::copy_of(&derive(b"strongroom/1/meta")),
            manifests: Secret32::copy_of(&derive(b"strongroom/1/manifest")),
            kms_wrap: Secret32::copy_of(&derive(b"strongroom/1/kms-wrap")),
            kms_shred: Arc::new(aead(b"strongroom/1/kms-shred")?),
            private: aead(b"strongroom/1/private")?,
        })
    }
}

/// Derives the keys of a domain key's purposes, by label.
fn deriver(key: &EpochKey) -> impl Fn(&[u8]) -> Zeroizing<[u8; 32]> {
    let root = kdf::extract(b"strongroom/1/domain", key.secret.expose_secret());
    let epoch = key.info.epoch.to_be_bytes();
    move |label| kdf::expand(&root, &[label, &[0], &epoch])
}

/// The key of the ids of imported material.
fn material_ids(key: &EpochKey) -> hmac::Key {
    let key = deriver(key)(b"strongroom/1/kms-material-id");
    hmac::Key::new(hmac::HMAC_SHA256, key.as_slice())
}

fn bucket_key(root: &Secret32, bucket_uid: &[u8; 16]) -> ExternalKey {
    let root = kdf::extract(b"strongroom/1/sse-s3", root.expose_secret());
    let key = kdf::expand(&root, &[b"strongroom/1/sse-s3-bucket\0", bucket_uid]);
    ExternalKey::copied_from(&key)
}

fn private_head(epoch: u32) -> Vec<u8> {
    [[PRIVATE_VERSION].as_slice(), &epoch.to_be_bytes()].concat()
}

fn private_aad(head: &[u8], label: &str) -> Vec<u8> {
    [b"strongroom/1/private\0".as_slice(), head, label.as_bytes()].concat()
}

const PRIVATE_VERSION: u8 = 1;

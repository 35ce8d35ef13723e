// SPDX-License-Identifier: Apache-2.0
//! The keyring file: wraps of one file key, and under it the list of keys. Bytes:
//! `docs/spec/keyring.md`.
//!
//! ```text
//!   KeyringFile::parse --open(provider)--> OpenKeyringFile --seal--> bytes
//!     (checksum right)                       | rotate, add_wrap, ..
//!                                            `--keyring--> Keyring
//! ```

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hkdf::Prk;
use aws_lc_rs::rand;
use zeroize::Zeroizing;

use super::RootError;
use super::epoch::{EpochKey, EpochKind, KeyList};
use super::keyring::Keyring;
use super::provider::{
    FileKey, PARAMETER_BYTES_MAX, RootProvider, WRAPPED_BYTES_MAX, Wrap, WrapKind,
};
use super::recovery::{Recovery, RecoveryKey};
use super::share::{Share, SplitPlan};
use crate::aead::AeadKey;
use crate::kdf;

/// A keyring file in the right form. Nothing in it is authenticated before it is opened.
#[derive(Clone, Debug)]
pub struct KeyringFile {
    id: [u8; 16],
    wraps: Vec<Wrap>,
    /// Everything before the nonce of the body.
    head: Vec<u8>,
    commitment: [u8; 32],
    /// The list of keys, sealed.
    body: Vec<u8>,
}

/// A keyring file, open, to be changed and sealed again.
#[derive(Debug)]
pub struct OpenKeyringFile {
    id: [u8; 16],
    wraps: Vec<Wrap>,
    key: FileKey,
    keys: KeyList,
}

/// Which lists of keys get a new epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// The domain keys.
    pub domain: bool,
    /// The roots of SSE-S3.
    pub sse_s3: bool,
}

impl Rotation {
    /// Whether nothing is to be done.
    pub fn is_empty(self) -> bool {
        !self.domain && !self.sse_s3
    }
}

impl KeyringFile {
    /// Reads a file: accepts exactly what [`OpenKeyringFile::seal`] makes.
    pub fn parse(file: &[u8]) -> Result<KeyringFile, RootError> {
        let (rest, sum) = file
            .split_last_chunk::<32>()
            .ok_or(RootError::Corrupted("its length"))?;
        if digest(&SHA256, rest).as_ref() != sum {
            return Err(RootError::Corrupted("its checksum"));
        }
        let mut reader = Reader(rest);
        if reader.array()? != *MAGIC {
            return Err(RootError::Corrupted("its first bytes"));
        }
        match reader.array()? {
            [VERSION] => {}
            [version] => return Err(RootError::Version(version)),
        }
        let id = reader.array()?;
        let [count] = reader.array()?;
        if !(1..=WRAPS_MAX).contains(&count) {
            return Err(RootError::Corrupted("its number of wraps"));
        }
        let mut wraps = Vec::new();
        for _ in 0..count {
            wraps.push(reader.wrap()?);
        }
        let commitment = reader.array()?;
        let body = reader.0.to_vec();
        let head_bytes = rest.len().saturating_sub(body.len());
        let head = rest.get(..head_bytes).unwrap_or_default().to_vec();
        Ok(KeyringFile {
            id,
            wraps,
            head,
            commitment,
            body,
        })
    }

    /// The wraps of the file key.
    pub fn wraps(&self) -> &[Wrap] {
        &self.wraps
    }

    /// The kind of provider that opens this file, recovery aside.
    pub fn provider(&self) -> WrapKind {
        let usual = self.wraps.iter().find(|w| w.kind != WrapKind::Recovery);
        usual.map_or(WrapKind::Recovery, |wrap| wrap.kind)
    }

    /// Opens the file with the help of a provider.
    pub fn open(&self, provider: &dyn RootProvider) -> Result<OpenKeyringFile, RootError> {
        let kind = provider.kind();
        let mut refusal = RootError::OtherProvider(self.provider());
        for wrap in self.wraps.iter().filter(|wrap| wrap.kind == kind) {
            match wrap.unwrap(provider, &self.id) {
                Ok(key) => match self.open_under(key) {
                    Err(error @ RootError::WrongSecret(_)) => refusal = error,
                    opened => return opened,
                },
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }

    fn open_under(&self, key: FileKey) -> Result<OpenKeyringFile, RootError> {
        let root = root_of(&key);
        let own = commitment(&root, &self.id);
        // A provider that has no tag of its own may have unwrapped something else.
        verify_slices_are_equal(&self.commitment, own.as_slice())
            .map_err(|_| RootError::WrongSecret(self.provider()))?;
        let body = sealing_key(&root, &self.id)?
            .open(&aad(&self.head), &self.body)
            .map_err(|_| RootError::Corrupted("its seal"))?;
        Ok(OpenKeyringFile {
            id: self.id,
            wraps: self.wraps.clone(),
            key,
            keys: KeyList::parse(&body)?,
        })
    }
}

impl OpenKeyringFile {
    /// A new keyring with the first epoch of each list.
    pub fn create(provider: &dyn RootProvider, now_ms: u64) -> Result<OpenKeyringFile, RootError> {
        let mut id = [0; 16];
        rand::fill(&mut id).map_err(|_| RootError::System("randomness"))?;
        let key = FileKey::generate()?;
        let wraps = vec![Wrap::new(provider, &id, &key, now_ms)?];
        let keys = KeyList::new(vec![
            EpochKey::generate(EpochKind::Domain, 1, now_ms)?,
            EpochKey::generate(EpochKind::SseS3, 1, now_ms)?,
        ])?;
        Ok(OpenKeyringFile {
            id,
            wraps,
            key,
            keys,
        })
    }

    /// The keys, ready for use.
    pub fn keyring(&self) -> Result<Keyring, RootError> {
        Keyring::new(&self.keys)
    }

    pub(super) fn keys(&self) -> &KeyList {
        &self.keys
    }

    /// The wraps of the file key.
    pub fn wraps(&self) -> &[Wrap] {
        &self.wraps
    }

    /// Adds a new epoch to the lists that `rotation` names. Older epochs stay.
    pub fn rotate(&mut self, rotation: Rotation, now_ms: u64) -> Result<(), RootError> {
        if rotation.domain {
            self.keys.add(EpochKind::Domain, now_ms)?;
        }
        if rotation.sse_s3 {
            self.keys.add(EpochKind::SseS3, now_ms)?;
        }
        Ok(())
    }

    /// The first half of a change of providers: one more wrap, of the same file key.
    pub fn add_wrap(&mut self, provider: &dyn RootProvider, now_ms: u64) -> Result<(), RootError> {
        if self.wraps.len() >= usize::from(WRAPS_MAX) {
            return Err(RootError::TooManyWraps);
        }
        let wrap = Wrap::new(provider, &self.id, &self.key, now_ms)?;
        self.wraps.push(wrap);
        Ok(())
    }

    /// The second half: `provider` alone, and the recovery wrap if there is one. Without a
    /// recovery wrap the file key is a new one, so that what opened the file before is of no use
    /// for what is written from now on; with one it has to stay, since the recovery key is in
    /// nobody's hands.
    pub fn keep_only(&mut self, provider: &dyn RootProvider, now_ms: u64) -> Result<(), RootError> {
        self.wraps.retain(|wrap| wrap.kind == WrapKind::Recovery);
        if self.wraps.is_empty() {
            self.key = FileKey::generate()?;
        }
        let wrap = Wrap::new(provider, &self.id, &self.key, now_ms)?;
        self.wraps.insert(0, wrap);
        Ok(())
    }

    /// Splits a new recovery key into shares. The file key is a new one, so that shares given out
    /// before open nothing that is written from now on. `provider` is the one that opens the
    /// file, and has to be the only one.
    pub fn escrow(
        &mut self,
        provider: &dyn RootProvider,
        plan: SplitPlan,
        now_ms: u64,
    ) -> Result<Vec<Share>, RootError> {
        let usual = self.wraps.iter().filter(|w| w.kind != WrapKind::Recovery);
        if usual.count() != 1 {
            return Err(RootError::RekeyUnderWay);
        }
        let (recovery, shares) = RecoveryKey::generate()?.split(plan)?;
        let key = FileKey::generate()?;
        let wraps = vec![
            Wrap::new(provider, &self.id, &key, now_ms)?,
            Wrap::new(&recovery, &self.id, &key, now_ms)?,
        ];
        self.key = key;
        self.wraps = wraps;
        Ok(shares)
    }

    /// The bytes of the file.
    pub fn seal(&self) -> Result<Vec<u8>, RootError> {
        let root = root_of(&self.key);
        let count = u8::try_from(self.wraps.len()).map_err(|_| RootError::TooManyWraps)?;
        let mut file = [MAGIC.as_slice(), &[VERSION], &self.id, &[count]].concat();
        for wrap in &self.wraps {
            put_wrap(&mut file, wrap)?;
        }
        file.extend_from_slice(commitment(&root, &self.id).as_slice());
        let aad = aad(&file);
        sealing_key(&root, &self.id)?
            .seal_to(&aad, &self.keys.bytes(), &mut file)
            .map_err(|_| RootError::System("to seal the keyring"))?;
        let sum = digest(&SHA256, &file);
        file.extend_from_slice(sum.as_ref());
        Ok(file)
    }
}

/// Opens a file with the shares of its recovery key.
pub fn recover(file: &KeyringFile, shares: &[Share]) -> Result<OpenKeyringFile, RootError> {
    let wrap = file.wraps.iter().find(|w| w.kind == WrapKind::Recovery);
    let wrap = wrap.ok_or(RootError::NoRecovery)?;
    file.open(&Recovery::combine(&wrap.parameters, shares)?)
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], RootError> {
        let (array, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(RootError::Corrupted("its length"))?;
        self.0 = rest;
        Ok(*array)
    }

    fn bytes(&mut self, bytes_max: usize) -> Result<Vec<u8>, RootError> {
        let len = usize::from(u16::from_be_bytes(self.array()?));
        if len > bytes_max {
            return Err(RootError::Corrupted("its wraps"));
        }
        let (bytes, rest) = self
            .0
            .split_at_checked(len)
            .ok_or(RootError::Corrupted("its length"))?;
        self.0 = rest;
        Ok(bytes.to_vec())
    }

    fn wrap(&mut self) -> Result<Wrap, RootError> {
        let [kind] = self.array()?;
        Ok(Wrap {
            kind: WrapKind::from_number(kind).ok_or(RootError::Corrupted("its wraps"))?,
            id: self.array()?,
            created_ms: u64::from_be_bytes(self.array()?),
            parameters: self.bytes(PARAMETER_BYTES_MAX)?,
            wrapped: self.bytes(WRAPPED_BYTES_MAX)?,
        })
    }
}

fn put_wrap(file: &mut Vec<u8>, wrap: &Wrap) -> Result<(), RootError> {
    file.push(wrap.kind.number());
    file.extend_from_slice(&wrap.id);
    file.extend_from_slice(&wrap.created_ms.to_be_bytes());
    for bytes in [&wrap.parameters, &wrap.wrapped] {
        let len = u16::try_from(bytes.len()).map_err(|_| RootError::System("a longer keyring"))?;
        file.extend_from_slice(&len.to_be_bytes());
        file.extend_from_slice(bytes);
    }
    Ok(())
}

fn root_of(key: &FileKey) -> Prk {
    kdf::extract(FILE_LABEL, key.expose_secret())
}

fn commitment(root: &Prk, id: &[u8; 16]) -> Zeroizing<[u8; 32]> {
    kdf::expand(root, &[b"strongroom/2/keyring-comm\0", id])
}

fn sealing_key(root: &Prk, id: &[u8; 16]) -> Result<AeadKey, RootError> {
    AeadKey::new(&kdf::expand(root, &[b"strongroom/2/keyring-seal\0", id]))
        .map_err(|_| RootError::System("a cipher"))
}

fn aad(head: &[u8]) -> Vec<u8> {
    [FILE_LABEL, b"\0", head].concat()
}

const MAGIC: &[u8; 4] = b"SRKR";
const VERSION: u8 = 2;
const WRAPS_MAX: u8 = 8;
const FILE_LABEL: &[u8] = b"strongroom/2/keyring";

// SPDX-License-Identifier: Apache-2.0
//! The keeper of the keyring file: opens it at the start, gives it new epochs, and changes who
//! can open it.
//!
//! ```text
//!   start      read -> open (source) ------------------------------> Keyring
//!   rotate     read -> open -> new epochs -> seal -> write --------> Keyring::install
//!   rekey      read -> open (old) -> add wrap -> write -> read -> open (new)
//!                -> keep new alone -> write -> read -> open (new)
//! ```
//!
//! INVARIANT: a file is replaced only by bytes that were opened again, by the provider that is to
//! open them; and an epoch is used only after the file that holds it is durable. A change is made
//! on a thread of its own that nobody's impatience ends, under a lock.
//!
//! The first start makes root key and keyring, the root key first: a start that was killed between
//! the two finds the key again and goes on.

mod kms_endpoint;
mod pkcs11;
pub(crate) mod source;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use strongroom_kms::root::{
    EpochInfo, EpochKind, Keyring, KeyringFile, OpenKeyringFile, RecoveryInfo, RootError,
    RootProvider, Rotation, Share, SplitPlan, Wrap, WrapKind, recover,
};
use strongroom_store::drive::small_file;

use self::source::{Kdf, RootSource};
use crate::config::Place;
use crate::error::Error;

/// The keyring file of an open store.
#[derive(Debug, Clone)]
pub(crate) struct Keeper(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    keyring: Arc<Keyring>,
    /// Who opens the file now; locked while the file is changed.
    source: Mutex<RootSource>,
}

/// After how long an epoch is followed by a new one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Periods {
    pub(crate) domain_ms: u64,
    pub(crate) sse_s3_ms: u64,
}

impl Keeper {
    /// Opens the keyring of a store that exists.
    pub(crate) async fn open(place: &Place) -> Result<Self, Error> {
        let (path, source) = (place.data.keyring(), place.root.clone());
        let no_store = Error::NoStore(place.data.shown());
        blocking(move || {
            let file = read(&path)?.ok_or(no_store)?;
            let open = open(&file, &source, &path)?;
            Self::new(path, source, &open)
        })
        .await
    }

    /// Opens the keyring file that a backup holds, by what opens that of this place.
    pub(crate) async fn of_backup(place: &Place, keyring: &[u8]) -> Result<Self, Error> {
        let (path, source) = (place.data.keyring(), place.root.clone());
        let file = keyring.to_vec();
        blocking(move || {
            let open = open(&file, &source, &path)?;
            Self::new(path, source, &open)
        })
        .await
    }

    /// Opens the keyring, or makes one if the store is new. True if it was made.
    pub(crate) async fn open_or_create(place: &Place, now_ms: u64) -> Result<(Self, bool), Error> {
        let path = place.data.keyring();
        if read(&path)?.is_some() {
            return Ok((Self::open(place).await?, false));
        }
        let is_there =
            |path: &PathBuf| rustix::fs::access(path, rustix::fs::Access::EXISTS).is_ok();
        if [place.data.drive(), place.data.witness()]
            .iter()
            .any(is_there)
        {
            return Err(Error::Root(format!(
                "`{}` is missing, but `{}` holds data: restore the keyring from a backup; without \
                 it the data cannot be read",
                path.display(),
                place.data.shown()
            )));
        }
        let source = place.root.clone();
        let keeper = blocking(move || {
            let provider = source.provider_or_make()?;
            let open = OpenKeyringFile::create(&*provider, now_ms)
                .map_err(|e| explain(&e, &source, &path))?;
            replace(&path, &open, &*provider, &source)?;
            Self::new(path, source, &open)
        });
        Ok((keeper.await?, true))
    }

    fn new(path: PathBuf, source: RootSource, open: &OpenKeyringFile) -> Result<Self, Error> {
        let keyring = open.keyring().map_err(|e| explain(&e, &source, &path))?;
        Ok(Self(Arc::new(Inner {
            path,
            keyring: Arc::new(keyring),
            source: Mutex::new(source),
        })))
    }

    pub(crate) fn keyring(&self) -> &Arc<Keyring> {
        &self.0.keyring
    }

    /// What is old enough for a new epoch.
    pub(crate) fn due(&self, periods: Periods, now_ms: u64) -> Rotation {
        let is_old = |kind, period_ms| {
            let newest = self.0.keyring.newest(kind);
            now_ms.saturating_sub(newest.created_ms) >= period_ms
        };
        Rotation {
            domain: is_old(EpochKind::Domain, periods.domain_ms),
            sse_s3: is_old(EpochKind::SseS3, periods.sse_s3_ms),
        }
    }

    /// Begins new epochs: in the file first, then in use.
    pub(crate) async fn rotate(&self, rotation: Rotation, now_ms: u64) -> Result<(), Error> {
        self.change(move |inner, source| {
            let provider = source.provider()?;
            let mut open = inner.reopen(source, &*provider)?;
            open.rotate(rotation, now_ms)
                .map_err(|e| explain(&e, source, &inner.path))?;
            inner.replace_and_install(&open, &*provider, source)
        })
        .await
    }

    /// Lets another provider open the file, and after that only it.
    pub(crate) async fn rekey(&self, to: RootSource, now_ms: u64) -> Result<(), Error> {
        self.change(move |inner, source| {
            let path = &inner.path;
            let new = to.provider_or_make()?;
            let file = inner.read()?;
            let opens_it = file.open(&*new).is_ok();
            if opens_it && seals_already(&file, &to) {
                let used = to.describe();
                // The same secret may have got another name.
                *source = to;
                return Err(Error::Root(format!(
                    "the {used} is the secret that seals the keyring now: nothing is changed, and that \
                     secret still opens it"
                )));
            }
            // A rekey that was broken off has done its first half.
            if !opens_it {
                let old = source.provider()?;
                let mut open = file.open(&*old).map_err(|e| explain(&e, source, path))?;
                inner.check(&open)?;
                open.add_wrap(&*new, now_ms)
                    .map_err(|e| explain(&e, &to, path))?;
                check(&open, &*old).map_err(|e| explain(&e, source, path))?;
                replace(path, &open, &*new, &to)?;
            }
            // From here on by what the drive holds and the new provider gives, asked afresh.
            let new = to.provider()?;
            let mut open = inner.reopen(&to, &*new)?;
            open.keep_only(&*new, now_ms)
                .map_err(|e| explain(&e, &to, path))?;
            inner.replace_and_install(&open, &*new, &to)?;
            *source = to;
            Ok(())
        })
        .await
    }

    /// Splits a new recovery key.
    pub(crate) async fn escrow(&self, plan: SplitPlan, now_ms: u64) -> Result<Vec<Share>, Error> {
        self.change(move |inner, source| {
            let provider = source.provider()?;
            let mut open = inner.reopen(source, &*provider)?;
            let shares = open
                .escrow(&*provider, plan, now_ms)
                .map_err(|e| explain(&e, source, &inner.path))?;
            inner.replace_and_install(&open, &*provider, source)?;
            Ok(shares)
        })
        .await
    }

    /// Lets a new provider open the file, with the help of shares, while the store is open.
    pub(crate) async fn recover(
        &self,
        shares: Vec<Share>,
        to: RootSource,
        now_ms: u64,
    ) -> Result<(), Error> {
        self.change(move |inner, source| {
            let current = |open: &OpenKeyringFile| inner.check(open);
            let open = recover_file(&inner.path, &shares, &to, now_ms, current)?;
            inner.install(&open, &to)?;
            *source = to;
            Ok(())
        })
        .await
    }

    /// The wraps of the file as they are now, and the epochs.
    pub(crate) async fn show(&self) -> Result<(Vec<Wrap>, Vec<EpochInfo>, RootSource), Error> {
        self.change(|inner, source| {
            let wraps = inner.read()?.wraps().to_vec();
            Ok((wraps, inner.keyring.epochs(), source.clone()))
        })
        .await
    }

    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner, &mut RootSource) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let inner = Arc::clone(&self.0);
        blocking(move || {
            let mut source = inner.source.lock().unwrap_or_else(PoisonError::into_inner);
            work(&inner, &mut source)
        })
        .await
    }
}

/// Lets a new provider open the keyring of a store that nobody has open.
pub(crate) async fn recover_closed(
    place: &Place,
    shares: Vec<Share>,
    to: RootSource,
    now_ms: u64,
) -> Result<(), Error> {
    let path = place.data.keyring();
    if read(&path)?.is_none() {
        return Err(Error::NoStore(place.data.shown()));
    }
    let unchecked = |_: &OpenKeyringFile| Ok(());
    blocking(move || recover_file(&path, &shares, &to, now_ms, unchecked).map(drop)).await
}

/// The ARN of the KMS key that is to seal a keyring, as its key service names it; `None` if it is no
/// KMS key.
pub(crate) async fn kms_key_arn(to: &RootSource) -> Result<Option<String>, Error> {
    let to = to.clone();
    blocking(move || to.kms_key_arn()).await
}

/// Whether the file, which `to` opens, is sealed by it alone and as `to` would seal it.
fn seals_already(file: &KeyringFile, to: &RootSource) -> bool {
    let mut usual = file
        .wraps()
        .iter()
        .filter(|wrap| wrap.kind() != WrapKind::Recovery);
    let (Some(wrap), None) = (usual.next(), usual.next()) else {
        // A rekey was broken off.
        return false;
    };
    match to {
        // The same passphrase may be stretched in another way from now on.
        RootSource::Passphrase { kdf, .. } => (*kdf == Kdf::Pbkdf2) == is_pbkdf2(wrap),
        RootSource::KeyFile(_) | RootSource::Pkcs11(_) | RootSource::Kms(_) => true,
    }
}

fn is_pbkdf2(wrap: &Wrap) -> bool {
    wrap.parameters().first() == Some(&2)
}

/// How a wrap is shown to people.
pub(crate) fn describe(wrap: &Wrap) -> String {
    match wrap.kind() {
        WrapKind::KeyFile => "root key in a file".to_owned(),
        WrapKind::Passphrase if is_pbkdf2(wrap) => "passphrase, PBKDF2-HMAC-SHA-512".to_owned(),
        WrapKind::Passphrase => "passphrase, Argon2id".to_owned(),
        WrapKind::Pkcs11 => "AES key of a PKCS#11 token".to_owned(),
        WrapKind::Kms => "KMS key at another endpoint".to_owned(),
        WrapKind::Recovery => match RecoveryInfo::parse(wrap.parameters()) {
            Ok(info) => format!(
                "recovery key, {} of {} shares of set {}",
                info.threshold(),
                info.shares(),
                info.set()
            ),
            Err(_) => "recovery key".to_owned(),
        },
    }
}

impl Inner {
    fn read(&self) -> Result<KeyringFile, Error> {
        let missing = || {
            Error::Root(format!(
                "`{}` is gone: restore it from a backup before the server stops",
                self.path.display()
            ))
        };
        let file = read(&self.path)?.ok_or_else(missing)?;
        parse(&file, &self.path)
    }

    fn reopen(
        &self,
        source: &RootSource,
        provider: &dyn RootProvider,
    ) -> Result<OpenKeyringFile, Error> {
        let open = self.read()?.open(provider);
        let open = open.map_err(|e| explain(&e, source, &self.path))?;
        self.check(&open)?;
        Ok(open)
    }

    /// Nothing is written on top of a file that is older than the keys in use.
    fn check(&self, open: &OpenKeyringFile) -> Result<(), Error> {
        let checked = self.keyring.check(open);
        checked.map_err(|e| damaged(&e, &self.path))
    }

    fn replace_and_install(
        &self,
        open: &OpenKeyringFile,
        provider: &dyn RootProvider,
        source: &RootSource,
    ) -> Result<(), Error> {
        replace(&self.path, open, provider, source)?;
        self.install(open, source)
    }

    fn install(&self, open: &OpenKeyringFile, source: &RootSource) -> Result<(), Error> {
        self.keyring
            .install(open)
            .map_err(|e| explain(&e, source, &self.path))
    }
}

fn recover_file(
    path: &Path,
    shares: &[Share],
    to: &RootSource,
    now_ms: u64,
    check: impl FnOnce(&OpenKeyringFile) -> Result<(), Error>,
) -> Result<OpenKeyringFile, Error> {
    let refused = |e: RootError| Error::Root(format!("cannot restore `{}`: {e}", path.display()));
    let file = read(path)?.ok_or_else(|| {
        Error::Root(format!(
            "`{}` is gone: restore it from a backup",
            path.display()
        ))
    })?;
    let mut open = recover(&parse(&file, path)?, shares).map_err(refused)?;
    check(&open)?;
    let provider = to.provider_or_make()?;
    open.keep_only(&*provider, now_ms)
        .map_err(|e| explain(&e, to, path))?;
    replace(path, &open, &*provider, to)?;
    Ok(open)
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    small_file::read_private(path).map_err(Error::file("read", path))
}

fn parse(file: &[u8], path: &Path) -> Result<KeyringFile, Error> {
    KeyringFile::parse(file).map_err(|e| damaged(&e, path))
}

fn open(file: &[u8], source: &RootSource, path: &Path) -> Result<OpenKeyringFile, Error> {
    let file = parse(file, path)?;
    let provider = source
        .provider()
        .map_err(|error| match (source, file.provider()) {
            // The default was tried because nothing was said.
            (RootSource::KeyFile(key), wanted) if wanted != WrapKind::KeyFile && !is_there(key) => {
                explain(&RootError::OtherProvider(wanted), source, path)
            }
            _ => error,
        })?;
    file.open(&*provider).map_err(|e| explain(&e, source, path))
}

fn is_there(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::EXISTS).is_ok()
}

/// Whether what would be written opens, and holds what it should.
fn check(open: &OpenKeyringFile, provider: &dyn RootProvider) -> Result<Vec<u8>, RootError> {
    let bytes = open.seal()?;
    let again = KeyringFile::parse(&bytes)?.open(provider)?;
    open.keyring()?.install(&again)?;
    Ok(bytes)
}

fn replace(
    path: &Path,
    open: &OpenKeyringFile,
    provider: &dyn RootProvider,
    source: &RootSource,
) -> Result<(), Error> {
    let bytes = check(open, provider).map_err(|e| explain(&e, source, path))?;
    small_file::write_private_durably(path, &bytes).map_err(Error::file("write", path))?;
    let stored = read(path)?;
    if stored.as_deref() == Some(bytes.as_slice()) {
        Ok(())
    } else {
        Err(Error::Root(format!(
            "`{}` does not hold what was written to it",
            path.display()
        )))
    }
}

/// Work that may block, on a thread for that; it goes on when nobody waits any more.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Error::Root("the keyring could not be worked on".to_owned()))?
}

fn damaged(error: &RootError, keyring: &Path) -> Error {
    let keyring = keyring.display();
    Error::Root(format!(
        "cannot open `{keyring}`: {error}; restore it from your backup"
    ))
}

fn explain(error: &RootError, source: &RootSource, keyring: &Path) -> Error {
    let used = source.describe();
    let shown = keyring.display();
    Error::Root(match error {
        RootError::WrongSecret(_) => {
            format!(
                "the {used} does not open `{shown}`: it belongs to another store, or it sealed this \
                 keyring before another secret took its place (`strongroom root rekey`)"
            )
        }
        RootError::OtherProvider(kind) => {
            let flags = match kind {
                WrapKind::KeyFile => "--root-key-file",
                WrapKind::Passphrase => "--passphrase-file",
                WrapKind::Pkcs11 => "--pkcs11-module and its companions",
                WrapKind::Kms => "--root-kms-endpoint and its companions",
                WrapKind::Recovery => "`strongroom root recover`",
            };
            format!("{error}: use {flags} (`{shown}`, tried with the {used})")
        }
        RootError::Version(_) | RootError::Corrupted(_) => return damaged(error, keyring),
        RootError::Provider(_) => format!("cannot open `{shown}`: {error}"),
        RootError::RekeyUnderWay
        | RootError::Plan
        | RootError::NoRecovery
        | RootError::TooManyWraps
        | RootError::TooManyEpochs
        | RootError::Share(_)
        | RootError::ShareOfAnotherSet { .. }
        | RootError::ShareTwice(_)
        | RootError::TooFewShares { .. } => error.to_string(),
        RootError::RootKeyLength(_)
        | RootError::PassphraseTooShort { .. }
        | RootError::System(_) => format!("cannot open `{shown}` with the {used}: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 24 * 3600 * 1000;
    const START_MS: u64 = 1_795_000_000_000;
    const PERIODS: Periods = Periods {
        domain_ms: 30 * DAY_MS,
        sse_s3_ms: 365 * DAY_MS,
    };

    /// A keyring of this moment in a folder, opened by a key file there.
    fn keeper(dir: &Path) -> Keeper {
        let path = dir.join("keyring");
        let source = RootSource::KeyFile(dir.join("root.key"));
        let provider = source.provider_or_make().unwrap();
        let open = OpenKeyringFile::create(&*provider, START_MS).unwrap();
        replace(&path, &open, &*provider, &source).unwrap();
        Keeper::new(path, source, &open).unwrap()
    }

    fn newest(keeper: &Keeper) -> (u32, u32) {
        let keyring = keeper.keyring();
        (
            keyring.newest(EpochKind::Domain).epoch,
            keyring.newest(EpochKind::SseS3).epoch,
        )
    }

    #[tokio::test]
    async fn epochs_follow_each_other_by_their_age() {
        let dir = tempfile::tempdir().unwrap();
        let keeper = keeper(dir.path());
        // An hourly look through two years.
        for hour in 0..2 * 365 * 24 {
            let now_ms = START_MS + hour * 3600 * 1000;
            let due = keeper.due(PERIODS, now_ms);
            if !due.is_empty() {
                keeper.rotate(due, now_ms).await.unwrap();
                assert!(keeper.due(PERIODS, now_ms).is_empty());
            }
        }
        assert_eq!(newest(&keeper), (25, 2));
        // A clock that was set back begins nothing.
        assert!(keeper.due(PERIODS, START_MS).is_empty());
        assert!(keeper.due(PERIODS, 0).is_empty());
    }

    #[tokio::test]
    async fn epoch_that_cannot_be_written_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let keeper = keeper(dir.path());
        let both = Rotation {
            domain: true,
            sse_s3: true,
        };
        let key = std::fs::read(dir.path().join("root.key")).unwrap();
        std::fs::remove_file(dir.path().join("root.key")).unwrap();
        assert!(keeper.rotate(both, START_MS).await.is_err());
        assert_eq!(newest(&keeper), (1, 1));
        small_file::write_private_durably(&dir.path().join("root.key"), &key).unwrap();
        // In the place where the new file would be written stands a folder.
        std::fs::create_dir(dir.path().join("keyring.new")).unwrap();
        assert!(keeper.rotate(both, START_MS).await.is_err());
        assert_eq!(newest(&keeper), (1, 1));
        std::fs::remove_dir(dir.path().join("keyring.new")).unwrap();
        keeper.rotate(both, START_MS).await.unwrap();
        assert_eq!(newest(&keeper), (2, 2));
    }

    /// It was said that the old secret does not open the keyring any more: it was the new one.
    #[tokio::test]
    async fn a_secret_does_not_take_its_own_place() {
        let dir = tempfile::tempdir().unwrap();
        let keeper = keeper(dir.path());
        let key = dir.path().join("root.key");
        let copy = dir.path().join("copy.key");
        small_file::write_private_durably(&copy, &std::fs::read(&key).unwrap()).unwrap();
        let before = std::fs::read(dir.path().join("keyring")).unwrap();
        for same in [key, copy] {
            let refused = keeper.rekey(RootSource::KeyFile(same), START_MS).await;
            let said = refused.unwrap_err().to_string();
            assert!(
                said.contains("is the secret that seals the keyring now"),
                "{said}"
            );
        }
        assert_eq!(std::fs::read(dir.path().join("keyring")).unwrap(), before);
        let phrase = dir.path().join("phrase");
        small_file::write_private_durably(&phrase, b"a phrase of many words\n").unwrap();
        let by = |kdf| RootSource::Passphrase {
            file: phrase.clone(),
            kdf,
        };
        keeper.rekey(by(Kdf::Argon2id), START_MS).await.unwrap();
        assert!(keeper.rekey(by(Kdf::Argon2id), START_MS).await.is_err());
        // Stretched otherwise, it is a change.
        keeper.rekey(by(Kdf::Pbkdf2), START_MS).await.unwrap();
        assert!(keeper.rekey(by(Kdf::Pbkdf2), START_MS).await.is_err());
    }

    #[tokio::test]
    async fn changes_at_the_same_time_lose_no_epoch() {
        let dir = tempfile::tempdir().unwrap();
        let keeper = keeper(dir.path());
        let domain = Rotation {
            domain: true,
            sse_s3: false,
        };
        let other = RootSource::KeyFile(dir.path().join("other.key"));
        let mut tasks = tokio::task::JoinSet::new();
        for round in 0..8 {
            let (keeper, other) = (keeper.clone(), other.clone());
            tasks.spawn(async move {
                if round == 4 {
                    keeper.rekey(other, START_MS).await
                } else {
                    keeper.rotate(domain, START_MS).await
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap().unwrap();
        }
        assert_eq!(newest(&keeper), (8, 1));
        let file = std::fs::read(dir.path().join("keyring")).unwrap();
        let open = open(&file, &other, &dir.path().join("keyring")).unwrap();
        assert_eq!(open.keyring().unwrap().epochs(), keeper.keyring().epochs());
    }
}

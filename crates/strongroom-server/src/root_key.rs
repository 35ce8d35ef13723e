// SPDX-License-Identifier: Apache-2.0
//! From the root key (or passphrase) to the open keyring.
//!
//! The first start makes both files, the root key first: a start that was killed between the
//! two finds the key again and goes on.

use std::path::Path;

use strongroom_kms::root::{
    self, Keyring, KeyringFile, Passphrase, RootError, RootKey, RootSecret, WrapKind,
};
use strongroom_store::drive::small_file;
use zeroize::{Zeroize as _, Zeroizing};

use crate::config::{Place, RootSource};
use crate::error::Error;

/// Opens the keyring of a store that exists.
pub(crate) fn open(place: &Place) -> Result<Keyring, Error> {
    let path = place.data.keyring();
    let file = small_file::read_private(&path)
        .map_err(Error::file("read", &path))?
        .ok_or_else(|| Error::NoStore(place.data.shown()))?;
    let secret = match &place.root {
        RootSource::KeyFile(key) => {
            read_root_key(key)?.ok_or_else(|| missing_root_key(key, &file))?
        }
        RootSource::Passphrase(phrase) => read_passphrase(phrase)?,
    };
    root::unseal(&file, &secret).map_err(|e| explain(e, &place.root, &path))
}

/// Opens the keyring, or makes one if the store is new. True if it was made.
pub(crate) fn open_or_create(place: &Place, now_ms: u64) -> Result<(Keyring, bool), Error> {
    let path = place.data.keyring();
    if small_file::read_private(&path)
        .map_err(Error::file("read", &path))?
        .is_some()
    {
        return Ok((open(place)?, false));
    }
    if rustix::fs::access(place.data.drive(), rustix::fs::Access::EXISTS).is_ok() {
        return Err(Error::Root(format!(
            "`{}` is missing, but `{}` holds data: restore the keyring from a backup; without it \
             the data cannot be read",
            path.display(),
            place.data.drive().display()
        )));
    }
    let secret = match &place.root {
        RootSource::Passphrase(phrase) => read_passphrase(phrase)?,
        RootSource::KeyFile(key) => match read_root_key(key)? {
            Some(secret) => secret,
            None => RootSecret::Key(make_root_key(key)?),
        },
    };
    let (keyring, file) =
        root::create(&secret, now_ms).map_err(|e| explain(e, &place.root, &path))?;
    small_file::write_private_durably(&path, &file).map_err(Error::file("write", &path))?;
    Ok((keyring, true))
}

fn make_root_key(path: &Path) -> Result<RootKey, Error> {
    let key = RootKey::generate().map_err(Error::room("cannot make a root key"))?;
    // Hexadecimal, so that it can be printed and kept in a safe.
    let mut text = Zeroizing::new(hex::encode(key.expose_secret()));
    text.push('\n');
    small_file::write_private_durably(path, text.as_bytes())
        .map_err(Error::file("write the root key", path))?;
    Ok(key)
}

fn read_root_key(path: &Path) -> Result<Option<RootSecret>, Error> {
    let read = small_file::read_private(path).map_err(Error::file("read the root key", path))?;
    let Some(text) = read.map(Zeroizing::new) else {
        return Ok(None);
    };
    let mut bytes = Zeroizing::new([0; 32]);
    let decoded = hex::decode_to_slice(text.trim_ascii(), bytes.as_mut_slice());
    let key = decoded
        .ok()
        .and_then(|()| RootKey::from_bytes(bytes.as_slice()).ok());
    match key {
        Some(key) => Ok(Some(RootSecret::Key(key))),
        None => Err(Error::Root(format!(
            "`{}` is not a root key (64 hexadecimal digits): restore it from your backup",
            path.display()
        ))),
    }
}

fn read_passphrase(path: &Path) -> Result<RootSecret, Error> {
    let wrong = |why: &str| Error::Root(format!("passphrase file `{}` {why}", path.display()));
    let bytes = small_file::read_private(path)
        .map_err(Error::file("read the passphrase file", path))?
        .map(Zeroizing::new)
        .ok_or_else(|| wrong("does not exist"))?;
    let mut text = std::str::from_utf8(&bytes)
        .map_err(|_| wrong("is not UTF-8"))?
        .to_owned();
    let first_line = text.lines().next().unwrap_or_default().to_owned();
    text.zeroize();
    let phrase = Passphrase::new(first_line)
        .map_err(|e| Error::Root(format!("passphrase file `{}`: {e}", path.display())))?;
    Ok(RootSecret::Passphrase(phrase))
}

fn missing_root_key(path: &Path, keyring: &[u8]) -> Error {
    let wanted = KeyringFile::parse(keyring).map(|file| file.provider());
    if wanted == Ok(WrapKind::Passphrase) {
        return Error::Root(
            "this store was made with a passphrase: give the file that holds it by \
             --passphrase-file"
                .to_owned(),
        );
    }
    Error::Root(format!(
        "the root key `{}` is missing: restore it from your backup, or say where it is by \
         --root-key-file; without it nothing in this store can be read",
        path.display()
    ))
}

fn explain(error: RootError, source: &RootSource, keyring: &Path) -> Error {
    let (used, other) = match source {
        RootSource::KeyFile(path) => (
            format!("root key `{}`", path.display()),
            "--passphrase-file",
        ),
        RootSource::Passphrase(path) => (
            format!("passphrase of `{}`", path.display()),
            "--root-key-file",
        ),
    };
    let keyring = keyring.display();
    Error::Root(match error {
        RootError::WrongSecret(_) => {
            format!("the {used} does not open `{keyring}`: it belongs to another store")
        }
        RootError::OtherProvider(_) => {
            format!("{error}: use {other} (`{keyring}`, tried with the {used})")
        }
        RootError::Version(_) | RootError::Corrupted(_) => {
            format!("cannot open `{keyring}`: {error}; restore it from your backup")
        }
        RootError::RootKeyLength(_)
        | RootError::PassphraseTooShort { .. }
        | RootError::Provider(_)
        | RootError::TooManyWraps
        | RootError::TooManyEpochs
        | RootError::RekeyUnderWay
        | RootError::Plan
        | RootError::NoRecovery
        | RootError::Share(_)
        | RootError::ShareOfAnotherSet { .. }
        | RootError::ShareTwice(_)
        | RootError::TooFewShares { .. }
        | RootError::System(_) => format!("cannot open `{keyring}` with the {used}: {error}"),
    })
}

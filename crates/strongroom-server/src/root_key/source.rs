// SPDX-License-Identifier: Apache-2.0
//! Where the root of all keys is, and the provider made from it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use strongroom_kms::root::{Passphrase, RootKey, RootProvider, StretchKind};
use strongroom_store::drive::small_file;
use zeroize::{Zeroize as _, Zeroizing};

use super::kms_endpoint::KmsEndpoint;
use super::pkcs11::Pkcs11Token;
use crate::error::Error;

/// What unseals the keyring: places of secrets, never secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum RootSource {
    KeyFile(PathBuf),
    Passphrase { file: PathBuf, kdf: Kdf },
    Pkcs11(Pkcs11Source),
    Kms(KmsSource),
}

/// How a passphrase is stretched.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kdf {
    /// Argon2id: 64 MiB of memory, three passes
    #[default]
    Argon2id,
    /// PBKDF2-HMAC-SHA-512, 600,000 iterations: where only approved algorithms may be used
    Pbkdf2,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pkcs11Source {
    pub(crate) module: PathBuf,
    pub(crate) token_label: String,
    pub(crate) key_label: String,
    pub(crate) pin_file: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KmsSource {
    pub(crate) endpoint: String,
    pub(crate) key_id: String,
    pub(crate) region: String,
    pub(crate) credentials_file: PathBuf,
    pub(crate) ca: Option<PathBuf>,
}

impl RootSource {
    /// The provider; its secret is read now and wiped when the provider is dropped.
    pub(crate) fn provider(&self) -> Result<Box<dyn RootProvider>, Error> {
        match self {
            Self::KeyFile(file) => match read_root_key(file)? {
                Some(key) => Ok(Box::new(key)),
                None => Err(Error::Root(format!(
                    "the root key `{}` is missing: restore it from your backup, or say where it \
                     is by --root-key-file; without it nothing in this store can be read",
                    file.display()
                ))),
            },
            Self::Passphrase { file, kdf } => {
                let kind = match kdf {
                    Kdf::Argon2id => StretchKind::Argon2id,
                    Kdf::Pbkdf2 => StretchKind::Pbkdf2,
                };
                Ok(Box::new(read_passphrase(file)?.stretched_by(kind)))
            }
            Self::Pkcs11(source) => {
                let pin = read_first_line("PIN file", &source.pin_file)?;
                Ok(Box::new(Pkcs11Token::new(source.clone(), pin)))
            }
            Self::Kms(source) => Ok(Box::new(KmsEndpoint::new(source)?)),
        }
    }

    /// Like [`Self::provider`], for a keyring that is sealed with it for the first time: makes the
    /// root key's file if there is none.
    pub(crate) fn provider_or_make(&self) -> Result<Box<dyn RootProvider>, Error> {
        if let Self::KeyFile(file) = self
            && read_root_key(file)?.is_none()
        {
            return Ok(Box::new(make_root_key(file)?));
        }
        self.provider()
    }

    /// The ARN of the KMS key, as the other key service names it; `None` of another source. On a
    /// thread that may block.
    pub(super) fn kms_key_arn(&self) -> Result<Option<String>, Error> {
        let Self::Kms(source) = self else {
            return Ok(None);
        };
        let arn = KmsEndpoint::new(source)?.key_arn();
        arn.map(Some)
            .map_err(|e| Error::Root(format!("the {} is not usable: {e}", self.describe())))
    }

    /// For people.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::KeyFile(file) => format!("root key `{}`", file.display()),
            Self::Passphrase { file, .. } => format!("passphrase of `{}`", file.display()),
            Self::Pkcs11(source) => format!(
                "key `{}` of the PKCS#11 token `{}`",
                source.key_label, source.token_label
            ),
            Self::Kms(source) => format!("KMS key `{}` at {}", source.key_id, source.endpoint),
        }
    }

    /// The flags that name it.
    pub(crate) fn flags(&self) -> String {
        let mut flags = String::new();
        let mut flag = |name: &str, value: &str| {
            let value = crate::command::quoted(value);
            // Writing to a string cannot fail.
            let _ok = write!(flags, " --{name} {}", value.as_str());
        };
        let shown = |path: &Path| path.display().to_string();
        match self {
            Self::KeyFile(file) => flag("root-key-file", &shown(file)),
            Self::Passphrase { file, .. } => flag("passphrase-file", &shown(file)),
            Self::Pkcs11(source) => {
                flag("pkcs11-module", &shown(&source.module));
                flag("pkcs11-token-label", &source.token_label);
                flag("pkcs11-key-label", &source.key_label);
                flag("pkcs11-pin-file", &shown(&source.pin_file));
            }
            Self::Kms(source) => {
                flag("root-kms-endpoint", &source.endpoint);
                flag("root-kms-key-id", &source.key_id);
                flag("root-kms-region", &source.region);
                flag(
                    "root-kms-credentials-file",
                    &shown(&source.credentials_file),
                );
                if let Some(ca) = &source.ca {
                    flag("root-kms-ca", &shown(ca));
                }
            }
        }
        flags.trim_start().to_owned()
    }

    /// With absolute paths, for a server that runs elsewhere.
    pub(crate) fn absolute(mut self) -> Result<Self, Error> {
        let absolute = |path: &mut PathBuf| -> Result<(), Error> {
            *path = crate::command::absolute(path)?;
            Ok(())
        };
        match &mut self {
            Self::KeyFile(file) | Self::Passphrase { file, .. } => absolute(file)?,
            Self::Pkcs11(source) => {
                absolute(&mut source.module)?;
                absolute(&mut source.pin_file)?;
            }
            Self::Kms(source) => {
                absolute(&mut source.credentials_file)?;
                if let Some(ca) = &mut source.ca {
                    absolute(ca)?;
                }
            }
        }
        Ok(self)
    }
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

fn read_root_key(path: &Path) -> Result<Option<RootKey>, Error> {
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
        Some(key) => Ok(Some(key)),
        None => Err(Error::Root(format!(
            "`{}` is not a root key (64 hexadecimal digits): restore it from your backup",
            path.display()
        ))),
    }
}

fn read_passphrase(path: &Path) -> Result<Passphrase, Error> {
    let mut line = read_first_line("passphrase file", path)?;
    Passphrase::new(std::mem::take(&mut *line))
        .map_err(|e| Error::Root(format!("passphrase file `{}`: {e}", path.display())))
}

/// The first line of a file that only its owner can read.
fn read_first_line(what: &'static str, path: &Path) -> Result<Zeroizing<String>, Error> {
    let wrong = |why: &str| Error::Root(format!("{what} `{}` {why}", path.display()));
    let bytes = small_file::read_private(path)
        .map_err(|e| Error::io(format!("cannot read the {what} `{}`", path.display()), e))?
        .map(Zeroizing::new)
        .ok_or_else(|| wrong("does not exist"))?;
    let mut text = std::str::from_utf8(&bytes)
        .map_err(|_| wrong("is not UTF-8"))?
        .to_owned();
    let first_line = text.lines().next().unwrap_or_default().to_owned();
    text.zeroize();
    Ok(Zeroizing::new(first_line))
}

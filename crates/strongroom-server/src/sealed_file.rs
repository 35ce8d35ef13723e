// SPDX-License-Identifier: Apache-2.0
//! Small secrets beside the store (root credential, CA key), sealed by the keyring and bound to
//! what they are: a sealed CA key does not open as a credential.

use std::path::Path;

use strongroom_kms::root::Keyring;
use strongroom_store::drive::small_file;
use zeroize::Zeroizing;

use crate::error::Error;

/// What a sealed file holds; part of what its seal authenticates.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Content {
    RootCredential,
    CaKey,
}

impl Content {
    fn label(self) -> &'static str {
        match self {
            Self::RootCredential => "root-credential",
            Self::CaKey => "ca-key",
        }
    }
}

/// Opens the file; `None` if there is none.
pub(crate) fn read(
    keyring: &Keyring,
    path: &Path,
    content: Content,
) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    let Some(sealed) = small_file::read_private(path).map_err(Error::file("read", path))? else {
        return Ok(None);
    };
    let opened = keyring.open_private(content.label(), &sealed).map_err(|_| {
        Error::Root(format!(
            "`{}` does not open with this keyring: it is damaged or belongs to another store; \
             restore it from a backup",
            path.display()
        ))
    });
    opened.map(Some)
}

/// Seals `plain` into the file, durably.
pub(crate) fn write(
    keyring: &Keyring,
    path: &Path,
    content: Content,
    plain: &[u8],
) -> Result<(), Error> {
    let sealed = keyring
        .seal_private(content.label(), plain)
        .map_err(Error::room("cannot seal a file"))?;
    small_file::write_private_durably(path, &sealed).map_err(Error::file("write", path))
}

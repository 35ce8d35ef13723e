// SPDX-License-Identifier: Apache-2.0
//! Small secrets that can be destroyed.
//!
//! The problem: whatever was once committed to the tables stays in their log and in the files of
//! their index for as long as those are kept, so deleting a row destroys nothing. A secret whose
//! destruction has to mean something lives here instead, in a file of its own that no other file
//! repeats. What the file holds arrives sealed, as everything in this store.
//!
//! ```text
//!  0   4  "SRVK"
//!  4   1  version 1
//!  5  16  owner: what the secret belongs to
//! 21  16  id: the name of the file, drawn at random, never used again
//! 37   n  sealed secret, at most 1,024 bytes
//! ```
//!
//! A file is written and durable before a commit refers to it. One that nothing refers to is left
//! by a crash, and the owner of this vault destroys it at the next start. The beginning of a file
//! does not depend on any key, so that copies of it can be looked for anywhere.

use std::fmt;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use crate::drive::{Access, Drive, DrivePath, Folder};
use crate::error::Error;

/// The vault of a store. Clones are the same vault.
#[derive(Clone)]
pub struct Vault {
    drive: Arc<dyn Drive>,
}

/// A file of the vault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VaultEntry {
    /// Its name.
    pub id: [u8; 16],
    /// Whose it is; `None` when the file is not whole.
    pub owner: Option<[u8; 16]>,
}

impl Vault {
    pub(crate) fn new(drive: Arc<dyn Drive>) -> Self {
        Self { drive }
    }

    /// Keeps a sealed secret, durably. An id that was used before is refused.
    pub async fn put(&self, owner: [u8; 16], id: [u8; 16], sealed: &[u8]) -> Result<(), Error> {
        if sealed.len() > SEALED_BYTES_MAX {
            return Err(Error::TooLarge {
                what: "a secret of the vault",
            });
        }
        let bytes = [head(&owner, &id).as_slice(), sealed].concat();
        self.blocking(move |drive| {
            let file = drive.create(&DrivePath::vault(id))?;
            file.write_durably(0, &bytes)?;
            drive.sync_folder(Folder::Vault)
        })
        .await
    }

    /// The sealed secret with this id, which must be the owner's; `None` when there is none.
    pub fn get(&self, owner: [u8; 16], id: [u8; 16]) -> Result<Option<Vec<u8>>, Error> {
        let path = DrivePath::vault(id);
        let Some(bytes) = self.drive.read_small(&path)? else {
            return Ok(None);
        };
        if let Some(sealed) = sealed_part(&bytes, &owner, &id) {
            return Ok(Some(sealed));
        }
        let sound = self.get_each(owner, id)?.into_iter().next();
        sound.map(Some).ok_or_else(|| Error::Corrupted {
            place: path.to_string(),
            reason: "not the secret that was put there",
        })
    }

    /// Every different content that copies of the vault have for this secret, when what
    /// [`Self::get`] returned does not open: only who sealed it can tell which one is right.
    pub fn get_each(&self, owner: [u8; 16], id: [u8; 16]) -> Result<Vec<Vec<u8>>, Error> {
        let contents = self.drive.read_small_each(&DrivePath::vault(id))?;
        let sealed = |bytes: &Vec<u8>| sealed_part(bytes, &owner, &id);
        Ok(contents.iter().filter_map(sealed).collect())
    }

    /// Destroys a secret: its bytes are overwritten, then its name is taken away, both durably.
    /// `false` when there is none. After a crash in the middle the file may still be there, with
    /// its bytes or with zeros: destroy it again.
    pub async fn destroy(&self, id: [u8; 16]) -> Result<bool, Error> {
        self.blocking(move |drive| {
            let path = DrivePath::vault(id);
            let Some(file) = drive.open(&path, Access::ReadWrite)? else {
                return Ok(false);
            };
            let len = usize::try_from(file.len()?).unwrap_or(usize::MAX);
            let len = len.clamp(HEAD_BYTES, OVERWRITTEN_BYTES_MAX);
            file.write_at(0, &vec![0; len])?;
            file.sync()?;
            drive.remove(&path)?;
            drive.sync_folder(Folder::Vault)?;
            Ok(true)
        })
        .await
    }

    /// Every file of the vault, in the order of their names.
    pub fn list(&self) -> Result<Vec<VaultEntry>, Error> {
        let mut entries = Vec::new();
        for path in self.drive.list(Folder::Vault)? {
            let Some(id) = path.vault_id() else {
                continue;
            };
            let bytes = self.drive.read_small(&path)?.unwrap_or_default();
            let owner = bytes
                .get(OWNER_AT..OWNER_AT + 16)
                .and_then(|owner| <[u8; 16]>::try_from(owner).ok());
            let owner = owner.filter(|owner| bytes.starts_with(&head(owner, &id)));
            entries.push(VaultEntry { id, owner });
        }
        entries.sort_unstable_by_key(|entry| entry.id);
        Ok(entries)
    }

    /// A file as it lies there; `None` when there is none.
    pub(crate) fn file(&self, id: [u8; 16]) -> Result<Option<Vec<u8>>, Error> {
        self.drive.read_small(&DrivePath::vault(id))
    }

    /// How every file of this owner begins, to look for copies of them.
    pub fn mark(owner: &[u8; 16]) -> Vec<u8> {
        [MAGIC.as_slice(), &[VERSION], owner].concat()
    }

    async fn blocking<T: Send + 'static>(
        &self,
        job: impl FnOnce(&dyn Drive) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let drive = Arc::clone(&self.drive);
        spawn_blocking(move || job(drive.as_ref()))
            .await
            .map_err(|_| Error::WorkerGone)?
    }
}

/// Whether these bytes can be what was put at `path`, as far as the store can tell.
pub(crate) fn is_whole(path: &DrivePath, bytes: &[u8]) -> bool {
    let Some(id) = path.vault_id() else {
        return false;
    };
    let owner = bytes
        .get(OWNER_AT..OWNER_AT + 16)
        .and_then(|owner| <[u8; 16]>::try_from(owner).ok());
    (HEAD_BYTES + 1..=HEAD_BYTES + SEALED_BYTES_MAX).contains(&bytes.len())
        && owner.is_some_and(|owner| bytes.starts_with(&head(&owner, &id)))
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").finish_non_exhaustive()
    }
}

/// The sealed secret in a file of the vault that is this owner's under this id.
fn sealed_part(bytes: &[u8], owner: &[u8; 16], id: &[u8; 16]) -> Option<Vec<u8>> {
    let (found, sealed) = bytes.split_at_checked(HEAD_BYTES)?;
    (*found == head(owner, id) && sealed.len() <= SEALED_BYTES_MAX).then(|| sealed.to_vec())
}

fn head(owner: &[u8; 16], id: &[u8; 16]) -> Vec<u8> {
    [Vault::mark(owner).as_slice(), id].concat()
}

const MAGIC: [u8; 4] = *b"SRVK";
const VERSION: u8 = 1;
const OWNER_AT: usize = 5;
const HEAD_BYTES: usize = 37;
const SEALED_BYTES_MAX: usize = 1024;
const OVERWRITTEN_BYTES_MAX: usize = 64 * 1024;

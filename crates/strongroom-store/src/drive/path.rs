// SPDX-License-Identifier: Apache-2.0
//! Names of files on a drive.
//!
//! The problem: an object's S3 name must never reach a file system (traversal, length, case,
//! and it would tell in clear what is stored). So names are made only from fixed words of our
//! own, numbers and ids; there is no constructor that takes text from outside.

use std::fmt;

use crate::layout::{BlobId, write_hex};

/// The folders of a drive.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Folder {
    /// The top of the drive: the superblock.
    Top,
    /// Shard files being written; emptied when the store opens.
    Temporary,
    /// Finished shard files whose blob id starts with this byte.
    Blobs(u8),
    /// The commit log of the tables.
    Log,
    /// The audit log.
    Audit,
    /// Small secrets that are kept outside log and index, so that they can be destroyed.
    Vault,
}

/// A file on a drive: folder and name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DrivePath {
    folder: Folder,
    name: String,
}

impl Folder {
    /// The folder as the path elements below the drive's top.
    pub fn as_text(self) -> String {
        match self {
            Self::Top => String::new(),
            Self::Temporary => "tmp".to_owned(),
            Self::Blobs(first) => format!("blobs/{first:02x}"),
            Self::Log => "log".to_owned(),
            Self::Audit => "audit".to_owned(),
            Self::Vault => "vault".to_owned(),
        }
    }
}

impl DrivePath {
    /// A file named by a word in the program.
    pub fn fixed(folder: Folder, name: &'static str) -> Self {
        Self {
            folder,
            name: name.to_owned(),
        }
    }

    /// A file named by a word in the program and a number: `word-000000000000002a`, so that the
    /// order of names is the order of numbers.
    pub fn numbered(folder: Folder, word: &'static str, number: u64) -> Self {
        Self {
            folder,
            name: format!("{word}-{number:016x}"),
        }
    }

    /// The number of a file made by [`Self::numbered`] with the same word.
    pub fn number(&self, word: &'static str) -> Option<u64> {
        let digits = self.name.strip_prefix(word)?.strip_prefix('-')?;
        let lower_hex = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
        if digits.len() != 16 || !digits.bytes().all(lower_hex) {
            return None;
        }
        u64::from_str_radix(digits, 16).ok()
    }

    /// The finished shard file of a blob.
    pub fn blob(blob: BlobId) -> Self {
        let [first, ..] = blob.0;
        Self {
            folder: Folder::Blobs(first),
            name: hex_name(blob),
        }
    }

    /// The shard file of a blob while it is being written.
    pub fn blob_in_writing(blob: BlobId) -> Self {
        Self {
            folder: Folder::Temporary,
            name: hex_name(blob),
        }
    }

    /// The blob of a finished shard file, if this is the name of one in its right folder.
    pub fn blob_id(&self) -> Option<BlobId> {
        if self.name.len() != 32 {
            return None;
        }
        let id = BlobId(u128::from_str_radix(&self.name, 16).ok()?.to_be_bytes());
        (*self == Self::blob(id)).then_some(id)
    }

    /// The blob of a shard file that is being written, if this is the name of one.
    pub fn blob_in_writing_id(&self) -> Option<BlobId> {
        if self.name.len() != 32 {
            return None;
        }
        let id = BlobId(u128::from_str_radix(&self.name, 16).ok()?.to_be_bytes());
        (*self == Self::blob_in_writing(id)).then_some(id)
    }

    /// A file of the vault.
    pub fn vault(id: [u8; 16]) -> Self {
        Self {
            folder: Folder::Vault,
            name: hex_name(BlobId(id)),
        }
    }

    /// The id of a file of the vault, if this is the name of one.
    pub fn vault_id(&self) -> Option<[u8; 16]> {
        if self.name.len() != 32 {
            return None;
        }
        let id = u128::from_str_radix(&self.name, 16).ok()?.to_be_bytes();
        (*self == Self::vault(id)).then_some(id)
    }

    /// A name that a drive found in one of its folders. For implementations of `Drive::list`.
    pub fn listed(folder: Folder, name: String) -> Self {
        Self { folder, name }
    }

    /// The folder.
    pub fn folder(&self) -> Folder {
        self.folder
    }

    /// The name within the folder.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for DrivePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.folder {
            Folder::Top => f.write_str(&self.name),
            folder => write!(f, "{}/{}", folder.as_text(), self.name),
        }
    }
}

fn hex_name(blob: BlobId) -> String {
    let mut name = String::with_capacity(32);
    // Writing into a string cannot fail.
    let _ = write_hex(&mut name, &blob.0);
    name
}

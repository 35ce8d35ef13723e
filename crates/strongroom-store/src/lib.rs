// SPDX-License-Identifier: Apache-2.0
//! Redundant store of sealed blobs and tables on drives.
//!
//! The floor on which everything durable stands. It is given bytes that are sealed already and a
//! sealer for its rows; it never sees an object's plaintext, a key or a protocol.
//!
//! ```text
//!   upload:    Blobs::create -> BlobWriter::write* -> finish -> BlobProof
//!                                                                   |
//!              Tables::commit(preconditions, [PutStamped version, AdoptBlob(proof)])
//!                                                                   |
//!              answered: blob and rows are durable, or nothing happened
//!
//!   download:  Tables::get/scan -> BlobLocation -> Blobs::open -> BlobReader::read*
//!
//!   below both: Drive (local directory; simulated in tests): the only way to the medium
//! ```
//!
//! - [`Store`] opens a drive, replays the tables and removes what a crash left behind.
//! - [`table`]: ordered rows, changed only by one commit operation; the truth is a sealed log.
//! - [`blob`]: immutable sequences of sealed units with checksums.
//! - [`scrub`]: reads everything again; [`heal`]: gives back redundancy that was lost.
//! - [`drive`]: the trait, the local directory, and health.
//! - [`Vault`]: small secrets in files of their own, so that they can be destroyed.
//! - [`erasure`]: which unit lies in which shard, and how lost units are computed from others.
//! - [`rebuild`]: tables made anew from the shard files, when all of them are lost.
//! - [`layout`]: ids, redundancy and the arithmetic between units and files.

mod at_rest;
pub mod backup;
pub mod blob;
mod care;
mod catalogue;
mod cluster;
pub mod drive;
mod drives;
pub mod env;
pub mod erasure;
pub mod error;
mod haste;
pub mod heal;
pub mod layout;
pub mod mirror;
pub mod rebuild;
pub mod scrub;
mod store;
mod superblock;
pub mod table;
mod vault;
mod watch;

pub use at_rest::{AtRest, AtRestError};
pub use blob::{
    BlobPin, BlobProof, BlobReader, BlobWriter, Blobs, UnitBuffer, UnitNotSealed, UnitSealer,
};
pub use care::{CareOptions, DamagedBlob};
pub use catalogue::CatalogueEntry;
pub use cluster::{
    AtPlace, CopyDrive, DriveOpener, DriveStatus, GiveUp, GivenDrive, LocalOpener, LostDrive,
    StoreDrives, TablesLeft, Wish,
};
pub use drives::Protection;
pub use error::Error;
pub use layout::{BlobId, BlobLocation};
pub use store::{Store, StoreOptions, StoreStatus};
pub use table::{Batch, CommitError, CommitSeq, Precondition, Row, TableId, Tables, Write};
pub use vault::{Vault, VaultEntry};

/// Entry points for fuzzing: any bytes may be given.
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing {
    pub use crate::blob::fuzzing::shard_ends;
    pub use crate::table::fuzzing::journal_replay;
}

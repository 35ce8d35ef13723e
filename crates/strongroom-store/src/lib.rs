// SPDX-License-Identifier: Apache-2.0
//! Redundant store of sealed blobs and tables on drives.

mod at_rest;
pub mod blob;
mod catalogue;
pub mod drive;
pub mod env;
pub mod error;
pub mod layout;
mod store;
mod superblock;
pub mod table;

pub use at_rest::{AtRest, AtRestError};
pub use blob::{BlobProof, BlobReader, BlobWriter, Blobs, UnitBuffer};
pub use catalogue::CatalogueEntry;
pub use error::Error;
pub use layout::{BlobId, BlobLocation};
pub use store::{Store, StoreOptions, StoreStatus};
pub use table::{Batch, CommitError, CommitSeq, Precondition, Row, TableId, Tables, Write};

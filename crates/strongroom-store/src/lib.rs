// SPDX-License-Identifier: Apache-2.0
//! Redundant store of sealed blobs and tables on drives.

pub mod blob;
pub mod drive;
pub mod env;
pub mod error;
pub mod layout;

pub use error::Error;
pub use layout::{BlobId, BlobLocation};

// SPDX-License-Identifier: Apache-2.0
//! Redundant store of sealed blobs and tables on drives.

mod at_rest;
pub mod blob;
pub mod drive;
pub mod env;
pub mod error;
pub mod layout;

pub use at_rest::{AtRest, AtRestError};
pub use error::Error;
pub use layout::{BlobId, BlobLocation};

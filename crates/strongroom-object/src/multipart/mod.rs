// SPDX-License-Identifier: Apache-2.0
//! Multipart uploads: one object key for the upload, one sealed body for each attempt at a part.
//!
//! ```text
//!  create    OEK random, wrapped over BIND of the upload (flag pending)
//!  part      PK(part number, random part uid) -> own FLOE message -> own blob, adopted at once
//!  complete  the parts' table goes into BIND of the object; OEK wrapped again over it
//!            and a note of it is left beside the tables
//! ```
//!
//! An attempt at a part never shares a key with another attempt at it, since the part uid is
//! random. An SSE-C upload can be completed without the customer's key: then the record of the
//! upload stays, and a tag under a key derived from OEK binds the finished object to it.
//!
//! The version says which upload it was, so that completing it once more is answered as before.

mod abort_multipart_upload;
mod complete_multipart_upload;
mod completed_before;
mod create_multipart_upload;
mod list_multipart_uploads;
mod list_parts;
mod upload;
mod upload_part;
mod upload_part_copy;

pub use complete_multipart_upload::{CompleteMultipartUpload, CompletedPart};
pub use create_multipart_upload::{CreateMultipartUpload, CreateMultipartUploadOutput};
pub use list_multipart_uploads::{ListMultipartUploads, ListMultipartUploadsOutput, ListedUpload};
pub use list_parts::{ListParts, ListPartsOutput, ListedPart};
pub(crate) use upload::{OpenUpload, upload_id};
pub use upload_part::{UploadPart, UploadPartOutput};
pub use upload_part_copy::UploadPartCopy;

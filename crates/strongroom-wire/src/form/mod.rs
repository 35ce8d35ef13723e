// SPDX-License-Identifier: Apache-2.0
//! `multipart/form-data` as browsers send it to a bucket: fields, then one file.
//!
//! The problem: this body comes before anybody knows who sent it, for the credentials are fields
//! of it. The approach: all that stands before the content of the file must fit into
//! [`HEAD_BYTES_MAX`] bytes and is kept; the file passes through without a copy; what follows it
//! is bounded again and ignored, as S3 does. Nothing is guessed: a form that two readers could
//! read differently is refused.
//!
//! ```text
//!  --boundary CRLF headers CRLF CRLF value CRLF --boundary .. "file" headers | content | CRLF --boundary-- CRLF
//!  '------------------------ FormHead, at most 20 KiB ---------------------' '- Data -' '---- tail ----'
//! ```

mod boundary;
mod decoder;
mod part;

pub use boundary::{BoundaryError, parse_content_type};
pub use decoder::{Event, FormDecoder, FormError, FormField, FormHead, Step};

/// Most bytes before the content of the file, and after it: S3's limit.
pub const HEAD_BYTES_MAX: usize = 20 * 1024;
/// Most fields of a form.
pub const FIELDS_MAX: usize = 200;

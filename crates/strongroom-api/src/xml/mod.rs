// SPDX-License-Identifier: Apache-2.0
//! S3's XML, both ways.
//!
//! The problem: request documents come from whoever can reach the port, and XML is famous for
//! documents that are small on the wire and huge in memory, or that reach out for other files.
//! The approach: `read` admits the small part of XML that S3 clients send (elements, text,
//! character references, one namespace) under limits of size, depth and number that each operation
//! states, and refuses everything else, a document type above all. `write` is the only place that
//! escapes.
mod read;
mod write;

use crate::error::{S3Code, S3Error};

pub(crate) use read::{Element, Limits, Malformed};
pub(crate) use write::{Xml, iso8601, url_encoded};

/// The one namespace of S3 documents.
pub(crate) const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

impl From<Malformed> for S3Error {
    fn from(malformed: Malformed) -> Self {
        tracing::debug!(%malformed, "a request document was refused");
        S3Error::from_code(S3Code::MalformedXml)
    }
}

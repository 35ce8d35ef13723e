// SPDX-License-Identifier: Apache-2.0
//! Tests of the public face of the crate.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "tests"
)]

mod aws_examples;
mod aws_oracle;
mod chunked;
mod request;
mod sec_chunked;
mod sec_form;
mod sec_header;
mod sec_presigned;

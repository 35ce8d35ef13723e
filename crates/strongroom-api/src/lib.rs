// SPDX-License-Identifier: Apache-2.0
//! Protocol adapters: S3 and KMS over HTTP.
//!
//! ```text
//! http::Request --> edge::Api::handle
//!    limits, Host, raw path, query        edge/, edge/address.rs
//!    SigV4 (one place)  --> Caller        edge/authenticate.rs
//!    Receipt begun                        strongroom-audit
//!    service scope `kms` or X-Amz-Target --> kms::handle   (JSON 1.1)
//!    anything else ------------------------> s3::route --> s3/<operation>.rs::handle
//!    Receipt finished (durable for everything but plain reads)
//!    answer: headers, XML, metrics        edge/finish.rs
//! ```
//!
//! Header names, XML and JSON live in this crate and nowhere else.

mod audit;
mod body;
mod edge;
mod error;
mod kms;
mod query;
mod response;
mod s3;
mod timestamp;
mod xml;

pub use edge::{Api, ApiServices, ConnectionFacts};
pub use response::{ResponseBody, ResponseError};
pub use strongroom_audit::TlsFacts;

#[doc(hidden)]
pub mod fuzz;

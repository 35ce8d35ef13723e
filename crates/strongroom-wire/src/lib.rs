// SPDX-License-Identifier: Apache-2.0
//! AWS request authentication on the wire: bytes in, decisions out.
//!
//! No I/O, no async, no clock, no global state and no HTTP types: the caller hands over slices
//! and the current time and gets a decision back. What is here is shared by the server (which
//! verifies) and by clients and tests (which sign).
//!
//! ```text
//!  request line + headers          secret of the access key id
//!          |                                 |
//!   sigv4::parse_auth                SigningKeyCache::signing_key
//!          |                                 |
//!     ParsedAuth --admit(Expected)--> Admitted --verify--> VerifiedSignature
//!                 (everything that             (constant time)      |
//!                  needs no secret)                            chunk_signer()
//!                                                                   |
//!  aws-chunked body --> chunked::ChunkDecoder::decode <-------------+
//!                          |  Data(range) ... End { trailers }
//! ```
//!
//! A body whose payload mode is a streaming one must not be committed before the decoder has
//! said [`chunked::Event::End`]: data of a chunk is handed out before its signature is known.

pub mod chunked;
pub mod form;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod query;
pub mod secret;
pub mod sigv4;

pub use chunked::{ChunkDecoder, ChunkError, ChunkMode, ChunkSigner};
pub use form::{FormDecoder, FormError, FormHead};
pub use secret::SecretAccessKey;
pub use sigv4::{
    AuthKind, Expected, ParsedAuth, PayloadMode, RequestToVerify, SigV4Error, SigningKeyCache,
    VerifiedSignature, parse_auth, parse_form, verify,
};

// SPDX-License-Identifier: Apache-2.0
//! Object format at rest: sealed segments, sealed-key records, KMS ciphertext blobs.
//!
//! Floor 0: bytes in, bytes or errors out. No I/O, no async, no clock, no global state; randomness
//! is an argument, except for AEAD nonces, which the cryptographic module draws itself.
//!
//! ```text
//!   KeyMaterial --kms_blob_open--> ExternalKey        (or a bucket key, or a customer key)
//!                                      |
//!              SealedKeyRecord --unwrap_object_key(Bind)--> ObjectKey
//!                                                          |       \
//!                                   payload_key(odi, part) |        \ sums_key(odi)
//!                                                          v         v
//!     plaintext --Sealer::seal_in_place--> segments     PayloadKey   SumsKey
//!     segments  --Opener::open_in_place--> plaintext
//! ```
//!
//! Under dual-layer encryption each of these exists twice: an `OuterObjectKey` under an external
//! key of its own, and `DualSealer` and `DualOpener`, whose outer layer is the work of a second
//! implementation ([`primitives`]).
//!
//! The byte-exact description is `docs/spec/object-format.md` and `docs/spec/kms-ciphertext.md`;
//! where the code implements a sentence of it, the sentence is quoted.

mod aead;
mod bind;
mod body;
mod bucket_key;
mod completion;
mod context;
mod cursor;
mod dual;
mod error;
mod floe;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod kdf;
mod key;
mod kms_blob;
mod open;
mod part_table;
mod primitives;
mod range;
mod record;
mod rust_crypto;
mod seal;
mod sums;

pub use bind::{Bind, BindChecksum, BindDigest, properties_digest};
pub use body::{BodyContext, FloeHeader, Layer};
pub use bucket_key::{BUCKET_KEY_SALT_BYTES, BucketKeyRef};
pub use completion::COMPLETION_TAG_BYTES;
pub use context::EncryptionContext;
pub use dual::{DUAL_SEGMENT_PREFIX_BYTES, DualOpener, DualSealer, OuterOpener};
pub use error::{ContextError, OpenError, ParseError, SealError, UnwrapError};
pub use kdf::sha384;
pub use key::{
    CompletionKey, ExternalKey, KeyMaterial, ObjectDataId, ObjectKey, ObjectPrk, OuterObjectKey,
    OuterPayloadKey, OuterSumsKey, PartUid, PayloadKey, SumsKey,
};
pub use kms_blob::{
    KMS_BLOB_BYTES_MAX, KMS_BLOB_OVERHEAD_BYTES, KmsBlobHeader, KmsBlobRandom, kms_blob_open,
    kms_blob_parse, kms_blob_seal,
};
pub use open::Opener;
pub use part_table::{
    DUAL_PART_ROW_BYTES, PART_NO_MAX, PART_ROW_BYTES, PartRow, parse_part_table, part_table_bytes,
};
pub use range::{
    BODY_PLAIN_BYTES_MAX, BODY_SEGMENTS_MAX, DUAL_SEGMENT_SEALED_BYTES, SEGMENT_OVERHEAD_BYTES,
    SEGMENT_PLAIN_BYTES, SEGMENT_SEALED_BYTES, SegmentSpan, dual_plain_bytes, dual_sealed_bytes,
    plain_bytes, sealed_bytes, segment_count, segment_plain_range, segment_sealed_len, span,
};
pub use record::{
    EK_REF_BYTES_MAX, RecordFlags, SealedKeyRecord, SseMode, commitment_matches, unwrap_object_key,
    unwrap_outer_object_key, wrap_object_key, wrap_outer_object_key,
};
pub use seal::{SEGMENT_PREFIX_BYTES, SEGMENT_TAG_BYTES, Sealer};

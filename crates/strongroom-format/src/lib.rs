//! Object format at rest: sealed segments, sealed-key records, KMS ciphertext blobs

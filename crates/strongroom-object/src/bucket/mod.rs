// SPDX-License-Identifier: Apache-2.0
//! Buckets: one file an operation.

mod create_bucket;
mod delete_bucket;
mod delete_bucket_encryption;
mod delete_bucket_lifecycle;
mod get_bucket_encryption;
mod get_bucket_lifecycle;
mod get_bucket_location;
mod get_bucket_versioning;
mod head_bucket;
mod list_buckets;
mod put_bucket_encryption;
mod put_bucket_lifecycle;
mod put_bucket_versioning;

pub use put_bucket_encryption::PutBucketEncryption;

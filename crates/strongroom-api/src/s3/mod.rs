// SPDX-License-Identifier: Apache-2.0
//! S3: which operation a request is, and its handler. One file per operation.

pub(crate) mod checksum_headers;
pub(crate) mod conditions;
pub(crate) mod copy_source;
pub(crate) mod encryption_headers;
pub(crate) mod form_fields;
pub(crate) mod names;
pub(crate) mod object_error;
pub(crate) mod operation;
pub(crate) mod policy_conditions;
pub(crate) mod post_object;
pub(crate) mod post_policy;
pub(crate) mod properties;
pub(crate) mod range;
pub(crate) mod recorded_headers;
pub(crate) mod request;

mod abort_multipart_upload;
pub(crate) mod compat;
mod complete_multipart_upload;
mod copy_object;
mod create_bucket;
mod create_multipart_upload;
mod delete_bucket;
mod delete_bucket_encryption;
mod delete_bucket_lifecycle;
mod delete_object;
mod delete_objects;
mod get_bucket_encryption;
mod get_bucket_lifecycle;
mod get_bucket_location;
mod get_bucket_versioning;
mod get_object;
mod get_object_attributes;
mod head_bucket;
mod head_object;
mod lifecycle_document;
mod list_buckets;
mod list_multipart_uploads;
mod list_object_versions;
mod list_objects;
mod list_objects_v2;
mod list_parts;
mod listing;
mod put_bucket_encryption;
mod put_bucket_lifecycle;
mod put_bucket_versioning;
mod put_object;
mod reading_key;
mod restore_object;
mod update_object_encryption;
mod upload;
mod upload_part;
mod upload_part_copy;

use strongroom_audit::Receipt;

use crate::error::S3Error;
use crate::response::Answer;
pub(crate) use operation::Operation;
pub(crate) use request::S3Request;

/// Runs the operation's handler.
pub(crate) async fn handle(
    operation: Operation,
    req: &mut S3Request,
    receipt: &Receipt,
) -> Result<Answer, S3Error> {
    // INVARIANT: nothing is done with a request that brings a customer key in clear, whatever it
    // asks for and whatever the bucket: the key is to be taken for lost.
    encryption_headers::refuse_insecure_customer_key(req)?;
    if let Some(asks) = operation.without_a_body() {
        req.refuse_another_body(receipt, asks).await?;
    }
    match operation {
        Operation::AbortMultipartUpload => abort_multipart_upload::handle(req, receipt).await,
        Operation::CompleteMultipartUpload => complete_multipart_upload::handle(req, receipt).await,
        Operation::CopyObject => copy_object::handle(req, receipt).await,
        Operation::CreateBucket => create_bucket::handle(req, receipt).await,
        Operation::CreateMultipartUpload => create_multipart_upload::handle(req, receipt).await,
        Operation::DeleteBucket => delete_bucket::handle(req, receipt).await,
        Operation::DeleteBucketEncryption => delete_bucket_encryption::handle(req, receipt).await,
        Operation::DeleteBucketLifecycle => delete_bucket_lifecycle::handle(req, receipt).await,
        Operation::DeleteObject => delete_object::handle(req, receipt).await,
        Operation::DeleteObjects => delete_objects::handle(req, receipt).await,
        Operation::GetBucketEncryption => get_bucket_encryption::handle(req, receipt).await,
        Operation::GetBucketLifecycle => get_bucket_lifecycle::handle(req, receipt).await,
        Operation::GetBucketLocation => get_bucket_location::handle(req, receipt).await,
        Operation::GetBucketVersioning => get_bucket_versioning::handle(req, receipt).await,
        Operation::GetObject => get_object::handle(req, receipt).await,
        Operation::GetObjectAttributes => get_object_attributes::handle(req, receipt).await,
        Operation::HeadBucket => head_bucket::handle(req, receipt).await,
        Operation::HeadObject => head_object::handle(req, receipt).await,
        Operation::ListBuckets => list_buckets::handle(req, receipt).await,
        Operation::ListMultipartUploads => list_multipart_uploads::handle(req, receipt).await,
        Operation::ListObjectVersions => list_object_versions::handle(req, receipt).await,
        Operation::ListObjects => list_objects::handle(req, receipt).await,
        Operation::ListObjectsV2 => list_objects_v2::handle(req, receipt).await,
        Operation::ListParts => list_parts::handle(req, receipt).await,
        Operation::PostObject => post_object::handle(req, receipt).await,
        Operation::PutBucketEncryption => put_bucket_encryption::handle(req, receipt).await,
        Operation::PutBucketLifecycle => put_bucket_lifecycle::handle(req, receipt).await,
        Operation::PutBucketVersioning => put_bucket_versioning::handle(req, receipt).await,
        Operation::PutObject => put_object::handle(req, receipt).await,
        Operation::RestoreObject => restore_object::handle(req, receipt).await,
        Operation::UpdateObjectEncryption => update_object_encryption::handle(req, receipt).await,
        Operation::UploadPart => upload_part::handle(req, receipt).await,
        Operation::UploadPartCopy => upload_part_copy::handle(req, receipt).await,
    }
}

/// Fuzzing: any bytes as the document of each operation that takes one.
pub(crate) fn fuzz_documents(body: &[u8]) {
    create_bucket::fuzz(body);
    put_bucket_encryption::fuzz(body);
    put_bucket_versioning::fuzz(body);
    delete_objects::fuzz(body);
    complete_multipart_upload::fuzz(body);
    update_object_encryption::fuzz(body);
    restore_object::fuzz(body);
    lifecycle_document::fuzz(body);
}

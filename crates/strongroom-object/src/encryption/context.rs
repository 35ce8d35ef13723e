// SPDX-License-Identifier: Apache-2.0
//! The encryption context that the key service gets.

use std::collections::BTreeMap;

use crate::error::Error;

/// The pair that Strongroom adds to every context it gives to the key service.
const S3_ARN: &str = "aws:s3:arn";

/// The pairs of a context, to be stored.
pub(super) fn pairs(context: &strongroom_format::EncryptionContext) -> BTreeMap<String, String> {
    context
        .iter()
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect()
}

/// The caller's pairs with the object's ARN, as the key service gets them.
fn with_object_arn(
    context: BTreeMap<String, String>,
    bucket: &str,
    object_key: &str,
) -> Result<BTreeMap<String, String>, Error> {
    let arn = format!("arn:aws:s3:::{bucket}/{object_key}");
    let reason = "aws:s3:arn must be the ARN of the object or be left out";
    with_arn(context, arn, reason)
}

/// The caller's pairs with the bucket's ARN: what a bucket key is for.
fn with_bucket_arn(
    context: BTreeMap<String, String>,
    bucket: &str,
) -> Result<BTreeMap<String, String>, Error> {
    let arn = format!("arn:aws:s3:::{bucket}");
    let reason = "with a bucket key, aws:s3:arn must be the ARN of the bucket or be left out";
    with_arn(context, arn, reason)
}

fn with_arn(
    mut context: BTreeMap<String, String>,
    arn: String,
    reason: &'static str,
) -> Result<BTreeMap<String, String>, Error> {
    if let Some(given) = context.get(S3_ARN)
        && *given != arn
    {
        return Err(Error::InvalidEncryptionContext { reason });
    }
    if context
        .keys()
        .any(|name| name.starts_with("aws:") && name != S3_ARN)
    {
        return Err(Error::InvalidEncryptionContext {
            reason: "names that begin with aws: are reserved",
        });
    }
    context.insert(S3_ARN.to_owned(), arn);
    Ok(context)
}

/// The caller's pairs with the ARN that belongs to them: with a bucket key that of the bucket, else
/// that of the object.
pub(super) fn whole_pairs(
    caller_context: &BTreeMap<String, String>,
    bucket: &str,
    object_key: &str,
    bucket_key: bool,
) -> Result<BTreeMap<String, String>, Error> {
    let pairs = caller_context.clone();
    if bucket_key {
        with_bucket_arn(pairs, bucket)
    } else {
        with_object_arn(pairs, bucket, object_key)
    }
}

/// The whole context of a key for an object, as the key service gets it.
pub(crate) fn whole_context(
    caller_context: &BTreeMap<String, String>,
    bucket: &str,
    object_key: &str,
    bucket_key: bool,
) -> Result<strongroom_format::EncryptionContext, Error> {
    let pairs = whole_pairs(caller_context, bucket, object_key, bucket_key)?;
    crate::rows::context_from(&pairs)
}

/// A caller's pairs without the ARN, if it gave that too: it is another one when an object gets a
/// bucket key or loses it.
pub(crate) fn without_arn(caller_context: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut pairs = caller_context.clone();
    pairs.remove(S3_ARN);
    pairs
}

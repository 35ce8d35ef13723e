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
pub(super) fn with_object_arn(
    mut context: BTreeMap<String, String>,
    bucket: &str,
    object_key: &str,
) -> Result<BTreeMap<String, String>, Error> {
    let arn = format!("arn:aws:s3:::{bucket}/{object_key}");
    if let Some(given) = context.get(S3_ARN)
        && *given != arn
    {
        return Err(Error::InvalidEncryptionContext {
            reason: "aws:s3:arn must be the ARN of the object or be left out",
        });
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

/// The whole context of an object's own data key: the caller's pairs and the object's ARN.
pub(crate) fn object_context(
    caller_context: &BTreeMap<String, String>,
    bucket: &str,
    object_key: &str,
) -> Result<strongroom_format::EncryptionContext, Error> {
    let pairs = with_object_arn(caller_context.clone(), bucket, object_key)?;
    crate::rows::context_from(&pairs)
}

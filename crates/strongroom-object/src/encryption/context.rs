// SPDX-License-Identifier: Apache-2.0
//! The encryption context that the key service gets.

use std::collections::BTreeMap;

use crate::error::Error;

/// The pair that Strongroom adds to every context it gives to the key service.
const S3_ARN: &str = "aws:s3:arn";

const RESERVED: &str = "names that begin with aws: are reserved";

/// The beginning of a reserved name, as [`fold`] makes it.
const RESERVED_FOLDED: &str = "kms:encryptioncontext:aws:";

/// The pairs of a context, to be stored.
pub(super) fn pairs(context: &strongroom_format::EncryptionContext) -> BTreeMap<String, String> {
    context.pairs().clone()
}

/// Refuses names, of a caller who has something new encrypted, that policies could not tell apart:
/// their names of condition keys have no case, those of pairs have. One that is like `aws:s3:arn` in
/// other letters would stand beside the true one. Objects that have such names already keep them:
/// they are read as ever, and nothing is allowed for such a name
/// (`docs/policy-language.md`).
pub(super) fn refuse_look_alikes(caller_context: &BTreeMap<String, String>) -> Result<(), Error> {
    let mut folded: Vec<String> = caller_context.keys().map(|name| fold(name)).collect();
    let is_reserved =
        |(name, folded): (&String, &String)| name != S3_ARN && folded.starts_with(RESERVED_FOLDED);
    if caller_context.keys().zip(&folded).any(is_reserved) {
        return Err(Error::InvalidEncryptionContext { reason: RESERVED });
    }
    folded.sort_unstable();
    if folded.array_windows().any(|[one, other]| one == other) {
        return Err(Error::InvalidEncryptionContext {
            reason: "names that differ in upper and lower case only cannot be told apart by policies",
        });
    }
    Ok(())
}

/// A name as policies compare it: what stands in front of it there can matter for a letter.
fn fold(name: &str) -> String {
    format!("kms:EncryptionContext:{name}").to_lowercase()
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
        return Err(Error::InvalidEncryptionContext { reason: RESERVED });
    }
    context.insert(S3_ARN.to_owned(), arn);
    Ok(context)
}

/// The caller's pairs with the ARN that belongs to them: with a bucket key that of the bucket, else
/// that of the object.
fn whole_pairs(
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

/// Whether `context` is what [`whole_pairs`] makes of the caller's pairs, of which nothing need be
/// made for that.
pub(super) fn is_whole(
    context: &BTreeMap<String, String>,
    caller_context: &BTreeMap<String, String>,
    bucket: &str,
    object_key: &str,
    bucket_key: bool,
) -> bool {
    let is_arn = |value: &String| {
        let rest = value.strip_prefix("arn:aws:s3:::");
        let rest = rest.and_then(|rest| rest.strip_prefix(bucket));
        match rest {
            None => false,
            Some(rest) if bucket_key => rest.is_empty(),
            Some(rest) => rest.strip_prefix('/') == Some(object_key),
        }
    };
    let is_allowed = |(name, value): (&String, &String)| {
        let taken = name != S3_ARN || is_arn(value);
        taken && (name == S3_ARN || !name.starts_with("aws:")) && context.get(name) == Some(value)
    };
    let added = usize::from(!caller_context.contains_key(S3_ARN));
    caller_context.iter().all(is_allowed)
        && context.get(S3_ARN).is_some_and(is_arn)
        && caller_context.len().checked_add(added) == Some(context.len())
}

/// The whole context of a key for an object, as the key service gets it.
pub(crate) fn whole_context(
    caller_context: &BTreeMap<String, String>,
    bucket: &str,
    object_key: &str,
    bucket_key: bool,
) -> Result<strongroom_format::EncryptionContext, Error> {
    let pairs = whole_pairs(caller_context, bucket, object_key, bucket_key)?;
    crate::rows::context_of(pairs)
}

/// A caller's pairs without the ARN, if it gave that too: it is another one when an object gets a
/// bucket key or loses it.
pub(crate) fn without_arn(caller_context: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut pairs = caller_context.clone();
    pairs.remove(S3_ARN);
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn sec_names_that_policies_take_for_one_are_refused() {
        for (names, refused) in [
            (&[][..], false),
            (&["a", "b", "aa", ""], false),
            (&["aws:s3:arn"], false),
            (&["aws", "AWS", "x"], true),
            (&["AWS"], false),
            (&["AWS;s3:arn", "xaws:s3:arn", "aws"], false),
            (&["AWS:S3:ARN"], true),
            (&["aws:S3:arn"], true),
            (&["aWs:"], true),
            (&["aws:other"], true),
            (&["a", "A"], true),
            (&["team", "b", "Team", "c"], true),
            (&["\u{c4}", "\u{e4}"], true),
            // The sign for kelvin is a `k` in small letters.
            (&["\u{212a}", "k"], true),
            // As the last letter of a word this one has a small letter of its own.
            (&["\u{3a3}", "\u{3c2}"], true),
            (&["\u{131}", "i"], false),
        ] {
            let pairs: Vec<(&str, &str)> = names.iter().map(|name| (*name, "x")).collect();
            let answer = refuse_look_alikes(&map(&pairs));
            assert_eq!(answer.is_err(), refused, "{names:?}");
        }
    }

    #[test]
    fn what_is_whole_is_what_would_be_made() {
        let names = ["a", "aws:s3:arn", "aws:other", "aws", "", "AWS:S3:ARN"];
        let arns = [
            "arn:aws:s3:::b",
            "arn:aws:s3:::b/k",
            "arn:aws:s3:::b/",
            "arn:aws:s3:::bb",
            "arn:aws:s3:::b/k/k",
            "arn:aws:s3::b/k",
            "1",
            "",
        ];
        let mut contexts = vec![map(&[])];
        for name in names {
            for value in arns {
                contexts.push(map(&[(name, value)]));
                for other in ["arn:aws:s3:::b", "arn:aws:s3:::b/k", "x"] {
                    contexts.push(map(&[(name, value), ("aws:s3:arn", other)]));
                    contexts.push(map(&[(name, value), ("z", other), ("aws:s3:arn", other)]));
                }
            }
        }
        let mut whole = 0;
        for bucket_key in [false, true] {
            for object_key in ["k", "", "k/k"] {
                for caller in &contexts {
                    let made = whole_pairs(caller, "b", object_key, bucket_key).ok();
                    for context in &contexts {
                        let same = made.as_ref() == Some(context);
                        whole += usize::from(same);
                        let is = is_whole(context, caller, "b", object_key, bucket_key);
                        assert_eq!(is, same, "{context:?} {caller:?} {object_key} {bucket_key}");
                    }
                }
            }
        }
        assert!(whole > 20, "{whole}");
    }
}

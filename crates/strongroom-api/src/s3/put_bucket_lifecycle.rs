// SPDX-License-Identifier: Apache-2.0
//! `PUT /bucket?lifecycle`: PutBucketLifecycleConfiguration.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode};
use strongroom_audit::Receipt;
use strongroom_object::{Action, TransitionMinimum};

use super::delete_objects::require_checksum;
use super::{S3Request, lifecycle_document, names};
use crate::error::S3Error;
use crate::response::Answer;

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    let bucket = req.bucket()?.to_owned();
    // Whether there is such a bucket is answered before the document is looked at.
    req.objects().admit_to_bucket(
        req.scope(receipt),
        &bucket,
        Action::PutLifecycleConfiguration,
    )?;
    require_checksum(&req.headers)?;
    let minimum = minimum(req.header(&names::TRANSITION_MINIMUM)?)?;
    let body = req
        .read_small_body(lifecycle_document::LIMITS.bytes)
        .await?;
    let compat = req.objects().compat();
    let mut random = Ids::new()?;
    let rules = lifecycle_document::parse(&body, minimum, compat, || random.next())?;
    req.said
        .insert("LifecycleConfiguration", lifecycle_document::shown(&rules));
    let mut answer = Answer::empty(StatusCode::OK);
    answer.set(names::TRANSITION_MINIMUM, shown(minimum));
    req.objects()
        .put_bucket_lifecycle(req.scope(receipt), &bucket, rules)
        .await?;
    Ok(answer)
}

fn minimum(header: Option<&str>) -> Result<TransitionMinimum, S3Error> {
    match header {
        None | Some("all_storage_classes_128K") => Ok(TransitionMinimum::AllClasses),
        Some("varies_by_storage_class") => Ok(TransitionMinimum::ByClass),
        Some(other) => Err(S3Error::invalid_request(format!(
            "Invalid TransitionDefaultMinimumObjectSize found: {other}"
        ))),
    }
}

/// The value of `x-amz-transition-default-minimum-object-size`.
pub(super) fn shown(minimum: TransitionMinimum) -> HeaderValue {
    HeaderValue::from_static(match minimum {
        TransitionMinimum::AllClasses => "all_storage_classes_128K",
        TransitionMinimum::ByClass => "varies_by_storage_class",
    })
}

/// Ids of rules that were given none: base64 of a UUID, as S3 makes them.
struct Ids(u128);

impl Ids {
    fn new() -> Result<Self, S3Error> {
        let mut random = [0; 16];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| S3Error::internal("no randomness"))?;
        Ok(Self(u128::from_be_bytes(random)))
    }

    /// One after the other: they need not be secret, only different.
    fn next(&mut self) -> String {
        self.0 = self.0.wrapping_add(1);
        let hex = hex::encode(self.0.to_be_bytes());
        let parts =
            [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| hex.get(part).unwrap_or_default());
        STANDARD.encode(parts.join("-"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_48_characters_and_differ() {
        let mut ids = Ids(u128::MAX - 1);
        let (first, second, third) = (ids.next(), ids.next(), ids.next());
        assert_eq!(first.len(), 48);
        assert_eq!(
            STANDARD.decode(&first).unwrap(),
            b"ffffffff-ffff-ffff-ffff-ffffffffffff"
        );
        assert!(first != second && second != third);
    }

    #[test]
    fn the_smallest_size_has_two_spellings() {
        for (header, expected) in [
            (None, TransitionMinimum::AllClasses),
            (
                Some("all_storage_classes_128K"),
                TransitionMinimum::AllClasses,
            ),
            (Some("varies_by_storage_class"), TransitionMinimum::ByClass),
        ] {
            let read = minimum(header).unwrap();
            assert_eq!(read, expected);
            assert!(header.is_none_or(|header| shown(read) == header));
        }
        for bad in [
            "",
            "all_storage_classes_128k",
            "0",
            "varies_by_storage_class ",
        ] {
            let error = minimum(Some(bad)).unwrap_err();
            assert_eq!(error.code.as_str(), "InvalidRequest", "{bad}");
        }
    }
}

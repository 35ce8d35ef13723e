// SPDX-License-Identifier: Apache-2.0
//! `PUT /bucket`: CreateBucket.

use http::{StatusCode, header};
use strongroom_audit::Receipt;
use strongroom_object::Error as ObjectError;

use super::{S3Request, names};
use crate::error::{S3Code, S3Error};
use crate::response::Answer;
use crate::xml::{Element, Limits};

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    check_headers(req)?;
    let body = req.read_small_body(LIMITS.bytes).await?;
    let region = req.services.region.clone();
    let location = location_constraint(&body)?;
    check_location(location.as_deref(), &region)?;
    if location.is_some() {
        // By one of its names.
        let name = "s3:LocationConstraint";
        req.caller.add_condition_of_writes(name, region.clone());
    }
    let bucket = req.bucket()?.to_owned();
    match req
        .objects()
        .create_bucket(req.scope(receipt), &bucket)
        .await
    {
        Ok(_) => {}
        // The oldest region alone answers a repeated creation by the owner with success.
        Err(ObjectError::BucketAlreadyOwnedByYou { .. }) if region == LEGACY_REGION => {}
        Err(error) => return Err(error.into()),
    }
    let mut answer = Answer::empty(StatusCode::OK);
    answer.set_text(header::LOCATION, &format!("/{bucket}"));
    Ok(answer)
}

/// The settings that a creation may carry: those that say what is true anyway are accepted, those
/// that would change it are refused.
fn check_headers(req: &S3Request) -> Result<(), S3Error> {
    check_acl(req.header(&names::ACL)?)?;
    for name in GRANT_HEADERS {
        if req.header_named(name)?.is_some() {
            return Err(S3Error::not_implemented(format!("The header `{name}`")));
        }
    }
    check_ownership(req.header(&names::OBJECT_OWNERSHIP)?)?;
    check_object_lock(req.header_named("x-amz-bucket-object-lock-enabled")?)
}

fn check_acl(acl: Option<&str>) -> Result<(), S3Error> {
    match acl {
        None | Some("private") => Ok(()),
        Some(
            "public-read"
            | "public-read-write"
            | "authenticated-read"
            | "log-delivery-write"
            | "aws-exec-read"
            | "bucket-owner-read"
            | "bucket-owner-full-control",
        ) => Err(S3Error::not_implemented(
            "A canned ACL other than `private`",
        )),
        Some(other) => Err(S3Error::invalid_argument(
            "Invalid Argument",
            "x-amz-acl",
            other,
        )),
    }
}

fn check_ownership(ownership: Option<&str>) -> Result<(), S3Error> {
    match ownership {
        None | Some("BucketOwnerEnforced") => Ok(()),
        Some("BucketOwnerPreferred" | "ObjectWriter") => Err(S3Error::not_implemented(
            "An object ownership other than `BucketOwnerEnforced`",
        )),
        Some(other) => Err(S3Error::invalid_argument(
            format!("Invalid x-amz-object-ownership header: {other}"),
            "x-amz-object-ownership",
            other,
        )),
    }
}

fn check_object_lock(enabled: Option<&str>) -> Result<(), S3Error> {
    match enabled.map(str::to_ascii_lowercase).as_deref() {
        None | Some("false") => Ok(()),
        Some("true") => Err(S3Error::not_implemented("Object Lock")),
        Some(other) => Err(S3Error::invalid_argument(
            "Invalid Argument",
            "x-amz-bucket-object-lock-enabled",
            other,
        )),
    }
}

/// The constraint in a `CreateBucketConfiguration`, where there is a document.
fn location_constraint(body: &[u8]) -> Result<Option<String>, S3Error> {
    if body.trim_ascii().is_empty() {
        return Ok(None);
    }
    let document = Element::parse(body, "CreateBucketConfiguration", &LIMITS)?;
    document.expect_children(&["LocationConstraint", "Location", "Bucket", "Tags"], &[])?;
    if document.child("Location").is_some() || document.child("Bucket").is_some() {
        return Err(S3Error::not_implemented("A directory bucket"));
    }
    if document
        .child("Tags")
        .is_some_and(|tags| !tags.all_children().is_empty())
    {
        return Err(S3Error::not_implemented("Tags of a bucket"));
    }
    let constraint = document.text_of("LocationConstraint")?.map(str::trim_ascii);
    Ok(constraint
        .filter(|text| !text.is_empty())
        .map(str::to_owned))
}

/// Fuzzing: any document.
pub(crate) fn fuzz(body: &[u8]) {
    let _ = location_constraint(body);
}

/// One server is one region, and speaks about it as the regional endpoints of S3 do.
fn check_location(constraint: Option<&str>, region: &str) -> Result<(), S3Error> {
    let constraint = match constraint {
        Some("EU") => Some("eu-west-1"),
        other => other,
    };
    match constraint {
        None if region == LEGACY_REGION => Ok(()),
        None => Err(S3Error::new(
            S3Code::IllegalLocationConstraint,
            "The unspecified location constraint is incompatible for the region specific endpoint \
             this request was sent to.",
        )),
        // The oldest region has no name here; S3 refuses it.
        Some(LEGACY_REGION) if region == LEGACY_REGION => {
            Err(S3Error::from_code(S3Code::InvalidLocationConstraint)
                .with("LocationConstraint", LEGACY_REGION))
        }
        Some(same) if same == region => Ok(()),
        Some(other) => Err(S3Error::new(
            S3Code::IllegalLocationConstraint,
            format!(
                "The {other} location constraint is incompatible for the region specific endpoint \
                 this request was sent to."
            ),
        )),
    }
}

/// The region that has no location constraint.
pub(super) const LEGACY_REGION: &str = "us-east-1";
const LIMITS: Limits = Limits {
    bytes: 64 * 1024,
    elements: 256,
};
const GRANT_HEADERS: [&str; 5] = [
    "x-amz-grant-full-control",
    "x-amz-grant-read",
    "x-amz-grant-read-acp",
    "x-amz-grant-write",
    "x-amz-grant-write-acp",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn constraint(body: &str) -> Result<Option<String>, S3Error> {
        location_constraint(body.as_bytes())
    }

    #[test]
    fn documents_of_stock_clients_are_read() {
        assert_eq!(constraint("").unwrap(), None);
        assert_eq!(
            constraint(
                "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                 <LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>"
            )
            .unwrap()
            .as_deref(),
            Some("eu-west-1")
        );
        assert_eq!(constraint("<CreateBucketConfiguration/>").unwrap(), None);
        assert_eq!(
            constraint(
                "<CreateBucketConfiguration><LocationConstraint/></CreateBucketConfiguration>"
            )
            .unwrap(),
            None
        );
    }

    #[test]
    fn other_documents_are_refused() {
        for (bad, code) in [
            ("<x/>", "MalformedXML"),
            ("x", "MalformedXML"),
            ("<CreateBucketConfiguration>", "MalformedXML"),
            (
                "<CreateBucketConfiguration><Other/></CreateBucketConfiguration>",
                "MalformedXML",
            ),
            (
                "<CreateBucketConfiguration><LocationConstraint>a</LocationConstraint>\
                 <LocationConstraint>a</LocationConstraint></CreateBucketConfiguration>",
                "MalformedXML",
            ),
            (
                "<CreateBucketConfiguration><LocationConstraint><a/></LocationConstraint>\
                 </CreateBucketConfiguration>",
                "MalformedXML",
            ),
            (
                "<CreateBucketConfiguration><Bucket><Type>Directory</Type></Bucket>\
                 </CreateBucketConfiguration>",
                "NotImplemented",
            ),
            (
                "<CreateBucketConfiguration><Tags><Tag><Key>k</Key><Value>v</Value></Tag></Tags>\
                 </CreateBucketConfiguration>",
                "NotImplemented",
            ),
        ] {
            assert_eq!(constraint(bad).unwrap_err().code.as_str(), code, "{bad}");
        }
    }

    #[test]
    fn the_constraint_must_be_this_region() {
        check_location(None, "us-east-1").unwrap();
        check_location(Some("eu-central-1"), "eu-central-1").unwrap();
        check_location(Some("EU"), "eu-west-1").unwrap();
        for (constraint, region, code) in [
            (Some("us-east-1"), "us-east-1", "InvalidLocationConstraint"),
            (
                Some("eu-west-1"),
                "us-east-1",
                "IllegalLocationConstraintException",
            ),
            (
                Some("mars"),
                "us-east-1",
                "IllegalLocationConstraintException",
            ),
            (None, "eu-central-1", "IllegalLocationConstraintException"),
            (
                Some("us-east-1"),
                "eu-central-1",
                "IllegalLocationConstraintException",
            ),
            (
                Some("EU"),
                "eu-central-1",
                "IllegalLocationConstraintException",
            ),
            (
                Some("EU-CENTRAL-1"),
                "eu-central-1",
                "IllegalLocationConstraintException",
            ),
        ] {
            let error = check_location(constraint, region).unwrap_err();
            assert_eq!(error.code.as_str(), code, "{constraint:?} {region}");
        }
    }

    #[test]
    fn settings_that_would_change_something_are_refused() {
        for acl in [None, Some("private")] {
            check_acl(acl).unwrap();
        }
        for (acl, code) in [
            ("public-read", "NotImplemented"),
            ("public-read-write", "NotImplemented"),
            ("authenticated-read", "NotImplemented"),
            ("Private", "InvalidArgument"),
            ("", "InvalidArgument"),
            ("x", "InvalidArgument"),
        ] {
            assert_eq!(
                check_acl(Some(acl)).unwrap_err().code.as_str(),
                code,
                "{acl}"
            );
        }
        check_ownership(Some("BucketOwnerEnforced")).unwrap();
        for (ownership, code) in [
            ("ObjectWriter", "NotImplemented"),
            ("BucketOwnerPreferred", "NotImplemented"),
            ("bucketownerenforced", "InvalidArgument"),
            ("", "InvalidArgument"),
        ] {
            let error = check_ownership(Some(ownership)).unwrap_err();
            assert_eq!(error.code.as_str(), code, "{ownership}");
        }
        check_object_lock(Some("False")).unwrap();
        assert_eq!(
            check_object_lock(Some("true")).unwrap_err().code.as_str(),
            "NotImplemented"
        );
        assert_eq!(
            check_object_lock(Some("TRUE")).unwrap_err().code.as_str(),
            "NotImplemented"
        );
        assert_eq!(
            check_object_lock(Some("1")).unwrap_err().code.as_str(),
            "InvalidArgument"
        );
    }
}

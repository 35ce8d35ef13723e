// SPDX-License-Identifier: Apache-2.0
//! `PUT /bucket?versioning`: PutBucketVersioning.

use http::StatusCode;
use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_object::BucketVersioning;

use super::{S3Request, names};
use crate::error::{S3Code, S3Error};
use crate::response::Answer;
use crate::xml::{Element, Limits, Malformed};

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    if req.headers.contains_key(names::MFA) {
        return Err(S3Error::not_implemented("MFA delete"));
    }
    let body = req.read_small_body(LIMITS.bytes).await?;
    if body.is_empty() {
        return Err(S3Error::from_code(S3Code::MissingRequestBodyError));
    }
    let status = parse(&body)?;
    let shown = match status {
        BucketVersioning::Enabled => "Enabled",
        BucketVersioning::Suspended => "Suspended",
    };
    let shown = json!({ "Status": shown });
    req.said.insert("VersioningConfiguration", shown);
    let bucket = req.bucket()?;
    req.objects()
        .put_bucket_versioning(req.scope(receipt), bucket, status)
        .await?;
    Ok(Answer::empty(StatusCode::OK))
}

/// The status. Nothing leads back to never having been versioned.
fn parse(body: &[u8]) -> Result<BucketVersioning, S3Error> {
    let document = Element::parse(body, "VersioningConfiguration", &LIMITS)?;
    document.expect_children(&["Status", "MfaDelete"], &[])?;
    match document.text_of("MfaDelete")? {
        None | Some("" | "Disabled") => {}
        Some("Enabled") => return Err(S3Error::not_implemented("MFA delete")),
        Some(_) => return Err(Malformed("`MfaDelete` is neither Enabled nor Disabled").into()),
    }
    match document.text_of("Status")? {
        Some("Enabled") => Ok(BucketVersioning::Enabled),
        Some("Suspended") => Ok(BucketVersioning::Suspended),
        None | Some("") => Err(S3Error::from_code(S3Code::IllegalVersioningConfiguration)),
        Some(_) => Err(Malformed("`Status` is neither Enabled nor Suspended").into()),
    }
}

/// Fuzzing: any document.
pub(crate) fn fuzz(body: &[u8]) {
    let _ = parse(body);
}

const LIMITS: Limits = Limits {
    bytes: 64 * 1024,
    elements: 16,
};

#[cfg(test)]
mod tests {
    use super::*;

    fn code(inner: &str) -> String {
        let root = "VersioningConfiguration";
        match parse(format!("<{root}>{inner}</{root}>").as_bytes()) {
            Ok(status) => format!("{status:?}"),
            Err(error) => error.code.as_str().to_owned(),
        }
    }

    #[test]
    fn only_the_two_statuses_of_s3_are_taken() {
        for (inner, expected) in [
            ("<Status>Enabled</Status>", "Enabled"),
            ("<Status>Suspended</Status>", "Suspended"),
            ("<Status>Enabled</Status><MfaDelete/>", "Enabled"),
            ("<Status> Suspended\n</Status>", "MalformedXML"),
            (
                "<MfaDelete>Disabled</MfaDelete><Status>Enabled</Status>",
                "Enabled",
            ),
            (
                "<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>",
                "NotImplemented",
            ),
            ("", "IllegalVersioningConfigurationException"),
            ("<Status/>", "IllegalVersioningConfigurationException"),
            ("<Status>Off</Status>", "MalformedXML"),
            ("<Status>enabled</Status>", "MalformedXML"),
            ("<Status>Disabled</Status>", "MalformedXML"),
            (
                "<MfaDelete>Disabled</MfaDelete>",
                "IllegalVersioningConfigurationException",
            ),
            (
                "<Status>Enabled</Status><MfaDelete>On</MfaDelete>",
                "MalformedXML",
            ),
            (
                "<Status>Enabled</Status><Status>Suspended</Status>",
                "MalformedXML",
            ),
            ("<Status>Enabled</Status><Other/>", "MalformedXML"),
        ] {
            assert_eq!(code(inner), expected, "{inner}");
        }
        for bad in ["", "x", "<Versioning/>", "<VersioningConfiguration>"] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! `POST /bucket/key?restore`: RestoreObject.

use http::StatusCode;
use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_object::{Action, RestoreObject, RestoreStarted, RestoreStatus, RestoreTier};

use super::S3Request;
use crate::error::S3Error;
use crate::response::Answer;
use crate::timestamp::http_date;
use crate::xml::{Element, Limits, Malformed};

const LIMITS: Limits = Limits {
    bytes: 64 * 1024,
    elements: 64,
};
/// What a description of the job may be long, characters.
const DESCRIPTION_MAX: usize = 1_024;

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    req.admit(receipt, Action::RestoreObject)?;
    let version_id = req.version_id()?;
    let body = req.read_small_body(LIMITS.bytes).await?;
    let asked = Asked::parse(&body)?;
    let tier = asked.tier.name();
    req.said.insert(
        "RestoreRequest",
        json!({ "Days": asked.days, "GlacierJobParameters": { "Tier": tier } }),
    );
    let input = RestoreObject {
        bucket: req.bucket()?.to_owned(),
        object_key: req.object_key()?.to_owned(),
        version_id,
        days: asked.days,
        tier: asked.tier,
    };
    let objects = req.objects();
    let started = objects.restore_object(req.scope(receipt), input).await?;
    Ok(Answer::empty(match started {
        RestoreStarted::Accepted => StatusCode::ACCEPTED,
        RestoreStarted::Extended => StatusCode::OK,
    }))
}

/// The value of `x-amz-restore`.
pub(super) fn header(status: RestoreStatus) -> String {
    match status {
        RestoreStatus::Ongoing => "ongoing-request=\"true\"".to_owned(),
        RestoreStatus::Until(expires_ms) => format!(
            "ongoing-request=\"false\", expiry-date=\"{}\"",
            http_date(expires_ms)
        ),
    }
}

/// Fuzzing: any document.
pub(crate) fn fuzz(body: &[u8]) {
    if let Ok(asked) = Asked::parse(body) {
        assert!(asked.days > 0, "a restore for no time");
    }
}

/// The document.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    days: u32,
    tier: RestoreTier,
}

impl Asked {
    fn parse(body: &[u8]) -> Result<Self, S3Error> {
        let document = Element::parse(body, "RestoreRequest", &LIMITS)?;
        let names = [
            "Days",
            "GlacierJobParameters",
            "Tier",
            "Description",
            "Type",
            "SelectParameters",
            "OutputLocation",
        ];
        document.expect_children(&names, &[])?;
        for select in ["Type", "SelectParameters", "OutputLocation"] {
            if document.child(select).is_some() {
                return Err(
                    S3Error::not_implemented("A restore that selects").with("Parameter", select)
                );
            }
        }
        let description = document.text_of("Description")?.unwrap_or_default();
        if description.chars().count() > DESCRIPTION_MAX {
            return Err(Malformed("a description that is too long").into());
        }
        let tier = match (
            document.child("GlacierJobParameters"),
            document.text_of("Tier")?,
        ) {
            (None, None) => RestoreTier::Standard,
            (None, Some(tier)) => tier_of(tier)?,
            (Some(job), None) => {
                job.expect_children(&["Tier"], &[])?;
                tier_of(job.required("Tier")?)?
            }
            (Some(_), Some(_)) => return Err(Malformed("two tiers").into()),
        };
        let days = document
            .number("Days")?
            .ok_or(Malformed("no number of days"))?;
        let days = u32::try_from(days)
            .ok()
            .filter(|days| i32::try_from(*days).is_ok());
        let days = days.ok_or(Malformed("a number of days out of range"))?;
        if days == 0 {
            return Err(S3Error::invalid_argument(
                "restoration days should be at least 1",
                "Days",
                "0",
            ));
        }
        Ok(Self { days, tier })
    }
}

fn tier_of(text: &str) -> Result<RestoreTier, Malformed> {
    RestoreTier::parse(text).ok_or(Malformed("a tier that S3 does not have"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(inner: &str) -> Result<Asked, S3Error> {
        let ns = "http://s3.amazonaws.com/doc/2006-03-01/";
        Asked::parse(format!("<RestoreRequest xmlns=\"{ns}\">{inner}</RestoreRequest>").as_bytes())
    }

    fn tier(name: &str) -> String {
        format!("<GlacierJobParameters><Tier>{name}</Tier></GlacierJobParameters>")
    }

    #[test]
    fn requests_are_read() {
        for (inner, days, tier) in [
            ("<Days>1</Days>".to_owned(), 1, RestoreTier::Standard),
            (
                format!("<Days> 30 </Days>{}", tier("Bulk")),
                30,
                RestoreTier::Bulk,
            ),
            (
                format!("{}<Days>2</Days>", tier("Expedited")),
                2,
                RestoreTier::Expedited,
            ),
            (
                "<Days>2147483647</Days><Tier>Bulk</Tier>".to_owned(),
                2_147_483_647,
                RestoreTier::Bulk,
            ),
            (
                "<Days>7</Days><Description>x</Description>".to_owned(),
                7,
                RestoreTier::Standard,
            ),
        ] {
            assert_eq!(parse(&inner).unwrap(), Asked { days, tier }, "{inner}");
        }
    }

    #[test]
    fn sec_n58_unknown_doubled_and_overflowing_content_is_refused() {
        let long = format!(
            "<Days>1</Days><Description>{}</Description>",
            "x".repeat(1_025)
        );
        for bad in [
            "",
            "<Days/>",
            "<Days></Days>",
            "<Days>-1</Days>",
            "<Days>+1</Days>",
            "<Days>1.5</Days>",
            "<Days>2147483648</Days>",
            "<Days>18446744073709551617</Days>",
            "<Days>1</Days><Days>1</Days>",
            "<days>1</days>",
            "<Days>1</Days><Other/>",
            "<Days>1</Days>x",
            "<Days>1</Days><GlacierJobParameters/>",
            "<Days>1</Days><GlacierJobParameters><Tier>bulk</Tier></GlacierJobParameters>",
            "<Days>1</Days><GlacierJobParameters><Tier>Bulk</Tier><Tier>Bulk</Tier></GlacierJobParameters>",
            "<Days>1</Days><GlacierJobParameters><Tier>Bulk</Tier></GlacierJobParameters><Tier>Bulk</Tier>",
            "<Days>1</Days><Tier></Tier>",
            &long,
        ] {
            assert_eq!(
                parse(bad).unwrap_err().code.as_str(),
                "MalformedXML",
                "{bad}"
            );
        }
        let none = parse("<Days>0</Days>").unwrap_err();
        assert_eq!(none.code.as_str(), "InvalidArgument");
        for select in [
            "<Type>SELECT</Type>",
            "<OutputLocation/>",
            "<SelectParameters/>",
        ] {
            let refused = parse(&format!("<Days>1</Days>{select}")).unwrap_err();
            assert_eq!(refused.code.as_str(), "NotImplemented", "{select}");
        }
    }

    #[test]
    fn the_header_says_how_far_it_is() {
        assert_eq!(header(RestoreStatus::Ongoing), "ongoing-request=\"true\"");
        assert_eq!(
            header(RestoreStatus::Until(1_356_048_000_000)),
            "ongoing-request=\"false\", expiry-date=\"Fri, 21 Dec 2012 00:00:00 GMT\""
        );
    }
}

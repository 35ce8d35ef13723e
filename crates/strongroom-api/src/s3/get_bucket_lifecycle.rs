// SPDX-License-Identifier: Apache-2.0
//! `GET /bucket?lifecycle`: GetBucketLifecycleConfiguration, and the headers that say what rules
//! will do.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue};
use strongroom_audit::Receipt;
use strongroom_object::ObjectExpiry;

use super::put_bucket_lifecycle::shown;
use super::{S3Request, lifecycle_document, names};
use crate::error::S3Error;
use crate::response::Answer;
use crate::timestamp::http_date;

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    let rules = req
        .objects()
        .get_bucket_lifecycle(req.scope(receipt), req.bucket()?)
        .await?;
    let mut answer = Answer::xml(lifecycle_document::document(&rules));
    answer.set(names::TRANSITION_MINIMUM, shown(rules.minimum()));
    Ok(answer)
}

/// `x-amz-expiration`, where a rule deletes the object.
pub(super) fn echo_expiry(headers: &mut HeaderMap, expiry: Option<&ObjectExpiry>) {
    if let Some(expiry) = expiry {
        let date = http_date(expiry.at_ms);
        let rule = header_text(&expiry.rule_id);
        let text = format!("expiry-date=\"{date}\", rule-id=\"{rule}\"");
        set(headers, names::EXPIRATION, &text);
    }
}

/// `x-amz-abort-date` and `x-amz-abort-rule-id`, where a rule aborts the upload.
pub(super) fn echo_abort(headers: &mut HeaderMap, abort: Option<&ObjectExpiry>) {
    if let Some(abort) = abort {
        set(headers, names::ABORT_DATE, &http_date(abort.at_ms));
        set(headers, names::ABORT_RULE_ID, &header_text(&abort.rule_id));
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(name, value);
    }
}

/// An id as a header can carry it: what it cannot, and the quotes around it, are percent-encoded.
fn header_text(id: &str) -> String {
    let mut out = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b' '..=b'~' if byte != b'"' && byte != b'%' => out.push(char::from(byte)),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_carry_any_id() {
        let expiry = |id: &str| ObjectExpiry {
            at_ms: 1_356_048_000_000,
            rule_id: id.to_owned(),
        };
        let header = |id: &str| {
            let mut headers = HeaderMap::new();
            echo_expiry(&mut headers, Some(&expiry(id)));
            echo_abort(&mut headers, Some(&expiry(id)));
            let text = |name: HeaderName| headers[name].to_str().unwrap().to_owned();
            assert_eq!(text(names::ABORT_DATE), "Fri, 21 Dec 2012 00:00:00 GMT");
            (text(names::EXPIRATION), text(names::ABORT_RULE_ID))
        };
        assert_eq!(
            header("Delete after 14 days"),
            (
                "expiry-date=\"Fri, 21 Dec 2012 00:00:00 GMT\", rule-id=\"Delete after 14 days\""
                    .to_owned(),
                "Delete after 14 days".to_owned()
            )
        );
        assert_eq!(header("a\"\r\n%\u{e9}").1, "a%22%0D%0A%25%C3%A9");
        let mut none = HeaderMap::new();
        echo_expiry(&mut none, None);
        echo_abort(&mut none, None);
        assert!(none.is_empty());
    }
}

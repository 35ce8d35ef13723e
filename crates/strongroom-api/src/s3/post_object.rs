// SPDX-License-Identifier: Apache-2.0
//! `POST /bucket` with a form: PostObject, the upload of browsers.
//!
//! The fields became headers when the form was opened ([`FormFields::headers`]); from there on the
//! upload is a PutObject. What comes before is the policy: it is all that the signature covers, so
//! it decides first, and all that a form says must be named in it.

use std::fmt::Write as _;

use http::{HeaderValue, StatusCode, Uri, header};
use strongroom_audit::Receipt;

use super::complete_multipart_upload::location;
use super::form_fields::FormFields;
use super::post_policy::PostPolicy;
use super::{S3Request, names, put_object};
use crate::error::{S3Code, S3Error};
use crate::response::{Answer, ResponseBody};
use crate::xml::Xml;

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    let fields = req.form.take().ok_or_else(not_a_form)?;
    let policy = PostPolicy::parse(fields.get("policy").unwrap_or_default())?;
    let now_ms = req.services.clock.now_ms();
    let file_bytes = policy.check(now_ms, req.bucket()?, req.object_key()?, &fields)?;
    if let Some(body) = &mut req.body {
        body.limit_file(file_bytes);
    }
    let mut answer = put_object::store(req, receipt).await?;
    let headers = answer.response.headers_mut();
    headers.remove(names::SSE_CONTEXT);
    let etag = headers
        .get(header::ETAG)
        .and_then(|etag| etag.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    succeed(req, &fields, &etag, &mut answer)?;
    Ok(answer)
}

/// A POST to a bucket that is no form, and nothing else either.
pub(crate) fn not_a_form() -> S3Error {
    S3Error::from_code(S3Code::PreconditionFailed).with(
        "Condition",
        "Bucket POST must be of the enclosure-type multipart/form-data",
    )
}

/// What the form wants to be answered: a redirect, a document, or nothing.
fn succeed(
    req: &S3Request,
    fields: &FormFields,
    etag: &str,
    answer: &mut Answer,
) -> Result<(), S3Error> {
    let (bucket, object_key) = (req.bucket()?, req.object_key()?);
    let wanted = fields
        .get("success_action_redirect")
        .or(fields.get("redirect"));
    let target = wanted.and_then(|wanted| redirect(wanted, bucket, object_key, etag));
    if let Some(target) = target {
        answer.set(header::LOCATION, target);
        *answer.response.status_mut() = StatusCode::SEE_OTHER;
        return Ok(());
    }
    let host = req.headers.get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    let location = location(req.secure, host, bucket, object_key);
    answer.set_text(header::LOCATION, &location);
    let status = match fields.get("success_action_status") {
        Some("200") => StatusCode::OK,
        Some("201") => {
            let mut xml = Xml::plain_document("PostResponse");
            xml.text("Location", &location);
            xml.text("Bucket", bucket);
            xml.text("Key", object_key);
            xml.text("ETag", etag);
            *answer.response.body_mut() = ResponseBody::full(xml.finish());
            answer.set(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/xml"),
            );
            StatusCode::CREATED
        }
        _ => StatusCode::NO_CONTENT,
    };
    *answer.response.status_mut() = status;
    Ok(())
}

/// The URL to go to, with what was stored in its query; a URL that is none is as if absent.
fn redirect(wanted: &str, bucket: &str, object_key: &str, etag: &str) -> Option<HeaderValue> {
    let uri: Uri = wanted.parse().ok()?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.authority().is_none() {
        return None;
    }
    let (before, fragment) = wanted.split_at(wanted.find('#').unwrap_or(wanted.len()));
    let sign = if before.contains('?') { '&' } else { '?' };
    let bucket = form_encoded(bucket);
    let object_key = form_encoded(object_key);
    let etag = form_encoded(etag);
    let target = format!("{before}{sign}bucket={bucket}&key={object_key}&etag={etag}{fragment}");
    HeaderValue::try_from(target).ok()
}

/// As forms are encoded in a query: everything escaped but `A-Za-z0-9-._*`, and spaces as `+`.
fn form_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'-' | b'.' | b'_' | b'*' => out.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
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
    fn redirects_tell_what_was_stored() {
        let target = |wanted| redirect(wanted, "b", "a/b c&d\u{e9}\r\n", "\"e\"");
        let query = "bucket=b&key=a%2Fb+c%26d%C3%A9%0D%0A&etag=%22e%22";
        for (wanted, before, fragment) in [
            ("http://h", "http://h?", ""),
            ("https://h:1/p", "https://h:1/p?", ""),
            ("https://h/p?a=b", "https://h/p?a=b&", ""),
            ("https://h/p#f", "https://h/p?", "#f"),
            ("HTTPS://h/p?", "HTTPS://h/p?&", ""),
        ] {
            let expected = format!("{before}{query}{fragment}");
            assert_eq!(target(wanted).unwrap(), expected.as_str(), "{wanted}");
        }
        for none in [
            "",
            "/relative",
            "//h/p",
            "javascript:alert(1)",
            "data:text/html,x",
            "ftp://h/p",
            "http:",
            "http://",
            "http://h/p\r\nSet-Cookie: a=b",
            "h",
        ] {
            assert!(target(none).is_none(), "{none}");
        }
    }
}

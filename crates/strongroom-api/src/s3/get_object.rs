// SPDX-License-Identifier: Apache-2.0
//! `GET /bucket/key`: GetObject, and what HeadObject shares with it.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use strongroom_audit::Receipt;
use strongroom_object::{
    Action, Error as ObjectError, GetObject, GetObjectOutput, ObjectHead, Served, StorageClass,
};

use super::conditions::{self, EntityTag};
use super::encryption_headers::{self, Trio};
use super::reading_key::{ReadPlace, reading_key};
use super::{
    S3Request, checksum_headers, get_bucket_lifecycle, names, properties, range, restore_object,
    upload,
};
use crate::error::S3Error;
use crate::response::{Answer, ResponseBody};
use crate::timestamp::{http_date, parse_http_date};

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    req.admit(receipt, read_action(req)?)?;
    let overrides = overrides(req)?;
    let input = input(req, receipt).await?;
    let part = input.part_number.is_some();
    let req: &S3Request = req;
    let read = |input| req.objects().get_object(req.scope(receipt), input);
    let output = range_if(req, receipt, input, read, |output| &output.head).await?;
    let GetObjectOutput { head, served, body } = output;
    let mut answer = Answer::new(status(served), ResponseBody::object(body, served.len));
    describe(answer.response.headers_mut(), &head, served, part);
    for (name, value) in overrides {
        answer.set(name, value);
    }
    Ok(answer)
}

/// What a read asks to do.
pub(super) fn read_action(req: &S3Request) -> Result<Action, S3Error> {
    Ok(match req.version_id()? {
        None => Action::GetObject,
        Some(_) => Action::GetObjectVersion,
    })
}

/// The request as the conductor takes it.
pub(super) async fn input(req: &S3Request, receipt: &Receipt) -> Result<GetObject, S3Error> {
    encryption_headers::refuse_on_read(req)?;
    let range_text = req.header(&header::RANGE)?;
    let part_number = if req.query.has("partNumber") {
        Some(u32::from(upload::part_number(&req.query)?))
    } else {
        None
    };
    if part_number.is_some() && range_text.is_some() {
        return Err(S3Error::invalid_request(
            "Cannot specify both Range header and partNumber query parameter",
        ));
    }
    let conditions = conditions::read(req)?;
    let place = ReadPlace {
        bucket: req.bucket()?,
        object_key: req.object_key()?,
        version_id: req.version_id()?,
    };
    let customer_key = reading_key(req, receipt, Trio::Object, place).await?;
    Ok(GetObject {
        bucket: req.bucket()?.to_owned(),
        object_key: req.object_key()?.to_owned(),
        version_id: req.version_id()?,
        range: range_text.and_then(range::parse),
        range_text: range_text.unwrap_or_default().to_owned(),
        part_number,
        conditions,
        customer_key,
        checksum_mode: checksum_headers::mode_enabled(req)?,
    })
}

/// 206 for a part of the object, 200 for all of it.
pub(super) fn status(served: Served) -> StatusCode {
    if served.partial {
        StatusCode::PARTIAL_CONTENT
    } else {
        StatusCode::OK
    }
}

/// The headers that describe an object; `part` where a part was asked for by number.
pub(super) fn describe(headers: &mut HeaderMap, head: &ObjectHead, served: Served, part: bool) {
    properties::echo(headers, &head.properties);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let mut set = |name: HeaderName, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    set(header::ETAG, format!("\"{}\"", head.etag));
    set(header::LAST_MODIFIED, http_date(head.last_modified_ms));
    if let Some(range) = content_range(served, head.size) {
        set(header::CONTENT_RANGE, range);
    }
    if let Some(count) = head.parts_count.filter(|_| part) {
        set(names::PARTS_COUNT, count.to_string());
    }
    if head.storage_class != StorageClass::Standard {
        set(names::STORAGE_CLASS, head.storage_class.name().to_owned());
    }
    if let Some(status) = head.restore {
        set(names::RESTORE, restore_object::header(status));
    }
    get_bucket_lifecycle::echo_expiry(headers, head.expiry.as_ref());
    upload::echo_version(headers, names::VERSION_ID, head.version_id);
    encryption_headers::echo(headers, &head.encryption, false);
    if let Some(checksum) = &head.checksum {
        checksum_headers::echo(headers, checksum);
    }
}

/// Which bytes of the object an answer with a part of it has.
fn content_range(served: Served, size: u64) -> Option<String> {
    let rest = served.len.checked_sub(1).filter(|_| served.partial)?;
    let (first, last) = (served.start, served.start.saturating_add(rest));
    Some(format!("bytes {first}-{last}/{size}"))
}

/// `response-*` parameters: headers the client wants instead of the stored ones.
pub(super) fn overrides(req: &S3Request) -> Result<Vec<(HeaderName, HeaderValue)>, S3Error> {
    const OVERRIDES: [(&str, HeaderName); 6] = [
        ("response-cache-control", header::CACHE_CONTROL),
        ("response-content-disposition", header::CONTENT_DISPOSITION),
        ("response-content-encoding", header::CONTENT_ENCODING),
        ("response-content-language", header::CONTENT_LANGUAGE),
        ("response-content-type", header::CONTENT_TYPE),
        ("response-expires", header::EXPIRES),
    ];
    let mut found = Vec::new();
    for (parameter, name) in OVERRIDES {
        let Some(value) = req.query.get(parameter) else {
            continue;
        };
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
            S3Error::invalid_argument("The value is not valid for a header.", parameter, "")
        })?;
        found.push((name, value));
    }
    Ok(found)
}

/// The validator of `If-Range` (RFC 9110, 13.1.5).
enum Validator {
    Tag(Vec<EntityTag>),
    Date(Option<u64>),
}

impl Validator {
    /// Whether the client's bytes are of this very object.
    fn holds(&self, head: &ObjectHead) -> bool {
        match self {
            Self::Tag(tags) => match tags.as_slice() {
                [tag] => tag.is_strongly(&head.etag),
                _ => false,
            },
            Self::Date(since) => *since == Some(head.last_modified_ms / 1000),
        }
    }
}

fn if_range(req: &S3Request, input: &GetObject) -> Result<Option<Validator>, S3Error> {
    let Some(text) = req
        .header(&header::IF_RANGE)?
        .filter(|_| input.range.is_some())
    else {
        return Ok(None);
    };
    let date = text.contains(' ') && !text.contains('"');
    Ok(Some(if date {
        Validator::Date(parse_http_date(text))
    } else {
        Validator::Tag(conditions::parse_etags(text))
    }))
}

/// What is asked for; with `If-Range` a range of the object the client knows, or all of the object
/// that is there now.
pub(super) async fn range_if<T, F: Future<Output = Result<T, ObjectError>>>(
    req: &S3Request,
    receipt: &Receipt,
    asked: GetObject,
    read: impl Fn(GetObject) -> F,
    head_of: impl Fn(&T) -> &ObjectHead,
) -> Result<T, S3Error> {
    let Some(validator) = if_range(req, &asked)? else {
        return Ok(read(asked).await?);
    };
    let ranged = read(asked).await;
    match &ranged {
        Ok(output) if validator.holds(head_of(output)) => return Ok(ranged?),
        Ok(_) | Err(ObjectError::InvalidRange { .. }) => {}
        Err(_) => return Ok(ranged?),
    }
    let whole = GetObject {
        range: None,
        range_text: String::new(),
        ..input(req, receipt).await?
    };
    let whole = read(whole).await?;
    // The range lies outside of the object that the client knows and that is still there.
    if ranged.is_err() && validator.holds(head_of(&whole)) {
        return Ok(ranged?);
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_of_plaintext() {
        let served = |start, len| Served {
            start,
            len,
            partial: true,
        };
        let of = |served| content_range(served, 10);
        assert_eq!(of(served(0, 1)).as_deref(), Some("bytes 0-0/10"));
        assert_eq!(of(served(5, 5)).as_deref(), Some("bytes 5-9/10"));
        assert_eq!(status(served(0, 1)), StatusCode::PARTIAL_CONTENT);
        let whole = Served {
            partial: false,
            ..served(0, 10)
        };
        assert_eq!((of(whole), status(whole)), (None, StatusCode::OK));
    }
}

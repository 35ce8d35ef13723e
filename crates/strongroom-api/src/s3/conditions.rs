// SPDX-License-Identifier: Apache-2.0
//! Conditional headers (RFC 9110, 13) of reads, writes and copy sources.

use http::{HeaderName, header};
use strongroom_object::{ReadConditions, WriteConditions};

use super::S3Request;
use super::names;
use crate::error::S3Error;
use crate::timestamp::{parse_http_date, parse_iso8601};

/// Conditions of GetObject and HeadObject.
pub(crate) fn read(req: &S3Request) -> Result<ReadConditions, S3Error> {
    conditions(
        req,
        &header::IF_MATCH,
        &header::IF_NONE_MATCH,
        &header::IF_MODIFIED_SINCE,
        &header::IF_UNMODIFIED_SINCE,
    )
}

/// Conditions on the source of a copy.
pub(crate) fn copy_source(req: &S3Request) -> Result<ReadConditions, S3Error> {
    conditions(
        req,
        &names::COPY_SOURCE_IF_MATCH,
        &names::COPY_SOURCE_IF_NONE_MATCH,
        &names::COPY_SOURCE_IF_MODIFIED_SINCE,
        &names::COPY_SOURCE_IF_UNMODIFIED_SINCE,
    )
}

/// Conditions of PutObject, CopyObject and CompleteMultipartUpload. What S3 does not offer on
/// writes is refused: a condition that is not kept must not look kept.
pub(crate) fn write(req: &S3Request) -> Result<WriteConditions, S3Error> {
    for name in [header::IF_MODIFIED_SINCE, header::IF_UNMODIFIED_SINCE] {
        if req.headers.contains_key(&name) {
            return Err(
                S3Error::not_implemented("A header you provided").with("Header", name.as_str())
            );
        }
    }
    let if_none_match_any = match req.header(&header::IF_NONE_MATCH)? {
        None => false,
        Some("*") => true,
        Some(_) => {
            return Err(S3Error::not_implemented("A header you provided")
                .with("Header", "If-None-Match")
                .with(
                    "additionalMessage",
                    "We don't accept the provided value of If-None-Match header for this API",
                ));
        }
    };
    let if_match = if_match(req)?;
    // It must name an ETag, as the API reference has it.
    let takes_any = req.objects().compat().overwrites_whatever_is_there();
    if if_match.as_deref() == Some("*") && !takes_any {
        return Err(refused_if_match());
    }
    if if_none_match_any && if_match.is_some() {
        return Err(S3Error::not_implemented("A header you provided")
            .with("Header", "If-Match,If-None-Match")
            .with(
                "additionalMessage",
                "Multiple conditional request headers present in the request",
            ));
    }
    Ok(WriteConditions {
        if_match,
        if_none_match_any,
        ..WriteConditions::default()
    })
}

/// Conditions of DeleteObject.
pub(crate) fn delete(req: &S3Request) -> Result<WriteConditions, S3Error> {
    let (time, size) = (names::IF_MATCH_LAST_MODIFIED_TIME, names::IF_MATCH_SIZE);
    Ok(WriteConditions {
        if_match: if_match(req)?,
        if_last_modified: req
            .header(&time)?
            .map(|text| last_modified(time.as_str(), text))
            .transpose()?,
        if_size: req
            .header(&size)?
            .map(|text| object_size(size.as_str(), text))
            .transpose()?,
        ..WriteConditions::default()
    })
}

/// A time that an object must be of, Unix seconds: as headers have it, or as documents do.
pub(crate) fn last_modified(argument: &str, text: &str) -> Result<u64, S3Error> {
    parse_http_date(text)
        .or_else(|| parse_iso8601(text))
        .ok_or_else(|| S3Error::invalid_argument("The time is not valid.", argument, text))
}

/// A size that an object must have.
pub(crate) fn object_size(argument: &str, text: &str) -> Result<u64, S3Error> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| digits)
        .ok_or_else(|| S3Error::invalid_argument("The size is not valid.", argument, text))
}

/// One ETag of a document, or `*`. A weak one and a list match nothing that is stored, and are
/// refused: a condition that cannot be kept must not look kept.
pub(crate) fn one_etag(argument: &str, text: &str) -> Result<String, S3Error> {
    match strong(parse_etags(text)).as_slice() {
        [one] if !one.is_empty() => Ok(one.clone()),
        _ => Err(S3Error::invalid_argument(
            "The ETag is not valid.",
            argument,
            text,
        )),
    }
}

/// `If-Match` of a write or a delete: one ETag, or any.
pub(crate) fn if_match(req: &S3Request) -> Result<Option<String>, S3Error> {
    let Some(text) = req.header(&header::IF_MATCH)? else {
        return Ok(None);
    };
    match strong(parse_etags(text)).as_slice() {
        [one] => Ok(Some(one.clone())),
        _ => Err(refused_if_match()),
    }
}

fn refused_if_match() -> S3Error {
    S3Error::not_implemented("A header you provided")
        .with("Header", "If-Match")
        .with(
            "additionalMessage",
            "We don't accept the provided value of If-Match header for this API",
        )
}

fn conditions(
    req: &S3Request,
    if_match: &HeaderName,
    if_none_match: &HeaderName,
    if_modified_since: &HeaderName,
    if_unmodified_since: &HeaderName,
) -> Result<ReadConditions, S3Error> {
    Ok(ReadConditions {
        if_match: req.header(if_match)?.map(|text| strong(parse_etags(text))),
        if_none_match: req
            .header(if_none_match)?
            .map(|text| any_strength(parse_etags(text))),
        if_modified_since: req.header(if_modified_since)?.and_then(parse_http_date),
        if_unmodified_since: req.header(if_unmodified_since)?.and_then(parse_http_date),
    })
}

/// One entry of an ETag list.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EntityTag {
    /// Whether it was marked `W/`.
    weak: bool,
    /// The opaque part without quotes, or `*`.
    opaque: String,
}

impl EntityTag {
    /// Strong comparison with an object's ETag.
    pub(crate) fn is_strongly(&self, etag: &str) -> bool {
        !self.weak && self.opaque == etag
    }
}

/// If-Match compares strongly: a weak tag matches nothing.
fn strong(tags: Vec<EntityTag>) -> Vec<String> {
    tags.into_iter()
        .filter(|tag| !tag.weak)
        .map(|tag| tag.opaque)
        .collect()
}

/// If-None-Match compares weakly.
fn any_strength(tags: Vec<EntityTag>) -> Vec<String> {
    tags.into_iter().map(|tag| tag.opaque).collect()
}

/// A list of ETags: quoted, or bare as S3 clients often send them. Commas inside quotes belong
/// to the tag.
pub(crate) fn parse_etags(text: &str) -> Vec<EntityTag> {
    let mut tags = Vec::new();
    let mut rest = text.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let (weak, after_mark) = match rest.strip_prefix("W/") {
            Some(after) if after.starts_with('"') => (true, after),
            _ => (false, rest),
        };
        let (opaque, remainder) = match after_mark.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after_mark.split_once(',').unwrap_or((after_mark, "")),
        };
        tags.push(EntityTag {
            weak,
            opaque: opaque.trim().to_owned(),
        });
        rest = remainder.trim_start_matches([' ', '\t', ',']);
    }
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_n74_etag_lists() {
        let parse = |text| {
            parse_etags(text)
                .into_iter()
                .map(|t| (t.weak, t.opaque))
                .collect::<Vec<_>>()
        };
        let tag = |weak, text: &str| (weak, text.to_owned());
        assert_eq!(parse("*"), [tag(false, "*")]);
        assert_eq!(parse("\"abc\""), [tag(false, "abc")]);
        assert_eq!(parse("abc"), [tag(false, "abc")]);
        assert_eq!(parse("W/\"abc\""), [tag(true, "abc")]);
        assert_eq!(
            parse("\"a,b\" , W/\"c\",d"),
            [tag(false, "a,b"), tag(true, "c"), tag(false, "d")]
        );
        assert_eq!(parse("\"open"), [tag(false, "open")]);
        assert!(parse(" , ,").is_empty());
        assert!(parse("").is_empty());
    }

    #[test]
    fn sec_n74_what_a_delete_compares_with_is_one_thing() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "1994-11-06T08:49:37Z",
            "1994-11-06T08:49:37.999Z",
            "1994-11-06T09:49:37+01:00",
        ] {
            assert_eq!(last_modified("a", text).unwrap(), 784_111_777, "{text}");
        }
        for bad in [
            "",
            "0",
            "784111777",
            "yesterday",
            "1994-11-06",
            "1994-11-06T08:49:37",
            "1994-13-06T08:49:37Z",
            "1960-01-01T00:00:00Z",
            "Sun, 06 Nov 1994",
        ] {
            assert!(last_modified("a", bad).is_err(), "{bad}");
        }
        assert_eq!(object_size("a", "0").unwrap(), 0);
        assert_eq!(object_size("a", "18446744073709551615").unwrap(), u64::MAX);
        for bad in [
            "",
            "-1",
            "+1",
            "1.0",
            "0x1",
            " 1",
            "1 ",
            "18446744073709551616",
            "one",
        ] {
            assert!(object_size("a", bad).is_err(), "{bad}");
        }
        for (text, etag) in [("e", "e"), ("\"e\"", "e"), ("*", "*"), (" \"a,b\" ", "a,b")] {
            assert_eq!(one_etag("a", text).unwrap(), etag);
        }
        for bad in ["", " ", "\"\"", "W/\"e\"", "a,b", "\"a\",\"b\"", ","] {
            assert!(one_etag("a", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn weak_tags_never_match_strongly() {
        assert!(strong(parse_etags("W/\"abc\"")).is_empty());
        assert_eq!(any_strength(parse_etags("W/\"abc\"")), ["abc"]);
    }
}

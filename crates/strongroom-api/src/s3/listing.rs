// SPDX-License-Identifier: Apache-2.0
//! What the listing operations have in common: their parameters, the rows they write, and who
//! owns what they list.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use strongroom_object::{ListedObject, RestoreStatus};

use super::{S3Request, checksum_headers, names};
use crate::error::S3Error;
use crate::query::Query;
use crate::xml::Xml;

/// Most entries in one answer.
pub(crate) const ENTRIES_MAX: u32 = 1_000;

/// A limit such as `max-keys`: a number from 0 to 2^31 - 1, of which S3 honours up to 1,000.
pub(crate) fn limit(query: &Query, name: &'static str, argument: &str) -> Result<u32, S3Error> {
    let Some(text) = query.get(name).filter(|text| !text.is_empty()) else {
        return Ok(ENTRIES_MAX);
    };
    let Ok(number) = text.parse::<i64>() else {
        return Err(S3Error::invalid_argument(
            format!("Provided {name} not an integer or within integer range"),
            name,
            text,
        ));
    };
    match u32::try_from(number) {
        Ok(number) if i32::try_from(number).is_ok() => Ok(number.min(ENTRIES_MAX)),
        _ => Err(S3Error::invalid_argument(
            format!("Argument {argument} must be an integer between 0 and 2147483647"),
            name,
            text,
        )),
    }
}

/// Whether `encoding-type=url` was asked for.
pub(crate) fn url_encoding(query: &Query) -> Result<bool, S3Error> {
    match query.get("encoding-type") {
        None | Some("") => Ok(false),
        Some("url") => Ok(true),
        Some(other) => Err(S3Error::invalid_argument(
            "Invalid Encoding Method specified in Request",
            "encoding-type",
            other,
        )),
    }
}

/// A position in a listing as the client carries it: opaque by a version letter and base64. It
/// grants nothing, since every page is authorized for itself, and so it is not signed.
pub(crate) fn token(after: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("1{after}"))
}

/// The position in a token.
pub(crate) fn parse_token(text: &str) -> Result<String, S3Error> {
    URL_SAFE_NO_PAD
        .decode(text)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| text.strip_prefix('1').map(str::to_owned))
        .ok_or_else(|| {
            S3Error::invalid_argument(
                "The continuation token provided is incorrect",
                "continuation-token",
                text,
            )
        })
}

/// One `Contents` element.
pub(crate) fn contents(xml: &mut Xml, object: &ListedObject, url: bool, owner: Option<&str>) {
    xml.open("Contents");
    xml.name("Key", &object.object_key, url);
    xml.time("LastModified", object.last_modified_ms);
    xml.etag(&object.etag);
    if let Some((algorithm, checksum_type)) = object.checksum {
        xml.text("ChecksumAlgorithm", checksum_headers::name(algorithm));
        xml.text("ChecksumType", checksum_headers::type_name(checksum_type));
    }
    xml.number("Size", object.size);
    if let Some(id) = owner {
        person(xml, "Owner", id);
    }
    xml.text("StorageClass", object.storage_class.name());
    restore_status(xml, object);
    xml.close();
}

/// Whether `x-amz-optional-object-attributes: RestoreStatus` was sent.
pub(crate) fn wants_restore_status(req: &S3Request) -> Result<bool, S3Error> {
    match req.header(&names::OPTIONAL_ATTRIBUTES)? {
        None => Ok(false),
        Some("RestoreStatus") => Ok(true),
        Some(other) => Err(S3Error::invalid_argument(
            "Invalid attribute name specified.",
            names::OPTIONAL_ATTRIBUTES.as_str(),
            other,
        )),
    }
}

/// Takes what was not asked for out of a listing.
pub(crate) fn without_restore_status<'o>(objects: impl Iterator<Item = &'o mut ListedObject>) {
    for object in objects {
        object.restore = None;
    }
}

/// The `RestoreStatus` element of an archived object that is or was restored.
pub(crate) fn restore_status(xml: &mut Xml, object: &ListedObject) {
    let Some(status) = object.restore else {
        return;
    };
    xml.open("RestoreStatus");
    match status {
        RestoreStatus::Ongoing => xml.boolean("IsRestoreInProgress", true),
        RestoreStatus::Until(expires_ms) => {
            xml.boolean("IsRestoreInProgress", false);
            xml.time("RestoreExpiryDate", expires_ms);
        }
    }
    xml.close();
}

/// The `CommonPrefixes` elements.
pub(crate) fn common_prefixes(xml: &mut Xml, prefixes: &[String], url: bool) {
    for prefix in prefixes {
        xml.open("CommonPrefixes");
        xml.name("Prefix", prefix, url);
        xml.close();
    }
}

/// `Owner` or `Initiator`.
pub(crate) fn person(xml: &mut Xml, element: &'static str, canonical_id: &str) {
    xml.open(element);
    xml.text("ID", canonical_id);
    xml.close();
}

/// The canonical user id of an account: 64 hexadecimal digits that stay the same for ever.
pub(crate) fn canonical_id(account_id: &str) -> String {
    let named = format!("strongroom canonical user id of account {account_id}");
    hex::encode(digest::digest(&digest::SHA256, named.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(raw: &str) -> Query {
        Query::parse(raw).unwrap()
    }

    #[test]
    fn limits_are_numbers_from_zero_and_at_most_a_thousand() {
        for (raw, expected) in [
            ("", 1_000),
            ("max-keys", 1_000),
            ("max-keys=", 1_000),
            ("max-keys=0", 0),
            ("max-keys=1", 1),
            ("max-keys=1000", 1_000),
            ("max-keys=1001", 1_000),
            ("max-keys=2147483647", 1_000),
        ] {
            assert_eq!(
                limit(&query(raw), "max-keys", "maxKeys").unwrap(),
                expected,
                "{raw}"
            );
        }
        for bad in [
            "-1",
            "2147483648",
            "99999999999999999999",
            "x",
            "1.0",
            "0x10",
            "1e3",
            "%00",
            " 1",
        ] {
            let raw = format!("max-keys={}", bad.replace(' ', "%20"));
            let error = limit(&query(&raw), "max-keys", "maxKeys").unwrap_err();
            assert_eq!(error.code.as_str(), "InvalidArgument", "{bad}");
        }
    }

    #[test]
    fn only_url_is_an_encoding_type() {
        assert!(url_encoding(&query("encoding-type=url")).unwrap());
        assert!(!url_encoding(&query("")).unwrap());
        for bad in ["URL", "base64", "url,url", "none"] {
            assert!(
                url_encoding(&query(&format!("encoding-type={bad}"))).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn tokens_come_back_and_forged_ones_are_refused() {
        for after in ["", "a", "a/\u{1}\u{1f600}", "\u{10ffff}"] {
            assert_eq!(parse_token(&token(after)).unwrap(), after);
        }
        for bad in [
            "", "x", "====", "MQ==", "Mg", "..", "MWEv\n", "\u{e9}", "Mf8",
        ] {
            assert!(parse_token(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn canonical_ids_are_64_digits_and_differ() {
        let id = canonical_id("000000000000");
        assert_eq!(id.len(), 64);
        assert_ne!(id, canonical_id("000000000001"));
    }
}

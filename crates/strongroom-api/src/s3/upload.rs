// SPDX-License-Identifier: Apache-2.0
//! What the multipart operations have in common: the parameters that name an upload and a part,
//! and the echo of how the upload is sealed.

use http::{HeaderMap, HeaderName, HeaderValue};
use strongroom_object::{Checksum, Encryption, PART_NUMBER_MAX, VersionId};

use super::{checksum_headers, encryption_headers};
use crate::error::{S3Code, S3Error};
use crate::query::Query;

/// The upload's id. Whether there is such an upload is for the conductor to say; an id that no
/// upload can have is answered like one that no upload has.
pub(crate) fn upload_id(query: &Query) -> Result<String, S3Error> {
    match query.get("uploadId") {
        Some(id) if !id.is_empty() && id.len() <= UPLOAD_ID_BYTES_MAX => Ok(id.to_owned()),
        Some(_) => Err(S3Error::from_code(S3Code::NoSuchUpload)),
        None => Err(S3Error::invalid_argument(
            "This operation requires an upload ID",
            "uploadId",
            "",
        )),
    }
}

/// The part's number.
pub(crate) fn part_number(query: &Query) -> Result<u16, S3Error> {
    let text = query.get("partNumber").unwrap_or_default();
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(number) if digits && (1..=PART_NUMBER_MAX).contains(&number) => Ok(number),
        _ => Err(S3Error::invalid_argument(
            "Part number must be an integer between 1 and 10000, inclusive",
            "partNumber",
            text,
        )),
    }
}

/// The echo of CompleteMultipartUpload: as after any write, but S3's model has no customer key
/// there.
pub(crate) fn echo_without_customer_key(headers: &mut HeaderMap, encryption: &Encryption) {
    match encryption {
        Encryption::S3 | Encryption::Kms { .. } | Encryption::Dsse { .. } => {
            encryption_headers::echo(headers, encryption, false);
        }
        Encryption::Customer { .. } => {}
    }
}

/// The id of a version, in a bucket that has versions.
pub(crate) fn echo_version(headers: &mut HeaderMap, name: HeaderName, id: Option<VersionId>) {
    if let Some(Ok(value)) = id.map(|id| HeaderValue::try_from(id.to_string())) {
        headers.insert(name, value);
    }
}

/// The echo of UploadPart: the part's checksum without its type, which belongs to the object.
pub(crate) fn echo_part_checksum(headers: &mut HeaderMap, checksum: Option<&Checksum>) {
    if let Some(checksum) = checksum {
        checksum_headers::echo(headers, checksum);
        headers.remove(super::names::CHECKSUM_TYPE);
    }
}

const UPLOAD_ID_BYTES_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn query(raw: &str) -> Query {
        Query::parse(raw).unwrap()
    }

    #[test]
    fn sec_n76_part_numbers_run_from_1_to_10000() {
        for (raw, expected) in [("1", 1), ("10000", 10_000), ("0042", 42)] {
            assert_eq!(
                part_number(&query(&format!("partNumber={raw}"))).unwrap(),
                expected
            );
        }
        for bad in [
            "0",
            "10001",
            "65536",
            "65537",
            "-1",
            "%2B1",
            "1.0",
            "",
            "x",
            "1e3",
            "%201",
            "0x1",
            "18446744073709551617",
            "%D9%A1",
        ] {
            let error = part_number(&query(&format!("partNumber={bad}"))).unwrap_err();
            assert_eq!(error.code.as_str(), "InvalidArgument", "{bad}");
            assert_eq!(
                error.message,
                "Part number must be an integer between 1 and 10000, inclusive"
            );
        }
        assert!(part_number(&query("")).is_err());
    }

    #[test]
    fn sec_n77_upload_ids_are_opaque_but_bounded() {
        assert_eq!(
            upload_id(&query("uploadId=..%2F..%2Fx")).unwrap(),
            "../../x"
        );
        for (raw, code) in [
            ("", "InvalidArgument"),
            ("uploadId=", "NoSuchUpload"),
            ("uploadId", "NoSuchUpload"),
        ] {
            assert_eq!(
                upload_id(&query(raw)).unwrap_err().code.as_str(),
                code,
                "{raw}"
            );
        }
        let long = format!("uploadId={}", "a".repeat(1_025));
        assert_eq!(
            upload_id(&query(&long)).unwrap_err().code.as_str(),
            "NoSuchUpload"
        );
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Checksum headers: `x-amz-checksum-*`, `x-amz-trailer`, Content-MD5, and their echo.

use aws_lc_rs::digest as sha;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc_fast::CrcAlgorithm;
use http::{HeaderMap, HeaderName, HeaderValue};
use strongroom_object::{Checksum, ChecksumAlgorithm, ChecksumRequest, ChecksumType};

use super::request::header_text;
use super::{S3Request, names};
use crate::error::{S3Code, S3Error};

/// All algorithms on offer.
const ALGORITHMS: [ChecksumAlgorithm; 5] = [
    ChecksumAlgorithm::Crc32,
    ChecksumAlgorithm::Crc32c,
    ChecksumAlgorithm::Crc64Nvme,
    ChecksumAlgorithm::Sha1,
    ChecksumAlgorithm::Sha256,
];

/// What the request says about the checksum of its body.
pub(crate) fn request(req: &S3Request) -> Result<ChecksumRequest, S3Error> {
    parse(&req.headers)
}

/// `x-amz-checksum-algorithm` of CopyObject and CreateMultipartUpload.
pub(crate) fn algorithm(req: &S3Request) -> Result<Option<ChecksumAlgorithm>, S3Error> {
    req.header(&names::CHECKSUM_ALGORITHM)?
        .map(parse_algorithm)
        .transpose()
}

/// `x-amz-checksum-type`.
pub(crate) fn checksum_type(req: &S3Request) -> Result<Option<ChecksumType>, S3Error> {
    match req.header(&names::CHECKSUM_TYPE)? {
        None => Ok(None),
        Some("COMPOSITE") => Ok(Some(ChecksumType::Composite)),
        Some("FULL_OBJECT") => Ok(Some(ChecksumType::FullObject)),
        Some(_) => Err(value_invalid(&names::CHECKSUM_TYPE)),
    }
}

/// The one `x-amz-checksum-*` value of a request, if there is one.
pub(crate) fn value(headers: &HeaderMap) -> Result<Option<(ChecksumAlgorithm, Vec<u8>)>, S3Error> {
    let mut found = None;
    for name in headers.keys() {
        let Some(short) = name.as_str().strip_prefix(names::CHECKSUM_PREFIX) else {
            continue;
        };
        if matches!(short, "algorithm" | "mode" | "type") {
            continue;
        }
        let algorithm = ALGORITHMS
            .into_iter()
            .find(|a| lower_name(*a) == short)
            .ok_or_else(unsupported)?;
        if found.is_some() || headers.get_all(name).iter().count() > 1 {
            return Err(multiple());
        }
        let text = header_text(headers, name)?.unwrap_or_default();
        found = Some((
            algorithm,
            decode(algorithm, text).ok_or_else(|| value_invalid(name))?,
        ));
    }
    Ok(found)
}

/// Whether a header of this name, in lower case, is a checksum of an algorithm that is known.
pub(crate) fn is_value(name: &str) -> bool {
    name.strip_prefix(names::CHECKSUM_PREFIX)
        .is_some_and(|short| ALGORITHMS.into_iter().any(|a| lower_name(a) == short))
}

/// Base64 of a digest of the algorithm's length; a multipart's `-N` is not part of it.
pub(crate) fn decode(algorithm: ChecksumAlgorithm, text: &str) -> Option<Vec<u8>> {
    STANDARD
        .decode(text)
        .ok()
        .filter(|digest| digest.len() == digest_len(algorithm))
}

/// Whether the answer is to carry the object's checksum.
pub(crate) fn mode_enabled(req: &S3Request) -> Result<bool, S3Error> {
    match req.header(&names::CHECKSUM_MODE)? {
        None => Ok(false),
        Some(mode) if mode.eq_ignore_ascii_case("ENABLED") => Ok(true),
        Some(_) => Err(value_invalid(&names::CHECKSUM_MODE)),
    }
}

/// Writes a checksum into an answer.
pub(crate) fn echo(headers: &mut HeaderMap, checksum: &Checksum) {
    let name = HeaderName::try_from(header_name(checksum.algorithm));
    if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&text(checksum))) {
        headers.insert(name, value);
        headers.insert(
            names::CHECKSUM_TYPE,
            HeaderValue::from_static(type_name(checksum.checksum_type)),
        );
    }
}

/// The text of a checksum in headers and XML: base64, and `-N` for a composite.
pub(crate) fn text(checksum: &Checksum) -> String {
    let digest = STANDARD.encode(&checksum.value);
    match (checksum.checksum_type, checksum.parts) {
        (ChecksumType::Composite, Some(parts)) => format!("{digest}-{parts}"),
        _ => digest,
    }
}

/// `COMPOSITE` or `FULL_OBJECT`.
pub(crate) fn type_name(checksum_type: ChecksumType) -> &'static str {
    match checksum_type {
        ChecksumType::Composite => "COMPOSITE",
        ChecksumType::FullObject => "FULL_OBJECT",
    }
}

/// `CRC32` and so on, as in `x-amz-checksum-algorithm`.
pub(crate) fn name(algorithm: ChecksumAlgorithm) -> &'static str {
    match algorithm {
        ChecksumAlgorithm::Crc32 => "CRC32",
        ChecksumAlgorithm::Crc32c => "CRC32C",
        ChecksumAlgorithm::Crc64Nvme => "CRC64NVME",
        ChecksumAlgorithm::Sha1 => "SHA1",
        ChecksumAlgorithm::Sha256 => "SHA256",
    }
}

/// The element name in XML: `ChecksumCRC32` and so on.
pub(crate) fn element(algorithm: ChecksumAlgorithm) -> &'static str {
    match algorithm {
        ChecksumAlgorithm::Crc32 => "ChecksumCRC32",
        ChecksumAlgorithm::Crc32c => "ChecksumCRC32C",
        ChecksumAlgorithm::Crc64Nvme => "ChecksumCRC64NVME",
        ChecksumAlgorithm::Sha1 => "ChecksumSHA1",
        ChecksumAlgorithm::Sha256 => "ChecksumSHA256",
    }
}

/// The lower-case name: `crc32` and so on.
pub(crate) fn lower_name(algorithm: ChecksumAlgorithm) -> &'static str {
    match algorithm {
        ChecksumAlgorithm::Crc32 => "crc32",
        ChecksumAlgorithm::Crc32c => "crc32c",
        ChecksumAlgorithm::Crc64Nvme => "crc64nvme",
        ChecksumAlgorithm::Sha1 => "sha1",
        ChecksumAlgorithm::Sha256 => "sha256",
    }
}

/// The checksum announced by a trailer of this name.
pub(crate) fn trailer_algorithm(name: &str) -> Option<ChecksumAlgorithm> {
    let name = name.to_ascii_lowercase();
    let short = name.strip_prefix(names::CHECKSUM_PREFIX)?;
    ALGORITHMS.into_iter().find(|a| lower_name(*a) == short)
}

/// Verifies what was announced about a body that is in memory already.
pub(crate) fn verify_small_body(
    announced: &ChecksumRequest,
    trailing: Option<&(ChecksumAlgorithm, Vec<u8>)>,
    body: &[u8],
) -> Result<(), S3Error> {
    verify_md5(announced.content_md5, body)?;
    let expected = match (announced.algorithm, &announced.expected, trailing) {
        (Some(algorithm), Some(expected), None) => Some((algorithm, expected.as_slice())),
        (_, None, Some((algorithm, expected))) => Some((*algorithm, expected.as_slice())),
        (_, None, None) => None,
        (_, Some(_), Some(_)) => return Err(multiple()),
        (None, Some(_), None) => return Err(S3Error::internal("a checksum without algorithm")),
    };
    match expected {
        Some((algorithm, expected)) if digest(algorithm, body) != expected => {
            Err(mismatch(algorithm))
        }
        _ => Ok(()),
    }
}

/// Compares a body that is in memory with its Content-MD5.
pub(crate) fn verify_md5(announced: Option<[u8; 16]>, body: &[u8]) -> Result<(), S3Error> {
    let Some(expected) = announced else {
        return Ok(());
    };
    let calculated = strongroom_md5::digest(body);
    if calculated == expected {
        Ok(())
    } else {
        Err(bad_digest(&expected, &calculated))
    }
}

/// 400 BadDigest of Content-MD5.
pub(crate) fn bad_digest(expected: &[u8; 16], calculated: &[u8; 16]) -> S3Error {
    S3Error::from_code(S3Code::BadDigest)
        .with("ExpectedDigest", STANDARD.encode(expected))
        .with("CalculatedDigest", STANDARD.encode(calculated))
}

/// 400 BadDigest of `x-amz-checksum-*`.
pub(crate) fn mismatch(algorithm: ChecksumAlgorithm) -> S3Error {
    mismatch_of(name(algorithm))
}

/// The same of the checksum of an object that parts become, where S3 writes the name in lower case.
pub(crate) fn mismatch_of_parts(algorithm: ChecksumAlgorithm) -> S3Error {
    mismatch_of(lower_name(algorithm))
}

fn mismatch_of(name: &str) -> S3Error {
    S3Error::new(
        S3Code::BadDigest,
        format!("The {name} you specified did not match the calculated checksum."),
    )
}

/// Content-MD5.
pub(crate) fn content_md5(headers: &HeaderMap) -> Result<Option<[u8; 16]>, S3Error> {
    let Some(text) = header_text(headers, &names::CONTENT_MD5)? else {
        return Ok(None);
    };
    let digest = STANDARD
        .decode(text)
        .ok()
        .and_then(|digest| <[u8; 16]>::try_from(digest).ok());
    match digest {
        Some(digest) => Ok(Some(digest)),
        None => Err(S3Error::from_code(S3Code::InvalidDigest).with("Content-MD5", text)),
    }
}

fn parse(headers: &HeaderMap) -> Result<ChecksumRequest, S3Error> {
    let content_md5 = content_md5(headers)?;
    let value = value(headers)?;
    let announced = announced_trailer(headers)?;
    if value.is_some() && announced.is_some() {
        return Err(multiple());
    }
    let implied = value
        .as_ref()
        .map(|(algorithm, _)| *algorithm)
        .or(announced);
    for header in [names::SDK_CHECKSUM_ALGORITHM, names::CHECKSUM_ALGORITHM] {
        let Some(text) = header_text(headers, &header)? else {
            continue;
        };
        let algorithm = parse_algorithm(text)?;
        match implied {
            Some(implied) if implied == algorithm => {}
            Some(_) => return Err(value_invalid(&header)),
            None => {
                return Err(S3Error::invalid_request(format!(
                    "{header} specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found."
                )));
            }
        }
    }
    Ok(ChecksumRequest {
        algorithm: implied,
        expected: value.map(|(_, digest)| digest),
        content_md5,
    })
}

/// `x-amz-trailer` may announce one checksum and nothing else.
fn announced_trailer(headers: &HeaderMap) -> Result<Option<ChecksumAlgorithm>, S3Error> {
    let Some(text) = header_text(headers, &names::TRAILER)? else {
        return Ok(None);
    };
    let unsupported = || {
        S3Error::invalid_request("The value specified in the x-amz-trailer header is not supported")
            .with("Header", names::TRAILER.as_str())
    };
    let mut announced = text
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    let first = announced.next().ok_or_else(unsupported)?;
    match announced.next() {
        Some(_) => Err(multiple()),
        None => trailer_algorithm(first).map(Some).ok_or_else(unsupported),
    }
}

fn parse_algorithm(text: &str) -> Result<ChecksumAlgorithm, S3Error> {
    ALGORITHMS
        .into_iter()
        .find(|a| name(*a).eq_ignore_ascii_case(text))
        .ok_or_else(unsupported)
}

fn header_name(algorithm: ChecksumAlgorithm) -> String {
    format!("{}{}", names::CHECKSUM_PREFIX, lower_name(algorithm))
}

fn digest_len(algorithm: ChecksumAlgorithm) -> usize {
    match algorithm {
        ChecksumAlgorithm::Crc32 | ChecksumAlgorithm::Crc32c => 4,
        ChecksumAlgorithm::Crc64Nvme => 8,
        ChecksumAlgorithm::Sha1 => 20,
        ChecksumAlgorithm::Sha256 => 32,
    }
}

fn digest(algorithm: ChecksumAlgorithm, body: &[u8]) -> Vec<u8> {
    let crc = |crc| {
        let bytes = crc_fast::checksum(crc, body).to_be_bytes();
        bytes
            .get(8_usize.saturating_sub(digest_len(algorithm))..)
            .unwrap_or_default()
            .to_vec()
    };
    match algorithm {
        ChecksumAlgorithm::Crc32 => crc(CrcAlgorithm::Crc32IsoHdlc),
        ChecksumAlgorithm::Crc32c => crc(CrcAlgorithm::Crc32Iscsi),
        ChecksumAlgorithm::Crc64Nvme => crc(CrcAlgorithm::Crc64Nvme),
        ChecksumAlgorithm::Sha1 => sha::digest(&sha::SHA1_FOR_LEGACY_USE_ONLY, body)
            .as_ref()
            .to_vec(),
        ChecksumAlgorithm::Sha256 => sha::digest(&sha::SHA256, body).as_ref().to_vec(),
    }
}

/// 400 for the value of the header of an algorithm.
pub(crate) fn invalid_value(algorithm: ChecksumAlgorithm) -> S3Error {
    S3Error::invalid_request(format!(
        "Value for {} header is invalid.",
        header_name(algorithm)
    ))
}

fn value_invalid(name: &HeaderName) -> S3Error {
    S3Error::invalid_request(format!("Value for {name} header is invalid."))
}

fn multiple() -> S3Error {
    S3Error::invalid_request(
        "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
    )
}

fn unsupported() -> S3Error {
    S3Error::invalid_request(
        "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(
                HeaderName::try_from(*name).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        headers
    }

    #[track_caller]
    fn refused(pairs: &[(&str, &str)], message: &str) {
        let error = parse(&headers(pairs)).unwrap_err();
        assert_eq!(
            (error.code, &*error.message),
            (S3Code::InvalidRequest, message)
        );
    }

    #[test]
    fn values_and_trailers_imply_the_algorithm() {
        assert_eq!(parse(&headers(&[])).unwrap().algorithm, None);
        let parsed = parse(&headers(&[
            ("x-amz-checksum-crc32", "y/Q5Jg=="),
            ("x-amz-sdk-checksum-algorithm", "CRC32"),
        ]))
        .unwrap();
        assert_eq!(parsed.algorithm, Some(ChecksumAlgorithm::Crc32));
        assert_eq!(
            parsed.expected.as_deref(),
            Some(&[0xcb, 0xf4, 0x39, 0x26][..])
        );
        let trailed = parse(&headers(&[
            ("x-amz-trailer", "x-amz-checksum-crc64nvme"),
            ("x-amz-sdk-checksum-algorithm", "CRC64NVME"),
        ]))
        .unwrap();
        assert_eq!(trailed.algorithm, Some(ChecksumAlgorithm::Crc64Nvme));
        assert_eq!(trailed.expected, None);
    }

    #[test]
    fn sec_n64_wrong_values_are_refused() {
        for (name, value) in [
            ("x-amz-checksum-crc32", "y/Q5"),
            ("x-amz-checksum-crc32", "y/Q5Jg"),
            ("x-amz-checksum-crc32", ""),
            ("x-amz-checksum-sha256", "y/Q5Jg=="),
            ("x-amz-checksum-crc64nvme", "y/Q5Jg=="),
            ("x-amz-checksum-sha1", "not base64"),
        ] {
            refused(
                &[(name, value)],
                &format!("Value for {name} header is invalid."),
            );
        }
        let single =
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.";
        let (crc, sha) = ("y/Q5Jg==", "9/+ei3uy4Jtwk1pdeF4MxdnQq/A=");
        refused(
            &[("x-amz-checksum-crc32", crc), ("x-amz-checksum-sha1", sha)],
            single,
        );
        refused(
            &[("x-amz-checksum-crc32", crc), ("x-amz-checksum-crc32", crc)],
            single,
        );
        refused(
            &[
                ("x-amz-checksum-crc32", crc),
                ("x-amz-trailer", "x-amz-checksum-crc32"),
            ],
            single,
        );
        refused(
            &[("x-amz-trailer", "x-amz-checksum-crc32,x-amz-checksum-sha1")],
            single,
        );
        let unknown = "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]";
        for name in [
            "x-amz-checksum-sha512",
            "x-amz-checksum-md5",
            "x-amz-checksum-xxhash3",
        ] {
            refused(&[(name, "AAAA")], unknown);
        }
        refused(&[("x-amz-sdk-checksum-algorithm", "MD5")], unknown);
        refused(
            &[
                ("x-amz-sdk-checksum-algorithm", "SHA1"),
                ("x-amz-checksum-crc32", crc),
            ],
            "Value for x-amz-sdk-checksum-algorithm header is invalid.",
        );
        refused(
            &[("x-amz-sdk-checksum-algorithm", "CRC32")],
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.",
        );
    }

    #[test]
    fn sec_n20_only_checksums_may_trail() {
        let message = "The value specified in the x-amz-trailer header is not supported";
        for trailer in [
            "",
            ",",
            "authorization",
            "x-amz-meta-a",
            "x-amz-checksum-md5",
            "x-amz-checksum-",
        ] {
            refused(&[("x-amz-trailer", trailer)], message);
        }
    }

    #[test]
    fn sec_n59_content_md5_is_sixteen_bytes() {
        for bad in ["", "AAAA", "not base64", "1B2M2Y8AsgTpgAmY7PhCfg"] {
            let error = parse(&headers(&[("content-md5", bad)])).unwrap_err();
            assert_eq!(error.code, S3Code::InvalidDigest, "{bad}");
        }
    }

    #[test]
    fn small_bodies_are_verified() {
        let body = b"123456789";
        for (algorithm, answer) in [
            (ChecksumAlgorithm::Crc32, "cbf43926"),
            (ChecksumAlgorithm::Crc32c, "e3069283"),
            (ChecksumAlgorithm::Crc64Nvme, "ae8b14860a799888"),
            (
                ChecksumAlgorithm::Sha1,
                "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
            ),
            (
                ChecksumAlgorithm::Sha256,
                "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
            ),
        ] {
            assert_eq!(hex::encode(digest(algorithm, body)), answer);
            let right = (algorithm, hex::decode(answer).unwrap());
            let none = ChecksumRequest::default();
            assert!(verify_small_body(&none, Some(&right), body).is_ok());
            assert!(verify_small_body(&none, Some(&right), b"other").is_err());
            let announced = ChecksumRequest {
                algorithm: Some(algorithm),
                expected: Some(right.1),
                content_md5: None,
            };
            assert!(verify_small_body(&announced, None, body).is_ok());
            let error = verify_small_body(&announced, None, b"other").unwrap_err();
            assert_eq!(error.code, S3Code::BadDigest);
        }
        let announced = ChecksumRequest {
            content_md5: Some([0; 16]),
            ..ChecksumRequest::default()
        };
        assert!(verify_small_body(&announced, None, body).is_err());
    }
}

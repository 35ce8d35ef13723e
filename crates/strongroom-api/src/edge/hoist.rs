// SPDX-License-Identifier: Apache-2.0
//! Headers that a presigned URL carries as query parameters.
//!
//! SDKs may sign `x-amz-*` headers into the URL. They count as headers then; the signature covers
//! the query. A header of the same name with another value is refused, as are customer keys: a
//! key in a URL ends up in logs.
//!
//! Of a request that has its signature in a header, they mean nothing to S3, and no client sends
//! them. They are refused: who writes `?x-amz-server-side-encryption=aws:kms` must not be answered
//! with an object that is sealed in another way.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::S3Error;
use crate::query::Query;
use crate::s3::operation::{Operation, refused_parameter};
use crate::s3::{checksum_headers, names};

/// Parameters of the signature itself.
const SIGNING: [&str; 9] = [
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-signedheaders",
    "x-amz-signature",
    "x-amz-security-token",
    "x-amz-content-sha256",
    "x-amz-user-agent",
];

/// Which checksum an SDK sends along.
const SDK_CHECKSUM: &str = "x-amz-sdk-checksum-algorithm";

/// Adds the query's headers to the request's.
pub(super) fn hoist(query: &Query, headers: &mut HeaderMap) -> Result<(), S3Error> {
    for (name, value) in query.iter() {
        let lower = name.to_ascii_lowercase();
        // AWS ignores the encryption context of a URL, and checksums: SDKs put that of no bytes at
        // all into one, since they know no body when they sign.
        if !lower.starts_with("x-amz-")
            || SIGNING.contains(&lower.as_str())
            || lower == names::SSE_CONTEXT.as_str()
            || checksum_headers::is_value(&lower)
            || lower == SDK_CHECKSUM
        {
            continue;
        }
        let refused = |message: &'static str| S3Error::invalid_argument(message, name, "");
        if is_customer_key(&lower) {
            return Err(customer_key_in_url(name));
        }
        let (Ok(name), Ok(value)) = (HeaderName::try_from(&lower), HeaderValue::from_str(value))
        else {
            return Err(refused("A query parameter is not a valid header."));
        };
        match headers.get(&name) {
            None => {
                headers.insert(name, value);
            }
            Some(known) if *known == value => {}
            Some(_) => return Err(refused("A header and a query parameter differ.")),
        }
    }
    Ok(())
}

/// Refuses them in a request that is not presigned; a customer key first.
pub(super) fn refuse(query: &Query, operation: Operation) -> Result<(), S3Error> {
    let headers = || {
        query
            .iter()
            .map(|(name, value)| (name, value, name.to_ascii_lowercase()))
            .filter(|(_, _, lower)| lower.starts_with("x-amz-"))
    };
    if let Some((name, _, _)) = headers().find(|(_, _, lower)| is_customer_key(lower)) {
        return Err(customer_key_in_url(name));
    }
    match headers().next() {
        Some((name, value, _)) => Err(refused_parameter(operation, name, value)),
        None => Ok(()),
    }
}

fn is_customer_key(lower: &str) -> bool {
    lower.contains("customer-key")
}

fn customer_key_in_url(name: &str) -> S3Error {
    S3Error::invalid_argument("A customer key must not be part of a URL.", name, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hoisted(
        query: &str,
        headers: &[(&'static str, &'static str)],
    ) -> Result<HeaderMap, S3Error> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        hoist(&Query::parse(query).unwrap(), &mut map)?;
        Ok(map)
    }

    #[test]
    fn query_parameters_become_headers() {
        let map = hoisted(
            "X-Amz-Server-Side-Encryption=aws%3Akms&x-amz-meta-a=1&k=v",
            &[],
        )
        .unwrap();
        assert_eq!(map.get(names::SSE).unwrap(), "aws:kms");
        assert_eq!(map.get("x-amz-meta-a").unwrap(), "1");
        assert_eq!(map.len(), 2);
    }

    #[test]
    fn the_signature_is_no_header() {
        assert!(
            hoisted("X-Amz-Date=1&X-Amz-Signature=2&X-Amz-Expires=3", &[])
                .unwrap()
                .is_empty()
        );
        let context = "x-amz-server-side-encryption-context=e30%3D";
        assert!(hoisted(context, &[]).unwrap().is_empty());
    }

    /// What an SDK puts there is the checksum of no bytes.
    #[test]
    fn checksums_in_a_url_are_none() {
        for ignored in [
            "x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32",
            "X-Amz-Checksum-Crc64nvme=x",
            "x-amz-checksum-sha256=x",
        ] {
            assert!(hoisted(ignored, &[]).unwrap().is_empty(), "{ignored}");
            // Beside one that differs from it, too.
            let header = [("x-amz-checksum-crc32", "AAAAAQ==")];
            let map = hoisted(ignored, &header).unwrap();
            assert_eq!(map.get("x-amz-checksum-crc32").unwrap(), "AAAAAQ==");
            assert_eq!(map.len(), 1);
        }
        for (query, name) in [
            ("x-amz-checksum-sha512=x", "x-amz-checksum-sha512"),
            ("x-amz-checksum-mode=ENABLED", "x-amz-checksum-mode"),
            ("x-amz-checksum-algorithm=CRC32", "x-amz-checksum-algorithm"),
            ("x-amz-checksum-type=COMPOSITE", "x-amz-checksum-type"),
        ] {
            assert!(hoisted(query, &[]).unwrap().contains_key(name), "{query}");
        }
    }

    #[test]
    fn sec_n13_of_another_request_they_are_refused() {
        let refused = |query: &str| -> Result<(), &'static str> {
            let refusal = refuse(&Query::parse(query).unwrap(), Operation::PutObject);
            refusal.map_err(|error| error.code.as_str())
        };
        assert_eq!(refused("x-id=PutObject&versionId=1&partNumber=2"), Ok(()));
        for query in [
            "x-amz-server-side-encryption=aws%3Akms",
            "X-Amz-Server-Side-Encryption=AES256",
            "x-id=PutObject&x-amz-acl=public-read",
            "X-Amz-Date=20260921T000000Z",
            "x-amz-anything",
        ] {
            assert_eq!(refused(query), Err("NotImplemented"), "{query}");
        }
        for name in ["customer-key", "Customer-Key-MD5"] {
            let query = format!("x-amz-acl=private&x-amz-server-side-encryption-{name}=x");
            assert_eq!(refused(&query), Err("InvalidArgument"), "{query}");
        }
    }

    #[test]
    fn sec_n13_contradictions_and_keys_are_refused() {
        assert!(hoisted("x-amz-acl=private", &[("x-amz-acl", "private")]).is_ok());
        assert!(hoisted("x-amz-acl=private", &[("x-amz-acl", "public-read")]).is_err());
        assert!(hoisted("x-amz-meta-a=%0d%0ax:y", &[]).is_err());
        for name in ["", "-md5"] {
            let own = format!("x-amz-server-side-encryption-customer-key{name}=x");
            assert!(hoisted(&own, &[]).is_err());
            let source = format!("x-amz-copy-source-server-side-encryption-customer-key{name}=x");
            assert!(hoisted(&source, &[]).is_err());
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//! Random requests, signed by the AWS SDK's own signer (`aws-sigv4`) and verified here.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use proptest::prelude::*;
use strongroom_wire::query::{encode_component, encode_path};
use strongroom_wire::sigv4::PayloadMode;

use crate::request::{ACCESS_KEY_ID, NOW_MS, REGION, Request, SECRET};

/// Adds the AWS signer's headers or query to the request.
fn sign_with_aws(request: &mut Request, service: &str, body: &SignableBody<'_>, presigned: bool) {
    let identity = Credentials::new(ACCESS_KEY_ID, SECRET, None, None, "test").into();
    let mut settings = SigningSettings::default();
    if service == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    if presigned {
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_mins(10));
        settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
    }
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(REGION)
        .name(service)
        .time(SystemTime::UNIX_EPOCH + Duration::from_millis(NOW_MS))
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let host = request.header_text("host");
    let mut uri = format!("http://{host}{}", request.path);
    if !request.query.is_empty() {
        uri = format!("{uri}?{}", request.query);
    }
    let headers: Vec<(String, String)> = request
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), String::from_utf8(value.clone()).unwrap()))
        .collect();
    let borrowed = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let signable = SignableRequest::new(&request.method, uri, borrowed, body.clone()).unwrap();
    let (instructions, _) = sign(signable, &params).unwrap().into_parts();
    let (new_headers, new_params) = instructions.into_parts();
    for header in new_headers {
        request.header(header.name(), header.value());
    }
    for (name, value) in new_params {
        let value: String = encode_component(value.as_bytes()).collect();
        if !request.query.is_empty() {
            request.query.push('&');
        }
        request.query.extend([name, "=", value.as_str()]);
    }
}

prop_compose! {
    fn any_request()(
        method in prop::sample::select(vec!["GET", "PUT", "HEAD", "DELETE", "POST"]),
        path in prop::collection::vec("\\PC{0,12}", 0..4),
        query in prop::collection::vec(("[a-zA-Z-]{1,8}", "\\PC{0,12}"), 0..5),
        metadata in prop::collection::btree_map("[a-z0-9-]{1,8}", "[ -~]{0,20}", 0..4),
        port in 1_u16..,
    ) -> Request {
        let path: String = encode_path(format!("/{}", path.join("/")).as_bytes()).collect();
        let query: Vec<String> = query
            .iter()
            .map(|(name, value)| {
                let value: String = encode_component(value.as_bytes()).collect();
                format!("{name}={value}")
            })
            .collect();
        let mut request = Request::new(method, &path, &query.join("&"), &[]);
        request.header("host", &format!("bucket.localhost:{port}"));
        for (name, value) in &metadata {
            request.header(&format!("x-amz-meta-{name}"), value);
        }
        request
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn s3_header_signatures_of_aws_verify(mut request in any_request(), body in any::<Vec<u8>>()) {
        sign_with_aws(&mut request, "s3", &SignableBody::Bytes(&body), false);
        let verified = request.verify();
        prop_assert!(verified.is_ok(), "{:?}: {:?}", request, verified);
        request.path.push('x');
        prop_assert!(request.verify().is_err());
    }

    #[test]
    fn s3_presigned_urls_of_aws_verify(mut request in any_request()) {
        sign_with_aws(&mut request, "s3", &SignableBody::UnsignedPayload, true);
        let verified = request.verify();
        prop_assert!(verified.is_ok(), "{:?}: {:?}", request, verified);
        request.query.push_str("&a=b");
        prop_assert!(request.verify().is_err());
    }

    #[test]
    fn other_services_signatures_of_aws_verify(mut request in any_request(), body in any::<Vec<u8>>()) {
        sign_with_aws(&mut request, "kms", &SignableBody::Bytes(&body), false);
        let mut hash = [0; 32];
        hash.copy_from_slice(
            aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &body).as_ref(),
        );
        request.body_sha256 = Some(hash);
        let verified = request.verify();
        prop_assert!(verified.is_ok(), "{:?}: {:?}", request, verified);
        request.body_sha256 = Some([0; 32]);
        prop_assert!(request.verify().is_err());
    }

    #[test]
    fn our_header_signature_is_that_of_aws(request in any_request()) {
        let mut theirs = request.clone();
        sign_with_aws(&mut theirs, "s3", &SignableBody::UnsignedPayload, false);
        let mut ours = request;
        ours.sign("s3", PayloadMode::Unsigned);
        prop_assert_eq!(ours.header_text("authorization"), theirs.header_text("authorization"));
    }

    #[test]
    fn our_presigned_signature_is_that_of_aws(request in any_request()) {
        let mut theirs = request.clone();
        sign_with_aws(&mut theirs, "s3", &SignableBody::UnsignedPayload, true);
        let mut ours = request;
        ours.presign(600);
        let signature = |query: &str| query.rsplit("X-Amz-Signature=").next().unwrap().to_owned();
        prop_assert_eq!(signature(&ours.query), signature(&theirs.query));
    }
}

// SPDX-License-Identifier: Apache-2.0
//! The key service's wire: AWS JSON 1.1, one file per operation.
//!
//! ```text
//! KmsRequest --transport, content type, target--> Operation
//!            --json.rs--> Json --members.rs--> typed input, held against the service's model
//!            --strongroom-kms (authorizes, does, records)--> output --reply.rs--> document
//! ```
//!
//! Nothing is decided here about keys. What may be secret on its way through (plaintext to encrypt,
//! data keys, decrypted bytes) lives in memory that is wiped, and never enters a message.

mod cancel_key_deletion;
mod create_alias;
mod create_grant;
mod create_key;
mod decrypt;
mod delete_alias;
mod delete_imported_key_material;
mod derive_shared_secret;
mod describe_key;
mod disable_key;
mod disable_key_rotation;
mod enable_key;
mod enable_key_rotation;
mod encrypt;
mod fault;
mod generate_data_key;
mod generate_data_key_pair;
mod generate_data_key_pair_without_plaintext;
mod generate_data_key_without_plaintext;
mod generate_mac;
mod generate_random;
mod get_key_last_usage;
mod get_key_policy;
mod get_key_rotation_status;
mod get_parameters_for_import;
mod get_public_key;
mod import_key_material;
mod json;
mod key_metadata;
mod list_aliases;
mod list_grants;
mod list_key_policies;
mod list_key_rotations;
mod list_keys;
mod list_resource_tags;
mod list_retirable_grants;
mod members;
mod operation;
mod parameters;
mod put_key_policy;
mod re_encrypt;
mod reply;
mod retire_grant;
mod revoke_grant;
mod rotate_key_on_demand;
mod schedule_key_deletion;
mod sign;
mod tag_resource;
mod untag_resource;
mod update_alias;
mod update_key_description;
mod verify;
mod verify_mac;

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;
use strongroom_kms::Kms;

use crate::edge::KmsRequest;
use crate::error::S3Error;
use crate::response::{KmsAnswer, ResponseBody};
use fault::{KmsFault, KmsFaultKind};
pub(crate) use json::Json;
use members::Members;
use operation::Operation;
pub(crate) use operation::named;
use reply::Reply;

/// Answers an authenticated request.
pub(crate) async fn handle(request: KmsRequest, receipt: &Receipt) -> KmsAnswer {
    let operation = match check(&request) {
        Ok(operation) => operation,
        Err(fault) => return refusal(named(Some(&request.target)), &fault),
    };
    let Ok(members) = Json::parse_object(&request.body) else {
        return refusal(operation.name(), &KmsFault::serialization(""));
    };
    let call = Call {
        kms: &request.services.kms,
        caller: &request.caller,
        receipt,
    };
    match run(operation, call, Members::new(members)).await {
        Ok(reply) => KmsAnswer {
            response: response(StatusCode::OK, ResponseBody::full(reply.into_bytes())),
            operation: operation.name(),
            fault: None,
            recorded: true,
        },
        Err(fault) => refusal(operation.name(), &fault),
    }
}

/// Answers a request that the edge refused, for its form or its signature, in this protocol.
pub(crate) fn refuse(operation: &'static str, error: &S3Error) -> KmsAnswer {
    refusal(operation, &KmsFault::from(error))
}

/// What an operation works with.
#[derive(Clone, Copy)]
struct Call<'a> {
    kms: &'a Kms,
    caller: &'a Caller,
    receipt: &'a Receipt,
}

async fn run(operation: Operation, call: Call<'_>, members: Members) -> Result<Reply, KmsFault> {
    match operation {
        Operation::CancelKeyDeletion => cancel_key_deletion::handle(call, members).await,
        Operation::CreateAlias => create_alias::handle(call, members).await,
        Operation::CreateGrant => create_grant::handle(call, members).await,
        Operation::CreateKey => create_key::handle(call, members).await,
        Operation::Decrypt => decrypt::handle(call, members).await,
        Operation::DeleteAlias => delete_alias::handle(call, members).await,
        Operation::DeleteImportedKeyMaterial => {
            delete_imported_key_material::handle(call, members).await
        }
        Operation::DeriveSharedSecret => derive_shared_secret::handle(call, members).await,
        Operation::DescribeKey => describe_key::handle(call, members).await,
        Operation::DisableKey => disable_key::handle(call, members).await,
        Operation::DisableKeyRotation => disable_key_rotation::handle(call, members).await,
        Operation::EnableKey => enable_key::handle(call, members).await,
        Operation::EnableKeyRotation => enable_key_rotation::handle(call, members).await,
        Operation::Encrypt => encrypt::handle(call, members).await,
        Operation::GenerateDataKey => generate_data_key::handle(call, members).await,
        Operation::GenerateDataKeyPair => generate_data_key_pair::handle(call, members).await,
        Operation::GenerateDataKeyPairWithoutPlaintext => {
            generate_data_key_pair_without_plaintext::handle(call, members).await
        }
        Operation::GenerateDataKeyWithoutPlaintext => {
            generate_data_key_without_plaintext::handle(call, members).await
        }
        Operation::GenerateMac => generate_mac::handle(call, members).await,
        Operation::GenerateRandom => generate_random::handle(call, members).await,
        Operation::GetKeyLastUsage => get_key_last_usage::handle(call, members).await,
        Operation::GetKeyPolicy => get_key_policy::handle(call, members).await,
        Operation::GetKeyRotationStatus => get_key_rotation_status::handle(call, members).await,
        Operation::GetParametersForImport => get_parameters_for_import::handle(call, members).await,
        Operation::GetPublicKey => get_public_key::handle(call, members).await,
        Operation::ImportKeyMaterial => import_key_material::handle(call, members).await,
        Operation::ListAliases => list_aliases::handle(call, members).await,
        Operation::ListGrants => list_grants::handle(call, members).await,
        Operation::ListKeyPolicies => list_key_policies::handle(call, members).await,
        Operation::ListKeyRotations => list_key_rotations::handle(call, members).await,
        Operation::ListKeys => list_keys::handle(call, members).await,
        Operation::ListResourceTags => list_resource_tags::handle(call, members).await,
        Operation::ListRetirableGrants => list_retirable_grants::handle(call, members).await,
        Operation::PutKeyPolicy => put_key_policy::handle(call, members).await,
        Operation::ReEncrypt => re_encrypt::handle(call, members).await,
        Operation::RetireGrant => retire_grant::handle(call, members).await,
        Operation::RevokeGrant => revoke_grant::handle(call, members).await,
        Operation::RotateKeyOnDemand => rotate_key_on_demand::handle(call, members).await,
        Operation::ScheduleKeyDeletion => schedule_key_deletion::handle(call, members).await,
        Operation::Sign => sign::handle(call, members).await,
        Operation::TagResource => tag_resource::handle(call, members).await,
        Operation::UntagResource => untag_resource::handle(call, members).await,
        Operation::UpdateAlias => update_alias::handle(call, members).await,
        Operation::UpdateKeyDescription => update_key_description::handle(call, members).await,
        Operation::Verify => verify::handle(call, members).await,
        Operation::VerifyMac => verify_mac::handle(call, members).await,
    }
}

fn check(request: &KmsRequest) -> Result<Operation, KmsFault> {
    check_transport(request.secure, &request.caller.facts().source_ip)?;
    check_content(&request.headers)?;
    Operation::from_target(Some(&request.target))
}

/// Plaintext and data keys travel in these documents: without TLS they stay on this machine.
fn check_transport(secure: bool, source_ip: &str) -> Result<(), KmsFault> {
    let loopback = source_ip
        .parse::<IpAddr>()
        .is_ok_and(|ip| ip.to_canonical().is_loopback());
    if secure || loopback {
        return Ok(());
    }
    Err(KmsFault::new(
        KmsFaultKind::AccessDenied,
        "Requests to the key service must be made over a secure connection. Plain HTTP is accepted \
         from the loopback address only.",
    ))
}

/// JSON 1.1, as it is: no other form, no compression.
fn check_content(headers: &HeaderMap) -> Result<(), KmsFault> {
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    if !media_type.is_some_and(|media_type| media_type.eq_ignore_ascii_case(CONTENT_TYPE)) {
        return Err(KmsFault::new(
            KmsFaultKind::UnknownOperation,
            format!("The content type must be {CONTENT_TYPE}"),
        ));
    }
    let plain = headers
        .get(header::CONTENT_ENCODING)
        .is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if plain {
        Ok(())
    } else {
        Err(KmsFault::serialization(
            "A compressed request is not supported",
        ))
    }
}

/// Fuzzing: any bytes as the document of each operation that takes more than a name.
pub(crate) fn fuzz_documents(body: &[u8]) {
    let decoders: &[fn(Members)] = &[
        |members| drop(create_grant::decode(members)),
        |members| drop(put_key_policy::decode(members)),
        |members| drop(create_key::decode(members)),
        |members| drop(decrypt::decode(members)),
        |members| drop(derive_shared_secret::decode(members)),
        |members| drop(encrypt::decode(members)),
        |members| drop(generate_data_key::decode(members)),
        |members| drop(import_key_material::decode(members)),
        |members| drop(generate_data_key_pair::decode(members)),
        |members| drop(generate_mac::decode(members)),
        |members| drop(generate_random::decode(members)),
        |members| drop(get_public_key::decode(members)),
        |members| drop(re_encrypt::decode(members)),
        |members| drop(sign::decode(members)),
        |members| drop(verify::decode(members)),
        |members| drop(verify_mac::decode(members)),
    ];
    for decode in decoders {
        if let Ok(members) = Json::parse_object(body) {
            decode(Members::new(members));
        }
    }
}

fn refusal(operation: &'static str, fault: &KmsFault) -> KmsAnswer {
    if let Some(cause) = &fault.internal {
        tracing::error!(operation, %cause, "the key service failed");
    }
    let document = json!({ "__type": fault.kind.as_str(), "message": fault.message });
    KmsAnswer {
        response: response(fault.status(), ResponseBody::full(document.to_string())),
        operation,
        fault: Some((fault.kind.as_str().to_owned(), fault.message.to_string())),
        recorded: fault.recorded,
    }
}

fn response(status: StatusCode, body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(NO_STORE));
    response
}

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";
const NO_STORE: &str = "no-cache, no-store, must-revalidate, private";

#[cfg(test)]
mod tests {
    use super::*;

    /// The members of a request, for the tests of the operations.
    pub(in crate::kms) fn members(text: &str) -> Members {
        Members::new(Json::parse_object(text.as_bytes()).unwrap())
    }

    #[test]
    fn sec_n88_content_types() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            headers
        };
        for good in [
            "application/x-amz-json-1.1",
            "application/x-amz-json-1.1; charset=utf-8",
            "Application/X-Amz-Json-1.1",
        ] {
            check_content(&headers(&[("content-type", good)])).unwrap();
        }
        for bad in [
            "",
            "application/json",
            "application/x-amz-json-1.0",
            "application/x-amz-json-1.10",
            "application/x-amz-cbor-1.1",
            "text/plain; application/x-amz-json-1.1",
            "application/x-www-form-urlencoded",
        ] {
            let fault = check_content(&headers(&[("content-type", bad)])).unwrap_err();
            assert_eq!(fault.kind, KmsFaultKind::UnknownOperation, "{bad}");
        }
        assert!(check_content(&HeaderMap::new()).is_err());
        for coding in [
            "gzip",
            "deflate",
            "br",
            "zstd",
            "aws-chunked",
            "identity, gzip",
        ] {
            let headers = headers(&[("content-type", CONTENT_TYPE), ("content-encoding", coding)]);
            let fault = check_content(&headers).unwrap_err();
            assert_eq!(fault.kind, KmsFaultKind::Serialization, "{coding}");
        }
    }

    #[test]
    fn sec_n40_without_tls_only_the_loopback_address_is_served() {
        for (secure, ip) in [
            (true, "203.0.113.9"),
            (true, ""),
            (false, "127.0.0.1"),
            (false, "127.8.8.8"),
            (false, "::1"),
            (false, "::ffff:127.0.0.1"),
        ] {
            check_transport(secure, ip).unwrap();
        }
        for ip in [
            "203.0.113.9",
            "10.0.0.1",
            "192.168.0.1",
            "::ffff:10.0.0.1",
            "fe80::1",
            "0.0.0.0",
            "::",
            "localhost",
            "",
            "127.0.0.1:80",
            "127.0.0.1, 10.0.0.1",
            "128.0.0.1",
        ] {
            let fault = check_transport(false, ip).unwrap_err();
            assert_eq!(fault.kind, KmsFaultKind::AccessDenied, "{ip}");
        }
    }

    #[test]
    fn faults_have_the_form_of_the_service() {
        let answer = refusal(
            "Decrypt",
            &KmsFault::from(strongroom_kms::Error::InvalidCiphertext),
        );
        assert_eq!(answer.response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(
            answer.response.headers()[header::CONTENT_TYPE],
            CONTENT_TYPE
        );
        assert_eq!(
            answer.fault.unwrap(),
            ("InvalidCiphertextException".to_owned(), String::new())
        );
        assert!(answer.recorded);
        let answer = refusal(operation::UNKNOWN, &KmsFault::internal("secret cause"));
        assert_eq!(answer.response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!answer.fault.unwrap().1.contains("secret"));
        assert!(!answer.recorded);
    }
}

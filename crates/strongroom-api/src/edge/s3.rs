// SPDX-License-Identifier: Apache-2.0
//! An S3 request, from its head to its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::request::Parts;
use http::{Response, header};
use strongroom_audit::Receipt;
use strongroom_iam::{AuthMethod, Authenticated};
use strongroom_wire::chunked::parse_decoded_length;
use strongroom_wire::sigv4::PayloadMode;
use strongroom_wire::{ChunkDecoder, ChunkMode};

use super::finish::{Measured, finish_s3};
use super::{Address, ApiServices, Exchange, authenticate, hoist, limits};
use crate::audit::{self, Asked};
use crate::body::{Frames, Framing, RequestBody, chunk_error};
use crate::error::{S3Code, S3Error};
use crate::query::Query;
use crate::response::{Answer, ResponseBody};
use crate::s3::{self, Operation, S3Request, names, operation::Route};

/// Answers an S3 request.
pub(super) async fn answer(
    services: &Arc<ApiServices>,
    exchange: Exchange,
    parts: Parts,
    frames: Frames,
) -> Response<ResponseBody> {
    let head_request = parts.method == http::Method::HEAD;
    let wire_bytes = Arc::new(AtomicU64::new(0));
    let mut asked = Asked::new(&exchange.facts.host);
    let (result, receipt) = run(services, &exchange, parts, frames, &wire_bytes, &mut asked).await;
    let bytes_in = wire_bytes.load(Ordering::Relaxed);
    let event = match &result {
        Ok(answer) => asked.succeeded(answer, bytes_in),
        Err(error) => asked.failed(error, bytes_in),
    };
    let result = match event.record(receipt, &exchange.host_id).await {
        Ok(()) => result,
        Err(error) => Err(audit::unrecorded(&asked, result.is_ok(), error)),
    };
    let measured = Measured {
        operation: asked.operation_name(),
        bytes_in,
    };
    finish_s3(&exchange, &measured, &asked, head_request, result)
}

/// Everything up to the handler's own result; the receipt is still to be finished.
async fn run(
    services: &Arc<ApiServices>,
    exchange: &Exchange,
    mut parts: Parts,
    frames: Frames,
    wire_bytes: &Arc<AtomicU64>,
    asked: &mut Asked,
) -> (Result<Answer, S3Error>, Receipt) {
    let head = match Head::read(services, &parts) {
        Ok(head) => head,
        Err(error) => return (Err(error), services.audit.begin(exchange.facts.clone())),
    };
    asked.head(
        &head.address,
        &head.query,
        &parts.headers,
        head.operation.as_ref().ok().copied(),
    );
    let authenticated = match authenticate::authenticate(services, exchange, &parts, "s3", None) {
        Ok(authenticated) => authenticated,
        Err(refused) => return (Err(refused.error), services.audit.begin(refused.facts)),
    };
    asked.authenticated(authenticated.caller.auth_method());
    let receipt = services.audit.begin(authenticated.caller.facts().clone());
    let operation = match head.operation {
        Ok(operation) => operation,
        Err(error) => return (Err(error), receipt),
    };
    if authenticated.caller.auth_method() == AuthMethod::Query {
        if let Err(error) = hoist::hoist(&head.query, &mut parts.headers) {
            return (Err(error), receipt);
        }
        asked.head(&head.address, &head.query, &parts.headers, Some(operation));
    }
    let request = request(
        services,
        exchange,
        parts,
        head.address,
        head.query,
        Arrived {
            authenticated,
            frames,
            wire_bytes,
        },
    );
    let mut request = match request {
        Ok(request) => request,
        Err(error) => return (Err(error), receipt),
    };
    let result = s3::handle(operation, &mut request, &receipt).await;
    (result, receipt)
}

/// What the head of a request says, before anyone knows who sent it.
struct Head {
    address: Address,
    query: Query,
    /// Refusals of routing wait until the caller is known.
    operation: Result<Operation, S3Error>,
}

impl Head {
    fn read(services: &ApiServices, parts: &Parts) -> Result<Self, S3Error> {
        limits::check(&parts.headers)?;
        limits::content_length(&parts.headers)?;
        let address = Address::of(parts, &services.domains)?;
        let query = Query::parse(parts.uri.query().unwrap_or_default())?;
        let operation = Operation::route(Route {
            method: &parts.method,
            bucket: address.bucket.is_some(),
            object_key: address.object_key.is_some(),
            query: &query,
            copy_source: parts.headers.contains_key(names::COPY_SOURCE)
                || query.has(names::COPY_SOURCE.as_str()),
        });
        Ok(Self {
            address,
            query,
            operation,
        })
    }
}

struct Arrived<'a> {
    authenticated: Authenticated,
    frames: Frames,
    wire_bytes: &'a Arc<AtomicU64>,
}

fn request(
    services: &Arc<ApiServices>,
    exchange: &Exchange,
    parts: Parts,
    address: Address,
    query: Query,
    arrived: Arrived<'_>,
) -> Result<S3Request, S3Error> {
    let Arrived {
        authenticated,
        frames,
        wire_bytes,
    } = arrived;
    if let Some(owner) = parts.headers.get(names::EXPECTED_BUCKET_OWNER)
        && owner.as_bytes() != services.account_id.as_bytes()
    {
        return Err(S3Error::from_code(S3Code::AccessDenied));
    }
    let Authenticated {
        caller,
        payload,
        chunk_seed,
    } = authenticated;
    let announced = parts
        .headers
        .get(names::TRAILER)
        .map(http::HeaderValue::as_bytes);
    let (framing, length) = match payload.chunk_mode() {
        Some(mode) => {
            let length = decoded_length(&parts)?;
            if mode != ChunkMode::Signed && announced.is_none() {
                return Err(S3Error::invalid_request(
                    "The x-amz-trailer header is missing.",
                ));
            }
            let decoder = ChunkDecoder::new(mode, length, chunk_seed, announced)
                .map_err(|error| chunk_error(&error))?;
            (Framing::chunked(decoder), Some(length))
        }
        None if announced.is_some() => {
            return Err(S3Error::invalid_request(
                "The x-amz-trailer header needs a streaming payload with a trailer.",
            ));
        }
        None => {
            let framing = match payload {
                PayloadMode::Sha256(declared) => Framing::hashed(declared),
                PayloadMode::Unsigned
                | PayloadMode::WholeBody
                | PayloadMode::SignedChunks
                | PayloadMode::SignedChunksTrailer
                | PayloadMode::UnsignedTrailer => Framing::Plain,
            };
            let chunked_transfer = parts.headers.contains_key(header::TRANSFER_ENCODING);
            let length = limits::content_length(&parts.headers)?;
            (framing, length.filter(|_| !chunked_transfer))
        }
    };
    Ok(S3Request {
        caller,
        bucket: address.bucket,
        object_key: address.object_key,
        query,
        headers: parts.headers,
        secure: exchange.secure,
        body: Some(RequestBody::new(
            frames,
            framing,
            length,
            Arc::clone(wire_bytes),
        )),
        services: Arc::clone(services),
    })
}

/// `x-amz-decoded-content-length`, which every aws-chunked body must declare.
fn decoded_length(parts: &Parts) -> Result<u64, S3Error> {
    let value = parts
        .headers
        .get(names::DECODED_CONTENT_LENGTH)
        .ok_or_else(|| S3Error::from_code(S3Code::MissingContentLength))?;
    parse_decoded_length(value.as_bytes()).ok_or_else(|| {
        S3Error::invalid_argument(
            "The x-amz-decoded-content-length header is not a number.",
            names::DECODED_CONTENT_LENGTH.as_str(),
            "",
        )
    })
}

// SPDX-License-Identifier: Apache-2.0
//! An S3 request, from its head to its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::request::Parts;
use http::{HeaderMap, Response, header};
use strongroom_audit::{Receipt, RequestFacts};
use strongroom_iam::{AuthMethod, Authenticated, Caller};
use strongroom_wire::chunked::parse_decoded_length;
use strongroom_wire::sigv4::PayloadMode;
use strongroom_wire::{ChunkDecoder, ChunkMode, ChunkSigner};

use super::finish::{Measured, finish_s3};
use super::form::{self, OpenedForm};
use super::{Address, ApiServices, Exchange, authenticate, hoist, limits};
use crate::audit::{self, Asked, Said};
use crate::body::{Frames, Framing, RequestBody, chunk_error};
use crate::error::{S3Code, S3Error};
use crate::query::Query;
use crate::response::{Answer, ResponseBody};
use crate::s3::form_fields::FormFields;
use crate::s3::{self, Operation, S3Request, names, operation::Route, policy_conditions};

/// Least size of a signed chunk that others follow, bytes, as in S3. Chunks without signatures may
/// be smaller: clients make them of whatever a stream gives them.
const SIGNED_CHUNK_BYTES_MIN: u64 = 8 * 1024;

/// Answers an S3 request.
pub(super) async fn answer(
    services: &Arc<ApiServices>,
    exchange: Exchange,
    parts: Parts,
    frames: Frames,
) -> Response<ResponseBody> {
    let head_request = parts.method == http::Method::HEAD;
    let mut pending = Pending {
        asked: Asked::new(&exchange.facts.host),
        receipt: None,
        host_id: exchange.host_id.clone(),
        wire_bytes: Arc::new(AtomicU64::new(0)),
    };
    let documents = frames.documents().clone();
    let result = run(services, &exchange, parts, frames, &mut pending).await;
    let result = result.and_then(|answer| answer.with_room(&documents));
    let bytes_in = pending.wire_bytes.load(Ordering::Relaxed);
    let event = match &result {
        Ok(answer) => pending.asked.succeeded(answer, bytes_in),
        Err(error) => pending.asked.failed(error, bytes_in),
    };
    let result = match pending.receipt.take() {
        None => Err(S3Error::internal("a request without a receipt")),
        Some(receipt) => match event.record(receipt, &exchange.host_id).await {
            Ok(()) => result,
            Err(error) => Err(audit::unrecorded(&pending.asked, result.is_ok(), error)),
        },
    };
    let measured = Measured {
        operation: pending.asked.operation_name(),
        bytes_in,
    };
    finish_s3(&exchange, &measured, &pending.asked, head_request, result)
}

/// A request whose event is still to be recorded.
///
/// A client that closes its connection has its handler dropped on the spot, perhaps after the
/// store took the change. What was asked for is recorded then too: hanging up hides nothing.
struct Pending {
    asked: Asked,
    receipt: Option<Receipt>,
    host_id: String,
    wire_bytes: Arc<AtomicU64>,
}

impl Drop for Pending {
    fn drop(&mut self) {
        let Some(receipt) = self.receipt.take() else {
            return;
        };
        let event = self.asked.aborted(self.wire_bytes.load(Ordering::Relaxed));
        let host_id = std::mem::take(&mut self.host_id);
        // Without a runtime the receipt records by itself that a request was aborted.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = event.record(receipt, &host_id).await {
                    tracing::error!(%error, "an aborted request could not be recorded");
                }
            });
        }
    }
}

/// Everything up to the handler's own result; a receipt is there in any case.
async fn run(
    services: &Arc<ApiServices>,
    exchange: &Exchange,
    mut parts: Parts,
    frames: Frames,
    pending: &mut Pending,
) -> Result<Answer, S3Error> {
    let Head {
        address,
        query,
        operation,
    } = match Head::read(services, &parts) {
        Ok(head) => head,
        Err(error) => return pending.refuse(services, exchange.facts.clone(), error),
    };
    pending.asked.head(
        &address,
        &query,
        &parts.headers,
        operation.as_ref().ok().copied(),
    );
    if matches!(operation, Ok(Operation::PostObject)) && form::is_announced(&parts.headers) {
        let names = (address, query);
        return Box::pin(run_form(services, exchange, &parts, frames, names, pending)).await;
    }
    let authenticated = match authenticate::authenticate(services, exchange, &parts, "s3", None) {
        Ok(authenticated) => authenticated,
        Err(refused) => return pending.refuse(services, refused.facts, refused.error),
    };
    let method = authenticated.caller.auth_method();
    pending.asked.authenticated(method);
    let facts = authenticated.caller.facts().clone();
    let receipt = pending.receipt.insert(services.audit.begin(facts));
    audit::can_be_recorded(&services.audit)?;
    let operation = operation?;
    if operation.read_only() {
        receipt.reads_only();
    }
    if method == AuthMethod::Query {
        hoist::hoist(&query, &mut parts.headers)?;
        pending
            .asked
            .head(&address, &query, &parts.headers, Some(operation));
    } else {
        hoist::refuse(&query, operation)?;
    }
    let Authenticated {
        caller,
        signature_age_ms,
        payload,
        chunk_seed,
    } = authenticated;
    check_owner(services, &parts.headers)?;
    let (framing, length) = framing(&parts.headers, payload, chunk_seed)?;
    let wire_bytes = Arc::clone(&pending.wire_bytes);
    let arrived = Arrived {
        caller,
        signature_age_ms,
        address,
        query,
        headers: parts.headers,
        form: None,
        body: RequestBody::new(frames, framing, length, wire_bytes),
    };
    let said = pending.asked.said();
    let mut request = request(services, exchange, operation, arrived, said);
    s3::handle(operation, &mut request, receipt)
        .await
        .map_err(|error| s3::compat::told(services.objects.compat(), error))
}

/// The same for a form, which has its credentials in its fields.
async fn run_form(
    services: &Arc<ApiServices>,
    exchange: &Exchange,
    parts: &Parts,
    frames: Frames,
    (address, query): (Address, Query),
    pending: &mut Pending,
) -> Result<Answer, S3Error> {
    let opened = form::open(parts, frames, &address, &pending.wire_bytes).await;
    let OpenedForm {
        fields,
        address,
        headers,
        body,
    } = match opened {
        Ok(opened) => opened,
        Err(error) => return pending.refuse(services, exchange.facts.clone(), error),
    };
    let operation = Operation::PostObject;
    pending
        .asked
        .head(&address, &query, &headers, Some(operation));
    let authenticated = match authenticate::authenticate_form(services, exchange, parts, &fields) {
        Ok(authenticated) => authenticated,
        Err(refused) => return pending.refuse(services, refused.facts, refused.error),
    };
    let Authenticated {
        caller,
        signature_age_ms,
        ..
    } = authenticated;
    pending.asked.authenticated(caller.auth_method());
    let facts = caller.facts().clone();
    let receipt = pending.receipt.insert(services.audit.begin(facts));
    audit::can_be_recorded(&services.audit)?;
    form::refuse_query(&query)?;
    check_owner(services, &headers)?;
    let arrived = Arrived {
        caller,
        signature_age_ms,
        address,
        query,
        headers,
        form: Some(fields),
        body,
    };
    let said = pending.asked.said();
    let mut request = request(services, exchange, operation, arrived, said);
    s3::handle(operation, &mut request, receipt)
        .await
        .map_err(|error| s3::compat::told(services.objects.compat(), error))
}

impl Pending {
    /// The receipt of a request without a caller.
    fn refuse(
        &mut self,
        services: &ApiServices,
        facts: RequestFacts,
        error: S3Error,
    ) -> Result<Answer, S3Error> {
        self.receipt = Some(services.audit.begin(facts));
        Err(error)
    }
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
            // In any case of letters, as a URL's parameters become headers.
            copy_source: parts.headers.contains_key(names::COPY_SOURCE)
                || query
                    .iter()
                    .any(|(name, _)| name.eq_ignore_ascii_case(names::COPY_SOURCE.as_str())),
        });
        Ok(Self {
            address,
            query,
            operation,
        })
    }
}

/// A request whose caller is known.
struct Arrived {
    caller: Caller,
    signature_age_ms: u64,
    address: Address,
    query: Query,
    headers: HeaderMap,
    form: Option<FormFields>,
    body: RequestBody,
}

fn request(
    services: &Arc<ApiServices>,
    exchange: &Exchange,
    operation: Operation,
    arrived: Arrived,
    said: Said,
) -> S3Request {
    let Arrived {
        caller,
        signature_age_ms,
        address,
        query,
        headers,
        form,
        body,
    } = arrived;
    let place = policy_conditions::Place {
        region: &services.region,
        account_id: &services.account_id,
    };
    let signature = policy_conditions::Signature {
        method: caller.auth_method(),
        age_ms: signature_age_ms,
    };
    let conditions = policy_conditions::of(
        caller.facts(),
        signature,
        &headers,
        &query,
        operation,
        place,
    );
    S3Request {
        caller: caller.with_conditions(conditions),
        bucket: address.bucket,
        object_key: address.object_key,
        query,
        headers,
        secure: exchange.secure,
        body: Some(body),
        form,
        said,
        services: Arc::clone(services),
    }
}

/// All buckets belong to one account.
fn check_owner(services: &ApiServices, headers: &HeaderMap) -> Result<(), S3Error> {
    match headers.get(names::EXPECTED_BUCKET_OWNER) {
        Some(owner) if owner.as_bytes() != services.account_id.as_bytes() => {
            Err(S3Error::from_code(S3Code::AccessDenied))
        }
        _ => Ok(()),
    }
}

/// How the body is framed, and its length where that is known.
fn framing(
    headers: &HeaderMap,
    payload: PayloadMode,
    chunk_seed: Option<ChunkSigner>,
) -> Result<(Framing, Option<u64>), S3Error> {
    let announced = headers.get(names::TRAILER).map(http::HeaderValue::as_bytes);
    match payload.chunk_mode() {
        Some(mode) => {
            let length = decoded_length(headers)?;
            if mode != ChunkMode::Signed && announced.is_none() {
                return Err(S3Error::invalid_request(
                    "The x-amz-trailer header is missing.",
                ));
            }
            let mut decoder = ChunkDecoder::new(mode, length, chunk_seed, announced)
                .map_err(|error| chunk_error(&error))?;
            if mode.is_signed() {
                decoder = decoder.with_least_chunk(SIGNED_CHUNK_BYTES_MIN);
            }
            Ok((Framing::chunked(decoder), Some(length)))
        }
        None if announced.is_some() => Err(S3Error::invalid_request(
            "The x-amz-trailer header needs a streaming payload with a trailer.",
        )),
        None => {
            let framing = match payload {
                PayloadMode::Sha256(declared) => Framing::hashed(declared),
                PayloadMode::Unsigned
                | PayloadMode::WholeBody
                | PayloadMode::SignedChunks
                | PayloadMode::SignedChunksTrailer
                | PayloadMode::UnsignedTrailer => Framing::Plain,
            };
            let chunked_transfer = headers.contains_key(header::TRANSFER_ENCODING);
            let length = limits::content_length(headers)?;
            Ok((framing, length.filter(|_| !chunked_transfer)))
        }
    }
}

/// `x-amz-decoded-content-length`, which every aws-chunked body must declare.
fn decoded_length(headers: &HeaderMap) -> Result<u64, S3Error> {
    let value = headers
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

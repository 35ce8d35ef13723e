// SPDX-License-Identifier: Apache-2.0
//! A request to the key service: its small body is read first, since the signature covers it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use http::request::Parts;
use http::{HeaderMap, Method, Response};
use strongroom_audit::{Category, Durability, EventDetail, EventError, EventSource, Receipt};
use strongroom_iam::Caller;
use strongroom_wire::sigv4::PayloadMode;
use zeroize::Zeroizing;

use super::finish::{Measured, finish_kms};
use super::{ApiServices, Exchange, authenticate, limits};
use crate::audit;
use crate::body::{Collected, Frames, Framing, RequestBody, Room};
use crate::error::{S3Code, S3Error};
use crate::kms;
use crate::response::{KmsAnswer, ResponseBody};

/// Longest JSON document.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// An authenticated request to the key service; its body was read and its signature verified.
pub(crate) struct KmsRequest {
    /// Who asks.
    pub(crate) caller: Caller,
    /// `TrentService.Encrypt`; empty where the header is missing.
    pub(crate) target: String,
    /// The document; may hold plaintext.
    pub(crate) body: Zeroizing<Vec<u8>>,
    /// All headers.
    pub(crate) headers: HeaderMap,
    /// Whether the request came over TLS.
    pub(crate) secure: bool,
    /// Rooms below.
    pub(crate) services: Arc<ApiServices>,
}

impl fmt::Debug for KmsRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KmsRequest")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// Answers a request to the key service.
///
/// Once its body is there, the request runs in a task of its own: a client that hangs up can
/// neither stop it half-way nor keep it out of the audit log.
pub(super) async fn answer(
    services: &Arc<ApiServices>,
    exchange: Exchange,
    parts: Parts,
    frames: Frames,
) -> Response<ResponseBody> {
    let wire_bytes = Arc::new(AtomicU64::new(0));
    let exchange = Arc::new(exchange);
    let named = kms::named(target(&parts));
    let answer = match read(&parts, frames, &wire_bytes).await {
        Err(error) => {
            let receipt = services.audit.begin(exchange.facts.clone());
            record(receipt, kms::refuse(named, &error)).await
        }
        Ok((body, room)) => {
            let (services, exchange) = (Arc::clone(services), Arc::clone(&exchange));
            let task = tokio::spawn(async move {
                let (answer, receipt) = admit(&services, &exchange, parts, body).await;
                drop(room);
                record(receipt, answer).await
            });
            task.await
                .unwrap_or_else(|error| kms::refuse(named, &S3Error::internal(error)))
        }
    };
    let measured = Measured {
        operation: answer.operation,
        bytes_in: wire_bytes.load(Ordering::Relaxed),
    };
    finish_kms(&exchange, &measured, answer)
}

async fn admit(
    services: &Arc<ApiServices>,
    exchange: &Exchange,
    parts: Parts,
    body: Zeroizing<Vec<u8>>,
) -> (KmsAnswer, Receipt) {
    let named = kms::named(target(&parts));
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(digest(&SHA256, &body).as_ref());
    match authenticate::authenticate(services, exchange, &parts, "kms", Some(sha256)) {
        Err(refused) => {
            let receipt = services.audit.begin(refused.facts);
            (kms::refuse(named, &refused.error), receipt)
        }
        Ok(authenticated) => {
            let receipt = services.audit.begin(authenticated.caller.facts().clone());
            if let Err(error) = audit::can_be_recorded(&services.audit) {
                return (kms::refuse(named, &error), receipt);
            }
            if !covers_body(authenticated.payload) {
                let error = S3Error::from_code(S3Code::SignatureDoesNotMatch);
                return (kms::refuse(named, &error), receipt);
            }
            let request = KmsRequest {
                caller: authenticated.caller,
                target: target(&parts).unwrap_or_default().to_owned(),
                body,
                headers: parts.headers,
                secure: exchange.secure,
                services: Arc::clone(services),
            };
            (kms::handle(request, &receipt).await, receipt)
        }
    }
}

/// What a request asks for. Every operation is a POST of the root; anything else names none.
fn target(parts: &Parts) -> Option<&str> {
    let asks = parts.method == Method::POST && parts.uri.path() == "/";
    let target = parts.headers.get("x-amz-target").filter(|_| asks)?;
    target.to_str().ok()
}

/// Whether the signature is over the document too. S3 lets a client sign the head alone; here the
/// document is the request, and a head without it would serve for any other.
fn covers_body(payload: PayloadMode) -> bool {
    match payload {
        PayloadMode::Sha256(_) | PayloadMode::WholeBody => true,
        PayloadMode::Unsigned
        | PayloadMode::SignedChunks
        | PayloadMode::SignedChunksTrailer
        | PayloadMode::UnsignedTrailer => false,
    }
}

async fn read(
    parts: &Parts,
    frames: Frames,
    wire_bytes: &Arc<AtomicU64>,
) -> Result<(Zeroizing<Vec<u8>>, Room), S3Error> {
    limits::check(&parts.headers)?;
    let length = limits::content_length(&parts.headers)?;
    let body = RequestBody::new(frames, Framing::Plain, length, Arc::clone(wire_bytes));
    let Collected { bytes, room, .. } = body.collect(BODY_BYTES_MAX).await?;
    let document = Zeroizing::new(bytes.to_vec());
    // The collected copy is wiped too; the connection's read buffer is the HTTP library's.
    if let Ok(mut buffer) = bytes.try_into_mut() {
        zeroize::Zeroize::zeroize(&mut *buffer);
    }
    Ok((document, room))
}

/// Ends the receipt: what the key service did not record itself is recorded here, durably.
async fn record(receipt: Receipt, answer: KmsAnswer) -> KmsAnswer {
    if answer.recorded {
        receipt.finish_recorded();
        return answer;
    }
    let mut detail = EventDetail::new(
        EventSource::Kms,
        answer.operation,
        Category::Management,
        true,
    );
    detail.error = answer.fault.as_ref().map(|(code, message)| EventError {
        code: code.clone(),
        message: message.clone(),
    });
    match receipt.finish(detail, Durability::Durable).await {
        Ok(_) => answer,
        Err(error) => kms::refuse(answer.operation, &S3Error::unavailable(error)),
    }
}

/// The header with the request id, as JSON services name it.
pub(super) const REQUEST_ID: http::HeaderName = http::HeaderName::from_static("x-amzn-requestid");

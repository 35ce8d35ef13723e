// SPDX-License-Identifier: Apache-2.0
//! Answers: the body type of every response, and what a handler hands back to the edge.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use serde_json::{Map, Value};
use strongroom_object::ObjectBody;

use crate::body::Documents;
use crate::error::S3Error;

/// What an S3 handler hands back.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Status, headers and body; the edge adds what every answer carries.
    pub(crate) response: Response<ResponseBody>,
    /// What the audit event says beyond the request itself.
    pub(crate) audit: AuditFacts,
}

impl Answer {
    /// An answer without a body.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self::new(status, ResponseBody::empty())
    }

    /// 200 with an XML document.
    pub(crate) fn xml(document: impl Into<Bytes>) -> Self {
        let mut answer = Self::new(StatusCode::OK, ResponseBody::full(document.into()));
        answer.set(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/xml"),
        );
        answer
    }

    /// The same, holding room for its document, if that is long; 503 SlowDown without room.
    pub(crate) fn with_room(mut self, documents: &Documents) -> Result<Self, S3Error> {
        if let Inner::Full(Some(document)) = &mut self.response.body_mut().0 {
            *document = documents.for_answer(std::mem::take(document))?;
        }
        Ok(self)
    }

    /// An answer with a body.
    pub(crate) fn new(status: StatusCode, body: ResponseBody) -> Self {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        Self {
            response,
            audit: AuditFacts::default(),
        }
    }

    /// Sets a header.
    pub(crate) fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.response.headers_mut().insert(name, value);
    }

    /// Sets a header from text; text that no header can hold is left out.
    pub(crate) fn set_text(&mut self, name: HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            self.response.headers_mut().insert(name, value);
        }
    }
}

/// What a handler adds to the audit event of its request. Everything the request said (bucket,
/// object key, headers and parameters that hold no secret) and every `x-amz-*` header of the
/// answer is added by the edge.
#[derive(Debug, Default)]
pub(crate) struct AuditFacts {
    /// `SSEApplied` of a write: `Default_SSE_S3`, `SSE_S3`, `SSE_KMS`, `SSE_C`.
    pub(crate) sse_applied: Option<&'static str>,
    /// Further `requestParameters`.
    pub(crate) parameters: Map<String, Value>,
    /// Further `responseElements` (not for reads).
    pub(crate) response: Map<String, Value>,
    /// Further `additionalEventData`.
    pub(crate) additional: Map<String, Value>,
}

const PIECE_BYTES_MAX: usize = 64 * 1024;

/// The body of an answer.
pub struct ResponseBody(Inner);

enum Inner {
    Full(Option<Bytes>),
    Object { body: ObjectBody, left: u64 },
}

impl ResponseBody {
    /// No body.
    pub fn empty() -> Self {
        Self(Inner::Full(None))
    }

    /// A body that is there already.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self(Inner::Full((!bytes.is_empty()).then_some(bytes)))
    }

    /// The opened bytes of an object, exactly `len` of them.
    pub(crate) fn object(body: ObjectBody, len: u64) -> Self {
        Self(Inner::Object { body, left: len })
    }

    /// Number of bytes still to come.
    pub(crate) fn len(&self) -> u64 {
        match &self.0 {
            Inner::Full(bytes) => bytes
                .as_ref()
                .map_or(0, |b| u64::try_from(b.len()).unwrap_or(u64::MAX)),
            Inner::Object { left, .. } => *left,
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResponseBody({} bytes)", self.len())
    }
}

/// The bytes of an object could not be read or opened; the connection is aborted.
#[derive(Debug, thiserror::Error)]
#[error("the object's bytes could not be served")]
pub struct ResponseError;

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = ResponseError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ResponseError>>> {
        match &mut self.0 {
            // In pieces: whoever sends it has no more of it in buffers of his own than one.
            Inner::Full(Some(bytes)) if bytes.len() > PIECE_BYTES_MAX => {
                Poll::Ready(Some(Ok(Frame::data(bytes.split_to(PIECE_BYTES_MAX)))))
            }
            Inner::Full(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Inner::Object { left: 0, .. } => Poll::Ready(None),
            Inner::Object { body, left } => match Pin::new(body).poll_next(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Some(Ok(bytes))) => {
                    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    let Some(rest) = left.checked_sub(size) else {
                        tracing::error!("an object's body is longer than announced");
                        return Poll::Ready(Some(Err(ResponseError)));
                    };
                    *left = rest;
                    Poll::Ready(Some(Ok(Frame::data(bytes))))
                }
                Poll::Ready(Some(Err(error))) => {
                    tracing::error!(%error, "an object's bytes could not be served");
                    metrics::counter!("strongroom_response_aborted_total").increment(1);
                    Poll::Ready(Some(Err(ResponseError)))
                }
                // An early end would look like success to nobody: Content-Length says otherwise.
                Poll::Ready(None) => {
                    tracing::error!("an object's body is shorter than announced");
                    Poll::Ready(Some(Err(ResponseError)))
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.len() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len())
    }
}

/// What the key service's adapter hands back.
#[derive(Debug)]
pub(crate) struct KmsAnswer {
    /// Status, headers and body; the edge adds the request id.
    pub(crate) response: Response<ResponseBody>,
    /// The operation, for metrics and audit: `Encrypt`; `Unknown` where there is none.
    pub(crate) operation: &'static str,
    /// Type and message of the fault, if it is one.
    pub(crate) fault: Option<(String, String)>,
    /// Whether the key service recorded the audit event already (it does for every operation it
    /// was asked for, refused or not). The edge records the rest.
    pub(crate) recorded: bool,
}

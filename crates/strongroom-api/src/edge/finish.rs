// SPDX-License-Identifier: Apache-2.0
//! The last steps of every answer: error documents, the headers all answers carry, metrics, log.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::Exchange;
use super::kms::REQUEST_ID as KMS_REQUEST_ID;
use crate::audit::Asked;
use crate::error::S3Error;
use crate::response::{Answer, KmsAnswer, ResponseBody};
use crate::s3::names;

/// What metrics want to know.
pub(super) struct Measured {
    pub(super) operation: &'static str,
    pub(super) bytes_in: u64,
}

/// The answer of an S3 request.
pub(super) fn finish_s3(
    exchange: &Exchange,
    measured: &Measured,
    asked: &Asked,
    head_request: bool,
    result: Result<Answer, S3Error>,
) -> Response<ResponseBody> {
    let mut response = match result {
        Ok(answer) => answer.response,
        Err(error) => {
            log_error(exchange, measured, &error);
            error_response(exchange, asked, head_request, error)
        }
    };
    let headers = response.headers_mut();
    set(headers, names::REQUEST_ID, &exchange.facts.request_id);
    set(headers, names::HOST_ID, &exchange.host_id);
    common(headers);
    measure(exchange, measured, "s3", &response);
    response
}

/// The answer of a request to the key service.
pub(super) fn finish_kms(
    exchange: &Exchange,
    measured: &Measured,
    answer: KmsAnswer,
) -> Response<ResponseBody> {
    let mut response = answer.response;
    let headers = response.headers_mut();
    set(headers, KMS_REQUEST_ID, &exchange.facts.request_id);
    common(headers);
    measure(exchange, measured, "kms", &response);
    response
}

/// Without randomness there is no request id, no receipt and no work.
pub(super) fn no_randomness() -> Response<ResponseBody> {
    tracing::error!("the system's random number generator failed");
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

fn common(headers: &mut HeaderMap) {
    headers.insert(header::SERVER, HeaderValue::from_static("Strongroom"));
}

fn set(headers: &mut HeaderMap, name: http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn log_error(exchange: &Exchange, measured: &Measured, error: &S3Error) {
    let request_id = exchange.facts.request_id.as_str();
    let code = error.code.as_str();
    let operation = measured.operation;
    if error.status().is_server_error() && error.status() != StatusCode::NOT_IMPLEMENTED {
        let cause = error.internal.as_deref().unwrap_or_default();
        tracing::error!(request_id, operation, code, cause, "a request failed");
    } else {
        tracing::debug!(request_id, operation, code, "a request was refused");
    }
}

fn error_response(
    exchange: &Exchange,
    asked: &Asked,
    head_request: bool,
    error: S3Error,
) -> Response<ResponseBody> {
    let status = error.status();
    let bodyless = head_request || status == StatusCode::NOT_MODIFIED;
    let body = if bodyless {
        ResponseBody::empty()
    } else {
        ResponseBody::full(error_document(
            exchange,
            asked.resource().as_deref(),
            &error,
        ))
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if !bodyless {
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/xml"),
        );
    }
    for (name, value) in error.headers {
        headers.insert(name, value);
    }
    response
}

/// S3's error document. It is in no namespace, which SDKs rely on.
fn error_document(exchange: &Exchange, resource: Option<&str>, error: &S3Error) -> String {
    let mut out = String::with_capacity(512);
    out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
    element(&mut out, "Code", error.code.as_str());
    element(&mut out, "Message", &error.message);
    for (name, value) in &error.elements {
        element(&mut out, name, value);
    }
    if let Some(resource) = resource {
        element(&mut out, "Resource", resource);
    }
    element(&mut out, "RequestId", &exchange.facts.request_id);
    element(&mut out, "HostId", &exchange.host_id);
    out.push_str("</Error>");
    out
}

/// Element names are ours; text is anyone's: markup is escaped and what XML 1.0 cannot hold is
/// replaced, so that every parser reads the document.
fn element(out: &mut String, name: &str, text: &str) {
    let _ = write!(out, "<{name}>");
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    let _ = write!(out, "</{name}>");
}

fn measure(
    exchange: &Exchange,
    measured: &Measured,
    service: &'static str,
    response: &Response<ResponseBody>,
) {
    let elapsed = exchange.started.elapsed();
    let operation = measured.operation;
    let status = response.status();
    metrics::counter!(
        "strongroom_requests_total",
        "service" => service, "operation" => operation, "status" => status.as_str().to_owned()
    )
    .increment(1);
    metrics::histogram!(
        "strongroom_request_seconds", "service" => service, "operation" => operation
    )
    .record(elapsed.as_secs_f64());
    metrics::counter!("strongroom_received_bytes_total", "service" => service)
        .increment(measured.bytes_in);
    metrics::counter!("strongroom_sent_bytes_total", "service" => service)
        .increment(response.body().len());
    tracing::debug!(
        request_id = exchange.facts.request_id.as_str(),
        operation,
        status = status.as_u16(),
        seconds = elapsed.as_secs_f64(),
        "answered"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_documents_survive_any_text() {
        let mut out = String::new();
        element(&mut out, "Key", "<a>&\"b\"\0\r\n\u{1b}\u{fffe}");
        assert_eq!(
            out,
            "<Key>&lt;a&gt;&amp;&quot;b&quot;\u{fffd}\u{fffd}\n\u{fffd}\u{fffd}</Key>"
        );
    }
}

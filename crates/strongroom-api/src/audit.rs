// SPDX-License-Identifier: Apache-2.0
//! The audit event of an S3 request, in CloudTrail's words.
//!
//! What is recorded of headers and parameters is a list of what may be, never of what may not: a
//! customer key has no way into it.

use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use serde_json::{Map, Value, json};
use strongroom_audit::{
    Audit, Durability, Error as AuditError, EventDetail, EventError, EventSource, Receipt, Resource,
};
use strongroom_iam::AuthMethod;

use crate::edge::Address;
use crate::error::{S3Code, S3Error};
use crate::query::Query;
use crate::response::{Answer, AuditFacts};
use crate::s3::{Operation, copy_source, names, recorded_headers};

/// Query parameters that may be recorded; all others are credentials or unknown.
const REQUEST_PARAMETERS: [&str; 34] = [
    "attributes",
    "continuation-token",
    "delete",
    "delimiter",
    "encoding-type",
    "encryption",
    "fetch-owner",
    "key-marker",
    "lifecycle",
    "list-type",
    "location",
    "marker",
    "max-buckets",
    "max-keys",
    "max-parts",
    "max-uploads",
    "part-number-marker",
    "partNumber",
    "prefix",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "restore",
    "start-after",
    "upload-id-marker",
    "uploadId",
    "uploads",
    "version-id-marker",
    "versionId",
    "versioning",
    "versions",
    "response-expires",
];

/// Answer headers that tell what a write did.
const RESPONSE_HEADERS: [&str; 9] = [
    "x-amz-delete-marker",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-context",
    "x-amz-server-side-encryption-bucket-key-enabled",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-server-side-encryption-customer-key-md5",
    "x-amz-version-id",
    "x-amz-copy-source-version-id",
];

/// What the document of a request asked for. The handler that reads it says so at once: the event
/// tells it whatever becomes of the request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said(Arc<Mutex<Map<String, Value>>>);

impl Said {
    /// One more of `requestParameters`.
    pub(crate) fn insert(&self, name: &str, value: Value) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.insert(name.to_owned(), value);
    }

    fn take(&self) -> Map<String, Value> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a request asked for, as far as it is known yet.
#[derive(Debug)]
pub(crate) struct Asked {
    said: Said,
    parameters: Map<String, Value>,
    additional: Map<String, Value>,
    resources: Vec<Resource>,
    operation: Option<Operation>,
    resource: Option<String>,
}

impl Asked {
    /// Nothing but the host is known.
    pub(crate) fn new(host: &str) -> Self {
        let mut parameters = Map::new();
        parameters.insert("Host".to_owned(), host.into());
        Self {
            said: Said::default(),
            parameters,
            additional: Map::new(),
            resources: Vec::new(),
            operation: None,
            resource: None,
        }
    }

    /// The head of the request was read.
    pub(crate) fn head(
        &mut self,
        address: &Address,
        query: &Query,
        headers: &HeaderMap,
        operation: Option<Operation>,
    ) {
        self.operation = operation;
        self.resources.clear();
        let bucket = address.bucket.as_deref();
        if let Some(bucket) = bucket {
            self.parameters
                .insert("bucketName".to_owned(), bucket.into());
        }
        if let (Some(bucket), Some(object_key)) = (bucket, address.object_key.as_deref()) {
            self.parameters.insert("key".to_owned(), object_key.into());
            self.resources.push(object_resource(format!(
                "arn:aws:s3:::{bucket}/{object_key}"
            )));
        }
        if let Some(bucket) = bucket {
            let arn = format!("arn:aws:s3:::{bucket}");
            self.resources.push(Resource {
                type_name: "AWS::S3::Bucket",
                arn,
            });
            self.resource = Some(match address.object_key.as_deref() {
                Some(object_key) => format!("/{bucket}/{object_key}"),
                None => format!("/{bucket}"),
            });
        }
        for name in operation.into_iter().flat_map(recorded_headers::of) {
            if let Some(value) = headers.get(name) {
                let value = String::from_utf8_lossy(value.as_bytes());
                let shown = recorded_headers::shown(name, value).into_owned();
                self.parameters.insert(name.to_owned(), shown.into());
            }
        }
        for (name, value) in query
            .iter()
            .filter(|(name, _)| REQUEST_PARAMETERS.contains(name))
        {
            self.parameters.insert(name.to_owned(), value.into());
        }
        self.source(query, headers);
    }

    /// What a copy reads is touched, whatever becomes of the copy.
    fn source(&mut self, query: &Query, headers: &HeaderMap) {
        let is_copy = matches!(
            self.operation,
            Some(Operation::CopyObject | Operation::UploadPartCopy)
        );
        if !is_copy {
            return;
        }
        let name = names::COPY_SOURCE;
        let name = name.as_str();
        // A URL may have it as a parameter, which is a header once its signature is known to hold.
        let mut of_url = query.iter().filter(|(of, _)| of.eq_ignore_ascii_case(name));
        let text = match headers.get(name) {
            Some(value) => String::from_utf8_lossy(value.as_bytes()).into_owned(),
            None => of_url.next().map_or("", |(_, value)| value).to_owned(),
        };
        if let Some(source) = copy_source::parse(&text) {
            self.resources.push(object_resource(format!(
                "arn:aws:s3:::{}/{}",
                source.bucket, source.object_key
            )));
        }
        self.parameters.insert(name.to_owned(), text.into());
    }

    /// The signature verified.
    pub(crate) fn authenticated(&mut self, method: AuthMethod) {
        let method = match method {
            AuthMethod::Header => "AuthHeader",
            AuthMethod::Query => "QueryString",
            AuthMethod::Form => "PostPolicy",
        };
        self.additional
            .insert("SignatureVersion".to_owned(), "SigV4".into());
        self.additional
            .insert("AuthenticationMethod".to_owned(), method.into());
    }

    /// Where the handler puts what a document says.
    pub(crate) fn said(&self) -> Said {
        self.said.clone()
    }

    /// The operation's name for events and metrics.
    pub(crate) fn operation_name(&self) -> &'static str {
        self.operation.map_or("Unrecognized", Operation::name)
    }

    /// `/bucket/object key` for error documents.
    pub(crate) fn resource(&self) -> Option<String> {
        self.resource.clone()
    }

    fn read_only(&self) -> bool {
        self.operation.is_none_or(Operation::read_only)
    }

    /// The event of a request that was carried out. What was asked moves into it, so there is
    /// one event.
    pub(crate) fn succeeded(&mut self, answer: &Answer, bytes_in: u64) -> Event {
        let bytes_out = answer.response.body().len();
        let mut event = self.event(Some(&answer.audit), bytes_in, bytes_out);
        if !self.read_only() {
            let mut elements = answer.audit.response.clone();
            for name in RESPONSE_HEADERS {
                if let Some(value) = answer.response.headers().get(name) {
                    let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
                    elements.insert(name.to_owned(), text.into());
                }
            }
            if !elements.is_empty() {
                event.detail.response_elements = Value::Object(elements);
            }
        }
        if !self.read_only() {
            event.durability = Durability::Durable;
        }
        event
    }

    /// The event of a request that was refused or failed.
    pub(crate) fn failed(&mut self, error: &S3Error, bytes_in: u64) -> Event {
        let mut event = self.event(None, bytes_in, 0);
        if error.code == S3Code::NotModified {
            return event;
        }
        event.detail.error = Some(EventError {
            code: error.code.as_str().to_owned(),
            message: error.recorded().to_owned(),
        });
        // A read that found nothing is a plain read; a refusal is on the drive before the answer.
        let plain_read = self.operation.is_some()
            && self.read_only()
            && matches!(error.status().as_u16(), 404 | 412 | 416);
        if !plain_read {
            event.durability = Durability::Durable;
        }
        event
    }

    /// The event of a request whose client went away before it was answered.
    pub(crate) fn aborted(&mut self, bytes_in: u64) -> Event {
        let mut event = self.event(None, bytes_in, 0);
        event.detail.error = Some(EventError {
            code: "RequestAborted".to_owned(),
            message: "the client went away before the answer; what it asked for may have been \
                      carried out"
                .to_owned(),
        });
        if !self.read_only() {
            event.durability = Durability::Durable;
        }
        event
    }

    fn event(&mut self, facts: Option<&AuditFacts>, bytes_in: u64, bytes_out: u64) -> Event {
        let category = self
            .operation
            .map_or(strongroom_audit::Category::Management, Operation::category);
        let mut detail = EventDetail::new(
            EventSource::S3,
            self.operation_name(),
            category,
            self.read_only(),
        );
        let mut parameters = std::mem::take(&mut self.parameters);
        parameters.extend(self.said.take());
        let mut additional = std::mem::take(&mut self.additional);
        additional.insert("bytesTransferredIn".to_owned(), json!(bytes_in));
        additional.insert("bytesTransferredOut".to_owned(), json!(bytes_out));
        detail.resources = std::mem::take(&mut self.resources);
        if let Some(facts) = facts {
            parameters.extend(facts.parameters.clone());
            additional.extend(facts.additional.clone());
            if let Some(applied) = facts.sse_applied {
                additional.insert("SSEApplied".to_owned(), applied.into());
            }
        }
        detail.request_parameters = Value::Object(parameters);
        detail.additional = Value::Object(additional);
        Event {
            detail,
            durability: Durability::Buffered,
        }
    }
}

fn object_resource(arn: String) -> Resource {
    Resource {
        type_name: "AWS::S3::Object",
        arn,
    }
}

/// An event ready to be recorded.
#[derive(Debug)]
pub(crate) struct Event {
    detail: EventDetail,
    durability: Durability,
}

impl Event {
    /// Ends the receipt with this event.
    pub(crate) async fn record(
        mut self,
        receipt: Receipt,
        host_id: &str,
    ) -> Result<(), AuditError> {
        if let Value::Object(additional) = &mut self.detail.additional {
            additional.insert("x-amz-id-2".to_owned(), host_id.into());
            if let Some(tls) = &receipt.facts().tls {
                additional.insert("CipherSuite".to_owned(), tls.cipher_suite.clone().into());
            }
        }
        receipt
            .finish(self.detail, self.durability)
            .await
            .map(|_| ())
    }
}

/// Refuses when the audit log takes no records any more: what could not be recorded must not
/// happen.
pub(crate) fn can_be_recorded(audit: &Audit) -> Result<(), S3Error> {
    if audit.is_in_service() {
        return Ok(());
    }
    Err(S3Error::unavailable(AuditError::OutOfService))
}

/// The answer where the event could not be recorded: nobody is told of success. A mutation that
/// was carried out already answers 500, anything else 503.
pub(crate) fn unrecorded(asked: &Asked, carried_out: bool, error: AuditError) -> S3Error {
    if carried_out && !asked.read_only() {
        S3Error::internal(format!("carried out and not recorded: {error}"))
    } else {
        S3Error::unavailable(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn no_recorded_name_can_hold_a_key() {
        let operations = [
            Operation::CopyObject,
            Operation::GetObject,
            Operation::GetObjectAttributes,
            Operation::ListParts,
            Operation::UploadPartCopy,
            Operation::UpdateObjectEncryption,
        ];
        let asked = operations.into_iter().flat_map(recorded_headers::of);
        for name in asked.chain(RESPONSE_HEADERS) {
            assert!(!name.ends_with("customer-key"), "{name}");
            assert!(!name.contains("authorization") && !name.contains("security-token"));
        }
        for name in REQUEST_PARAMETERS {
            assert!(!name.to_ascii_lowercase().starts_with("x-amz-"), "{name}");
        }
    }

    #[test]
    fn events_name_what_was_asked_and_hide_the_key() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
            ("x-amz-server-side-encryption-customer-key", "PLANTED-KEY"),
            ("x-amz-server-side-encryption-customer-key-md5", "md5"),
            ("authorization", "PLANTED-AUTH"),
            ("x-amz-meta-a", "PLANTED-META"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let address = Address {
            bucket: Some("b".to_owned()),
            object_key: Some("k".to_owned()),
        };
        let query = Query::parse("versionId=null&X-Amz-Signature=PLANTED-SIGNATURE").unwrap();
        let mut asked = Asked::new("h");
        asked.head(&address, &query, &headers, Some(Operation::PutObject));
        let event = asked.failed(&S3Error::from_code(S3Code::AccessDenied), 3);
        assert_eq!(event.durability, Durability::Durable);
        assert_eq!(event.detail.request_parameters["bucketName"], "b");
        assert_eq!(event.detail.request_parameters["versionId"], "null");
        assert_eq!(
            event.detail.request_parameters["x-amz-server-side-encryption-customer-key-md5"],
            "md5"
        );
        assert_eq!(event.detail.resources[0].arn, "arn:aws:s3:::b/k");
        assert_eq!(event.detail.additional["bytesTransferredIn"], 3);
        assert!(!format!("{event:?}").contains("PLANTED"));
    }

    #[test]
    fn refusals_are_durable_and_plain_reads_are_not() {
        let mut asked = Asked::new("h");
        let address = Address {
            bucket: Some("b".to_owned()),
            object_key: None,
        };
        let none = (Query::default(), HeaderMap::new());
        asked.head(&address, &none.0, &none.1, Some(Operation::HeadBucket));
        let durability =
            |asked: &mut Asked, code| asked.failed(&S3Error::from_code(code), 0).durability;
        assert_eq!(
            durability(&mut asked, S3Code::NoSuchBucket),
            Durability::Buffered
        );
        assert_eq!(
            durability(&mut asked, S3Code::NotModified),
            Durability::Buffered
        );
        assert_eq!(
            durability(&mut asked, S3Code::AccessDenied),
            Durability::Durable
        );
        assert_eq!(
            durability(&mut asked, S3Code::SignatureDoesNotMatch),
            Durability::Durable
        );
        asked.head(&address, &none.0, &none.1, Some(Operation::DeleteBucket));
        assert_eq!(
            durability(&mut asked, S3Code::NoSuchBucket),
            Durability::Durable
        );
        asked.head(&address, &none.0, &none.1, None);
        assert_eq!(
            durability(&mut asked, S3Code::NoSuchBucket),
            Durability::Durable
        );
    }
}

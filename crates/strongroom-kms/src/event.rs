// SPDX-License-Identifier: Apache-2.0
//! The audit event of an operation: begun with what was asked, closed with how it ended.
//!
//! Neither plaintext nor ciphertext ever enters it.

use serde_json::{Map, Value, json};
use strongroom_audit::{
    Category, Durability, EventDetail, EventError, EventSource, Receipt, Resource,
};
use strongroom_format::EncryptionContext;

use crate::authorize::Via;
use crate::error::Error;
use crate::key_id::{KeyUid, Place};
use crate::last_use::{self, LastUse};
use crate::service::Kms;

/// If it is dropped before it is closed (the client went away in the middle of a change), it is
/// recorded with an unknown outcome.
pub(crate) struct Event<'a> {
    receipt: &'a Receipt,
    detail: EventDetail,
    additional: Map<String, Value>,
    via: Via,
    /// Whether the result outlives the request.
    outlives: bool,
    /// Keys that a success is a use of, and where that is noted.
    used: Option<(Kms, Vec<KeyUid>)>,
    closed: bool,
}

impl<'a> Event<'a> {
    /// `parameters` is a JSON object.
    pub(crate) fn new(
        receipt: &'a Receipt,
        name: &'static str,
        read_only: bool,
        parameters: Value,
    ) -> Event<'a> {
        let mut detail = EventDetail::new(EventSource::Kms, name, Category::Management, read_only);
        detail.request_parameters = parameters;
        Event {
            receipt,
            detail,
            additional: Map::new(),
            via: Via::Wire,
            outlives: false,
            used: None,
            closed: false,
        }
    }

    /// Marks the event as S3's, for the caller of S3.
    pub(crate) fn via_s3(mut self, place: &Place) -> Event<'a> {
        self.via = Via::S3;
        let service = format!("s3.{}.amazonaws.com", place.region);
        self.additional
            .insert("kms:ViaService".to_owned(), Value::String(service));
        self
    }

    /// The result serves further requests, which do not wait for the end of this one.
    pub(crate) fn for_many_requests(mut self) -> Event<'a> {
        self.outlives = true;
        self
    }

    /// A success of the operation is a use of this key.
    pub(crate) fn uses(&mut self, kms: &Kms, uid: KeyUid) {
        if last_use::counts(self.detail.event_name) {
            let (_, uids) = self.used.get_or_insert_with(|| (kms.clone(), Vec::new()));
            uids.push(uid);
        }
    }

    pub(crate) fn via(&self) -> Via {
        self.via
    }

    /// Adds a request parameter.
    pub(crate) fn parameter(&mut self, name: &str, value: Value) {
        if let Value::Object(parameters) = &mut self.detail.request_parameters {
            parameters.insert(name.to_owned(), value);
        }
    }

    /// Adds the encryption context, if there is one.
    pub(crate) fn context(&mut self, context: &EncryptionContext) {
        self.context_as("encryptionContext", context);
    }

    /// Adds one of several encryption contexts.
    pub(crate) fn context_as(&mut self, name: &str, context: &EncryptionContext) {
        if !context.is_empty() {
            let pairs = context
                .iter()
                .map(|(name, value)| (name.to_owned(), json!(value)));
            self.parameter(name, Value::Object(pairs.collect()));
        }
    }

    /// Names a key that the operation is about.
    pub(crate) fn touches(&mut self, arn: &str) {
        self.detail.resources.push(Resource {
            type_name: "AWS::KMS::Key",
            arn: arn.to_owned(),
        });
    }

    /// Lets go of the keys that were named, for an operation that asks everything again.
    pub(crate) fn start_over(&mut self) {
        self.detail.resources.clear();
        self.used = None;
    }

    /// Names an alias that the operation is about.
    pub(crate) fn touches_alias(&mut self, arn: &str) {
        self.detail.resources.push(Resource {
            type_name: "AWS::KMS::Alias",
            arn: arn.to_owned(),
        });
    }

    /// Adds a fact that is no parameter of a request.
    pub(crate) fn detail(&mut self, name: &str, value: Value) {
        self.additional.insert(name.to_owned(), value);
    }

    pub(crate) fn material_id(&mut self, id: &str) {
        self.additional("keyMaterialId", json!(id));
    }

    /// Adds what is known about the event besides request and answer.
    pub(crate) fn additional(&mut self, name: &str, value: Value) {
        self.additional.insert(name.to_owned(), value);
    }

    pub(crate) fn response(&mut self, elements: Value) {
        self.detail.response_elements = elements;
    }

    /// Records the event, durably before anybody is answered, and passes the result on. An operation whose event cannot be
    /// recorded gives nothing back.
    pub(crate) async fn close<T>(mut self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &result {
            self.fails(EventError {
                // CloudTrail's word for it is not the exception's name.
                code: match error {
                    Error::AccessDenied { .. } => "AccessDenied",
                    other => other.code(),
                }
                .to_owned(),
                message: if error.is_internal() {
                    "internal error".to_owned()
                } else {
                    error.to_string()
                },
            });
        }
        let (receipt, via, outlives) = (self.receipt, self.via, self.outlives);
        let used = self.used.take().filter(|_| result.is_ok());
        let detail = self.finished();
        drop(self);
        let operation = detail.event_name;
        let event_id = match via {
            Via::Wire => receipt.record(detail, Durability::Durable).await?,
            Via::S3 if outlives => {
                let durable = Durability::Durable;
                receipt.record_internal(detail, durable).await?
            }
            // What S3 gets stays in this process until this event is durable: S3 answers when the
            // receipt is finished.
            Via::S3 => receipt.record_internal_before_answer(detail).await?,
        };
        if let Some((kms, uids)) = used {
            for uid in uids {
                let last = LastUse {
                    operation: operation.to_owned(),
                    at_ms: kms.now_ms(),
                    event_id: event_id.to_string(),
                    request_id: receipt.facts().request_id.clone(),
                };
                kms.note_use(uid, last).await;
            }
        }
        result
    }

    /// Lets go of an event of something that did not happen, for another did it first.
    pub(crate) fn discard(mut self) {
        self.closed = true;
    }

    fn fails(&mut self, error: EventError) {
        self.detail.response_elements = Value::Null;
        self.detail.error = Some(error);
    }

    fn finished(&mut self) -> EventDetail {
        self.closed = true;
        let nothing = EventDetail::new(
            self.detail.event_source,
            self.detail.event_name,
            self.detail.category,
            self.detail.read_only,
        );
        let mut detail = std::mem::replace(&mut self.detail, nothing);
        if !self.additional.is_empty() {
            detail.additional = Value::Object(std::mem::take(&mut self.additional));
        }
        detail
    }
}

impl Drop for Event<'_> {
    fn drop(&mut self) {
        if self.closed {
            return;
        }
        self.fails(EventError {
            code: "RequestAborted".to_owned(),
            message: "the request ended before its outcome was known".to_owned(),
        });
        let detail = self.finished();
        self.receipt.record_unheard(&detail, self.via == Via::S3);
    }
}

/// A key identifier as it was asked for. What no key can be called is cut where it is recorded, and
/// said to be.
pub(crate) fn asked(key_id: &str) -> Value {
    json!(key_id)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use strongroom_audit::{Audit, AuditOptions, RequestFacts, UserIdentity};
    use strongroom_store::drive::Folder;
    use strongroom_testkit::{SimClock, SimDrive};

    use super::*;

    async fn lines_after(discarded: bool) -> Vec<Value> {
        let drive = SimDrive::new(1);
        let options = AuditOptions {
            account_id: "1".to_owned(),
            region: "r".to_owned(),
        };
        let clock = Arc::new(SimClock::new(1));
        let audit = Audit::open(Arc::new(drive.clone()), clock, options)
            .await
            .unwrap();
        let receipt = audit.begin(RequestFacts {
            request_id: String::new(),
            source_ip: String::new(),
            user_agent: String::new(),
            host: String::new(),
            tls: None,
            identity: UserIdentity::Anonymous,
        });
        let mut event = Event::new(&receipt, "DisableKey", false, json!({ "keyId": "k" }));
        event.touches("arn");
        event.response(json!({ "keyId": "arn" }));
        if discarded {
            event.discard();
        } else {
            drop(event);
        }
        receipt.finish_recorded();
        audit.close().await.unwrap();
        let files = drive
            .files()
            .into_iter()
            .filter(|path| path.folder() == Folder::Audit);
        let text: Vec<u8> = files
            .flat_map(|path| drive.contents(&path).unwrap())
            .collect();
        let text = String::from_utf8(text).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[tokio::test]
    async fn dropped_event_is_recorded_with_an_unknown_outcome() {
        let lines = lines_after(false).await;
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["eventName"], "DisableKey");
        assert_eq!(lines[0]["requestParameters"], json!({ "keyId": "k" }));
        assert_eq!(lines[0]["resources"][0]["ARN"], "arn");
        assert_eq!(lines[0]["responseElements"], Value::Null);
        assert_eq!(lines[0]["errorCode"], "RequestAborted");
    }

    #[tokio::test]
    async fn discarded_event_is_not_recorded() {
        assert!(lines_after(true).await.is_empty());
    }
}

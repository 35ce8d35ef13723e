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
use crate::key_id::{Place, shortened};

pub(crate) struct Event {
    detail: EventDetail,
    additional: Map<String, Value>,
    via: Via,
}

impl Event {
    /// `parameters` is a JSON object.
    pub(crate) fn new(name: &'static str, read_only: bool, parameters: Value) -> Event {
        let mut detail = EventDetail::new(EventSource::Kms, name, Category::Management, read_only);
        detail.request_parameters = parameters;
        Event {
            detail,
            additional: Map::new(),
            via: Via::Wire,
        }
    }

    /// Marks the event as S3's, for the caller of S3.
    pub(crate) fn via_s3(mut self, place: &Place) -> Event {
        self.via = Via::S3;
        let service = format!("s3.{}.amazonaws.com", place.region);
        self.additional
            .insert("kms:ViaService".to_owned(), Value::String(service));
        self
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
        if !context.is_empty() {
            let pairs = context
                .iter()
                .map(|(name, value)| (name.to_owned(), json!(value)));
            self.parameter("encryptionContext", Value::Object(pairs.collect()));
        }
    }

    /// Names a key that the operation is about.
    pub(crate) fn touches(&mut self, arn: &str) {
        self.detail.resources.push(Resource {
            type_name: "AWS::KMS::Key",
            arn: arn.to_owned(),
        });
    }

    /// Names an alias that the operation is about.
    pub(crate) fn touches_alias(&mut self, arn: &str) {
        self.detail.resources.push(Resource {
            type_name: "AWS::KMS::Alias",
            arn: arn.to_owned(),
        });
    }

    pub(crate) fn material_id(&mut self, id: &str) {
        self.additional
            .insert("keyMaterialId".to_owned(), json!(id));
    }

    pub(crate) fn response(&mut self, elements: Value) {
        self.detail.response_elements = elements;
    }

    /// Records the event durably and passes the result on. An operation whose event cannot be
    /// recorded gives nothing back.
    pub(crate) async fn close<T>(
        mut self,
        receipt: &Receipt,
        result: Result<T, Error>,
    ) -> Result<T, Error> {
        if let Err(error) = &result {
            self.detail.response_elements = Value::Null;
            self.detail.error = Some(EventError {
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
        if !self.additional.is_empty() {
            self.detail.additional = Value::Object(self.additional);
        }
        match self.via {
            Via::Wire => receipt.record(self.detail, Durability::Durable).await?,
            Via::S3 => {
                receipt
                    .record_internal(self.detail, Durability::Durable)
                    .await?
            }
        };
        result
    }
}

/// A key identifier as it was asked for, cut to a length fit for a record.
pub(crate) fn asked(key_id: &str) -> Value {
    json!(shortened(key_id))
}

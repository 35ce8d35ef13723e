// SPDX-License-Identifier: Apache-2.0
//! Audit events of the operations on users, in the shape of IAM's CloudTrail events.

use serde_json::{Value, json};
use strongroom_audit::{Category, EventDetail, EventError, EventSource, Resource};
use strongroom_wire::sigv4::Timestamp;

use crate::error::Error;
use crate::user::User;

/// An event with these parameters as asked.
pub(crate) fn asked(event_name: &'static str, read_only: bool, parameters: Value) -> EventDetail {
    let mut detail = EventDetail::new(
        EventSource::Iam,
        event_name,
        Category::Management,
        read_only,
    );
    detail.request_parameters = parameters;
    detail
}

/// The event of a refusal.
pub(crate) fn refused(mut detail: EventDetail, error: &Error) -> EventDetail {
    detail.error = Some(EventError {
        code: error.code().to_owned(),
        message: error.to_string(),
    });
    detail
}

/// The event of a success about `user`.
pub(crate) fn done(mut detail: EventDetail, user: &User, response: Value) -> EventDetail {
    detail.response_elements = response;
    detail.resources = vec![Resource {
        type_name: "AWS::IAM::User",
        arn: user.arn.clone(),
    }];
    detail
}

pub(crate) fn user_response(user: &User) -> Value {
    json!({ "user": {
        "path": "/",
        "userName": user.name,
        "userId": user.principal_id,
        "arn": user.arn,
        "createDate": iso(user.created_ms),
    }})
}

pub(crate) fn access_key_response(user: &User, access_key_id: &str, created_ms: u64) -> Value {
    json!({ "accessKey": {
        "userName": user.name,
        "accessKeyId": access_key_id,
        "status": "Active",
        "createDate": iso(created_ms),
    }})
}

/// ISO 8601, in UTC.
pub(crate) fn iso(ms: u64) -> String {
    let p = Timestamp::from_unix_ms(ms).parts();
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        p.year, p.month, p.day, p.hour, p.minute, p.second
    )
}

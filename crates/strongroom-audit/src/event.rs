// SPDX-License-Identifier: Apache-2.0
//! What happened, in CloudTrail's words: the facts of a request and the detail of an event.
//!
//! No type here has a field for plaintext, a ciphertext blob, a key or a token. Whoever adds a
//! value to `request_parameters`, `response_elements` or `additional` owes the same.

use std::fmt;

use serde_json::Value;

/// The facts of one request that every event caused by it repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestFacts {
    /// The id the client sees (`x-amz-request-id`, `x-amzn-RequestId`).
    pub request_id: String,
    /// Address of the peer, without the port.
    pub source_ip: String,
    /// `User-Agent` as sent; cut to 1 KiB in the record.
    pub user_agent: String,
    /// `Host` as sent; cut to 1 KiB in the record.
    pub host: String,
    /// The TLS session, or `None` over plain HTTP.
    pub tls: Option<TlsFacts>,
    /// Who asked, as far as it is known.
    pub identity: UserIdentity,
}

/// The negotiated TLS parameters of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// For example `TLSv1.3`.
    pub version: String,
    /// For example `TLS_AES_128_GCM_SHA256`.
    pub cipher_suite: String,
}

/// The principal of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserIdentity {
    /// The root user of the account.
    Root {
        /// Twelve digits.
        account_id: String,
        /// The access key that signed.
        access_key_id: String,
    },
    /// A user of the account.
    IamUser {
        /// Twelve digits.
        account_id: String,
        /// Friendly name.
        user_name: String,
        /// Unique id, never used again.
        principal_id: String,
        /// ARN of the user.
        arn: String,
        /// The access key that signed.
        access_key_id: String,
    },
    /// The server itself, for work that no request caused.
    AwsService {
        /// Name of the service.
        invoked_by: String,
    },
    /// A request without credentials.
    Anonymous,
    /// A request whose credentials did not verify.
    Unknown {
        /// The access key it claimed, when it could be read.
        access_key_id: Option<String>,
    },
}

/// The service an event belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventSource {
    /// `s3.amazonaws.com`
    S3,
    /// `kms.amazonaws.com`
    Kms,
    /// `iam.amazonaws.com`
    Iam,
    /// `strongroom.internal`: the server's own life (start, stop, aborted requests).
    Strongroom,
}

impl EventSource {
    /// The name in the record.
    pub fn as_str(self) -> &'static str {
        match self {
            EventSource::S3 => "s3.amazonaws.com",
            EventSource::Kms => "kms.amazonaws.com",
            EventSource::Iam => "iam.amazonaws.com",
            EventSource::Strongroom => "strongroom.internal",
        }
    }
}

/// CloudTrail's two families of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Control plane, and every KMS operation.
    Management,
    /// Object level operations of S3.
    Data,
}

/// One event: what was asked and how it ended.
#[derive(Clone, Debug, PartialEq)]
pub struct EventDetail {
    /// The service.
    pub event_source: EventSource,
    /// The operation, for example `PutObject`.
    pub event_name: &'static str,
    /// Whether the operation changes nothing, as CloudTrail counts it.
    pub read_only: bool,
    /// Management or data.
    pub category: Category,
    /// Parameters as asked, without secrets.
    pub request_parameters: Value,
    /// What was answered, without secrets; `Null` for reads.
    pub response_elements: Value,
    /// `additionalEventData`; `Null` leaves it out.
    pub additional: Value,
    /// What was touched.
    pub resources: Vec<Resource>,
    /// Why it was refused or failed.
    pub error: Option<EventError>,
    /// Ties the events of several accounts about one call together.
    pub shared_event_id: Option<String>,
    /// A service acted by itself: CloudTrail's `AwsServiceEvent` instead of `AwsApiCall`.
    pub is_service_event: bool,
}

impl EventDetail {
    /// An event with nothing but its name; the caller fills in the rest.
    pub fn new(
        event_source: EventSource,
        event_name: &'static str,
        category: Category,
        read_only: bool,
    ) -> EventDetail {
        EventDetail {
            event_source,
            event_name,
            read_only,
            category,
            request_parameters: Value::Null,
            response_elements: Value::Null,
            additional: Value::Null,
            resources: Vec::new(),
            error: None,
            shared_event_id: None,
            is_service_event: false,
        }
    }
}

/// A resource an event touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// For example `AWS::S3::Object`.
    pub type_name: &'static str,
    /// ARN of the resource.
    pub arn: String,
}

/// `errorCode` and `errorMessage`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventError {
    /// Code as the client saw it.
    pub code: String,
    /// Message as the client saw it.
    pub message: String,
}

/// `eventID` of a record.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventId([u8; 16]);

impl EventId {
    /// An RFC 9562 version 4 UUID of these random bytes.
    pub fn from_random(mut random: [u8; 16]) -> EventId {
        let [_, _, _, _, _, _, version, _, variant, ..] = &mut random;
        *version = (*version & 0x0f) | 0x40;
        *variant = (*variant & 0x3f) | 0x80;
        EventId(random)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = u128::from_be_bytes(self.0);
        let part = |shift: u32, digits: u32| (value >> shift) & ((1_u128 << (4 * digits)) - 1);
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            part(96, 8),
            part(80, 4),
            part(64, 4),
            part(48, 4),
            part(0, 12)
        )
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventId({self})")
    }
}

/// When a recorded event has to be on the drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Before `record` returns: written and fsynced, together with its neighbours.
    Durable,
    /// In order, and within a second: for plain reads.
    Buffered,
}

// SPDX-License-Identifier: Apache-2.0
//! The S3 error model: codes, their HTTP status, and the map from every inner error.

use std::borrow::Cow;
use std::fmt;

use http::{HeaderName, HeaderValue, StatusCode, header};

/// An S3 error on its way to the client.
#[derive(Debug)]
pub(crate) struct S3Error {
    /// The code, which decides the HTTP status.
    pub(crate) code: S3Code,
    /// What the client reads.
    pub(crate) message: Cow<'static, str>,
    /// What the audit log reads instead, where the message holds what the log must not.
    recorded: Option<Box<str>>,
    /// Further elements of the error document, in order.
    pub(crate) elements: Vec<(&'static str, String)>,
    /// Further headers of the answer.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// What only the log may know.
    pub(crate) internal: Option<String>,
}

impl S3Error {
    /// An error with the code's usual message.
    pub(crate) fn from_code(code: S3Code) -> Self {
        Self::new(code, code.default_message())
    }

    /// An error with its own message.
    pub(crate) fn new(code: S3Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            recorded: None,
            elements: Vec::new(),
            headers: Vec::new(),
            internal: None,
        }
    }

    /// Has the audit log say something else than what the client reads.
    #[must_use]
    pub(crate) fn recorded_as(mut self, message: impl Into<Box<str>>) -> Self {
        self.recorded = Some(message.into());
        self
    }

    /// What the audit log says.
    pub(crate) fn recorded(&self) -> &str {
        self.recorded.as_deref().unwrap_or(&self.message)
    }

    /// Adds an element to the error document.
    #[must_use]
    pub(crate) fn with(mut self, element: &'static str, value: impl Into<String>) -> Self {
        self.elements.push((element, value.into()));
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// 400 InvalidArgument with the argument's name and value.
    pub(crate) fn invalid_argument(
        message: impl Into<Cow<'static, str>>,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Self {
        Self::new(S3Code::InvalidArgument, message)
            .with("ArgumentName", name)
            .with("ArgumentValue", value)
    }

    /// 400 InvalidRequest.
    pub(crate) fn invalid_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(S3Code::InvalidRequest, message)
    }

    /// 501 for a header or sub-resource that is not there yet; never ignored silently.
    pub(crate) fn not_implemented(what: impl fmt::Display) -> Self {
        Self::new(
            S3Code::NotImplemented,
            format!("{what} implies functionality that is not implemented"),
        )
    }

    /// 500 whose cause goes to the log only.
    pub(crate) fn internal(cause: impl fmt::Display) -> Self {
        let mut error = Self::from_code(S3Code::InternalError);
        error.internal = Some(cause.to_string());
        error
    }

    /// 503 whose cause goes to the log only.
    pub(crate) fn unavailable(cause: impl fmt::Display) -> Self {
        let mut error = Self::from_code(S3Code::ServiceUnavailable)
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("1"));
        error.internal = Some(cause.to_string());
        error
    }

    /// HTTP status of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        self.code.status()
    }
}

impl fmt::Display for S3Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for S3Error {}

macro_rules! codes {
    ($($name:ident, $text:literal, $status:ident, $message:literal;)*) => {
        /// The codes of S3 that this server answers with.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum S3Code { $(#[doc = $message] $name,)* }

        impl S3Code {
            /// The code on the wire.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Its HTTP status.
            pub(crate) fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// The message S3 sends with it when nothing more precise is known.
            pub(crate) fn default_message(self) -> &'static str {
                match self { $(Self::$name => $message,)* }
            }
        }
    };
}

codes! {
    AccessDenied, "AccessDenied", FORBIDDEN, "Access Denied";
    AuthorizationHeaderMalformed, "AuthorizationHeaderMalformed", BAD_REQUEST, "The authorization header you provided is invalid.";
    AuthorizationQueryParametersError, "AuthorizationQueryParametersError", BAD_REQUEST, "The authorization query parameters that you provided are not valid.";
    BadDigest, "BadDigest", BAD_REQUEST, "The Content-MD5 you specified did not match what we received.";
    BadRequest, "BadRequest", BAD_REQUEST, "An error occurred when parsing the HTTP request.";
    BucketAlreadyOwnedByYou, "BucketAlreadyOwnedByYou", CONFLICT, "Your previous request to create the named bucket succeeded and you already own it.";
    BucketNotEmpty, "BucketNotEmpty", CONFLICT, "The bucket you tried to delete is not empty";
    ConditionalRequestConflict, "ConditionalRequestConflict", CONFLICT, "The conditional request cannot succeed due to a conflicting operation against this resource.";
    CustomerKeyWrong, "AccessDenied", FORBIDDEN, "Requests specifying Server Side Encryption with Customer provided keys must provide the correct secret key.";
    EntityTooLarge, "EntityTooLarge", BAD_REQUEST, "Your proposed upload exceeds the maximum allowed size";
    EntityTooSmall, "EntityTooSmall", BAD_REQUEST, "Your proposed upload is smaller than the minimum allowed size";
    IllegalLocationConstraint, "IllegalLocationConstraintException", BAD_REQUEST, "The specified location-constraint is not valid for this endpoint.";
    IllegalVersioningConfiguration, "IllegalVersioningConfigurationException", BAD_REQUEST, "The Versioning element must be specified";
    IncompleteBody, "IncompleteBody", BAD_REQUEST, "You did not provide the number of bytes specified by the Content-Length HTTP header.";
    InternalError, "InternalError", INTERNAL_SERVER_ERROR, "We encountered an internal error. Please try again.";
    InvalidAccessKeyId, "InvalidAccessKeyId", FORBIDDEN, "The AWS Access Key Id you provided does not exist in our records.";
    InvalidArgument, "InvalidArgument", BAD_REQUEST, "Invalid Argument";
    InvalidBucketName, "InvalidBucketName", BAD_REQUEST, "The specified bucket is not valid.";
    InvalidChunkSize, "InvalidChunkSizeError", FORBIDDEN, "Only the last chunk is allowed to have a size less than 8192 bytes";
    InvalidDigest, "InvalidDigest", BAD_REQUEST, "The Content-MD5 you specified was invalid.";
    InvalidEncryptionAlgorithm, "InvalidEncryptionAlgorithmError", BAD_REQUEST, "The Encryption request you specified is not valid. Supported value: AES256.";
    InvalidLocationConstraint, "InvalidLocationConstraint", BAD_REQUEST, "The specified location-constraint is not valid";
    InvalidObjectState, "InvalidObjectState", FORBIDDEN, "The operation is not valid for the object's storage class";
    InvalidPart, "InvalidPart", BAD_REQUEST, "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.";
    InvalidPartNumber, "InvalidPartNumber", RANGE_NOT_SATISFIABLE, "The requested partnumber is not satisfiable";
    InvalidPartOrder, "InvalidPartOrder", BAD_REQUEST, "The list of parts was not in ascending order. Parts must be ordered by part number.";
    InvalidPolicyDocument, "InvalidPolicyDocument", BAD_REQUEST, "The content of the form does not meet the conditions specified in the policy document.";
    InvalidRange, "InvalidRange", RANGE_NOT_SATISFIABLE, "The requested range is not satisfiable";
    InvalidRedirectLocation, "InvalidRedirectLocation", BAD_REQUEST, "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.";
    InvalidRequest, "InvalidRequest", BAD_REQUEST, "Invalid Request";
    InvalidStorageClass, "InvalidStorageClass", BAD_REQUEST, "The storage class you specified is not valid";
    InvalidToken, "InvalidToken", BAD_REQUEST, "The provided token is malformed or otherwise invalid.";
    InvalidUri, "InvalidURI", BAD_REQUEST, "Couldn't parse the specified URI.";
    KeyTooLong, "KeyTooLongError", BAD_REQUEST, "Your key is too long";
    KmsDisabled, "KMS.DisabledException", BAD_REQUEST, "The KMS key is disabled.";
    KmsInvalidKeyUsage, "KMS.InvalidKeyUsageException", BAD_REQUEST, "The KMS key cannot be used for this operation.";
    KmsInvalidState, "KMS.KMSInvalidStateException", BAD_REQUEST, "The state of the KMS key does not allow this operation.";
    KmsNotFound, "KMS.NotFoundException", BAD_REQUEST, "The KMS key does not exist.";
    MalformedPostRequest, "MalformedPOSTRequest", BAD_REQUEST, "The body of your POST request is not well-formed multipart/form-data.";
    MalformedXml, "MalformedXML", BAD_REQUEST, "The XML you provided was not well-formed or did not validate against our published schema";
    MalformedTrailer, "MalformedTrailerError", BAD_REQUEST, "The request contained trailing data that was not well-formed or did not conform to our published schema.";
    MaxMessageLengthExceeded, "MaxMessageLengthExceeded", BAD_REQUEST, "Your request was too big.";
    MaxPostPreDataLengthExceeded, "MaxPostPreDataLengthExceeded", BAD_REQUEST, "Your POST request fields preceding the upload file were too large.";
    MetadataTooLarge, "MetadataTooLarge", BAD_REQUEST, "Your metadata headers exceed the maximum allowed metadata size";
    MethodNotAllowed, "MethodNotAllowed", METHOD_NOT_ALLOWED, "The specified method is not allowed against this resource.";
    MissingContentLength, "MissingContentLength", LENGTH_REQUIRED, "You must provide the Content-Length HTTP header.";
    MissingRequestBodyError, "MissingRequestBodyError", BAD_REQUEST, "Request Body is empty";
    NoSuchBucket, "NoSuchBucket", NOT_FOUND, "The specified bucket does not exist";
    NoSuchKey, "NoSuchKey", NOT_FOUND, "The specified key does not exist.";
    NoSuchLifecycleConfiguration, "NoSuchLifecycleConfiguration", NOT_FOUND, "The lifecycle configuration does not exist";
    NoSuchUpload, "NoSuchUpload", NOT_FOUND, "The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.";
    NoSuchVersion, "NoSuchVersion", NOT_FOUND, "The specified version does not exist.";
    NotImplemented, "NotImplemented", NOT_IMPLEMENTED, "A header you provided implies functionality that is not implemented";
    NotModified, "NotModified", NOT_MODIFIED, "Not Modified";
    PreconditionFailed, "PreconditionFailed", PRECONDITION_FAILED, "At least one of the pre-conditions you specified did not hold";
    RequestHeaderSectionTooLarge, "RequestHeaderSectionTooLarge", BAD_REQUEST, "Your request header section exceeds the maximum allowed request header section size.";
    RequestTimeTooSkewed, "RequestTimeTooSkewed", FORBIDDEN, "The difference between the request time and the current time is too large.";
    RequestTimeout, "RequestTimeout", BAD_REQUEST, "Your socket connection to the server was not read from or written to within the timeout period. Idle connections will be closed.";
    RestoreAlreadyInProgress, "RestoreAlreadyInProgress", CONFLICT, "Object restore is already in progress";
    ServerSideEncryptionConfigurationNotFound, "ServerSideEncryptionConfigurationNotFoundError", NOT_FOUND, "The server side encryption configuration was not found";
    ServiceUnavailable, "ServiceUnavailable", SERVICE_UNAVAILABLE, "Service is unable to handle request.";
    SignatureDoesNotMatch, "SignatureDoesNotMatch", FORBIDDEN, "The request signature we calculated does not match the signature you provided. Check your key and signing method.";
    SlowDown, "SlowDown", SERVICE_UNAVAILABLE, "Please reduce your request rate.";
    TooManyBuckets, "TooManyBuckets", BAD_REQUEST, "You have attempted to create more buckets than allowed";
    XAmzContentSha256Mismatch, "XAmzContentSHA256Mismatch", BAD_REQUEST, "The provided 'x-amz-content-sha256' header does not match what was computed.";
}

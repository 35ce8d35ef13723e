// SPDX-License-Identifier: Apache-2.0
//! Which operation a request is.
//!
//! A query parameter that the operation does not know is refused with 501: a sub-resource
//! (`?acl`, `?encryption`, `?tagging`) that nobody here understands must never fall through to
//! the operation without it. `DELETE /b?encryption` is not DeleteBucket.

use http::Method;
use strongroom_audit::Category;
use strongroom_object::Action;

use crate::error::{S3Code, S3Error};
use crate::query::Query;

/// The operations of S3 on offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    AbortMultipartUpload,
    CompleteMultipartUpload,
    CopyObject,
    CreateBucket,
    CreateMultipartUpload,
    DeleteBucket,
    DeleteBucketEncryption,
    DeleteBucketLifecycle,
    DeleteObject,
    DeleteObjects,
    GetBucketEncryption,
    GetBucketLifecycle,
    GetBucketLocation,
    GetBucketVersioning,
    GetObject,
    GetObjectAttributes,
    HeadBucket,
    HeadObject,
    ListBuckets,
    ListMultipartUploads,
    ListObjectVersions,
    ListObjects,
    ListObjectsV2,
    ListParts,
    PostObject,
    PutBucketEncryption,
    PutBucketLifecycle,
    PutBucketVersioning,
    PutObject,
    RestoreObject,
    UpdateObjectEncryption,
    UploadPart,
    UploadPartCopy,
}

/// What a request asks to do, and with what.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asks {
    /// With an object.
    Object(Action),
    /// With the current version of an object, or with one that it names.
    Version { current: Action, named: Action },
    /// With an open upload.
    Upload,
    /// With a bucket.
    Bucket(Action),
}

/// What a route is decided on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route<'a> {
    pub(crate) method: &'a Method,
    pub(crate) bucket: bool,
    pub(crate) object_key: bool,
    pub(crate) query: &'a Query,
    pub(crate) copy_source: bool,
}

impl Operation {
    /// Decides the operation, or refuses the request.
    pub(crate) fn route(route: Route<'_>) -> Result<Self, S3Error> {
        let operation = match (route.bucket, route.object_key) {
            (false, _) => Self::of_service(route)?,
            (true, false) => Self::of_bucket(route)?,
            (true, true) => Self::of_object(route)?,
        };
        for (name, value) in route.query.iter() {
            if !operation.takes(name) {
                return Err(refused_parameter(operation, name, value));
            }
        }
        Ok(operation)
    }

    fn of_service(route: Route<'_>) -> Result<Self, S3Error> {
        match *route.method {
            Method::GET => Ok(Self::ListBuckets),
            _ => Err(not_allowed(route.method)),
        }
    }

    fn of_bucket(route: Route<'_>) -> Result<Self, S3Error> {
        let query = route.query;
        match *route.method {
            Method::GET if query.has("encryption") => Ok(Self::GetBucketEncryption),
            Method::GET if query.has("lifecycle") => Ok(Self::GetBucketLifecycle),
            Method::GET if query.has("location") => Ok(Self::GetBucketLocation),
            Method::GET if query.has("uploads") => Ok(Self::ListMultipartUploads),
            Method::GET if query.has("versioning") => Ok(Self::GetBucketVersioning),
            Method::GET if query.has("versions") => Ok(Self::ListObjectVersions),
            Method::GET => match query.get("list-type") {
                None => Ok(Self::ListObjects),
                Some("2") => Ok(Self::ListObjectsV2),
                Some(other) => Err(S3Error::invalid_argument(
                    "Invalid List Type specified in Request",
                    "list-type",
                    other,
                )),
            },
            Method::HEAD => Ok(Self::HeadBucket),
            Method::PUT if query.has("encryption") => Ok(Self::PutBucketEncryption),
            Method::PUT if query.has("lifecycle") => Ok(Self::PutBucketLifecycle),
            Method::PUT if query.has("versioning") => Ok(Self::PutBucketVersioning),
            Method::PUT => Ok(Self::CreateBucket),
            Method::DELETE if query.has("encryption") => Ok(Self::DeleteBucketEncryption),
            Method::DELETE if query.has("lifecycle") => Ok(Self::DeleteBucketLifecycle),
            Method::DELETE => Ok(Self::DeleteBucket),
            Method::POST if query.has("delete") => Ok(Self::DeleteObjects),
            // A form: whether it is one is not for the route to say.
            Method::POST => Ok(Self::PostObject),
            _ => Err(not_allowed(route.method)),
        }
    }

    fn of_object(route: Route<'_>) -> Result<Self, S3Error> {
        let query = route.query;
        match *route.method {
            Method::GET if query.has("uploadId") => Ok(Self::ListParts),
            Method::GET if query.has("attributes") => Ok(Self::GetObjectAttributes),
            Method::GET => Ok(Self::GetObject),
            Method::HEAD => Ok(Self::HeadObject),
            Method::PUT if query.has("encryption") => Ok(Self::UpdateObjectEncryption),
            Method::PUT => {
                let part = query.has("partNumber") || query.has("uploadId");
                Ok(match (part, route.copy_source) {
                    (true, true) => Self::UploadPartCopy,
                    (true, false) => Self::UploadPart,
                    (false, true) => Self::CopyObject,
                    (false, false) => Self::PutObject,
                })
            }
            Method::POST if query.has("uploads") => Ok(Self::CreateMultipartUpload),
            Method::POST if query.has("uploadId") => Ok(Self::CompleteMultipartUpload),
            Method::POST if query.has("restore") => Ok(Self::RestoreObject),
            Method::POST => Err(S3Error::not_implemented(
                "POST to an object without a known sub-resource",
            )),
            Method::DELETE if query.has("uploadId") => Ok(Self::AbortMultipartUpload),
            Method::DELETE => Ok(Self::DeleteObject),
            _ => Err(not_allowed(route.method)),
        }
    }

    /// Whether the operation knows the query parameter.
    fn takes(self, name: &str) -> bool {
        // `x-id` is the operation's name, sent by some SDKs; `x-amz-*` are credentials and
        // headers of presigned URLs. Of a request that is not presigned they are refused when its
        // caller is known (`edge/hoist.rs`).
        // Other names with `x-` in front are the client's own, for its access logs: S3 ignores them.
        let ignored = name.starts_with("x-")
            || name
                .get(..6)
                .is_some_and(|p| p.eq_ignore_ascii_case("x-amz-"));
        ignored || self.parameters().contains(&name)
    }

    fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::CreateBucket
            | Self::CopyObject
            | Self::DeleteBucket
            | Self::HeadBucket
            | Self::PostObject
            | Self::PutObject => &[],
            Self::AbortMultipartUpload | Self::CompleteMultipartUpload => &["uploadId"],
            Self::CreateMultipartUpload => &["uploads"],
            Self::DeleteObject => &["versionId"],
            Self::DeleteObjects => &["delete"],
            Self::DeleteBucketEncryption
            | Self::GetBucketEncryption
            | Self::PutBucketEncryption => &["encryption"],
            Self::DeleteBucketLifecycle | Self::GetBucketLifecycle | Self::PutBucketLifecycle => {
                &["lifecycle"]
            }
            Self::GetBucketLocation => &["location"],
            Self::GetBucketVersioning | Self::PutBucketVersioning => &["versioning"],
            Self::ListObjectVersions => &[
                "versions",
                "delimiter",
                "encoding-type",
                "key-marker",
                "max-keys",
                "prefix",
                "version-id-marker",
            ],
            Self::GetObject | Self::HeadObject => &[
                "versionId",
                "partNumber",
                "response-cache-control",
                "response-content-disposition",
                "response-content-encoding",
                "response-content-language",
                "response-content-type",
                "response-expires",
            ],
            Self::GetObjectAttributes => &["attributes", "versionId"],
            Self::ListBuckets => &[
                "max-buckets",
                "continuation-token",
                "prefix",
                "bucket-region",
            ],
            Self::ListMultipartUploads => &[
                "uploads",
                "delimiter",
                "encoding-type",
                "key-marker",
                "max-uploads",
                "prefix",
                "upload-id-marker",
            ],
            Self::ListObjects => &["delimiter", "encoding-type", "marker", "max-keys", "prefix"],
            Self::ListObjectsV2 => &[
                "list-type",
                "continuation-token",
                "delimiter",
                "encoding-type",
                "fetch-owner",
                "max-keys",
                "prefix",
                "start-after",
            ],
            Self::ListParts => &[
                "uploadId",
                "max-parts",
                "part-number-marker",
                "encoding-type",
            ],
            Self::RestoreObject => &["restore", "versionId"],
            Self::UpdateObjectEncryption => &["encryption", "versionId"],
            Self::UploadPart | Self::UploadPartCopy => &["partNumber", "uploadId"],
        }
    }

    /// The name in audit events and metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AbortMultipartUpload => "AbortMultipartUpload",
            Self::CompleteMultipartUpload => "CompleteMultipartUpload",
            Self::CopyObject => "CopyObject",
            Self::CreateBucket => "CreateBucket",
            Self::CreateMultipartUpload => "CreateMultipartUpload",
            Self::DeleteBucket => "DeleteBucket",
            Self::DeleteBucketEncryption => "DeleteBucketEncryption",
            Self::DeleteBucketLifecycle => "DeleteBucketLifecycle",
            Self::DeleteObject => "DeleteObject",
            Self::DeleteObjects => "DeleteObjects",
            Self::GetBucketEncryption => "GetBucketEncryption",
            Self::GetBucketLifecycle => "GetBucketLifecycle",
            Self::GetBucketLocation => "GetBucketLocation",
            Self::GetBucketVersioning => "GetBucketVersioning",
            Self::GetObject => "GetObject",
            Self::GetObjectAttributes => "GetObjectAttributes",
            Self::HeadBucket => "HeadBucket",
            Self::HeadObject => "HeadObject",
            Self::ListBuckets => "ListBuckets",
            Self::ListMultipartUploads => "ListMultipartUploads",
            Self::ListObjectVersions => "ListObjectVersions",
            Self::ListObjects | Self::ListObjectsV2 => "ListObjects",
            Self::ListParts => "ListParts",
            Self::PostObject => "PostObject",
            Self::PutBucketEncryption => "PutBucketEncryption",
            Self::PutBucketLifecycle => "PutBucketLifecycle",
            Self::PutBucketVersioning => "PutBucketVersioning",
            Self::PutObject => "PutObject",
            Self::RestoreObject => "RestoreObject",
            Self::UpdateObjectEncryption => "UpdateObjectEncryption",
            Self::UploadPart => "UploadPart",
            Self::UploadPartCopy => "UploadPartCopy",
        }
    }

    /// Whether it changes nothing.
    pub(crate) fn read_only(self) -> bool {
        match self {
            Self::GetBucketEncryption
            | Self::GetBucketLifecycle
            | Self::GetBucketLocation
            | Self::GetBucketVersioning
            | Self::GetObject
            | Self::GetObjectAttributes
            | Self::HeadBucket
            | Self::HeadObject
            | Self::ListBuckets
            | Self::ListMultipartUploads
            | Self::ListObjectVersions
            | Self::ListObjects
            | Self::ListObjectsV2
            | Self::ListParts => true,
            Self::AbortMultipartUpload
            | Self::CompleteMultipartUpload
            | Self::CopyObject
            | Self::CreateBucket
            | Self::CreateMultipartUpload
            | Self::DeleteBucket
            | Self::DeleteBucketEncryption
            | Self::DeleteBucketLifecycle
            | Self::DeleteObject
            | Self::DeleteObjects
            | Self::PostObject
            | Self::PutBucketEncryption
            | Self::PutBucketLifecycle
            | Self::PutBucketVersioning
            | Self::PutObject
            | Self::RestoreObject
            | Self::UpdateObjectEncryption
            | Self::UploadPart
            | Self::UploadPartCopy => false,
        }
    }

    /// Who may do it, of an operation that changes something and takes no body: one that comes all
    /// the same is held to what the request says of it, before anything is done and after it is known
    /// that the caller may do it.
    pub(crate) fn without_a_body(self) -> Option<Asks> {
        match self {
            Self::AbortMultipartUpload => Some(Asks::Object(Action::AbortMultipartUpload)),
            Self::CopyObject | Self::CreateMultipartUpload => Some(Asks::Object(Action::PutObject)),
            Self::DeleteBucket => Some(Asks::Bucket(Action::DeleteBucket)),
            Self::DeleteBucketEncryption => Some(Asks::Bucket(Action::PutEncryptionConfiguration)),
            Self::DeleteBucketLifecycle => Some(Asks::Bucket(Action::PutLifecycleConfiguration)),
            Self::DeleteObject => Some(Asks::Version {
                current: Action::DeleteObject,
                named: Action::DeleteObjectVersion,
            }),
            Self::UploadPartCopy => Some(Asks::Upload),
            Self::CompleteMultipartUpload
            | Self::CreateBucket
            | Self::DeleteObjects
            | Self::GetBucketEncryption
            | Self::GetBucketLifecycle
            | Self::GetBucketLocation
            | Self::GetBucketVersioning
            | Self::GetObject
            | Self::GetObjectAttributes
            | Self::HeadBucket
            | Self::HeadObject
            | Self::ListBuckets
            | Self::ListMultipartUploads
            | Self::ListObjectVersions
            | Self::ListObjects
            | Self::ListObjectsV2
            | Self::ListParts
            | Self::PostObject
            | Self::PutBucketEncryption
            | Self::PutBucketLifecycle
            | Self::PutBucketVersioning
            | Self::PutObject
            | Self::RestoreObject
            | Self::UpdateObjectEncryption
            | Self::UploadPart => None,
        }
    }

    /// CloudTrail's family: object level operations are data events.
    pub(crate) fn category(self) -> Category {
        match self {
            Self::CreateBucket
            | Self::DeleteBucket
            | Self::DeleteBucketEncryption
            | Self::DeleteBucketLifecycle
            | Self::GetBucketEncryption
            | Self::GetBucketLifecycle
            | Self::GetBucketLocation
            | Self::GetBucketVersioning
            | Self::ListBuckets
            | Self::PutBucketEncryption
            | Self::PutBucketLifecycle
            | Self::PutBucketVersioning => Category::Management,
            Self::AbortMultipartUpload
            | Self::CompleteMultipartUpload
            | Self::CopyObject
            | Self::CreateMultipartUpload
            | Self::DeleteObject
            | Self::DeleteObjects
            | Self::GetObject
            | Self::GetObjectAttributes
            | Self::HeadBucket
            | Self::HeadObject
            | Self::ListMultipartUploads
            | Self::ListObjectVersions
            | Self::ListObjects
            | Self::ListObjectsV2
            | Self::ListParts
            | Self::PostObject
            | Self::PutObject
            | Self::RestoreObject
            | Self::UpdateObjectEncryption
            | Self::UploadPart
            | Self::UploadPartCopy => Category::Data,
        }
    }
}

pub(crate) fn refused_parameter(operation: Operation, name: &str, value: &str) -> S3Error {
    match name {
        "versionId" => S3Error::invalid_argument(
            "This operation does not accept a version-id.",
            "versionId",
            value,
        ),
        name if name.starts_with("response-") => {
            S3Error::invalid_request(format!("{name} is not supported for {}.", operation.name()))
        }
        name => S3Error::not_implemented("A query parameter you provided")
            .with("Parameter", name.chars().take(128).collect::<String>()),
    }
}

fn not_allowed(method: &Method) -> S3Error {
    S3Error::from_code(S3Code::MethodNotAllowed).with("Method", method.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: &Method, path: &str, copy_source: bool) -> Result<Operation, S3Error> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut names = path.splitn(3, '/').skip(1).map(|name| !name.is_empty());
        Operation::route(Route {
            method,
            bucket: names.next() == Some(true),
            object_key: names.next() == Some(true),
            query: &Query::parse(query).unwrap(),
            copy_source,
        })
    }

    #[test]
    fn every_operation_has_its_route() {
        use Operation as O;
        let table = [
            (Method::GET, "/", O::ListBuckets),
            (Method::GET, "/?x-id=ListBuckets", O::ListBuckets),
            (Method::PUT, "/b", O::CreateBucket),
            (Method::HEAD, "/b", O::HeadBucket),
            (Method::DELETE, "/b/", O::DeleteBucket),
            (Method::GET, "/b?location", O::GetBucketLocation),
            (Method::GET, "/b?encryption", O::GetBucketEncryption),
            (Method::PUT, "/b?encryption=", O::PutBucketEncryption),
            (Method::DELETE, "/b?encryption", O::DeleteBucketEncryption),
            (Method::GET, "/b?lifecycle", O::GetBucketLifecycle),
            (Method::PUT, "/b?lifecycle=", O::PutBucketLifecycle),
            (Method::DELETE, "/b?lifecycle", O::DeleteBucketLifecycle),
            (Method::POST, "/b/k?restore", O::RestoreObject),
            (
                Method::POST,
                "/b/k?restore=&versionId=null",
                O::RestoreObject,
            ),
            (Method::GET, "/b?uploads&prefix=a", O::ListMultipartUploads),
            (Method::GET, "/b?versioning", O::GetBucketVersioning),
            (Method::PUT, "/b?versioning=", O::PutBucketVersioning),
            (
                Method::GET,
                "/b?versions&key-marker=a&version-id-marker=null",
                O::ListObjectVersions,
            ),
            (Method::GET, "/b", O::ListObjects),
            (Method::GET, "/b?prefix=a&max-keys=1", O::ListObjects),
            (
                Method::GET,
                "/b?list-type=2&start-after=x",
                O::ListObjectsV2,
            ),
            (Method::POST, "/b?delete", O::DeleteObjects),
            (Method::POST, "/b?delete=", O::DeleteObjects),
            (Method::POST, "/b", O::PostObject),
            (Method::POST, "/b/?x-id=PostObject", O::PostObject),
            (Method::PUT, "/b/k", O::PutObject),
            (Method::PUT, "/b/k?x-id=PutObject", O::PutObject),
            (Method::GET, "/b/k?x-user=johndoe", O::GetObject),
            (Method::PUT, "/b/k?encryption", O::UpdateObjectEncryption),
            (
                Method::PUT,
                "/b/k?encryption=&versionId=null",
                O::UpdateObjectEncryption,
            ),
            (
                Method::GET,
                "/b/k?versionId=null&response-expires=x",
                O::GetObject,
            ),
            (
                Method::GET,
                "/b/k?X-Amz-Signature=0&x-amz-date=1",
                O::GetObject,
            ),
            (Method::HEAD, "/b/k?partNumber=1", O::HeadObject),
            (Method::DELETE, "/b/k", O::DeleteObject),
            (Method::POST, "/b/k?uploads", O::CreateMultipartUpload),
            (Method::PUT, "/b/k?partNumber=1&uploadId=u", O::UploadPart),
            (Method::POST, "/b/k?uploadId=u", O::CompleteMultipartUpload),
            (Method::DELETE, "/b/k?uploadId=u", O::AbortMultipartUpload),
            (Method::GET, "/b/k?uploadId=u", O::ListParts),
        ];
        for (method, path, operation) in table {
            assert_eq!(
                route(&method, path, false).unwrap(),
                operation,
                "{method} {path}"
            );
        }
        assert_eq!(route(&Method::PUT, "/b/k", true).unwrap(), O::CopyObject);
        let part = "/b/k?partNumber=1&uploadId=u";
        assert_eq!(route(&Method::PUT, part, true).unwrap(), O::UploadPartCopy);
    }

    /// ceph#36264: `DELETE /b?encryption` deleted the bucket.
    #[test]
    fn unknown_sub_resources_never_fall_through() {
        const SUB_RESOURCES: [&str; 37] = [
            "acl",
            "policy",
            "policyStatus",
            "versioning",
            "versions",
            "tagging",
            "cors",
            "lifecycle",
            "replication",
            "website",
            "logging",
            "notification",
            "accelerate",
            "requestPayment",
            "analytics",
            "inventory",
            "metrics",
            "intelligent-tiering",
            "ownershipControls",
            "publicAccessBlock",
            "object-lock",
            "legal-hold",
            "retention",
            "torrent",
            "restore",
            "select",
            "renameObject",
            "session",
            "abac",
            "metadataTable",
            "metadataConfiguration",
            "metadataInventoryTable",
            "annotation",
            "append",
            "Location",
            "Delete",
            "anything",
        ];
        for name in SUB_RESOURCES {
            for method in [
                Method::GET,
                Method::PUT,
                Method::HEAD,
                Method::DELETE,
                Method::POST,
            ] {
                for path in ["/", "/b", "/b/k"] {
                    for form in ["", "=", "=x", "&list-type=2", "&uploadId=u", "&delete"] {
                        let own = method == Method::PUT && path == "/b/k" && name == "encryption";
                        let known = matches!(
                            (name, &method, path, form),
                            (
                                "versioning",
                                &(Method::GET | Method::PUT),
                                "/b",
                                "" | "=" | "=x"
                            ) | ("versions", &Method::GET, "/b", "" | "=" | "=x")
                                | (
                                    "lifecycle",
                                    &(Method::GET | Method::PUT | Method::DELETE),
                                    "/b",
                                    "" | "=" | "=x"
                                )
                                | ("restore", &Method::POST, "/b/k", "" | "=" | "=x")
                        );
                        if known || (own && ["", "=", "=x"].contains(&form)) {
                            continue;
                        }
                        let path = format!("{path}?{name}{form}");
                        let error = route(&method, &path, false).expect_err(&path);
                        let status = error.status().as_u16();
                        assert!(status == 501 || status == 405, "{method} {path}: {error}");
                    }
                }
            }
        }
    }

    #[test]
    fn attributes_are_asked_for_with_get_of_an_object_only() {
        for path in ["/b/k?attributes", "/b/k?attributes=&versionId=null"] {
            let operation = route(&Method::GET, path, false).unwrap();
            assert_eq!(operation, Operation::GetObjectAttributes);
        }
        for method in [Method::PUT, Method::HEAD, Method::DELETE, Method::POST] {
            assert!(
                route(&method, "/b/k?attributes", false).is_err(),
                "{method}"
            );
        }
        for path in [
            "/b?attributes",
            "/?attributes",
            "/b/k?attributes&partNumber=1",
        ] {
            assert!(route(&Method::GET, path, false).is_err(), "{path}");
        }
    }

    #[test]
    fn parameters_of_other_operations_are_refused() {
        for (method, path) in [
            (Method::PUT, "/b/k?versionId=x"),
            (Method::PUT, "/b?location"),
            (Method::DELETE, "/b?versioning"),
            (Method::POST, "/b?lifecycle&delete"),
            (Method::PUT, "/b?lifecycle&versioning"),
            (Method::DELETE, "/b?lifecycle&encryption"),
            (Method::GET, "/b?lifecycle&prefix=a"),
            (Method::PUT, "/b/k?lifecycle"),
            (Method::POST, "/b?restore"),
            (Method::PUT, "/b/k?restore"),
            (Method::POST, "/b/k?restore&uploadId=u"),
            (Method::POST, "/b/k?restore&select"),
            (Method::DELETE, "/b?versions"),
            (Method::PUT, "/b?versions"),
            (Method::PUT, "/b/k?versioning"),
            (Method::GET, "/b?versions&marker=a"),
            (Method::DELETE, "/b?location"),
            (Method::DELETE, "/b?uploads"),
            (Method::DELETE, "/b/k?uploads"),
            (Method::DELETE, "/b/k?partNumber=1"),
            (Method::PUT, "/b/k?uploads"),
            (Method::PUT, "/b/k?encryption&partNumber=1&uploadId=u"),
            (Method::PUT, "/b/k?encryption&tagging"),
            (Method::PUT, "/b/k?delete"),
            (Method::PUT, "/b/k?response-expires=x"),
            (Method::POST, "/b/k?delete"),
            (Method::POST, "/b?uploads"),
            (Method::GET, "/b/k?list-type=2"),
            (Method::GET, "/b?list-type=3"),
            (Method::GET, "/b?marker=a&list-type=2"),
            (Method::GET, "/?encryption"),
            (Method::HEAD, "/b?encryption"),
            (Method::POST, "/b?encryption"),
            (Method::GET, "/b?encryption&list-type=2"),
            (Method::DELETE, "/b?encryption&versionId=x"),
            (Method::GET, "/b/k?encryption"),
            (Method::DELETE, "/b/k?encryption"),
            (Method::PATCH, "/b/k"),
            (Method::OPTIONS, "/b/k"),
            (Method::TRACE, "/b/k"),
            (Method::PUT, "/"),
            (Method::DELETE, "/"),
        ] {
            assert!(route(&method, path, false).is_err(), "{method} {path}");
        }
    }
}

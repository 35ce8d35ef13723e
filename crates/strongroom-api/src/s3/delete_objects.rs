// SPDX-License-Identifier: Apache-2.0
//! `POST /bucket?delete`: DeleteObjects, up to 1,000 names in one request.
//!
//! Every name is its own delete: authorized, carried out, answered and recorded by itself.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::HeaderMap;
use serde_json::{Map, Value, json};
use strongroom_audit::{
    Category, Durability, EventDetail, EventError, EventSource, Receipt, Resource,
};
use strongroom_object::{DeleteObject, DeleteObjectOutput, WriteConditions};

use super::conditions::{last_modified, object_size, one_etag};
use super::request::version_id;
use super::{S3Request, checksum_headers, names, recorded_headers};
use crate::error::{S3Code, S3Error};
use crate::response::Answer;
use crate::xml::{Element, Limits, Malformed, Xml};

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    let refused = [&names::MFA, &names::BYPASS_GOVERNANCE];
    if let Some(name) = refused.iter().find(|name| req.headers.contains_key(**name)) {
        return Err(S3Error::not_implemented(format!("The header `{name}`")));
    }
    require_checksum(&req.headers)?;
    let body = req.read_small_body(LIMITS.bytes).await?;
    let asked = Asked::parse(&body)?;
    let bucket = req.bucket()?.to_owned();
    let req: &S3Request = req;
    let bucket = &bucket;
    let mut deletions: Vec<(usize, Deletion<'_>)> = stream::iter(in_order(asked.objects))
        .map(|objects| async move {
            let mut done = Vec::with_capacity(objects.len());
            for (at, object) in objects {
                let deletion = Deletion::begin(receipt, bucket, object);
                done.push((at, delete_one(req, deletion).await));
            }
            done
        })
        .buffered(AT_ONCE)
        .concat()
        .await;
    deletions.sort_unstable_by_key(|(at, _)| *at);
    let mut deletions: Vec<_> = deletions
        .into_iter()
        .map(|(_, deletion)| deletion)
        .collect();
    refuse_for_the_bucket(&mut deletions)?;
    for deletion in &mut deletions {
        let detail = event(bucket, &deletion.outcome);
        deletion.recorded = true;
        // The request's own event follows and is durable before the answer, and the log keeps
        // the order, so these are durable by then too.
        receipt
            .record(detail, Durability::Buffered)
            .await
            .map_err(S3Error::internal)?;
    }
    let mut answer = Answer::xml(document(
        deletions.iter().map(|deletion| &deletion.outcome),
        asked.quiet,
    ));
    let failed = deletions
        .iter()
        .filter(|deletion| !matches!(deletion.outcome.result, Some(Ok(_))))
        .count();
    answer
        .audit
        .additional
        .insert("objectsAsked".to_owned(), json!(deletions.len()));
    answer
        .audit
        .additional
        .insert("objectsFailed".to_owned(), json!(failed));
    Ok(answer)
}

/// What has to be done one after the other, each with its place in the document. A delete without a
/// version id changes what is there for those of the same name after it; all others are done at once.
fn in_order(objects: Vec<ObjectToDelete>) -> Vec<Vec<(usize, ObjectToDelete)>> {
    let without_id = objects.iter().filter(|object| object.version_id.is_none());
    let changed: HashSet<String> = without_id.map(|object| object.object_key.clone()).collect();
    let mut groups: Vec<Vec<_>> = Vec::with_capacity(objects.len());
    let mut group_of: HashMap<String, usize> = HashMap::new();
    for (at, object) in objects.into_iter().enumerate() {
        let known = group_of.get(&object.object_key).copied();
        if let Some(group) = known.and_then(|group| groups.get_mut(group)) {
            group.push((at, object));
            continue;
        }
        if changed.contains(&object.object_key) {
            group_of.insert(object.object_key.clone(), groups.len());
        }
        groups.push(vec![(at, object)]);
    }
    groups
}

async fn delete_one<'a>(req: &S3Request, mut deletion: Deletion<'a>) -> Deletion<'a> {
    let object = &deletion.outcome.object;
    let result = match object.input(deletion.bucket) {
        Ok(input) => req
            .objects()
            .delete_object(req.scope(deletion.receipt), input)
            .await
            .map_err(S3Error::from),
        Err(refusal) => Err(refusal),
    };
    if let Err(S3Error {
        internal: Some(cause),
        ..
    }) = &result
    {
        tracing::error!(%cause, "an object could not be deleted");
    }
    deletion.outcome.result = Some(result);
    deletion
}

/// A refusal that is not about an object answers the whole request, whose own event says it once.
/// What was deleted before the bucket went is recorded all the same.
fn refuse_for_the_bucket(deletions: &mut Vec<Deletion<'_>>) -> Result<(), S3Error> {
    let mut refusal = Ok(());
    for deletion in deletions.iter_mut() {
        if deletion.outcome.is_about_the_bucket() {
            deletion.recorded = true;
            refusal = deletion
                .outcome
                .result
                .take()
                .map_or(Ok(()), |r| r.map(drop));
        }
    }
    refusal
}

/// One object in the request.
#[derive(Debug, PartialEq, Eq)]
struct ObjectToDelete {
    object_key: String,
    version_id: Option<String>,
    /// What it must be, as it was written.
    etag: Option<String>,
    last_modified: Option<String>,
    size: Option<String>,
}

impl ObjectToDelete {
    /// The request as the conductor takes it.
    fn input(&self, bucket: &str) -> Result<DeleteObject, S3Error> {
        let id = self.version_id.as_deref();
        let etag = self.etag.as_deref();
        let time = self.last_modified.as_deref();
        let size = self.size.as_deref();
        Ok(DeleteObject {
            bucket: bucket.to_owned(),
            object_key: self.object_key.clone(),
            version_id: id.map(|id| version_id("VersionId", id)).transpose()?,
            conditions: WriteConditions {
                if_match: etag.map(|e| one_etag("ETag", e)).transpose()?,
                if_last_modified: time
                    .map(|time| last_modified("LastModifiedTime", time))
                    .transpose()?,
                if_size: size.map(|size| object_size("Size", size)).transpose()?,
                ..WriteConditions::default()
            },
        })
    }

    /// The elements of the document besides the key, as they were written.
    fn elements(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("VersionId", &self.version_id),
            ("ETag", &self.etag),
            ("LastModifiedTime", &self.last_modified),
            ("Size", &self.size),
        ]
        .into_iter()
        .filter_map(|(name, text)| Some((name, text.as_deref()?)))
    }
}

struct Outcome {
    object: ObjectToDelete,
    /// `None` while the deletion is under way.
    result: Option<Result<DeleteObjectOutput, S3Error>>,
}

impl Outcome {
    fn is_about_the_bucket(&self) -> bool {
        match &self.result {
            Some(Err(error)) => {
                matches!(error.code, S3Code::NoSuchBucket | S3Code::InvalidBucketName)
            }
            Some(Ok(_)) | None => false,
        }
    }
}

/// One deletion that was begun. If it is dropped before it was recorded, since the client hung up,
/// it records itself: it may have been carried out.
struct Deletion<'a> {
    receipt: &'a Receipt,
    bucket: &'a str,
    outcome: Outcome,
    recorded: bool,
}

impl<'a> Deletion<'a> {
    fn begin(receipt: &'a Receipt, bucket: &'a str, object: ObjectToDelete) -> Self {
        Self {
            receipt,
            bucket,
            outcome: Outcome {
                object,
                result: None,
            },
            recorded: false,
        }
    }
}

impl Drop for Deletion<'_> {
    fn drop(&mut self) {
        if !self.recorded {
            let detail = event(self.bucket, &self.outcome);
            self.receipt.record_unheard(&detail, false);
        }
    }
}

/// The document.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    objects: Vec<ObjectToDelete>,
    quiet: bool,
}

impl Asked {
    fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let document = Element::parse(body, "Delete", &LIMITS)?;
        document.expect_children(&["Quiet"], &["Object"])?;
        let objects = document
            .children("Object")
            .map(|object| {
                object.expect_children(
                    &["Key", "VersionId", "ETag", "LastModifiedTime", "Size"],
                    &[],
                )?;
                let text = |name| Ok::<_, Malformed>(object.text_of(name)?.map(str::to_owned));
                Ok(ObjectToDelete {
                    object_key: object.required("Key")?.to_owned(),
                    version_id: text("VersionId")?.filter(|id| !id.is_empty()),
                    etag: text("ETag")?,
                    last_modified: text("LastModifiedTime")?,
                    size: text("Size")?,
                })
            })
            .collect::<Result<Vec<_>, Malformed>>()?;
        if objects.is_empty() || objects.len() > OBJECTS_MAX {
            return Err(Malformed("no object, or more than a thousand"));
        }
        Ok(Self {
            objects,
            quiet: document.boolean("Quiet")?.unwrap_or(false),
        })
    }
}

/// Fuzzing: a name that was read is written and read again unchanged.
pub(crate) fn fuzz(body: &[u8]) {
    let Ok(asked) = Asked::parse(body) else {
        return;
    };
    assert!(
        (1..=OBJECTS_MAX).contains(&asked.objects.len()),
        "a list of another length"
    );
    let mut xml = Xml::document("Delete");
    for object in &asked.objects {
        xml.open("Object");
        xml.text("Key", &object.object_key);
        for (name, text) in object.elements() {
            xml.text(name, text);
        }
        xml.close();
    }
    // Escaping may make the document longer than a request may be.
    let limits = Limits {
        bytes: usize::MAX,
        ..LIMITS
    };
    let again = Element::parse(&xml.finish(), "Delete", &limits);
    let same = again.is_ok_and(|document| {
        let names = document
            .children("Object")
            .map(|object| object.text_of("Key"));
        names.eq(asked
            .objects
            .iter()
            .map(|object| Ok(Some(object.object_key.as_str()))))
    });
    assert!(same, "a name changed between writing and reading");
}

/// A damaged list would delete other objects than the caller meant: S3 wants a checksum of it.
pub(super) fn require_checksum(headers: &HeaderMap) -> Result<(), S3Error> {
    let trailer = headers
        .get(names::TRAILER)
        .and_then(|value| value.to_str().ok())
        .and_then(checksum_headers::trailer_algorithm);
    let there = headers.contains_key(names::CONTENT_MD5)
        || trailer.is_some()
        || checksum_headers::value(headers)?.is_some();
    if there {
        return Ok(());
    }
    Err(S3Error::invalid_request(
        "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
    ))
}

fn document<'o>(outcomes: impl Iterator<Item = &'o Outcome>, quiet: bool) -> Bytes {
    let mut xml = Xml::document("DeleteResult");
    for Outcome { object, result } in outcomes {
        match result {
            None => {}
            Some(Ok(_)) if quiet => {}
            Some(Ok(deleted)) => {
                xml.open("Deleted");
                xml.text("Key", &object.object_key);
                xml.optional("VersionId", object.version_id.as_deref());
                if deleted.delete_marker {
                    xml.boolean("DeleteMarker", true);
                    let id = deleted.version_id.map(|id| id.to_string());
                    xml.optional("DeleteMarkerVersionId", id.as_deref());
                }
                xml.close();
            }
            Some(Err(error)) => {
                xml.open("Error");
                xml.text("Key", &object.object_key);
                xml.optional("VersionId", object.version_id.as_deref());
                xml.text("Code", error.code.as_str());
                xml.text("Message", &error.message);
                xml.close();
            }
        }
    }
    xml.finish()
}

fn event(bucket: &str, outcome: &Outcome) -> EventDetail {
    let object = &outcome.object;
    let mut detail = EventDetail::new(EventSource::S3, "DeleteObject", Category::Data, false);
    let mut parameters = Map::new();
    parameters.insert("bucketName".to_owned(), bucket.into());
    parameters.insert("key".to_owned(), object.object_key.as_str().into());
    for (name, text) in object.elements() {
        let name = match name {
            "VersionId" => "versionId",
            "ETag" => "if-match",
            "LastModifiedTime" => "x-amz-if-match-last-modified-time",
            "Size" => "x-amz-if-match-size",
            other => other,
        };
        let shown = recorded_headers::shown(name, text.into()).into_owned();
        parameters.insert(name.to_owned(), shown.into());
    }
    detail.request_parameters = Value::Object(parameters);
    if let Some(Ok(deleted)) = &outcome.result {
        detail.response_elements = response_elements(deleted);
    }
    detail.resources = vec![
        Resource {
            type_name: "AWS::S3::Object",
            arn: format!("arn:aws:s3:::{bucket}/{}", object.object_key),
        },
        Resource {
            type_name: "AWS::S3::Bucket",
            arn: format!("arn:aws:s3:::{bucket}"),
        },
    ];
    detail.error = match &outcome.result {
        Some(Ok(_)) => None,
        Some(Err(error)) => Some(EventError {
            code: error.code.as_str().to_owned(),
            message: error.recorded().to_owned(),
        }),
        None => Some(EventError {
            code: "RequestAborted".to_owned(),
            message: "the client went away; the object may have been deleted".to_owned(),
        }),
    };
    detail
}

/// What came of it, in the words of DeleteObject's own event: bytes went for good unless there is a
/// marker, and its id is what came.
fn response_elements(deleted: &DeleteObjectOutput) -> Value {
    let mut elements = Map::new();
    if deleted.delete_marker {
        elements.insert(names::DELETE_MARKER.to_string(), "true".into());
    }
    if let Some(id) = deleted.version_id {
        elements.insert(names::VERSION_ID.to_string(), id.to_string().into());
    }
    if elements.is_empty() {
        Value::Null
    } else {
        Value::Object(elements)
    }
}

const OBJECTS_MAX: usize = 1_000;
/// Deletes under way at the same time; their commits share one flush.
const AT_ONCE: usize = 32;
pub(crate) const LIMITS: Limits = Limits {
    bytes: 2 * 1024 * 1024,
    elements: 6 * OBJECTS_MAX + 8,
};

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn parse(text: &str) -> Result<Asked, Malformed> {
        Asked::parse(text.as_bytes())
    }

    #[test]
    fn documents_of_stock_clients_are_read() {
        let asked = parse(
            "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Object><Key> a </Key>\
             </Object><Object><Key>b&#xD;</Key><VersionId>null</VersionId></Object>\
             <Quiet>true</Quiet></Delete>",
        )
        .unwrap();
        assert!(asked.quiet);
        assert_eq!(asked.objects[0].object_key, " a ");
        assert_eq!(asked.objects[1].object_key, "b\r");
        assert_eq!(asked.objects[1].version_id.as_deref(), Some("null"));
        assert!(asked.objects.iter().all(|object| object.etag.is_none()));
        let asked = parse(
            "<Delete><Object><Key>a</Key><ETag>\"e\"</ETag><Size>7</Size><LastModifiedTime>Sun, \
             06 Nov 1994 08:49:37 GMT</LastModifiedTime></Object></Delete>",
        )
        .unwrap();
        assert!(!asked.quiet);
        let conditions = asked.objects[0].input("b").unwrap().conditions;
        assert_eq!(conditions.if_match.as_deref(), Some("e"));
        assert_eq!(conditions.if_size, Some(7));
        assert_eq!(conditions.if_last_modified, Some(784_111_777));
        assert!(!conditions.if_none_match_any);
    }

    #[test]
    fn names_without_an_id_are_deleted_in_their_order() {
        let object = |(name, id): &(&str, &str)| ObjectToDelete {
            object_key: (*name).to_owned(),
            version_id: (!id.is_empty()).then(|| (*id).to_owned()),
            etag: None,
            last_modified: None,
            size: None,
        };
        let groups = |asked: &[(&str, &str)]| -> Vec<Vec<usize>> {
            let objects = asked.iter().map(object).collect();
            let at = |group: Vec<(usize, _)>| group.into_iter().map(|(at, _)| at).collect();
            in_order(objects).into_iter().map(at).collect()
        };
        assert_eq!(groups(&[("a", ""), ("b", "")]), [[0], [1]]);
        // Versions do not meet each other.
        let versions = [("a", "1"), ("a", "2"), ("a", "1"), ("b", "")];
        assert_eq!(groups(&versions), [[0], [1], [2], [3]]);
        for id in ["", "null", "1"] {
            let mixed = [("a", id), ("b", "1"), ("a", ""), ("b", "2"), ("a", "null")];
            assert_eq!(groups(&mixed), [vec![0, 2, 4], vec![1], vec![3]]);
        }
    }

    #[test]
    fn sec_n45_a_thousand_objects_are_the_most() {
        let list = |count| {
            format!(
                "<Delete>{}</Delete>",
                "<Object><Key>a</Key></Object>".repeat(count)
            )
        };
        assert_eq!(parse(&list(1_000)).unwrap().objects.len(), 1_000);
        for count in [0, 1_001, 2_000, 10_000] {
            assert!(parse(&list(count)).is_err(), "{count}");
        }
    }

    #[test]
    fn sec_n54_other_documents_are_refused() {
        for bad in [
            "",
            "<Delete>",
            "<delete><Object><Key>a</Key></Object></delete>",
            "<Delete><Object/></Delete>",
            "<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>",
            "<Delete><Object><Name>a</Name></Object></Delete>",
            "<Delete><Object><key>a</key></Object></Delete>",
            "<Delete><Object><Key><b/></Key></Object></Delete>",
            "<Delete><Object>a</Object></Delete>",
            "<Delete><Key>a</Key></Delete>",
            "<Delete><Object><Key>a</Key></Object><Quiet>maybe</Quiet></Delete>",
            "<Delete><Object><Key>a</Key></Object><Quiet>true</Quiet><Quiet>false</Quiet></Delete>",
            "<Delete><Object><Key>a</Key></Object><Other/></Delete>",
            "<!DOCTYPE Delete><Delete><Object><Key>a</Key></Object></Delete>",
            "<Delete><Object><Key>\u{1}</Key></Object></Delete>",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sec_n59_a_checksum_is_required() {
        let headers = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            headers
        };
        for (name, value) in [
            ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="),
            ("x-amz-checksum-crc32", "y/Q5Jg=="),
            ("x-amz-trailer", "x-amz-checksum-crc64nvme"),
        ] {
            require_checksum(&headers(name, value)).unwrap();
        }
        for (name, value) in [
            ("x-other", ""),
            ("x-amz-sdk-checksum-algorithm", "CRC32"),
            ("x-amz-checksum-mode", "ENABLED"),
            ("x-amz-trailer", "x-amz-meta-a"),
            ("x-amz-checksum-crc32", "AAAA"),
            ("x-amz-checksum-sha512", "AAAA"),
            ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        ] {
            let error = require_checksum(&headers(name, value)).unwrap_err();
            assert_eq!(error.code.as_str(), "InvalidRequest", "{name}");
        }
    }

    #[test]
    fn each_name_is_answered_and_recorded_by_itself() {
        let outcome = |object_key: &str, result| Outcome {
            object: ObjectToDelete {
                object_key: object_key.to_owned(),
                version_id: None,
                etag: None,
                last_modified: None,
                size: None,
            },
            result: Some(result),
        };
        let outcomes = [
            outcome("a&b", Ok(DeleteObjectOutput::default())),
            outcome("c", Err(S3Error::from_code(S3Code::AccessDenied))),
        ];
        let text = String::from_utf8(document(outcomes.iter(), false).to_vec()).unwrap();
        assert!(text.contains(
            "<Deleted><Key>a&amp;b</Key></Deleted><Error><Key>c</Key><Code>AccessDenied</Code>\
             <Message>Access Denied</Message></Error></DeleteResult>"
        ));
        let text = String::from_utf8(document(outcomes.iter(), true).to_vec()).unwrap();
        assert!(!text.contains("Deleted>") && text.contains("<Key>c</Key>"));
        assert!(event("b", &outcomes[0]).error.is_none());
        assert_eq!(event("b", &outcomes[1]).error.unwrap().code, "AccessDenied");
        let mut begun = outcome("d", Ok(DeleteObjectOutput::default()));
        begun.result = None;
        assert_eq!(event("b", &begun).error.unwrap().code, "RequestAborted");
    }
}

// SPDX-License-Identifier: Apache-2.0
//! An upload form, from its first byte to the content of its file.
//!
//! The credentials are fields of the form, so this much is read before anybody knows who sent it:
//! at most 20 KiB, and as slowly as any body may come.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use http::request::Parts;
use http::{HeaderMap, header};
use strongroom_wire::form::{BoundaryError, parse_content_type};

use super::Address;
use crate::body::{Frames, Framing, RequestBody};
use crate::error::S3Error;
use crate::query::Query;
use crate::s3::form_fields::{self, FormFields};
use crate::s3::post_object;

/// A form that was read up to the content of its file. Nothing in it is believed yet.
pub(super) struct OpenedForm {
    /// The fields.
    pub(super) fields: FormFields,
    /// The bucket of the request, and the object's name out of the form.
    pub(super) address: Address,
    /// The fields as headers.
    pub(super) headers: HeaderMap,
    /// The content of the file, to come.
    pub(super) body: RequestBody,
}

/// Whether the request says that it is a form. One that does not needs credentials elsewhere.
pub(super) fn is_announced(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| parse_content_type(value.as_bytes()) != Err(BoundaryError::NotAForm))
}

/// What a form says is in its fields, which the policy names: parameters of the URL are signed by
/// nobody, and are refused rather than ignored.
pub(super) fn refuse_query(query: &Query) -> Result<(), S3Error> {
    match query.iter().find(|(name, _)| *name != "x-id") {
        None => Ok(()),
        Some((name, _)) => Err(S3Error::not_implemented("A query parameter of a form")
            .with("Parameter", name.chars().take(128).collect::<String>())),
    }
}

/// Reads the fields of a form.
pub(super) async fn open(
    parts: &Parts,
    frames: Frames,
    address: &Address,
    wire_bytes: &Arc<AtomicU64>,
) -> Result<OpenedForm, S3Error> {
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let content_type = content_type.ok_or_else(post_object::not_a_form)?;
    let boundary = parse_content_type(content_type.as_bytes()).map_err(|error| match error {
        BoundaryError::NotAForm => post_object::not_a_form(),
        BoundaryError::Boundary => form_fields::malformed(),
    })?;
    let framing = Framing::form(&boundary);
    let mut body = RequestBody::new(frames, framing, None, Arc::clone(wire_bytes));
    let fields = FormFields::new(body.form_head().await?)?;
    let address = Address {
        bucket: address.bucket.clone(),
        object_key: Some(fields.object_key()?),
    };
    let headers = fields.headers(&parts.headers)?;
    Ok(OpenedForm {
        fields,
        address,
        headers,
        body,
    })
}

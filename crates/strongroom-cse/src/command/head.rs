// SPDX-License-Identifier: Apache-2.0
//! `strongroom cse head`: the metadata of an object, in terms of its plaintext.

use serde_json::{Map, Value, json};

use crate::cli::HeadArgs;
use crate::connect::Services;
use crate::error::Error;
use crate::place::Object;
use crate::show;

pub(super) async fn run(args: HeadArgs) -> Result<(), Error> {
    let object = Object::parse(&args.object)?;
    let s3 = Services::find(&args.service).await?.keyless()?;
    let head = s3
        .head_object(&object.bucket, &object.key)
        .send()
        .await
        .map_err(Error::object(&object))?;
    let mut out = Map::new();
    out.insert("object".to_owned(), json!(object.to_string()));
    out.insert("plaintext_bytes".to_owned(), json!(head.plaintext_bytes));
    out.insert("stored_bytes".to_owned(), json!(head.stored_bytes));
    let modified = head.last_modified_s.and_then(super::ls::date);
    out.insert("last_modified".to_owned(), json!(modified));
    out.insert("etag".to_owned(), json!(head.e_tag));
    out.insert("version_id".to_owned(), json!(head.version_id));
    out.insert("content_type".to_owned(), json!(head.content_type));
    out.insert("metadata".to_owned(), json!(head.metadata));
    match &head.encryption {
        Ok(found) => {
            out.insert("format".to_owned(), json!(found.envelope.format()));
            out.insert("wrap".to_owned(), json!(found.envelope.wrap().name()));
        }
        Err(strongroom_client::Error::NotEncrypted) => {
            out.insert("format".to_owned(), Value::Null);
        }
        Err(error) => {
            out.insert("format".to_owned(), Value::Null);
            out.insert("damaged".to_owned(), json!(error.to_string()));
        }
    }
    show::print_json(&Value::Object(out), true)
}

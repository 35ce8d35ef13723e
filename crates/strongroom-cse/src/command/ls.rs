// SPDX-License-Identifier: Apache-2.0
//! `strongroom cse ls`: objects with the sizes of their plaintext.
//!
//! A listing does not say whether an object is encrypted, so each one is asked, several at a time.

use futures_util::stream::{self, StreamExt as _};
use serde_json::json;
use strongroom_client::envelope::Cipher;
use strongroom_client::s3::{HeadObjectOutput, ListedObject};
use strongroom_client::{EncryptedS3, Error as ClientError};

use crate::cli::LsArgs;
use crate::connect::Services;
use crate::error::Error;
use crate::place::{Object, split};
use crate::show;

pub(super) async fn run(args: LsArgs) -> Result<(), Error> {
    let (bucket, prefix) = split(&args.place).ok_or_else(|| {
        Error::usage(format!(
            "`{}`: write s3://BUCKET or s3://BUCKET/PREFIX",
            args.place
        ))
    })?;
    let s3 = Services::find(&args.service).await?.keyless()?;
    let mut token: Option<String> = None;
    let mut failed = 0_usize;
    loop {
        let mut list = s3.list_objects_v2(bucket);
        if !prefix.is_empty() {
            list = list.prefix(prefix);
        }
        if !args.recursive {
            list = list.delimiter("/");
        }
        if let Some(token) = &token {
            list = list.continuation_token(token);
        }
        let page = list.send().await.map_err(Error::object(&args.place))?;
        for folder in &page.common_prefixes {
            print(&args, &Line::Folder(folder))?;
        }
        let shown = page
            .contents
            .iter()
            .filter(|one| args.all || !one.is_instruction_file);
        let s3 = &s3;
        let mut heads = stream::iter(shown)
            .map(|one| async move { (one, head(s3, bucket, one).await) })
            .buffered(AT_ONCE);
        while let Some((listed, head)) = heads.next().await {
            match head {
                Ok(head) => print(&args, &Line::Object(listed, &head))?,
                // Gone since the listing.
                Err(error) if error.is_not_found() => {}
                Err(error) => {
                    failed = failed.saturating_add(1);
                    let object = Object {
                        bucket: bucket.to_owned(),
                        key: listed.key.clone(),
                    };
                    show::warn(&Error::object(object)(error).to_string());
                }
            }
        }
        token = page.next_continuation_token;
        if token.is_none() {
            break;
        }
    }
    match failed {
        0 => Ok(()),
        failed => Err(Error::Partly(failed)),
    }
}

async fn head(
    s3: &EncryptedS3,
    bucket: &str,
    one: &ListedObject,
) -> Result<HeadObjectOutput, ClientError> {
    s3.head_object(bucket, &one.key).send().await
}

enum Line<'a> {
    Folder(&'a str),
    Object(&'a ListedObject, &'a HeadObjectOutput),
}

fn print(args: &LsArgs, line: &Line<'_>) -> Result<(), Error> {
    if args.json {
        let document = match line {
            Line::Folder(name) => json!({ "prefix": name }),
            Line::Object(listed, head) => json!({
                "key": listed.key,
                "plaintext_bytes": head.plaintext_bytes,
                "stored_bytes": head.stored_bytes,
                "last_modified": listed.last_modified_s.and_then(date),
                "format": head.encryption.as_ref().ok().map(|found| found.envelope.format()),
                "damaged": damaged(head),
            }),
        };
        return show::print_json(&document, false);
    }
    let text = match line {
        Line::Folder(name) => format!(
            "{:20} {:>15} {:3}  {}\n",
            "",
            "PRE",
            "",
            show::on_one_line(name)
        ),
        Line::Object(listed, head) => {
            let (size, format) = size_and_format(head);
            format!(
                "{:20} {size:>15} {format:3}  {}\n",
                listed.last_modified_s.and_then(date).unwrap_or_default(),
                show::on_one_line(&listed.key)
            )
        }
    };
    show::print(&text)
}

fn size_and_format(head: &HeadObjectOutput) -> (String, &'static str) {
    match &head.encryption {
        Ok(found) => {
            let size = match head.plaintext_bytes {
                Some(bytes) => bytes.to_string(),
                None if found.envelope.cipher() == Cipher::Cbc => format!("~{}", head.stored_bytes),
                None => "?".to_owned(),
            };
            (size, found.envelope.format())
        }
        Err(ClientError::NotEncrypted) => (head.stored_bytes.to_string(), "-"),
        Err(_) => ("?".to_owned(), "BAD"),
    }
}

fn damaged(head: &HeadObjectOutput) -> Option<String> {
    match &head.encryption {
        Ok(_) | Err(ClientError::NotEncrypted) => None,
        Err(error) => Some(error.to_string()),
    }
}

/// A time as S3 writes it.
pub(super) fn date(seconds: i64) -> Option<String> {
    jiff::Timestamp::from_second(seconds)
        .ok()
        .map(|time| time.to_string())
}

/// Objects that are asked at the same time.
const AT_ONCE: usize = 16;

// SPDX-License-Identifier: Apache-2.0
//! `strongroom cse cat`: objects to standard output, once they are verified.

use std::io::{self, Write as _};

use strongroom_client::envelope::TextMap;
use strongroom_client::{ByteRange, EncryptedS3};

use crate::cli::CatArgs;
use crate::connect::Services;
use crate::error::Error;
use crate::maps;
use crate::place::Object;
use crate::size::Range;

pub(super) async fn run(args: CatArgs) -> Result<(), Error> {
    let context = maps::pairs("--context", &args.keys.context)?;
    let objects: Vec<Object> = args
        .objects
        .iter()
        .map(|text| Object::parse(text))
        .collect::<Result<_, _>>()?;
    let range = args
        .range
        .as_deref()
        .map(|text| {
            Range::parse(text)
                .ok_or_else(|| Error::usage(format!("--range: `{text}`: write 0-99, 100- or -40")))
        })
        .transpose()?;
    let services = Services::find(&args.service).await?;
    let s3 = services
        .client(services.keyring(&args.keys)?, &args.reading)
        .build()
        .map_err(Error::object("settings"))?;
    for object in &objects {
        match range {
            None => whole(&s3, object, &context).await?,
            Some(range) if args.unverified => unverified(&s3, object, &context, range).await?,
            Some(range) => part(&s3, object, &context, range).await?,
        }
    }
    Ok(())
}

/// All of an object.
pub(super) async fn whole(
    s3: &EncryptedS3,
    object: &Object,
    context: &TextMap,
) -> Result<(), Error> {
    copy(s3, object, context, |_| Some((0, u64::MAX))).await
}

async fn part(
    s3: &EncryptedS3,
    object: &Object,
    context: &TextMap,
    range: Range,
) -> Result<(), Error> {
    copy(s3, object, context, |len| range.within(len)).await
}

/// Writes what is wanted of a verified object: `wanted` says where it begins and how much it is.
async fn copy(
    s3: &EncryptedS3,
    object: &Object,
    context: &TextMap,
    wanted: impl FnOnce(u64) -> Option<(u64, u64)>,
) -> Result<(), Error> {
    let mut found = s3
        .get_object(&object.bucket, &object.key)
        .encryption_contexts(context.clone())
        .send()
        .await
        .map_err(Error::object(object))?;
    let range = || Error::object(object)(strongroom_client::Error::Range);
    let (mut skip, mut left) = wanted(found.content_length).ok_or_else(range)?;
    while let Some(bytes) = found.body.next().await.map_err(Error::object(object))? {
        let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(bytes.len());
        skip = skip.saturating_sub(u64::try_from(skipped).unwrap_or(u64::MAX));
        let rest = bytes.get(skipped..).unwrap_or_default();
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
        left = left.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
        if !write(rest.get(..count).unwrap_or_default())? {
            return Ok(());
        }
    }
    write(&[]).map(|_| ())
}

async fn unverified(
    s3: &EncryptedS3,
    object: &Object,
    context: &TextMap,
    range: Range,
) -> Result<(), Error> {
    let range = match range {
        Range::Span(first, last) => ByteRange::FromTo(first, last),
        Range::From(first) => ByteRange::From(first),
        Range::Last(count) => ByteRange::Last(count),
    };
    let mut found = s3
        .get_range_unverified(&object.bucket, &object.key, range)
        .encryption_contexts(context.clone())
        .send()
        .await
        .map_err(Error::object(object))?;
    while let Some(bytes) = found.body.next().await.map_err(Error::object(object))? {
        if !write(&bytes)? {
            return Ok(());
        }
    }
    write(&[]).map(|_| ())
}

/// Whether somebody still reads.
fn write(bytes: &[u8]) -> Result<bool, Error> {
    let mut out = io::stdout().lock();
    let done = if bytes.is_empty() {
        out.flush()
    } else {
        out.write_all(bytes)
    };
    match done {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(source) => Err(Error::Io {
            doing: "cannot write to standard output".to_owned(),
            source,
        }),
    }
}

// SPDX-License-Identifier: Apache-2.0
//! `strongroom cse cp`: a file into an object, an object into a file.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use strongroom_client::transport::TransportErrorKind;
use strongroom_client::{EncryptedS3, Error as ClientError, Plaintext, Storage};

use super::cat;
use crate::cli::CpArgs;
use crate::connect::Services;
use crate::error::Error;
use crate::place::{Object, Place};
use crate::{files, input, maps, progress, show};

pub(super) async fn run(args: CpArgs) -> Result<(), Error> {
    match (Place::parse(&args.source)?, Place::parse(&args.target)?) {
        (Place::Object(_), Place::Object(_)) => Err(Error::usage(
            "both are objects: `strongroom cse reencrypt` encrypts anew, and `aws s3 cp` copies an encrypted \
             object as it is (with its KEY.instruction, if it has one)",
        )),
        (Place::Object(source), target) => {
            let source = Object::parse(&source.to_string())?;
            download(&args, &source, target).await
        }
        (source, Place::Object(target)) => upload(&args, source, target).await,
        _ => Err(Error::usage(
            "one of the two must be an object: s3://BUCKET/KEY",
        )),
    }
}

async fn upload(args: &CpArgs, source: Place, mut target: Object) -> Result<(), Error> {
    if target.key.is_empty() || target.key.ends_with('/') {
        let name = match &source {
            Place::File(path) => path.file_name().and_then(|name| name.to_str()),
            _ => None,
        };
        target.key.push_str(name.ok_or_else(|| {
            Error::usage(format!(
                "`{target}` is a folder: say the whole key of the object"
            ))
        })?);
    }
    target.check_writable()?;
    let metadata = maps::metadata(&args.writing.metadata)?;
    let context = maps::pairs("--context", &args.keys.context)?;
    let (len, path) = match &source {
        Place::File(path) => (Some(files::source_len(path)?), Some(path.as_path())),
        _ => (None, None),
    };
    check_part_size(args.part_size, len)?;
    let services = Services::find(&args.service).await?;
    // Going on with an upload wants the data key, which a public key does not give back.
    let (s3, can_go_on) = client(args, &services)?;
    let body = if let Some(path) = path {
        Plaintext::from_path(path).map_err(Error::file("open", path))?
    } else {
        let input = input::standard().map_err(|source| Error::Io {
            doing: "cannot read standard input".to_owned(),
            source,
        })?;
        Plaintext::from_reader(input)
    };
    let mut was_begun = false;
    let bar = progress::bar(args.quiet, &target.to_string(), len);
    let tick = bar.clone();
    let mut put = s3
        .put_object(&target.bucket, &target.key)
        .body(body)
        .encryption_contexts(context)
        .on_progress(move |bytes| tick.inc(bytes));
    for (name, value) in metadata {
        put = put.metadata(name, value);
    }
    if let Some(kind) = &args.writing.content_type {
        put = put.content_type(kind);
    }
    if let Some(path) = path {
        let state = state_file(args, &services, path, &target)?;
        if args.no_resume && state.exists() {
            end(&s3, &state, &target).await?;
        }
        if can_go_on {
            was_begun = files::is_filled(&state);
            put = put.resumable(state);
        }
    }
    let done = put.send().await;
    bar.finish_and_clear();
    if let (Err(error), true) = (&done, was_begun)
        && let Some(wants) = wanted(error)
    {
        show::warn(&format!(
            "{target}: an upload of this file was interrupted and goes on only with {wants}: \
             --no-resume begins again"
        ));
    }
    let done = done.map_err(Error::object(&target))?;
    if args.writing.instruction_file {
        show::place_of_key(&target, done.storage);
    }
    if done.resumed_parts > 0 && !args.quiet {
        show::warn(&format!(
            "{target}: went on with an interrupted upload, {} of {} parts were there",
            done.resumed_parts, done.parts
        ));
    }
    Ok(())
}

/// What an upload that goes on may lack, if it fails so.
fn wanted(error: &ClientError) -> Option<&'static str> {
    match error {
        ClientError::WrongKey
        | ClientError::UnknownDescription(_)
        | ClientError::WrongContext
        | ClientError::KeyService(_) => Some("its own key and context"),
        // As of parts that the store does not take.
        ClientError::Transport(error) if error.kind == TransportErrorKind::Other => {
            Some("parts as long as it was begun with")
        }
        _ => None,
    }
}

/// S3 takes no parts below 5 MiB but the last one, and says so when all were sent. Of standard input
/// nobody knows whether one will be enough.
fn check_part_size(part: Option<u64>, len: Option<u64>) -> Result<(), Error> {
    match part {
        Some(part) if part < PART_BYTES_MIN && len.is_none_or(|len| len > part) => Err(
            Error::usage("--part-size: S3 takes no parts below 5MiB, and this needs several"),
        ),
        _ => Ok(()),
    }
}

/// Ends an interrupted upload. A record that nobody can read any more goes all the same.
async fn end(s3: &EncryptedS3, state: &Path, target: &Object) -> Result<(), Error> {
    match s3.abort_resumable(state).await {
        Err(ClientError::State(why)) => {
            show::warn(&format!(
                "{target}: the record of the interrupted upload cannot be used ({why}) and is removed; what it \
                 left at the store stays there: `aws s3api list-multipart-uploads`"
            ));
            files::remove(state);
            Ok(())
        }
        ended => ended.map_err(Error::object(target)),
    }
}

async fn download(args: &CpArgs, source: &Object, target: Place) -> Result<(), Error> {
    let context = maps::pairs("--context", &args.keys.context)?;
    let Place::File(path) = target else {
        let services = Services::find(&args.service).await?;
        let (s3, _) = client(args, &services)?;
        return cat::whole(&s3, source, &context).await;
    };
    let target = files::Target::look(&files::in_folder(&path, source.file_name())?)?;
    let services = Services::find(&args.service).await?;
    let (s3, _) = client(args, &services)?;
    // Only a bar wants to know how much it will be.
    let len = if args.quiet || !io::stderr().is_terminal() {
        None
    } else {
        let head = s3.head_object(&source.bucket, &source.key).send().await;
        head.ok().and_then(|head| head.plaintext_bytes)
    };
    let bar = progress::bar(args.quiet, &source.to_string(), len);
    let tick = bar.clone();
    let mut get = s3
        .get_object(&source.bucket, &source.key)
        .encryption_contexts(context)
        .on_progress(move |bytes| tick.inc(bytes));
    if let Some((mode, group)) = target.access {
        get = get.file_mode(mode).file_group(group);
    }
    let done = get.download_to(&target.path).await;
    bar.finish_and_clear();
    done.map_err(Error::object(source))?;
    Ok(())
}

/// A client, and whether its keys open what they encrypt.
fn client(args: &CpArgs, services: &Services) -> Result<(EncryptedS3, bool), Error> {
    let (keyring, opens_its_own) = services.keys(&args.keys)?;
    let mut builder = services
        .client(keyring, &args.reading)
        .concurrency(usize::from(args.parallel));
    if let Some(bytes) = args.part_size {
        builder = builder.part_bytes(bytes);
    }
    if args.writing.instruction_file {
        builder = builder.storage(Storage::InstructionFile);
    }
    let s3 = builder.build().map_err(Error::object("settings"))?;
    Ok((s3, opens_its_own))
}

/// Where the upload of this file to this object is recorded: a name that follows from both, so that
/// the same command finds it again.
fn state_file(
    args: &CpArgs,
    services: &Services,
    source: &Path,
    target: &Object,
) -> Result<PathBuf, Error> {
    // A variable that is empty is one that is not set.
    let set = |path: &Option<PathBuf>| path.clone().filter(|path| !path.as_os_str().is_empty());
    let folder = match (set(&args.state), set(&args.state_home), set(&args.home)) {
        (Some(folder), _, _) => folder,
        (None, Some(state), _) if state.is_absolute() => state.join("strongroom/cse"),
        (None, _, Some(home)) => home.join(".local/state/strongroom/cse"),
        _ => {
            return Err(Error::usage(
                "no home directory: say by --state where uploads that may go on later are recorded",
            ));
        }
    };
    files::private_folder(&folder)?;
    let source = files::absolute(source)?;
    let mut hash = digest::Context::new(&digest::SHA256);
    for part in [
        source.as_os_str().as_encoded_bytes(),
        services.s3_address().as_bytes(),
        target.bucket.as_bytes(),
        target.key.as_bytes(),
    ] {
        hash.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    Ok(folder.join(format!("upload-{}", hex::encode(hash.finish()))))
}

/// S3's limit.
const PART_BYTES_MIN: u64 = 5 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_parts_are_for_what_needs_one() {
        for (part, len) in [
            (None, None),
            (None, Some(1 << 40)),
            (Some(PART_BYTES_MIN), None),
            (Some(65_536), Some(65_536)),
        ] {
            check_part_size(part, len).unwrap();
        }
        for (part, len) in [
            (65_536, None),
            (65_536, Some(65_537)),
            (PART_BYTES_MIN - 16, Some(1 << 30)),
        ] {
            assert!(check_part_size(Some(part), len).is_err(), "{part} {len:?}");
        }
    }
}

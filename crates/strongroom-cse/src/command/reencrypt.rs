// SPDX-License-Identifier: Apache-2.0
//! `strongroom cse reencrypt`: an object anew, with a new data key, in the format that is written now.

use strongroom_client::Storage;
use strongroom_client::envelope::TextMap;

use crate::cli::ReencryptArgs;
use crate::connect::Services;
use crate::error::Error;
use crate::place::Object;
use crate::{maps, progress, show};

pub(super) async fn run(args: ReencryptArgs) -> Result<(), Error> {
    let object = Object::parse(&args.object)?;
    let target = match &args.target {
        Some(text) => Object::parse(text)?,
        None => object.clone(),
    };
    target.check_writable()?;
    let context = maps::pairs("--context", &args.keys.context)?;
    let services = Services::find(&args.service).await?;
    let keyring = services.keyring(&args.keys)?;
    let from = services
        .client(keyring.clone(), &args.reading)
        .build()
        .map_err(Error::object("settings"))?;
    let new = services.new_keyring(&args.to)?;
    let mut to = services.client(new.unwrap_or(keyring), &args.reading);
    if args.instruction_file {
        to = to.storage(Storage::InstructionFile);
    }
    let to = to.build().map_err(Error::object("settings"))?;
    let bar = progress::bar(args.quiet, &target.to_string(), None);
    let tick = bar.clone();
    let mut reencrypt = from
        .reencrypt(&object.bucket, &object.key)
        .encryption_contexts(context)
        .to(to)
        .to_key(&target.bucket, &target.key)
        .on_progress(move |bytes| tick.inc(bytes));
    if args.to.to_master_key.is_some() {
        // A wrapping key of one's own binds none.
        reencrypt = reencrypt.to_context(TextMap::new());
    } else if !args.to.to_context.is_empty() {
        reencrypt = reencrypt.to_context(maps::pairs("--to-context", &args.to.to_context)?);
    }
    let done = reencrypt.send().await;
    bar.finish_and_clear();
    let done = done.map_err(Error::object(&object))?;
    if args.instruction_file {
        show::place_of_key(&target, done.storage);
    }
    show::print(&format!(
        "{target}: {} bytes of plaintext\n",
        done.plaintext_bytes
    ))
}

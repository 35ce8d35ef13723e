// SPDX-License-Identifier: Apache-2.0
//! `strongroom cse rewrap`: the data key of an object under another key.

use crate::cli::RewrapArgs;
use crate::connect::Services;
use crate::error::Error;
use crate::place::Object;
use crate::{maps, show};

pub(super) async fn run(args: RewrapArgs) -> Result<(), Error> {
    let object = Object::parse(&args.object)?;
    let context = maps::pairs("--context", &args.keys.context)?;
    let services = Services::find(&args.service).await?;
    let to = services
        .new_keyring(&args.to)?
        .ok_or_else(|| Error::usage("no new key: say --to-kms-key KEY or --to-master-key FILE"))?;
    let s3 = services
        .client(services.keyring(&args.keys)?, &args.reading)
        .build()
        .map_err(Error::object("settings"))?;
    let mut rewrap = s3
        .rewrap(&object.bucket, &object.key)
        .encryption_contexts(context)
        .to(to);
    if args.to.to_master_key.is_some() {
        // A wrapping key of one's own binds none.
        rewrap = rewrap.to_context(strongroom_client::envelope::TextMap::new());
    } else if !args.to.to_context.is_empty() {
        rewrap = rewrap.to_context(maps::pairs("--to-context", &args.to.to_context)?);
    }
    let done = rewrap.send().await.map_err(Error::object(&object))?;
    show::print(&format!(
        "{object}: {} -> {}\n",
        done.envelope_before.wrap().name(),
        done.envelope_after.wrap().name()
    ))
}

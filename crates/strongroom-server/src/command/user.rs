// SPDX-License-Identifier: Apache-2.0
//! `strongroom user add | list | remove`.

use std::fmt::Write as _;

use zeroize::Zeroizing;

use crate::cli::UserCommand;
use crate::config::Place;
use crate::control::{Answer, Request, client};
use crate::error::Error;
use crate::output;

pub(crate) async fn run(command: UserCommand) -> Result<(), Error> {
    let (place, _file) = Place::resolve(command.place())?;
    let request = match command {
        UserCommand::Add { name, .. } => Request::UserAdd { name },
        UserCommand::List { .. } => Request::UserList {},
        UserCommand::Remove { name, .. } => Request::UserRemove { name },
    };
    let answer = client::ask(&place, &request, &|_| ()).await?;
    let mut text = Zeroizing::new(String::new());
    // Writing to a string cannot fail.
    let _ok = match answer {
        Answer::UserAdded {
            name,
            arn,
            access_key,
        } => write!(
            text,
            "Added user {name} ({arn}).\n\
             This is the only time the secret access key is shown:\n\n\
             AWS_ACCESS_KEY_ID={}\n\
             AWS_SECRET_ACCESS_KEY={}\n",
            access_key.access_key_id,
            access_key.expose_secret()
        ),
        Answer::Users(users) if users.is_empty() => {
            writeln!(
                text,
                "No users besides root; `strongroom user add NAME` makes one."
            )
        }
        Answer::Users(users) => users.iter().try_for_each(|user| {
            let keys = user.access_key_ids.join(",");
            writeln!(
                text,
                "{}\t{}\t{}\t{keys}",
                user.name, user.created, user.arn
            )
        }),
        Answer::UserRemoved {} => {
            writeln!(text, "Removed; its access keys are refused from now on.")
        }
        _ => {
            return Err(Error::Refused("the server gave another answer".to_owned()));
        }
    };
    output::print(&text)
}

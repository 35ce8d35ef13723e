// SPDX-License-Identifier: Apache-2.0
//! `strongroom user add | list | policy | remove`.

use std::fmt::Write as _;
use std::path::Path;

use strongroom_store::drive::small_file;
use zeroize::Zeroizing;

use crate::cli::UserCommand;
use crate::config::Place;
use crate::control::{Answer, Request, client};
use crate::error::Error;
use crate::output;

pub(crate) async fn run(command: UserCommand) -> Result<(), Error> {
    let (place, _file) = Place::resolve(command.place())?;
    let request = match command {
        UserCommand::Add { name, policy, .. } => Request::UserAdd {
            name,
            policy: policy.as_deref().map(read_policy).transpose()?,
        },
        UserCommand::List { .. } => Request::UserList {},
        UserCommand::Policy {
            name, remove: true, ..
        } => Request::UserPolicyRemove { name },
        UserCommand::Policy { name, file, .. } => match file {
            None => Request::UserPolicy { name },
            Some(file) => Request::UserPolicySet {
                name,
                policy: read_policy(&file)?,
            },
        },
        UserCommand::Remove { name, .. } => Request::UserRemove { name },
    };
    let answer = client::ask(&place, &request, &|_| ()).await?;
    let mut text = Zeroizing::new(String::new());
    let mut shown_once = None;
    // Writing to a string cannot fail.
    let _ok = match answer {
        Answer::UserAdded {
            name,
            arn,
            access_key,
        } => {
            shown_once = Some(format!(
                "user {name} is there, but its secret access key is lost: `strongroom user remove \
                 {name}`, and add it again"
            ));
            write!(
                text,
                "Added user {name} ({arn}).\n\
                 This is the only time the secret access key is shown:\n\n\
                 AWS_ACCESS_KEY_ID={}\n\
                 AWS_SECRET_ACCESS_KEY={}\n",
                access_key.access_key_id,
                access_key.expose_secret()
            )
        }
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
                "{}\t{}\t{}\t{keys}\t{}",
                user.name, user.created, user.arn, user.access
            )
        }),
        Answer::UserPolicy(Some(policy)) => writeln!(text, "{}", policy.trim_end()),
        Answer::UserPolicy(None) => writeln!(text, "No policy: the user has full access."),
        Answer::UserPolicySet {} => writeln!(text, "Set; it counts from the next request on."),
        Answer::UserPolicyRemoved {} => {
            writeln!(text, "Removed; the user has full access from now on.")
        }
        Answer::UserRemoved {} => {
            writeln!(text, "Removed; its access keys are refused from now on.")
        }
        _ => {
            return Err(Error::Refused("the server gave another answer".to_owned()));
        }
    };
    match shown_once {
        Some(true_now) => output::print_once(&text, &true_now),
        None => output::print(&text),
    }
}

fn read_policy(path: &Path) -> Result<String, Error> {
    let doing = "read the policy";
    let bytes = small_file::read(path)
        .map_err(Error::file(doing, path))?
        .ok_or_else(|| Error::file(doing, path)(std::io::ErrorKind::NotFound.into()))?;
    String::from_utf8(bytes).map_err(|_| {
        let path = path.display();
        Error::Config(format!("the policy in `{path}` is not UTF-8 text"))
    })
}

// SPDX-License-Identifier: Apache-2.0
//! `strongroom inspect`: how something is stored and sealed. JSON, so that it reads well for
//! people and for `jq`.

use crate::cli::InspectCommand;
use crate::config::Place;
use crate::control::{Answer, Request, client};
use crate::error::Error;
use crate::output;

pub(crate) async fn run(command: InspectCommand) -> Result<(), Error> {
    let InspectCommand::Object {
        uri,
        version_id,
        place,
    } = command;
    let (bucket, object_key) = split_uri(&uri)?;
    let request = Request::InspectObject {
        bucket,
        object_key,
        version_id,
    };
    let (place, _file) = Place::resolve(&place)?;
    match client::ask(&place, &request, &|_| ()).await? {
        Answer::Inspection(facts) => output::print_json(&facts),
        _ => Err(Error::Refused("the server gave another answer".to_owned())),
    }
}

fn split_uri(uri: &str) -> Result<(String, String), Error> {
    uri.strip_prefix("s3://")
        .and_then(|rest| rest.split_once('/'))
        .filter(|(bucket, object_key)| !bucket.is_empty() && !object_key.is_empty())
        .map(|(bucket, object_key)| (bucket.to_owned(), object_key.to_owned()))
        .ok_or_else(|| Error::Config(format!("`{uri}` is not an object: write s3://BUCKET/KEY")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uri_is_split_at_the_first_slash() {
        assert_eq!(
            split_uri("s3://b/k/l").unwrap(),
            ("b".to_owned(), "k/l".to_owned())
        );
        for wrong in ["b/k", "s3://", "s3://b", "s3://b/", "s3:///k", "http://b/k"] {
            assert!(split_uri(wrong).is_err(), "{wrong}");
        }
    }
}

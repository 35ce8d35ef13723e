// SPDX-License-Identifier: Apache-2.0
//! The rules of the house that no compiler checks. Each finding names a file and a line.

pub(crate) mod api;
mod files;
mod floors;
mod licences;
mod named_tests;
mod security_tests;
mod test_features;
mod text;

use crate::step::{self, Outcome};

pub(crate) fn run() -> Outcome {
    let mut findings = Vec::new();
    let metadata = cargo_metadata::MetadataCommand::new()
        .current_dir(step::root())
        .other_options(vec!["--locked".to_owned()])
        .exec()
        .map_err(|error| error.to_string())?;
    floors::check(&metadata, &mut findings);
    test_features::check(&metadata, &mut findings);
    licences::check(&metadata, &mut findings)?;
    let sources = files::sources()?;
    files::check(&sources, &mut findings);
    api::check(&sources, &mut findings);
    security_tests::check(&sources, &mut findings);
    named_tests::check(&sources, &mut findings);
    for source in &sources {
        text::check(source, &mut findings);
    }
    if findings.is_empty() {
        step::say(&format!("tidy: {} files, nothing found", sources.len()));
        return Ok(());
    }
    for finding in &findings {
        step::say(finding);
    }
    Err(format!("tidy found {} things", findings.len()))
}
